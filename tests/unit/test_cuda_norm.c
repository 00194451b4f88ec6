/* Norms of the CUDA table against the CPU's: float and bf16, whole vectors and odd places, every launch branch. The
 * formulas themselves are tested by test_kernels_norm.c, which is also built for the CUDA table.
 * Backward gets the same random statistics on both sides, so that what differs is its own. */
#include "tests/unit/cuda_check.h"

static const float eps = 1e-6f;

/* A row's statistics are sums over it, which float shows; in bf16 only the last rounding does. */
static double row_length(const pair_t *p, int64_t D) {
    return p->f32 ? (double)D : 1;
}

/* Scale at columns 8 .. 8 + D, shift behind it: a matrix [B, 2 D + 16] with columns that are nobody's. */
#define MOD_STRIDE(D) (2 * (D) + 16)
static slice_t scale_of(const pair_buffer_t *mod, int side, int64_t D) {
    return slice_at(mod->at[side], MOD_STRIDE(D), 8);
}
static slice_t shift_of(const pair_buffer_t *mod, int side, int64_t D) {
    return slice_at(mod->at[side], MOD_STRIDE(D), 8 + D);
}

static void rms_mod_case(pair_t *p, int64_t B, int64_t L, int64_t D) {
    int64_t R = B * L;
    pair_buffer_t *x = pair_random(p, PAIR_ACT, PAIR_INPUT, R * D), *w = pair_random(p, PAIR_ACT, PAIR_INPUT, D),
                  *mod = pair_random(p, PAIR_ACT, PAIR_INPUT, B * MOD_STRIDE(D)),
                  *dy = pair_random(p, PAIR_ACT, PAIR_INPUT, R * D), *dx = pair_random(p, PAIR_ACT, PAIR_SUM, R * D),
                  *dw = pair_random(p, PAIR_F32, PAIR_SUM, D), *y = pair_output(p, PAIR_ACT, R * D),
                  *rstd = pair_output(p, PAIR_F32, R), *kept = pair_random(p, PAIR_F32, PAIR_INPUT, R),
                  *dmod = pair_output(p, PAIR_ACT, B * MOD_STRIDE(D));
    for (int s = 0; s < PAIR_SIDES; s++) {
        kernels_t *k = p->k[s];
        slice_t scale = scale_of(mod, s, D), dscale = scale_of(dmod, s, D), dshift = shift_of(dmod, s, D);
        k->rms_mod_fwd(k, y->at[s], rstd->at[s], x->at[s], w->at[s], shift_of(mod, s, D), scale, B, L, D, eps);
        k->rms_mod_bwd(k, dx->at[s], dw->at[s], dshift, dscale, dy->at[s], x->at[s], kept->at[s], w->at[s], scale, B, L,
                       D);
    }
    pair_near(p, "rms_mod y", y, row_length(p, D), 0, p->f32 ? 1 : 2);
    pair_near(p, "rms_mod rstd", rstd, (double)D, 0, 1.2);
    pair_near(p, "rms_mod dx", dx, row_length(p, D), 0, p->f32 ? 1.5 : 2);
    pair_near(p, "rms_mod dw", dw, (double)R, 0, 2);
    pair_near(p, "rms_mod dmod", dmod, p->f32 ? (double)L : 1, 0, p->f32 ? 2 : 2);
    pair_end(p);
}

/* dw NULL: the weights are frozen; the rest is the same. */
static void rms_mod_frozen(pair_t *p, int64_t B, int64_t L, int64_t D) {
    int64_t R = B * L;
    pair_buffer_t *x = pair_random(p, PAIR_ACT, PAIR_INPUT, R * D), *w = pair_random(p, PAIR_ACT, PAIR_INPUT, D),
                  *mod = pair_random(p, PAIR_ACT, PAIR_INPUT, B * MOD_STRIDE(D)),
                  *dy = pair_random(p, PAIR_ACT, PAIR_INPUT, R * D), *dx = pair_random(p, PAIR_ACT, PAIR_SUM, R * D),
                  *rstd = pair_random(p, PAIR_F32, PAIR_INPUT, R), *dmod = pair_output(p, PAIR_ACT, B * MOD_STRIDE(D));
    for (int s = 0; s < PAIR_SIDES; s++)
        p->k[s]->rms_mod_bwd(p->k[s], dx->at[s], NULL, shift_of(dmod, s, D), scale_of(dmod, s, D), dy->at[s], x->at[s],
                             rstd->at[s], w->at[s], scale_of(mod, s, D), B, L, D);
    pair_near(p, "frozen dx", dx, row_length(p, D), 0, p->f32 ? 0.4 : 1.5);
    pair_near(p, "frozen dmod", dmod, p->f32 ? (double)L : 1, 0, p->f32 ? 0.7 : 1.5);
    pair_end(p);
}

