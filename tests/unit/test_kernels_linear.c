/* Matrix products, the memory rows, and the record of products. */
#include "tests/unit/kernel_check.h"

/* Terms are at most 1.7^2; the error of each addition is that of a partial sum of sqrt(n) of them. */
static double term(int64_t n) {
    return 2 * sqrt((double)(n ? n : 1));
}

static void linear_case(check_t *c, int64_t R, int64_t O, int64_t I, bool bias) {
    float *x = check_input(c, R * I), *w = check_input(c, O * I), *b = check_input(c, O), *dy = check_input(c, R * O),
          *y = check_output(c, R * O), *dx = check_output(c, R * I), *dx_sum = check_sum(c, R * I),
          *dw = check_sum(c, O * I), *db = check_sum(c, O), *dw_first = check_output(c, O * I),
          *db_first = check_sum(c, O);
    double *want_y = check_double(c, NULL, R * O), *want_dx = check_double(c, NULL, R * I),
           *want_sum = check_double(c, dx_sum, R * I), *want_dw = check_double(c, dw, O * I),
           *want_db = check_double(c, db, O), *want_first = check_double(c, NULL, O * I),
           *want_db_first = check_double(c, db_first, O);
    for (int64_t r = 0; r < R; r++)
        for (int64_t o = 0; o < O; o++) {
            double d = (double)dy[r * O + o];
            want_y[r * O + o] = bias ? (double)b[o] : 0;
            if (bias) want_db[o] += d;
            if (bias) want_db_first[o] += d;
            for (int64_t i = 0; i < I; i++) {
                want_y[r * O + o] += (double)x[r * I + i] * (double)w[o * I + i];
                want_dx[r * I + i] += d * (double)w[o * I + i];
                want_sum[r * I + i] += d * (double)w[o * I + i];
                want_dw[o * I + i] += d * (double)x[r * I + i];
                want_first[o * I + i] += d * (double)x[r * I + i];
            }
        }
    kernels_t *k = c->k;
    k->linear_fwd(k, y, x, w, bias ? b : NULL, R, O, I);
    k->linear_bwd_x(k, dx, dy, w, R, O, I);
    k->linear_bwd_x_add(k, dx_sum, dy, w, R, O, I);
    k->linear_bwd_w(k, dw, bias ? db : NULL, dy, x, R, O, I);
    k->linear_bwd_w_first(k, dw_first, bias ? db_first : NULL, dy, x, R, O, I);
    check_near(c, "linear y", y, want_y, R * O, (double)I, term(I), 2);
    check_near(c, "linear dx", dx, want_dx, R * I, (double)O, term(O), 2);
    check_near(c, "linear dx+", dx_sum, want_sum, R * I, (double)O, term(O), 2);
    check_near(c, "linear dw", dw, want_dw, O * I, (double)R, term(R), 2);
    check_near(c, "linear db", db, want_db, O, (double)R, term(R), 2);
    check_near(c, "linear first dw", dw_first, want_first, O * I, (double)R, term(R), 2);
    check_near(c, "linear first db", db_first, want_db_first, O, (double)R, term(R), 2);
    check_end(c);
}

static void linear_cases(check_t *c) {
    const int64_t sizes[] = {1, 2, 3, 17, 64, 85};
    enum { N = sizeof sizes / sizeof sizes[0] };
    for (int i = 0; i < N; i++) {
        linear_case(c, sizes[i], sizes[(i + 1) % N], sizes[(i + 2) % N], true);
        linear_case(c, sizes[(i + 2) % N], sizes[i], sizes[(i + 4) % N], false);
        linear_case(c, 1, sizes[i], 1, true);
    }
    linear_case(c, 0, 17, 3, true); /* no rows: nothing is added either */
    linear_case(c, 85, 130, 64, true);
    linear_case(c, 97, 67, 801, true); /* three blocks of sums, tiles and edges; then as many blocks of rows */
    linear_case(c, 801, 35, 97, false);
    linear_case(c, 24, 4130, 33, true); /* two blocks of columns */
}

static void linear(void **state) {
    (void)state;
    check_row_of_products(linear_cases);
}

