/* WebP through libwebp. Any thread. */
#include "data/image_codecs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include "data/image_icc.h"

#define WEBP_HUFFMAN_BYTES ((uint64_t)4 << 20) /* of a lossless picture as encoders write it */
#define WEBP_FORMAT_LOSSLESS 2                 /* of WebPBitstreamFeatures */
#define WEBP_METHOD 4 /* of 0..6: above it costs two to three times the time for about a hundredth of the bytes */

static lens_status webp_fail(VP8StatusCode code) {
    switch (code) {
    case VP8_STATUS_OUT_OF_MEMORY:
        return lens_fail(LENS_MEMORY, "WebP: out of memory");
    case VP8_STATUS_NOT_ENOUGH_DATA:
        return lens_fail(LENS_FORMAT, "WebP: cut short");
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return lens_fail(LENS_FORMAT, "WebP: uses a feature that libwebp does not know");
    default:
        return lens_fail(LENS_FORMAT, "WebP: damaged (libwebp status %d)", (int)code);
    }
}

/* Only the extended container has chunks beside the pixels. */
static bool webp_is_extended(const uint8_t *bytes, size_t n) {
    return n >= 16 && memcmp(bytes + 12, "VP8X", 4) == 0;
}

typedef struct {
    WebPMux *mux;       /* owned, NULL where there is no extended container or one that is refused */
    WebPData exif, icc; /* borrowed, size 0 where there is none */
} webp_chunks_t;

/* A container that the mux refuses has nothing to tell; whether its pixels can be decoded shows later. */
static webp_chunks_t webp_chunks(const uint8_t *bytes, size_t n) {
    webp_chunks_t c = {0};
    WebPData file = {bytes, n};
    if (webp_is_extended(bytes, n)) c.mux = WebPMuxCreate(&file, 0);
    if (c.mux && WebPMuxGetChunk(c.mux, "EXIF", &c.exif) != WEBP_MUX_OK) c.exif = (WebPData){0};
    if (c.mux && WebPMuxGetChunk(c.mux, "ICCP", &c.icc) != WEBP_MUX_OK) c.icc = (WebPData){0};
    return c;
}

/* ---- animations ---- */

typedef struct {
    WebPDemuxer *demux;
    WebPIterator frame;
} webp_frame_t;

static void webp_frame_close(webp_frame_t *f) {
    WebPDemuxReleaseIterator(&f->frame);
    WebPDemuxDelete(f->demux);
}

static lens_status webp_first_frame(webp_frame_t *out, const uint8_t *bytes, size_t n) {
    WebPData file = {bytes, n};
    *out = (webp_frame_t){.demux = WebPDemux(&file)};
    if (!out->demux) return lens_fail(LENS_FORMAT, "animated WebP: damaged or cut short");
    if (WebPDemuxGetFrame(out->demux, 1, &out->frame)) return LENS_OK;
    webp_frame_close(out);
    return lens_fail(LENS_FORMAT, "animated WebP: without a frame");
}

/* ---- header ---- */

/* What libwebp takes beside the pixels. Lossless: all pixels as ARGB, and Huffman tables, of which an encoder writes a
 * few hundred groups (the format allows 65536 of about 12 KB). Lossy: rows of macroblocks; alpha is a lossless picture
 * of its own, and then a plane. Where there is alpha, RGBA before it is composed. */
static uint64_t webp_extra_bytes(const WebPBitstreamFeatures *f) {
    uint64_t n_px = (uint64_t)f->width * (uint64_t)f->height;
    bool lossless = f->format == WEBP_FORMAT_LOSSLESS, alpha = f->has_alpha;
    return IMAGE_CODEC_BYTES + (uint64_t)f->width * 256 + (lossless || alpha ? n_px * 4 + WEBP_HUFFMAN_BYTES : 0) +
           (alpha ? n_px * (lossless ? 4 : 5) : 0);
}

/* Of an animation the first frame decides. */
static lens_status webp_features_of_frame(WebPBitstreamFeatures *out, const uint8_t *bytes, size_t n) {
    webp_frame_t first;
    LENS_TRY(webp_first_frame(&first, bytes, n));
    VP8StatusCode code = WebPGetFeatures(first.frame.fragment.bytes, first.frame.fragment.size, out);
    webp_frame_close(&first);
    return code == VP8_STATUS_OK ? LENS_OK : webp_fail(code);
}

