/* What a checkpoint sees of the state that training changes: its fields, each cut over the ranks by one partition.
 *
 * A view borrows all it points to. */
#ifndef LENS_TRAIN_STATE_VIEW_H
#define LENS_TRAIN_STATE_VIEW_H

#include "train/train_state.h"

typedef struct {
    kernels_t *k;
    const plan_t *plan;
    const partition_t *partition;
    int zero;              /* stage, for the record */
    const char *optimizer; /* whose fields these are */
    double adapter_alpha;  /* of the tensors of an adapter, where there are any */
    int n_fields;          /* "w": master weights; "ema.DECAY": an average of them; others are the optimiser's */
    const train_field_t *field;
    /* Collective: all values of one group of a field, device f32 [group.n], valid until the next call. */
    lens_status (*gather)(void *context, const train_field_t *f, int group, const float **out);
    void *context;
} state_view_t;

#endif
