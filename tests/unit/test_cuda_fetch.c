/* Results that are read later, and marks of time, on both devices. */
#include "tests/unit/cuda_check.h"

/* What was there when it was asked for, whatever was written since, in any order of reading. */
static void fetches_are_of_their_moment(void **state) {
    (void)state;
    enum { N = 1000 };
    assert_int_equal(setenv("LENS_CUDA_STREAMS", "strict", 1), 0);
    pair_t p = pair_new(true);
    for (int s = 0; s < PAIR_SIDES; s++) {
        kernels_t *k = p.k[s];
        int fetch[KERNELS_MAX_FETCHES];
        unsigned char x[N];
        const void *out;
        void *device;
        assert_int_equal(k->alloc(k, &device, N, "test"), LENS_OK);
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < KERNELS_MAX_FETCHES; i++) {
                memset(x, i + 10 * round, N);
                k->upload(k, device, x, N);
                fetch[i] = k->fetch_begin(k, device, (size_t)(i * N / 8));
            }
            for (int i = KERNELS_MAX_FETCHES; i-- > 0;) {
                assert_int_equal(k->fetch_end(k, fetch[i], &out), LENS_OK);
                memset(x, i + 10 * round, N);
                if (i) assert_memory_equal(out, x, (size_t)(i * N / 8));
            }
        }
        k->free(k, device);
    }
    pair_free(&p);
    assert_int_equal(unsetenv("LENS_CUDA_STREAMS"), 0);
}

/* An error is told with the results, and again by finish. */
static void errors_come_with_results(void **state) {
    (void)state;
    pair_t p = pair_new(true);
    kernels_t *k = p.cuda;
    const void *out;
    void *device;
    assert_int_equal(k->alloc(k, &device, 8, "test"), LENS_OK);
    k->free(k, &k);
    int fetch = k->fetch_begin(k, device, 8);
    assert_int_equal(k->fetch_end(k, fetch, &out), LENS_CUDA);
    assert_null(out);
    assert_int_equal(k->finish(k), LENS_CUDA);
    fetch = k->fetch_begin(k, device, 8);
    assert_int_equal(k->fetch_end(k, fetch, &out), LENS_OK);
    assert_non_null(out);
    k->free(k, device);
    pair_free(&p);
}

static void marks_are_in_order(void **state) {
    (void)state;
    pair_t p = pair_new(true);
    for (int s = 0; s < PAIR_SIDES; s++) {
        kernels_t *k = p.k[s];
        k->mark(k, 300);
        for (int i = 0; i < 100; i++) k->mark(k, i);
        k->mark(k, 7); /* again: the later moment */
        assert_int_equal(k->finish(k), LENS_OK);
        for (int i = 1; i < 100; i++) {
            if (i != 7 && i != 8) assert_true(k->marked_s(k, i - 1, i) >= 0);
            assert_true(k->marked_s(k, 300, i) >= k->marked_s(k, 300, 0));
        }
        assert_true(k->marked_s(k, 99, 7) >= 0 && k->marked_s(k, 99, 7) < 60);
        assert_true(fabs(k->marked_s(k, 300, 7) + k->marked_s(k, 7, 300)) < 1e-9);
    }
    pair_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fetches_are_of_their_moment),
        cmocka_unit_test(errors_come_with_results),
        cmocka_unit_test(marks_are_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
