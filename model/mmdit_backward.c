/* The backward pass of the MMDiT: mmdit.c read from its end, one function for one there. */
#include "model/mmdit_state.h"

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
    k->linear_bwd_w(k, g->w2, NULL, d->d_row, s->hidden, R, D, M);
    k->linear_bwd_x(k, d_hidden, d->d_row, w->w2, R, D, M);
    k->swiglu_bwd(k, d->d_uv, d_hidden, s->uv, R, M);
    k->linear_bwd_w(k, g->w13, NULL, d->d_uv, s->z, R, 2 * M, D);
    k->linear_bwd_x(k, d->d_row, d->d_uv, w->w13, R, 2 * M, D);
    k->rms_mod_bwd(k, ds->dx, g->norm2, mmdit_mod(m, ds->dmod, MOD_SHIFT2), mmdit_mod(m, ds->dmod, MOD_SCALE2),
                   d->d_row, s->x1, s->rstd2, w->norm2, mmdit_mod(m, s->mod, MOD_SCALE2), B, L, D);
    k->gated_add_bwd(k, d->d_row, mmdit_mod(m, ds->dmod, MOD_GATE1), ds->dx, s->a, mmdit_mod(m, s->mod, MOD_GATE1), B,
                     L, D);
    k->linear_bwd_w(k, g->out_w, g->out_b, d->d_row, s->o, R, D, D);
    k->linear_bwd_x(k, ds->d_o, d->d_row, w->out_w, R, D, D);
}

/* From dq, dk, dv to ds->dx, which holds the residual's gradient already, and to the modulation. */
static void stream_to_attention_bwd(mmdit_t *m, const mmdit_stream_t *w, const mmdit_stream_t *g, stream_acts_t *s,
                                    stream_grads_t *ds, const float *rope, int64_t L, int64_t first) {
    kernels_t *k = m->k;
    mmdit_grads_t *d = &m->d;
    int64_t B = m->shape.B, R = B * L, S = m->shape.N + m->shape.T, D = m->D;
    k->qkv_bwd(k, d->d_qkv, g->norm_q, g->norm_k, d->dq, d->dk, d->dv, s->qkv, w->norm_q, w->norm_k, rope, B, L,
               m->config.num_heads, m->config.head_dim, S, first, (float)m->config.eps);
    k->linear_bwd_w(k, g->qkv_w, g->qkv_b, d->d_qkv, s->xi, R, 3 * D, D);
    k->linear_bwd_x(k, d->d_row, d->d_qkv, w->qkv_w, R, 3 * D, D);
    k->rms_mod_bwd(k, ds->dx, g->norm1, mmdit_mod(m, ds->dmod, MOD_SHIFT1), mmdit_mod(m, ds->dmod, MOD_SCALE1),
                   d->d_row, s->x0, s->rstd1, w->norm1, mmdit_mod(m, s->mod, MOD_SCALE1), B, L, D);
    k->linear_bwd_w(k, g->mod_w, g->mod_b, ds->dmod, m->s, B, MOD_N * D, D);
    k->linear_bwd_x_add(k, d->ds, ds->dmod, w->mod_w, B, MOD_N * D, D);
}

static void block_backward(mmdit_t *m, const mmdit_block_t *w, const mmdit_block_t *g, int64_t i) {
    kernels_t *k = m->k;
    mmdit_grads_t *d = &m->d;
    block_acts_t *b = &m->blocks[i];
    int64_t N = m->shape.N, T = m->shape.T;
    bool text_reaches_output = T > 0 && i + 1 < m->config.num_layers; /* whatever last_text computed forward */
    attention_shape_t shape = mmdit_attention_shape(m, text_reaches_output);
    if (m->checkpointing == MMDIT_RECOMPUTE_CHEAP) mmdit_block_forward(m, w, i, MMDIT_RUN_CHEAP_AGAIN);
    if (m->checkpointing == MMDIT_RECOMPUTE_BLOCKS) mmdit_block_forward(m, w, i, MMDIT_RUN_BLOCK_AGAIN);
    stream_from_attention_bwd(m, &w->img, &g->img, &b->img, &d->img, N);
    if (text_reaches_output) stream_from_attention_bwd(m, &w->txt, &g->txt, &b->txt, &d->txt, T);
    k->attention_bwd(k, d->dq, d->dk, d->dv, d->img.d_o, d->txt.d_o, b->img.o, b->txt.o, b->lse, b->q, b->k, b->v,
                     &shape);
    stream_to_attention_bwd(m, &w->img, &g->img, &b->img, &d->img, m->rope_img, N, 0);
    if (T > 0) stream_to_attention_bwd(m, &w->txt, &g->txt, &b->txt, &d->txt, m->rope_txt, T, N);
}

