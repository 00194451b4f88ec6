#include "eval/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/chart_frame.h"
#include "eval/html.h"

enum { N_COLUMNS = CHART_RIGHT - CHART_LEFT, N_HITS_MAX = 64, N_BINS_MIN = 8, N_BINS_MAX = 48 };

static double fit(double px, double low, double high) {
    return px < low ? low : px > high ? high : px;
}

/* ---- lines ---- */

typedef struct {
    double x_low, x_high, y_low, y_high;
    int64_t n; /* finite points of the longest series */
} extent_t;

static extent_t lines_extent(const chart_lines_t *c) {
    extent_t e = {INFINITY, -INFINITY, INFINITY, -INFINITY, 0};
    for (int s = 0; s < c->n_series; s++) {
        int64_t n = 0;
        for (int64_t i = 0; i < c->series[s].n; i++) {
            double x = c->series[s].x[i], y = c->series[s].y[i];
            if (!isfinite(x) || !isfinite(y)) continue;
            e.x_low = fmin(e.x_low, x);
            e.x_high = fmax(e.x_high, x);
            e.y_low = fmin(e.y_low, y);
            e.y_high = fmax(e.y_high, y);
            n++;
        }
        if (n > e.n) e.n = n;
    }
    return e;
}

/* Points of one column of pixels waiting to be drawn, and how the path stands. */
typedef struct {
    str_t *out;
    bool pen_down, lone; /* lone: the path since the last move is one point, which needs a dot to be seen */
} pen_t;

static void pen_draw(pen_t *pen, double x, double y) {
    str_addf(pen->out, "%c%.1f %.1f", pen->pen_down ? 'L' : 'M', x, y);
    pen->lone = !pen->pen_down;
    pen->pen_down = true;
}

static void pen_lift(pen_t *pen) {
    if (pen->lone) str_add(pen->out, "h0");
    pen->lone = pen->pen_down = false;
}

/* Draws points [from, to) of one column of pixels: the least and the greatest, in the order they came in. */
static void draw_column(pen_t *pen, const chart_series_t *s, int64_t from, int64_t to, const chart_axis_t *x,
                        const chart_axis_t *y) {
    int64_t least = from, greatest = from;
    for (int64_t i = from + 1; i < to; i++) {
        if (s->y[i] < s->y[least]) least = i;
        if (s->y[i] > s->y[greatest]) greatest = i;
    }
    int64_t first = least < greatest ? least : greatest, second = least < greatest ? greatest : least;
    pen_draw(pen, chart_axis_px(x, s->x[first]), chart_axis_px(y, s->y[first]));
    if (second != first) pen_draw(pen, chart_axis_px(x, s->x[second]), chart_axis_px(y, s->y[second]));
}

static void add_line(str_t *out, const chart_series_t *s, const chart_axis_t *x, const chart_axis_t *y) {
    pen_t pen = {.out = out};
    str_addf(out, "<path class=\"line c%d%s%s\" d=\"", s->colour, s->faint ? " faint" : "", s->dots ? " dots" : "");
    for (int64_t i = 0; i < s->n;) {
        if (!isfinite(s->y[i]) || !isfinite(s->x[i])) {
            pen_lift(&pen);
            i++;
            continue;
        }
        int64_t to = i + 1;
        double column = floor(chart_axis_px(x, s->x[i]));
        while (to < s->n && isfinite(s->y[to]) && isfinite(s->x[to]) && floor(chart_axis_px(x, s->x[to])) == column)
            to++;
        draw_column(&pen, s, i, to, x, y);
        if (s->dots) pen_lift(&pen);
        i = to;
    }
    pen_lift(&pen);
    str_add(out, "\"/>\n");
}

