/* What a run holds, for trainer.c and trainer_setup.c. */
#ifndef LENS_TRAIN_TRAINER_PRIVATE_H
#define LENS_TRAIN_TRAINER_PRIVATE_H

#include "train/averaged.h"
#include "train/checkpoint.h"
#include "train/grad_guard.h"
#include "train/memory_plan.h"
#include "train/preview.h"
#include "train/run_record.h"
#include "train/train_input.h"
#include "train/train_log.h"
#include "train/validation.h"

typedef struct {
    const train_config_t *c;
    comm_t *comm;
    device_t device;
    kernels_t *k;        /* of the device */
    collectives_t *coll; /* likewise */
    dataset_t *dataset;
    pipeline_config_t pipeline;
    train_state_t state;
    stepper_t *stepper;
    train_input_t *input;
    loader_t *loader;
    checkpointer_t *checkpointer;
    metrics_t *metrics; /* rank 0 */
    averaged_t averaged;
    preview_t *preview;     /* where samples are asked for */
    validator_t *validator; /* where there is a held-out set */
    checkpoint_position_t at;
    schedule_t schedule;
    guard_t guard;
    int64_t first_step; /* steps that a checkpoint holds */
    train_log_t log;
    run_record_t record;
    memory_machine_t machine;
    memory_plan_t memory;
    double traced_s; /* time of the traced steps */
    int64_t n_empty; /* empty captions met */
    double first_loss, last_loss;
    bool stops;          /* some rank was told to */
    lens_status gave_up; /* not OK: steps fail one after the other, on every rank alike */
} trainer_t;

static inline bool trainer_is_root(const trainer_t *t) {
    return comm_rank(t->comm) == 0;
}

/* Every rank, in step: fails on all where it fails on one. t has its configuration and ranks. */
LENS_CHECKED lens_status trainer_set_up(trainer_t *t, bool resume);
void trainer_tear_down(trainer_t *t); /* in any state */

#endif
