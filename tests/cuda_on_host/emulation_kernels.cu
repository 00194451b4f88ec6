#include "kernels/cuda/cuda_kernels.cuh"

extern "C" {
#include "tests/cuda_on_host/emulation_kernels.h"
}

enum { THREADS = 256 };

__global__ void block_sum_kernel(float *out, const float *in) {
    __shared__ float shared[THREADS / WARP];
    float sum = block_sum<THREADS>(in[blockIdx.x * THREADS + threadIdx.x], shared);
    if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

__global__ void shuffle_kernel(float *out, const float *in) {
    unsigned lane = threadIdx.x;
    float x = in[lane];
    out[lane] = __shfl_sync(WARP_ALL, x, 5);
    out[32 + lane] = __shfl_sync(WARP_ALL, x, 2, 8);
    out[64 + lane] = __shfl_xor_sync(WARP_ALL, x, 3);
    out[96 + lane] = __shfl_down_sync(WARP_ALL, x, 4);
    out[128 + lane] = __shfl_up_sync(WARP_ALL, x, 4);
    out[160 + lane] = __shfl_down_sync(WARP_ALL, x, 1, 16);
    out[192 + lane] = (float)(__ballot_sync(WARP_ALL, lane % 3 == 0) >> lane & 1);
    out[224 + lane] = (float)__any_sync(WARP_ALL, lane == 31);
    out[256 + lane] = (float)__all_sync(WARP_ALL, lane < 31);
    out[288 + lane] = lane < 16 ? __shfl_sync(0x0000FFFFu, x, 15) : __shfl_sync(0xFFFF0000u, x, 16);
    out[320 + lane] = warp_max(x);
}

__global__ void barrier_count_kernel(float *out, const float *in) {
    int i = (int)threadIdx.x, p = in[i] != 0;
    out[i] = (float)__syncthreads_count(p);
    out[blockDim.x + i] = (float)__syncthreads_or(p);
    out[2 * blockDim.x + i] = (float)__syncthreads_and(p);
}

__global__ void index_kernel(float *out) {
    unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x,
             thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x,
             i = block * blockDim.x * blockDim.y * blockDim.z + thread;
    out[i] = (float)i;
}

__global__ void reverse_kernel(float *out, const float *in, size_t offset, bool waits) {
    SHARED_DYNAMIC(float, shared);
    shared[offset + threadIdx.x] = in[threadIdx.x];
    if (waits) __syncthreads();
    out[threadIdx.x] = shared[offset + THREADS - 1 - threadIdx.x];
}

__global__ void round_kernel(float *out, const float *in) {
    out[threadIdx.x] = to_float(from_float<__nv_bfloat16>(in[threadIdx.x]));
}

__global__ void early_return_kernel(float *out) {
    if (threadIdx.x == 70) return;
    __syncthreads();
    out[threadIdx.x] = 0;
}

__global__ void two_barriers_kernel(float *out) {
    if (threadIdx.x < 32) {
        __syncthreads();
    } else {
        __syncthreads();
    }
    out[threadIdx.x] = 0;
}

__global__ void lost_lane_kernel(float *out) {
    if (threadIdx.x != 9) out[threadIdx.x] = __shfl_sync(WARP_ALL, 1.0f, 9);
}

__global__ void two_exchanges_kernel(float *out) {
    if (threadIdx.x < 16)
        out[threadIdx.x] = __shfl_sync(WARP_ALL, 1.0f, 9);
    else
        out[threadIdx.x] = __shfl_xor_sync(WARP_ALL, 1.0f, 1);
}

__global__ void write_kernel(float *out, int64_t at) {
    out[at] = 1;
}

static void run_right(kernels_t *k, emulation_case which, float *out, const float *in, int64_t n) {
    size_t shared = (size_t)100 << 10, offset = shared / sizeof(float) - THREADS;
    if (which == EMULATE_BLOCK_SUM) LAUNCH(k, block_sum_kernel, cuda_blocks(n, THREADS), THREADS, 0, out, in);
    if (which == EMULATE_SHUFFLES) LAUNCH(k, shuffle_kernel, 1, WARP, 0, out, in);
    if (which == EMULATE_BARRIER_COUNTS) LAUNCH(k, barrier_count_kernel, 1, 96, 0, out, in);
    if (which == EMULATE_INDEX) LAUNCH(k, index_kernel, dim3(3, 2, 2), dim3(4, 3, 2), 0, out);
    if (which == EMULATE_DYNAMIC) LAUNCH(k, reverse_kernel, 1, THREADS, shared, out, in, offset, true);
    if (which == EMULATE_ROUND) LAUNCH(k, round_kernel, 1, THREADS, 0, out, in);
}

void emulation_run(kernels_t *k, emulation_case which, float *out, const float *in, int64_t n) {
    run_right(k, which, out, in, n);
    if (which == EMULATE_RACE) LAUNCH(k, reverse_kernel, 1, THREADS, sizeof(float) * THREADS, out, in, 0, false);
    if (which == EMULATE_EARLY_RETURN) LAUNCH(k, early_return_kernel, 1, 96, 0, out);
    if (which == EMULATE_TWO_BARRIERS) LAUNCH(k, two_barriers_kernel, 1, 96, 0, out);
    if (which == EMULATE_LOST_LANE) LAUNCH(k, lost_lane_kernel, 1, 32, 0, out);
    if (which == EMULATE_TWO_EXCHANGES) LAUNCH(k, two_exchanges_kernel, 1, 32, 0, out);
    if (which == EMULATE_PAST_END) LAUNCH(k, write_kernel, 1, 1, 0, out, n);
    if (which == EMULATE_FAR) LAUNCH(k, write_kernel, 1, 1, 0, out, -1024);
    if (which == EMULATE_BLOCK_TOO_LARGE) LAUNCH(k, index_kernel, 1, 1025, 0, out);
    if (which == EMULATE_SHARED_TOO_LARGE) LAUNCH(k, index_kernel, 1, 1, (size_t)228 << 10, out);
}
