/* Blur, entropy and luminance against their definitions in doubles, as a person would write them with numpy. */
#include "tests/unit/picture.h"

#include <math.h>

#include "base/rng.h"
#include "data/grey.h"
#include "data/image_stats.h"
#include "data/phash.h"

static int luma_of(const uint8_t *p) {
    return (19595 * p[0] + 38470 * p[1] + 7471 * p[2] + 32768) >> 16;
}

static void picture_noise(image_t *im, int32_t width, int32_t height, uint64_t index) {
    rng_t r = rng_stream(3, 0, index, RNG_TEST);
    assert_int_equal(image_new(im, width, height), LENS_OK);
    for (size_t i = 0; i < (size_t)width * (size_t)height * 3; i++) im->rgb[i] = (uint8_t)(rng_below(&r, 200) + i % 50);
}

/* [n_out, n_in]: how much of input k output i covers, rows summing to 1. */
static double *area_matrix(int32_t n_out, int32_t n_in) {
    double *m = calloc((size_t)n_out * (size_t)n_in, sizeof *m), step = (double)n_in / n_out;
    assert_non_null(m);
    for (int32_t i = 0; i < n_out; i++)
        for (int32_t k = 0; k < n_in; k++)
            m[i * n_in + k] = fmax(fmin((i + 1) * step, k + 1) - fmax(i * step, k), 0) / step;
    return m;
}

static double *plane_of(const image_t *im, int32_t width, int32_t height) {
    double *across = area_matrix(width, im->width), *down = area_matrix(height, im->height);
    double *rows = calloc((size_t)width * (size_t)im->height, sizeof *rows);
    double *plane = calloc((size_t)width * (size_t)height, sizeof *plane);
    for (int32_t y = 0; y < im->height; y++)
        for (int32_t x = 0; x < width; x++)
            for (int32_t k = 0; k < im->width; k++)
                rows[y * width + x] += across[x * im->width + k] * luma_of(im->rgb + 3 * (y * im->width + k));
    for (int32_t y = 0; y < height; y++)
        for (int32_t k = 0; k < im->height; k++)
            for (int32_t x = 0; x < width; x++) plane[y * width + x] += down[y * im->height + k] * rows[k * width + x];
    free(across);
    free(down);
    free(rows);
    return plane;
}

static double variance_of_laplacian(const double *p, int32_t width, int32_t height) {
    double mean = 0, square = 0, n = (double)(width - 2) * (height - 2);
    for (int pass = 0; pass < 2; pass++)
        for (int32_t y = 1; y + 1 < height; y++)
            for (int32_t x = 1; x + 1 < width; x++) {
                const double *q = p + y * width + x;
                double l = q[-1] + q[1] + q[-width] + q[width] - 4 * q[0];
                if (pass == 0)
                    mean += l / n;
                else
                    square += (l - mean) * (l - mean) / n;
            }
    return square;
}

static void assert_near(double got, double expected, double relative, const char *what) {
    if (!(fabs(got - expected) <= relative * fabs(expected)))
        fail_msg("%s %.17g, expected %.17g, relative error %.2g", what, got, expected, fabs(got / expected - 1));
}

static void check(const image_t *im, int32_t width, int32_t height) {
    image_stats_t s;
    assert_int_equal(image_stats(&s, im), LENS_OK);
    double *plane = plane_of(im, width, height), n = (double)im->width * im->height, v = 0, bits = 0;
    int64_t count[256] = {0};
    for (int64_t i = 0; i < (int64_t)n; i++) {
        const uint8_t *p = im->rgb + 3 * i;
        count[luma_of(p)]++;
        v += fmax(fmax(p[0], p[1]), p[2]) / 255;
    }
    for (int i = 0; i < 256; i++)
        if (count[i]) bits -= (double)count[i] / n * log2((double)count[i] / n);
    assert_near(s.blur, variance_of_laplacian(plane, width, height), 1e-5, "blur");
    assert_near(s.entropy, bits, 1e-12, "entropy");
    assert_near(s.luminance, v / n, 1e-12, "luminance");
    free(plane);
}

static void test_against_definitions(void **state) {
    (void)state;
    static const struct {
        int32_t width, height, plane_width, plane_height;
    } sizes[] = {{1300, 40, 512, 16}, {530, 211, 512, 204}, {90, 1025, 45, 512},
                 {64, 48, 64, 48},    {513, 9, 512, 9},     {3, 3, 3, 3}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        image_t im;
        picture_noise(&im, sizes[i].width, sizes[i].height, i);
        check(&im, sizes[i].plane_width, sizes[i].plane_height);
        image_free(&im);
    }
}

static void test_extremes(void **state) {
    (void)state;
    static const int32_t sizes[][2] = {{1, 1}, {2, 700}, {5000, 1}, {600, 600}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        image_t im;
        image_stats_t s;
        assert_int_equal(image_new(&im, sizes[i][0], sizes[i][1]), LENS_OK);
        memset(im.rgb, 255, (size_t)im.width * (size_t)im.height * 3);
        assert_int_equal(image_stats(&s, &im), LENS_OK);
        assert_true(s.luminance == 1);
        assert_true(s.entropy == 0);
        assert_true(s.blur < 1e-6);
        assert_true(s.phash == PHASH_FLAT);
        image_free(&im);
    }
}

/* A checkerboard of single pixels: its Laplacian is +-4 * 255, its histogram has two equal bins. */
static void test_checkerboard(void **state) {
    (void)state;
    image_t im;
    image_stats_t s;
    assert_int_equal(image_new(&im, 100, 60), LENS_OK);
    for (int32_t i = 0; i < 100 * 60; i++) memset(im.rgb + 3 * i, (i % 100 + i / 100) % 2 ? 255 : 0, 3);
    assert_int_equal(image_stats(&s, &im), LENS_OK);
    assert_near(s.blur, 1020.0 * 1020.0, 1e-6, "blur");
    assert_near(s.entropy, 1, 1e-12, "entropy");
    assert_near(s.luminance, 0.5, 1e-12, "luminance");
    image_free(&im);
}

/* One limit serves all resolutions: the same picture at twice the size. */
static void test_blur_does_not_depend_on_resolution(void **state) {
    (void)state;
    image_t im, large;
    image_stats_t s, of_large;
    picture_noise(&im, 512, 400, 9);
    assert_int_equal(image_new(&large, 1024, 800), LENS_OK);
    for (int32_t y = 0; y < 800; y++)
        for (int32_t x = 0; x < 1024; x++)
            memcpy(large.rgb + 3 * (y * 1024 + x), im.rgb + 3 * (y / 2 * 512 + x / 2), 3);
    assert_int_equal(image_stats(&s, &im), LENS_OK);
    assert_int_equal(image_stats(&of_large, &large), LENS_OK);
    assert_near(of_large.blur, s.blur, 1e-6, "blur");
    assert_true(s.phash == of_large.phash);
    image_free(&im);
    image_free(&large);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_definitions),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_checkerboard),
        cmocka_unit_test(test_blur_does_not_depend_on_resolution),
    };
    return cmocka_run_group_tests_name("image_stats", tests, NULL, NULL);
}
