#include "data/set_index.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"

void set_index_free(set_index_t *x) {
    free(x->n_samples);
    free(x->file_bytes);
    free(x->content_hashes);
    free(x->counts);
    *x = (set_index_t){0};
}

uint64_t set_index_hash(const set_index_t *x) {
    return XXH3_64bits(x->content_hashes, (size_t)x->n_shards * sizeof *x->content_hashes);
}

void shard_count_buckets(const shard_t *s, const bucket_list_t *l, uint32_t *counts) {
    memset(counts, 0, sizeof *counts * (size_t)(l->n + 1));
    for (int64_t i = 0; i < s->n_samples; i++) {
        int bucket = bucket_assign(l, s->width[i], s->height[i], s->image_hashes[i]);
        counts[bucket < 0 ? l->n : bucket]++;
    }
}

static lens_status grow(set_index_t *x) {
    size_t cap = x->n_shards ? 2 * (size_t)x->n_shards : 64;
    uint64_t **columns[] = {&x->n_samples, &x->file_bytes, &x->content_hashes};
    for (int i = 0; i < 3; i++) {
        uint64_t *grown = realloc(*columns[i], cap * sizeof *grown);
        if (!grown) return lens_fail(LENS_MEMORY, "out of memory for an index of %zu shards", cap);
        *columns[i] = grown;
    }
    uint32_t *counts = realloc(x->counts, cap * (size_t)(x->n_buckets + 1) * sizeof *counts);
    if (!counts) return lens_fail(LENS_MEMORY, "out of memory for an index of %zu shards", cap);
    x->counts = counts;
    return LENS_OK;
}

lens_status set_index_add(set_index_t *x, const shard_t *s, const bucket_list_t *l) {
    if (x->n_shards == 0 && l) {
        x->n_buckets = l->n;
        x->bucket_hash = bucket_list_hash(l);
    }
    bool full = x->n_shards == 0 || (x->n_shards >= 64 && (x->n_shards & (x->n_shards - 1)) == 0);
    if (full) LENS_TRY(grow(x));
    int64_t i = x->n_shards++;
    x->n_samples[i] = (uint64_t)s->n_samples;
    x->file_bytes[i] = s->file_bytes;
    x->content_hashes[i] = s->content_hash;
    if (l) shard_count_buckets(s, l, x->counts + i * (x->n_buckets + 1));
    return LENS_OK;
}

/* ---- writing ---- */

static uint64_t total(const set_index_t *x) {
    uint64_t n = 0;
    for (int64_t i = 0; i < x->n_shards; i++) n += x->n_samples[i];
    return n;
}

static lens_status put_all(const set_index_t *x, hdf_t *h) {
    uint64_t n = (uint64_t)x->n_shards;
    LENS_TRY(hdf_put_table(h, "n_samples", H5T_STD_U64LE, x->n_samples, n, NULL));
    LENS_TRY(hdf_put_table(h, "file_bytes", H5T_STD_U64LE, x->file_bytes, n, NULL));
    LENS_TRY(hdf_put_table(h, "content_hashes", H5T_STD_U64LE, x->content_hashes, n, NULL));
    if (x->n_buckets)
        LENS_TRY(hdf_put_rows(h, "bucket_counts", H5T_STD_U32LE, x->counts, n, (uint64_t)x->n_buckets + 1));
    LENS_TRY(hdf_put_number(h, "schema_version", SHARD_VERSION));
    LENS_TRY(hdf_put_string(h, "kind", "index"));
    LENS_TRY(hdf_put_number(h, "n_shards", n));
    LENS_TRY(hdf_put_number(h, "n_samples_total", total(x)));
    LENS_TRY(hdf_put_number(h, "n_buckets", (uint64_t)x->n_buckets));
    LENS_TRY(hdf_put_number(h, "bucket_list_hash", x->bucket_hash));
    LENS_TRY(hdf_put_string(h, "writer", "lens " LENS_VERSION));
    return hdf_finish(h);
}

