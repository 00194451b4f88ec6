/* `lens scenes` through its own option table: what stands in the dataset is what the scenes say. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/command.h"
#include "base/file.h"
#include "data/dataset.h"
#include "data/image.h"
#include "data/scene.h"
#include "data/scene_wrong.h"

extern const command_t cmd_scenes;

static char dir[64];

static int make_dir(void **state) {
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/lens-scenes-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    (void)state;
    return dir_remove(dir) == LENS_OK ? 0 : -1;
}

/* Runs the command with these words, the last of which is NULL. */
static lens_status run(char **words) {
    int n = 0, n_args = 0;
    while (words[n]) n++;
    char *args[24];
    void *values = calloc(1, cmd_scenes.values_size);
    assert_non_null(values);
    assert_int_equal(options_defaults(cmd_scenes.options, values), LENS_OK);
    lens_status st = options_parse(cmd_scenes.options, values, n, words, args, &n_args);
    if (st == LENS_OK) st = cmd_scenes.run(values, n_args, args);
    options_free(cmd_scenes.options, values);
    free(values);
    return st;
}

static void test_dataset_holds_the_scenes(void **state) {
    (void)state;
    enum { N = 23, SIZE_PX = 48 };
    char *words[] = {"-n", "23",         "--seed",  "4",    "--size", "48", "--shard-samples",
                     "10", "--captions", "--wrong", "0.25", "-o",     dir,  NULL};
    assert_int_equal(run(words), LENS_OK);
    dataset_t *d = NULL;
    assert_int_equal(dataset_open(&d, dir), LENS_OK);
    assert_int_equal(dataset_n_samples(d), N);
    assert_int_equal(dataset_n_shards(d), 3);
    assert_int_equal(dataset_n_kinds(d), 4);
    static uint8_t expected[SIZE_PX * SIZE_PX * 3];
    str_t got = {0}, wanted = {0};
    static const char *const kinds[] = {"alt", "truth-brief", "truth-dense", "truth-dense-wrong25"};
    for (int64_t i = 0; i < N; i++) {
        scene_t s;
        image_t image;
        scene_make(&s, 4, (uint64_t)i, (scene_rules_t){.max_objects = 4});
        assert_int_equal(dataset_image(d, i, &got), LENS_OK);
        assert_int_equal(image_decode(&image, (const uint8_t *)got.s, got.len), LENS_OK);
        scene_render(&s, SIZE_PX, expected);
        assert_int_equal(image.width, SIZE_PX);
        assert_memory_equal(image.rgb, expected, sizeof expected);
        image_free(&image);
        str_clear(&wanted);
        scene_truth(&s, &wanted);
        assert_int_equal(dataset_meta(d, i, &got), LENS_OK);
        assert_string_equal(str_text(&got), str_text(&wanted));
        for (int k = 0; k < 4; k++) {
            str_clear(&wanted);
            if (k == 0) scene_alt(&s, &wanted);
            if (k == 1) scene_brief(&s, &wanted);
            if (k == 3) scene_make_wrong(&s, 0.25);
            if (k >= 2) scene_dense(&s, &wanted);
            assert_int_equal(dataset_caption(d, i, kinds[k], &got), LENS_OK);
            assert_string_equal(str_text(&got), str_text(&wanted));
        }
    }
    str_free(&got);
    str_free(&wanted);
    dataset_close(d);
    assert_int_equal(run(words), LENS_STATE);
}

static void test_wrong_arguments(void **state) {
    (void)state;
    char *surplus[] = {"-n", "1", "-o", dir, "surplus", NULL}, *tiny[] = {"-n", "1", "-o", dir, "--size", "8", NULL};
    char *crowd[] = {"-n", "1", "-o", dir, "--max-objects", "5", NULL};
    assert_int_equal(run(surplus), LENS_ARGUMENT);
    assert_int_equal(run(tiny), LENS_ARGUMENT);
    assert_int_equal(run(crowd), LENS_ARGUMENT);
    static const char *const fractions[] = {"", "0", "1", "0.125", "0.1,", "0.1;0.2", "0.1,0.1", "x", "nan"};
    for (size_t i = 0; i < sizeof fractions / sizeof fractions[0]; i++) {
        char *wrong[] = {"-n", "1", "-o", dir, "--captions", "--wrong", (char *)fractions[i], NULL};
        assert_int_equal(run(wrong), LENS_ARGUMENT);
    }
    char *of_nothing[] = {"-n", "1", "-o", dir, "--wrong", "0.1", NULL};
    assert_int_equal(run(of_nothing), LENS_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_dataset_holds_the_scenes, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_wrong_arguments, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
