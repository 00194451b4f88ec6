/* Whether a training step is taken, decided where its gradient is: on the device, so that the host need not wait for
 * the norm. The optimiser's rows read the verdict; where a step is left out they change nothing.
 *
 * Left out are steps whose gradient or loss is no finite number, and those whose gradient is far larger than the steps
 * before had it. One such step can undo days of training; a step that is left out costs seconds.
 *
 * What is watched is the logarithm of the gradient's norm before clipping. Mean and variance run over the accepted
 * steps, each of weight 1/n until n is STEP_GATE_WINDOW, exponentially forgotten from there on. Only large norms are
 * outliers. All ranks judge the same numbers, of the whole step, and so come to the same verdict.
 *
 * mean, var, n and n_updates belong into a checkpoint: a run that goes on with them judges as if it had never stopped.
 *
 * The functions are the same lines on every device. The loss is judged beside the norm because it can be the only one
 * that is no number: where no gradient reaches what is trained, as in adapters of the text alone in a step without
 * text, the norm is 0. */
#ifndef LENS_KERNELS_STEP_GATE_H
#define LENS_KERNELS_STEP_GATE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __CUDACC__
#define STEP_GATE_INLINE __host__ __device__ static inline
#else
#define STEP_GATE_INLINE static inline
#endif

enum {
    STEP_GATE_WINDOW = 200, /* accepted steps */
    STEP_GATE_WARMUP = 50,  /* accepted steps before any is called an outlier */
};
/* Of the logarithm: where the norm hardly varies, a few per cent more are still no outlier. */
#define STEP_GATE_MIN_DEVIATION 0.05

typedef enum { STEP_TAKEN, STEP_NOT_FINITE, STEP_OUTLIER } step_verdict;

typedef struct {
    double max_norm;    /* of the gradient, which is scaled down to it; 0: never */
    double max_zscore;  /* 0: no step is an outlier */
    float beta1, beta2; /* AdamW's */
} step_rule_t;

typedef struct {
    /* of the last step */
    int32_t verdict; /* step_verdict */
    double norm;
    double zscore; /* deviations above the mean; 0 during the warm-up */
    /* of the last step that was taken */
    float scale;                    /* of its gradient, from clipping */
    float correction1, correction2; /* AdamW's: 1 / (1 - beta^n_updates) */
    double ramp;                    /* the most that averages of weights decay: a short history has a short average */
    /* state; zeros before the first step */
    double mean, var; /* of log(norm) */
    int64_t n;        /* steps in mean and var */
    int64_t n_in_row; /* left out since the last one that was taken; begins anew where a run goes on */
    int64_t n_updates;
} step_gate_t;

STEP_GATE_INLINE double step_gate_zscore(const step_gate_t *g, double norm) {
    if (g->n < STEP_GATE_WARMUP || !(norm > 0)) return 0;
    double deviation = sqrt(g->var);
    if (deviation < STEP_GATE_MIN_DEVIATION) deviation = STEP_GATE_MIN_DEVIATION;
    return (log(norm) - g->mean) / deviation;
}

/* A norm of 0 has no logarithm; it happens where all weights that could learn are frozen or spared. */
STEP_GATE_INLINE void step_gate_enter(step_gate_t *g) {
    if (g->norm == 0) return;
    g->n++;
    double weight = 1.0 / (g->n < STEP_GATE_WINDOW ? (double)g->n : (double)STEP_GATE_WINDOW);
    double off = log(g->norm) - g->mean;
    g->mean += weight * off;
    g->var = (1.0 - weight) * (g->var + weight * off * off);
}

STEP_GATE_INLINE void step_gate_judge(step_gate_t *g, double sum_sq, double loss, const step_rule_t *rule) {
    g->norm = sqrt(sum_sq);
    g->zscore = step_gate_zscore(g, g->norm);
    if (!isfinite(g->norm) || !isfinite(loss))
        g->verdict = STEP_NOT_FINITE;
    else if (rule->max_zscore > 0 && g->zscore > rule->max_zscore)
        g->verdict = STEP_OUTLIER;
    else
        g->verdict = STEP_TAKEN;
    if (g->verdict != STEP_TAKEN) {
        g->n_in_row++;
        return;
    }
    g->n_in_row = 0;
    step_gate_enter(g);
    double n = (double)++g->n_updates;
    g->scale = rule->max_norm > 0 && g->norm > rule->max_norm ? (float)(rule->max_norm / g->norm) : 1.0f;
    g->correction1 = (float)(1.0 / (1.0 - pow((double)rule->beta1, n)));
    g->correction2 = (float)(1.0 / (1.0 - pow((double)rule->beta2, n)));
    g->ramp = (1.0 + n) / (10.0 + n);
}

#endif
