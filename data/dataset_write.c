/* Writing base shards: samples in, shards of bounded size out. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "data/dataset_names.h"
#include "data/shard.h"

struct dataset_writer {
    str_t dir; /* DIR/base */
    str_t provenance;
    int64_t shard_max_samples;
    uint64_t shard_max_bytes;
    int64_t n_shards;      /* published */
    shard_writer_t *shard; /* open one, or NULL */
    uint64_t *keys;        /* open addressing: xxh3_64 of every key so far, 0: empty */
    uint64_t n_keys, keys_cap;
};

static void writer_free(dataset_writer_t *w) {
    str_free(&w->dir);
    str_free(&w->provenance);
    free(w->keys);
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
    lens_status st = str_status(&path);
    const shard_identity_t identity = {.kind = "base", .provenance = w->provenance.s};
    if (st == LENS_OK) st = shard_writer_open(&w->shard, path.s, &identity);
    str_free(&name);
    str_free(&path);
    return st;
}

/* The slot of hash, or the empty one where it belongs. */
static uint64_t *key_slot(uint64_t *keys, uint64_t cap, uint64_t hash) {
    uint64_t at = hash & (cap - 1);
    while (keys[at] != 0 && keys[at] != hash) at = (at + 1) & (cap - 1);
    return &keys[at];
}

static lens_status grow_keys(dataset_writer_t *w) {
    if (2 * (w->n_keys + 1) <= w->keys_cap) return LENS_OK;
    uint64_t cap = w->keys_cap ? 2 * w->keys_cap : 1024, *keys = calloc((size_t)cap, sizeof *keys);
    if (!keys) return lens_fail(LENS_MEMORY, "%s: out of memory for %llu keys", w->dir.s, (unsigned long long)cap);
    for (uint64_t i = 0; i < w->keys_cap; i++)
        if (w->keys[i]) *key_slot(keys, cap, w->keys[i]) = w->keys[i];
    free(w->keys);
    w->keys = keys;
    w->keys_cap = cap;
    return LENS_OK;
}

/* Two keys of the same 64-bit hash count as one: in 300 million keys the chance of such a false alarm is 1 in 400. */
static uint64_t key_hash(const char *key) {
    uint64_t hash = XXH3_64bits(key, strlen(key));
    return hash ? hash : 1;
}

lens_status dataset_writer_add(dataset_writer_t *w, const sample_t *sample) {
    if (w->shard && (shard_writer_n_samples(w->shard) >= w->shard_max_samples ||
                     shard_writer_image_bytes(w->shard) + sample->webp_bytes > w->shard_max_bytes))
        LENS_TRY(publish(w));
    if (!w->shard) LENS_TRY(begin_shard(w));
    LENS_TRY(grow_keys(w));
    uint64_t hash = key_hash(sample->key), *slot = key_slot(w->keys, w->keys_cap, hash);
    if (*slot) return lens_fail(LENS_ARGUMENT, "the key %.200s occurs twice", sample->key);
    LENS_TRY(shard_writer_add_sample(w->shard, sample));
    *slot = hash;
    w->n_keys++;
    return LENS_OK;
}

lens_status dataset_writer_close(dataset_writer_t *w) {
    lens_status st = LENS_OK;
    if (w->shard && shard_writer_n_samples(w->shard) > 0) st = publish(w);
    dataset_writer_abort(w);
    return st;
}
