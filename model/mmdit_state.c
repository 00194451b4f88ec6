/* The activations of the MMDiT: which rows there are, which of them blocks share, and where they lie for a batch. */
#include <stdlib.h>
#include <string.h>

#include "model/mmdit_state.h"

/* ---- rows of a block ---- */

/* From this much recomputation on, all blocks share the row: what a block needs backward is made again. */
enum { FROM_CHEAP = MMDIT_RECOMPUTE_CHEAP, FROM_BLOCKS = MMDIT_RECOMPUTE_BLOCKS, FROM_FORWARD_ONLY };

typedef struct {
    void *slot;
    plan_type type;
    plan_shape_t shape;
    int shared_from;
    const char *stream, *name;
} block_row_t;
enum { N_STREAM_ROWS = 13, N_BLOCK_ROWS = 2 * N_STREAM_ROWS + 4 };

static void stream_rows(const mmdit_t *m, stream_acts_t *s, const char *stream, int64_t L, block_row_t *out) {
    int64_t B = m->shape.B, R = B * L, D = m->D, M = m->M;
    const block_row_t rows[N_STREAM_ROWS] = {{&s->mod, PLAN_ACT, PLAN_2D(B, MOD_N * D), FROM_BLOCKS, stream, "mod"},
                                             {&s->x0, PLAN_ACT, PLAN_2D(R, D), FROM_FORWARD_ONLY, stream, "x0"},
                                             {&s->xi, PLAN_ACT, PLAN_2D(R, D), FROM_CHEAP, stream, "xi"},
                                             {&s->rstd1, PLAN_F32, PLAN_1D(R), FROM_CHEAP, stream, "rstd1"},
                                             {&s->qkv, PLAN_ACT, PLAN_2D(R, 3 * D), FROM_BLOCKS, stream, "qkv"},
                                             {&s->o, PLAN_ACT, PLAN_2D(R, D), FROM_BLOCKS, stream, "o"},
                                             {&s->a, PLAN_ACT, PLAN_2D(R, D), FROM_BLOCKS, stream, "a"},
                                             {&s->x1, PLAN_ACT, PLAN_2D(R, D), FROM_CHEAP, stream, "x1"},
                                             {&s->z, PLAN_ACT, PLAN_2D(R, D), FROM_CHEAP, stream, "z"},
                                             {&s->rstd2, PLAN_F32, PLAN_1D(R), FROM_CHEAP, stream, "rstd2"},
                                             {&s->uv, PLAN_ACT, PLAN_2D(R, 2 * M), FROM_BLOCKS, stream, "uv"},
                                             {&s->hidden, PLAN_ACT, PLAN_2D(R, M), FROM_CHEAP, stream, "hidden"},
                                             {&s->mlp, PLAN_ACT, PLAN_2D(R, D), FROM_BLOCKS, stream, "mlp"}};
    memcpy(out, rows, sizeof rows);
}

static void block_rows(const mmdit_t *m, block_acts_t *b, block_row_t out[N_BLOCK_ROWS]) {
    int64_t B = m->shape.B, H = m->config.num_heads, K = m->config.head_dim, S = m->shape.N + m->shape.T;
    const block_row_t joint[] = {{&b->q, PLAN_ACT, PLAN_4D(B, H, S, K), FROM_CHEAP, "joint", "q"},
                                 {&b->k, PLAN_ACT, PLAN_4D(B, H, S, K), FROM_CHEAP, "joint", "k"},
                                 {&b->v, PLAN_ACT, PLAN_4D(B, H, S, K), FROM_CHEAP, "joint", "v"},
                                 {&b->lse, PLAN_F32, PLAN_3D(B, H, S), FROM_BLOCKS, "joint", "lse"}};
    stream_rows(m, &b->img, "img", m->shape.N, out);
    stream_rows(m, &b->txt, "txt", m->shape.T, out + N_STREAM_ROWS);
    memcpy(out + 2 * N_STREAM_ROWS, joint, sizeof joint);
}

static bool is_shared(const mmdit_t *m, const block_row_t *row) {
    int recomputed = m->backward ? (int)m->checkpointing : FROM_FORWARD_ONLY;
    return recomputed >= row->shared_from;
}

/* Rows that blocks share stand in the plan once: those of block 0. */
static void plan_blocks(mmdit_t *m) {
    block_row_t rows[N_BLOCK_ROWS];
    for (int64_t i = 0; i < m->config.num_layers; i++) {
        block_rows(m, &m->blocks[i], rows);
        for (int j = 0; j < N_BLOCK_ROWS; j++) {
            const block_row_t *r = &rows[j];
            if (!is_shared(m, r))
                plan_add(&m->plan, r->slot, r->type, 0, r->shape, "blocks.%lld.%s.%s", (long long)i, r->stream,
                         r->name);
            else if (i == 0)
                plan_add(&m->plan, r->slot, r->type, 0, r->shape, "shared.%s.%s", r->stream, r->name);
        }
    }
}

