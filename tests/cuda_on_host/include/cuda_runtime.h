/* The CUDA runtime and the language's own names, for .cu files compiled as C++ for the host; emulated_device.h says how
 * it behaves. Streams run what they are given at once, in the order of the calls. Numbers of errors and attributes are
 * the real ones. */
#ifndef LENS_TESTS_HOST_CUDA_RUNTIME_H
#define LENS_TESTS_HOST_CUDA_RUNTIME_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "tests/cuda_on_host/include/emulated_device.h"

#define LENS_CUDA_ON_HOST 1
#define CUDART_VERSION 13000

typedef enum {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101,
    cudaErrorNotReady = 600,
    cudaErrorLaunchFailure = 719,
    cudaErrorUnknown = 999,
} cudaError_t;

typedef enum {
    cudaMemcpyHostToHost,
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice,
    cudaMemcpyDefault
} cudaMemcpyKind;

typedef enum {
    cudaDevAttrMaxSharedMemoryPerBlock = 8,
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76,
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97,
} cudaDeviceAttr;

typedef enum { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 } cudaFuncAttribute;

typedef struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem, sharedMemPerBlockOptin;
    int major, minor, multiProcessorCount;
} cudaDeviceProp;

typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;

#define cudaStreamDefault 0u
#define cudaStreamNonBlocking 1u
#define cudaEventDefault 0u
#define cudaEventBlockingSync 1u
#define cudaEventDisableTiming 2u
#define cudaHostAllocDefault 0u

#ifdef __cplusplus
extern "C" {
#endif

cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int *device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *prop, int device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device);
cudaError_t cudaDeviceSynchronize(void);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaRuntimeGetVersion(int *version);
cudaError_t cudaGetLastError(void);
cudaError_t cudaPeekAtLastError(void);
const char *cudaGetErrorString(cudaError_t e);
const char *cudaGetErrorName(cudaError_t e);
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes);

cudaError_t cudaFree(void *p);
cudaError_t cudaFreeHost(void *p);
cudaError_t cudaMemcpy(void *out, const void *in, size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaMemcpyAsync(void *out, const void *in, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemcpy2DAsync(void *out, size_t out_pitch, const void *in, size_t in_pitch, size_t width, size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemset(void *p, int value, size_t bytes);
cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t stream);

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int priority);
cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamQuery(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t stop);

/* What the templates below end in. */
cudaError_t emulated_malloc(void **p, size_t bytes);
cudaError_t emulated_malloc_host(void **p, size_t bytes);
cudaError_t emulated_set_shared(const void *kernel, int value);
cudaError_t emulated_check_launch(const void *kernel, emulated_index_t grid, emulated_index_t block, size_t shared);

#ifdef __cplusplus
}

#include <tuple>

/* ---- the language ---- */
#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static /* blocks run one after another: one copy is every block's */
#define threadIdx (emulated_place->thread)
#define blockIdx (emulated_place->block)
#define blockDim (emulated_place->block_dim)
#define gridDim (emulated_place->grid_dim)
static const int warpSize = EMULATED_WARP;

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(8) float2 {
    float x, y;
};
struct float3 {
    float x, y, z;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) double2 {
    double x, y;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
typedef emulated_index_t uint3;
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
static inline float2 make_float2(float x, float y) {
    return {x, y};
}
static inline float3 make_float3(float x, float y, float z) {
    return {x, y, z};
}
static inline float4 make_float4(float x, float y, float z, float w) {
    return {x, y, z, w};
}
static inline double2 make_double2(double x, double y) {
    return {x, y};
}
static inline int2 make_int2(int x, int y) {
    return {x, y};
}
static inline int4 make_int4(int x, int y, int z, int w) {
    return {x, y, z, w};
}
static inline uint2 make_uint2(unsigned x, unsigned y) {
    return {x, y};
}
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
    return {x, y, z, w};
}

/* ---- barriers ---- */
static inline void __syncthreads(const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
    (void)emulated_barrier(0, file, line);
}
static inline int __syncthreads_count(int p, const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
    return emulated_barrier(p, file, line);
}
static inline int __syncthreads_or(int p, const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
    return emulated_barrier(p, file, line) > 0;
}
static inline int __syncthreads_and(int p, const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
    return emulated_barrier(!p, file, line) == 0;
}
static inline void __syncwarp(unsigned mask = 0xFFFFFFFFu, const char *file = __builtin_FILE(),
                              int line = __builtin_LINE()) {
    (void)emulated_exchange(mask, 0, file, line);
}
static inline void __threadfence(void) {}
static inline void __threadfence_block(void) {}

