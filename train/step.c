#include "train/step.h"

#include <stdlib.h>

#include "model/flow.h"

/* Over one step, this rank's; added up over ranks in one message. */
typedef struct {
    double loss, flop, n_images, n_text_tok, votes; /* loss: with each sample's weight */
    loss_bins_t bins;
} step_sums_t;

/* One sample, until its loss is known. */
typedef struct {
    double t, weight; /* noise level; share in the mean over the step */
} sample_t;

/* A step that was asked for. */
typedef struct {
    step_sums_t sums; /* flop, n_images, n_text_tok and votes; the rest comes with the losses */
    sample_t *sample; /* [max_samples] */
    int64_t n_samples, n_micro;
    int gate, losses; /* fetches */
    int first_mark;   /* of those below */
    int after;        /* mark that the step's time counts from */
    collectives_times_t comm;
} asked_t;

/* Marks of a step, from its first one on: its begin; four of each micro-batch; its end. */
enum { MARK_BEGIN, MARK_MICRO };
enum { MICRO_BEGIN, MICRO_INPUT, MICRO_FORWARD, MICRO_BACKWARD, MICRO_MARKS };
enum { MARK_SETS = STEPPER_MAX_ASKED + 1 }; /* the end of the step before the oldest asked for still counts */

struct stepper {
    kernels_t *k;
    const train_config_t *config;
    pipeline_config_t pipeline;
    int64_t side, C;                                         /* px to a token's side; channels of a token */
    int64_t max_batch, max_elements, max_micro, max_samples; /* of a micro-batch; of a step */
    bool trains_text;
    mmdit_t *model;
    text_encoder_t *text;                       /* NULL where features are given */
    void *features[MMDIT_MAX_TEXT_LAYERS];      /* device act [B, T, e]: given ones */
    float *host_features;                       /* [B, T, e]: one layer of them, on its way through */
    void *stage;                                /* device f32 [B, T, e] */
    void *pixels, *data, *noise, *t, *x_t, *dv; /* device: u8, f32, f32, f32 [B], act, act */
    double *loss;                               /* device [max_samples] */
    rng_t *streams;                             /* [B] */
    float *host_t;                              /* [B] */
    int64_t n_cut_evaluated;                    /* captions that were cut, but not trained on */
    asked_t asked[STEPPER_MAX_ASKED];           /* step i is in i % STEPPER_MAX_ASKED */
    int64_t n_begun, n_ended, n_read;           /* steps */
};

/* ---- set-up ---- */

static lens_status alloc_device(stepper_t *s) {
    kernels_t *k = s->k;
    size_t B = (size_t)s->max_batch, n = (size_t)s->max_elements;
    if (s->pipeline.downscale == 1) LENS_TRY(k->alloc(k, &s->pixels, n, "pictures"));
    LENS_TRY(k->alloc(k, &s->data, sizeof(float) * n, "latents"));
    LENS_TRY(k->alloc(k, &s->noise, sizeof(float) * n, "noise"));
    LENS_TRY(k->alloc(k, &s->t, sizeof(float) * B, "timesteps"));
    LENS_TRY(k->alloc(k, &s->x_t, k->act_bytes * n, "noisy latents"));
    LENS_TRY(k->alloc(k, &s->dv, k->act_bytes * n, "gradient of the output"));
    void *loss;
    LENS_TRY(k->alloc(k, &loss, sizeof(double) * (size_t)s->max_samples, "losses"));
    s->loss = loss;
    return LENS_OK;
}

static lens_status alloc_host(stepper_t *s) {
    s->streams = calloc((size_t)s->max_batch, sizeof *s->streams);
    s->host_t = calloc((size_t)s->max_batch, sizeof *s->host_t);
    bool failed = !s->streams || !s->host_t;
    for (int i = 0; i < STEPPER_MAX_ASKED; i++) {
        s->asked[i].sample = calloc((size_t)s->max_samples, sizeof *s->asked[i].sample);
        failed |= !s->asked[i].sample;
    }
    return failed ? lens_fail(LENS_MEMORY, "out of memory for a training step") : LENS_OK;
}

