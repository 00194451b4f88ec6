/* The configuration of a training run: one option table for the YAML file, the key=value overrides and the help. */
#ifndef LENS_TRAIN_TRAIN_CONFIG_H
#define LENS_TRAIN_TRAIN_CONFIG_H

#include "base/options.h"
#include "data/bucket.h"
#include "kernels/device.h"
#include "model/pipeline.h"
#include "train/schedule.h"

#define TRAIN_MAX_EMA 4

typedef struct {
    struct {
        char *dir, *device; /* device: DEVICE_KINDS */
        int64_t seed, threads;
        bool deterministic;
    } run;
    struct {
        char *dataset, *layers, *captions, *buckets, *latents;
        char *resample; /* "area", "triangle" or "lanczos" */
        int64_t window_shards, threads, prefetch;
        double caption_dropout, max_upscale;
        bool flip, random_crop, linear_light;
    } data;
    struct {
        char *tokens, *features;
        int64_t rows, dim, layers, max_tok;
    } text;
    struct {
        int64_t layers, heads, head_dim, patch, channels, downscale, rope_frame, rope_row, rope_column;
    } model;
    struct {
        char *mu, *sampling_mu; /* "auto" or a number */
        double spread;
    } flow;
    struct {
        int64_t steps, slots, accumulate, warmup, decay_steps, checkpoint_every, keep, zero, max_skips;
        double lr, min_lr, beta1, beta2, eps, weight_decay, clip, skip_zscore, group_mb, watchdog_s;
        char *batch, *schedule, *optimizer, *ema, *checkpointing, *init_from;
        char *reduce; /* "float32" or "bfloat16" */
    } train;
    struct {
        char *dataset;
        int64_t every, samples, batch;
    } valid;
    struct {
        int64_t rank;
        double alpha;
        char *targets;
    } lora;
    struct {
        int64_t every, steps;
        double guidance;
        char *prompts;
    } sample;
} train_config_t;

option_table_t train_config_table(void);
/* File, then overrides, then a check of what the parts mean together. ARGUMENT with the place of the mistake. */
LENS_CHECKED lens_status train_config_load(train_config_t *out, const char *path, int n_overrides, char **overrides);
void train_config_free(train_config_t *c);

/* What the texts of a loaded configuration mean: they were checked. */
LENS_CHECKED lens_status train_config_pipeline(pipeline_config_t *out, const train_config_t *c);
LENS_CHECKED lens_status train_config_buckets(bucket_list_t *out, const train_config_t *c);
/* Samples of a batch of each area of l, over the ranks that share it. ARGUMENT: not one number an area. */
LENS_CHECKED lens_status train_config_batch(int64_t batch_of_area[BUCKET_MAX], const train_config_t *c,
                                            const bucket_list_t *l);
/* Ranks that share one batch, and batches a rank takes each step. ARGUMENT where ranks and slots do not divide, or an
 * area's samples do not by ranks and micro-batches. */
LENS_CHECKED lens_status train_config_shares(int64_t *sharing, int64_t *per_step, const train_config_t *c, int world);
LENS_CHECKED lens_status train_config_schedule(schedule_t *out, const train_config_t *c);
device_options_t train_config_device(const train_config_t *c);
mmdit_checkpointing train_config_checkpointing(const train_config_t *c);
int train_config_ema(double decay[TRAIN_MAX_EMA], const train_config_t *c);                      /* their number */
mmdit_shape_t train_config_shape(const train_config_t *c, const bucket_t *b, int64_t n_samples); /* longest text */
double train_config_mu(const train_config_t *c, int64_t n_tokens);                               /* of t */

#endif