static void bind_shared(mmdit_t *m) {
    block_row_t first[N_BLOCK_ROWS], rows[N_BLOCK_ROWS];
    block_rows(m, &m->blocks[0], first);
    for (int64_t i = 1; i < m->config.num_layers; i++) {
        block_rows(m, &m->blocks[i], rows);
        for (int j = 0; j < N_BLOCK_ROWS; j++)
            if (is_shared(m, &rows[j])) memcpy(rows[j].slot, first[j].slot, sizeof(void *));
    }
}

/* ---- the other rows ---- */

static void plan_act(mmdit_t *m, void *slot, int64_t rows, int64_t columns, const char *name) {
    plan_add(&m->plan, slot, PLAN_ACT, 0, PLAN_2D(rows, columns), "%s", name);
}

static void plan_ends(mmdit_t *m) {
    int64_t B = m->shape.B, N = m->shape.N, T = m->shape.T, D = m->D, K = m->config.head_dim;
    plan_act(m, &m->text_cat, B * T, m->config.num_text_layers * m->config.enc_hidden_dim, "text_cat");
    for (int64_t i = 0; i < m->config.num_text_layers; i++)
        plan_add(&m->plan, &m->text_rstd[i], PLAN_F32, 0, PLAN_1D(B * T), "text_rstd.%lld", (long long)i);
    plan_act(m, &m->emb, B, MMDIT_TIME_EMBED_DIM, "emb");
    plan_act(m, &m->time_pre, B, D, "time_pre");
    plan_act(m, &m->time_act, B, D, "time_act");
    plan_act(m, &m->temb, B, D, "temb");
    plan_act(m, &m->s, B, D, "s");
    plan_act(m, &m->x_end, B * N, D, "x_end");
    plan_act(m, &m->y_end, m->last_text ? B * T : 0, D, "y_end");
    plan_act(m, &m->final_mod, B, 2 * D, "final_mod");
    plan_add(&m->plan, &m->final_stats, PLAN_F32, 0, PLAN_2D(B * N, 2), "final_stats");
    plan_act(m, &m->final_norm, B * N, D, "final_norm");
    plan_act(m, &m->out, B * N, m->out_width, "out");
    plan_add(&m->plan, &m->rope_img, PLAN_F32, 0, PLAN_2D(N, K), "rope_img");
    plan_add(&m->plan, &m->rope_txt, PLAN_F32, 0, PLAN_2D(T, K), "rope_txt");
    plan_add(&m->plan, &m->n_keys, PLAN_I32, 0, PLAN_1D(B), "n_keys");
}

static void plan_stream_grads(mmdit_t *m, stream_grads_t *d, int64_t L, const char *name) {
    int64_t B = m->shape.B, D = m->D;
    plan_add(&m->plan, &d->dx, PLAN_ACT, 0, PLAN_2D(B * L, D), "d.%s.x", name);
    plan_add(&m->plan, &d->d_o, PLAN_ACT, 0, PLAN_2D(B * L, D), "d.%s.o", name);
    plan_add(&m->plan, &d->dmod, PLAN_ACT, 0, PLAN_2D(B, MOD_N * D), "d.%s.mod", name);
}

static void plan_grads(mmdit_t *m) {
    mmdit_grads_t *d = &m->d;
    int64_t B = m->shape.B, N = m->shape.N, T = m->shape.T, D = m->D, R = B * (N > T ? N : T);
    plan_stream_grads(m, &d->img, N, "img");
    plan_stream_grads(m, &d->txt, T, "txt");
    plan_act(m, &d->d_row, R, D, "d.row");
    plan_act(m, &d->d_uv, R, 2 * m->M, "d.uv");
    plan_act(m, &d->d_qkv, R, 3 * D, "d.qkv");
    plan_act(m, &d->dq, B * (N + T), D, "d.q");
    plan_act(m, &d->dk, B * (N + T), D, "d.k");
    plan_act(m, &d->dv, B * (N + T), D, "d.v");
    plan_act(m, &d->ds, B, D, "d.s");
    plan_act(m, &d->dtemb, B, D, "d.temb");
    plan_act(m, &d->dtime, B, D, "d.time");
    plan_act(m, &d->dfinal_mod, B, 2 * D, "d.final_mod");
    plan_act(m, &d->dtext_cat, B * T, m->config.num_text_layers * m->config.enc_hidden_dim, "d.text_cat");
}

/* ---- layout ---- */

