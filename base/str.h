/* A growable byte string: text being built, or a buffer that is reused from record to record.
 *
 * Always NUL-terminated after the first call that adds. Running out of memory is remembered in `failed`; the add calls
 * then do nothing, so that a long sequence needs one check at its end: str_status(). Zero-initialise: str_t s = {0}. */
#ifndef LENS_BASE_STR_H
#define LENS_BASE_STR_H

#include "base/error.h"

typedef struct {
    char *s;         /* owned; NULL before the first add */
    size_t len, cap; /* bytes, without the NUL */
    bool failed;
} str_t;

void str_free(str_t *s);                /* and resets to empty */
void str_clear(str_t *s);               /* empty, memory kept */
void str_reserve(str_t *s, size_t cap); /* room for cap bytes and the NUL */
void str_add(str_t *s, const char *text);
void str_add_n(str_t *s, const void *bytes, size_t n);
void str_add_char(str_t *s, char c);
void str_addf(str_t *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* JSON string literal of the n bytes, quotes included; invalid UTF-8 becomes U+FFFD. */
void str_add_json(str_t *s, const char *text, size_t n);
/* The n bytes as UTF-8 without NUL: each invalid byte becomes U+FFFD. True where there was one. */
bool str_add_utf8(str_t *s, const char *text, size_t n);
void str_add_html(str_t *s, const char *text);       /* &, <, >, ", ' escaped */
LENS_CHECKED lens_status str_status(const str_t *s); /* MEMORY where an add failed */
const char *str_text(const str_t *s);                /* "" where nothing was added; borrowed */

bool str_starts_with(const char *text, const char *prefix);
bool str_ends_with(const char *text, const char *suffix);
bool str_is_utf8(const char *text);
/* The name in names[n] nearest to `word` by edit distance, NULL where none is near. For "did you mean". */
const char *str_nearest(const char *word, const char *const *names, int n);

#endif
