/* safetensors files: u64 LE header length, JSON header, tensor bytes in C order.
 * https://huggingface.co/docs/safetensors The reader maps the file and treats it as hostile: every offset, shape and
 * length is checked before use. */
#ifndef LENS_MODEL_SAFETENSORS_H
#define LENS_MODEL_SAFETENSORS_H

#include "base/error.h"

#define SAFETENSORS_MAX_DIMS 8
#define SAFETENSORS_HEADER_MAX_BYTES (100u * 1000 * 1000) /* the cap of the reference implementation */
#define SAFETENSORS_META_KEY "__metadata__"

typedef enum { ST_F32, ST_F64, ST_F16, ST_BF16, ST_I32, ST_I64, ST_U8, ST_BOOL, ST_N_DTYPES } st_dtype;

typedef struct {
    const char *name; /* borrowed from the file object */
    st_dtype dtype;
    int n_dims;
    int64_t shape[SAFETENSORS_MAX_DIMS];
    int64_t n;         /* elements */
    const void *bytes; /* into the mapping, borrowed; may be unaligned */
} st_tensor_t;

typedef struct safetensors safetensors_t;
LENS_CHECKED lens_status safetensors_open(safetensors_t **out, const char *path);
void safetensors_close(safetensors_t *f); /* NULL is allowed */
int safetensors_n(const safetensors_t *f);
const st_tensor_t *safetensors_at(const safetensors_t *f, int i);              /* in file order */
const st_tensor_t *safetensors_find(const safetensors_t *f, const char *name); /* NULL where missing */
const char *safetensors_meta(const safetensors_t *f, const char *key);         /* __metadata__; NULL where missing */
/* Copies tensor t as float32, converting F32/F64/F16/BF16/I32/U8. out holds t->n elements. */
LENS_CHECKED lens_status safetensors_read_f32(const st_tensor_t *t, float *out);
/* Elements [first, first + n) of it, row-major. */
LENS_CHECKED lens_status safetensors_read_f32_range(const st_tensor_t *t, int64_t first, int64_t n, float *out);
/* To F32, F16 or BF16, to nearest, ties to even. FORMAT where a finite value becomes infinite. */
LENS_CHECKED lens_status st_from_f32(st_dtype dtype, void *out, const float *in, int64_t n);
const char *st_dtype_name(st_dtype dtype);
size_t st_dtype_bytes(st_dtype dtype); /* of one element */

/* Writing: tensors in the order given, aligned header, written aside and renamed. meta: n_meta (key, value) pairs. */
typedef struct {
    const char *name;
    st_dtype dtype;
    int n_dims;
    int64_t shape[SAFETENSORS_MAX_DIMS];
    const void *bytes; /* borrowed */
} st_entry_t;
uint64_t st_entry_bytes(const st_entry_t *e);
LENS_CHECKED lens_status safetensors_write(const char *path, const st_entry_t *entries, int n,
                                           const char *const (*meta)[2], int n_meta);
/* The same with bytes that are made one entry after the other: *bytes of entry i, borrowed until the next call. */
typedef lens_status (*st_produce_fn)(void *context, int i, const void **bytes);
LENS_CHECKED lens_status safetensors_write_from(const char *path, const st_entry_t *entries, int n,
                                                const char *const (*meta)[2], int n_meta, st_produce_fn produce,
                                                void *context);

#endif
