/* The five loops of Goto and van de Geijn, named as in BLIS (Van Zee and van de Geijn, TOMS 2015), around one
 * micro-kernel. c[M,N] = op(a) op(b) is cut in
 *
 *     loop 5   jc   NC columns of c and b
 *     loop 4   pc   KC of the sum; op(b)[pc, jc] is packed by all threads: panels [kc, NR], at most KC x NC x 4 = 6 MiB
 *     loop 3   ic   MC rows of c and a, a thread's own; op(a)[ic, pc] is packed: panels [kc, MR], 288 KiB
 *     loop 2   jr   NR columns: one panel of b
 *     loop 1   ir   MR rows: one panel of a
 *     kernel        c[MR, NR] += a panel [kc, MR]^T  b panel [kc, NR], kc rank-one updates in registers
 *
 * Blocking, for Zen 4 with 32 KiB, 1 MiB and a share of 32 MiB of cache: MR x NR = 12 x 32 fills 24 of 32 vector
 * registers with sums; KC = 384 amortises a tile's way to c over 384 updates (blocks of K
 * are about equal: 2,048 is six of 336 or 352); the packed a of MC = 192 rows stays in the second level while all
 * panels of b pass, each 48 KiB, once a block of a. The packed b is shared and stays in the third. Parallel is loop 3:
 * each thread has whole panels of rows, so a sum's order never depends on threads.
 *
 * Measured on one core with AVX-512 at 117 GFLOP/s possible: kernel alone 117; whole products of the small model (2,048
 * rows, 384 to 2,048 columns) 104 to 111, OpenBLAS 0.3.21's and BLIS 0.9's sgemm 85 to 101. What is lost goes to
 * packing a (a twentieth where N is 384) and to the memory behind c. */
#include "kernels/cpu/cpu_gemm.h"

#include <omp.h>
#include <string.h>

#define MR GEMM_MR
#define NR GEMM_NR
#define KC 384
#define MC (16 * MR)
#define NC 4096

typedef float vector_t __attribute__((vector_size(4 * GEMM_VECTOR)));
typedef float loose_vector_t __attribute__((vector_size(4 * GEMM_VECTOR), aligned(4), may_alias));

static int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* One turn of loops 5 and 4: columns [jc, jc + nc) of c, [pc, pc + kc) of the sum. Matrices are whole. */
typedef struct {
    const product_t *p;
    const float *a, *b, *bias; /* bias [N]: where pc is 0, else NULL */
    float *c;
    float *packed_b; /* [nc / NR, kc, NR] */
    int64_t jc, nc, pc, kc;
    bool adds; /* to c: another block of the sum is there already */
} block_t;

/* ---- the micro-kernel ---- */

/* c[MR, NR] (rows ldc apart) = a^T b [+ c | + bias]; a [K, MR], b [K, NR] packed, b aligned. */
static void micro_kernel(int64_t K, const float *restrict a, const float *restrict b, float *restrict c, int64_t ldc,
                         bool adds, const float *restrict bias) {
    vector_t sum[MR][2];
#pragma GCC unroll 12
    for (int i = 0; i < MR; i++) sum[i][0] = sum[i][1] = (vector_t){0};
#pragma GCC unroll 12
    for (int i = 0; i < MR; i++) { /* the tile of c is written at the end, when its lines are here */
        __builtin_prefetch(c + i * ldc, 1);
        __builtin_prefetch(c + i * ldc + NR - 1, 1);
    }
    for (int64_t k = 0; k < K; k++) {
        vector_t b0 = *(const vector_t *)(b + k * NR), b1 = *(const vector_t *)(b + k * NR + GEMM_VECTOR);
#pragma GCC unroll 12
        for (int i = 0; i < MR; i++) {
            sum[i][0] += b0 * a[k * MR + i];
            sum[i][1] += b1 * a[k * MR + i];
        }
    }
#pragma GCC unroll 2
    for (int j = 0; j < 2; j++) {
        vector_t first = {0};
        if (bias) first = *(const loose_vector_t *)(bias + j * GEMM_VECTOR);
#pragma GCC unroll 12
        for (int i = 0; i < MR; i++) {
            loose_vector_t *at = (loose_vector_t *)(c + i * ldc + j * GEMM_VECTOR);
            if (adds) sum[i][j] += *at;
            *at = first + sum[i][j];
        }
    }
}

