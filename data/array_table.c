#include "data/array_table.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL /* the build's own vectors: Debian's library is built for the oldest x86-64 */
#include <xxhash.h>

#include "base/file.h"
#include "data/shuffle.h"
#include "data/zstd_filter.h"

/* Read and hashed while it is in the cache. Out of the page cache that is 75 to 88 % of the speed of a bare pread (10
 * to 15 GB/s a core) for arrays of 64 KiB to 16 MiB; pieces of 256 KiB 3 to 5 points less, of 64 KiB and below 60 to 75
 * %. */
enum { PIECE_BYTES = 1 << 20 };

/* ---- element types and shapes ---- */

size_t array_dtype_bytes(array_dtype t) {
    static const size_t bytes[ARRAY_DTYPES] = {1, 2, 2, 4};
    return bytes[t];
}

const char *array_dtype_name(array_dtype t) {
    static const char *const names[ARRAY_DTYPES] = {"u8", "f16", "bf16", "f32"};
    return names[t];
}

const char *array_codec_name(array_codec c) {
    static const char *const names[ARRAY_CODECS] = {"raw", "zstd"};
    return names[c];
}

lens_status array_bytes(const array_shape_t *s, size_t *out) {
    *out = 0;
    if ((unsigned)s->dtype >= ARRAY_DTYPES || s->n_dims < 0 || s->n_dims > ARRAY_MAX_DIMS)
        return lens_fail(LENS_ARGUMENT, "array of element type %d and %d dimensions", (int)s->dtype, s->n_dims);
    uint64_t n_bytes = array_dtype_bytes(s->dtype);
    for (int i = 0; i < s->n_dims; i++)
        if (s->dims[i] < 0 || __builtin_mul_overflow(n_bytes, (uint64_t)s->dims[i], &n_bytes))
            return lens_fail(LENS_ARGUMENT, "array with a dimension of %lld", (long long)s->dims[i]);
    if (n_bytes > ARRAY_MAX_BYTES)
        return lens_fail(LENS_ARGUMENT, "array of %llu bytes, at most %llu", (unsigned long long)n_bytes,
                         (unsigned long long)ARRAY_MAX_BYTES);
    *out = (size_t)n_bytes;
    return LENS_OK;
}

/* A float of 16 bits, from the IEEE one of 32. */
static hid_t float16(size_t exponent_bits, size_t bias) {
    hid_t t = H5Tcopy(H5T_IEEE_F32LE);
    size_t mantissa_bits = 15 - exponent_bits;
    if (t >= 0 && H5Tset_fields(t, 15, mantissa_bits, exponent_bits, 0, mantissa_bits) >= 0 && H5Tset_size(t, 2) >= 0 &&
        H5Tset_ebias(t, bias) >= 0)
        return t;
    if (t >= 0) H5Tclose(t);
    return H5I_INVALID_HID;
}

hid_t array_hdf_type(array_dtype t) {
    switch (t) {
    case ARRAY_U8:
        return H5Tcopy(H5T_STD_U8LE);
    case ARRAY_F16:
        return float16(5, 15);
    case ARRAY_BF16:
        return float16(8, 127);
    case ARRAY_F32:
        return H5Tcopy(H5T_IEEE_F32LE);
    case ARRAY_DTYPES:
        break;
    }
    return H5I_INVALID_HID;
}

/* ---- opening ---- */

void array_table_close(array_table_t *t) {
    free(t->offsets);
    free(t->hashes);
    free(t->shapes);
    free(t->chunk_ends);
    free(t->chunk_hashes);
    *t = (array_table_t){0};
}

void array_table_shape(const array_table_t *t, int64_t i, array_shape_t *out) {
    const int64_t *dims = t->shapes + i * ARRAY_MAX_DIMS;
    *out = (array_shape_t){.dtype = t->dtype};
    for (; out->n_dims < ARRAY_MAX_DIMS && dims[out->n_dims] >= 0; out->n_dims++)
        out->dims[out->n_dims] = dims[out->n_dims];
}

