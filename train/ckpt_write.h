/* Weights that `lens ckpt` makes out of others, tensor by tensor: nothing large is held. */
#ifndef LENS_TRAIN_CKPT_WRITE_H
#define LENS_TRAIN_CKPT_WRITE_H

#include "train/ckpt_source.h"

/* Values of the result's tensor, f32 [t->n], which has name and shape of t, a tensor of `like`. */
typedef lens_status (*ckpt_values_fn)(void *context, pipeline_part part, const st_tensor_t *t, float *out);

/* out ends in .safetensors: the transformer as one file. Else a folder, which must not exist: a pipeline with the
 * configuration of `like` where that is one, files of the transformer alone where it is not. dtype ST_N_DTYPES: each
 * tensor as in `like`. max_file_bytes: files are cut beyond it. */
LENS_CHECKED lens_status ckpt_write(const char *out, const ckpt_source_t *like, st_dtype dtype, uint64_t max_file_bytes,
                                    ckpt_values_fn values, void *context);

#endif
