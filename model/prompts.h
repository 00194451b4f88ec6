/* Prompts from a text file, one a line; blank lines are skipped. */
#ifndef LENS_MODEL_PROMPTS_H
#define LENS_MODEL_PROMPTS_H

#include "base/error.h"

typedef struct {
    int64_t n;
    char **text; /* [n], owned */
} prompts_t;

LENS_CHECKED lens_status prompts_read(prompts_t *out, const char *path);              /* FORMAT where it holds none */
LENS_CHECKED lens_status prompts_add(prompts_t *p, const char *text, size_t n_bytes); /* copies */
void prompts_free(prompts_t *p);

#endif
