/* The weights of a resampling filter along one axis. Private to data/. */
#ifndef LENS_DATA_IMAGE_TAPS_H
#define LENS_DATA_IMAGE_TAPS_H

#include "data/image.h"

/* Output i is the sum over k below n_taps of weight[i * n_taps + k] times input first[i] + k, which is within the
 * input for every k. The weights of an output sum to 1. All outputs take the same number of inputs, padded with zeros:
 * loops whose length does not change are the fast ones. */
typedef struct {
    int32_t n_out, n_taps;
    int32_t *first; /* [n_out], owned */
    float *weight;  /* [n_out, n_taps], owned */
} image_taps_t;

/* The outputs cover [begin, begin + extent) of n_in inputs. Inputs outside the picture are left out, not mirrored. */
LENS_CHECKED lens_status image_taps_new(image_taps_t *t, image_filter filter, int32_t n_in, double begin, double extent,
                                        int32_t n_out);
void image_taps_free(image_taps_t *t);

#endif
