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

static void clip_scale(void **state) {
    (void)state;
    kernels_t *k = check_kernels(1);
    static const struct {
        double sum_sq, max_norm;
        float want;
    } cases[] = {{16, 1, 0.25f}, {16, 4, 1}, {16, 5, 1}, {16, 0, 1}, {0, 1, 1}, {1e20, 1, 1e-10f}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float scale = -1;
        k->clip_scale(k, &scale, &cases[i].sum_sq, cases[i].max_norm);
        assert_true(scale == cases[i].want);
    }
    kernels_free(k);
}

/* Five steps from empty moments, as a run makes them. On the CPU weights are the same memory as the master copy. */
static void adamw_case(check_t *c, int64_t n, float decay, bool same) {
    adamw_t o = {.lr = 1e-2f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .weight_decay = decay};
    float *master = check_sum(c, n), *m = check_sum(c, n), *v = check_sum(c, n), *g = check_input(c, n),
          *weights = same ? master : check_output(c, n), *scale = check_input(c, 1);
    double *want = check_double(c, master, n), *wm = check_double(c, NULL, n), *wv = check_double(c, NULL, n);
    for (int64_t i = 0; i < n; i++) m[i] = v[i] = 0;
    double b1 = (double)o.beta1, b2 = (double)o.beta2, lr = (double)o.lr;
    for (o.step = 1; o.step <= 5; o.step++) {
        c->k->adamw(c->k, master, weights, m, v, g, scale, n, &o);
        for (int64_t i = 0; i < n; i++) {
            double grad = (double)g[i] * (double)*scale;
            wm[i] = b1 * wm[i] + (1 - b1) * grad;
            wv[i] = b2 * wv[i] + (1 - b2) * grad * grad;
            double mean = wm[i] / (1 - pow(b1, (double)o.step)), square = wv[i] / (1 - pow(b2, (double)o.step));
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

/* One pass over both gives the bits of one after the other. */
static void averaging_case(check_t *c, int64_t n) {
    adamw_t o = {.lr = 1e-2f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .weight_decay = 0.1f, .step = 1};
    float *from[] = {check_input(c, n), check_input(c, n), check_input(c, n), check_input(c, n)}, *to[2][5];
    float *g = check_input(c, n), *scale = check_input(c, 1);
    for (int way = 0; way < 2; way++) {
        for (int i = 0; i < 5; i++) to[way][i] = check_output(c, n);
        for (int i = 0; i < 4; i++) memcpy(to[way][i], from[i], sizeof(float) * (size_t)n);
        for (int64_t i = 0; i < n; i++) to[way][2][i] = fabsf(from[2][i]); /* a mean of squares */
        o.average = way ? to[way][3] : NULL;
        o.average_decay = way ? 0.9f : 0;
        c->k->adamw(c->k, to[way][0], to[way][4], to[way][1], to[way][2], g, scale, n, &o);
        if (!way) c->k->ema(c->k, to[way][3], to[way][0], n, 0.9f);
    }
    for (int i = 0; i < 5 && n; i++) assert_memory_equal(to[0][i], to[1][i], sizeof(float) * (size_t)n);
    check_end(c);
}

static void averaging_cases(check_t *c) {
    for (int i = 0; i < N_LENGTHS; i++) averaging_case(c, lengths[i]);
}

static void ema_cases(check_t *c) {
    for (int i = 0; i < N_LENGTHS; i++) {
        int64_t n = lengths[i];
        float *average = check_sum(c, n), *master = check_input(c, n);
        double *want = check_double(c, average, n);
        for (int64_t j = 0; j < n; j++) want[j] = 0.9 * want[j] + 0.1 * (double)master[j];
        c->k->ema(c->k, average, master, n, 0.9f);
        check_near(c, "ema", average, want, n, 1, 0, 2);
        c->k->ema(c->k, average, master, n, 0); /* forgets everything */
        for (int64_t j = 0; j < n; j++) want[j] = (double)master[j];
        check_near(c, "ema 0", average, want, n, 1, 0, 2);
        check_end(c);
    }
}

static void nesterov_cases(check_t *c) {
    for (int i = 0; i < N_LENGTHS; i++) {
        int64_t n = lengths[i];
        float *u = check_output(c, n), *m = check_sum(c, n), *g = check_input(c, n), *scale = check_input(c, 1);
        double *wm = check_double(c, m, n), *wu = check_double(c, NULL, n);
        for (int64_t j = 0; j < n; j++) {
            double grad = (double)g[j] * (double)*scale;
            wm[j] = (double)0.95f * wm[j] + grad;
            wu[j] = (double)0.95f * wm[j] + grad;
        }
        c->k->nesterov(c->k, u, m, g, scale, 0.95f, n);
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
    c->k->decay_step(c->k, master, weights, u, 0.99f, 0.02f, n);
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

static void sum_squares(void **state) {
    (void)state;
    check_row(sum_squares_cases);
}
static void averaging(void **state) {
    (void)state;
    check_row(averaging_cases);
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
        cmocka_unit_test(sum_squares), cmocka_unit_test(clip_scale), cmocka_unit_test(adamw),
        cmocka_unit_test(averaging),   cmocka_unit_test(ema),        cmocka_unit_test(nesterov),
        cmocka_unit_test(normalize),   cmocka_unit_test(polynomial), cmocka_unit_test(decay_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
