/* What a configuration will do, without doing any of it: the model's size, the cost of an image of each bucket, what a
 * step has, and the memory of a rank. For `lens train --dry-run` and `lens plan`. */
#ifndef LENS_TRAIN_TRAIN_PLAN_H
#define LENS_TRAIN_TRAIN_PLAN_H

#include "train/memory_plan.h"

typedef struct {
    bucket_t bucket;
    int64_t n_tok;     /* image tokens */
    double mu;         /* of t */
    double image_flop; /* 3 x forward of one image, products only */
} train_plan_bucket_t;

typedef struct {
    int64_t batch;       /* samples of a batch, over the ranks that share it */
    int64_t micro;       /* of a micro-batch of a rank */
    double share;        /* of all batches, where images fall into all areas alike */
    double rank_flop;    /* mean, of one rank's part of one batch */
    double largest_flop; /* of its most expensive bucket */
} train_plan_area_t;

typedef struct {
    pipeline_config_t pipeline;
    memory_machine_t machine;
    memory_plan_t memory;
    int64_t text_tok;          /* of each caption, for the cost */
    int64_t sharing, per_step; /* ranks that share a batch; batches a rank takes each step */
    int64_t accumulate;
    int n_buckets, n_areas;
    train_plan_bucket_t bucket[BUCKET_MAX];
    train_plan_area_t area[BUCKET_MAX];
    /* Of a step, on the assumption that images fall into all areas alike, and into an area's buckets alike. */
    double step_images, step_flop; /* over all ranks */
    double slowest_flop;           /* of the rank with most work: what the others wait for */
} train_plan_t;

/* Tokens of a caption, where nobody says: half of text.max_tok, at most 160, the mean of the paper's captions. */
int64_t train_plan_caption_tok(const train_config_t *c);
/* text_tok: 0: as that. */
LENS_CHECKED lens_status train_plan_make(train_plan_t *out, const train_config_t *c, const memory_machine_t *m,
                                         int64_t text_tok);
/* Model, step, buckets and memory, for people. */
void train_plan_print(str_t *out, const train_plan_t *p, const train_config_t *c);
/* `lens train --dry-run`: the same of ranks on the device that run.device comes to here. */
LENS_CHECKED lens_status train_plan_dry_run(str_t *out, const train_config_t *c, int world);

#endif
