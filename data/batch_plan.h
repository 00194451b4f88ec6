/* The order of training: which samples batch m of a run holds, as a function of the seed and m alone.
 *
 * Batch m is the k-th of some bucket (batch_schedule.h) and takes positions [k batch, (k + 1) batch) of the bucket's
 * endless stream. Position p is of epoch p / n, n the bucket's samples: what an epoch leaves over begins the batch that
 * goes on with the next, so that nothing is dropped, and all samples of a bucket are met equally often, give or take
 * one. A bucket with less than a batch gives its samples to the nearest bucket of its area that has any; one that is
 * alone in its area repeats them within a batch.
 *
 * Within an epoch the order is a keyed permutation of the bucket's samples. With window_shards > 0 it is one of
 * windows: the shards in keyed order, the same for all buckets, are cut into windows of so many, and samples are
 * permuted within a window only: at any time about that many shards are read. With one bucket and no window, position p
 * is rng_permute(seed, p / n, n, p % n).
 *
 * Samples are named by shard and ordinal: the ordinal-th of the shard's samples that are of the bucket or of those that
 * it took in. One thread at a time. */
#ifndef LENS_DATA_BATCH_PLAN_H
#define LENS_DATA_BATCH_PLAN_H

#include "data/bucket.h"

typedef struct {
    uint64_t seed;
    int64_t window_shards;        /* 0: the whole set is one window */
    const int64_t *batch_of_area; /* [n_areas of the list] samples a batch, at least 1 */
} batch_plan_options_t;

typedef struct {
    int64_t shard, ordinal;
    uint32_t epoch;
} batch_place_t;

typedef struct batch_plan batch_plan_t;

/* counts: [n_shards, l->n + 1] samples of each shard by bucket, the last for those of none, which are left out; copied.
 * ARGUMENT: no samples at all, or batch sizes whose
 * least common multiple is too large. Buckets that were merged are told in the log where `tell`. */
LENS_CHECKED lens_status batch_plan_new(batch_plan_t **out, const batch_plan_options_t *options, const bucket_list_t *l,
                                        const int64_t *counts, int64_t n_shards, bool tell);
void batch_plan_free(batch_plan_t *p); /* NULL is allowed */

/* The bucket of batch m, and which of its batches that is. */
int batch_plan_bucket(const batch_plan_t *p, int64_t m, int64_t *k);
/* Samples [first, first + n) of the k-th batch of `bucket`. ARGUMENT beyond 2^32 epochs. */
LENS_CHECKED lens_status batch_plan_places(batch_plan_t *p, int bucket, int64_t k, int64_t first, int64_t n,
                                           batch_place_t *out);
/* Where the samples of `bucket` are trained: itself, or the bucket that took them in; -1 where it has none. */
int batch_plan_merged(const batch_plan_t *p, int bucket);
int64_t batch_plan_n_samples(const batch_plan_t *p, int bucket); /* with those it took in; 0 where it was merged */
/* Samples of `bucket` in that shard, with those that it took in. */
int64_t batch_plan_shard_samples(const batch_plan_t *p, int bucket, int64_t shard);

#endif
