#include "model/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/safetensors.h"

/* One run: the file, the model, and device buffers for weights, gradients and moments. */
typedef struct {
    kernels_t *k;
    safetensors_t *file;
    mmdit_config_t config;
    plan_t weight_plan, grad_plan;
    mmdit_tensors_t weights, grads;
    mmdit_t *model;
    mmdit_input_t input;
    int32_t *text_len;
    float *p, *g, *m, *v; /* flat, [n] */
    act_t *acts;          /* [n]: what products read; p itself where act is float */
    void *gate, *sums;    /* takes every step: the sums stay zeros */
    int64_t n;
    act_t *x_t, *text[MMDIT_MAX_TEXT_LAYERS], *dv;
    float *t, *data, *noise;
    double *loss;
    mmdit_checkpointing checkpointing;
    golden_result_t *results;
} golden_t;

static lens_status missing(const char *what) {
    return lens_fail(LENS_FORMAT, "not a golden file: no %s", what);
}

static lens_status meta_number(const golden_t *r, const char *key, double *out) {
    const char *text = safetensors_meta(r->file, key);
    if (!text) return missing(key);
    char *end;
    *out = strtod(text, &end);
    if (end == text || *end) return lens_fail(LENS_FORMAT, "metadata %s: expected a number, got \"%s\"", key, text);
    return LENS_OK;
}

static lens_status meta_int(const golden_t *r, const char *key, int64_t *out) {
    double x;
    LENS_TRY(meta_number(r, key, &x));
    if (x < 0 || x > 1e9 || x != floor(x))
        return lens_fail(LENS_FORMAT, "metadata %s: expected a count, got %g", key, x);
    *out = (int64_t)x;
    return LENS_OK;
}

static lens_status read_config(golden_t *r) {
    mmdit_config_t *c = &r->config;
    LENS_TRY(meta_int(r, "num_layers", &c->num_layers));
    LENS_TRY(meta_int(r, "num_heads", &c->num_heads));
    LENS_TRY(meta_int(r, "head_dim", &c->head_dim));
    LENS_TRY(meta_int(r, "in_channels", &c->in_channels));
    LENS_TRY(meta_int(r, "out_channels", &c->out_channels));
    LENS_TRY(meta_int(r, "patch_size", &c->patch_size));
    LENS_TRY(meta_int(r, "enc_hidden_dim", &c->enc_hidden_dim));
    LENS_TRY(meta_int(r, "num_text_layers", &c->num_text_layers));
    LENS_TRY(meta_number(r, "rope_theta", &c->rope_theta));
    LENS_TRY(meta_number(r, "eps", &c->eps));
    LENS_TRY(meta_number(r, "txt_norm_eps", &c->txt_norm_eps));
    const char *axes = safetensors_meta(r->file, "axes_dims_rope");
    long long a[3];
    if (!axes || sscanf(axes, "(%lld, %lld, %lld)", &a[0], &a[1], &a[2]) != 3) return missing("axes_dims_rope");
    for (int i = 0; i < 3; i++) c->axes_dims_rope[i] = a[i];
    return mmdit_config_check(c);
}

static lens_status find(const golden_t *r, const st_tensor_t **out, int64_t n, const char *prefix, const char *name) {
    char full[PLAN_NAME_MAX + 16];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    *out = safetensors_find(r->file, full);
    if (!*out) return missing(full);
    if (n >= 0 && (*out)->n != n)
        return lens_fail(LENS_FORMAT, "%s: expected %lld elements, got %lld", full, (long long)n, (long long)(*out)->n);
    return LENS_OK;
}

/* A device buffer of n floats holding tensor `name`. */
static lens_status load_input(golden_t *r, float **out, int64_t n, const char *name) {
    const st_tensor_t *t;
    LENS_TRY(find(r, &t, n, "in.", name));
    void *device;
    LENS_TRY(r->k->alloc(r->k, &device, sizeof(float) * (size_t)n, name));
    *out = device;
    float *host = malloc(sizeof(float) * (size_t)(n ? n : 1));
    if (!host) return lens_fail(LENS_MEMORY, "out of memory for %s", name);
    lens_status st = safetensors_read_f32(t, host);
    if (st == LENS_OK) r->k->upload(r->k, device, host, sizeof(float) * (size_t)n);
    free(host);
    return st;
}

