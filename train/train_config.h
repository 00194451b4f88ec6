/* The configuration of a training run: one option table for the YAML file, the key=value overrides and the help. */
#ifndef LENS_TRAIN_TRAIN_CONFIG_H
#define LENS_TRAIN_TRAIN_CONFIG_H

#include "base/options.h"
#include "model/pipeline.h"

typedef struct {
    struct {
        char *dir;
        int64_t seed, threads;
    } run;
    struct {
        char *dataset, *layers, *captions;
        char *resample; /* "area", "triangle" or "lanczos" */
        int64_t width, height, window_shards, threads, prefetch;
        double caption_dropout;
        bool flip, random_crop, linear_light;
    } data;
    struct {
        char *tokens;
        int64_t rows, dim, max_tok;
    } text;
    struct {
        int64_t layers, heads, head_dim, patch, rope_frame, rope_row, rope_column;
    } model;
    struct {
        char *mu, *sampling_mu; /* "auto" or a number */
        double spread;
    } flow;
    struct {
        int64_t steps, global_batch, warmup, checkpoint_every, keep;
        double lr, beta1, beta2, eps, weight_decay, clip, ema;
        char *schedule;
    } train;
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

/* The model that the configuration describes. */
LENS_CHECKED lens_status train_config_pipeline(pipeline_config_t *out, const train_config_t *c);
double train_config_mu(const train_config_t *c);               /* mean of the logit-normal of t */
double train_config_lr(const train_config_t *c, int64_t step); /* step from 1 */

#endif
