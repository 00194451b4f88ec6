/* Resampling against the filters written down directly, in double. */
#include "tests/unit/picture.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

static double sinc(double x) {
    return x == 0 ? 1 : sin(pi * x) / (pi * x);
}

/* The weight of the pixel whose centre is d pixels from the output's, `step` input pixels to an output. */
static double weight(image_filter filter, double d, double step) {
    double widen = fmax(step, 1), x = fabs(d) / widen;
    if (filter == IMAGE_AREA && step > 1) return fmax(fmin(d + 0.5, step / 2) - fmax(d - 0.5, -step / 2), 0);
    if (filter == IMAGE_LANCZOS) return x < 3 ? sinc(x) * sinc(x / 3) : 0;
    return fmax(1 - x, 0);
}

static double to_light(double code) {
    double c = code / 255;
    return c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4);
}

static double from_light(double l) {
    return 255 * (l <= 0.0031308 ? 12.92 * l : 1.055 * pow(l, 1 / 2.4) - 0.055);
}

typedef struct {
    double x, y, step_x, step_y;
} grid_t;

static double reference(const image_t *in, grid_t g, int32_t x, int32_t y, int c, image_resampling_t how) {
    double sum = 0, weights = 0;
    for (int32_t v = 0; v < in->height; v++)
        for (int32_t u = 0; u < in->width; u++) {
            double w = weight(how.filter, u + 0.5 - (g.x + (x + 0.5) * g.step_x), g.step_x) *
                       weight(how.filter, v + 0.5 - (g.y + (y + 0.5) * g.step_y), g.step_y);
            double code = in->rgb[3 * (v * in->width + u) + c];
            sum += w * (how.linear_light ? to_light(code) : code);
            weights += w;
        }
    double mean = sum / weights;
    return fmin(fmax(how.linear_light ? from_light(fmax(mean, 0)) : mean, 0), 255);
}

static void assert_resampled(const image_t *out, const image_t *in, grid_t g, image_resampling_t how) {
    for (int32_t y = 0; y < out->height; y++)
        for (int32_t x = 0; x < out->width; x++)
            for (int c = 0; c < 3; c++) {
                double expected = reference(in, g, x, y, c, how);
                double got = out->rgb[3 * (y * out->width + x) + c];
                /* A half is the rounding's. Fixed point's own error is 0.027 at most, with filters of 30 inputs. */
                if (fabs(got - expected) > 0.5 + (how.filter == IMAGE_LANCZOS || how.linear_light ? 2e-3 : 0.04))
                    fail_msg("filter %d, light %d, %d x %d (%d, %d, %d): %g, expected %g", (int)how.filter,
                             how.linear_light, (int)out->width, (int)out->height, (int)x, (int)y, c, got, expected);
            }
}

static void picture_rough(image_t *im, int32_t width, int32_t height) {
    assert_int_equal(image_new(im, width, height), LENS_OK);
    for (int32_t i = 0; i < width * height * 3; i++) im->rgb[i] = (uint8_t)((uint32_t)i * 2654435761u >> 24);
}

static const image_resampling_t ways[] = {{IMAGE_AREA, false}, {IMAGE_TRIANGLE, false}, {IMAGE_LANCZOS, false},
                                          {IMAGE_AREA, true},  {IMAGE_TRIANGLE, true},  {IMAGE_LANCZOS, true}};
#define N_WAYS ((int)(sizeof ways / sizeof ways[0]))

/* Sizes that reach every count of taps, every remainder of the eight rows and of the four columns. */
static void test_resize(void **state) {
    (void)state;
    const int32_t sizes[][2] = {{1, 1},   {2, 3},  {7, 5},   {29, 31}, {30, 20}, {61, 3},
                                {15, 10}, {24, 9}, {12, 16}, {10, 7},  {66, 37}, {5, 20}};
    image_t im, out;
    picture_rough(&im, 30, 20);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int k = 0; k < N_WAYS; k++) {
            int32_t width = sizes[i][0], height = sizes[i][1];
            assert_int_equal(image_resize_with(&out, &im, width, height, ways[k]), LENS_OK);
            assert_resampled(&out, &im, (grid_t){0, 0, 30.0 / width, 20.0 / height}, ways[k]);
            if (width == 30 && height == 20) assert_memory_equal(out.rgb, im.rgb, 30 * 20 * 3);
            image_free(&out);
        }
    assert_int_equal(image_resize(&out, &im, 0, 4), LENS_FORMAT);
    assert_null(out.rgb);
    image_free(&im);
}