static void output_backward(mmdit_t *m, const mmdit_tensors_t *w, const mmdit_tensors_t *g, const mmdit_input_t *in,
                            const act_t *dv) {
    kernels_t *k = m->k;
    mmdit_grads_t *d = &m->d;
    int64_t B = in->B, N = in->h * in->w, D = m->D;
    k->linear_bwd_w(k, g->proj_out_w, g->proj_out_b, dv, m->final_norm, B * N, m->out_width, D);
    k->linear_bwd_x(k, d->d_row, dv, w->proj_out_w, B * N, m->out_width, D);
    k->layer_mod_bwd(k, d->img.dx, slice_at(d->dfinal_mod, 2 * D, D), slice_at(d->dfinal_mod, 2 * D, 0), d->d_row,
                     m->x_end, m->final_stats, slice_at(m->final_mod, 2 * D, 0), B, N, D);
    k->linear_bwd_w(k, g->norm_out_w, g->norm_out_b, d->dfinal_mod, m->s, B, 2 * D, D);
    k->linear_bwd_x(k, d->ds, d->dfinal_mod, w->norm_out_w, B, 2 * D, D);
}

static void inputs_backward(mmdit_t *m, const mmdit_tensors_t *w, const mmdit_tensors_t *g, const mmdit_input_t *in,
                            act_t *const *dtext) {
    kernels_t *k = m->k;
    mmdit_grads_t *d = &m->d;
    int64_t B = in->B, N = in->h * in->w, D = m->D, e = m->config.enc_hidden_dim, n = m->config.num_text_layers;
    k->linear_bwd_w(k, g->img_in_w, g->img_in_b, d->img.dx, in->x_t, B * N, D, m->config.in_channels);
    if (in->T > 0) {
        k->linear_bwd_w(k, g->txt_in_w, g->txt_in_b, d->txt.dx, m->text_cat, B * in->T, D, n * e);
        k->linear_bwd_x(k, d->dtext_cat, d->txt.dx, w->txt_in_w, B * in->T, D, n * e);
        for (int64_t i = 0; i < n; i++)
            k->rms_bwd(k, dtext ? dtext[i] : NULL, g->txt_norm[i], slice_at(d->dtext_cat, n * e, i * e), in->text[i],
                       m->text_rstd[i], w->txt_norm[i], B * in->T, e);
    }
    k->silu_bwd(k, d->dtemb, d->ds, m->temb, B * D);
    k->linear_bwd_w(k, g->time2_w, g->time2_b, d->dtemb, m->time_act, B, D, D);
    k->linear_bwd_x(k, d->dtime, d->dtemb, w->time2_w, B, D, D);
    k->silu_bwd(k, d->dtime, d->dtime, m->time_pre, B * D);
    k->linear_bwd_w(k, g->time1_w, g->time1_b, d->dtime, m->emb, B, D, MMDIT_TIME_EMBED_DIM);
}

void mmdit_backward(mmdit_t *m, const mmdit_tensors_t *w, const mmdit_tensors_t *g, const mmdit_input_t *in,
                    const act_t *dv, act_t *const *dtext, const mmdit_watch_t *watch) {
    LENS_ASSERT(m->backward, "planned for forward only: limits.backward = %d", (int)m->backward);
    LENS_ASSERT(m->grid_h == in->h && m->grid_w == in->w &&
                    mmdit_same_shape(m->shape, (mmdit_shape_t){in->B, in->h * in->w, in->T}),
                "backward of a grid %lld x %lld after forward of %lld x %lld, or of another batch", (long long)in->h,
                (long long)in->w, (long long)m->grid_h, (long long)m->grid_w);
    kernels_t *k = m->k;
    int64_t last = mmdit_n_parts(&m->config) - 1;
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
        block_backward(m, &w->blocks[i], &g->blocks[i], i);
        mmdit_end_part(watch, mmdit_part_of_block(i));
    }
    mmdit_begin_part(watch, MMDIT_PART_INPUTS);
    inputs_backward(m, w, g, in, dtext);
    mmdit_end_part(watch, MMDIT_PART_INPUTS);
}
