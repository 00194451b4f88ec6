/* Joint attention: split with q/k norm and rotation, softmax attention over the valid keys.
 *
 * One task is one (sample, head): its scores are a whole [queries, keys] matrix in a thread's scratch, made by products
 * of one thread each. Backward rebuilds the probabilities from the saved logarithm of the denominator. */
#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <string.h>

#include "kernels/cpu/cpu_kernels.h"
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

static void qkv_bwd(kernels_t *k, act_t *dqkv_, float *dwq, float *dwk, const act_t *dq, const act_t *dk,
                    const act_t *dv, const act_t *qkv_, const act_t *wq, const act_t *wk, const float *rope, int64_t B,
                    int64_t L, int64_t H, int64_t K, int64_t S, int64_t first, float eps) {
    float *partial = cpu_scratch(k, B * 3 * K); /* a sample's dwq, dwk, and room for a row */
    if (!partial) return;
    memset(partial, 0, sizeof(float) * (size_t)(B * 3 * K));
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < B; b++) {
        float *mine = partial + b * 3 * K;
        for (int64_t l = 0; l < L; l++) {
            const float *x = (const float *)qkv_ + (b * L + l) * 3 * H * K, *rotation = rope + l * K;
            float *dx = (float *)dqkv_ + (b * L + l) * 3 * H * K;
            for (int64_t h = 0; h < H; h++) {
                int64_t at = ((b * H + h) * S + first + l) * K;
                norm_rotate_bwd(dx + h * K, mine, mine + 2 * K, (const float *)dq + at, x + h * K, wq, rotation, K,
                                eps);
                norm_rotate_bwd(dx + (H + h) * K, mine + K, mine + 2 * K, (const float *)dk + at, x + (H + h) * K, wk,
                                rotation, K, eps);
                memcpy(dx + (2 * H + h) * K, (const float *)dv + at, sizeof(float) * (size_t)K);
            }
        }
    }
    for (int64_t b = 0; b < B; b++)
        for (int64_t i = 0; i < K; i++) {
            if (dwq) dwq[i] += partial[b * 3 * K + i];
            if (dwk) dwk[i] += partial[b * 3 * K + K + i];
        }
}

/* ---- attention ---- */

/* c[M,N] = op(a) op(b), one thread: called inside a parallel region. */
static void small_product(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int64_t M, int64_t N, int64_t K, float alpha,
                          const float *a, int64_t lda, const float *b, int64_t ldb, float *c, int64_t ldc) {
    cblas_sgemm(CblasRowMajor, ta, tb, (blasint)M, (blasint)N, (blasint)K, alpha, a, (blasint)lda, b, (blasint)ldb,
                0.0f, c, (blasint)ldc);
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

/* Copies rows of one head between the token layout ([B, N, H*K], [B, T, H*K]) and a dense [n_queries, K]. */
static void gather_head(float *out, const float *img, const float *txt, const attention_shape_t *s, int64_t b,
                        int64_t h) {
    int64_t D = s->H * s->K;
    for (int64_t i = 0; i < s->n_queries; i++) {
        const float *row = i < s->N ? img + (b * s->N + i) * D : txt + (b * s->T + i - s->N) * D;
        memcpy(out + i * s->K, row + h * s->K, sizeof(float) * (size_t)s->K);
    }
}

static void scatter_head(float *img, float *txt, const float *in, const attention_shape_t *s, int64_t b, int64_t h) {
    int64_t D = s->H * s->K;
    for (int64_t i = 0; i < s->n_queries; i++) {
        float *row = i < s->N ? img + (b * s->N + i) * D : txt + (b * s->T + i - s->N) * D;
        memcpy(row + h * s->K, in + i * s->K, sizeof(float) * (size_t)s->K);
    }
}

/* Scores to probabilities in place; returns the logarithm of the denominator. */
static float softmax_row(float *x, int64_t n) {
    float top = x[0], sum = 0;
#pragma omp simd reduction(max : top)
    for (int64_t i = 0; i < n; i++) top = x[i] > top ? x[i] : top;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
        x[i] = vec_exp(x[i] - top);
        sum += x[i];
    }
    float inverse = 1.0f / sum;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) x[i] *= inverse;
    return top + logf(sum);
}

