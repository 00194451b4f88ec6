/* An op table that computes nothing and counts: what runs on it tells what it would cost, from the code that makes a
 * step and from nothing else. Whole models run in milliseconds.
 *
 * alloc hands out addresses without memory: whoever touches them is ended by the system. download gives zeros, upload
 * forgets all but the lengths of keys that attention is told next, so that losses and norms are 0 and no branch on
 * values is taken that training would not take. Rows are counted as kernels/cuda runs them: bytes moved and launches
 * are those of its head comments. */
#ifndef LENS_KERNELS_COUNTING_H
#define LENS_KERNELS_COUNTING_H

#include "kernels/collectives.h"
#include "kernels/op_cost.h"

typedef struct {
    op_call_t call;
    int64_t times;
} counted_t;

LENS_CHECKED lens_status kernels_counting_new(kernels_t **out, size_t act_bytes);
void counting_reset(kernels_t *k); /* forgets what was counted so far */
/* Distinct calls since, in the order in which they first came; the table's own, until the next call of a row. */
const counted_t *counting_calls(const kernels_t *k, int *n);
/* Bytes allocated, now. */
size_t counting_allocated(const kernels_t *k);

/* Collectives of rank 0 of `world`, which exchange nothing, take no time, and count what the rank would send around a
 * ring, as NCCL does. */
LENS_CHECKED lens_status collectives_counting_new(collectives_t **out, int world);
double collectives_counting_sent(const collectives_t *c); /* bytes, so far */

#endif
