/* Resampling in floats: for weights below 0, averages of light and long filters. Private to data/, for image_resample.
 * Reentrant; any thread. */
#ifndef LENS_DATA_IMAGE_RESAMPLE_FLOAT_H
#define LENS_DATA_IMAGE_RESAMPLE_FLOAT_H

#include "data/image.h"
#include "data/image_light.h"
#include "data/image_taps.h"

/* Fills rgb, u8 [down.n_out, across.n_out, 3]: light is averaged where there is `light`, code values where it is NULL.
 */
LENS_CHECKED lens_status image_resample_float(uint8_t *rgb, const image_t *in, const image_taps_t *across,
                                              const image_taps_t *down, const image_light_t *light);

#endif
