/* The median of some numbers. */
#ifndef LENS_BASE_MEDIAN_H
#define LENS_BASE_MEDIAN_H

#include <stdint.h>

/* The middle one, or the mean of both in the middle; NaN where n is 0. None may be NaN. Sorts x. */
double median(double *x, int64_t n);

#endif
