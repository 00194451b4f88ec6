#include "eval/cost_sheet.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval/html.h"

/* ---- rows ---- */

static void free_row(cost_row_t *r) {
    const cost_figure_t *f = &r->figure;
    const char *const owned[] = {f->key, f->name, f->unit, f->how, f->source, r->section, r->arithmetic};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free((void *)(uintptr_t)owned[i]);
}

void cost_sheet_free(cost_sheet_t *s) {
    for (int i = 0; i < s->n; i++) free_row(&s->rows[i]);
    free(s->rows);
    free(s->section);
    *s = (cost_sheet_t){0};
}

lens_status cost_sheet_status(const cost_sheet_t *s) {
    return s->failed ? lens_fail(LENS_MEMORY, "cost: out of memory") : LENS_OK;
}

static char *copy(cost_sheet_t *s, const char *text) {
    char *own = strdup(text ? text : "");
    s->failed |= own == NULL;
    return own;
}

void cost_section(cost_sheet_t *s, const char *title) {
    free(s->section);
    s->section = copy(s, title);
}

static bool grow(cost_sheet_t *s) {
    if (s->n < s->cap) return true;
    int cap = s->cap ? 2 * s->cap : 32;
    cost_row_t *grown = realloc(s->rows, (size_t)cap * sizeof *grown);
    s->failed |= grown == NULL;
    if (grown == NULL) return false;
    s->rows = grown;
    s->cap = cap;
    return true;
}

void cost_add(cost_sheet_t *s, const cost_figure_t *f, const char *arithmetic, ...) {
    va_list args;
    if (s->failed || !grow(s)) return;
    va_start(args, arithmetic);
    int n = vsnprintf(NULL, 0, arithmetic, args);
    va_end(args);
    char *text = n >= 0 ? malloc((size_t)n + 1) : NULL;
    s->failed |= text == NULL;
    if (text == NULL) return;
    va_start(args, arithmetic);
    vsnprintf(text, (size_t)n + 1, arithmetic, args);
    va_end(args);
    cost_row_t *r = &s->rows[s->n++];
    *r = (cost_row_t){.section = copy(s, s->section), .figure = *f, .arithmetic = text};
    r->figure.key = copy(s, f->key);
    r->figure.name = copy(s, f->name);
    r->figure.unit = copy(s, f->unit);
    r->figure.how = copy(s, f->how);
    r->figure.source = copy(s, f->source);
}

const cost_figure_t *cost_find(const cost_sheet_t *s, const char *key) {
    for (int i = 0; i < s->n; i++)
        if (strcmp(s->rows[i].figure.key, key) == 0) return &s->rows[i].figure;
    return NULL;
}

bool cost_agrees(const cost_figure_t *f) {
    return fabs(f->value - f->paper) <= f->last_digit / 2 * (1 + 1e-9);
}

/* ---- for people ---- */

void cost_add_number(str_t *out, double v) {
    if (!isfinite(v))
        str_add(out, "-");
    else if (fabs(v) >= 1e10 || (v != 0 && fabs(v) < 1e-3))
        str_addf(out, "%.4g", v);
    else if (fabs(v) >= 9999.5)
        html_add_int(out, (int64_t)llround(v));
    else
        str_addf(out, "%.4g", v);
}

/* One after another, of at least `width` characters. */
static void add_padded(str_t *out, const char *text, int width) {
    int n = 0; /* characters, not bytes */
    for (const char *c = text; *c; c++) n += ((unsigned char)*c & 0xc0) != 0x80;
    str_add(out, text);
    for (; n < width; n++) str_add_char(out, ' ');
}

static void print_paper(str_t *out, const cost_figure_t *f) {
    if (f->last_digit == 0) return;
    str_add(out, "  paper: ");
    cost_add_number(out, f->paper);
    str_add(out, cost_agrees(f) ? ", the same" : ", NOT the same");
}

