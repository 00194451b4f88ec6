#include "train/loss_bins.h"

#include <math.h>

const char *const loss_bin_names[N_LOSS_BINS] = {"loss_t0", "loss_t1", "loss_t2", "loss_t3", "loss_t4",
                                                 "loss_t5", "loss_t6", "loss_t7", "loss_t8", "loss_t9"};

int loss_bin_of(double t) {
    LENS_ASSERT(t >= 0 && t <= 1, "t = %g", t);
    int bin = (int)(t * N_LOSS_BINS);
    return bin < N_LOSS_BINS ? bin : N_LOSS_BINS - 1;
}

void loss_bins_add(loss_bins_t *b, double t, double loss, double weight) {
    int bin = loss_bin_of(t);
    b->loss[bin] += weight * loss;
    b->weight[bin] += weight;
}

double loss_bins_mean(const loss_bins_t *b, int bin) {
    return b->weight[bin] > 0 ? b->loss[bin] / b->weight[bin] : NAN;
}
