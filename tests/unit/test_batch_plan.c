/* The order of training: nothing dropped, nothing met more often than the rest, whatever the buckets and windows. */
#include "data/batch_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

enum { N_SHARDS = 23, PER_SHARD = 400 }; /* a shard's samples of one bucket: at most PER_SHARD */

typedef struct {
    bucket_list_t list;
    int64_t counts[N_SHARDS * (BUCKET_MAX + 1)]; /* as dataset_bucket_counts */
    int64_t batch[BUCKET_MAX];
    batch_plan_t *plan;
} fixture_t;

static void start(fixture_t *f, int64_t window) {
    batch_plan_options_t o = {.seed = 5, .window_shards = window, .batch_of_area = f->batch};
    if (batch_plan_new(&f->plan, &o, &f->list, f->counts, N_SHARDS, false) != LENS_OK) fail_msg("%s", lens_error());
}

/* Buckets of very different sizes, shards of different mixes. */
static fixture_t *make(const char *spec, uint64_t seed, uint32_t most, int64_t window) {
    fixture_t *f = calloc(1, sizeof *f);
    assert_non_null(f);
    assert_int_equal(bucket_list_parse(&f->list, spec, 1), LENS_OK);
    rng_t r = rng_stream(seed, 0, 0, RNG_TEST);
    for (int64_t i = 0; i < N_SHARDS * (f->list.n + 1); i++)
        f->counts[i] = rng_below(&r, 2 + most / (1 + (uint32_t)(i % (f->list.n + 1))));
    static const int64_t batches[] = {24, 10, 6};
    for (int a = 0; a < f->list.n_areas; a++) f->batch[a] = batches[a % 3];
    start(f, window);
    return f;
}

static void discard(fixture_t *f) {
    batch_plan_free(f->plan);
    free(f);
}

/* Not by memcmp: places have padding. */
static void assert_same(const batch_place_t *a, const batch_place_t *b, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(a[i].shard, b[i].shard);
        assert_int_equal(a[i].ordinal, b[i].ordinal);
        assert_int_equal(a[i].epoch, b[i].epoch);
    }
}

/* Goes through n_batches; met[bucket, shard, ordinal] counts. Checks within buckets at each epoch's end. */
static uint8_t *meet(const fixture_t *f, int64_t n_batches) {
    uint8_t *met = calloc((size_t)f->list.n * N_SHARDS * PER_SHARD, 1);
    assert_non_null(met);
    batch_place_t place[64];
    for (int64_t m = 0; m < n_batches; m++) {
        int64_t k;
        int b = batch_plan_bucket(f->plan, m, &k);
        int64_t n = f->batch[f->list.bucket[b].area];
        assert_int_equal(batch_plan_places(f->plan, b, k, 0, n, place), LENS_OK);
        for (int64_t i = 0; i < n; i++) {
            assert_in_range(place[i].shard, 0, N_SHARDS - 1);
            assert_true(place[i].ordinal >= 0);
            assert_true(place[i].ordinal < batch_plan_shard_samples(f->plan, b, place[i].shard));
            assert_int_equal(place[i].epoch, (k * n + i) / batch_plan_n_samples(f->plan, b));
            met[(b * N_SHARDS + place[i].shard) * PER_SHARD + place[i].ordinal]++;
        }
    }
    return met;
}

static void check_fair(const fixture_t *f, const uint8_t *met, int across) {
    int least = 255, most = 0;
    for (int b = 0; b < f->list.n; b++) {
        int low = 255, high = 0;
        for (int64_t s = 0; s < N_SHARDS && batch_plan_n_samples(f->plan, b) > 0; s++) {
            for (int64_t i = 0; i < batch_plan_shard_samples(f->plan, b, s); i++) {
                int n = met[(b * N_SHARDS + s) * PER_SHARD + i];
                low = n < low ? n : low;
                high = n > high ? n : high;
            }
        }
        if (high > 0) assert_true(high - low <= 1);
        least = low < least ? low : least;
        most = high > most ? high : most;
    }
    assert_true(most - least <= across);
}

/* After any number of batches: of one bucket within 1 of each other, over all buckets within 2. */
static void test_fair(void **state) {
    (void)state;
    static const char *const specs[] = {"lens-27", "lens-512", "512x512"};
    for (int i = 0; i < 3; i++) {
        for (int64_t window = 0; window < 30; window = window ? window * 5 : 1) {
            fixture_t *f = make(specs[i], (uint64_t)i, 100, window);
            for (int64_t n = 1; n < 3000; n = n * 3 + 1) {
                uint8_t *met = meet(f, n);
                check_fair(f, met, 2);
                free(met);
            }
            discard(f);
        }
    }
}

/* Buckets of less than a batch lose no sample to it. */
static void test_small_buckets(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 12; seed++) {
        fixture_t *f = make("lens-27", seed, seed < 6 ? 1 : 8, 4);
        int64_t total = 0, planned = 0;
        for (int64_t i = 0; i < N_SHARDS * (f->list.n + 1); i++)
            total += i % (f->list.n + 1) < f->list.n ? f->counts[i] : 0;
        int n_active[3] = {0}, n_small[3] = {0};
        for (int b = 0; b < f->list.n; b++) {
            int area = f->list.bucket[b].area;
            int64_t n = batch_plan_n_samples(f->plan, b), of_shards = 0;
            for (int64_t s = 0; s < N_SHARDS; s++) of_shards += batch_plan_shard_samples(f->plan, b, s);
            assert_int_equal(of_shards, n);
            planned += n;
            n_active[area] += n > 0;
            n_small[area] += n > 0 && n < f->batch[area];
            if (n > 0) assert_int_equal(batch_plan_merged(f->plan, b), b);
            if (batch_plan_merged(f->plan, b) >= 0)
                assert_int_equal(f->list.bucket[batch_plan_merged(f->plan, b)].area, area);
        }
        assert_int_equal(planned, total);
        for (int area = 0; area < 3; area++) assert_true(n_small[area] == 0 || n_active[area] == 1);
        discard(f);
    }
}

