/* What a run takes on GPUs: whether it fits, how long a step lasts at a given share of the peak and speed of the link,
 * what the run costs. Arithmetic over train/train_plan.h; nothing is measured here. */
#ifndef LENS_LAUNCH_GPU_PLAN_H
#define LENS_LAUNCH_GPU_PLAN_H

#include "kernels/gpu.h"
#include "train/train_plan.h"

typedef struct {
    double mfu;       /* of compute: model FLOP (3 x forward, no recomputation) over peak */
    double link_gb_s; /* a GPU's, each way; 0: the table's */
    int64_t text_tok; /* 0: as train_plan_make */
} gpu_assumptions_t;

typedef struct {
    const gpu_t *gpu;
    train_plan_t plan;
    double mfu, link_gb_s;
    double used_gb, usable_gb;
    bool fits;
    int64_t largest_micro[BUCKET_MAX]; /* of each area alone: samples of a micro-batch; 0: not even one */
    /* of a step, in seconds */
    double compute_s, mean_compute_s; /* of the slowest rank; of the mean one */
    double update_s;                  /* of optimiser and averages: memory bandwidth */
    double reduce_s, gather_s;        /* of gradients, of weights, were nothing hidden */
    double exposed_s;                 /* what of them compute cannot hide */
    double step_s;
    double run_mfu; /* of the whole step */
    double days, gpu_hours;
} gpu_plan_t;

LENS_CHECKED lens_status gpu_plan_make(gpu_plan_t *out, const train_config_t *c, const gpu_t *gpu, int n_gpus,
                                       const gpu_assumptions_t *a);

#endif
