/* What the loader's batches hold: the plan, and the samples behind it. */
#include "base/log.h"
#include "data/loader_private.h"

#include <stdlib.h>

enum { TOLD = 8 }; /* pictures that fit no bucket and are named */

/* ---- pictures that are left out ---- */

/* Adds the keys of the shard's samples that fit no bucket, until TOLD are named. */
static lens_status name_small(const loader_t *l, int64_t shard, str_t *names, int *n_named) {
    str_t key = {0};
    lens_status st = LENS_OK;
    int64_t begin = dataset_shard_begin(l->dataset, shard), n = dataset_shard_n_samples(l->dataset, shard);
    for (int64_t i = begin; i < begin + n && *n_named < TOLD; i++) {
        sample_info_t info;
        uint64_t hash;
        LENS_GO(dataset_info(l->dataset, i, &info));
        LENS_GO(dataset_image_hash(l->dataset, i, &hash));
        if (bucket_assign(&l->options.buckets, info.width, info.height, hash) >= 0) continue;
        LENS_GO(dataset_key(l->dataset, i, &key));
        str_addf(names, "%s%s (%dx%d)", *n_named ? ", " : "", str_text(&key), info.width, info.height);
        ++*n_named;
    }
done:
    str_free(&key);
    return st;
}

static lens_status tell_small(const loader_t *l, const int64_t *counts) {
    int64_t n_small = 0, columns = l->options.buckets.n + 1;
    str_t names = {0};
    lens_status st = LENS_OK;
    int n_named = 0;
    for (int64_t s = 0; s < dataset_n_shards(l->dataset); s++) {
        int64_t n = counts[s * columns + columns - 1];
        n_small += n;
        if (n > 0 && n_named < TOLD) LENS_GO(name_small(l, s, &names, &n_named));
    }
    if (n_small == 0) goto done;
    LENS_GO(str_status(&names));
    if (l->options.refuse_small)
        st = lens_fail(LENS_ARGUMENT, "%s: %lld pictures are too small for every bucket, enlarged by at most %g: %s",
                       dataset_dir(l->dataset), (long long)n_small, l->options.buckets.max_upscale, names.s);
    else if (l->options.rank == 0)
        log_warn("%s: %lld of %lld pictures are left out, too small for every bucket, enlarged by at most %g: %s%s",
                 dataset_dir(l->dataset), (long long)n_small, (long long)dataset_n_samples(l->dataset),
                 l->options.buckets.max_upscale, names.s, n_small > n_named ? ", ..." : "");
done:
    str_free(&names);
    return st;
}

/* ---- opening ---- */

/* Of each bucket's first sample. */
static lens_status find_shapes(loader_t *l, int bucket) {
    int64_t shard = 0, sample;
    while (batch_plan_shard_samples(l->plan, bucket, shard) == 0) shard++;
    LENS_TRY(bucket_map_sample(l->map, bucket, shard, 0, &sample));
    for (int a = 0; a < l->options.n_arrays; a++) {
        loader_array_t *s = &l->shapes[bucket][a];
        LENS_TRY(dataset_array_shape(l->dataset, sample, l->options.array[a], &s->shape));
        LENS_TRY(array_bytes(&s->shape, &s->bytes));
    }
    return LENS_OK;
}

lens_status loader_make_plan(loader_t *l) {
    const bucket_list_t *list = &l->options.buckets;
    const batch_plan_options_t o = {
        .seed = l->options.seed, .window_shards = l->options.window_shards, .batch_of_area = l->options.batch_of_area};
    int64_t n_shards = dataset_n_shards(l->dataset);
    int64_t *counts = calloc((size_t)n_shards, ((size_t)list->n + 1) * sizeof *counts);
    if (!counts) return lens_fail(LENS_MEMORY, "loader: %d buckets of %lld shards", list->n, (long long)n_shards);
    lens_status st;
    LENS_GO(dataset_bucket_counts(l->dataset, list, counts));
    LENS_GO(tell_small(l, counts));
    st = batch_plan_new(&l->plan, &o, list, counts, n_shards, l->options.rank == 0);
    LENS_GO(lens_context(st, "%s", dataset_dir(l->dataset)));
    LENS_GO(bucket_map_new(&l->map, l->dataset, list, l->plan));
    for (int b = 0; b < list->n && l->options.n_arrays > 0; b++) {
        if (batch_plan_n_samples(l->plan, b) > 0) LENS_GO(find_shapes(l, b));
    }
done:
    free(counts);
    return st;
}

/* ---- one batch ---- */

static void count_step(const loader_t *l, loader_batch_t *b, int64_t first_slot) {
    const bucket_list_t *list = &l->options.buckets;
    b->n_step = b->px_step = 0;
    for (int64_t m = first_slot; m < first_slot + l->options.slots; m++) {
        int64_t k;
        const bucket_t *size = &list->bucket[batch_plan_bucket(l->plan, m, &k)];
        int64_t n = l->options.batch_of_area[size->area];
        b->n_step += n;
        b->px_step += n * size->width * size->height;
    }
}

static void shape_batch(const loader_t *l, loader_slot_t *slot, int bucket) {
    loader_batch_t *b = &slot->batch;
    const bucket_t *size = &l->options.buckets.bucket[bucket];
    b->bucket = bucket;
    b->width = size->width;
    b->height = size->height;
    b->n = l->options.batch_of_area[size->area] / l->sharing;
    b->first = l->options.rank % l->sharing * b->n;
    for (int a = 0; a < l->options.n_arrays; a++) {
        b->array[a] = l->shapes[bucket][a];
        b->array[a].values = slot->values[a];
    }
}

/* All reads of a batch are under way before its first row is waited for: a disk or a network serves many at once. */
static void fetch_batch(const loader_t *l, const loader_batch_t *b) {
    for (int64_t i = 0; i < b->n; i++) {
        for (int a = 0; a < l->options.n_arrays; a++) dataset_fetch(l->dataset, b->sample[i], l->options.array[a]);
        if (l->options.pictures) dataset_fetch(l->dataset, b->sample[i], NULL);
    }
}

lens_status loader_plan_batch(loader_t *l, loader_slot_t *slot, int64_t q) {
    loader_batch_t *b = &slot->batch;
    int64_t first_slot, k;
    b->step = q / l->per_step;
    b->slot = l->options.rank / l->sharing * l->per_step + q % l->per_step;
    b->n_empty = 0;
    if (__builtin_mul_overflow(b->step, l->options.slots, &first_slot) || first_slot > INT64_MAX / 2)
        return lens_fail(LENS_ARGUMENT, "step %lld: too far", (long long)b->step + 1);
    shape_batch(l, slot, batch_plan_bucket(l->plan, first_slot + b->slot, &k));
    count_step(l, b, first_slot);
    LENS_TRY(lens_context(batch_plan_places(l->plan, b->bucket, k, b->first, b->n, l->places), "step %lld",
                          (long long)b->step + 1));
    for (int64_t i = 0; i < b->n; i++) {
        b->epoch[i] = l->places[i].epoch;
        LENS_TRY(bucket_map_sample(l->map, b->bucket, l->places[i].shard, l->places[i].ordinal, &b->sample[i]));
    }
    fetch_batch(l, b);
    return LENS_OK;
}
