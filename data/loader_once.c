/* A loader that goes through some samples once: which batches they make. */
#include "data/loader_private.h"

#include <stdlib.h>

static lens_status bucket_of(const loader_t *l, int64_t sample, int *out) {
    sample_info_t info;
    uint64_t hash;
    LENS_TRY(dataset_info(l->dataset, sample, &info));
    LENS_TRY(dataset_image_hash(l->dataset, sample, &hash));
    *out = bucket_assign(&l->options.buckets, info.width, info.height, hash);
    return LENS_OK;
}

/* Cuts the samples of each bucket, which lie together, into batches. */
static void cut_batches(loader_t *l, const int64_t *n_of_bucket) {
    loader_once_t *once = l->once;
    int64_t at = 0;
    for (int b = 0; b < l->options.buckets.n; b++) {
        int64_t most = l->options.batch_of_area[l->options.buckets.bucket[b].area], end = at + n_of_bucket[b];
        for (; at < end; at += once->batch[once->n_batches - 1].n)
            once->batch[once->n_batches++] =
                (once_batch_t){.bucket = b, .first = at, .n = end - at < most ? end - at : most};
    }
}

/* The samples in the order of their buckets, and as they were given within one. */
static lens_status sort_samples(loader_t *l, const int64_t *sample, const int *bucket, int64_t n) {
    loader_once_t *once = l->once;
    int64_t n_of_bucket[BUCKET_MAX] = {0}, at[BUCKET_MAX] = {0};
    for (int64_t i = 0; i < n; i++)
        if (bucket[i] >= 0) n_of_bucket[bucket[i]]++;
    for (int b = 1; b < l->options.buckets.n; b++) at[b] = at[b - 1] + n_of_bucket[b - 1];
    for (int64_t i = 0; i < n; i++)
        if (bucket[i] >= 0) once->sample[at[bucket[i]]++] = sample[i];
    cut_batches(l, n_of_bucket);
    for (int64_t i = 0; i < once->n_batches; i++) {
        const once_batch_t *b = &once->batch[i];
        LENS_TRY(loader_find_shapes(l, b->bucket, once->sample[b->first]));
    }
    return LENS_OK;
}

lens_status loader_once_new(loader_t *l, const int64_t *sample, int64_t n) {
    loader_once_t *once = l->once = calloc(1, sizeof *once);
    int *bucket = calloc((size_t)n + 1, sizeof *bucket);
    lens_status st = LENS_OK;
    if (once) once->sample = calloc((size_t)n + 1, sizeof *once->sample);
    if (once) once->batch = calloc((size_t)n + 1, sizeof *once->batch);
    if (!bucket || !once || !once->sample || !once->batch)
        LENS_GO(lens_fail(LENS_MEMORY, "loader: %lld samples", (long long)n));
    for (int64_t i = 0; i < n; i++) LENS_GO(bucket_of(l, sample[i], &bucket[i]));
    st = sort_samples(l, sample, bucket, n);
done:
    free(bucket);
    return st;
}

void loader_once_free(loader_once_t *once) {
    if (!once) return;
    free(once->sample);
    free(once->batch);
    free(once);
}

bool loader_once_uses(const loader_once_t *once, int bucket) {
    for (int64_t i = 0; i < once->n_batches; i++)
        if (once->batch[i].bucket == bucket) return true;
    return false;
}

lens_status loader_once_batch(const loader_t *l, loader_batch_t *b, int64_t q) {
    const loader_once_t *once = l->once;
    if (q >= once->n_batches) return lens_fail(LENS_END, "%s: all samples were seen", dataset_dir(l->dataset));
    const once_batch_t *from = &once->batch[q];
    b->step = q;
    b->bucket = from->bucket;
    b->n = b->n_step = from->n;
    b->first = b->slot = b->n_empty = 0;
    for (int64_t i = 0; i < from->n; i++) {
        b->sample[i] = once->sample[from->first + i];
        b->epoch[i] = 0;
    }
    return LENS_OK;
}
