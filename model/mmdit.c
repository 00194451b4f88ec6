/* The MMDiT: its activations, and the forward pass. */
#include <math.h>
#include <stdlib.h>

#include "model/mmdit_state.h"

/* ---- the plan ---- */

static void plan_act(mmdit_t *m, void *slot, int64_t rows, int64_t columns, const char *name) {
    plan_add(&m->plan, slot, PLAN_ACT, 0, PLAN_2D(rows, columns), "%s", name);
}

static void plan_stream(mmdit_t *m, stream_acts_t *s, int64_t i, const char *name, int64_t L) {
    int64_t B = m->limits.B, R = B * L, D = m->D, M = m->M;
    const struct {
        void *slot;
        plan_type type;
        int64_t rows, columns;
        const char *name;
    } rows[] = {{&s->mod, PLAN_ACT, B, MOD_N * D, "mod"},
                {&s->x0, PLAN_ACT, R, D, "x0"},
                {&s->x1, PLAN_ACT, R, D, "x1"},
                {&s->xi, PLAN_ACT, R, D, "xi"},
                {&s->z, PLAN_ACT, R, D, "z"},
                {&s->rstd1, PLAN_F32, R, 1, "rstd1"},
                {&s->rstd2, PLAN_F32, R, 1, "rstd2"},
                {&s->qkv, PLAN_ACT, R, 3 * D, "qkv"},
                {&s->o, PLAN_ACT, R, D, "o"},
                {&s->a, PLAN_ACT, R, D, "a"},
                {&s->uv, PLAN_ACT, R, 2 * M, "uv"},
                {&s->hidden, PLAN_ACT, R, M, "hidden"},
                {&s->mlp, PLAN_ACT, R, D, "mlp"}};
    for (size_t j = 0; j < sizeof rows / sizeof rows[0]; j++)
        plan_add(&m->plan, rows[j].slot, rows[j].type, 0, PLAN_2D(rows[j].rows, rows[j].columns), "blocks.%lld.%s.%s",
                 (long long)i, name, rows[j].name);
}

static void plan_heads(plan_t *p, void *slot, const mmdit_t *m, int64_t i, const char *name) {
    plan_add(p, slot, PLAN_ACT, 0,
             PLAN_4D(m->limits.B, m->config.num_heads, m->limits.N + m->limits.T, m->config.head_dim), "blocks.%lld.%s",
             (long long)i, name);
}

static void plan_blocks(mmdit_t *m) {
    for (int64_t i = 0; i < m->config.num_layers; i++) {
        block_acts_t *b = &m->blocks[i];
        plan_stream(m, &b->img, i, "img", m->limits.N);
        plan_stream(m, &b->txt, i, "txt", m->limits.T);
        plan_heads(&m->plan, &b->q, m, i, "q");
        plan_heads(&m->plan, &b->k, m, i, "k");
        plan_heads(&m->plan, &b->v, m, i, "v");
        plan_add(&m->plan, &b->lse, PLAN_F32, 0, PLAN_3D(m->limits.B, m->config.num_heads, m->limits.N + m->limits.T),
                 "blocks.%lld.lse", (long long)i);
    }
}

static void plan_ends(mmdit_t *m) {
    int64_t B = m->limits.B, N = m->limits.N, T = m->limits.T, D = m->D, K = m->config.head_dim;
    plan_act(m, &m->text_cat, B * T, m->config.num_text_layers * m->config.enc_hidden_dim, "text_cat");
    for (int64_t i = 0; i < m->config.num_text_layers; i++)
        plan_add(&m->plan, &m->text_rstd[i], PLAN_F32, 0, PLAN_1D(B * T), "text_rstd.%lld", (long long)i);
    plan_act(m, &m->emb, B, MMDIT_TIME_EMBED_DIM, "emb");
    plan_act(m, &m->time_pre, B, D, "time_pre");
    plan_act(m, &m->time_act, B, D, "time_act");
    plan_act(m, &m->temb, B, D, "temb");
    plan_act(m, &m->s, B, D, "s");
    plan_act(m, &m->x_end, B * N, D, "x_end");
    plan_act(m, &m->y_end, B * T, D, "y_end");
    plan_act(m, &m->final_mod, B, 2 * D, "final_mod");
    plan_add(&m->plan, &m->final_stats, PLAN_F32, 0, PLAN_2D(B * N, 2), "final_stats");
    plan_act(m, &m->final_norm, B * N, D, "final_norm");
    plan_act(m, &m->out, B * N, m->out_width, "out");
    plan_add(&m->plan, &m->rope_img, PLAN_F32, 0, PLAN_2D(N, K), "rope_img");
    plan_add(&m->plan, &m->rope_txt, PLAN_F32, 0, PLAN_2D(T, K), "rope_txt");
    plan_add(&m->plan, &m->n_keys, PLAN_I32, 0, PLAN_1D(B), "n_keys");
}

