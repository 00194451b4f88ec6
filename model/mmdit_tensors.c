/* Configuration and weights of the MMDiT: names, shapes, initialisation, cost. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/mmdit.h"

int64_t mmdit_dim(const mmdit_config_t *c) {
    return c->num_heads * c->head_dim;
}
int64_t mmdit_mlp_dim(const mmdit_config_t *c) {
    return (int64_t)((double)mmdit_dim(c) / 3.0 * 8.0);
}
int64_t mmdit_out_width(const mmdit_config_t *c) {
    return c->out_channels * c->patch_size * c->patch_size;
}

double mmdit_forward_flop(const mmdit_config_t *c, int64_t N, int64_t T) {
    double D = (double)mmdit_dim(c), M = (double)mmdit_mlp_dim(c), n = (double)N, t = (double)T,
           blocks = (double)c->num_layers;
    double attend = 4 * D * D,
           mlp = 3 * D * M; /* multiply-adds a token: qkv and output; the three matrices of SwiGLU */
    double tokens = blocks * (n + t) * attend + blocks * n * mlp + (blocks - 1) * t * mlp - t * D * D;
    double scores = (blocks - 1) * 2 * (n + t) * (n + t) * D + 2 * n * (n + t) * D;
    double modulation = blocks * (T > 0 ? 12 : 6) * D * D + 2 * D * D + MMDIT_TIME_EMBED_DIM * D + D * D;
    double ends = n * D * (double)(c->in_channels + mmdit_out_width(c)) +
                  t * D * (double)(c->num_text_layers * c->enc_hidden_dim);
    return 2 * (tokens + scores + modulation + ends);
}

const char *mmdit_checkpointing_name(mmdit_checkpointing mode) {
    static const char *const names[MMDIT_N_CHECKPOINTING] = {"none", "selective", "full"};
    return names[mode];
}

