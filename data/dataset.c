#include "data/dataset.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/dataset_private.h"

enum { CACHE_CHUNKS = 64 };

void dataset_close(dataset_t *d) {
    if (!d) return;
    for (int i = 0; i < d->n_captions; i++) layer_free(d, &d->captions[i]);
    for (int i = 0; i < d->n_arrays; i++) layer_free(d, &d->arrays[i]);
    layer_free(d, &d->base);
    free(d->captions);
    free(d->arrays);
    set_index_free(&d->index);
    free(d->names);
    free(d->begins);
    free(d->dir);
    chunk_cache_free(d->cache);
    shard_pool_free(d->pool);
    free(d);
}

lens_status dataset_new(dataset_t **out, const char *dir) {
    *out = NULL;
    dataset_t *d = calloc(1, sizeof *d);
    if (!d) return lens_fail(LENS_MEMORY, "%s: out of memory", dir);
    d->dir = strdup(dir);
    lens_status st = d->dir ? chunk_cache_new(&d->cache, CACHE_CHUNKS) : lens_fail(LENS_MEMORY, "out of memory");
    if (st == LENS_OK) st = shard_pool_new(&d->pool, DATASET_MAX_OPEN);
    if (st == LENS_OK)
        *out = d;
    else
        dataset_close(d);
    return st;
}

static lens_status open_any(dataset_t **out, const char *dir, bool partial) {
    *out = NULL;
    dataset_t *d;
    LENS_TRY(dataset_new(&d, dir));
    d->partial = partial;
    lens_status st = dataset_open_base(d);
    if (st == LENS_OK) st = dataset_open_layers(d, dir);
    if (st == LENS_OK)
        *out = d;
    else
        dataset_close(d);
    return st;
}

lens_status dataset_open(dataset_t **out, const char *dir) {
    return open_any(out, dir, false);
}

lens_status dataset_open_partial(dataset_t **out, const char *dir) {
    return open_any(out, dir, true);
}

lens_status dataset_add_layers(dataset_t *d, const char *dir) {
    struct stat own, other;
    if (stat(dir, &other) != 0 || !S_ISDIR(other.st_mode)) return lens_fail(LENS_IO, "%s: no such folder", dir);
    if (stat(d->dir, &own) == 0 && own.st_dev == other.st_dev && own.st_ino == other.st_ino) return LENS_OK;
    return dataset_open_layers(d, dir);
}

void dataset_limit_open(dataset_t *d, int64_t max_open) {
    LENS_ASSERT(max_open >= 1, "%lld shards", (long long)max_open);
    shard_pool_limit(d->pool, max_open);
}

int64_t dataset_n_open(const dataset_t *d) {
    return shard_pool_n_open(d->pool);
}

/* ---- what needs no shard ---- */

const char *dataset_dir(const dataset_t *d) {
    return d->dir;
}

int64_t dataset_n_samples(const dataset_t *d) {
    return d->begins[d->n_shards];
}

int64_t dataset_n_shards(const dataset_t *d) {
    return d->n_shards;
}

const char *dataset_shard_name(const dataset_t *d, int64_t shard) {
    return d->names[shard];
}

int64_t dataset_shard_begin(const dataset_t *d, int64_t shard) {
    return d->begins[shard];
}

int64_t dataset_shard_n_samples(const dataset_t *d, int64_t shard) {
    return d->begins[shard + 1] - d->begins[shard];
}

uint64_t dataset_shard_hash(const dataset_t *d, int64_t shard) {
    return d->index.content_hashes[shard];
}

uint64_t dataset_hash(const dataset_t *d) {
    return set_index_hash(&d->index);
}

int dataset_n_kinds(const dataset_t *d) {
    return 1 + d->n_captions;
}

const char *dataset_kind(const dataset_t *d, int kind) {
    return kind == 0 ? "alt" : d->captions[kind - 1].kind;
}

int dataset_n_arrays(const dataset_t *d) {
    return d->n_arrays;
}

const char *dataset_array_kind(const dataset_t *d, int array) {
    return d->arrays[array].kind;
}

