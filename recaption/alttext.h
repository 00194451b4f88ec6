/* Alt-text as people and shops write it, cleaned to what it says of the picture. Reentrant.
 *
 * Gone afterwards: markup, addresses, file extensions, camera counters, sizes, stock and shop boilerplate, site names
 * behind a separator. What is left is a phrase, a list of keywords, or nothing. */
#ifndef LENS_RECAPTION_ALTTEXT_H
#define LENS_RECAPTION_ALTTEXT_H

#include "base/error.h"
#include "base/str.h"

enum {
    ALTTEXT_KEYWORD_MAX = 8,
    ALTTEXT_WORD_MAX = 28,       /* words of a phrase */
    ALTTEXT_MAX_BYTES = 16 << 10 /* what a longer text says behind them is not read: a phrase comes early or not */
};

typedef enum {
    ALTTEXT_NONE,     /* nothing usable */
    ALTTEXT_PHRASE,   /* "Two dogs on a beach": no full stop at its end */
    ALTTEXT_KEYWORDS, /* a list of short items */
} alttext_kind;

typedef struct {
    alttext_kind kind;
    str_t text;                          /* the phrase; keywords joined by ", " */
    str_t keywords[ALTTEXT_KEYWORD_MAX]; /* distinct, in their order; of a phrase: its content words */
    int n_keywords;
    bool was_file_name;
} alttext_t;

/* raw: any bytes. On failure *out is freed. */
LENS_CHECKED lens_status alttext_clean(alttext_t *out, const char *raw);
void alttext_free(alttext_t *a);

#endif
