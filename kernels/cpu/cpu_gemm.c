/* Sizes: a panel of b (K_BLOCK x GEMM_NR, 48 KiB) streams through the first-level cache once a block of a (ROW_BLOCK x
 * K_BLOCK, 288 KiB), which stays in the second. Measured on Zen 4 with 512-bit vectors, one thread: the micro-kernel
 * alone 117 GFLOP/s of 117 possible, OpenBLAS 0.3.21's and BLIS 0.9's sgemm 85 to 100. */
#include "kernels/cpu/cpu_gemm.h"

#include <omp.h>
#include <string.h>

#define K_BLOCK 384
#define ROW_BLOCK (16 * GEMM_MR)
#define COLUMN_BLOCK 4096

typedef float vector_t __attribute__((vector_size(4 * GEMM_VECTOR)));
typedef float loose_vector_t __attribute__((vector_size(4 * GEMM_VECTOR), aligned(4), may_alias));

/* One tile: c[GEMM_MR, GEMM_NR] with rows ldc apart. */
static void run_tile(int64_t K, const float *restrict a, const float *restrict b, float *restrict c, int64_t ldc,
                     bool adds, const float *restrict bias) {
    vector_t sum[GEMM_MR][2];
#pragma GCC unroll 12
    for (int i = 0; i < GEMM_MR; i++) sum[i][0] = sum[i][1] = (vector_t){0};
#pragma GCC unroll 12
    for (int i = 0; i < GEMM_MR; i++) { /* the tile of c is written at the end, when its lines are here */
        __builtin_prefetch(c + i * ldc, 1);
        __builtin_prefetch(c + i * ldc + GEMM_NR - 1, 1);
    }
    for (int64_t k = 0; k < K; k++) {
        vector_t b0 = *(const vector_t *)(b + k * GEMM_NR), b1 = *(const vector_t *)(b + k * GEMM_NR + GEMM_VECTOR);
#pragma GCC unroll 12
        for (int i = 0; i < GEMM_MR; i++) {
            sum[i][0] += b0 * a[k * GEMM_MR + i];
            sum[i][1] += b1 * a[k * GEMM_MR + i];
        }
    }
#pragma GCC unroll 2
    for (int j = 0; j < 2; j++) {
        vector_t first = {0};
        if (bias) first = *(const loose_vector_t *)(bias + j * GEMM_VECTOR);
#pragma GCC unroll 12
        for (int i = 0; i < GEMM_MR; i++) {
            loose_vector_t *at = (loose_vector_t *)(c + i * ldc + j * GEMM_VECTOR);
            if (adds) sum[i][j] += *at;
            *at = first + sum[i][j];
        }
    }
}

/* A tile at the edge of c: rows x columns of it are there. */
static void run_edge(int64_t K, const float *a, const float *b, float *c, int64_t ldc, int64_t rows, int64_t columns,
                     bool adds, const float *bias) {
    _Alignas(64) float tile[GEMM_MR * GEMM_NR];
    run_tile(K, a, b, tile, GEMM_NR, false, NULL);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            float *at = c + i * ldc + j, first = adds ? *at : bias ? bias[j] : 0.0f;
            *at = first + tile[i * GEMM_NR + j];
        }
}

static int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* ---- packing: `width` lines of a matrix become [K, width], missing ones zeros ---- */

typedef float four_t __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t four_index_t __attribute__((vector_size(16)));

