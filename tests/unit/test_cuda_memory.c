/* The CUDA backend's memory rows and its emulated device, from copies to errors. */
#include "tests/unit/cuda_check.h"

static void converts_as_rounding_says(void **state) {
    (void)state;
    for (int64_t n = 0; n < 70; n += n < 20 ? 1 : 7) {
        for (int64_t odd = 0; odd < 2; odd++) {
            pair_t p = pair_new(false);
            float *x = calloc((size_t)n + 2, sizeof *x), *y = calloc((size_t)n + 2, sizeof *y);
            void *f, *a;
            for (int64_t i = 0; i < n; i++) x[i] = (float)(rng_normal(&p.rng) * 1e3);
            assert_int_equal(p.cuda->alloc(p.cuda, &f, sizeof(float) * (size_t)(n + 1), "test"), LENS_OK);
            assert_int_equal(p.cuda->alloc(p.cuda, &a, p.cuda->act_bytes * (size_t)(n + 1), "test"), LENS_OK);
            float *in = (float *)f + odd;
            act_t *act = (char *)a + p.cuda->act_bytes * (size_t)odd;
            p.cuda->upload(p.cuda, in, x, sizeof(float) * (size_t)n);
            p.cuda->to_act(p.cuda, act, in, n);
            p.cuda->zero(p.cuda, in, sizeof(float) * (size_t)n);
            p.cuda->to_float(p.cuda, in, act, n);
            p.cuda->download(p.cuda, y, in, sizeof(float) * (size_t)n);
            for (int64_t i = 0; i < n; i++) assert_true(y[i] == pair_rounded(&p, x[i]));
            assert_true(y[n] == 0);
            p.cuda->free(p.cuda, a);
            p.cuda->free(p.cuda, f);
            free(x);
            free(y);
            pair_free(&p);
        }
    }
}

/* More than all segments of the staging room, in pieces that do not fit them. */
static void uploads_go_around(void **state) {
    (void)state;
    enum { N = 5, BYTES = 41 << 20 };
    pair_t p = pair_new(false);
    unsigned char *x = malloc(BYTES), *y = malloc(BYTES);
    void *device;
    assert_int_equal(p.cuda->alloc(p.cuda, &device, BYTES, "test"), LENS_OK);
    for (int i = 0; i < N; i++) {
        memset(x, i + 1, BYTES);
        p.cuda->upload(p.cuda, device, x, BYTES);
        memset(x, 0, BYTES); /* the caller's again */
        p.cuda->download(p.cuda, y, device, BYTES);
        memset(x, i + 1, BYTES);
        assert_memory_equal(x, y, BYTES);
    }
    p.cuda->free(p.cuda, device);
    free(x);
    free(y);
    pair_free(&p);
}

static void says_what_it_lacks(void **state) {
    (void)state;
    kernels_t *k;
    void *p;
    assert_int_equal(kernels_cuda_new(&k, 1, true), LENS_ARGUMENT);
    assert_non_null(strstr(lens_error(), "GPU 1"));
    setenv("LENS_CUDA_DEVICES", "0", 1);
    assert_int_equal(kernels_cuda_new(&k, 0, true), LENS_CUDA);
    unsetenv("LENS_CUDA_DEVICES");
    setenv("LENS_CUDA_F32", "yes", 1);
    assert_int_equal(kernels_cuda_new(&k, 0, true), LENS_ARGUMENT);
    unsetenv("LENS_CUDA_F32");
    assert_int_equal(kernels_cuda_new(&k, 0, true), LENS_OK);
    assert_int_equal(k->alloc(k, &p, (size_t)1 << 50, "a test"), LENS_MEMORY);
    assert_non_null(strstr(lens_error(), "a test"));
    assert_int_equal(k->finish(k), LENS_OK);
    k->free(k, &k);
    assert_int_equal(k->finish(k), LENS_CUDA);
    assert_int_equal(k->finish(k), LENS_OK);
    kernels_free(k);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(converts_as_rounding_says),
        cmocka_unit_test(uploads_go_around),
        cmocka_unit_test(says_what_it_lacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
