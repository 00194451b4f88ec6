/* A training run, alone or as one rank of several. */
#ifndef LENS_TRAIN_TRAINER_H
#define LENS_TRAIN_TRAINER_H

#include "base/comm.h"
#include "train/train_config.h"

/* Runs to c->train.steps and leaves in run.dir: run.json, config.yaml, metrics.jsonl, events.*, samples/, checkpoints/.
 * resume: goes on from the newest checkpoint there, or starts where there is none; otherwise STATE where one exists.
 * command: as typed, for run.json. A failure after the set-up on one rank of several ends them all (comm_abort). */
LENS_CHECKED lens_status trainer_run(const train_config_t *c, comm_t *comm, bool resume, const char *command);

#endif
