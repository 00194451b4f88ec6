/* The actions of `lens ckpt` (train/cmd_ckpt.c). Results go to stdout. */
#ifndef LENS_TRAIN_CKPT_H
#define LENS_TRAIN_CKPT_H

#include "base/error.h"
#include "model/safetensors.h"

typedef struct {
    bool json;
    char *out, *dtype, *part, *weights;
    int64_t max_file_mb;
    double tolerance;
} ckpt_options_t;

st_dtype ckpt_dtype(const ckpt_options_t *o); /* ST_N_DTYPES: as in the source */

LENS_CHECKED lens_status ckpt_show(const char *path, const ckpt_options_t *o);
/* One line a fault; *n_faults is their number. */
LENS_CHECKED lens_status ckpt_verify(const char *path, int64_t *n_faults);
LENS_CHECKED lens_status ckpt_convert(const char *path, const ckpt_options_t *o);
LENS_CHECKED lens_status ckpt_average(int n, char **paths, const ckpt_options_t *o);
LENS_CHECKED lens_status ckpt_merge_lora(const char *base, const char *adapter, const ckpt_options_t *o);
/* *n_different: tensors that differ, or that one side has alone. */
LENS_CHECKED lens_status ckpt_diff(const char *a, const char *b, const ckpt_options_t *o, int64_t *n_different);

#endif
