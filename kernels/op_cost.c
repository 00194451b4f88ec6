#include "kernels/op_cost.h"

/* ---- cost: what kernels/cuda/(NAME).cu says of itself ---- */

/* Rows of a piece of a sum over tokens, and the pieces: cuda_rows.cuh. Each partial sum is stored and loaded once. */
static double partials(int64_t samples, int64_t L, int64_t D, int sums) {
    int64_t pieces = L > 0 ? (L + 15) / 16 : 1;
    return (double)(samples * pieces * D * sums) * 4 * 2;
}

/* A bias's gradient reads dy again: cuda_linear.cu. */
static void bias_cost(op_cost_t *o, const int64_t *n, size_t act_bytes) {
    int64_t rows = (n[0] + 127) / 128 > 64 ? (n[0] + 127) / 128 : 64, parts = (n[0] + rows - 1) / rows;
    o->bytes += (double)(n[0] * n[1]) * (double)act_bytes + (double)(parts * n[1]) * 4 * 2;
    o->ops += (double)(n[0] * n[1]);
    o->launches += 2;
}

static void linear_cost(op_cost_t *o, const op_call_t *c, size_t act_bytes) {
    const int64_t *n = c->n;
    o->flop = 2.0 * (double)n[0] * (double)n[1] * (double)n[2];
    if ((c->row == OP_linear_bwd_w || c->row == OP_linear_bwd_w_first) && n[3]) bias_cost(o, n, act_bytes);
    if (c->row == OP_lora_bwd && n[4]) {
        o->flop *= 2;
        o->launches++;
    }
}

static void norm_cost(op_cost_t *o, const op_call_t *c) {
    static const double ops[] = {6, 14, 8, 16, 4, 9}; /* an element, from rms_mod_fwd to rms_bwd */
    const int64_t *n = c->n;
    bool mod = c->row < OP_rms_fwd;
    o->ops = ops[c->row - OP_rms_mod_fwd] * (double)(mod ? n[0] * n[1] * n[2] : n[0] * n[1]);
    if (c->row == OP_rms_mod_bwd || c->row == OP_layer_mod_bwd) {
        o->bytes += partials(n[0], n[1], n[2], 2) + (double)(n[0] * n[2]) * 4 * 2;
        o->launches += 1 + (n[4] != 0);
    } else if (c->row == OP_rms_bwd) {
        o->bytes += partials(1, n[0], n[1], 1);
        o->launches += n[4] != 0;
    }
}

/* Backward makes scores once more, and runs over tiles of queries, then of keys: q, k, v and d_o are read twice, and
 * so is d_o for delta, which is written and read. */
static void attention_cost(op_cost_t *o, const op_call_t *c, size_t act_bytes) {
    const int64_t *n = c->n;
    double scores = (double)n[1] * (double)n[5] * (double)n[6], rows = (double)n[0] * (double)n[1] * (double)n[5];
    bool back = c->row == OP_attention_bwd;
    o->flop = (back ? 10 : 4) * scores * (double)n[4];
    o->ops = (back ? 6 : 5) * scores;
    if (!back) return;
    o->bytes += (3 * rows + 2 * (double)n[1] * (double)n[6]) * (double)n[4] * (double)act_bytes + rows * (3 * 4);
    o->launches = 3;
}

static void qkv_cost(op_cost_t *o, const op_call_t *c) {
    const int64_t *n = c->n;
    double vectors = (double)n[0] * (double)n[1] * (double)n[2];
    o->ops = (c->row == OP_qkv_fwd ? 8 : 18) * 2 * vectors * (double)n[3];
    if (c->row == OP_qkv_fwd) return;
    o->bytes += 2 * (vectors < 512 ? vectors : 512) * (double)n[3] * 4 * 2;
    o->launches++;
}

static void element_cost(op_cost_t *o, const op_call_t *c) {
    const int64_t *n = c->n;
    double pairs = (double)n[0] * (double)n[1];
    switch (c->row) {
    case OP_gated_add_fwd:
        o->ops = 2 * pairs * (double)n[2];
        break;
    case OP_gated_add_bwd:
        o->ops = 3 * pairs * (double)n[2];
        o->bytes += partials(n[0], n[1], n[2], 1);
        o->launches++;
        break;
    case OP_swiglu_fwd:
        o->ops = 5 * pairs;
        break;
    case OP_swiglu_bwd:
        o->ops = 10 * pairs;
        break;
    case OP_silu_fwd:
        o->ops = 4 * (double)n[0];
        break;
    case OP_silu_bwd:
        o->ops = 8 * (double)n[0];
        break;
    case OP_timestep_fwd:
        o->ops = 3 * pairs;
        break;
    default:
        o->ops = pairs * (double)n[2]; /* embeddings */
    }
}

static void flow_cost(op_cost_t *o, const op_call_t *c) {
    double all = (double)c->n[0] * (double)c->n[1];
    switch (c->row) {
    case OP_patchify:
    case OP_unpatchify:
        o->ops = 2 * all * (double)(c->n[2] * c->n[3] * c->n[3] * 3);
        break;
    case OP_noise:
        o->ops = 25 * all; /* Philox's 10 rounds are 80 a block of four */
        o->launches = (double)((c->n[0] + 127) / 128);
        break;
    case OP_flow_mix:
        o->ops = 3 * all;
        break;
    case OP_flow_loss:
        o->ops = 5 * all;
        o->bytes += (double)c->n[0] * 64 * 8 * 2;
        o->launches++;
        break;
    case OP_guide:
        o->ops = 8 * all;
        break;
    default:
        o->ops = 2 * (double)c->n[0]; /* axpy */
    }
}

static void optimiser_cost(op_cost_t *o, const op_call_t *c, size_t act_bytes) {
    static const double ops[] = {2, 1, 0, 15, 3, 5, 3, 4, 3}; /* an element, from sum_squares to decay_step */
    double n = (double)c->n[0];
    o->ops = ops[c->row - OP_sum_squares] * (c->row == OP_polynomial ? n * n : n);
    if (c->row == OP_sum_squares) o->launches++;
    if (c->row == OP_normalize) { /* once for the norm */
        o->bytes += n * (double)act_bytes;
        o->launches += 2;
    }
}

op_cost_t op_cost(const op_call_t *c, size_t act_bytes) {
    op_cost_t o = {.least_bytes = op_least_bytes(c, act_bytes), .launches = 1};
    o.bytes = o.least_bytes;
    if (c->row == OP_upload) o.bytes *= 3; /* into a mirror, and from there: cuda_kernels.cu */
    if (c->row <= OP_to_float)
        return o;
    else if (c->row <= OP_lora_bwd)
        linear_cost(&o, c, act_bytes);
    else if (c->row <= OP_rms_bwd)
        norm_cost(&o, c);
    else if (c->row <= OP_qkv_bwd)
        qkv_cost(&o, c);
    else if (c->row <= OP_attention_bwd)
        attention_cost(&o, c, act_bytes);
    else if (c->row <= OP_embed_bwd)
        element_cost(&o, c);
    else if (c->row <= OP_axpy)
        flow_cost(&o, c);
    else
        optimiser_cost(&o, c, act_bytes);
    return o;
}
