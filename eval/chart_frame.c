#include "eval/chart_frame.h"

void chart_add_key(str_t *out, int colour, const char *name) {
    str_addf(out, "<span class=\"key c%d\">", colour);
    str_add_html(out, name);
    str_add(out, "</span>");
}

void chart_begin_figure(str_t *out, const char *title, const char *unit) {
    str_add(out, "<figure class=\"chart\"><figcaption><b>");
    str_add_html(out, title);
    str_add(out, "</b>");
    if (unit != NULL) {
        str_add(out, " <span class=\"unit\">");
        str_add_html(out, unit);
        str_add(out, "</span>");
    }
}

void chart_begin_svg(str_t *out, const char *title) {
    str_addf(out, "</figcaption>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", CHART_WIDTH, CHART_HEIGHT);
    str_add_html(out, title);
    str_add(out, "\">\n");
}

void chart_add_values(str_t *out, const chart_axis_t *y) {
    double ticks[CHART_AXIS_MAX_TICKS];
    int n = chart_axis_ticks(y, ticks);
    for (int i = 0; i < n; i++) {
        double px = chart_axis_px(y, ticks[i]);
        str_addf(out, "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text class=\"y\" x=\"%d\" y=\"%.1f\">", CHART_LEFT, px,
                 CHART_RIGHT, CHART_LEFT - 8, px + 4);
        chart_axis_add_label(out, y, ticks[i]);
        str_add(out, "</text>\n");
    }
    str_addf(out, "<path class=\"axis\" d=\"M%d %dH%d\"/>", CHART_LEFT, CHART_BOTTOM, CHART_RIGHT);
}

void chart_add_axes(str_t *out, const chart_axis_t *x, const chart_axis_t *y, const char *x_label) {
    double ticks[CHART_AXIS_MAX_TICKS];
    int n = chart_axis_ticks(x, ticks);
    chart_add_values(out, y);
    for (int i = 0; i < n; i++) {
        double px = chart_axis_px(x, ticks[i]);
        str_addf(out, "<path class=\"tick\" d=\"M%.1f %dv5\"/><text class=\"x\" x=\"%.1f\" y=\"%d\">", px, CHART_BOTTOM,
                 px, CHART_BOTTOM + 18);
        chart_axis_add_label(out, x, ticks[i]);
        str_add(out, "</text>\n");
    }
    str_addf(out, "<text class=\"label\" x=\"%d\" y=\"%d\">", CHART_RIGHT, CHART_HEIGHT - 6);
    str_add_html(out, x_label);
    str_add(out, "</text>\n");
}

void chart_place_axes(chart_axis_t *x, chart_axis_t *y) {
    x->px_low = CHART_LEFT;
    x->px_high = CHART_RIGHT;
    y->px_low = CHART_BOTTOM;
    y->px_high = CHART_TOP;
}

void chart_begin_hit(str_t *out, double px_low, double px_high) {
    str_addf(out, "<rect class=\"hit\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\"><title>", px_low, CHART_TOP,
             px_high - px_low, CHART_BOTTOM - CHART_TOP);
}

void chart_end_hit(str_t *out) {
    str_add(out, "</title></rect>\n");
}