static lens_status load_act(golden_t *r, act_t **out, int64_t n, const char *name) {
    float *floats = NULL;
    lens_status st = load_input(r, &floats, n, name);
    if (st == LENS_OK) st = r->k->alloc(r->k, out, r->k->act_bytes * (size_t)n, name);
    if (st == LENS_OK) r->k->to_act(r->k, *out, floats, n);
    r->k->free(r->k, floats);
    return st;
}

static lens_status load_text_len(golden_t *r, int64_t B, int64_t T) {
    const st_tensor_t *mask;
    LENS_TRY(find(r, &mask, B * T, "in.", "txt_mask"));
    if (mask->dtype != ST_U8)
        return lens_fail(LENS_FORMAT, "in.txt_mask: expected U8, got %s", st_dtype_name(mask->dtype));
    r->text_len = calloc((size_t)B, sizeof *r->text_len);
    if (!r->text_len) return lens_fail(LENS_MEMORY, "out of memory for text lengths");
    for (int64_t i = 0; i < B * T; i++) r->text_len[i / T] += ((const uint8_t *)mask->bytes)[i];
    return LENS_OK;
}

static lens_status load_inputs(golden_t *r) {
    const st_tensor_t *t, *grid, *text;
    float hw[2];
    LENS_TRY(find(r, &t, -1, "in.", "t"));
    LENS_TRY(find(r, &grid, 2, "in.", "grid"));
    LENS_TRY(find(r, &text, -1, "in.", "txt.0"));
    LENS_TRY(safetensors_read_f32(grid, hw));
    mmdit_input_t *in = &r->input;
    if (text->n_dims != 3 || hw[0] < 1 || hw[1] < 1 || hw[0] > 4096 || hw[1] > 4096)
        return lens_fail(LENS_FORMAT, "in.txt.0 or in.grid: unexpected shape");
    in->B = t->n;
    in->h = (int64_t)hw[0];
    in->w = (int64_t)hw[1];
    in->T = text->shape[1];
    int64_t n = in->B * in->h * in->w * r->config.in_channels;
    LENS_TRY(load_input(r, &r->t, in->B, "t"));
    LENS_TRY(load_input(r, &r->data, n, "data"));
    LENS_TRY(load_input(r, &r->noise, n, "noise"));
    LENS_TRY(load_act(r, &r->x_t, n, "x_t"));
    LENS_TRY(load_text_len(r, in->B, in->T));
    for (int64_t i = 0; i < r->config.num_text_layers; i++) {
        char name[32];
        snprintf(name, sizeof name, "txt.%lld", (long long)i);
        LENS_TRY(load_act(r, &r->text[i], in->B * in->T * r->config.enc_hidden_dim, name));
        in->text[i] = r->text[i];
    }
    in->x_t = r->x_t;
    in->t = r->t;
    in->text_len = r->text_len;
    return LENS_OK;
}

static lens_status alloc_floats(golden_t *r, float **out, int64_t n, const char *what) {
    void *p;
    LENS_TRY(r->k->alloc(r->k, &p, sizeof(float) * (size_t)n, what));
    *out = p;
    return LENS_OK;
}

static lens_status load_weights(golden_t *r) {
    kernels_t *k = r->k;
    LENS_TRY(mmdit_plan_tensors(&r->weight_plan, &r->weights, &r->config));
    LENS_TRY(mmdit_plan_tensors(&r->grad_plan, &r->grads, &r->config));
    r->n = plan_n_floats(&r->weight_plan);
    LENS_TRY(alloc_floats(r, &r->p, r->n, "weights"));
    LENS_TRY(alloc_floats(r, &r->g, r->n, "gradients"));
    LENS_TRY(alloc_floats(r, &r->m, r->n, "first moments"));
    LENS_TRY(alloc_floats(r, &r->v, r->n, "second moments"));
    LENS_TRY(k->alloc(k, &r->gate, sizeof(step_gate_t), "verdict on a step"));
    LENS_TRY(k->alloc(k, &r->sums, 2 * sizeof(double), "gradient norm"));
    r->acts = r->p;
    if (k->act_bytes != sizeof(float)) LENS_TRY(k->alloc(k, &r->acts, k->act_bytes * (size_t)r->n, "weights"));
    plan_bind_as(&r->weight_plan, r->acts, k->act_bytes);
    plan_bind(&r->grad_plan, r->g);
    for (int i = 0; i < r->weight_plan.n; i++) {
        const plan_row_t *row = &r->weight_plan.rows[i];
        const st_tensor_t *t;
        LENS_TRY(find(r, &t, row->n, "param.", row->name));
        float *host = malloc(sizeof(float) * (size_t)row->n);
        if (!host) return lens_fail(LENS_MEMORY, "out of memory for %s", row->name);
        lens_status st = safetensors_read_f32(t, host);
        if (st == LENS_OK) k->upload(k, r->p + row->offset_bytes / sizeof(float), host, sizeof(float) * (size_t)row->n);
        free(host);
        if (st != LENS_OK) return st;
    }
    k->to_act(k, r->acts, r->p, r->n);
    return LENS_OK;
}

