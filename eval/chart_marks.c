/* Points and bars; contract in eval/chart.h. */
#include <math.h>

#include "eval/chart.h"
#include "eval/chart_frame.h"
#include "eval/html.h"

enum { RADIUS = 6, LABEL_MIN_PX = 32 };
#define GAP_FRAC 0.25 /* of a group's width, between groups */

/* An axis from 0 that holds `high`. */
static chart_axis_t axis_from_zero(double high, int n_ticks) {
    return chart_axis_linear(0, high > 0 ? high : 1, n_ticks, true);
}

static void add_point(str_t *out, const chart_points_t *c, const chart_point_t *p, const chart_axis_t *x,
                      const chart_axis_t *y) {
    str_addf(out, "<circle class=\"mark c%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"%d\"><title>", p->colour,
             chart_axis_px(x, p->x), chart_axis_px(y, p->y), RADIUS);
    str_add_html(out, p->name);
    str_add(out, "\n");
    str_add_html(out, c->x_label);
    str_add(out, ": ");
    html_add_number(out, p->x);
    str_add(out, "\n");
    str_add_html(out, c->unit ? c->unit : c->title);
    str_add(out, ": ");
    html_add_number(out, p->y);
    str_add(out, "</title></circle>\n");
}

void chart_points(str_t *out, const chart_points_t *c) {
    double x_high = 0, y_high = 0;
    if (c->n_points == 0) return;
    for (int i = 0; i < c->n_points; i++) {
        x_high = fmax(x_high, c->points[i].x);
        y_high = fmax(y_high, c->points[i].y);
    }
    chart_axis_t x = axis_from_zero(x_high, 6), y = axis_from_zero(y_high, 5);
    chart_place_axes(&x, &y);
    chart_begin_figure(out, c->title, c->unit);
    for (int i = 0; i < c->n_points; i++) chart_add_key(out, c->points[i].colour, c->points[i].name);
    chart_begin_svg(out, c->title);
    chart_add_axes(out, &x, &y, c->x_label);
    for (int i = 0; i < c->n_points; i++) add_point(out, c, &c->points[i], &x, &y);
    str_add(out, "</svg></figure>\n");
}

/* ---- bars ---- */

static void add_bar(str_t *out, const chart_bars_t *c, int group, int bar, double left_px, double width_px,
                    const chart_axis_t *y) {
    const double value = c->bars[bar].values[group], top_px = chart_axis_px(y, value);
    str_addf(out, "<rect class=\"mark c%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>",
             c->bars[bar].colour, left_px, top_px, width_px, fmax(0, CHART_BOTTOM - top_px));
    str_add_html(out, c->bars[bar].name);
    str_add(out, ", ");
    str_add_html(out, c->groups[group]);
    str_add(out, ": ");
    html_add_number(out, value);
    str_add(out, "</title></rect>\n");
    if (width_px < LABEL_MIN_PX) return;
    str_addf(out, "<text class=\"x\" x=\"%.1f\" y=\"%.1f\">", left_px + width_px / 2, top_px - 4);
    html_add_number(out, value);
    str_add(out, "</text>\n");
}

static double bar_width(const chart_bars_t *c) {
    return (double)(CHART_RIGHT - CHART_LEFT) / c->n_groups * (1 - GAP_FRAC) / c->n_bars;
}

static void add_group(str_t *out, const chart_bars_t *c, int group, const chart_axis_t *y) {
    const double group_px = (double)(CHART_RIGHT - CHART_LEFT) / c->n_groups, bar_px = bar_width(c);
    const double left_px = CHART_LEFT + group_px * (group + GAP_FRAC / 2);
    for (int b = 0; b < c->n_bars; b++) add_bar(out, c, group, b, left_px + b * bar_px, bar_px, y);
    str_addf(out, "<text class=\"x\" x=\"%.1f\" y=\"%d\">", CHART_LEFT + group_px * (group + 0.5), CHART_BOTTOM + 18);
    str_add_html(out, c->groups[group]);
    str_add(out, "</text>\n");
}

void chart_bars(str_t *out, const chart_bars_t *c) {
    double high = 0;
    if (c->n_bars == 0 || c->n_groups == 0) return;
    for (int b = 0; b < c->n_bars; b++)
        for (int g = 0; g < c->n_groups; g++) high = fmax(high, c->bars[b].values[g]);
    if (bar_width(c) >= LABEL_MIN_PX) high *= 1.08; /* room for the label of the highest */
    chart_axis_t x = {.low = 0, .high = 1, .step = 2}, y = axis_from_zero(high, 5);
    chart_place_axes(&x, &y);
    chart_begin_figure(out, c->title, c->unit);
    for (int b = 0; b < c->n_bars && c->n_bars > 1; b++) chart_add_key(out, c->bars[b].colour, c->bars[b].name);
    chart_begin_svg(out, c->title);
    chart_add_values(out, &y);
    for (int g = 0; g < c->n_groups; g++) add_group(out, c, g, &y);
    str_add(out, "</svg></figure>\n");
}
