/* Small files of every format, cut at every length and with every byte changed: nothing may crash or hang, what fails
 * says so and leaves nothing behind, what decodes has the size that the header announces. Meant to run under the
 * sanitizers. */
#include "tests/unit/picture.h"

#include "data/image_codecs.h"

typedef struct {
    int64_t n_decoded, n_refused;
} tally_t;

/* Copies to the heap at its exact size, so that a read past the end is seen. */
static bool try_decode(const uint8_t *bytes, size_t n, tally_t *tally) {
    uint8_t *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    image_t im;
    int32_t width = 0, height = 0;
    lens_status probed = image_probe(&width, &height, copy, n);
    lens_status st = image_decode(&im, copy, n);
    free(copy);
    if (st == LENS_OK) {
        assert_int_equal(probed, LENS_OK);
        assert_int_equal(im.width, width);
        assert_int_equal(im.height, height);
        assert_non_null(im.rgb);
        tally->n_decoded++;
    } else {
        assert_true(st == LENS_FORMAT || st == LENS_MEMORY);
        assert_true(strlen(lens_error()) > 5);
        assert_null(im.rgb);
        tally->n_refused++;
    }
    image_free(&im);
    return st == LENS_OK;
}

static void sweep(const char *name, const str_t *file) {
    tally_t tally = {0};
    assert_true(file->len > 0 && file->len < 4096);
    uint8_t *bytes = malloc(file->len);
    assert_non_null(bytes);
    memcpy(bytes, file->s, file->len);
    assert_true(try_decode(bytes, file->len, &tally));
    for (size_t n = 0; n < file->len; n++)
        if (try_decode(bytes, n, &tally)) fail_msg("%s: decodes from %zu of %zu bytes", name, n, file->len);
    for (size_t i = 0; i < file->len; i++) {
        const uint8_t kept = bytes[i], changed[] = {0xFF, 0x00, kept ^ 0x80, kept ^ 0x01, (uint8_t)(kept + 1)};
        for (size_t k = 0; k < sizeof changed; k++) {
            bytes[i] = changed[k];
            if (changed[k] != kept) try_decode(bytes, file->len, &tally);
        }
        bytes[i] = kept;
    }
    print_message("%s: %zu bytes, %lld decoded, %lld refused\n", name, file->len, (long long)tally.n_decoded,
                  (long long)tally.n_refused);
    free(bytes);
}

static void test_jpeg(void **state) {
    (void)state;
    image_t im;
    str_t file = {0};
    picture_gradient(&im, 16, 12);
    picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_YCbCr, .orientation = 6});
    sweep("baseline JPEG with EXIF", &file);
    picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_YCCK});
    sweep("YCCK JPEG", &file);
    picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_GRAYSCALE, .progressive = true});
    sweep("progressive JPEG", &file);
    image_free(&im);
    str_free(&file);
}

static void test_png(void **state) {
    (void)state;
    image_t im;
    str_t file = {0};
    picture_gradient(&im, 16, 12);
    assert_int_equal(image_encode_png(&file, &im), LENS_OK);
    sweep("PNG", &file);
    picture_png(&file, (picture_png_t){.width = 4,
                                       .height = 9,
                                       .depth = 16,
                                       .color_type = PNG_COLOR_TYPE_GRAY_ALPHA,
                                       .rows = im.rgb,
                                       .stride = 16,
                                       .interlaced = true,
                                       .orientation = 5});
    sweep("interlaced 16-bit PNG with alpha and EXIF", &file);
    const png_color palette[2] = {{255, 0, 0}, {0, 255, 0}};
    const uint8_t alpha[2] = {255, 128};
    picture_png(&file, (picture_png_t){.width = 8,
                                       .height = 9,
                                       .depth = 1,
                                       .color_type = PNG_COLOR_TYPE_PALETTE,
                                       .rows = im.rgb,
                                       .stride = 1,
                                       .palette = palette,
                                       .n_palette = 2,
                                       .palette_alpha = alpha});
    sweep("palette PNG", &file);
    image_free(&im);
    str_free(&file);
}

static void test_webp(void **state) {
    (void)state;
    image_t im;
    str_t file = {0};
    picture_gradient(&im, 16, 12);
    assert_int_equal(image_encode_webp(&file, &im, 60, false), LENS_OK);
    sweep("lossy WebP", &file);
    picture_webp_add_exif(&file, 8);
    sweep("WebP with EXIF", &file);
    str_clear(&file);
    assert_int_equal(image_encode_webp(&file, &im, 0, true), LENS_OK);
    sweep("lossless WebP", &file);
    picture_webp_rgba(&file, im.rgb, 12, 12);
    sweep("WebP with alpha", &file);
    str_t animation = {0};
    str_clear(&file);
    assert_int_equal(image_encode_webp(&file, &im, 60, false), LENS_OK);
    picture_webp_animation(&animation, &file, &file, 2, 4, 18, 16);
    sweep("animated WebP", &animation);
    str_free(&animation);
    image_free(&im);
    str_free(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_jpeg), cmocka_unit_test(test_png),
                                       cmocka_unit_test(test_webp)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
