/* image_load_cover against image_decode and image_cover_with, for every format, orientation and filter. */
#include "tests/unit/picture.h"

#include <math.h>

static const image_resampling_t ways[] = {
    {IMAGE_AREA, false}, {IMAGE_TRIANGLE, false}, {IMAGE_LANCZOS, false}, {IMAGE_AREA, true}};
#define N_WAYS ((int)(sizeof ways / sizeof ways[0]))

typedef struct {
    int32_t width, height;
    double x, y;
} target_t;
/* Whole, much smaller, a little smaller, larger; the stored pictures have 72 x 48 px, some stand upright. */
static const target_t targets[] = {{72, 48, 0.5, 0.5}, {48, 72, 0.5, 0.5}, {9, 6, 0, 0},   {16, 16, 0.2, 0.9},
                                   {61, 40, 1, 0.3},   {40, 20, 0.1, 1},   {20, 41, 1, 0}, {90, 90, 0.7, 0}};
#define N_TARGETS ((int)(sizeof targets / sizeof targets[0]))

typedef struct {
    double mean, worst;
} difference_t;

/* On the heap at its exact size: AddressSanitizer sees what is written past its end. */
static difference_t compare(const str_t *file, target_t t, image_resampling_t how) {
    image_t im, expected;
    size_t n = (size_t)t.width * (size_t)t.height * 3;
    uint8_t *rgb = malloc(n);
    assert_non_null(rgb);
    const uint8_t *bytes = (const uint8_t *)file->s;
    assert_int_equal(image_decode(&im, bytes, file->len), LENS_OK);
    assert_int_equal(image_cover_with(&expected, &im, t.width, t.height, t.x, t.y, how), LENS_OK);
    assert_int_equal(image_load_cover(rgb, t.width, t.height, t.x, t.y, how, bytes, file->len), LENS_OK);
    difference_t d = {0};
    for (size_t i = 0; i < n; i++) {
        double off = abs(rgb[i] - expected.rgb[i]);
        d.mean += off / (double)n;
        d.worst = fmax(d.worst, off);
    }
    image_free(&im);
    image_free(&expected);
    free(rgb);
    return d;
}

/* A sum of weights in another order falls on the other side of a half now and then. */
#define ROUNDING 0.1, 1

static void check(const char *name, const str_t *file, double mean, double worst) {
    difference_t seen = {0};
    for (int t = 0; t < N_TARGETS; t++)
        for (int k = 0; k < N_WAYS; k++) {
            difference_t d = compare(file, targets[t], ways[k]);
            seen = (difference_t){fmax(seen.mean, d.mean), fmax(seen.worst, d.worst)};
            if (d.mean > mean || d.worst > worst)
                fail_msg("%s, %d x %d, filter %d, light %d: off by %g, at worst %g", name, (int)targets[t].width,
                         (int)targets[t].height, (int)ways[k].filter, ways[k].linear_light, d.mean, d.worst);
        }
    print_message("%s: off by at most %.3f in the mean, %g at worst\n", name, seen.mean, seen.worst);
}

/* Only where a JPEG is decoded at a fraction of its size do the ways differ by more than a rounding: libjpeg's reduced
 * transform keeps the low frequencies, which is not the average over a box. */
static void test_jpeg(void **state) {
    (void)state;
    image_t im;
    str_t file = {0};
    picture_gradient(&im, 72, 48);
    for (int o = 1; o <= 8; o++) {
        picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_YCbCr, .orientation = o, .progressive = o % 2});
        check("JPEG", &file, 1, 4);
    }
    picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_GRAYSCALE});
    check("grey JPEG", &file, 1, 4);
    picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_YCCK});
    check("CMYK JPEG", &file, 1, 4);
    image_free(&im);
    str_free(&file);
}

static void test_png(void **state) {
    (void)state;
    image_t im;
    str_t file = {0};
    picture_gradient(&im, 72, 48);
    for (int o = 1; o <= 8; o++) {
        picture_png(&file, (picture_png_t){.width = 72,
                                           .height = 48,
                                           .depth = 8,
                                           .color_type = PNG_COLOR_TYPE_RGB,
                                           .rows = im.rgb,
                                           .stride = 216,
                                           .interlaced = o % 2,
                                           .orientation = o});
        check("PNG", &file, ROUNDING);
    }
    picture_png(&file, (picture_png_t){.width = 54,
                                       .height = 48,
                                       .depth = 8,
                                       .color_type = PNG_COLOR_TYPE_RGB_ALPHA,
                                       .rows = im.rgb,
                                       .stride = 216});
    check("PNG with alpha", &file, ROUNDING);
    image_free(&im);
    str_free(&file);
}

