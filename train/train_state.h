/* What training changes: weights, gradients, and the optimiser's fields, over one plan and one partition of it.
 *
 * Every rank holds all weights as products read them (acts). Of what the optimiser keeps, float32 masters, moments and
 * averages, a rank holds what the partition says it owns: all of it at zero 0, its pieces at zero 1 and 2 (ZeRO,
 * arXiv 1910.02054). Gradients are whole at zero 0 and 1; at zero 2 two stages of one group each take turns, and what
 * the rank owns is summed up as groups leave backward. There, every micro-batch sends its gradients: that is what the
 * memory is saved with. At zero 0 and 1 only the last micro-batch of a step does.
 *
 * Gradients are added up over ranks in float32. With train.reduce bfloat16, on a GPU, a group's are rounded to bf16 in
 * one of two stages, reduced there, and what this rank needs of the sum comes back as float32. That is half the bytes;
 * the values and each of the N - 1 sums over N ranks are rounded, by a relative 2^-8 at most. Backward waits for the
 * last group but one before it sends the next.
 *
 * Collectives run beside the compute: a group's gradients are reduced while backward is in the parts before it, and its
 * weights come back while the groups after it are updated and the next forward pass begins. One thread. */
#ifndef LENS_TRAIN_TRAIN_STATE_H
#define LENS_TRAIN_TRAIN_STATE_H

#include "kernels/collectives.h"
#include "train/muon.h"
#include "train/partition.h"
#include "train/train_config.h"

enum { TRAIN_MAX_FIELDS = 3 + TRAIN_MAX_EMA };

typedef struct {
    char name[24]; /* "w", "m", "v", "ema.0.9999" */
    float *own;    /* device f32 [partition.n_own] */
} train_field_t;

typedef struct {
    kernels_t *k;
    collectives_t *coll; /* borrowed */
    int zero;            /* 0 in a world of 1 */
    partition_t partition;
    const plan_t *plan;                /* of what is trained: all weights, or the adapters of a frozen model (LoRA) */
    pipeline_tensors_t weights, grads; /* grads.plan equals *plan; at zero 2 it is bound group by group */
    mmdit_lora_t lora;
    plan_t adapters; /* LoRA: theirs; weights.plan is the frozen model's then, and bound to: */
    act_t *frozen;
    act_t *acts;  /* act [partition.n] */
    float *g;     /* device f32 [partition.n]; zero 2: two stages [2, n_largest_group] */
    float *g_own; /* zero 2: device f32 [n_own] */
    int n_fields;
    train_field_t field[TRAIN_MAX_FIELDS];
    float *w, *m, *v, *ema[TRAIN_MAX_EMA]; /* the fields; w is acts itself where both are float and nothing is shared */
    int n_ema;
    double ema_decay[TRAIN_MAX_EMA];
    muon_t *muon;                 /* where the optimiser is Muon */
    float *scale;                 /* device: of the gradient, from clipping */
    double *sum_sq;               /* device */
    ticket_t *reduced, *gathered; /* [n_groups]: of the group's last gradients and weights */
    bool sends;                   /* the micro-batch under way sends its gradients */
    int staged[2];                /* zero 2: the group in each stage, -1: none */
    act_t *narrow;                /* bf16 [2, n_largest_group]: groups on their way; NULL: they are sent as float32 */
    int narrowed[2];              /* the group in each, -1: none */
} train_state_t;

static inline bool train_state_is_lora(const train_state_t *s) {
    return s->lora.rank > 0;
}

LENS_CHECKED lens_status train_state_init(train_state_t *s, kernels_t *k, collectives_t *coll, const train_config_t *c,
                                          const pipeline_config_t *p);
void train_state_free(train_state_t *s);
size_t train_state_bytes(const train_state_t *s); /* of all device buffers */
/* Collective. Initial values of what is trained, a function of the seed and a tensor's name; averages equal them. The
 * frozen model of adapters has none before it is loaded (checkpoint_load_frozen). */
LENS_CHECKED lens_status train_state_start(train_state_t *s, uint64_t seed);
/* Collective. After the master weights were replaced: acts become them. */
LENS_CHECKED lens_status train_state_refresh(train_state_t *s);

/* ---- a step ---- */

void train_state_zero_grads(train_state_t *s); /* first */
/* For each micro-batch: whether it is the step's last; then forward and backward with this watch, the embedding's
 * backward, train_state_end_inputs. */
void train_state_begin_micro(train_state_t *s, bool last);
mmdit_watch_t train_state_watch_forward(train_state_t *s);
mmdit_watch_t train_state_watch_backward(train_state_t *s); /* leaves out the end of the inputs' part */
void train_state_end_inputs(train_state_t *s);
/* Collective: waits for the gradients. *norm: the root of the sum of squares over all ranks' pieces. */
LENS_CHECKED lens_status train_state_grad_norm(train_state_t *s, double *norm);
/* Clips (0: not), one step of the optimiser for this rank's pieces, averages with decays that ramp up from the first
 * update on, and starts to send the new weights. o->step: updates so far, with this one. */
void train_state_update(train_state_t *s, const adamw_t *o, double clip);

/* ---- between steps ---- */

/* Collective: all of a field's values of one group, device f32 [group.n], until the next call or step. */
LENS_CHECKED lens_status train_state_gather(train_state_t *s, const train_field_t *f, int group, const float **out);

#endif
