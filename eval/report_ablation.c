/* The caption ablation on a page: figures, tables, samples; contract in eval/report_parts.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "eval/ablation.h"
#include "eval/chart.h"
#include "eval/html.h"
#include "eval/report_parts.h"

enum { PNG_MAX_BYTES = 4 << 20, BAR_POINTS = 3 };

/* Colours tell arms apart within one chart; the arms of a list are never more than these. */
static const char *const MAIN_ARMS[] = {"brief", "detailed", "mixed", "describe", "alt", "brief-tokens", NULL};
static const char *const WRONG_ARMS[] = {"brief", "detailed", "wrong10", "wrong25", "wrong50", NULL};

typedef enum { BY_IMAGES, BY_FLOP, BY_WORDS, BY_FACTS, BY_BITS, N_AXES } axis;

static const struct {
    const char *label, *title;
} AXES[N_AXES] = {[BY_IMAGES] = {"images seen", "images seen"},
                  [BY_FLOP] = {"TFLOP of training", "compute"},
                  [BY_WORDS] = {"words a caption", "words"},
                  [BY_FACTS] = {"true facts a caption", "true facts"},
                  [BY_BITS] = {"bits a caption, packed", "bits"}};

static double at(const ablation_run_t *r, int point, axis x) {
    switch (x) {
    case BY_IMAGES:
        return r->points[point].images;
    case BY_FLOP:
        return r->points[point].flop * 1e-12;
    case BY_WORDS:
        return r->words;
    case BY_FACTS:
        return r->facts * (1 - r->wrong);
    default:
        return r->bits;
    }
}

/* An arm in a chart: its line or its dot, and a bar for the interval of each point. */
typedef struct {
    double x[ABLATION_MAX_POINTS], y[ABLATION_MAX_POINTS];
    double bar_x[ABLATION_MAX_POINTS * BAR_POINTS], bar_y[ABLATION_MAX_POINTS * BAR_POINTS];
    int n;
} drawn_t;

static void draw_point(drawn_t *d, double x, interval_t v) {
    double *bar_x = d->bar_x + BAR_POINTS * d->n, *bar_y = d->bar_y + BAR_POINTS * d->n;
    d->x[d->n] = x;
    d->y[d->n++] = 100 * v.value;
    for (int i = 0; i < BAR_POINTS; i++) bar_x[i] = x;
    bar_y[0] = 100 * fmax(v.low, 0); /* Student knows no bounds; the table has all of it */
    bar_y[1] = 100 * fmin(v.high, 1);
    bar_y[2] = NAN;
}

static void draw_arm(drawn_t *d, const ablation_arm_t *arm, axis x, compose_form f) {
    int n = arm->runs[0]->n_points, first = x == BY_IMAGES || x == BY_FLOP ? 0 : n - 1;
    d->n = 0;
    for (int p = first; p < n; p++)
        if (isfinite(at(arm->runs[0], p, x)))
            draw_point(d, at(arm->runs[0], p, x), ablation_score(arm, p, f, COMPOSE_OVERALL));
}

static void add_chart(str_t *out, const ablation_t *a, const char *const *arms, axis x, compose_form f) {
    chart_series_t series[2 * CHART_MAX_SERIES];
    drawn_t drawn[CHART_MAX_SERIES];
    char title[100];
    int n = 0;
    bool over_time = x == BY_IMAGES || x == BY_FLOP;
    for (int i = 0; arms[i]; i++) {
        const ablation_arm_t *arm = ablation_find(a, arms[i]);
        if (!arm) continue;
        drawn_t *d = &drawn[n / 2];
        draw_arm(d, arm, x, f);
        if (d->n == 0) continue;
        series[n++] = (chart_series_t){.x = d->bar_x,
                                       .y = d->bar_y,
                                       .n = BAR_POINTS * d->n,
                                       .colour = i,
                                       .faint = true,
                                       .quiet = true,
                                       .name = arm->name};
        series[n++] =
            (chart_series_t){.x = d->x, .y = d->y, .n = d->n, .colour = i, .dots = !over_time, .name = arm->name};
    }
    snprintf(title, sizeof title, "Composition against %s, %s prompts", AXES[x].title, compose_form_word(f));
    chart_lines(out, &(chart_lines_t){.title = title,
                                      .unit = "% right, mean of six tasks",
                                      .x_label = AXES[x].label,
                                      .series = series,
                                      .n_series = n,
                                      .from_zero = true});
}

