/* One training step of one rank: from pictures and captions to updated weights. Device-blind.
 *
 * A step is one or several batches of a rank, each of one size, each cut into micro-batches: gradients add up, and are
 * sent between ranks with the last. The loss is the mean over all elements of all batches of the step over all ranks: a
 * sample weighs as its elements do, so that ranks may hold pictures of different sizes.
 *
 * Nothing here waits for the device but stepper_result (and stepper_evaluate): a step is asked for, and its results are
 * read while the device works on the next one. Whether the step is taken is decided on the device
 * (kernels/step_gate.h). */
#ifndef LENS_TRAIN_STEP_H
#define LENS_TRAIN_STEP_H

#include "train/loss_bins.h"
#include "train/train_config.h"
#include "train/train_state.h"

/* One rank's part of one batch, on the host; borrowed. */
typedef struct {
    int64_t n;
    int32_t width, height;      /* px */
    int64_t px_step;            /* pixels of all samples of the step, over all batches and ranks */
    const int64_t *sample;      /* [n] index in the dataset and */
    const uint32_t *epoch;      /* [n] its epoch: they key noise and timestep */
    const uint8_t *pixels;      /* u8 [n, height, width, 3]; NULL where latents are given */
    const float *latents;       /* f32 [n, N, Cin] */
    const char *const *caption; /* [n]; NULL where features are given */
    const float *features;      /* f32 [n, text.max_tok, layers, dim] */
    const int32_t *n_tok;       /* [n] of features */
} step_batch_t;

/* Seconds of this rank's device. The four parts add up to less than the step by what the device had nothing to do. */
typedef struct {
    double step_s; /* from the end of the step before, where that was still under way, else from this one's begin */
    double input_s, forward_s, backward_s, update_s;
    double exposed_s, comm_s; /* stood waiting for collectives; they were under way: as far as they were over when the
                                 step had been asked for, and the rest in the next one's */
} step_times_t;

typedef struct {
    double loss;       /* of the whole step, over all ranks */
    double model_flop; /* of the whole step: 3 x forward, products only, each caption at its own length */
    double n_images;   /* of the whole step */
    double n_text_tok; /* of the whole step, without padding */
    loss_bins_t bins;  /* by t */
    step_gate_t gate;  /* norm and verdict; with the state after this step */
    double votes;
    step_times_t times;
} step_result_t;

typedef struct {
    adamw_t adamw;
    double vote; /* of this rank, about anything: comes out summed over ranks */
} step_update_t;

enum { STEPPER_MAX_ASKED = 2 }; /* steps whose results are not read */

typedef struct stepper stepper_t;
/* shapes: of the micro-batches that will come (train_config_shape); n_batches: of this rank, in a step. */
LENS_CHECKED lens_status stepper_new(stepper_t **out, kernels_t *k, const train_config_t *c, const pipeline_config_t *p,
                                     const mmdit_shape_t *shapes, int n_shapes, int64_t n_batches);
void stepper_free(stepper_t *s); /* NULL is allowed */

/* Every rank calls these for the same step with equally many batches. */
void stepper_begin(stepper_t *s, train_state_t *state);
/* last: of this step. */
LENS_CHECKED lens_status stepper_batch(stepper_t *s, train_state_t *state, const step_batch_t *batch, bool last);
/* The verdict and the update. Fails where a collective has failed by now. */
LENS_CHECKED lens_status stepper_end(stepper_t *s, train_state_t *state, const step_update_t *u);
int stepper_n_asked(const stepper_t *s); /* steps that were ended and whose results were not read */
/* Collective: waits for the oldest of them, and for nothing that was asked for after it. The first error of the device
 * or of the collectives so far. */
LENS_CHECKED lens_status stepper_result(stepper_t *s, train_state_t *state, comm_t *comm, step_result_t *out);

/* Between steps, all results read: the loss of each row at noise level t, with noise by the streams [n], without
 * gradients. The batch is no larger than the micro-batches of its size. w: bound to act weights that are all there.
 * loss: host [n]. */
LENS_CHECKED lens_status stepper_evaluate(stepper_t *s, const pipeline_tensors_t *w, const step_batch_t *batch,
                                          const rng_t *noise, double t, double *loss);

int64_t stepper_n_cut(const stepper_t *s);             /* captions longer than text.max_tok so far */
const plan_t *stepper_activations(const stepper_t *s); /* for the memory table */

#endif
