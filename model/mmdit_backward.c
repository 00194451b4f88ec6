/* The backward pass of the MMDiT: mmdit.c read from its end, one function for one there. */
#include <string.h>

#include "model/mmdit_linear.h"

/* From the gradient of the stream after the block (in dx) to that of attention's result (in d_o); dx becomes the
 * gradient of x0 as far as it does not come through attention. */
static void stream_from_attention_bwd(mmdit_t *m, const mmdit_stream_t *w, const mmdit_stream_t *g, stream_acts_t *s,
                                      stream_grads_t *ds, int64_t L) {
    kernels_t *k = m->k;
    mmdit_grads_t *d = &m->d;
    int64_t B = m->shape.B, R = B * L, D = m->D, M = m->M;
    act_t *d_hidden = s->hidden; /* needed no more once w2 has its gradient */
    k->gated_add_bwd(k, d->d_row, mmdit_mod(m, ds->dmod, MOD_GATE2), ds->dx, s->mlp, mmdit_mod(m, s->mod, MOD_GATE2), B,
                     L, D);
    mmdit_linear_bwd(m, &w->w2, &g->w2, d_hidden, d->d_row, s->hidden, R, D, M);
    k->swiglu_bwd(k, d->d_uv, d_hidden, s->uv, R, M);
    mmdit_linear_pair_bwd(m, w, g, d->d_row, d->d_uv, s->z, R, M, D);
    k->rms_mod_bwd(k, ds->dx, g->norm2, mmdit_mod(m, ds->dmod, MOD_SHIFT2), mmdit_mod(m, ds->dmod, MOD_SCALE2),
                   d->d_row, s->x1, s->rstd2, w->norm2, mmdit_mod(m, s->mod, MOD_SCALE2), B, L, D);
    k->gated_add_bwd(k, d->d_row, mmdit_mod(m, ds->dmod, MOD_GATE1), ds->dx, s->a, mmdit_mod(m, s->mod, MOD_GATE1), B,
                     L, D);
    mmdit_linear_bwd(m, &w->out, &g->out, ds->d_o, d->d_row, s->o, R, D, D);
}

/* From dq, dk, dv to ds->dx, which holds the residual's gradient already, and to the modulation. */
static void stream_to_attention_bwd(mmdit_t *m, const mmdit_stream_t *w, const mmdit_stream_t *g, stream_acts_t *s,
                                    stream_grads_t *ds, const float *rope, int64_t L, int64_t first) {
    kernels_t *k = m->k;
    mmdit_grads_t *d = &m->d;
    int64_t B = m->shape.B, R = B * L, S = m->shape.N + m->shape.T, D = m->D;
    k->qkv_bwd(k, d->d_qkv, g->norm_q, g->norm_k, d->dq, d->dk, d->dv, s->qkv, w->norm_q, w->norm_k, rope, B, L,
               m->config.num_heads, m->config.head_dim, S, first, (float)m->config.eps);
    mmdit_linear_bwd(m, &w->qkv, &g->qkv, d->d_row, d->d_qkv, s->xi, R, 3 * D, D);
    k->rms_mod_bwd(k, ds->dx, g->norm1, mmdit_mod(m, ds->dmod, MOD_SHIFT1), mmdit_mod(m, ds->dmod, MOD_SCALE1),
                   d->d_row, s->x0, s->rstd1, w->norm1, mmdit_mod(m, s->mod, MOD_SCALE1), B, L, D);
    mmdit_linear_bwd_add(m, &w->mod, &g->mod, d->trains_time ? d->ds : NULL, ds->dmod, m->s, B, MOD_N * D, D);
}

/* What no text, or text that ends at attention, does not reach. */
static void text_past_attention_no_bwd(mmdit_t *m, const mmdit_stream_t *g) {
    mmdit_linear_no_bwd(m, &g->w2, m->D, m->M);
    mmdit_linear_no_bwd(m, &g->w1, 2 * m->M, m->D); /* and w3, which is one with it */
    mmdit_linear_no_bwd(m, &g->out, m->D, m->D);
}
static void text_to_attention_no_bwd(mmdit_t *m, const mmdit_stream_t *g) {
    mmdit_linear_no_bwd(m, &g->qkv, 3 * m->D, m->D);
    mmdit_linear_no_bwd(m, &g->mod, MOD_N * m->D, m->D);
}

