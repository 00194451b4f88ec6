#include "train/train_state.h"

#include <math.h>
#include <stdlib.h>

static lens_status alloc_floats(train_state_t *s, float **out, int64_t n, const char *what) {
    void *p;
    LENS_TRY(s->k->alloc(s->k, &p, sizeof(float) * (size_t)n, what));
    *out = p;
    return LENS_OK;
}

static lens_status alloc_buffers(train_state_t *s) {
    kernels_t *k = s->k;
    void *p;
    LENS_TRY(alloc_floats(s, &s->master, s->n, "weights"));
    LENS_TRY(alloc_floats(s, &s->g, s->n, "gradients"));
    LENS_TRY(alloc_floats(s, &s->m, s->n, "first moments"));
    LENS_TRY(alloc_floats(s, &s->v, s->n, "second moments"));
    LENS_TRY(alloc_floats(s, &s->ema, s->n, "average of weights"));
    LENS_TRY(alloc_floats(s, &s->scale, 1, "gradient scale"));
    LENS_TRY(k->alloc(k, &p, sizeof(double), "gradient norm"));
    s->sum_sq = p;
    s->acts = s->master;
    if (k->act_bytes != sizeof(float))
        LENS_TRY(k->alloc(k, &s->acts, k->act_bytes * (size_t)s->n, "weights for products"));
    s->host = malloc(sizeof(float) * (size_t)s->n);
    return s->host ? LENS_OK : lens_fail(LENS_MEMORY, "out of memory for %lld floats of staging", (long long)s->n);
}

lens_status train_state_init(train_state_t *s, kernels_t *k, const pipeline_config_t *c) {
    *s = (train_state_t){.k = k};
    lens_status st = LENS_OK;
    LENS_GO(pipeline_tensors_init(&s->weights, c, 0));
    LENS_GO(pipeline_tensors_init(&s->grads, c, 0));
    LENS_GO(pipeline_tensors_init(&s->average, c, 0));
    s->n = plan_n_floats(&s->weights.plan);
    LENS_GO(alloc_buffers(s));
    plan_bind_as(&s->weights.plan, s->acts, k->act_bytes);
    plan_bind(&s->grads.plan, s->g);
    plan_bind(&s->average.plan, s->ema);
done:
    if (st != LENS_OK) train_state_free(s);
    return st;
}

void train_state_free(train_state_t *s) {
    if (!s->k) return;
    if (s->acts != s->master) s->k->free(s->k, s->acts);
    void *device[] = {s->master, s->g, s->m, s->v, s->ema, s->scale, s->sum_sq};
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++) s->k->free(s->k, device[i]);
    pipeline_tensors_free(&s->weights);
    pipeline_tensors_free(&s->grads);
    pipeline_tensors_free(&s->average);
    free(s->host);
    *s = (train_state_t){0};
}

void train_state_refresh(train_state_t *s) {
    s->k->to_act(s->k, s->acts, s->master, s->n);
}

lens_status train_state_start(train_state_t *s, uint64_t seed) {
    kernels_t *k = s->k;
    size_t bytes = sizeof(float) * (size_t)s->n;
    for (int64_t i = 0; i < s->n; i++) s->host[i] = 0;
    plan_init_weights(&s->weights.plan, s->host, seed);
    k->upload(k, s->master, s->host, bytes);
    k->upload(k, s->ema, s->host, bytes);
    train_state_refresh(s);
    return k->finish(k);
}

lens_status train_state_reduce(train_state_t *s, comm_t *comm) {
    if (comm_world(comm) == 1) return LENS_OK;
    kernels_t *k = s->k;
    size_t bytes = sizeof(float) * (size_t)s->n;
    k->download(k, s->host, s->g, bytes);
    LENS_TRY(comm_sum_f32(comm, s->host, s->n, "gradients"));
    k->upload(k, s->g, s->host, bytes);
    return LENS_OK;
}

/* One call for each run of rows with the same weight decay. */
static void update_rows(train_state_t *s, const adamw_t *o) {
    const plan_t *p = &s->weights.plan;
    kernels_t *k = s->k;
    for (int first = 0; first < p->n;) {
        unsigned spared = p->rows[first].flags & PLAN_NO_DECAY;
        int last = first;
        while (last + 1 < p->n && (p->rows[last + 1].flags & PLAN_NO_DECAY) == spared) last++;
        size_t at = p->rows[first].offset_bytes / sizeof(float);
        int64_t end = (int64_t)(p->rows[last].offset_bytes / sizeof(float)) + p->rows[last].n;
        adamw_t mine = *o;
        if (spared) mine.weight_decay = 0;
        k->adamw(k, s->master + at, (char *)s->acts + at * k->act_bytes, s->m + at, s->v + at, s->g + at, s->scale,
                 end - (int64_t)at, &mine);
        first = last + 1;
    }
}

void train_state_update(train_state_t *s, const adamw_t *o, double clip, double ema_decay, double *grad_norm) {
    kernels_t *k = s->k;
    double sum_sq;
    k->zero(k, s->sum_sq, sizeof(double));
    k->sum_squares(k, s->sum_sq, s->g, s->n);
    k->clip_scale(k, s->scale, s->sum_sq, clip);
    update_rows(s, o);
    k->ema(k, s->ema, s->master, s->n, (float)ema_decay);
    k->download(k, &sum_sq, s->sum_sq, sizeof sum_sq);
    *grad_norm = sqrt(sum_sq);
}
