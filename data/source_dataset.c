/* A dataset as a source: its samples as they are. A sample that is damaged is a reject, the others go on. */
#include "data/source_kinds.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/file.h"

typedef struct {
    source_t base;
    const source_input_t *input;
    int64_t next, end;
} source_dataset_t;

lens_status source_path_is_dataset(bool *out, const char *path) {
    str_t shard = {0};
    str_addf(&shard, "%s/base/shard-00000.h5", path);
    lens_status st = str_status(&shard);
    *out = st == LENS_OK && file_exists(shard.s);
    str_free(&shard);
    return st;
}

lens_status source_dataset_cut(source_input_t *in, source_cuts_t *c) {
    LENS_TRY(dataset_open_partial(&in->dataset, in->path));
    for (int64_t i = 0; i < dataset_n_shards(in->dataset); i++) {
        uint64_t hash = dataset_shard_hash(in->dataset, i);
        XXH3_64bits_update(c->hash, &hash, sizeof hash);
    }
    int64_t n = dataset_n_samples(in->dataset), step = c->samples_per_unit;
    LENS_TRY(source_cut(c, 0, 0));
    for (int64_t i = step; i<n; i = n - i> step ? i + step : n) LENS_TRY(source_cut(c, (uint64_t)i, i));
    source_cut_end(c, (uint64_t)n);
    return LENS_OK;
}

static lens_status read_sample(const dataset_t *d, int64_t i, raw_sample_t *out) {
    LENS_TRY(dataset_key(d, i, &out->key));
    LENS_TRY(dataset_image(d, i, &out->image));
    LENS_TRY(dataset_caption(d, i, "alt", &out->alt));
    return dataset_meta(d, i, &out->meta);
}

static lens_status dataset_source_next(source_t *s, raw_sample_t *out) {
    source_dataset_t *d = (source_dataset_t *)s;
    if (d->next == d->end) return LENS_END;
    int64_t i = d->next++;
    lens_status st = read_sample(d->input->dataset, i, out);
    if (st == LENS_OK || st == LENS_MEMORY) return st;
    raw_sample_reject(out, REJECT_UNREADABLE, "%s: sample %" PRId64 ": %s", d->input->path, i, lens_error());
    return LENS_OK;
}

static void dataset_source_close(source_t *s) {
    free(s);
}

lens_status source_dataset_open(source_t **out, const source_input_t *in, source_range_t range) {
    source_dataset_t *d = calloc(1, sizeof *d);
    if (!d) return lens_fail(LENS_MEMORY, "%s: out of memory", in->path);
    *d = (source_dataset_t){
        {dataset_source_next, dataset_source_close, NULL}, in, (int64_t)range.begin, (int64_t)range.end};
    *out = &d->base;
    return LENS_OK;
}