static lens_status alloc_text(stepper_t *s) {
    const text_config_t *t = &s->pipeline.text;
    kernels_t *k = s->k;
    if (t->tokens != TEXT_FEATURES) return text_encoder_new(&s->text, k, t, s->max_batch);
    size_t n = (size_t)(s->max_batch * t->max_tok * t->dim);
    for (int64_t i = 0; i < s->pipeline.mmdit.num_text_layers; i++)
        LENS_TRY(k->alloc(k, &s->features[i], k->act_bytes * n, "text features"));
    LENS_TRY(k->alloc(k, &s->stage, sizeof(float) * n, "text features on their way"));
    s->host_features = malloc(sizeof(float) * n);
    return s->host_features ? LENS_OK : lens_fail(LENS_MEMORY, "out of memory for text features");
}

lens_status stepper_new(stepper_t **out, kernels_t *k, const train_config_t *c, const pipeline_config_t *p,
                        const mmdit_shape_t *shapes, int n_shapes, int64_t n_batches) {
    *out = NULL;
    stepper_t *s = calloc(1, sizeof *s);
    if (!s) return lens_fail(LENS_MEMORY, "out of memory for a training step");
    *s = (stepper_t){
        .k = k, .config = c, .pipeline = *p, .side = p->mmdit.patch_size * p->downscale, .C = p->mmdit.in_channels};
    lens_status st = LENS_OK;
    mmdit_limits_t limits = {.checkpointing = train_config_checkpointing(c),
                             .lora_rank = c->lora.rank,
                             .shapes = shapes,
                             .n_shapes = n_shapes,
                             .backward = true};
    for (int i = 0; i < n_shapes; i++) {
        int64_t n = shapes[i].B * shapes[i].N * s->C;
        if (shapes[i].B > s->max_batch) s->max_batch = shapes[i].B;
        if (n > s->max_elements) s->max_elements = n;
    }
    s->max_micro = n_batches * c->train.accumulate;
    s->max_samples = s->max_micro * s->max_batch;
    LENS_GO(alloc_host(s));
    LENS_GO(mmdit_new(&s->model, k, &p->mmdit, &limits));
    LENS_GO(alloc_text(s));
    s->trains_text = s->text && c->lora.rank == 0;
    LENS_GO(alloc_device(s));
    *out = s;
done:
    if (st != LENS_OK) stepper_free(s);
    return st;
}

void stepper_free(stepper_t *s) {
    if (!s) return;
    void *device[] = {s->pixels, s->data, s->noise, s->t, s->x_t, s->dv, s->loss, s->stage};
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++) s->k->free(s->k, device[i]);
    for (int i = 0; i < MMDIT_MAX_TEXT_LAYERS; i++) s->k->free(s->k, s->features[i]);
    free(s->host_features);
    text_encoder_free(s->text);
    mmdit_free(s->model);
    free(s->streams);
    free(s->host_t);
    for (int i = 0; i < STEPPER_MAX_ASKED; i++) free(s->asked[i].sample);
    free(s);
}

int64_t stepper_n_cut(const stepper_t *s) {
    return s->text ? text_encoder_n_cut(s->text) - s->n_cut_evaluated : 0;
}
const plan_t *stepper_activations(const stepper_t *s) {
    return mmdit_activations(s->model);
}

/* ---- a micro-batch ---- */

/* Rows [first, first + n) of a batch. */
typedef struct {
    const step_batch_t *batch;
    int64_t first, n, h, w;
    double weight; /* of a sample in the mean over the step */
    mmdit_input_t in;
    act_t *dtext[MMDIT_MAX_TEXT_LAYERS];
} micro_t;

/* Of each sample by (seed, epoch, sample). */
static void draw_noise_and_t(stepper_t *s, const micro_t *u) {
    uint64_t seed = (uint64_t)s->config->run.seed;
    double mu = train_config_mu(s->config, u->h * u->w);
    for (int64_t i = 0; i < u->n; i++) {
        uint32_t epoch = u->batch->epoch[u->first + i];
        uint64_t sample = (uint64_t)u->batch->sample[u->first + i];
        rng_t r = rng_stream(seed, epoch, sample, RNG_TIMESTEP);
        s->host_t[i] = (float)flow_draw_t(&r, mu, s->config->flow.spread);
        s->streams[i] = rng_stream(seed, epoch, sample, RNG_NOISE);
    }
}

