/* The report: one self-contained HTML page on training runs and datasets, complete without scripts or a network.
 * One thread. */
#ifndef LENS_EVAL_REPORT_H
#define LENS_EVAL_REPORT_H

#include "base/str.h"

typedef struct {
    const char *title; /* NULL: named after the first run or dataset */
    const char *const *runs;
    int n_runs;
    const char *const *datasets; /* shown besides those that the runs name */
    int n_datasets;
    const char *layers;   /* folder with more layers of the one dataset, and perhaps figures of its own; NULL: none */
    const char *ablation; /* folder of the caption ablation's runs; NULL: none */
} report_options_t;

/* Adds the page to `html`. ARGUMENT where there is neither a run, a dataset nor an ablation, or layers without one
 * dataset; IO or FORMAT where a run is no run folder, or the ablation none. Missing parts and unreadable datasets are
 * said on the page. */
LENS_CHECKED lens_status report_build(str_t *html, const report_options_t *o);
LENS_CHECKED lens_status report_write(const char *path, const report_options_t *o); /* written aside and renamed */

#endif