lens_status image_webp_header(image_header_t *out, const uint8_t *bytes, size_t n) {
    WebPBitstreamFeatures f;
    VP8StatusCode code = WebPGetFeatures(bytes, n, &f);
    if (code != VP8_STATUS_OK) return webp_fail(code);
    WebPBitstreamFeatures decoded = f;
    if (f.has_animation) LENS_TRY(webp_features_of_frame(&decoded, bytes, n));
    webp_chunks_t c = webp_chunks(bytes, n);
    *out = (image_header_t){
        .width = f.width,
        .height = f.height,
        .orientation = c.exif.size ? image_exif_orientation(c.exif.bytes, c.exif.size) : 1,
        .has_alpha = f.has_alpha,
        .animated = f.has_animation,
        .extra_bytes = webp_extra_bytes(&decoded) + (c.icc.size ? 2 * c.icc.size + ICC_TRANSFORM_BYTES : 0),
    };
    WebPMuxDelete(c.mux);
    return LENS_OK;
}

/* ---- pixels ---- */

/* Where a frame, or a part of one, goes: rgb is u8 [height][stride]. */
typedef struct {
    uint8_t *rgb;
    size_t stride;
    int left, top, width, height; /* px of the frame that are wanted */
    WebPData profile;             /* size 0: sRGB */
} webp_target_t;

static lens_status webp_decode(WebPDecoderConfig *config, const webp_target_t *t, uint8_t *pixels, size_t stride,
                               const uint8_t *bytes, size_t n) {
    bool alpha = config->input.has_alpha;
    image_icc_t *icc = NULL;
    if (t->profile.size) LENS_TRY(image_icc_new(&icc, t->profile.bytes, t->profile.size, ICC_RGB, alpha ? 4 : 3));
    size_t width = (size_t)t->width, height = (size_t)t->height;
    size_t size = stride * (height - 1) + width * (alpha ? 4 : 3);
    config->output.colorspace = alpha ? MODE_RGBA : MODE_RGB;
    config->output.is_external_memory = 1;
    config->output.u.RGBA = (WebPRGBABuffer){pixels, (int)stride, size};
    config->options.use_cropping = t->width != config->input.width || t->height != config->input.height;
    config->options.crop_left = t->left;
    config->options.crop_top = t->top;
    config->options.crop_width = t->width;
    config->options.crop_height = t->height;
    VP8StatusCode code = WebPDecode(bytes, n, config);
    WebPFreeDecBuffer(&config->output);
    for (size_t y = 0; code == VP8_STATUS_OK && icc && y < height; y++)
        image_icc_apply(icc, pixels + y * stride, pixels + y * stride, width);
    image_icc_free(icc);
    return code == VP8_STATUS_OK ? LENS_OK : webp_fail(code);
}

static lens_status webp_decode_alpha(WebPDecoderConfig *config, const webp_target_t *t, const uint8_t *bytes,
                                     size_t n) {
    size_t stride = (size_t)t->width * 4, size = stride * (size_t)t->height;
    uint8_t *rgba = malloc(size);
    if (!rgba) return lens_fail(LENS_MEMORY, "WebP: %zu bytes for a picture with alpha", size);
    lens_status st = webp_decode(config, t, rgba, stride, bytes, n);
    for (size_t y = 0; st == LENS_OK && y < (size_t)t->height; y++)
        image_compose_white(t->rgb + y * t->stride, rgba + y * stride, (size_t)t->width);
    free(rgba);
    return st;
}

static lens_status webp_decode_frame(const webp_target_t *t, const uint8_t *bytes, size_t n) {
    WebPDecoderConfig config;
    LENS_ASSERT(WebPInitDecoderConfig(&config), "libwebp's decoder %d is of another version than its headers",
                WebPGetDecoderVersion());
    VP8StatusCode code = WebPGetFeatures(bytes, n, &config.input);
    if (code != VP8_STATUS_OK) return webp_fail(code);
    if (config.input.has_alpha) return webp_decode_alpha(&config, t, bytes, n);
    return webp_decode(&config, t, t->rgb, t->stride, bytes, n);
}

