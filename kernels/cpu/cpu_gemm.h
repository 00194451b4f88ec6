/* Matrix products of the CPU backend: one micro-kernel, packing around it, threads over rows.
 *
 * c[M,N] = op(a) op(b), float32. The method is that of Goto and van de Geijn (Anatomy of High-Performance Matrix
 * Multiplication, 2008): a block of b is packed in panels of GEMM_NR columns, a block of a in panels of GEMM_MR rows,
 * and a tile GEMM_MR x GEMM_NR of c stays in registers while the kernel runs along K. Each element of c is summed in an
 * order that does not depend on the number of threads. */
#ifndef LENS_KERNELS_CPU_CPU_GEMM_H
#define LENS_KERNELS_CPU_CPU_GEMM_H

#include "kernels/cpu/cpu_kernels.h"

/* One vector of floats, and the tile: as many accumulators as the registers hold beside two of b and one of a. */
#if defined(__AVX512F__)
#define GEMM_VECTOR 16
#define GEMM_MR 12
#elif defined(__AVX__)
#define GEMM_VECTOR 8
#define GEMM_MR 6
#else
#define GEMM_VECTOR 4
#define GEMM_MR 6
#endif
#define GEMM_NR (2 * GEMM_VECTOR)

/* Whether gemm_run is the faster one: few rows or few sums do not pay for packing. */
bool gemm_pays(const product_t *p);
/* bias: [N], added to each row; NULL: none. p->count is 1. All threads. */
void gemm_run(kernels_t *k, const product_t *p, const float *a, const float *b, const float *bias, float *c);

/* The same by the calling thread alone, whatever the size; scratch: gemm_one_floats, 64-byte aligned. */
void gemm_one(const product_t *p, const float *a, const float *b, float *c, float *scratch);
int64_t gemm_one_floats(int64_t N, int64_t K); /* no less for larger ones */

#endif