static void test_webp(void **state) {
    (void)state;
    image_t im;
    str_t file = {0}, animation = {0};
    picture_gradient(&im, 72, 48);
    for (int i = 0; i < 72 * 48 * 3; i++) im.rgb[i] ^= (uint8_t)(i * 2654435761u >> 27); /* chroma with edges */
    for (int lossless = 0; lossless < 2; lossless++)
        for (int o = 1; o <= 8; o++) {
            str_clear(&file);
            assert_int_equal(image_encode_webp(&file, &im, 80, lossless), LENS_OK);
            if (o == 1) check("WebP as it is", &file, ROUNDING);
            picture_webp_add_exif(&file, o);
            check("WebP", &file, ROUNDING);
        }
    picture_webp_rgba(&file, im.rgb, 54, 48);
    check("WebP with alpha", &file, ROUNDING);
    picture_webp_animation(&animation, &file, &file, 8, 0, 72, 48);
    check("animated WebP", &animation, ROUNDING);
    image_free(&im);
    str_free(&file);
    str_free(&animation);
}

/* A large picture of which a small corner is cut: what lies outside is not decoded, and must not show. */
static void test_webp_crop(void **state) {
    (void)state;
    image_t im;
    str_t file = {0};
    picture_gradient(&im, 403, 97);
    for (int i = 0; i < 403 * 97 * 3; i++) im.rgb[i] ^= (uint8_t)(i * 2654435761u >> 27);
    assert_int_equal(image_encode_webp(&file, &im, 80, false), LENS_OK);
    const target_t crops[] = {{97, 97, 0.37, 0.5}, {50, 50, 0.61, 0}, {33, 96, 1, 0.5}, {120, 120, 0.111, 0}};
    for (int t = 0; t < 4; t++)
        for (int k = 0; k < N_WAYS; k++) {
            difference_t d = compare(&file, crops[t], ways[k]);
            if (d.mean > 0.1 || d.worst > 1) fail_msg("crop %d, way %d: off by %g, at worst %g", t, k, d.mean, d.worst);
        }
    image_free(&im);
    str_free(&file);
}

static void test_refusals(void **state) {
    (void)state;
    image_t im;
    str_t file = {0};
    uint8_t rgb[8 * 8 * 3];
    const image_resampling_t how = {0};
    picture_gradient(&im, 72, 48);
    assert_int_equal(image_encode_webp(&file, &im, 80, false), LENS_OK);
    const uint8_t *bytes = (const uint8_t *)file.s;
    assert_int_equal(image_load_cover(rgb, 8, 8, 0.5, 0.5, how, bytes, file.len - 10), LENS_FORMAT);
    assert_int_equal(image_load_cover(rgb, 8, 0, 0.5, 0.5, how, bytes, file.len), LENS_ARGUMENT);
    assert_int_equal(image_load_cover(rgb, 8, 8, -0.5, 0.5, how, bytes, file.len), LENS_ARGUMENT);
    assert_int_equal(image_load_cover(rgb, 8, 8, 0.5, NAN, how, bytes, file.len), LENS_ARGUMENT);
    picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_YCbCr});
    bytes = (const uint8_t *)file.s;
    assert_int_equal(image_load_cover(rgb, 8, 8, 0.5, 0.5, how, bytes, file.len / 2), LENS_FORMAT);
    assert_non_null(strstr(lens_error(), "JPEG: "));
    assert_int_equal(image_load_cover(rgb, 8, 8, 0.5, 0.5, how, (const uint8_t *)"GIF89a......", 12), LENS_FORMAT);
    image_free(&im);
    str_free(&file);
}

/* A JPEG is as small as its longer side may be, upright; every other format is whole. */
static void test_reduced(void **state) {
    (void)state;
    const struct {
        int32_t at_least, width, height;
    } cases[] = {{1, 9, 6}, {9, 9, 6}, {10, 18, 12}, {19, 36, 24}, {37, 72, 48}, {500, 72, 48}};
    image_t im, out;
    str_t png = {0}, jpeg = {0}, turned = {0};
    picture_gradient(&im, 72, 48);
    picture_jpeg(&jpeg, &im, (picture_jpeg_t){.file_space = JCS_YCbCr});
    picture_jpeg(&turned, &im, (picture_jpeg_t){.file_space = JCS_YCbCr, .orientation = 6});
    assert_int_equal(image_encode_png(&png, &im), LENS_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(image_decode_reduced(&out, cases[i].at_least, (const uint8_t *)jpeg.s, jpeg.len), LENS_OK);
        assert_int_equal(out.width, cases[i].width);
        assert_int_equal(out.height, cases[i].height);
        image_free(&out);
        assert_int_equal(image_decode_reduced(&out, cases[i].at_least, (const uint8_t *)turned.s, turned.len), LENS_OK);
        assert_int_equal(out.width, cases[i].height);
        assert_int_equal(out.height, cases[i].width);
        image_free(&out);
    }
    assert_int_equal(image_decode_reduced(&out, 9, (const uint8_t *)png.s, png.len), LENS_OK);
    assert_int_equal(out.width, 72);
    image_free(&out);
    assert_int_equal(image_decode_reduced(&out, 9, (const uint8_t *)jpeg.s, jpeg.len / 2), LENS_FORMAT);
    image_free(&im);
    str_free(&png);
    str_free(&jpeg);
    str_free(&turned);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_jpeg),      cmocka_unit_test(test_reduced),
                                       cmocka_unit_test(test_png),       cmocka_unit_test(test_webp),
                                       cmocka_unit_test(test_webp_crop), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
