/* What kernels over flat buffers have in common: a thread takes a chunk of 4 neighbours, one access of each tensor
 * where all are aligned and the chunk is whole, else one by one. Values are the same either way.
 *
 * 4 and not 8, since most of these buffers are float: an access of a warp is then 512 bytes without a gap, where chunks
 * of 8 would write each sector of 32 bytes in two halves. */
#ifndef LENS_KERNELS_CUDA_CUDA_CHUNK_CUH
#define LENS_KERNELS_CUDA_CUDA_CHUNK_CUH

#include "kernels/cuda/cuda_kernels.cuh"

enum { CHUNK = 4, CHUNK_THREADS = 256, CHUNK_BLOCK = CHUNK * CHUNK_THREADS };

template <typename T> struct alignas(CHUNK * sizeof(T)) chunk_t { T x[CHUNK]; };

/* Blocks of CHUNK_THREADS for n elements. */
static inline unsigned chunk_blocks(int64_t n) {
    return cuda_blocks(n, CHUNK_BLOCK);
}
static inline unsigned chunk_blocks_at_most(int64_t n, unsigned most) {
    return chunk_blocks(n) < most ? chunk_blocks(n) : most;
}
static __device__ inline int64_t chunk_begin(void) {
    return ((int64_t)blockIdx.x * CHUNK_THREADS + threadIdx.x) * CHUNK;
}

/* x = p[i .. i+CHUNK), zeros from n on. */
template <typename T>
static __device__ inline void chunk_load(float x[CHUNK], const T *p, int64_t i, int64_t n, bool aligned) {
    if (aligned && i + CHUNK <= n) {
        chunk_t<T> v = *reinterpret_cast<const chunk_t<T> *>(p + i);
#pragma unroll
        for (int j = 0; j < CHUNK; j++) x[j] = to_float(v.x[j]);
        return;
    }
#pragma unroll
    for (int j = 0; j < CHUNK; j++) x[j] = i + j < n ? to_float(p[i + j]) : 0.0f;
}

template <typename T>
static __device__ inline void chunk_store(T *p, const float x[CHUNK], int64_t i, int64_t n, bool aligned) {
    if (aligned && i + CHUNK <= n) {
        chunk_t<T> v;
#pragma unroll
        for (int j = 0; j < CHUNK; j++) v.x[j] = from_float<T>(x[j]);
        *reinterpret_cast<chunk_t<T> *>(p + i) = v;
        return;
    }
#pragma unroll
    for (int j = 0; j < CHUNK; j++)
        if (i + j < n) p[i + j] = from_float<T>(x[j]);
}

#endif
