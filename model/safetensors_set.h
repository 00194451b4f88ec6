/* The tensors of one safetensors file, or of several that an index holds together, as diffusers and transformers
 * write them: STEM.safetensors.index.json = {"metadata": {...}, "weight_map": {TENSOR: FILE}}.
 *
 * All is treated as hostile: files of an index stand beside it, every tensor of the map is in the file it names, and no
 * file has another. Read-only when open: any thread. */
#ifndef LENS_MODEL_SAFETENSORS_SET_H
#define LENS_MODEL_SAFETENSORS_SET_H

#include "model/safetensors.h"

typedef struct safetensors_set safetensors_set_t;

/* path: a .safetensors file, an index, or a folder that holds one of either. FORMAT where a folder holds none, or
 * several that no index holds together. */
LENS_CHECKED lens_status safetensors_set_open(safetensors_set_t **out, const char *path);
void safetensors_set_close(safetensors_set_t *s);             /* NULL is allowed */
const char *safetensors_set_path(const safetensors_set_t *s); /* of the file or the index */
int safetensors_set_n_files(const safetensors_set_t *s);
const char *safetensors_set_file(const safetensors_set_t *s, int i);      /* path */
int safetensors_set_n(const safetensors_set_t *s);                        /* tensors */
const st_tensor_t *safetensors_set_at(const safetensors_set_t *s, int i); /* file by file, in each file's order */
const st_tensor_t *safetensors_set_find(const safetensors_set_t *s, const char *name); /* NULL where missing */
const char *safetensors_set_meta(const safetensors_set_t *s, const char *key); /* of the first file that has it */

#endif