static void layer_mod_case(pair_t *p, int64_t B, int64_t L, int64_t D) {
    int64_t R = B * L;
    pair_buffer_t *x = pair_random(p, PAIR_ACT, PAIR_INPUT, R * D),
                  *mod = pair_random(p, PAIR_ACT, PAIR_INPUT, B * MOD_STRIDE(D)),
                  *dy = pair_random(p, PAIR_ACT, PAIR_INPUT, R * D), *dx = pair_output(p, PAIR_ACT, R * D),
                  *y = pair_output(p, PAIR_ACT, R * D), *stats = pair_output(p, PAIR_F32, 2 * R),
                  *kept = pair_random(p, PAIR_F32, PAIR_INPUT, 2 * R),
                  *dmod = pair_output(p, PAIR_ACT, B * MOD_STRIDE(D));
    for (int s = 0; s < PAIR_SIDES; s++) {
        kernels_t *k = p->k[s];
        slice_t scale = scale_of(mod, s, D), dscale = scale_of(dmod, s, D), dshift = shift_of(dmod, s, D);
        k->layer_mod_fwd(k, y->at[s], stats->at[s], x->at[s], shift_of(mod, s, D), scale, B, L, D, eps);
        k->layer_mod_bwd(k, dx->at[s], dshift, dscale, dy->at[s], x->at[s], kept->at[s], scale, B, L, D);
    }
    pair_near(p, "layer_mod y", y, row_length(p, D), 0, p->f32 ? 1.2 : 2);
    pair_near(p, "layer_mod stats", stats, (double)D, 0, 0.5);
    pair_near(p, "layer_mod dx", dx, row_length(p, D), 0, p->f32 ? 0.9 : 2);
    pair_near(p, "layer_mod dmod", dmod, p->f32 ? (double)L : 1, 0, p->f32 ? 1.5 : 2);
    pair_end(p);
}

/* y and dy are columns 8 .. 8 + D of a wider matrix; frozen: no dx. */
static void rms_case(pair_t *p, int64_t R, int64_t D, bool frozen) {
    int64_t stride = D + 16;
    pair_buffer_t *x = pair_random(p, PAIR_ACT, PAIR_INPUT, R * D), *w = pair_random(p, PAIR_ACT, PAIR_INPUT, D),
                  *dy = pair_random(p, PAIR_ACT, PAIR_INPUT, R * stride), *y = pair_output(p, PAIR_ACT, R * stride),
                  *rstd = pair_output(p, PAIR_F32, R), *kept = pair_random(p, PAIR_F32, PAIR_INPUT, R),
                  *dx = pair_output(p, PAIR_ACT, R * D), *dw = pair_random(p, PAIR_F32, PAIR_SUM, D);
    for (int s = 0; s < PAIR_SIDES; s++) {
        kernels_t *k = p->k[s];
        k->rms_fwd(k, slice_at(y->at[s], stride, 8), rstd->at[s], x->at[s], w->at[s], R, D, eps);
        k->rms_bwd(k, frozen ? NULL : dx->at[s], dw->at[s], slice_at(dy->at[s], stride, 8), x->at[s], kept->at[s],
                   w->at[s], R, D);
    }
    pair_near(p, "rms y", y, row_length(p, D), 0, p->f32 ? 0.6 : 2);
    pair_near(p, "rms rstd", rstd, (double)D, 0, 1.2);
    pair_near(p, "rms dx", dx, row_length(p, D), 0, p->f32 ? 1 : 2);
    pair_near(p, "rms dw", dw, (double)(R + 1), 0, 2);
    pair_end(p);
}

/* Widths: part of a chunk, chunks and a part, whole chunks, and some for each launch. */
static const int64_t widths[] = {2, 77, 264, 1024, 1160, 1920, 2500, 3080};
enum { N_WIDTHS = sizeof widths / sizeof widths[0] };

static void rms_mod_cases(pair_t *p) {
    for (int i = 0; i < N_WIDTHS; i++) rms_mod_case(p, 2, 2, widths[i]);
    rms_mod_case(p, 1, 16 * 8 + 1, 8); /* more pieces than warps that add them, the last one row */
    rms_mod_case(p, 2, 0, 8);
    rms_mod_frozen(p, 2, 17, 40);
}
static void layer_mod_cases(pair_t *p) {
    for (int i = 0; i < N_WIDTHS; i++) layer_mod_case(p, 2, 2, widths[i]);
    layer_mod_case(p, 1, 16 * 8 + 1, 8);
    layer_mod_case(p, 2, 0, 8);
}
static void rms_cases(pair_t *p) {
    for (int i = 0; i < N_WIDTHS; i++) rms_case(p, 3, widths[i], i % 2);
    rms_case(p, 16 * 8 + 1, 8, false);
    rms_case(p, 0, 8, false);
}

static void rms_mod(void **state) {
    (void)state;
    pair_rows(rms_mod_cases);
}
static void layer_mod(void **state) {
    (void)state;
    pair_rows(layer_mod_cases);
}
static void rms(void **state) {
    (void)state;
    pair_rows(rms_cases);
}

/* A row that registers do not hold is an error, told by finish. */
static void too_wide(void **state) {
    (void)state;
    kernels_t *k;
    assert_int_equal(kernels_cuda_new(&k, 0, true), LENS_OK);
    k->rms_fwd(k, slice_at(NULL, 4097, 0), NULL, NULL, NULL, 1, 4097, eps);
    assert_int_equal(k->finish(k), LENS_ARGUMENT);
    assert_non_null(strstr(lens_error(), "at most 4096 elements, got 4097"));
    assert_int_equal(k->finish(k), LENS_OK);
    k->rms_bwd(k, NULL, NULL, slice_at(NULL, 4097, 0), NULL, NULL, NULL, 1, 4097);
    assert_int_equal(k->finish(k), LENS_ARGUMENT);
    kernels_free(k);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rms_mod),
        cmocka_unit_test(layer_mod),
        cmocka_unit_test(rms),
        cmocka_unit_test(too_wide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
