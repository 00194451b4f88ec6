/* Pictures from prompts: Euler steps from noise, classifier-free guidance with the released per-token rescaling. */
#ifndef LENS_MODEL_GENERATOR_H
#define LENS_MODEL_GENERATOR_H

#include "model/pipeline.h"

typedef struct {
    int64_t steps;
    double guidance; /* 1: no unconditional pass */
    uint64_t seed;   /* picture i starts from noise stream (seed, first_index + i) */
    uint64_t first_index;
} generator_options_t;

typedef struct generator generator_t;
/* lora_rank: of the adapters that tensors may have; 0: none. */
LENS_CHECKED lens_status generator_new(generator_t **out, kernels_t *k, const pipeline_config_t *c, int64_t max_batch,
                                       int64_t lora_rank);
void generator_free(generator_t *g); /* NULL is allowed */

/* pixels: host u8 [n, height, width, 3], n at most max_batch. The tensors are bound to act weights. */
LENS_CHECKED lens_status generator_run(generator_t *g, const pipeline_tensors_t *t, const char *const *prompts,
                                       int64_t n, const generator_options_t *o, uint8_t *pixels);

#endif
