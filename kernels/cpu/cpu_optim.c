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

static void sum_losses(kernels_t *k, double *out, const double *loss, double weight, int64_t n) {
    (void)k;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += loss[i];
    *out += weight * sum;
}

static void judge(kernels_t *k, step_gate_t *gate, const double *sums, const step_rule_t *rule) {
    (void)k;
    step_gate_judge(gate, sums[0], sums[1], rule);
}

static void adamw(kernels_t *k, float *master, act_t *weights, float *m, float *v, const float *g,
                  const step_gate_t *gate, int64_t n, const adamw_t *o) {
    (void)k;
    if (gate->verdict != STEP_TAKEN) return;
    float c1 = gate->correction1, c2 = gate->correction2, s = gate->scale;
    float keep = 1.0f - o->lr * o->weight_decay, b1 = o->beta1, b2 = o->beta2, lr = o->lr, eps = o->eps;
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

static void ema(kernels_t *k, float *average, const float *master, const step_gate_t *gate, int64_t n, double decay) {
    (void)k;
    if (gate->verdict != STEP_TAKEN) return;
    float d = (float)(decay < gate->ramp ? decay : gate->ramp);
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) average[i] += (1.0f - d) * (master[i] - average[i]);
}

static void nesterov(kernels_t *k, act_t *u_, float *m, const float *g, const step_gate_t *gate, float momentum,
                     int64_t n) {
    (void)k;
    if (gate->verdict != STEP_TAKEN) return;
    float *u = u_, s = gate->scale;
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

static void decay_step(kernels_t *k, float *master, act_t *weights, const act_t *u_, const step_gate_t *gate,
                       float keep, float step, int64_t n) {
    (void)k;
    if (gate->verdict != STEP_TAKEN) return;
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
    k->sum_losses = sum_losses;
    k->judge = judge;
    k->adamw = adamw;
    k->ema = ema;
    k->nesterov = nesterov;
    k->normalize = normalize;
    k->polynomial = polynomial;
    k->decay_step = decay_step;
}
