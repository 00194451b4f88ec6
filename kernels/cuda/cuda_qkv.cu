/* Split of a joint projection into heads, with RMS norm and rotation of queries and keys, and back.
 *
 * A vector is K neighbours of qkv [B, L, 3, H, K]: one head of one token, of one part (q, k or v). LANES lanes of a
 * warp share the three of a head, each with CHUNKS chunks of C elements of each: one of 16 bytes where K is made of 8,
 * 16 or 32 such chunks and all is aligned (heads of 64, 128, 256 in bf16), else pairs. All that a thread reads, it asks
 * for before it uses the first: 48 bytes forward, 80 backward. */
#include "kernels/cuda/cuda_kernels.cuh"

enum {
    QKV_THREADS = 256,
    QKV_PIECES = 512, /* at most so many partial sums of a weight's gradient */
    PAIR_CHUNKS = 4,
    QKV_MOST_K = 2 * WARP * PAIR_CHUNKS,
    SUM_COLUMNS = 32,
    SUM_ROWS = 32
};

typedef struct {
    int64_t L, H, K, S, first;
    uint32_t n; /* B * L * H: vectors of a part */
    float eps;
} qkv_shape_t;

/* Where vector i of q is in qkv, of each part in [B, H, S, K], and its token's angles. */
typedef struct {
    int64_t qkv, head, rope;
} qkv_place_t;

__device__ inline qkv_place_t qkv_place(const qkv_shape_t &s, uint32_t i) {
    uint32_t H = (uint32_t)s.H, L = (uint32_t)s.L, token = i / H, h = i % H, b = token / L, l = token % L;
    return {((int64_t)token * 3 * H + h) * s.K, (((int64_t)b * H + h) * s.S + s.first + l) * s.K, l * s.K};
}

template <typename T, int C> struct alignas(C == vec_t<T>::N ? 16 : sizeof(T)) raw_t { T x[C]; };

/* The thread's chunks of a vector; zeros behind its end. */
template <typename T, int C, int LANES, int CHUNKS> struct chunks_t {
    raw_t<T, C> at[CHUNKS];

    static __device__ int64_t column(int c) { return ((int64_t)c * LANES + threadIdx.x % LANES) * C; }
    /* Chunks of 16 bytes share K out to the last element. */
    static __device__ bool holds(int c, int64_t K) { return C == vec_t<T>::N || column(c) < K; }

    __device__ void load(const T *p, int64_t K) {
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            if (holds(c, K)) {
                at[c] = *reinterpret_cast<const raw_t<T, C> *>(p + column(c));
                continue;
            }
#pragma unroll
            for (int j = 0; j < C; j++) at[c].x[j] = from_float<T>(0);
        }
    }
    __device__ void store(T *p, int64_t K) const {
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
            if (holds(c, K)) *reinterpret_cast<raw_t<T, C> *>(p + column(c)) = at[c];
    }
};

/* Cosines and sines of the same elements, by pairs. */
template <typename T, int C, int LANES, int CHUNKS> struct angles_t {
    float at[CHUNKS][C];

    __device__ void load(const float *p, int64_t K) {
        typedef chunks_t<T, C, LANES, CHUNKS> chunks;
        enum { N = C == vec_t<T>::N ? vec_t<float>::N : 1 };
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
#pragma unroll
            for (int j = 0; j < C; j += N) {
                const float *from = p + chunks::column(c) + j;
                vec_t<float> v = {};
                if (N > 1)
                    v = vec_load(from);
                else if (chunks::holds(c, K))
                    v.x[0] = *from;
#pragma unroll
                for (int e = 0; e < N; e++) at[c][j + e] = v.x[e];
            }
    }
};

/* Over the LANES lanes of a vector; all lanes of the warp call. */
template <int LANES> __device__ inline float lanes_sum(float x) {
#pragma unroll
    for (int bits = LANES / 2; bits > 0; bits /= 2) x += __shfl_xor_sync(WARP_ALL, x, bits);
    return x;
}

