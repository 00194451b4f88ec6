#include "eval/chart_axis.h"

#include <math.h>

double chart_round_step(double range, int n_steps) {
    static const double round[] = {1, 2, 2.5, 5, 10};
    double power = pow(10, floor(log10(range / n_steps)));
    for (int i = 0; i < 4; i++)
        if (range / (round[i] * power) <= n_steps * (1 + 1e-9)) return round[i] * power;
    return round[4] * power;
}

chart_axis_t chart_axis_linear(double low, double high, int n_ticks, bool grow) {
    /* Also where the values differ by less than a double can tell apart at that size. */
    double least = fmax(fabs(low), fabs(high)) * 1e-9;
    if (high - low <= least) {
        double margin = low == 0 ? 1 : fabs(low) * 0.1;
        low -= margin;
        high += margin;
    }
    double step = chart_round_step(high - low, n_ticks);
    if (grow) {
        low = floor(low / step + 1e-9) * step;
        high = ceil(high / step - 1e-9) * step;
    }
    return (chart_axis_t){.low = low, .high = high, .step = step};
}

/* The greatest of {1, 2, 5} * 10^k not above v. */
static double round_below(double v) {
    double power = pow(10, floor(log10(v) + 1e-9)), m = v / power * (1 + 1e-9);
    return m >= 5 ? 5 * power : m >= 2 ? 2 * power : power;
}

static double round_above(double v) {
    double below = round_below(v), power = pow(10, floor(log10(below) + 1e-9));
    if (v <= below * (1 + 1e-9)) return below;
    double m = round(below / power);
    return m == 1 ? 2 * power : m == 2 ? 5 * power : 10 * power;
}

chart_axis_t chart_axis_log(double low, double high) {
    chart_axis_t a = {.low = round_below(low), .high = round_above(high), .log = true};
    if (a.high <= a.low) a.high = round_above(a.low * 1.5);
    return a;
}

double chart_axis_px(const chart_axis_t *a, double v) {
    double at = a->log ? log(v / a->low) / log(a->high / a->low) : (v - a->low) / (a->high - a->low);
    return a->px_low + at * (a->px_high - a->px_low);
}

static int log_ticks(const chart_axis_t *a, double ticks[CHART_AXIS_MAX_TICKS]) {
    double decades = log10(a->high / a->low);
    int n = 0, every = decades > CHART_AXIS_MAX_TICKS / 2 ? (int)ceil(decades / 8) : 1;
    int first = (int)floor(log10(a->low) + 1e-9), last = (int)ceil(log10(a->high) - 1e-9);
    for (int k = first; k <= last; k += every)
        for (int m = 0; m < 3; m++) {
            double v = pow(10, k) * (m == 0 ? 1 : m == 1 ? 2 : 5);
            if ((m > 0 && decades > 2.5) || v < a->low * (1 - 1e-9) || v > a->high * (1 + 1e-9)) continue;
            if (n < CHART_AXIS_MAX_TICKS) ticks[n++] = v;
        }
    return n;
}

int chart_axis_ticks(const chart_axis_t *a, double ticks[CHART_AXIS_MAX_TICKS]) {
    if (a->log) return log_ticks(a, ticks);
    int n = 0;
    double first = ceil(a->low / a->step - 1e-9);
    for (; n < CHART_AXIS_MAX_TICKS && (first + n) * a->step <= a->high + a->step * 1e-6; n++)
        ticks[n] = (first + n) * a->step;
    return n;
}

/* v with as many decimals as steps of `step` need. */
static void add_decimal(str_t *out, double v, double step, const char *suffix) {
    double power = floor(log10(step) + 1e-9), m = step / pow(10, power);
    int decimals = (int)-power + (fabs(m - round(m)) > 1e-6);
    if (v < 0) str_add(out, "\u2212");
    str_addf(out, "%.*f%s", decimals > 0 ? decimals : 0, fabs(v), suffix);
}

void chart_axis_add_label(str_t *out, const chart_axis_t *a, double tick) {
    /* Labels of a linear axis are all of one form; those of a log axis each have their own. */
    double greatest = a->log ? tick : fmax(fabs(a->low), fabs(a->high));
    double step = a->log ? pow(10, floor(log10(tick) + 1e-9)) : a->step;
    if (fabs(tick) < step * 1e-6) {
        str_add_char(out, '0');
    } else if (greatest >= 1e7 || greatest < 2e-3) {
        double power = floor(log10(fabs(tick)) + 1e-9);
        add_decimal(out, tick / pow(10, power), fmin(step / pow(10, power), 1), "");
        str_addf(out, "e%s%.0f", power < 0 ? "\u2212" : "", fabs(power));
    } else if (greatest >= 1e4) {
        add_decimal(out, tick / 1000, step / 1000, "k");
    } else {
        add_decimal(out, tick, step, "");
    }
}
