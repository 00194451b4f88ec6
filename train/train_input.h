/* From a loader's batch to a step's: which arrays are asked for, and what they become. */
#ifndef LENS_TRAIN_TRAIN_INPUT_H
#define LENS_TRAIN_TRAIN_INPUT_H

#include "data/loader.h"
#include "train/step.h"

typedef struct train_input train_input_t;
/* max_rows: of a batch of this rank; max_elements: of its latents. */
LENS_CHECKED lens_status train_input_new(train_input_t **out, const train_config_t *c, const pipeline_config_t *p,
                                         int64_t max_rows, int64_t max_elements);
void train_input_free(train_input_t *in); /* NULL is allowed */
/* What a configuration asks of the loader, but for rank, world and threads. */
LENS_CHECKED lens_status train_input_options(loader_options_t *out, const train_config_t *c);
/* *out borrows from b and in, until the next call of either. Latents are arrays [channels, height, width] of cells,
 * features [text.max_tok, text.layers, text.dim]; FORMAT where the layer holds others. */
LENS_CHECKED lens_status train_input_batch(train_input_t *in, const loader_batch_t *b, step_batch_t *out);

#endif
