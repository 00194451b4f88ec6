/* Rules for alt-texts. Characters are code points. Parameters of the stage alt_text (default):
 *
 *   min_chars (0), max_chars (no limit)   length of the text in characters
 *   min_words (0), max_words (no limit)   runs of characters that are no white space
 *   min_letters (0)                       share of letters among the characters that are no white space, 0..1
 *   boilerplate (true)                    refuses texts that say nothing: the built-in list ("image", "stock photo",
 *                                         "click to enlarge", ...), names of files ("sunset_final.jpg") and of cameras'
 *                                         files ("IMG_1234", "DSC 0042", "Screenshot 2021-03-04 at 10.21")
 *   boilerplate_file (none)               further texts, one a line; lines that begin with # are comments
 *
 * Letters are ASCII letters and all characters beyond U+00BF but general punctuation, symbols and emoji
 * (U+2000..U+2BFF, U+3000..U+3004, U+FE00..U+FE0F, from U+1F000 to U+1FAFF): what is written in any script is language.
 *
 * A text is compared with a list in its normal form: ASCII letters small, every run of ASCII punctuation and white
 * space one space, digits at the end dropped: "Stock Photo (12)" is "stock photo". The whole text must match, no part
 * of it. */
#ifndef LENS_DATA_FILTER_TEXT_H
#define LENS_DATA_FILTER_TEXT_H

#include "base/str.h"

typedef struct {
    int64_t min_chars, max_chars, min_words, max_words;
    double min_letters;
    bool boilerplate;
    char *file;  /* boilerplate_file, owned; NULL: none */
    char **list; /* its lines in normal form, sorted, owned; filter_text_load */
    int n_list;
    uint64_t file_hash; /* xxh3 of what was in the file */
} filter_text_t;

void filter_text_init(filter_text_t *t); /* defaults */
void filter_text_free(filter_text_t *t);
LENS_CHECKED lens_status filter_text_load(filter_text_t *t); /* reads t->file where there is one */

/* True where the text passes. Else *value is what was measured (1 for boilerplate) and *reason says it ("alt_text 1
 * word, expected at least 3"); MEMORY shows in *reason alone. */
bool filter_text_passes(const filter_text_t *t, const char *alt, double *value, str_t *reason);
void filter_text_limits(const filter_text_t *t, str_t *out);

#endif
