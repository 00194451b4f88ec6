/* The loss on held-out samples, by all ranks together.
 *
 * Every sample is seen once at each noise level t = 0.05, 0.15, ... 0.95, with noise that depends on the sample and the
 * level alone (not on run.seed), its picture cropped at the centre, its caption never dropped. The result is the sum of
 * squared errors over all elements, over their number: it compares across runs, batches, worlds and, as each picture
 * keeps its own bucket, mixtures of resolutions. Sample i of those looked at belongs to rank i mod world.
 *
 * A held-out set is one of its own, valid.dataset: `lens shards split DIR -o OUT --fractions 0.99,0.01` makes one of a
 * training set by a hash of the key, which moves no sample when the set grows. A part of data.dataset that only the
 * trainer knew to leave out would be trained on by the next run that was not told. */
#ifndef LENS_TRAIN_VALIDATION_H
#define LENS_TRAIN_VALIDATION_H

#include "base/comm.h"
#include "train/step.h"

enum { VALIDATION_LEVELS = 10 };

typedef struct {
    double loss;                         /* the mean over all */
    double loss_of_t[VALIDATION_LEVELS]; /* by level */
    int64_t n_samples;                   /* that fit a bucket */
} validation_result_t;

typedef struct validator validator_t;
/* Opens c->valid.dataset, which is read as the training set is: same buckets, captions, arrays. ARGUMENT where it lacks
 * them; FORMAT where it has no samples. */
LENS_CHECKED lens_status validator_new(validator_t **out, const train_config_t *c, const pipeline_config_t *p,
                                       comm_t *comm);
void validator_free(validator_t *v); /* NULL is allowed */

/* Collective, between steps. w: bound to act weights that are all there; the stepper's model computes. STATE where no
 * sample fits a bucket. */
LENS_CHECKED lens_status validator_run(validator_t *v, stepper_t *s, const pipeline_tensors_t *w,
                                       validation_result_t *out);

#endif
