#include "model/mmdit_linear.h"

typedef struct {
    int64_t R, n_out, n_in;
} size_of_linear_t;

/* ---- adapters; y and dy may be columns of a wider matrix ---- */

static void adapter_fwd(mmdit_t *m, const mmdit_linear_t *w, slice_t y, const act_t *x, size_of_linear_t n) {
    kernels_t *k = m->k;
    if (!w->lora_a) return;
    k->linear_fwd(k, m->lora_xa, x, w->lora_a, NULL, n.R, m->lora_rank, n.n_in);
    k->lora_fwd(k, y, m->lora_xa, w->lora_b, m->lora_scale, n.R, n.n_out, m->lora_rank);
}

/* Gradients of the adapter; that of x a^T is left in d.lora_xa. */
static void adapter_bwd_w(mmdit_t *m, const mmdit_linear_t *w, const mmdit_linear_t *g, slice_t dy, const act_t *x,
                          size_of_linear_t n) {
    kernels_t *k = m->k;
    if (!w->lora_a) return;
    k->linear_fwd(k, m->lora_xa, x, w->lora_a, NULL, n.R, m->lora_rank, n.n_in);
    k->lora_bwd(k, m->d.lora_xa, g->lora_b, dy, m->lora_xa, w->lora_b, m->lora_scale, n.R, n.n_out, m->lora_rank);
    if (g->lora_a) k->linear_bwd_w(k, g->lora_a, NULL, m->d.lora_xa, x, n.R, m->lora_rank, n.n_in);
}

static void adapter_bwd_x(mmdit_t *m, const mmdit_linear_t *w, act_t *dx, size_of_linear_t n) {
    if (w->lora_a && dx) m->k->linear_bwd_x_add(m->k, dx, m->d.lora_xa, w->lora_a, n.R, m->lora_rank, n.n_in);
}

/* ---- one linear ---- */

void mmdit_linear_fwd(mmdit_t *m, const mmdit_linear_t *w, act_t *y, const act_t *x, int64_t R, int64_t n_out,
                      int64_t n_in) {
    m->k->linear_fwd(m->k, y, x, w->w, w->b, R, n_out, n_in);
    adapter_fwd(m, w, slice_at(y, n_out, 0), x, (size_of_linear_t){R, n_out, n_in});
}

static void weight_bwd(mmdit_t *m, const mmdit_linear_t *g, const act_t *dy, const act_t *x, size_of_linear_t n) {
    kernels_t *k = m->k;
    if (!g->w) return;
    if (m->d.fresh)
        k->linear_bwd_w_first(k, g->w, g->b, dy, x, n.R, n.n_out, n.n_in);
    else
        k->linear_bwd_w(k, g->w, g->b, dy, x, n.R, n.n_out, n.n_in);
}

void mmdit_linear_no_bwd(mmdit_t *m, const mmdit_linear_t *g, int64_t n_out, int64_t n_in) {
    if (g->w && m->d.fresh) m->k->zero(m->k, g->w, sizeof(float) * (size_t)(n_out * n_in));
}

/* What needs x comes before dx is written. */
static void bwd_w(mmdit_t *m, const mmdit_linear_t *w, const mmdit_linear_t *g, const act_t *dy, const act_t *x,
                  size_of_linear_t n) {
    weight_bwd(m, g, dy, x, n);
    adapter_bwd_w(m, w, g, slice_at((act_t *)dy, n.n_out, 0), x, n);
}

void mmdit_linear_bwd(mmdit_t *m, const mmdit_linear_t *w, const mmdit_linear_t *g, act_t *dx, const act_t *dy,
                      const act_t *x, int64_t R, int64_t n_out, int64_t n_in) {
    size_of_linear_t n = {R, n_out, n_in};
    bwd_w(m, w, g, dy, x, n);
    if (dx) m->k->linear_bwd_x(m->k, dx, dy, w->w, R, n_out, n_in);
    adapter_bwd_x(m, w, dx, n);
}

void mmdit_linear_bwd_add(mmdit_t *m, const mmdit_linear_t *w, const mmdit_linear_t *g, act_t *dx, const act_t *dy,
                          const act_t *x, int64_t R, int64_t n_out, int64_t n_in) {
    size_of_linear_t n = {R, n_out, n_in};
    bwd_w(m, w, g, dy, x, n);
    if (dx) m->k->linear_bwd_x_add(m->k, dx, dy, w->w, R, n_out, n_in);
    adapter_bwd_x(m, w, dx, n);
}

/* ---- the two of SwiGLU ---- */

void mmdit_linear_pair_fwd(mmdit_t *m, const mmdit_stream_t *w, act_t *y, const act_t *x, int64_t R, int64_t n_out,
                           int64_t n_in) {
    size_of_linear_t n = {R, n_out, n_in};
    m->k->linear_fwd(m->k, y, x, w->w1.w, NULL, R, 2 * n_out, n_in);
    adapter_fwd(m, &w->w1, slice_at(y, 2 * n_out, 0), x, n);
    adapter_fwd(m, &w->w3, slice_at(y, 2 * n_out, n_out), x, n);
}

void mmdit_linear_pair_bwd(mmdit_t *m, const mmdit_stream_t *w, const mmdit_stream_t *g, act_t *dx, const act_t *dy,
                           const act_t *x, int64_t R, int64_t n_out, int64_t n_in) {
    kernels_t *k = m->k;
    size_of_linear_t n = {R, n_out, n_in};
    weight_bwd(m, &g->w1, dy, x, (size_of_linear_t){R, 2 * n_out, n_in});
    k->linear_bwd_x(k, dx, dy, w->w1.w, R, 2 * n_out, n_in);
    adapter_bwd_w(m, &w->w1, &g->w1, slice_at((act_t *)dy, 2 * n_out, 0), x, n);
    adapter_bwd_x(m, &w->w1, dx, n);
    adapter_bwd_w(m, &w->w3, &g->w3, slice_at((act_t *)dy, 2 * n_out, n_out), x, n);
    adapter_bwd_x(m, &w->w3, dx, n);
}
