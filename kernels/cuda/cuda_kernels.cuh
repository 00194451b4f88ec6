/* What the files of the CUDA backend share. Rows are documented in kernels/kernels.h.
 *
 * Kernels are templates over `act`, the element type of activations: __nv_bfloat16 or, to compare with the CPU, float;
 * they compute in float. A table is filled for one of both. Everything is asked for on one stream and nothing waits;
 * the first error is kept for `finish`. Nothing adds floats by atomics: a sum over tokens is made of partial sums in
 * scratch, added in a fixed order by a second kernel.
 *
 * The same files are compiled for the host, where tests run them without a device: <cuda_runtime.h> is then another
 * one, which defines LENS_CUDA_ON_HOST (tests/cuda_on_host). */
#ifndef LENS_KERNELS_CUDA_CUDA_KERNELS_CUH
#define LENS_KERNELS_CUDA_CUDA_KERNELS_CUH

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define _Noreturn [[noreturn]] /* C11's word, in the headers below */
extern "C" {
#include "kernels/kernels.h"
}
#undef _Noreturn

#define WARP 32
#define WARP_ALL 0xFFFFFFFFu

enum { UPLOAD_SEGMENTS = 4 };
#define UPLOAD_SEGMENT_BYTES ((size_t)32 << 20)

struct cuda_context_t {
    int device, n_sm;
    char name[256];     /* of the GPU */
    bool f32;           /* activations are float; else bf16 */
    bool deterministic; /* equal inputs give equal bits, whatever it costs */
    cudaStream_t stream;
    lens_status error; /* the first, with its message */
    char error_text[256];
    float *scratch;
    size_t scratch_floats;

    /* Pinned room for uploads: filled from one end to the other, a segment at a time, so that the host waits only
     * where the device is three segments behind. */
    char *staging;
    cudaEvent_t staging_done[UPLOAD_SEGMENTS]; /* a segment's copies */
    int staging_segment;
    size_t staging_used; /* of that segment */

    /* What cuda_linear.cu and cuda_sdpa.cu keep (handles, plans, workspace), and how each lets go of it. */
    void *linear, *sdpa;
    void (*linear_free)(void *linear);
    void (*sdpa_free)(void *sdpa);

    /* What a host that waits for the device calls again and again, and once when it waits no more; NULL: it just waits.
     * Not OK: what it waits for does not come. Of cuda_collectives.cu: a collective may never end. */
    lens_status (*poll)(void *arg);
    void (*poll_end)(void *arg);
    void *poll_arg;
    cudaEvent_t waited; /* for waits on the whole stream */
};

static inline cuda_context_t *cuda_context(const kernels_t *k) {
    return (cuda_context_t *)k->context;
}

/* n device floats, 256-byte aligned, valid until the next call; NULL (and the error is kept) where there is no memory.
 * It grows where it must, which waits for the device: not in a step whose shapes were seen. */
float *cuda_scratch(kernels_t *k, int64_t n);

/* Keeps e as the error, unless it is none or there is one. what: of the call, not copied before it is needed. */
void cuda_note(kernels_t *k, cudaError_t e, const char *what);
/* The same for what is no cudaError_t: takes this thread's message. */
void cuda_note_status(kernels_t *k, lens_status st);

/* The only ways in which the host waits for the device. False, and the error is kept, where it will not come. */
bool cuda_wait_event(kernels_t *k, cudaEvent_t event, const char *what);
bool cuda_wait_stream(kernels_t *k, const char *what); /* all that the table's stream was given */
bool cuda_is_over(kernels_t *k, cudaEvent_t event);    /* what it was recorded after; a failure is kept, and over */

/* Each fills its rows. */
void cuda_fill_linear(kernels_t *k, bool f32);
void cuda_fill_lora(kernels_t *k, bool f32);
void cuda_fill_norm(kernels_t *k, bool f32);
void cuda_fill_qkv(kernels_t *k, bool f32);
void cuda_fill_attention(kernels_t *k, bool f32);
void cuda_fill_elementwise(kernels_t *k, bool f32);
void cuda_fill_flow(kernels_t *k, bool f32);
void cuda_fill_optim(kernels_t *k, bool f32);

/* ---- launches ----
 * LAUNCH(k, kernel, grid, block, shared_bytes, arguments...): kernel<<<...>>>(arguments...) on the table's stream; a
 * template-id stands in parentheses. An empty grid starts nothing. shared_bytes may be more than the 48 KiB that need
 * no asking. Every kernel has an argument. */
