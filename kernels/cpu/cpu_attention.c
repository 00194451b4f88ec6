/* Joint attention: split with q/k norm and rotation, softmax attention over the valid keys.
 *
 * One task is one (sample, head), in blocks of queries: the scores of a block, [QUERY_BLOCK, keys], are in a thread's
 * scratch and mostly in its cache, made by products of one thread each: scratch is
 * 4.3 MiB a thread at 4,096 tokens and heads of 64. Backward rebuilds the probabilities from the saved logarithm of the
 * denominator (FlashAttention: Dao et al., arXiv 2205.14135). */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "kernels/cpu/cpu_gemm.h"
#include "kernels/cpu/row_pieces.h"
#include "kernels/cpu/vec_math.h"

static void norm_rotate(float *restrict out, const float *restrict x, const float *restrict w,
                        const float *restrict rope, int64_t K, float eps) {
    float s = vec_inverse_rms(x, K, eps);
#pragma omp simd
    for (int64_t j = 0; j < K / 2; j++) {
        float a = x[2 * j] * s * w[2 * j], b = x[2 * j + 1] * s * w[2 * j + 1], c = rope[2 * j], d = rope[2 * j + 1];
        out[2 * j] = a * c - b * d;
        out[2 * j + 1] = a * d + b * c;
    }
}

/* dx of norm_rotate; adds to dw. dn is K floats of scratch. */
static void norm_rotate_bwd(float *restrict dx, float *restrict dw, float *restrict dn, const float *restrict dout,
                            const float *restrict x, const float *restrict w, const float *restrict rope, int64_t K,
                            float eps) {
    float s = vec_inverse_rms(x, K, eps), dot = 0;
#pragma omp simd
    for (int64_t j = 0; j < K / 2; j++) {
        float a = dout[2 * j], b = dout[2 * j + 1], c = rope[2 * j], d = rope[2 * j + 1];
        dn[2 * j] = a * c + b * d;
        dn[2 * j + 1] = b * c - a * d;
    }
#pragma omp simd reduction(+ : dot)
    for (int64_t i = 0; i < K; i++) {
        float p = dn[i] * x[i] * s;
        dw[i] += p;
        dot += p * w[i];
    }
    float mean = dot / (float)K;
#pragma omp simd
    for (int64_t i = 0; i < K; i++) dx[i] = s * (dn[i] * w[i] - x[i] * s * mean);
}

static void qkv_fwd(kernels_t *k, act_t *q_, act_t *key_, act_t *v_, const act_t *qkv_, const act_t *wq,
                    const act_t *wk, const float *rope, int64_t B, int64_t L, int64_t H, int64_t K, int64_t S,
                    int64_t first, float eps) {
    (void)k;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < B * L; r++) {
        int64_t b = r / L, l = r % L;
        const float *x = (const float *)qkv_ + r * 3 * H * K, *rotation = rope + l * K;
        for (int64_t h = 0; h < H; h++) {
            int64_t at = ((b * H + h) * S + first + l) * K;
            norm_rotate((float *)q_ + at, x + h * K, wq, rotation, K, eps);
            norm_rotate((float *)key_ + at, x + (H + h) * K, wk, rotation, K, eps);
            memcpy((float *)v_ + at, x + (2 * H + h) * K, sizeof(float) * (size_t)K);
        }
    }
}

/* One token: dqkv, and adds to sums [3, K]: dwq, dwk, and room for a row. d: dq, dk, dv at the token's first head,
 * heads S * K apart. */
static void token_bwd(float *dx, float *sums, const float *const d[3], const float *x, const float *wq, const float *wk,
                      const float *rope, int64_t H, int64_t K, int64_t S, float eps) {
    for (int64_t h = 0; h < H; h++) {
        int64_t at = h * S * K, q = h * K, key = (H + h) * K, v = (2 * H + h) * K;
        norm_rotate_bwd(dx + q, sums, sums + 2 * K, d[0] + at, x + q, wq, rope, K, eps);
        norm_rotate_bwd(dx + key, sums + K, sums + 2 * K, d[1] + at, x + key, wk, rope, K, eps);
        memcpy(dx + v, d[2] + at, sizeof(float) * (size_t)K);
    }
}

