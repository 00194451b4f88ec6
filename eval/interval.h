/* Estimates with their 95 % intervals: of shares, of means, of differences. Reentrant; any thread. */
#ifndef LENS_EVAL_INTERVAL_H
#define LENS_EVAL_INTERVAL_H

#include <stdint.h>

typedef struct {
    double value, low, high; /* low and high are NaN where there is no interval */
} interval_t;

/* Of a share: `right` of n tries, n > 0. Wilson (JASA 22, 1927), which stays inside [0, 1]. */
interval_t interval_wilson(double right, double n);
/* Of a mean, by Student's t over values[n], n > 0: values of other seeds. No interval where n is 1. */
interval_t interval_mean(const double *values, int64_t n);
/* Of a - b, which are independent shares with their intervals: Newcombe's hybrid (Statistics in Medicine 17, 1998). */
interval_t interval_difference(interval_t a, interval_t b);

#endif
