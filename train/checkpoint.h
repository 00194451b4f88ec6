/* Checkpoints of a run, written aside and renamed:
 *
 *     RUN/checkpoints/step-00000500/   a pipeline folder (model/pipeline.h) with the weights, and
 *         ema/                         another with their average
 *         state/optimizer.safetensors  moments, m.NAME and v.NAME
 *         state/trainer.json           step, seed, batch, identity of the data
 *         config.yaml                  the resolved configuration
 *     RUN/checkpoints/latest           link to the newest
 */
#ifndef LENS_TRAIN_CHECKPOINT_H
#define LENS_TRAIN_CHECKPOINT_H

#include "train/train_config.h"
#include "train/train_state.h"

/* What must be the same for a run to go on as if it had never stopped. */
typedef struct {
    int64_t step, seed, global_batch, n_samples;
    uint64_t data_hash; /* loader_identity */
} checkpoint_position_t;

/* One rank calls it. Older checkpoints beyond c->train.keep are removed after the new one stands. */
LENS_CHECKED lens_status checkpoint_save(train_state_t *s, const train_config_t *c, const pipeline_config_t *p,
                                         const checkpoint_position_t *at);
/* Reads the newest checkpoint of c->run.dir into s. STATE where it belongs to other data, seed or batch; *step is its
 * step. */
LENS_CHECKED lens_status checkpoint_load(int64_t *step, train_state_t *s, const train_config_t *c,
                                         const checkpoint_position_t *expected);
bool checkpoint_exists(const train_config_t *c); /* whether run.dir holds one */

#endif