/* Noisy latents, by host_t and streams. */
static void make_noisy(stepper_t *s, const micro_t *u) {
    kernels_t *k = s->k;
    const step_batch_t *b = u->batch;
    int64_t n = u->h * u->w * s->C;
    k->upload(k, s->t, s->host_t, sizeof(float) * (size_t)u->n);
    if (b->latents) {
        k->upload(k, s->data, b->latents + u->first * n, sizeof(float) * (size_t)(u->n * n));
    } else {
        k->upload(k, s->pixels, b->pixels + u->first * n, (size_t)(u->n * n));
        k->patchify(k, s->data, s->pixels, u->n, u->h, u->w, s->pipeline.mmdit.patch_size);
    }
    k->noise(k, s->noise, s->streams, u->n, n);
    k->flow_mix(k, s->x_t, s->data, s->noise, s->t, u->n, n);
}

/* Given features, layer by layer, padded to little more than the longest text of the micro-batch. */
static void upload_features(stepper_t *s, micro_t *u) {
    const text_config_t *t = &s->pipeline.text;
    int64_t layers = s->pipeline.mmdit.num_text_layers, e = t->dim;
    kernels_t *k = s->k;
    u->in.text_len = u->batch->n_tok + u->first;
    for (int64_t b = 0; b < u->n; b++)
        if (u->in.text_len[b] > u->in.T) u->in.T = u->in.text_len[b];
    u->in.T = kernels_padded_tokens(k, u->in.T, t->max_tok);
    for (int64_t l = 0; l < layers; l++) {
        float *to = s->host_features;
        for (int64_t b = 0; b < u->n; b++)
            for (int64_t j = 0; j < u->in.T; j++, to += e) {
                const float *from = u->batch->features + (((u->first + b) * t->max_tok + j) * layers + l) * e;
                for (int64_t i = 0; i < e; i++) to[i] = from[i];
            }
        k->upload(k, s->stage, s->host_features, sizeof(float) * (size_t)(u->n * u->in.T * e));
        k->to_act(k, s->features[l], s->stage, u->n * u->in.T * e);
        u->in.text[l] = s->features[l];
    }
}

static lens_status set_input(stepper_t *s, const pipeline_tensors_t *w, micro_t *u) {
    act_t *features;
    u->in = (mmdit_input_t){.B = u->n, .h = u->h, .w = u->w, .x_t = s->x_t, .t = s->t};
    if (!s->text) {
        upload_features(s, u);
        return LENS_OK;
    }
    LENS_TRY(text_encoder_forward(s->text, w->embedding, u->batch->caption + u->first, u->n, &features, &u->in.text_len,
                                  &u->in.T));
    u->in.text[0] = features;
    u->dtext[0] = s->trains_text ? text_encoder_dfeatures(s->text) : NULL;
    return LENS_OK;
}

static asked_t *under_way(stepper_t *s) {
    return &s->asked[(s->n_begun - 1) % STEPPER_MAX_ASKED];
}

static int micro_mark(const asked_t *a, int64_t micro, int mark) {
    return a->first_mark + MARK_MICRO + (int)micro * MICRO_MARKS + mark;
}
static int end_mark(const asked_t *a) {
    return micro_mark(a, a->n_micro, 0);
}

/* What is known of its samples before their losses are. */
static void note_samples(stepper_t *s, const micro_t *u) {
    asked_t *a = under_way(s);
    for (int64_t i = 0; i < u->n; i++) {
        a->sample[a->n_samples++] = (sample_t){.t = (double)s->host_t[i], .weight = u->weight};
        a->sums.flop += 3 * mmdit_forward_flop(&s->pipeline.mmdit, u->h * u->w, u->in.text_len[i]);
        a->sums.n_images++;
        a->sums.n_text_tok += u->in.text_len[i];
    }
}

