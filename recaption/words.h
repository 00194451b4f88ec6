/* Small questions about English text that captions, alt-text and their checks share. Reentrant. */
#ifndef LENS_RECAPTION_WORDS_H
#define LENS_RECAPTION_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Words are runs of anything but ASCII white space. */
int64_t words_count(const char *text);
/* The next word at or after *at: its start, its length in *n, and *at moved behind it; NULL at the end. */
const char *words_next(const char **at, size_t *n);
bool words_equal(const char *word, size_t n, const char *other);    /* ASCII case ignored */
bool words_in(const char *word, size_t n, const char *const *list); /* list ends with NULL */
const char *words_find(const char *text, const char *phrase);       /* whole words, ASCII case ignored; NULL: none */
/* Bytes of the valid UTF-8 sequence at p, its code point in *code; 0 where it is malformed. */
size_t words_utf8(const char *p, size_t left, uint32_t *code);
const char *words_article(const char *phrase); /* "a" or "an", by how the phrase begins */
bool words_is_plural(const char *word, size_t n);

#endif
