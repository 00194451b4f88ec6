/* Kernels that show what the emulated device does with them: right ones, and wrong ones that it must catch. */
#ifndef LENS_TESTS_EMULATION_KERNELS_H
#define LENS_TESTS_EMULATION_KERNELS_H

#include "kernels/kernels.h"

typedef enum {
    EMULATE_BLOCK_SUM,      /* out[b] = sum of in[b, 256], by warps and a barrier */
    EMULATE_SHUFFLES,       /* out[11, 32]: what 32 lanes get of in[32] by each exchange */
    EMULATE_BARRIER_COUNTS, /* out[3, 96] = __syncthreads_count, _or, _and of in != 0 */
    EMULATE_INDEX,          /* out[i] = i over a grid of (3, 2, 2) blocks of (4, 3, 2) threads */
    EMULATE_DYNAMIC,        /* out[256] = in reversed, through the end of 100 KiB of shared memory */
    EMULATE_ROUND,          /* out[256] = in rounded to bf16 */
    EMULATE_RACE,           /* as EMULATE_DYNAMIC, without the barrier */
    EMULATE_EARLY_RETURN,   /* a thread returns, the others wait at a barrier */
    EMULATE_TWO_BARRIERS,   /* threads wait at different ones */
    EMULATE_LOST_LANE,      /* a mask of 32 lanes, of which 31 come */
    EMULATE_TWO_EXCHANGES,  /* lanes of a warp at different ones */
    EMULATE_PAST_END,       /* writes out[n] */
    EMULATE_FAR,            /* writes out[-4096] */
    EMULATE_BLOCK_TOO_LARGE,
    EMULATE_SHARED_TOO_LARGE,
    EMULATE_CASES,
} emulation_case;

void emulation_run(kernels_t *k, emulation_case which, float *out, const float *in, int64_t n);

#endif
