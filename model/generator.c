#include "model/generator.h"

#include <stdlib.h>

#include "model/flow.h"

struct generator {
    kernels_t *k;
    pipeline_config_t config;
    int64_t max_batch, h, w, C;
    mmdit_t *model;
    text_encoder_t *text;
    void *x, *x_act, *v_cond, *v, *t, *pixels; /* device: f32 [n, N, C], act, act, f32, f32 [n], u8 */
    rng_t *streams;                            /* [max_batch] */
    float *host_t;                             /* [max_batch] */
};

static lens_status alloc_device(generator_t *g) {
    kernels_t *k = g->k;
    size_t n = (size_t)(g->max_batch * g->h * g->w * g->C);
    LENS_TRY(k->alloc(k, &g->x, sizeof(float) * n, "latents"));
    LENS_TRY(k->alloc(k, &g->x_act, k->act_bytes * n, "latents"));
    LENS_TRY(k->alloc(k, &g->v_cond, k->act_bytes * n, "velocity"));
    LENS_TRY(k->alloc(k, &g->v, sizeof(float) * n, "velocity"));
    LENS_TRY(k->alloc(k, &g->t, sizeof(float) * (size_t)g->max_batch, "timesteps"));
    return k->alloc(k, &g->pixels, n, "pictures");
}

lens_status generator_new(generator_t **out, kernels_t *k, const pipeline_config_t *c, int64_t max_batch,
                          int64_t lora_rank) {
    *out = NULL;
    LENS_TRY(pipeline_config_check(c));
    generator_t *g = calloc(1, sizeof *g);
    if (!g) return lens_fail(LENS_MEMORY, "out of memory for the sampler");
    *g = (generator_t){.k = k,
                       .config = *c,
                       .max_batch = max_batch,
                       .h = pipeline_grid_h(c),
                       .w = pipeline_grid_w(c),
                       .C = c->mmdit.in_channels};
    lens_status st = LENS_OK;
    mmdit_shape_t shape = {.B = max_batch, .N = g->h * g->w, .T = c->text.max_tok};
    mmdit_limits_t limits = {.shapes = &shape, .n_shapes = 1, .lora_rank = lora_rank};
    g->streams = calloc((size_t)max_batch, sizeof *g->streams);
    g->host_t = calloc((size_t)max_batch, sizeof *g->host_t);
    if (!g->streams || !g->host_t) LENS_GO(lens_fail(LENS_MEMORY, "out of memory for the sampler"));
    LENS_GO(mmdit_new(&g->model, k, &c->mmdit, &limits));
    LENS_GO(text_encoder_new(&g->text, k, &c->text, max_batch));
    LENS_GO(alloc_device(g));
    *out = g;
done:
    if (st != LENS_OK) generator_free(g);
    return st;
}

void generator_free(generator_t *g) {
    if (!g) return;
    void *device[] = {g->x, g->x_act, g->v_cond, g->v, g->t, g->pixels};
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++) g->k->free(g->k, device[i]);
    text_encoder_free(g->text);
    mmdit_free(g->model);
    free(g->streams);
    free(g->host_t);
    free(g);
}

/* g->v = guided velocity at g->x. The unconditional pass has no text at all, as in training with a dropped caption. */
static lens_status velocity(generator_t *g, const pipeline_tensors_t *t, mmdit_input_t *in, double guidance) {
    kernels_t *k = g->k;
    int64_t R = in->B * g->h * g->w, n = R * g->C, T = in->T;
    act_t *v;
    k->to_act(k, g->x_act, g->x, n);
    LENS_TRY(mmdit_forward(g->model, &t->mmdit, in, NULL, &v));
    k->to_float(k, g->v, v, n);
    if (guidance == 1.0 || T == 0) return LENS_OK;
    k->to_act(k, g->v_cond, g->v, n); /* the next pass overwrites v */
    in->T = 0;
    lens_status st = mmdit_forward(g->model, &t->mmdit, in, NULL, &v);
    in->T = T;
    if (st == LENS_OK) k->guide(k, g->v, g->v_cond, v, (float)guidance, R, g->C);
    return st;
}

lens_status generator_run(generator_t *g, const pipeline_tensors_t *t, const char *const *prompts, int64_t n,
                          const generator_options_t *o, uint8_t *pixels) {
    LENS_ASSERT(n >= 1 && n <= g->max_batch, "%lld pictures of at most %lld", (long long)n, (long long)g->max_batch);
    kernels_t *k = g->k;
    int64_t each = g->h * g->w * g->C;
    double mu = g->config.sampling_mu_auto ? flow_sampling_mu(g->h * g->w, o->steps) : g->config.sampling_mu;
    double *schedule = malloc(sizeof *schedule * (size_t)(o->steps + 1));
    if (!schedule) return lens_fail(LENS_MEMORY, "out of memory for %lld sampling steps", (long long)o->steps);
    flow_schedule(schedule, o->steps, mu);
    lens_status st = LENS_OK;
    act_t *features;
    mmdit_input_t in = {.B = n, .h = g->h, .w = g->w, .x_t = g->x_act, .t = g->t};
    LENS_GO(text_encoder_forward(g->text, t->embedding, prompts, n, &features, &in.text_len, &in.T));
    in.text[0] = features;
    for (int64_t i = 0; i < n; i++) g->streams[i] = rng_stream(o->seed, 0, o->first_index + (uint64_t)i, RNG_SAMPLER);
    k->noise(k, g->x, g->streams, n, each);
    for (int64_t step = 0; step < o->steps; step++) {
        for (int64_t i = 0; i < n; i++) g->host_t[i] = (float)schedule[step];
        k->upload(k, g->t, g->host_t, sizeof(float) * (size_t)n);
        LENS_GO(velocity(g, t, &in, o->guidance));
        k->axpy(k, g->x, g->v, (float)(schedule[step + 1] - schedule[step]), n * each);
    }
    k->unpatchify(k, g->pixels, g->x, n, g->h, g->w, g->config.mmdit.patch_size);
    k->download(k, pixels, g->pixels, (size_t)(n * each));
    st = k->finish(k);
done:
    free(schedule);
    return st;
}
