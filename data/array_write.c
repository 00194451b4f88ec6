/* Writing one shard of an array layer. Values go to disk as they come; of each sample and of each chunk a few numbers
 * stay in memory. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "data/shard.h"
#include "data/shuffle.h"
#include "data/text.h"
#include "data/zstd_filter.h"

enum { VALUES_BEGIN = 4096 };

struct array_writer {
    shard_file_t file;
    str_t kind, provenance, base_shard;
    array_dtype dtype;
    array_codec codec;
    hid_t type;
    int level;
    int64_t n, n_expected;
    uint64_t base_hash, n_bytes;   /* n_bytes: of raw values so far */
    uint64_t begin, payload_bytes; /* in the file */
    str_t offsets, hashes, shapes; /* u64, u64, i64[4] each */
    /* ZSTD: */
    size_t chunk_bytes, pending;     /* pending: bytes of the chunk being filled */
    uint8_t *raw, *shuffled, *frame; /* [chunk_bytes], [chunk_bytes], [capacity] */
    str_t chunk_ends, chunk_hashes;  /* u64 each */
};

void array_writer_abort(array_writer_t *w) {
    if (!w) return;
    shard_file_abort(&w->file);
    str_t *all[] = {&w->kind,   &w->provenance, &w->base_shard, &w->offsets,
                    &w->hashes, &w->shapes,     &w->chunk_ends, &w->chunk_hashes};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) str_free(all[i]);
    if (w->type >= 0) H5Tclose(w->type);
    free(w->raw);
    free(w->shuffled);
    free(w->frame);
    free(w);
}

static lens_status fill(array_writer_t *w, const char *path, const shard_identity_t *identity) {
    if ((unsigned)w->dtype >= ARRAY_DTYPES || (unsigned)w->codec >= ARRAY_CODECS)
        return lens_fail(LENS_ARGUMENT, "%s: element type %d, codec %d", path, (int)w->dtype, (int)w->codec);
    str_add(&w->kind, identity->kind);
    str_add(&w->provenance, identity->provenance ? identity->provenance : "{}");
    str_add(&w->base_shard, identity->base_shard);
    LENS_TRY(str_status(&w->kind));
    LENS_TRY(str_status(&w->provenance));
    LENS_TRY(str_status(&w->base_shard));
    LENS_TRY(shard_check_provenance(path, w->provenance.s, w->provenance.len));
    LENS_TRY(shard_check_level(&w->level, SHARD_ARRAY_LEVEL));
    w->type = array_hdf_type(w->dtype);
    if (w->type < 0) return lens_fail(LENS_MEMORY, "%s: no element type", path);
    uint64_t zero = 0;
    str_add_n(&w->offsets, &zero, sizeof zero);
    return shard_file_open(&w->file, path);
}

lens_status array_writer_open_path(array_writer_t **out, const char *path, const shard_identity_t *identity,
                                   array_dtype dtype, array_codec codec) {
    *out = NULL;
    array_writer_t *w = calloc(1, sizeof *w);
    if (!w) return lens_fail(LENS_MEMORY, "%s: out of memory", path);
    w->file.fd = -1;
    w->type = H5I_INVALID_HID;
    w->dtype = dtype;
    w->codec = codec;
    w->level = identity->zstd_level;
    w->n_expected = identity->n_samples;
    w->base_hash = identity->base_hash;
    w->begin = VALUES_BEGIN;
    lens_status st = fill(w, path, identity);
    if (st == LENS_OK)
        *out = w;
    else
        array_writer_abort(w);
    return st;
}

/* ---- zstd ---- */

/* Where HDF5 will place the first frame, if all samples are of n_bytes: a trial in memory tells. */
static lens_status guess_begin(array_writer_t *w, uint64_t n_bytes) {
    uint64_t end = 1, element = array_dtype_bytes(w->dtype);
    hdf_frames_t f = {w->type, n_bytes * (uint64_t)w->n_expected / element, w->chunk_bytes / element, w->level};
    hdf_t h;
    LENS_TRY(hdf_create(&h, w->file.path.s, UINT64_MAX / 2));
    lens_status st = hdf_put_frames(&h, "values", &f, &end, 1, &w->begin);
    hdf_close(&h);
    return st;
}