template <typename T, int C, int LANES, int CHUNKS>
__device__ inline float inverse_rms(const chunks_t<T, C, LANES, CHUNKS> &x, int64_t K, float eps) {
    float square = 0;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
#pragma unroll
        for (int j = 0; j < C; j++) square += to_float(x.at[c].x[j]) * to_float(x.at[c].x[j]);
    return 1.0f / sqrtf(lanes_sum<LANES>(square) / (float)K + eps);
}

/* x = rotate(x * scale * w) */
template <typename T, int C, int LANES, int CHUNKS>
__device__ inline void rotate(chunks_t<T, C, LANES, CHUNKS> *x, float scale, const chunks_t<T, C, LANES, CHUNKS> &w,
                              const angles_t<T, C, LANES, CHUNKS> &angle) {
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
#pragma unroll
        for (int j = 0; j < C; j += 2) {
            float a0 = to_float(x->at[c].x[j]) * scale * to_float(w.at[c].x[j]),
                  a1 = to_float(x->at[c].x[j + 1]) * scale * to_float(w.at[c].x[j + 1]);
            x->at[c].x[j] = from_float<T>(a0 * angle.at[c][j] - a1 * angle.at[c][j + 1]);
            x->at[c].x[j + 1] = from_float<T>(a0 * angle.at[c][j + 1] + a1 * angle.at[c][j]);
        }
    }
}

/* q and key = rotate(x / rms(x) * w), v = x. A group of lanes a head of a token. Moves each element of qkv in and out
 * once, the least possible; w and the angles, which heads share, come from the caches. */
template <typename T, int C, int LANES, int CHUNKS>
__global__ void __launch_bounds__(QKV_THREADS)
    qkv_fwd_kernel(T *q, T *key, T *v, const T *qkv, const T *wq, const T *wk, const float *rope, qkv_shape_t s) {
    uint32_t vector = blockIdx.x * (QKV_THREADS / LANES) + threadIdx.x / LANES;
    bool valid = vector < s.n;
    qkv_place_t at = qkv_place(s, valid ? vector : 0);
    chunks_t<T, C, LANES, CHUNKS> x[3], w[2];
    angles_t<T, C, LANES, CHUNKS> angle;
#pragma unroll
    for (int part = 0; part < 3; part++) x[part].load(qkv + at.qkv + part * s.H * s.K, s.K);
    angle.load(rope + at.rope, s.K);
    w[0].load(wq, s.K);
    w[1].load(wk, s.K);
#pragma unroll
    for (int part = 0; part < 2; part++) rotate(&x[part], inverse_rms(x[part], s.K, s.eps), w[part], angle);
    if (!valid) return;
    x[0].store(q + at.head, s.K);
    x[1].store(key + at.head, s.K);
    x[2].store(v + at.head, s.K);
}

/* One vector of q or k: dn = unrotated d, n = x / rms(x); d becomes dx = (dn w - n mean(dn w n)) / rms(x); adds dn n to
 * `sums` where valid. */
template <typename T, int C, int LANES, int CHUNKS>
__device__ inline void vector_bwd(chunks_t<T, C, LANES, CHUNKS> *d, float (*sums)[C],
                                  const chunks_t<T, C, LANES, CHUNKS> &x, const chunks_t<T, C, LANES, CHUNKS> &w,
                                  const angles_t<T, C, LANES, CHUNKS> &angle, int64_t K, float eps, bool valid) {
    float scale = inverse_rms(x, K, eps), dot = 0, dn[CHUNKS][C];
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
#pragma unroll
        for (int j = 0; j < C; j += 2) {
            float d0 = to_float(d->at[c].x[j]), d1 = to_float(d->at[c].x[j + 1]), cosine = angle.at[c][j],
                  sine = angle.at[c][j + 1];
            dn[c][j] = d0 * cosine + d1 * sine;
            dn[c][j + 1] = d1 * cosine - d0 * sine;
        }
#pragma unroll
        for (int j = 0; j < C; j++) {
            float p = dn[c][j] * to_float(x.at[c].x[j]) * scale;
            sums[c][j] += valid ? p : 0.0f;
            dot += p * to_float(w.at[c].x[j]);
        }
    }
    float mean = lanes_sum<LANES>(dot) / (float)K;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
