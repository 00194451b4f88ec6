/* Pictures in memory: 8-bit sRGB, and what is done to them. Decoding is by content, never by file name.
 * All functions are reentrant; any thread. */
#ifndef LENS_DATA_IMAGE_H
#define LENS_DATA_IMAGE_H

#include "base/error.h"
#include "base/str.h"

#define IMAGE_MAX_PIXELS (INT64_C(178956970)) /* refused before anything is decoded: a bomb, not a picture */
#define IMAGE_WEBP_MAX_SIDE 16383             /* what the WebP format can hold */

typedef struct {
    int32_t width, height; /* px */
    uint8_t *rgb;          /* u8 [height, width, 3], owned */
} image_t;

LENS_CHECKED lens_status image_new(image_t *out, int32_t width, int32_t height); /* pixels uninitialised */
void image_free(image_t *im);                                                    /* and resets; NULL is allowed */

/* JPEG (also CMYK/YCCK), PNG (any depth, palette, grey, interlaced), WebP. EXIF orientation applied, alpha composed
 * over white, 16 bit reduced to 8. FORMAT with a reason where it is no picture, is cut short, is animated or too large.
 */
LENS_CHECKED lens_status image_decode(image_t *out, const uint8_t *bytes, size_t n);
/* Size after orientation from the header alone, nothing decoded. */
LENS_CHECKED lens_status image_probe(int32_t *width, int32_t *height, const uint8_t *bytes, size_t n);

/* Appends the encoded file to `out`. quality 0..100; lossless ignores it. */
LENS_CHECKED lens_status image_encode_webp(str_t *out, const image_t *im, double quality, bool lossless);
LENS_CHECKED lens_status image_encode_png(str_t *out, const image_t *im);
/* By the extension of path (.png or .webp), written aside and renamed. */
LENS_CHECKED lens_status image_write(const char *path, const image_t *im);

/* Separable triangle filter, widened when shrinking (antialiased). `out` is new. */
LENS_CHECKED lens_status image_resize(image_t *out, const image_t *in, int32_t width, int32_t height);
/* Scales to cover width x height keeping the aspect, then crops; at_x, at_y in [0, 1] place the crop (0.5: centre). */
LENS_CHECKED lens_status image_cover(image_t *out, const image_t *in, int32_t width, int32_t height, double at_x,
                                     double at_y);
void image_flip_horizontal(image_t *im);

#endif