static void qkv_bwd(kernels_t *k, act_t *dqkv, float *dwq, float *dwk, const act_t *dq, const act_t *dk,
                    const act_t *dv, const act_t *qkv, const act_t *wq, const act_t *wk, const float *rope, int64_t B,
                    int64_t L, int64_t H, int64_t K, int64_t S, int64_t first, float eps) {
    int64_t n_pieces = row_pieces(B * L);
    float *partial = cpu_scratch(k, n_pieces * 3 * K);
    if (!partial) return;
    memset(partial, 0, sizeof(float) * (size_t)(n_pieces * 3 * K));
#pragma omp parallel for schedule(static)
    for (int64_t piece = 0; piece < n_pieces; piece++)
        for (int64_t r = piece * PIECE_ROWS; r < row_piece_end(piece, B * L); r++) {
            int64_t at = (r / L * H * S + first + r % L) * K, row = r * 3 * H * K;
            const float *d[3] = {(const float *)dq + at, (const float *)dk + at, (const float *)dv + at};
            token_bwd((float *)dqkv + row, partial + piece * 3 * K, d, (const float *)qkv + row, wq, wk,
                      rope + r % L * K, H, K, S, eps);
        }
    for (int64_t p = 0; p < n_pieces; p++)
        for (int64_t i = 0; i < K; i++) {
            if (dwq) dwq[i] += partial[p * 3 * K + i];
            if (dwk) dwk[i] += partial[p * 3 * K + K + i];
        }
}

/* ---- attention ---- */

enum { QUERY_BLOCK = 96 };

/* Each c[M,N] = op(a) op(b), dense, by one thread; `scratch` is gemm_one's. */
static void times_transposed(int64_t M, int64_t N, int64_t K, const float *a, const float *b, float *c,
                             float *scratch) {
    product_t p = {.b_transposed = true, .M = M, .N = N, .K = K, .lda = K, .ldb = K, .ldc = N};
    gemm_one(&p, a, b, c, scratch);
}

static void times(int64_t M, int64_t N, int64_t K, const float *a, const float *b, float *c, float *scratch) {
    product_t p = {.M = M, .N = N, .K = K, .lda = K, .ldb = N, .ldc = N};
    gemm_one(&p, a, b, c, scratch);
}

static void transposed_times(int64_t M, int64_t N, int64_t K, bool adds, const float *a, const float *b, float *c,
                             float *scratch) {
    product_t p = {.a_transposed = true, .adds = adds, .M = M, .N = N, .K = K, .lda = M, .ldb = N, .ldc = N};
    gemm_one(&p, a, b, c, scratch);
}

/* Floats of a thread's scratch: n_scores score blocks, a block of rows of a head, and room for products. */
static int64_t thread_floats(int64_t S, int64_t K, int64_t n_scores) {
    int64_t scores = gemm_one_floats(S, K), values = gemm_one_floats(K, S);
    int64_t n = QUERY_BLOCK * (n_scores * S + K) + (scores > values ? scores : values);
    return (n + 15) / 16 * 16;
}

int64_t kernels_cpu_attention_floats(int64_t S, int64_t K) {
    return thread_floats(S, K, 2); /* backward needs more */
}

static int64_t block_end(int64_t first, int64_t n_queries) {
    return first + QUERY_BLOCK < n_queries ? first + QUERY_BLOCK : n_queries;
}

