/* The learning rate as a function of the step: linear warm-up, then a constant, a cosine, or a constant that is let
 * down at the end (WSD: warm-up, stable, decay; Hu et al., arXiv 2404.06395). Nothing is kept between steps. */
#ifndef LENS_TRAIN_SCHEDULE_H
#define LENS_TRAIN_SCHEDULE_H

#include "base/error.h"

typedef enum {
    SCHEDULE_CONSTANT, /* knows no end: a run that is prolonged has trained as the longer one would have */
    SCHEDULE_COSINE,   /* falls from the end of the warm-up to min_lr at `steps` */
    SCHEDULE_WSD, /* constant until decay_steps before the end, then to min_lr as 1 - sqrt(share of the decay done),
                     the best of the forms compared by Hägele et al. (arXiv 2405.18392) */
} schedule_kind;

typedef struct {
    schedule_kind kind;
    double lr, min_lr;
    int64_t steps, warmup, decay_steps; /* decay_steps: of WSD alone */
} schedule_t;

LENS_CHECKED lens_status schedule_kind_parse(schedule_kind *out, const char *name); /* "constant", "cosine", "wsd" */
/* ARGUMENT, in the words of the configuration: a decay that begins before the warm-up has ended or has no length, or a
 * min_lr above lr. A run may end within its warm-up. */
LENS_CHECKED lens_status schedule_check(const schedule_t *s);
/* step counts from 1; at step `warmup` the full rate is reached, at `steps` (and beyond) the last one. */
double schedule_lr(const schedule_t *s, int64_t step);

#endif