/* ---- exchanges within a warp ---- */
static inline int emulated_lane(void) {
    return (int)(emulated_place->linear % EMULATED_WARP);
}

/* What lane `source` brought; the own value where source is outside the lane's segment of `width`. A source that is
 * not in the mask has no value: NaN. */
template <typename T>
static inline T emulated_shuffle(unsigned mask, T value, int source, bool inside, const char *file, int line) {
    static_assert(sizeof(T) <= sizeof(uint64_t), "shuffles move at most 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    const uint64_t *seen = emulated_exchange(mask, bits, file, line);
    if (inside) memcpy(&value, &seen[source], sizeof value);
    return value;
}
#define EMULATED_WHERE const char *file = __builtin_FILE(), int line = __builtin_LINE()
template <typename T> static inline T __shfl_sync(unsigned mask, T v, int source, int width = 32, EMULATED_WHERE) {
    int lane = emulated_lane(), base = lane / width * width;
    return emulated_shuffle(mask, v, base + source % width, true, file, line);
}
template <typename T> static inline T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32, EMULATED_WHERE) {
    int lane = emulated_lane(), source = lane ^ bits;
    return emulated_shuffle(mask, v, source, source < (lane / width + 1) * width, file, line);
}
template <typename T>
static inline T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = 32, EMULATED_WHERE) {
    int lane = emulated_lane(), source = lane + (int)by;
    return emulated_shuffle(mask, v, source, source < (lane / width + 1) * width, file, line);
}
template <typename T> static inline T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = 32, EMULATED_WHERE) {
    int lane = emulated_lane(), source = lane - (int)by;
    return emulated_shuffle(mask, v, source, source >= lane / width * width, file, line);
}
static inline unsigned __ballot_sync(unsigned mask, int predicate, EMULATED_WHERE) {
    const uint64_t *seen = emulated_exchange(mask, predicate != 0, file, line);
    unsigned all = 0;
    for (int i = 0; i < EMULATED_WARP; i++)
        if (mask >> i & 1 && seen[i]) all |= 1u << i;
    return all;
}
static inline int __any_sync(unsigned mask, int predicate, EMULATED_WHERE) {
    return __ballot_sync(mask, predicate, file, line) != 0;
}
static inline int __all_sync(unsigned mask, int predicate, EMULATED_WHERE) {
    return __ballot_sync(mask, predicate, file, line) == mask;
}

/* ---- arithmetic: the host's, which may differ from a device's in the last bits ---- */
static inline float rsqrtf(float x) {
    return 1.0f / sqrtf(x);
}
static inline double rsqrt(double x) {
    return 1.0 / sqrt(x);
}
static inline float __frsqrt_rn(float x) {
    return (float)(1.0 / sqrt((double)x));
}
#define __expf(x) expf(x) /* the C library's own name */
#define __logf(x) logf(x) /* the C library's own name */
#define __sinf(x) sinf(x) /* the C library's own name */
#define __cosf(x) cosf(x) /* the C library's own name */
static inline void sincospif(float x, float *sine, float *cosine) {
    *sine = (float)sin(3.14159265358979323846 * (double)x);
    *cosine = (float)cos(3.14159265358979323846 * (double)x);
}
static inline float __fdividef(float x, float y) {
    return x / y;
}
static inline float __frcp_rn(float x) {
    return 1.0f / x;
}
static inline float __fmaf_rn(float x, float y, float z) {
    return fmaf(x, y, z);
}
static inline float __fmul_rn(float x, float y) {
    return x * y;
}
static inline float __fadd_rn(float x, float y) {
    return x + y;
}
static inline float __fsqrt_rn(float x) {
    return sqrtf(x);
}
static inline float __fdiv_rn(float x, float y) {
    return x / y;
}
static inline float __int2float_rn(int x) {
    return (float)x;
}
static inline float __uint2float_rn(unsigned x) {
    return (float)x;
}
static inline int __float2int_rn(float x) {
    return (int)lrintf(x);
}
static inline float __saturatef(float x) {
    return !(x > 0) ? 0.0f : x < 1 ? x : 1.0f;
}
static inline unsigned __umulhi(unsigned x, unsigned y) {
    return (unsigned)((uint64_t)x * y >> 32);
}
static inline int __popc(unsigned x) {
    return __builtin_popcount(x);
}
static inline int __clz(int x) {
    return x ? __builtin_clz((unsigned)x) : 32;
}
static inline int __ffs(int x) {
    return __builtin_ffs(x);
}
static inline unsigned __float_as_uint(float x) {
    unsigned u;
    memcpy(&u, &x, sizeof u);
    return u;
}
static inline float __uint_as_float(unsigned u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}
static inline int __float_as_int(float x) {
    return (int)__float_as_uint(x);
}
static inline float __int_as_float(int i) {
    return __uint_as_float((unsigned)i);
}
#define EMULATED_MIN_MAX(T)                                                                                            \
    static inline T min(T a, T b) {                                                                                    \
        return a < b ? a : b;                                                                                          \
    }                                                                                                                  \
    static inline T max(T a, T b) {                                                                                    \
        return a > b ? a : b;                                                                                          \
    }
