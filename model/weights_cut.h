/* Weights over several files, as diffusers cuts them: STEM-00001-of-00003.safetensors and an index that holds them
 * together; one file, STEM.safetensors, where they fit. A transformer block is never cut, nor any tensor: a file is as
 * many of both as fit, and at least one. */
#ifndef LENS_MODEL_WEIGHTS_CUT_H
#define LENS_MODEL_WEIGHTS_CUT_H

#include "model/safetensors.h"

#define WEIGHTS_FILE_MAX_BYTES UINT64_C(5000000000) /* of diffusers: 5 GB */
#define WEIGHTS_NAME_MAX 96

typedef struct {
    int n_files;
    int *first; /* [n_files + 1] entries: file i holds [first[i], first[i + 1]) */
} weights_cut_t;

/* Of the entries only names and sizes count. */
LENS_CHECKED lens_status weights_cut_init(weights_cut_t *out, const st_entry_t *entries, int n, uint64_t max_bytes);
void weights_cut_free(weights_cut_t *c); /* and resets */
/* "STEM.safetensors", or "STEM-0000I-of-0000N.safetensors" with I from 1. */
void weights_file_name(char out[WEIGHTS_NAME_MAX], const char *stem, int i, int n_files);
/* DIR/STEM.safetensors.index.json; for several files only. */
LENS_CHECKED lens_status weights_write_index(const char *dir, const char *stem, const weights_cut_t *c,
                                             const st_entry_t *entries);

#endif
