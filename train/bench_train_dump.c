/* bench_train_dump: one forward and backward pass, with everything that it was made of. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/safetensors.h"
#include "train/bench_batch.h"
#include "train/bench_train.h"

enum { MAX_INPUTS = 8 + MMDIT_MAX_TEXT_LAYERS, MAX_META = 16, META_BYTES = 48 };

typedef struct {
    kernels_t *k;
    mmdit_config_t config;
    int64_t h, w;
    mmdit_shape_t shape;
    plan_t weight_plan, grad_plan, input_plan;
    mmdit_tensors_t weights, grads;
    mmdit_t *model;
    float *p, *g, *in; /* host is device here: what the file holds */
    float *x_t, *data, *noise, *t, *text[MMDIT_MAX_TEXT_LAYERS], *dv, *grid, *losses;
    double *loss;
    int32_t *text_len;
    uint8_t *mask; /* [B, T] */
} dump_t;

static void plan_inputs(dump_t *d) {
    plan_t *p = &d->input_plan;
    int64_t B = d->shape.B, N = d->shape.N, T = d->shape.T, C = d->config.in_channels;
    plan_add(p, &d->x_t, PLAN_F32, 0, PLAN_3D(B, N, C), "in.x_t");
    plan_add(p, &d->data, PLAN_F32, 0, PLAN_3D(B, N, C), "in.data");
    plan_add(p, &d->noise, PLAN_F32, 0, PLAN_3D(B, N, C), "in.noise");
    plan_add(p, &d->t, PLAN_F32, 0, PLAN_1D(B), "in.t");
    plan_add(p, &d->grid, PLAN_F32, 0, PLAN_1D(2), "in.grid");
    for (int64_t i = 0; i < d->config.num_text_layers; i++)
        plan_add(p, &d->text[i], PLAN_F32, 0, PLAN_3D(B, T, d->config.enc_hidden_dim), "in.txt.%lld", (long long)i);
    plan_add(p, &d->losses, PLAN_F32, 0, PLAN_1D(1), "out.losses");
    plan_add(p, &d->dv, PLAN_F32, 0, PLAN_3D(B, N, C), "dv");
}

static lens_status alloc(dump_t *d, float **out, const plan_t *p, const char *what) {
    void *buffer;
    LENS_TRY(plan_status(p));
    LENS_TRY(d->k->alloc(d->k, &buffer, p->bytes, what));
    plan_bind(p, buffer);
    *out = buffer;
    return LENS_OK;
}

static lens_status set_up(dump_t *d, const train_config_t *c) {
    pipeline_config_t pipeline;
    bucket_list_t buckets;
    int64_t batch[BUCKET_MAX];
    LENS_TRY(train_config_pipeline(&pipeline, c));
    LENS_TRY(train_config_buckets(&buckets, c));
    LENS_TRY(train_config_batch(batch, c, &buckets));
    int64_t side = pipeline.mmdit.patch_size * pipeline.downscale;
    d->config = pipeline.mmdit;
    d->shape = train_config_shape(c, &buckets.bucket[0], batch[0]);
    d->h = buckets.bucket[0].height / side;
    d->w = buckets.bucket[0].width / side;
    LENS_TRY(kernels_cpu_new(&d->k, (int)c->run.threads, 1));
    LENS_TRY(mmdit_plan_tensors(&d->weight_plan, &d->weights, &d->config));
    LENS_TRY(mmdit_plan_tensors(&d->grad_plan, &d->grads, &d->config));
    plan_inputs(d);
    LENS_TRY(alloc(d, &d->p, &d->weight_plan, "weights"));
    LENS_TRY(alloc(d, &d->g, &d->grad_plan, "gradients"));
    LENS_TRY(alloc(d, &d->in, &d->input_plan, "a batch"));
    d->loss = calloc((size_t)d->shape.B, sizeof *d->loss);
    d->text_len = calloc((size_t)d->shape.B, sizeof *d->text_len);
    d->mask = calloc((size_t)(d->shape.B * d->shape.T), 1);
    if (!d->loss || !d->text_len || !d->mask) return lens_fail(LENS_MEMORY, "out of memory for a batch");
    mmdit_limits_t limits = {.shapes = &d->shape, .n_shapes = 1, .backward = true};
    return mmdit_new(&d->model, d->k, &d->config, &limits);
}

/* No weight is zero, as some are at the start of training, so that every gradient is there. */
static void fill(dump_t *d, uint64_t seed) {
    rng_t r = rng_stream(seed, 0, 0, RNG_TEST);
    for (int i = 0; i < d->weight_plan.n; i++) {
        const plan_row_t *row = &d->weight_plan.rows[i];
        float *x = d->p + row->offset_bytes / sizeof(float);
        for (int64_t j = 0; j < row->n; j++) x[j] = row->init_mean + 0.03f * (float)rng_normal(&r);
    }
    for (int64_t i = 0; i < plan_n_floats(&d->input_plan); i++) d->in[i] = (float)rng_normal(&r);
    d->grid[0] = (float)d->h;
    d->grid[1] = (float)d->w;
    for (int64_t b = 0; b < d->shape.B; b++) {
        d->t[b] = (float)((double)b + 0.5) / (float)d->shape.B;
        d->text_len[b] = bench_batch_n_tok(b, d->shape.B, d->shape.T);
        memset(d->mask + b * d->shape.T, 1, (size_t)d->text_len[b]);
    }
}

