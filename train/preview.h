/* Sheets of samples while a run goes: the same prompts and noise each time. All ranks draw, each its share of the
 * prompts, one picture at a time, so that the sheet is the same however many ranks there are. */
#ifndef LENS_TRAIN_PREVIEW_H
#define LENS_TRAIN_PREVIEW_H

#include "base/comm.h"
#include "data/dataset.h"
#include "train/metrics.h"
#include "train/train_config.h"

typedef struct preview preview_t;
/* Reads the prompts (c->sample.prompts, or captions of the dataset); rank 0 keeps them in RUN/samples/prompts.txt. */
LENS_CHECKED lens_status preview_new(preview_t **out, kernels_t *k, const train_config_t *c, const pipeline_config_t *p,
                                     const dataset_t *d, comm_t *comm);
void preview_free(preview_t *v); /* NULL is allowed */
/* Collective. w: bound to act weights that are all there. Rank 0 writes RUN/samples/step-00000250.png, and the same
 * picture to the event file of m, which is NULL elsewhere. */
LENS_CHECKED lens_status preview_draw(preview_t *v, const pipeline_tensors_t *w, metrics_t *m, int64_t step);

#endif