/* ---- comparison ---- */

static void note_error(golden_result_t *g, double error, const char *name) {
    g->n_tensors++;
    if (!(error <= g->worst)) { /* also where error is not a number */
        g->worst = error;
        snprintf(g->worst_tensor, sizeof g->worst_tensor, "%s", name);
    }
}

static double relative_error(const float *got, const float *want, int64_t n) {
    double difference = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)got[i] - (double)want[i];
        difference += d * d;
        size += (double)want[i] * (double)want[i];
    }
    return size > 0 ? sqrt(difference / size) : sqrt(difference); /* an exactly zero gradient must be exactly zero */
}

/* got: host floats. */
static lens_status compare(golden_t *r, golden_group group, const float *got, int64_t n, const char *prefix,
                           const char *name) {
    const st_tensor_t *t;
    LENS_TRY(find(r, &t, n, prefix, name));
    float *want = malloc(sizeof(float) * (size_t)(n ? n : 1));
    if (!want) return lens_fail(LENS_MEMORY, "out of memory for %s", name);
    lens_status st = safetensors_read_f32(t, want);
    if (st == LENS_OK) note_error(&r->results[group], relative_error(got, want, n), name);
    free(want);
    return st;
}

static lens_status compare_flat(golden_t *r, golden_group group, const float *device, const char *prefix) {
    for (int i = 0; i < r->weight_plan.n; i++) {
        const plan_row_t *row = &r->weight_plan.rows[i];
        float *got = malloc(sizeof(float) * (size_t)row->n);
        if (!got) return lens_fail(LENS_MEMORY, "out of memory for %s", row->name);
        r->k->download(r->k, got, device + row->offset_bytes / sizeof(float), sizeof(float) * (size_t)row->n);
        lens_status st = compare(r, group, got, row->n, prefix, row->name);
        free(got);
        if (st != LENS_OK) return st;
    }
    return LENS_OK;
}

/* An activation row as host floats; malloc'ed. */
static lens_status fetch_row(golden_t *r, float **out, const plan_row_t *row) {
    kernels_t *k = r->k;
    act_t *act;
    memcpy(&act, row->slot, sizeof act);
    void *floats;
    LENS_TRY(k->alloc(k, &floats, sizeof(float) * (size_t)row->n, row->name));
    *out = malloc(sizeof(float) * (size_t)row->n);
    if (*out) {
        k->to_float(k, floats, act, row->n);
        k->download(k, *out, floats, sizeof(float) * (size_t)row->n);
    }
    k->free(k, floats);
    return *out ? LENS_OK : lens_fail(LENS_MEMORY, "out of memory for %s", row->name);
}

static const plan_row_t *activation(const golden_t *r, const char *name) {
    const plan_row_t *row = plan_find(mmdit_activations(r->model), name);
    LENS_ASSERT(row, "no activation %s", name);
    return row;
}

static const plan_row_t *block_activation(const golden_t *r, int64_t i, const char *part) {
    char name[PLAN_NAME_MAX];
    snprintf(name, sizeof name, "blocks.%lld.%s", (long long)i, part);
    return activation(r, name);
}