size_t array_table_bytes(const array_table_t *t, int64_t i) {
    return (size_t)(t->offsets[i + 1] - t->offsets[i]);
}

static lens_status get(hdf_t *h, const char *name, uint64_t n, uint64_t **out) {
    void *values;
    LENS_TRY(hdf_get_table(h, name, H5T_STD_U64LE, n, &values));
    *out = values;
    return LENS_OK;
}

/* A name of the list as its number. */
static lens_status get_name(hdf_t *h, const char *attribute, const char *(*name_of)(int), int n, int *out) {
    char *text;
    LENS_TRY(hdf_get_string(h, attribute, &text));
    int i = 0;
    while (i < n && strcmp(text, name_of(i)) != 0) i++;
    lens_status st = i < n ? LENS_OK : lens_fail(LENS_FORMAT, "%s: unknown %s \"%.40s\"", h->path, attribute, text);
    *out = i;
    free(text);
    return st;
}

static const char *dtype_at(int i) {
    return array_dtype_name((array_dtype)i);
}

static const char *codec_at(int i) {
    return array_codec_name((array_codec)i);
}

static lens_status check_arrays(const array_table_t *t) {
    if (t->offsets[0] != 0) return lens_fail(LENS_FORMAT, "%s: value_offsets do not begin at 0", t->path);
    for (int64_t i = 0; i < t->n; i++) {
        array_shape_t shape;
        size_t n_bytes;
        array_table_shape(t, i, &shape);
        for (int k = shape.n_dims; k < ARRAY_MAX_DIMS; k++)
            if (t->shapes[i * ARRAY_MAX_DIMS + k] != -1)
                return lens_fail(LENS_FORMAT, "%s: sample %lld has a malformed shape", t->path, (long long)i);
        if (array_bytes(&shape, &n_bytes) != LENS_OK || t->offsets[i + 1] < t->offsets[i] ||
            t->offsets[i + 1] - t->offsets[i] != n_bytes)
            return lens_fail(LENS_FORMAT, "%s: the shape of sample %lld does not fit its values", t->path,
                             (long long)i);
    }
    return LENS_OK;
}

static lens_status open_raw(array_table_t *t, hdf_t *h, const seal_t *seal, hid_t type) {
    uint64_t n, n_bytes = t->offsets[t->n];
    LENS_TRY(hdf_find_table(h, "values", type, &t->begin, &n));
    if (t->begin == seal->payload_begin && seal->payload_end - t->begin == n_bytes &&
        n == n_bytes / array_dtype_bytes(t->dtype))
        return LENS_OK;
    return lens_fail(LENS_FORMAT, "%s: the values stand where the seal does not have them", t->path);
}

static lens_status open_zstd(array_table_t *t, hdf_t *h, const seal_t *seal, hid_t type) {
    uint64_t element = array_dtype_bytes(t->dtype), n_bytes = t->offsets[t->n];
    hdf_frames_t f = {.type = type};
    LENS_TRY(hdf_find_frames(h, "values", &f));
    if (f.chunk > ARRAY_CHUNK_MAX_BYTES / element || f.n != n_bytes / element || n_bytes == 0)
        return lens_fail(LENS_FORMAT, "%s: %llu values in chunks of %llu", t->path, (unsigned long long)f.n,
                         (unsigned long long)f.chunk);
    t->chunk_bytes = f.chunk * element;
    t->n_chunks = (n_bytes - 1) / t->chunk_bytes + 1;
    t->begin = seal->payload_begin;
    LENS_TRY(get(h, "chunk_ends", t->n_chunks, &t->chunk_ends));
    LENS_TRY(get(h, "chunk_hashes", t->n_chunks, &t->chunk_hashes));
    uint64_t end = 0;
    for (uint64_t c = 0; c < t->n_chunks; c++) {
        if (t->chunk_ends[c] <= end || t->chunk_ends[c] - end > zstd_filter_capacity((size_t)t->chunk_bytes))
            return lens_fail(LENS_FORMAT, "%s: chunk_ends are malformed at %llu", t->path, (unsigned long long)c);
        end = t->chunk_ends[c];
    }
    if (end == seal->payload_end - seal->payload_begin) return LENS_OK;
    return lens_fail(LENS_FORMAT, "%s: the frames do not fill what the seal leaves out", t->path);
}