/* One bucket, no window: the keyed permutation of the whole set and nothing else. Slices agree with the whole. */
static void test_plain_order(void **state) {
    (void)state;
    fixture_t *f = make("512x512", 1, 30, 0);
    int64_t n = batch_plan_n_samples(f->plan, 0), begins[N_SHARDS + 1] = {0}, k;
    for (int s = 0; s < N_SHARDS; s++) begins[s + 1] = begins[s] + f->counts[2 * s];
    for (int64_t m = 0; m < 100; m++) {
        batch_place_t whole[24], slice[6];
        assert_int_equal(batch_plan_bucket(f->plan, m, &k), 0);
        assert_int_equal(k, m);
        assert_int_equal(batch_plan_places(f->plan, 0, k, 0, 24, whole), LENS_OK);
        assert_int_equal(batch_plan_places(f->plan, 0, k, 12, 6, slice), LENS_OK);
        assert_same(whole + 12, slice, 6);
        for (int64_t i = 0; i < 24; i++) {
            uint64_t position = (uint64_t)(m * 24 + i), of = (uint64_t)n;
            uint64_t expected = rng_permute(5, (uint32_t)(position / of), of, position % of);
            assert_int_equal(begins[whole[i].shard] + whole[i].ordinal, expected);
        }
    }
    discard(f);
}

/* A window's shards are all done before the next window's begin; epochs differ in the order of shards. */
static void test_windows(void **state) {
    (void)state;
    enum { WINDOW = 4 };
    fixture_t *f = make("512x512", 2, 60, WINDOW);
    int64_t n = batch_plan_n_samples(f->plan, 0);
    int first_shard[3] = {0};
    for (int64_t epoch = 0; epoch < 3; epoch++) {
        int64_t window_of[N_SHARDS], n_windows = 0, in_window = 0;
        for (int s = 0; s < N_SHARDS; s++) window_of[s] = -1;
        for (int64_t p = epoch * n; p < (epoch + 1) * n; p++) {
            batch_place_t place;
            assert_int_equal(batch_plan_places(f->plan, 0, 0, p, 1, &place), LENS_OK);
            if (p == epoch * n) first_shard[epoch] = (int)place.shard;
            if (window_of[place.shard] < 0) {
                if (in_window % WINDOW == 0) n_windows++;
                in_window++;
                window_of[place.shard] = n_windows;
            }
            assert_int_equal(window_of[place.shard], n_windows); /* else an earlier window went on */
        }
        assert_in_range(n_windows, 5, 6); /* 23 shards, of which one may have nothing */
    }
    assert_false(first_shard[0] == first_shard[1] && first_shard[1] == first_shard[2]);
    discard(f);
}

/* Nothing depends on what was asked before. */
static void test_any_order(void **state) {
    (void)state;
    fixture_t *f = make("lens-27", 3, 100, 3), *g = make("lens-27", 3, 100, 3);
    batch_place_t forward[200][24], backward[24];
    for (int64_t m = 0; m < 200; m++) {
        int64_t k;
        int b = batch_plan_bucket(f->plan, m * 97, &k);
        assert_int_equal(batch_plan_places(f->plan, b, k, 0, 6, forward[m]), LENS_OK);
    }
    for (int64_t m = 199; m >= 0; m--) {
        int64_t k;
        int b = batch_plan_bucket(g->plan, m * 97, &k);
        assert_int_equal(batch_plan_places(g->plan, b, k, 0, 6, backward), LENS_OK);
        assert_same(backward, forward[m], 6);
    }
    discard(f);
    discard(g);
}

static void test_refused(void **state) {
    (void)state;
    fixture_t *f = make("lens-27", 4, 10, 0);
    batch_plan_t *p;
    batch_place_t place;
    batch_plan_options_t o = {.batch_of_area = f->batch};
    int64_t k;
    int b = batch_plan_bucket(f->plan, INT64_MAX / 4, &k);
    assert_int_equal(batch_plan_places(f->plan, b, k, 0, 1, &place), LENS_ARGUMENT);
    memset(f->counts, 0, sizeof f->counts);
    assert_int_equal(batch_plan_new(&p, &o, &f->list, f->counts, N_SHARDS, false), LENS_ARGUMENT);
    assert_null(p);
    f->counts[3] = -1;
    assert_int_equal(batch_plan_new(&p, &o, &f->list, f->counts, N_SHARDS, false), LENS_FORMAT);
    for (int i = 0; i < N_SHARDS * (f->list.n + 1); i++) f->counts[i] = UINT32_MAX;
    f->batch[0] = 999999937; /* primes */
    f->batch[1] = 999999929;
    f->batch[2] = 999999893;
    assert_int_equal(batch_plan_new(&p, &o, &f->list, f->counts, N_SHARDS, false), LENS_ARGUMENT);
    assert_non_null(strstr(lens_error(), "least common multiple"));
    discard(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fair),    cmocka_unit_test(test_small_buckets), cmocka_unit_test(test_plain_order),
        cmocka_unit_test(test_windows), cmocka_unit_test(test_any_order),     cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
