/* Writing base shards: samples in, shards of bounded size out. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/dataset_names.h"
#include "data/key_set.h"
#include "data/shard.h"

struct dataset_writer {
    str_t dir; /* DIR/base */
    str_t provenance;
    int64_t shard_max_samples;
    uint64_t shard_max_bytes;
    int64_t n_shards;      /* published */
    shard_writer_t *shard; /* open one, or NULL */
    key_set_t keys;        /* of all shards so far */
};

static void writer_free(dataset_writer_t *w) {
    str_free(&w->dir);
    str_free(&w->provenance);
    key_set_free(&w->keys);
    free(w);
}

void dataset_writer_abort(dataset_writer_t *w) {
    if (!w) return;
    shard_writer_abort(w->shard);
    writer_free(w);
}

static lens_status refuse_existing(const char *dir) {
    int64_t *numbers, n;
    LENS_TRY(shard_numbers(&numbers, &n, dir));
    free(numbers);
    return n == 0 ? LENS_OK : lens_fail(LENS_STATE, "%s: holds %lld shards already", dir, (long long)n);
}

static lens_status writer_fill(dataset_writer_t *w, const char *dir, const dataset_writer_options_t *o) {
    if (o->shard_max_samples < 1 || o->shard_max_samples > SHARD_MAX_SAMPLES || o->shard_max_bytes < 1)
        return lens_fail(LENS_ARGUMENT, "shards of %lld samples and %llu bytes", (long long)o->shard_max_samples,
                         (unsigned long long)o->shard_max_bytes);
    w->shard_max_samples = o->shard_max_samples;
    w->shard_max_bytes = o->shard_max_bytes;
    str_addf(&w->dir, "%s/base", dir);
    str_add(&w->provenance, o->provenance ? o->provenance : "{}");
    LENS_TRY(str_status(&w->dir));
    LENS_TRY(str_status(&w->provenance));
    LENS_TRY(refuse_existing(w->dir.s));
    return dir_make(w->dir.s);
}

lens_status dataset_writer_open(dataset_writer_t **out, const char *dir, const dataset_writer_options_t *options) {
    *out = NULL;
    dataset_writer_t *w = calloc(1, sizeof *w);
    if (!w) return lens_fail(LENS_MEMORY, "%s: out of memory", dir);
    lens_status st = writer_fill(w, dir, options);
    if (st == LENS_OK)
        *out = w;
    else
        dataset_writer_abort(w);
    return st;
}

static lens_status publish(dataset_writer_t *w) {
    shard_writer_t *shard = w->shard;
    w->shard = NULL;
    LENS_TRY(shard_writer_close(shard));
    w->n_shards++;
    return LENS_OK;
}

static lens_status begin_shard(dataset_writer_t *w) {
    str_t name = {0}, path = {0};
    shard_name_format(&name, w->n_shards);
    str_addf(&path, "%s/%s.h5", w->dir.s, str_text(&name));
    lens_status st = str_status(&name);
    if (st == LENS_OK) st = str_status(&path);
    const shard_identity_t identity = {.kind = "base", .provenance = w->provenance.s};
    if (st == LENS_OK) st = shard_writer_open(&w->shard, path.s, &identity);
    str_free(&name);
    str_free(&path);
    return st;
}

lens_status dataset_writer_add(dataset_writer_t *w, const sample_t *sample) {
    if (w->shard && (shard_writer_n_samples(w->shard) >= w->shard_max_samples ||
                     shard_writer_image_bytes(w->shard) + sample->webp_bytes > w->shard_max_bytes))
        LENS_TRY(publish(w));
    if (!w->shard) LENS_TRY(begin_shard(w));
    size_t key_bytes = strlen(sample->key);
    if (key_set_has(&w->keys, sample->key, key_bytes))
        return lens_fail(LENS_ARGUMENT, "the key %.200s occurs twice", sample->key);
    LENS_TRY(shard_writer_add_sample(w->shard, sample));
    return key_set_add(&w->keys, sample->key, key_bytes);
}

lens_status dataset_writer_close(dataset_writer_t *w) {
    lens_status st = LENS_OK;
    if (w->shard && shard_writer_n_samples(w->shard) > 0) st = publish(w);
    dataset_writer_abort(w);
    return st;
}
