/* train/loss_bins: borders, weights, and that sums of ranks are the sums of all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>

#include "train/loss_bins.h"

static void borders_belong_to_the_bin_above(void **state) {
    (void)state;
    assert_int_equal(loss_bin_of(0), 0);
    assert_int_equal(loss_bin_of(0.5), 5);
    assert_int_equal(loss_bin_of(nextafter(0.5, 0)), 4);
    assert_int_equal(loss_bin_of(0.95), 9);
    assert_int_equal(loss_bin_of(1), 9);
    for (int i = 0; i < N_LOSS_BINS; i++) {
        char name[16];
        snprintf(name, sizeof name, "loss_t%d", i);
        assert_string_equal(loss_bin_names[i], name);
    }
}

static void means_are_weighted(void **state) {
    (void)state;
    loss_bins_t b = {0};
    loss_bins_add(&b, 0.31, 2, 1);
    loss_bins_add(&b, 0.39, 4, 3);
    loss_bins_add(&b, 0.41, 7, 0.5);
    assert_true(loss_bins_mean(&b, 3) == 3.5 && loss_bins_mean(&b, 4) == 7);
    assert_true(isnan(loss_bins_mean(&b, 0)) && isnan(loss_bins_mean(&b, 9)));
}

static void sums_of_ranks_are_the_sums_of_all(void **state) {
    (void)state;
    loss_bins_t all = {0}, rank[2] = {{{0}, {0}}, {{0}, {0}}};
    for (int i = 0; i < 64; i++) {
        double t = i / 64.0, loss = i % 5, weight = 1 + i % 3; /* sums of small integers are exact */
        loss_bins_add(&all, t, loss, weight);
        loss_bins_add(&rank[i % 2], t, loss, weight);
    }
    for (int i = 0; i < (int)(sizeof(loss_bins_t) / sizeof(double)); i++) {
        ((double *)&rank[0])[i] += ((double *)&rank[1])[i];
        assert_true(((double *)&rank[0])[i] == ((double *)&all)[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(borders_belong_to_the_bin_above),
        cmocka_unit_test(means_are_weighted),
        cmocka_unit_test(sums_of_ranks_are_the_sums_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
