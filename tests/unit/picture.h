/* Files of pictures, made for tests by the format libraries themselves. Any failure here aborts the test. */
#ifndef LENS_TESTS_PICTURE_H
#define LENS_TESTS_PICTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jpeglib.h>
#include <png.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include "data/image.h"

/* Smooth colours that differ between the corners. */
static inline void picture_gradient(image_t *im, int32_t width, int32_t height) {
    assert_int_equal(image_new(im, width, height), LENS_OK);
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++) {
            uint8_t *p = im->rgb + 3 * ((size_t)y * (size_t)width + (size_t)x);
            p[0] = (uint8_t)(40 + 180 * x / width);
            p[1] = (uint8_t)(40 + 180 * y / height);
            p[2] = (uint8_t)(200 - 150 * (x + y) / (width + height));
        }
}

#define PICTURE_EXIF_BYTES 26
static inline void picture_exif(uint8_t out[PICTURE_EXIF_BYTES], int orientation, bool big) {
    const uint8_t block[2][PICTURE_EXIF_BYTES] = {
        {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 0x01, 3, 0, 1, 0, 0, 0, (uint8_t)orientation, 0},
        {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, (uint8_t)orientation}};
    memcpy(out, block[big], PICTURE_EXIF_BYTES);
}

/* ---- JPEG ---- */
typedef struct {
    J_COLOR_SPACE file_space; /* JCS_YCbCr, JCS_GRAYSCALE, JCS_CMYK, JCS_YCCK */
    bool progressive, no_adobe_marker;
    int orientation;  /* 0: no EXIF */
    const str_t *icc; /* NULL: no profile */
} picture_jpeg_t;

/* CMYK: without black, inverted (no ink is 255) unless no_adobe_marker. */
static inline void picture_jpeg(str_t *out, const image_t *im, picture_jpeg_t how) {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long n = 0;
    bool cmyk = how.file_space == JCS_CMYK || how.file_space == JCS_YCCK;
    size_t width = (size_t)im->width;
    uint8_t *inks = malloc(width * 4);
    assert_non_null(inks);

    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &n);
    jpeg.image_width = (JDIMENSION)im->width;
    jpeg.image_height = (JDIMENSION)im->height;
    jpeg.input_components = cmyk ? 4 : 3;
    jpeg.in_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_colorspace(&jpeg, how.file_space);
    jpeg_set_quality(&jpeg, 95, TRUE);
    if (how.no_adobe_marker) jpeg.write_Adobe_marker = FALSE;
    if (how.progressive) jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    if (how.orientation) {
        uint8_t exif[6 + PICTURE_EXIF_BYTES] = "Exif\0";
        picture_exif(exif + 6, how.orientation, how.orientation % 2);
        jpeg_write_marker(&jpeg, JPEG_APP0 + 1, exif, sizeof exif);
    }
    if (how.icc) jpeg_write_icc_profile(&jpeg, (const JOCTET *)how.icc->s, (unsigned)how.icc->len);
    for (size_t y = 0; y < (size_t)im->height; y++) {
        uint8_t *row = im->rgb + y * width * 3;
        for (size_t x = 0; x < width; x++) {
            for (size_t c = 0; c < 3; c++)
                inks[4 * x + c] = (uint8_t)(how.no_adobe_marker ? 255 - row[3 * x + c] : row[3 * x + c]);
            inks[4 * x + 3] = how.no_adobe_marker ? 0 : 255;
        }
        if (cmyk) row = inks;
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    str_clear(out);
    str_add_n(out, bytes, n);
    assert_int_equal(str_status(out), LENS_OK);
    free(bytes);
    free(inks);
}

/* ---- PNG ---- */
typedef struct {
    int32_t width, height;
    int depth, color_type;
    bool interlaced;
    const uint8_t *rows; /* as PNG wants them, 16 bit big-endian */
    size_t stride;
    const png_color *palette;
    int n_palette;
    const uint8_t *palette_alpha;    /* tRNS of a palette, n_palette of them, or NULL */
    const png_color_16 *transparent; /* tRNS of grey and RGB, or NULL */
    int orientation;                 /* 0: no eXIf */
    const str_t *icc;                /* NULL: no profile */
} picture_png_t;

static inline void picture_png_put(png_structp png, png_bytep bytes, size_t n) {
    str_add_n(png_get_io_ptr(png), bytes, n);
}

