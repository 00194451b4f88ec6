/* What the forward and the backward pass of the MMDiT share: the activations. */
#ifndef LENS_MODEL_MMDIT_STATE_H
#define LENS_MODEL_MMDIT_STATE_H

#include "model/mmdit.h"

/* Kept from forward for backward: one stream of a block, R = B * L rows. */
typedef struct {
    act_t *mod;           /* [B, 6D]: shift1, scale1, gate1, shift2, scale2, gate2 */
    act_t *x0, *x1;       /* [R, D]: the residual stream before attention, before the MLP */
    act_t *xi, *z;        /* [R, D]: their modulated norms */
    float *rstd1, *rstd2; /* [R] */
    act_t *qkv;           /* [R, 3D] */
    act_t *o, *a;         /* [R, D]: attention's result, before and after the output projection */
    act_t *uv, *hidden;   /* [R, 2M], [R, M] */
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
    act_t *d_row;                   /* [R, D]: of whatever is on the way */
    act_t *d_hidden, *d_uv, *d_qkv; /* [R, M], [R, 2M], [R, 3D] */
    act_t *dq, *dk, *dv;            /* [B, H, S, K] */
    act_t *ds, *dtemb, *dtime;      /* [B, D] */
    act_t *dfinal_mod;              /* [B, 2D] */
    act_t *dtext_cat;               /* [B T, n e] */
} mmdit_grads_t;

struct mmdit {
    kernels_t *k;
    mmdit_config_t config;
    mmdit_shape_t limits; /* the largest of each */
    bool keeps_gradients, last_text;
    int64_t D, M, out_width;
    plan_t plan; /* of everything below */
    void *buffer;
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
    mmdit_grads_t d;
    int64_t grid_h, grid_w; /* that the rope tables hold; 0: none yet */
    int32_t *host_n_keys;   /* [B] */
    float *host_rope;       /* room for the larger table */
};

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

/* Whether block i has text that is computed past attention. */
static inline bool mmdit_text_goes_on(const mmdit_t *m, const mmdit_input_t *in, int64_t i) {
    return in->T > 0 && (i + 1 < m->config.num_layers || m->last_text);
}

static inline attention_shape_t mmdit_attention_shape(const mmdit_t *m, const mmdit_input_t *in, int64_t i) {
    int64_t N = in->h * in->w;
    return (attention_shape_t){.B = in->B,
                               .H = m->config.num_heads,
                               .N = N,
                               .T = in->T,
                               .K = m->config.head_dim,
                               .n_queries = mmdit_text_goes_on(m, in, i) ? N + in->T : N,
                               .n_keys = m->n_keys};
}

#endif
