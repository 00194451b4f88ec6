/* Flow matching: pixels and tokens, noise, mixing, loss, guidance. All of it is bound by memory, and none of it is a
 * per cent of a step. */
#include "kernels/cuda/cuda_chunk.cuh"

/* ---- pixels and tokens ---- */

enum { ROW_THREADS = 256 };

/* What element i of a row of tokens [w, 3, p, p] is: the byte it has in the row's p lines of pixels [p, w * p, 3]. */
static __device__ inline int64_t pixel_of(int i, int w, int p) {
    int p2 = i % p, p1 = i / p % p, channel = i / (p * p) % 3, column = i / (3 * p * p);
    return ((int64_t)p1 * w * p + column * p + p2) * 3 + channel;
}

/* tokens = pixels / 127.5 - 1. A block has a row of tokens, B * h of them, and writes it from one end to the other; its
 * bytes, a quarter of the traffic, come out of order and from the cache. Reads 1 byte and writes 4 a value. */
__global__ void patchify_kernel(float *tokens, const uint8_t *pixels, int w, int p) {
    int n = w * 3 * p * p;
    int64_t first = (int64_t)blockIdx.x * n;
    for (int i = (int)threadIdx.x; i < n; i += ROW_THREADS)
        tokens[first + i] = (float)pixels[first + pixel_of(i, w, p)] / 127.5f - 1.0f;
}

/* The CPU's bits: the product and the sums are rounded apart. */
static __device__ inline uint8_t to_byte(float x) {
    float scaled = __fadd_rn(__fmul_rn(x + 1.0f, 127.5f), 0.5f);
    return scaled <= 0 ? 0 : !(scaled < 255) ? 255 : (uint8_t)scaled; /* not a number gives 255, seen at once */
}

__global__ void unpatchify_kernel(uint8_t *pixels, const float *tokens, int w, int p) {
    int n = w * 3 * p * p;
    int64_t first = (int64_t)blockIdx.x * n;
    for (int i = (int)threadIdx.x; i < n; i += ROW_THREADS)
        pixels[first + pixel_of(i, w, p)] = to_byte(tokens[first + i]);
}

static void patchify(kernels_t *k, float *tokens, const uint8_t *pixels, int64_t B, int64_t h, int64_t w, int64_t p) {
    if (w && p) LAUNCH(k, patchify_kernel, (unsigned)(B * h), ROW_THREADS, 0, tokens, pixels, (int)w, (int)p);
}
static void unpatchify(kernels_t *k, uint8_t *pixels, const float *tokens, int64_t B, int64_t h, int64_t w, int64_t p) {
    if (w && p) LAUNCH(k, unpatchify_kernel, (unsigned)(B * h), ROW_THREADS, 0, pixels, tokens, (int)w, (int)p);
}

/* ---- noise ---- */

/* Streams travel as the kernel's argument, so that nothing is copied: as many as its 4 KiB hold. */
enum { NOISE_STREAMS = 128, NOISE_THREADS = 256 };
typedef struct {
    uint32_t key[NOISE_STREAMS][2], counter[NOISE_STREAMS][3]; /* counter[0] is the block's */
} noise_streams_t;

