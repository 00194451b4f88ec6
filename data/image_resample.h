/* Resampling of a part of a picture into the caller's memory; image_resize, image_cover and image_load_cover are made
 * of it. Private to data/. Reentrant; any thread. */
#ifndef LENS_DATA_IMAGE_RESAMPLE_H
#define LENS_DATA_IMAGE_RESAMPLE_H

#include "data/image.h"

typedef struct {
    double x, y, width, height; /* px of the input, within it */
} image_box_t;

/* Fills rgb, u8 [height, width, 3], with the box of `in`. A box of whole pixels in the size asked for is copied. */
LENS_CHECKED lens_status image_resample(uint8_t *rgb, int32_t width, int32_t height, const image_t *in, image_box_t box,
                                        image_resampling_t how);

/* The largest part of in_width x in_height px that has the shape of width x height; at_x, at_y in [0, 1] place it.
 * ARGUMENT: a side below 1, a place outside [0, 1]. */
LENS_CHECKED lens_status image_cover_box(image_box_t *out, int32_t in_width, int32_t in_height, int32_t width,
                                         int32_t height, double at_x, double at_y);

#endif