static lens_status fill(array_table_t *t, hdf_t *h, const seal_t *seal, hid_t type) {
    uint64_t n = (uint64_t)t->n;
    void *shapes;
    LENS_TRY(get(h, "value_offsets", n + 1, &t->offsets));
    LENS_TRY(get(h, "value_hashes", n, &t->hashes));
    LENS_TRY(hdf_get_rows(h, "shapes", H5T_STD_I64LE, n, ARRAY_MAX_DIMS, &shapes));
    t->shapes = shapes;
    LENS_TRY(check_arrays(t));
    return t->codec == ARRAY_RAW ? open_raw(t, h, seal, type) : open_zstd(t, h, seal, type);
}

/* *type is to be closed by the caller. */
static lens_status get_form(hdf_t *h, array_dtype *dtype, array_codec *codec, hid_t *type) {
    int d, c;
    *type = H5I_INVALID_HID;
    LENS_TRY(get_name(h, "dtype", dtype_at, ARRAY_DTYPES, &d));
    LENS_TRY(get_name(h, "codec", codec_at, ARRAY_CODECS, &c));
    *dtype = (array_dtype)d;
    *codec = (array_codec)c;
    *type = array_hdf_type(*dtype);
    return *type < 0 ? lens_fail(LENS_MEMORY, "%s: no element type", h->path) : LENS_OK;
}

static lens_status locate(hdf_t *h, hid_t type, array_codec codec, uint64_t *begin, uint64_t *n_bytes) {
    uint64_t n, n_chunks, *ends;
    hdf_frames_t f = {.type = type};
    if (codec == ARRAY_RAW) {
        LENS_TRY(hdf_find_table(h, "values", type, begin, &n));
        *n_bytes = n * H5Tget_size(type);
        return LENS_OK;
    }
    LENS_TRY(hdf_find_frames(h, "values", &f));
    LENS_TRY(hdf_first_frame(h, "values", type, begin));
    n_chunks = f.n ? (f.n - 1) / f.chunk + 1 : 0;
    LENS_TRY(get(h, "chunk_ends", n_chunks, &ends));
    *n_bytes = n_chunks ? ends[n_chunks - 1] : 0;
    free(ends);
    return LENS_OK;
}

lens_status array_table_locate(hdf_t *h, uint64_t *payload_begin, uint64_t *payload_end) {
    array_dtype dtype;
    array_codec codec;
    hid_t type;
    uint64_t n_bytes;
    LENS_TRY(get_form(h, &dtype, &codec, &type));
    lens_status st = locate(h, type, codec, payload_begin, &n_bytes);
    H5Tclose(type);
    LENS_TRY(st);
    if (*payload_begin > h->end || n_bytes > h->end - *payload_begin)
        return lens_fail(LENS_FORMAT, "%s: dataset values reaches beyond the file", h->path);
    *payload_end = *payload_begin + n_bytes;
    return LENS_OK;
}

lens_status array_table_open(array_table_t *out, hdf_t *h, const seal_t *seal) {
    *out = (array_table_t){0};
    array_table_t t = {.path = h->path, .fd = h->fd, .n = (int64_t)seal->n_samples};
    hid_t type;
    LENS_TRY(get_form(h, &t.dtype, &t.codec, &type));
    lens_status st = fill(&t, h, seal, type);
    H5Tclose(type);
    if (st == LENS_OK)
        *out = t;
    else
        array_table_close(&t);
    return st;
}

/* ---- reading ---- */

static lens_status check_hash(const array_table_t *t, int64_t i, uint64_t hash) {
    if (hash == t->hashes[i]) return LENS_OK;
    return lens_fail(LENS_FORMAT, "%s: array of sample %lld is damaged: hash %016llx, expected %016llx", t->path,
                     (long long)i, (unsigned long long)hash, (unsigned long long)t->hashes[i]);
}

