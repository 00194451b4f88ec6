/* safetensors reader (a checked view of a mapping) and writer.
 *
 * The reader accepts what the reference implementation accepts: the header is one JSON object, the tensors cover the
 * bytes after it without holes or overlaps and end with the file. That rule makes one pass in offset order enough to
 * prove every range. A mapped file must not be truncated while it is open; everything under a final name is never
 * changed. An open file is read-only, so any thread may use it. */
#include "model/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/file.h"
#include "base/half.h"

#define HEADER_MAX_BYTES (100u * 1000 * 1000) /* the cap of the reference implementation */
#define DATA_ALIGN_BYTES 64                   /* of the first tensor in files we write: whole cache lines */
#define META_KEY "__metadata__"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensor bytes are little-endian in the file and in memory");

static const struct {
    const char *name;
    size_t bytes;
} dtypes[ST_N_DTYPES] = {
    [ST_F32] = {"F32", 4}, [ST_F64] = {"F64", 8}, [ST_F16] = {"F16", 2}, [ST_BF16] = {"BF16", 2},
    [ST_I32] = {"I32", 4}, [ST_I64] = {"I64", 8}, [ST_U8] = {"U8", 1},   [ST_BOOL] = {"BOOL", 1},
};

struct safetensors {
    char *path;
    uint8_t *map;
    size_t size;                 /* bytes of the mapping */
    json_t *header;              /* owns the names and the metadata */
    st_tensor_t *tensors;        /* [n] in file order */
    const st_tensor_t **by_name; /* [n] */
    int n;
};

const char *st_dtype_name(st_dtype dtype) {
    return dtypes[dtype].name;
}

/* ---- reading ---- */

static lens_status map_file(safetensors_t *f) {
    lens_status st = LENS_OK;
    struct stat info;
    void *map = NULL;
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return lens_fail(LENS_IO, "%s: cannot open: %s", f->path, strerror(errno));
    if (fstat(fd, &info) != 0) {
        st = lens_fail(LENS_IO, "%s: cannot stat: %s", f->path, strerror(errno));
        goto done;
    }
    if (!S_ISREG(info.st_mode)) {
        st = lens_fail(LENS_IO, "%s: not a regular file", f->path);
        goto done;
    }
    if (info.st_size < 8) {
        st = lens_fail(LENS_FORMAT,
                       "%s: not a safetensors file: %lld bytes, expected at least the 8 of the header length", f->path,
                       (long long)info.st_size);
        goto done;
    }
    map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
        st = lens_fail(LENS_IO, "%s: cannot map %lld bytes: %s", f->path, (long long)info.st_size, strerror(errno));
        goto done;
    }
    f->map = map;
    f->size = (size_t)info.st_size;
done:
    close(fd);
    return st;
}

/* Parses the header into f->header; *data_begin is the offset of the first tensor byte. */
static lens_status parse_header(safetensors_t *f, size_t *data_begin) {
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--) length = length << 8 | f->map[i];
    if (length > HEADER_MAX_BYTES)
        return lens_fail(LENS_FORMAT, "%s: header of %" PRIu64 " bytes, at most %u allowed: not a safetensors file?",
                         f->path, length, HEADER_MAX_BYTES);
    if (length > f->size - 8)
        return lens_fail(LENS_FORMAT, "%s: header of %" PRIu64 " bytes in a file of %zu: cut short?", f->path, length,
                         f->size);
    json_error_t error;
    f->header = json_loadb((const char *)f->map + 8, (size_t)length, JSON_REJECT_DUPLICATES, &error);
    if (!f->header) return lens_fail(LENS_FORMAT, "%s: header: byte %d: %s", f->path, error.position, error.text);
    if (!json_is_object(f->header)) return lens_fail(LENS_FORMAT, "%s: header is not a JSON object", f->path);
    *data_begin = 8 + (size_t)length;
    return LENS_OK;
}

