/* Split of a joint projection into heads, with RMS norm and rotation of queries and keys, and back.
 *
 * A vector is K neighbours of qkv [B, L, 3, H, K]: one head of one token, of one part (q, k or v). LANES lanes of a
 * warp share one, each with chunks of C elements: 16 bytes where K is made of 8, 16 or 32 such chunks and all is
 * aligned (heads of 64, 128, 256 in bf16), else a pair. Rows are read once more from the L1 cache instead of being
 * held, so that one kernel does for every K. */
#include "kernels/cuda/cuda_kernels.cuh"

enum {
    QKV_THREADS = 256,
    QKV_PIECES = 512, /* at most so many partial sums of a weight's gradient */
    SUM_COLUMNS = 32,
    SUM_ROWS = 32
};

typedef struct {
    int64_t L, H, K, S, first;
    uint32_t n; /* B * L * H: vectors of a part */
    float eps;
} qkv_shape_t;

/* Where vector i of a part is in qkv, in [B, H, S, K], and its token's angles. */
typedef struct {
    int64_t qkv, head, rope;
} qkv_place_t;

__device__ inline qkv_place_t qkv_place(const qkv_shape_t &s, uint32_t i, int part) {
    uint32_t H = (uint32_t)s.H, L = (uint32_t)s.L, token = i / H, h = i % H, b = token / L, l = token % L;
    return {(((int64_t)token * 3 + part) * H + h) * s.K, (((int64_t)b * H + h) * s.S + s.first + l) * s.K, l * s.K};
}

template <typename T, int C> __device__ inline void chunk_load(float *x, const T *p) {
    if constexpr (C == vec_t<T>::N) {
        vec_t<T> v = vec_load(p);
#pragma unroll
        for (int j = 0; j < C; j++) x[j] = to_float(v.x[j]);
    } else {
#pragma unroll
        for (int j = 0; j < C; j++) x[j] = to_float(p[j]);
    }
}

template <typename T, int C> __device__ inline void chunk_store(T *p, const float *x) {
    if constexpr (C == vec_t<T>::N) {
        vec_t<T> v;
#pragma unroll
        for (int j = 0; j < C; j++) v.x[j] = from_float<T>(x[j]);
        vec_store(p, v);
    } else {
#pragma unroll
        for (int j = 0; j < C; j++) p[j] = from_float<T>(x[j]);
    }
}

/* Over the LANES lanes of a vector; all lanes of the warp call. */
template <int LANES> __device__ inline float lanes_sum(float x) {
#pragma unroll
    for (int bits = LANES / 2; bits > 0; bits /= 2) x += __shfl_xor_sync(WARP_ALL, x, bits);
    return x;
}

/* 1 / rms(x), x [K]; where `valid` is false, of nothing. */
template <typename T, int C, int LANES>
__device__ inline float inverse_rms(const T *x, int64_t K, float eps, bool valid) {
    float square = 0;
    for (int64_t i = threadIdx.x % LANES * C; valid && i < K; i += LANES * C) {
        float a[C];
        chunk_load<T, C>(a, x + i);
#pragma unroll
        for (int j = 0; j < C; j++) square += a[j] * a[j];
    }
    return 1.0f / sqrtf(lanes_sum<LANES>(square) / (float)K + eps);
}

/* out = rotate(x / rms(x) * w) for q and k, out = x for v. A grid of (vectors, 3 parts). Moves each element of qkv in
 * and out once, the least possible; w and the angles, which heads share, come from the caches. */
