#include "kernels/op_call.h"

#include <string.h>

static const struct {
    const char *name, *sizes;
} ROWS[OP_N] = {
#define X(name, sizes) [OP_##name] = {#name, sizes},
    OP_ROWS(X)
#undef X
};

const char *op_name(op_row row) {
    return ROWS[row].name;
}

void op_describe(str_t *out, const op_call_t *call) {
    const char *name = ROWS[call->row].sizes, *gap = "";
    for (int i = 0; *name; i++) {
        int len = (int)strcspn(name, " ");
        if (call->n[i] != 0) {
            str_addf(out, "%s%.*s %lld", gap, len, name, (long long)call->n[i]);
            gap = " ";
        }
        name += len + (name[len] == ' ');
    }
}

bool op_is_on_host(op_row row) {
    return row == OP_upload || row == OP_download;
}

size_t op_type_bytes(op_type type, size_t act_bytes) {
    switch (type) {
    case OP_ACT:
        return act_bytes;
    case OP_F64:
        return 8;
    case OP_U8:
        return 1;
    case OP_GATE:
        return sizeof(step_gate_t);
    default:
        return 4;
    }
}

/* ---- operands ---- */

enum { IN = 1, OUT = 2, BOTH = IN | OUT };

typedef struct {
    op_operand_t *operand;
    int n;
} list_t;

static void add_columns(list_t *l, int use, op_type type, int64_t n, int64_t room) {
    LENS_ASSERT(l->n < OP_MAX_OPERANDS, "%d operands", l->n);
    l->operand[l->n++] =
        (op_operand_t){.type = type, .n = n, .room = room, .read = use & IN, .written = (use & OUT) != 0};
}

static void add(list_t *l, int use, op_type type, int64_t n) {
    add_columns(l, use, type, n, n);
}

/* y, x and the modulation's slices of the norms: see make_mod_norm. */
static void mod_norm_fwd(list_t *l, const int64_t *n, bool layer) {
    int64_t B = n[0], D = n[2], R = B * n[1];
    add(l, OUT, OP_ACT, R * D);
    add(l, OUT, OP_POSITIVE, layer ? 2 * R : R);
    add(l, IN, OP_ACT, R * D);
    if (!layer) add(l, IN, OP_ACT, D);
    add_columns(l, IN, OP_ACT, 2 * B * D, B * n[3]);
}

static void mod_norm_bwd(list_t *l, const int64_t *n, bool layer) {
    int64_t B = n[0], D = n[2], R = B * n[1];
    add(l, layer ? OUT : BOTH, OP_ACT, R * D);
    if (!layer) add(l, BOTH, OP_F32, n[4] ? D : 0);
    add_columns(l, OUT, OP_ACT, 2 * B * D, B * n[3]);
    add(l, IN, OP_ACT, R * D);
    add(l, IN, OP_ACT, R * D);
    add(l, IN, OP_POSITIVE, layer ? 2 * R : R);
    if (!layer) add(l, IN, OP_ACT, D);
    add_columns(l, IN, OP_ACT, B * D, B * n[3]);
}

static void linears(list_t *l, const op_call_t *c) {
    const int64_t *n = c->n;
    int64_t y = n[0] * n[1], x = n[0] * n[2], w = n[1] * n[2];
    switch (c->row) {
    case OP_linear_fwd:
        add(l, OUT, OP_ACT, y);
        add(l, IN, OP_ACT, x);
        add(l, IN, OP_ACT, w);
        add(l, IN, OP_ACT, n[3] ? n[1] : 0);
        break;
    case OP_linear_bwd_w:
    case OP_linear_bwd_w_first:
        add(l, c->row == OP_linear_bwd_w ? BOTH : OUT, OP_F32, w);
        add(l, BOTH, OP_F32, n[3] ? n[1] : 0);
        add(l, IN, OP_ACT, y);
        add(l, IN, OP_ACT, x);
        break;
    case OP_lora_fwd:
        add_columns(l, BOTH, OP_ACT, y, n[0] * n[3]);
        add(l, IN, OP_ACT, x);
        add(l, IN, OP_ACT, w);
        break;
    case OP_lora_bwd:
        add(l, OUT, OP_ACT, x);
        add(l, BOTH, OP_F32, n[4] ? w : 0);
        add_columns(l, IN, OP_ACT, y, n[0] * n[3]);
        add(l, IN, OP_ACT, x);
        add(l, IN, OP_ACT, w);
        break;
    default: /* gradients of x */
        add(l, c->row == OP_linear_bwd_x ? OUT : BOTH, OP_ACT, x);
        add(l, IN, OP_ACT, y);
        add(l, IN, OP_ACT, w);
    }
}

