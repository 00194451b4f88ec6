/* safetensors files: u64 LE header length, JSON header, tensor bytes in C order.
 * https://huggingface.co/docs/safetensors The reader maps the file and treats it as hostile: every offset, shape and
 * length is checked before use. */
#ifndef LENS_MODEL_SAFETENSORS_H
#define LENS_MODEL_SAFETENSORS_H

#include "base/error.h"

#define SAFETENSORS_MAX_DIMS 8

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
const char *st_dtype_name(st_dtype dtype);

/* Writing: tensors in the order given, aligned header, written aside and renamed. meta: n_meta (key, value) pairs. */
typedef struct {
    const char *name;
    st_dtype dtype;
    int n_dims;
    int64_t shape[SAFETENSORS_MAX_DIMS];
    const void *bytes; /* borrowed */
} st_entry_t;
LENS_CHECKED lens_status safetensors_write(const char *path, const st_entry_t *entries, int n,
                                           const char *const (*meta)[2], int n_meta);

#endif
