/* What image.c and image_load.c ask of each file format. Private to data/.
 *
 * A codec never allocates by what a file claims: image.c reads the header, checks the size, allocates, and only then
 * asks for the pixels. All functions are reentrant; any thread. */
#ifndef LENS_DATA_IMAGE_CODECS_H
#define LENS_DATA_IMAGE_CODECS_H

#include "data/image.h"

/* What a codec takes at most beside what grows with the picture: libraries' tables and buffers of fixed size. */
#define IMAGE_CODEC_BYTES ((uint64_t)512 << 10)

typedef struct {
    int32_t width, height; /* px, as stored */
    int orientation;       /* EXIF, 1..8 */
    bool has_alpha, animated, plain;
    bool convert;         /* JPEG: has a profile that is not sRGB's */
    uint64_t extra_bytes; /* that its _pixels takes at its peak, beside `into` */
} image_header_t;

/* FORMAT where the header is malformed or of a kind that is refused. The size is not checked. */
LENS_CHECKED lens_status image_jpeg_header(image_header_t *out, const uint8_t *bytes, size_t n);
LENS_CHECKED lens_status image_png_header(image_header_t *out, const uint8_t *bytes, size_t n);
LENS_CHECKED lens_status image_webp_header(image_header_t *out, const uint8_t *bytes, size_t n);

/* Fills `into`, which is allocated at the header's size, with the pixels as stored, in sRGB and over white. */
LENS_CHECKED lens_status image_png_pixels(const image_t *into, const uint8_t *bytes, size_t n);
LENS_CHECKED lens_status image_webp_pixels(const image_t *into, const uint8_t *bytes, size_t n);

/* At eighths/8 of the size, 1..8: `into` has image_jpeg_scaled of the header's sides. `convert`: as the header has it.
 */
LENS_CHECKED lens_status image_jpeg_pixels(const image_t *into, const uint8_t *bytes, size_t n, bool convert,
                                           int eighths);
int32_t image_jpeg_scaled(int32_t side, int eighths);
/* The part at (left, top), both even, that has the size of `into`. Not of an animation. */
LENS_CHECKED lens_status image_webp_pixels_part(const image_t *into, const uint8_t *bytes, size_t n, int32_t left,
                                                int32_t top);

/* FORMAT where a picture of that size is refused: a side below 1, or more than IMAGE_MAX_PIXELS. */
LENS_CHECKED lens_status image_check_size(int64_t width, int64_t height);

/* rgb: u8 [n_px, 3], the pixels of rgba, u8 [n_px, 4], over white. */
void image_compose_white(uint8_t *rgb, const uint8_t *rgba, size_t n_px);

/* `stored`, turned as EXIF says; rgb has its pixels, with sides swapped where image_orientation_swaps_sides. */
void image_turn(uint8_t *rgb, const image_t *stored, int orientation);
bool image_orientation_swaps_sides(int orientation);

/* By the format of the bytes. _read_header checks the size. */
LENS_CHECKED lens_status image_read_header(image_header_t *out, image_format format, const uint8_t *bytes, size_t n);
LENS_CHECKED lens_status image_read_pixels(const image_t *into, image_format format, const image_header_t *header,
                                           const uint8_t *bytes, size_t n);

/* The tag 0x0112 of an EXIF block (a TIFF header, "Exif\0\0" before it allowed): 1..8. A block without the tag, or a
 * malformed one, says nothing about the picture: 1. */
int image_exif_orientation(const uint8_t *bytes, size_t n);

#endif