static void norms(list_t *l, const op_call_t *c) {
    const int64_t *n = c->n;
    switch (c->row) {
    case OP_rms_fwd:
        add_columns(l, OUT, OP_ACT, n[0] * n[1], n[0] * n[2]);
        add(l, OUT, OP_POSITIVE, n[0]);
        add(l, IN, OP_ACT, n[0] * n[1]);
        add(l, IN, OP_ACT, n[1]);
        break;
    case OP_rms_bwd:
        add(l, OUT, OP_ACT, n[3] ? n[0] * n[1] : 0);
        add(l, BOTH, OP_F32, n[4] ? n[1] : 0);
        add_columns(l, IN, OP_ACT, n[0] * n[1], n[0] * n[2]);
        add(l, IN, OP_ACT, n[0] * n[1]);
        add(l, IN, OP_POSITIVE, n[0]);
        add(l, IN, OP_ACT, n[1]);
        break;
    case OP_rms_mod_fwd:
    case OP_layer_mod_fwd:
        mod_norm_fwd(l, n, c->row == OP_layer_mod_fwd);
        break;
    default:
        mod_norm_bwd(l, n, c->row == OP_layer_mod_bwd);
    }
}

static void attention(list_t *l, const op_call_t *c) {
    const int64_t *n = c->n;
    if (c->row == OP_qkv_fwd || c->row == OP_qkv_bwd) {
        bool back = c->row == OP_qkv_bwd;
        int64_t part = n[0] * n[1] * n[2] * n[3], room = n[0] * n[4] * n[2] * n[3];
        if (back) add(l, OUT, OP_ACT, 3 * part);
        for (int i = 0; back && i < 2; i++) add(l, BOTH, OP_F32, n[6] ? n[3] : 0);
        for (int i = 0; i < 3; i++) add_columns(l, back ? IN : OUT, OP_ACT, part, room);
        /* v goes straight through: backward does not read it again */
        add_columns(l, IN, OP_ACT, back ? 2 * part : 3 * part, 3 * part);
        for (int i = 0; i < 2; i++) add(l, IN, OP_ACT, n[3]);
        add(l, IN, OP_F32, n[1] * n[3]);
        return;
    }
    bool back = c->row == OP_attention_bwd;
    int64_t D = n[1] * n[4], S = n[2] + n[3], text = n[5] > n[2] ? n[0] * n[3] * D : 0;
    int64_t queries = n[0] * n[5] * D, keys = n[6] * D, room = n[0] * S * D;
    for (int i = 0; back && i < 3; i++) add(l, OUT, OP_ACT, room);
    for (int i = 0; i < (back ? 2 : 1); i++) { /* d_o and o, or o */
        add(l, back ? IN : OUT, OP_ACT, n[0] * n[2] * D);
        add(l, back ? IN : OUT, OP_ACT, text);
    }
    add_columns(l, back ? IN : OUT, OP_POSITIVE, n[0] * n[1] * n[5], n[0] * n[1] * S);
    add_columns(l, IN, OP_ACT, queries, room);
    for (int i = 0; i < 2; i++) add_columns(l, IN, OP_ACT, keys, room);
    add(l, IN, OP_KEYS, n[0]);
}

static void gates(list_t *l, const op_call_t *c) {
    const int64_t *n = c->n;
    int64_t B = n[0], D = n[2], each = B * n[1] * D;
    add(l, OUT, OP_ACT, each);
    if (c->row == OP_gated_add_bwd) add_columns(l, OUT, OP_ACT, B * D, B * n[3]);
    add(l, IN, OP_ACT, each);
    add(l, IN, OP_ACT, each);
    add_columns(l, IN, OP_ACT, B * D, B * n[3]);
}

