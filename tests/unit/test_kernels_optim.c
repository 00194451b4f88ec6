/* The optimiser over flat buffers, against the published recurrences in double. */
#include "tests/unit/kernel_check.h"

static const int64_t lengths[] = {0, 1, 2, 3, 17, 64, 85, 1000};
enum { N_LENGTHS = sizeof lengths / sizeof lengths[0] };

static void sum_squares_cases(check_t *c) {
    for (int i = 0; i < N_LENGTHS; i++) {
        int64_t n = lengths[i];
        float *x = check_input(c, n);
        double got = 3;
        long double want = 3; /* in double its own error is the larger */
        for (int64_t j = 0; j < n; j++) want += 2 * (long double)x[j] * (long double)x[j];
        c->k->sum_squares(c->k, &got, x, n);
        c->k->sum_squares(c->k, &got, x, n);
        assert_true(fabsl(got - want) <= 4 * DBL_EPSILON * want);
        c->digest = XXH3_64bits_withSeed(&got, sizeof got, c->digest);
        check_end(c);
    }
}

static void sum_losses_cases(check_t *c) {
    for (int i = 0; i < N_LENGTHS; i++) {
        int64_t n = lengths[i];
        float *x = check_input(c, n);
        double *loss = check_double(c, x, n), got = 3, want = 3;
        for (int64_t j = 0; j < n; j++) want += 0.25 * loss[j];
        c->k->sum_losses(c->k, &got, loss, 0.25, n);
        assert_true(fabs(got - want) <= DBL_EPSILON * (double)(n + 3));
        c->digest = XXH3_64bits_withSeed(&got, sizeof got, c->digest);
        check_end(c);
    }
}

/* As after so many steps that were taken, the last with that scale. */
static step_gate_t gate_after(int64_t n_updates, float scale) {
    const step_rule_t rule = {.max_norm = (double)scale, .beta1 = 0.9f, .beta2 = 0.95f};
    step_gate_t gate = {.n_updates = n_updates - 1};
    step_gate_judge(&gate, 1, 1, &rule);
    return gate;
}

/* The row is step_gate_judge; test_step_gate.c has what that does. */
static void judge_cases(check_t *c) {
    static const double cases[][2] = {{4, 1}, {NAN, 1}, {4, NAN}, {4, 2}, {0, 1}};
    const step_rule_t rule = {.max_norm = 0.5, .max_zscore = 3, .beta1 = 0.9f, .beta2 = 0.95f};
    step_gate_t got = {0}, want = {0};
    for (int i = 0; i < 5; i++) {
        c->k->judge(c->k, &got, cases[i], &rule);
        step_gate_judge(&want, cases[i][0], cases[i][1], &rule);
        assert_true(got.verdict == want.verdict && got.n_in_row == want.n_in_row);
        assert_true(got.n_updates == want.n_updates && got.n == want.n && got.scale == want.scale);
        assert_true(got.mean == want.mean && got.ramp == want.ramp && got.correction1 == want.correction1);
    }
    assert_int_equal(got.n_updates, 3);
}

