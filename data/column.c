#include "data/column.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "data/text.h"

void column_add(column_writer_t *c, const char *text, size_t n) {
    LENS_ASSERT(n <= TEXT_MAX_BYTES, "a text of %zu bytes", n);
    uint32_t length = (uint32_t)n;
    str_add_n(&c->blob, text, n);
    str_add_n(&c->lengths, &length, sizeof length);
}

void column_writer_free(column_writer_t *c) {
    str_free(&c->blob);
    str_free(&c->lengths);
}

lens_status column_put(hdf_t *h, const char *name, const char *lengths_name, const column_writer_t *c, int level) {
    LENS_TRY(str_status(&c->blob));
    LENS_TRY(str_status(&c->lengths));
    LENS_TRY(hdf_put_packed(h, name, H5T_STD_U8LE, c->blob.s, c->blob.len, level));
    return hdf_put_packed(h, lengths_name, H5T_STD_U32LE, c->lengths.s, c->lengths.len / sizeof(uint32_t), level);
}

/* ---- cache ---- */
typedef struct {
    uint64_t column; /* its id; 0: empty */
    uint64_t chunk;
    char *raw; /* [HDF_CHUNK_BYTES] */
} slot_t;

struct chunk_cache {
    pthread_mutex_t lock;
    int n, next; /* next: the slot replaced next, in turn */
    slot_t slots[];
};

lens_status chunk_cache_new(chunk_cache_t **out, int n_chunks) {
    *out = NULL;
    chunk_cache_t *c = calloc(1, sizeof *c + sizeof c->slots[0] * (size_t)n_chunks);
    if (!c) return lens_fail(LENS_MEMORY, "out of memory for a cache of %d chunks", n_chunks);
    pthread_mutex_init(&c->lock, NULL);
    c->n = n_chunks;
    *out = c;
    return LENS_OK;
}

void chunk_cache_free(chunk_cache_t *c) {
    if (!c) return;
    for (int i = 0; i < c->n; i++) free(c->slots[i].raw);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static bool cache_add_to(chunk_cache_t *cache, const column_t *c, uint64_t chunk, size_t begin, size_t n, str_t *out) {
    bool found = false;
    if (!cache) return false;
    pthread_mutex_lock(&cache->lock);
    for (int i = 0; i < cache->n && !found; i++) {
        const slot_t *s = &cache->slots[i];
        if (s->column != c->id || s->chunk != chunk) continue;
        str_add_n(out, s->raw + begin, n);
        found = true;
    }
    pthread_mutex_unlock(&cache->lock);
    return found;
}

/* Takes over raw. Two threads may put the same chunk: it then stands twice, which harms nothing. */
static void cache_put(chunk_cache_t *cache, const column_t *c, uint64_t chunk, char *raw) {
    char *old = raw;
    if (cache) {
        pthread_mutex_lock(&cache->lock);
        slot_t *s = &cache->slots[cache->next];
        cache->next = (cache->next + 1) % cache->n;
        old = s->raw;
        *s = (slot_t){c->id, chunk, raw};
        pthread_mutex_unlock(&cache->lock);
    }
    free(old);
}

/* ---- reading ---- */
/* c->offsets from the lengths, which must fill the blob. */
static lens_status sum_lengths(column_t *c, const uint32_t *lengths, const char *lengths_name) {
    c->offsets = calloc((size_t)c->n + 1, sizeof *c->offsets);
    if (!c->offsets) return lens_fail(LENS_MEMORY, "%s: out of memory for %s", c->path, lengths_name);
    bool fits = true;
    for (int64_t i = 0; i < c->n && fits; i++) {
        c->offsets[i + 1] = c->offsets[i] + lengths[i];
        fits = lengths[i] <= TEXT_MAX_BYTES;
    }
    if (fits && c->offsets[c->n] == c->blob_bytes) return LENS_OK;
    return lens_fail(LENS_FORMAT, "%s: dataset %s does not fit %s", c->path, lengths_name, c->name);
}

lens_status column_open(column_t *out, hdf_t *h, const char *name, const char *lengths_name, int64_t n) {
    *out = (column_t){0};
    static atomic_uint_least64_t ids;
    column_t c = {.name = name, .id = 1 + atomic_fetch_add(&ids, 1), .path = h->path, .fd = h->fd, .n = n};
    void *lengths = NULL;
    lens_status st = LENS_OK;
    LENS_GO(hdf_get_chunks(h, name, H5T_STD_U8LE, &c.blob_bytes, &c.chunks));
    LENS_GO(hdf_get_packed(h, lengths_name, H5T_STD_U32LE, (uint64_t)n, &lengths));
    LENS_GO(sum_lengths(&c, lengths, lengths_name));
done:
    free(lengths);
    if (st == LENS_OK)
        *out = c;
    else
        column_close(&c);
    return st;
}

void column_close(column_t *c) {
    free(c->offsets);
    free(c->chunks);
    *c = (column_t){0};
}

/* *raw: the decoded chunk, malloc'ed. */
static lens_status decode(const column_t *c, uint64_t chunk, char **raw) {
    char *bytes = malloc(HDF_CHUNK_BYTES);
    if (!bytes) return lens_fail(LENS_MEMORY, "%s: out of memory", c->path);
    lens_status st = hdf_read_chunk(c->fd, &c->chunks[chunk], bytes, c->name, c->path);
    if (st == LENS_OK)
        *raw = bytes;
    else
        free(bytes);
    return st;
}

lens_status column_get(const column_t *c, int64_t i, chunk_cache_t *cache, str_t *out) {
    str_clear(out);
    str_reserve(out, 0); /* "" also where nothing is added */
    for (uint64_t at = c->offsets[i], end = c->offsets[i + 1]; at < end;) {
        uint64_t chunk = at / HDF_CHUNK_BYTES;
        size_t begin = (size_t)(at % HDF_CHUNK_BYTES), n = HDF_CHUNK_BYTES - begin;
        if (n > end - at) n = (size_t)(end - at);
        if (!cache_add_to(cache, c, chunk, begin, n, out)) {
            char *raw;
            LENS_TRY(decode(c, chunk, &raw));
            str_add_n(out, raw + begin, n);
            cache_put(cache, c, chunk, raw);
        }
        at += n;
    }
    LENS_TRY(str_status(out));
    if (!text_is_utf8(out->s, out->len))
        return lens_fail(LENS_FORMAT, "%s: dataset %s: sample %lld is not UTF-8", c->path, c->name, (long long)i);
    return LENS_OK;
}
