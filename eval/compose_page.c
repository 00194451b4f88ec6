/* The composition score as a page: scores, and every picture with its prompt and verdict; contract in eval/compose.h.
 */
#include <inttypes.h>
#include <string.h>

#include "base/build_info.h"
#include "base/file.h"
#include "eval/compose.h"
#include "eval/html.h"
#include "eval/report_parts.h"
#include "eval/report_style.h"

enum { SHOWN_AT_ONCE = 12 }; /* of a task; the others are folded away */

/* The frame says the verdict in color, the line below it in words. */
#define COMPOSE_STYLE                                                                                                  \
    ".judged{display:grid;grid-template-columns:repeat(auto-fill,minmax(165px,1fr));gap:22px 18px}\n"                  \
    ".judged img{width:100%;image-rendering:pixelated;border:3px solid var(--c);border-radius:8px}\n"                  \
    ".judged figcaption{font-size:13.5px;line-height:1.4;margin-top:6px;overflow-wrap:anywhere}\n"                     \
    ".judged b{color:var(--c);font-weight:600}.judged span{display:block;color:var(--soft)}\n"                         \
    ".yes{--c:var(--c2)}.no{--c:var(--c4)}.unknown{--c:var(--note)}\n"                                                 \
    ".judged+details .judged{margin-top:18px}h3 small{font-size:14px;font-weight:400;color:var(--soft);"               \
    "margin-left:.5em}\n"

static const char *form_title(compose_form f) {
    return f == COMPOSE_SHORT ? "Short prompts" : "Long prompts";
}

static int64_t unknown_of(const compose_t *c, compose_form f, int task) {
    if (task < COMPOSE_N_TASKS) return c->counts[f][task].unknown;
    int64_t n = 0;
    for (int t = 0; t < COMPOSE_N_TASKS; t++) n += c->counts[f][t].unknown;
    return n;
}

/* ---- scores ---- */
static void add_score(str_t *out, const compose_t *c, compose_form f, int task) {
    interval_t s = compose_score(c, f, task);
    int64_t n = task < COMPOSE_N_TASKS ? c->options.n : c->n;
    str_addf(out, "<td>%.1f</td><td>%.1f\u2013%.1f</td><td>%.1f</td>", 100 * s.value, 100 * s.low, 100 * s.high,
             100 * (double)unknown_of(c, f, task) / (double)n);
}

static void add_table(str_t *out, const compose_t *c) {
    str_add(out, "<section id=\"scores\"><h2>Scores</h2>\n<div class=\"scroll\"><table>\n<thead>");
    for (int row = 0; row < 2; row++) {
        str_add(out, row == 0 ? "<tr><th></th>" : "<tr><th>task</th>");
        for (int f = 0; f < COMPOSE_N_FORMS; f++) {
            if (!c->pictures[f]) continue;
            if (row == 0)
                str_addf(out, "<th colspan=\"3\">%s</th>", form_title((compose_form)f));
            else
                str_add(out, "<th>right, %</th><th>95 % interval</th><th>unknown, %</th>");
        }
        str_add(out, row == 0 ? "</tr>\n" : "</tr></thead>\n<tbody>\n");
    }
    for (int t = 0; t <= COMPOSE_OVERALL; t++) {
        str_addf(out, "<tr><th>%s</th>", compose_task_word((compose_task)t));
        for (int f = 0; f < COMPOSE_N_FORMS; f++)
            if (c->pictures[f]) add_score(out, c, (compose_form)f, t);
        str_add(out, "</tr>\n");
    }
    str_add(out,
            "</tbody></table></div>\n<p class=\"aside\">Overall is the mean of the six tasks. Unknown counts as not "
            "right: an object whose shape or color the detector would not say could be what was asked for. Intervals "
            "are Wilson's over prompts; they know nothing of another seed of training.</p>\n</section>\n");
}

static void add_figures(str_t *out, const compose_t *c) {
    const compose_options_t *o = &c->options;
    str_add(out, "<dl class=\"figures\">\n");
    for (int f = 0; f < COMPOSE_N_FORMS; f++) {
        if (!c->pictures[f]) continue;
        interval_t s = compose_score(c, (compose_form)f, COMPOSE_OVERALL);
        report_begin_figure(out, form_title((compose_form)f), false);
        html_add_percent(out, s.value);
        report_figure_detail(out);
        str_addf(out, "right, %.1f to %.1f", 100 * s.low, 100 * s.high);
        report_end_figure(out);
    }
    report_begin_figure(out, "Prompts of a task and form", false);
    html_add_int(out, o->n);
    report_figure_detail(out);
    str_addf(out, "seed %" PRIu64, o->seed);
    report_end_figure(out);
    report_begin_figure(out, "Pictures", false);
    str_addf(out, "%" PRId64 " \u00d7 %" PRId64 " px", c->width, c->height);
    report_figure_detail(out);
    str_addf(out, "%" PRId64 " steps, guidance %g, %s weights", o->steps, o->guidance,
             c->averaged ? "averaged" : "last");
    report_end_figure(out);
    str_add(out, "</dl>\n");
}

