/* The loss by noise level: ten equal bins of t over [0, 1). The mean over all t hides which levels still improve.
 *
 * Sums over ranks: the struct is nothing but doubles, to stand among the sums that a step adds over ranks anyway. */
#ifndef LENS_TRAIN_LOSS_BINS_H
#define LENS_TRAIN_LOSS_BINS_H

#include "base/error.h"

enum { N_LOSS_BINS = 10 };

typedef struct {
    double loss[N_LOSS_BINS], weight[N_LOSS_BINS]; /* sums of weight * loss, and of weight */
} loss_bins_t;
_Static_assert(sizeof(loss_bins_t) == 2 * N_LOSS_BINS * sizeof(double), "one array of doubles");

extern const char *const loss_bin_names[N_LOSS_BINS]; /* "loss_t0" is of t in [0, 0.1) */

int loss_bin_of(double t); /* t in [0, 1]; 1 belongs to the last one */
/* One sample's loss, weighted as in the mean of the step. */
void loss_bins_add(loss_bins_t *b, double t, double loss, double weight);
double loss_bins_mean(const loss_bins_t *b, int bin); /* NaN where nothing fell into it */

#endif
