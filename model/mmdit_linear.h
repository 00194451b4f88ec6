/* A linear layer of the MMDiT: y = x w^T + b, and where it has an adapter + scale (x a^T) b^T (LoRA: Hu et al., arXiv
 * 2106.09685). All linears of the model go through here.
 *
 * act x [R, n_in], y [R, n_out]. The adapters' rank and scale are the model's; x a^T is made again in backward, where a
 * rank is small beside n_in and n_out. A gradient that is NULL is not computed: what is frozen costs no product. */
#ifndef LENS_MODEL_MMDIT_LINEAR_H
#define LENS_MODEL_MMDIT_LINEAR_H

#include "model/mmdit_state.h"

void mmdit_linear_fwd(mmdit_t *m, const mmdit_linear_t *w, act_t *y, const act_t *x, int64_t R, int64_t n_out,
                      int64_t n_in);
/* dx is overwritten, or NULL: not wanted; it may be x itself. */
void mmdit_linear_bwd(mmdit_t *m, const mmdit_linear_t *w, const mmdit_linear_t *g, act_t *dx, const act_t *dy,
                      const act_t *x, int64_t R, int64_t n_out, int64_t n_in);
/* Adds to dx. */
void mmdit_linear_bwd_add(mmdit_t *m, const mmdit_linear_t *w, const mmdit_linear_t *g, act_t *dx, const act_t *dy,
                          const act_t *x, int64_t R, int64_t n_out, int64_t n_in);

/* In place of a backward pass that is not made: of fresh gradients (mmdit_tensors_t), that of w becomes zero. */
void mmdit_linear_no_bwd(mmdit_t *m, const mmdit_linear_t *g, int64_t n_out, int64_t n_in);

/* w1 and w3 of SwiGLU as one product: y [R, 2, n_out]; each has its own adapter. dx is not x here. */
void mmdit_linear_pair_fwd(mmdit_t *m, const mmdit_stream_t *w, act_t *y, const act_t *x, int64_t R, int64_t n_out,
                           int64_t n_in);
void mmdit_linear_pair_bwd(mmdit_t *m, const mmdit_stream_t *w, const mmdit_stream_t *g, act_t *dx, const act_t *dy,
                           const act_t *x, int64_t R, int64_t n_out, int64_t n_in);

#endif
