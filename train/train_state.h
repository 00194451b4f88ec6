/* What training changes: weights, gradients, moments and the average of weights, each one flat buffer over the same
 * plan. */
#ifndef LENS_TRAIN_TRAIN_STATE_H
#define LENS_TRAIN_TRAIN_STATE_H

#include "base/comm.h"
#include "model/pipeline.h"

typedef struct {
    kernels_t *k;
    pipeline_tensors_t weights, grads, average; /* equal plans, bound to the buffers below */
    int64_t n;                                  /* floats of each buffer, padding included */
    float *master, *g, *m, *v, *ema;            /* device f32 [n] */
    act_t *acts;                                /* weights as products read them; master itself where act is float */
    float *scale;                               /* device: of the gradient, from clipping */
    double *sum_sq;                             /* device */
    float *host;                                /* host f32 [n]: staging for files and messages between ranks */
} train_state_t;

LENS_CHECKED lens_status train_state_init(train_state_t *s, kernels_t *k, const pipeline_config_t *c);
void train_state_free(train_state_t *s);
LENS_CHECKED lens_status train_state_start(train_state_t *s,
                                           uint64_t seed); /* initial weights; the average equals them */

/* Sums the gradients over ranks. */
LENS_CHECKED lens_status train_state_reduce(train_state_t *s, comm_t *comm);
/* Clips by the global norm (0: not), one AdamW step, and the average. *grad_norm: before clipping. */
void train_state_update(train_state_t *s, const adamw_t *o, double clip, double ema_decay, double *grad_norm);
/* After the master weights were replaced. */
void train_state_refresh(train_state_t *s);

#endif