/* The rows that blocks share hold what forward made last: those of the last block are there. */
static void run_again(mmdit_t *m, const mmdit_block_t *w, int64_t i) {
    if (i + 1 == m->config.num_layers) return;
    if (m->checkpointing == MMDIT_RECOMPUTE_CHEAP) mmdit_block_forward(m, w, i, MMDIT_RUN_CHEAP_AGAIN);
    if (m->checkpointing == MMDIT_RECOMPUTE_BLOCKS) mmdit_block_forward(m, w, i, MMDIT_RUN_BLOCK_AGAIN);
}

static void block_backward(mmdit_t *m, const mmdit_block_t *w, const mmdit_block_t *g, int64_t i) {
    kernels_t *k = m->k;
    mmdit_grads_t *d = &m->d;
    block_acts_t *b = &m->blocks[i];
    int64_t N = m->shape.N, T = m->shape.T;
    bool text_reaches_output = T > 0 && i + 1 < m->config.num_layers; /* whatever last_text computed forward */
    attention_shape_t shape = mmdit_attention_shape(m, text_reaches_output);
    run_again(m, w, i);
    stream_from_attention_bwd(m, &w->img, &g->img, &b->img, &d->img, N);
    if (text_reaches_output)
        stream_from_attention_bwd(m, &w->txt, &g->txt, &b->txt, &d->txt, T);
    else
        text_past_attention_no_bwd(m, &g->txt);
    k->attention_bwd(k, d->dq, d->dk, d->dv, d->img.d_o, d->txt.d_o, b->img.o, b->txt.o, b->lse, b->q, b->k, b->v,
                     &shape);
    stream_to_attention_bwd(m, &w->img, &g->img, &b->img, &d->img, m->rope_img, N, 0);
    if (T > 0)
        stream_to_attention_bwd(m, &w->txt, &g->txt, &b->txt, &d->txt, m->rope_txt, T, N);
    else
        text_to_attention_no_bwd(m, &g->txt);
}

static void output_backward(mmdit_t *m, const mmdit_tensors_t *w, const mmdit_tensors_t *g, const mmdit_input_t *in,
                            const act_t *dv) {
    kernels_t *k = m->k;
    mmdit_grads_t *d = &m->d;
    int64_t B = in->B, N = in->h * in->w, D = m->D;
    mmdit_linear_bwd(m, &w->proj_out, &g->proj_out, d->d_row, dv, m->final_norm, B * N, m->out_width, D);
    k->layer_mod_bwd(k, d->img.dx, slice_at(d->dfinal_mod, 2 * D, D), slice_at(d->dfinal_mod, 2 * D, 0), d->d_row,
                     m->x_end, m->final_stats, slice_at(m->final_mod, 2 * D, 0), B, N, D);
    mmdit_linear_bwd(m, &w->norm_out, &g->norm_out, d->trains_time ? d->ds : NULL, d->dfinal_mod, m->s, B, 2 * D, D);
}

/* ---- what is trained ---- */

/* Whether a struct of pointers holds one. */
static bool holds_any(const void *pointers, size_t bytes) {
    static const mmdit_block_t nothing;
    LENS_ASSERT(bytes <= sizeof nothing, "%zu bytes", bytes);
    return memcmp(pointers, &nothing, bytes) != 0;
}

static bool trains(const mmdit_linear_t *g) {
    return holds_any(g, sizeof *g);
}

static bool wants_text(const mmdit_t *m, const mmdit_tensors_t *g, act_t *const *dtext) {
    bool wanted = false;
    for (int64_t i = 0; i < m->config.num_text_layers; i++) wanted = wanted || g->txt_norm[i] || (dtext && dtext[i]);
    return wanted;
}