template <typename T, int C, int LANES>
__global__ void qkv_fwd_kernel(T *q, T *key, T *v, const T *qkv, const T *wq, const T *wk, const float *rope,
                               qkv_shape_t s) {
    int part = (int)blockIdx.y;
    uint32_t vector = blockIdx.x * (QKV_THREADS / LANES) + threadIdx.x / LANES;
    bool valid = vector < s.n;
    qkv_place_t at = qkv_place(s, valid ? vector : 0, part);
    const T *x = qkv + at.qkv, *w = part == 0 ? wq : wk;
    T *out = (part == 0 ? q : part == 1 ? key : v) + at.head;
    float scale = part == 2 ? 1.0f : inverse_rms<T, C, LANES>(x, s.K, s.eps, valid);
    for (int64_t i = threadIdx.x % LANES * C; valid && i < s.K; i += LANES * C) {
        float a[C], y[C];
        chunk_load<T, C>(a, x + i);
        if (part < 2) {
            chunk_load<T, C>(y, w + i);
#pragma unroll
            for (int j = 0; j < C; j += 2) {
                float a0 = a[j] * scale * y[j], a1 = a[j + 1] * scale * y[j + 1], c = rope[at.rope + i + j],
                      d = rope[at.rope + i + j + 1];
                a[j] = a0 * c - a1 * d;
                a[j + 1] = a0 * d + a1 * c;
            }
        }
        chunk_store<T, C>(out + i, a);
    }
}

/* The gradient before the rotation. */
template <typename T, int C> __device__ inline void unrotated(float *dn, const T *dout, const float *rope) {
    chunk_load<T, C>(dn, dout);
#pragma unroll
    for (int j = 0; j < C; j += 2) {
        float a = dn[j], b = dn[j + 1], c = rope[j], d = rope[j + 1];
        dn[j] = a * c + b * d;
        dn[j + 1] = b * c - a * d;
    }
}

/* One vector of q or k: dn = unrotated dout, n = x / rms(x); dx = (dn w - n mean(dn w n)) / rms(x); adds dn n to
 * `sums`, where a thread has every QKV_THREADS-th float to itself. */
template <typename T, int C, int LANES>
__device__ inline void vector_bwd(T *dx, float *sums, const T *dout, const T *x, const T *w, const float *rope,
                                  int64_t K, float eps, bool valid) {
    float scale = inverse_rms<T, C, LANES>(x, K, eps, valid), dot = 0;
    int64_t first = threadIdx.x % LANES * C;
    for (int64_t i = first; valid && i < K; i += LANES * C, sums += C * QKV_THREADS) {
        float dn[C], a[C], b[C];
        unrotated<T, C>(dn, dout + i, rope + i);
        chunk_load<T, C>(a, x + i);
        chunk_load<T, C>(b, w + i);
#pragma unroll
        for (int j = 0; j < C; j++) {
            float p = dn[j] * a[j] * scale;
            sums[j * QKV_THREADS] += p;
            dot += p * b[j];
        }
    }
    float mean = lanes_sum<LANES>(dot) / (float)K;
    for (int64_t i = first; valid && i < K; i += LANES * C) {
        float dn[C], a[C], b[C];
        unrotated<T, C>(dn, dout + i, rope + i);
        chunk_load<T, C>(a, x + i);
        chunk_load<T, C>(b, w + i);
#pragma unroll
        for (int j = 0; j < C; j++) a[j] = scale * (dn[j] * b[j] - a[j] * scale * mean);
        chunk_store<T, C>(dx + i, a);
    }
}

/* Floats of shared memory that a thread sums into: its elements of a vector. */
template <int C, int LANES> static inline __host__ __device__ int64_t thread_sums(int64_t K) {
    return (K + C * LANES - 1) / (C * LANES) * C;
}

/* A grid of (pieces, 3 parts), a piece being `rounds` vectors for each group of lanes. partial f32 [2, pieces, K]: a
 * piece's sums of dn n. Reads qkv and the gradient once (v: the gradient alone), writes dqkv once: the least possible;
 * partial sums are at most 2 * 512 * K floats more. */
