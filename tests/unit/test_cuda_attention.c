/* Attention on the CUDA table beside the CPU's, by cuDNN where it applies and by the plain kernels: sequences of
 * several tiles of 64, short ones, and heads of both widths of tiles, with keys that end inside, at and past the ends
 * of tiles. test_kernels_attention.c has the formulas. */
#include "tests/unit/cuda_check.h"

typedef struct {
    pair_buffer_t *q, *k, *v, *do_img, *do_txt, *o_img, *o_txt, *lse, *dq, *dk, *dv, *n_keys;
} attention_t;

/* NULL where there is no buffer. */
static void *at(const pair_buffer_t *b, int s) {
    return b ? b->at[s] : NULL;
}

static void attention_run(pair_t *p, const attention_t *o, attention_shape_t shape) {
    for (int s = 0; s < PAIR_SIDES; s++) {
        kernels_t *k = p->k[s];
        shape.n_keys = o->n_keys->at[s];
        k->attention_fwd(k, at(o->o_img, s), at(o->o_txt, s), at(o->lse, s), at(o->q, s), at(o->k, s), at(o->v, s),
                         &shape);
        k->attention_bwd(k, at(o->dq, s), at(o->dk, s), at(o->dv, s), at(o->do_img, s), at(o->do_txt, s),
                         at(o->o_img, s), at(o->o_txt, s), at(o->lse, s), at(o->q, s), at(o->k, s), at(o->v, s),
                         &shape);
    }
}

static void attention_case(pair_t *p, int64_t B, int64_t H, int64_t N, int64_t T, int64_t K, bool text_queries,
                           const int32_t *n_keys) {
    int64_t S = N + T, n = B * H * S * K, n_img = B * N * H * K, n_txt = B * T * H * K;
    attention_shape_t shape = {.B = B, .H = H, .N = N, .T = T, .K = K, .n_queries = text_queries ? S : N};
    for (int64_t b = 0; b < B; b++) shape.all_keys += n_keys[b];
    attention_t o = {.q = pair_random(p, PAIR_ACT, PAIR_INPUT, n),
                     .k = pair_random(p, PAIR_ACT, PAIR_INPUT, n),
                     .v = pair_random(p, PAIR_ACT, PAIR_INPUT, n),
                     .do_img = pair_random(p, PAIR_ACT, PAIR_INPUT, n_img),
                     .o_img = pair_output(p, PAIR_ACT, n_img),
                     .lse = pair_output(p, PAIR_F32, B * H * S),
                     .dq = pair_output(p, PAIR_ACT, n),
                     .dk = pair_output(p, PAIR_ACT, n),
                     .dv = pair_output(p, PAIR_ACT, n),
                     .n_keys = pair_buffer(p, PAIR_BYTES, PAIR_INPUT, (int64_t)sizeof *n_keys * B, n_keys)};
    if (text_queries) {
        o.do_txt = pair_random(p, PAIR_ACT, PAIR_INPUT, n_txt);
        o.o_txt = pair_output(p, PAIR_ACT, n_txt);
    }
    attention_run(p, &o, shape);
    /* In float, what differs are the scores, by their own size: sums of K products in another order. */
    double bound = p->f32 ? 4 + sqrt((double)K) : 2, length = p->f32 ? (double)S : 1;
    pair_near(p, "o_img", o.o_img, 1, 0, bound);
    if (text_queries) pair_near(p, "o_txt", o.o_txt, 1, 0, bound);
    pair_near(p, "lse", o.lse, 1, 0, 2);
    pair_near(p, "dq", o.dq, 1, 0, bound);
    pair_near(p, "dk", o.dk, length, 0, bound);
    pair_near(p, "dv", o.dv, length, 0, p->f32 ? 2.5 : 2);
    pair_end(p);
}

static void short_cases(pair_t *p) {
    attention_case(p, 1, 1, 1, 0, 1, true, (const int32_t[]){1});
    attention_case(p, 3, 2, 5, 3, 4, true, (const int32_t[]){5, 8, 6});
    attention_case(p, 2, 3, 5, 3, 17, false, (const int32_t[]){5, 7});
    attention_case(p, 1, 2, 7, 0, 65, true, (const int32_t[]){7}); /* the wider tiles, mostly empty */
    attention_case(p, 1, 1, 3, 2, 128, true, (const int32_t[]){4});
}

static void tile_cases(pair_t *p) {
    attention_case(p, 2, 1, 64, 3, 24, true, (const int32_t[]){64, 65});
    attention_case(p, 1, 1, 66, 64, 8, false, (const int32_t[]){67}); /* a tile of keys with none valid */
    attention_case(p, 1, 1, 60, 7, 128, true, (const int32_t[]){66});
}

