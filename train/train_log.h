/* What a run says of its steps: lines of metrics.jsonl, and progress for people. */
#ifndef LENS_TRAIN_TRAIN_LOG_H
#define LENS_TRAIN_TRAIN_LOG_H

#include "train/metrics.h"
#include "train/validation.h"

typedef struct {
    int64_t first_step, steps; /* steps that were done before; of the whole run */
    double begin_s;            /* log_clock_s at the start */
    double peak_gflops;        /* of all ranks */
} train_log_t;

/* After a step that was validated. */
typedef struct {
    bool is_there;
    validation_result_t weights, average;
} train_log_valid_t;

typedef struct {
    int64_t step, n_images; /* n_images: so far */
    double lr;
    double wait_s; /* for data, so far */
    const step_result_t *result;
    const train_log_valid_t *valid;
} train_log_step_t;

/* m: NULL on ranks other than 0. */
LENS_CHECKED lens_status train_log_step(const train_log_t *l, metrics_t *m, const train_log_step_t *s);

#endif