/* Tiny pictures: narrower than a vector, and than the filter. */
static void test_tiny(void **state) {
    (void)state;
    image_t im, out;
    for (int32_t width = 1; width <= 3; width++)
        for (int32_t height = 1; height <= 2; height++)
            for (int k = 0; k < N_WAYS; k++) {
                picture_rough(&im, width, height);
                assert_int_equal(image_resize_with(&out, &im, 9, 4, ways[k]), LENS_OK);
                assert_resampled(&out, &im, (grid_t){0, 0, width / 9.0, height / 4.0}, ways[k]);
                image_free(&out);
                image_free(&im);
            }
}

/* Filters longer than fixed point takes, along either axis. */
static void test_long(void **state) {
    (void)state;
    image_t im, out;
    for (int turned = 0; turned < 2; turned++)
        for (int k = 0; k < N_WAYS; k++) {
            int32_t width = turned ? 5 : 150, height = turned ? 150 : 5;
            picture_rough(&im, width, height);
            assert_int_equal(image_resize_with(&out, &im, 3, 2, ways[k]), LENS_OK);
            assert_resampled(&out, &im, (grid_t){0, 0, width / 3.0, height / 2.0}, ways[k]);
            image_free(&out);
            image_free(&im);
        }
}

/* Neither white nor black drifts, and the lobes of Lanczos do not wrap around. */
static void test_ends(void **state) {
    (void)state;
    image_t im, out;
    picture_rough(&im, 30, 20);
    for (int value = 0; value <= 255; value += 255)
        for (int k = 0; k < N_WAYS; k++) {
            memset(im.rgb, value, 30 * 20 * 3);
            assert_int_equal(image_resize_with(&out, &im, 13, 47, ways[k]), LENS_OK);
            for (size_t i = 0; i < 13 * 47 * 3; i++) assert_int_equal(out.rgb[i], value);
            image_free(&out);
        }
    image_free(&im);
}

/* Half of the light is 188 of 255, which half of the code values, 128, is not. */
static void test_linear_light_of_a_checkerboard(void **state) {
    (void)state;
    image_t im, out;
    assert_int_equal(image_new(&im, 64, 64), LENS_OK);
    for (int i = 0; i < 64 * 64; i++) memset(im.rgb + 3 * i, (i / 64 + i) % 2 ? 255 : 0, 3);
    for (int light = 0; light < 2; light++) {
        assert_int_equal(image_resize_with(&out, &im, 8, 8, (image_resampling_t){IMAGE_AREA, light}), LENS_OK);
        for (int i = 0; i < 8 * 8 * 3; i++) assert_int_equal(out.rgb[i], light ? 188 : 128);
        image_free(&out);
    }
    image_free(&im);
}

static void test_cover(void **state) {
    (void)state;
    image_t im, out;
    picture_gradient(&im, 40, 20);
    /* A square of 8 from 40 x 20: a square of 20, 2.5 px to one, anywhere along the 20 px left over. */
    for (double at = 0; at <= 1; at += 0.25)
        for (int k = 0; k < N_WAYS; k++) {
            assert_int_equal(image_cover_with(&out, &im, 8, 8, at, 0.7, ways[k]), LENS_OK);
            assert_resampled(&out, &im, (grid_t){20 * at, 0, 2.5, 2.5}, ways[k]);
            image_free(&out);
        }
    assert_int_equal(image_cover(&out, &im, 50, 100, 0, 0), LENS_OK); /* enlarges */
    assert_resampled(&out, &im, (grid_t){0, 0, 0.2, 0.2}, (image_resampling_t){.filter = IMAGE_TRIANGLE});
    image_free(&out);
    assert_int_equal(image_cover(&out, &im, 20, 20, 0.5, 0), LENS_OK); /* a part as it is */
    for (size_t y = 0; y < 20; y++) assert_memory_equal(out.rgb + y * 60, im.rgb + y * 120 + 30, 60);
    image_free(&out);
    assert_int_equal(image_cover(&out, &im, 8, 8, 1.5, 0), LENS_ARGUMENT);
    assert_int_equal(image_cover(&out, &im, 8, 8, 0, NAN), LENS_ARGUMENT);
    assert_int_equal(image_cover(&out, &im, 8, 0, 0, 0), LENS_ARGUMENT);
    assert_null(out.rgb);
    image_free(&im);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_tiny),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_linear_light_of_a_checkerboard),
        cmocka_unit_test(test_cover),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
