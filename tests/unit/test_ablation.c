/* Intervals against published values; an ablation's means and differences against arithmetic by hand. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "eval/ablation.h"

static void near(double got, double wanted, double allowed) {
    if (!(fabs(got - wanted) <= allowed)) fail_msg("%.6f, expected %.6f", got, wanted);
}

/* Newcombe (1998), "Interval estimation for the difference between independent proportions", table II (his method 10)
 * and its companion on single proportions, table I (his method 3): printed to four decimals. */
static void test_intervals(void **state) {
    (void)state;
    interval_t v = interval_wilson(81, 263);
    near(v.value, 81.0 / 263, 1e-12);
    near(v.low, 0.2553, 5e-5);
    near(v.high, 0.3662, 5e-5);
    v = interval_wilson(15, 148);
    near(v.low, 0.0624, 5e-5);
    near(v.high, 0.1605, 5e-5);
    v = interval_wilson(0, 20);
    assert_true(v.low == 0);
    near(v.high, 0.1611, 5e-5);
    v = interval_wilson(29, 29);
    near(v.low, 0.8830, 5e-5);
    assert_true(v.high == 1);
    v = interval_difference(interval_wilson(56, 70), interval_wilson(48, 80));
    near(v.value, 0.2, 1e-12);
    near(v.low, 0.0524, 5e-5);
    near(v.high, 0.3339, 5e-5);
}

/* Student's points: 12.706, 4.303 and 2.228 of 1, 2 and 10 degrees, 2.2010 and 2.0423 of 11 and 30. */
static void test_mean(void **state) {
    (void)state;
    const double three[] = {1, 2, 3};
    interval_t v = interval_mean(three, 1);
    assert_true(v.value == 1 && isnan(v.low) && isnan(v.high));
    v = interval_mean(three, 3);
    near(v.value, 2, 1e-12);
    near(v.high - 2, 4.3027 / sqrt(3), 1e-4);
    near(2 - v.low, 4.3027 / sqrt(3), 1e-4);
    const struct {
        int64_t n;
        double t;
    } points[] = {{2, 12.706}, {11, 2.228}, {12, 2.2010}, {31, 2.0423}};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        double values[31], squares = 0, mean = 0;
        int64_t n = points[i].n;
        for (int64_t k = 0; k < n; k++) mean += (values[k] = (double)(k % 3)) / (double)n;
        for (int64_t k = 0; k < n; k++) squares += (values[k] - mean) * (values[k] - mean);
        v = interval_mean(values, n);
        near((v.high - v.value) / sqrt(squares / (double)(n - 1) / (double)n), points[i].t, 1e-3);
    }
}

/* A run of 50 prompts a task and two checkpoints; the second has `right` of them in each task, long prompts 5 less. */
static void write_run(const char *dir, const char *arm, int seed, int right) {
    str_t text = {0}, path = {0};
    str_addf(&path, "%s/%s-%d.json", dir, arm, seed);
    str_addf(
        &text,
        "{\"arm\":\"%s\",\"seed\":%d,\"samples\":\"%s-%d.png\",\"scenes\":99,\"max_objects\":2,\"simple\":true,"
        "\"prompts\":50,"
        "\"steps\":8,\"batch\":4,\"parameters\":1000,"
        "\"seconds\":1,\"cores\":2,\"density\":{\"words\":7,\"facts\":5,\"wrong\":0,\"bits\":null},\"checkpoints\":[",
        arm, seed, arm, seed);
    for (int p = 1; p <= 2; p++) {
        str_addf(&text, "%s{\"step\":%d,\"images\":%d,\"flop\":1e9,\"tokens\":100,\"valid_loss\":null,\"compose\":{",
                 p > 1 ? "," : "", 4 * p, 16 * p);
        for (int f = 0; f < COMPOSE_N_FORMS; f++) {
            str_addf(&text, "%s\"%s\":{\"tasks\":{", f ? "," : "", compose_form_word((compose_form)f));
            for (int t = 0; t < COMPOSE_N_TASKS; t++)
                str_addf(&text, "%s\"%s\":{\"n\":50,\"right\":%d}", t ? "," : "", compose_task_word((compose_task)t),
                         p == 1 ? 0 : right - 5 * f);
            str_add(&text, "}}");
        }
        str_add(&text, "}}");
    }
    str_add(&text, "]}");
    assert_int_equal(str_status(&text), LENS_OK);
    assert_int_equal(file_write(path.s, text.s, text.len), LENS_OK);
    str_free(&text);
    str_free(&path);
}