static lens_status run_micro(stepper_t *s, train_state_t *state, micro_t *u, bool last) {
    kernels_t *k = s->k;
    asked_t *a = under_way(s);
    double *loss = s->loss + a->n_samples;
    act_t *v;
    mmdit_watch_t forward = train_state_watch_forward(state), backward = train_state_watch_backward(state);
    LENS_ASSERT(a->n_micro < s->max_micro, "micro-batch %lld of %lld", (long long)a->n_micro, (long long)s->max_micro);
    k->mark(k, micro_mark(a, a->n_micro, MICRO_BEGIN));
    train_state_begin_micro(state, last);
    draw_noise_and_t(s, u);
    make_noisy(s, u);
    forward.begin(forward.arg, MMDIT_PART_INPUTS); /* the embedding is of it too */
    LENS_TRY(set_input(s, &state->weights, u));
    k->mark(k, micro_mark(a, a->n_micro, MICRO_INPUT));
    LENS_TRY(mmdit_forward(s->model, &state->weights.mmdit, &u->in, &forward, &v));
    k->flow_loss(k, loss, s->dv, v, s->data, s->noise, (float)u->weight, u->n, u->h * u->w * s->C);
    k->sum_losses(k, state->sums + 1, loss, u->weight, u->n);
    k->mark(k, micro_mark(a, a->n_micro, MICRO_FORWARD));
    mmdit_backward(s->model, &state->weights.mmdit, &state->grads.mmdit, &u->in, s->dv, u->dtext, &backward);
    if (s->trains_text && u->in.T > 0) text_encoder_backward(s->text, state->grads.embedding);
    train_state_end_inputs(state);
    k->mark(k, micro_mark(a, a->n_micro, MICRO_BACKWARD));
    note_samples(s, u);
    a->n_micro++;
    return LENS_OK;
}

lens_status stepper_evaluate(stepper_t *s, const pipeline_tensors_t *w, const step_batch_t *b, const rng_t *noise,
                             double t, double *loss) {
    kernels_t *k = s->k;
    LENS_ASSERT(stepper_n_asked(s) == 0, "%d steps are under way", stepper_n_asked(s));
    LENS_ASSERT(b->n <= s->max_batch, "%lld samples of at most %lld", (long long)b->n, (long long)s->max_batch);
    micro_t u = {.batch = b, .n = b->n, .h = b->height / s->side, .w = b->width / s->side};
    int64_t n_cut = stepper_n_cut(s);
    act_t *v;
    for (int64_t i = 0; i < u.n; i++) {
        s->host_t[i] = (float)t;
        s->streams[i] = noise[i];
    }
    make_noisy(s, &u);
    LENS_TRY(set_input(s, w, &u));
    s->n_cut_evaluated += stepper_n_cut(s) - n_cut;
    LENS_TRY(mmdit_forward(s->model, &w->mmdit, &u.in, NULL, &v));
    k->flow_loss(k, s->loss, s->dv, v, s->data, s->noise, 0, u.n, u.h * u.w * s->C);
    k->download(k, loss, s->loss, sizeof(double) * (size_t)u.n);
    return LENS_OK;
}

/* ---- the step ---- */

int stepper_n_asked(const stepper_t *s) {
    return (int)(s->n_ended - s->n_read);
}

void stepper_begin(stepper_t *s, train_state_t *state) {
    int n_asked = stepper_n_asked(s), n_marks = MARK_MICRO + (int)s->max_micro * MICRO_MARKS + 1;
    LENS_ASSERT(n_asked < STEPPER_MAX_ASKED, "%d steps are under way", n_asked);
    const asked_t *before = n_asked > 0 ? under_way(s) : NULL;
    int first = (int)(s->n_begun % MARK_SETS) * n_marks;
    asked_t *a = &s->asked[s->n_begun++ % STEPPER_MAX_ASKED];
    *a = (asked_t){.sample = a->sample, .first_mark = first, .after = before ? end_mark(before) : first + MARK_BEGIN};
    s->k->mark(s->k, first + MARK_BEGIN);
    train_state_zero_grads(state);
}

