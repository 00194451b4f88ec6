/* The Lens MMDiT (arXiv 2605.21573): a two-stream diffusion transformer with joint attention, forward and backward.
 *
 * Written against the op table, for any configuration. Tensor names and layouts are the released ones. Letters:
 * model/README.md. t = 1 is pure noise; the output is the velocity noise - data. One thread drives a model. */
#ifndef LENS_MODEL_MMDIT_H
#define LENS_MODEL_MMDIT_H

#include "kernels/kernels.h"
#include "model/plan.h"

#define MMDIT_MAX_TEXT_LAYERS 8
#define MMDIT_TIME_EMBED_DIM 256

/* Field names are those of the released config.json. */
typedef struct {
    int64_t num_layers, num_heads, head_dim;
    int64_t in_channels, out_channels, patch_size; /* the output has out_channels * patch_size^2 channels a token */
    int64_t enc_hidden_dim, num_text_layers;       /* e, n */
    int64_t axes_dims_rope[3];                     /* frame, row, column; even, sum head_dim */
    double rope_theta, eps, txt_norm_eps;
} mmdit_config_t;

int64_t mmdit_dim(const mmdit_config_t *c);       /* D */
int64_t mmdit_mlp_dim(const mmdit_config_t *c);   /* M = int(D / 3 * 8) */
int64_t mmdit_out_width(const mmdit_config_t *c); /* channels of an output token */
/* Multiply-adds times two of one forward pass of one sample, products only; N + T tokens, all of them valid keys. What
 * runs, exactly: the last block's text ends at attention. Neither adapters nor what is run again for backward count. */
typedef struct {
    double linear;     /* qkv, attention's output and the MLP, over tokens */
    double attention;  /* scores, and values weighted by them */
    double modulation; /* of the timestep, a sample: its embedding, each block's six, the output's two */
    double ends;       /* img_in, txt_in, proj_out */
} mmdit_flop_t;
mmdit_flop_t mmdit_forward_flop_terms(const mmdit_config_t *c, int64_t N, int64_t T);
double mmdit_forward_flop(const mmdit_config_t *c, int64_t N, int64_t T); /* their sum */
LENS_CHECKED lens_status mmdit_config_check(const mmdit_config_t *c);     /* ARGUMENT with the field that is wrong */

/* A linear layer, y = x w^T + b, with an adapter or without. As weights: act; as gradients: float, where NULL means
 * frozen: nothing is computed for it. */
typedef struct {
    void *w, *b;           /* [n_out, n_in], [n_out]; b NULL: no bias */
    void *lora_a, *lora_b; /* [r, n_in], [n_out, r]: + lora_scale (x a^T) b^T; NULL: no adapter */
} mmdit_linear_t;

/* One stream (image or text) of a block. */
typedef struct {
    mmdit_linear_t mod;    /* D to 6D */
    void *norm1, *norm2;   /* [D] */
    mmdit_linear_t qkv;    /* D to 3D */
    void *norm_q, *norm_k; /* [K], [K] */
    mmdit_linear_t out;    /* D to D */
    mmdit_linear_t w1, w3; /* D to M, no bias. w1.w is both as one [2M, D], w3.w is NULL */
    mmdit_linear_t w2;     /* M to D, no bias */
} mmdit_stream_t;

typedef struct {
    mmdit_stream_t img, txt;
} mmdit_block_t;

typedef struct {
    mmdit_linear_t img_in;                 /* Cin to D */
    void *txt_norm[MMDIT_MAX_TEXT_LAYERS]; /* [e] */
    mmdit_linear_t txt_in;                 /* n e to D */
    mmdit_linear_t time1, time2;           /* 256 to D, D to D */
    mmdit_linear_t norm_out;               /* D to 2D: scale, then shift */
    mmdit_linear_t proj_out;               /* D to Cout */
    mmdit_block_t *blocks;                 /* [num_layers], owned */
    int64_t lora_rank;                     /* of every adapter; 0: none */
    float lora_scale;
    /* Of gradients: what rows with PLAN_PRODUCT hold is nobody's. Backward overwrites them, with zeros where no product
     * is made, and adds to the others only. */
    bool fresh;
} mmdit_tensors_t;

/* The model in parts, in the order of the forward pass: inputs, blocks, output. The weights of a part are one group of
 * the plan (plan_begin_group): what is sent between ranks together, while other parts compute. */
#define MMDIT_PART_INPUTS 0
static inline int64_t mmdit_part_of_block(int64_t block) {
    return 1 + block;
}
static inline int64_t mmdit_n_parts(const mmdit_config_t *c) { /* the last one is the output */
    return c->num_layers + 2;
}

/* Adds a PLAN_F32 row for every tensor, with its released name, in groups by part; slots are the fields of *t, whose
 * blocks are allocated here and freed by mmdit_tensors_free. plan_bind_as then fills *t. */
LENS_CHECKED lens_status mmdit_plan_tensors(plan_t *p, mmdit_tensors_t *t, const mmdit_config_t *c);
void mmdit_tensors_free(mmdit_tensors_t *t);

