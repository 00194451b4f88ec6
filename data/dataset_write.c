/* Writing base shards: samples in, shards of bounded size out, and the index of all in the end. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/dataset_names.h"
#include "data/key_set.h"
#include "data/set_index.h"

struct dataset_writer {
    str_t dir, base; /* DIR, DIR/base */
    str_t provenance;
    int level; /* of zstd */
    const bucket_list_t *buckets;
    set_index_t index; /* of the published shards */
    int64_t shard_max_samples;
    uint64_t shard_max_bytes;
    shard_writer_t *shard; /* open one, or NULL */
    key_set_t keys;        /* of all shards so far */
};

static void writer_free(dataset_writer_t *w) {
    str_free(&w->dir);
    str_free(&w->base);
    set_index_free(&w->index);
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
    w->level = o->zstd_level;
    w->buckets = o->buckets;
    str_add(&w->dir, dir);
    str_addf(&w->base, "%s/base", dir);
    str_add(&w->provenance, o->provenance ? o->provenance : "{}");
    LENS_TRY(str_status(&w->dir));
    LENS_TRY(str_status(&w->base));
    LENS_TRY(str_status(&w->provenance));
    LENS_TRY(refuse_existing(w->base.s));
    return dir_make(w->base.s);
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

/* BASE/shard-NNNNN.h5. */
static lens_status shard_path(str_t *out, const char *base, int64_t number) {
    str_clear(out);
    str_addf(out, "%s/" SHARD_NAME_FORMAT ".h5", base, (long long)number);
    return str_status(out);
}

/* Adds a shard that this process has written or checked. */
static lens_status index_shard(set_index_t *x, const char *path, const bucket_list_t *buckets) {
    shard_t *s;
    LENS_TRY(shard_reopen(&s, path));
    lens_status st = set_index_add(x, s, buckets);
    shard_close(s);
    return st;
}

static lens_status publish(dataset_writer_t *w) {
    shard_writer_t *shard = w->shard;
    w->shard = NULL;
    LENS_TRY(shard_writer_close(shard));
    str_t path = {0};
    lens_status st = shard_path(&path, w->base.s, w->index.n_shards);
    if (st == LENS_OK) st = index_shard(&w->index, path.s, w->buckets);
    str_free(&path);
    return st;
}

static lens_status begin_shard(dataset_writer_t *w) {
    str_t path = {0};
    lens_status st = shard_path(&path, w->base.s, w->index.n_shards);
    const shard_identity_t identity = {.kind = "base", .provenance = w->provenance.s, .zstd_level = w->level};
    if (st == LENS_OK) st = shard_writer_open(&w->shard, path.s, &identity);
    str_free(&path);
    return st;
}

lens_status dataset_writer_add(dataset_writer_t *w, const sample_t *sample) {
    if (w->shard && (shard_writer_n_samples(w->shard) >= w->shard_max_samples ||
                     shard_writer_image_bytes(w->shard) + sample->picture_bytes > w->shard_max_bytes))
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
    if (st == LENS_OK && w->index.n_shards > 0) st = set_index_write(&w->index, w->dir.s);
    dataset_writer_abort(w);
    return st;
}

/* ---- the index of what stands there ---- */

lens_status dataset_write_index(const char *dir, const bucket_list_t *buckets) {
    set_index_t x = {0};
    str_t base = {0}, path = {0};
    int64_t *numbers = NULL, n = 0;
    lens_status st;
    str_addf(&base, "%s/base", dir);
    LENS_GO(str_status(&base));
    LENS_GO(shard_numbers(&numbers, &n, base.s));
    if (n == 0) {
        st = lens_fail(LENS_IO, "%s: no dataset: no shard-NNNNN.h5 in its folder base", dir);
        goto done;
    }
    for (int64_t i = 0; i < n; i++) {
        shard_t *s;
        LENS_GO(shard_path(&path, base.s, i)); /* a gap shows as a file that is not there */
        LENS_GO(shard_open(&s, path.s));
        st = s->role == SEAL_BASE ? set_index_add(&x, s, buckets)
                                  : lens_fail(LENS_FORMAT, "%s: a layer shard among the base shards", path.s);
        shard_close(s);
        if (st != LENS_OK) goto done;
    }
    st = set_index_write(&x, dir);
done:
    free(numbers);
    str_free(&base);
    str_free(&path);
    set_index_free(&x);
    return st;
}