lens_status mmdit_config_check(const mmdit_config_t *c) {
    const struct {
        const char *name;
        int64_t value, max;
    } counts[] = {{"num_layers", c->num_layers, 1024},
                  {"num_heads", c->num_heads, 1024},
                  {"head_dim", c->head_dim, 1024},
                  {"in_channels", c->in_channels, 65536},
                  {"out_channels", c->out_channels, 65536},
                  {"patch_size", c->patch_size, 64},
                  {"enc_hidden_dim", c->enc_hidden_dim, 65536},
                  {"num_text_layers", c->num_text_layers, MMDIT_MAX_TEXT_LAYERS}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (counts[i].value < 1 || counts[i].value > counts[i].max)
            return lens_fail(LENS_ARGUMENT, "model.%s: expected 1 to %lld, got %lld", counts[i].name,
                             (long long)counts[i].max, (long long)counts[i].value);
    int64_t sum = 0;
    for (int a = 0; a < 3; a++) {
        if (c->axes_dims_rope[a] < 0 || c->axes_dims_rope[a] % 2)
            return lens_fail(LENS_ARGUMENT, "model.axes_dims_rope: expected even numbers, got %lld",
                             (long long)c->axes_dims_rope[a]);
        sum += c->axes_dims_rope[a];
    }
    if (sum != c->head_dim)
        return lens_fail(LENS_ARGUMENT, "model.axes_dims_rope: expected a sum of head_dim = %lld, got %lld",
                         (long long)c->head_dim, (long long)sum);
    if (!(c->rope_theta > 1) || !(c->eps > 0) || !(c->txt_norm_eps > 0))
        return lens_fail(LENS_ARGUMENT, "model: expected rope_theta > 1, eps > 0 and txt_norm_eps > 0");
    return LENS_OK;
}

/* ---- rows ---- */

static void add_matrix(plan_t *p, void *slot, int64_t n_out, int64_t n_in, double std, const char *prefix,
                       const char *name) {
    plan_add(p, slot, PLAN_F32, 0, PLAN_2D(n_out, n_in), "%s%s.weight", prefix, name)->init_std = (float)std;
}

static void add_bias(plan_t *p, void *slot, int64_t n, const char *prefix, const char *name) {
    plan_add(p, slot, PLAN_F32, PLAN_NO_DECAY, PLAN_1D(n), "%s%s.bias", prefix, name);
}

static void add_norm(plan_t *p, void *slot, int64_t n, const char *prefix, const char *name) {
    plan_add(p, slot, PLAN_F32, PLAN_NO_DECAY, PLAN_1D(n), "%s%s.weight", prefix, name)->init_mean = 1.0f;
}

static double fan_in_std(int64_t n_in) {
    return 1.0 / sqrt((double)n_in);
}

/* The names of a stream's parts differ: "img_mod.1" and "txt_mod.1", but "attn.norm_q" and "attn.norm_added_q". */
typedef struct {
    const char *mod, *norm1, *norm2, *w1, *w2, *w3, *qkv, *norm_q, *norm_k, *out;
} stream_names_t;

static void add_stream(plan_t *p, mmdit_stream_t *s, const mmdit_config_t *c, const char *block,
                       const stream_names_t *n) {
    int64_t D = mmdit_dim(c), M = mmdit_mlp_dim(c);
    add_matrix(p, &s->mod_w, 6 * D, D, 0, block, n->mod);
    add_bias(p, &s->mod_b, 6 * D, block, n->mod);
    add_norm(p, &s->norm1, D, block, n->norm1);
    add_norm(p, &s->norm2, D, block, n->norm2);
    add_matrix(p, &s->qkv_w, 3 * D, D, fan_in_std(D), block, n->qkv);
    add_bias(p, &s->qkv_b, 3 * D, block, n->qkv);
    add_norm(p, &s->norm_q, c->head_dim, block, n->norm_q);
    add_norm(p, &s->norm_k, c->head_dim, block, n->norm_k);
    add_matrix(p, &s->out_w, D, D, fan_in_std(D), block, n->out);
    add_bias(p, &s->out_b, D, block, n->out);
    add_matrix(p, &s->w13, M, D, fan_in_std(D), block, n->w1);
    plan_add(p, NULL, PLAN_F32, PLAN_PACKED, PLAN_2D(M, D), "%s%s.weight", block, n->w3)->init_std =
        (float)fan_in_std(D);
    add_matrix(p, &s->w2, D, M, fan_in_std(M), block, n->w2);
}

static const stream_names_t image_names = {"img_mod.1",  "img_norm1",    "img_norm2",   "img_mlp.w1",  "img_mlp.w2",
                                           "img_mlp.w3", "attn.img_qkv", "attn.norm_q", "attn.norm_k", "attn.to_out.0"};
static const stream_names_t text_names = {"txt_mod.1",         "txt_norm1",      "txt_norm2",    "txt_mlp.w1",
                                          "txt_mlp.w2",        "txt_mlp.w3",     "attn.txt_qkv", "attn.norm_added_q",
                                          "attn.norm_added_k", "attn.to_add_out"};

lens_status mmdit_plan_tensors(plan_t *p, mmdit_tensors_t *t, const mmdit_config_t *c) {
    LENS_TRY(mmdit_config_check(c));
    int64_t D = mmdit_dim(c), text = c->num_text_layers * c->enc_hidden_dim, out = mmdit_out_width(c);
    *t = (mmdit_tensors_t){.blocks = calloc((size_t)c->num_layers, sizeof *t->blocks)};
    if (!t->blocks) return lens_fail(LENS_MEMORY, "out of memory for %lld blocks", (long long)c->num_layers);
    plan_begin_group(p, MMDIT_PART_INPUTS);
    add_matrix(p, &t->img_in_w, D, c->in_channels, fan_in_std(c->in_channels), "", "img_in");
    add_bias(p, &t->img_in_b, D, "", "img_in");
    for (int64_t i = 0; i < c->num_text_layers; i++)
        plan_add(p, &t->txt_norm[i], PLAN_F32, PLAN_NO_DECAY, PLAN_1D(c->enc_hidden_dim), "txt_norm.%lld.weight",
                 (long long)i)
            ->init_mean = 1.0f;
    add_matrix(p, &t->txt_in_w, D, text, fan_in_std(text), "", "txt_in");
    add_bias(p, &t->txt_in_b, D, "", "txt_in");
    const char *time = "time_text_embed.timestep_embedder.";
    add_matrix(p, &t->time1_w, D, MMDIT_TIME_EMBED_DIM, fan_in_std(MMDIT_TIME_EMBED_DIM), time, "linear_1");
    add_bias(p, &t->time1_b, D, time, "linear_1");
    add_matrix(p, &t->time2_w, D, D, fan_in_std(D), time, "linear_2");
    add_bias(p, &t->time2_b, D, time, "linear_2");
    for (int64_t i = 0; i < c->num_layers; i++) {
        char block[PLAN_NAME_MAX];
        plan_begin_group(p, mmdit_part_of_block(i));
        snprintf(block, sizeof block, "transformer_blocks.%lld.", (long long)i);
        add_stream(p, &t->blocks[i].img, c, block, &image_names);
        add_stream(p, &t->blocks[i].txt, c, block, &text_names);
    }
    plan_begin_group(p, mmdit_n_parts(c) - 1);
    add_matrix(p, &t->norm_out_w, 2 * D, D, 0, "", "norm_out.linear");
    add_bias(p, &t->norm_out_b, 2 * D, "", "norm_out.linear");
    add_matrix(p, &t->proj_out_w, out, D, 0, "", "proj_out");
    add_bias(p, &t->proj_out_b, out, "", "proj_out");
    plan_end_groups(p);
    lens_status st = plan_status(p);
    if (st != LENS_OK) mmdit_tensors_free(t);
    return st;
}

void mmdit_tensors_free(mmdit_tensors_t *t) {
    free(t->blocks);
    *t = (mmdit_tensors_t){0};
}
