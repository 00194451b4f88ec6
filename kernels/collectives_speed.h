/* How fast the collectives of a set of ranks are: a check before a long job, and the link speed of a plan. */
#ifndef LENS_KERNELS_COLLECTIVES_SPEED_H
#define LENS_KERNELS_COLLECTIVES_SPEED_H

#include "kernels/collectives.h"

/* Bytes a second: algorithm = bytes of the buffer / time; bus = bytes each rank has to send / time, which is comparable
 * over numbers of ranks and with a link's own speed. 0 in a world of 1. */
typedef struct {
    double algorithm, bus;
} bandwidth_t;

typedef struct {
    bandwidth_t reduce_scatter, all_gather, all_reduce;
    double latency_s; /* of an all-reduce of a few bytes */
} collectives_speed_t;

/* x: device memory of n_bytes, a multiple of 64 world, whose contents become undefined. Of several runs the fastest, as
 * this rank saw it. Every rank calls it, with nothing under way; the times of `c` begin anew. */
LENS_CHECKED lens_status collectives_measure(collectives_t *c, void *x, size_t n_bytes, collectives_speed_t *out);

#endif
