/* WebP through libwebp. Any thread. */
#include "data/image_codecs.h"

#include <inttypes.h>
#include <stdlib.h>

#include <webp/decode.h>
#include <webp/encode.h>
#include <webp/mux.h>

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

/* A container that the mux refuses has no orientation to tell; whether its pixels can be decoded shows later. */
static int webp_orientation(const uint8_t *bytes, size_t n) {
    WebPData file = {bytes, n}, exif;
    WebPMux *mux = WebPMuxCreate(&file, 0);
    int orientation = 1;
    if (mux && WebPMuxGetChunk(mux, "EXIF", &exif) == WEBP_MUX_OK)
        orientation = image_exif_orientation(exif.bytes, exif.size);
    WebPMuxDelete(mux);
    return orientation;
}

lens_status image_webp_header(image_header_t *out, const uint8_t *bytes, size_t n) {
    WebPBitstreamFeatures f;
    VP8StatusCode code = WebPGetFeatures(bytes, n, &f);
    if (code != VP8_STATUS_OK) return webp_fail(code);
    if (f.has_animation) return lens_fail(LENS_FORMAT, "animated WebP: expected a single picture");
    *out = (image_header_t){f.width, f.height, webp_orientation(bytes, n)};
    return LENS_OK;
}

lens_status image_webp_pixels(const image_t *into, const uint8_t *bytes, size_t n) {
    WebPDecoderConfig config;
    LENS_ASSERT(WebPInitDecoderConfig(&config), "libwebp's decoder %d is of another version than its headers",
                WebPGetDecoderVersion());
    VP8StatusCode code = WebPGetFeatures(bytes, n, &config.input);
    if (code != VP8_STATUS_OK) return webp_fail(code);
    bool alpha = config.input.has_alpha;
    size_t stride = (size_t)into->width * (alpha ? 4 : 3), size = stride * (size_t)into->height;
    uint8_t *rgba = NULL;
    if (alpha && !(rgba = malloc(size)))
        return lens_fail(LENS_MEMORY, "WebP: %zu bytes for a picture with alpha", size);

    config.output.colorspace = alpha ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA = (WebPRGBABuffer){alpha ? rgba : into->rgb, (int)stride, size};
    code = WebPDecode(bytes, n, &config);
    WebPFreeDecBuffer(&config.output);
    if (code == VP8_STATUS_OK && alpha) image_compose_white(into, rgba);
    free(rgba);
    return code == VP8_STATUS_OK ? LENS_OK : webp_fail(code);
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
    return ok ? str_status(out) : webp_encode_fail(code);
}
