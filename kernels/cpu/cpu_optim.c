/* The optimiser over flat buffers. */
#include <math.h>

#include "kernels/cpu/cpu_kernels.h"

/* Sums of fixed pieces, added in order: the result does not depend on the number of threads. */
static double add_squares(double total, const float *x, int64_t n) {
    enum { PIECES = 64 };
    double part[PIECES] = {0};
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < PIECES; p++) {
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = n * p / PIECES; i < n * (p + 1) / PIECES; i++) sum += (double)x[i] * (double)x[i];
        part[p] = sum;
    }
    for (int p = 0; p < PIECES; p++) total += part[p];
    return total;
}

static void sum_squares(kernels_t *k, double *out, const float *x, int64_t n) {
    (void)k;
    *out = add_squares(*out, x, n);
}

static void clip_scale(kernels_t *k, float *scale, const double *sum_sq, double max_norm) {
    (void)k;
    double norm = sqrt(*sum_sq);
    *scale = max_norm > 0 && norm > max_norm ? (float)(max_norm / norm) : 1.0f;
}

static void ema(kernels_t *k, float *average, const float *master, int64_t n, float decay) {
    (void)k;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) average[i] += (1.0f - decay) * (master[i] - average[i]);
}

static void adamw(kernels_t *k, float *master, act_t *weights, float *m, float *v, const float *g, const float *scale,
                  int64_t n, const adamw_t *o) {
    float c1 = (float)(1.0 / (1.0 - pow(o->beta1, (double)o->step))),
          c2 = (float)(1.0 / (1.0 - pow(o->beta2, (double)o->step)));
    float keep = 1.0f - o->lr * o->weight_decay, b1 = o->beta1, b2 = o->beta2, lr = o->lr, eps = o->eps, s = *scale;
    float *w = weights;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) {
        float grad = g[i] * s;
        m[i] = b1 * m[i] + (1.0f - b1) * grad;
        v[i] = b2 * v[i] + (1.0f - b2) * grad * grad;
        master[i] = master[i] * keep - lr * (m[i] * c1) / (sqrtf(v[i] * c2) + eps);
        w[i] = master[i]; /* the same memory on the CPU */
    }
    if (o->average) ema(k, o->average, master, n, o->average_decay);
}

static void nesterov(kernels_t *k, act_t *u_, float *m, const float *g, const float *scale, float momentum, int64_t n) {
    (void)k;
    float *u = u_, s = *scale;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) {
        float grad = g[i] * s;
        m[i] = momentum * m[i] + grad;
        u[i] = momentum * m[i] + grad;
    }
}

static void normalize(kernels_t *k, act_t *y_, const act_t *x_, int64_t n) {
    (void)k;
    float *y = y_;
    const float *x = x_;
    double sum = add_squares(0, x, n);
    float over = sum > 0 ? (float)(1.0 / sqrt(sum)) : 0.0f;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * over;
}

static void polynomial(kernels_t *k, act_t *x_, const act_t *s_, float a, float b, float c, int64_t n) {
    (void)k;
    float *x = x_;
    const float *s = s_;
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < n; row++) {
        float *x_row = x + row * n;
        const float *s_row = s + row * n;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) x_row[i] = b * s_row[i] + c * x_row[i];
        x_row[row] += a;
    }
}

static void decay_step(kernels_t *k, float *master, act_t *weights, const act_t *u_, float keep, float step,
                       int64_t n) {
    (void)k;
    float *w = weights;
    const float *u = u_;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) {
        master[i] = keep * master[i] - step * u[i];
        w[i] = master[i]; /* may be the same memory */
    }
}

void cpu_fill_optim(kernels_t *k) {
    k->sum_squares = sum_squares;
    k->clip_scale = clip_scale;
    k->adamw = adamw;
    k->ema = ema;
    k->nesterov = nesterov;
    k->normalize = normalize;
    k->polynomial = polynomial;
    k->decay_step = decay_step;
}
