/* A training run in a report: headline figures, charts, provenance; contract in eval/report_parts.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/chart.h"
#include "eval/html.h"
#include "eval/report_parts.h"
#include "eval/run_stats.h"

enum { NARROW_MAX_BYTES = 14 }; /* of a text that stands in a headline figure of usual width */

void report_add_note(str_t *out, const char *text) {
    str_add(out, "<p class=\"note\">");
    str_add_html(out, text);
    str_add(out, "</p>\n");
}

void report_begin_figure(str_t *out, const char *label, bool wide) {
    str_addf(out, "<div%s><dt>", wide ? " class=\"wide\"" : "");
    str_add_html(out, label);
    str_add(out, "</dt><dd>");
}

void report_figure_detail(str_t *out) {
    str_add(out, "</dd><dd class=\"detail\">");
}

void report_end_figure(str_t *out) {
    str_add(out, "</dd></div>\n");
}

/* ---- headline figures ---- */

static void add_loss_figures(str_t *out, const run_log_t *r) {
    int64_t window = run_stats_window(r);
    double first = run_stats_first(r, RUN_LOSS), last = run_stats_last_mean(r, RUN_LOSS, window);
    if (isfinite(first) && isfinite(last)) {
        report_begin_figure(out, "Loss, first and last", false);
        html_add_number(out, first);
        str_add(out, " \u2192 ");
        html_add_number(out, last);
        report_figure_detail(out);
        if (first > 0) {
            str_add(out, last <= first ? "fell by " : "rose by ");
            html_add_percent(out, fabs(last - first) / first);
        }
        if (window > 1) {
            str_add(out, "; last: mean of ");
            html_add_int(out, window < r->n ? window : r->n);
            str_add(out, " steps");
        }
        report_end_figure(out);
    }
    double best = run_stats_least(r, RUN_VALIDATION_LOSS);
    if (!isfinite(best)) return;
    report_begin_figure(out, "Best validation loss", false);
    html_add_number(out, best);
    report_figure_detail(out);
    for (int64_t i = 0; i < r->n; i++)
        if (r->metric[RUN_VALIDATION_LOSS][i] == best) {
            str_add(out, "at step ");
            html_add_number(out, r->step[i]);
            break;
        }
    report_end_figure(out);
}

static void add_size_figures(str_t *out, const run_log_t *r) {
    if (isfinite(r->parameters)) {
        report_begin_figure(out, "Model", false);
        html_add_short(out, r->parameters);
        report_figure_detail(out);
        html_add_number(out, r->parameters);
        str_add(out, " parameters");
        report_end_figure(out);
    }
    if (r->n > 0) {
        report_begin_figure(out, "Steps", false);
        html_add_number(out, r->step[r->n - 1]);
        report_figure_detail(out);
        if (isfinite(r->steps)) {
            str_add(out, "of ");
            html_add_number(out, r->steps);
        }
        report_end_figure(out);
    }
    double images = run_stats_last(r, RUN_IMAGES);
    if (!isfinite(images)) return;
    report_begin_figure(out, "Images seen", false);
    html_add_number(out, images);
    report_figure_detail(out);
    if (isfinite(r->global_batch)) {
        html_add_number(out, r->global_batch);
        str_add(out, " a step");
    }
    report_end_figure(out);
}

static lens_status add_speed_figures(str_t *out, const run_log_t *r) {
    double images_per_s, mfu;
    LENS_TRY(run_stats_median(&images_per_s, r, RUN_IMAGES_PER_S));
    LENS_TRY(run_stats_median(&mfu, r, RUN_MFU));
    if (isfinite(images_per_s)) {
        report_begin_figure(out, "Throughput", false);
        html_add_number(out, images_per_s);
        str_add(out, "\u00a0images/s");
        report_figure_detail(out);
        str_add(out, "median step");
        report_end_figure(out);
    }
    if (isfinite(mfu)) {
        report_begin_figure(out, "MFU", false);
        html_add_percent(out, mfu);
        report_figure_detail(out);
        if (isfinite(r->peak_gflops)) {
            str_add(out, "of ");
            html_add_short(out, r->peak_gflops * 1e9);
            str_add(out, "FLOP/s, ");
        }
        str_add(out, isfinite(r->peak_gflops) ? "median step" : "median step, peak not known");
        report_end_figure(out);
    }
    if (isfinite(r->sgemm_ratio)) {
        report_begin_figure(out, "sgemm ratio G/T", false);
        html_add_number(out, r->sgemm_ratio);
        report_figure_detail(out);
        str_add(out, "time of the step\u2019s matrix products alone \u00f7 step time");
        report_end_figure(out);
    }
    return LENS_OK;
}

