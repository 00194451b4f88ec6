/* What a caption says of colours and counts, against what was measured in the picture. Reentrant.
 *
 * Only what the measurement is sure of counts: a colour said to dominate, to be the background, or to fill a plain
 * shape, of which the pixels hold nothing near; more plain shapes of a kind than a flat drawing has objects. Whatever
 * else is said of a picture is left alone. */
#ifndef LENS_RECAPTION_FACTS_H
#define LENS_RECAPTION_FACTS_H

#include "recaption/measure.h"
#include "recaption/quality_text.h"

typedef struct {
    uint64_t colours;    /* 1 << colour_t that cover at least 0.3 % of the pixels */
    uint64_t large;      /* those that cover at least 8 % */
    uint64_t background; /* those of a plain or gradient background; 0: there is none */
    bool is_flat;        /* a drawing of plain areas before a plain background: its objects can be counted */
    int32_t n_objects;   /* of a flat picture */
} facts_t;

/* On every n-th pixel, at most 128 a side. Nothing but MEMORY and an empty picture (ARGUMENT) fails. */
LENS_CHECKED lens_status facts_measure(facts_t *out, const colour_table_t *colours, const image_t *image);
/* The same of an encoded picture, decoded at a fraction of its size where that is cheaper. FORMAT as image_decode. */
LENS_CHECKED lens_status facts_measure_stored(facts_t *out, const colour_table_t *colours, const uint8_t *bytes,
                                              size_t n);
/* Whether the text states anything that facts could exclude: where not, nothing has to be measured. */
bool facts_claimed(const quality_text_t *t);
/* How many statements of the text the facts exclude; quotations are left alone. */
int32_t facts_contradictions(const facts_t *f, const quality_text_t *t);

#endif
