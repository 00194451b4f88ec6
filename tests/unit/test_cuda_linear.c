/* The CUDA table's products beside the CPU's, in float and bf16; test_kernels_linear.c has the formulas. */
#include "tests/unit/cuda_check.h"

#define BOTH for (int s = 0; s < PAIR_SIDES; s++)

/* Terms are at most 1.7^2; the error of each addition is that of a partial sum of sqrt(n) of them. */
static double term(int64_t n) {
    return 2 * sqrt((double)(n ? n : 1));
}

static void linear_case(pair_t *p, int64_t R, int64_t O, int64_t I, bool bias) {
    pair_buffer_t *x = pair_random(p, PAIR_ACT, PAIR_INPUT, R * I), *w = pair_random(p, PAIR_ACT, PAIR_INPUT, O * I),
                  *b = pair_random(p, PAIR_ACT, PAIR_INPUT, O), *dy = pair_random(p, PAIR_ACT, PAIR_INPUT, R * O),
                  *y = pair_output(p, PAIR_ACT, R * O), *dx = pair_output(p, PAIR_ACT, R * I),
                  *sum = pair_random(p, PAIR_ACT, PAIR_SUM, R * I), *dw = pair_random(p, PAIR_F32, PAIR_SUM, O * I),
                  *db = pair_random(p, PAIR_F32, PAIR_SUM, O), *dw_first = pair_output(p, PAIR_F32, O * I),
                  *db_first = pair_random(p, PAIR_F32, PAIR_SUM, O);
    for (int again = 0; again < 2; again++) /* the plan's first use, and its next */
        BOTH {
            p->k[s]->linear_fwd(p->k[s], y->at[s], x->at[s], w->at[s], bias ? b->at[s] : NULL, R, O, I);
            p->k[s]->linear_bwd_x(p->k[s], dx->at[s], dy->at[s], w->at[s], R, O, I);
            p->k[s]->linear_bwd_x_add(p->k[s], sum->at[s], dy->at[s], w->at[s], R, O, I);
            p->k[s]->linear_bwd_w(p->k[s], dw->at[s], bias ? db->at[s] : NULL, dy->at[s], x->at[s], R, O, I);
            p->k[s]->linear_bwd_w_first(p->k[s], dw_first->at[s], bias ? db_first->at[s] : NULL, dy->at[s], x->at[s], R,
                                        O, I);
        }
    pair_near(p, "linear y", y, 1, 0, 1.5);
    pair_near(p, "linear dx", dx, 1, 0, 1.5);
    pair_near(p, "linear dx+", sum, 1, 0, 2);
    pair_near(p, "linear dw", dw, (double)R, term(R), 1);
    pair_near(p, "linear db", db, (double)R, term(R), 1);
    pair_near(p, "linear first dw", dw_first, (double)R, term(R), 1);
    pair_near(p, "linear first db", db_first, (double)R, term(R), 1);
    pair_end(p);
}

static void lora_case(pair_t *p, int64_t R, int64_t O, int64_t r, int64_t stride, int64_t column) {
    pair_buffer_t *y = pair_random(p, PAIR_ACT, PAIR_SUM, R * stride),
                  *xa = pair_random(p, PAIR_ACT, PAIR_INPUT, R * r), *b = pair_random(p, PAIR_ACT, PAIR_INPUT, O * r),
                  *dy = pair_random(p, PAIR_ACT, PAIR_INPUT, R * stride), *dxa = pair_output(p, PAIR_ACT, R * r),
                  *db = pair_random(p, PAIR_F32, PAIR_SUM, O * r);
    BOTH {
        slice_t to = slice_at(y->at[s], stride, column), from = slice_at(dy->at[s], stride, column);
        p->k[s]->lora_fwd(p->k[s], to, xa->at[s], b->at[s], 0.5f, R, O, r);
        p->k[s]->lora_bwd(p->k[s], dxa->at[s], db->at[s], from, xa->at[s], b->at[s], 0.5f, R, O, r);
        p->k[s]->lora_bwd(p->k[s], dxa->at[s], NULL, from, xa->at[s], b->at[s], 0.5f, R, O, r);
    }
    pair_near(p, "lora y", y, 1, 0, 1);
    pair_near(p, "lora dxa", dxa, 1, 0, 1);
    pair_near(p, "lora db", db, (double)R, term(R), 1);
    pair_end(p);
}

static void cases(pair_t *p) {
    linear_case(p, 1, 1, 1, true);
    linear_case(p, 3, 5, 7, true);
    linear_case(p, 17, 8, 16, false);
    linear_case(p, 130, 33, 24, true); /* three parts of rows */
    linear_case(p, 4100, 1, 1, true);  /* parts of more rows */
    linear_case(p, 2, 150, 9, true);   /* two blocks of columns */
    linear_case(p, 0, 4, 3, true);
    lora_case(p, 1, 1, 1, 1, 0);
    lora_case(p, 9, 8, 4, 24, 8);
    lora_case(p, 70, 5, 3, 13, 7);
    lora_case(p, 0, 5, 3, 13, 7);
}

static void agrees(void **state) {
    (void)state;
    pair_rows(cases);
}

/* More shapes than the table of plans begins with: it grows, and finds the old ones. */
static void keeps_many_plans(void **state) {
    (void)state;
    pair_t p = pair_new(false);
    for (int again = 0; again < 2; again++)
        for (int64_t R = 1; R <= 130; R++) {
            pair_buffer_t *x = pair_random(&p, PAIR_ACT, PAIR_INPUT, R * 2), *y = pair_output(&p, PAIR_ACT, R * 3),
                          *w = pair_random(&p, PAIR_ACT, PAIR_INPUT, 6);
            BOTH p.k[s]->linear_fwd(p.k[s], y->at[s], x->at[s], w->at[s], NULL, R, 3, 2);
            pair_near(&p, "linear y", y, 1, 0, 1.5);
            pair_end(&p);
        }
    pair_free(&p);
}

static void counts_and_replays(void **state) {
    (void)state;
    enum { R = 5, O = 7, I = 11 };
    pair_t p = pair_new(false);
    kernels_t *k = p.cuda;
    double s = -1, gflops = 0;
    pair_buffer_t *x = pair_random(&p, PAIR_ACT, PAIR_INPUT, R * I), *w = pair_random(&p, PAIR_ACT, PAIR_INPUT, O * I),
                  *y = pair_output(&p, PAIR_ACT, R * O), *dw = pair_random(&p, PAIR_F32, PAIR_SUM, O * I);
    k->trace_begin(k);
    k->linear_fwd(k, y->at[PAIR_CUDA], x->at[PAIR_CUDA], w->at[PAIR_CUDA], NULL, R, O, I);
    k->linear_bwd_w(k, dw->at[PAIR_CUDA], NULL, y->at[PAIR_CUDA], x->at[PAIR_CUDA], R, O, I);
    k->trace_end(k);
    assert_true(k->trace_flop(k) == 2 * 2.0 * R * O * I);
    assert_int_equal(k->trace_replay_s(k, &s), LENS_OK);
    assert_true(s >= 0 && s < 10);
    assert_true(k->trace_flop(k) == 2 * 2.0 * R * O * I);
    assert_int_equal(k->peak_gflops(k, &gflops), LENS_OK);
    assert_true(gflops > 0);
    pair_end(&p);
    pair_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees),
        cmocka_unit_test(keeps_many_plans),
        cmocka_unit_test(counts_and_replays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