static void elements(list_t *l, const op_call_t *c) {
    const int64_t *n = c->n;
    switch (c->row) {
    case OP_swiglu_fwd:
        add(l, OUT, OP_ACT, n[0] * n[1]);
        add(l, IN, OP_ACT, 2 * n[0] * n[1]);
        break;
    case OP_swiglu_bwd:
        add(l, OUT, OP_ACT, 2 * n[0] * n[1]);
        add(l, IN, OP_ACT, n[0] * n[1]);
        add(l, IN, OP_ACT, 2 * n[0] * n[1]);
        break;
    case OP_silu_bwd:
        add(l, OUT, OP_ACT, n[0]); /* fall through */
    case OP_silu_fwd:
        add(l, c->row == OP_silu_fwd ? OUT : IN, OP_ACT, n[0]);
        add(l, IN, OP_ACT, n[0]);
        break;
    case OP_timestep_fwd:
        add(l, OUT, OP_ACT, n[0] * n[1]);
        add(l, IN, OP_POSITIVE, n[0]);
        break;
    default: { /* embeddings: as many rows of the table as places */
        bool back = c->row == OP_embed_bwd;
        add(l, back ? BOTH : OUT, back ? OP_F32 : OP_ACT, n[0] * (back ? n[1] : 1) * n[2]);
        add(l, IN, OP_ACT, n[0] * (back ? 1 : n[1]) * n[2]);
        add(l, IN, OP_IDS, n[0] * n[1]);
    }
    }
}

static void flow(list_t *l, const op_call_t *c) {
    const int64_t *n = c->n;
    int64_t all = n[0] * n[1], values = n[0] * n[1] * n[2] * n[3] * n[3] * 3;
    switch (c->row) {
    case OP_patchify:
        add(l, OUT, OP_F32, values);
        add(l, IN, OP_U8, values);
        break;
    case OP_unpatchify:
        add(l, OUT, OP_U8, values);
        add(l, IN, OP_F32, values);
        break;
    case OP_noise:
        add(l, OUT, OP_F32, all);
        break;
    case OP_flow_mix:
        add(l, OUT, OP_ACT, all);
        for (int i = 0; i < 2; i++) add(l, IN, OP_F32, all);
        add(l, IN, OP_POSITIVE, n[0]);
        break;
    case OP_flow_loss:
        add(l, OUT, OP_F64, n[0]);
        add(l, OUT, OP_ACT, all);
        add(l, IN, OP_ACT, all);
        for (int i = 0; i < 2; i++) add(l, IN, OP_F32, all);
        break;
    case OP_guide:
        add(l, OUT, OP_F32, all);
        for (int i = 0; i < 2; i++) add(l, IN, OP_ACT, all);
        break;
    default: /* axpy */
        add(l, BOTH, OP_F32, n[0]);
        add(l, IN, OP_F32, n[0]);
    }
}

static void optimisers(list_t *l, const op_call_t *c) {
    int64_t n = c->n[0];
    switch (c->row) {
    case OP_sum_squares:
        add(l, BOTH, OP_F64, 1);
        add(l, IN, OP_F32, n);
        break;
    case OP_sum_losses:
        add(l, BOTH, OP_F64, 1);
        add(l, IN, OP_F64, n);
        break;
    case OP_judge:
        add(l, BOTH, OP_GATE, 1);
        add(l, IN, OP_F64, 2);
        break;
    case OP_adamw:
        add(l, BOTH, OP_F32, n);
        add(l, OUT, OP_ACT, n);
        add(l, BOTH, OP_F32, n);
        add(l, BOTH, OP_POSITIVE, n);
        add(l, IN, OP_F32, n);
        add(l, IN, OP_GATE, 1);
        add(l, BOTH, OP_F32, c->n[1] ? n : 0);
        break;
    case OP_ema:
        add(l, BOTH, OP_F32, n);
        add(l, IN, OP_F32, n);
        add(l, IN, OP_GATE, 1);
        break;
    case OP_nesterov:
        add(l, OUT, OP_ACT, n);
        add(l, BOTH, OP_F32, n);
        add(l, IN, OP_F32, n);
        add(l, IN, OP_GATE, 1);
        break;
    case OP_normalize:
        add(l, OUT, OP_ACT, n);
        add(l, IN, OP_ACT, n);
        break;
    case OP_polynomial:
        add(l, BOTH, OP_ACT, n * n);
        add(l, IN, OP_ACT, n * n);
        break;
    default: /* decay_step */
        add(l, BOTH, OP_F32, n);
        add(l, OUT, OP_ACT, n);
        add(l, IN, OP_ACT, n);
        add(l, IN, OP_GATE, 1);
    }
}