lens_status stepper_batch(stepper_t *s, train_state_t *state, const step_batch_t *b, bool last) {
    int64_t n_micro = s->config->train.accumulate, n = b->n / n_micro;
    LENS_ASSERT(n <= s->max_batch && n * n_micro == b->n, "%lld samples in %lld micro-batches of at most %lld",
                (long long)b->n, (long long)n_micro, (long long)s->max_batch);
    for (int64_t i = 0; i < n_micro; i++) {
        micro_t u = {.batch = b,
                     .first = i * n,
                     .n = n,
                     .h = b->height / s->side,
                     .w = b->width / s->side,
                     .weight = (double)b->width * b->height / (double)b->px_step};
        LENS_TRY(run_micro(s, state, &u, last && i + 1 == n_micro));
    }
    return LENS_OK;
}

lens_status stepper_end(stepper_t *s, train_state_t *state, const step_update_t *u) {
    kernels_t *k = s->k;
    asked_t *a = under_way(s);
    step_rule_t rule = {.max_norm = s->config->train.clip,
                        .max_zscore = s->config->train.skip_zscore,
                        .beta1 = u->adamw.beta1,
                        .beta2 = u->adamw.beta2};
    a->sums.votes = u->vote;
    train_state_judge(state, &rule);
    LENS_TRY(state->coll->check(state->coll));
    train_state_update(state, &u->adamw);
    k->mark(k, end_mark(a));
    a->losses = k->fetch_begin(k, s->loss, sizeof *s->loss * (size_t)a->n_samples);
    a->gate = k->fetch_begin(k, state->gate, sizeof *state->gate);
    a->comm = state->coll->times(state->coll);
    s->n_ended++;
    return LENS_OK;
}

/* ---- its results ---- */

static void add_losses(asked_t *a, const double *loss) {
    for (int64_t i = 0; i < a->n_samples; i++) {
        a->sums.loss += a->sample[i].weight * loss[i];
        loss_bins_add(&a->sums.bins, a->sample[i].t, loss[i], a->sample[i].weight);
    }
}

static step_times_t times_of(kernels_t *k, const asked_t *a) {
    step_times_t t = {.exposed_s = a->comm.exposed_s, .comm_s = a->comm.busy_s};
    for (int64_t i = 0; i < a->n_micro; i++) {
        t.input_s += k->marked_s(k, micro_mark(a, i, MICRO_BEGIN), micro_mark(a, i, MICRO_INPUT));
        t.forward_s += k->marked_s(k, micro_mark(a, i, MICRO_INPUT), micro_mark(a, i, MICRO_FORWARD));
        t.backward_s += k->marked_s(k, micro_mark(a, i, MICRO_FORWARD), micro_mark(a, i, MICRO_BACKWARD));
    }
    if (a->n_micro > 0) t.update_s = k->marked_s(k, micro_mark(a, a->n_micro - 1, MICRO_BACKWARD), end_mark(a));
    t.step_s = k->marked_s(k, a->after, end_mark(a));
    return t;
}

lens_status stepper_result(stepper_t *s, train_state_t *state, comm_t *comm, step_result_t *out) {
    kernels_t *k = s->k;
    LENS_ASSERT(stepper_n_asked(s) > 0, "%d steps were asked for", stepper_n_asked(s));
    asked_t *a = &s->asked[s->n_read++ % STEPPER_MAX_ASKED];
    const void *losses, *gate;
    LENS_TRY(k->fetch_end(k, a->losses, &losses));
    LENS_TRY(k->fetch_end(k, a->gate, &gate));
    LENS_TRY(state->coll->check(state->coll));
    add_losses(a, losses);
    LENS_TRY(comm_sum_f64(comm, (double *)&a->sums, sizeof a->sums / sizeof(double), "losses"));
    *out = (step_result_t){.loss = a->sums.loss,
                           .model_flop = a->sums.flop,
                           .n_images = a->sums.n_images,
                           .n_text_tok = a->sums.n_text_tok,
                           .bins = a->sums.bins,
                           .gate = *(const step_gate_t *)gate,
                           .votes = a->sums.votes,
                           .times = times_of(k, a)};
    return LENS_OK;
}
