/* Flow matching rows: pixels and tokens, noise, mixing, loss, guidance. */
#include "tests/unit/kernel_check.h"

static uint8_t *pixels_of(check_t *c, int64_t n) {
    return (uint8_t *)check_words(c, (n + 3) / 4);
}

/* Every token element comes from the pixel that the layout (row, column, channel, p1, p2) says, and goes back. */
static void patch_case(check_t *c, int64_t B, int64_t h, int64_t w, int64_t p) {
    int64_t n = B * h * w * 3 * p * p;
    uint8_t *pixels = pixels_of(c, n), *back = pixels_of(c, n);
    float *tokens = check_output(c, n);
    double *want = check_double(c, NULL, n);
    for (int64_t i = 0; i < n; i++) pixels[i] = (uint8_t)rng_below(&c->rng, 256);
    for (int64_t i = 0; i < n; i++) {
        int64_t ch = i % 3, x = i / 3 % (w * p), y = i / (3 * w * p) % (h * p), b = i / (3 * w * p * h * p);
        int64_t token = (b * h + y / p) * w + x / p;
        want[((token * 3 + ch) * p + y % p) * p + x % p] = (double)pixels[i] / 127.5 - 1;
    }
    c->k->patchify(c->k, tokens, pixels, B, h, w, p);
    c->k->unpatchify(c->k, back, tokens, B, h, w, p);
    check_near(c, "patchify", tokens, want, n, 1, 1, 1);
    assert_memory_equal(back, pixels, (size_t)n);
    check_end(c);
}

static void patch_cases(check_t *c) {
    patch_case(c, 1, 1, 1, 1);
    patch_case(c, 1, 4, 1, 1);
    patch_case(c, 3, 2, 5, 2);
    patch_case(c, 2, 3, 1, 4);
    patch_case(c, 1, 16, 16, 1); /* 768 bytes: most values */
}

static void unpatchify_rounds_and_limits(void **state) {
    (void)state;
    kernels_t *k = check_kernels(1);
    const float tokens[] = {-1, 1, 0, -7, 7, -1 + 1.49f / 127.5f, -1 + 1.51f / 127.5f, INFINITY, -INFINITY};
    const uint8_t want[] = {0, 255, 128, 0, 255, 1, 2, 255, 0};
    uint8_t got[9];
    k->unpatchify(k, got, tokens, 1, 1, 3, 1);
    assert_memory_equal(got, want, sizeof want);
    kernels_free(k);
}

static void noise_case(check_t *c, int64_t B, int64_t n) {
    rng_t streams[3];
    float *all = check_output(c, B * n), *one = check_output(c, n), *shorter = check_output(c, n > 1 ? n - 1 : 1);
    for (int64_t b = 0; b < B; b++) streams[b] = rng_stream(5, 0, (uint64_t)b, RNG_TEST);
    c->k->noise(c->k, all, streams, B, n);
    for (int64_t b = 0; b < B; b++) {
        c->k->noise(c->k, one, &streams[b], 1, n);
        assert_memory_equal(one, all + b * n, sizeof(float) * (size_t)n); /* a function of the stream alone */
        if (n == 1) continue;
        c->k->noise(c->k, shorter, &streams[b], 1, n - 1);
        assert_memory_equal(shorter, one, sizeof(float) * (size_t)(n - 1));
    }
    if (B > 1) assert_true(all[0] != all[n]);
    check_end(c);
}

static void noise_cases(check_t *c) {
    const int64_t lengths[] = {1, 2, 3, 4, 5, 17, 64, 85};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        noise_case(c, 1, lengths[i]);
        noise_case(c, 3, lengths[i]);
    }
}

static void noise_moments(void **state) {
    (void)state;
    enum { N = 100001 };
    kernels_t *k;
    void *device;
    float *x = malloc(sizeof *x * N);
    assert_non_null(x);
    k = check_kernels(2);
    assert_int_equal(k->alloc(k, &device, sizeof *x * N, "test"), LENS_OK);
    rng_t stream = rng_stream(5, 0, 0, RNG_TEST);
    k->noise(k, device, &stream, 1, N);
    k->download(k, x, device, sizeof *x * N);
    double sum[5] = {0};
    for (int i = 0; i < N; i++) {
        double z = (double)x[i], power = 1;
        assert_true(fabs(z) < 6); /* u >= 2^-24: at most 5.77 */
        for (int j = 1; j <= 4; j++) sum[j] += power *= z;
        if (i) sum[0] += z * (double)x[i - 1];
    }
    /* five standard errors each: mean, variance, third and fourth moment, neighbours */
    assert_true(fabs(sum[1] / N) < 5 / sqrt(N));
    assert_true(fabs(sum[2] / N - 1) < 5 * sqrt(2.0 / N));
    assert_true(fabs(sum[3] / N) < 5 * sqrt(15.0 / N));
    assert_true(fabs(sum[4] / N - 3) < 5 * sqrt(96.0 / N));
    assert_true(fabs(sum[0] / N) < 5 / sqrt(N));
    k->free(k, device);
    kernels_free(k);
    free(x);
}