lens_status image_webp_pixels_part(const image_t *into, const uint8_t *bytes, size_t n, int32_t left, int32_t top) {
    webp_chunks_t c = webp_chunks(bytes, n);
    webp_target_t t = {into->rgb, (size_t)into->width * 3, left, top, into->width, into->height, c.icc};
    lens_status st = webp_decode_frame(&t, bytes, n);
    WebPMuxDelete(c.mux);
    return st;
}

/* What no frame has painted yet is clear, that is, white. */
static lens_status webp_paint_frame(const image_t *into, const WebPIterator *frame, WebPData profile) {
    if (frame->x_offset < 0 || frame->y_offset < 0 || frame->width < 1 || frame->height < 1 ||
        frame->width > into->width - frame->x_offset || frame->height > into->height - frame->y_offset)
        return lens_fail(LENS_FORMAT,
                         "animated WebP: the first frame is %d x %d px at (%d, %d) of %" PRId32 " x %" PRId32,
                         frame->width, frame->height, frame->x_offset, frame->y_offset, into->width, into->height);
    size_t stride = (size_t)into->width * 3;
    memset(into->rgb, 0xff, stride * (size_t)into->height);
    uint8_t *rgb = into->rgb + (size_t)frame->y_offset * stride + (size_t)frame->x_offset * 3;
    webp_target_t t = {rgb, stride, 0, 0, frame->width, frame->height, profile};
    return webp_decode_frame(&t, frame->fragment.bytes, frame->fragment.size);
}

static lens_status webp_paint_first(const image_t *into, const uint8_t *bytes, size_t n) {
    webp_frame_t first;
    LENS_TRY(webp_first_frame(&first, bytes, n));
    webp_chunks_t c = webp_chunks(bytes, n);
    lens_status st = webp_paint_frame(into, &first.frame, c.icc);
    WebPMuxDelete(c.mux);
    webp_frame_close(&first);
    return st;
}

lens_status image_webp_pixels(const image_t *into, const uint8_t *bytes, size_t n) {
    WebPBitstreamFeatures f;
    VP8StatusCode code = WebPGetFeatures(bytes, n, &f);
    if (code != VP8_STATUS_OK) return webp_fail(code);
    return f.has_animation ? webp_paint_first(into, bytes, n) : image_webp_pixels_part(into, bytes, n, 0, 0);
}

/* ---- encoding ---- */

static int webp_put(const uint8_t *bytes, size_t n, const WebPPicture *picture) {
    str_t *out = picture->custom_ptr;
    str_add_n(out, bytes, n);
    return !out->failed;
}

static lens_status webp_encode_fail(WebPEncodingError code) {
    if (code == VP8_ENC_ERROR_OUT_OF_MEMORY || code == VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY ||
        code == VP8_ENC_ERROR_BAD_WRITE)
        return lens_fail(LENS_MEMORY, "WebP: out of memory while encoding");
    return lens_fail(LENS_FORMAT, "WebP: cannot encode (libwebp error %d)", (int)code);
}

lens_status image_encode_webp(str_t *out, const image_t *im, double quality, bool lossless) {
    if (im->width > IMAGE_WEBP_MAX_SIDE || im->height > IMAGE_WEBP_MAX_SIDE)
        return lens_fail(LENS_FORMAT, "WebP: sides of at most %d px, got %" PRId32 " x %" PRId32, IMAGE_WEBP_MAX_SIDE,
                         im->width, im->height);
    if (!(quality >= 0 && quality <= 100)) return lens_fail(LENS_ARGUMENT, "WebP: quality 0 to 100, got %g", quality);
    WebPConfig config;
    WebPPicture picture;
    LENS_ASSERT(WebPConfigInit(&config) && WebPPictureInit(&picture),
                "libwebp's encoder %d is of another version than its headers", WebPGetEncoderVersion());
    config.method = WEBP_METHOD;
    config.lossless = lossless;
    if (!lossless) config.quality = (float)quality; /* lossless: this is effort, and stays at libwebp's own */
    picture.use_argb = lossless;
    picture.width = im->width;
    picture.height = im->height;
    picture.writer = webp_put;
    picture.custom_ptr = out;
    bool ok = WebPPictureImportRGB(&picture, im->rgb, im->width * 3) && WebPEncode(&config, &picture);
    WebPEncodingError code = picture.error_code;
    WebPPictureFree(&picture);
    return ok || out->failed ? str_status(out) : webp_encode_fail(code); /* what webp_put lacks has no code */
}
