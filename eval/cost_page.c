#include "eval/cost_page.h"

#include <string.h>

#include "base/build_info.h"
#include "base/file.h"
#include "eval/chart.h"
#include "eval/html.h"
#include "eval/report_style.h"

/* Beside the report's style: figures stand below each other from table to table, rows that belong to the one above are
 * set in by their spaces, and derivations are as wide as they need. */
#define COST_STYLE                                                                                                     \
    ".costs{width:100%;min-width:640px;table-layout:fixed}"                                                            \
    ".costs td{vertical-align:top}"                                                                                    \
    ".costs th{white-space:pre-wrap;text-align:left}"                                                                  \
    ".costs th:nth-child(2){width:17%;text-align:right}"                                                               \
    ".costs th:nth-child(3){width:16%;padding-left:8px}"                                                               \
    ".costs th:nth-child(4){width:17%;text-align:right}"                                                               \
    ".costs td:nth-child(3){text-align:left;padding-left:8px;color:var(--soft)}"                                       \
    ".costs details{margin:0;white-space:normal}.costs summary{font-size:12.5px}"                                      \
    ".costs p{margin:4px 0 8px;font-size:13px;overflow-wrap:anywhere}.costs code{font-size:12px}\n"

enum { N_POINTS = 64, N_AREAS = 3 };
static const int area_px[N_AREAS] = {512, 768, 1024};

/* ---- charts ---- */

static void hours_chart(str_t *out, const cost_sensitivity_t *t) {
    chart_series_t series[COST_N_CASES];
    double percent[COST_N_MFU];
    char title[80];
    for (int k = 0; k < COST_N_MFU; k++) percent[k] = 100 * t->mfu[k];
    for (int i = 0; i < COST_N_CASES; i++)
        series[i] = (chart_series_t){.name = t->name[i], .x = percent, .y = t->hours[i], .n = COST_N_MFU, .colour = i};
    snprintf(title, sizeof title, "GPU hours on %s", t->gpu);
    chart_lines(out, &(chart_lines_t){.title = title,
                                      .unit = "h",
                                      .x_label = "share of the peak that products reach, %",
                                      .series = series,
                                      .n_series = COST_N_CASES,
                                      .log_y = true});
}

/* One image of each area against the text's length. */
static void text_chart(str_t *out, const cost_page_t *p) {
    chart_series_t series[N_AREAS];
    double x[N_POINTS], y[N_AREAS][N_POINTS];
    char name[N_AREAS][32];
    for (int a = 0; a < N_AREAS; a++) {
        int64_t n_tok = (int64_t)(area_px[a] / 16) * (area_px[a] / 16);
        for (int i = 0; i < N_POINTS; i++) {
            int64_t text = p->max_text_tok * i / (N_POINTS - 1);
            x[i] = (double)text;
            y[a][i] = 3e-12 * mmdit_forward_flop(p->model, n_tok, text);
        }
        snprintf(name[a], sizeof name[a], "%d x %d", area_px[a], area_px[a]);
        series[a] = (chart_series_t){.name = name[a], .x = x, .y = y[a], .n = N_POINTS, .colour = a};
    }
    chart_lines(out, &(chart_lines_t){.title = "One image of training",
                                      .unit = "TFLOP",
                                      .x_label = "text tokens, padding too",
                                      .series = series,
                                      .n_series = N_AREAS,
                                      .from_zero = true});
}

static void shares_chart(str_t *out, const cost_page_t *p) {
    enum { N_TERMS = 3, MOST_TOK = 8192, TEXT_TOK = 160 };
    static const char *const names[N_TERMS] = {"linear", "attention", "modulation and ends"};
    chart_series_t series[N_TERMS];
    double x[N_POINTS], y[N_TERMS][N_POINTS];
    for (int i = 0; i < N_POINTS; i++) {
        int64_t n_tok = MOST_TOK * (i + 1) / N_POINTS;
        mmdit_flop_t f = mmdit_forward_flop_terms(p->model, n_tok, TEXT_TOK);
        double all = cost_forward(&f) / 100;
        x[i] = (double)n_tok;
        y[0][i] = f.linear / all;
        y[1][i] = f.attention / all;
        y[2][i] = (f.modulation + f.ends) / all;
    }
    for (int k = 0; k < N_TERMS; k++)
        series[k] = (chart_series_t){.name = names[k], .x = x, .y = y[k], .n = N_POINTS, .colour = k};
    chart_lines(out, &(chart_lines_t){.title = "Where an image's FLOP go",
                                      .unit = "%, at 160 text tokens",
                                      .x_label = "image tokens",
                                      .series = series,
                                      .n_series = N_TERMS,
                                      .from_zero = true});
}

/* ---- the page ---- */

static void sensitivity_table(str_t *out, const cost_sensitivity_t *t) {
    str_addf(out,
             "<h3>GPU hours on %s by share of the peak</h3>\n<div class=\"scroll\"><table class=\"kinds\"><thead>"
             "<tr><th>assumption</th>",
             t->gpu);
    for (int k = 0; k < COST_N_MFU; k++) str_addf(out, "<th>%.0f %%</th>", 100 * t->mfu[k]);
    str_add(out, "</tr></thead><tbody>\n");
    for (int i = 0; i < COST_N_CASES; i++) {
        str_add(out, "<tr><th>");
        str_add_html(out, t->name[i]);
        str_add(out, "</th>");
        for (int k = 0; k < COST_N_MFU; k++) {
            str_add(out, "<td>");
            cost_add_number(out, t->hours[i][k]);
            str_add(out, "</td>");
        }
        str_add(out, "</tr>\n");
    }
    str_add(out, "</tbody></table></div>\n");
}

void cost_page_sections(str_t *out, const cost_page_t *p) {
    str_add(out, "<section id=\"cost-sensitivity\"><h2>What the cost depends on</h2>\n<div class=\"charts\">\n");
    hours_chart(out, p->sensitivity);
    text_chart(out, p);
    shares_chart(out, p);
    str_add(out, "</div>\n");
    sensitivity_table(out, p->sensitivity);
    str_add(out, "</section>\n<section id=\"cost-figures\"><h2>Figures and how they come about</h2>\n");
    cost_sheet_html(out, p->sheet);
    str_add(out, "</section>\n");
}

lens_status cost_page_write(const char *path, const cost_page_t *p) {
    str_t html = {0};
    str_add(&html, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n"
                   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                   "<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>");
    str_add_html(&html, p->title);
    str_add(&html, "</title>\n<style>\n" REPORT_STYLE COST_STYLE "</style></head>\n<body><main>\n<header><h1>");
    str_add_html(&html, p->title);
    str_add(&html, "</h1></header>\n");
    cost_page_sections(&html, p);
    str_addf(&html, "<footer>Made by lens %s, commit %s.</footer>\n</main></body></html>\n", build_version(),
             build_commit());
    lens_status st = str_status(&html);
    if (st == LENS_OK) st = file_write(path, html.s, html.len);
    str_free(&html);
    return st;
}
