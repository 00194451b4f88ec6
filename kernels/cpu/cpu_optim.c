/* The optimiser over flat buffers. */
#include <math.h>

#include "kernels/cpu/cpu_kernels.h"

/* Sums of fixed pieces, added in order: the result does not depend on the number of threads. */
static void sum_squares(kernels_t *k, double *out, const float *x, int64_t n) {
    enum { PIECES = 64 };
    (void)k;
    double part[PIECES] = {0};
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < PIECES; p++) {
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = n * p / PIECES; i < n * (p + 1) / PIECES; i++) sum += (double)x[i] * (double)x[i];
        part[p] = sum;
    }
    for (int p = 0; p < PIECES; p++) *out += part[p];
}

static void clip_scale(kernels_t *k, float *scale, const double *sum_sq, double max_norm) {
    (void)k;
    double norm = sqrt(*sum_sq);
    *scale = max_norm > 0 && norm > max_norm ? (float)(max_norm / norm) : 1.0f;
}

static void adamw(kernels_t *k, float *master, act_t *weights, float *m, float *v, const float *g, const float *scale,
                  int64_t n, const adamw_t *o) {
    (void)k;
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
}

static void ema(kernels_t *k, float *average, const float *master, int64_t n, float decay) {
    (void)k;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) average[i] += (1.0f - decay) * (master[i] - average[i]);
}

void cpu_fill_optim(kernels_t *k) {
    k->sum_squares = sum_squares;
    k->clip_scale = clip_scale;
    k->adamw = adamw;
    k->ema = ema;
}
