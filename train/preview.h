/* Sheets of samples while a run goes: the same prompts and noise each time, drawn from the averaged weights. */
#ifndef LENS_TRAIN_PREVIEW_H
#define LENS_TRAIN_PREVIEW_H

#include "data/dataset.h"
#include "train/metrics.h"
#include "train/train_config.h"
#include "train/train_state.h"

typedef struct preview preview_t;
/* Reads the prompts (c->sample.prompts, or captions of the dataset) and keeps them in RUN/samples/prompts.txt. */
LENS_CHECKED lens_status preview_new(preview_t **out, kernels_t *k, const train_config_t *c, const pipeline_config_t *p,
                                     const dataset_t *d);
void preview_free(preview_t *v); /* NULL is allowed */
/* RUN/samples/step-00000250.png, and the same picture to the event file. */
LENS_CHECKED lens_status preview_draw(preview_t *v, const train_state_t *s, metrics_t *m, int64_t step);

#endif