/* The number of rows is that of every shape: only the first plan allocates. */
static void plan_for(mmdit_t *m, mmdit_shape_t shape) {
    m->shape = shape;
    plan_clear(&m->plan);
    plan_blocks(m);
    plan_ends(m);
    if (m->backward) plan_grads(m);
}

void mmdit_lay_out(mmdit_t *m, mmdit_shape_t shape) {
    plan_for(m, shape);
    LENS_ASSERT(m->plan.bytes <= m->buffer_bytes, "%zu of %zu bytes", m->plan.bytes, m->buffer_bytes);
    plan_bind(&m->plan, m->buffer);
    bind_shared(m);
}

static void plan_largest(mmdit_t *m) {
    mmdit_shape_t largest = m->limits[0];
    size_t bytes = 0;
    for (int i = 0; i < m->n_limits; i++) {
        plan_for(m, m->limits[i]);
        if (m->plan.bytes > bytes) {
            bytes = m->plan.bytes;
            largest = m->limits[i];
        }
    }
    plan_for(m, largest);
}

/* All of a model but its device memory. */
static lens_status init_host(mmdit_t *m, const mmdit_config_t *c, const mmdit_limits_t *limits, size_t act_bytes) {
    *m = (mmdit_t){.config = *c,
                   .n_limits = limits->n_shapes,
                   .backward = limits->backward,
                   .last_text = limits->last_text,
                   .checkpointing = limits->checkpointing,
                   .D = mmdit_dim(c),
                   .M = mmdit_mlp_dim(c),
                   .out_width = mmdit_out_width(c),
                   .plan = {.act_bytes = act_bytes}};
    if (limits->n_shapes < 1) return lens_fail(LENS_ARGUMENT, "model: no shape of a batch to plan for");
    int64_t B = 0, L = 0;
    for (int i = 0; i < limits->n_shapes; i++) {
        const mmdit_shape_t *s = &limits->shapes[i];
        if (s->B < 1 || s->N < 1 || s->T < 0)
            return lens_fail(LENS_ARGUMENT,
                             "model: planned shape %d: expected B >= 1, N >= 1, T >= 0, got %lld, %lld, %lld", i,
                             (long long)s->B, (long long)s->N, (long long)s->T);
        B = s->B > B ? s->B : B;
        L = s->N > L ? s->N : L;
        L = s->T > L ? s->T : L;
    }
    m->limits = calloc((size_t)limits->n_shapes, sizeof *m->limits);
    m->blocks = calloc((size_t)c->num_layers, sizeof *m->blocks);
    m->host_n_keys = calloc((size_t)B, sizeof *m->host_n_keys);
    m->host_rope = calloc((size_t)(L * c->head_dim), sizeof *m->host_rope);
    if (!m->limits || !m->blocks || !m->host_n_keys || !m->host_rope)
        return lens_fail(LENS_MEMORY, "out of memory for a model");
    memcpy(m->limits, limits->shapes, sizeof *m->limits * (size_t)limits->n_shapes);
    plan_largest(m);
    return plan_status(&m->plan);
}

static void free_host(mmdit_t *m) {
    plan_free(&m->plan);
    free(m->host_rope);
    free(m->host_n_keys);
    free(m->blocks);
    free(m->limits);
}

lens_status mmdit_plan_activations(plan_t *out, const mmdit_config_t *c, const mmdit_limits_t *limits,
                                   size_t act_bytes) {
    mmdit_t m;
    *out = (plan_t){.act_bytes = act_bytes};
    LENS_TRY(mmdit_config_check(c));
    lens_status st = init_host(&m, c, limits, act_bytes);
    if (st == LENS_OK) {
        *out = m.plan;
        m.plan = (plan_t){0};
        for (int i = 0; i < out->n; i++) out->rows[i].slot = NULL;
    }
    free_host(&m);
    return st;
}

lens_status mmdit_new(mmdit_t **out, kernels_t *k, const mmdit_config_t *c, const mmdit_limits_t *limits) {
    *out = NULL;
    LENS_TRY(mmdit_config_check(c));
    lens_status st = LENS_OK;
    mmdit_t *m = calloc(1, sizeof *m);
    if (!m) return lens_fail(LENS_MEMORY, "out of memory for a model");
    LENS_GO(init_host(m, c, limits, k->act_bytes));
    m->k = k;
    m->buffer_bytes = m->plan.bytes;
    LENS_GO(k->alloc(k, &m->buffer, m->buffer_bytes, "activations"));
    mmdit_lay_out(m, m->shape);
    *out = m;
done:
    if (st != LENS_OK) mmdit_free(m);
    return st;
}

void mmdit_free(mmdit_t *m) {
    if (!m) return;
    if (m->buffer) m->k->free(m->k, m->buffer);
    free_host(m);
    free(m);
}

const plan_t *mmdit_activations(const mmdit_t *m) {
    return &m->plan;
}