/* ---- pictures ---- */
static lens_status add_picture(str_t *out, const compose_picture_t *p, str_t *png) {
    str_clear(png);
    LENS_TRY(image_encode_png(png, &p->picture));
    str_addf(out, "<figure class=\"%s\"><img width=\"%d\" height=\"%d\" alt=\"\" src=\"",
             compose_verdict_word(p->verdict), p->picture.width, p->picture.height);
    html_add_data_uri(out, "image/png", png->s, png->len);
    str_add(out, "\"/><figcaption>");
    str_add_html(out, p->prompt);
    static const char *const SAYS[] = {"Right", "Wrong", "Unknown"};
    str_addf(out, "<span><b>%s:</b> ", SAYS[p->verdict]);
    compose_describe(&p->seen, out);
    str_add(out, "</span></figcaption></figure>\n");
    return LENS_OK;
}

static lens_status add_task(str_t *out, const compose_t *c, compose_form f, int task, str_t *png) {
    const compose_count_t *count = &c->counts[f][task];
    str_addf(out, "<h3>%s <small>%" PRId64 " of %" PRId64 " right, %" PRId64 " unknown; asked for: ",
             compose_task_word((compose_task)task), count->right, count->n, count->unknown);
    str_add_html(out, compose_task_help((compose_task)task));
    str_add(out, "</small></h3>\n<div class=\"judged\">\n");
    for (int64_t k = 0; k < c->options.n; k++) {
        if (k == SHOWN_AT_ONCE)
            str_addf(out, "</div>\n<details><summary>%" PRId64 " more</summary>\n<div class=\"judged\">\n",
                     c->options.n - k);
        LENS_TRY(add_picture(out, &c->pictures[f][k * COMPOSE_N_TASKS + task], png));
    }
    str_add(out, c->options.n > SHOWN_AT_ONCE ? "</div></details>\n" : "</div>\n");
    return LENS_OK;
}

static lens_status add_form(str_t *out, const compose_t *c, compose_form f) {
    str_t png = {0};
    lens_status st = LENS_OK;
    str_addf(out, "<section id=\"%s\"><h2>%s</h2>\n", compose_form_word(f), form_title(f));
    for (int t = 0; t < COMPOSE_N_TASKS && st == LENS_OK; t++) st = add_task(out, c, f, t, &png);
    str_add(out, "</section>\n");
    str_free(&png);
    return st;
}

lens_status compose_page(const compose_t *c, str_t *out) {
    str_add(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n"
                 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                 "<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>Composition score</title>\n"
                 "<style>\n" REPORT_STYLE COMPOSE_STYLE "</style></head>\n<body><main>\n<header><h1>Composition: ");
    str_add_html(out, c->checkpoint);
    str_add(out, "</h1>\n<nav>\n<a href=\"#scores\">Scores</a>\n");
    for (int f = 0; f < COMPOSE_N_FORMS; f++)
        if (c->pictures[f])
            str_addf(out, "<a href=\"#%s\">%s</a>\n", compose_form_word((compose_form)f), form_title((compose_form)f));
    str_add(out, "</nav></header>\n<section>\n");
    add_figures(out, c);
    str_add(out, "</section>\n");
    add_table(out, c);
    for (int f = 0; f < COMPOSE_N_FORMS; f++)
        if (c->pictures[f]) LENS_TRY(add_form(out, c, (compose_form)f));
    str_addf(out,
             "<footer>Made by lens %s, commit %s. A picture's line says what the detector saw in it.</footer>\n"
             "</main></body></html>\n",
             build_version(), build_commit());
    return str_status(out);
}

/* ---- the folder ---- */
static void picture_json(const compose_picture_t *p, compose_form f, int64_t i, str_t *out) {
    str_t seen = {0};
    str_addf(out, "{\"form\": \"%s\", \"task\": \"%s\", \"number\": %" PRId64 ", \"verdict\": \"%s\", \"prompt\": ",
             compose_form_word(f), compose_task_word(p->facts.task), i / COMPOSE_N_TASKS,
             compose_verdict_word(p->verdict));
    str_add_json(out, p->prompt, strlen(p->prompt));
    compose_describe(&p->seen, &seen);
    str_add(out, ", \"seen\": ");
    str_add_json(out, str_text(&seen), seen.len);
    str_add(out, "}\n");
    out->failed |= seen.failed;
    str_free(&seen);
}

static lens_status write_in(const char *dir, const char *name, const str_t *text) {
    str_t path = {0};
    str_addf(&path, "%s/%s", dir, name);
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = str_status(text);
    if (st == LENS_OK) st = file_write(path.s, str_text(text), text->len);
    str_free(&path);
    return st;
}

lens_status compose_write(const compose_t *c, const char *dir) {
    str_t text = {0};
    lens_status st = LENS_OK;
    LENS_GO(dir_make(dir));
    for (int f = 0; f < COMPOSE_N_FORMS; f++)
        for (int64_t i = 0; c->pictures[f] && i < c->n; i++)
            picture_json(&c->pictures[f][i], (compose_form)f, i, &text);
    LENS_GO(write_in(dir, "pictures.jsonl", &text));
    str_clear(&text);
    compose_json(c, &text);
    LENS_GO(write_in(dir, "scores.json", &text));
    str_clear(&text);
    LENS_GO(compose_page(c, &text));
    st = write_in(dir, "index.html", &text);
done:
    str_free(&text);
    return st;
}
