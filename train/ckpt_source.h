/* Weights that `lens ckpt` reads: a run, a checkpoint, a pipeline, a folder of files, an index or a file. */
#ifndef LENS_TRAIN_CKPT_SOURCE_H
#define LENS_TRAIN_CKPT_SOURCE_H

#include "base/str.h"
#include "model/pipeline.h"
#include "model/safetensors_set.h"

#define CKPT_WEIGHTS "weights" /* the part that stands in the checkpoint itself */

typedef struct {
    str_t path;                               /* of the folder or file that is read */
    bool pipeline;                            /* a folder with transformer/ */
    safetensors_set_t *set[PIPELINE_N_PARTS]; /* NULL: not there */
} ckpt_source_t;

/* A run stands for its newest checkpoint. part: "weights", or the folder of an average ("ema", "ema-0.999"). */
LENS_CHECKED lens_status ckpt_source_path(str_t *out, const char *path, const char *part);
LENS_CHECKED lens_status ckpt_source_open(ckpt_source_t *out, const char *path, const char *part);
void ckpt_source_close(ckpt_source_t *s);  /* and resets */
int ckpt_source_n(const ckpt_source_t *s); /* tensors */

#endif
