/* Rows of D elements in chunks of CHUNK, and sums over the rows of a sample: for norms and element-wise kernels.
 *
 * Sums over tokens are made in two passes and are the same on every device: a block adds PIECE_ROWS rows in order, in
 * registers, and stores the sums, 4 / PIECE_ROWS bytes an element of each; a second kernel adds the pieces of a sample.
 */
#ifndef LENS_KERNELS_CUDA_CUDA_ROWS_CUH
#define LENS_KERNELS_CUDA_CUDA_ROWS_CUH

#include "kernels/cuda/cuda_kernels.cuh"

enum { CHUNK = 8, PIECE_ROWS = 16 };

/* At least one: the sums of no rows are zeros that somebody writes. */
static inline int64_t piece_count(int64_t L) {
    return L > 0 ? (L + PIECE_ROWS - 1) / PIECE_ROWS : 1;
}

/* A slice_t of elements: row b begins at `at + b * stride`. */
template <typename act> struct columns_t {
    act *at;
    int64_t stride;
    __device__ act *row(int64_t b) const { return at + b * stride; }
};
template <typename act> static inline columns_t<act> columns_of(slice_t s) {
    return {(act *)s.data + s.column, s.stride};
}

/* Whether rows of D elements, `stride` apart, are chunks of whole 16-byte vectors. */
static inline bool rows_aligned(const void *p, int64_t stride, int64_t D) {
    return vec_aligned(p) && stride % CHUNK == 0 && D % CHUNK == 0;
}
template <typename act> static inline bool columns_aligned(columns_t<act> c, int64_t D) {
    return rows_aligned(c.at, c.stride, D);
}

/* A chunk as it lies in memory. Loaded well ahead of its use, it keeps memory busy and takes a register for two
 * elements of bf16. */
template <typename T> struct raw_t { vec_t<T> v[CHUNK / vec_t<T>::N]; };

/* Elements [i, i + CHUNK) of a row of D; zeros behind its end. vec: the row is aligned. */
template <typename T> __device__ inline raw_t<T> raw_load(const T *row, int64_t i, int64_t D, bool vec) {
    enum { N = vec_t<T>::N };
    raw_t<T> raw;
#pragma unroll
    for (int j = 0; j < CHUNK; j += N) {
        if (vec && i < D) {
            raw.v[j / N] = vec_load(row + i + j);
            continue;
        }
#pragma unroll
        for (int e = 0; e < N; e++) raw.v[j / N].x[e] = i + j + e < D ? row[i + j + e] : from_float<T>(0);
    }
    return raw;
}
template <typename T> __device__ inline void raw_floats(float *out, const raw_t<T> &raw) {
#pragma unroll
    for (int j = 0; j < CHUNK; j++) out[j] = to_float(raw.v[j / vec_t<T>::N].x[j % vec_t<T>::N]);
}
template <typename T> __device__ inline void chunk_load(float *out, const T *row, int64_t i, int64_t D, bool vec) {
    raw_floats(out, raw_load(row, i, D, vec));
}
template <typename T> __device__ inline void chunk_store(T *row, const float *x, int64_t i, int64_t D, bool vec) {
    enum { N = vec_t<T>::N };
    if (vec && i < D) {
#pragma unroll
        for (int j = 0; j < CHUNK; j += N) {
            vec_t<T> v;
#pragma unroll
            for (int e = 0; e < N; e++) v.x[e] = from_float<T>(x[j + e]);
            vec_store(row + i + j, v);
        }
        return;
    }
#pragma unroll
    for (int j = 0; j < CHUNK; j++)
        if (i + j < D) row[i + j] = from_float<T>(x[j]);
}

/* ---- a row over the threads of a block: as few tiles as 256 threads each allow, of whole warps ---- */
enum { ROW_THREADS = 256 };

static inline unsigned row_tiles(int64_t width) {
    return cuda_blocks(width, ROW_THREADS * CHUNK);
}
static inline unsigned row_threads(int64_t width) {
    unsigned chunks = cuda_blocks(width, CHUNK), tiles = row_tiles(width);
    return tiles ? cuda_blocks(chunks, WARP * tiles) * WARP : WARP;
}

/* ---- the second pass: grid (blocks of WARP columns, samples), a block of SUM_GROUPS warps ---- */
enum { SUM_GROUPS = 8 };

static inline dim3 sum_grid(int64_t D, int64_t B) {
    return dim3(cuda_blocks(D, WARP), (unsigned)B);
}
static inline dim3 sum_block(void) {
    return dim3(WARP, SUM_GROUPS);
}

/* sum over pieces of from[piece * stride + column], for the threads of the first warp; the others add every eighth
 * piece each, so that the order is fixed. All threads of the block call. */
__device__ inline float piece_sum(const float *from, int64_t n_pieces, int64_t stride, int64_t column, int64_t D) {
    __shared__ float group[SUM_GROUPS][WARP];
    float sum = 0;
    for (int64_t p = threadIdx.y; p < n_pieces && column < D; p += SUM_GROUPS) sum += from[p * stride + column];
    group[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    float all = 0;
#pragma unroll
    for (int g = 0; g < SUM_GROUPS; g++) all += group[g][threadIdx.x];
    __syncthreads();
    return all;
}

#endif