static lens_status compare_activation(golden_t *r, const plan_row_t *row, const char *name) {
    float *got;
    LENS_TRY(fetch_row(r, &got, row));
    lens_status st = compare(r, GOLDEN_ACTIVATIONS, got, row->n, "act.", name);
    free(got);
    return st;
}

/* Image and text parts of block i's attention, joined as [B, N + T, D]. */
static lens_status compare_attention(golden_t *r, int64_t i, const char *name) {
    const plan_row_t *rows[2] = {block_activation(r, i, "img.o"), block_activation(r, i, "txt.o")};
    float *parts[2] = {NULL, NULL}, *joined = NULL;
    int64_t n = rows[0]->n + rows[1]->n, B = r->input.B, at = 0;
    lens_status st = LENS_OK;
    LENS_GO(fetch_row(r, &parts[0], rows[0]));
    LENS_GO(fetch_row(r, &parts[1], rows[1]));
    joined = malloc(sizeof(float) * (size_t)n);
    if (!joined) LENS_GO(lens_fail(LENS_MEMORY, "out of memory for %s", name));
    for (int64_t b = 0; b < B; b++)
        for (int part = 0; part < 2; part++) {
            int64_t each = rows[part]->n / B;
            memcpy(joined + at, parts[part] + b * each, sizeof(float) * (size_t)each);
            at += each;
        }
    st = compare(r, GOLDEN_ACTIVATIONS, joined, n, "act.", name);
done:
    free(parts[0]);
    free(parts[1]);
    free(joined);
    return st;
}

static lens_status compare_activations(golden_t *r) {
    LENS_TRY(compare_activation(r, block_activation(r, 0, "img.x0"), "img_in"));
    LENS_TRY(compare_activation(r, block_activation(r, 0, "txt.x0"), "txt_in"));
    LENS_TRY(compare_activation(r, activation(r, "temb"), "temb"));
    int64_t last = r->config.num_layers - 1;
    for (int64_t i = 0; i <= last; i++) {
        char name[PLAN_NAME_MAX];
        snprintf(name, sizeof name, "transformer_blocks.%lld.attn", (long long)i);
        if (r->checkpointing != MMDIT_RECOMPUTE_BLOCKS) LENS_TRY(compare_attention(r, i, name)); /* else not kept */
        snprintf(name, sizeof name, "transformer_blocks.%lld.img", (long long)i);
        LENS_TRY(compare_activation(r, i < last ? block_activation(r, i + 1, "img.x0") : activation(r, "x_end"), name));
        snprintf(name, sizeof name, "transformer_blocks.%lld.txt", (long long)i);
        LENS_TRY(compare_activation(r, i < last ? block_activation(r, i + 1, "txt.x0") : activation(r, "y_end"), name));
    }
    return compare_activation(r, activation(r, "out"), "out");
}

/* ---- the run ---- */

static lens_status one_step(golden_t *r, const adamw_t *o, bool first, float *loss) {
    kernels_t *k = r->k;
    int64_t B = r->input.B, n = r->input.h * r->input.w * mmdit_out_width(&r->config);
    act_t *v;
    double each[64], sum = 0;
    k->zero(k, r->g, sizeof(float) * (size_t)r->n);
    LENS_TRY(mmdit_forward(r->model, &r->weights, &r->input, NULL, &v));
    k->flow_loss(k, r->loss, r->dv, v, r->data, r->noise, 1.0f / (float)B, B, n);
    mmdit_backward(r->model, &r->weights, &r->grads, &r->input, r->dv, NULL, NULL);
    if (first) {
        LENS_TRY(compare_activations(r));
        LENS_TRY(compare_flat(r, GOLDEN_GRADIENTS, r->g, "grad."));
    }
    const step_rule_t rule = {.beta1 = o->beta1, .beta2 = o->beta2};
    k->judge(k, r->gate, r->sums, &rule);
    k->adamw(k, r->p, r->acts, r->m, r->v, r->g, r->gate, r->n, o);
    k->download(k, each, r->loss, sizeof(double) * (size_t)B);
    for (int64_t b = 0; b < B; b++) sum += each[b];
    *loss = (float)(sum / (double)B);
    return k->finish(k);
}