static void add_charts(str_t *out, const ablation_t *a, const char *const *arms, axis first, axis last) {
    str_add(out, "<div class=\"charts\">\n");
    for (axis x = first; x <= last; x++)
        for (int f = 0; f < COMPOSE_N_FORMS; f++) add_chart(out, a, arms, x, (compose_form)f);
    str_add(out, "</div>\n");
}

/* ---- tables ---- */

static void add_interval(str_t *out, interval_t v) {
    str_add(out, "<td>");
    if (isfinite(v.value)) str_addf(out, "%s%.1f", v.value < 0 ? "\u2212" : "", 100 * fabs(v.value));
    if (isfinite(v.low))
        str_addf(out, "<br/><small>%s%.1f to %s%.1f</small>", v.low < 0 ? "\u2212" : "", 100 * fabs(v.low),
                 v.high < 0 ? "\u2212" : "", 100 * fabs(v.high));
    str_add(out, "</td>");
}

static void begin_table(str_t *out, const char *first) {
    str_addf(out, "<div class=\"scroll\"><table class=\"kinds\"><thead><tr><th>%s</th><th>seeds</th>", first);
    for (int t = 0; t <= COMPOSE_OVERALL; t++) str_addf(out, "<th>%s</th>", compose_task_title((compose_task)t));
    str_add(out, "</tr></thead><tbody>\n");
}

static void end_table(str_t *out) {
    str_add(out, "</tbody></table></div>\n");
}

static void begin_row(str_t *out, const char *arm, compose_form f, int seeds) {
    str_add(out, "<tr><th>");
    str_add_html(out, arm);
    str_addf(out, ", %s</th><td>%d</td>", compose_form_word(f), seeds);
}

static void add_scores(str_t *out, const ablation_t *a) {
    str_add(out, "<h3>Right pictures at the end of training, %</h3>\n");
    begin_table(out, "captions, prompts");
    for (int i = 0; i < a->n_arms; i++)
        for (int f = 0; f < COMPOSE_N_FORMS; f++) {
            const ablation_arm_t *arm = &a->arms[i];
            begin_row(out, arm->name, (compose_form)f, arm->n_runs);
            for (int t = 0; t <= COMPOSE_OVERALL; t++)
                add_interval(out, ablation_score(arm, arm->runs[0]->n_points - 1, (compose_form)f, (compose_task)t));
            str_add(out, "</tr>\n");
        }
    end_table(out);
    str_add(out,
            "<p class=\"aside\">Small: 95 % intervals. Of an arm with several seeds Student's over the seeds; of one "
            "with a single seed Wilson's over its prompts, which says nothing of other seeds. Prompts: short as brief "
            "captions are, long as detailed ones, about the same facts.</p>\n");
}

static void add_differences(str_t *out, const ablation_t *a) {
    const ablation_arm_t *detailed = ablation_find(a, "detailed");
    if (!detailed || a->n_arms == 1) return;
    str_add(out, "<h3>Detailed minus the others, percentage points</h3>\n");
    begin_table(out, "minus, prompts");
    for (int i = 0; i < a->n_arms; i++)
        for (int f = 0; f < COMPOSE_N_FORMS && &a->arms[i] != detailed; f++) {
            int n;
            (void)ablation_difference(detailed, &a->arms[i], (compose_form)f, COMPOSE_OVERALL, &n);
            if (n == 0) continue;
            begin_row(out, a->arms[i].name, (compose_form)f, n);
            for (int t = 0; t <= COMPOSE_OVERALL; t++)
                add_interval(out, ablation_difference(detailed, &a->arms[i], (compose_form)f, (compose_task)t, &n));
            str_add(out, "</tr>\n");
        }
    end_table(out);
    str_add(out, "<p class=\"aside\">Paired by seed.</p>\n");
}

static void add_number(str_t *out, double v) {
    str_add(out, "<td>");
    if (isfinite(v)) html_add_number(out, v);
    str_add(out, "</td>");
}

