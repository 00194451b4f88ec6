/* state/trainer.json of a checkpoint: where the run stood, and what must be the same for it to go on from there. */
#ifndef LENS_TRAIN_CHECKPOINT_POSITION_H
#define LENS_TRAIN_CHECKPOINT_POSITION_H

#include "train/state_view.h"

#define CHECKPOINT_POSITION_NAME "state/trainer.json"

typedef struct {
    int64_t step, n_updates, n_skipped, n_images; /* done so far */
    int64_t seed, n_samples;
    uint64_t data_hash; /* loader_identity */
    double guard_mean, guard_var;
    int64_t guard_n; /* running statistics of the gradient's norm */
} checkpoint_position_t;

/* Into DIR/state/, which exists. world: for the record. */
LENS_CHECKED lens_status checkpoint_position_write(const char *dir, const checkpoint_position_t *at,
                                                   const state_view_t *view, int world);
/* FORMAT where the file is not one. STATE where seed, samples or data of *expected, or the optimiser or fields of
 * *view, are others: the run cannot go on from it. expected and view NULL: not compared. */
LENS_CHECKED lens_status checkpoint_position_read(checkpoint_position_t *out, const char *dir,
                                                  const checkpoint_position_t *expected, const state_view_t *view);

#endif
