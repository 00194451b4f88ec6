/* JPEG through libjpeg. Any thread.
 *
 * libjpeg reports errors by a callback that must not return: it jumps back to jpeg_guard. The work is done in functions
 * below jpeg_guard and everything that outlives the jump is a field of jpeg_reader_t, so no local can be clobbered. */
#include "data/image_codecs.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

/* A progressive file of a few kilobytes can ask for any number of passes over all pixels; encoders write about ten. */
#define JPEG_MAX_SCANS 500

typedef struct jpeg_reader {
    void (*work)(struct jpeg_reader *);
    const uint8_t *bytes;
    size_t n;
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    lens_status st;
    char message[JMSG_LENGTH_MAX];
    image_header_t header;
    const image_t *into;
    uint8_t *row; /* CMYK, owned */
} jpeg_reader_t;

static jpeg_reader_t *jpeg_reader_of(j_common_ptr jpeg) {
    return jpeg->client_data;
}

static _Noreturn void jpeg_stop(j_common_ptr jpeg) {
    jpeg_reader_t *r = jpeg_reader_of(jpeg);
    r->st = r->errors.msg_code == JERR_OUT_OF_MEMORY ? LENS_MEMORY : LENS_FORMAT;
    r->errors.format_message(jpeg, r->message);
    longjmp(r->jump, 1);
}

/* libjpeg paints what it lacks grey and only warns. Damage to the pixels is an error here; oddities beside them are
 * not. */
static void jpeg_on_message(j_common_ptr jpeg, int level) {
    if (level >= 0) return;
    switch (jpeg->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
        jpeg_stop(jpeg);
    default:
        break;
    }
}

static void jpeg_on_progress(j_common_ptr jpeg) {
    jpeg_reader_t *r = jpeg_reader_of(jpeg);
    if (r->jpeg.input_scan_number <= JPEG_MAX_SCANS) return;
    r->st = LENS_FORMAT;
    snprintf(r->message, sizeof r->message, "more than %d scans", JPEG_MAX_SCANS);
    longjmp(r->jump, 1);
}

static void jpeg_begin(jpeg_reader_t *r) {
    jpeg_create_decompress(&r->jpeg);
    r->progress.progress_monitor = jpeg_on_progress;
    r->jpeg.progress = &r->progress;
    jpeg_mem_src(&r->jpeg, r->bytes, r->n);
    r->work(r);
}

static bool jpeg_guard(jpeg_reader_t *r) {
    if (setjmp(r->jump)) return false;
    jpeg_begin(r);
    return true;
}

static lens_status jpeg_run(jpeg_reader_t *r) {
    r->jpeg.err = jpeg_std_error(&r->errors);
    r->errors.error_exit = jpeg_stop;
    r->errors.emit_message = jpeg_on_message;
    r->jpeg.client_data = r;
    lens_status st = LENS_OK;
    if (!jpeg_guard(r)) st = lens_fail(r->st, "JPEG: %s", r->message);
    jpeg_destroy_decompress(&r->jpeg);
    free(r->row);
    return st;
}

static void jpeg_read_size(jpeg_reader_t *r) {
    jpeg_save_markers(&r->jpeg, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(&r->jpeg, TRUE);
    r->header = (image_header_t){(int32_t)r->jpeg.image_width, (int32_t)r->jpeg.image_height, 1};
    /* APP1 is also XMP's marker: the first that begins as EXIF does counts. */
    for (jpeg_saved_marker_ptr m = r->jpeg.marker_list; m; m = m->next) {
        if (m->data_length < 6 || memcmp(m->data, "Exif\0\0", 6) != 0) continue;
        r->header.orientation = image_exif_orientation(m->data, m->data_length);
        break;
    }
}

lens_status image_jpeg_header(image_header_t *out, const uint8_t *bytes, size_t n) {
    jpeg_reader_t r = {.work = jpeg_read_size, .bytes = bytes, .n = n};
    LENS_TRY(jpeg_run(&r));
    *out = r.header;
    return LENS_OK;
}

/* cmyk: u8 [n_px, 4]. Adobe's files hold the inks inverted: 255 is none. Without a profile this is the usual estimate.
 */
static void jpeg_cmyk_to_rgb(uint8_t *rgb, const uint8_t *cmyk, size_t n_px, bool inverted) {
    unsigned flip = inverted ? 0 : 255;
    for (size_t i = 0; i < n_px; i++) {
        unsigned light = cmyk[4 * i + 3] ^ flip;
        for (size_t c = 0; c < 3; c++) rgb[3 * i + c] = (uint8_t)(((cmyk[4 * i + c] ^ flip) * light + 127) / 255);
    }
}

static void jpeg_read_pixels(jpeg_reader_t *r) {
    jpeg_read_header(&r->jpeg, TRUE);
    bool cmyk = r->jpeg.jpeg_color_space == JCS_CMYK || r->jpeg.jpeg_color_space == JCS_YCCK;
    r->jpeg.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&r->jpeg);

    size_t width = r->jpeg.output_width;
    LENS_ASSERT((int64_t)width == r->into->width && (int64_t)r->jpeg.output_height == r->into->height,
                "header said %" PRId32 " x %" PRId32, r->into->width, r->into->height);
    if (cmyk) {
        r->row = malloc(width * 4);
        if (!r->row) ERREXIT1(&r->jpeg, JERR_OUT_OF_MEMORY, 0);
    }
    while (r->jpeg.output_scanline < r->jpeg.output_height) {
        uint8_t *rgb = r->into->rgb + (size_t)r->jpeg.output_scanline * width * 3;
        JSAMPROW row = cmyk ? r->row : rgb;
        jpeg_read_scanlines(&r->jpeg, &row, 1);
        if (cmyk) jpeg_cmyk_to_rgb(rgb, r->row, width, r->jpeg.saw_Adobe_marker);
    }
    jpeg_finish_decompress(&r->jpeg);
}

lens_status image_jpeg_pixels(const image_t *into, const uint8_t *bytes, size_t n) {
    jpeg_reader_t r = {.work = jpeg_read_pixels, .bytes = bytes, .n = n, .into = into};
    return jpeg_run(&r);
}
