/* Charts as HTML figures with inline SVG: lines, histograms, points and bars from plain arrays. Knows nothing of runs
 * or datasets.
 *
 * A figure is <figure class="chart"> with a caption (title, unit, legend) and an SVG that scales with its column; its
 * colours come from the page's style (classes c0..c5). Every text is escaped here. Tooltips are <title> elements on
 * columns as high as the plot, so that no script is needed. Reentrant; any thread. */
#ifndef LENS_EVAL_CHART_H
#define LENS_EVAL_CHART_H

#include "base/str.h"

#define CHART_MAX_SERIES 6 /* colours the style has */

typedef struct {
    const char *name;    /* in legend and tooltips */
    const double *x, *y; /* [n] x ascending, borrowed; NaN in y leaves a gap */
    int64_t n;
    int colour; /* 0..CHART_MAX_SERIES-1 */
    bool faint; /* drawn thin and pale, left out of the legend's weight: raw values under a smoothed line */
    bool quiet; /* left out of tooltips: bars of intervals, two equal x each and a gap */
    bool dots;  /* points apart, not a line */
} chart_series_t;

typedef struct {
    const char *title, *unit; /* of the values; unit may be NULL */
    const char *x_label;      /* "step" */
    const chart_series_t *series;
    int n_series;
    bool from_zero; /* the value axis begins at 0 */
    bool log_y;     /* 1-2-5 decades; needs every value above 0, else the axis is linear */
} chart_lines_t;

/* Draws nothing where no series has a finite value. Long series are thinned to the least and greatest value of each
 * column of pixels, so that no spike is lost. */
void chart_lines(str_t *out, const chart_lines_t *c);

typedef struct {
    const char *name;
    const double *values; /* [n] finite, any order, borrowed */
    int64_t n;
    int colour;
} chart_sample_t;

typedef struct {
    const char *title, *unit; /* unit of the values, under the axis */
    const char *count_noun;   /* what is counted: "pictures" */
    const chart_sample_t *samples;
    int n_samples; /* at most CHART_MAX_SERIES */
    bool whole;    /* values are whole numbers: no bin is narrower than 1 */
} chart_histogram_t;

/* Bins are shared by all samples and have round edges. Draws nothing where there are no values. */
void chart_histogram(str_t *out, const chart_histogram_t *c);

typedef struct {
    const char *name;
    double x, y; /* finite, >= 0 */
    int colour;
} chart_point_t;

typedef struct {
    const char *title, *unit, *x_label; /* unit: of y */
    const chart_point_t *points;
    int n_points;
} chart_points_t;

/* Both axes begin at 0. Draws nothing where there are no points. */
void chart_points(str_t *out, const chart_points_t *c);

typedef struct {
    const char *name;
    const double *values; /* [n_groups] finite, >= 0 */
    int colour;
} chart_bar_t;

typedef struct {
    const char *title, *unit;
    const char *const *groups; /* names under the axis */
    int n_groups;
    const chart_bar_t *bars; /* one of each in every group, values written above where there is room */
    int n_bars;
} chart_bars_t;

/* Draws nothing where there are no groups or no bars. */
void chart_bars(str_t *out, const chart_bars_t *c);

#endif