static void plan_stream_grads(mmdit_t *m, stream_grads_t *d, int64_t L, const char *name) {
    int64_t B = m->limits.B, D = m->D;
    plan_add(&m->plan, &d->dx, PLAN_ACT, 0, PLAN_2D(B * L, D), "d.%s.x", name);
    plan_add(&m->plan, &d->d_o, PLAN_ACT, 0, PLAN_2D(B * L, D), "d.%s.o", name);
    plan_add(&m->plan, &d->dmod, PLAN_ACT, 0, PLAN_2D(B, MOD_N * D), "d.%s.mod", name);
}

static void plan_grads(mmdit_t *m) {
    mmdit_grads_t *d = &m->d;
    int64_t B = m->limits.B, N = m->limits.N, T = m->limits.T, D = m->D, R = B * (N > T ? N : T);
    plan_stream_grads(m, &d->img, N, "img");
    plan_stream_grads(m, &d->txt, T, "txt");
    plan_act(m, &d->d_row, R, D, "d_row");
    plan_act(m, &d->d_hidden, R, m->M, "d_hidden");
    plan_act(m, &d->d_uv, R, 2 * m->M, "d_uv");
    plan_act(m, &d->d_qkv, R, 3 * D, "d_qkv");
    plan_act(m, &d->dq, B * (N + T), D, "dq");
    plan_act(m, &d->dk, B * (N + T), D, "dk");
    plan_act(m, &d->dv, B * (N + T), D, "dv");
    plan_act(m, &d->ds, B, D, "ds");
    plan_act(m, &d->dtemb, B, D, "dtemb");
    plan_act(m, &d->dtime, B, D, "dtime");
    plan_act(m, &d->dfinal_mod, B, 2 * D, "dfinal_mod");
    plan_act(m, &d->dtext_cat, B * T, m->config.num_text_layers * m->config.enc_hidden_dim, "dtext_cat");
}

lens_status mmdit_new(mmdit_t **out, kernels_t *k, const mmdit_config_t *c, const mmdit_limits_t *limits) {
    *out = NULL;
    LENS_TRY(mmdit_config_check(c));
    lens_status st = LENS_OK;
    mmdit_shape_t most = {0};
    for (int i = 0; i < limits->n_shapes; i++) {
        const mmdit_shape_t *s = &limits->shapes[i];
        most = (mmdit_shape_t){s->B > most.B ? s->B : most.B, s->N > most.N ? s->N : most.N,
                               s->T > most.T ? s->T : most.T};
    }
    int64_t larger = most.N > most.T ? most.N : most.T;
    mmdit_t *m = calloc(1, sizeof *m);
    if (!m) return lens_fail(LENS_MEMORY, "out of memory for a model");
    *m = (mmdit_t){.k = k,
                   .config = *c,
                   .limits = most,
                   .keeps_gradients = limits->backward,
                   .last_text = limits->last_text,
                   .D = mmdit_dim(c),
                   .M = mmdit_mlp_dim(c),
                   .out_width = mmdit_out_width(c),
                   .plan = {.act_bytes = k->act_bytes}};
    m->blocks = calloc((size_t)c->num_layers, sizeof *m->blocks);
    m->host_n_keys = calloc((size_t)most.B, sizeof *m->host_n_keys);
    m->host_rope = calloc((size_t)(larger * c->head_dim), sizeof *m->host_rope);
    if (!m->blocks || !m->host_n_keys || !m->host_rope) {
        mmdit_free(m);
        return lens_fail(LENS_MEMORY, "out of memory for a model");
    }
    plan_blocks(m);
    plan_ends(m);
    if (limits->backward) plan_grads(m);
    LENS_GO(plan_status(&m->plan));
    LENS_GO(k->alloc(k, &m->buffer, m->plan.bytes, "activations"));
    plan_bind(&m->plan, m->buffer);
    *out = m;
done:
    if (st != LENS_OK) mmdit_free(m);
    return st;
}

void mmdit_free(mmdit_t *m) {
    if (!m) return;
    m->k->free(m->k, m->buffer);
    plan_free(&m->plan);
    free(m->host_rope);
    free(m->host_n_keys);
    free(m->blocks);
    free(m);
}

const plan_t *mmdit_activations(const mmdit_t *m) {
    return &m->plan;
}

/* ---- rotary positions ---- */

