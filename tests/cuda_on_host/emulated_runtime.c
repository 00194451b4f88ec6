/* The calls of the CUDA runtime, on the emulated device. */
#include "tests/cuda_on_host/include/cuda_runtime.h"

#include <stdlib.h>
#include <string.h>

enum { KERNELS_MAX = 256, SHARED_DEFAULT = 48 << 10, THREADS_MAX = 1024, N_SM = 4 };
#define TOTAL_BYTES ((size_t)64 << 30)

static cudaError_t last;
static struct {
    const void *kernel;
    size_t shared;
} limits[KERNELS_MAX];
static int n_limits;

cudaError_t emulated_result(cudaError_t e) {
    if (e != cudaSuccess) last = e;
    return e;
}

/* LENS_CUDA_DEVICES: how many devices there are; 1 where it is not set. */
cudaError_t cudaGetDeviceCount(int *count) {
    const char *n = getenv("LENS_CUDA_DEVICES");
    *count = n ? (int)strtol(n, NULL, 10) : 1;
    return emulated_result(*count > 0 ? cudaSuccess : cudaErrorNoDevice);
}

static int current;

cudaError_t cudaSetDevice(int device) {
    int count;
    if (cudaGetDeviceCount(&count) != cudaSuccess) return last;
    if (device < 0 || device >= count) return emulated_result(cudaErrorInvalidDevice);
    current = device;
    return cudaSuccess;
}
cudaError_t cudaGetDevice(int *device) {
    *device = current;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *prop, int device) {
    (void)device;
    *prop = (cudaDeviceProp){.name = "emulated device",
                             .totalGlobalMem = TOTAL_BYTES,
                             .sharedMemPerBlockOptin = EMULATED_SHARED_MAX,
                             .major = 9,
                             .multiProcessorCount = N_SM};
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
    (void)device;
    switch (attribute) {
    case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = SHARED_DEFAULT;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = EMULATED_SHARED_MAX;
        break;
    case cudaDevAttrMultiProcessorCount:
        *value = N_SM;
        break;
    case cudaDevAttrComputeCapabilityMajor:
        *value = 9;
        break;
    case cudaDevAttrComputeCapabilityMinor:
        *value = 0;
        break;
    default:
        return emulated_result(cudaErrorInvalidValue);
    }
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void) {
    cudaError_t e = last;
    last = cudaSuccess;
    return e;
}
cudaError_t cudaPeekAtLastError(void) {
    return last;
}

const char *cudaGetErrorName(cudaError_t e) {
    switch (e) {
    case cudaSuccess:
        return "cudaSuccess";
    case cudaErrorInvalidValue:
        return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
        return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
        return "cudaErrorInvalidConfiguration";
    case cudaErrorNoDevice:
        return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
        return "cudaErrorInvalidDevice";
    case cudaErrorNotReady:
        return "cudaErrorNotReady";
    case cudaErrorLaunchFailure:
        return "cudaErrorLaunchFailure";
    case cudaErrorUnknown:
        break;
    }
    return "cudaErrorUnknown";
}
const char *cudaGetErrorString(cudaError_t e) {
    return cudaGetErrorName(e);
}

/* ---- memory ---- */

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
    *total_bytes = TOTAL_BYTES;
    *free_bytes = TOTAL_BYTES - emulated_memory_bytes();
    return cudaSuccess;
}

cudaError_t emulated_malloc(void **p, size_t bytes) {
    emulated_count_wait();
    *p = NULL;
    if (!bytes) return cudaSuccess;
    if (bytes <= TOTAL_BYTES - emulated_memory_bytes()) *p = emulated_memory_new(bytes);
    return emulated_result(*p ? cudaSuccess : cudaErrorMemoryAllocation);
}

enum { PINNED_MAX = 256 };
static struct {
    char *p;
    size_t n;
} pinned[PINNED_MAX];

static int find_pinned(const void *p) {
    const char *at = p;
    int i = 0;
    while (i < PINNED_MAX && !(pinned[i].p && at >= pinned[i].p && at < pinned[i].p + pinned[i].n)) i++;
    return i;
}