static void memory(list_t *l, const op_call_t *c) {
    int64_t n = c->n[0];
    switch (c->row) {
    case OP_zero:
        add(l, OUT, OP_U8, n);
        break;
    case OP_copy:
        add(l, OUT, OP_U8, n);
        add(l, IN, OP_U8, n);
        break;
    case OP_to_act:
    case OP_to_float:
        add(l, OUT, c->row == OP_to_act ? OP_ACT : OP_F32, n);
        add(l, IN, c->row == OP_to_act ? OP_F32 : OP_ACT, n);
        break;
    default:
        break;
    }
}

int op_operands(op_operand_t operand[OP_MAX_OPERANDS], const op_call_t *c) {
    list_t l = {.operand = operand};
    if (c->row <= OP_to_float)
        memory(&l, c);
    else if (c->row <= OP_lora_bwd)
        linears(&l, c);
    else if (c->row <= OP_rms_bwd)
        norms(&l, c);
    else if (c->row <= OP_attention_bwd)
        attention(&l, c);
    else if (c->row <= OP_gated_add_bwd)
        gates(&l, c);
    else if (c->row <= OP_embed_bwd)
        elements(&l, c);
    else if (c->row <= OP_axpy)
        flow(&l, c);
    else
        optimisers(&l, c);
    return l.n;
}

double op_least_bytes(const op_call_t *c, size_t act_bytes) {
    op_operand_t operand[OP_MAX_OPERANDS];
    int n = op_operands(operand, c);
    double bytes = op_is_on_host(c->row) ? (double)c->n[0] : 0;
    for (int i = 0; i < n; i++)
        bytes += (double)operand[i].n * (double)op_type_bytes(operand[i].type, act_bytes) *
                 (operand[i].read + operand[i].written);
    return bytes;
}

/* ---- calls made again: values of scalars matter to no kernel's time ---- */

#define EPS 1e-6f

static void make_linear(kernels_t *k, const op_call_t *c, void *const *p) {
    const int64_t *n = c->n;
    switch (c->row) {
    case OP_linear_fwd:
        k->linear_fwd(k, p[0], p[1], p[2], p[3], n[0], n[1], n[2]);
        break;
    case OP_linear_bwd_x:
        k->linear_bwd_x(k, p[0], p[1], p[2], n[0], n[1], n[2]);
        break;
    case OP_linear_bwd_x_add:
        k->linear_bwd_x_add(k, p[0], p[1], p[2], n[0], n[1], n[2]);
        break;
    case OP_linear_bwd_w:
        k->linear_bwd_w(k, p[0], p[1], p[2], p[3], n[0], n[1], n[2]);
        break;
    case OP_linear_bwd_w_first:
        k->linear_bwd_w_first(k, p[0], p[1], p[2], p[3], n[0], n[1], n[2]);
        break;
    case OP_lora_fwd:
        k->lora_fwd(k, slice_at(p[0], n[3], 0), p[1], p[2], 0.5f, n[0], n[1], n[2]);
        break;
    default:
        k->lora_bwd(k, p[0], p[1], slice_at(p[2], n[3], 0), p[3], p[4], 0.5f, n[0], n[1], n[2]);
    }
}

/* The second of two slices of a matrix. */
static slice_t second(act_t *data, const int64_t *n) {
    return slice_at(data, n[3], n[3] >= 2 * n[2] ? n[2] : 0);
}

