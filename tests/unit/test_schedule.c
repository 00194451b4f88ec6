/* train/schedule: the ends, the joints, and what the length of a run may not change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "train/schedule.h"

static const schedule_t base = {.lr = 2e-4, .min_lr = 1e-5, .steps = 1000, .warmup = 100, .decay_steps = 200};

static schedule_t of_kind(schedule_kind kind) {
    schedule_t s = base;
    s.kind = kind;
    return s;
}

static void near(double got, double expected) {
    if (fabs(got - expected) > 1e-15) fail_msg("got %.17g, expected %.17g", got, expected);
}

static void warm_up_is_linear(void **state) {
    (void)state;
    for (schedule_kind kind = SCHEDULE_CONSTANT; kind <= SCHEDULE_WSD; kind++) {
        schedule_t s = of_kind(kind);
        near(schedule_lr(&s, 1), 2e-6);
        near(schedule_lr(&s, 50), 1e-4);
        near(schedule_lr(&s, 100), 2e-4);
        s.warmup = 0;
        if (kind != SCHEDULE_COSINE) near(schedule_lr(&s, 1), 2e-4);
    }
}

static void ends_are_met(void **state) {
    (void)state;
    schedule_t constant = of_kind(SCHEDULE_CONSTANT), cosine = of_kind(SCHEDULE_COSINE), wsd = of_kind(SCHEDULE_WSD);
    near(schedule_lr(&constant, 1000), 2e-4);
    near(schedule_lr(&cosine, 1000), 1e-5);
    near(schedule_lr(&cosine, 550), (2e-4 + 1e-5) / 2);
    near(schedule_lr(&cosine, 1001), 1e-5);
    near(schedule_lr(&wsd, 800), 2e-4);
    near(schedule_lr(&wsd, 850), 2e-4 - 0.5 * (2e-4 - 1e-5)); /* sqrt(1/4) */
    near(schedule_lr(&wsd, 1000), 1e-5);
    near(schedule_lr(&wsd, 5000), 1e-5);
    wsd.decay_steps = 1;
    near(schedule_lr(&wsd, 999), 2e-4);
    near(schedule_lr(&wsd, 1000), 1e-5);
}

/* No step leaps: warm-up's are lr / 100, a cosine's at most pi / 2 / 900 of the way. 1 - sqrt leaps at its beginning,
 * sqrt(1 / 200) of the way, and nowhere else by more than (sqrt(2) - 1) of that. */
static void nothing_leaps(void **state) {
    (void)state;
    schedule_t cosine = of_kind(SCHEDULE_COSINE), wsd = of_kind(SCHEDULE_WSD);
    for (int64_t step = 100; step < 1000; step++) {
        assert_true(fabs(schedule_lr(&cosine, step + 1) - schedule_lr(&cosine, step)) <= 1.9e-4 * 1.5708 / 900);
        double leap = schedule_lr(&wsd, step) - schedule_lr(&wsd, step + 1);
        assert_true(leap >= 0 && leap <= 1.9e-4 * sqrt(1.0 / 200) * (step == 800 ? 1.0001 : 0.41422));
    }
}

static void longer_runs_begin_alike(void **state) {
    (void)state;
    schedule_t constant = of_kind(SCHEDULE_CONSTANT), wsd = of_kind(SCHEDULE_WSD);
    schedule_t longer = constant, longer_wsd = wsd;
    longer.steps = longer_wsd.steps = 4000;
    for (int64_t step = 1; step <= 1000; step++)
        assert_true(schedule_lr(&constant, step) == schedule_lr(&longer, step));
    for (int64_t step = 1; step <= 800; step++) assert_true(schedule_lr(&wsd, step) == schedule_lr(&longer_wsd, step));
    assert_true(schedule_lr(&wsd, 801) < schedule_lr(&longer_wsd, 801));
}

static void nonsense_is_refused(void **state) {
    (void)state;
    schedule_kind kind;
    assert_int_equal(schedule_kind_parse(&kind, "wsd"), LENS_OK);
    assert_int_equal(kind, SCHEDULE_WSD);
    assert_int_equal(schedule_kind_parse(&kind, "cosin"), LENS_ARGUMENT);
    schedule_t s = of_kind(SCHEDULE_WSD);
    assert_int_equal(schedule_check(&s), LENS_OK);
    s.decay_steps = 900;
    assert_int_equal(schedule_check(&s), LENS_OK);
    s.decay_steps = 901;
    assert_int_equal(schedule_check(&s), LENS_ARGUMENT);
    s.decay_steps = 0;
    assert_int_equal(schedule_check(&s), LENS_ARGUMENT);
    s = of_kind(SCHEDULE_COSINE);
    assert_int_equal(schedule_check(&s), LENS_OK);
    s.warmup = 1000; /* ends before it is warm */
    assert_int_equal(schedule_check(&s), LENS_OK);
    near(schedule_lr(&s, 500), s.lr / 2);
    s = of_kind(SCHEDULE_COSINE);
    s.min_lr = 3e-4;
    assert_int_equal(schedule_check(&s), LENS_ARGUMENT);
    s.kind = SCHEDULE_CONSTANT; /* uses neither */
    assert_int_equal(schedule_check(&s), LENS_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warm_up_is_linear),   cmocka_unit_test(ends_are_met),
        cmocka_unit_test(nothing_leaps),       cmocka_unit_test(longer_runs_begin_alike),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
