/* Separable resampling: the parts of a picture, the choice of arithmetic. Any thread. */
#include "data/image_resample.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/image_resample_fixed.h"
#include "data/image_resample_float.h"

static bool box_is_a_copy(image_box_t box, int32_t width, int32_t height) {
    return box.width == width && box.height == height && box.x == floor(box.x) && box.y == floor(box.y);
}

static void copy_box(uint8_t *rgb, int32_t width, int32_t height, const image_t *in, image_box_t box) {
    size_t row_bytes = (size_t)width * 3, stride = (size_t)in->width * 3;
    const uint8_t *from = in->rgb + (size_t)box.y * stride + (size_t)box.x * 3;
    for (size_t y = 0; y < (size_t)height; y++) memcpy(rgb + y * row_bytes, from + y * stride, row_bytes);
}

static bool is_for_fixed(const image_taps_t *across, const image_taps_t *down, image_resampling_t how) {
    return how.filter != IMAGE_LANCZOS && !how.linear_light && across->n_taps <= IMAGE_FIXED_MAX_TAPS &&
           down->n_taps <= IMAGE_FIXED_MAX_TAPS;
}

lens_status image_resample(uint8_t *rgb, int32_t width, int32_t height, const image_t *in, image_box_t box,
                           image_resampling_t how) {
    if (box_is_a_copy(box, width, height)) {
        copy_box(rgb, width, height, in, box);
        return LENS_OK;
    }
    image_taps_t across = {0}, down = {0};
    image_light_t *light = NULL;
    lens_status st = LENS_OK;
    LENS_GO(image_taps_new(&across, how.filter, in->width, box.x, box.width, width));
    LENS_GO(image_taps_new(&down, how.filter, in->height, box.y, box.height, height));
    if (how.linear_light) LENS_GO(image_light_new(&light));
    st = is_for_fixed(&across, &down, how) ? image_resample_fixed(rgb, in, &across, &down)
                                           : image_resample_float(rgb, in, &across, &down, light);
done:
    free(light);
    image_taps_free(&across);
    image_taps_free(&down);
    return st;
}

lens_status image_cover_box(image_box_t *out, int32_t in_width, int32_t in_height, int32_t width, int32_t height,
                            double at_x, double at_y) {
    if (!(at_x >= 0 && at_x <= 1 && at_y >= 0 && at_y <= 1))
        return lens_fail(LENS_ARGUMENT, "crop placed at (%g, %g): expected 0 to 1", at_x, at_y);
    if (width < 1 || height < 1)
        return lens_fail(LENS_ARGUMENT, "crop of %" PRId32 " x %" PRId32 " px: sides below 1", width, height);
    double scale = fmin((double)in_width / width, (double)in_height / height);
    *out = (image_box_t){.width = width * scale, .height = height * scale};
    out->x = fmax(in_width - out->width, 0) * at_x;
    out->y = fmax(in_height - out->height, 0) * at_y;
    return LENS_OK;
}

/* ---- pictures ---- */

static lens_status resample_new(image_t *out, const image_t *in, image_box_t box, int32_t width, int32_t height,
                                image_resampling_t how) {
    LENS_TRY(image_new(out, width, height));
    lens_status st = image_resample(out->rgb, width, height, in, box, how);
    if (st != LENS_OK) image_free(out);
    return st;
}

lens_status image_resize_with(image_t *out, const image_t *in, int32_t width, int32_t height, image_resampling_t how) {
    return resample_new(out, in, (image_box_t){0, 0, in->width, in->height}, width, height, how);
}

lens_status image_resize(image_t *out, const image_t *in, int32_t width, int32_t height) {
    return image_resize_with(out, in, width, height, (image_resampling_t){.filter = IMAGE_TRIANGLE});
}

lens_status image_cover_with(image_t *out, const image_t *in, int32_t width, int32_t height, double at_x, double at_y,
                             image_resampling_t how) {
    *out = (image_t){0};
    image_box_t box;
    LENS_TRY(image_cover_box(&box, in->width, in->height, width, height, at_x, at_y));
    return resample_new(out, in, box, width, height, how);
}

lens_status image_cover(image_t *out, const image_t *in, int32_t width, int32_t height, double at_x, double at_y) {
    return image_cover_with(out, in, width, height, at_x, at_y, (image_resampling_t){.filter = IMAGE_TRIANGLE});
}