static void make_norm(kernels_t *k, const op_call_t *c, void *const *p) {
    const int64_t *n = c->n;
    switch (c->row) {
    case OP_rms_mod_fwd:
        k->rms_mod_fwd(k, p[0], p[1], p[2], p[3], slice_at(p[4], n[3], 0), second(p[4], n), n[0], n[1], n[2], EPS);
        break;
    case OP_rms_mod_bwd:
        k->rms_mod_bwd(k, p[0], p[1], slice_at(p[2], n[3], 0), second(p[2], n), p[3], p[4], p[5], p[6], second(p[7], n),
                       n[0], n[1], n[2]);
        break;
    case OP_layer_mod_fwd:
        k->layer_mod_fwd(k, p[0], p[1], p[2], slice_at(p[3], n[3], 0), second(p[3], n), n[0], n[1], n[2], EPS);
        break;
    case OP_layer_mod_bwd:
        k->layer_mod_bwd(k, p[0], slice_at(p[1], n[3], 0), second(p[1], n), p[2], p[3], p[4], second(p[5], n), n[0],
                         n[1], n[2]);
        break;
    case OP_rms_fwd:
        k->rms_fwd(k, slice_at(p[0], n[2], 0), p[1], p[2], p[3], n[0], n[1], EPS);
        break;
    default:
        k->rms_bwd(k, p[0], p[1], slice_at(p[2], n[2], 0), p[3], p[4], p[5], n[0], n[1]);
    }
}

static void make_attention(kernels_t *k, const op_call_t *c, void *const *p) {
    const int64_t *n = c->n;
    attention_shape_t s = {.B = n[0], .H = n[1], .N = n[2], .T = n[3], .K = n[4], .n_queries = n[5]};
    switch (c->row) {
    case OP_qkv_fwd:
        k->qkv_fwd(k, p[0], p[1], p[2], p[3], p[4], p[5], p[6], n[0], n[1], n[2], n[3], n[4], n[5], EPS);
        break;
    case OP_qkv_bwd:
        k->qkv_bwd(k, p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], n[0], n[1], n[2], n[3], n[4], n[5],
                   EPS);
        break;
    case OP_attention_fwd:
        s.n_keys = p[6];
        k->attention_fwd(k, p[0], p[1], p[2], p[3], p[4], p[5], &s);
        break;
    default:
        s.n_keys = p[11];
        k->attention_bwd(k, p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], &s);
    }
}

static void make_elements(kernels_t *k, const op_call_t *c, void *const *p) {
    const int64_t *n = c->n;
    switch (c->row) {
    case OP_gated_add_fwd:
        k->gated_add_fwd(k, p[0], p[1], p[2], slice_at(p[3], n[3], 0), n[0], n[1], n[2]);
        break;
    case OP_gated_add_bwd:
        k->gated_add_bwd(k, p[0], slice_at(p[1], n[3], 0), p[2], p[3], slice_at(p[4], n[3], 0), n[0], n[1], n[2]);
        break;
    case OP_swiglu_fwd:
        k->swiglu_fwd(k, p[0], p[1], n[0], n[1]);
        break;
    case OP_swiglu_bwd:
        k->swiglu_bwd(k, p[0], p[1], p[2], n[0], n[1]);
        break;
    case OP_silu_fwd:
        k->silu_fwd(k, p[0], p[1], n[0]);
        break;
    case OP_silu_bwd:
        k->silu_bwd(k, p[0], p[1], p[2], n[0]);
        break;
    case OP_timestep_fwd:
        k->timestep_fwd(k, p[0], p[1], n[0], n[1]);
        break;
    case OP_embed_fwd:
        k->embed_fwd(k, p[0], p[1], p[2], n[0], n[1], n[2]);
        break;
    default:
        k->embed_bwd(k, p[0], p[1], p[2], n[0], n[1], n[2]);
    }
}

