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

#include "base/comm.h"
#include "train/train_config.h"
#include "train/train_state.h"

/* Where a run stands. The first four say how far it is; the others must be the same for it to go on. */
typedef struct {
    int64_t step, n_updates, n_skipped, n_images;
    double guard_mean, guard_var; /* of the judge of gradient norms */
    int64_t guard_n;
    int64_t seed, n_samples;
    uint64_t data_hash; /* loader_identity */
} checkpoint_position_t;

typedef struct checkpointer checkpointer_t; /* one a rank; every call by all ranks */
LENS_CHECKED lens_status checkpointer_new(checkpointer_t **out, const train_config_t *c, const pipeline_config_t *p,
                                          comm_t *comm);
/* Waits for the one before, copies, and returns; a thread writes. OK also where the one before failed. */
LENS_CHECKED lens_status checkpointer_start(checkpointer_t *ck, train_state_t *s, const checkpoint_position_t *at);
LENS_CHECKED lens_status checkpointer_finish(checkpointer_t *ck); /* waits for the last; its failure */
void checkpointer_free(checkpointer_t *ck);                       /* NULL is allowed */

/* Reads the newest whole checkpoint of c->run.dir into s. STATE where it belongs to other data or another seed. */
LENS_CHECKED lens_status checkpoint_load(checkpoint_position_t *at, train_state_t *s, const train_config_t *c,
                                         const checkpoint_position_t *expected, comm_t *comm);
bool checkpoint_exists(const train_config_t *c); /* whether run.dir holds one */

#endif
