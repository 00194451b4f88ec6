/* How long a call should take on a GPU: a prediction, from counts, a data sheet and named efficiencies. */
#ifndef LENS_KERNELS_OP_TIME_H
#define LENS_KERNELS_OP_TIME_H

#include "kernels/gpu.h"
#include "kernels/op_cost.h"

typedef struct {
    double products;      /* of the peak, by a full wave of 128 x 256 tiles: the clock falls under such load */
    double attention_fwd; /* of the peak, heads of 128 columns; narrower ones have more softmax to a product */
    double attention_bwd;
    double copies;    /* of the memory's bandwidth */
    double launch_us; /* of the device from one kernel to the next */
} op_efficiency_t;

/* Seconds. A product has the fastest of several tiles, which go over the multiprocessors in whole waves, and of
 * several splits of its inner dimension; nothing is faster than its bytes. */
double op_time_s(const op_call_t *call, size_t act_bytes, const gpu_t *gpu, const op_efficiency_t *e);

#endif
