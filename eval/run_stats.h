/* Figures over the steps of a run. NaN where no step has the metric. One thread. */
#ifndef LENS_EVAL_RUN_STATS_H
#define LENS_EVAL_RUN_STATS_H

#include "eval/run_log.h"

bool run_stats_has(const run_log_t *r, run_metric m); /* any finite value */
double run_stats_first(const run_log_t *r, run_metric m);
double run_stats_last(const run_log_t *r, run_metric m);
double run_stats_least(const run_log_t *r, run_metric m);
double run_stats_greatest(const run_log_t *r, run_metric m);
/* Of the finite values of the last n steps. */
double run_stats_last_mean(const run_log_t *r, run_metric m, int64_t n);
LENS_CHECKED lens_status run_stats_median(double *out, const run_log_t *r, run_metric m);

/* The steps that a smoothed curve of this run averages over: a fortieth of the run, and 1. */
int64_t run_stats_window(const run_log_t *r);
/* Centred mean over `window` steps (fewer at the ends), NaN left out: out[r->n]. */
void run_stats_smooth(double *out, const run_log_t *r, run_metric m, int64_t window);

#endif
