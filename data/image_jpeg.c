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

#include "data/image_icc.h"

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
    int eighths;
    bool convert;
    image_icc_t *icc; /* owned, NULL: sRGB */
    JOCTET *profile;  /* owned */
    uint8_t *row;     /* CMYK, owned */
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
    image_icc_free(r->icc);
    free(r->profile);
    free(r->row);
    return st;
}

/* ---- header ---- */

static icc_space jpeg_space(const jpeg_reader_t *r) {
    return r->jpeg.num_components == 1 ? ICC_GREY : r->jpeg.num_components == 4 ? ICC_CMYK : ICC_RGB;
}

/* APP1 is also XMP's marker: the first that begins as EXIF does counts. */
static int jpeg_orientation(const jpeg_reader_t *r) {
    for (jpeg_saved_marker_ptr m = r->jpeg.marker_list; m; m = m->next)
        if (m->marker == JPEG_APP0 + 1 && m->data_length >= 6 && memcmp(m->data, "Exif\0\0", 6) == 0)
            return image_exif_orientation(m->data, m->data_length);
    return 1;
}

/* Where no single pass brings a whole row, libjpeg keeps every coefficient, 2 bytes, of components padded to whole
 * blocks. Beside them it holds a few dozen rows. */
static uint64_t jpeg_extra_bytes(jpeg_reader_t *r, size_t profile_bytes, bool convert) {
    uint64_t bytes = IMAGE_CODEC_BYTES + (uint64_t)r->jpeg.image_width * 256 + 3 * profile_bytes;
    if (convert) bytes += ICC_TRANSFORM_BYTES;
    if (!jpeg_has_multiple_scans(&r->jpeg)) return bytes;
    uint64_t mcu_width = (uint64_t)r->jpeg.max_h_samp_factor * DCTSIZE;
    uint64_t mcu_height = (uint64_t)r->jpeg.max_v_samp_factor * DCTSIZE;
    uint64_t n_mcus = ((r->jpeg.image_width - 1) / mcu_width + 1) * ((r->jpeg.image_height - 1) / mcu_height + 1);
    for (int i = 0; i < r->jpeg.num_components; i++) {
        const jpeg_component_info *c = &r->jpeg.comp_info[i];
        bytes += n_mcus * (uint64_t)(c->h_samp_factor * c->v_samp_factor) * DCTSIZE2 * sizeof(JCOEF);
    }
    return bytes;
}

/* Sets r->profile, where there is one whose segments are all there. */
static size_t jpeg_take_profile(jpeg_reader_t *r) {
    unsigned int n = 0;
    return jpeg_read_icc_profile(&r->jpeg, &r->profile, &n) ? n : 0;
}

static void jpeg_work_header(jpeg_reader_t *r) {
    jpeg_save_markers(&r->jpeg, JPEG_APP0 + 1, 0xFFFF);
    jpeg_save_markers(&r->jpeg, JPEG_APP0 + 2, 0xFFFF);
    jpeg_read_header(&r->jpeg, TRUE);
    size_t n = jpeg_take_profile(r);
    icc_space space = jpeg_space(r);
    bool srgb = !r->profile || image_icc_is_srgb(r->profile, n, space);
    int orientation = jpeg_orientation(r);
    r->header = (image_header_t){
        .width = (int32_t)r->jpeg.image_width,
        .height = (int32_t)r->jpeg.image_height,
        .orientation = orientation,
        .plain = srgb && orientation == 1 && space != ICC_CMYK && !r->jpeg.arith_code,
        .convert = !srgb,
        .extra_bytes = jpeg_extra_bytes(r, n, !srgb),
    };
}

lens_status image_jpeg_header(image_header_t *out, const uint8_t *bytes, size_t n) {
    jpeg_reader_t r = {.work = jpeg_work_header, .bytes = bytes, .n = n};
    LENS_TRY(jpeg_run(&r));
    *out = r.header;
    return LENS_OK;
}

/* ---- pixels ---- */

int32_t image_jpeg_scaled(int32_t side, int eighths) {
    return (int32_t)(((int64_t)side * eighths + 7) / 8);
}

/* Adobe's files hold the inks inverted, 255 is none; the others are made so. */
static void jpeg_invert(uint8_t *cmyk, size_t n) {
    for (size_t i = 0; i < n; i++) cmyk[i] ^= 255;
}

/* cmyk: u8 [n_px, 4], inverted. Without a profile this is the usual estimate. */
static void jpeg_cmyk_to_rgb(uint8_t *rgb, const uint8_t *cmyk, size_t n_px) {
    for (size_t i = 0; i < n_px; i++) {
        unsigned light = cmyk[4 * i + 3];
        for (size_t c = 0; c < 3; c++) rgb[3 * i + c] = (uint8_t)((cmyk[4 * i + c] * light + 127) / 255);
    }
}

static void jpeg_read_profile(jpeg_reader_t *r) {
    size_t n = jpeg_take_profile(r);
    if (!r->profile) return;
    icc_space space = jpeg_space(r);
    if (image_icc_new(&r->icc, r->profile, n, space, space == ICC_CMYK ? 4 : 3) != LENS_OK)
        ERREXIT1(&r->jpeg, JERR_OUT_OF_MEMORY, 0);
}

static void jpeg_read_rows(jpeg_reader_t *r, bool cmyk) {
    size_t width = r->jpeg.output_width;
    while (r->jpeg.output_scanline < r->jpeg.output_height) {
        uint8_t *rgb = r->into->rgb + (size_t)r->jpeg.output_scanline * width * 3;
        JSAMPROW row = cmyk ? r->row : rgb;
        jpeg_read_scanlines(&r->jpeg, &row, 1);
        if (cmyk && !r->jpeg.saw_Adobe_marker) jpeg_invert(row, width * 4);
        if (r->icc)
            image_icc_apply(r->icc, rgb, row, width);
        else if (cmyk)
            jpeg_cmyk_to_rgb(rgb, row, width);
    }
}

static void jpeg_work_pixels(jpeg_reader_t *r) {
    if (r->convert) jpeg_save_markers(&r->jpeg, JPEG_APP0 + 2, 0xFFFF);
    jpeg_read_header(&r->jpeg, TRUE);
    if (r->convert) jpeg_read_profile(r);
    bool cmyk = jpeg_space(r) == ICC_CMYK;
    r->jpeg.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    r->jpeg.scale_num = (unsigned)r->eighths;
    r->jpeg.scale_denom = 8;
    jpeg_start_decompress(&r->jpeg);
    LENS_ASSERT((int64_t)r->jpeg.output_width == r->into->width && (int64_t)r->jpeg.output_height == r->into->height,
                "header said %" PRId32 " x %" PRId32, r->into->width, r->into->height);
    if (cmyk) {
        r->row = malloc((size_t)r->jpeg.output_width * 4);
        if (!r->row) ERREXIT1(&r->jpeg, JERR_OUT_OF_MEMORY, 0);
    }
    jpeg_read_rows(r, cmyk);
    jpeg_finish_decompress(&r->jpeg);
}

lens_status image_jpeg_pixels(const image_t *into, const uint8_t *bytes, size_t n, bool convert, int eighths) {
    jpeg_reader_t r = {
        .work = jpeg_work_pixels, .bytes = bytes, .n = n, .into = into, .convert = convert, .eighths = eighths};
    return jpeg_run(&r);
}
