/* Which steps to leave out: those whose gradient or loss is no finite number, and those whose gradient is far larger
 * than the steps before had it. One such step can undo days of training; a step that is left out costs seconds.
 *
 * What is watched is the logarithm of the gradient's norm before clipping. Mean and variance run over the accepted
 * steps, each of weight 1/n until n is GUARD_WINDOW, exponentially forgotten from there on. Only large norms are
 * outliers. All ranks judge the same numbers (of the whole batch) and so come to the same verdict.
 *
 * mean, var and n belong into a checkpoint: a run that goes on with them judges as if it had never stopped. */
#ifndef LENS_TRAIN_GRAD_GUARD_H
#define LENS_TRAIN_GRAD_GUARD_H

#include "base/error.h"

enum {
    GUARD_WINDOW = 200, /* accepted steps */
    GUARD_WARMUP = 50,  /* accepted steps before any is called an outlier */
};
/* Of the logarithm: where the norm hardly varies, a few per cent more are still no outlier. */
#define GUARD_MIN_DEVIATION 0.05

typedef struct {
    double max_zscore; /* 0: no step is an outlier */
    int64_t max_skips; /* in a row */
    /* state; zeros before the first step */
    double mean, var; /* of log(norm) */
    int64_t n;        /* accepted steps */
    int64_t n_in_row; /* left out since the last accepted one; begins anew where a run goes on */
} guard_t;

typedef enum { GUARD_ACCEPT, GUARD_NOT_FINITE, GUARD_OUTLIER } guard_verdict;

/* The verdict on one step, before anything is updated with it. Accepted steps enter the statistics, others do not. */
guard_verdict guard_judge(guard_t *g, double grad_norm, double loss);
/* Deviations above the mean that guard_judge would see; 0 during its warm-up. For the log, before guard_judge. */
double guard_zscore(const guard_t *g, double grad_norm);
/* After guard_judge: STATE once more than max_skips steps in a row were left out, with what the last one had. */
LENS_CHECKED lens_status guard_check(const guard_t *g, int64_t step, double grad_norm, double loss);

#endif
