/* A whole training step on the counting table: the real state, stepper and model, run once without computing. */
#ifndef LENS_TRAIN_STEP_COUNT_H
#define LENS_TRAIN_STEP_COUNT_H

#include "kernels/counting.h"
#include "train/train_config.h"

typedef struct {
    size_t act_bytes; /* of the device that would compute */
    int world;        /* ranks; counted is the first */
    int bucket;       /* of the configuration's: all batches of the step */
    int64_t text_tok; /* of every caption */
} step_count_options_t;

typedef struct {
    kernels_t *k;        /* counting_calls: of the step alone. Owned */
    double model_flop;   /* useful: 3 x forward, products only; of this rank, as all below */
    double n_images;     /* samples */
    double sent_bytes;   /* to other ranks */
    size_t device_bytes; /* allocated for state and step */
} step_count_t;

/* comm: of this process, a world of 1. ARGUMENT: a bucket, a length or ranks that the configuration does not have. */
LENS_CHECKED lens_status step_count_make(step_count_t *out, const train_config_t *c, comm_t *comm,
                                         const step_count_options_t *o);
void step_count_free(step_count_t *s); /* never made is allowed where it is {0} */

/* The bucket that stands for an area: its square, or its first. */
int step_count_bucket(const bucket_list_t *l, int area);

#endif
