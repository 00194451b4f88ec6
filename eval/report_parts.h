/* The sections of a report, one function each, and the pieces they share. All add HTML to a str_t, whose `failed` is
 * checked at the end by report_build; a status is returned where something else can fail. One thread. */
#ifndef LENS_EVAL_REPORT_PARTS_H
#define LENS_EVAL_REPORT_PARTS_H

#include <jansson.h>

#include "eval/run_log.h"

void report_add_note(str_t *out, const char *text); /* a visible line on what is missing */

/* Headline figures are a list of these, <dl class="figures">: begin, the value, detail, a smaller line or nothing, end.
 * `wide` is for values that are words. */
void report_begin_figure(str_t *out, const char *label, bool wide);
void report_figure_detail(str_t *out);
void report_end_figure(str_t *out);

/* Sections of run number `index` (from 0); ids are run-N, samples-N, provenance-N. */
LENS_CHECKED lens_status report_run(str_t *out, const run_log_t *r, int index);
LENS_CHECKED lens_status report_samples(str_t *out, const run_log_t *r, int index);
void report_provenance(str_t *out, const run_log_t *r, int index);

/* Section of the caption ablation whose runs are in `dir`, id ablation-0. IO or FORMAT where they cannot be read. */
LENS_CHECKED lens_status report_ablation(str_t *out, const char *dir);

/* Table of the stages of the dataset's ingest; nothing where it has no ingest.json. FORMAT where that is damaged. */
LENS_CHECKED lens_status report_funnel(str_t *out, const char *dir);
/* DIR/stats.json, which lens recaption writes: speed, tokens, reasons, cost, endpoints. DIR/caption-stats.json, which
 * lens caption-stats -o writes: its figures as charts and a table. Nothing where there is no such file; FORMAT, and
 * nothing added, where it is damaged. _of: the file as parsed. */
LENS_CHECKED lens_status report_recaption(str_t *out, const char *dir);
LENS_CHECKED lens_status report_recaption_of(str_t *out, json_t *root);
LENS_CHECKED lens_status report_captions(str_t *out, const char *dir);
LENS_CHECKED lens_status report_captions_of(str_t *out, json_t *root);
/* Section of one dataset, id data-N; layers: NULL, or a folder with more of them. Where the dataset cannot be read, the
 * section says so and the status is OK. */
LENS_CHECKED lens_status report_data(str_t *out, const char *dir, const char *layers, int index);

#endif
