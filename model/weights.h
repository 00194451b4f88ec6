/* Weights on disk, against a plan: our own pipelines, released ones, single files, files under an index; F32, F16, BF16
 * or F64. */
#ifndef LENS_MODEL_WEIGHTS_H
#define LENS_MODEL_WEIGHTS_H

#include "model/pipeline.h"

typedef struct weights weights_t;

/* path: a pipeline's folder, a folder with files or an index, an index, or a file. Every tensor of the transformer must
 * be there with its shape and no other: FORMAT counts what is missing, extra or misshapen and names the first of each.
 * The text embedding is read where path is a pipeline with ours (text_encoder/); other tensors of the plan (of an
 * adapter) are not looked for. The plan is borrowed. Read-only when open: any thread. */
LENS_CHECKED lens_status weights_open(weights_t **out, const plan_t *plan, const char *path);
void weights_close(weights_t *w);              /* NULL is allowed */
bool weights_has(const weights_t *w, int row); /* of the plan: whether the path holds it */
/* Elements [first, first + n) of a row that it has, as float32. */
LENS_CHECKED lens_status weights_read(const weights_t *w, int row, int64_t first, int64_t n, float *out);

/* All tensors of a plan, weights f32 [plan_n_floats] on the host; FORMAT also where the embedding is not there. */
LENS_CHECKED lens_status weights_load(float *weights, const plan_t *plan, const char *path);

#endif
