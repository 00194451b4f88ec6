/* safetensors writer. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/safetensors.h"

#define DATA_ALIGN_BYTES 64 /* of the first tensor: whole cache lines */

/* New JSON string, NULL with a message where the text is not UTF-8. */
static json_t *new_string(const char *path, const char *text) {
    json_t *s = json_string(text);
    if (!s) (void)lens_fail(LENS_ARGUMENT, "%s: text for the header is not UTF-8: '%s'", path, text);
    return s;
}

static lens_status add_meta(json_t *header, const char *path, const char *const (*meta)[2], int n_meta) {
    if (n_meta == 0) return LENS_OK;
    json_t *object = json_object();
    if (!object || json_object_set_new(header, SAFETENSORS_META_KEY, object) != 0)
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
    if (strcmp(e->name, SAFETENSORS_META_KEY) == 0 || json_object_get(header, e->name))
        return lens_fail(LENS_ARGUMENT, "%s: tensor name '%s' is reserved or given twice", path, e->name);
    if ((unsigned)e->dtype >= ST_N_DTYPES || e->n_dims < 0 || e->n_dims > SAFETENSORS_MAX_DIMS)
        return lens_fail(LENS_ARGUMENT, "%s: tensor '%s': dtype %d or number of dimensions %d out of range", path,
                         e->name, (int)e->dtype, e->n_dims);
    *n_bytes = (int64_t)st_dtype_bytes(e->dtype);
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
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", st_dtype_name(e->dtype), "shape", shape, "data_offsets",
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
    if (padded > SAFETENSORS_HEADER_MAX_BYTES) {
        st = lens_fail(LENS_ARGUMENT, "%s: header of %zu bytes, the format allows %u", path, padded,
                       SAFETENSORS_HEADER_MAX_BYTES);
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

uint64_t st_entry_bytes(const st_entry_t *e) {
    uint64_t n = st_dtype_bytes(e->dtype);
    for (int i = 0; i < e->n_dims; i++) n *= (uint64_t)e->shape[i];
    return n;
}

lens_status safetensors_write_from(const char *path, const st_entry_t *entries, int n, const char *const (*meta)[2],
                                   int n_meta, st_produce_fn produce, void *context) {
    lens_status st;
    str_t header = {0};
    atomic_file_t *file = NULL;
    LENS_GO(build_header(&header, path, entries, n, meta, n_meta));
    LENS_GO(atomic_file_open(&file, path));
    FILE *stream = atomic_file_stream(file);
    bool ok = fwrite(header.s, 1, header.len, stream) == header.len;
    for (int i = 0; ok && i < n; i++) {
        uint64_t n_bytes = st_entry_bytes(&entries[i]);
        const void *bytes = entries[i].bytes;
        if (n_bytes > 0 && produce) LENS_GO(lens_context(produce(context, i, &bytes), "%s", path));
        ok = n_bytes == 0 || fwrite(bytes, 1, n_bytes, stream) == n_bytes;
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

lens_status safetensors_write(const char *path, const st_entry_t *entries, int n, const char *const (*meta)[2],
                              int n_meta) {
    return safetensors_write_from(path, entries, n, meta, n_meta, NULL, NULL);
}
