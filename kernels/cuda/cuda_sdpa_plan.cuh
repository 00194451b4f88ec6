/* Attention as a plan of cuDNN 9: the graph of operations that its fused kernels recognise, and the choice of one of
 * them. Host code only.
 *
 * The graph is the one of primitive operations (two products and a softmax between them) and not the single attention
 * operation: cuDNN 9.19 has the latter's backward pass, but proposes no engine for it. Sources: cuDNN's documentation
 * of its graph API, "fused attention" (docs.nvidia.com/deeplearning/cudnn), and the operations that cudnn-frontend
 * makes of `sdpa` and `sdpa_backward`. docs/gpu-notes.md says what is assumed beyond them. */
#ifndef LENS_KERNELS_CUDA_CUDA_SDPA_PLAN_CUH
#define LENS_KERNELS_CUDA_CUDA_SDPA_PLAN_CUH

#include <cudnn.h>

#define _Noreturn [[noreturn]] /* C11's word, in the header below */
extern "C" {
#include "base/error.h"
}
#undef _Noreturn

/* What decides a plan; all integers, without padding between, so that keys compare as bytes. q, k, v and their
 * gradients are bf16 [B, H, S, K], of q the first M rows of each head; o and its gradient bf16 [B, M, H, K]. */
typedef struct {
    int64_t B, H, S, K, M, backward;
    int64_t deterministic; /* backward's dq is then no sum of float atomics, but the product of kept bf16 scores: 2
                              bytes a score of workspace */
} sdpa_key_t;

/* The tensors of a plan by their unique ids. By value: the pointer is the host's. */
enum {
    SDPA_Q = 1,
    SDPA_K,
    SDPA_V,
    SDPA_O,         /* forward: written */
    SDPA_STATS,     /* f32 [B, H, M]: natural logarithm of the softmax's denominator; forward: written */
    SDPA_N_QUERIES, /* i32 [B]: rows of q that take part */
    SDPA_N_KEYS,    /* i32 [B] */
    SDPA_SCALE,     /* f32 by value */
    SDPA_LOWEST,    /* f32 by value: of scores that take no part, -FLT_MAX */
    SDPA_FWD_END,
    SDPA_DO = SDPA_FWD_END, /* the others: backward only */
    SDPA_DQ,                /* these three: rows past a sample's lengths are left alone, or written with anything */
    SDPA_DK,
    SDPA_DV,
    SDPA_ONE,    /* f32 by value: 1 */
    SDPA_DELTA,  /* f32 [B, H, M] of scratch */
    SDPA_DQ_SUM, /* f32 [B, H, M, K] of scratch; not where deterministic */
    SDPA_END,
};

enum { SDPA_DESCRIPTORS_MAX = 256, SDPA_ALIGNMENT = 16 }; /* of every tensor but the lengths, in bytes */

typedef struct {
    cudnnBackendDescriptor_t plan; /* owned, as are all below */
    int64_t workspace_bytes;
    bool noted; /* the engine is said to be nondeterministic */
    cudnnBackendDescriptor_t all[SDPA_DESCRIPTORS_MAX];
    int n;
} sdpa_plan_t;

/* LENS_CUDA with cuDNN's reason where it has no plan. handle NULL: for the device that the finalized descriptor
 * `properties` describes, which need not be there; such a plan cannot run. *out is to be freed only where OK. */
LENS_CHECKED lens_status sdpa_plan_new(sdpa_plan_t *out, cudnnHandle_t handle, cudnnBackendDescriptor_t properties,
                                       const sdpa_key_t *key);
void sdpa_plan_free(sdpa_plan_t *p);
/* data[uid]: SDPA_END of them; NULL where the plan has no such tensor. Asynchronous, on the handle's stream. */
LENS_CHECKED lens_status sdpa_plan_run(const sdpa_plan_t *p, cudnnHandle_t handle, void *const data[SDPA_END],
                                       void *workspace);
/* LENS_OK, or the error that cuDNN's status is, with its last message. */
LENS_CHECKED lens_status sdpa_failed(cudnnStatus_t status, const char *what);

#endif