/* Philox4x32-10, as base/rng.c has it: integers, so the same bits. */
static __device__ inline void philox(uint32_t c[4], uint32_t k0, uint32_t k1) {
#pragma unroll
    for (int round = 0; round < 10; round++) {
        uint32_t high0 = __umulhi(0xD2511F53u, c[0]), high1 = __umulhi(0xCD9E8D57u, c[2]);
        uint32_t low0 = 0xD2511F53u * c[0], low1 = 0xCD9E8D57u * c[2];
        c[0] = high1 ^ c[1] ^ k0;
        c[1] = low1;
        c[2] = high0 ^ c[3] ^ k1;
        c[3] = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* Box-Muller on the two pairs of a Philox block. The words are the CPU's; the normals differ from its own by a few
 * units in the last place of the largest (5.8): it rounds the angle, which here is a multiple of pi, and logarithm and
 * sine are each within 2 units. A thread has a block, 16 bytes; grid (n / 4 / NOISE_THREADS, streams). Writes 4 bytes a
 * value. */
__global__ void noise_kernel(float *out, noise_streams_t streams, int64_t n, bool aligned) {
    int64_t block = (int64_t)blockIdx.x * NOISE_THREADS + threadIdx.x, i = 4 * block;
    int b = (int)blockIdx.y;
    if (i >= n) return;
    uint32_t word[4] = {(uint32_t)block, streams.counter[b][0], streams.counter[b][1], streams.counter[b][2]};
    philox(word, streams.key[b][0], streams.key[b][1]);
    vec_t<float> four;
#pragma unroll
    for (int j = 0; j < 4; j += 2) {
        float u = ((float)(word[j] >> 8) + 1.0f) * 0x1p-24f, sine, cosine;
        float radius = sqrtf(-2.0f * logf(u));
        sincospif((float)(word[j + 1] >> 8) * 0x1p-23f, &sine, &cosine);
        four.x[j] = radius * cosine;
        four.x[j + 1] = radius * sine;
    }
    if (aligned && i + 4 <= n) {
        vec_store(out + b * n + i, four);
        return;
    }
#pragma unroll
    for (int j = 0; j < 4; j++)
        if (i + j < n) out[b * n + i + j] = four.x[j];
}

static void noise(kernels_t *k, float *out, const rng_t *streams, int64_t B, int64_t n) {
    for (int64_t first = 0; first < B; first += NOISE_STREAMS) {
        noise_streams_t some = {};
        int64_t n_some = B - first;
        if (n_some > NOISE_STREAMS) n_some = NOISE_STREAMS;
        for (int64_t b = 0; b < n_some; b++) {
            for (int j = 0; j < 2; j++) some.key[b][j] = streams[first + b].key[j];
            for (int j = 0; j < 3; j++) some.counter[b][j] = streams[first + b].counter[1 + j];
        }
        LAUNCH(k, noise_kernel, dim3(cuda_blocks(n, 4 * NOISE_THREADS), (unsigned)n_some), NOISE_THREADS, 0,
               out + first * n, some, n, vec_aligned(out) && n % 4 == 0);
    }
}

/* ---- mixing and loss: rows of n, grid (chunks, B) ---- */

/* x_t = (1 - t) data + t e: 8 bytes an element and x_t's own. */
template <typename T>
__global__ void flow_mix_kernel(T *x_t, const float *data, const float *e, const float *t, int64_t n, bool aligned) {
    int64_t i = chunk_begin(), row = blockIdx.y * n;
    if (i >= n) return;
    float x[CHUNK], v[CHUNK], at = t[blockIdx.y];
    chunk_load(x, data + row, i, n, aligned);
    chunk_load(v, e + row, i, n, aligned);
#pragma unroll
    for (int j = 0; j < CHUNK; j++) x[j] = (1.0f - at) * x[j] + at * v[j];
    chunk_store(x_t + row, x, i, n, aligned);
}

template <typename T>
static void flow_mix(kernels_t *k, act_t *x_t, const float *data, const float *e, const float *t, int64_t B,
                     int64_t n) {
    LAUNCH(k, (flow_mix_kernel<T>), dim3(chunk_blocks(n), (unsigned)B), CHUNK_THREADS, 0, (T *)x_t, data, e, t, n,
           vec_aligned(x_t) && vec_aligned(data) && vec_aligned(e) && n % CHUNK == 0);
}

/* error = v - (e - data), dv = slope error; partial[b, block] = sum of error^2 in double over the block's chunks, a
 * grid apart. 8 bytes an element and two act. */
enum { LOSS_BLOCKS = 64 };
template <typename T>
__global__ void flow_loss_kernel(double *partial, T *dv, const T *v, const float *data, const float *e, float slope,
                                 int64_t n, bool aligned) {
    __shared__ double shared[CHUNK_THREADS / WARP];
    int64_t row = blockIdx.y * n;
    double sum = 0;
    for (int64_t i = chunk_begin(); i < n; i += (int64_t)gridDim.x * CHUNK_BLOCK) {
        float error[CHUNK], x[CHUNK], z[CHUNK];
        chunk_load(error, v + row, i, n, aligned);
        chunk_load(x, data + row, i, n, aligned);
        chunk_load(z, e + row, i, n, aligned);
#pragma unroll
        for (int j = 0; j < CHUNK; j++) {
            error[j] -= z[j] - x[j]; /* zero past the end */
            sum += (double)error[j] * (double)error[j];
            error[j] *= slope;
        }
        chunk_store(dv + row, error, i, n, aligned);
    }
    sum = block_sum<CHUNK_THREADS>(sum, shared);
    if (threadIdx.x == 0) partial[blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

/* loss[b] = sum of partial[b, :] / n: a warp a sample. */
__global__ void mean_loss_kernel(double *loss, const double *partial, int blocks, int64_t n) {
    double sum = 0;
    for (int i = (int)threadIdx.x; i < blocks; i += WARP) sum += partial[blockIdx.x * blocks + i];
    sum = warp_sum(sum);
    if (threadIdx.x == 0) loss[blockIdx.x] = sum / (double)n;
}

template <typename T>
static void flow_loss(kernels_t *k, double *loss, act_t *dv, const act_t *v, const float *data, const float *e,
                      float weight, int64_t B, int64_t n) {
    unsigned blocks = chunk_blocks_at_most(n, LOSS_BLOCKS);
    double *partial = (double *)cuda_scratch(k, 2 * B * LOSS_BLOCKS);
    if (!partial) return;
    bool aligned = vec_aligned(dv) && vec_aligned(v) && vec_aligned(data) && vec_aligned(e) && n % CHUNK == 0;
    LAUNCH(k, (flow_loss_kernel<T>), dim3(blocks, (unsigned)B), CHUNK_THREADS, 0, partial, (T *)dv, (const T *)v, data,
           e, 2.0f * weight / (float)n, n, aligned);
    LAUNCH(k, mean_loss_kernel, (unsigned)B, WARP, 0, loss, partial, (int)blocks, n);
}

/* ---- sampling ---- */

enum { GUIDE_WARPS = 4 };

/* v = comb |cond| / |comb|, comb = uncond + g (cond - uncond): a warp a token, which meets its own v again in the
 * cache. 4 bytes an element and two act, and v once more each way. */
template <typename T>
__global__ void guide_kernel(float *v, const T *cond, const T *uncond, float g, int64_t R, int64_t C) {
    int64_t row = (int64_t)blockIdx.x * GUIDE_WARPS + threadIdx.x / WARP;
    int lane = (int)threadIdx.x % WARP;
    if (row >= R) return; /* the whole warp */
    float norm_cond = 0, norm_comb = 0;
    for (int64_t i = row * C + lane; i < (row + 1) * C; i += WARP) {
        float c = to_float(cond[i]), u = to_float(uncond[i]), comb = u + g * (c - u);
        norm_cond += c * c;
        norm_comb += comb * comb;
        v[i] = comb;
    }
    norm_cond = warp_sum(norm_cond);
    norm_comb = warp_sum(norm_comb);
    float ratio = norm_comb > 0 ? sqrtf(norm_cond) / fmaxf(sqrtf(norm_comb), 1e-12f) : 1.0f;
    for (int64_t i = row * C + lane; i < (row + 1) * C; i += WARP) v[i] *= ratio;
}

template <typename T>
static void guide(kernels_t *k, float *v, const act_t *cond, const act_t *uncond, float g, int64_t R, int64_t C) {
    LAUNCH(k, (guide_kernel<T>), cuda_blocks(R, GUIDE_WARPS), GUIDE_WARPS * WARP, 0, v, (const T *)cond,
           (const T *)uncond, g, R, C);
}

/* x += a v: 12 bytes an element. */
__global__ void axpy_kernel(float *x, const float *v, float a, int64_t n, bool aligned) {
    int64_t i = chunk_begin();
    if (i >= n) return;
    float y[CHUNK], w[CHUNK];
    chunk_load(y, x, i, n, aligned);
    chunk_load(w, v, i, n, aligned);
#pragma unroll
    for (int j = 0; j < CHUNK; j++) y[j] += a * w[j];
    chunk_store(x, y, i, n, aligned);
}

static void axpy(kernels_t *k, float *x, const float *v, float a, int64_t n) {
    LAUNCH(k, axpy_kernel, chunk_blocks(n), CHUNK_THREADS, 0, x, v, a, n, vec_aligned(x) && vec_aligned(v));
}

template <typename T> static void fill_act(kernels_t *k) {
    k->flow_mix = flow_mix<T>;
    k->flow_loss = flow_loss<T>;
    k->guide = guide<T>;
}

void cuda_fill_flow(kernels_t *k, bool f32) {
    k->patchify = patchify;
    k->unpatchify = unpatchify;
    k->noise = noise;
    k->axpy = axpy;
    if (f32)
        fill_act<float>(k);
    else
        fill_act<__nv_bfloat16>(k);
}
