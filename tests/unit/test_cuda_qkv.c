/* Split with q/k norm and rotation on the CUDA table, beside the CPU's. */
#include "tests/unit/cuda_check.h"

enum { FULL = 0, NO_WEIGHTS = 1 };

static void qkv_case(pair_t *p, int64_t B, int64_t L, int64_t H, int64_t K, int64_t S, int64_t first, int frozen) {
    int64_t n = B * L * 3 * H * K, n_heads = B * H * S * K;
    pair_buffer_t *qkv = pair_random(p, PAIR_ACT, PAIR_INPUT, n), *wq = pair_random(p, PAIR_ACT, PAIR_INPUT, K),
                  *wk = pair_random(p, PAIR_ACT, PAIR_INPUT, K), *rope = pair_random(p, PAIR_F32, PAIR_INPUT, L * K),
                  *out[3], *dout[3], *dqkv = pair_output(p, PAIR_ACT, n), *dwq = pair_random(p, PAIR_F32, PAIR_SUM, K),
                  *dwk = pair_random(p, PAIR_F32, PAIR_SUM, K);
    for (int i = 0; i < 3; i++) {
        out[i] = pair_output(p, PAIR_ACT, n_heads);
        dout[i] = pair_random(p, PAIR_ACT, PAIR_INPUT, n_heads);
    }
    for (int s = 0; s < PAIR_SIDES; s++) {
        kernels_t *k = p->k[s];
        k->qkv_fwd(k, out[0]->at[s], out[1]->at[s], out[2]->at[s], qkv->at[s], wq->at[s], wk->at[s], rope->at[s], B, L,
                   H, K, S, first, 1e-6f);
        k->qkv_bwd(k, dqkv->at[s], frozen ? NULL : dwq->at[s], frozen ? NULL : dwk->at[s], dout[0]->at[s],
                   dout[1]->at[s], dout[2]->at[s], qkv->at[s], wq->at[s], wk->at[s], rope->at[s], B, L, H, K, S, first,
                   1e-6f);
    }
    pair_near(p, "q", out[0], 1, 0, 4);
    pair_near(p, "k", out[1], 1, 0, 4);
    pair_near(p, "v", out[2], 1, 0, 0);
    pair_near(p, "dqkv", dqkv, 1, 0, 3);
    pair_near(p, "dwq", dwq, (double)(B * L * H), 0, 3);
    pair_near(p, "dwk", dwk, (double)(B * L * H), 0, 3);
    pair_end(p);
}

static void qkv_cases(pair_t *p) {
    qkv_case(p, 1, 1, 1, 2, 1, 0, FULL);
    qkv_case(p, 2, 5, 3, 4, 8, 0, FULL); /* the image's part of a joint sequence */
    qkv_case(p, 2, 3, 3, 6, 8, 5, FULL); /* the text's */
    qkv_case(p, 1, 5, 2, 66, 6, 1, FULL);
    qkv_case(p, 1, 3, 2, 32, 4, 1, FULL); /* 8 lanes in float; 64: 8 in bf16 and 16 in float, and so on */
    qkv_case(p, 2, 7, 3, 64, 9, 2, FULL);
    qkv_case(p, 2, 7, 3, 128, 9, 0, NO_WEIGHTS);
    qkv_case(p, 1, 2, 1, 256, 2, 0, FULL);
    qkv_case(p, 1, 3, 1, 200, 3, 0, FULL); /* four chunks of pairs */
    qkv_case(p, 2, 0, 1, 4, 3, 0, FULL);
}

static void says_what_is_too_wide(void **state) {
    (void)state;
    pair_t p = pair_new(false);
    p.cuda->qkv_fwd(p.cuda, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1, 1, 1, 258, 1, 0, 1e-6f);
    assert_int_equal(p.cuda->finish(p.cuda), LENS_ARGUMENT);
    assert_non_null(strstr(lens_error(), "at most 256, got 258"));
    pair_free(&p);
}

/* More vectors than pieces: every group of lanes takes several. */
static void many_cases(pair_t *p) {
    qkv_case(p, 1, 1031, 4, 2, 1031, 0, FULL);
}

static void qkv(void **state) {
    (void)state;
    pair_rows(qkv_cases);
}
static void many_vectors(void **state) {
    (void)state;
    assert_true(pair_run(many_cases, true, 0, "forward") == pair_run(many_cases, true, 0, "shuffle:7"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(qkv),
        cmocka_unit_test(many_vectors),
        cmocka_unit_test(says_what_is_too_wide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
