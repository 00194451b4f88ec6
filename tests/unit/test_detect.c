/* The detector: rates on rendered scenes, clean and damaged; pictures without objects; hostile sizes; the judge's
 * rules. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "eval/detect_check.h"

static detector_t *detector;

static int set_up(void **state) {
    (void)state;
    return detector_new(&detector) == LENS_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    detector_free(detector);
    return 0;
}

static detect_rates_t rates(int64_t n, int64_t size_px, double blur_px, double noise) {
    detect_check_t c = {0};
    detect_rates_t sum = {0};
    detect_check_options_t o = {.n = n,
                                .size_px = size_px,
                                .seed = 7,
                                .rules = {.max_objects = SCENE_MAX_OBJECTS},
                                .blur_px = blur_px,
                                .noise = noise};
    uint8_t *rgb = malloc((size_t)(3 * size_px * size_px));
    assert_non_null(rgb);
    for (int64_t i = 0; i < n; i++) assert_int_equal(detect_check_scene(&c, detector, &o, i, rgb), LENS_OK);
    free(rgb);
    for (int t = 0; t < COMPOSE_N_TASKS; t++) {
        sum.n += c.tasks[t].n;
        sum.right += c.tasks[t].right;
        sum.unknown += c.tasks[t].unknown;
        sum.wrong += c.tasks[t].wrong;
    }
    assert_int_equal(sum.n, 2 * n);
    assert_int_equal(sum.n, sum.right + sum.unknown + sum.wrong);
    return sum;
}

static void test_clean_scenes_are_judged_right(void **state) {
    (void)state;
    detect_rates_t small = rates(24, 32, 0, 0), large = rates(12, 64, 0, 0);
    assert_true(small.right >= small.n - 1);
    assert_int_equal(small.wrong, 0);
    assert_int_equal(large.right, large.n);
}

static void test_damage_makes_unknown_not_wrong(void **state) {
    (void)state;
    detect_rates_t blurred = rates(12, 32, 1, 0), noisy = rates(12, 32, 0, 20);
    assert_int_equal(blurred.wrong, 0);
    assert_int_equal(noisy.wrong, 0);
    assert_true(blurred.right > blurred.n / 2);
    assert_true(noisy.right > noisy.n / 2);
}

static void test_one_colour_shows_nothing(void **state) {
    (void)state;
    static uint8_t rgb[3 * 64 * 64];
    for (int code = 0; code < 256; code += 51) {
        detection_t seen;
        memset(rgb, code, sizeof rgb);
        assert_int_equal(detect(&seen, detector, rgb, 64, 64), LENS_OK);
        assert_int_equal(seen.n, 0);
        assert_false(seen.crowded);
    }
}

/* So soft a picture may hide objects: nothing is said, and no count is. */
static void test_heavy_blur_is_unknown(void **state) {
    (void)state;
    detect_rates_t blurred = rates(12, 32, 2.5, 0);
    assert_int_equal(blurred.wrong, 0);
    assert_int_equal(blurred.unknown, blurred.n);
}

/* Any bytes are a picture: nothing but noise must not be a shape. */
static void test_noise_is_no_shape(void **state) {
    (void)state;
    static uint8_t rgb[3 * 48 * 32];
    rng_t r = rng_stream(1, 0, 0, RNG_JUDGE);
    for (size_t i = 0; i < sizeof rgb; i++) rgb[i] = (uint8_t)rng_below(&r, 256);
    detection_t seen;
    assert_int_equal(detect(&seen, detector, rgb, 48, 32), LENS_OK);
    for (int i = 0; i < seen.n; i++) assert_int_equal(seen.objects[i].shape, DETECT_UNKNOWN);
}

/* As a model draws: the background is clean, its objects are not. */
static void test_noise_on_objects_alone(void **state) {
    (void)state;
    enum { N = 60, SIDE = 32 };
    static uint8_t rgb[SIDE * SIDE * 3];
    int n_right = 0;
    for (uint64_t i = 0; i < N; i++) {
        scene_t s;
        compose_facts_t facts;
        detection_t seen;
        compose_draw(&facts, &s, COMPOSE_SINGLE, 5, i, (scene_rules_t){.max_objects = 2, .simple = true});
        scene_render(&s, SIDE, rgb);
        rng_t r = rng_stream(5, 0, i, RNG_JUDGE);
        const uint8_t ground[3] = {rgb[0], rgb[1], rgb[2]};
        for (int p = 0; p < SIDE * SIDE; p++) {
            if (memcmp(&rgb[3 * p], ground, 3) == 0) continue;
            for (int k = 0; k < 3; k++) {
                double v = rgb[3 * p + k] + 10 * rng_normal(&r);
                rgb[3 * p + k] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
            }
        }
        assert_int_equal(detect(&seen, detector, rgb, SIDE, SIDE), LENS_OK);
        n_right += compose_judge(&facts, &seen) == COMPOSE_YES;
    }
    assert_true(n_right >= N - 5);
}

