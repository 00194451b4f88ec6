/* What the forward and the backward pass of the MMDiT share: the activations.
 *
 * They lie in one buffer, as large as the largest planned shape needs, and are laid out anew where a batch has another
 * shape than the one before. */
#ifndef LENS_MODEL_MMDIT_STATE_H
#define LENS_MODEL_MMDIT_STATE_H

#include "model/mmdit.h"

/* Kept from forward for backward, or made again there (mmdit_checkpointing): one stream of a block, R = B * L rows. */
typedef struct {
    act_t *mod;           /* [B, 6D]: shift1, scale1, gate1, shift2, scale2, gate2 */
    act_t *x0, *x1;       /* [R, D]: the residual stream before attention, before the MLP */
    act_t *xi, *z;        /* [R, D]: their modulated norms */
    float *rstd1, *rstd2; /* [R] */
    act_t *qkv;           /* [R, 3D] */
    act_t *o, *a;         /* [R, D]: attention's result, before and after the output projection */
    act_t *uv, *hidden;   /* [R, 2M], [R, M]; backward overwrites hidden with its gradient */
    act_t *mlp;           /* [R, D] */
} stream_acts_t;

typedef struct {
    stream_acts_t img, txt;
    act_t *q, *k, *v; /* [B, H, S, K] */
    float *lse;       /* [B, H, S] */
} block_acts_t;

/* Gradients of a stream's activations; every block uses the same. */
typedef struct {
    act_t *dx;   /* [R, D]: of the residual stream, updated from block to block */
    act_t *d_o;  /* [R, D]: of attention's result */
    act_t *dmod; /* [B, 6D] */
} stream_grads_t;

typedef struct {
    stream_grads_t img, txt;
    act_t *d_row;              /* [R, D]: of whatever is on the way */
    act_t *d_uv, *d_qkv;       /* [R, 2M], [R, 3D] */
    act_t *dq, *dk, *dv;       /* [B, H, S, K] */
    act_t *ds, *dtemb, *dtime; /* [B, D] */
    act_t *dfinal_mod;         /* [B, 2D] */
    act_t *dtext_cat;          /* [B T, n e] */
    act_t *lora_xa;            /* [R, r] */
    bool trains_time;          /* somebody wants ds */
} mmdit_grads_t;

struct mmdit {
    kernels_t *k;
    mmdit_config_t config;
    mmdit_shape_t *limits; /* [n_limits] */
    int n_limits;
    bool backward, last_text;
    mmdit_checkpointing checkpointing;
    int64_t D, M, out_width;
    mmdit_shape_t shape; /* that everything below is laid out for */
    plan_t plan;
    void *buffer;
    size_t buffer_bytes;
    block_acts_t *blocks;                        /* [num_layers] */
    act_t *text_cat;                             /* [B T, n e] */
    float *text_rstd[MMDIT_MAX_TEXT_LAYERS];     /* [B T] */
    act_t *emb, *time_pre, *time_act, *temb, *s; /* [B, 256], [B, D]: linear_1, silu of it, temb, silu(temb) */
    act_t *x_end, *y_end;                        /* [R, D]: streams after the last block */
    act_t *final_mod;                            /* [B, 2D]: scale, shift */
    float *final_stats;                          /* [B N, 2] */
    act_t *final_norm;                           /* [B N, D] */
    act_t *out;                                  /* [B N, Cout] */
    float *rope_img, *rope_txt;                  /* [N, K/2, 2], [T, K/2, 2] */
    int32_t *n_keys;                             /* [B] */
    int64_t lora_rank;                           /* r, planned; 0: no adapters */
    float lora_scale;
    act_t *lora_xa; /* [R, r] of the linear at work */
    mmdit_grads_t d;
    int64_t grid_h, grid_w; /* that the rope tables hold; 0: none yet */
    int32_t *host_n_keys;   /* [B] of the largest batch */
    float *host_rope;       /* room for the largest table */
};

/* Binds all activations for a batch of this shape, in the one buffer: what they held is lost. Allocates nothing. */
void mmdit_lay_out(mmdit_t *m, mmdit_shape_t shape);

/* What of a block is computed: everything; everything but the stream that leaves it; of that, no products. */
typedef enum { MMDIT_RUN_FORWARD, MMDIT_RUN_BLOCK_AGAIN, MMDIT_RUN_CHEAP_AGAIN } mmdit_run;
void mmdit_block_forward(mmdit_t *m, const mmdit_block_t *w, int64_t i, mmdit_run run);

/* The columns of a stream's modulation, in units of D. */
enum { MOD_SHIFT1, MOD_SCALE1, MOD_GATE1, MOD_SHIFT2, MOD_SCALE2, MOD_GATE2, MOD_N };

static inline slice_t mmdit_mod(const mmdit_t *m, act_t *mod, int part) {
    return slice_at(mod, MOD_N * m->D, part * m->D);
}

static inline void mmdit_begin_part(const mmdit_watch_t *watch, int64_t part) {
    if (watch && watch->begin) watch->begin(watch->arg, part);
}
static inline void mmdit_end_part(const mmdit_watch_t *watch, int64_t part) {
    if (watch && watch->end) watch->end(watch->arg, part);
}

static inline bool mmdit_same_shape(mmdit_shape_t a, mmdit_shape_t b) {
    return a.B == b.B && a.N == b.N && a.T == b.T;
}

/* Whether block i has text that is computed past attention. */
static inline bool mmdit_text_goes_on(const mmdit_t *m, int64_t i) {
    return m->shape.T > 0 && (i + 1 < m->config.num_layers || m->last_text);
}

static inline attention_shape_t mmdit_attention_shape(const mmdit_t *m, bool text_queries) {
    int64_t all_keys = 0;
    for (int64_t b = 0; b < m->shape.B; b++) all_keys += m->host_n_keys[b];
    return (attention_shape_t){.B = m->shape.B,
                               .H = m->config.num_heads,
                               .N = m->shape.N,
                               .T = m->shape.T,
                               .K = m->config.head_dim,
                               .n_queries = text_queries ? m->shape.N + m->shape.T : m->shape.N,
                               .n_keys = m->n_keys,
                               .all_keys = all_keys};
}

#endif