template <typename T, int C, int LANES>
__global__ void qkv_bwd_kernel(T *dqkv, float *partial, const T *dq, const T *dk, const T *dv, const T *qkv,
                               const T *wq, const T *wk, const float *rope, qkv_shape_t s, uint32_t rounds) {
    SHARED_DYNAMIC(float, sums);
    const int GROUPS = QKV_THREADS / LANES, part = (int)blockIdx.y;
    const T *w = part == 0 ? wq : wk, *dout = part == 0 ? dq : part == 1 ? dk : dv;
    int64_t n_sums = thread_sums<C, LANES>(s.K);
    for (int64_t i = 0; i < n_sums; i++) sums[i * QKV_THREADS + threadIdx.x] = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t vector = (blockIdx.x * rounds + round) * GROUPS + threadIdx.x / LANES;
        bool valid = vector < s.n;
        qkv_place_t at = qkv_place(s, valid ? vector : 0, part);
        if (part < 2) {
            vector_bwd<T, C, LANES>(dqkv + at.qkv, sums + threadIdx.x, dout + at.head, qkv + at.qkv, w, rope + at.rope,
                                    s.K, s.eps, valid);
            continue;
        }
        for (int64_t i = threadIdx.x % LANES * C; valid && i < s.K; i += LANES * C) {
            float a[C];
            chunk_load<T, C>(a, dout + at.head + i);
            chunk_store<T, C>(dqkv + at.qkv + i, a);
        }
    }
    if (part == 2) return;
    __syncthreads();
    for (int64_t i = threadIdx.x; i < s.K; i += QKV_THREADS) {
        int64_t chunk = i / C, own = (chunk / LANES * C + i % C) * QKV_THREADS + chunk % LANES;
        float sum = 0;
        for (int g = 0; g < GROUPS; g++) sum += sums[own + g * LANES];
        partial[((int64_t)part * gridDim.x + blockIdx.x) * s.K + i] = sum;
    }
}

/* dw[K] += the sum of partial[n, K], one part a blockIdx.y, SUM_COLUMNS columns a block: SUM_ROWS threads a column,
 * each with every SUM_ROWS-th partial sum. */
__global__ void qkv_sum_kernel(float *dwq, float *dwk, const float *partial, int64_t n, int64_t K) {
    __shared__ float shared[SUM_ROWS][SUM_COLUMNS];
    float *dw = blockIdx.y == 0 ? dwq : dwk, sum = 0;
    int64_t i = (int64_t)blockIdx.x * SUM_COLUMNS + threadIdx.x;
    if (!dw) return; /* the whole block */
    for (int64_t p = threadIdx.y; i < K && p < n; p += SUM_ROWS) sum += partial[(blockIdx.y * n + p) * K + i];
    shared[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || i >= K) return;
    for (int row = 1; row < SUM_ROWS; row++) sum += shared[row][threadIdx.x];
    dw[i] += sum;
}

/* ---- rows ---- */

/* false, and the error is kept: there are more vectors than an index can count. */
static bool qkv_shape(kernels_t *k, qkv_shape_t *s, int64_t B) {
    int64_t n = B * s->L * s->H;
    s->n = (uint32_t)n;
    if (n <= INT32_MAX) return true;
    cuda_note_status(k, lens_fail(LENS_ARGUMENT, "qkv: at most %d heads of tokens, got %lld", INT32_MAX, (long long)n));
    return false;
}

template <typename T, int C, int LANES>
static void start_fwd(kernels_t *k, T *q, T *key, T *v, const T *qkv, const T *wq, const T *wk, const float *rope,
                      const qkv_shape_t &s) {
    dim3 grid(cuda_blocks(s.n, QKV_THREADS / LANES), 3);
    LAUNCH(k, (qkv_fwd_kernel<T, C, LANES>), grid, QKV_THREADS, 0, q, key, v, qkv, wq, wk, rope, s);
}