static inline void picture_png(str_t *out, picture_png_t p) {
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    assert_non_null(info);
    if (setjmp(png_jmpbuf(png))) fail_msg("libpng refused a picture of the test");
    str_clear(out);
    png_set_write_fn(png, out, picture_png_put, NULL);
    png_set_IHDR(png, info, (png_uint_32)p.width, (png_uint_32)p.height, p.depth, p.color_type,
                 p.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (p.palette) png_set_PLTE(png, info, p.palette, p.n_palette);
    if (p.palette_alpha) png_set_tRNS(png, info, p.palette_alpha, p.n_palette, NULL);
    if (p.transparent) png_set_tRNS(png, info, NULL, 0, p.transparent);
    uint8_t exif[PICTURE_EXIF_BYTES];
    picture_exif(exif, p.orientation, p.orientation % 2);
    if (p.orientation) png_set_eXIf_1(png, info, sizeof exif, exif);
    if (p.icc) png_set_iCCP(png, info, "icc", 0, (png_const_bytep)p.icc->s, (png_uint_32)p.icc->len);
    png_set_gAMA(png, info, 0.45455); /* must change nothing */
    png_write_info(png, info);
    int n_passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < n_passes; pass++)
        for (size_t y = 0; y < (size_t)p.height; y++) png_write_row(png, p.rows + y * p.stride);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    assert_int_equal(str_status(out), LENS_OK);
}

/* ---- WebP ---- */
static inline void picture_webp_assemble(str_t *out, WebPMux *mux) {
    WebPData file;
    assert_int_equal(WebPMuxAssemble(mux, &file), WEBP_MUX_OK);
    str_clear(out);
    str_add_n(out, file.bytes, file.size);
    assert_int_equal(str_status(out), LENS_OK);
    WebPDataClear(&file);
    WebPMuxDelete(mux);
}

static inline void picture_webp_add_chunk(str_t *webp, const char *fourcc, const void *bytes, size_t n) {
    WebPData file = {(const uint8_t *)webp->s, webp->len}, chunk = {bytes, n};
    WebPMux *mux = WebPMuxCreate(&file, 1);
    assert_non_null(mux);
    assert_int_equal(WebPMuxSetChunk(mux, fourcc, &chunk, 1), WEBP_MUX_OK);
    picture_webp_assemble(webp, mux);
}

static inline void picture_webp_add_exif(str_t *webp, int orientation) {
    uint8_t exif[PICTURE_EXIF_BYTES];
    picture_exif(exif, orientation, orientation % 2);
    picture_webp_add_chunk(webp, "EXIF", exif, sizeof exif);
}

/* u8 [height, width, 4], lossless. */
static inline void picture_webp_rgba(str_t *out, const uint8_t *rgba, int width, int height) {
    uint8_t *bytes = NULL;
    size_t n = WebPEncodeLosslessRGBA(rgba, width, height, width * 4, &bytes);
    assert_true(n > 0);
    str_clear(out);
    str_add_n(out, bytes, n);
    WebPFree(bytes);
}

/* Two frames, at (x, y), both even, of a canvas of that size (0: as large as the frame). The background is red, which
 * no decoder is to show. */
static inline void picture_webp_animation(str_t *out, const str_t *first, const str_t *second, int x, int y, int width,
                                          int height) {
    WebPMux *mux = WebPMuxNew();
    WebPMuxAnimParams loop = {0xffff0000, 0};
    WebPMuxFrameInfo f = {.x_offset = x,
                          .y_offset = y,
                          .duration = 100,
                          .id = WEBP_CHUNK_ANMF,
                          .dispose_method = WEBP_MUX_DISPOSE_NONE,
                          .blend_method = WEBP_MUX_BLEND};
    const str_t *const frames[2] = {first, second};
    for (int i = 0; i < 2; i++) {
        f.bitstream = (WebPData){(const uint8_t *)frames[i]->s, frames[i]->len};
        assert_int_equal(WebPMuxPushFrame(mux, &f, 1), WEBP_MUX_OK);
    }
    assert_int_equal(WebPMuxSetAnimationParams(mux, &loop), WEBP_MUX_OK);
    if (width) assert_int_equal(WebPMuxSetCanvasSize(mux, width, height), WEBP_MUX_OK);
    picture_webp_assemble(out, mux);
}

#endif