static const layer_t *find(const layer_t *layers, int n, const char *kind) {
    for (int i = 0; i < n; i++)
        if (strcmp(layers[i].kind, kind) == 0) return &layers[i];
    return NULL;
}

bool dataset_has_kind(const dataset_t *d, const char *kind) {
    return strcmp(kind, "alt") == 0 || find(d->captions, d->n_captions, kind);
}

bool dataset_has_array(const dataset_t *d, const char *kind) {
    return find(d->arrays, d->n_arrays, kind) != NULL;
}

lens_status dataset_fail_kind(const dataset_t *d, const char *kind) {
    str_t kinds = {0};
    for (int i = 0; i < dataset_n_kinds(d); i++) str_addf(&kinds, "%s%s", i ? ", " : "", dataset_kind(d, i));
    lens_status st =
        lens_fail(LENS_ARGUMENT, "%s: no captions of kind %s; there are: %s", d->dir, kind, str_text(&kinds));
    str_free(&kinds);
    return st;
}

lens_status dataset_locate(const dataset_t *d, int64_t i, int64_t *shard, int64_t *within) {
    *shard = *within = 0;
    if (i < 0 || i >= dataset_n_samples(d))
        return lens_fail(LENS_ARGUMENT, "%s: no sample %lld: there are %lld, counted from 0", d->dir, (long long)i,
                         (long long)dataset_n_samples(d));
    int64_t low = 0, high = d->n_shards; /* begins[low] <= i < begins[high] */
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (d->begins[middle] <= i)
            low = middle;
        else
            high = middle;
    }
    *shard = low;
    *within = i - d->begins[low];
    return LENS_OK;
}

/* ---- what does ---- */

const layer_t *dataset_layer(const dataset_t *d, int kind) {
    return kind == 0 ? &d->base : &d->captions[kind - 1];
}

lens_status dataset_pin(const dataset_t *d, int kind, int64_t shard, const shard_t **out) {
    return layer_pin(d, dataset_layer(d, kind), shard, out);
}

void dataset_unpin(const dataset_t *d, int kind, int64_t shard) {
    layer_unpin(d, dataset_layer(d, kind), shard);
}

/* The shard that holds sample i, pinned. */
typedef struct {
    const layer_t *l;
    const shard_t *s;
    int64_t shard, i; /* i: of the sample within it */
} place_t;

static lens_status pin(const dataset_t *d, const layer_t *l, int64_t i, place_t *p) {
    *p = (place_t){.l = l};
    LENS_TRY(dataset_locate(d, i, &p->shard, &p->i));
    LENS_TRY(layer_pin(d, l, p->shard, &p->s));
    return p->s ? LENS_OK
                : lens_fail(LENS_STATE, "%s: layer %s lacks %s", d->dir, l->kind, dataset_shard_name(d, p->shard));
}

static lens_status unpin(const dataset_t *d, const place_t *p, lens_status st) {
    layer_unpin(d, p->l, p->shard);
    return st;
}

lens_status dataset_info(const dataset_t *d, int64_t i, sample_info_t *out) {
    place_t p;
    LENS_TRY(pin(d, &d->base, i, &p));
    *out = (sample_info_t){.width = p.s->width[p.i],
                           .height = p.s->height[p.i],
                           .original_width = p.s->original_width[p.i],
                           .original_height = p.s->original_height[p.i],
                           .image_bytes = p.s->image_offsets[p.i + 1] - p.s->image_offsets[p.i]};
    return unpin(d, &p, LENS_OK);
}

lens_status dataset_key(const dataset_t *d, int64_t i, str_t *out) {
    place_t p;
    LENS_TRY(pin(d, &d->base, i, &p));
    return unpin(d, &p, column_get(&p.s->keys, p.i, d->cache, out));
}

lens_status dataset_image(const dataset_t *d, int64_t i, str_t *picture) {
    place_t p;
    LENS_TRY(pin(d, &d->base, i, &p));
    return unpin(d, &p, shard_image(p.s, p.i, picture));
}

lens_status dataset_image_hash(const dataset_t *d, int64_t i, uint64_t *out) {
    place_t p;
    *out = 0;
    LENS_TRY(pin(d, &d->base, i, &p));
    *out = p.s->image_hashes[p.i];
    return unpin(d, &p, LENS_OK);
}

