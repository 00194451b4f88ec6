#include "recaption/picture_uri.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

enum { QUALITY = 90 };

/* ---- base64 (RFC 4648): three bytes are two table entries of two characters ---- */

typedef struct {
    char pairs[4096][2];
} base64_table_t;

static void base64_fill(base64_table_t *t) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < 4096; i++) {
        t->pairs[i][0] = digits[i >> 6];
        t->pairs[i][1] = digits[i & 63];
    }
}

static void base64_triples(char *to, const uint8_t *from, size_t n_triples, const base64_table_t *t) {
    for (size_t i = 0; i < n_triples; i++, from += 3, to += 4) {
        const uint32_t v = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];
        memcpy(to, t->pairs[v >> 12], 2);
        memcpy(to + 2, t->pairs[v & 4095], 2);
    }
}

void picture_base64(str_t *out, const void *bytes, size_t n) {
    static _Thread_local base64_table_t table;
    if (!table.pairs[0][0]) base64_fill(&table);
    const uint8_t *from = bytes;
    const size_t n_triples = n / 3, rest = n % 3, size = 4 * (n_triples + (rest > 0));
    str_reserve(out, out->len + size);
    if (out->failed) return;
    char *to = out->s + out->len;
    base64_triples(to, from, n_triples, &table);
    if (rest) {
        const uint8_t last[3] = {from[3 * n_triples], rest > 1 ? from[3 * n_triples + 1] : 0, 0};
        base64_triples(to + 4 * n_triples, last, 1, &table);
        memset(to + size - (3 - rest), '=', 3 - rest);
    }
    out->len += size;
    out->s[out->len] = '\0';
}

/* ---- JPEG ---- */

typedef struct {
    struct jpeg_error_mgr manager; /* first: libjpeg knows it alone */
    jmp_buf fail;
} jpeg_errors_t;

static void on_jpeg_error(j_common_ptr c) {
    longjmp(((jpeg_errors_t *)(void *)c->err)->fail, 1);
}

static lens_status encode_jpeg(str_t *out, const image_t *im) {
    struct jpeg_compress_struct c;
    jpeg_errors_t errors;
    unsigned char *volatile written = NULL; /* survives the jump */
    unsigned long n = 0;
    c.err = jpeg_std_error(&errors.manager);
    errors.manager.error_exit = on_jpeg_error;
    if (setjmp(errors.fail)) {
        jpeg_destroy_compress(&c);
        free(written);
        return lens_fail(LENS_MEMORY, "cannot encode a JPEG of %d x %d px", im->width, im->height);
    }
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, (unsigned char **)&written, &n);
    c.image_width = (JDIMENSION)im->width;
    c.image_height = (JDIMENSION)im->height;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, QUALITY, TRUE);
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height) {
        JSAMPROW row = im->rgb + (size_t)c.next_scanline * (size_t)im->width * 3;
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    str_add_n(out, written, n);
    free(written);
    return str_status(out);
}

/* ---- the picture ---- */

static const char *mime(image_format f) {
    return f == IMAGE_JPEG ? "image/jpeg" : f == IMAGE_PNG ? "image/png" : "image/webp";
}

static bool may_go(const image_facts_t *facts, const picture_uri_options_t *o) {
    const bool known = facts->format == IMAGE_JPEG || facts->format == IMAGE_PNG || facts->format == IMAGE_WEBP;
    const bool wanted = o->format == IMAGE_UNKNOWN ? known : facts->format == o->format;
    const bool plain = facts->format == IMAGE_JPEG ? facts->plain : !facts->animated && facts->orientation == 1;
    return wanted && plain && facts->width <= o->longest_px && facts->height <= o->longest_px;
}

static lens_status encode(str_t *out, const image_t *im, image_format format) {
    if (format == IMAGE_PNG) return image_encode_png(out, im);
    if (format == IMAGE_WEBP) return image_encode_webp(out, im, QUALITY, false);
    return encode_jpeg(out, im);
}

static int32_t scaled(int32_t side, double by) {
    const int32_t px = (int32_t)lround((double)side * by);
    return px < 1 ? 1 : px;
}

static lens_status load(image_t *out, const str_t *picture, const image_facts_t *facts, int32_t longest_px) {
    const int32_t longer = facts->width > facts->height ? facts->width : facts->height;
    const double by = longer > longest_px ? (double)longest_px / longer : 1;
    LENS_TRY(image_new(out, scaled(facts->width, by), scaled(facts->height, by)));
    const image_resampling_t how = {.filter = IMAGE_TRIANGLE};
    lens_status st =
        image_load_cover(out->rgb, out->width, out->height, 0.5, 0.5, how, (const uint8_t *)picture->s, picture->len);
    if (st != LENS_OK) image_free(out);
    return st;
}

lens_status picture_uri(str_t *out, int32_t *width, int32_t *height, const str_t *picture,
                        const picture_uri_options_t *o) {
    image_facts_t facts;
    LENS_TRY(image_inspect(&facts, (const uint8_t *)picture->s, picture->len));
    if (may_go(&facts, o)) {
        str_addf(out, "data:%s;base64,", mime(facts.format));
        picture_base64(out, picture->s, picture->len);
        *width = facts.width;
        *height = facts.height;
        return str_status(out);
    }
    image_t im = {0};
    LENS_TRY(load(&im, picture, &facts, o->longest_px));
    const image_format format = o->format == IMAGE_UNKNOWN ? IMAGE_JPEG : o->format;
    str_t file = {0};
    lens_status st = encode(&file, &im, format);
    if (st == LENS_OK) {
        str_addf(out, "data:%s;base64,", mime(format));
        picture_base64(out, file.s, file.len);
        *width = im.width;
        *height = im.height;
        st = str_status(out);
    }
    str_free(&file);
    image_free(&im);
    return st;
}
