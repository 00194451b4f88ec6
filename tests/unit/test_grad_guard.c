/* train/grad_guard: what is left out, what enters the statistics, and that they go on where they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "train/grad_guard.h"

/* Log-normal norms around 2, deviation 0.2. */
static double norm_of(rng_t *r) {
    return 2.0 * exp(0.2 * rng_normal(r));
}

static guard_t trained(int n) {
    guard_t g = {.max_zscore = 6, .max_skips = 3};
    rng_t r = rng_stream(1, 0, 0, RNG_TEST);
    for (int i = 0; i < n; i++) assert_int_equal(guard_judge(&g, norm_of(&r), 1), GUARD_ACCEPT);
    return g;
}

static void statistics_are_plain_ones_at_first(void **state) {
    (void)state;
    enum { N = 150 };
    double x[N], mean = 0, var = 0;
    guard_t g = {.max_zscore = 6, .max_skips = 3};
    rng_t r = rng_stream(2, 0, 0, RNG_TEST);
    for (int i = 0; i < N; i++) {
        double norm = norm_of(&r);
        x[i] = log(norm);
        mean += x[i] / N;
        assert_int_equal(guard_judge(&g, norm, 1), GUARD_ACCEPT);
    }
    for (int i = 0; i < N; i++) var += (x[i] - mean) * (x[i] - mean) / N;
    assert_int_equal(g.n, N);
    assert_true(fabs(g.mean - mean) < 1e-13 && fabs(g.var - var) < 1e-13);
}

static void numbers_that_are_none_are_left_out(void **state) {
    (void)state;
    guard_t g = {.max_zscore = 0, .max_skips = 3}; /* also where no outliers are looked for */
    assert_int_equal(guard_judge(&g, 1, 1), GUARD_ACCEPT);
    assert_int_equal(guard_judge(&g, NAN, 1), GUARD_NOT_FINITE);
    assert_int_equal(guard_judge(&g, INFINITY, 1), GUARD_NOT_FINITE);
    assert_int_equal(guard_judge(&g, 1, NAN), GUARD_NOT_FINITE);
    assert_int_equal(guard_judge(&g, 1, -INFINITY), GUARD_NOT_FINITE);
    assert_int_equal(g.n, 1);
    assert_int_equal(guard_judge(&g, 0, 1), GUARD_ACCEPT);
    assert_true(g.n == 1 && g.mean == 0 && g.var == 0);
    assert_int_equal(guard_judge(&g, 1e30, 1), GUARD_ACCEPT);
}

static void outliers_are_left_out(void **state) {
    (void)state;
    guard_t young = trained(GUARD_WARMUP - 1);
    assert_int_equal(guard_judge(&young, 1e6, 1), GUARD_ACCEPT);
    guard_t g = trained(GUARD_WARMUP), before = g;
    double deviation = sqrt(g.var);
    assert_true(fabs(guard_zscore(&g, exp(g.mean + 6.01 * deviation)) - 6.01) < 1e-12);
    assert_int_equal(guard_judge(&g, exp(g.mean + 6.01 * deviation), 1), GUARD_OUTLIER);
    assert_true(g.mean == before.mean && g.var == before.var && g.n == before.n);
    assert_int_equal(guard_judge(&g, exp(g.mean - 10 * deviation), 1), GUARD_ACCEPT); /* small ones are no danger */
    g = before;
    assert_int_equal(guard_judge(&g, exp(g.mean + 5.99 * deviation), 1), GUARD_ACCEPT);
    assert_int_equal(g.n, before.n + 1);
}

static void still_norms_may_move_a_little(void **state) {
    (void)state;
    guard_t g = {.max_zscore = 6, .max_skips = 3};
    for (int i = 0; i < 100; i++) assert_int_equal(guard_judge(&g, 1, 1), GUARD_ACCEPT);
    assert_int_equal(guard_judge(&g, 1.3, 1), GUARD_ACCEPT);
    assert_int_equal(guard_judge(&g, 1.4, 1), GUARD_OUTLIER);
}

static void a_slow_drift_is_followed(void **state) {
    (void)state;
    guard_t g = {.max_zscore = 6, .max_skips = 3};
    rng_t r = rng_stream(3, 0, 0, RNG_TEST);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(guard_judge(&g, norm_of(&r) * exp(0.001 * i), 1), GUARD_ACCEPT); /* 20 times larger */
}

static void too_many_in_a_row_are_an_error(void **state) {
    (void)state;
    guard_t g = trained(60);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(guard_judge(&g, 1e9, 1), GUARD_OUTLIER);
        assert_int_equal(guard_check(&g, 61 + i, 1e9, 1), LENS_OK);
    }
    assert_int_equal(guard_judge(&g, 2, 1), GUARD_ACCEPT);
    for (int i = 0; i < 4; i++) assert_int_equal(guard_judge(&g, NAN, 1), GUARD_NOT_FINITE);
    assert_int_equal(guard_check(&g, 68, NAN, 1), LENS_STATE);
    assert_non_null(strstr(lens_error(), "step 68"));
}

/* Three numbers carry a run over a restart, to the bit. */
static void goes_on_where_it_was(void **state) {
    (void)state;
    guard_t whole = {.max_zscore = 2, .max_skips = 1000}, part = whole;
    for (int i = 0; i < 700; i++) {
        rng_t r = rng_stream(4, 0, (uint64_t)i, RNG_TEST);
        double norm = norm_of(&r);
        if (i % 37 == 0) part = (guard_t){.max_zscore = 2, .max_skips = 1000, part.mean, part.var, part.n, 0};
        assert_int_equal(guard_judge(&whole, norm, 1), guard_judge(&part, norm, 1));
        assert_true(whole.mean == part.mean && whole.var == part.var && whole.n == part.n);
    }
    assert_true(whole.n < 700); /* some were left out on the way */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics_are_plain_ones_at_first),
        cmocka_unit_test(numbers_that_are_none_are_left_out),
        cmocka_unit_test(outliers_are_left_out),
        cmocka_unit_test(still_norms_may_move_a_little),
        cmocka_unit_test(a_slow_drift_is_followed),
        cmocka_unit_test(too_many_in_a_row_are_an_error),
        cmocka_unit_test(goes_on_where_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