static lens_status check_meta(const safetensors_t *f) {
    json_t *meta = json_object_get(f->header, META_KEY), *value;
    const char *key;
    if (!meta) return LENS_OK;
    if (!json_is_object(meta)) return lens_fail(LENS_FORMAT, "%s: " META_KEY " is not a JSON object", f->path);
    json_object_foreach(meta, key, value) {
        if (!json_is_string(value))
            return lens_fail(LENS_FORMAT, "%s: " META_KEY ": value of '%s' is not a string", f->path, key);
    }
    return LENS_OK;
}

static lens_status parse_dtype(const safetensors_t *f, st_tensor_t *t, const json_t *value) {
    const char *name = json_string_value(value);
    if (!name) return lens_fail(LENS_FORMAT, "%s: tensor '%s': dtype is missing or no string", f->path, t->name);
    for (int i = 0; i < ST_N_DTYPES; i++) {
        if (strcmp(dtypes[i].name, name) == 0) {
            t->dtype = (st_dtype)i;
            return LENS_OK;
        }
    }
    return lens_fail(LENS_FORMAT, "%s: tensor '%s': dtype '%s' is not supported", f->path, t->name, name);
}

/* Sets shape and n; no dimension is below 0 and n * dtype size fits int64_t. */
static lens_status parse_shape(const safetensors_t *f, st_tensor_t *t, const json_t *value) {
    if (!json_is_array(value) || json_array_size(value) > SAFETENSORS_MAX_DIMS)
        return lens_fail(LENS_FORMAT, "%s: tensor '%s': shape is missing or no array of at most %d dimensions", f->path,
                         t->name, SAFETENSORS_MAX_DIMS);
    t->n_dims = (int)json_array_size(value);
    t->n = 1;
    for (int i = 0; i < t->n_dims; i++) {
        const json_t *dim = json_array_get(value, (size_t)i);
        t->shape[i] = json_integer_value(dim);
        if (!json_is_integer(dim) || t->shape[i] < 0)
            return lens_fail(LENS_FORMAT, "%s: tensor '%s': dimension %d is no count", f->path, t->name, i);
        if (__builtin_mul_overflow(t->n, t->shape[i], &t->n))
            return lens_fail(LENS_FORMAT, "%s: tensor '%s': shape is too large", f->path, t->name);
    }
    int64_t n_bytes;
    if (__builtin_mul_overflow(t->n, (int64_t)dtypes[t->dtype].bytes, &n_bytes))
        return lens_fail(LENS_FORMAT, "%s: tensor '%s': shape is too large", f->path, t->name);
    return LENS_OK;
}

