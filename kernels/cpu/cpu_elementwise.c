/* Gated residual, SwiGLU, SiLU, timestep and token embeddings. */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/row_pieces.h"
#include "kernels/cpu/vec_math.h"

static float *slice_row(slice_t s, int64_t row) {
    return (float *)s.data + row * s.stride + s.column;
}

static void gated_add_fwd(kernels_t *k, act_t *out_, const act_t *x_, const act_t *y_, slice_t gate, int64_t B,
                          int64_t L, int64_t D) {
    (void)k;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < B * L; r++) {
        const float *x = (const float *)x_ + r * D, *y = (const float *)y_ + r * D, *g = slice_row(gate, r / L);
        float *out = (float *)out_ + r * D;
#pragma omp simd
        for (int64_t i = 0; i < D; i++) out[i] = x[i] + g[i] * y[i];
    }
}

/* One row: dy, and adds to the gate's gradient. */
static void gated_row_bwd(float *restrict dy, float *restrict sum, const float *restrict dout, const float *restrict y,
                          const float *restrict gate, int64_t D) {
#pragma omp simd
    for (int64_t i = 0; i < D; i++) {
        dy[i] = gate[i] * dout[i];
        sum[i] += dout[i] * y[i];
    }
}

static void gated_add_bwd(kernels_t *k, act_t *dy_, slice_t dgate, const act_t *dout_, const act_t *y_, slice_t gate,
                          int64_t B, int64_t L, int64_t D) {
    const float *dout = dout_, *y = y_;
    float *dy = dy_;
    int64_t n_pieces = row_pieces(L);
    float *partial = cpu_scratch(k, B * n_pieces * D);
    if (!partial) return;
#pragma omp parallel for schedule(static)
    for (int64_t task = 0; task < B * n_pieces; task++) {
        int64_t b = task / n_pieces, piece = task % n_pieces;
        float *sum = partial + task * D;
        memset(sum, 0, sizeof(float) * (size_t)D);
        for (int64_t r = b * L + piece * PIECE_ROWS; r < b * L + row_piece_end(piece, L); r++)
            gated_row_bwd(dy + r * D, sum, dout + r * D, y + r * D, slice_row(gate, b), D);
    }
    for (int64_t b = 0; b < B; b++) row_pieces_sum(slice_row(dgate, b), partial + b * n_pieces * D, n_pieces, D, D);
}

static void swiglu_fwd(kernels_t *k, act_t *h_, const act_t *uv_, int64_t R, int64_t M) {
    (void)k;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < R; r++) {
        const float *u = (const float *)uv_ + 2 * r * M, *v = u + M;
        float *h = (float *)h_ + r * M;
#pragma omp simd
        for (int64_t i = 0; i < M; i++) h[i] = u[i] * vec_sigmoid(u[i]) * v[i];
    }
}

static void swiglu_bwd(kernels_t *k, act_t *duv_, const act_t *dh_, const act_t *uv_, int64_t R, int64_t M) {
    (void)k;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < R; r++) {
        const float *u = (const float *)uv_ + 2 * r * M, *v = u + M, *dh = (const float *)dh_ + r * M;
        float *du = (float *)duv_ + 2 * r * M, *dv = du + M;
#pragma omp simd
        for (int64_t i = 0; i < M; i++) {
            float s = vec_sigmoid(u[i]);
            du[i] = dh[i] * v[i] * s * (1.0f + u[i] * (1.0f - s));
            dv[i] = dh[i] * u[i] * s;
        }
    }
}

static void silu_fwd(kernels_t *k, act_t *y_, const act_t *x_, int64_t n) {
    (void)k;
    const float *x = x_;
    float *y = y_;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * vec_sigmoid(x[i]);
}

static void silu_bwd(kernels_t *k, act_t *dx_, const act_t *dy_, const act_t *x_, int64_t n) {
    (void)k;
    const float *x = x_, *dy = dy_;
    float *dx = dx_;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) {
        float s = vec_sigmoid(x[i]);
        dx[i] = dy[i] * s * (1.0f + x[i] * (1.0f - s));
    }
}

static void timestep_fwd(kernels_t *k, act_t *emb_, const float *t, int64_t B, int64_t dim) {
    (void)k;
    int64_t half = dim / 2;
    for (int64_t b = 0; b < B; b++) {
        float *emb = (float *)emb_ + b * dim;
        for (int64_t i = 0; i < half; i++) {
            double a = 1000.0 * (double)t[b] * exp(-log(10000.0) * (double)i / (double)half);
            emb[i] = (float)cos(a);
            emb[half + i] = (float)sin(a);
        }
    }
}

static void embed_fwd(kernels_t *k, act_t *out_, const act_t *table, const int32_t *ids, int64_t R, int64_t n_ids,
                      int64_t E) {
    (void)k;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < R; r++) {
        float *out = (float *)out_ + r * E;
        memset(out, 0, sizeof(float) * (size_t)E);
        for (int64_t j = 0; j < n_ids; j++) {
            if (ids[r * n_ids + j] < 0) continue;
            const float *row = (const float *)table + (int64_t)ids[r * n_ids + j] * E;
            for (int64_t i = 0; i < E; i++) out[i] += row[i];
        }
    }
}

/* Threads share the columns, so that a row of the table is never written by two and sums keep their order. */
static void embed_bwd(kernels_t *k, float *dtable, const act_t *dout_, const int32_t *ids, int64_t R, int64_t n_ids,
                      int64_t E) {
    (void)k;
    enum { COLUMNS = 16 };
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < E; first += COLUMNS) {
        int64_t last = E < first + COLUMNS ? E : first + COLUMNS;
        for (int64_t r = 0; r < R; r++) {
            const float *dout = (const float *)dout_ + r * E;
            for (int64_t j = 0; j < n_ids; j++) {
                if (ids[r * n_ids + j] < 0) continue;
                float *row = dtable + (int64_t)ids[r * n_ids + j] * E;
                for (int64_t i = first; i < last; i++) row[i] += dout[i];
            }
        }
    }
}

void cpu_fill_elementwise(kernels_t *k) {
    k->gated_add_fwd = gated_add_fwd;
    k->gated_add_bwd = gated_add_bwd;
    k->swiglu_fwd = swiglu_fwd;
    k->swiglu_bwd = swiglu_bwd;
    k->silu_fwd = silu_fwd;
    k->silu_bwd = silu_bwd;
    k->timestep_fwd = timestep_fwd;
    k->embed_fwd = embed_fwd;
    k->embed_bwd = embed_bwd;
}