/* Chunk size by the first sample that has values. */
static lens_status begin_chunks(array_writer_t *w, size_t n_bytes) {
    w->chunk_bytes = ARRAY_CHUNK_BYTES;
    if (n_bytes <= ARRAY_CHUNK_BYTES)
        w->chunk_bytes = ARRAY_CHUNK_BYTES / n_bytes * n_bytes;
    else if (n_bytes <= ARRAY_CHUNK_MAX_BYTES)
        w->chunk_bytes = n_bytes;
    w->raw = malloc(w->chunk_bytes);
    w->shuffled = malloc(w->chunk_bytes);
    w->frame = malloc(zstd_filter_capacity(w->chunk_bytes));
    if (!w->raw || !w->shuffled || !w->frame)
        return lens_fail(LENS_MEMORY, "%s: out of memory for chunks of %zu bytes", w->file.path.s, w->chunk_bytes);
    return guess_begin(w, n_bytes);
}

static lens_status write_chunk(array_writer_t *w) {
    size_t element = array_dtype_bytes(w->dtype), n;
    memset(w->raw + w->pending, 0, w->chunk_bytes - w->pending);
    shuffle_bytes(w->shuffled, w->raw, w->chunk_bytes / element, element);
    const char *fault =
        zstd_filter_encode(w->frame, zstd_filter_capacity(w->chunk_bytes), &n, w->shuffled, w->chunk_bytes, w->level);
    if (fault) return lens_fail(LENS_MEMORY, "%s: values: zstd: %s", w->file.path.s, fault);
    LENS_TRY(shard_file_write(&w->file, w->frame, n, w->begin + w->payload_bytes));
    w->payload_bytes += n;
    w->pending = 0;
    uint64_t hash = XXH3_64bits(w->frame, n);
    str_add_n(&w->chunk_ends, &w->payload_bytes, sizeof w->payload_bytes);
    str_add_n(&w->chunk_hashes, &hash, sizeof hash);
    return LENS_OK;
}

static lens_status add_packed(array_writer_t *w, const uint8_t *values, size_t n_bytes) {
    if (w->chunk_bytes == 0 && n_bytes > 0) LENS_TRY(begin_chunks(w, n_bytes));
    while (n_bytes > 0) {
        size_t part = w->chunk_bytes - w->pending;
        if (part > n_bytes) part = n_bytes;
        memcpy(w->raw + w->pending, values, part);
        w->pending += part;
        values += part;
        n_bytes -= part;
        if (w->pending == w->chunk_bytes) LENS_TRY(write_chunk(w));
    }
    return LENS_OK;
}

/* ---- both ---- */

lens_status array_writer_add(array_writer_t *w, const array_shape_t *shape, const void *values) {
    const char *path = w->file.path.s;
    size_t n_bytes;
    if (w->n == w->n_expected)
        return lens_fail(LENS_STATE, "%s: more than the %lld samples of its base", path, (long long)w->n);
    if (shape->dtype != w->dtype)
        return lens_fail(LENS_ARGUMENT, "%s: sample %lld has element type %d, expected %s", path, (long long)w->n,
                         (int)shape->dtype, array_dtype_name(w->dtype));
    LENS_TRY(lens_context(array_bytes(shape, &n_bytes), "%s: sample %lld", path, (long long)w->n));
    if (w->codec == ARRAY_ZSTD) {
        LENS_TRY(add_packed(w, values, n_bytes));
    } else {
        LENS_TRY(shard_file_write(&w->file, values, n_bytes, w->begin + w->n_bytes));
        w->payload_bytes += n_bytes;
    }
    w->n_bytes += n_bytes;
    uint64_t hash = XXH3_64bits(values, n_bytes);
    str_add_n(&w->offsets, &w->n_bytes, sizeof w->n_bytes);
    str_add_n(&w->hashes, &hash, sizeof hash);
    for (int i = 0; i < ARRAY_MAX_DIMS; i++) {
        int64_t dim = i < shape->n_dims ? shape->dims[i] : -1;
        str_add_n(&w->shapes, &dim, sizeof dim);
    }
    w->n++;
    return LENS_OK;
}

