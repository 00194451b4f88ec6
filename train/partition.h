/* How a flat buffer of parameters is cut over ranks (ZeRO: Rajbhandari et al., arXiv 1910.02054).
 *
 * The buffer is cut into groups, each some consecutive parts of the model (mmdit_n_parts): a group's gradients are
 * reduced together, as soon as backward has left it. Where state is sharded, each group is cut into as many equal
 * pieces as there are ranks, and rank r owns the r-th of every group; otherwise it owns all. What a rank owns of all
 * groups, one after the other, is the layout of its own buffers: master weights, moments, averages.
 *
 * slices name what is owned by tensor, in the order of own buffers: the optimiser's work and the fields of a
 * checkpoint, which another number of ranks reads by name. Pure functions of plan and counts. */
#ifndef LENS_TRAIN_PARTITION_H
#define LENS_TRAIN_PARTITION_H

#include "model/plan.h"

#define PARTITION_ALIGN_FLOATS 16 /* of every piece */

/* All in floats (elements) of the flat buffer. */
typedef struct {
    int64_t first, n;              /* the group: [first, first + n) */
    int64_t own_first, own_n;      /* this rank's piece of it */
    int64_t own_at;                /* where that piece lies in an own buffer */
    int64_t first_part, last_part; /* of the model */
} partition_group_t;

typedef struct {
    const plan_row_t *row;
    int64_t row_first, n; /* elements [row_first, row_first + n) of the tensor */
    int64_t flat_at;      /* where they lie in the flat buffer */
    int64_t own_at;       /* and in an own buffer */
    int group;
} partition_slice_t;

typedef struct {
    int n_pieces; /* of a group: the world where state is sharded, else 1 */
    int piece;    /* this rank's */
    int64_t n;    /* floats of the flat buffer */
    int64_t n_own, n_largest_group;
    int n_groups;
    partition_group_t *group; /* [n_groups], in the order of the flat buffer, which is that of the forward pass */
    int n_slices;
    partition_slice_t *slice; /* [n_slices] by own_at */
} partition_t;

/* Alignment that the plan's groups need (plan_t.group_align) for so many pieces. */
size_t partition_group_align(int n_pieces);
/* Consecutive parts are merged into a group until it has at least min_group_bytes (of float32). The plan is borrowed:
 * slices point to its rows. */
LENS_CHECKED lens_status partition_init(partition_t *out, const plan_t *plan, int n_pieces, int piece,
                                        size_t min_group_bytes);
void partition_free(partition_t *p);                             /* and resets */
int partition_group_of_part(const partition_t *p, int64_t part); /* part of the model */

#endif
