#include "eval/interval.h"

#include <math.h>

#include "base/error.h"

#define NORMAL_975 1.959963984540054

interval_t interval_wilson(double right, double n) {
    LENS_ASSERT(n > 0 && right >= 0 && right <= n, "%g of %g", right, n);
    double p = right / n, zz = NORMAL_975 * NORMAL_975, scale = 1 / (1 + zz / n);
    double middle = scale * (p + zz / (2 * n));
    double half = scale * NORMAL_975 * sqrt(p * (1 - p) / n + zz / (4 * n * n));
    /* At the ends the bound is exact, where rounding would pass it. */
    return (interval_t){p, right > 0 ? middle - half : 0, right < n ? middle + half : 1};
}

/* The 97.5 % point of Student's t. */
static double t_975(int64_t degrees) {
    static const double TABLE[] = {12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281};
    int64_t n = sizeof TABLE / sizeof TABLE[0];
    if (degrees <= n) return TABLE[degrees - 1];
    /* Abramowitz and Stegun 26.7.5, right to 0.001 from ten degrees on. */
    double z = NORMAL_975, v = (double)degrees, z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z;
    return z + (z3 + z) / (4 * v) + (5 * z5 + 16 * z3 + 3 * z) / (96 * v * v) +
           (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * v * v * v);
}

interval_t interval_mean(const double *values, int64_t n) {
    LENS_ASSERT(n > 0, "%lld values", (long long)n);
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) mean += values[i] / (double)n;
    if (n == 1) return (interval_t){mean, NAN, NAN};
    for (int64_t i = 0; i < n; i++) squares += (values[i] - mean) * (values[i] - mean);
    double half = t_975(n - 1) * sqrt(squares / (double)(n - 1) / (double)n);
    return (interval_t){mean, mean - half, mean + half};
}

interval_t interval_difference(interval_t a, interval_t b) {
    double d = a.value - b.value;
    return (interval_t){d, d - hypot(a.value - a.low, b.high - b.value), d + hypot(a.high - a.value, b.value - b.low)};
}