/* (cos, sin) of every pair for one token at the given position on each axis. */
static void rope_row(const mmdit_t *m, float *row, const double position[3]) {
    for (int axis = 0; axis < 3; axis++) {
        int64_t dims = m->config.axes_dims_rope[axis];
        for (int64_t i = 0; i < dims / 2; i++) {
            double angle = position[axis] * pow(m->config.rope_theta, -2.0 * (double)i / (double)dims);
            *row++ = (float)cos(angle);
            *row++ = (float)sin(angle);
        }
    }
}

/* The grid is centred: h = 3 gives rows -2, -1, 0. Text follows on all axes from max(h/2, w/2). */
static void set_rope(mmdit_t *m, int64_t h, int64_t w) {
    if (m->grid_h == h && m->grid_w == w) return;
    kernels_t *k = m->k;
    int64_t K = m->config.head_dim, T = m->limits.T, start = h / 2 > w / 2 ? h / 2 : w / 2;
    for (int64_t r = 0; r < h; r++)
        for (int64_t c = 0; c < w; c++)
            rope_row(m, m->host_rope + (r * w + c) * K,
                     (double[3]){0, (double)(r - (h - h / 2)), (double)(c - (w - w / 2))});
    k->upload(k, m->rope_img, m->host_rope, sizeof(float) * (size_t)(h * w * K));
    for (int64_t j = 0; j < T; j++) {
        double at = (double)(start + j);
        rope_row(m, m->host_rope + j * K, (double[3]){at, at, at});
    }
    k->upload(k, m->rope_txt, m->host_rope, sizeof(float) * (size_t)(T * K));
    m->grid_h = h;
    m->grid_w = w;
}

/* ---- forward ---- */

static lens_status check_input(const mmdit_t *m, const mmdit_input_t *in) {
    if (in->B < 1 || in->B > m->limits.B || in->h < 1 || in->w < 1 || in->h * in->w > m->limits.N || in->T < 0 ||
        in->T > m->limits.T)
        return lens_fail(
            LENS_STATE,
            "model: batch %lld, grid %lld x %lld, text %lld exceed what was planned: %lld, %lld tokens, %lld",
            (long long)in->B, (long long)in->h, (long long)in->w, (long long)in->T, (long long)m->limits.B,
            (long long)m->limits.N, (long long)m->limits.T);
    for (int64_t b = 0; b < in->B; b++)
        if (in->T > 0 && (in->text_len[b] < 0 || in->text_len[b] > in->T))
            return lens_fail(LENS_STATE, "model: text length of sample %lld: expected 0 to %lld, got %d", (long long)b,
                             (long long)in->T, in->text_len[b]);
    return LENS_OK;
}

static void embed_inputs(mmdit_t *m, const mmdit_tensors_t *w, const mmdit_input_t *in) {
    kernels_t *k = m->k;
    int64_t B = in->B, N = in->h * in->w, D = m->D, e = m->config.enc_hidden_dim, n = m->config.num_text_layers;
    k->linear_fwd(k, m->blocks[0].img.x0, in->x_t, w->img_in_w, w->img_in_b, B * N, D, m->config.in_channels);
    if (in->T > 0) {
        for (int64_t i = 0; i < n; i++)
            k->rms_fwd(k, slice_at(m->text_cat, n * e, i * e), m->text_rstd[i], in->text[i], w->txt_norm[i], B * in->T,
                       e, (float)m->config.txt_norm_eps);
        k->linear_fwd(k, m->blocks[0].txt.x0, m->text_cat, w->txt_in_w, w->txt_in_b, B * in->T, D, n * e);
    }
    k->timestep_fwd(k, m->emb, in->t, B, MMDIT_TIME_EMBED_DIM);
    k->linear_fwd(k, m->time_pre, m->emb, w->time1_w, w->time1_b, B, D, MMDIT_TIME_EMBED_DIM);
    k->silu_fwd(k, m->time_act, m->time_pre, B * D);
    k->linear_fwd(k, m->temb, m->time_act, w->time2_w, w->time2_b, B, D, D);
    k->silu_fwd(k, m->s, m->temb, B * D);
}

