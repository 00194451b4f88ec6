#include "eval/run_stats.h"

#include <math.h>
#include <stdlib.h>

#include "base/median.h"

double run_stats_first(const run_log_t *r, run_metric m) {
    for (int64_t i = 0; i < r->n; i++)
        if (isfinite(r->metric[m][i])) return r->metric[m][i];
    return NAN;
}

double run_stats_last(const run_log_t *r, run_metric m) {
    for (int64_t i = r->n; i > 0; i--)
        if (isfinite(r->metric[m][i - 1])) return r->metric[m][i - 1];
    return NAN;
}

bool run_stats_has(const run_log_t *r, run_metric m) {
    return isfinite(run_stats_first(r, m));
}

double run_stats_least(const run_log_t *r, run_metric m) {
    double least = NAN;
    for (int64_t i = 0; i < r->n; i++)
        if (isfinite(r->metric[m][i])) least = fmin(least, r->metric[m][i]);
    return least;
}

double run_stats_greatest(const run_log_t *r, run_metric m) {
    double greatest = NAN;
    for (int64_t i = 0; i < r->n; i++)
        if (isfinite(r->metric[m][i])) greatest = fmax(greatest, r->metric[m][i]);
    return greatest;
}

double run_stats_last_mean(const run_log_t *r, run_metric m, int64_t n) {
    double sum = 0;
    int64_t n_finite = 0;
    for (int64_t i = r->n > n ? r->n - n : 0; i < r->n; i++)
        if (isfinite(r->metric[m][i])) {
            sum += r->metric[m][i];
            n_finite++;
        }
    return n_finite > 0 ? sum / (double)n_finite : NAN;
}

lens_status run_stats_median(double *out, const run_log_t *r, run_metric m) {
    *out = NAN;
    if (r->n == 0) return LENS_OK;
    double *sorted = malloc((size_t)r->n * sizeof *sorted);
    if (sorted == NULL) return lens_fail(LENS_MEMORY, "%s: out of memory", r->dir);
    int64_t n = 0;
    for (int64_t i = 0; i < r->n; i++)
        if (isfinite(r->metric[m][i])) sorted[n++] = r->metric[m][i];
    *out = median(sorted, n);
    free(sorted);
    return LENS_OK;
}

int64_t run_stats_window(const run_log_t *r) {
    return r->n / 40 + 1;
}

void run_stats_smooth(double *out, const run_log_t *r, run_metric m, int64_t window) {
    const double *v = r->metric[m];
    int64_t before = (window - 1) / 2, after = window - 1 - before, n_finite = 0, from = 0, to = 0;
    double sum = 0;
    for (int64_t i = 0; i < r->n; i++) {
        for (; to < r->n && to <= i + after; to++)
            if (isfinite(v[to])) {
                sum += v[to];
                n_finite++;
            }
        for (; from < i - before; from++)
            if (isfinite(v[from])) {
                sum -= v[from];
                n_finite--;
            }
        out[i] = n_finite > 0 ? sum / (double)n_finite : NAN;
    }
}
