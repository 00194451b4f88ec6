/* bench_train_dump: one forward and backward pass, with everything that it was made of. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/device.h"
#include "model/safetensors.h"
#include "train/bench_batch.h"
#include "train/bench_train.h"

enum { MAX_INPUTS = 8 + MMDIT_MAX_TEXT_LAYERS, MAX_META = 16, META_BYTES = 48 };

typedef struct {
    device_t device;
    kernels_t *k; /* of the device */
    mmdit_config_t config;
    int64_t h, w;
    mmdit_shape_t shape;
    plan_t weight_plan, grad_plan, input_plan, device_plan;
    mmdit_tensors_t weights, grads; /* bound to device memory */
    mmdit_t *model;
    float *p, *g, *in; /* on the host: what the file holds, by weight_plan and input_plan */
    float *x_t, *data, *noise, *t, *text[MMDIT_MAX_TEXT_LAYERS], *grid, *losses;
    int32_t *text_len;
    uint8_t *mask; /* [B, T] */
    struct {
        void *acts, *g, *rest;                        /* weights, gradients, and by device_plan: */
        void *stage;                                  /* f32, as long as the longest tensor of the file */
        void *data, *noise, *t, *loss;                /* f32, f32, f32 [B], f64 [B] */
        void *x_t, *dv, *text[MMDIT_MAX_TEXT_LAYERS]; /* act */
    } on;
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
}

static int64_t longest_row(const plan_t *p, int64_t least) {
    for (int i = 0; i < p->n; i++)
        if (p->rows[i].n > least) least = p->rows[i].n;
    return least;
}

static void plan_device(dump_t *d) {
    plan_t *p = &d->device_plan;
    int64_t B = d->shape.B, N = d->shape.N, T = d->shape.T, C = d->config.in_channels;
    p->act_bytes = d->k->act_bytes;
    plan_add(p, &d->on.stage, PLAN_F32, 0, PLAN_1D(longest_row(&d->weight_plan, longest_row(&d->input_plan, 1))),
             "stage");
    plan_add(p, &d->on.data, PLAN_F32, 0, PLAN_3D(B, N, C), "data");
    plan_add(p, &d->on.noise, PLAN_F32, 0, PLAN_3D(B, N, C), "noise");
    plan_add(p, &d->on.t, PLAN_F32, 0, PLAN_1D(B), "t");
    plan_add(p, &d->on.loss, PLAN_F64, 0, PLAN_1D(B), "loss");
    plan_add(p, &d->on.x_t, PLAN_ACT, 0, PLAN_3D(B, N, C), "x_t");
    plan_add(p, &d->on.dv, PLAN_ACT, 0, PLAN_3D(B, N, C), "dv");
    for (int64_t i = 0; i < d->config.num_text_layers; i++)
        plan_add(p, &d->on.text[i], PLAN_ACT, 0, PLAN_3D(B, T, d->config.enc_hidden_dim), "text");
}

static lens_status alloc_host(dump_t *d) {
    int64_t B = d->shape.B;
    d->p = calloc((size_t)plan_n_floats(&d->weight_plan), sizeof *d->p);
    d->g = calloc((size_t)plan_n_floats(&d->weight_plan), sizeof *d->g);
    d->in = calloc((size_t)plan_n_floats(&d->input_plan), sizeof *d->in);
    d->text_len = calloc((size_t)B, sizeof *d->text_len);
    d->mask = calloc((size_t)(B * d->shape.T) + 1, 1);
    if (!d->p || !d->g || !d->in || !d->text_len || !d->mask)
        return lens_fail(LENS_MEMORY, "out of memory for a batch");
    plan_bind(&d->input_plan, d->in);
    return LENS_OK;
}