#ifdef LENS_CUDA_ON_HOST
#define LAUNCH_KERNEL(kernel, grid, block, shared_bytes, stream, ...)                                                  \
    emulated_start(#kernel, stream, kernel, grid, block, shared_bytes, __VA_ARGS__)
/* T name[]: the block's dynamic shared memory, 16-byte aligned. */
#define SHARED_DYNAMIC(T, name) T *name = (T *)emulated_place->shared
#else
#define LAUNCH_KERNEL(kernel, grid, block, shared_bytes, stream, ...)                                                  \
    kernel<<<grid, block, shared_bytes, stream>>>(__VA_ARGS__)
#define SHARED_DYNAMIC(T, name)                                                                                        \
    extern __shared__ __align__(16) unsigned char dynamic_shared[];                                                    \
    T *name = reinterpret_cast<T *>(dynamic_shared)
#endif

#define LAUNCH(k, kernel, grid, block, shared_bytes, ...)                                                              \
    do {                                                                                                               \
        dim3 launch_grid_ = (grid);                                                                                    \
        size_t launch_shared_ = (shared_bytes);                                                                        \
        if (!launch_grid_.x || !launch_grid_.y || !launch_grid_.z) break;                                              \
        if (launch_shared_ > ((size_t)48 << 10))                                                                       \
            cuda_note(k,                                                                                               \
                      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)launch_shared_),  \
                      #kernel);                                                                                        \
        LAUNCH_KERNEL(kernel, launch_grid_, block, launch_shared_, cuda_context(k)->stream, __VA_ARGS__);              \
        cuda_note(k, cudaGetLastError(), #kernel);                                                                     \
    } while (0)

/* Blocks of `each` that cover n. */
static inline unsigned cuda_blocks(int64_t n, int64_t each) {
    return (unsigned)((n + each - 1) / each);
}

/* ---- elements ---- */
template <typename T> __device__ inline float to_float(T x);
template <> __device__ inline float to_float<float>(float x) {
    return x;
}
template <> __device__ inline float to_float<__nv_bfloat16>(__nv_bfloat16 x) {
    return __bfloat162float(x);
}
template <typename T> __device__ inline T from_float(float x);
template <> __device__ inline float from_float<float>(float x) {
    return x;
}
template <> __device__ inline __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
    return __float2bfloat16_rn(x); /* to nearest, ties to even */
}

/* 16 bytes: the most that a thread loads or stores at once. */
template <typename T> struct alignas(16) vec_t {
    enum { N = 16 / sizeof(T) };
    T x[N];
};
template <typename T> __device__ inline vec_t<T> vec_load(const T *p) { /* p is 16-byte aligned */
    return *reinterpret_cast<const vec_t<T> *>(p);
}
template <typename T> __device__ inline void vec_store(T *p, const vec_t<T> &v) {
    *reinterpret_cast<vec_t<T> *>(p) = v;
}
static inline bool vec_aligned(const void *p) {
    return (uintptr_t)p % 16 == 0;
}

/* ---- sums, in a fixed order; all threads of the warp or block call, and all get the result ---- */
template <typename T> __device__ inline T warp_sum(T x) {
#pragma unroll
    for (int bits = WARP / 2; bits > 0; bits /= 2) x += __shfl_xor_sync(WARP_ALL, x, bits);
    return x;
}
template <typename T> __device__ inline T warp_max(T x) {
#pragma unroll
    for (int bits = WARP / 2; bits > 0; bits /= 2) {
        T other = __shfl_xor_sync(WARP_ALL, x, bits);
        x = other > x ? other : x;
    }
    return x;
}
/* A block of THREADS, whole warps, along x. shared: T [THREADS / WARP], free for other use afterwards. */
template <int THREADS, typename T> __device__ inline T block_sum(T x, T *shared) {
    static_assert(THREADS % WARP == 0, "whole warps");
    x = warp_sum(x);
    if (THREADS == WARP) return x;
    if (threadIdx.x % WARP == 0) shared[threadIdx.x / WARP] = x;
    __syncthreads();
    T sum = shared[0];
#pragma unroll
    for (int i = 1; i < THREADS / WARP; i++) sum += shared[i];
    __syncthreads();
    return sum;
}

#endif
