/* What a run of lens recaption did and cost, as its stats.json says; contract in eval/report_parts.h. */
#include <string.h>

#include "eval/html.h"
#include "eval/report_json.h"
#include "eval/report_parts.h"

#define WHERE "stats.json"
enum { REASONS_MAX = 64 };

/* Rows of the numbers that must be there. */
typedef struct {
    double wanted, captions, answers, tokens_in, tokens_out, usd, captions_per_s, captions_per_s_recent, pictures_per_s;
    double left, seconds_left, seconds_left_recent, total_usd;
    double budget_usd; /* 0: none */
} totals_t;

static lens_status take_totals(totals_t *t, const json_t *root) {
    const json_t *projection = json_object_get(root, "projection");
    const struct {
        const json_t *object;
        const char *name;
        double *into;
    } rows[] = {
        {root, "captions_wanted", &t->wanted},
        {root, "captions", &t->captions},
        {root, "answers", &t->answers},
        {root, "tokens_in", &t->tokens_in},
        {root, "tokens_out", &t->tokens_out},
        {root, "usd", &t->usd},
        {root, "captions_per_s", &t->captions_per_s},
        {root, "captions_per_s_recent", &t->captions_per_s_recent},
        {root, "pictures_per_s", &t->pictures_per_s},
        {projection, "captions_left", &t->left},
        {projection, "seconds_left", &t->seconds_left},
        {projection, "seconds_left_recent", &t->seconds_left_recent},
        {projection, "total_usd", &t->total_usd},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        LENS_TRY(report_json_number(rows[i].into, rows[i].object, rows[i].name, WHERE));
    if (!json_object_get(root, "budget_usd")) return LENS_OK;
    return report_json_number(&t->budget_usd, root, "budget_usd", WHERE);
}

/* ---- headline figures ---- */

static void add_usd(str_t *out, double usd) {
    if (usd >= 1000)
        html_add_short(out, usd);
    else
        str_addf(out, usd >= 0.1 || usd == 0 ? "%.2f" : "%.4f", usd);
    str_add(out, "\u00a0USD");
}

static void add_tokens_figure(str_t *out, const char *label, double tokens, double answers) {
    report_begin_figure(out, label, false);
    html_add_short(out, tokens);
    report_figure_detail(out);
    html_add_number(out, answers > 0 ? tokens / answers : 0);
    str_add(out, " an answer");
    report_end_figure(out);
}

static void add_done_figure(str_t *out, const totals_t *t) {
    report_begin_figure(out, "Captions settled", false);
    html_add_percent(out, t->wanted > 0 ? t->captions / t->wanted : 1);
    report_figure_detail(out);
    html_add_int(out, (int64_t)t->captions);
    str_add(out, " of ");
    html_add_int(out, (int64_t)t->wanted);
    report_end_figure(out);
}

static void add_cost_figures(str_t *out, const totals_t *t) {
    report_begin_figure(out, "Cost", false);
    add_usd(out, t->usd);
    report_figure_detail(out);
    if (t->budget_usd > 0) {
        str_add(out, "budget ");
        add_usd(out, t->budget_usd);
    } else if (t->captions > 0) {
        add_usd(out, t->usd / t->captions * 1000);
        str_add(out, " a thousand captions");
    }
    report_end_figure(out);
    if (t->left <= 0) return;
    report_begin_figure(out, "Cost of the whole set", false);
    add_usd(out, t->total_usd);
    report_figure_detail(out);
    str_add(out, "projected from the mean");
    report_end_figure(out);
}

static void add_left_figure(str_t *out, const totals_t *t) {
    if (t->left <= 0) return;
    const bool is_recent = t->seconds_left_recent > 0;
    report_begin_figure(out, "Time left", false);
    html_add_duration(out, is_recent ? t->seconds_left_recent : t->seconds_left);
    report_figure_detail(out);
    html_add_int(out, (int64_t)t->left);
    str_add(out, is_recent ? " captions, at the last speed" : " captions");
    report_end_figure(out);
}

static void add_figures(str_t *out, const totals_t *t) {
    str_add(out, "<dl class=\"figures\">\n");
    add_done_figure(out, t);
    report_begin_figure(out, "Pictures a second", false);
    html_add_number(out, t->pictures_per_s);
    report_figure_detail(out);
    html_add_number(out, t->captions_per_s);
    str_add(out, " captions/s");
    report_end_figure(out);
    add_tokens_figure(out, "Tokens in", t->tokens_in, t->answers);
    add_tokens_figure(out, "Tokens out", t->tokens_out, t->answers);
    if (t->total_usd > 0) add_cost_figures(out, t);
    add_left_figure(out, t);
    str_add(out, "</dl>\n");
}

/* ---- endpoints ---- */

static lens_status add_endpoint(str_t *out, const json_t *e) {
    static const char *const counts[] = {"answered", "failed", "answers_per_s", "tokens_in", "tokens_out"};
    static const char *const latencies[] = {"mean", "p50", "p95"};
    const char *name = json_string_value(json_object_get(e, "name"));
    double value;
    str_add(out, "<tr><th scope=\"row\">");
    str_add_html(out, name ? name : "");
    if (json_is_true(json_object_get(e, "rested"))) str_add(out, " <small>rests</small>");
    str_add(out, "</th>");
    for (int i = 0; i < 5; i++) {
        LENS_TRY(report_json_number(&value, e, counts[i], WHERE ": endpoints"));
        str_add(out, "<td>");
        (i < 3 ? html_add_number : html_add_short)(out, value);
        str_add(out, "</td>");
    }
    for (int i = 0; i < 3; i++) {
        LENS_TRY(report_json_number(&value, json_object_get(e, "latency_s"), latencies[i], WHERE ": endpoints"));
        str_add(out, "<td>");
        html_add_duration(out, value);
        str_add(out, "</td>");
    }
    str_add(out, "</tr>\n");
    return LENS_OK;
}

static lens_status add_endpoints(str_t *out, const json_t *endpoints) {
    size_t i;
    const json_t *e;
    if (json_array_size(endpoints) == 0) return LENS_OK;
    str_add(out, "<div class=\"scroll\"><table class=\"compared\"><thead><tr><th>Endpoint</th><th>answers</th>"
                 "<th>failed</th><th>answers/s</th><th>tokens in</th><th>out</th><th>latency</th><th>median</th>"
                 "<th>95 %</th></tr></thead>\n<tbody>\n");
    json_array_foreach(endpoints, i, e) LENS_TRY(add_endpoint(out, e));
    str_add(out, "</tbody></table></div>\n");
    return LENS_OK;
}

/* ---- reasons ---- */

/* Each that any kind has, once; "accepted" first. */
static int take_reasons(const char *reasons[REASONS_MAX], json_t *kinds) {
    const char *kind, *reason;
    json_t *counts, *count;
    int n = 1;
    reasons[0] = "accepted";
    json_object_foreach(kinds, kind, counts) {
        json_object_foreach(counts, reason, count) {
            int at = 0;
            while (at < n && strcmp(reasons[at], reason) != 0) at++;
            if (at == n && n < REASONS_MAX) reasons[n++] = reason;
        }
    }
    return n;
}

static double answers_of(json_t *counts) {
    const char *reason;
    json_t *count;
    double n = 0;
    json_object_foreach(counts, reason, count) n += json_number_value(count);
    return n;
}

static lens_status add_reason(str_t *out, const char *reason, json_t *kinds) {
    const char *kind;
    json_t *counts;
    str_add(out, "<tr><th scope=\"row\">");
    str_add_html(out, reason);
    str_add(out, "</th>");
    json_object_foreach(kinds, kind, counts) {
        double n = 0;
        if (json_object_get(counts, reason)) LENS_TRY(report_json_number(&n, counts, reason, WHERE ": kinds"));
        const double all = answers_of(counts);
        str_add(out, "<td>");
        html_add_int(out, (int64_t)n);
        str_add(out, "</td><td>");
        html_add_percent(out, all > 0 ? n / all : 0);
        str_add(out, "</td>");
    }
    str_add(out, "</tr>\n");
    return LENS_OK;
}

static lens_status add_reasons(str_t *out, json_t *kinds) {
    const char *kind, *reasons[REASONS_MAX];
    json_t *counts;
    if (json_object_size(kinds) == 0) return LENS_OK;
    const int n = take_reasons(reasons, kinds);
    str_add(out, "<div class=\"scroll\"><table class=\"compared\"><thead><tr><th>Answers</th>");
    json_object_foreach(kinds, kind, counts) {
        str_add(out, "<th scope=\"col\">");
        str_add_html(out, kind);
        str_add(out, "</th><th></th>");
    }
    str_add(out, "</tr></thead>\n<tbody>\n");
    for (int r = 0; r < n; r++) LENS_TRY(add_reason(out, reasons[r], kinds));
    str_add(out, "</tbody></table></div>\n");
    return LENS_OK;
}

/* ---- the part ---- */

static lens_status add_all(str_t *out, json_t *root) {
    totals_t t = {0};
    LENS_TRY(take_totals(&t, root));
    str_add(out, "<h3>How the captions were made</h3>\n");
    add_figures(out, &t);
    LENS_TRY(add_reasons(out, json_object_get(root, "kinds")));
    LENS_TRY(add_endpoints(out, json_object_get(root, "endpoints")));
    str_add(out, "<p class=\"aside\">Answers are all that came, those that were turned down and asked for again "
                 "too. Endpoints are those of the last run.</p>\n");
    return str_status(out);
}

/* What is damaged adds nothing. */
lens_status report_recaption_of(str_t *out, json_t *root) {
    str_t part = {0};
    lens_status st = add_all(&part, root);
    if (st == LENS_OK) str_add(out, str_text(&part));
    str_free(&part);
    return st;
}

lens_status report_recaption(str_t *out, const char *dir) {
    json_t *root;
    LENS_TRY(report_json_read(&root, dir, WHERE));
    lens_status st = root ? report_recaption_of(out, root) : LENS_OK;
    json_decref(root);
    return st;
}