static void make_noise(kernels_t *k, float *out, int64_t B, int64_t n) {
    enum { STREAMS = 128 };
    rng_t streams[STREAMS];
    for (int i = 0; i < STREAMS; i++) streams[i] = rng_stream(1, 0, (uint64_t)i, RNG_TEST);
    for (int64_t b = 0; b < B; b += STREAMS) k->noise(k, out + b * n, streams, B - b < STREAMS ? B - b : STREAMS, n);
}

static void make_flow(kernels_t *k, const op_call_t *c, void *const *p) {
    const int64_t *n = c->n;
    switch (c->row) {
    case OP_patchify:
        k->patchify(k, p[0], p[1], n[0], n[1], n[2], n[3]);
        break;
    case OP_unpatchify:
        k->unpatchify(k, p[0], p[1], n[0], n[1], n[2], n[3]);
        break;
    case OP_noise:
        make_noise(k, p[0], n[0], n[1]);
        break;
    case OP_flow_mix:
        k->flow_mix(k, p[0], p[1], p[2], p[3], n[0], n[1]);
        break;
    case OP_flow_loss:
        k->flow_loss(k, p[0], p[1], p[2], p[3], p[4], 1, n[0], n[1]);
        break;
    case OP_guide:
        k->guide(k, p[0], p[1], p[2], 4, n[0], n[1]);
        break;
    default:
        k->axpy(k, p[0], p[1], 1e-3f, n[0]);
    }
}

static void make_optimiser(kernels_t *k, const op_call_t *c, void *const *p) {
    const adamw_t o = {.lr = 1e-4f,
                       .beta1 = 0.9f,
                       .beta2 = 0.999f,
                       .eps = 1e-8f,
                       .weight_decay = 0.01f,
                       .average = c->row == OP_adamw ? p[6] : NULL,
                       .average_decay = 0.999};
    const step_rule_t rule = {.max_norm = 1, .beta1 = 0.9f, .beta2 = 0.999f};
    int64_t n = c->n[0];
    switch (c->row) {
    case OP_sum_squares:
        k->sum_squares(k, p[0], p[1], n);
        break;
    case OP_sum_losses:
        k->sum_losses(k, p[0], p[1], 1, n);
        break;
    case OP_judge:
        k->judge(k, p[0], p[1], &rule);
        break;
    case OP_adamw:
        k->adamw(k, p[0], p[1], p[2], p[3], p[4], p[5], n, &o);
        break;
    case OP_ema:
        k->ema(k, p[0], p[1], p[2], n, 0.999);
        break;
    case OP_nesterov:
        k->nesterov(k, p[0], p[1], p[2], p[3], 0.95f, n);
        break;
    case OP_normalize:
        k->normalize(k, p[0], p[1], n);
        break;
    case OP_polynomial:
        k->polynomial(k, p[0], p[1], 0.3f, 0.3f, 0.3f, n);
        break;
    default:
        k->decay_step(k, p[0], p[1], p[2], p[3], 0.999f, 1e-4f, n);
    }
}

static void make_memory(kernels_t *k, const op_call_t *c, void *const *p) {
    switch (c->row) {
    case OP_zero:
        k->zero(k, p[0], (size_t)c->n[0]);
        break;
    case OP_copy:
        k->copy(k, p[0], p[1], (size_t)c->n[0]);
        break;
    case OP_to_act:
        k->to_act(k, p[0], p[1], c->n[0]);
        break;
    default:
        k->to_float(k, p[0], p[1], c->n[0]);
    }
}

void op_make(kernels_t *k, const op_call_t *c, void *const p[OP_MAX_OPERANDS]) {
    LENS_ASSERT(!op_is_on_host(c->row), "%s needs host memory", op_name(c->row));
    if (c->row <= OP_to_float)
        make_memory(k, c, p);
    else if (c->row <= OP_lora_bwd)
        make_linear(k, c, p);
    else if (c->row <= OP_rms_bwd)
        make_norm(k, c, p);
    else if (c->row <= OP_attention_bwd)
        make_attention(k, c, p);
    else if (c->row <= OP_embed_bwd)
        make_elements(k, c, p);
    else if (c->row <= OP_axpy)
        make_flow(k, c, p);
    else
        make_optimiser(k, c, p);
}
