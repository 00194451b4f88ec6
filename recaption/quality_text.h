/* A caption as the gate's rules read it: words, sentences, and what stands in quotation marks. Reentrant.
 *
 * Offsets are bytes of the text, which is UTF-8 without NUL (invalid bytes count as letters) and stays borrowed. */
#ifndef LENS_RECAPTION_QUALITY_TEXT_H
#define LENS_RECAPTION_QUALITY_TEXT_H

#include "base/error.h"
#include "base/str.h"

enum { QUALITY_TEXT_MAX_BYTES = 64 << 10 };

/* Letters, digits and inner apostrophes; a hyphen parts words. */
typedef struct {
    uint32_t begin, end; /* in the text */
    uint32_t lower;      /* where it begins in `lower` */
    uint32_t hash;       /* of its lower-case form */
    int32_t sentence;
    bool quoted;
} quality_word_t;

typedef struct {
    uint32_t begin, end; /* with its mark and what closes behind it, without white space around */
    int32_t first, n;    /* words */
} quality_sentence_t;

typedef struct {
    const char *text; /* borrowed */
    uint32_t n_bytes;
    char *lower; /* words in lower case (ASCII and Latin-1), ' for every apostrophe, one space behind each */
    quality_word_t *words;
    quality_sentence_t *sentences;
    int32_t n_words, n_sentences;
} quality_text_t;

/* ARGUMENT above QUALITY_TEXT_MAX_BYTES. Nothing is held after a failure. */
LENS_CHECKED lens_status quality_text_read(quality_text_t *out, const char *text);
void quality_text_free(quality_text_t *t);
/* Words of the phrase (lower case, single spaces) that begin at word i, 0 where it does not stand there. */
int32_t quality_text_match(const quality_text_t *t, int32_t i, const char *phrase);
/* The first of the list (ends with NULL) that stands at word i; its number of words, else 0. */
int32_t quality_text_match_any(const quality_text_t *t, int32_t i, const char *const *phrases);
bool quality_text_is(const quality_text_t *t, int32_t i, const char *word);
/* As quality_text_match_any; 0 also in a quotation and behind the last word. */
int32_t quality_text_any(const quality_text_t *t, int32_t i, const char *const *phrases);
/* The first of n words behind word i, within its sentence, at which quality_text_any finds one; -1: none. */
int32_t quality_text_behind(const quality_text_t *t, int32_t i, int32_t n, const char *const *phrases);
/* End of the quotation that opens at byte i, behind its closing mark; 0 where none opens. One that holds all of the
 * text quotes nothing. */
uint32_t quality_quote_end(const char *text, uint32_t n, uint32_t i);

#endif
