/* RMS and layer norms, with and without modulation.
 *
 * Backward: with xh = x * rstd and g = dy * (1 + scale) * w,  dx = rstd * (g - xh * mean(g * xh)),
 * dshift = sum_l dy, dscale = w * P and dw = sum_b (1 + scale_b) * P_b where P_b = sum_l dy * xh. A piece of a sample's
 * rows is one task; P_b stays in dscale until the sum over b. The order of every sum is fixed. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/row_pieces.h"
#include "kernels/cpu/vec_math.h"

static float *slice_row(slice_t s, int64_t row) {
    return (float *)s.data + row * s.stride + s.column;
}

static void rms_mod_fwd(kernels_t *k, act_t *y_, float *rstd, const act_t *x_, const act_t *w_, slice_t shift,
                        slice_t scale, int64_t B, int64_t L, int64_t D, float eps) {
    (void)k;
    const float *w = w_;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < B * L; r++) {
        const float *x = (const float *)x_ + r * D, *add = slice_row(shift, r / L), *mul = slice_row(scale, r / L);
        float *y = (float *)y_ + r * D, s = vec_inverse_rms(x, D, eps);
        rstd[r] = s;
#pragma omp simd
        for (int64_t i = 0; i < D; i++) y[i] = x[i] * s * w[i] * (1.0f + mul[i]) + add[i];
    }
}

/* One row: adds to dx, to sum_dy and to sum_dy_xh. */
static void rms_row_bwd(float *restrict dx, float *restrict sum_dy, float *restrict sum_dy_xh, const float *restrict dy,
                        const float *restrict x, const float *restrict w, const float *restrict mul, float s,
                        int64_t D) {
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t i = 0; i < D; i++) {
        float p = dy[i] * x[i] * s;
        dot += p * (1.0f + mul[i]) * w[i];
        sum_dy[i] += dy[i];
        sum_dy_xh[i] += p;
    }
    float mean = dot / (float)D;
#pragma omp simd
    for (int64_t i = 0; i < D; i++) dx[i] += s * (dy[i] * (1.0f + mul[i]) * w[i] - x[i] * s * mean);
}

/* dshift = sum dy, dscale = sum dy * xh of each sample, from partial [B, n_pieces, 2, D]. */
static void sum_samples(slice_t dshift, slice_t dscale, const float *partial, int64_t B, int64_t n_pieces, int64_t D) {
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < B; b++) {
        const float *first = partial + b * n_pieces * 2 * D;
        row_pieces_sum(slice_row(dshift, b), first, n_pieces, 2 * D, D);
        row_pieces_sum(slice_row(dscale, b), first + D, n_pieces, 2 * D, D);
    }
}

static void rms_mod_bwd(kernels_t *k, act_t *dx_, float *dw, slice_t dshift, slice_t dscale, const act_t *dy_,
                        const act_t *x_, const float *rstd, const act_t *w_, slice_t scale, int64_t B, int64_t L,
                        int64_t D) {
    const float *w = w_, *dy = dy_, *x = x_;
    float *dx = dx_;
    int64_t n_pieces = row_pieces(L);
    float *partial = cpu_scratch(k, B * n_pieces * 2 * D);
    if (!partial) return;
#pragma omp parallel for schedule(static)
    for (int64_t task = 0; task < B * n_pieces; task++) {
        int64_t b = task / n_pieces, piece = task % n_pieces;
        float *sums = partial + task * 2 * D;
        memset(sums, 0, sizeof(float) * (size_t)(2 * D));
        for (int64_t r = b * L + piece * PIECE_ROWS; r < b * L + row_piece_end(piece, L); r++)
            rms_row_bwd(dx + r * D, sums, sums + D, dy + r * D, x + r * D, w, slice_row(scale, b), rstd[r], D);
    }
    sum_samples(dshift, dscale, partial, B, n_pieces, D);
    for (int64_t b = 0; b < B; b++) {
        float *p = slice_row(dscale, b), *mul = slice_row(scale, b);
        for (int64_t i = 0; i < D; i++) {
            if (dw) dw[i] += (1.0f + mul[i]) * p[i];
            p[i] *= w[i];
        }
    }
}

static void layer_mod_fwd(kernels_t *k, act_t *y_, float *stats, const act_t *x_, slice_t shift, slice_t scale,
                          int64_t B, int64_t L, int64_t D, float eps) {
    (void)k;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < B * L; r++) {
        const float *x = (const float *)x_ + r * D, *add = slice_row(shift, r / L), *mul = slice_row(scale, r / L);
        float *y = (float *)y_ + r * D, sum = 0, square = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < D; i++) sum += x[i];
        float mean = sum / (float)D;
