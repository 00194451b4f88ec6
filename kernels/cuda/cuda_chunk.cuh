/* What element-wise kernels have in common: a thread takes a chunk of 8 neighbours, in 16-byte accesses where all of
 * its tensors are aligned and the chunk is whole, else one by one. Values are the same either way. */
#ifndef LENS_KERNELS_CUDA_CUDA_CHUNK_CUH
#define LENS_KERNELS_CUDA_CUDA_CHUNK_CUH

#include "kernels/cuda/cuda_kernels.cuh"

enum { CHUNK = 8, CHUNK_THREADS = 256, CHUNK_BLOCK = CHUNK * CHUNK_THREADS };

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

/* x = p[i .. i+8), zeros from n on. */
template <typename T>
static __device__ inline void chunk_load(float x[CHUNK], const T *p, int64_t i, int64_t n, bool aligned) {
    if (aligned && i + CHUNK <= n) {
#pragma unroll
        for (int part = 0; part < CHUNK; part += vec_t<T>::N) {
            vec_t<T> v = vec_load(p + i + part);
#pragma unroll
            for (int j = 0; j < vec_t<T>::N; j++) x[part + j] = to_float(v.x[j]);
        }
        return;
    }
#pragma unroll
    for (int j = 0; j < CHUNK; j++) x[j] = i + j < n ? to_float(p[i + j]) : 0.0f;
}

template <typename T>
static __device__ inline void chunk_store(T *p, const float x[CHUNK], int64_t i, int64_t n, bool aligned) {
    if (aligned && i + CHUNK <= n) {
#pragma unroll
        for (int part = 0; part < CHUNK; part += vec_t<T>::N) {
            vec_t<T> v;
#pragma unroll
            for (int j = 0; j < vec_t<T>::N; j++) v.x[j] = from_float<T>(x[part + j]);
            vec_store(p + i + part, v);
        }
        return;
    }
#pragma unroll
    for (int j = 0; j < CHUNK; j++)
        if (i + j < n) p[i + j] = from_float<T>(x[j]);
}

#endif
