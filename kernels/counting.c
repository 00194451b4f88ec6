#include "kernels/counting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

typedef struct {
    void *p;
    size_t bytes;
} region_t;

/* An upload that may hold lengths of keys. */
typedef struct {
    const void *device;
    int32_t *host;
    size_t bytes;
} lengths_t;

enum { MAX_REGIONS = 256, MAX_LENGTHS = 8, LENGTHS_MOST_BYTES = 16 << 10 };

typedef struct {
    region_t region[MAX_REGIONS];
    lengths_t lengths[MAX_LENGTHS]; /* the last uploads that are small enough */
    int next_lengths;
    counted_t *calls;
    int n_calls, cap_calls;
    bool tracing;
    double trace_flop, zeros[1 << 16]; /* zeros: what a fetch brings */
    lens_status error;                 /* the first */
    char error_text[128];
} counting_t;

static counting_t *counting(const kernels_t *k) {
    return k->context;
}

static void keep_error(counting_t *c, lens_status st) {
    if (st == LENS_OK || c->error != LENS_OK) return;
    c->error = st;
    snprintf(c->error_text, sizeof c->error_text, "%s", lens_error());
}

/* ---- counting ---- */

static counted_t *find_call(counting_t *c, const op_call_t *call) {
    for (int i = 0; i < c->n_calls; i++) {
        const op_call_t *other = &c->calls[i].call;
        if (other->row == call->row && memcmp(other->n, call->n, sizeof call->n) == 0) return &c->calls[i];
    }
    return NULL;
}

static void count(kernels_t *k, op_call_t call) {
    counting_t *c = counting(k);
    counted_t *found = find_call(c, &call);
    if (c->tracing) c->trace_flop += op_cost(&call, k->act_bytes).flop;
    if (found) {
        found->times++;
        return;
    }
    if (c->n_calls == c->cap_calls) {
        int cap = c->cap_calls ? 2 * c->cap_calls : 128;
        counted_t *grown = realloc(c->calls, sizeof *grown * (size_t)cap);
        if (!grown) {
            keep_error(c, lens_fail(LENS_MEMORY, "out of memory for the count of %d calls", cap));
            return;
        }
        c->calls = grown;
        c->cap_calls = cap;
    }
    c->calls[c->n_calls++] = (counted_t){call, 1};
}
#define COUNT(row, ...) count(k, (op_call_t){OP_##row, {__VA_ARGS__}})

/* ---- memory ---- */