/* Up to q, k, v. `first`: the stream's place in the joint sequence of S tokens. */
static void stream_to_attention(mmdit_t *m, const mmdit_stream_t *w, stream_acts_t *s, block_acts_t *b,
                                const float *rope, int64_t B, int64_t L, int64_t S, int64_t first) {
    kernels_t *k = m->k;
    int64_t D = m->D;
    float eps = (float)m->config.eps;
    k->linear_fwd(k, s->mod, m->s, w->mod_w, w->mod_b, B, MOD_N * D, D);
    k->rms_mod_fwd(k, s->xi, s->rstd1, s->x0, w->norm1, mmdit_mod(m, s->mod, MOD_SHIFT1),
                   mmdit_mod(m, s->mod, MOD_SCALE1), B, L, D, eps);
    k->linear_fwd(k, s->qkv, s->xi, w->qkv_w, w->qkv_b, B * L, 3 * D, D);
    k->qkv_fwd(k, b->q, b->k, b->v, s->qkv, w->norm_q, w->norm_k, rope, B, L, m->config.num_heads, m->config.head_dim,
               S, first, eps);
}

/* From attention's result to the stream after the block. */
static void stream_from_attention(mmdit_t *m, const mmdit_stream_t *w, stream_acts_t *s, act_t *x2, int64_t B,
                                  int64_t L) {
    kernels_t *k = m->k;
    int64_t R = B * L, D = m->D, M = m->M;
    k->linear_fwd(k, s->a, s->o, w->out_w, w->out_b, R, D, D);
    k->gated_add_fwd(k, s->x1, s->x0, s->a, mmdit_mod(m, s->mod, MOD_GATE1), B, L, D);
    k->rms_mod_fwd(k, s->z, s->rstd2, s->x1, w->norm2, mmdit_mod(m, s->mod, MOD_SHIFT2),
                   mmdit_mod(m, s->mod, MOD_SCALE2), B, L, D, (float)m->config.eps);
    k->linear_fwd(k, s->uv, s->z, w->w13, NULL, R, 2 * M, D);
    k->swiglu_fwd(k, s->hidden, s->uv, R, M);
    k->linear_fwd(k, s->mlp, s->hidden, w->w2, NULL, R, D, M);
    k->gated_add_fwd(k, x2, s->x1, s->mlp, mmdit_mod(m, s->mod, MOD_GATE2), B, L, D);
}

static void block_forward(mmdit_t *m, const mmdit_tensors_t *w, const mmdit_input_t *in, int64_t i) {
    kernels_t *k = m->k;
    block_acts_t *b = &m->blocks[i];
    bool last = i + 1 == m->config.num_layers;
    int64_t N = in->h * in->w, S = N + in->T;
    stream_to_attention(m, &w->blocks[i].img, &b->img, b, m->rope_img, in->B, N, S, 0);
    if (in->T > 0) stream_to_attention(m, &w->blocks[i].txt, &b->txt, b, m->rope_txt, in->B, in->T, S, N);
    attention_shape_t shape = mmdit_attention_shape(m, in, i);
    k->attention_fwd(k, b->img.o, b->txt.o, b->lse, b->q, b->k, b->v, &shape);
    stream_from_attention(m, &w->blocks[i].img, &b->img, last ? m->x_end : m->blocks[i + 1].img.x0, in->B, N);
    if (mmdit_text_goes_on(m, in, i))
        stream_from_attention(m, &w->blocks[i].txt, &b->txt, last ? m->y_end : m->blocks[i + 1].txt.x0, in->B, in->T);
}

lens_status mmdit_forward(mmdit_t *m, const mmdit_tensors_t *w, const mmdit_input_t *in, const mmdit_watch_t *watch,
                          act_t **v) {
    LENS_TRY(check_input(m, in));
    kernels_t *k = m->k;
    int64_t B = in->B, N = in->h * in->w, D = m->D;
    set_rope(m, in->h, in->w);
    for (int64_t b = 0; b < B; b++) m->host_n_keys[b] = (int32_t)N + (in->T > 0 ? in->text_len[b] : 0);
    k->upload(k, m->n_keys, m->host_n_keys, sizeof(int32_t) * (size_t)B);
    mmdit_begin_part(watch, MMDIT_PART_INPUTS);
    embed_inputs(m, w, in);
    for (int64_t i = 0; i < m->config.num_layers; i++) {
        mmdit_begin_part(watch, mmdit_part_of_block(i));
        block_forward(m, w, in, i);
    }
    mmdit_begin_part(watch, mmdit_n_parts(&m->config) - 1);
    k->linear_fwd(k, m->final_mod, m->s, w->norm_out_w, w->norm_out_b, B, 2 * D, D);
    k->layer_mod_fwd(k, m->final_norm, m->final_stats, m->x_end, slice_at(m->final_mod, 2 * D, D),
                     slice_at(m->final_mod, 2 * D, 0), B, N, D, (float)m->config.eps);
    k->linear_fwd(k, m->out, m->final_norm, w->proj_out_w, w->proj_out_b, B * N, m->out_width, D);
    *v = m->out;
    return LENS_OK;
}