static void add_text_figure(str_t *out, const char *label, const char *value, const char *detail) {
    if (value == NULL) return;
    report_begin_figure(out, label, strlen(value) > NARROW_MAX_BYTES);
    str_add_html(out, value);
    report_figure_detail(out);
    if (detail != NULL) str_add_html(out, detail);
    report_end_figure(out);
}

static void add_machine_figures(str_t *out, const run_log_t *r) {
    double wall_s = r->wall_s;
    bool summed = !isfinite(wall_s) && run_stats_has(r, RUN_STEP_S);
    if (summed) wall_s = run_stats_last_mean(r, RUN_STEP_S, r->n) * (double)r->n;
    if (isfinite(wall_s)) {
        report_begin_figure(out, "Wall time", false);
        html_add_duration(out, wall_s);
        report_figure_detail(out);
        if (summed) str_add(out, "sum of the steps so far");
        report_end_figure(out);
    }
    if (isfinite(r->world) || isfinite(r->threads)) {
        report_begin_figure(out, "Ranks \u00d7 threads", false);
        html_add_number(out, r->world);
        str_add(out, " \u00d7 ");
        html_add_number(out, r->threads);
        report_figure_detail(out);
        report_end_figure(out);
    }
    add_text_figure(out, "Device", r->device, NULL);
    add_text_figure(out, "Version", r->version, r->commit != NULL ? r->commit : r->build);
}

/* ---- charts ---- */

/* The finite values of one metric and their steps; the arrays' owner is the struct. */
typedef struct {
    double *step, *value, *smooth;
    int64_t n;
} curve_t;

static void curve_free(curve_t *c) {
    free(c->step);
    free(c->value);
    free(c->smooth);
}

static lens_status curve_take(curve_t *out, const run_log_t *r, run_metric m, int64_t window) {
    *out = (curve_t){0};
    if (r->n == 0) return LENS_OK;
    size_t bytes = (size_t)r->n * sizeof(double);
    *out = (curve_t){.step = malloc(bytes), .value = malloc(bytes), .smooth = malloc(bytes)};
    if (out->step == NULL || out->value == NULL || out->smooth == NULL) {
        curve_free(out);
        *out = (curve_t){0};
        return lens_fail(LENS_MEMORY, "%s: out of memory", r->dir);
    }
    run_stats_smooth(out->smooth, r, m, window);
    for (int64_t i = 0; i < r->n; i++) {
        if (!isfinite(r->metric[m][i])) continue;
        out->step[out->n] = r->step[i];
        out->value[out->n] = r->metric[m][i];
        out->smooth[out->n++] = out->smooth[i];
    }
    return LENS_OK;
}

typedef struct {
    run_metric metric;
    const char *title, *unit;
    bool from_zero, smoothed, with_validation;
    double log_above; /* greatest / least from which the axis is logarithmic; 0: never */
} run_chart_t;

