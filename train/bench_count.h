/* `lens bench count`: what a training step costs by count, and what it should take on a GPU. Nothing is computed and no
 * GPU is needed: the times are predictions. */
#ifndef LENS_TRAIN_BENCH_COUNT_H
#define LENS_TRAIN_BENCH_COUNT_H

#include "base/comm.h"
#include "kernels/op_time.h"
#include "train/train_config.h"

typedef struct {
    char *gpu;        /* of GPU_NAMES */
    int64_t ranks;    /* one a GPU; the first is counted */
    int64_t text_tok; /* of each caption; 0: as train_plan_make */
    op_efficiency_t efficiency;
    bool json;
} bench_count_options_t;

/* Prints, of a step of the first area's bucket: calls, FLOP, bytes and predicted time by row of the op table; step
 * time, images/s, MFU, memory; the same of each area; and what other choices of checkpointing, micro-batches, averages
 * and ZeRO would come to. comm: a world of 1. */
LENS_CHECKED lens_status bench_count(const train_config_t *c, comm_t *comm, const bench_count_options_t *o);

#endif
