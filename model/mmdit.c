/* The MMDiT: the forward pass, and blocks run again for the backward pass. */
#include <math.h>
#include <string.h>

#include "model/mmdit_state.h"

/* ---- rotary positions ---- */

/* (cos, sin) of an axis's pairs at a position; row is the token's [K]. */
static void rope_axis(const mmdit_t *m, float *row, int axis, double position) {
    int64_t dims = m->config.axes_dims_rope[axis];
    for (int before = 0; before < axis; before++) row += m->config.axes_dims_rope[before];
    for (int64_t i = 0; i < dims / 2; i++) {
        double angle = position * pow(m->config.rope_theta, -2.0 * (double)i / (double)dims);
        *row++ = (float)cos(angle);
        *row++ = (float)sin(angle);
    }
}

/* The grid is centred: h = 3 gives rows -2, -1, 0. A row's angles are those of its first token, a column's likewise:
 * grids change from step to step, and sines are slow. */
static void rope_of_grid(const mmdit_t *m, float *table, int64_t h, int64_t w) {
    const int64_t *dims = m->config.axes_dims_rope;
    int64_t K = m->config.head_dim, column_at = dims[0] + dims[1];
    for (int64_t r = 0; r < h; r++)
        for (int64_t c = 0; c < w; c++) {
            float *token = table + (r * w + c) * K;
            if (c == 0) {
                rope_axis(m, token, 0, 0);
                rope_axis(m, token, 1, (double)(r - (h - h / 2)));
            } else {
                memcpy(token, table + r * w * K, sizeof(float) * (size_t)column_at);
            }
            if (r == 0)
                rope_axis(m, token, 2, (double)(c - (w - w / 2)));
            else
                memcpy(token + column_at, table + c * K + column_at, sizeof(float) * (size_t)dims[2]);
        }
}

/* Text follows on all axes from max(h/2, w/2). */
static void rope_of_text(const mmdit_t *m, float *table, int64_t h, int64_t w, int64_t T) {
    int64_t start = h / 2 > w / 2 ? h / 2 : w / 2;
    for (int64_t j = 0; j < T; j++)
        for (int axis = 0; axis < 3; axis++) rope_axis(m, table + j * m->config.head_dim, axis, (double)(start + j));
}

/* Activations laid out for the input's shape, with the positions of its grid. */
static void prepare(mmdit_t *m, const mmdit_input_t *in) {
    kernels_t *k = m->k;
    mmdit_shape_t shape = {in->B, in->h * in->w, in->T};
    size_t token_bytes = sizeof(float) * (size_t)m->config.head_dim;
    if (m->grid_h == in->h && m->grid_w == in->w && mmdit_same_shape(m->shape, shape)) return;
    mmdit_lay_out(m, shape);
    rope_of_grid(m, m->host_rope, in->h, in->w);
    k->upload(k, m->rope_img, m->host_rope, token_bytes * (size_t)shape.N);
    rope_of_text(m, m->host_rope, in->h, in->w, in->T);
    k->upload(k, m->rope_txt, m->host_rope, token_bytes * (size_t)shape.T);
    m->grid_h = in->h;
    m->grid_w = in->w;
}

/* ---- forward ---- */

static bool fits(const mmdit_t *m, const mmdit_input_t *in) {
    if (in->B < 1 || in->h < 1 || in->w < 1 || in->T < 0) return false;
    for (int i = 0; i < m->n_limits; i++) {
        const mmdit_shape_t *s = &m->limits[i];
        if (in->B <= s->B && in->h <= s->N && in->w <= s->N / in->h && in->T <= s->T) return true;
    }
    return false;
}

static lens_status check_input(const mmdit_t *m, const mmdit_input_t *in) {
    const mmdit_shape_t *first = &m->limits[0];
    if (!fits(m, in))
        return lens_fail(LENS_STATE,
                         "model: batch %lld, grid %lld x %lld, text %lld exceed what was planned: %lld, %lld tokens, "
                         "%lld, the first of %d shapes",
                         (long long)in->B, (long long)in->h, (long long)in->w, (long long)in->T, (long long)first->B,
                         (long long)first->N, (long long)first->T, m->n_limits);
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
                                const float *rope, int64_t L, int64_t first, mmdit_run run) {
    kernels_t *k = m->k;
    int64_t B = m->shape.B, S = m->shape.N + m->shape.T, D = m->D;
    bool products = run != MMDIT_RUN_CHEAP_AGAIN;
    float eps = (float)m->config.eps;
    if (products) k->linear_fwd(k, s->mod, m->s, w->mod_w, w->mod_b, B, MOD_N * D, D);
    k->rms_mod_fwd(k, s->xi, s->rstd1, s->x0, w->norm1, mmdit_mod(m, s->mod, MOD_SHIFT1),
                   mmdit_mod(m, s->mod, MOD_SCALE1), B, L, D, eps);
    if (products) k->linear_fwd(k, s->qkv, s->xi, w->qkv_w, w->qkv_b, B * L, 3 * D, D);
    k->qkv_fwd(k, b->q, b->k, b->v, s->qkv, w->norm_q, w->norm_k, rope, B, L, m->config.num_heads, m->config.head_dim,
               S, first, eps);
}

