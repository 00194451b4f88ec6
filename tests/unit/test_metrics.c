/* metrics.jsonl: what is written parses, what a resumed run will write again is removed, what is malformed is left
 * alone. */
#include "train/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/file.h"

typedef struct {
    char dir[64], run[96], path[128];
} fixture_t;

static int set_up(void **state) {
    fixture_t *fx = calloc(1, sizeof(*fx));
    if (!fx) return -1;
    snprintf(fx->dir, sizeof(fx->dir), "/tmp/lens-metrics-XXXXXX");
    if (!mkdtemp(fx->dir)) return -1;
    snprintf(fx->run, sizeof(fx->run), "%s/runs/one", fx->dir);
    snprintf(fx->path, sizeof(fx->path), "%s/" METRICS_FILE, fx->run);
    *state = fx;
    return 0;
}

static int tear_down(void **state) {
    fixture_t *fx = *state;
    lens_status st = dir_remove(fx->dir);
    free(fx);
    return st == LENS_OK ? 0 : -1;
}

static const char *const names[] = {"loss", "optim/lr", "odd \"name\""};

static void write_steps(const fixture_t *fx, int64_t first, int64_t last) {
    metrics_t *m;
    if (metrics_open(&m, fx->run, first) != LENS_OK) fail_msg("%s", lens_error());
    for (int64_t step = first; step <= last; step++) {
        const double values[] = {1.0 / (double)(step + 3), 1e-4, (double)step};
        assert_int_equal(metrics_step(m, step, 3, names, values), LENS_OK);
    }
    assert_int_equal(metrics_image(m, last, "samples", "png", 3, 8, 8), LENS_OK);
    assert_int_equal(metrics_sync(m), LENS_OK);
    metrics_close(m);
}

static char *read_all(const fixture_t *fx) {
    char *bytes;
    size_t n;
    assert_int_equal(file_read(&bytes, &n, fx->path, 1 << 20), LENS_OK);
    return bytes;
}

static void expect_file(const fixture_t *fx, const char *expected) {
    char *bytes = read_all(fx);
    assert_string_equal(bytes, expected);
    free(bytes);
}

static void test_lines(void **state) {
    const fixture_t *fx = *state;
    write_steps(fx, 0, 2);
    char *bytes = read_all(fx), *line = bytes;
    for (int step = 0; step < 3; step++) {
        json_t *object = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
        assert_non_null(object);
        assert_int_equal(json_object_size(object), 4);
        assert_int_equal(json_integer_value(json_object_get(object, "step")), step);
        assert_true(json_number_value(json_object_get(object, "loss")) == 1.0 / (step + 3)); /* to the last bit */
        assert_true(json_number_value(json_object_get(object, "odd \"name\"")) == step);
        json_decref(object);
        line = strchr(line, '\n');
        assert_non_null(line++);
    }
    assert_string_equal(line, "");
    assert_non_null(strstr(bytes, "\"optim/lr\": 0.0001,"));
    free(bytes);
}

static void test_not_finite(void **state) {
    const fixture_t *fx = *state;
    metrics_t *m;
    const double values[] = {NAN, INFINITY, -INFINITY};
    assert_int_equal(metrics_open(&m, fx->run, 0), LENS_OK);
    assert_int_equal(metrics_step(m, 5, 3, names, values), LENS_OK);
    expect_file(
        fx, "{\"step\": 5, \"loss\": null, \"optim/lr\": null, \"odd \\\"name\\\"\": null}\n"); /* while it is open */
    metrics_close(m);
}

/* A run cut off after step 9 and resumed at 6 leaves the file of a run that was never cut off. */
static void test_resume(void **state) {
    const fixture_t *fx = *state;
    write_steps(fx, 0, 12);
    char *whole = read_all(fx);
    write_steps(fx, 0, 9);
    write_steps(fx, 6, 12);
    expect_file(fx, whole);
    write_steps(fx, 13, 14); /* nothing to remove */
    write_steps(fx, 13, 12);
    expect_file(fx, whole);
    free(whole);
}

static void test_cut_short(void **state) {
    const fixture_t *fx = *state;
    static const char text[] = "{\"step\": 1, \"loss\": 2}\n{\"step\": 2, \"lo";
    assert_int_equal(dir_make(fx->run), LENS_OK);
    assert_int_equal(file_write(fx->path, text, strlen(text)), LENS_OK);
    metrics_t *m;
    assert_int_equal(metrics_open(&m, fx->run, 5), LENS_OK);
    metrics_close(m);
    expect_file(fx, "{\"step\": 1, \"loss\": 2}\n");
}

static void test_malformed(void **state) {
    const fixture_t *fx = *state;
    static const char *const lines[] = {
        "", "{}", "[]", "null", "{\"step\": 1.5}", "{\"step\": \"1\"}", "{\"step\": 1} x", "\x01\xff"};
    assert_int_equal(dir_make(fx->run), LENS_OK);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char text[128], expected[160];
        metrics_t *m;
        snprintf(text, sizeof(text), "{\"step\": 1}\n%s\n{\"step\": 3}\n", lines[i]);
        snprintf(expected, sizeof(expected), "%s:2: ", fx->path);
        assert_int_equal(file_write(fx->path, text, strlen(text)), LENS_OK);
        assert_int_equal(metrics_open(&m, fx->run, 2), LENS_FORMAT);
        assert_null(m);
        assert_non_null(strstr(lens_error(), expected));
        expect_file(fx, text);
    }
}

/* A write that fails surfaces at the step it belongs to: files may not grow past 4 KiB here. */
static void test_full_disk(void **state) {
    const fixture_t *fx = *state;
    struct rlimit before, small;
    metrics_t *m;
    const double values[] = {1, 2, 3};
    lens_status st = LENS_OK;
    assert_int_equal(metrics_open(&m, fx->run, 0), LENS_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){.rlim_cur = 4096, .rlim_max = before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int64_t step = 0; step < 100 && st == LENS_OK; step++) st = metrics_step(m, step, 3, names, values);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(st, LENS_IO);
    assert_non_null(strstr(lens_error(), fx->run));
    metrics_close(m);
    assert_int_equal(metrics_open(&m, fx->run, 20), LENS_OK); /* and the run can go on */
    metrics_close(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_finite, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_resume, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_short, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_malformed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_disk, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
