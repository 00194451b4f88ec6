#include "train/grad_guard.h"

#include <math.h>

double guard_zscore(const guard_t *g, double grad_norm) {
    if (g->n < GUARD_WARMUP || !(grad_norm > 0)) return 0;
    double deviation = sqrt(g->var);
    if (deviation < GUARD_MIN_DEVIATION) deviation = GUARD_MIN_DEVIATION;
    return (log(grad_norm) - g->mean) / deviation;
}

/* A norm of 0 has no logarithm; it happens where all weights that could learn are frozen or spared. */
static void enter(guard_t *g, double grad_norm) {
    if (grad_norm == 0) return;
    g->n++;
    double weight = 1.0 / (double)(g->n < GUARD_WINDOW ? g->n : GUARD_WINDOW);
    double off = log(grad_norm) - g->mean;
    g->mean += weight * off;
    g->var = (1.0 - weight) * (g->var + weight * off * off);
}

guard_verdict guard_judge(guard_t *g, double grad_norm, double loss) {
    guard_verdict verdict = GUARD_ACCEPT;
    if (!isfinite(grad_norm) || !isfinite(loss))
        verdict = GUARD_NOT_FINITE;
    else if (g->max_zscore > 0 && guard_zscore(g, grad_norm) > g->max_zscore)
        verdict = GUARD_OUTLIER;
    if (verdict == GUARD_ACCEPT) {
        enter(g, grad_norm);
        g->n_in_row = 0;
    } else {
        g->n_in_row++;
    }
    return verdict;
}

lens_status guard_check(const guard_t *g, int64_t step, double grad_norm, double loss) {
    if (g->n_in_row <= g->max_skips) return LENS_OK;
    return lens_fail(LENS_STATE,
                     "step %lld: the loss is %g, the gradient's norm %g: %lld steps in a row had to be left out, "
                     "train.max_skips is %lld",
                     (long long)step, loss, grad_norm, (long long)g->n_in_row, (long long)g->max_skips);
}
