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

mmdit_flop_t mmdit_forward_flop_terms(const mmdit_config_t *c, int64_t N, int64_t T) {
    double D = (double)mmdit_dim(c), M = (double)mmdit_mlp_dim(c), n = (double)N, t = (double)T,
           blocks = (double)c->num_layers;
    double qkv = 3 * D * D, out = D * D, mlp = 3 * D * M; /* multiply-adds a token */
    double text_goes_on = (blocks - 1) * t, attends = (blocks - 1) * (n + t) + n;
    return (mmdit_flop_t){.linear = 2 * (blocks * (n + t) * qkv + (blocks * n + text_goes_on) * (out + mlp)),
                          .attention = 2 * (2 * attends * (n + t) * D),
                          .modulation =
                              2 * (blocks * (T > 0 ? 12 : 6) * D * D + 2 * D * D + MMDIT_TIME_EMBED_DIM * D + D * D),
                          .ends = 2 * (n * D * (double)(c->in_channels + mmdit_out_width(c)) +
                                       t * D * (double)(c->num_text_layers * c->enc_hidden_dim))};
}

double mmdit_forward_flop(const mmdit_config_t *c, int64_t N, int64_t T) {
    mmdit_flop_t f = mmdit_forward_flop_terms(c, N, T);
    return f.linear + f.attention + f.modulation + f.ends;
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

/* One walk over the tensors serves three ends. */
typedef struct {
    plan_t *plan;
    const mmdit_lora_t *lora; /* NULL: rows of the weights; else of their adapters */
    str_t *names;             /* not NULL: no rows, but the names of linears, as "a, b" */
    const char *block;        /* prefix of names: "transformer_blocks.0." or "" */
} walk_t;

static double fan_in_std(int64_t n_in) {
    return 1.0 / sqrt((double)n_in);
}

/* Whether a name, or what follows one of its dots, is in the list. */
static bool is_target(const char *targets, const char *name) {
    size_t length = strlen(name);
    for (const char *at = targets; *at; at += strcspn(at, ",")) {
        at += *at == ',';
        size_t n = strcspn(at, ",");
        if (n == 0 || n > length || strncmp(name + length - n, at, n) != 0) continue;
        if (n == length || name[length - n - 1] == '.') return true;
    }
    return false;
}

static void walk_adapter(const walk_t *w, mmdit_linear_t *l, int64_t n_out, int64_t n_in, const char *name) {
    int64_t r = w->lora->rank;
    if (!is_target(w->lora->targets, name)) return;
    plan_add(w->plan, &l->lora_a, PLAN_F32, 0, PLAN_2D(r, n_in), "%s%s.lora_A.weight", w->block, name)->init_std =
        (float)(fan_in_std(n_in) / sqrt(3.0));
    plan_add(w->plan, &l->lora_b, PLAN_F32, 0, PLAN_2D(n_out, r), "%s%s.lora_B.weight", w->block, name);
}

/* flags: of the weight; slot: of the weight, NULL where it is the second half of another. */
static void walk_weight(const walk_t *w, mmdit_linear_t *l, void *slot, unsigned flags, int64_t n_out, int64_t n_in,
                        double std, const char *name) {
    if (w->names)
        str_addf(w->names, "%s%s", w->names->len ? ", " : "", name);
    else if (w->lora)
        walk_adapter(w, l, n_out, n_in, name);
    else
        plan_add(w->plan, slot, PLAN_F32, flags | PLAN_PRODUCT, PLAN_2D(n_out, n_in), "%s%s.weight", w->block, name)
            ->init_std = (float)std;
}

static void walk_matrix(const walk_t *w, mmdit_linear_t *l, int64_t n_out, int64_t n_in, double std, const char *name) {
    walk_weight(w, l, &l->w, 0, n_out, n_in, std, name);
}

static void walk_linear(const walk_t *w, mmdit_linear_t *l, int64_t n_out, int64_t n_in, double std, const char *name) {
    walk_matrix(w, l, n_out, n_in, std, name);
    if (!w->names && !w->lora)
        plan_add(w->plan, &l->b, PLAN_F32, PLAN_NO_DECAY, PLAN_1D(n_out), "%s%s.bias", w->block, name);
}

static void walk_norm(const walk_t *w, void *slot, int64_t n, const char *name) {
    if (!w->names && !w->lora)
        plan_add(w->plan, slot, PLAN_F32, PLAN_NO_DECAY, PLAN_1D(n), "%s%s.weight", w->block, name)->init_mean = 1.0f;
}

/* The names of a stream's parts differ: "img_mod.1" and "txt_mod.1", but "attn.norm_q" and "attn.norm_added_q". */
typedef struct {
    const char *mod, *norm1, *norm2, *w1, *w2, *w3, *qkv, *norm_q, *norm_k, *out;
} stream_names_t;

static void walk_stream(const walk_t *w, mmdit_stream_t *s, const mmdit_config_t *c, const stream_names_t *n) {
    int64_t D = mmdit_dim(c), M = mmdit_mlp_dim(c);
    walk_linear(w, &s->mod, 6 * D, D, 0, n->mod);
    walk_norm(w, &s->norm1, D, n->norm1);
    walk_norm(w, &s->norm2, D, n->norm2);
    walk_linear(w, &s->qkv, 3 * D, D, fan_in_std(D), n->qkv);
    walk_norm(w, &s->norm_q, c->head_dim, n->norm_q);
    walk_norm(w, &s->norm_k, c->head_dim, n->norm_k);
    walk_linear(w, &s->out, D, D, fan_in_std(D), n->out);
    walk_matrix(w, &s->w1, M, D, fan_in_std(D), n->w1);
    walk_weight(w, &s->w3, NULL, PLAN_PACKED, M, D, fan_in_std(D), n->w3);
    walk_matrix(w, &s->w2, D, M, fan_in_std(M), n->w2);
}

static const stream_names_t image_names = {"img_mod.1",  "img_norm1",    "img_norm2",   "img_mlp.w1",  "img_mlp.w2",
                                           "img_mlp.w3", "attn.img_qkv", "attn.norm_q", "attn.norm_k", "attn.to_out.0"};
static const stream_names_t text_names = {"txt_mod.1",         "txt_norm1",      "txt_norm2",    "txt_mlp.w1",
                                          "txt_mlp.w2",        "txt_mlp.w3",     "attn.txt_qkv", "attn.norm_added_q",
                                          "attn.norm_added_k", "attn.to_add_out"};

static void walk_inputs(walk_t *w, mmdit_tensors_t *t, const mmdit_config_t *c) {
    int64_t D = mmdit_dim(c), text = c->num_text_layers * c->enc_hidden_dim;
    walk_linear(w, &t->img_in, D, c->in_channels, fan_in_std(c->in_channels), "img_in");
    for (int64_t i = 0; i < c->num_text_layers; i++) {
        char name[PLAN_NAME_MAX];
        snprintf(name, sizeof name, "txt_norm.%lld", (long long)i);
        walk_norm(w, &t->txt_norm[i], c->enc_hidden_dim, name);
    }
    walk_linear(w, &t->txt_in, D, text, fan_in_std(text), "txt_in");
    walk_linear(w, &t->time1, D, MMDIT_TIME_EMBED_DIM, fan_in_std(MMDIT_TIME_EMBED_DIM),
                "time_text_embed.timestep_embedder.linear_1");
    walk_linear(w, &t->time2, D, D, fan_in_std(D), "time_text_embed.timestep_embedder.linear_2");
}

static void walk_all(walk_t *w, mmdit_tensors_t *t, const mmdit_config_t *c) {
    char block[PLAN_NAME_MAX];
    w->block = "";
    plan_begin_group(w->plan, MMDIT_PART_INPUTS);
    walk_inputs(w, t, c);
    for (int64_t i = 0; i < c->num_layers; i++) {
        plan_begin_group(w->plan, mmdit_part_of_block(i));
        snprintf(block, sizeof block, "transformer_blocks.%lld.", (long long)i);
        w->block = block;
        walk_stream(w, &t->blocks[i].img, c, &image_names);
        walk_stream(w, &t->blocks[i].txt, c, &text_names);
    }
    w->block = "";
    plan_begin_group(w->plan, mmdit_n_parts(c) - 1);
    walk_linear(w, &t->norm_out, 2 * mmdit_dim(c), mmdit_dim(c), 0, "norm_out.linear");
    walk_linear(w, &t->proj_out, mmdit_out_width(c), mmdit_dim(c), 0, "proj_out");
    plan_end_groups(w->plan);
}

static lens_status alloc_blocks(mmdit_tensors_t *t, const mmdit_config_t *c) {
    t->blocks = calloc((size_t)c->num_layers, sizeof *t->blocks);
    return t->blocks ? LENS_OK : lens_fail(LENS_MEMORY, "out of memory for %lld blocks", (long long)c->num_layers);
}

lens_status mmdit_plan_tensors(plan_t *p, mmdit_tensors_t *t, const mmdit_config_t *c) {
    LENS_TRY(mmdit_config_check(c));
    *t = (mmdit_tensors_t){0};
    LENS_TRY(alloc_blocks(t, c));
    walk_t walk = {.plan = p};
    walk_all(&walk, t, c);
    lens_status st = plan_status(p);
    if (st != LENS_OK) mmdit_tensors_free(t);
    return st;
}

void mmdit_tensors_free(mmdit_tensors_t *t) {
    free(t->blocks);
    *t = (mmdit_tensors_t){0};
}

/* ---- adapters ---- */

/* Whether the target, n characters, is one of the names "a, b", or what follows a dot in one. */
static bool names_linear(const char *names, const char *target, size_t n) {
    char only[PLAN_NAME_MAX], name[PLAN_NAME_MAX];
    if (n == 0 || n >= sizeof only) return false;
    snprintf(only, sizeof only, "%.*s", (int)n, target);
    while (*names) {
        size_t length = strcspn(names, ",");
        snprintf(name, sizeof name, "%.*s", (int)length, names);
        if (is_target(only, name)) return true;
        names += length + strspn(names + length, ", ");
    }
    return false;
}

static lens_status check_targets(const char *targets, const mmdit_config_t *c) {
    mmdit_config_t one_block = *c;
    mmdit_block_t block = {0};
    mmdit_tensors_t t = {.blocks = &block};
    plan_t none = {0};
    str_t names = {0};
    one_block.num_layers = 1;
    walk_t walk = {.plan = &none, .names = &names};
    walk_all(&walk, &t, &one_block);
    lens_status st = str_status(&names);
    const char *at = targets;
    do {
        size_t n = strcspn(at, ",");
        if (st == LENS_OK && !names_linear(str_text(&names), at, n))
            st = lens_fail(LENS_ARGUMENT, "lora.targets: \"%.*s\" names no linear, expected some of %s", (int)n, at,
                           str_text(&names));
        at += n;
    } while (*at++ == ',');
    str_free(&names);
    return st;
}

lens_status mmdit_plan_lora(plan_t *p, mmdit_tensors_t *t, const mmdit_config_t *c, const mmdit_lora_t *l) {
    LENS_TRY(mmdit_config_check(c));
    if (l->rank < 1 || l->rank > mmdit_dim(c))
        return lens_fail(LENS_ARGUMENT, "lora.rank: expected 1 to %lld, got %lld", (long long)mmdit_dim(c),
                         (long long)l->rank);
    if (!(l->alpha > 0) || !isfinite(l->alpha))
        return lens_fail(LENS_ARGUMENT, "lora.alpha: expected a positive number, got %g", l->alpha);
    LENS_TRY(check_targets(l->targets, c));
    if (!t->blocks) LENS_TRY(alloc_blocks(t, c));
    t->lora_rank = l->rank;
    t->lora_scale = (float)(l->alpha / (double)l->rank);
    walk_t walk = {.plan = p, .lora = l};
    walk_all(&walk, t, c);
    return plan_status(p);
}
