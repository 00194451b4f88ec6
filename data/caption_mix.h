/* Which of a sample's captions is trained on: kinds with weights, "dense" or "dense=0.8,alt=0.2". */
#ifndef LENS_DATA_CAPTION_MIX_H
#define LENS_DATA_CAPTION_MIX_H

#include "base/rng.h"
#include "data/dataset.h"

#define CAPTION_MIX_MAX_KINDS 16

typedef struct {
    int n;
    char *kind[CAPTION_MIX_MAX_KINDS]; /* owned */
    double weight[CAPTION_MIX_MAX_KINDS];
    double total; /* of the weights, which need not add up to 1 */
} caption_mix_t;

/* ARGUMENT: a kind that the dataset has not (the nearest one is named) or given twice, a weight that is no positive
 * number. out is free of memory unless OK. */
LENS_CHECKED lens_status caption_mix_init(caption_mix_t *out, const char *spec, const dataset_t *d);
void caption_mix_reset(caption_mix_t *m);
/* Draws one uniform number from r. */
const char *caption_mix_pick(const caption_mix_t *m, rng_t *r);

#endif