#pragma omp simd reduction(+ : square)
        for (int64_t i = 0; i < D; i++) square += (x[i] - mean) * (x[i] - mean);
        float s = 1.0f / sqrtf(square / (float)D + eps);
        stats[2 * r] = mean;
        stats[2 * r + 1] = s;
#pragma omp simd
        for (int64_t i = 0; i < D; i++) y[i] = (x[i] - mean) * s * (1.0f + mul[i]) + add[i];
    }
}

static void layer_row_bwd(float *restrict dx, float *restrict sum_dy, float *restrict sum_dy_xh,
                          const float *restrict dy, const float *restrict x, const float *restrict mul, float mean,
                          float s, int64_t D) {
    float sum_g = 0, dot = 0;
#pragma omp simd reduction(+ : sum_g, dot)
    for (int64_t i = 0; i < D; i++) {
        float xh = (x[i] - mean) * s, g = dy[i] * (1.0f + mul[i]);
        sum_g += g;
        dot += g * xh;
        sum_dy[i] += dy[i];
        sum_dy_xh[i] += dy[i] * xh;
    }
    float mean_g = sum_g / (float)D, mean_dot = dot / (float)D;
#pragma omp simd
    for (int64_t i = 0; i < D; i++) dx[i] = s * (dy[i] * (1.0f + mul[i]) - mean_g - (x[i] - mean) * s * mean_dot);
}

static void layer_mod_bwd(kernels_t *k, act_t *dx_, slice_t dshift, slice_t dscale, const act_t *dy_, const act_t *x_,
                          const float *stats, slice_t scale, int64_t B, int64_t L, int64_t D) {
    const float *dy = dy_, *x = x_;
    float *dx = dx_;
    int64_t n_pieces = row_pieces(L);
    float *partial = cpu_scratch(k, B * n_pieces * 2 * D);
    if (!partial) return;
#pragma omp parallel for schedule(static)
    for (int64_t task = 0; task < B * n_pieces; task++) {
        int64_t b = task / n_pieces, piece = task % n_pieces;
        float *sums = partial + task * 2 * D;
        memset(sums, 0, sizeof(float) * (size_t)(2 * D));
        for (int64_t r = b * L + piece * PIECE_ROWS; r < b * L + row_piece_end(piece, L); r++)
            layer_row_bwd(dx + r * D, sums, sums + D, dy + r * D, x + r * D, slice_row(scale, b), stats[2 * r],
                          stats[2 * r + 1], D);
    }
    sum_samples(dshift, dscale, partial, B, n_pieces, D);
}

static void rms_fwd(kernels_t *k, slice_t y_, float *rstd, const act_t *x_, const act_t *w_, int64_t R, int64_t D,
                    float eps) {
    (void)k;
    const float *w = w_;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < R; r++) {
        const float *x = (const float *)x_ + r * D;
        float *y = slice_row(y_, r), s = vec_inverse_rms(x, D, eps);
        rstd[r] = s;
#pragma omp simd
        for (int64_t i = 0; i < D; i++) y[i] = x[i] * s * w[i];
    }
}

static void rms_row_dx(float *dx, const float *dy, const float *x, const float *w, float s, int64_t D) {
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t i = 0; i < D; i++) dot += dy[i] * w[i] * x[i] * s;
    float mean = dot / (float)D;
#pragma omp simd
    for (int64_t i = 0; i < D; i++) dx[i] = s * (dy[i] * w[i] - x[i] * s * mean);
}

static void rms_bwd(kernels_t *k, act_t *dx, float *dw, slice_t dy_, const act_t *x_, const float *rstd, const act_t *w,
                    int64_t R, int64_t D) {
    (void)k;
    const float *x = x_;
    enum { COLUMNS = 64 };
    if (dx) {
#pragma omp parallel for schedule(static)
        for (int64_t r = 0; r < R; r++) rms_row_dx((float *)dx + r * D, slice_row(dy_, r), x + r * D, w, rstd[r], D);
    }
    if (!dw) return;
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < D; first += COLUMNS) {
        int64_t n = D - first < COLUMNS ? D - first : COLUMNS;
        for (int64_t r = 0; r < R; r++) {
            const float *dy = slice_row(dy_, r) + first;
            for (int64_t i = 0; i < n; i++) dw[first + i] += dy[i] * x[r * D + first + i] * rstd[r];
        }
    }
}

void cpu_fill_norm(kernels_t *k) {
    k->rms_mod_fwd = rms_mod_fwd;
    k->rms_mod_bwd = rms_mod_bwd;
    k->layer_mod_fwd = layer_mod_fwd;
    k->layer_mod_bwd = layer_mod_bwd;
    k->rms_fwd = rms_fwd;
    k->rms_bwd = rms_bwd;
}
