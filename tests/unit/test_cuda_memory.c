/* The CUDA backend's memory rows and its emulated device, from copies to errors. */
#include "tests/unit/cuda_check.h"

static void conversion_case(pair_t *p, int64_t n) {
    pair_buffer_t *x = pair_random(p, PAIR_F32, PAIR_INPUT, n), *y = pair_output(p, PAIR_ACT, n),
                  *z = pair_output(p, PAIR_F32, n);
    for (int s = 0; s < PAIR_SIDES; s++) {
        kernels_t *k = p->k[s];
        k->to_act(k, y->at[s], x->at[s], n);
        k->to_float(k, z->at[s], y->at[s], n);
    }
    double *in = pair_values(p, x, PAIR_CPU), *act = pair_values(p, y, PAIR_CUDA), *out = pair_values(p, z, PAIR_CUDA);
    for (int64_t i = 0; i < n; i++) assert_true(act[i] == (double)pair_rounded(p, (float)in[i]) && out[i] == act[i]);
    free(in);
    free(act);
    free(out);
    pair_near(p, "to_act", y, 1, 0, p->f32 ? 0 : 1);
    pair_end(p);
}

static void conversion_cases(pair_t *p) {
    for (int64_t n = 0; n <= 20; n++) conversion_case(p, n);
    conversion_case(p, 2047);
    conversion_case(p, 2048 * 3 + 9);
}

static void conversions(void **state) {
    (void)state;
    pair_rows(conversion_cases);
}

static void zero_and_copy_case(pair_t *p, int64_t n) {
    pair_buffer_t *x = pair_random(p, PAIR_ACT, PAIR_INPUT, n), *y = pair_output(p, PAIR_ACT, n),
                  *z = pair_random(p, PAIR_ACT, PAIR_SUM, n);
    for (int s = 0; s < PAIR_SIDES; s++) {
        kernels_t *k = p->k[s];
        k->copy(k, y->at[s], x->at[s], k->act_bytes * (size_t)n);
        k->zero(k, z->at[s], k->act_bytes * (size_t)n);
    }
    pair_near(p, "copy", y, 1, 0, 0);
    pair_near(p, "zero", z, 1, 0, 0);
    pair_end(p);
}

static void zero_and_copy_cases(pair_t *p) {
    for (int64_t n = 0; n <= 9; n++) zero_and_copy_case(p, n);
}

static void zero_and_copy(void **state) {
    (void)state;
    pair_rows(zero_and_copy_cases);
}

/* Around the segments twice, in pieces that do not fit them, while nobody waits: each destination gets its own bytes.
 * Strict streams end the test where an event is missing. */
static void uploads_go_around(void **state) {
    (void)state;
    enum { N = 13, BYTES = (5 << 20) / 4 + 4 };
    setenv("LENS_CUDA_STREAMS", "strict", 1);
    pair_t p = pair_new(false);
    unsigned char *x = malloc(BYTES), *y = malloc(BYTES);
    void *device[N];
    for (int i = 0; i < N; i++) assert_int_equal(p.cuda->alloc(p.cuda, &device[i], BYTES, "test"), LENS_OK);
    for (int i = 0; i < N; i++) {
        memset(x, i + 1, BYTES);
        p.cuda->upload(p.cuda, device[i], x, BYTES);
        p.cuda->upload(p.cuda, device[i], "few", 4); /* after the others */
    }
    memset(x, 0, BYTES); /* the caller's again */
    for (int i = 0; i < N; i++) {
        p.cuda->download(p.cuda, y, device[i], BYTES);
        memset(x, i + 1, BYTES);
        memcpy(x, "few", 4);
        assert_memory_equal(x, y, BYTES);
        p.cuda->free(p.cuda, device[i]);
    }
    free(x);
    free(y);
    pair_free(&p);
    unsetenv("LENS_CUDA_STREAMS");
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
        cmocka_unit_test(conversions),
        cmocka_unit_test(zero_and_copy),
        cmocka_unit_test(uploads_go_around),
        cmocka_unit_test(says_what_it_lacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