static lens_status do_alloc(kernels_t *k, void **out, size_t bytes, const char *what) {
    counting_t *c = counting(k);
    int i = 0;
    *out = NULL;
    while (i < MAX_REGIONS && c->region[i].p) i++;
    if (i == MAX_REGIONS) return lens_fail(LENS_STATE, "counting: more than %d buffers, at %s", MAX_REGIONS, what);
    void *p = mmap(NULL, bytes ? bytes : 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return lens_fail(LENS_MEMORY, "counting: no addresses for %zu bytes of %s", bytes, what);
    c->region[i] = (region_t){p, bytes};
    *out = p;
    return LENS_OK;
}

static void do_free(kernels_t *k, void *p) {
    counting_t *c = counting(k);
    for (int i = 0; p && i < MAX_REGIONS; i++) {
        if (c->region[i].p != p) continue;
        (void)munmap(p, c->region[i].bytes ? c->region[i].bytes : 1);
        c->region[i] = (region_t){0};
    }
}

static void keep_lengths(counting_t *c, const void *device, const void *host, size_t bytes) {
    lengths_t *l = &c->lengths[c->next_lengths];
    for (int i = 0; i < MAX_LENGTHS; i++)
        if (c->lengths[i].device == device) l = &c->lengths[i];
    if (l == &c->lengths[c->next_lengths]) c->next_lengths = (c->next_lengths + 1) % MAX_LENGTHS;
    int32_t *copy = realloc(l->host, bytes);
    if (!copy) {
        keep_error(c, lens_fail(LENS_MEMORY, "out of memory for an upload of %zu bytes", bytes));
        return;
    }
    memcpy(copy, host, bytes);
    *l = (lengths_t){device, copy, bytes};
}

static void do_upload(kernels_t *k, void *device, const void *host, size_t bytes) {
    COUNT(upload, (int64_t)bytes);
    if (bytes > 0 && bytes <= LENGTHS_MOST_BYTES) keep_lengths(counting(k), device, host, bytes);
}

static void do_download(kernels_t *k, void *host, const void *device, size_t bytes) {
    (void)device;
    COUNT(download, (int64_t)bytes);
    memset(host, 0, bytes);
}

static int do_fetch_begin(kernels_t *k, const void *device, size_t bytes) {
    (void)device;
    COUNT(download, (int64_t)bytes);
    if (bytes > sizeof counting(k)->zeros)
        keep_error(counting(k), lens_fail(LENS_STATE, "counting: a fetch of %zu bytes", bytes));
    return 0;
}

static lens_status do_fetch_end(kernels_t *k, int fetch, const void **out) {
    counting_t *c = counting(k);
    (void)fetch;
    *out = c->error == LENS_OK ? c->zeros : NULL;
    return c->error == LENS_OK ? LENS_OK : lens_fail(c->error, "%s", c->error_text);
}

static void do_zero(kernels_t *k, void *device, size_t bytes) {
    (void)device;
    COUNT(zero, (int64_t)bytes);
}

static void do_copy(kernels_t *k, void *out, const void *in, size_t bytes) {
    (void)out, (void)in;
    COUNT(copy, (int64_t)bytes);
}

static void do_to_act(kernels_t *k, act_t *out, const float *in, int64_t n) {
    (void)out, (void)in;
    COUNT(to_act, n);
}

static void do_to_float(kernels_t *k, float *out, const act_t *in, int64_t n) {
    (void)out, (void)in;
    COUNT(to_float, n);
}

size_t counting_allocated(const kernels_t *k) {
    size_t bytes = 0;
    for (int i = 0; i < MAX_REGIONS; i++) bytes += counting(k)->region[i].bytes;
    return bytes;
}

static void do_memory(kernels_t *k, size_t *used, size_t *total) {
    *used = counting_allocated(k);
    *total = 0;
}

static lens_status do_finish(kernels_t *k) {
    counting_t *c = counting(k);
    lens_status st = c->error;
    c->error = LENS_OK;
    return st == LENS_OK ? LENS_OK : lens_fail(st, "%s", c->error_text);
}

static void do_end(kernels_t *k) {
    counting_t *c = counting(k);
    for (int i = 0; i < MAX_REGIONS; i++) do_free(k, c->region[i].p);
    for (int i = 0; i < MAX_LENGTHS; i++) free(c->lengths[i].host);
    free(c->calls);
    free(c);
    free(k);
}

/* ---- the compute rows ---- */

static void do_linear_fwd(kernels_t *k, act_t *y, const act_t *x, const act_t *w, const act_t *b, int64_t R,
                          int64_t n_out, int64_t n_in) {
    (void)y, (void)x, (void)w;
    COUNT(linear_fwd, R, n_out, n_in, b != NULL);
}

static void do_linear_bwd_x(kernels_t *k, act_t *dx, const act_t *dy, const act_t *w, int64_t R, int64_t n_out,
                            int64_t n_in) {
    (void)dx, (void)dy, (void)w;
    COUNT(linear_bwd_x, R, n_out, n_in);
}

static void do_linear_bwd_x_add(kernels_t *k, act_t *dx, const act_t *dy, const act_t *w, int64_t R, int64_t n_out,
                                int64_t n_in) {
    (void)dx, (void)dy, (void)w;
    COUNT(linear_bwd_x_add, R, n_out, n_in);
}

static void do_linear_bwd_w(kernels_t *k, float *dw, float *db, const act_t *dy, const act_t *x, int64_t R,
                            int64_t n_out, int64_t n_in) {
    (void)dw, (void)dy, (void)x;
    COUNT(linear_bwd_w, R, n_out, n_in, db != NULL);
}

static void do_linear_bwd_w_first(kernels_t *k, float *dw, float *db, const act_t *dy, const act_t *x, int64_t R,
                                  int64_t n_out, int64_t n_in) {
    (void)dw, (void)dy, (void)x;
    COUNT(linear_bwd_w_first, R, n_out, n_in, db != NULL);
}

static void do_lora_fwd(kernels_t *k, slice_t y, const act_t *xa, const act_t *b, float scale, int64_t R, int64_t n_out,
                        int64_t r) {
    (void)xa, (void)b, (void)scale;
    COUNT(lora_fwd, R, n_out, r, y.stride);
}

static void do_lora_bwd(kernels_t *k, act_t *dxa, float *db, slice_t dy, const act_t *xa, const act_t *b, float scale,
                        int64_t R, int64_t n_out, int64_t r) {
    (void)dxa, (void)xa, (void)b, (void)scale;
    COUNT(lora_bwd, R, n_out, r, dy.stride, db != NULL);
}

static void do_rms_mod_fwd(kernels_t *k, act_t *y, float *rstd, const act_t *x, const act_t *w, slice_t shift,
                           slice_t scale, int64_t B, int64_t L, int64_t D, float eps) {
    (void)y, (void)rstd, (void)x, (void)w, (void)scale, (void)eps;
    COUNT(rms_mod_fwd, B, L, D, shift.stride);
}

static void do_rms_mod_bwd(kernels_t *k, act_t *dx, float *dw, slice_t dshift, slice_t dscale, const act_t *dy,
                           const act_t *x, const float *rstd, const act_t *w, slice_t scale, int64_t B, int64_t L,
                           int64_t D) {
    (void)dx, (void)dshift, (void)dscale, (void)dy, (void)x, (void)rstd, (void)w;
    COUNT(rms_mod_bwd, B, L, D, scale.stride, dw != NULL);
}

static void do_layer_mod_fwd(kernels_t *k, act_t *y, float *stats, const act_t *x, slice_t shift, slice_t scale,
                             int64_t B, int64_t L, int64_t D, float eps) {
    (void)y, (void)stats, (void)x, (void)scale, (void)eps;
    COUNT(layer_mod_fwd, B, L, D, shift.stride);
}

static void do_layer_mod_bwd(kernels_t *k, act_t *dx, slice_t dshift, slice_t dscale, const act_t *dy, const act_t *x,
                             const float *stats, slice_t scale, int64_t B, int64_t L, int64_t D) {
    (void)dx, (void)dshift, (void)dscale, (void)dy, (void)x, (void)stats;
    COUNT(layer_mod_bwd, B, L, D, scale.stride);
}

static void do_rms_fwd(kernels_t *k, slice_t y, float *rstd, const act_t *x, const act_t *w, int64_t R, int64_t D,
                       float eps) {
    (void)rstd, (void)x, (void)w, (void)eps;
    COUNT(rms_fwd, R, D, y.stride);
}

static void do_rms_bwd(kernels_t *k, act_t *dx, float *dw, slice_t dy, const act_t *x, const float *rstd,
                       const act_t *w, int64_t R, int64_t D) {
    (void)x, (void)rstd, (void)w;
    COUNT(rms_bwd, R, D, dy.stride, dx != NULL, dw != NULL);
}

static void do_qkv_fwd(kernels_t *k, act_t *q, act_t *key, act_t *v, const act_t *qkv, const act_t *wq, const act_t *wk,
                       const float *rope, int64_t B, int64_t L, int64_t H, int64_t K, int64_t S, int64_t first,
                       float eps) {
    (void)q, (void)key, (void)v, (void)qkv, (void)wq, (void)wk, (void)rope, (void)eps;
    COUNT(qkv_fwd, B, L, H, K, S, first);
}

static void do_qkv_bwd(kernels_t *k, act_t *dqkv, float *dwq, float *dwk, const act_t *dq, const act_t *dk,
                       const act_t *dv, const act_t *qkv, const act_t *wq, const act_t *wk, const float *rope,
                       int64_t B, int64_t L, int64_t H, int64_t K, int64_t S, int64_t first, float eps) {
    (void)dqkv, (void)dwk, (void)dq, (void)dk, (void)dv, (void)qkv, (void)wq, (void)wk, (void)rope, (void)eps;
    COUNT(qkv_bwd, B, L, H, K, S, first, dwq != NULL);
}

/* The lengths are on the device: those that were uploaded there. */
static void count_attention(kernels_t *k, op_row row, const attention_shape_t *s) {
    counting_t *c = counting(k);
    int64_t keys = -1;
    for (int i = 0; i < MAX_LENGTHS; i++) {
        const lengths_t *l = &c->lengths[i];
        if (l->device != s->n_keys || l->bytes < sizeof(int32_t) * (size_t)s->B) continue;
        keys = 0;
        for (int64_t b = 0; b < s->B; b++) keys += l->host[b];
    }
    if (keys < 0) keep_error(c, lens_fail(LENS_STATE, "counting: the keys of %s were not uploaded", op_name(row)));
    count(k, (op_call_t){row, {s->B, s->H, s->N, s->T, s->K, s->n_queries, keys}});
}

static void do_attention_fwd(kernels_t *k, act_t *o_img, act_t *o_txt, float *lse, const act_t *q, const act_t *key,
                             const act_t *v, const attention_shape_t *shape) {
    (void)o_img, (void)o_txt, (void)lse, (void)q, (void)key, (void)v;
    count_attention(k, OP_attention_fwd, shape);
}

static void do_attention_bwd(kernels_t *k, act_t *dq, act_t *dk, act_t *dv, const act_t *do_img, const act_t *do_txt,
                             const act_t *o_img, const act_t *o_txt, const float *lse, const act_t *q, const act_t *key,
                             const act_t *v, const attention_shape_t *shape) {
    (void)dq, (void)dk, (void)dv, (void)do_img, (void)do_txt, (void)o_img, (void)o_txt, (void)lse, (void)q, (void)key;
    (void)v;
    count_attention(k, OP_attention_bwd, shape);
}

static void do_gated_add_fwd(kernels_t *k, act_t *out, const act_t *x, const act_t *y, slice_t gate, int64_t B,
                             int64_t L, int64_t D) {
    (void)out, (void)x, (void)y;
    COUNT(gated_add_fwd, B, L, D, gate.stride);
}

static void do_gated_add_bwd(kernels_t *k, act_t *dy, slice_t dgate, const act_t *dout, const act_t *y, slice_t gate,
                             int64_t B, int64_t L, int64_t D) {
    (void)dy, (void)dgate, (void)dout, (void)y;
    COUNT(gated_add_bwd, B, L, D, gate.stride);
}

static void do_swiglu_fwd(kernels_t *k, act_t *h, const act_t *uv, int64_t R, int64_t M) {
    (void)h, (void)uv;
    COUNT(swiglu_fwd, R, M);
}

static void do_swiglu_bwd(kernels_t *k, act_t *duv, const act_t *dh, const act_t *uv, int64_t R, int64_t M) {
    (void)duv, (void)dh, (void)uv;
    COUNT(swiglu_bwd, R, M);
}

static void do_silu_fwd(kernels_t *k, act_t *y, const act_t *x, int64_t n) {
    (void)y, (void)x;
    COUNT(silu_fwd, n);
}

static void do_silu_bwd(kernels_t *k, act_t *dx, const act_t *dy, const act_t *x, int64_t n) {
    (void)dx, (void)dy, (void)x;
    COUNT(silu_bwd, n);
}

static void do_timestep_fwd(kernels_t *k, act_t *emb, const float *t, int64_t B, int64_t dim) {
    (void)emb, (void)t;
    COUNT(timestep_fwd, B, dim);
}

static void do_embed_fwd(kernels_t *k, act_t *out, const act_t *table, const int32_t *ids, int64_t R, int64_t n_ids,
                         int64_t E) {
    (void)out, (void)table, (void)ids;
    COUNT(embed_fwd, R, n_ids, E);
}

static void do_embed_bwd(kernels_t *k, float *dtable, const act_t *dout, const int32_t *ids, int64_t R, int64_t n_ids,
                         int64_t E) {
    (void)dtable, (void)dout, (void)ids;
    COUNT(embed_bwd, R, n_ids, E);
}

static void do_patchify(kernels_t *k, float *tokens, const uint8_t *pixels, int64_t B, int64_t h, int64_t w,
                        int64_t p) {
    (void)tokens, (void)pixels;
    COUNT(patchify, B, h, w, p);
}

static void do_unpatchify(kernels_t *k, uint8_t *pixels, const float *tokens, int64_t B, int64_t h, int64_t w,
                          int64_t p) {
    (void)pixels, (void)tokens;
    COUNT(unpatchify, B, h, w, p);
}

static void do_noise(kernels_t *k, float *out, const rng_t *streams, int64_t B, int64_t n) {
    (void)out, (void)streams;
    COUNT(noise, B, n);
}

static void do_flow_mix(kernels_t *k, act_t *x_t, const float *data, const float *noise, const float *t, int64_t B,
                        int64_t n) {
    (void)x_t, (void)data, (void)noise, (void)t;
    COUNT(flow_mix, B, n);
}

static void do_flow_loss(kernels_t *k, double *loss, act_t *dv, const act_t *v, const float *data, const float *noise,
                         float weight, int64_t B, int64_t n) {
    (void)loss, (void)dv, (void)v, (void)data, (void)noise, (void)weight;
    COUNT(flow_loss, B, n);
}

static void do_guide(kernels_t *k, float *v, const act_t *cond, const act_t *uncond, float g, int64_t R, int64_t C) {
    (void)v, (void)cond, (void)uncond, (void)g;
    COUNT(guide, R, C);
}

static void do_axpy(kernels_t *k, float *x, const float *v, float a, int64_t n) {
    (void)x, (void)v, (void)a;
    COUNT(axpy, n);
}

static void do_sum_squares(kernels_t *k, double *out, const float *x, int64_t n) {
    (void)out, (void)x;
    COUNT(sum_squares, n);
}

static void do_sum_losses(kernels_t *k, double *out, const double *loss, double weight, int64_t n) {
    (void)out, (void)loss, (void)weight;
    COUNT(sum_losses, n);
}

static void do_judge(kernels_t *k, step_gate_t *gate, const double *sums, const step_rule_t *rule) {
    (void)gate, (void)sums, (void)rule;
    COUNT(judge, 0);
}

static void do_adamw(kernels_t *k, float *master, act_t *weights, float *m, float *v, const float *g,
                     const step_gate_t *gate, int64_t n, const adamw_t *o) {
    (void)master, (void)weights, (void)m, (void)v, (void)g, (void)gate;
    COUNT(adamw, n, o->average != NULL);
}

static void do_ema(kernels_t *k, float *average, const float *master, const step_gate_t *gate, int64_t n,
                   double decay) {
    (void)average, (void)master, (void)gate, (void)decay;
    COUNT(ema, n);
}

static void do_nesterov(kernels_t *k, act_t *u, float *m, const float *g, const step_gate_t *gate, float momentum,
                        int64_t n) {
    (void)u, (void)m, (void)g, (void)gate, (void)momentum;
    COUNT(nesterov, n);
}

static void do_normalize(kernels_t *k, act_t *y, const act_t *x, int64_t n) {
    (void)y, (void)x;
    COUNT(normalize, n);
}

static void do_polynomial(kernels_t *k, act_t *x, const act_t *s, float a, float b, float c, int64_t n) {
    (void)x, (void)s, (void)a, (void)b, (void)c;
    COUNT(polynomial, n);
}

static void do_decay_step(kernels_t *k, float *master, act_t *weights, const act_t *u, const step_gate_t *gate,
                          float keep, float step, int64_t n) {
    (void)master, (void)weights, (void)u, (void)gate, (void)keep, (void)step;
    COUNT(decay_step, n);
}

/* ---- accounting ---- */

static void do_mark(kernels_t *k, int slot) {
    (void)k, (void)slot;
}

static double do_marked_s(kernels_t *k, int from, int to) {
    (void)k, (void)from, (void)to;
    return 0;
}

static void do_trace_begin(kernels_t *k) {
    counting(k)->trace_flop = 0;
    counting(k)->tracing = true;
}

static void do_trace_continue(kernels_t *k) {
    counting(k)->tracing = true;
}

static void do_trace_end(kernels_t *k) {
    counting(k)->tracing = false;
}

static double do_trace_flop(const kernels_t *k) {
    return counting(k)->trace_flop;
}

static lens_status do_nothing_to_time(kernels_t *k, double *out) {
    *out = 0;
    return lens_fail(LENS_STATE, "%s: nothing is computed that could be timed", k->name);
}

/* ---- the table ---- */

lens_status kernels_counting_new(kernels_t **out, size_t act_bytes) {
    *out = NULL;
    kernels_t *k = calloc(1, sizeof *k);
    counting_t *c = calloc(1, sizeof *c);
    if (!k || !c) {
        free(k);
        free(c);
        return lens_fail(LENS_MEMORY, "out of memory for the counting table");
    }
    *k = (kernels_t){.name = "counting",
                     .device = "counting",
                     .act_bytes = act_bytes,
                     .token_multiple = 1,
                     .context = c,
                     .alloc = do_alloc,
                     .free = do_free,
                     .memory = do_memory,
                     .finish = do_finish,
                     .fetch_begin = do_fetch_begin,
                     .fetch_end = do_fetch_end,
                     .mark = do_mark,
                     .marked_s = do_marked_s,
                     .end = do_end,
                     .trace_begin = do_trace_begin,
                     .trace_continue = do_trace_continue,
                     .trace_end = do_trace_end,
                     .trace_flop = do_trace_flop,
                     .trace_replay_s = do_nothing_to_time,
                     .peak_gflops = do_nothing_to_time,
#define X(name, sizes) .name = do_##name,
                     OP_ROWS(X)
#undef X
    };
    *out = k;
    return LENS_OK;
}

void counting_reset(kernels_t *k) {
    counting(k)->n_calls = 0;
}

const counted_t *counting_calls(const kernels_t *k, int *n) {
    *n = counting(k)->n_calls;
    return counting(k)->calls;
}

/* ---- collectives ---- */

typedef struct {
    collectives_t table;
    double n_bytes;
} counting_collectives_t;

/* Sends x[n_bytes] so many times the whole way around the ring. */
static ticket_t send_around(collectives_t *c, double n_bytes, int ways) {
    ((counting_collectives_t *)c)->n_bytes += ways * n_bytes * (c->world - 1) / c->world;
    return 0;
}

static double element_bytes(reduce_type type) {
    return type == REDUCE_F64 ? 8 : 4;
}

static ticket_t count_reduce_scatter(collectives_t *c, void *x, int64_t n, reduce_type type, const char *what) {
    (void)x, (void)what;
    return send_around(c, (double)n * element_bytes(type), 1);
}

static ticket_t count_all_gather(collectives_t *c, void *x, size_t n_bytes, const char *what) {
    (void)x, (void)what;
    return send_around(c, (double)n_bytes, 1);
}

static ticket_t count_all_reduce(collectives_t *c, void *x, int64_t n, reduce_type type, const char *what) {
    (void)x, (void)what;
    return send_around(c, (double)n * element_bytes(type), 2);
}

static void count_wait(collectives_t *c, ticket_t ticket) {
    (void)c, (void)ticket;
}

static lens_status count_finish(collectives_t *c) {
    (void)c;
    return LENS_OK;
}

static collectives_times_t count_times(collectives_t *c) {
    (void)c;
    return (collectives_times_t){0};
}

double collectives_counting_sent(const collectives_t *c) {
    return ((const counting_collectives_t *)c)->n_bytes;
}

static void count_free(collectives_t *c) {
    free(c);
}

lens_status collectives_counting_new(collectives_t **out, int world) {
    *out = NULL;
    counting_collectives_t *c = malloc(sizeof *c);
    if (!c) return lens_fail(LENS_MEMORY, "out of memory for counting collectives");
    *c = (counting_collectives_t){.table = {.name = "counting",
                                            .world = world,
                                            .reduce_scatter = count_reduce_scatter,
                                            .all_gather = count_all_gather,
                                            .all_reduce = count_all_reduce,
                                            .wait = count_wait,
                                            .finish = count_finish,
                                            .check = count_finish,
                                            .times = count_times,
                                            .free = count_free}};
    *out = &c->table;
    return LENS_OK;
}
