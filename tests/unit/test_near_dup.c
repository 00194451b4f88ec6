/* Near-duplicates of 64-bit hashes against brute force. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "data/near_dup.h"
#include "data/phash.h"

static uint64_t random_hash(rng_t *r) {
    uint64_t high = rng_u32(r);
    return high << 32 | rng_u32(r);
}

/* Hashes around n / 40 centres, some of which share a half: 0 to 10 bits away from one. */
static uint64_t *clustered(int64_t n, uint64_t index) {
    rng_t r = rng_stream(11, 0, index, RNG_TEST);
    int64_t n_centres = n / 40;
    uint64_t *hash = malloc((size_t)n * sizeof *hash), *centre = malloc((size_t)n_centres * sizeof *centre);
    assert_non_null(hash);
    assert_non_null(centre);
    for (int64_t i = 0; i < n_centres; i++) {
        centre[i] = random_hash(&r);
        if (i % 10 == 1) centre[i] = (centre[i - 1] & 0xffffffff) | centre[i] << 32;
        if (i % 10 == 2) centre[i] = (centre[i - 2] & ~UINT64_C(0xffffffff)) | centre[i] >> 32;
    }
    for (int64_t i = 0; i < n; i++) {
        hash[i] = centre[rng_below(&r, (uint32_t)n_centres)];
        for (uint32_t k = rng_below(&r, 11); k > 0; k--) hash[i] ^= UINT64_C(1) << rng_below(&r, 64);
    }
    free(centre);
    return hash;
}

/* Every stride-th answer is compared with all hashes kept before. */
static void check(const uint64_t *hash, int64_t n, int radius, int64_t stride) {
    near_dup_t *dups;
    uint64_t *kept = malloc((size_t)n * sizeof *kept);
    int64_t n_kept = 0;
    assert_non_null(kept);
    assert_int_equal(near_dup_new(&dups, radius), LENS_OK);
    for (int64_t i = 0; i < n; i++) {
        bool is_dup;
        int distance, nearest = 65;
        uint64_t of, nearest_of = UINT64_MAX;
        assert_int_equal(near_dup_check(dups, hash[i], &is_dup, &distance, &of), LENS_OK);
        for (int64_t j = 0; i % stride == 0 && j < n_kept; j++) {
            int d = phash_distance(kept[j], hash[i]);
            if (d < nearest || (d == nearest && kept[j] < nearest_of)) nearest_of = kept[j];
            if (d < nearest) nearest = d;
        }
        if (i % stride == 0 && is_dup != (nearest <= radius))
            fail_msg("radius %d, hash %lld: the nearest is %d away, %s", radius, (long long)i, nearest,
                     is_dup ? "found" : "missed");
        if (i % stride == 0 && is_dup) {
            assert_int_equal(distance, nearest);
            assert_true(of == nearest_of);
        }
        assert_int_equal(is_dup, distance >= 0);
        if (is_dup) assert_int_equal(phash_distance(of, hash[i]), distance);
        if (!is_dup) kept[n_kept++] = hash[i];
    }
    assert_int_equal(near_dup_n(dups), n_kept);
    assert_in_range(near_dup_bytes(dups), 16 * (n_kept > 4096 ? n_kept - 4096 : 0), 17 * n_kept + 40000);
    near_dup_free(dups);
    free(kept);
}

static void test_against_brute_force(void **state) {
    (void)state;
    uint64_t *small = clustered(6000, 1), *large = clustered(100000, 2);
    for (int radius = 0; radius <= NEAR_DUP_RADIUS_MAX; radius++) {
        check(small, 6000, radius, 1);
        check(large, 100000, radius, 401);
    }
    free(small);
    free(large);
}

/* All share their first half but for its last bits: the table of prefixes tells none apart. */
static void test_skewed_prefixes(void **state) {
    (void)state;
    enum { N = 30000 };
    rng_t r = rng_stream(12, 0, 0, RNG_TEST);
    uint64_t *hash = malloc(N * sizeof *hash);
    assert_non_null(hash);
    for (int i = 0; i < N; i++) hash[i] = (UINT64_C(0x5a5a5000) + rng_below(&r, 64)) << 32 | (rng_u32(&r) & 0xfff);
    for (int radius = 0; radius <= NEAR_DUP_RADIUS_MAX; radius += 3) check(hash, N, radius, 29);
    free(hash);
}

static void test_flat_and_arguments(void **state) {
    (void)state;
    near_dup_t *dups;
    bool is_dup = true;
    int distance;
    uint64_t of;
    assert_int_equal(near_dup_new(&dups, 8), LENS_ARGUMENT);
    assert_null(dups);
    assert_int_equal(near_dup_new(&dups, -1), LENS_ARGUMENT);
    assert_int_equal(near_dup_new(&dups, 7), LENS_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(near_dup_check(dups, PHASH_FLAT, &is_dup, &distance, &of), LENS_OK);
        assert_false(is_dup);
    }
    assert_int_equal(near_dup_check(dups, 1, &is_dup, &distance, &of), LENS_OK);
    assert_false(is_dup); /* PHASH_FLAT was not kept */
    assert_int_equal(near_dup_n(dups), 1);
    near_dup_free(dups);
    near_dup_free(NULL);
}

/* A run that goes on: what was kept, added, answers as before. */
static void test_refilled(void **state) {
    (void)state;
    enum { N = 9000 };
    near_dup_t *once, *again;
    uint64_t *hash = clustered(N, 3);
    assert_int_equal(near_dup_new(&once, 3), LENS_OK);
    assert_int_equal(near_dup_new(&again, 3), LENS_OK);
    for (int i = 0; i < N; i++) {
        bool is_dup, is_dup_again;
        int distance, distance_again;
        uint64_t of, of_again;
        assert_int_equal(near_dup_check(once, hash[i], &is_dup, &distance, &of), LENS_OK);
        if (i < N / 2 && !is_dup) assert_int_equal(near_dup_add(again, hash[i]), LENS_OK);
        if (i < N / 2) continue;
        assert_int_equal(near_dup_check(again, hash[i], &is_dup_again, &distance_again, &of_again), LENS_OK);
        assert_int_equal(is_dup, is_dup_again);
        assert_int_equal(distance, distance_again);
        assert_true(of == of_again);
    }
    near_dup_free(once);
    near_dup_free(again);
    free(hash);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_brute_force),
        cmocka_unit_test(test_skewed_prefixes),
        cmocka_unit_test(test_flat_and_arguments),
        cmocka_unit_test(test_refilled),
    };
    return cmocka_run_group_tests_name("near_dup", tests, NULL, NULL);
}