static void test_sizes(void **state) {
    (void)state;
    detection_t seen;
    enum { SIDE = 700 };
    uint8_t *rgb = calloc(3, (size_t)SIDE * SIDE);
    assert_non_null(rgb);
    assert_int_equal(detect(&seen, detector, rgb, 1, 1), LENS_ARGUMENT);
    assert_int_equal(detect(&seen, detector, rgb, 0, 32), LENS_ARGUMENT);
    assert_int_equal(detect(&seen, detector, rgb, -5, 32), LENS_ARGUMENT);
    assert_int_equal(detect(&seen, detector, rgb, SIDE, SCENE_MIN_SIZE_PX), LENS_ARGUMENT); /* 64 x 1 when reduced */
    scene_t s;
    compose_facts_t facts;
    compose_draw(&facts, &s, COMPOSE_SINGLE, 3, 0, (scene_rules_t){.max_objects = SCENE_MAX_OBJECTS});
    scene_render(&s, SIDE, rgb);
    assert_int_equal(detect(&seen, detector, rgb, SIDE, SIDE), LENS_OK);
    assert_int_equal(compose_judge(&facts, &seen), COMPOSE_YES);
    free(rgb);
}

static void test_unknown_is_never_yes(void **state) {
    (void)state;
    compose_facts_t two = {.task = COMPOSE_TWO,
                           .n_things = 2,
                           .things = {{SCENE_SHAPE_STAR, SCENE_COLOUR_RED}, {SCENE_SHAPE_RING, SCENE_COLOUR_BLUE}}};
    compose_facts_t three = {
        .task = COMPOSE_COUNTING, .n_things = 1, .things = {{SCENE_SHAPE_STAR, SCENE_COLOUR_RED}}, .count = 3};
    detected_t star = {.shape = SCENE_SHAPE_STAR, .colour = SCENE_COLOUR_RED},
               ring = {.shape = SCENE_SHAPE_RING, .colour = SCENE_COLOUR_RED};
    detected_t unknown = {.shape = DETECT_UNKNOWN, .colour = DETECT_UNKNOWN};
    assert_int_equal(compose_judge(&two, &(detection_t){0}), COMPOSE_NO);
    assert_int_equal(compose_judge(&two, &(detection_t){.n = 2, .objects = {star, ring}}), COMPOSE_YES);
    assert_int_equal(compose_judge(&two, &(detection_t){.n = 2, .objects = {star, star}}), COMPOSE_NO);
    assert_int_equal(compose_judge(&two, &(detection_t){.n = 1, .objects = {unknown}}),
                     COMPOSE_UNKNOWN); /* both in one */
    two.task = COMPOSE_ATTRIBUTION;
    assert_int_equal(compose_judge(&two, &(detection_t){.n = 2, .objects = {star, ring}}), COMPOSE_NO);
    assert_int_equal(compose_judge(&three, &(detection_t){.n = 3, .objects = {star, star, star}}), COMPOSE_YES);
    assert_int_equal(compose_judge(&three, &(detection_t){.n = 3, .objects = {star, star, unknown}}), COMPOSE_UNKNOWN);
    assert_int_equal(compose_judge(&three, &(detection_t){.n = 4, .objects = {star, star, star, star}}), COMPOSE_NO);
    assert_int_equal(compose_judge(&three, &(detection_t){.n = 3, .crowded = true, .objects = {star, star, star}}),
                     COMPOSE_UNKNOWN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean_scenes_are_judged_right),
        cmocka_unit_test(test_damage_makes_unknown_not_wrong),
        cmocka_unit_test(test_heavy_blur_is_unknown),
        cmocka_unit_test(test_one_colour_shows_nothing),
        cmocka_unit_test(test_noise_is_no_shape),
        cmocka_unit_test(test_noise_on_objects_alone),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_unknown_is_never_yes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