/* Shapes that cuDNN takes: text that asks, text that does not, none; odd lengths; four samples in two groups. */
static void fused_cases(pair_t *p) {
    attention_case(p, 2, 3, 9, 5, 64, true, (const int32_t[]){10, 14});
    attention_case(p, 2, 3, 9, 5, 64, false, (const int32_t[]){9, 13});
    attention_case(p, 4, 3, 11, 1, 16, true, (const int32_t[]){11, 12, 12, 11});
    attention_case(p, 1, 2, 6, 0, 128, true, (const int32_t[]){6});
    attention_case(p, 1, 1, 2, 0, 8, true, (const int32_t[]){2});
}

/* Of fused_cases in bf16, once. */
static uint64_t fused_digest(bool deterministic) {
    pair_t p = pair_new(false);
    kernels_free(p.cuda);
    assert_int_equal(kernels_cuda_new(&p.cuda, 0, deterministic), LENS_OK);
    p.k[PAIR_CUDA] = p.cuda;
    fused_cases(&p);
    pair_free(&p);
    return p.digest;
}

static uint64_t fused_digest_where(const char *name, const char *value) {
    assert_int_equal(setenv(name, value, 1), 0);
    uint64_t digest = fused_digest(true);
    assert_int_equal(unsetenv(name), 0);
    return digest;
}

/* Either way of backward is right; without a plan, and where it is asked for, the plain kernels do it. */
static void chooses(void **state) {
    (void)state;
    uint64_t fused = fused_digest(true), own = fused_digest_where("LENS_CUDA_ATTENTION", "own");
    (void)fused_digest(false);
    assert_true(fused == fused_digest_where("LENS_CUDA_ATTENTION", "cudnn"));
    assert_true(own != fused); /* sums in another order */
    assert_true(own == fused_digest_where("LENS_CUDNN_ERROR", "plan"));
}

static void refuses_other_choices(void **state) {
    (void)state;
    kernels_t *k = NULL;
    assert_int_equal(setenv("LENS_CUDA_ATTENTION", "flash", 1), 0);
    assert_int_equal(kernels_cuda_new(&k, 0, true), LENS_ARGUMENT);
    assert_int_equal(unsetenv("LENS_CUDA_ATTENTION"), 0);
    assert_null(k);
    assert_non_null(strstr(lens_error(), "LENS_CUDA_ATTENTION: expected cudnn or own, got 'flash'"));
}

/* Attention's products are counted as the CPU's are, and can be made again bare. */
static void traced_cases(pair_t *p) {
    for (int s = 0; s < PAIR_SIDES; s++) p->k[s]->trace_begin(p->k[s]);
    fused_cases(p);
    for (int s = 0; s < PAIR_SIDES; s++) p->k[s]->trace_end(p->k[s]);
    double flop = p->cpu->trace_flop(p->cpu), seconds = -1;
    assert_true(flop > 0 && p->cuda->trace_flop(p->cuda) == flop);
    assert_int_equal(p->cuda->trace_replay_s(p->cuda, &seconds), LENS_OK);
    assert_true(seconds >= 0);
}

static void is_traced(void **state) {
    (void)state;
    (void)pair_run(traced_cases, false, 0, "forward");
}

static void fused(void **state) {
    (void)state;
    pair_rows(fused_cases);
}

static void plain_kernels(void **state) {
    (void)state;
    assert_int_equal(setenv("LENS_CUDA_ATTENTION", "own", 1), 0);
    (void)pair_run(tile_cases, false, 0, "forward");
    assert_int_equal(unsetenv("LENS_CUDA_ATTENTION"), 0);
}

static void refuses_wide_heads(void **state) {
    (void)state;
    pair_t p = pair_new(false);
    attention_shape_t shape = {.B = 1, .H = 1, .N = 1, .T = 0, .K = 129, .n_queries = 1};
    p.cuda->attention_fwd(p.cuda, NULL, NULL, NULL, NULL, NULL, NULL, &shape);
    assert_int_equal(p.cuda->finish(p.cuda), LENS_ARGUMENT);
    assert_non_null(strstr(lens_error(), "at most 128, got 129"));
    pair_free(&p);
}

static void short_sequences(void **state) {
    (void)state;
    pair_rows(short_cases);
}
static void tiles(void **state) {
    (void)state;
    pair_rows(tile_cases);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_sequences),
        cmocka_unit_test(tiles),
        cmocka_unit_test(fused),
        cmocka_unit_test(chooses),
        cmocka_unit_test(plain_kernels),
        cmocka_unit_test(is_traced),
        cmocka_unit_test(refuses_wide_heads),
        cmocka_unit_test(refuses_other_choices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
