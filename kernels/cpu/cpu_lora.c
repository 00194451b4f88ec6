/* The second product of a low-rank adapter, which adds to columns of a wider matrix. */
#include <cblas.h>

#include "kernels/cpu/cpu_kernels.h"

static float *slice_begin(slice_t s) {
    return (float *)s.data + s.column;
}

static void product(kernels_t *k, product_t p, float scale, const float *a, const float *b, float *c) {
    if (p.M == 0) return;
    cpu_trace_add(k, p);
    cblas_sgemm(CblasRowMajor, p.a_transposed ? CblasTrans : CblasNoTrans, p.b_transposed ? CblasTrans : CblasNoTrans,
                (blasint)p.M, (blasint)p.N, (blasint)p.K, scale, a, (blasint)p.lda, b, (blasint)p.ldb,
                p.adds ? 1.0f : 0.0f, c, (blasint)p.ldc);
}

static void lora_fwd(kernels_t *k, slice_t y, const act_t *xa, const act_t *b, float scale, int64_t R, int64_t n_out,
                     int64_t r) {
    product_t p = {.b_transposed = true,
                   .adds = true,
                   .M = R,
                   .N = n_out,
                   .K = r,
                   .count = 1,
                   .lda = r,
                   .ldb = r,
                   .ldc = y.stride};
    product(k, p, scale, xa, b, slice_begin(y));
}

static void lora_bwd(kernels_t *k, act_t *dxa, float *db, slice_t dy, const act_t *xa, const act_t *b, float scale,
                     int64_t R, int64_t n_out, int64_t r) {
    if (R == 0) return;
    product_t p = {.M = R, .N = r, .K = n_out, .count = 1, .lda = dy.stride, .ldb = r, .ldc = r};
    product(k, p, scale, slice_begin(dy), b, dxa);
    if (!db) return;
    product_t q = {.a_transposed = true,
                   .adds = true,
                   .M = n_out,
                   .N = r,
                   .K = R,
                   .count = 1,
                   .lda = dy.stride,
                   .ldb = r,
                   .ldc = r};
    product(k, q, scale, slice_begin(dy), xa, db);
}

void cpu_fill_lora(kernels_t *k) {
    k->lora_fwd = lora_fwd;
    k->lora_bwd = lora_bwd;
}
