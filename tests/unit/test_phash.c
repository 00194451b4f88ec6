/* The perceptual hash: near for the same picture in another guise, far for another picture, nothing for a flat one. */
#include "tests/unit/picture.h"

#include <math.h>

#include "base/rng.h"
#include "data/image_stats.h"
#include "data/phash.h"

enum { N_PICTURES = 16 };

static uint64_t hash_of(const image_t *im) {
    image_stats_t s;
    assert_int_equal(image_stats(&s, im), LENS_OK);
    return s.phash;
}

/* Soft blobs of colour over a ramp: the spectrum falls off as that of a photograph. */
static void picture_blobs(image_t *im, int32_t width, int32_t height, uint64_t index) {
    rng_t r = rng_stream(5, 0, index, RNG_TEST);
    double blob[20][6];
    for (int i = 0; i < 20; i++) {
        for (int k = 0; k < 6; k++) blob[i][k] = rng_uniform(&r);
        blob[i][2] = 0.03 + 0.2 * blob[i][2] * blob[i][2];
    }
    assert_int_equal(image_new(im, width, height), LENS_OK);
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++) {
            double c[3] = {90, 100 + 40.0 * x / width, 80 + 50.0 * y / height};
            for (int i = 0; i < 20; i++) {
                double dx = (double)x / width - blob[i][0], dy = (double)y / height - blob[i][1];
                double weight = exp(-(dx * dx + dy * dy) / (2 * blob[i][2] * blob[i][2]));
                for (int k = 0; k < 3; k++) c[k] += weight * 160 * (blob[i][3 + k] - 0.45);
            }
            for (int k = 0; k < 3; k++)
                im->rgb[3 * (y * width + x) + k] = (uint8_t)fmax(0, fmin(255, c[k] + 4 * rng_normal(&r)));
        }
}

static void jpeg_at(str_t *out, const image_t *im, int quality) {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long n = 0;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &n);
    jpeg.image_width = (JDIMENSION)im->width;
    jpeg.image_height = (JDIMENSION)im->height;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, quality, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    for (size_t y = 0; y < (size_t)im->height; y++) {
        uint8_t *row = im->rgb + y * (size_t)im->width * 3;
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    str_clear(out);
    str_add_n(out, bytes, n);
    free(bytes);
}

static int distance_encoded(const image_t *im, uint64_t hash, bool webp) {
    str_t file = {0};
    image_t back;
    if (webp)
        assert_int_equal(image_encode_webp(&file, im, 60, false), LENS_OK);
    else
        jpeg_at(&file, im, 50);
    assert_int_equal(image_decode(&back, (const uint8_t *)file.s, file.len), LENS_OK);
    int distance = phash_distance(hash, hash_of(&back));
    image_free(&back);
    str_free(&file);
    return distance;
}

static int distance_scaled(const image_t *im, uint64_t hash, double scale) {
    image_t small;
    assert_int_equal(image_resize(&small, im, (int32_t)(im->width * scale), (int32_t)(im->height * scale)), LENS_OK);
    int distance = phash_distance(hash, hash_of(&small));
    image_free(&small);
    return distance;
}

static int distance_brighter(const image_t *im, uint64_t hash) {
    image_t bright;
    assert_int_equal(image_new(&bright, im->width, im->height), LENS_OK);
    for (size_t i = 0; i < (size_t)im->width * (size_t)im->height * 3; i++)
        bright.rgb[i] = (uint8_t)(im->rgb[i] > 245 ? 255 : im->rgb[i] + 10);
    int distance = phash_distance(hash, hash_of(&bright));
    image_free(&bright);
    return distance;
}

