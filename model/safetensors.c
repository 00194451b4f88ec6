/* safetensors reader: a checked view of a mapping.
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

size_t st_dtype_bytes(st_dtype dtype) {
    return dtypes[dtype].bytes;
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
    if (length > SAFETENSORS_HEADER_MAX_BYTES)
        return lens_fail(LENS_FORMAT, "%s: header of %" PRIu64 " bytes, at most %u allowed: not a safetensors file?",
                         f->path, length, SAFETENSORS_HEADER_MAX_BYTES);
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
    json_t *meta = json_object_get(f->header, SAFETENSORS_META_KEY), *value;
    const char *key;
    if (!meta) return LENS_OK;
    if (!json_is_object(meta))
        return lens_fail(LENS_FORMAT, "%s: " SAFETENSORS_META_KEY " is not a JSON object", f->path);
    json_object_foreach(meta, key, value) {
        if (!json_is_string(value))
            return lens_fail(LENS_FORMAT, "%s: " SAFETENSORS_META_KEY ": value of '%s' is not a string", f->path, key);
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
        if (strcmp(name, SAFETENSORS_META_KEY) == 0) continue;
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
    return json_string_value(json_object_get(json_object_get(f->header, SAFETENSORS_META_KEY), key));
}