lens_status dataset_meta(const dataset_t *d, int64_t i, str_t *json) {
    place_t p;
    LENS_TRY(pin(d, &d->base, i, &p));
    return unpin(d, &p, column_get(&p.s->meta, p.i, d->cache, json));
}

lens_status dataset_caption(const dataset_t *d, int64_t i, const char *kind, str_t *out) {
    const layer_t *l = strcmp(kind, "alt") == 0 ? &d->base : find(d->captions, d->n_captions, kind);
    if (!l) return dataset_fail_kind(d, kind);
    place_t p;
    LENS_TRY(pin(d, l, i, &p));
    return unpin(d, &p, column_get(&p.s->text, p.i, d->cache, out));
}

static lens_status pin_array(const dataset_t *d, const char *kind, int64_t i, place_t *p) {
    const layer_t *l = find(d->arrays, d->n_arrays, kind);
    return l ? pin(d, l, i, p) : lens_fail(LENS_ARGUMENT, "%s: no arrays of kind %s", d->dir, kind);
}

lens_status dataset_array_shape(const dataset_t *d, int64_t i, const char *kind, array_shape_t *out) {
    place_t p;
    *out = (array_shape_t){0};
    LENS_TRY(pin_array(d, kind, i, &p));
    array_table_shape(&p.s->arrays, p.i, out);
    return unpin(d, &p, LENS_OK);
}

lens_status dataset_array(const dataset_t *d, int64_t i, const char *kind, void *into, size_t capacity_bytes) {
    place_t p;
    LENS_TRY(pin_array(d, kind, i, &p));
    size_t n = array_table_bytes(&p.s->arrays, p.i);
    lens_status st = n <= capacity_bytes ? array_table_read(&p.s->arrays, p.i, into)
                                         : lens_fail(LENS_ARGUMENT, "%s: sample %lld has %zu bytes, room for %zu",
                                                     p.s->path, (long long)p.i, n, capacity_bytes);
    return unpin(d, &p, st);
}

void dataset_fetch(const dataset_t *d, int64_t i, const char *array) {
    place_t p;
    uint64_t begin, end;
    if ((array ? pin_array(d, array, i, &p) : pin(d, &d->base, i, &p)) != LENS_OK) return;
    if (array) {
        array_table_place(&p.s->arrays, p.i, &begin, &end);
    } else {
        begin = p.s->images_begin + p.s->image_offsets[p.i];
        end = p.s->images_begin + p.s->image_offsets[p.i + 1];
    }
    posix_fadvise(p.s->fd, (off_t)begin, (off_t)(end - begin), POSIX_FADV_WILLNEED);
    layer_unpin(d, p.l, p.shard);
}

lens_status dataset_shard_sizes(const dataset_t *d, int64_t shard, int32_t *width, int32_t *height,
                                uint64_t *image_hash) {
    const shard_t *s;
    LENS_TRY(layer_pin(d, &d->base, shard, &s));
    size_t n = (size_t)s->n_samples;
    if (width) memcpy(width, s->width, n * sizeof *width);
    if (height) memcpy(height, s->height, n * sizeof *height);
    if (image_hash) memcpy(image_hash, s->image_hashes, n * sizeof *image_hash);
    layer_unpin(d, &d->base, shard);
    return LENS_OK;
}

lens_status dataset_bucket_counts(const dataset_t *d, const bucket_list_t *l, int64_t *counts) {
    const set_index_t *x = &d->index;
    bool known = x->n_buckets == l->n && x->bucket_hash == bucket_list_hash(l);
    uint32_t own[BUCKET_MAX + 1];
    for (int64_t i = 0; i < d->n_shards; i++) {
        if (!known) {
            const shard_t *s;
            LENS_TRY(layer_pin(d, &d->base, i, &s));
            shard_count_buckets(s, l, own);
            layer_unpin(d, &d->base, i);
        }
        const uint32_t *from = known ? x->counts + i * (l->n + 1) : own;
        for (int b = 0; b <= l->n; b++) counts[i * (l->n + 1) + b] = from[b];
    }
    return LENS_OK;
}
