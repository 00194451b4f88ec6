/* Plans: places, alignment, packing, binding, initial weights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/plan.h"

static void rows_lie_aligned_or_packed(void **state) {
    (void)state;
    plan_t p = {.act_bytes = 2};
    void *a = NULL, *c = NULL, *e = NULL;
    plan_add(&p, &a, PLAN_F32, 0, PLAN_2D(3, 5), "a");
    plan_add(&p, NULL, PLAN_F32, PLAN_PACKED, PLAN_2D(2, 5), "b"); /* a and b are also one [5, 5] */
    plan_add(&p, &c, PLAN_ACT, 0, PLAN_3D(2, 3, 7), "c.%d", 7);
    plan_add(&p, NULL, PLAN_U8, 0, PLAN_1D(0), "empty");
    plan_add(&p, &e, PLAN_F64, PLAN_NO_DECAY, PLAN_4D(1, 2, 1, 2), "e");
    assert_int_equal(plan_status(&p), LENS_OK);
    static const size_t offsets[] = {0, 60, 128, 256, 256};
    for (int i = 0; i < 5; i++) assert_int_equal(p.rows[i].offset_bytes, offsets[i]);
    assert_int_equal(p.bytes, 256 + 4 * 8);
    assert_int_equal(plan_n_elements(&p), 15 + 10 + 42 + 0 + 4);
    char buffer[512];
    plan_bind(&p, buffer);
    assert_ptr_equal(a, buffer);
    assert_ptr_equal(c, buffer + 128);
    assert_ptr_equal(e, buffer + 256);
    assert_ptr_equal(plan_find(&p, "c.7"), &p.rows[2]);
    assert_null(plan_find(&p, "c"));
    assert_int_equal(plan_find(&p, "e")->flags, PLAN_NO_DECAY);
    plan_free(&p);
    assert_int_equal(p.n, 0);
    assert_int_equal(p.act_bytes, 2);
}

static void binding_as_another_type(void **state) {
    (void)state;
    plan_t p = {0};
    void *a, *b;
    plan_add(&p, &a, PLAN_F32, 0, PLAN_1D(5), "a");
    plan_add(&p, &b, PLAN_F32, 0, PLAN_1D(3), "b");
    uint16_t halves[19];
    assert_int_equal(plan_n_floats(&p), 16 + 3);
    plan_bind_as(&p, halves, sizeof *halves);
    assert_ptr_equal(a, halves);
    assert_ptr_equal(b, halves + 16);
    plan_free(&p);
}

static void many_rows(void **state) {
    (void)state;
    plan_t p = {0};
    void *slots[1000], *buffer = malloc(1000 * 64);
    for (int i = 0; i < 1000; i++) plan_add(&p, &slots[i], PLAN_F32, 0, PLAN_1D(1 + i % 16), "row.%d", i);
    assert_int_equal(plan_status(&p), LENS_OK);
    plan_bind(&p, buffer);
    for (int i = 0; i < 1000; i++) assert_ptr_equal(slots[i], (char *)buffer + 64 * i);
    assert_ptr_equal(plan_find(&p, "row.999"), &p.rows[999]);
    plan_free(&p);
    free(buffer);
}

/* A row's values depend on the seed and its name, not on what stands before it. */
static void initial_weights(void **state) {
    (void)state;
    enum { N = 40000 };
    plan_t p = {0}, other = {0};
    plan_add(&p, NULL, PLAN_F32, 0, PLAN_1D(N), "w")->init_std = 0.02f;
    plan_add(&p, NULL, PLAN_F32, 0, PLAN_1D(16), "ones")->init_mean = 1;
    plan_add(&p, NULL, PLAN_F32, 0, PLAN_1D(16), "zeros");
    plan_add(&other, NULL, PLAN_F32, 0, PLAN_1D(N), "x")->init_std = 0.02f;
    plan_add(&other, NULL, PLAN_F32, 0, PLAN_1D(N), "w")->init_std = 0.02f;
    float *a = malloc(N * sizeof *a), *b = malloc(N * sizeof *b), ones[16], zeros[16];
    plan_init_row(plan_find(&p, "ones"), ones, 7);
    plan_init_row(plan_find(&p, "zeros"), zeros, 7);
    plan_init_row(plan_find(&p, "w"), a, 7);
    plan_init_row(plan_find(&other, "x"), b, 7);
    assert_memory_not_equal(a, b, N * sizeof *a);
    plan_init_row(plan_find(&other, "w"), b, 7);
    assert_memory_equal(a, b, N * sizeof *a);
    double sum = 0, square = 0;
    for (int i = 0; i < N; i++) {
        sum += (double)a[i];
        square += (double)a[i] * (double)a[i];
    }
    assert_true(fabs(sum / N) < 5 * 0.02 / sqrt(N)); /* five standard errors */
    assert_true(fabs(square / N / 0.0004 - 1) < 5 * sqrt(2.0 / N));
    for (int i = 0; i < 16; i++) assert_true(ones[i] == 1 && zeros[i] == 0);
    plan_init_row(plan_find(&other, "w"), b, 8);
    assert_memory_not_equal(a, b, N * sizeof *a);
    free(a);
    free(b);
    plan_free(&p);
    plan_free(&other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_lie_aligned_or_packed),
        cmocka_unit_test(binding_as_another_type),
        cmocka_unit_test(many_rows),
        cmocka_unit_test(initial_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