cudaError_t emulated_malloc_host(void **p, size_t bytes) {
    int i = 0;
    emulated_count_wait();
    *p = NULL;
    if (!bytes) return cudaSuccess;
    while (i < PINNED_MAX && pinned[i].p) i++;
    if (i < PINNED_MAX) *p = malloc(bytes);
    if (!*p) return emulated_result(cudaErrorMemoryAllocation);
    pinned[i].p = *p;
    pinned[i].n = bytes;
    return cudaSuccess;
}
cudaError_t cudaFree(void *p) {
    if (p) (void)cudaDeviceSynchronize();
    return emulated_result(!p || emulated_memory_free(p) ? cudaSuccess : cudaErrorInvalidValue);
}
cudaError_t cudaFreeHost(void *p) {
    int i = find_pinned(p);
    if (!p) return cudaSuccess;
    if (i == PINNED_MAX || pinned[i].p != p) return emulated_result(cudaErrorInvalidValue);
    (void)cudaDeviceSynchronize();
    pinned[i].p = NULL;
    free(p);
    return cudaSuccess;
}

cudaError_t cudaMemcpy2DAsync(void *out, size_t out_pitch, const void *in, size_t in_pitch, size_t width, size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
    size_t out_bytes = height ? (height - 1) * out_pitch + width : 0,
           in_bytes = height ? (height - 1) * in_pitch + width : 0;
    emulated_stream_work(stream);
    if (out_pitch < width || in_pitch < width) return emulated_result(cudaErrorInvalidValue);
    if (kind != cudaMemcpyHostToDevice) emulated_stream_access(stream, in, in_bytes, 0);
    if (kind != cudaMemcpyDeviceToHost) emulated_stream_access(stream, out, out_bytes, 1);
    if (kind == cudaMemcpyHostToDevice && find_pinned(in) < PINNED_MAX)
        emulated_stream_reads_pinned(stream, in, in_bytes);
    emulated_memory_open();
    for (size_t y = 0; y < height && width; y++)
        memcpy((char *)out + y * out_pitch, (const char *)in + y * in_pitch, width);
    emulated_memory_close();
    return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *out, const void *in, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    if (kind == cudaMemcpyDeviceToHost) {
        emulated_stream_work(stream);
        emulated_stream_access(stream, in, bytes, 0);
        emulated_stream_result(stream, out, in, bytes);
        return cudaSuccess;
    }
    return cudaMemcpy2DAsync(out, bytes, in, bytes, bytes, 1, kind, stream);
}
cudaError_t cudaMemcpy(void *out, const void *in, size_t bytes, cudaMemcpyKind kind) {
    cudaError_t e = cudaMemcpyAsync(out, in, bytes, kind, NULL);
    return e == cudaSuccess ? cudaStreamSynchronize(NULL) : e;
}
cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t stream) {
    emulated_stream_work(stream);
    emulated_stream_access(stream, p, bytes, 1);
    emulated_memory_open();
    if (bytes) memset(p, value, bytes);
    emulated_memory_close();
    return cudaSuccess;
}
cudaError_t cudaMemset(void *p, int value, size_t bytes) {
    return cudaMemsetAsync(p, value, bytes, NULL);
}

/* ---- launches ---- */

static int find_limit(const void *kernel) {
    int i = 0;
    while (i < n_limits && limits[i].kernel != kernel) i++;
    return i;
}

cudaError_t emulated_set_shared(const void *kernel, int value) {
    int i = find_limit(kernel);
    if (value < 0 || value > EMULATED_SHARED_MAX || i == KERNELS_MAX) return emulated_result(cudaErrorInvalidValue);
    limits[i].kernel = kernel;
    limits[i].shared = (size_t)value;
    if (i == n_limits) n_limits++;
    return cudaSuccess;
}

cudaError_t emulated_check_launch(const void *kernel, emulated_index_t grid, emulated_index_t block, size_t shared) {
    int i = find_limit(kernel);
    size_t most = i < n_limits && limits[i].shared > SHARED_DEFAULT ? limits[i].shared : SHARED_DEFAULT;
    if (!grid.x || !grid.y || !grid.z || grid.x > INT32_MAX || grid.y > UINT16_MAX || grid.z > UINT16_MAX)
        return emulated_result(cudaErrorInvalidConfiguration);
    if (!block.x || !block.y || !block.z || (uint64_t)block.x * block.y * block.z > THREADS_MAX || block.z > 64)
        return emulated_result(cudaErrorInvalidConfiguration);
    return emulated_result(shared <= most ? cudaSuccess : cudaErrorInvalidValue);
}