static lens_status alloc_device(dump_t *d) {
    kernels_t *k = d->k;
    LENS_TRY(plan_status(&d->device_plan));
    LENS_TRY(k->alloc(k, &d->on.acts, k->act_bytes * (size_t)plan_n_floats(&d->weight_plan), "weights"));
    LENS_TRY(k->alloc(k, &d->on.g, d->grad_plan.bytes, "gradients"));
    LENS_TRY(k->alloc(k, &d->on.rest, d->device_plan.bytes, "a batch"));
    plan_bind_as(&d->weight_plan, d->on.acts, k->act_bytes);
    plan_bind(&d->grad_plan, d->on.g);
    plan_bind(&d->device_plan, d->on.rest);
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
    const device_options_t wanted = train_config_device(c);
    LENS_TRY(device_open(&d->device, &wanted, NULL));
    d->k = d->device.k;
    LENS_TRY(mmdit_plan_tensors(&d->weight_plan, &d->weights, &d->config));
    LENS_TRY(mmdit_plan_tensors(&d->grad_plan, &d->grads, &d->config));
    plan_inputs(d);
    LENS_TRY(plan_status(&d->input_plan));
    plan_device(d);
    LENS_TRY(alloc_host(d));
    LENS_TRY(alloc_device(d));
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

static void upload_act(dump_t *d, void *to, const float *host, int64_t n) {
    d->k->upload(d->k, d->on.stage, host, sizeof(float) * (size_t)n);
    d->k->to_act(d->k, to, d->on.stage, n);
}

static void upload_all(dump_t *d) {
    kernels_t *k = d->k;
    int64_t B = d->shape.B, n = B * d->shape.N * d->config.in_channels;
    for (int i = 0; i < d->weight_plan.n; i++) {
        const plan_row_t *row = &d->weight_plan.rows[i];
        size_t at = row->offset_bytes / sizeof(float);
        upload_act(d, (char *)d->on.acts + at * k->act_bytes, d->p + at, row->n);
    }
    for (int64_t i = 0; i < d->config.num_text_layers; i++)
        upload_act(d, d->on.text[i], d->text[i], B * d->shape.T * d->config.enc_hidden_dim);
    k->upload(k, d->on.data, d->data, sizeof(float) * (size_t)n);
    k->upload(k, d->on.noise, d->noise, sizeof(float) * (size_t)n);
    k->upload(k, d->on.t, d->t, sizeof(float) * (size_t)B);
}

static lens_status compute(dump_t *d) {
    kernels_t *k = d->k;
    int64_t B = d->shape.B, n = d->shape.N * d->config.in_channels;
    act_t *v;
    upload_all(d);
    k->flow_mix(k, d->on.x_t, d->on.data, d->on.noise, d->on.t, B, n);
    mmdit_input_t in = {
        .B = B, .h = d->h, .w = d->w, .T = d->shape.T, .x_t = d->on.x_t, .t = d->on.t, .text_len = d->text_len};
    for (int64_t i = 0; i < d->config.num_text_layers; i++) in.text[i] = d->on.text[i];
    LENS_TRY(mmdit_forward(d->model, &d->weights, &in, NULL, &v));
    k->flow_loss(k, d->on.loss, d->on.dv, v, d->on.data, d->on.noise, 1.0f / (float)B, B, n);
    mmdit_backward(d->model, &d->weights, &d->grads, &in, d->on.dv, NULL, NULL);
    return k->finish(k);
}

static lens_status download_all(dump_t *d) {
    kernels_t *k = d->k;
    int64_t B = d->shape.B, n = B * d->shape.N * d->config.in_channels;
    double *loss = calloc((size_t)B, sizeof *loss);
    if (!loss) return lens_fail(LENS_MEMORY, "out of memory for losses");
    k->download(k, loss, d->on.loss, sizeof(double) * (size_t)B);
    d->losses[0] = 0;
    for (int64_t b = 0; b < B; b++) d->losses[0] += (float)(loss[b] / (double)B);
    free(loss);
    k->to_float(k, d->on.stage, d->on.x_t, n);
    k->download(k, d->x_t, d->on.stage, sizeof(float) * (size_t)n);
    k->download(k, d->g, d->on.g, d->grad_plan.bytes);
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
    for (int i = 0; i < d->input_plan.n; i++)
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
    LENS_GO(download_all(&d));
    LENS_GO(write(&d, c, path));
done:
    mmdit_free(d.model);
    mmdit_tensors_free(&d.weights);
    mmdit_tensors_free(&d.grads);
    plan_t *plans[] = {&d.weight_plan, &d.grad_plan, &d.input_plan, &d.device_plan};
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) plan_free(plans[i]);
    void *host[] = {d.p, d.g, d.in, d.text_len, d.mask}, *device[] = {d.on.acts, d.on.g, d.on.rest};
    for (size_t i = 0; i < sizeof host / sizeof host[0]; i++) free(host[i]);
    for (size_t i = 0; d.k && i < sizeof device / sizeof device[0]; i++) d.k->free(d.k, device[i]);
    device_close(&d.device);
    return st;
}