/* Records M x N x K products, one a (sample, head), at the mean number of valid keys. */
static void trace_products(kernels_t *k, const attention_shape_t *s, int forward) {
    int64_t keys = 0;
    for (int64_t b = 0; b < s->B; b++) keys += s->n_keys[b];
    int64_t n = keys / s->B, m = s->n_queries, count = s->B * s->H;
    product_t scores = {
        .b_transposed = true, .M = m, .N = n, .K = s->K, .count = count, .lda = s->K, .ldb = s->K, .ldc = n};
    product_t values = {.M = m, .N = s->K, .K = n, .count = count, .lda = n, .ldb = s->K, .ldc = s->K};
    product_t to_keys = {
        .a_transposed = true, .M = n, .N = s->K, .K = m, .count = count, .lda = n, .ldb = s->K, .ldc = s->K};
    cpu_trace_add(k, scores);
    cpu_trace_add(k, values);
    if (forward) return;
    cpu_trace_add(k, scores); /* of the probabilities' gradient */
    cpu_trace_add(k, to_keys);
    cpu_trace_add(k, to_keys);
}

/* Row i of one head in the token layout, [B, N, H*K] and [B, T, H*K]. */
static float *head_row(const act_t *img, const act_t *txt, const attention_shape_t *s, int64_t b, int64_t h,
                       int64_t i) {
    int64_t D = s->H * s->K;
    float *row = i < s->N ? (float *)img + (b * s->N + i) * D : (float *)txt + (b * s->T + i - s->N) * D;
    return row + h * s->K;
}

/* alpha times x to probabilities in place, alpha > 0; returns the logarithm of the denominator. */
static float softmax_row(float *x, float alpha, int64_t n) {
    float top = x[0], sum = 0;
#pragma omp simd reduction(max : top)
    for (int64_t i = 0; i < n; i++) top = x[i] > top ? x[i] : top;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
        x[i] = vec_exp((x[i] - top) * alpha);
        sum += x[i];
    }
    float inverse = 1.0f / sum;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) x[i] *= inverse;
    return top * alpha + logf(sum);
}

/* Queries [first, last) of one head. p: scratch. */
static void query_block_fwd(act_t *o_img, act_t *o_txt, float *lse, const float *q, const float *key, const float *v,
                            const attention_shape_t *s, int64_t task, int64_t first, int64_t last, float *p) {
    int64_t b = task / s->H, n = s->n_keys[b], K = s->K, m = last - first;
    float *o = p + QUERY_BLOCK * (s->N + s->T), *room = o + QUERY_BLOCK * K;
    float alpha = 1.0f / sqrtf((float)K);
    times_transposed(m, n, K, q + first * K, key, p, room);
    for (int64_t i = 0; i < m; i++) lse[first + i] = softmax_row(p + i * n, alpha, n);
    times(m, K, n, p, v, o, room);
    for (int64_t i = 0; i < m; i++)
        memcpy(head_row(o_img, o_txt, s, b, task % s->H, first + i), o + i * K, sizeof(float) * (size_t)K);
}

static void attention_fwd(kernels_t *k, act_t *o_img, act_t *o_txt, float *lse, const act_t *q, const act_t *key,
                          const act_t *v, const attention_shape_t *s) {
    int64_t S = s->N + s->T, each = thread_floats(s->N + s->T, s->K, 1);
    float *scratch = cpu_scratch(k, each * omp_get_max_threads());
    if (!scratch) return;
    trace_products(k, s, 1);
#pragma omp parallel for schedule(static)
    for (int64_t task = 0; task < s->B * s->H; task++) {
        int64_t at = task * S * s->K;
        for (int64_t first = 0; first < s->n_queries; first += QUERY_BLOCK)
            query_block_fwd(o_img, o_txt, lse + task * S, (const float *)q + at, (const float *)key + at,
                            (const float *)v + at, s, task, first, block_end(first, s->n_queries),
                            scratch + each * omp_get_thread_num());
    }
}

/* One row: probabilities from scores, and the gradient of the scores in place of dp. */
static void softmax_row_bwd(float *restrict p, float *restrict dp, float lse, float delta, float alpha, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        p[i] = vec_exp(p[i] * alpha - lse);
        dp[i] = p[i] * (dp[i] - delta) * alpha;
    }
}

