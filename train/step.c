#include "train/step.h"

#include <stdlib.h>

#include "model/flow.h"

struct stepper {
    kernels_t *k;
    const train_config_t *config;
    pipeline_config_t pipeline;
    int64_t max_batch, h, w, C;
    double mu;
    mmdit_t *model;
    text_encoder_t *text;
    void *pixels, *data, *noise, *t, *x_t, *dv, *loss; /* device: u8, f32, f32, f32 [B], act, act, f64 [B] */
    rng_t *streams;                                    /* [B] */
    float *host_t;                                     /* [B] */
    double *host_loss;                                 /* [B] */
};

static lens_status alloc_device(stepper_t *s) {
    kernels_t *k = s->k;
    size_t B = (size_t)s->max_batch, n = B * (size_t)(s->h * s->w * s->C);
    LENS_TRY(k->alloc(k, &s->pixels, n, "pictures"));
    LENS_TRY(k->alloc(k, &s->data, sizeof(float) * n, "latents"));
    LENS_TRY(k->alloc(k, &s->noise, sizeof(float) * n, "noise"));
    LENS_TRY(k->alloc(k, &s->t, sizeof(float) * B, "timesteps"));
    LENS_TRY(k->alloc(k, &s->x_t, k->act_bytes * n, "noisy latents"));
    LENS_TRY(k->alloc(k, &s->dv, k->act_bytes * n, "gradient of the output"));
    return k->alloc(k, &s->loss, sizeof(double) * B, "losses");
}

lens_status stepper_new(stepper_t **out, kernels_t *k, const train_config_t *c, const pipeline_config_t *p,
                        int64_t local_batch) {
    *out = NULL;
    stepper_t *s = calloc(1, sizeof *s);
    if (!s) return lens_fail(LENS_MEMORY, "out of memory for a training step");
    *s = (stepper_t){.k = k,
                     .config = c,
                     .pipeline = *p,
                     .max_batch = local_batch,
                     .h = pipeline_grid_h(p),
                     .w = pipeline_grid_w(p),
                     .C = p->mmdit.in_channels,
                     .mu = train_config_mu(c)};
    lens_status st = LENS_OK;
    mmdit_shape_t shape = {.B = local_batch, .N = s->h * s->w, .T = p->text.max_tok};
    mmdit_limits_t limits = {.shapes = &shape, .n_shapes = 1, .backward = true};
    s->streams = calloc((size_t)local_batch, sizeof *s->streams);
    s->host_t = calloc((size_t)local_batch, sizeof *s->host_t);
    s->host_loss = calloc((size_t)local_batch, sizeof *s->host_loss);
    if (!s->streams || !s->host_t || !s->host_loss)
        LENS_GO(lens_fail(LENS_MEMORY, "out of memory for a training step"));
    LENS_GO(mmdit_new(&s->model, k, &p->mmdit, &limits));
    LENS_GO(text_encoder_new(&s->text, k, &p->text, local_batch));
    LENS_GO(alloc_device(s));
    *out = s;
done:
    if (st != LENS_OK) stepper_free(s);
    return st;
}

void stepper_free(stepper_t *s) {
    if (!s) return;
    void *device[] = {s->pixels, s->data, s->noise, s->t, s->x_t, s->dv, s->loss};
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++) s->k->free(s->k, device[i]);
    text_encoder_free(s->text);
    mmdit_free(s->model);
    free(s->streams);
    free(s->host_t);
    free(s->host_loss);
    free(s);
}

int64_t stepper_n_cut(const stepper_t *s) {
    return text_encoder_n_cut(s->text);
}
const plan_t *stepper_activations(const stepper_t *s) {
    return mmdit_activations(s->model);
}

