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

/* ---- files ---- */

typedef enum { IMAGE_UNKNOWN, IMAGE_JPEG, IMAGE_PNG, IMAGE_WEBP, IMAGE_GIF } image_format;

#define IMAGE_MAGIC_BYTES 12 /* as many bytes of a file's beginning tell its format */
image_format image_format_of(const uint8_t *bytes, size_t n);

/* What a file's header says; nothing is decoded. */
typedef struct {
    image_format format;
    int32_t width, height; /* px, upright */
    int32_t orientation;   /* EXIF, 1..8: how the stored picture is turned to stand upright */
    bool has_alpha, animated;
    bool plain;            /* a JPEG that may be kept as it is: Huffman-coded RGB or grey of 8 bits, upright, without an
                              ICC profile or with one that says sRGB */
    uint64_t decode_bytes; /* memory that image_decode takes at its peak, an upper estimate, without `bytes` itself. Not
                              bounded by it: a lossless WebP made to need as many Huffman tables as the format allows, a
                              colour profile whose tables are far larger than any in use */
} image_facts_t;
/* FORMAT where image_decode would refuse the file by its header. */
LENS_CHECKED lens_status image_inspect(image_facts_t *out, const uint8_t *bytes, size_t n);
/* Its width and height alone. */
LENS_CHECKED lens_status image_probe(int32_t *width, int32_t *height, const uint8_t *bytes, size_t n);

/* JPEG (also CMYK/YCCK), PNG (any depth, palette, grey, interlaced), WebP (of an animation the first frame). EXIF
 * orientation applied, alpha composed over white, 16 bit reduced to 8. An ICC profile is converted to sRGB (relative
 * colorimetric, black point compensated); one that is damaged or does not fit the pixels is ignored, as are PNG's gAMA
 * and cHRM, which more often are wrong than right. FORMAT with a reason where it is no picture, is cut short, damaged
 * or larger than IMAGE_MAX_PIXELS. */
LENS_CHECKED lens_status image_decode(image_t *out, const uint8_t *bytes, size_t n);
/* The same, and FORMAT, before anything is decoded, where image_inspect's decode_bytes is more than max_bytes. */
LENS_CHECKED lens_status image_decode_within(image_t *out, const uint8_t *bytes, size_t n, uint64_t max_bytes);
/* image_decode, of a JPEG at the smallest half, quarter or eighth whose longer side has at least_px. */
LENS_CHECKED lens_status image_decode_reduced(image_t *out, int32_t at_least_px, const uint8_t *bytes, size_t n);

/* Appends the encoded file to `out`. quality 0..100; lossless ignores it. */
LENS_CHECKED lens_status image_encode_webp(str_t *out, const image_t *im, double quality, bool lossless);
LENS_CHECKED lens_status image_encode_png(str_t *out, const image_t *im);
/* By the extension of path (.png or .webp), written aside and renamed. */
LENS_CHECKED lens_status image_write(const char *path, const image_t *im);

/* ---- resampling ---- */

/* All are separable and, when shrinking, as wide as the coarser grid's pixels ask for (antialiased). */
typedef enum {
    IMAGE_AREA,     /* box average when shrinking, bilinear when enlarging */
    IMAGE_TRIANGLE, /* two pixels wide */
    IMAGE_LANCZOS,  /* six pixels wide, overshoot clamped */
} image_filter;

typedef struct {
    image_filter filter;
    bool linear_light; /* averages light, not sRGB's code values: fine bright detail keeps its brightness */
} image_resampling_t;

/* `out` is new. Without `how`: IMAGE_TRIANGLE on code values. */
LENS_CHECKED lens_status image_resize(image_t *out, const image_t *in, int32_t width, int32_t height);
LENS_CHECKED lens_status image_resize_with(image_t *out, const image_t *in, int32_t width, int32_t height,
                                           image_resampling_t how);
/* Scales to cover width x height keeping the aspect, then crops; at_x, at_y in [0, 1] place the crop (0.5: centre). */
LENS_CHECKED lens_status image_cover(image_t *out, const image_t *in, int32_t width, int32_t height, double at_x,
                                     double at_y);
LENS_CHECKED lens_status image_cover_with(image_t *out, const image_t *in, int32_t width, int32_t height, double at_x,
                                          double at_y, image_resampling_t how);
/* image_decode and image_cover_with in one go into the caller's rgb, u8 [height, width, 3], by the cheapest route that
 * the file allows: a JPEG much larger than asked for is decoded at a fraction of its size (not for linear light, which
 * that would not average), of a WebP only the part that is kept, and what has the right size goes straight to its
 * place. Fails where those would, and with `rgb` undefined. */
LENS_CHECKED lens_status image_load_cover(uint8_t *rgb, int32_t width, int32_t height, double at_x, double at_y,
                                          image_resampling_t how, const uint8_t *bytes, size_t n);
void image_flip_horizontal(image_t *im);

#endif
