#include "eval/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/build_info.h"
#include "base/file.h"
#include "eval/chart.h"
#include "eval/html.h"
#include "eval/report_parts.h"
#include "eval/report_style.h"
#include "eval/run_log.h"
#include "eval/run_stats.h"

/* What the page is about: the runs, and the datasets that they and the caller name, each once (borrowed paths). */
typedef struct {
    run_log_t *runs;
    int n_runs;
    const char **datasets;
    int n_datasets;
    const char *ablation;
} subject_t;

static void subject_free(subject_t *s) {
    for (int i = 0; i < s->n_runs; i++) run_log_free(&s->runs[i]);
    free(s->runs);
    free(s->datasets);
}

static lens_status add_dataset(subject_t *s, const char *dir) {
    for (int i = 0; i < s->n_datasets; i++)
        if (strcmp(s->datasets[i], dir) == 0) return LENS_OK;
    const char **grown = realloc(s->datasets, ((size_t)s->n_datasets + 1) * sizeof *grown);
    if (grown == NULL) return lens_fail(LENS_MEMORY, "%s: out of memory", dir);
    s->datasets = grown;
    grown[s->n_datasets++] = dir;
    return LENS_OK;
}

static lens_status subject_take(subject_t *s, const report_options_t *o) {
    if (o->n_runs + o->n_datasets == 0 && !o->ablation)
        return lens_fail(LENS_ARGUMENT, "a report needs a run folder, --dataset or --ablation");
    if (o->layers != NULL && (o->n_runs > 0 || o->n_datasets != 1))
        return lens_fail(LENS_ARGUMENT, "--layers: expected one --dataset and no run, got %d and %d", o->n_datasets,
                         o->n_runs);
    s->ablation = o->ablation;
    s->runs = calloc((size_t)o->n_runs + 1, sizeof *s->runs);
    if (s->runs == NULL) return lens_fail(LENS_MEMORY, "report: out of memory");
    for (int i = 0; i < o->n_runs; i++) {
        LENS_TRY(run_log_open(&s->runs[i], o->runs[i]));
        s->n_runs++;
        for (int64_t k = 0; k < s->runs[i].n_datasets; k++) LENS_TRY(add_dataset(s, s->runs[i].datasets[k]));
    }
    for (int i = 0; i < o->n_datasets; i++) LENS_TRY(add_dataset(s, o->datasets[i]));
    return LENS_OK;
}

static void add_title(str_t *out, const report_options_t *o, const subject_t *s) {
    if (o->title != NULL) {
        str_add_html(out, o->title);
    } else if (s->n_runs + s->n_datasets == 0) {
        str_add(out, "Caption ablation");
    } else {
        str_add(out, s->n_runs > 0 ? "Training report: " : "Dataset report: ");
        str_add_html(out, s->n_runs > 0 ? s->runs[0].name : s->datasets[0]);
        int n_more = (s->n_runs > 0 ? s->n_runs : s->n_datasets) - 1;
        if (n_more > 0) str_addf(out, " and %d more", n_more);
    }
}

/* "section" is the id's stem; `name` tells several apart. */
static void add_link(str_t *out, const char *section, int index, const char *text, const char *name) {
    str_addf(out, "<a href=\"#%s-%d\">%s", section, index, text);
    if (name != NULL) {
        str_add_char(out, ' ');
        str_add_html(out, name);
    }
    str_add(out, "</a>\n");
}

static void add_navigation(str_t *out, const subject_t *s) {
    str_add(out, "<nav>\n");
    for (int i = 0; i < s->n_runs; i++) {
        const char *name = s->n_runs > 1 ? s->runs[i].name : NULL;
        add_link(out, "run", i, "Training", name);
        if (s->runs[i].n_samples > 0) add_link(out, "samples", i, "Samples", name);
    }
    if (s->ablation) add_link(out, "ablation", 0, "Captions compared", NULL);
    for (int i = 0; i < s->n_datasets; i++) add_link(out, "data", i, "Data", s->n_datasets > 1 ? s->datasets[i] : NULL);
    for (int i = 0; i < s->n_runs; i++)
        add_link(out, "provenance", i, "Provenance", s->n_runs > 1 ? s->runs[i].name : NULL);
    str_add(out, "</nav>\n");
}

/* The losses of several runs over one another, smoothed. */
static lens_status add_comparison(str_t *out, const subject_t *s) {
    int n = s->n_runs < CHART_MAX_SERIES ? s->n_runs : CHART_MAX_SERIES;
    chart_series_t series[CHART_MAX_SERIES];
    double *smooth[CHART_MAX_SERIES] = {0};
    lens_status st = LENS_OK;
    for (int i = 0; i < n; i++) {
        const run_log_t *r = &s->runs[i];
        smooth[i] = malloc(((size_t)r->n + 1) * sizeof *smooth[i]);
        if (smooth[i] == NULL) LENS_GO(lens_fail(LENS_MEMORY, "%s: out of memory", r->dir));
        if (r->n > 0) run_stats_smooth(smooth[i], r, RUN_LOSS, run_stats_window(r));
        series[i] = (chart_series_t){.name = r->name, .x = r->step, .y = smooth[i], .n = r->n, .colour = i};
    }
    str_add(out, "<section><h2>Runs side by side</h2>\n<div class=\"charts\">\n");
    chart_lines(
        out, &(chart_lines_t){.title = "Loss", .unit = "smoothed", .x_label = "step", .series = series, .n_series = n});
    str_add(out, "</div>\n");
    if (n < s->n_runs) str_addf(out, "<p class=\"note\">The first %d of %d runs are drawn.</p>\n", n, s->n_runs);
    str_add(out, "</section>\n");
done:
    for (int i = 0; i < n; i++) free(smooth[i]);
    return st;
}

static lens_status add_sections(str_t *out, const subject_t *s, const char *layers) {
    if (s->n_runs > 1) LENS_TRY(add_comparison(out, s));
    for (int i = 0; i < s->n_runs; i++) {
        LENS_TRY(report_run(out, &s->runs[i], i));
        LENS_TRY(report_samples(out, &s->runs[i], i));
    }
    if (s->ablation) LENS_TRY(report_ablation(out, s->ablation));
    for (int i = 0; i < s->n_datasets; i++) LENS_TRY(report_data(out, s->datasets[i], layers, i));
    for (int i = 0; i < s->n_runs; i++) report_provenance(out, &s->runs[i], i);
    return LENS_OK;
}

lens_status report_build(str_t *html, const report_options_t *o) {
    subject_t s = {0};
    lens_status st = LENS_OK;
    LENS_GO(subject_take(&s, o));
    str_add(html, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                  "<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>");
    add_title(html, o, &s);
    str_add(html, "</title>\n<style>\n" REPORT_STYLE "</style></head>\n<body><main>\n<header><h1>");
    add_title(html, o, &s);
    str_add(html, "</h1>\n");
    if (s.n_runs + s.n_datasets + (s.ablation != NULL) > 1) add_navigation(html, &s);
    str_add(html, "</header>\n");
    LENS_GO(add_sections(html, &s, o->layers));
    str_addf(html, "<footer>Made by lens %s, commit %s.</footer>\n</main></body></html>\n", build_version(),
             build_commit());
    LENS_GO(str_status(html));
done:
    subject_free(&s);
    return st;
}

lens_status report_write(const char *path, const report_options_t *o) {
    str_t html = {0};
    lens_status st = report_build(&html, o);
    if (st == LENS_OK) st = file_write(path, html.s, html.len);
    str_free(&html);
    return st;
}
