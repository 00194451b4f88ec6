/* The optimiser over flat buffers. All of it is bound by memory: each kernel reads and writes every element once, which
 * is the least possible, and has 256 threads of 8 elements a block, so that a bf16 chunk is one 16-byte access and a
 * float chunk two. */
#include "kernels/cuda/cuda_chunk.cuh"

/* ---- sums of squares: double partial sums in scratch, a fixed number of blocks, then one block over them ---- */

enum { SUM_BLOCKS = 1024 };

/* partial[block] = sum of x^2 over the block's chunks, a grid apart. Reads n elements. */
template <typename T> __global__ void square_partials_kernel(double *partial, const T *x, int64_t n, bool aligned) {
    __shared__ double shared[CHUNK_THREADS / WARP];
    double sum = 0;
    for (int64_t i = chunk_begin(); i < n; i += (int64_t)gridDim.x * CHUNK_BLOCK) {
        float v[CHUNK];
        chunk_load(v, x, i, n, aligned);
#pragma unroll
        for (int j = 0; j < CHUNK; j++) sum += (double)v[j] * (double)v[j];
    }
    sum = block_sum<CHUNK_THREADS>(sum, shared);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

/* *out = before + weight * sum of the partials: one block. before is *out itself where `adds`, else 0. */
__global__ void sum_partials_kernel(double *out, const double *partial, int n, double weight, bool adds) {
    __shared__ double shared[CHUNK_THREADS / WARP];
    double sum = 0;
    for (int i = (int)threadIdx.x; i < n; i += CHUNK_THREADS) sum += partial[i];
    sum = block_sum<CHUNK_THREADS>(sum, shared);
    if (threadIdx.x == 0) *out = (adds ? *out : 0) + weight * sum;
}

/* SUM_BLOCKS partial sums and one result; NULL where there is no memory. */
static double *sum_scratch(kernels_t *k) {
    return (double *)cuda_scratch(k, (SUM_BLOCKS + 1) * 2);
}

template <typename T>
static void sum_into(kernels_t *k, double *out, double *partial, const T *x, int64_t n, bool adds) {
    unsigned blocks = chunk_blocks_at_most(n, SUM_BLOCKS);
    LAUNCH(k, (square_partials_kernel<T>), blocks, CHUNK_THREADS, 0, partial, x, n, vec_aligned(x));
    LAUNCH(k, sum_partials_kernel, 1, CHUNK_THREADS, 0, out, partial, (int)blocks, 1.0, adds);
}

static void sum_squares(kernels_t *k, double *out, const float *x, int64_t n) {
    double *partial = sum_scratch(k);
    if (partial) sum_into(k, out, partial, x, n, true);
}

static void sum_losses(kernels_t *k, double *out, const double *loss, double weight, int64_t n) {
    LAUNCH(k, sum_partials_kernel, 1, CHUNK_THREADS, 0, out, loss, (int)n, weight, true);
}

/* ---- the verdict: one thread, as nothing here is work ---- */

__global__ void judge_kernel(step_gate_t *gate, const double *sums, step_rule_t rule) {
    step_gate_judge(gate, sums[0], sums[1], &rule);
}

static void judge(kernels_t *k, step_gate_t *gate, const double *sums, const step_rule_t *rule) {
    LAUNCH(k, judge_kernel, 1, 1, 0, gate, sums, *rule);
}

/* ---- AdamW ---- */

typedef struct {
    float lr, beta1, beta2, eps, keep; /* keep = 1 - lr decay */
} adamw_step_t;

/* g' = scale g, m = b1 m + (1 - b1) g', v = b2 v + (1 - b2) g'^2, master = keep master - lr c1 m / (sqrt(c2 v) + eps).
 * Moves 28 bytes an element and the weight's own, which may be the master itself in float. */
template <typename T>
__global__ void adamw_kernel(float *master, T *weights, float *m, float *v, const float *g, const step_gate_t *gate,
                             int64_t n, adamw_step_t o, bool aligned) {
    int64_t i = chunk_begin();
    if (i >= n || gate->verdict != STEP_TAKEN) return;
    float x[CHUNK], mean[CHUNK], square[CHUNK], grad[CHUNK];
    float s = gate->scale, c1 = gate->correction1, c2 = gate->correction2;
    chunk_load(x, master, i, n, aligned);
    chunk_load(mean, m, i, n, aligned);
    chunk_load(square, v, i, n, aligned);
    chunk_load(grad, g, i, n, aligned);
#pragma unroll
    for (int j = 0; j < CHUNK; j++) {
        float d = grad[j] * s;
        mean[j] = o.beta1 * mean[j] + (1.0f - o.beta1) * d;
        square[j] = o.beta2 * square[j] + (1.0f - o.beta2) * d * d;
        x[j] = x[j] * o.keep - o.lr * (mean[j] * c1) / (sqrtf(square[j] * c2) + o.eps);
    }
    chunk_store(m, mean, i, n, aligned);
    chunk_store(v, square, i, n, aligned);
    chunk_store(master, x, i, n, aligned);
    chunk_store(weights, x, i, n, aligned);
}

template <typename T>
static void adamw(kernels_t *k, float *master, act_t *weights, float *m, float *v, const float *g,
                  const step_gate_t *gate, int64_t n, const adamw_t *o) {
    adamw_step_t step = {o->lr, o->beta1, o->beta2, o->eps, 1.0f - o->lr * o->weight_decay};
    bool aligned = vec_aligned(master) && vec_aligned(weights) && vec_aligned(m) && vec_aligned(v) && vec_aligned(g);
    LAUNCH(k, (adamw_kernel<T>), chunk_blocks(n), CHUNK_THREADS, 0, master, (T *)weights, m, v, g, gate, n, step,
           aligned);
}

/* average += (1 - d) (master - average): 12 bytes an element. */
__global__ void ema_kernel(float *average, const float *master, const step_gate_t *gate, int64_t n, double decay,
                           bool aligned) {
    int64_t i = chunk_begin();
    if (i >= n || gate->verdict != STEP_TAKEN) return;
    float a[CHUNK], x[CHUNK], d = (float)(decay < gate->ramp ? decay : gate->ramp);
    chunk_load(a, average, i, n, aligned);
    chunk_load(x, master, i, n, aligned);
#pragma unroll
    for (int j = 0; j < CHUNK; j++) a[j] += (1.0f - d) * (x[j] - a[j]);
    chunk_store(average, a, i, n, aligned);
}

static void ema(kernels_t *k, float *average, const float *master, const step_gate_t *gate, int64_t n, double decay) {
    LAUNCH(k, ema_kernel, chunk_blocks(n), CHUNK_THREADS, 0, average, master, gate, n, decay,
           vec_aligned(average) && vec_aligned(master));
}

/* ---- Muon's ---- */

/* g' = scale g, m = momentum m + g', u = momentum m + g': 12 bytes an element and u's. */
template <typename T>
__global__ void nesterov_kernel(T *u, float *m, const float *g, const step_gate_t *gate, float momentum, int64_t n,
                                bool aligned) {
    int64_t i = chunk_begin();
    if (i >= n || gate->verdict != STEP_TAKEN) return;
    float mean[CHUNK], grad[CHUNK], s = gate->scale;
    chunk_load(mean, m, i, n, aligned);
    chunk_load(grad, g, i, n, aligned);
#pragma unroll
    for (int j = 0; j < CHUNK; j++) {
        float d = grad[j] * s;
        mean[j] = momentum * mean[j] + d;
        grad[j] = momentum * mean[j] + d;
    }
    chunk_store(m, mean, i, n, aligned);
    chunk_store(u, grad, i, n, aligned);
}

template <typename T>
static void nesterov(kernels_t *k, act_t *u, float *m, const float *g, const step_gate_t *gate, float momentum,
                     int64_t n) {
    LAUNCH(k, (nesterov_kernel<T>), chunk_blocks(n), CHUNK_THREADS, 0, (T *)u, m, g, gate, momentum, n,
           vec_aligned(u) && vec_aligned(m) && vec_aligned(g));
}

/* y = x / sqrt(sum), 0 where the sum is; y may be x. */
template <typename T> __global__ void normalize_kernel(T *y, const T *x, const double *sum, int64_t n, bool aligned) {
    int64_t i = chunk_begin();
    if (i >= n) return;
    float v[CHUNK], over = *sum > 0 ? (float)(1.0 / sqrt(*sum)) : 0.0f;
    chunk_load(v, x, i, n, aligned);
#pragma unroll
    for (int j = 0; j < CHUNK; j++) v[j] *= over;
    chunk_store(y, v, i, n, aligned);
}

template <typename T> static void normalize(kernels_t *k, act_t *y, const act_t *x, int64_t n) {
    double *partial = sum_scratch(k);
    if (!partial) return;
    sum_into(k, partial + SUM_BLOCKS, partial, (const T *)x, n, false);
    LAUNCH(k, (normalize_kernel<T>), chunk_blocks(n), CHUNK_THREADS, 0, (T *)y, (const T *)x, partial + SUM_BLOCKS, n,
           vec_aligned(y) && vec_aligned(x));
}

/* x = a I + b s + c x, [n, n] as n^2 elements, of which every (n+1)th is on the diagonal: 3 act an element. */
template <typename T>
__global__ void polynomial_kernel(T *x, const T *s, float a, float b, float c, int64_t n, bool aligned) {
    int64_t i = chunk_begin(), all = n * n;
    if (i >= all) return;
    float v[CHUNK], w[CHUNK];
    chunk_load(v, x, i, all, aligned);
    chunk_load(w, s, i, all, aligned);
    int64_t past = i % (n + 1); /* elements since the diagonal's last */
#pragma unroll
    for (int j = 0; j < CHUNK; j++) {
        v[j] = b * w[j] + c * v[j] + (past == 0 ? a : 0.0f);
        past = past == n ? 0 : past + 1;
    }
    chunk_store(x, v, i, all, aligned);
}

template <typename T>
static void polynomial(kernels_t *k, act_t *x, const act_t *s, float a, float b, float c, int64_t n) {
    LAUNCH(k, (polynomial_kernel<T>), chunk_blocks(n * n), CHUNK_THREADS, 0, (T *)x, (const T *)s, a, b, c, n,
           vec_aligned(x) && vec_aligned(s));
}

/* master = keep master - step u, and the weights: 8 bytes an element and two act. */
template <typename T>
__global__ void decay_step_kernel(float *master, T *weights, const T *u, const step_gate_t *gate, float keep,
                                  float step, int64_t n, bool aligned) {
    int64_t i = chunk_begin();
    if (i >= n || gate->verdict != STEP_TAKEN) return;
    float x[CHUNK], v[CHUNK];
    chunk_load(x, master, i, n, aligned);
    chunk_load(v, u, i, n, aligned);
#pragma unroll
    for (int j = 0; j < CHUNK; j++) x[j] = keep * x[j] - step * v[j];
    chunk_store(master, x, i, n, aligned);
    chunk_store(weights, x, i, n, aligned);
}

template <typename T>
static void decay_step(kernels_t *k, float *master, act_t *weights, const act_t *u, const step_gate_t *gate, float keep,
                       float step, int64_t n) {
    LAUNCH(k, (decay_step_kernel<T>), chunk_blocks(n), CHUNK_THREADS, 0, master, (T *)weights, (const T *)u, gate, keep,
           step, n, vec_aligned(master) && vec_aligned(weights) && vec_aligned(u));
}

template <typename T> static void fill_act(kernels_t *k) {
    k->adamw = adamw<T>;
    k->nesterov = nesterov<T>;
    k->normalize = normalize<T>;
    k->polynomial = polynomial<T>;
    k->decay_step = decay_step<T>;
}

void cuda_fill_optim(kernels_t *k, bool f32) {
    k->sum_squares = sum_squares;
    k->sum_losses = sum_losses;
    k->judge = judge;
    k->ema = ema;
    if (f32)
        fill_act<float>(k);
    else
        fill_act<__nv_bfloat16>(k);
}
