/* Element-wise rows of the CUDA table against the CPU's: float and bf16, whole vectors and odd places. The formulas
 * themselves are tested by test_kernels_elementwise.c, which is also built for the CUDA table. */
#include "tests/unit/cuda_check.h"

/* The gate is columns 8 .. 8 + D of a matrix [B, D + 16]. */
static void gated_case(pair_t *p, int64_t B, int64_t L, int64_t D) {
    int64_t n = B * L * D, stride = D + 16;
    pair_buffer_t *x = pair_random(p, PAIR_ACT, PAIR_INPUT, n), *y = pair_random(p, PAIR_ACT, PAIR_INPUT, n),
                  *gate = pair_random(p, PAIR_ACT, PAIR_INPUT, B * stride),
                  *dout = pair_random(p, PAIR_ACT, PAIR_INPUT, n), *out = pair_output(p, PAIR_ACT, n),
                  *dy = pair_output(p, PAIR_ACT, n), *dgate = pair_output(p, PAIR_ACT, B * stride);
    for (int s = 0; s < PAIR_SIDES; s++) {
        kernels_t *k = p->k[s];
        slice_t g = slice_at(gate->at[s], stride, 8);
        k->gated_add_fwd(k, out->at[s], x->at[s], y->at[s], g, B, L, D);
        k->gated_add_bwd(k, dy->at[s], slice_at(dgate->at[s], stride, 8), dout->at[s], y->at[s], g, B, L, D);
    }
    pair_near(p, "gated out", out, 1, 0, 1.5);
    pair_near(p, "gated dy", dy, 1, 0, p->f32 ? 0 : 1.5);
    pair_near(p, "gated dgate", dgate, p->f32 ? (double)L : 1, 0, 1.5);
    pair_end(p);
}

static void swiglu_case(pair_t *p, int64_t R, int64_t M) {
    pair_buffer_t *uv = pair_random(p, PAIR_ACT, PAIR_INPUT, 2 * R * M),
                  *dh = pair_random(p, PAIR_ACT, PAIR_INPUT, R * M), *h = pair_output(p, PAIR_ACT, R * M),
                  *duv = pair_output(p, PAIR_ACT, 2 * R * M);
    for (int s = 0; s < PAIR_SIDES; s++) {
        p->k[s]->swiglu_fwd(p->k[s], h->at[s], uv->at[s], R, M);
        p->k[s]->swiglu_bwd(p->k[s], duv->at[s], dh->at[s], uv->at[s], R, M);
    }
    pair_near(p, "swiglu h", h, 1, 0, 2);
    pair_near(p, "swiglu duv", duv, 1, 0, 2);
    pair_end(p);
}

/* d: dy, which dx overwrites, as the model calls it. */
static void silu_case(pair_t *p, int64_t n) {
    pair_buffer_t *x = pair_random(p, PAIR_ACT, PAIR_INPUT, n), *dy = pair_random(p, PAIR_ACT, PAIR_INPUT, n),
                  *d = pair_random(p, PAIR_ACT, PAIR_SUM, n), *y = pair_output(p, PAIR_ACT, n),
                  *dx = pair_output(p, PAIR_ACT, n);
    for (int s = 0; s < PAIR_SIDES; s++) {
        kernels_t *k = p->k[s];
        k->silu_fwd(k, y->at[s], x->at[s], n);
        k->silu_bwd(k, dx->at[s], dy->at[s], x->at[s], n);
        k->silu_bwd(k, d->at[s], d->at[s], x->at[s], n);
    }
    pair_near(p, "silu y", y, 1, 0, 2);
    pair_near(p, "silu dx", dx, 1, 0, 2);
    pair_near(p, "silu in place", d, 1, 0, 2);
    pair_end(p);
}

static void timestep_case(pair_t *p, int64_t B, int64_t dim) {
    pair_buffer_t *t = pair_random(p, PAIR_F32, PAIR_INPUT, B), *emb = pair_output(p, PAIR_ACT, B * dim);
    for (int s = 0; s < PAIR_SIDES; s++) p->k[s]->timestep_fwd(p->k[s], emb->at[s], t->at[s], B, dim);
    pair_near(p, "timestep", emb, 1, 1, 0.5);
    pair_end(p);
}

/* ids repeat in a row, between rows and far apart; some are -1; row 4 of the table is nobody's. */
static void embed_case(pair_t *p, int64_t R, int64_t n_ids, int64_t E) {
    enum { ROWS = 5, MAX_IDS = 600 };
    int32_t ids[MAX_IDS];
    assert_true(R * n_ids <= MAX_IDS);
    for (int64_t i = 0; i < R * n_ids; i++) ids[i] = (int32_t)(i * 7 % ROWS) - 1;
    int64_t shift = p->shift;
    p->shift = 0;
    pair_buffer_t *at = pair_buffer(p, PAIR_BYTES, PAIR_INPUT, R * n_ids * (int64_t)sizeof *ids, ids);
    p->shift = shift;
    pair_buffer_t *table = pair_random(p, PAIR_ACT, PAIR_INPUT, ROWS * E),
                  *dout = pair_random(p, PAIR_ACT, PAIR_INPUT, R * E), *out = pair_output(p, PAIR_ACT, R * E),
                  *dtable = pair_random(p, PAIR_F32, PAIR_SUM, ROWS * E);
    for (int s = 0; s < PAIR_SIDES; s++) {
        p->k[s]->embed_fwd(p->k[s], out->at[s], table->at[s], at->at[s], R, n_ids, E);
        p->k[s]->embed_bwd(p->k[s], dtable->at[s], dout->at[s], at->at[s], R, n_ids, E);
    }
    pair_near(p, "embed", out, 1, 0, p->f32 ? 0 : 1.5); /* the same sums in the same order */
    pair_near(p, "embed bwd", dtable, 1, 0, 0);
    pair_end(p);
}

static const int64_t widths[] = {1, 8, 77, 264, 1032, 1029}; /* the last two: more than a tile */
enum { N_WIDTHS = sizeof widths / sizeof widths[0] };

static void gated_cases(pair_t *p) {
    for (int i = 0; i < N_WIDTHS; i++) gated_case(p, 2, 3, widths[i]);
    gated_case(p, 2, 16 * 9 + 1, 8); /* more pieces than warps that add them, the last one row */
    gated_case(p, 2, 0, 8);
}
static void swiglu_cases(pair_t *p) {
    for (int i = 0; i < N_WIDTHS; i++) swiglu_case(p, 3, widths[i]);
    swiglu_case(p, 0, 8);
}
static void silu_cases(pair_t *p) {
    for (int i = 0; i < N_WIDTHS; i++) silu_case(p, widths[i]);
    silu_case(p, 0);
}
static void embedding_cases(pair_t *p) {
    timestep_case(p, 3, 256);
    timestep_case(p, 1, 2);
    for (int i = 0; i < N_WIDTHS; i++) embed_case(p, 4, 2, widths[i]);
    embed_case(p, 150, 2, 16); /* places in more than one window */
    embed_case(p, 1, 1, 8);    /* -1 alone */
    embed_case(p, 0, 2, 8);
}

static void gated(void **state) {
    (void)state;
    pair_rows(gated_cases);
}
static void swiglu(void **state) {
    (void)state;
    pair_rows(swiglu_cases);
}
static void silu(void **state) {
    (void)state;
    pair_rows(silu_cases);
}
static void embeddings(void **state) {
    (void)state;
    pair_rows(embedding_cases);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gated),
        cmocka_unit_test(swiglu),
        cmocka_unit_test(silu),
        cmocka_unit_test(embeddings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
