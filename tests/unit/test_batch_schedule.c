/* The schedule of buckets: its bound, proved by going through it. */
#include "data/batch_schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

/* Goes through n_steps batches from the first; returns the largest distance of a bucket from its share. */
static double largest_error(const uint64_t *weight, int n, int64_t n_steps) {
    batch_schedule_t s;
    int64_t met[BUCKET_MAX] = {0};
    double total = 0, largest = 0;
    if (batch_schedule_init(&s, weight, n) != LENS_OK) fail_msg("%s", lens_error());
    for (int i = 0; i < n; i++) total += (double)weight[i];
    for (int64_t m = 0; m < n_steps; m++) {
        int64_t k;
        int bucket = batch_schedule_at(&s, m, &k);
        assert_in_range(bucket, 0, n - 1);
        assert_int_equal(k, met[bucket]); /* without gaps, without repeats */
        met[bucket]++;
        for (int i = 0; i < n; i++)
            largest = fmax(largest, fabs((double)met[i] - (double)(m + 1) * (double)weight[i] / total));
    }
    return largest;
}

static void test_bound(void **state) {
    (void)state;
    double largest = 0;
    for (uint64_t trial = 0; trial < 60; trial++) {
        rng_t r = rng_stream(trial, 0, 0, RNG_TEST);
        uint64_t weight[BUCKET_MAX];
        int n = 1 + (int)rng_below(&r, trial < 40 ? 27 : BUCKET_MAX);
        for (int i = 0; i < n; i++) { /* alike, or over many orders of magnitude */
            double u = rng_uniform(&r);
            weight[i] = trial % 2 ? 1 + (uint64_t)(1000 * u) : (uint64_t)exp2(40 * u);
        }
        largest = fmax(largest, largest_error(weight, n, 2000));
    }
    assert_true(largest < 2);
    assert_true(largest > 0.5); /* the measure measures */
}

/* After the sum of weights every bucket had exactly its weight; equal weights take turns. */
static void test_period(void **state) {
    (void)state;
    static const uint64_t weight[] = {3, 1, 7, 2}, equal[] = {5, 5, 5, 5};
    batch_schedule_t s;
    int64_t met[4] = {0}, k;
    assert_int_equal(batch_schedule_init(&s, weight, 4), LENS_OK);
    for (int64_t m = 0; m < 13; m++) met[batch_schedule_at(&s, m, &k)]++;
    for (int i = 0; i < 4; i++) assert_int_equal(met[i], weight[i]);
    assert_true(largest_error(equal, 4, 1000) <= 1);
}

static void test_far(void **state) {
    (void)state;
    const uint64_t half = UINT64_C(1) << 61;
    const uint64_t weight[] = {half - 1, half, 1};
    batch_schedule_t s;
    int64_t k;
    assert_int_equal(batch_schedule_init(&s, weight, 2), LENS_OK);
    batch_schedule_at(&s, INT64_MAX - 1, &k);
    assert_in_range(k, INT64_MAX / 2 - 4, INT64_MAX / 2 + 4);
    assert_int_equal(batch_schedule_init(&s, weight, 3), LENS_ARGUMENT);
    assert_int_equal(batch_schedule_init(&s, weight + 2, 1), LENS_OK);
    assert_int_equal(batch_schedule_at(&s, INT64_MAX - 1, &k), 0);
    assert_int_equal(k, INT64_MAX - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_period),
        cmocka_unit_test(test_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