/* The same where c ends: rows x columns of the tile are there. */
static void micro_kernel_edge(int64_t K, const float *a, const float *b, float *c, int64_t ldc, int64_t rows,
                              int64_t columns, bool adds, const float *bias) {
    _Alignas(64) float tile[MR * NR];
    micro_kernel(K, a, b, tile, NR, false, NULL);
    for (int64_t i = 0; i < rows; i++) {
        const float *from = tile + i * NR;
        float *to = c + i * ldc;
        if (adds) {
#pragma omp simd
            for (int64_t j = 0; j < columns; j++) to[j] += from[j];
        } else if (bias) {
#pragma omp simd
            for (int64_t j = 0; j < columns; j++) to[j] = bias[j] + from[j];
        } else {
            memcpy(to, from, sizeof(float) * (size_t)columns);
        }
    }
}

/* ---- packing: `width` lines of a matrix become a panel [K, width], missing lines zeros ---- */

/* Callers give `width` as a constant: copies of known size are a few vector moves. */
#define PACK static inline __attribute__((always_inline)) void

typedef float four_t __attribute__((vector_size(16), aligned(4), may_alias));
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)

/* Four elements of four lines, `stride` apart, to four rows of `width`. */
static inline void transpose_four(float *out, int width, const float *x, int64_t stride) {
    four_t a = *(const four_t *)x, b = *(const four_t *)(x + stride), c = *(const four_t *)(x + 2 * stride),
           d = *(const four_t *)(x + 3 * stride);
    four_t ab0 = LOW(a, b), ab1 = HIGH(a, b), cd0 = LOW(c, d), cd1 = HIGH(c, d);
    *(four_t *)out = __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5);
    *(four_t *)(out + width) = __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7);
    *(four_t *)(out + 2 * width) = __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5);
    *(four_t *)(out + 3 * width) = __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7);
}

/* Lines are contiguous along K, `stride` apart: a transposition. */
PACK pack_across(float *restrict out, const float *restrict x, int64_t stride, int64_t n, int64_t K, int width) {
    int64_t whole_n = n / 4 * 4, whole_k = K / 4 * 4;
    if (n < width) memset(out, 0, sizeof(float) * (size_t)(K * width));
    for (int64_t k = 0; k < whole_k; k += 4)
        for (int64_t i = 0; i < whole_n; i += 4) transpose_four(out + k * width + i, width, x + i * stride + k, stride);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = i < whole_n ? whole_k : 0; k < K; k++) out[k * width + i] = x[i * stride + k];
}

/* Lines lie side by side, elements along K `stride` apart: a copy. */
PACK pack_along(float *restrict out, const float *restrict x, int64_t stride, int64_t n, int64_t K, int width) {
    if (n == width) {
        for (int64_t k = 0; k < K; k++) memcpy(out + k * width, x + k * stride, sizeof(float) * (size_t)width);
        return;
    }
    memset(out, 0, sizeof(float) * (size_t)(K * width));
    for (int64_t k = 0; k < K; k++) memcpy(out + k * width, x + k * stride, sizeof(float) * (size_t)n);
}

/* The block's rows [first, last) of op(a), first a multiple of MR. Of a transposed a, all panels take a few lines of K
 * at a time: they lie in the same cache lines. */
static void pack_a(float *out, const block_t *x, int64_t first, int64_t last) {
    enum { LINES = 8 };
    const product_t *p = x->p;
    int64_t step = p->a_transposed ? LINES : x->kc;
    for (int64_t k = 0; k < x->kc; k += step)
        for (int64_t row = first; row < last; row += MR) {
            float *to = out + (row - first) * x->kc + k * MR;
            int64_t n = min64(last - row, MR), lines = min64(x->kc - k, step);
            if (p->a_transposed)
                pack_along(to, x->a + (x->pc + k) * p->lda + row, p->lda, n, lines, MR);
            else
                pack_across(to, x->a + row * p->lda + x->pc, p->lda, n, lines, MR);
        }
}

/* Panels [first, last) of the block's op(b). */
static void pack_b(const block_t *x, int64_t first, int64_t last) {
    const product_t *p = x->p;
    for (int64_t panel = first; panel < last; panel++) {
        int64_t column = x->jc + panel * NR, n = min64(p->N - column, NR);
        float *to = x->packed_b + panel * NR * x->kc;
        if (p->b_transposed)
            pack_across(to, x->b + column * p->ldb + x->pc, p->ldb, n, x->kc, NR);
        else
            pack_along(to, x->b + x->pc * p->ldb + column, p->ldb, n, x->kc, NR);
    }
}

