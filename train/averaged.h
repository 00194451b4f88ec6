/* The averaged weights as products read them, for a while between steps: samples are drawn from them, and they are
 * validated.
 *
 * Where act is float and nothing is shared out, the average's own buffer is what products read. Elsewhere the average
 * is gathered, group by group, over the acts, and afterwards those are made from the masters again, which gives them
 * back to the bit: there is no second copy of the model in either case. */
#ifndef LENS_TRAIN_AVERAGED_H
#define LENS_TRAIN_AVERAGED_H

#include "train/train_state.h"

typedef struct {
    train_state_t *state;       /* borrowed */
    pipeline_tensors_t average; /* bound to the average, where it is read in place */
    plan_t adapters;            /* LoRA: theirs, of average */
    bool in_place;
} averaged_t;

LENS_CHECKED lens_status averaged_init(averaged_t *a, train_state_t *s, const pipeline_config_t *p);
void averaged_free(averaged_t *a); /* and resets; never initialised is allowed */

/* Both are collective. *out: the first average of train.ema, the weights themselves where there is none; until
 * averaged_end, before which no step may begin. After a failure of either the weights are lost. */
LENS_CHECKED lens_status averaged_begin(averaged_t *a, const pipeline_tensors_t **out);
LENS_CHECKED lens_status averaged_end(averaged_t *a);

#endif