static lens_status add_chart(str_t *out, const run_log_t *r, const run_chart_t *chart) {
    if (!run_stats_has(r, chart->metric)) return LENS_OK;
    int64_t window = run_stats_window(r);
    curve_t raw = {0}, validation = {0};
    str_t mean_name = {0};
    lens_status st = LENS_OK;
    LENS_GO(curve_take(&raw, r, chart->metric, window));
    if (chart->with_validation) LENS_GO(curve_take(&validation, r, RUN_VALIDATION_LOSS, 1));
    str_add(&mean_name, "mean of ");
    html_add_int(&mean_name, window);
    str_add(&mean_name, " steps");
    LENS_GO(str_status(&mean_name));
    chart_series_t series[3];
    int n = 0;
    bool smoothed = chart->smoothed && window > 1;
    series[n++] = (chart_series_t){.name = chart->title, .x = raw.step, .y = raw.value, .n = raw.n, .faint = smoothed};
    if (smoothed) series[n++] = (chart_series_t){.name = mean_name.s, .x = raw.step, .y = raw.smooth, .n = raw.n};
    if (validation.n > 0)
        series[n++] = (chart_series_t){
            .name = "validation", .x = validation.step, .y = validation.value, .n = validation.n, .colour = 1};
    double least = run_stats_least(r, chart->metric), greatest = run_stats_greatest(r, chart->metric);
    chart_lines(out,
                &(chart_lines_t){.title = chart->title,
                                 .unit = chart->unit,
                                 .x_label = "step",
                                 .series = series,
                                 .n_series = n,
                                 .from_zero = chart->from_zero,
                                 .log_y = chart->log_above > 0 && least > 0 && greatest > least * chart->log_above});
done:
    str_free(&mean_name);
    curve_free(&validation);
    curve_free(&raw);
    return st;
}

static lens_status add_charts(str_t *out, const run_log_t *r) {
    static const run_chart_t charts[] = {
        {RUN_LOSS, "Loss", NULL, false, true, true, 30},
        {RUN_LR, "Learning rate", NULL, true, false, false, 0},
        {RUN_GRAD_NORM, "Gradient norm", "before clipping", false, true, false, 30},
        {RUN_IMAGES_PER_S, "Throughput", "images/s", true, true, false, 0},
    };
    str_add(out, "<div class=\"charts\">\n");
    for (size_t i = 0; i < sizeof charts / sizeof charts[0]; i++) LENS_TRY(add_chart(out, r, &charts[i]));
    str_add(out, "</div>\n");
    return LENS_OK;
}

lens_status report_run(str_t *out, const run_log_t *r, int index) {
    str_addf(out, "<section id=\"run-%d\"><h2>Training <em>", index);
    str_add_html(out, r->name);
    str_add(out, "</em></h2>\n");
    for (int64_t i = 0; i < r->n_notes; i++) report_add_note(out, r->notes[i]);
    str_add(out, "<dl class=\"figures\">\n");
    add_loss_figures(out, r);
    add_size_figures(out, r);
    LENS_TRY(add_speed_figures(out, r));
    add_machine_figures(out, r);
    str_add(out, "</dl>\n");
    LENS_TRY(add_charts(out, r));
    str_add(out, "</section>\n");
    return LENS_OK;
}

/* ---- provenance ---- */

static void add_row(str_t *out, const char *label, const char *value) {
    if (value == NULL) return;
    str_addf(out, "<tr><th scope=\"row\">%s</th><td>", label);
    str_add_html(out, value);
    str_add(out, "</td></tr>\n");
}

void report_provenance(str_t *out, const run_log_t *r, int index) {
    str_addf(out, "<section id=\"provenance-%d\"><h2>Provenance <em>", index);
    str_add_html(out, r->name);
    str_add(out, "</em></h2>\n<table class=\"facts\">\n");
    add_row(out, "Command", r->command);
    add_row(out, "Folder", r->dir);
    add_row(out, "Version", r->version);
    add_row(out, "Commit", r->commit);
    add_row(out, "Build", r->build);
    add_row(out, "Device", r->device);
    add_row(out, "Started", r->started);
    add_row(out, "Finished", r->finished);
    for (int64_t i = 0; i < r->n_datasets; i++) add_row(out, "Dataset", r->datasets[i]);
    str_add(out, "</table>\n");
    if (r->config != NULL) {
        str_add(out, "<details><summary>Resolved configuration</summary><pre>");
        str_add_html(out, r->config);
        str_add(out, "</pre></details>\n");
    }
    str_add(out, "</section>\n");
}
