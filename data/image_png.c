/* PNG through libpng. Any thread.
 *
 * libpng reports errors by a callback that must not return: it jumps back to png_guard. The work is done in functions
 * below png_guard and everything that outlives the jump is a field, so no local can be clobbered. */
#include "data/image_codecs.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "data/image_icc.h"

#define PNG_SIGNATURE_BYTES 8
#define PNG_CHUNK_BYTES 12 /* length, type, checksum */

typedef struct {
    png_structp png;
    png_infop info;
    jmp_buf jump;
    char message[128];
    const uint8_t *bytes; /* what is to be read */
    size_t n, at;
    const image_t *into;
    uint8_t *rgba;       /* where there is transparency, owned */
    image_icc_t *icc;    /* owned, NULL: sRGB */
    lens_status st;      /* of the failure */
    const image_t *from; /* what is to be written */
    str_t *out;
} png_work_t;

static void png_stop(png_structp png, png_const_charp message) {
    png_work_t *w = png_get_error_ptr(png);
    snprintf(w->message, sizeof w->message, "%s", message);
    if (w->st == LENS_OK) w->st = LENS_FORMAT;
    longjmp(w->jump, 1);
}

static void png_on_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static bool png_guard(png_work_t *w, void (*work)(png_work_t *)) {
    if (setjmp(w->jump)) return false;
    work(w);
    return true;
}

/* ---- header ---- */

static uint32_t png_u32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Deflate cannot make more of its input. */
#define PNG_MAX_INFLATION 1032

typedef struct {
    int orientation;
    bool transparent;
    uint64_t profile_bytes; /* at most */
} png_chunks_t;

/* eXIf may stand before or after the pixels. A chunk that runs past the end ends the walk; libpng reports it. */
static png_chunks_t png_walk(const uint8_t *bytes, size_t n) {
    png_chunks_t c = {.orientation = 1};
    size_t at = PNG_SIGNATURE_BYTES;
    bool oriented = false;
    while (n - at >= PNG_CHUNK_BYTES) {
        size_t length = png_u32(bytes + at);
        if (length > n - at - PNG_CHUNK_BYTES) break;
        if (!oriented && memcmp(bytes + at + 4, "eXIf", 4) == 0) {
            c.orientation = image_exif_orientation(bytes + at + 8, length);
            oriented = true;
        }
        if (memcmp(bytes + at + 4, "tRNS", 4) == 0) c.transparent = true;
        if (memcmp(bytes + at + 4, "iCCP", 4) == 0) c.profile_bytes = (uint64_t)length * PNG_MAX_INFLATION;
        at += PNG_CHUNK_BYTES + length;
    }
    if (c.profile_bytes > ICC_MAX_PROFILE_BYTES) c.profile_bytes = ICC_MAX_PROFILE_BYTES;
    return c;
}

lens_status image_png_header(image_header_t *out, const uint8_t *bytes, size_t n) {
    if (n < PNG_SIGNATURE_BYTES + PNG_CHUNK_BYTES + 13) return lens_fail(LENS_FORMAT, "PNG: cut short in its header");
    const uint8_t *header = bytes + PNG_SIGNATURE_BYTES;
    if (png_u32(header) != 13 || memcmp(header + 4, "IHDR", 4) != 0)
        return lens_fail(LENS_FORMAT, "PNG: the first chunk is not IHDR");
    uint32_t width = png_u32(header + 8), height = png_u32(header + 12);
    if (width > INT32_MAX || height > INT32_MAX)
        return lens_fail(LENS_FORMAT, "PNG: size of %" PRIu32 " x %" PRIu32 " px is out of range", width, height);
    png_chunks_t chunks = png_walk(bytes, n);
    bool alpha = header[17] & PNG_COLOR_MASK_ALPHA || chunks.transparent;
    *out = (image_header_t){
        .width = (int32_t)width,
        .height = (int32_t)height,
        .orientation = chunks.orientation,
        .has_alpha = alpha,
        .extra_bytes = IMAGE_CODEC_BYTES + (uint64_t)width * 32 + (alpha ? (uint64_t)width * height * 4 : 0) +
                       (chunks.profile_bytes ? 3 * chunks.profile_bytes + ICC_TRANSFORM_BYTES : 0),
    };
    return LENS_OK;
}

/* ---- reading ---- */

static void png_take(png_structp png, png_bytep to, size_t n) {
    png_work_t *w = png_get_io_ptr(png);
    if (n > w->n - w->at) png_error(png, "cut short");
    memcpy(to, w->bytes + w->at, n);
    w->at += n;
}

static _Noreturn void png_fail_memory(png_work_t *w) {
    w->st = LENS_MEMORY;
    png_error(w->png, "out of memory");
}

