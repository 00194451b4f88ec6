/* Noise levels against published values of the training recipe and of the released sampling schedule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "model/flow.h"

static void near(double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance)) fail_msg("expected %.9g within %.1g, got %.9g", want, tolerance, got);
}

static void training_mu(void **state) {
    (void)state;
    near(flow_training_mu(256), 1.0, 1e-12);
    near(flow_training_mu(1024), 1.06, 1e-12);
    near(flow_training_mu(2304), 1.16, 1e-12);
    near(flow_training_mu(4096), 1.30, 1e-12);
}

static void sampling_mu(void **state) {
    (void)state;
    static const struct {
        int64_t tokens, steps;
        double mu;
    } known[] = {{1024, 20, 1.916348}, {1024, 50, 1.701956}, {1024, 4, 2.030690},  {2304, 20, 2.033712},
                 {4096, 20, 2.198022}, {4096, 50, 2.023351}, {4096, 4, 2.291180},  {8100, 4, 1.827754},
                 {8100, 20, 1.827754}, {8100, 50, 1.827754}, {8100, 200, 1.827754}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        near(flow_sampling_mu(known[i].tokens, known[i].steps), known[i].mu, 6e-7);
}

static void schedules(void **state) {
    (void)state;
    static const double four[] = {1, 0.967384, 0.908144, 0.767200, 0};
    static const double twenty[] = {1,       .992315, .983914, .974691, .964519, .953245, .940679,
                                    .926586, .910668, .892546, .871731, .847571, .819192, .785382,
                                    .744416, .693755, .629496, .545312, .430239, .263454, 0};
    double t[21];
    flow_schedule(t, 4, flow_sampling_mu(4096, 4));
    for (int i = 0; i <= 4; i++) near(t[i], four[i], 6e-7);
    flow_schedule(t, 20, flow_sampling_mu(1024, 20));
    for (int i = 0; i <= 20; i++) near(t[i], twenty[i], 6e-7);
}

static void schedules_fall_from_one_to_zero(void **state) {
    (void)state;
    double t[101];
    for (int64_t steps = 1; steps <= 100; steps++) {
        flow_schedule(t, steps, 1.15);
        assert_true(t[0] == 1 && t[steps] == 0);
        for (int64_t i = 0; i < steps; i++) assert_true(t[i] > t[i + 1]);
    }
    flow_schedule(t, 4, 0); /* no shift: the grid itself */
    for (int i = 0; i < 4; i++) near(t[i], 1 - 0.25 * i, 1e-15);
}

static void draws_are_logit_normal(void **state) {
    (void)state;
    enum { N = 100000 };
    rng_t r = rng_stream(9, 0, 0, RNG_TIMESTEP);
    const double mu = 1.06, spread = 0.8;
    double sum = 0, square = 0;
    int below_median = 0;
    for (int i = 0; i < N; i++) {
        double t = flow_draw_t(&r, mu, spread);
        assert_true(t > 0 && t < 1);
        double z = (log(t / (1 - t)) - mu) / spread;
        sum += z;
        square += z * z;
        below_median += t < 1 / (1 + exp(-mu));
    }
    /* five standard errors */
    near(sum / N, 0, 5 / sqrt(N));
    near(square / N, 1, 5 * sqrt(2.0 / N));
    near((double)below_median / N, 0.5, 5 * 0.5 / sqrt(N));
}

static void draws_stay_inside_in_float(void **state) {
    (void)state;
    rng_t r = rng_stream(9, 0, 1, RNG_TIMESTEP);
    for (int i = 0; i < 1000; i++) {
        float high = (float)flow_draw_t(&r, 50, 1), low = (float)flow_draw_t(&r, -50, 1);
        assert_true(high < 1.0f && high > 0.9999f);
        assert_true(low > 0.0f && low < 1e-4f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_mu),
        cmocka_unit_test(sampling_mu),
        cmocka_unit_test(schedules),
        cmocka_unit_test(schedules_fall_from_one_to_zero),
        cmocka_unit_test(draws_are_logit_normal),
        cmocka_unit_test(draws_stay_inside_in_float),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
