/* kernels/step_gate: what is left out, what enters the statistics, that they go on where they were, and what a step
 * that is taken gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/rng.h"
#include "kernels/step_gate.h"

static step_verdict judge(step_gate_t *g, double max_zscore, double norm, double loss) {
    const step_rule_t rule = {.max_zscore = max_zscore, .beta1 = 0.9f, .beta2 = 0.95f};
    step_gate_judge(g, norm * norm, loss, &rule);
    return (step_verdict)g->verdict;
}

/* Log-normal norms around 2, deviation 0.2. */
static double norm_of(rng_t *r) {
    return 2.0 * exp(0.2 * rng_normal(r));
}

static step_gate_t trained(int n) {
    step_gate_t g = {0};
    rng_t r = rng_stream(1, 0, 0, RNG_TEST);
    for (int i = 0; i < n; i++) assert_int_equal(judge(&g, 6, norm_of(&r), 1), STEP_TAKEN);
    return g;
}

static void statistics_are_plain_ones_at_first(void **state) {
    (void)state;
    enum { N = 150 };
    double x[N], mean = 0, var = 0;
    step_gate_t g = {0};
    rng_t r = rng_stream(2, 0, 0, RNG_TEST);
    for (int i = 0; i < N; i++) {
        double norm = norm_of(&r);
        x[i] = log(norm);
        mean += x[i] / N;
        assert_int_equal(judge(&g, 6, norm, 1), STEP_TAKEN);
    }
    for (int i = 0; i < N; i++) var += (x[i] - mean) * (x[i] - mean) / N;
    assert_int_equal(g.n, N);
    assert_true(fabs(g.mean - mean) < 1e-13 && fabs(g.var - var) < 1e-13);
}

static void numbers_that_are_none_are_left_out(void **state) {
    (void)state;
    step_gate_t g = {0}; /* also where no outliers are looked for */
    assert_int_equal(judge(&g, 0, 1, 1), STEP_TAKEN);
    assert_int_equal(judge(&g, 0, NAN, 1), STEP_NOT_FINITE);
    assert_int_equal(judge(&g, 0, INFINITY, 1), STEP_NOT_FINITE);
    assert_int_equal(judge(&g, 0, 1, NAN), STEP_NOT_FINITE);
    assert_int_equal(judge(&g, 0, 1, -INFINITY), STEP_NOT_FINITE);
    assert_int_equal(g.n, 1);
    assert_int_equal(judge(&g, 0, 0, 1), STEP_TAKEN);
    assert_true(g.n == 1 && g.mean == 0 && g.var == 0);
    assert_int_equal(judge(&g, 0, 1e30, 1), STEP_TAKEN);
}

static void outliers_are_left_out(void **state) {
    (void)state;
    step_gate_t young = trained(STEP_GATE_WARMUP - 1);
    assert_int_equal(judge(&young, 6, 1e6, 1), STEP_TAKEN);
    step_gate_t g = trained(STEP_GATE_WARMUP), before = g;
    double deviation = sqrt(g.var);
    assert_true(fabs(step_gate_zscore(&g, exp(g.mean + 6.01 * deviation)) - 6.01) < 1e-12);
    assert_int_equal(judge(&g, 6, exp(g.mean + 6.01 * deviation), 1), STEP_OUTLIER);
    assert_true(g.mean == before.mean && g.var == before.var && g.n == before.n);
    assert_int_equal(judge(&g, 6, exp(g.mean - 10 * deviation), 1), STEP_TAKEN); /* small ones are no danger */
    g = before;
    assert_int_equal(judge(&g, 6, exp(g.mean + 5.99 * deviation), 1), STEP_TAKEN);
    assert_int_equal(g.n, before.n + 1);
}

static void still_norms_may_move_a_little(void **state) {
    (void)state;
    step_gate_t g = {0};
    for (int i = 0; i < 100; i++) assert_int_equal(judge(&g, 6, 1, 1), STEP_TAKEN);
    assert_int_equal(judge(&g, 6, 1.3, 1), STEP_TAKEN);
    assert_int_equal(judge(&g, 6, 1.4, 1), STEP_OUTLIER);
}

static void a_slow_drift_is_followed(void **state) {
    (void)state;
    step_gate_t g = {0};
    rng_t r = rng_stream(3, 0, 0, RNG_TEST);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(judge(&g, 6, norm_of(&r) * exp(0.001 * i), 1), STEP_TAKEN); /* 20 times larger */
}

static void steps_in_a_row_are_counted(void **state) {
    (void)state;
    step_gate_t g = trained(60);
    for (int i = 0; i < 3; i++) assert_int_equal(judge(&g, 6, 1e9, 1), STEP_OUTLIER);
    assert_int_equal(g.n_in_row, 3);
    assert_int_equal(judge(&g, 6, 2, 1), STEP_TAKEN);
    assert_int_equal(g.n_in_row, 0);
    for (int i = 0; i < 4; i++) assert_int_equal(judge(&g, 6, NAN, 1), STEP_NOT_FINITE);
    assert_int_equal(g.n_in_row, 4);
}

/* The numbers of the optimiser are of the updates so far, which a step that is left out does not change. */
static void a_taken_step_gets_its_numbers(void **state) {
    (void)state;
    static const struct {
        double norm, max_norm;
        float scale;
    } cases[] = {{4, 1, 0.25f}, {4, 4, 1}, {4, 5, 1}, {4, 0, 1}, {0, 1, 1}, {1e10, 1, 1e-10f}};
    step_gate_t g = {0};
    for (int i = 0; i < 6; i++) {
        step_rule_t rule = {.max_norm = cases[i].max_norm, .beta1 = 0.9f, .beta2 = 0.95f};
        int n = i + 1;
        step_gate_judge(&g, cases[i].norm * cases[i].norm, 1, &rule);
        assert_true(g.n_updates == n && g.scale == cases[i].scale && g.norm == cases[i].norm);
        assert_true(g.correction1 == (float)(1 / (1 - pow((double)0.9f, n))));
        assert_true(g.correction2 == (float)(1 / (1 - pow((double)0.95f, n))));
        assert_true(g.ramp == (1.0 + n) / (10.0 + n));
        step_gate_t before = g;
        step_gate_judge(&g, NAN, 1, &rule);
        assert_true(g.n_updates == n && g.mean == before.mean && g.var == before.var && g.n == before.n);
    }
}

/* Three numbers carry a run over a restart, to the bit. */
static void goes_on_where_it_was(void **state) {
    (void)state;
    step_gate_t whole = {0}, part = whole;
    for (int i = 0; i < 700; i++) {
        rng_t r = rng_stream(4, 0, (uint64_t)i, RNG_TEST);
        double norm = norm_of(&r);
        if (i % 37 == 0) part = (step_gate_t){.mean = part.mean, .var = part.var, .n = part.n};
        assert_int_equal(judge(&whole, 2, norm, 1), judge(&part, 2, norm, 1));
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
        cmocka_unit_test(steps_in_a_row_are_counted),
        cmocka_unit_test(a_taken_step_gets_its_numbers),
        cmocka_unit_test(goes_on_where_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
