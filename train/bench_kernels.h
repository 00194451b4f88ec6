/* `lens bench kernels`: every row of the op table at the shapes of the configuration's step, timed alone. Which calls a
 * step makes is counted, not listed (train/step_count.h). */
#ifndef LENS_TRAIN_BENCH_KERNELS_H
#define LENS_TRAIN_BENCH_KERNELS_H

#include "base/comm.h"
#include "train/train_config.h"

typedef struct {
    int64_t text_tok; /* of each caption; 0: as train_plan_make */
    double seconds;   /* for all calls together, about */
    bool json;
} bench_kernels_options_t;

/* Prints, a line for each call of a step of the first area's bucket: how often the step makes it, its median time,
 * TFLOP/s or GB/s (each operand once), the share of the ceiling that was measured in the same run (a large product, a
 * large copy), and its share of all calls. Operands are random numbers, in so many copies that those of one call have
 * left the caches when it is made again. comm: a world of 1. */
LENS_CHECKED lens_status bench_kernels(const train_config_t *c, comm_t *comm, const bench_kernels_options_t *o);

#endif
