/* Runs a golden file (tests/golden/README.md) through the model and reports the worst error of each group of tensors.
 *
 * Tolerances are those of the element type of activations. float: tests/golden/README.md. bf16, whose unit roundoff is
 * 4e-3: observed at the worst are activations 8.2e-3, gradients 3.2e-2, parameters after the steps 7.8e-3 (where
 * rounding turns the sign of a small gradient, AdamW's first steps go the other way), losses 1.4e-4. Of the 3.2e-2, the
 * gradient of a norm's ten weights, whose terms cancel, 2.4e-2 come of rounding weights and inputs alone, with all else
 * in float64. */
#ifndef LENS_MODEL_GOLDEN_H
#define LENS_MODEL_GOLDEN_H

#include "model/mmdit.h"

typedef enum { GOLDEN_ACTIVATIONS, GOLDEN_GRADIENTS, GOLDEN_PARAMETERS, GOLDEN_LOSSES, GOLDEN_N_GROUPS } golden_group;

typedef struct {
    const char *name;
    double tolerance; /* relative: ||a - b|| / ||b|| of a tensor */
    double worst;
    char worst_tensor[PLAN_NAME_MAX];
    int n_tensors;
} golden_result_t;

/* OK also where errors exceed the tolerance: golden_passed tells. FORMAT where the file is not a golden file. */
LENS_CHECKED lens_status golden_run(golden_result_t results[GOLDEN_N_GROUPS], kernels_t *k, const char *path,
                                    mmdit_checkpointing checkpointing);
bool golden_passed(const golden_result_t results[GOLDEN_N_GROUPS]);

/* The files that are part of the binary: a path that can be opened, valid until golden_builtin_close. */
typedef struct {
    const char *name;
    char path[64];
    int fd;
} golden_builtin_t;
#define GOLDEN_N_BUILTIN 2
LENS_CHECKED lens_status golden_builtin_open(golden_builtin_t files[GOLDEN_N_BUILTIN]);
void golden_builtin_close(golden_builtin_t files[GOLDEN_N_BUILTIN]);

#endif
