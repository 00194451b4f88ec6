/* Which bucket the m-th batch of a run is of, so that every bucket goes through its samples at the same relative pace.
 *
 * A binary tree over the buckets shares the batches out. Of m batches that reach a node of weight w, its left child of
 * weight w_l gets round(m w_l / w), computed in integers, and the right one the rest. The tree is Huffman's: two steps
 * down the weight at least halves, so the rounding errors of 1/2 a level add up to less than 2: after any m batches
 *
 *     |batches of bucket b - m weight_b / sum of weights| < 2
 *
 * A pure function of m, in O(depth). Any thread. */
#ifndef LENS_DATA_BATCH_SCHEDULE_H
#define LENS_DATA_BATCH_SCHEDULE_H

#include "data/bucket.h"

typedef struct {
    uint64_t weight;
    int left, right; /* nodes; -1 in a leaf */
} batch_node_t;

typedef struct {
    int n, root;
    batch_node_t node[2 * BUCKET_MAX - 1]; /* [0, n): the leaves, in the order of the weights */
} batch_schedule_t;

/* weight[n], each at least 1, n in [1, BUCKET_MAX]. ARGUMENT where their sum is 2^62 or more. */
LENS_CHECKED lens_status batch_schedule_init(batch_schedule_t *out, const uint64_t *weight, int n);
/* Batch m >= 0 is the k-th (from 0) of the returned bucket. */
int batch_schedule_at(const batch_schedule_t *s, int64_t m, int64_t *k);

#endif