/* Noisy latents of the batch, each sample's noise and t keyed by (seed, epoch, sample). */
static void make_noisy(stepper_t *s, const step_batch_t *batch) {
    kernels_t *k = s->k;
    int64_t B = batch->n, n = s->h * s->w * s->C;
    uint64_t seed = (uint64_t)s->config->run.seed;
    for (int64_t i = 0; i < B; i++) {
        rng_t r = rng_stream(seed, batch->epoch[i], (uint64_t)batch->sample[i], RNG_TIMESTEP);
        s->host_t[i] = (float)flow_draw_t(&r, s->mu, s->config->flow.spread);
        s->streams[i] = rng_stream(seed, batch->epoch[i], (uint64_t)batch->sample[i], RNG_NOISE);
    }
    k->upload(k, s->t, s->host_t, sizeof(float) * (size_t)B);
    k->upload(k, s->pixels, batch->pixels, (size_t)(B * n));
    k->patchify(k, s->data, s->pixels, B, s->h, s->w, s->pipeline.mmdit.patch_size);
    k->noise(k, s->noise, s->streams, B, n);
    k->flow_mix(k, s->x_t, s->data, s->noise, s->t, B, n);
}

/* Adds this rank's part of the gradient of the mean loss over the global batch. *text_len: the encoder's, tokens a
 * caption. */
static lens_status forward_backward(stepper_t *s, train_state_t *state, const step_batch_t *batch,
                                    const int32_t **text_len) {
    kernels_t *k = s->k;
    int64_t B = batch->n, n = s->h * s->w * s->C;
    act_t *features, *v, *dtext[MMDIT_MAX_TEXT_LAYERS] = {text_encoder_dfeatures(s->text)};
    mmdit_input_t in = {.B = B, .h = s->h, .w = s->w, .x_t = s->x_t, .t = s->t};
    LENS_TRY(
        text_encoder_forward(s->text, state->weights.embedding, batch->caption, B, &features, &in.text_len, &in.T));
    in.text[0] = features;
    *text_len = in.text_len;
    LENS_TRY(mmdit_forward(s->model, &state->weights.mmdit, &in, NULL, &v));
    k->flow_loss(k, s->loss, s->dv, v, s->data, s->noise, 1.0f / (float)s->config->train.global_batch, B, n);
    mmdit_backward(s->model, &state->weights.mmdit, &state->grads.mmdit, &in, s->dv, dtext, NULL);
    if (in.T > 0) text_encoder_backward(s->text, state->grads.embedding);
    k->download(k, s->host_loss, s->loss, sizeof(double) * (size_t)B);
    return LENS_OK;
}

/* Sums of (loss, model FLOP) over the global batch; FLOP with each caption at its own length. */
static lens_status gather_sums(stepper_t *s, comm_t *comm, int64_t B, const int32_t *text_len, step_result_t *out) {
    double sums[2] = {0, 0};
    for (int64_t i = 0; i < B; i++) {
        sums[0] += s->host_loss[i];
        sums[1] += 3 * mmdit_forward_flop(&s->pipeline.mmdit, s->h * s->w, text_len[i]);
    }
    LENS_TRY(comm_sum_f64(comm, sums, 2, "losses"));
    out->loss = sums[0] / (double)s->config->train.global_batch;
    out->model_flop = sums[1];
    return LENS_OK;
}

lens_status stepper_run(stepper_t *s, train_state_t *state, comm_t *comm, const step_batch_t *batch, int64_t step,
                        step_result_t *out) {
    LENS_ASSERT(batch->n <= s->max_batch, "batch %lld of at most %lld", (long long)batch->n, (long long)s->max_batch);
    const train_config_t *c = s->config;
    s->k->zero(s->k, state->g, sizeof(float) * (size_t)state->n);
    make_noisy(s, batch);
    const int32_t *text_len;
    LENS_TRY(forward_backward(s, state, batch, &text_len));
    LENS_TRY(train_state_reduce(state, comm));
    LENS_TRY(gather_sums(s, comm, batch->n, text_len, out));
    adamw_t o = {.lr = (float)train_config_lr(c, step),
                 .beta1 = (float)c->train.beta1,
                 .beta2 = (float)c->train.beta2,
                 .eps = (float)c->train.eps,
                 .weight_decay = (float)c->train.weight_decay,
                 .step = step};
    /* A short history is averaged over a short time: the usual ramp of the decay. */
    double ramp = (1.0 + (double)step) / (10.0 + (double)step);
    train_state_update(state, &o, c->train.clip, c->train.ema < ramp ? c->train.ema : ramp, &out->grad_norm);
    return s->k->finish(s->k);
}
