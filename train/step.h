/* One training step of one rank: from pixels and captions to updated weights. Device-blind. */
#ifndef LENS_TRAIN_STEP_H
#define LENS_TRAIN_STEP_H

#include "train/train_config.h"
#include "train/train_state.h"

/* One rank's part of a step's batch, on the host; borrowed. */
typedef struct {
    int64_t n;
    const int64_t *sample;      /* [n] index in the dataset and */
    const uint32_t *epoch;      /* [n] its epoch: they key noise and timestep */
    const uint8_t *pixels;      /* u8 [n, height, width, 3] */
    const char *const *caption; /* [n] */
} step_batch_t;

typedef struct {
    double loss, grad_norm; /* of the whole batch, over all ranks */
    double model_flop;      /* of the whole batch: 3 x forward, products only */
} step_result_t;

typedef struct stepper stepper_t;
LENS_CHECKED lens_status stepper_new(stepper_t **out, kernels_t *k, const train_config_t *c, const pipeline_config_t *p,
                                     int64_t local_batch);
void stepper_free(stepper_t *s); /* NULL is allowed */

/* step counts from 1. Every rank calls it for the same step. */
LENS_CHECKED lens_status stepper_run(stepper_t *s, train_state_t *state, comm_t *comm, const step_batch_t *batch,
                                     int64_t step, step_result_t *out);
int64_t stepper_n_cut(const stepper_t *s);             /* captions longer than text.max_tok so far */
const plan_t *stepper_activations(const stepper_t *s); /* for the memory table */

#endif
