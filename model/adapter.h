/* Low-rank adapters (LoRA: Hu et al., arXiv 2106.09685) as files, with the names of diffusers and peft:
 *
 *     pytorch_lora_weights.safetensors: transformer.MODULE.lora_A.weight [r, in], transformer.MODULE.lora_B.weight
 * [out, r]
 *
 * A module's weight becomes w + alpha / r * B A. alpha stands in the metadata, as diffusers writes it:
 * lora_adapter_metadata = {"transformer.r": r, "transformer.lora_alpha": alpha, ...}. */
#ifndef LENS_MODEL_ADAPTER_H
#define LENS_MODEL_ADAPTER_H

#include "base/str.h"
#include "model/safetensors_set.h"

#define ADAPTER_PREFIX "transformer."
#define ADAPTER_META_KEY "lora_adapter_metadata"

/* The metadata's value. */
LENS_CHECKED lens_status adapter_meta(str_t *out, int64_t r, double alpha);

typedef struct {
    const char *module; /* "transformer_blocks.0.attn.img_qkv": without prefix, borrowed; [module_len] */
    size_t module_len;
    const st_tensor_t *a, *b;
    double scale; /* alpha / r */
} adapter_pair_t;

typedef struct {
    safetensors_set_t *file;
    int n;
    adapter_pair_t *pair; /* [n] by the order of the file */
} adapter_t;

/* path: a file or a folder with one. The prefixes "transformer." and "base_model.model." are taken off. alpha: of the
 * metadata ("lora_adapter_metadata", "lora_alpha" or "alpha") or of a tensor MODULE.alpha; else r. FORMAT where a
 * matrix has no partner, shapes do not fit, or a tensor is neither. */
LENS_CHECKED lens_status adapter_open(adapter_t *out, const char *path);
void adapter_close(adapter_t *a); /* and resets */
/* w += scale * B A; w f32 [out, in] on the host. */
LENS_CHECKED lens_status adapter_merge(const adapter_pair_t *p, float *w);

#endif