/* Sets bytes from data_offsets, which must lie within the n_data bytes after the header and hold the shape exactly. */
static lens_status parse_offsets(const safetensors_t *f, st_tensor_t *t, const json_t *value, size_t data_begin) {
    const json_t *first = json_array_get(value, 0), *last = json_array_get(value, 1);
    uint64_t n_data = f->size - data_begin;
    if (json_array_size(value) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return lens_fail(LENS_FORMAT, "%s: tensor '%s': data_offsets are missing or no pair of integers", f->path,
                         t->name);
    json_int_t begin = json_integer_value(first), end = json_integer_value(last);
    if (begin < 0 || end < begin || (uint64_t)end > n_data)
        return lens_fail(LENS_FORMAT,
                         "%s: tensor '%s': data_offsets [%lld, %lld] outside of the %" PRIu64 " bytes of data", f->path,
                         t->name, (long long)begin, (long long)end, n_data);
    if (end - begin != t->n * (int64_t)dtypes[t->dtype].bytes)
        return lens_fail(LENS_FORMAT, "%s: tensor '%s': %lld bytes by data_offsets, %lld by shape and dtype %s",
                         f->path, t->name, (long long)(end - begin),
                         (long long)(t->n * (int64_t)dtypes[t->dtype].bytes), dtypes[t->dtype].name);
    t->bytes = f->map + data_begin + begin;
    return LENS_OK;
}

static lens_status parse_tensors(safetensors_t *f, size_t data_begin) {
    const char *name;
    json_t *entry;
    size_t n_max = json_object_size(f->header);
    f->tensors = calloc(n_max + 1, sizeof(*f->tensors));
    f->by_name = calloc(n_max + 1, sizeof(*f->by_name));
    if (!f->tensors || !f->by_name) return lens_fail(LENS_MEMORY, "%s: table of %zu tensors", f->path, n_max);
    json_object_foreach(f->header, name, entry) {
        if (strcmp(name, META_KEY) == 0) continue;
        st_tensor_t *t = &f->tensors[f->n];
        t->name = name;
        if (!json_is_object(entry)) return lens_fail(LENS_FORMAT, "%s: tensor '%s': not a JSON object", f->path, name);
        LENS_TRY(parse_dtype(f, t, json_object_get(entry, "dtype")));
        LENS_TRY(parse_shape(f, t, json_object_get(entry, "shape")));
        LENS_TRY(parse_offsets(f, t, json_object_get(entry, "data_offsets"), data_begin));
        f->n++;
    }
    return LENS_OK;
}

static size_t tensor_bytes(const st_tensor_t *t) {
    return (size_t)t->n * dtypes[t->dtype].bytes;
}

/* By place; an empty tensor stands before the one that begins where it does, so that ends never fall either. */
static int compare_places(const void *a, const void *b) {
    const st_tensor_t *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    if (tensor_bytes(x) != tensor_bytes(y)) return tensor_bytes(x) < tensor_bytes(y) ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int compare_names(const void *a, const void *b) {
    const st_tensor_t *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Orders the tables and proves that the tensors lie end to end, from the header to the end of the file. */
static lens_status check_cover(safetensors_t *f, size_t data_begin) {
    qsort(f->tensors, (size_t)f->n, sizeof(*f->tensors), compare_places);
    size_t end = data_begin;
    for (int i = 0; i < f->n; i++) {
        const st_tensor_t *t = &f->tensors[i];
        size_t begin = (size_t)((const uint8_t *)t->bytes - f->map);
        if (begin != end)
            return lens_fail(LENS_FORMAT, "%s: tensor '%s': begins at byte %zu, %s at %zu", f->path, t->name, begin,
                             begin < end ? "within the one before, which ends" : "after a hole that begins", end);
        end = begin + tensor_bytes(t);
        f->by_name[i] = t;
    }
    if (end != f->size)
        return lens_fail(LENS_FORMAT, "%s: tensors end at byte %zu of a file of %zu", f->path, end, f->size);
    qsort(f->by_name, (size_t)f->n, sizeof(*f->by_name), compare_names);
    return LENS_OK;
}

lens_status safetensors_open(safetensors_t **out, const char *path) {
    lens_status st;
    size_t data_begin = 0;
    *out = NULL;
    safetensors_t *f = calloc(1, sizeof(*f));
    if (!f || !(f->path = strdup(path))) {
        st = lens_fail(LENS_MEMORY, "%s: opening", path);
        goto done;
    }
    LENS_GO(map_file(f));
    LENS_GO(parse_header(f, &data_begin));
    LENS_GO(check_meta(f));
    LENS_GO(parse_tensors(f, data_begin));
    LENS_GO(check_cover(f, data_begin));
done:
    if (st == LENS_OK) {
        *out = f;
    } else {
        safetensors_close(f);
    }
    return st;
}

void safetensors_close(safetensors_t *f) {
    if (!f) return;
    if (f->map) munmap(f->map, f->size);
    json_decref(f->header);
    free(f->tensors);
    free(f->by_name);
    free(f->path);
    free(f);
}

int safetensors_n(const safetensors_t *f) {
    return f->n;
}

const st_tensor_t *safetensors_at(const safetensors_t *f, int i) {
    return &f->tensors[i];
}

const st_tensor_t *safetensors_find(const safetensors_t *f, const char *name) {
    const st_tensor_t key = {.name = name}, *key_pointer = &key;
    const st_tensor_t **found = bsearch(&key_pointer, f->by_name, (size_t)f->n, sizeof(*f->by_name), compare_names);
    return found ? *found : NULL;
}

const char *safetensors_meta(const safetensors_t *f, const char *key) {
    return json_string_value(json_object_get(json_object_get(f->header, META_KEY), key));
}

/* ---- conversion ---- */

/* The bytes may be unaligned, so each element goes through memcpy, which compiles to a plain load. */
#define READ_LOOP(type, expression)                                                                                    \
    for (int64_t i = 0; i < t->n; i++) {                                                                               \
        type x;                                                                                                        \
        memcpy(&x, bytes + i * (int64_t)sizeof(x), sizeof(x));                                                         \
        out[i] = (expression);                                                                                         \
    }

lens_status safetensors_read_f32(const st_tensor_t *t, float *out) {
    const uint8_t *bytes = t->bytes;
    switch (t->dtype) {
    case ST_F32:
        if (t->n > 0) memcpy(out, bytes, (size_t)t->n * sizeof(float));
        return LENS_OK;
    case ST_F64:
        READ_LOOP(double, (float)x) return LENS_OK;
    case ST_F16:
        READ_LOOP(uint16_t, half_from_f16(x)) return LENS_OK;
    case ST_BF16:
        READ_LOOP(uint16_t, half_from_bf16(x)) return LENS_OK;
    case ST_I32:
        READ_LOOP(int32_t, (float)x) return LENS_OK;
    case ST_U8:
        READ_LOOP(uint8_t, (float)x) return LENS_OK;
    case ST_I64:
    case ST_BOOL:
    case ST_N_DTYPES:
        break;
    }
    return lens_fail(LENS_FORMAT, "tensor '%s': dtype %s cannot be read as numbers of type F32", t->name,
                     st_dtype_name(t->dtype));
}

/* ---- writing ---- */

/* New JSON string, NULL with a message where the text is not UTF-8. */
static json_t *new_string(const char *path, const char *text) {
    json_t *s = json_string(text);
    if (!s) (void)lens_fail(LENS_ARGUMENT, "%s: text for the header is not UTF-8: '%s'", path, text);
    return s;
}

static lens_status add_meta(json_t *header, const char *path, const char *const (*meta)[2], int n_meta) {
    if (n_meta == 0) return LENS_OK;
    json_t *object = json_object();
    if (!object || json_object_set_new(header, META_KEY, object) != 0)
        return lens_fail(LENS_MEMORY, "%s: header", path);
    for (int i = 0; i < n_meta; i++) {
        if (json_object_get(object, meta[i][0]))
            return lens_fail(LENS_ARGUMENT, "%s: metadata key '%s' is given twice", path, meta[i][0]);
        json_t *value = new_string(path, meta[i][1]);
        if (!value) return LENS_ARGUMENT;
        if (json_object_set_new(object, meta[i][0], value) != 0)
            return lens_fail(LENS_ARGUMENT, "%s: metadata key '%s' is not UTF-8", path, meta[i][0]);
    }
    return LENS_OK;
}

/* Bytes of the entry through *n_bytes. */
static lens_status check_entry(const json_t *header, const char *path, const st_entry_t *e, int64_t *n_bytes) {
    if (strcmp(e->name, META_KEY) == 0 || json_object_get(header, e->name))
        return lens_fail(LENS_ARGUMENT, "%s: tensor name '%s' is reserved or given twice", path, e->name);
    if ((unsigned)e->dtype >= ST_N_DTYPES || e->n_dims < 0 || e->n_dims > SAFETENSORS_MAX_DIMS)
        return lens_fail(LENS_ARGUMENT, "%s: tensor '%s': dtype %d or number of dimensions %d out of range", path,
                         e->name, (int)e->dtype, e->n_dims);
    *n_bytes = (int64_t)dtypes[e->dtype].bytes;
    for (int i = 0; i < e->n_dims; i++) {
        if (e->shape[i] < 0 || __builtin_mul_overflow(*n_bytes, e->shape[i], n_bytes))
            return lens_fail(LENS_ARGUMENT, "%s: tensor '%s': shape is negative or too large", path, e->name);
    }
    return LENS_OK;
}

static lens_status add_entry(json_t *header, const char *path, const st_entry_t *e, int64_t *offset) {
    int64_t n_bytes = 0, begin = *offset;
    LENS_TRY(check_entry(header, path, e, &n_bytes));
    if (__builtin_add_overflow(begin, n_bytes, offset))
        return lens_fail(LENS_ARGUMENT, "%s: tensor '%s': the file is too large", path, e->name);
    json_t *shape = json_array();
    for (int i = 0; i < e->n_dims; i++) (void)json_array_append_new(shape, json_integer(e->shape[i]));
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtypes[e->dtype].name, "shape", shape, "data_offsets",
                              (json_int_t)begin, (json_int_t)*offset);
    if (!entry) return lens_fail(LENS_MEMORY, "%s: header", path);
    if (json_object_set_new(header, e->name, entry) != 0)
        return lens_fail(LENS_ARGUMENT, "%s: tensor name '%s' is not UTF-8", path, e->name);
    return LENS_OK;
}

/* Header length and text, padded with spaces so that the data after it are aligned. */
static lens_status build_header(str_t *out, const char *path, const st_entry_t *entries, int n,
                                const char *const (*meta)[2], int n_meta) {
    lens_status st;
    int64_t offset = 0;
    char *text = NULL;
    json_t *header = json_object();
    if (!header) return lens_fail(LENS_MEMORY, "%s: header", path);
    LENS_GO(add_meta(header, path, meta, n_meta));
    for (int i = 0; i < n; i++) LENS_GO(add_entry(header, path, &entries[i], &offset));
    text = json_dumps(header, JSON_COMPACT);
    if (!text) {
        st = lens_fail(LENS_MEMORY, "%s: header", path);
        goto done;
    }
    size_t length = strlen(text),
           padded = (8 + length + DATA_ALIGN_BYTES - 1) / DATA_ALIGN_BYTES * DATA_ALIGN_BYTES - 8;
    if (padded > HEADER_MAX_BYTES) {
        st = lens_fail(LENS_ARGUMENT, "%s: header of %zu bytes, the format allows %u", path, padded, HEADER_MAX_BYTES);
        goto done;
    }
    for (int i = 0; i < 8; i++) str_add_char(out, (char)((uint64_t)padded >> (8 * i)));
    str_add_n(out, text, length);
    for (size_t i = length; i < padded; i++) str_add_char(out, ' ');
    st = str_status(out);
done:
    free(text);
    json_decref(header);
    return st;
}

lens_status safetensors_write(const char *path, const st_entry_t *entries, int n, const char *const (*meta)[2],
                              int n_meta) {
    lens_status st;
    str_t header = {0};
    atomic_file_t *file = NULL;
    LENS_GO(build_header(&header, path, entries, n, meta, n_meta));
    LENS_GO(atomic_file_open(&file, path));
    FILE *stream = atomic_file_stream(file);
    bool ok = fwrite(header.s, 1, header.len, stream) == header.len;
    for (int i = 0; ok && i < n; i++) {
        size_t n_bytes = dtypes[entries[i].dtype].bytes;
        for (int j = 0; j < entries[i].n_dims; j++) n_bytes *= (size_t)entries[i].shape[j];
        ok = n_bytes == 0 || fwrite(entries[i].bytes, 1, n_bytes, stream) == n_bytes;
    }
    if (!ok) {
        st = lens_fail(LENS_IO, "%s: cannot write: %s", path, strerror(errno));
        goto done;
    }
    st = atomic_file_commit(file);
    file = NULL;
done:
    atomic_file_abort(file);
    str_free(&header);
    return st;
}