/* From attention's result to x2, the stream after the block, which nobody needs again. */
static void stream_from_attention(mmdit_t *m, const mmdit_stream_t *w, stream_acts_t *s, act_t *x2, int64_t L,
                                  mmdit_run run) {
    kernels_t *k = m->k;
    int64_t B = m->shape.B, R = B * L, D = m->D, M = m->M;
    bool products = run != MMDIT_RUN_CHEAP_AGAIN;
    if (products) k->linear_fwd(k, s->a, s->o, w->out_w, w->out_b, R, D, D);
    k->gated_add_fwd(k, s->x1, s->x0, s->a, mmdit_mod(m, s->mod, MOD_GATE1), B, L, D);
    k->rms_mod_fwd(k, s->z, s->rstd2, s->x1, w->norm2, mmdit_mod(m, s->mod, MOD_SHIFT2),
                   mmdit_mod(m, s->mod, MOD_SCALE2), B, L, D, (float)m->config.eps);
    if (products) k->linear_fwd(k, s->uv, s->z, w->w13, NULL, R, 2 * M, D);
    k->swiglu_fwd(k, s->hidden, s->uv, R, M);
    if (products) k->linear_fwd(k, s->mlp, s->hidden, w->w2, NULL, R, D, M);
    if (run == MMDIT_RUN_FORWARD) k->gated_add_fwd(k, x2, s->x1, s->mlp, mmdit_mod(m, s->mod, MOD_GATE2), B, L, D);
}

void mmdit_block_forward(mmdit_t *m, const mmdit_block_t *w, int64_t i, mmdit_run run) {
    kernels_t *k = m->k;
    block_acts_t *b = &m->blocks[i];
    bool last = i + 1 == m->config.num_layers;
    int64_t N = m->shape.N, T = m->shape.T;
    stream_to_attention(m, &w->img, &b->img, b, m->rope_img, N, 0, run);
    if (T > 0) stream_to_attention(m, &w->txt, &b->txt, b, m->rope_txt, T, N, run);
    attention_shape_t shape = mmdit_attention_shape(m, mmdit_text_goes_on(m, i));
    if (run != MMDIT_RUN_CHEAP_AGAIN) k->attention_fwd(k, b->img.o, b->txt.o, b->lse, b->q, b->k, b->v, &shape);
    stream_from_attention(m, &w->img, &b->img, last ? m->x_end : m->blocks[i + 1].img.x0, N, run);
    if (mmdit_text_goes_on(m, i))
        stream_from_attention(m, &w->txt, &b->txt, last ? m->y_end : m->blocks[i + 1].txt.x0, T, run);
}

lens_status mmdit_forward(mmdit_t *m, const mmdit_tensors_t *w, const mmdit_input_t *in, const mmdit_watch_t *watch,
                          act_t **v) {
    LENS_TRY(check_input(m, in));
    kernels_t *k = m->k;
    int64_t B = in->B, N = in->h * in->w, D = m->D;
    prepare(m, in);
    for (int64_t b = 0; b < B; b++) m->host_n_keys[b] = (int32_t)N + (in->T > 0 ? in->text_len[b] : 0);
    k->upload(k, m->n_keys, m->host_n_keys, sizeof(int32_t) * (size_t)B);
    mmdit_begin_part(watch, MMDIT_PART_INPUTS);
    embed_inputs(m, w, in);
    for (int64_t i = 0; i < m->config.num_layers; i++) {
        mmdit_begin_part(watch, mmdit_part_of_block(i));
        mmdit_block_forward(m, &w->blocks[i], i, MMDIT_RUN_FORWARD);
    }
    mmdit_begin_part(watch, mmdit_n_parts(&m->config) - 1);
    k->linear_fwd(k, m->final_mod, m->s, w->norm_out_w, w->norm_out_b, B, 2 * D, D);
    k->layer_mod_fwd(k, m->final_norm, m->final_stats, m->x_end, slice_at(m->final_mod, 2 * D, D),
                     slice_at(m->final_mod, 2 * D, 0), B, N, D, (float)m->config.eps);
    k->linear_fwd(k, m->out, m->final_norm, w->proj_out_w, w->proj_out_b, B * N, m->out_width, D);
    *v = m->out;
    return LENS_OK;
}