static void test_scores(void **state) {
    (void)state;
    char dir[] = "/tmp/lens-ablation-XXXXXX";
    assert_non_null(mkdtemp(dir));
    const int detailed[] = {40, 45, 41}, brief[] = {30, 36, 30};
    for (int s = 0; s < 3; s++) {
        write_run(dir, "detailed", s + 1, detailed[s]);
        write_run(dir, "brief", s + 1, brief[s]);
    }
    write_run(dir, "alt", 2, 10);
    write_run(dir, "added", 9, 20);
    ablation_t a;
    assert_int_equal(ablation_open(&a, dir), LENS_OK);
    assert_int_equal(a.n_arms, 4);
    const char *const order[] = {"brief", "detailed", "alt", "added"};
    for (int i = 0; i < 4; i++) assert_string_equal(a.arms[i].name, order[i]);
    assert_null(ablation_find(&a, "mixed"));
    const ablation_arm_t *d = ablation_find(&a, "detailed"), *b = ablation_find(&a, "brief");
    assert_int_equal(d->n_runs, 3);
    assert_true(isnan(d->runs[0]->bits) && d->runs[0]->words == 7);

    interval_t v = ablation_score(d, 1, COMPOSE_SHORT, COMPOSE_COLOURS);
    near(v.value, 0.84, 1e-12); /* of 0.80, 0.90, 0.82; deviation 0.05292 */
    near(v.high, 0.84 + 4.3027 * 0.0529150 / sqrt(3), 1e-5);
    near(ablation_score(d, 1, COMPOSE_LONG, COMPOSE_OVERALL).value, 0.74, 1e-12);
    near(ablation_score(d, 0, COMPOSE_LONG, COMPOSE_OVERALL).value, 0, 1e-12);
    /* One seed: Wilson over the 50 prompts of a task, over all 300 of six. */
    v = ablation_score(ablation_find(&a, "alt"), 1, COMPOSE_SHORT, COMPOSE_SINGLE);
    near(v.low, interval_wilson(10, 50).low, 1e-12);
    v = ablation_score(ablation_find(&a, "alt"), 1, COMPOSE_SHORT, COMPOSE_OVERALL);
    near(v.low, interval_wilson(60, 300).low, 1e-12);

    int n;
    v = ablation_difference(d, b, COMPOSE_SHORT, COMPOSE_OVERALL, &n);
    assert_int_equal(n, 3);
    near(v.value, 0.2, 1e-12); /* of 0.20, 0.18, 0.22: pairs cancel what seeds share */
    near(v.high, 0.2 + 4.3027 * 0.02 / sqrt(3), 1e-5);
    v = ablation_difference(d, ablation_find(&a, "alt"), COMPOSE_SHORT, COMPOSE_SINGLE, &n);
    assert_int_equal(n, 1);
    near(v.value, 0.7, 1e-12);
    near(v.low, interval_difference(interval_wilson(45, 50), interval_wilson(10, 50)).low, 1e-12);
    v = ablation_difference(d, ablation_find(&a, "added"), COMPOSE_SHORT, COMPOSE_SINGLE, &n);
    assert_true(n == 0 && isnan(v.value));
    ablation_free(&a);
    assert_int_equal(dir_remove(dir), LENS_OK);
    assert_int_equal(ablation_open(&a, dir), LENS_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intervals),
        cmocka_unit_test(test_mean),
        cmocka_unit_test(test_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