static lens_status compute(dump_t *d) {
    kernels_t *k = d->k;
    int64_t B = d->shape.B, n = d->shape.N * d->config.in_channels;
    act_t *v;
    k->flow_mix(k, d->x_t, d->data, d->noise, d->t, B, n);
    mmdit_input_t in = {
        .B = B, .h = d->h, .w = d->w, .T = d->shape.T, .x_t = d->x_t, .t = d->t, .text_len = d->text_len};
    for (int64_t i = 0; i < d->config.num_text_layers; i++) in.text[i] = d->text[i];
    LENS_TRY(mmdit_forward(d->model, &d->weights, &in, NULL, &v));
    k->flow_loss(k, d->loss, d->dv, v, d->data, d->noise, 1.0f / (float)B, B, n);
    mmdit_backward(d->model, &d->weights, &d->grads, &in, d->dv, NULL, NULL);
    d->losses[0] = 0;
    for (int64_t b = 0; b < B; b++) d->losses[0] += (float)(d->loss[b] / (double)B);
    return k->finish(k);
}

static st_entry_t entry(const plan_row_t *row, const char *name, const float *buffer) {
    st_entry_t e = {
        .name = name, .dtype = ST_F32, .n_dims = row->n_dims, .bytes = buffer + row->offset_bytes / sizeof(float)};
    for (int i = 0; i < row->n_dims; i++) e.shape[i] = row->shape[i];
    return e;
}

static int list_meta(const dump_t *d, const train_config_t *c, char text[MAX_META][META_BYTES],
                     const char *meta[MAX_META][2]) {
    const mmdit_config_t *m = &d->config;
    const struct {
        const char *name;
        int64_t value;
    } counts[] = {{"num_layers", m->num_layers},
                  {"num_heads", m->num_heads},
                  {"head_dim", m->head_dim},
                  {"in_channels", m->in_channels},
                  {"out_channels", m->out_channels},
                  {"patch_size", m->patch_size},
                  {"enc_hidden_dim", m->enc_hidden_dim},
                  {"num_text_layers", m->num_text_layers}};
    int n = 0;
    for (; n < (int)(sizeof counts / sizeof *counts); n++) {
        snprintf(text[n], META_BYTES, "%lld", (long long)counts[n].value);
        meta[n][0] = counts[n].name;
    }
    snprintf(text[n], META_BYTES, "(%lld, %lld, %lld)", (long long)m->axes_dims_rope[0],
             (long long)m->axes_dims_rope[1], (long long)m->axes_dims_rope[2]);
    meta[n++][0] = "axes_dims_rope";
    const struct {
        const char *name;
        double value;
    } numbers[] = {{"rope_theta", m->rope_theta}, {"eps", m->eps}, {"txt_norm_eps", m->txt_norm_eps}};
    for (int i = 0; i < 3; i++, n++) {
        snprintf(text[n], META_BYTES, "%.9g", numbers[i].value);
        meta[n][0] = numbers[i].name;
    }
    for (int i = 0; i < n; i++) meta[i][1] = text[i];
    meta[n][0] = "ema"; /* the averages that a step has to keep */
    meta[n++][1] = c->train.ema;
    return n;
}

static lens_status write(const dump_t *d, const train_config_t *c, const char *path) {
    int n_rows = d->weight_plan.n, n = 0;
    st_entry_t *entries = calloc((size_t)(2 * n_rows + MAX_INPUTS), sizeof *entries);
    char(*names)[PLAN_NAME_MAX + 8] = calloc((size_t)(2 * n_rows), sizeof *names);
    char text[MAX_META][META_BYTES];
    const char *meta[MAX_META][2];
    lens_status st = LENS_OK;
    if (!entries || !names) LENS_GO(lens_fail(LENS_MEMORY, "out of memory for %s", path));
    for (int i = 0; i < n_rows; i++) {
        const plan_row_t *row = &d->weight_plan.rows[i];
        snprintf(names[2 * i], sizeof *names, "param.%s", row->name);
        snprintf(names[2 * i + 1], sizeof *names, "grad.%s", row->name);
        entries[n++] = entry(row, names[2 * i], d->p);
        entries[n++] = entry(row, names[2 * i + 1], d->g);
    }
    for (int i = 0; i + 1 < d->input_plan.n; i++) /* not dv, which is last */
        entries[n++] = entry(&d->input_plan.rows[i], d->input_plan.rows[i].name, d->in);
    entries[n++] = (st_entry_t){
        .name = "in.txt_mask", .dtype = ST_U8, .n_dims = 2, .shape = {d->shape.B, d->shape.T}, .bytes = d->mask};
    st = safetensors_write(path, entries, n, meta, list_meta(d, c, text, meta));
done:
    free(entries);
    free(names);
    return st;
}

lens_status bench_train_dump(const train_config_t *c, const char *path) {
    dump_t d = {0};
    lens_status st;
    LENS_GO(set_up(&d, c));
    fill(&d, (uint64_t)c->run.seed);
    LENS_GO(compute(&d));
    LENS_GO(write(&d, c, path));
done:
    mmdit_free(d.model);
    mmdit_tensors_free(&d.weights);
    mmdit_tensors_free(&d.grads);
    plan_free(&d.weight_plan);
    plan_free(&d.grad_plan);
    plan_free(&d.input_plan);
    free(d.loss);
    free(d.text_len);
    free(d.mask);
    if (d.k) {
        d.k->free(d.k, d.p);
        d.k->free(d.k, d.g);
        d.k->free(d.k, d.in);
    }
    kernels_free(d.k);
    return st;
}
