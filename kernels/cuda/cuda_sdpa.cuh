/* Attention by cuDNN's fused kernels, for the attention rows of a table in bf16. */
#ifndef LENS_KERNELS_CUDA_CUDA_SDPA_CUH
#define LENS_KERNELS_CUDA_CUDA_SDPA_CUH

#include "kernels/cuda/cuda_kernels.cuh"

/* Reads LENS_CUDA_ATTENTION from the environment: `cudnn` (the default) or `own`, which leaves all to the plain
 * kernels; anything else is kept as the table's error. cuDNN itself is started by the first attention. */
void cuda_sdpa_open(kernels_t *k);

/* As the rows attention_fwd and attention_bwd. false: nothing was done, the plain kernel is to be taken: for heads
 * whose width is no multiple of 8 or more than 128, addresses that are no multiples of 16, and, with a warning at the
 * first time, shapes for which cuDNN has no plan. */
bool cuda_sdpa_fwd(kernels_t *k, act_t *o_img, act_t *o_txt, float *lse, const act_t *q, const act_t *key,
                   const act_t *v, const attention_shape_t *s);
bool cuda_sdpa_bwd(kernels_t *k, act_t *dq, act_t *dk, act_t *dv, const act_t *do_img, const act_t *do_txt,
                   const act_t *o_img, const act_t *o_txt, const float *lse, const act_t *q, const act_t *key,
                   const act_t *v, const attention_shape_t *s);

#endif