template <typename T, int C, int LANES>
static void start_bwd(kernels_t *k, T *dqkv, float *dwq, float *dwk, const T *dq, const T *dk, const T *dv,
                      const T *qkv, const T *wq, const T *wk, const float *rope, const qkv_shape_t &s) {
    const int64_t GROUPS = QKV_THREADS / LANES;
    uint32_t rounds = cuda_blocks(s.n, GROUPS * QKV_PIECES);
    if (!rounds) return;
    unsigned pieces = cuda_blocks(s.n, GROUPS * rounds);
    float *partial = cuda_scratch(k, 2 * (int64_t)pieces * s.K);
    if (!partial) return;
    size_t shared = sizeof(float) * QKV_THREADS * (size_t)thread_sums<C, LANES>(s.K);
    LAUNCH(k, (qkv_bwd_kernel<T, C, LANES>), dim3(pieces, 3), QKV_THREADS, shared, dqkv, partial, dq, dk, dv, qkv, wq,
           wk, rope, s, rounds);
    LAUNCH(k, qkv_sum_kernel, dim3(cuda_blocks(s.K, SUM_COLUMNS), 2), dim3(SUM_COLUMNS, SUM_ROWS), 0, dwq, dwk, partial,
           (int64_t)pieces, s.K);
}

/* start<T, C, LANES>(arguments) for K, and for how the tensors lie. */
#define QKV_START(start, T, K, aligned, ...)                                                                           \
    do {                                                                                                               \
        const int N_ = vec_t<T>::N;                                                                                    \
        if ((aligned) && (K) == 8 * N_)                                                                                \
            start<T, N_, 8>(__VA_ARGS__);                                                                              \
        else if ((aligned) && (K) == 16 * N_)                                                                          \
            start<T, N_, 16>(__VA_ARGS__);                                                                             \
        else if ((aligned) && (K) == 32 * N_)                                                                          \
            start<T, N_, 32>(__VA_ARGS__);                                                                             \
        else                                                                                                           \
            start<T, 2, WARP>(__VA_ARGS__);                                                                            \
    } while (0)

template <typename T>
static void qkv_fwd(kernels_t *k, act_t *q, act_t *key, act_t *v, const act_t *qkv, const act_t *wq, const act_t *wk,
                    const float *rope, int64_t B, int64_t L, int64_t H, int64_t K, int64_t S, int64_t first,
                    float eps) {
    qkv_shape_t s = {L, H, K, S, first, 0, eps};
    bool aligned =
        vec_aligned(q) && vec_aligned(key) && vec_aligned(v) && vec_aligned(qkv) && vec_aligned(wq) && vec_aligned(wk);
    if (!qkv_shape(k, &s, B)) return;
    QKV_START(start_fwd, T, K, aligned, k, (T *)q, (T *)key, (T *)v, (const T *)qkv, (const T *)wq, (const T *)wk, rope,
              s);
}

template <typename T>
static void qkv_bwd(kernels_t *k, act_t *dqkv, float *dwq, float *dwk, const act_t *dq, const act_t *dk,
                    const act_t *dv, const act_t *qkv, const act_t *wq, const act_t *wk, const float *rope, int64_t B,
                    int64_t L, int64_t H, int64_t K, int64_t S, int64_t first, float eps) {
    qkv_shape_t s = {L, H, K, S, first, 0, eps};
    bool aligned = vec_aligned(dqkv) && vec_aligned(dq) && vec_aligned(dk) && vec_aligned(dv) && vec_aligned(qkv) &&
                   vec_aligned(wq) && vec_aligned(wk);
    if (!qkv_shape(k, &s, B)) return;
    QKV_START(start_bwd, T, K, aligned, k, (T *)dqkv, dwq, dwk, (const T *)dq, (const T *)dk, (const T *)dv,
              (const T *)qkv, (const T *)wq, (const T *)wk, rope, s);
}

void cuda_fill_qkv(kernels_t *k, bool f32) {
    k->qkv_fwd = f32 ? qkv_fwd<float> : qkv_fwd<__nv_bfloat16>;
    k->qkv_bwd = f32 ? qkv_bwd<float> : qkv_bwd<__nv_bfloat16>;
}