static void mix_and_loss_case(check_t *c, int64_t B, int64_t n) {
    float *data = check_input(c, B * n), *noise = check_input(c, B * n), *t = check_input(c, B),
          *v = check_input(c, B * n), *x_t = check_output(c, B * n), *dv = check_output(c, B * n);
    double loss[3], *want_x = check_double(c, NULL, B * n), *want_dv = check_double(c, NULL, B * n);
    c->k->flow_mix(c->k, x_t, data, noise, t, B, n);
    c->k->flow_loss(c->k, loss, dv, v, data, noise, 0.25f, B, n);
    for (int64_t b = 0; b < B; b++) {
        double want = 0;
        for (int64_t i = b * n; i < (b + 1) * n; i++) {
            double error = (double)v[i] - ((double)noise[i] - (double)data[i]);
            want_x[i] = (1 - (double)t[b]) * (double)data[i] + (double)t[b] * (double)noise[i];
            want += error * error / (double)n;
            want_dv[i] = 0.25 * 2 * error / (double)n; /* the analytic derivative of error^2 / n */
        }
        assert_true(fabs(loss[b] - want) <= 4 * FLT_EPSILON * (want + 1));
    }
    check_near(c, "flow_mix", x_t, want_x, B * n, 1, 4, 1.5);
    check_near(c, "flow_loss dv", dv, want_dv, B * n, 1, 0.25 * 2 * 5 / (double)n, 1.5);
    check_end(c);
}

static void mix_and_loss_cases(check_t *c) {
    const int64_t lengths[] = {1, 2, 3, 17, 64, 85};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        mix_and_loss_case(c, 1, lengths[i]);
        mix_and_loss_case(c, 3, lengths[i]);
    }
}

static void guide_case(check_t *c, int64_t R, int64_t C, float g) {
    float *cond = check_input(c, R * C), *uncond = check_input(c, R * C), *v = check_output(c, R * C);
    double *want = check_double(c, NULL, R * C);
    for (int64_t r = 0; r < R; r++) {
        double norm_cond = 0, norm_comb = 0;
        for (int64_t i = r * C; i < (r + 1) * C; i++) {
            want[i] = (double)uncond[i] + (double)g * ((double)cond[i] - (double)uncond[i]);
            norm_cond += (double)cond[i] * (double)cond[i];
            norm_comb += want[i] * want[i];
        }
        for (int64_t i = r * C; i < (r + 1) * C; i++) want[i] *= sqrt(norm_cond / norm_comb);
    }
    c->k->guide(c->k, v, cond, uncond, g, R, C);
    check_near(c, "guide", v, want, R * C, (double)C, 0, 1.5);
    check_end(c);
}

static void guide_cases(check_t *c) {
    const int64_t widths[] = {1, 2, 3, 17, 64, 85};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        guide_case(c, 1, widths[i], 5);
        guide_case(c, 15, widths[i], 3);
    }
    guide_case(c, 3, 17, 1);
    guide_case(c, 3, 17, 0);
}

static void guide_of_zeros_is_zero(void **state) {
    (void)state;
    kernels_t *k = check_kernels(1);
    float zero[4] = {0}, v[4] = {9, 9, 9, 9};
    k->guide(k, v, zero, zero, 5, 2, 2);
    for (int i = 0; i < 4; i++) assert_true(v[i] == 0);
    kernels_free(k);
}

static void axpy_cases(check_t *c) {
    const int64_t lengths[] = {0, 1, 2, 3, 17, 64, 85};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        int64_t n = lengths[i];
        float *x = check_sum(c, n), *v = check_input(c, n);
        double *want = check_double(c, x, n);
        for (int64_t j = 0; j < n; j++) want[j] += 2 * -0.3 * (double)v[j];
        c->k->axpy(c->k, x, v, -0.3f, n);
        c->k->axpy(c->k, x, v, -0.3f, n);
        check_near(c, "axpy", x, want, n, 1, 3, 1);
        check_end(c);
    }
}

static void patches(void **state) {
    (void)state;
    check_row(patch_cases);
}
static void noise_rows(void **state) {
    (void)state;
    check_row(noise_cases);
}
static void mix_and_loss(void **state) {
    (void)state;
    check_row(mix_and_loss_cases);
}
static void guide(void **state) {
    (void)state;
    check_row(guide_cases);
}
static void axpy(void **state) {
    (void)state;
    check_row(axpy_cases);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patches),
        cmocka_unit_test(unpatchify_rounds_and_limits),
        cmocka_unit_test(noise_rows),
        cmocka_unit_test(noise_moments),
        cmocka_unit_test(mix_and_loss),
        cmocka_unit_test(guide),
        cmocka_unit_test(guide_of_zeros_is_zero),
        cmocka_unit_test(axpy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