lens_status set_index_write(const set_index_t *x, const char *dir) {
    str_t path = {0};
    shard_file_t f = {.fd = -1};
    hdf_t h = {0};
    lens_status st;
    str_addf(&path, "%s/%s", dir, SET_INDEX_NAME);
    LENS_GO(str_status(&path));
    LENS_GO(shard_file_open(&f, path.s));
    LENS_GO(hdf_create(&h, path.s, UINT64_MAX / 2));
    LENS_GO(put_all(x, &h));
    seal_t seal = {.kind = SEAL_INDEX, .n_samples = total(x), .content_hash = set_index_hash(x)};
    LENS_GO(shard_file_seal(&f, &h, &seal));
    set_index_t check;
    LENS_GO(lens_context(set_index_read(&check, f.temporary.s), "what was written reads back wrong"));
    set_index_free(&check);
    st = shard_file_publish(&f);
done:
    hdf_close(&h);
    shard_file_abort(&f);
    str_free(&path);
    return st;
}

/* ---- reading ---- */

static lens_status get(hdf_t *h, const char *name, uint64_t n, uint64_t **out) {
    void *values;
    LENS_TRY(hdf_get_table(h, name, H5T_STD_U64LE, n, &values));
    *out = values;
    return LENS_OK;
}

static lens_status check_values(const set_index_t *x, const seal_t *seal, const char *path) {
    uint64_t sum = 0;
    for (int64_t i = 0; i < x->n_shards; i++) {
        if (x->n_samples[i] < 1 || x->n_samples[i] > (uint64_t)SHARD_MAX_SAMPLES)
            return lens_fail(LENS_FORMAT, "%s: shard %lld of %llu samples", path, (long long)i,
                             (unsigned long long)x->n_samples[i]);
        sum += x->n_samples[i];
    }
    if (sum == seal->n_samples && set_index_hash(x) == seal->content_hash) return LENS_OK;
    return lens_fail(LENS_FORMAT, "%s: its values contradict its seal", path);
}

static lens_status read_all(set_index_t *x, hdf_t *h, const seal_t *seal, const char *path) {
    uint64_t version, n, n_buckets;
    char *kind;
    LENS_TRY(hdf_get_number(h, "schema_version", &version));
    if (version != SHARD_VERSION)
        return lens_fail(LENS_FORMAT, "%s: schema version %llu, expected %d", path, (unsigned long long)version,
                         SHARD_VERSION);
    LENS_TRY(hdf_get_string(h, "kind", &kind));
    bool fits = strcmp(kind, "index") == 0;
    free(kind);
    LENS_TRY(hdf_get_number(h, "n_shards", &n));
    LENS_TRY(hdf_get_number(h, "n_buckets", &n_buckets));
    if (!fits || n < 1 || n > INT32_MAX || n_buckets > BUCKET_MAX)
        return lens_fail(LENS_FORMAT, "%s: index of %llu shards and %llu buckets", path, (unsigned long long)n,
                         (unsigned long long)n_buckets);
    x->n_shards = (int64_t)n;
    x->n_buckets = (int64_t)n_buckets;
    LENS_TRY(hdf_get_number(h, "bucket_list_hash", &x->bucket_hash));
    LENS_TRY(get(h, "n_samples", n, &x->n_samples));
    LENS_TRY(get(h, "file_bytes", n, &x->file_bytes));
    LENS_TRY(get(h, "content_hashes", n, &x->content_hashes));
    void *counts = NULL;
    if (n_buckets) LENS_TRY(hdf_get_rows(h, "bucket_counts", H5T_STD_U32LE, n, n_buckets + 1, &counts));
    x->counts = counts;
    return check_values(x, seal, path);
}

lens_status set_index_read(set_index_t *out, const char *path) {
    *out = (set_index_t){0};
    set_index_t x = {0};
    hdf_t h = {0};
    seal_t seal;
    int fd;
    lens_status st;
    LENS_TRY(file_open(&fd, path));
    LENS_GO(seal_check(&seal, fd, path));
    if (seal.kind != SEAL_INDEX || seal.payload_end != 0) {
        st = lens_fail(LENS_FORMAT, "%s: no index", path);
        goto done;
    }
    LENS_GO(hdf_open(&h, path, fd, seal.hdf5_bytes));
    LENS_GO(read_all(&x, &h, &seal, path));
done:
    hdf_close(&h);
    close(fd);
    if (st == LENS_OK)
        *out = x;
    else
        set_index_free(&x);
    return st;
}