/* ---- the loops, from the inside ---- */

/* Loops 2 and 1: rows [first, last) of the block, whose a is packed. */
static void run_macro_kernel(const block_t *x, const float *packed_a, int64_t first, int64_t last) {
    int64_t ldc = x->p->ldc;
    for (int64_t jr = 0; jr < x->nc; jr += NR) {
        const float *b = x->packed_b + jr * x->kc, *bias = x->bias ? x->bias + x->jc + jr : NULL;
        int64_t columns = min64(x->nc - jr, NR);
        for (int64_t ir = first; ir < last; ir += MR) {
            const float *a = packed_a + (ir - first) * x->kc;
            float *c = x->c + ir * ldc + x->jc + jr;
            int64_t rows = min64(last - ir, MR);
            if (rows == MR && columns == NR)
                micro_kernel(x->kc, a, b, c, ldc, x->adds, bias);
            else
                micro_kernel_edge(x->kc, a, b, c, ldc, rows, columns, x->adds, bias);
        }
    }
}

/* Loop 3: share t of `threads` of the rows, whole panels, in blocks of about equal size. */
static void run_rows(const block_t *x, float *packed_a, int64_t t, int64_t threads) {
    int64_t n = divide_up(x->p->M, MR), first = n * t / threads, last = n * (t + 1) / threads;
    int64_t n_blocks = divide_up((last - first) * MR, MC);
    for (int64_t i = 0; i < n_blocks; i++) {
        int64_t ic = (first + (last - first) * i / n_blocks) * MR,
                end = min64((first + (last - first) * (i + 1) / n_blocks) * MR, x->p->M);
        pack_a(packed_a, x, ic, end);
        run_macro_kernel(x, packed_a, ic, end);
    }
}

static int64_t columns_at_once(int64_t N) {
    return min64(divide_up(N, NR) * NR, NC);
}

/* Blocks of K are about equal and begin at multiples of 16, as packing likes it: none is longer than KC. */
static int64_t block_begin(int64_t K, int64_t i, int64_t n_blocks) {
    return min64(divide_up(K * i / n_blocks, 16) * 16, K);
}

/* Loops 5 and 4, by thread t of a team of `threads`, all of which are in here. x: matrices and packed_b. */
static void run_team(block_t x, float *packed_a, int64_t t, int64_t threads) {
    const product_t *p = x.p;
    const float *bias = x.bias;
    int64_t n_blocks = divide_up(p->K, KC);
    for (x.jc = 0; x.jc < p->N; x.jc += x.nc) {
        x.nc = min64(p->N - x.jc, columns_at_once(p->N));
        for (int64_t i = 0; i < n_blocks; i++) {
            x.pc = block_begin(p->K, i, n_blocks);
            x.kc = block_begin(p->K, i + 1, n_blocks) - x.pc;
            x.adds = p->adds || i > 0;
            x.bias = i == 0 ? bias : NULL;
            int64_t panels = divide_up(x.nc, NR);
            pack_b(&x, panels * t / threads, panels * (t + 1) / threads);
            if (threads > 1) {
#pragma omp barrier
            }
            run_rows(&x, packed_a, t, threads);
            if (threads > 1) { /* before the packed b is written anew */
#pragma omp barrier
            }
        }
    }
}

/* ---- interface ---- */

bool gemm_pays(const product_t *p) {
    return p->M >= 2 * MR && p->N >= NR && p->K >= NR;
}

int64_t gemm_one_floats(int64_t N, int64_t K) {
    return min64(K, KC) * (columns_at_once(N) + MC + MR);
}

void gemm_one(const product_t *p, const float *a, const float *b, float *c, float *scratch) {
    block_t x = {.p = p, .a = a, .b = b, .c = c, .packed_b = scratch};
    run_team(x, scratch + min64(p->K, KC) * columns_at_once(p->N), 0, 1);
}

void gemm_run(kernels_t *k, const product_t *p, const float *a, const float *b, const float *bias, float *c) {
    int64_t a_floats = (MC + MR) * KC, b_floats = columns_at_once(p->N) * KC;
    float *scratch = cpu_scratch(k, b_floats + a_floats * omp_get_max_threads());
    if (!scratch) return;
    block_t x = {.p = p, .a = a, .b = b, .bias = bias, .c = c, .packed_b = scratch};
#pragma omp parallel
    run_team(x, scratch + b_floats + a_floats * omp_get_thread_num(), omp_get_thread_num(), omp_get_num_threads());
}