static void attention_fwd(kernels_t *k, act_t *o_img, act_t *o_txt, float *lse, const act_t *q, const act_t *key,
                          const act_t *v, const attention_shape_t *s) {
    int64_t S = s->N + s->T, K = s->K, m = s->n_queries, each = m * S + m * K;
    float alpha = 1.0f / sqrtf((float)K), *scratch = cpu_scratch(k, each * omp_get_max_threads());
    if (!scratch) return;
    trace_products(k, s, 1);
#pragma omp parallel for schedule(static)
    for (int64_t task = 0; task < s->B * s->H; task++) {
        int64_t b = task / s->H, n = s->n_keys[b], at = task * S * K;
        float *p = scratch + each * omp_get_thread_num(), *o = p + m * S;
        small_product(CblasNoTrans, CblasTrans, m, n, K, alpha, (const float *)q + at, K, (const float *)key + at, K, p,
                      n);
        for (int64_t i = 0; i < m; i++) lse[task * S + i] = softmax_row(p + i * n, n);
        small_product(CblasNoTrans, CblasNoTrans, m, K, n, 1.0f, p, n, (const float *)v + at, K, o, K);
        scatter_head(o_img, o_txt, o, s, b, task % s->H);
    }
}

/* One row: probabilities from scores, and the gradient of the scores in place of dp. */
static void softmax_row_bwd(float *restrict p, float *restrict dp, float lse, float delta, float alpha, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        p[i] = vec_exp(p[i] - lse);
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

static void attention_bwd(kernels_t *k, act_t *dq_, act_t *dk_, act_t *dv_, const act_t *do_img, const act_t *do_txt,
                          const act_t *o_img, const act_t *o_txt, const float *lse, const act_t *q_, const act_t *key_,
                          const act_t *v_, const attention_shape_t *s) {
    int64_t S = s->N + s->T, K = s->K, m = s->n_queries, each = 2 * m * S + 2 * m * K;
    float alpha = 1.0f / sqrtf((float)K), *scratch = cpu_scratch(k, each * omp_get_max_threads());
    if (!scratch) return;
    trace_products(k, s, 0);
#pragma omp parallel for schedule(static)
    for (int64_t task = 0; task < s->B * s->H; task++) {
        int64_t b = task / s->H, n = s->n_keys[b], at = task * S * K;
        const float *q = (const float *)q_ + at, *key = (const float *)key_ + at, *v = (const float *)v_ + at;
        float *dq = (float *)dq_ + at, *dk = (float *)dk_ + at, *dv = (float *)dv_ + at;
        float *p = scratch + each * omp_get_thread_num(), *dp = p + m * S, *o = dp + m * S, *d_o = o + m * K;
        gather_head(o, o_img, o_txt, s, b, task % s->H);
        gather_head(d_o, do_img, do_txt, s, b, task % s->H);
        small_product(CblasNoTrans, CblasTrans, m, n, K, alpha, q, K, key, K, p, n);
        small_product(CblasNoTrans, CblasTrans, m, n, K, 1.0f, d_o, K, v, K, dp, n);
        for (int64_t i = 0; i < m; i++)
            softmax_row_bwd(p + i * n, dp + i * n, lse[task * S + i], dot(o + i * K, d_o + i * K, K), alpha, n);
        small_product(CblasTrans, CblasNoTrans, n, K, m, 1.0f, p, n, d_o, K, dv, K);
        small_product(CblasNoTrans, CblasNoTrans, m, K, n, 1.0f, dp, n, key, K, dq, K);
        small_product(CblasTrans, CblasNoTrans, n, K, m, 1.0f, dp, n, q, K, dk, K);
        zero_rows(dq, m, S, K);
        zero_rows(dk, n, S, K);
        zero_rows(dv, n, S, K);
    }
}

void cpu_fill_attention(kernels_t *k) {
    k->qkv_fwd = qkv_fwd;
    k->qkv_bwd = qkv_bwd;
    k->attention_fwd = attention_fwd;
    k->attention_bwd = attention_bwd;
}