/* The backward pass ends where nothing below wants a gradient. */
static int64_t lowest_trained_part(const mmdit_t *m, const mmdit_tensors_t *g, act_t *const *dtext) {
    if (trains(&g->img_in) || trains(&g->txt_in) || trains(&g->time1) || trains(&g->time2) || wants_text(m, g, dtext))
        return MMDIT_PART_INPUTS;
    for (int64_t i = 0; i < m->config.num_layers; i++)
        if (holds_any(&g->blocks[i], sizeof g->blocks[i])) return mmdit_part_of_block(i);
    return mmdit_n_parts(&m->config) - 1;
}

static void inputs_backward(mmdit_t *m, const mmdit_tensors_t *w, const mmdit_tensors_t *g, const mmdit_input_t *in,
                            act_t *const *dtext) {
    kernels_t *k = m->k;
    mmdit_grads_t *d = &m->d;
    int64_t B = in->B, N = in->h * in->w, D = m->D, e = m->config.enc_hidden_dim, n = m->config.num_text_layers;
    bool text = wants_text(m, g, dtext);
    mmdit_linear_bwd(m, &w->img_in, &g->img_in, NULL, d->img.dx, in->x_t, B * N, D, m->config.in_channels);
    if (in->T > 0) {
        mmdit_linear_bwd(m, &w->txt_in, &g->txt_in, text ? d->dtext_cat : NULL, d->txt.dx, m->text_cat, B * in->T, D,
                         n * e);
        for (int64_t i = 0; i < n && text; i++)
            k->rms_bwd(k, dtext ? dtext[i] : NULL, g->txt_norm[i], slice_at(d->dtext_cat, n * e, i * e), in->text[i],
                       m->text_rstd[i], w->txt_norm[i], B * in->T, e);
    } else {
        mmdit_linear_no_bwd(m, &g->txt_in, D, n * e);
    }
    if (!d->trains_time) return;
    k->silu_bwd(k, d->dtemb, d->ds, m->temb, B * D);
    mmdit_linear_bwd(m, &w->time2, &g->time2, d->dtime, d->dtemb, m->time_act, B, D, D);
    k->silu_bwd(k, d->dtime, d->dtime, m->time_pre, B * D);
    mmdit_linear_bwd(m, &w->time1, &g->time1, NULL, d->dtime, m->emb, B, D, MMDIT_TIME_EMBED_DIM);
}

void mmdit_backward(mmdit_t *m, const mmdit_tensors_t *w, const mmdit_tensors_t *g, const mmdit_input_t *in,
                    const act_t *dv, act_t *const *dtext, const mmdit_watch_t *watch) {
    LENS_ASSERT(m->backward, "planned for forward only: limits.backward = %d", (int)m->backward);
    LENS_ASSERT(m->grid_h == in->h && m->grid_w == in->w &&
                    mmdit_same_shape(m->shape, (mmdit_shape_t){in->B, in->h * in->w, in->T}),
                "backward of a grid %lld x %lld after forward of %lld x %lld, or of another batch", (long long)in->h,
                (long long)in->w, (long long)m->grid_h, (long long)m->grid_w);
    kernels_t *k = m->k;
    int64_t last = mmdit_n_parts(&m->config) - 1, lowest = lowest_trained_part(m, g, dtext);
    m->d.fresh = g->fresh;
    m->d.trains_time = trains(&g->time1) || trains(&g->time2);
    mmdit_begin_part(watch, last);
    output_backward(m, w, g, in, dv);
    mmdit_end_part(watch, last);
    if (in->T > 0) {
        /* The last block's text sends nothing back from behind attention. */
        k->zero(k, m->d.txt.dx, k->act_bytes * (size_t)(in->B * in->T * m->D));
        k->zero(k, m->d.txt.dmod, k->act_bytes * (size_t)(in->B * MOD_N * m->D));
    }
    for (int64_t i = m->config.num_layers - 1; i >= 0; i--) {
        mmdit_begin_part(watch, mmdit_part_of_block(i));
        if (mmdit_part_of_block(i) >= lowest) block_backward(m, &w->blocks[i], &g->blocks[i], i);
        mmdit_end_part(watch, mmdit_part_of_block(i));
    }
    mmdit_begin_part(watch, MMDIT_PART_INPUTS);
    if (lowest == MMDIT_PART_INPUTS) inputs_backward(m, w, g, in, dtext);
    mmdit_end_part(watch, MMDIT_PART_INPUTS);
}
