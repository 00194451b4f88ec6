/* What can be counted in one caption, and against its alt-text. A word is a run of anything but white space, without
 * ASCII punctuation at its ends, in lower case (ASCII). */
#ifndef LENS_RECAPTION_TRAITS_H
#define LENS_RECAPTION_TRAITS_H

#include "base/str.h"

typedef struct {
    int64_t n_words, n_sentences;
    int64_t n_different; /* words that are not there before */
    int64_t n_colours;   /* words that name a colour */
    int64_t n_numbers;   /* numerals, and two to twelve in words ("one" is a pronoun too often) */
    int64_t n_relations; /* words and phrases that say where things are to each other */
    int64_t n_names;     /* of the alt-text: capitalised words within a sentence, and quoted strings */
    int64_t n_names_kept;
    int64_t n_alt_words, n_alt_kept; /* different words of the alt-text, without those of grammar; those kept */
    int64_t n_pairs, n_new_pairs;    /* pairs of words, and those the alt-text does not have */
} traits_t;

/* The hashes of a text's words, in order. Reused from text to text. */
typedef struct {
    uint64_t *at; /* owned */
    int64_t n, cap;
} word_hashes_t;

LENS_CHECKED lens_status word_hashes_take(word_hashes_t *h, const char *text);
void word_hashes_free(word_hashes_t *h);
uint64_t word_hashes_run(const word_hashes_t *h, int64_t at, int n); /* of n words in a row */

/* own, alt_words: the words of the text and of its alt-text. */
LENS_CHECKED lens_status traits_take(traits_t *out, const char *text, const char *alt, const word_hashes_t *own,
                                     const word_hashes_t *alt_words);

#endif