/* Low-rank adapters (LoRA: Hu et al., arXiv 2106.09685). */
typedef struct {
    int64_t rank;        /* r, 1 to D */
    double alpha;        /* scale = alpha / rank */
    const char *targets; /* names of linears, or their ends after a dot, separated by commas: "img_qkv,to_out.0,w1" */
} mmdit_lora_t;
/* Adds PLAN_F32 rows for adapters of the linears that targets name, as peft names them under the transformer
 * ("transformer_blocks.0.attn.img_qkv.lora_A.weight", lora_B), in groups by part as those of the weights; parts without
 * adapters have no row. lora_A begins normal with the standard deviation of peft's Kaiming-uniform, 1 / sqrt(3 n_in),
 * lora_B zero. Slots are fields of *t, which mmdit_plan_tensors filled, or {0}: then blocks are allocated here, and all
 * else stays NULL, as gradients of a frozen base have it. ARGUMENT: a target that names nothing. */
LENS_CHECKED lens_status mmdit_plan_lora(plan_t *p, mmdit_tensors_t *t, const mmdit_config_t *c, const mmdit_lora_t *l);

/* A batch, or the largest of its kind: B samples, N image tokens, T text tokens. */
typedef struct {
    int64_t B, N, T;
} mmdit_shape_t;

/* What of a block's activations is kept from forward for backward (activation checkpointing: Chen et al., arXiv
 * 1604.06174; selective: Korthikanti et al., arXiv 2205.05198). Outputs and gradients have the same bits in all. Bytes
 * a token: model/README.md. */
typedef enum {
    MMDIT_KEEP_ALL,
    MMDIT_RECOMPUTE_CHEAP,  /* results of products and of attention are kept; norms, rotations and SwiGLU made again */
    MMDIT_RECOMPUTE_BLOCKS, /* a block's inputs are kept; its forward pass is run again */
    MMDIT_N_CHECKPOINTING
} mmdit_checkpointing;
const char *mmdit_checkpointing_name(mmdit_checkpointing mode); /* none, selective, full */

typedef struct {
    const mmdit_shape_t *shapes; /* [n_shapes] that will come; an input must fit into one of them. Copied */
    int n_shapes;
    bool backward;                     /* plan for it; forward alone keeps no activations of a block */
    mmdit_checkpointing checkpointing; /* of backward */
    int64_t lora_rank;                 /* of the adapters that weights may have; 0: none */
    bool last_text;                    /* compute the last block's text path, which reaches no output: for tests */
} mmdit_limits_t;

/* Told of the model's progress, part by part, on the driving thread; NULL functions are not called.
 * begin: before the part's weights are first read (forward), or its gradients first written (backward).
 * end: when its gradients are complete (backward only). Backward ends parts from the last to the first. */
typedef struct {
    void (*begin)(void *arg, int64_t part);
    void (*end)(void *arg, int64_t part);
    void *arg;
} mmdit_watch_t;

typedef struct {
    int64_t B, h, w, T;                       /* N = h * w; T may be 0: no text at all */
    const act_t *x_t;                         /* act [B, N, Cin] */
    const float *t;                           /* f32 [B], on the device */
    const act_t *text[MMDIT_MAX_TEXT_LAYERS]; /* act [B, T, e] each */
    const int32_t *text_len;                  /* HOST i32 [B]: valid tokens, a prefix of T */
} mmdit_input_t;

typedef struct mmdit mmdit_t;
/* One buffer of device memory holds all activations: as many bytes as the largest of the shapes needs. Nothing else is
 * allocated, here on the device and later anywhere. */
LENS_CHECKED lens_status mmdit_new(mmdit_t **out, kernels_t *k, const mmdit_config_t *c, const mmdit_limits_t *limits);
void mmdit_free(mmdit_t *m); /* NULL is allowed */
/* Rows of the activations as they lie for the last input, before the first for the shape that needs most: tests find
 * them by name. */
const plan_t *mmdit_activations(const mmdit_t *m);
/* The rows of the shape that needs most, without a model: plan_t.bytes is what mmdit_new allocates. Slots are NULL; the
 * caller frees. */
LENS_CHECKED lens_status mmdit_plan_activations(plan_t *out, const mmdit_config_t *c, const mmdit_limits_t *limits,
                                                size_t act_bytes);

/* *v: act [B, N, Cout], the model's until the next forward. watch: NULL for none. */
LENS_CHECKED lens_status mmdit_forward(mmdit_t *m, const mmdit_tensors_t *w, const mmdit_input_t *in,
                                       const mmdit_watch_t *watch, act_t **v);
/* Once after each mmdit_forward, of the same input. Adds to those of the gradients g that are not NULL (g->fresh says
 * where it does not); the pass ends below the last part that has any. dtext[i] act [B, T, e] is overwritten,
 * NULL entries (or a NULL array) mean frozen features. dv is act [B, N, Cout]. */
void mmdit_backward(mmdit_t *m, const mmdit_tensors_t *w, const mmdit_tensors_t *g, const mmdit_input_t *in,
                    const act_t *dv, act_t *const *dtext, const mmdit_watch_t *watch);

#endif