/* Four elements of four lines, `stride` apart, to four rows of `width`. */
static inline void transpose_four(float *out, int width, const float *x, int64_t stride) {
    four_t a = *(const four_t *)x, b = *(const four_t *)(x + stride), c = *(const four_t *)(x + 2 * stride),
           d = *(const four_t *)(x + 3 * stride);
    const four_index_t low = {0, 4, 1, 5}, high = {2, 6, 3, 7}, first = {0, 1, 4, 5}, last = {2, 3, 6, 7};
    four_t ab0 = __builtin_shuffle(a, b, low), ab1 = __builtin_shuffle(a, b, high), cd0 = __builtin_shuffle(c, d, low),
           cd1 = __builtin_shuffle(c, d, high);
    *(four_t *)out = __builtin_shuffle(ab0, cd0, first);
    *(four_t *)(out + width) = __builtin_shuffle(ab0, cd0, last);
    *(four_t *)(out + 2 * width) = __builtin_shuffle(ab1, cd1, first);
    *(four_t *)(out + 3 * width) = __builtin_shuffle(ab1, cd1, last);
}

/* Lines are contiguous along K, `stride` apart: a transposition. */
static inline void pack_across(float *restrict out, const float *restrict x, int64_t stride, int64_t n, int64_t K,
                               int width) {
    int64_t whole_n = n / 4 * 4, whole_k = K / 4 * 4;
    if (n < width) memset(out, 0, sizeof(float) * (size_t)(K * width));
    for (int64_t k = 0; k < whole_k; k += 4)
        for (int64_t i = 0; i < whole_n; i += 4) transpose_four(out + k * width + i, width, x + i * stride + k, stride);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = i < whole_n ? whole_k : 0; k < K; k++) out[k * width + i] = x[i * stride + k];
}

/* Lines lie side by side, elements along K `stride` apart: a copy. */
static inline void pack_along(float *restrict out, const float *restrict x, int64_t stride, int64_t n, int64_t K,
                              int width) {
    for (int64_t k = 0; k < K; k++) {
        const float *row = x + k * stride;
        if (n == width) {
            for (int i = 0; i < width; i++) out[k * width + i] = row[i];
        } else {
            for (int i = 0; i < width; i++) out[k * width + i] = i < n ? row[i] : 0.0f;
        }
    }
}

/* Rows [first, last). Of a transposed a, all panels take a few lines of K at a time: they lie in the same cache lines.
 */
static void pack_a(float *out, const product_t *p, const float *a, int64_t first, int64_t last, int64_t k, int64_t K) {
    enum { LINES = 8 };
    int64_t step = p->a_transposed ? LINES : K;
    for (int64_t from = 0; from < K; from += step)
        for (int64_t row = first; row < last; row += GEMM_MR) {
            float *to = out + (row - first) * K + from * GEMM_MR;
            int64_t n = min64(last - row, GEMM_MR), lines = min64(K - from, step);
            if (p->a_transposed)
                pack_along(to, a + (k + from) * p->lda + row, p->lda, n, lines, GEMM_MR);
            else
                pack_across(to, a + row * p->lda + k, p->lda, n, lines, GEMM_MR);
        }
}

static void pack_b(float *out, const product_t *p, const float *b, int64_t column, int64_t k, int64_t K) {
    int64_t n = min64(p->N - column, GEMM_NR);
    if (p->b_transposed)
        pack_across(out, b + column * p->ldb + k, p->ldb, n, K, GEMM_NR);
    else
        pack_along(out, b + k * p->ldb + column, p->ldb, n, K, GEMM_NR);
}

/* ---- blocks ---- */

/* A block of columns at one block of K: rows [first, last) times the packed b, all of whose panels are there. */
static void run_rows(const product_t *p, const float *a, const float *packed_b, const float *bias, float *c,
                     float *packed_a, int64_t first, int64_t last, int64_t column, int64_t n_columns, int64_t k,
                     int64_t K) {
    bool adds = p->adds || k > 0;
    pack_a(packed_a, p, a, first, last, k, K);
    for (int64_t j = 0; j < n_columns; j += GEMM_NR) {
        const float *panel = packed_b + j * K, *mine = bias ? bias + column + j : NULL;
        int64_t columns = min64(n_columns - j, GEMM_NR);
        for (int64_t row = first; row < last; row += GEMM_MR) {
            int64_t rows = min64(last - row, GEMM_MR);
            float *at = c + row * p->ldc + column + j;
            if (rows == GEMM_MR && columns == GEMM_NR)
                run_tile(K, packed_a + (row - first) * K, panel, at, p->ldc, adds, mine);
            else
                run_edge(K, packed_a + (row - first) * K, panel, at, p->ldc, rows, columns, adds, mine);
        }
    }
}