static lens_status put_values(array_writer_t *w, hdf_t *h) {
    uint64_t address, element = array_dtype_bytes(w->dtype), n_chunks = w->chunk_ends.len / 8;
    if (w->codec == ARRAY_RAW) {
        LENS_TRY(hdf_put_table(h, "values", w->type, NULL, w->n_bytes / element, &address));
    } else {
        hdf_frames_t f = {w->type, w->n_bytes / element, w->chunk_bytes / element, w->level};
        LENS_TRY(hdf_put_frames(h, "values", &f, (const uint64_t *)(const void *)w->chunk_ends.s, n_chunks, &address));
        LENS_TRY(hdf_put_table(h, "chunk_ends", H5T_STD_U64LE, w->chunk_ends.s, n_chunks, NULL));
        LENS_TRY(hdf_put_table(h, "chunk_hashes", H5T_STD_U64LE, w->chunk_hashes.s, n_chunks, NULL));
    }
    /* They stand at a guess: HDF5 places them elsewhere where the samples have several sizes. */
    LENS_TRY(shard_file_move(&w->file, w->begin, address, w->payload_bytes));
    w->begin = address;
    return LENS_OK;
}

static lens_status put_all(array_writer_t *w, hdf_t *h) {
    str_t *all[] = {&w->offsets, &w->hashes, &w->shapes, &w->chunk_ends, &w->chunk_hashes};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) LENS_TRY(str_status(all[i]));
    uint64_t n = (uint64_t)w->n;
    LENS_TRY(put_values(w, h));
    LENS_TRY(hdf_put_table(h, "value_offsets", H5T_STD_U64LE, w->offsets.s, n + 1, NULL));
    LENS_TRY(hdf_put_table(h, "value_hashes", H5T_STD_U64LE, w->hashes.s, n, NULL));
    LENS_TRY(hdf_put_rows(h, "shapes", H5T_STD_I64LE, w->shapes.s, n, ARRAY_MAX_DIMS));
    LENS_TRY(hdf_put_string(h, "dtype", array_dtype_name(w->dtype)));
    LENS_TRY(hdf_put_string(h, "codec", array_codec_name(w->codec)));
    LENS_TRY(hdf_put_number(h, "schema_version", SHARD_VERSION));
    LENS_TRY(hdf_put_string(h, "kind", w->kind.s));
    LENS_TRY(hdf_put_number(h, "n_samples", n));
    LENS_TRY(hdf_put_number(h, "base_content_hash", w->base_hash));
    LENS_TRY(hdf_put_string(h, "base_shard", w->base_shard.s));
    LENS_TRY(hdf_put_string(h, "provenance", w->provenance.s));
    LENS_TRY(hdf_put_string(h, "writer", "lens " LENS_VERSION));
    return hdf_finish(h);
}

static lens_status write_file(array_writer_t *w) {
    hdf_t h;
    LENS_TRY(hdf_create(&h, w->file.path.s, w->codec == ARRAY_RAW ? w->payload_bytes : UINT64_MAX / 2));
    lens_status st = put_all(w, &h);
    seal_t seal = {.kind = SEAL_ARRAYS,
                   .n_samples = (uint64_t)w->n,
                   .content_hash = w->base_hash,
                   .payload_begin = w->begin,
                   .payload_end = w->begin + w->payload_bytes};
    if (st == LENS_OK) st = shard_file_seal(&w->file, &h, &seal);
    hdf_close(&h);
    return st;
}

lens_status array_writer_close(array_writer_t *w) {
    lens_status st = LENS_OK;
    if (w->n != w->n_expected)
        st = lens_fail(LENS_STATE, "%s: closed with %lld samples, expected %lld", w->file.path.s, (long long)w->n,
                       (long long)w->n_expected);
    else if (w->n_bytes == 0)
        st = lens_fail(LENS_STATE, "%s: no sample has values", w->file.path.s);
    if (st == LENS_OK && w->pending > 0) st = write_chunk(w);
    if (st == LENS_OK) st = write_file(w);
    if (st == LENS_OK) st = shard_publish(&w->file);
    array_writer_abort(w);
    return st;
}