/* Five steps from empty moments, as a run makes them. On the CPU weights are the same memory as the master copy. */
static void adamw_case(check_t *c, int64_t n, float decay, bool same) {
    adamw_t o = {.lr = 1e-2f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .weight_decay = decay};
    float *master = check_sum(c, n), *m = check_sum(c, n), *v = check_sum(c, n), *g = check_input(c, n),
          *weights = same ? master : check_output(c, n), scale = 0.7f;
    double *want = check_double(c, master, n), *wm = check_double(c, NULL, n), *wv = check_double(c, NULL, n);
    for (int64_t i = 0; i < n; i++) m[i] = v[i] = 0;
    double b1 = (double)o.beta1, b2 = (double)o.beta2, lr = (double)o.lr;
    for (int step = 1; step <= 5; step++) {
        step_gate_t gate = gate_after(step, scale);
        c->k->adamw(c->k, master, weights, m, v, g, &gate, n, &o);
        for (int64_t i = 0; i < n; i++) {
            double grad = (double)g[i] * (double)scale;
            wm[i] = b1 * wm[i] + (1 - b1) * grad;
            wv[i] = b2 * wv[i] + (1 - b2) * grad * grad;
            double mean = wm[i] / (1 - pow(b1, step)), square = wv[i] / (1 - pow(b2, step));
            want[i] -= lr * (double)decay * want[i] + lr * mean / (sqrt(square) + (double)o.eps);
        }
    }
    check_near(c, "adamw w", master, want, n, 5, 0, 2);
    check_near(c, "adamw m", m, wm, n, 5, 0, 2);
    check_near(c, "adamw v", v, wv, n, 5, 0, 2);
    if (n) assert_memory_equal(weights, master, sizeof(float) * (size_t)n);
    check_end(c);
}

static void adamw_cases(check_t *c) {
    for (int i = 0; i < N_LENGTHS; i++) {
        adamw_case(c, lengths[i], 0, true);
        adamw_case(c, lengths[i], 0.1f, false);
    }
}

static void ema_cases(check_t *c) {
    for (int i = 0; i < N_LENGTHS; i++) {
        int64_t n = lengths[i];
        float *average = check_sum(c, n), *master = check_input(c, n);
        double *want = check_double(c, average, n);
        step_gate_t gate = {.ramp = 0.95};
        for (int64_t j = 0; j < n; j++) want[j] = 0.9 * want[j] + 0.1 * (double)master[j];
        c->k->ema(c->k, average, master, &gate, n, 0.9);
        check_near(c, "ema", average, want, n, 1, 0, 2);
        gate.ramp = 0.5; /* a short history */
        for (int64_t j = 0; j < n; j++) want[j] = 0.5 * want[j] + 0.5 * (double)master[j];
        c->k->ema(c->k, average, master, &gate, n, 0.9);
        check_near(c, "ema ramp", average, want, n, 1, 0, 2);
        c->k->ema(c->k, average, master, &gate, n, 0); /* forgets everything */
        for (int64_t j = 0; j < n; j++) want[j] = (double)master[j];
        check_near(c, "ema 0", average, want, n, 1, 0, 2);
        check_end(c);
    }
}

static void nesterov_cases(check_t *c) {
    for (int i = 0; i < N_LENGTHS; i++) {
        int64_t n = lengths[i];
        float *u = check_output(c, n), *m = check_sum(c, n), *g = check_input(c, n);
        step_gate_t gate = {.scale = 0.7f};
        double *wm = check_double(c, m, n), *wu = check_double(c, NULL, n);
        for (int64_t j = 0; j < n; j++) {
            double grad = (double)g[j] * (double)0.7f;
            wm[j] = (double)0.95f * wm[j] + grad;
            wu[j] = (double)0.95f * wm[j] + grad;
        }
        c->k->nesterov(c->k, u, m, g, &gate, 0.95f, n);
        check_near(c, "nesterov m", m, wm, n, 1, 0, 2);
        check_near(c, "nesterov u", u, wu, n, 1, 0, 2);
        check_end(c);
    }
}

static void normalize_cases(check_t *c) {
    for (int i = 0; i < N_LENGTHS; i++) {
        int64_t n = lengths[i];
        float *x = check_input(c, n), *y = check_output(c, n), *zero = check_sum(c, n);
        double *want = check_double(c, x, n), sum = 0;
        for (int64_t j = 0; j < n; j++) sum += want[j] * want[j];
        for (int64_t j = 0; j < n; j++) want[j] /= sqrt(sum);
        c->k->normalize(c->k, y, x, n);
        check_near(c, "normalize", y, want, n, 1, 0, 2);
        for (int64_t j = 0; j < n; j++) zero[j] = 0;
        c->k->normalize(c->k, zero, zero, n);
        for (int64_t j = 0; j < n; j++) assert_true(zero[j] == 0);
        check_end(c);
    }
}

