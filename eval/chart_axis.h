/* An axis of a chart: values to pixels, and round ticks (1, 2, 2.5 or 5 times a power of ten). Reentrant; any thread.
 */
#ifndef LENS_EVAL_CHART_AXIS_H
#define LENS_EVAL_CHART_AXIS_H

#include "base/str.h"

#define CHART_AXIS_MAX_TICKS 16

typedef struct {
    double low, high;       /* values at the ends; low < high */
    double px_low, px_high; /* where the ends are drawn */
    bool log;
    double step; /* between ticks of a linear axis */
} chart_axis_t;

/* The least round step that makes at most n_steps of the range, which is above 0. */
double chart_round_step(double range, int n_steps);

/* An axis over [low, high], both finite; an empty range is widened. `grow` moves the ends out to ticks. px fields are
 * 0. */
chart_axis_t chart_axis_linear(double low, double high, int n_ticks, bool grow);
/* The ends move out to 1, 2 or 5 times a power of ten; 0 < low <= high. */
chart_axis_t chart_axis_log(double low, double high);

double chart_axis_px(const chart_axis_t *a, double v);
int chart_axis_ticks(const chart_axis_t *a, double ticks[CHART_AXIS_MAX_TICKS]); /* how many */
void chart_axis_add_label(str_t *out, const chart_axis_t *a, double tick);       /* "0.25", "12k", "1.5e-4" */

#endif