#pragma unroll
        for (int j = 0; j < C; j++)
            d->at[c].x[j] =
                from_float<T>(scale * (dn[c][j] * to_float(w.at[c].x[j]) - to_float(x.at[c].x[j]) * scale * mean));
    }
}

/* A piece is `rounds` heads for each group of lanes. partial f32 [2, pieces, K]: a piece's sums of dn n. Reads q and k
 * of qkv and the gradients once, writes dqkv once: the least possible; partial sums are at most 2 * 512 * K floats
 * more. */
template <typename T, int C, int LANES, int CHUNKS>
__global__ void __launch_bounds__(QKV_THREADS)
    qkv_bwd_kernel(T *dqkv, float *partial, const T *dq, const T *dk, const T *dv, const T *qkv, const T *wq,
                   const T *wk, const float *rope, qkv_shape_t s, uint32_t rounds) {
    __shared__ float shared[2 * CHUNKS * C][QKV_THREADS];
    const int GROUPS = QKV_THREADS / LANES;
    float sums[2][CHUNKS][C] = {};
    chunks_t<T, C, LANES, CHUNKS> w[2];
    w[0].load(wq, s.K);
    w[1].load(wk, s.K);
    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t vector = (blockIdx.x * rounds + round) * GROUPS + threadIdx.x / LANES;
        bool valid = vector < s.n;
        qkv_place_t at = qkv_place(s, valid ? vector : 0);
        chunks_t<T, C, LANES, CHUNKS> x[2], d[3];
        angles_t<T, C, LANES, CHUNKS> angle;
        d[0].load(dq + at.head, s.K);
        d[1].load(dk + at.head, s.K);
        d[2].load(dv + at.head, s.K);
#pragma unroll
        for (int part = 0; part < 2; part++) x[part].load(qkv + at.qkv + part * s.H * s.K, s.K);
        angle.load(rope + at.rope, s.K);
#pragma unroll
        for (int part = 0; part < 2; part++)
            vector_bwd(&d[part], sums[part], x[part], w[part], angle, s.K, s.eps, valid);
#pragma unroll
        for (int part = 0; part < 3; part++)
            if (valid) d[part].store(dqkv + at.qkv + part * s.H * s.K, s.K);
    }