static void polynomial_cases(check_t *c) {
    static const int64_t sides[] = {0, 1, 2, 3, 17, 33};
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
        int64_t n = sides[i];
        float *x = check_sum(c, n * n), *s = check_input(c, n * n);
        double *want = check_double(c, x, n * n);
        for (int64_t j = 0; j < n * n; j++)
            want[j] = (double)-4.5f * (double)s[j] + 2 * want[j] + (j / n == j % n ? (double)3.4f : 0);
        c->k->polynomial(c->k, x, s, 3.4f, -4.5f, 2, n);
        check_near(c, "polynomial", x, want, n * n, 1, 0, 2);
        check_end(c);
    }
}

static void decay_step_case(check_t *c, int64_t n, bool same) {
    float *master = check_sum(c, n), *weights = same ? master : check_output(c, n), *u = check_input(c, n);
    double *want = check_double(c, master, n);
    for (int64_t i = 0; i < n; i++) want[i] = (double)0.99f * want[i] - (double)0.02f * (double)u[i];
    step_gate_t gate = {0};
    c->k->decay_step(c->k, master, weights, u, &gate, 0.99f, 0.02f, n);
    check_near(c, "decay_step", master, want, n, 1, 0, 2);
    if (n) assert_memory_equal(weights, master, sizeof(float) * (size_t)n);
    check_end(c);
}

static void decay_step_cases(check_t *c) {
    for (int i = 0; i < N_LENGTHS; i++) {
        decay_step_case(c, lengths[i], true);
        decay_step_case(c, lengths[i], false);
    }
}

/* A step that is left out changes nothing, whatever its gradient is. */
static void left_out_cases(check_t *c) {
    const adamw_t o = {.lr = 1e-2f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .weight_decay = 0.1f};
    const step_rule_t rule = {.beta1 = o.beta1, .beta2 = o.beta2};
    for (int i = 0; i < N_LENGTHS; i++) {
        int64_t n = lengths[i];
        float *x[6];
        step_gate_t gate = gate_after(3, 0.7f);
        for (int j = 0; j < 6; j++) x[j] = check_input(c, n);
        step_gate_judge(&gate, INFINITY, 1, &rule);
        c->k->adamw(c->k, x[0], x[1], x[2], x[3], x[4], &gate, n, &o);
        c->k->ema(c->k, x[5], x[0], &gate, n, 0.5);
        c->k->nesterov(c->k, x[1], x[2], x[4], &gate, 0.95f, n);
        c->k->decay_step(c->k, x[0], x[1], x[4], &gate, 0.99f, 0.02f, n);
        check_end(c);
    }
}

static void sum_losses(void **state) {
    (void)state;
    check_row(sum_losses_cases);
}
static void judge(void **state) {
    (void)state;
    check_row(judge_cases);
}
static void left_out(void **state) {
    (void)state;
    check_row(left_out_cases);
}
static void sum_squares(void **state) {
    (void)state;
    check_row(sum_squares_cases);
}
static void adamw(void **state) {
    (void)state;
    check_row(adamw_cases);
}
static void ema(void **state) {
    (void)state;
    check_row(ema_cases);
}
static void nesterov(void **state) {
    (void)state;
    check_row(nesterov_cases);
}
static void normalize(void **state) {
    (void)state;
    check_row(normalize_cases);
}
static void polynomial(void **state) {
    (void)state;
    check_row(polynomial_cases);
}
static void decay_step(void **state) {
    (void)state;
    check_row(decay_step_cases);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sum_squares), cmocka_unit_test(sum_losses), cmocka_unit_test(judge),
        cmocka_unit_test(left_out),    cmocka_unit_test(adamw),      cmocka_unit_test(ema),
        cmocka_unit_test(nesterov),    cmocka_unit_test(normalize),  cmocka_unit_test(polynomial),
        cmocka_unit_test(decay_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
