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
#include "model/safetensors.h"
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

/* Where a tensor of the plan lies: FOLDER/STEM.safetensors, or several files (model/weights_cut.h). Tensors of an
 * adapter have ".lora_" in their names. */
typedef enum { PIPELINE_TRANSFORMER, PIPELINE_TEXT, PIPELINE_ADAPTER, PIPELINE_N_PARTS } pipeline_part;
pipeline_part pipeline_part_of(const char *tensor);
const char *pipeline_name_in_file(const char *tensor); /* of a tensor of the plan */
const char *pipeline_part_folder(pipeline_part part);  /* "" for the pipeline's own */
const char *pipeline_part_stem(pipeline_part part);
/* Rows of the plan that belong to the part, in order: their number, and their indices to rows[plan->n]. */
int pipeline_part_rows(int *rows, const plan_t *plan, pipeline_part part);
/* The tensor as a file has it; name and shape are the row's, bytes f32 [row->n] are borrowed. */
st_entry_t pipeline_entry(const plan_row_t *row, const float *bytes);

/* All but the weights. Makes the folders below `dir`, which is the caller's to make and publish. */
LENS_CHECKED lens_status pipeline_save_config(const char *dir, const pipeline_config_t *c);
LENS_CHECKED lens_status pipeline_load_config(pipeline_config_t *out, const char *dir);
/* transformer/config.json alone, as released models have it. */
LENS_CHECKED lens_status pipeline_load_mmdit(mmdit_config_t *out, const char *dir);
/* Whether text_encoder/ of the folder is our learned embedding: other pipelines have other encoders, or none. */
LENS_CHECKED lens_status pipeline_has_embedding(bool *out, const char *dir);

#endif
