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

void image_compose_white(uint8_t *rgb, const uint8_t *rgba, size_t n_px) {
    for (size_t i = 0; i < n_px; i++) {
        unsigned a = rgba[4 * i + 3];
        for (size_t c = 0; c < 3; c++) rgb[3 * i + c] = (uint8_t)((rgba[4 * i + c] * a + 255 * (255 - a) + 127) / 255);
    }
}

/* ---- orientation ---- */

bool image_orientation_swaps_sides(int orientation) {
    return orientation >= 5;
}

/* EXIF 2.32, 4.6.4 A. */
void image_turn(uint8_t *rgb, const image_t *stored, int orientation) {
    const ptrdiff_t w = stored->width, h = stored->height, right = w - 1, bottom = (h - 1) * w;
    /* Pixel (x, y) of the result is pixel start + x * dx + y * dy of what is stored. */
    const struct {
        ptrdiff_t start, dx, dy;
    } turn[9] = {
        [1] = {0, 1, w}, [2] = {right, -1, w},  [3] = {bottom + right, -1, -w}, [4] = {bottom, 1, -w},
        [5] = {0, w, 1}, [6] = {bottom, -w, 1}, [7] = {bottom + right, -w, -1}, [8] = {right, w, -1},
    };
    bool swaps = image_orientation_swaps_sides(orientation);
    ptrdiff_t width = swaps ? h : w, height = swaps ? w : h;
    for (ptrdiff_t y = 0; y < height; y++) {
        const uint8_t *from = stored->rgb + 3 * (turn[orientation].start + y * turn[orientation].dy);
        for (ptrdiff_t x = 0; x < width; x++, rgb += 3, from += 3 * turn[orientation].dx) memcpy(rgb, from, 3);
    }
}

/* Consumes im, also on failure. */
static lens_status image_orient(image_t *out, image_t *im, int orientation) {
    if (orientation == 1) {
        *out = *im;
        *im = (image_t){0};
        return LENS_OK;
    }
    bool swaps = image_orientation_swaps_sides(orientation);
    lens_status st = image_new(out, swaps ? im->height : im->width, swaps ? im->width : im->height);
    if (st == LENS_OK) image_turn(out->rgb, im, orientation);
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
    if (n >= 6 && (memcmp(bytes, "GIF87a", 6) == 0 || memcmp(bytes, "GIF89a", 6) == 0)) return IMAGE_GIF;
    return IMAGE_UNKNOWN;
}

lens_status image_read_header(image_header_t *out, image_format format, const uint8_t *bytes, size_t n) {
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
    case IMAGE_GIF:
        return lens_fail(LENS_FORMAT, "GIF: expected JPEG, PNG or WebP");
    default:
        return lens_fail(LENS_FORMAT, "not a picture: expected JPEG, PNG or WebP");
    }
    return image_check_size(out->width, out->height);
}

lens_status image_read_pixels(const image_t *into, image_format format, const image_header_t *header,
                              const uint8_t *bytes, size_t n) {
    switch (format) {
    case IMAGE_JPEG:
        return image_jpeg_pixels(into, bytes, n, header->convert, 8);
    case IMAGE_PNG:
        return image_png_pixels(into, bytes, n);
    default:
        return image_webp_pixels(into, bytes, n);
    }
}

/* What is left of a codec is gone before the picture is turned. */
static uint64_t image_decode_bytes(const image_header_t *h) {
    uint64_t stored = (uint64_t)h->width * (uint64_t)h->height * 3;
    uint64_t turned = h->orientation == 1 ? 0 : stored + IMAGE_CODEC_BYTES;
    return stored + (h->extra_bytes > turned ? h->extra_bytes : turned);
}

lens_status image_inspect(image_facts_t *out, const uint8_t *bytes, size_t n) {
    *out = (image_facts_t){0};
    image_header_t h;
    image_format format = image_format_of(bytes, n);
    LENS_TRY(image_read_header(&h, format, bytes, n));
    bool swaps = image_orientation_swaps_sides(h.orientation);
    *out = (image_facts_t){.format = format,
                           .width = swaps ? h.height : h.width,
                           .height = swaps ? h.width : h.height,
                           .orientation = h.orientation,
                           .has_alpha = h.has_alpha,
                           .animated = h.animated,
                           .plain = h.plain,
                           .decode_bytes = image_decode_bytes(&h)};
    return LENS_OK;
}

lens_status image_probe(int32_t *width, int32_t *height, const uint8_t *bytes, size_t n) {
    image_facts_t facts;
    LENS_TRY(image_inspect(&facts, bytes, n));
    *width = facts.width;
    *height = facts.height;
    return LENS_OK;
}

lens_status image_decode_within(image_t *out, const uint8_t *bytes, size_t n, uint64_t max_bytes) {
    *out = (image_t){0};
    image_format format = image_format_of(bytes, n);
    image_header_t header;
    image_t stored;
    LENS_TRY(image_read_header(&header, format, bytes, n));
    if (image_decode_bytes(&header) > max_bytes)
        return lens_fail(LENS_FORMAT,
                         "picture of %" PRId32 " x %" PRId32 " px takes %" PRIu64 " bytes to decode, allowed %" PRIu64,
                         header.width, header.height, image_decode_bytes(&header), max_bytes);
    LENS_TRY(image_new(&stored, header.width, header.height));
    lens_status st = image_read_pixels(&stored, format, &header, bytes, n);
    if (st != LENS_OK) {
        image_free(&stored);
        return st;
    }
    return image_orient(out, &stored, header.orientation);
}

lens_status image_decode(image_t *out, const uint8_t *bytes, size_t n) {
    return image_decode_within(out, bytes, n, UINT64_MAX);
}

lens_status image_decode_reduced(image_t *out, int32_t at_least_px, const uint8_t *bytes, size_t n) {
    *out = (image_t){0};
    if (image_format_of(bytes, n) != IMAGE_JPEG) return image_decode(out, bytes, n);
    image_header_t header;
    image_t stored;
    LENS_TRY(image_read_header(&header, IMAGE_JPEG, bytes, n));
    const int32_t longest = header.width > header.height ? header.width : header.height;
    int eighths = 1;
    while (eighths < 8 && image_jpeg_scaled(longest, eighths) < at_least_px) eighths *= 2;
    LENS_TRY(image_new(&stored, image_jpeg_scaled(header.width, eighths), image_jpeg_scaled(header.height, eighths)));
    lens_status st = image_jpeg_pixels(&stored, bytes, n, header.convert, eighths);
    if (st == LENS_OK) return image_orient(out, &stored, header.orientation);
    image_free(&stored);
    return st;
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
