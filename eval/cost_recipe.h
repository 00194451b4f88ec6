/* What a recipe costs: configurations of training, one after another, counted from the architecture. FLOP are 2 x
 * multiply-adds of products; model FLOP are 3 x forward of the trained model, and nothing else. */
#ifndef LENS_EVAL_COST_RECIPE_H
#define LENS_EVAL_COST_RECIPE_H

#include "eval/cost_encoders.h"
#include "eval/cost_sheet.h"
#include "train/train_plan.h"

enum { COST_MAX_STAGES = 8 };

/* What configurations do not say. */
typedef struct {
    int64_t text_tok; /* of a caption; 0: as train_plan_caption_tok */
    bool padded;      /* captions are padded to text.max_tok */
    bool by_batches;  /* batches fall into all areas alike; else images do */
    bool online;      /* encoders run for each image seen; else once for each of dataset_images */
    double dataset_images;
} cost_assumptions_t;

typedef struct {
    bucket_t bucket;
    int64_t n_tok;
    double images;        /* seen in the run */
    mmdit_flop_t forward; /* of one image */
} cost_bucket_t;

typedef struct {
    const char *name; /* borrowed */
    int64_t steps, slots;
    int64_t caption_tok, text_tok; /* of a caption; as the model gets it, padding too */
    mmdit_config_t model;
    mmdit_checkpointing checkpointing;
    double batch;         /* mean images of a rank and step */
    double images;        /* seen */
    double pairs;         /* mean over images of N + T */
    double pairs_squared; /* of (N + T)^2, */
    double pairs_crossed; /* and of N (N + T) */
    /* of the run, FLOP */
    mmdit_flop_t forward;
    double scores_again; /* of attention, in backward: half of its forward */
    double blocks_again; /* where checkpointing is full: of the blocks' forward pass, but the last one's */
    double text_encoder, vae_encoder;
    bool has_text_encoder, has_vae;
    int n_buckets;
    cost_bucket_t bucket[BUCKET_MAX];
} cost_stage_t;

typedef struct {
    cost_assumptions_t assumed;
    int n_stages;
    cost_stage_t stage[COST_MAX_STAGES];
    double images, model_flop, encoder_flop; /* sums over stages */
} cost_recipe_t;

double cost_forward(const mmdit_flop_t *f); /* sum of its terms */
/* names and configs [n], borrowed; n at most COST_MAX_STAGES. ARGUMENT: what train_plan_make refuses; adapters, which
 * are not counted. */
LENS_CHECKED lens_status cost_recipe_count(cost_recipe_t *out, int n, const char *const *names,
                                           const train_config_t *configs, const cost_assumptions_t *a);
/* Figures of each stage, and of all. */
void cost_recipe_figures(cost_sheet_t *s, const cost_recipe_t *r);
/* Tokens, images and FLOP by bucket. */
void cost_recipe_print_buckets(str_t *out, const cost_recipe_t *r);
json_t *cost_recipe_buckets_json(const cost_recipe_t *r); /* NULL: out of memory */

#endif
