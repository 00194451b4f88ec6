#include <math.h>
#include <xxhash.h>

#include "data/loader_private.h"

static lens_status check_ranks(const loader_options_t *o) {
    if (o->world < 1 || o->rank < 0 || o->rank >= o->world)
        return lens_fail(LENS_ARGUMENT, "loader: rank %lld of %lld", (long long)o->rank, (long long)o->world);
    if (o->slots < 1 || o->slots > 1000000 || (o->world % o->slots != 0 && o->slots % o->world != 0))
        return lens_fail(LENS_ARGUMENT,
                         "loader: %lld batches a step cannot be divided among %lld ranks, nor the ranks among them",
                         (long long)o->slots, (long long)o->world);
    return LENS_OK;
}

static lens_status check_batches(const loader_options_t *o) {
    int64_t sharing = o->world > o->slots ? o->world / o->slots : 1;
    if (o->buckets.n < 1) return lens_fail(LENS_ARGUMENT, "loader: no buckets");
    for (int area = 0; area < o->buckets.n_areas; area++) {
        int64_t batch = o->batch_of_area[area];
        if (batch < 1 || batch > INT32_MAX || batch % sharing != 0)
            return lens_fail(LENS_ARGUMENT, "loader: a batch of %lld samples cannot be divided among %lld ranks",
                             (long long)batch, (long long)sharing);
    }
    return LENS_OK;
}

static lens_status check_layers(const loader_options_t *o, const dataset_t *d) {
    if (o->n_arrays < 0 || o->n_arrays > LOADER_MAX_ARRAYS)
        return lens_fail(LENS_ARGUMENT, "loader: %d kinds of arrays, expected at most %d", o->n_arrays,
                         LOADER_MAX_ARRAYS);
    for (int a = 0; a < o->n_arrays; a++) {
        if (!dataset_has_array(d, o->array[a]))
            return lens_fail(LENS_ARGUMENT, "loader: %s has no arrays of kind %s", dataset_dir(d), o->array[a]);
    }
    if (!o->pictures && !o->captions && o->n_arrays == 0)
        return lens_fail(LENS_ARGUMENT, "loader: neither pictures, captions nor arrays are asked for");
    return LENS_OK;
}

lens_status loader_check_options(const loader_options_t *o, const dataset_t *d) {
    if (dataset_n_samples(d) < 1) return lens_fail(LENS_ARGUMENT, "%s: no samples to train on", dataset_dir(d));
    LENS_TRY(check_ranks(o));
    LENS_TRY(check_batches(o));
    LENS_TRY(check_layers(o, d));
    if (!(o->caption_dropout >= 0 && o->caption_dropout <= 1))
        return lens_fail(LENS_ARGUMENT, "loader: caption dropout %g, expected 0 to 1", o->caption_dropout);
    if (o->window_shards < 0)
        return lens_fail(LENS_ARGUMENT, "loader: windows of %lld shards", (long long)o->window_shards);
    if (o->n_threads < 1 || o->n_threads > LOADER_MAX_THREADS || o->n_prefetch < 1 ||
        o->n_prefetch > LOADER_MAX_PREFETCH)
        return lens_fail(LENS_ARGUMENT, "loader: %d threads and %d batches ready, expected 1 to %d and 1 to %d",
                         o->n_threads, o->n_prefetch, LOADER_MAX_THREADS, LOADER_MAX_PREFETCH);
    return LENS_OK;
}

/* Everything by name, so that no two sets of options can read alike. Doubles are written exactly. */
lens_status loader_identity(uint64_t *out, const dataset_t *d, const loader_options_t *o) {
    str_t text = {0};
    *out = 0;
    LENS_TRY(loader_check_options(o, d));
    str_addf(&text, "data %016llx buckets %016llx batches", (unsigned long long)dataset_hash(d),
             (unsigned long long)bucket_list_hash(&o->buckets));
    for (int area = 0; area < o->buckets.n_areas; area++) str_addf(&text, " %lld", (long long)o->batch_of_area[area]);
    str_addf(&text, " slots %lld window %lld seed %llu", (long long)o->slots, (long long)o->window_shards,
             (unsigned long long)o->seed);
    if (o->pictures)
        str_addf(&text, " pictures filter %d linear %d flip %d crop %d", (int)o->resampling.filter,
                 o->resampling.linear_light, o->flip, o->random_crop);
    if (o->captions) str_addf(&text, " captions %s dropout %a", o->captions, o->caption_dropout);
    for (int a = 0; a < o->n_arrays; a++) str_addf(&text, " array %s", o->array[a]);
    lens_status st = str_status(&text);
    if (st == LENS_OK) *out = XXH3_64bits(text.s, text.len);
    str_free(&text);
    return st;
}