/* The point of s nearest to x; -1 where s has none. */
static int64_t nearest_point(const chart_series_t *s, double x) {
    int64_t low = 0, high = s->n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (s->x[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == s->n || (low > 0 && x - s->x[low - 1] < s->x[low] - x)) low--;
    return low;
}

static void add_line_hits(str_t *out, const chart_lines_t *c, const chart_axis_t *x, int64_t n_points) {
    int n = n_points < N_HITS_MAX ? (int)n_points : N_HITS_MAX;
    double width = (double)N_COLUMNS / n;
    for (int h = 0; h < n; h++) {
        double at = x->low + (x->high - x->low) * (h + 0.5) / n;
        double shown = NAN; /* the first one's x, which is most often that of all */
        chart_begin_hit(out, CHART_LEFT + h * width, CHART_LEFT + (h + 1) * width);
        for (int s = 0; s < c->n_series; s++) {
            int64_t i = nearest_point(&c->series[s], at);
            if (i < 0 || !isfinite(c->series[s].y[i]) || c->series[s].quiet) continue;
            if (isnan(shown)) {
                shown = c->series[s].x[i];
                str_add_html(out, c->x_label);
                str_add_char(out, ' ');
                html_add_number(out, shown);
            }
            str_add_char(out, '\n');
            str_add_html(out, c->series[s].name);
            if (c->series[s].x[i] != shown) {
                str_add(out, " at ");
                html_add_number(out, c->series[s].x[i]);
            }
            str_add(out, ": ");
            html_add_number(out, c->series[s].y[i]);
        }
        chart_end_hit(out);
    }
}

void chart_lines(str_t *out, const chart_lines_t *c) {
    extent_t e = lines_extent(c);
    if (e.n == 0) return;
    if (c->from_zero) e.y_low = fmin(e.y_low, 0);
    chart_axis_t x = chart_axis_linear(e.x_low, e.x_high, 6, false);
    chart_axis_t y =
        c->log_y && e.y_low > 0 ? chart_axis_log(e.y_low, e.y_high) : chart_axis_linear(e.y_low, e.y_high, 5, true);
    chart_place_axes(&x, &y);
    chart_begin_figure(out, c->title, c->unit);
    for (int s = 0; s < c->n_series && c->n_series > 1; s++)
        if (!c->series[s].faint) chart_add_key(out, c->series[s].colour, c->series[s].name);
    chart_begin_svg(out, c->title);
    chart_add_axes(out, &x, &y, c->x_label);
    for (int s = 0; s < c->n_series; s++) add_line(out, &c->series[s], &x, &y);
    add_line_hits(out, c, &x, e.n);
    str_add(out, "</svg></figure>\n");
}

/* ---- histograms ---- */

typedef struct {
    double low, width; /* of the first bin, of every bin */
    int n;
} bins_t;

static bins_t choose_bins(const chart_histogram_t *c, double low, double high) {
    double range = high > low ? high - low : fmax(fabs(low) * 0.1, 1e-6);
    double width = chart_round_step(range, N_BINS_MAX - 2);
    if (c->whole) width = fmax(1, ceil(width));
    bins_t b = {.low = floor(low / width + 1e-9) * width, .width = width};
    b.n = (int)fit(floor((high - b.low) / width + 1e-9) + 1, 1, N_BINS_MAX);
    /* A few values alone, such as one size for all pictures, stand in the middle of an axis. */
    for (; b.n < N_BINS_MIN; b.n += 2) b.low -= width;
    return b;
}

static void count_bins(int64_t counts[N_BINS_MAX], const chart_sample_t *s, bins_t b) {
    memset(counts, 0, N_BINS_MAX * sizeof counts[0]);
    /* The margin keeps a value that is a bin's edge, but for rounding, in the bin that begins there. */
    for (int64_t i = 0; i < s->n; i++) counts[(int)fit((s->values[i] - b.low) / b.width + 1e-9, 0, b.n - 1)]++;
}

/* One closed outline for each run of bins that are not empty: empty ones leave the axis clear. */
static void add_steps(str_t *out, const int64_t *counts, bins_t b, int colour, const chart_axis_t *x,
                      const chart_axis_t *y) {
    bool open = false;
    str_addf(out, "<path class=\"area c%d\" d=\"", colour);
    for (int i = 0; i < b.n; i++) {
        if (counts[i] > 0 && !open) str_addf(out, "M%.1f %d", chart_axis_px(x, b.low + i * b.width), CHART_BOTTOM);
        if (counts[i] == 0 && open) str_addf(out, "V%dZ", CHART_BOTTOM);
        open = counts[i] > 0;
        if (open)
            str_addf(out, "V%.1fH%.1f", chart_axis_px(y, (double)counts[i]),
                     chart_axis_px(x, b.low + (i + 1) * b.width));
    }
    if (open) str_addf(out, "V%dZ", CHART_BOTTOM);
    str_add(out, "\"/>\n");
}

static void add_bin_hits(str_t *out, const chart_histogram_t *c, int64_t (*counts)[N_BINS_MAX], bins_t b,
                         const chart_axis_t *x) {
    for (int i = 0; i < b.n; i++) {
        double low = b.low + i * b.width;
        chart_begin_hit(out, chart_axis_px(x, low), chart_axis_px(x, low + b.width));
        html_add_number(out, low);
        if (!c->whole || b.width > 1) {
            str_add(out, " to ");
            html_add_number(out, low + b.width - (c->whole ? 1 : 0));
        }
        str_add_char(out, ' ');
        str_add_html(out, c->unit != NULL ? c->unit : "");
        for (int s = 0; s < c->n_samples; s++) {
            str_add_char(out, '\n');
            str_add_html(out, c->samples[s].name);
            str_add(out, ": ");
            html_add_int(out, counts[s][i]);
            str_add_char(out, ' ');
            str_add_html(out, c->count_noun);
        }
        chart_end_hit(out);
    }
}

void chart_histogram(str_t *out, const chart_histogram_t *c) {
    double low = INFINITY, high = -INFINITY;
    LENS_ASSERT(c->n_samples <= CHART_MAX_SERIES, "%d samples", c->n_samples);
    for (int s = 0; s < c->n_samples; s++)
        for (int64_t i = 0; i < c->samples[s].n; i++) {
            low = fmin(low, c->samples[s].values[i]);
            high = fmax(high, c->samples[s].values[i]);
        }
    if (!(low <= high)) return;
    bins_t b = choose_bins(c, low, high);
    int64_t counts[CHART_MAX_SERIES][N_BINS_MAX], most = 1;
    for (int s = 0; s < c->n_samples; s++) {
        count_bins(counts[s], &c->samples[s], b);
        for (int i = 0; i < b.n; i++) most = counts[s][i] > most ? counts[s][i] : most;
    }
    chart_axis_t x = chart_axis_linear(b.low, b.low + b.n * b.width, 6, false);
    if (c->whole) x.step = fmax(1, x.step);
    chart_axis_t y = chart_axis_linear(0, (double)most, 4, true);
    y.step = fmax(1, y.step);
    chart_place_axes(&x, &y);
    chart_begin_figure(out, c->title, c->count_noun);
    for (int s = 0; s < c->n_samples && c->n_samples > 1; s++)
        chart_add_key(out, c->samples[s].colour, c->samples[s].name);
    chart_begin_svg(out, c->title);
    chart_add_axes(out, &x, &y, c->unit != NULL ? c->unit : "");
    for (int s = 0; s < c->n_samples; s++) add_steps(out, counts[s], b, c->samples[s].colour, &x, &y);
    add_bin_hits(out, c, counts, b, &x);
    str_add(out, "</svg></figure>\n");
}