static void add_arms(str_t *out, const ablation_t *a) {
    str_add(out, "<h3>What the arms are trained on</h3>\n<div class=\"scroll\"><table class=\"kinds\"><thead><tr>"
                 "<th>captions</th><th>words</th><th>facts</th><th>wrong</th><th>bits</th><th>steps</th><th>images</th>"
                 "<th>M tokens</th><th>TFLOP</th><th>held-out loss</th><th>minutes a run</th></tr></thead><tbody>\n");
    for (int i = 0; i < a->n_arms; i++) {
        const ablation_run_t *r = a->arms[i].runs[0];
        const ablation_point_t *end = &r->points[r->n_points - 1];
        const double values[] = {r->words,    r->facts,           r->wrong,          r->bits,         r->steps,
                                 end->images, end->tokens * 1e-6, end->flop * 1e-12, end->valid_loss, r->seconds / 60};
        str_add(out, "<tr><th>");
        str_add_html(out, a->arms[i].name);
        str_add(out, "</th>");
        for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) add_number(out, values[k]);
        str_add(out, "</tr>\n");
    }
    end_table(out);
    str_add(
        out,
        "<p class=\"aside\">A caption's mean; wrong: the share of its facts. The first seed's run. Held-out loss is on "
        "captions of the arm's own kind, and does not compare captions.</p>\n");
}

/* ---- samples ---- */

/* The first seed's sheet; what cannot be read becomes a note in its place. */
static lens_status add_sheet(str_t *out, const ablation_t *a, const ablation_arm_t *arm) {
    char *png = NULL;
    size_t n = 0;
    str_t path = {0};
    str_addf(&path, "%s/%s", a->dir, arm->runs[0]->samples);
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = file_read(&png, &n, path.s, PNG_MAX_BYTES);
    if (st == LENS_OK && (n < 8 || memcmp(png, "\x89PNG\r\n\x1a\n", 8) != 0))
        st = lens_fail(LENS_FORMAT, "%s: no PNG file", path.s);
    str_add(out, "<figure>");
    if (st == LENS_OK) {
        str_add(out, "<img alt=\"Samples\" src=\"");
        html_add_data_uri(out, "image/png", png, n);
        str_add(out, "\"/>");
    } else if (st != LENS_MEMORY) {
        report_add_note(out, lens_error());
        st = LENS_OK;
    }
    str_add(out, "<figcaption>");
    str_add_html(out, arm->name);
    str_addf(out, ", seed %lld</figcaption></figure>\n", (long long)arm->runs[0]->seed);
    free(png);
    str_free(&path);
    return st;
}

static lens_status add_sheets(str_t *out, const ablation_t *a) {
    str_add(out, "<h3>Samples of the same prompts</h3>\n<p class=\"aside\">configs/ablation-prompts.txt: the upper "
                 "half short, the "
                 "lower half long prompts about the same pictures.</p>\n<div class=\"charts arms\">\n");
    for (int i = 0; i < a->n_arms; i++) LENS_TRY(add_sheet(out, a, &a->arms[i]));
    str_add(out, "</div>\n");
    return LENS_OK;
}

lens_status report_ablation(str_t *out, const char *dir) {
    ablation_t a;
    LENS_TRY(ablation_open(&a, dir));
    str_add(
        out,
        "<section id=\"ablation-0\"><h2>Captions compared</h2>\n<p>Equal models on equal pictures: initial weights, "
        "order, noise and steps are the seed's, and captions are all that differs.</p>\n");
    add_charts(out, &a, MAIN_ARMS, BY_IMAGES, BY_FLOP);
    add_scores(out, &a);
    add_differences(out, &a);
    bool has_wrong = ablation_find(&a, "wrong10") || ablation_find(&a, "wrong25") || ablation_find(&a, "wrong50");
    if (has_wrong) {
        str_add(out, "<h3>How wrong may a captioner be?</h3>\n");
        add_charts(out, &a, WRONG_ARMS, BY_IMAGES, BY_IMAGES);
        add_charts(out, &a, WRONG_ARMS, BY_FACTS, BY_FACTS);
    }
    str_add(out, "<h3>Density</h3>\n");
    add_charts(out, &a, MAIN_ARMS, BY_WORDS, BY_BITS);
    add_arms(out, &a);
    lens_status st = add_sheets(out, &a);
    str_add(out, "</section>\n");
    ablation_free(&a);
    return st;
}
