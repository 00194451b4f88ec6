/* One way around the ring of ranks for the parts of an array: the halves of ring collectives (Patarasuk and Yuan,
 * J. Parallel Distrib. Comput. 69, 2009). Each of world - 1 steps moves a part to the next rank.
 *
 * Parts are cut into segments, so that a segment is summed and sent on while the next one comes in. The order of
 * addition of a part is that of the ranks in the ring, from the one after its owner to its owner. */
#ifndef LENS_KERNELS_RING_PASS_H
#define LENS_KERNELS_RING_PASS_H

#include "base/comm_ring.h"
#include "kernels/collectives.h"

#define RING_SEGMENT_BYTES ((size_t)1 << 20) /* summed while it is still in cache */
#define RING_STAGING_BYTES (RING_SEGMENT_BYTES * COMM_RING_DEPTH)

/* Part p of x[n] is [n p / world, n (p + 1) / world). */
typedef struct {
    char *x;
    int64_t n;
    size_t item_bytes;
    int rank, world;
} ring_array_t;

/* Part `rank` becomes the sum over ranks; the other parts are undefined. staging: RING_STAGING_BYTES. *n_bytes grows by
 * what was sent. */
LENS_CHECKED lens_status ring_pass_sum(const ring_array_t *a, reduce_type type, comm_ring_t *ring, void *staging,
                                       double *n_bytes);
/* Part r of rank r comes to all. */
LENS_CHECKED lens_status ring_pass_copy(const ring_array_t *a, comm_ring_t *ring, double *n_bytes);

#endif
