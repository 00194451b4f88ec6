/* Pictures in memory: allocation, orientation, and the way from a file's bytes to pixels. Any thread. */
#include "data/image.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/image_codecs.h"

lens_status image_check_size(int64_t width, int64_t height) {
    if (width < 1 || height < 1)
        return lens_fail(LENS_FORMAT, "picture of %" PRId64 " x %" PRId64 " px: sides below 1", width, height);
    if (width > IMAGE_MAX_PIXELS / height)
        return lens_fail(LENS_FORMAT,
                         "picture of %" PRId64 " x %" PRId64 " px is too large: at most %" PRId64 " pixels", width,
                         height, IMAGE_MAX_PIXELS);
    return LENS_OK;
}

lens_status image_new(image_t *out, int32_t width, int32_t height) {
    *out = (image_t){0};
    LENS_TRY(image_check_size(width, height));
    size_t size = (size_t)width * (size_t)height * 3;
    uint8_t *rgb = malloc(size);
    if (!rgb)
        return lens_fail(LENS_MEMORY, "%zu bytes for a picture of %" PRId32 " x %" PRId32 " px", size, width, height);
    *out = (image_t){width, height, rgb};
    return LENS_OK;
}

void image_free(image_t *im) {
    if (!im) return;
    free(im->rgb);
    *im = (image_t){0};
}

void image_compose_white(const image_t *into, const uint8_t *rgba) {
    size_t n_px = (size_t)into->width * (size_t)into->height;
    for (size_t i = 0; i < n_px; i++) {
        unsigned a = rgba[4 * i + 3];
        for (size_t c = 0; c < 3; c++)
            into->rgb[3 * i + c] = (uint8_t)((rgba[4 * i + c] * a + 255 * (255 - a) + 127) / 255);
    }
}

/* ---- orientation ---- */

static bool orientation_swaps_sides(int orientation) {
    return orientation >= 5;
}

/* EXIF 2.32, 4.6.4 A: how to turn the stored picture so that it stands upright. Consumes im, also on failure. */
static lens_status image_orient(image_t *out, image_t *im, int orientation) {
    if (orientation == 1) {
        *out = *im;
        *im = (image_t){0};
        return LENS_OK;
    }
    const ptrdiff_t w = im->width, h = im->height, right = w - 1, bottom = (h - 1) * w;
    /* Pixel (x, y) of the result is pixel start + x * dx + y * dy of what is stored. */
    const struct {
        ptrdiff_t start, dx, dy;
    } turn[9] = {
        [2] = {right, -1, w},  [3] = {bottom + right, -1, -w}, [4] = {bottom, 1, -w}, [5] = {0, w, 1},
        [6] = {bottom, -w, 1}, [7] = {bottom + right, -w, -1}, [8] = {right, w, -1},
    };
    bool swaps = orientation_swaps_sides(orientation);
    lens_status st = image_new(out, swaps ? im->height : im->width, swaps ? im->width : im->height);
    if (st == LENS_OK) {
        uint8_t *to = out->rgb;
        for (ptrdiff_t y = 0; y < out->height; y++) {
            const uint8_t *from = im->rgb + 3 * (turn[orientation].start + y * turn[orientation].dy);
            for (ptrdiff_t x = 0; x < out->width; x++, to += 3, from += 3 * turn[orientation].dx) memcpy(to, from, 3);
        }
    }
    image_free(im);
    return st;
}

void image_flip_horizontal(image_t *im) {
    for (size_t y = 0; y < (size_t)im->height; y++) {
        uint8_t *left = im->rgb + y * (size_t)im->width * 3, *right = left + ((size_t)im->width - 1) * 3;
        for (; left < right; left += 3, right -= 3) {
            uint8_t keep[3];
            memcpy(keep, left, 3);
            memcpy(left, right, 3);
            memcpy(right, keep, 3);
        }
    }
}

/* ---- files ---- */

image_format image_format_of(const uint8_t *bytes, size_t n) {
    if (n >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0) return IMAGE_JPEG;
    if (n >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0) return IMAGE_PNG;
    if (n >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0) return IMAGE_WEBP;
    return IMAGE_UNKNOWN;
}

static lens_status image_read_header(image_header_t *out, image_format format, const uint8_t *bytes, size_t n) {
    switch (format) {
    case IMAGE_JPEG:
        LENS_TRY(image_jpeg_header(out, bytes, n));
        break;
    case IMAGE_PNG:
        LENS_TRY(image_png_header(out, bytes, n));
        break;
    case IMAGE_WEBP:
        LENS_TRY(image_webp_header(out, bytes, n));
        break;
    default:
        return lens_fail(LENS_FORMAT, "not a picture: expected JPEG, PNG or WebP");
    }
    return image_check_size(out->width, out->height);
}

static lens_status image_read_pixels(const image_t *into, image_format format, const uint8_t *bytes, size_t n) {
    switch (format) {
    case IMAGE_JPEG:
        return image_jpeg_pixels(into, bytes, n);
    case IMAGE_PNG:
        return image_png_pixels(into, bytes, n);
    default:
        return image_webp_pixels(into, bytes, n);
    }
}

lens_status image_decode(image_t *out, const uint8_t *bytes, size_t n) {
    *out = (image_t){0};
    image_format format = image_format_of(bytes, n);
    image_header_t header;
    image_t stored;
    LENS_TRY(image_read_header(&header, format, bytes, n));
    LENS_TRY(image_new(&stored, header.width, header.height));
    lens_status st = image_read_pixels(&stored, format, bytes, n);
    if (st != LENS_OK) {
        image_free(&stored);
        return st;
    }
    return image_orient(out, &stored, header.orientation);
}

lens_status image_probe(int32_t *width, int32_t *height, const uint8_t *bytes, size_t n) {
    image_header_t header;
    LENS_TRY(image_read_header(&header, image_format_of(bytes, n), bytes, n));
    bool swaps = orientation_swaps_sides(header.orientation);
    *width = swaps ? header.height : header.width;
    *height = swaps ? header.width : header.height;
    return LENS_OK;
}

lens_status image_write(const char *path, const image_t *im) {
    bool png = str_ends_with(path, ".png");
    if (!png && !str_ends_with(path, ".webp"))
        return lens_fail(LENS_ARGUMENT, "%s: expected a name that ends in .png or .webp", path);
    str_t file = {0};
    lens_status st = LENS_OK;
    LENS_GO(png ? image_encode_png(&file, im) : image_encode_webp(&file, im, 90, false));
    LENS_GO(file_write(path, file.s, file.len));
done:
    str_free(&file);
    return lens_context(st, "%s", path);
}