EMULATED_MIN_MAX(int)
EMULATED_MIN_MAX(unsigned)
EMULATED_MIN_MAX(long)
EMULATED_MIN_MAX(unsigned long)
EMULATED_MIN_MAX(long long)
EMULATED_MIN_MAX(unsigned long long)
#undef EMULATED_MIN_MAX

/* ---- loads and stores with hints ---- */
template <typename T> static inline T __ldg(const T *p) {
    return *p;
}
template <typename T> static inline T __ldcs(const T *p) {
    return *p;
}
template <typename T> static inline T __ldcg(const T *p) {
    return *p;
}
template <typename T> static inline void __stcs(T *p, T x) {
    *p = x;
}
template <typename T> static inline void __stcg(T *p, T x) {
    *p = x;
}

/* ---- atomics: of integers; fibres do not interrupt each other ---- */
template <typename T> static inline T atomicAdd(T *p, T x) {
    static_assert((T)0.5 == 0, "the order of atomic sums of floats varies");
    T old = *p;
    *p = old + x;
    return old;
}
template <typename T> static inline T atomicMax(T *p, T x) {
    T old = *p;
    *p = x > old ? x : old;
    return old;
}
template <typename T> static inline T atomicMin(T *p, T x) {
    T old = *p;
    *p = x < old ? x : old;
    return old;
}
template <typename T> static inline T atomicOr(T *p, T x) {
    T old = *p;
    *p = old | x;
    return old;
}
template <typename T> static inline T atomicExch(T *p, T x) {
    T old = *p;
    *p = x;
    return old;
}
template <typename T> static inline T atomicCAS(T *p, T expected, T x) {
    T old = *p;
    if (old == expected) *p = x;
    return old;
}

/* ---- calls that are templates in the real header too ---- */
template <typename T> static inline cudaError_t cudaMalloc(T **p, size_t bytes) {
    return emulated_malloc((void **)p, bytes);
}
template <typename T> static inline cudaError_t cudaMallocHost(T **p, size_t bytes, unsigned flags = 0) {
    (void)flags;
    return emulated_malloc_host((void **)p, bytes);
}
template <typename T> static inline cudaError_t cudaHostAlloc(T **p, size_t bytes, unsigned flags) {
    (void)flags;
    return emulated_malloc_host((void **)p, bytes);
}
template <typename... P>
static inline cudaError_t cudaFuncSetAttribute(void (*kernel)(P...), cudaFuncAttribute attribute, int value) {
    return attribute == cudaFuncAttributeMaxDynamicSharedMemorySize ? emulated_set_shared((const void *)kernel, value)
                                                                    : cudaErrorInvalidValue;
}
template <typename... P>
static inline cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *n, void (*)(P...), int, size_t) {
    *n = 1;
    return cudaSuccess;
}

/* kernel<<<grid, block, shared>>>(args...): the arguments are evaluated once, as on a device. */
template <typename... P> struct emulated_call {
    void (*kernel)(P...);
    std::tuple<P...> args;
    static void run(void *call) { std::apply(((emulated_call *)call)->kernel, ((emulated_call *)call)->args); }
};
template <typename... P, typename... A>
static inline void emulated_start(const char *name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                                  A... args) {
    emulated_index_t g = {grid.x, grid.y, grid.z}, b = {block.x, block.y, block.z};
    if (emulated_check_launch((const void *)kernel, g, b, shared) != cudaSuccess) return;
    emulated_call<P...> call = {kernel, std::tuple<P...>(static_cast<P>(args)...)};
    emulated_launch(g, b, shared, emulated_call<P...>::run, &call, name);
}
#endif

#endif
