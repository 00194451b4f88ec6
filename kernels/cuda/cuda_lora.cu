/* The second product of a low-rank adapter, which adds to columns of a wider matrix: cuBLASLt's strides and alpha do
 * all of it. */
#include "kernels/cuda/cuda_linear.cuh"

static act_t *slice_begin(const kernels_t *k, slice_t s) {
    return (char *)s.data + k->act_bytes * (size_t)s.column;
}

static void lora_fwd(kernels_t *k, slice_t y, const act_t *xa, const act_t *b, float scale, int64_t R, int64_t n_out,
                     int64_t r) {
    cuda_product_t p = {false, true, true, false, R, n_out, r, r, r, y.stride, 1};
    cuda_product(k, &p, scale, xa, b, NULL, slice_begin(k, y));
}

static void lora_bwd(kernels_t *k, act_t *dxa, float *db, slice_t dy, const act_t *xa, const act_t *b, float scale,
                     int64_t R, int64_t n_out, int64_t r) {
    cuda_product_t p = {false, false, false, false, R, r, n_out, dy.stride, r, r, 1},
                   q = {true, false, true, true, n_out, r, R, dy.stride, r, r, 1};
    cuda_product(k, &p, scale, slice_begin(k, dy), b, NULL, dxa);
    if (db) cuda_product(k, &q, scale, slice_begin(k, dy), xa, NULL, db);
}

void cuda_fill_lora(kernels_t *k, bool f32) {
    (void)f32;
    k->lora_fwd = lora_fwd;
    k->lora_bwd = lora_bwd;
}