static lens_status run_steps(golden_t *r) {
    double lr, decay, beta1, beta2, eps;
    int64_t steps;
    LENS_TRY(meta_number(r, "lr", &lr));
    LENS_TRY(meta_number(r, "weight_decay", &decay));
    LENS_TRY(meta_number(r, "beta1", &beta1));
    LENS_TRY(meta_number(r, "beta2", &beta2));
    LENS_TRY(meta_number(r, "adam_eps", &eps));
    LENS_TRY(meta_int(r, "steps", &steps));
    float losses[16];
    if (steps < 1 || steps > 16 || r->input.B > 64)
        return lens_fail(LENS_FORMAT, "golden files have up to 16 steps of 64 samples");
    for (int64_t i = 0; i < steps; i++) {
        adamw_t o = {.lr = (float)lr,
                     .beta1 = (float)beta1,
                     .beta2 = (float)beta2,
                     .eps = (float)eps,
                     .weight_decay = (float)decay};
        LENS_TRY(one_step(r, &o, i == 0, &losses[i]));
    }
    LENS_TRY(compare_flat(r, GOLDEN_PARAMETERS, r->p, "after."));
    return compare(r, GOLDEN_LOSSES, losses, steps, "out.", "losses");
}

static void golden_free(golden_t *r) {
    kernels_t *k = r->k;
    if (r->acts != (act_t *)r->p) k->free(k, r->acts);
    void *device[] = {r->p, r->g, r->m, r->v, r->gate, r->sums, r->x_t, r->dv, r->t, r->data, r->noise, r->loss};
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++) k->free(k, device[i]);
    for (int i = 0; i < MMDIT_MAX_TEXT_LAYERS; i++) k->free(k, r->text[i]);
    mmdit_free(r->model);
    mmdit_tensors_free(&r->weights);
    mmdit_tensors_free(&r->grads);
    plan_free(&r->weight_plan);
    plan_free(&r->grad_plan);
    free(r->text_len);
    safetensors_close(r->file);
}

static const struct {
    const char *name;
    double f32, bf16; /* tolerances: golden.h */
} GROUPS[GOLDEN_N_GROUPS] = {
    [GOLDEN_ACTIVATIONS] = {"activations", 2e-5, 1e-2},
    [GOLDEN_GRADIENTS] = {"gradients", 4e-5, 4e-2},
    [GOLDEN_PARAMETERS] = {"parameters after the steps", 2e-4, 2e-2},
    [GOLDEN_LOSSES] = {"losses", 2e-5, 5e-4},
};

lens_status golden_run(golden_result_t results[GOLDEN_N_GROUPS], kernels_t *k, const char *path,
                       mmdit_checkpointing checkpointing) {
    bool f32 = k->act_bytes == sizeof(float);
    for (int i = 0; i < GOLDEN_N_GROUPS; i++)
        results[i] = (golden_result_t){.name = GROUPS[i].name, .tolerance = f32 ? GROUPS[i].f32 : GROUPS[i].bf16};
    golden_t r = {.k = k, .checkpointing = checkpointing, .results = results};
    lens_status st = LENS_OK;
    void *loss = NULL;
    LENS_GO(safetensors_open(&r.file, path));
    LENS_GO(read_config(&r));
    LENS_GO(load_weights(&r));
    LENS_GO(load_inputs(&r));
    mmdit_shape_t shape = {r.input.B, r.input.h * r.input.w, r.input.T};
    mmdit_limits_t limits = {
        .shapes = &shape, .n_shapes = 1, .backward = true, .checkpointing = checkpointing, .last_text = true};
    LENS_GO(mmdit_new(&r.model, k, &r.config, &limits));
    LENS_GO(
        k->alloc(k, &r.dv, k->act_bytes * (size_t)(shape.B * shape.N * mmdit_out_width(&r.config)), "output gradient"));
    LENS_GO(k->alloc(k, &loss, sizeof(double) * (size_t)shape.B, "losses"));
    r.loss = loss;
    st = run_steps(&r);
done:
    golden_free(&r);
    return lens_context(st, "%s", path);
}

bool golden_passed(const golden_result_t results[GOLDEN_N_GROUPS]) {
    bool passed = true;
    for (int i = 0; i < GOLDEN_N_GROUPS; i++)
        passed = passed && results[i].n_tensors > 0 && results[i].worst <= results[i].tolerance;
    return passed;
}