static float dot(const float *a, const float *b, int64_t n) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* Rows from `from` to S of one head's gradient take no part. */
static void zero_rows(float *x, int64_t from, int64_t S, int64_t K) {
    memset(x + from * K, 0, sizeof(float) * (size_t)((S - from) * K));
}

/* What one head's backward reads and writes: [S, K] each, lse [S]. */
typedef struct {
    const float *q, *key, *v, *lse;
    float *dq, *dk, *dv;
} head_t;

/* Queries [first, last) of one head: writes their dq, adds to dk and dv, which the first block overwrites. */
static void query_block_bwd(const head_t *x, const act_t *do_img, const act_t *do_txt, const act_t *o_img,
                            const act_t *o_txt, const attention_shape_t *s, int64_t task, int64_t first, int64_t last,
                            float *p) {
    int64_t b = task / s->H, n = s->n_keys[b], K = s->K, m = last - first;
    float *dp = p + QUERY_BLOCK * (s->N + s->T), *d_o = dp + QUERY_BLOCK * (s->N + s->T), *room = d_o + QUERY_BLOCK * K;
    float alpha = 1.0f / sqrtf((float)K), delta[QUERY_BLOCK];
    const float *q = x->q + first * K;
    for (int64_t i = 0; i < m; i++) {
        const float *row = head_row(do_img, do_txt, s, b, task % s->H, first + i);
        delta[i] = dot(row, head_row(o_img, o_txt, s, b, task % s->H, first + i), K);
        memcpy(d_o + i * K, row, sizeof(float) * (size_t)K);
    }
    times_transposed(m, n, K, q, x->key, p, room);
    times_transposed(m, n, K, d_o, x->v, dp, room);
    for (int64_t i = 0; i < m; i++) softmax_row_bwd(p + i * n, dp + i * n, x->lse[first + i], delta[i], alpha, n);
    transposed_times(n, K, m, first > 0, p, d_o, x->dv, room);
    times(m, K, n, dp, x->key, x->dq + first * K, room);
    transposed_times(n, K, m, first > 0, dp, q, x->dk, room);
}

static void attention_bwd(kernels_t *k, act_t *dq, act_t *dk, act_t *dv, const act_t *do_img, const act_t *do_txt,
                          const act_t *o_img, const act_t *o_txt, const float *lse, const act_t *q, const act_t *key,
                          const act_t *v, const attention_shape_t *s) {
    int64_t S = s->N + s->T, K = s->K, each = thread_floats(s->N + s->T, s->K, 2);
    float *scratch = cpu_scratch(k, each * omp_get_max_threads());
    if (!scratch) return;
    trace_products(k, s, 0);
#pragma omp parallel for schedule(static)
    for (int64_t task = 0; task < s->B * s->H; task++) {
        int64_t at = task * S * K, n = s->n_keys[task / s->H];
        head_t x = {.q = (const float *)q + at,
                    .key = (const float *)key + at,
                    .v = (const float *)v + at,
                    .lse = lse + task * S,
                    .dq = (float *)dq + at,
                    .dk = (float *)dk + at,
                    .dv = (float *)dv + at};
        for (int64_t first = 0; first < s->n_queries; first += QUERY_BLOCK)
            query_block_bwd(&x, do_img, do_txt, o_img, o_txt, s, task, first, block_end(first, s->n_queries),
                            scratch + each * omp_get_thread_num());
        zero_rows(x.dq, s->n_queries, S, K);
        zero_rows(x.dk, n, S, K);
        zero_rows(x.dv, n, S, K);
    }
}

void cpu_fill_attention(kernels_t *k) {
    k->qkv_fwd = qkv_fwd;
    k->qkv_bwd = qkv_bwd;
    k->attention_fwd = attention_fwd;
    k->attention_bwd = attention_bwd;
}
