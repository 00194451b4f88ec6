/* The built-in describer: a captioner that needs no model. It weaves what measure.h finds and what alttext.h leaves of
 * the alt-text into plain English. A baseline: it knows colours, shapes and places, and no thing by sight. */
#ifndef LENS_RECAPTION_DESCRIBE_H
#define LENS_RECAPTION_DESCRIBE_H

#include "recaption/alttext.h"
#include "recaption/captioner.h"
#include "recaption/measure.h"

extern const captioner_type_t captioner_describe;

typedef struct {
    uint64_t content; /* hash of the picture and its alt-text: chooses the wording */
    int attempt;      /* other wording and a further measured detail each time */
    int64_t min_words, max_words;
} describe_options_t;

/* Appends one paragraph to `out`, a pure function of its arguments. Always of min_words to max_words words where
 * min_words <= 45 and max_words >= 70. */
LENS_CHECKED lens_status describe_text(str_t *out, const measure_t *m, const alttext_t *alt,
                                       const describe_options_t *o);

#endif