/* libpng itself ignores a profile that is damaged or of another space than the pixels. */
static void png_read_profile(png_work_t *w, int n_channels) {
    png_charp name;
    png_bytep profile;
    png_uint_32 n;
    int method;
    if (!png_get_iCCP(w->png, w->info, &name, &method, &profile, &n)) return;
    bool grey = !(png_get_color_type(w->png, w->info) & PNG_COLOR_MASK_COLOR);
    if (image_icc_new(&w->icc, profile, n, grey ? ICC_GREY : ICC_RGB, n_channels) != LENS_OK) png_fail_memory(w);
}

/* Of the chunks beside IHDR, PLTE, tRNS, IDAT and IEND only iCCP is parsed: what is not cannot harm. */
static void png_choose_chunks(png_work_t *w) {
    png_set_keep_unknown_chunks(w->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_keep_unknown_chunks(w->png, PNG_HANDLE_CHUNK_AS_DEFAULT, (png_const_bytep) "iCCP", 1);
    png_set_chunk_malloc_max(w->png, ICC_MAX_PROFILE_BYTES);
}

static void png_read_pixels(png_work_t *w) {
    png_set_read_fn(w->png, w, png_take);
    png_choose_chunks(w);
    png_read_info(w->png, w->info);
    bool alpha =
        png_get_color_type(w->png, w->info) & PNG_COLOR_MASK_ALPHA || png_get_valid(w->png, w->info, PNG_INFO_tRNS);
    int n_channels = alpha ? 4 : 3;
    png_read_profile(w, n_channels);
    png_set_scale_16(w->png);
    png_set_expand(w->png);
    png_set_gray_to_rgb(w->png);
    int n_passes = png_set_interlace_handling(w->png);
    png_read_update_info(w->png, w->info);

    size_t width = (size_t)w->into->width, height = (size_t)w->into->height;
    size_t stride = png_get_rowbytes(w->png, w->info);
    if (stride != width * (size_t)n_channels) png_error(w->png, "unexpected row size");
    uint8_t *to = w->into->rgb;
    if (alpha && !(to = w->rgba = malloc(stride * height))) png_fail_memory(w);
    for (int pass = 0; pass < n_passes; pass++)
        for (size_t y = 0; y < height; y++) png_read_row(w->png, to + y * stride, NULL);
    png_read_end(w->png, NULL);
    if (w->icc) image_icc_apply(w->icc, to, to, width * height);
    if (alpha) image_compose_white(w->into->rgb, to, width * height);
}

lens_status image_png_pixels(const image_t *into, const uint8_t *bytes, size_t n) {
    png_work_t w = {.bytes = bytes, .n = n, .into = into};
    lens_status st = LENS_OK;
    w.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &w, png_stop, png_on_warning);
    if (w.png) w.info = png_create_info_struct(w.png);
    if (!w.info)
        st = lens_fail(LENS_MEMORY, "PNG: cannot create a decoder");
    else if (!png_guard(&w, png_read_pixels))
        st = lens_fail(w.st, "PNG: %s", w.message);
    png_destroy_read_struct(&w.png, &w.info, NULL);
    image_icc_free(w.icc);
    free(w.rgba);
    return st;
}

/* ---- writing ---- */

static void png_put(png_structp png, png_bytep bytes, size_t n) {
    png_work_t *w = png_get_io_ptr(png);
    str_add_n(w->out, bytes, n);
}

static void png_flush_nothing(png_structp png) {
    (void)png;
}

static void png_write_pixels(png_work_t *w) {
    const image_t *im = w->from;
    png_set_write_fn(w->png, w, png_put, png_flush_nothing);
    png_set_user_limits(w->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_IHDR(w->png, w->info, (png_uint_32)im->width, (png_uint_32)im->height, 8, PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(w->png, w->info);
    for (size_t y = 0; y < (size_t)im->height; y++) png_write_row(w->png, im->rgb + y * (size_t)im->width * 3);
    png_write_end(w->png, NULL);
}

lens_status image_encode_png(str_t *out, const image_t *im) {
    png_work_t w = {.from = im, .out = out};
    lens_status st = LENS_OK;
    w.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &w, png_stop, png_on_warning);
    if (w.png) w.info = png_create_info_struct(w.png);
    if (!w.info)
        st = lens_fail(LENS_MEMORY, "PNG: cannot create an encoder");
    else if (!png_guard(&w, png_write_pixels))
        st = lens_fail(LENS_FORMAT, "PNG: %s", w.message);
    png_destroy_write_struct(&w.png, &w.info);
    if (st == LENS_OK) st = str_status(out);
    return st;
}
