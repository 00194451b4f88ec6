/* Checkpoints of a run, written by a thread of each rank while training goes on:
 *
 *     RUN/checkpoints/step-00000500/   a pipeline (model/pipeline.h) with the master weights, float32, and
 *         ema/, ema-DECAY/             pipelines with averages of them: the first, and further ones
 *         state/rank-0000-of-0004.safetensors   what else the rank owns: FIELD.TENSOR:FIRST, elements from FIRST on
 *         state/trainer.json           where the run stood (train/checkpoint_position.h)
 *         config.yaml                  the resolved configuration
 *         manifest.json                size and hash of every file, written last
 *     RUN/checkpoints/latest           link to the newest
 *
 * Files of a pipeline beyond 5 GB are cut as diffusers does. An adapter is pytorch_lora_weights.safetensors
 * (model/adapter.h). A checkpoint is whole where its manifest holds; it takes its name only when it is. */
#ifndef LENS_TRAIN_CHECKPOINT_H
#define LENS_TRAIN_CHECKPOINT_H

#include "base/comm.h"
#include "train/checkpoint_position.h"
#include "train/train_config.h"
#include "train/train_state.h"

/* One a rank; every rank makes every call, in the same order. */
typedef struct checkpointer checkpointer_t;

/* c and comm are borrowed; checkpoints go below c->run.dir, c->train.keep of them stay. */
LENS_CHECKED lens_status checkpointer_new(checkpointer_t **out, const train_config_t *c, const pipeline_config_t *p,
                                          comm_t *comm);
/* Waits for the checkpoint before, copies the state to host memory, allocated at the first call, and returns; a thread
 * writes. Between steps only. What cannot be written is warned of and counted: OK all the same, also where that was
 * the one before. COMM and MEMORY are failures. */
LENS_CHECKED lens_status checkpointer_start(checkpointer_t *ck, train_state_t *s, const checkpoint_position_t *at);
LENS_CHECKED lens_status checkpointer_start_view(checkpointer_t *ck, const state_view_t *v,
                                                 const checkpoint_position_t *at); /* the same */
/* Waits for the last; its failure, if it failed. */
LENS_CHECKED lens_status checkpointer_finish(checkpointer_t *ck);
int64_t checkpointer_n_failed(const checkpointer_t *ck); /* the same on all ranks once the last is waited for */
void checkpointer_free(checkpointer_t *ck);              /* waits; NULL is allowed */

/* Host memory that a rank's checkpointer takes. fields: names, as in the state. */
LENS_CHECKED lens_status checkpointer_staging_bytes(size_t *out, const plan_t *plan, const partition_t *partition,
                                                    int n_fields, const char *const *fields, int rank, int world);

bool checkpoint_exists(const train_config_t *c); /* whether run.dir holds one, whole or not */
/* Every rank: the newest that is whole becomes the state; what is torn is skipped with a warning. The same world and
 * stage get the same bits, any other the same values. STATE where it belongs to other data, another seed, optimiser or
 * other fields; FORMAT where none is whole or tensors do not fit the model. Nothing is changed before all is checked
 * by all ranks. The state's acts are refreshed. */
LENS_CHECKED lens_status checkpoint_load(checkpoint_position_t *at, train_state_t *s, const train_config_t *c,
                                         const checkpoint_position_t *expected, comm_t *comm);
/* The same without the acts. */
LENS_CHECKED lens_status checkpoint_load_view(checkpoint_position_t *at, const state_view_t *v, const char *run_dir,
                                              const checkpoint_position_t *expected, comm_t *comm);
/* Every rank: master weights and averages of a state that has started become those of a folder or file
 * (model/weights.h: train.init_from); what it does not hold of text embedding and adapters stays. The state is no good
 * after a failure. */
LENS_CHECKED lens_status checkpoint_init_from(train_state_t *s, const char *path, comm_t *comm);
/* Every rank: the frozen model that adapters are trained on, all of it, from such a folder or file. */
LENS_CHECKED lens_status checkpoint_load_frozen(train_state_t *s, const char *path, comm_t *comm);

#endif