/* Share t of `threads` of the rows: whole panels, in blocks of about equal size. */
static void run_share(const product_t *p, const float *a, const float *packed_b, const float *bias, float *c,
                      float *packed_a, int64_t column, int64_t n_columns, int64_t k, int64_t K, int64_t t,
                      int64_t threads) {
    int64_t n = divide_up(p->M, GEMM_MR);
    int64_t first = n * t / threads, last = n * (t + 1) / threads;
    int64_t n_blocks = divide_up((last - first) * GEMM_MR, ROW_BLOCK);
    for (int64_t i = 0; i < n_blocks; i++) {
        int64_t from = first + (last - first) * i / n_blocks, to = first + (last - first) * (i + 1) / n_blocks;
        run_rows(p, a, packed_b, bias, c, packed_a, from * GEMM_MR, min64(to * GEMM_MR, p->M), column, n_columns, k, K);
    }
}

bool gemm_pays(const product_t *p) {
    return p->M >= 2 * GEMM_MR && p->N >= GEMM_NR && p->K >= GEMM_NR;
}

static int64_t columns_at_once(int64_t N) {
    return min64(divide_up(N, GEMM_NR) * GEMM_NR, COLUMN_BLOCK);
}

int64_t gemm_one_floats(int64_t N, int64_t K) {
    return min64(K, K_BLOCK) * (columns_at_once(N) + ROW_BLOCK + GEMM_MR);
}

void gemm_one(const product_t *p, const float *a, const float *b, float *c, float *scratch) {
    int64_t n_k = divide_up(p->K, K_BLOCK), columns = columns_at_once(p->N);
    float *packed_a = scratch + min64(p->K, K_BLOCK) * columns;
    for (int64_t column = 0; column < p->N; column += columns) {
        int64_t n_columns = min64(p->N - column, columns);
        for (int64_t block = 0; block < n_k; block++) {
            int64_t first = p->K * block / n_k, K = p->K * (block + 1) / n_k - first;
            for (int64_t j = 0; j < n_columns; j += GEMM_NR) pack_b(scratch + j * K, p, b, column + j, first, K);
            run_share(p, a, scratch, NULL, c, packed_a, column, n_columns, first, K, 0, 1);
        }
    }
}

void gemm_run(kernels_t *k, const product_t *p, const float *a, const float *b, const float *bias, float *c) {
    int64_t n_k = divide_up(p->K, K_BLOCK), columns = columns_at_once(p->N);
    int64_t a_floats = (ROW_BLOCK + GEMM_MR) * K_BLOCK, b_floats = columns * K_BLOCK;
    float *packed_b = cpu_scratch(k, b_floats + a_floats * omp_get_max_threads());
    if (!packed_b) return;
#pragma omp parallel
    {
        float *packed_a = packed_b + b_floats + a_floats * omp_get_thread_num();
        for (int64_t column = 0; column < p->N; column += columns) {
            int64_t n_columns = min64(p->N - column, columns);
            for (int64_t block = 0; block < n_k; block++) {
                int64_t first = p->K * block / n_k, K = p->K * (block + 1) / n_k - first;
#pragma omp for schedule(static)
                for (int64_t j = 0; j < n_columns; j += GEMM_NR) pack_b(packed_b + j * K, p, b, column + j, first, K);
                run_share(p, a, packed_b, block == 0 ? bias : NULL, c, packed_a, column, n_columns, first, K,
                          omp_get_thread_num(), omp_get_num_threads());
#pragma omp barrier
            }
        }
    }
}