#pragma unroll
    for (int e = 0; e < 2 * CHUNKS * C; e++) shared[e][threadIdx.x] = sums[e / (CHUNKS * C)][e / C % CHUNKS][e % C];
    __syncthreads();
    for (int at = (int)threadIdx.x; at < 2 * (int)s.K; at += QKV_THREADS) {
        int part = at / (int)s.K, i = at % (int)s.K, chunk = i / C;
        const float *from = shared[(part * CHUNKS + chunk / LANES) * C + i % C] + chunk % LANES;
        float sum = 0;
        for (int g = 0; g < GROUPS; g++) sum += from[g * LANES];
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

/* false, and the error is kept: heads are wider than threads hold, or more than an index can count. */
static bool qkv_shape(kernels_t *k, qkv_shape_t *s, int64_t B) {
    int64_t n = B * s->L * s->H;
    s->n = (uint32_t)n;
    if (s->K > QKV_MOST_K) {
        cuda_note_status(k, lens_fail(LENS_ARGUMENT, "qkv on a GPU: expected heads of at most %d, got %lld",
                                      (int)QKV_MOST_K, (long long)s->K));
        return false;
    }
    if (n <= INT32_MAX) return true;
    cuda_note_status(k, lens_fail(LENS_ARGUMENT, "qkv: at most %d heads of tokens, got %lld", INT32_MAX, (long long)n));
    return false;
}

template <typename T, int C, int LANES, int CHUNKS>
static void start_fwd(kernels_t *k, T *q, T *key, T *v, const T *qkv, const T *wq, const T *wk, const float *rope,
                      const qkv_shape_t &s) {
    LAUNCH(k, (qkv_fwd_kernel<T, C, LANES, CHUNKS>), cuda_blocks(s.n, QKV_THREADS / LANES), QKV_THREADS, 0, q, key, v,
           qkv, wq, wk, rope, s);
}

template <typename T, int C, int LANES, int CHUNKS>
static void start_bwd(kernels_t *k, T *dqkv, float *dwq, float *dwk, const T *dq, const T *dk, const T *dv,
                      const T *qkv, const T *wq, const T *wk, const float *rope, const qkv_shape_t &s) {
    const int64_t GROUPS = QKV_THREADS / LANES;
    uint32_t rounds = cuda_blocks(s.n, GROUPS * QKV_PIECES);
    if (!rounds) return;
    unsigned pieces = cuda_blocks(s.n, GROUPS * rounds);
    float *partial = cuda_scratch(k, 2 * (int64_t)pieces * s.K);
    if (!partial) return;
    LAUNCH(k, (qkv_bwd_kernel<T, C, LANES, CHUNKS>), pieces, QKV_THREADS, 0, dqkv, partial, dq, dk, dv, qkv, wq, wk,
           rope, s, rounds);
    LAUNCH(k, qkv_sum_kernel, dim3(cuda_blocks(s.K, SUM_COLUMNS), 2), dim3(SUM_COLUMNS, SUM_ROWS), 0, dwq, dwk, partial,
           (int64_t)pieces, s.K);
}

/* start<T, C, LANES, CHUNKS>(arguments) for K, and for how the tensors lie. */
#define QKV_START(start, T, K, aligned, ...)                                                                           \
    do {                                                                                                               \
        const int N_ = vec_t<T>::N;                                                                                    \
        if ((aligned) && (K) == 8 * N_)                                                                                \
            start<T, N_, 8, 1>(__VA_ARGS__);                                                                           \
        else if ((aligned) && (K) == 16 * N_)                                                                          \
            start<T, N_, 16, 1>(__VA_ARGS__);                                                                          \
        else if ((aligned) && (K) == 32 * N_)                                                                          \
            start<T, N_, 32, 1>(__VA_ARGS__);                                                                          \
        else                                                                                                           \
            start<T, 2, WARP, PAIR_CHUNKS>(__VA_ARGS__);                                                               \
    } while (0)

template <typename T>
static void qkv_fwd(kernels_t *k, act_t *q, act_t *key, act_t *v, const act_t *qkv, const act_t *wq, const act_t *wk,
                    const float *rope, int64_t B, int64_t L, int64_t H, int64_t K, int64_t S, int64_t first,
                    float eps) {
    qkv_shape_t s = {L, H, K, S, first, 0, eps};
    bool aligned = vec_aligned(q) && vec_aligned(key) && vec_aligned(v) && vec_aligned(qkv) && vec_aligned(wq) &&
                   vec_aligned(wk) && vec_aligned(rope);
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
                   vec_aligned(wq) && vec_aligned(wk) && vec_aligned(rope);
    if (!qkv_shape(k, &s, B)) return;
    QKV_START(start_bwd, T, K, aligned, k, (T *)dqkv, dwq, dwk, (const T *)dq, (const T *)dk, (const T *)dv,
              (const T *)qkv, (const T *)wq, (const T *)wk, rope, s);
}

void cuda_fill_qkv(kernels_t *k, bool f32) {
    k->qkv_fwd = f32 ? qkv_fwd<float> : qkv_fwd<__nv_bfloat16>;
    k->qkv_bwd = f32 ? qkv_bwd<float> : qkv_bwd<__nv_bfloat16>;
}