static lens_status read_raw(const array_table_t *t, int64_t i, uint8_t *into) {
    size_t n = array_table_bytes(t, i);
    uint64_t from = t->begin + t->offsets[i];
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    for (size_t at = 0; at < n;) {
        size_t part = n - at < PIECE_BYTES ? n - at : PIECE_BYTES;
        LENS_TRY(file_read_at(t->fd, into + at, part, from + at, t->path));
        XXH3_64bits_update(&state, into + at, part);
        at += part;
    }
    return check_hash(t, i, XXH3_64bits_digest(&state));
}

static uint64_t frame_begin(const array_table_t *t, uint64_t c) {
    return c ? t->chunk_ends[c - 1] : 0;
}

static lens_status read_frame(const array_table_t *t, uint64_t c, uint8_t *frame, size_t *n) {
    *n = (size_t)(t->chunk_ends[c] - frame_begin(t, c));
    return file_read_at(t->fd, frame, *n, t->begin + frame_begin(t, c), t->path);
}

/* The chunks that hold [at, end) of the raw values, one after the other. */
static lens_status read_chunks(const array_table_t *t, uint64_t at, uint64_t end, uint8_t *into, uint8_t *frame,
                               uint8_t *raw) {
    size_t element = array_dtype_bytes(t->dtype), chunk_bytes = (size_t)t->chunk_bytes;
    while (at < end) {
        uint64_t c = at / chunk_bytes;
        size_t begin = (size_t)(at % chunk_bytes), n = chunk_bytes - begin, n_frame;
        if (n > end - at) n = (size_t)(end - at);
        LENS_TRY(read_frame(t, c, frame, &n_frame));
        const char *fault = zstd_filter_decode(raw, chunk_bytes, frame, n_frame);
        if (fault)
            return lens_fail(LENS_FORMAT, "%s: dataset values: chunk %llu: %s", t->path, (unsigned long long)c, fault);
        unshuffle_bytes(into, raw, chunk_bytes / element, element, begin / element, n / element);
        into += n;
        at += n;
    }
    return LENS_OK;
}

static lens_status read_zstd(const array_table_t *t, int64_t i, uint8_t *into) {
    size_t n = array_table_bytes(t, i);
    uint8_t *frame = malloc(zstd_filter_capacity((size_t)t->chunk_bytes)), *raw = malloc((size_t)t->chunk_bytes);
    lens_status st = frame && raw ? read_chunks(t, t->offsets[i], t->offsets[i + 1], into, frame, raw)
                                  : lens_fail(LENS_MEMORY, "%s: out of memory for a chunk", t->path);
    free(frame);
    free(raw);
    return st == LENS_OK ? check_hash(t, i, XXH3_64bits(into, n)) : st;
}

void array_table_place(const array_table_t *t, int64_t i, uint64_t *begin, uint64_t *end) {
    *begin = t->offsets[i];
    *end = t->offsets[i + 1];
    if (t->codec == ARRAY_ZSTD && *end > *begin) {
        *begin = frame_begin(t, *begin / t->chunk_bytes);
        *end = t->chunk_ends[(*end - 1) / t->chunk_bytes];
    }
    *begin += t->begin;
    *end += t->begin;
}

lens_status array_table_read(const array_table_t *t, int64_t i, void *into) {
    return t->codec == ARRAY_RAW ? read_raw(t, i, into) : read_zstd(t, i, into);
}

lens_status array_table_check_frame(const array_table_t *t, uint64_t c) {
    uint8_t *frame = malloc(zstd_filter_capacity((size_t)t->chunk_bytes));
    if (!frame) return lens_fail(LENS_MEMORY, "%s: out of memory for a chunk", t->path);
    size_t n;
    lens_status st = read_frame(t, c, frame, &n);
    if (st == LENS_OK && XXH3_64bits(frame, n) != t->chunk_hashes[c])
        st = lens_fail(LENS_FORMAT, "%s: dataset values: the frame of chunk %llu is damaged", t->path,
                       (unsigned long long)c);
    free(frame);
    return st;
}