static void print_row(str_t *out, const cost_row_t *r, bool explain) {
    const cost_figure_t *f = &r->figure;
    str_t value = {0};
    cost_add_number(&value, f->value);
    str_add(out, "  ");
    add_padded(out, f->name, 62);
    str_addf(out, " %12s %s", str_text(&value), f->unit);
    print_paper(out, f);
    if (!isfinite(f->value) && !explain) str_addf(out, "  (%s)", f->how);
    str_add_char(out, '\n');
    out->failed |= value.failed;
    str_free(&value);
    if (!explain) return;
    if (*f->how) str_addf(out, "      %s\n", f->how);
    if (*r->arithmetic) str_addf(out, "      = %s\n", r->arithmetic);
    str_addf(out, "      source: %s\n", f->source);
}

static bool begins_section(const cost_sheet_t *s, int i) {
    return i == 0 || strcmp(s->rows[i].section, s->rows[i - 1].section) != 0;
}

void cost_sheet_print(str_t *out, const cost_sheet_t *s, bool explain) {
    for (int i = 0; i < s->n; i++) {
        if (begins_section(s, i)) str_addf(out, "%s%s\n", i ? "\n" : "", s->rows[i].section);
        print_row(out, &s->rows[i], explain);
    }
}

/* ---- for machines ---- */

json_t *cost_sheet_json(const cost_sheet_t *s) {
    json_t *rows = json_array();
    for (int i = 0; rows && i < s->n; i++) {
        const cost_row_t *r = &s->rows[i];
        const cost_figure_t *f = &r->figure;
        json_t *value = isfinite(f->value) ? json_real(f->value) : json_null();
        json_t *j =
            json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:s}", "key", f->key, "section", r->section, "name", f->name,
                      "value", value, "unit", f->unit, "how", f->how, "arithmetic", r->arithmetic, "source", f->source);
        bool failed = !j || json_array_append_new(rows, j) != 0;
        if (!failed && f->last_digit > 0)
            failed = json_object_set_new(j, "paper", json_real(f->paper)) != 0 ||
                     json_object_set_new(j, "agrees", json_boolean(cost_agrees(f))) != 0;
        if (!failed) continue;
        json_decref(rows);
        rows = NULL;
    }
    return rows;
}

static void add_cell(str_t *out, const char *tag, const char *text) {
    str_addf(out, "<%s>", tag);
    str_add_html(out, text);
    str_addf(out, "</%s>", tag);
}

static bool has_paper(const cost_sheet_t *s) {
    for (int i = 0; i < s->n; i++)
        if (s->rows[i].figure.last_digit > 0) return true;
    return false;
}

static void html_paper(str_t *out, const cost_figure_t *f) {
    str_add(out, "<td>");
    if (f->last_digit > 0) {
        cost_add_number(out, f->paper);
        str_add(out, cost_agrees(f) ? " (agrees)" : " (differs)");
    }
    str_add(out, "</td>");
}

static void html_row(str_t *out, const cost_row_t *r, bool paper) {
    const cost_figure_t *f = &r->figure;
    str_add(out, "<tr><th>");
    str_add_html(out, f->name);
    str_add(out, "<details><summary>how</summary><p class=\"aside\">");
    str_add_html(out, f->how);
    if (*r->arithmetic) {
        str_add(out, "<br/><code>= ");
        str_add_html(out, r->arithmetic);
        str_add(out, "</code>");
    }
    str_add(out, "<br/>Source: ");
    str_add_html(out, f->source);
    str_add(out, "</p></details></th><td>");
    cost_add_number(out, f->value);
    str_add(out, "</td>");
    add_cell(out, "td", f->unit);
    if (paper) html_paper(out, f);
    str_add(out, "</tr>\n");
}

void cost_sheet_html(str_t *out, const cost_sheet_t *s) {
    bool paper = has_paper(s);
    for (int i = 0; i < s->n; i++) {
        if (begins_section(s, i)) {
            add_cell(out, "h3", s->rows[i].section);
            str_addf(out,
                     "\n<div class=\"scroll\"><table class=\"costs\"><thead><tr><th>figure</th><th>value</th>"
                     "<th>unit</th>%s</tr></thead><tbody>\n",
                     paper ? "<th>paper</th>" : "");
        }
        html_row(out, &s->rows[i], paper);
        if (i + 1 == s->n || begins_section(s, i + 1)) str_add(out, "</tbody></table></div>\n");
    }
}
