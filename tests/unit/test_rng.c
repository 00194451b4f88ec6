/* Philox against the known-answer vectors of the Random123 distribution; streams; the permutation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"

static void philox_known_answers(void **state) {
    (void)state;
    static const uint32_t cases[][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
         0x24126ea1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t out[4];
        rng_philox(out, cases[i], cases[i] + 4);
        for (int j = 0; j < 4; j++) assert_int_equal(out[j], cases[i][6 + j]);
    }
}

static void streams_differ_by_every_part_of_the_key(void **state) {
    (void)state;
    rng_t streams[] = {rng_stream(1, 2, 3, RNG_NOISE), rng_stream(2, 2, 3, RNG_NOISE),
                       rng_stream(1, 3, 3, RNG_NOISE), rng_stream(1, 2, 4, RNG_NOISE),
                       rng_stream(1, 2, 3, RNG_CROP),  rng_stream(1, 2, 3 + (UINT64_C(1) << 33), RNG_NOISE)};
    enum { N = sizeof streams / sizeof streams[0] };
    uint32_t first[N];
    for (int i = 0; i < N; i++) first[i] = rng_u32(&streams[i]);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < i; j++) assert_int_not_equal(first[i], first[j]);
}

static void moments(void **state) {
    (void)state;
    enum { N = 200000 };
    rng_t r = rng_stream(7, 0, 0, RNG_TEST);
    double uniform = 0, normal = 0, square = 0;
    for (int i = 0; i < N; i++) {
        uniform += rng_uniform(&r);
        double z = rng_normal(&r);
        normal += z;
        square += z * z;
    }
    /* five standard errors */
    assert_true(fabs(uniform / N - 0.5) < 5 * 0.2887 / sqrt(N));
    assert_true(fabs(normal / N) < 5 / sqrt(N));
    assert_true(fabs(square / N - 1) < 5 * sqrt(2.0 / N));
}

static void seek_is_the_nth_normal(void **state) {
    (void)state;
    rng_t r = rng_stream(7, 1, 2, RNG_TEST), at = r;
    for (uint32_t i = 0; i < 50; i++) {
        double z = rng_normal(&r);
        if (i % 7 == 3) rng_seek(&at, i);
        if (i % 7 >= 3) assert_true(rng_normal(&at) == z);
    }
}

static void below_reaches_all_values(void **state) {
    (void)state;
    rng_t r = rng_stream(7, 0, 1, RNG_TEST);
    int seen[7] = {0};
    for (int i = 0; i < 700; i++) seen[rng_below(&r, 7)]++;
    for (int i = 0; i < 7; i++) assert_in_range(seen[i], 50, 150);
}

static void permutation_is_a_bijection(void **state) {
    (void)state;
    static const uint64_t sizes[] = {1, 2, 3, 5, 16, 17, 1000, 4097};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        uint64_t n = sizes[k], moved = 0;
        char *seen = calloc(1, n);
        for (uint64_t i = 0; i < n; i++) {
            uint64_t j = rng_permute(11, 3, n, i);
            assert_true(j < n);
            assert_int_equal(seen[j], 0);
            seen[j] = 1;
            moved += rng_permute(11, 4, n, i) != j;
        }
        if (n > 100) assert_true(moved > n * 9 / 10); /* another epoch, another order */
        free(seen);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(streams_differ_by_every_part_of_the_key),
        cmocka_unit_test(moments),
        cmocka_unit_test(seek_is_the_nth_normal),
        cmocka_unit_test(below_reaches_all_values),
        cmocka_unit_test(permutation_is_a_bijection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