static void trace_counts_products(void **state) {
    (void)state;
    enum { R = 5, O = 7, I = 11 };
    kernels_t *k;
    float x[R * I] = {0}, w[O * I] = {0}, y[R * O] = {0};
    double s = -1;
    k = check_kernels(1);
    assert_true(k->trace_flop(k) == 0);
    k->linear_fwd(k, y, x, w, NULL, R, O, I); /* before the record */
    k->trace_begin(k);
    k->linear_fwd(k, y, x, w, NULL, R, O, I);
    assert_true(k->trace_flop(k) == 2.0 * R * O * I);
    k->linear_bwd_x(k, x, y, w, R, O, I);
    k->linear_bwd_w(k, w, NULL, y, x, R, O, I);
    k->trace_end(k);
    k->linear_bwd_x_add(k, x, y, w, R, O, I); /* after it */
    assert_true(k->trace_flop(k) == 3 * 2.0 * R * O * I);
    assert_int_equal(k->trace_replay_s(k, &s), LENS_OK);
    assert_true(s >= 0 && s < 10);
    assert_true(k->trace_flop(k) == 3 * 2.0 * R * O * I); /* replaying is no product of a step */
    k->trace_continue(k);
    k->linear_fwd(k, y, x, w, NULL, R, O, I);
    k->trace_end(k);
    assert_true(k->trace_flop(k) == 4 * 2.0 * R * O * I);
    k->trace_begin(k);
    assert_true(k->trace_flop(k) == 0);
    for (int i = 0; i < 1000; i++) k->linear_fwd(k, y, x, w, NULL, R, O, I); /* longer than its first table */
    k->trace_end(k);
    assert_true(k->trace_flop(k) == 1000 * 2.0 * R * O * I);
    assert_int_equal(k->finish(k), LENS_OK);
    kernels_free(k);
}

/* Forward makes two products of queries x keys x K a head, backward five: it rebuilds the scores. */
static void trace_counts_attention(void **state) {
    (void)state;
    enum { B = 2, H = 3, N = 5, T = 3, K = 4, S = N + T };
    kernels_t *k;
    const int32_t n_keys[B] = {S, S};
    attention_shape_t shape = {B, H, N, T, K, S, n_keys, B * S};
    float q[B * H * S * K] = {0}, o_img[B * N * H * K], o_txt[B * T * H * K], lse[B * H * S], dq[B * H * S * K],
                        dk[B * H * S * K], dv[B * H * S * K];
    double product = 2.0 * B * H * S * S * K, s;
    k = check_kernels(2);
    k->trace_begin(k);
    k->attention_fwd(k, o_img, o_txt, lse, q, q, q, &shape);
    assert_true(k->trace_flop(k) == 2 * product);
    k->attention_bwd(k, dq, dk, dv, o_img, o_txt, o_img, o_txt, lse, q, q, q, &shape);
    k->trace_end(k);
    assert_true(k->trace_flop(k) == (2 + 5) * product);
    assert_int_equal(k->trace_replay_s(k, &s), LENS_OK);
    kernels_free(k);
}

/* The sanitizer's own malloc ends the program where it should return NULL, unless it is told not to. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}

#ifndef CHECK_CUDA /* the CPU's own */
static void memory_rows(void **state) {
    (void)state;
    kernels_t *k;
    void *p, *q, *none;
    k = check_kernels(1);
    assert_int_equal(k->act_bytes, sizeof(float));
    assert_int_equal(k->alloc(k, &p, 1001, "test"), LENS_OK);
    assert_int_equal(k->alloc(k, &q, 0, "test"), LENS_OK);
    assert_non_null(q);
    assert_int_equal((uintptr_t)p % 64, 0);
    for (int i = 0; i < 1001; i++) assert_int_equal(((uint8_t *)p)[i], 0);
    float in[3] = {1, 2, 3}, out[3] = {0};
    k->upload(k, p, in, sizeof in);
    k->to_act(k, (float *)p + 3, p, 3);
    k->to_float(k, (float *)p + 6, (float *)p + 3, 3);
    k->download(k, out, (float *)p + 6, sizeof out);
    assert_memory_equal(in, out, sizeof in);
    k->zero(k, p, sizeof in);
    k->download(k, out, p, sizeof out);
    assert_true(out[0] == 0 && out[2] == 0 && ((float *)p)[3] == 1);
    assert_int_equal(k->alloc(k, &none, (size_t)1 << 56, "too much"), LENS_MEMORY);
    assert_null(none);
    assert_non_null(strstr(lens_error(), "too much"));
    k->free(k, NULL);
    k->free(k, p);
    k->free(k, q);
    kernels_free(k);
    kernels_free(NULL);
}

static void thread_counts(void **state) {
    (void)state;
    kernels_t *k;
    for (int sharing = 1; sharing <= 1024; sharing *= 32) {
        assert_int_equal(kernels_cpu_new(&k, 0, sharing), LENS_OK);
        assert_true(kernels_cpu_threads() >= 1);
        kernels_free(k);
    }
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear),
        cmocka_unit_test(trace_counts_products),
        cmocka_unit_test(trace_counts_attention),
#ifndef CHECK_CUDA
        cmocka_unit_test(memory_rows),
        cmocka_unit_test(thread_counts),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