static void test_same_near_other_far(void **state) {
    (void)state;
    uint64_t hash[N_PICTURES];
    int worst[4] = {0}, nearest = 64;
    for (int i = 0; i < N_PICTURES; i++) {
        image_t im;
        picture_blobs(&im, 300 + 9 * i, 210 + 5 * i, (uint64_t)i);
        hash[i] = hash_of(&im);
        assert_true(hash[i] != PHASH_FLAT);
        int distance[] = {distance_encoded(&im, hash[i], false), distance_encoded(&im, hash[i], true),
                          distance_scaled(&im, hash[i], 0.7), distance_brighter(&im, hash[i])};
        for (int k = 0; k < 4; k++)
            if (distance[k] > worst[k]) worst[k] = distance[k];
        for (int j = 0; j < i; j++)
            if (phash_distance(hash[i], hash[j]) < nearest) nearest = phash_distance(hash[i], hash[j]);
        image_free(&im);
    }
    print_message("worst distance: JPEG 50 %d, WebP 60 %d, at 70 %% %d, brighter %d; other pictures at least %d\n",
                  worst[0], worst[1], worst[2], worst[3], nearest);
    for (int k = 0; k < 4; k++) assert_in_range(worst[k], 0, 6);
    assert_in_range(nearest, 14, 64);
}

/* A picture that is its own mirror image has 0 at every odd u: noise must not decide those bits. */
static void test_symmetry_is_stable(void **state) {
    (void)state;
    image_t half, im;
    picture_blobs(&half, 200, 300, 77);
    assert_int_equal(image_new(&im, 400, 300), LENS_OK);
    for (int32_t y = 0; y < 300; y++)
        for (int32_t x = 0; x < 400; x++)
            memcpy(im.rgb + 3 * (y * 400 + x), half.rgb + 3 * (y * 200 + (x < 200 ? x : 399 - x)), 3);
    uint64_t hash = hash_of(&im);
    assert_true(hash != PHASH_FLAT);
    assert_in_range(distance_encoded(&im, hash, false), 0, 6);
    assert_in_range(distance_encoded(&im, hash, true), 0, 6);
    image_free(&half);
    image_free(&im);
}

static void test_flat(void **state) {
    (void)state;
    image_t im;
    rng_t r = rng_stream(6, 0, 0, RNG_TEST);
    assert_int_equal(image_new(&im, 640, 480), LENS_OK);
    for (size_t i = 0; i < 640 * 480 * 3; i++) im.rgb[i] = (uint8_t)(128 + rng_below(&r, 9));
    assert_true(hash_of(&im) == PHASH_FLAT);
    for (size_t i = 0; i < 640 * 480; i++) memset(im.rgb + 3 * i, (int)(255 - i % 640 / 3), 3);
    assert_true(hash_of(&im) == PHASH_FLAT); /* a ramp */
    image_free(&im);
}

/* The definition in the header, written out, on a 32 x 32 picture where the grid is the picture. */
static void test_definition(void **state) {
    (void)state;
    grey_t g;
    rng_t r = rng_stream(7, 0, 0, RNG_TEST);
    double c[64], sorted[64];
    uint64_t expected = 0, got;
    assert_int_equal(grey_new(&g, 32, 32), LENS_OK);
    for (int i = 0; i < 32 * 32; i++) g.y[i] = (float)rng_below(&r, 256);
    for (int i = 0; i < 64; i++) {
        int u = i ? i % 8 : 8, v = i / 8;
        c[i] = 0;
        for (int y = 0; y < 32; y++)
            for (int x = 0; x < 32; x++)
                c[i] += 2.0 / 32 * (u ? 1 : sqrt(0.5)) * (v ? 1 : sqrt(0.5)) * (double)g.y[32 * y + x] *
                        cos(M_PI * (2 * x + 1) * u / 64) * cos(M_PI * (2 * y + 1) * v / 64);
        int at = i;
        for (; at > 0 && sorted[at - 1] > c[i]; at--) sorted[at] = sorted[at - 1];
        sorted[at] = c[i];
    }
    for (int i = 0; i < 64; i++)
        if (c[i] > (sorted[31] + sorted[32]) / 2 + PHASH_MARGIN) expected |= UINT64_C(1) << i;
    assert_int_equal(phash_of_grey(&got, &g), LENS_OK);
    assert_true(got == expected);
    grey_free(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_near_other_far),
        cmocka_unit_test(test_symmetry_is_stable),
        cmocka_unit_test(test_flat),
        cmocka_unit_test(test_definition),
    };
    return cmocka_run_group_tests_name("phash", tests, NULL, NULL);
}
