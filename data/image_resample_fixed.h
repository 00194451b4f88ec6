/* The fast way of resampling: 16-bit integers, sixteen output rows at a time. Private to data/, for image_resample.
 * Reentrant; any thread. */
#ifndef LENS_DATA_IMAGE_RESAMPLE_FIXED_H
#define LENS_DATA_IMAGE_RESAMPLE_FIXED_H

#include "data/image.h"
#include "data/image_taps.h"

/* Filters of more inputs are left to the floats: every input's product is cut off at 1/256 of a level. */
#define IMAGE_FIXED_MAX_TAPS 32

/* Fills rgb, u8 [down.n_out, across.n_out, 3]. Weights are not below 0, filters not longer than IMAGE_FIXED_MAX_TAPS. A
 * value is within 0.5 + (across.n_taps + down.n_taps) / 256 levels of the exact sum, and with few taps far nearer. */
LENS_CHECKED lens_status image_resample_fixed(uint8_t *rgb, const image_t *in, const image_taps_t *across,
                                              const image_taps_t *down);

#endif
