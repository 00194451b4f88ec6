#include "eval/html.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

void html_add_int(str_t *out, int64_t v) {
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%" PRIu64, v < 0 ? -(uint64_t)v : (uint64_t)v);
    if (v < 0) str_add(out, "\u2212");
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0) str_add_char(out, ',');
        str_add_char(out, digits[i]);
    }
}

/* Three significant digits of a value between 0.001 and 1000. */
static int decimals(double magnitude) {
    if (magnitude >= 99.95) return 0;
    if (magnitude >= 9.995) return 1;
    if (magnitude >= 0.9995) return 2;
    return magnitude >= 0.0995 ? 3 : 4;
}

void html_add_number(str_t *out, double v) {
    double magnitude = fabs(v);
    if (!isfinite(v)) {
        str_add(out, "none");
    } else if (magnitude < 1e15 && (magnitude >= 999.5 || magnitude == floor(magnitude))) {
        html_add_int(out, (int64_t)llround(v));
    } else if (magnitude < 0.001 || magnitude >= 1e15) {
        str_addf(out, "%.2e", v);
    } else {
        if (v < 0) str_add(out, "\u2212");
        str_addf(out, "%.*f", decimals(magnitude), magnitude);
    }
}

/* v in the unit, each a thousand of the one before, that leaves at most three digits. */
static void add_scaled(str_t *out, double v, const char *const *units, int n_units) {
    int u = 0;
    double magnitude = fabs(v);
    while (u + 1 < n_units && magnitude >= 999.5) {
        magnitude /= 1000;
        u++;
    }
    if (v < 0) str_add(out, "\u2212");
    html_add_number(out, magnitude);
    if (units[u][0] != '\0') str_addf(out, "\u00a0%s", units[u]);
}

void html_add_short(str_t *out, double v) {
    static const char *const units[] = {"", "k", "M", "G", "T", "P"};
    add_scaled(out, v, units, 6);
}

void html_add_bytes(str_t *out, double bytes) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    add_scaled(out, bytes, units, 6);
}

void html_add_duration(str_t *out, double s) {
    if (!isfinite(s) || s < 0 || s >= 1e12) {
        str_add(out, "none");
    } else if (s < 1) {
        html_add_number(out, s * 1000);
        str_add(out, "\u00a0ms");
    } else if (s < 120) {
        str_addf(out, "%.1f\u00a0s", s);
    } else if (s < 7200) {
        int64_t total_s = llround(s);
        str_addf(out, "%" PRId64 "\u00a0min %02" PRId64 "\u00a0s", total_s / 60, total_s % 60);
    } else {
        int64_t total_min = llround(s / 60);
        str_addf(out, "%" PRId64 "\u00a0h %02" PRId64 "\u00a0min", total_min / 60, total_min % 60);
    }
}

void html_add_percent(str_t *out, double frac) {
    html_add_number(out, frac * 100);
    str_add(out, "\u00a0%");
}

void html_add_data_uri(str_t *out, const char *mime, const void *bytes, size_t n) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *b = bytes;
    str_addf(out, "data:%s;base64,", mime);
    for (size_t i = 0; i < n; i += 3) {
        uint32_t group = (uint32_t)b[i] << 16;
        if (i + 1 < n) group |= (uint32_t)b[i + 1] << 8;
        if (i + 2 < n) group |= b[i + 2];
        char quad[4] = {alphabet[group >> 18], alphabet[group >> 12 & 63], alphabet[group >> 6 & 63],
                        alphabet[group & 63]};
        if (i + 1 >= n) quad[2] = '=';
        if (i + 2 >= n) quad[3] = '=';
        str_add_n(out, quad, 4);
    }
}
