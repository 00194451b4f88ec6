/* A whole model as a folder, in the layout of diffusers pipelines:
 *
 *     DIR/model_index.json                                     what it is, picture size, noise schedule
 *     DIR/transformer/config.json, diffusion_pytorch_model.safetensors
 *     DIR/text_encoder/config.json, model.safetensors          the learned text embedding
 *
 * and its tensors as one flat plan. A token is a patch of pixels, or of the cells of a frozen autoencoder's latents. */
#ifndef LENS_MODEL_PIPELINE_H
#define LENS_MODEL_PIPELINE_H

#include "model/mmdit.h"
#include "model/text_encoder.h"

typedef struct {
    mmdit_config_t mmdit;
    text_config_t text;
    int64_t downscale;     /* px to the side of a latent cell; 1: pixels, of 3 channels */
    int64_t height, width; /* px of the pictures that are drawn */
    bool sampling_mu_auto; /* the released formula; else: */
    double sampling_mu;    /* shift of the sampling schedule */
} pipeline_config_t;

/* Patches of p x p cells of c channels as tokens: in_channels = c p^2, out_channels c, patch_size p. */
LENS_CHECKED lens_status pipeline_config_check(const pipeline_config_t *c);
int64_t pipeline_grid_h(const pipeline_config_t *c);
int64_t pipeline_grid_w(const pipeline_config_t *c);

typedef struct {
    plan_t plan; /* PLAN_F32 rows of both parts */
    mmdit_tensors_t mmdit;
    void *embedding; /* [n_rows, e] */
} pipeline_tensors_t;

/* group_align: of the plan, bytes (plan.h); 0: none. The embedding is of the model's part of inputs. */
LENS_CHECKED lens_status pipeline_tensors_init(pipeline_tensors_t *t, const pipeline_config_t *c, size_t group_align);
void pipeline_tensors_free(pipeline_tensors_t *t);

/* weights: host f32 [plan_n_floats]. Writes into `dir`, which the caller makes and publishes. */
LENS_CHECKED lens_status pipeline_save(const char *dir, const pipeline_config_t *c, const plan_t *plan,
                                       const float *weights);
LENS_CHECKED lens_status pipeline_load_config(pipeline_config_t *out, const char *dir);
/* Every tensor of the plan must be there with its shape, and no other: FORMAT names the first that is missing, extra or
 * misshapen. F32, F16 and BF16 files. */
LENS_CHECKED lens_status pipeline_load_weights(float *weights, const plan_t *plan, const char *dir);

#endif
