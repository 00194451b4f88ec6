/* Matrix products by cuBLASLt, recorded: what cuda_linear.cu offers the other files. */
#ifndef LENS_KERNELS_CUDA_CUDA_LINEAR_CUH
#define LENS_KERNELS_CUDA_CUDA_LINEAR_CUH

#include "kernels/cuda/cuda_kernels.cuh"

/* c[M, N] = alpha op(a) op(b) + bias, or c += alpha op(a) op(b). Row-major; ld: elements from a row to the next. a, b
 * and bias [N] are act, c is act or, where c_f32, float. */
typedef struct {
    bool a_transposed, b_transposed, adds, c_f32;
    int64_t M, N, K, lda, ldb, ldc;
    int64_t count; /* of such products, their matrices one after another */
} cuda_product_t;

/* bias NULL: none; never where p adds. Nothing happens where M, N or K is 0. Sums are float. */
void cuda_product(kernels_t *k, const cuda_product_t *p, float alpha, const act_t *a, const act_t *b, const act_t *bias,
                  void *c);
/* Records what another library computes, as if it had been a product. */
void cuda_trace(kernels_t *k, const cuda_product_t *p);

#endif
