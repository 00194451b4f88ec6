/* Muon: momentum whose matrices are made orthogonal (Jordan et al. 2024, kellerjordan.github.io/posts/muon), with
 * decoupled weight decay and the step scaled so that AdamW's learning rate and decay carry over (Liu et al.,
 * arXiv 2502.16982): of a matrix [R, C],
 *
 *     m = momentum m + g,   u = momentum m + g,   w = (1 - lr decay) w - lr 0.2 sqrt(max(R, C)) orthogonal(u)
 *
 * where orthogonal(u) is five Newton-Schulz steps on u / |u|, whose singular values end between 0.68 and 1.14.
 *
 * It is for the matrices of the blocks; a stack of matrices that act apart (query, key and value; the six parts of a
 * modulation) is taken apart. All other tensors take AdamW's step, here too: one call updates a whole group.
 *
 * Where state is sharded, a rank owns a flat piece of a group, which does not end where matrices do: each rank makes u
 * of its piece, an all-gather makes it whole for all, and each orthogonalises the matrices that its piece has a part
 * in. So 1 and N ranks get the same, and a matrix is computed as often as pieces share it. Where it is not sharded,
 * every rank computes all: about 980 D^3 FLOP a block of width D, as much as training on 14 D tokens. Of the moments,
 * "m" is used everywhere, "v" where AdamW is.
 *
 *     for each group i:    muon_begin_group(u, i, ...)    as soon as its gradients are reduced; starts the all-gather
 *                          muon_end_group(u, i, ...)      new masters and acts of the piece
 *
 * At most MUON_MAX_BEGUN groups are begun and not ended, in the order of their beginning: begin the next one before
 * this one's end, and its all-gather runs beside these products. One thread. */
#ifndef LENS_TRAIN_MUON_H
#define LENS_TRAIN_MUON_H

#include "kernels/collectives.h"
#include "train/partition.h"

enum { MUON_MAX_BEGUN = 2 };
#define MUON_MOMENTUM 0.95f

/* This rank's piece of a group, [own_n] of each on the device: in own buffers at own_at, in flat ones at own_first. */
typedef struct {
    float *master;
    act_t *acts; /* of the piece alone; the caller gathers them. May be master, where act is float */
    float *m, *v;
    const float *g;          /* reduced over ranks */
    const step_gate_t *gate; /* has judged the step: where it is left out, nothing changes */
} muon_piece_t;

/* Matrices that the tensor is updated as, one below the other: 0 where it takes AdamW's step. */
int64_t muon_n_matrices(const plan_row_t *row);
/* The scratch of one rank, as rows: act and f32. In no file and of no meaning between steps. */
LENS_CHECKED lens_status muon_plan_scratch(plan_t *out, const plan_t *weights, const partition_t *p, size_t act_bytes);

typedef struct muon muon_t;
/* Borrows all. With one piece there is no collective, and coll may be NULL. */
LENS_CHECKED lens_status muon_new(muon_t **out, kernels_t *k, collectives_t *coll, const plan_t *weights,
                                  const partition_t *p);
void muon_free(muon_t *u); /* NULL is allowed */

/* o: AdamW's, whose lr and weight_decay are Muon's too. Every rank calls both for every group. The same piece and o at
 * begin and end. */
void muon_begin_group(muon_t *u, int group, const muon_piece_t *piece, const adamw_t *o);
void muon_end_group(muon_t *u, int group, const muon_piece_t *piece, const adamw_t *o);

#endif
