/* What image.c asks of each file format, and what a source asks to tell pictures from other files. Private to data/.
 *
 * A codec never allocates by what a file claims: image.c reads the header, checks the size, allocates, and only then
 * asks for the pixels. All functions are reentrant; any thread. */
#ifndef LENS_DATA_IMAGE_CODECS_H
#define LENS_DATA_IMAGE_CODECS_H

#include "data/image.h"

typedef enum { IMAGE_UNKNOWN, IMAGE_JPEG, IMAGE_PNG, IMAGE_WEBP } image_format;

#define IMAGE_MAGIC_BYTES 12 /* as many bytes of a file's beginning tell its format */
image_format image_format_of(const uint8_t *bytes, size_t n);

typedef struct {
    int32_t width, height; /* px, as stored */
    int orientation;       /* EXIF, 1..8 */
} image_header_t;

/* FORMAT where the header is malformed or of a kind that is refused (animated). The size is not checked. */
LENS_CHECKED lens_status image_jpeg_header(image_header_t *out, const uint8_t *bytes, size_t n);
LENS_CHECKED lens_status image_png_header(image_header_t *out, const uint8_t *bytes, size_t n);
LENS_CHECKED lens_status image_webp_header(image_header_t *out, const uint8_t *bytes, size_t n);

/* Fills `into`, which is allocated at the header's size, with the pixels as stored. */
LENS_CHECKED lens_status image_jpeg_pixels(const image_t *into, const uint8_t *bytes, size_t n);
LENS_CHECKED lens_status image_png_pixels(const image_t *into, const uint8_t *bytes, size_t n);
LENS_CHECKED lens_status image_webp_pixels(const image_t *into, const uint8_t *bytes, size_t n);

/* FORMAT where a picture of that size is refused: a side below 1, or more than IMAGE_MAX_PIXELS. */
LENS_CHECKED lens_status image_check_size(int64_t width, int64_t height);

/* rgba: u8 [height, width, 4], composed over white into `into`. */
void image_compose_white(const image_t *into, const uint8_t *rgba);

/* The tag 0x0112 of an EXIF block (a TIFF header, "Exif\0\0" before it allowed): 1..8. A block without the tag, or a
 * malformed one, says nothing about the picture: 1. */
int image_exif_orientation(const uint8_t *bytes, size_t n);

#endif
