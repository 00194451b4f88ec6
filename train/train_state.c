#include "train/train_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BF16_BYTES = 2 };

/* ---- buffers ---- */

static lens_status alloc_floats(train_state_t *s, float **out, int64_t n, const char *what) {
    void *p;
    LENS_TRY(s->k->alloc(s->k, &p, sizeof(float) * (size_t)n, what));
    *out = p;
    return LENS_OK;
}

static void add_field(train_state_t *s, float *own, const char *name) {
    train_field_t *f = &s->field[s->n_fields++];
    snprintf(f->name, sizeof f->name, "%s", name);
    f->own = own;
}

static bool is_shared_out(const train_state_t *s) {
    return s->partition.n_pieces > 1;
}

/* On the CPU, where nothing is shared out, products read the masters themselves. */
static lens_status alloc_weights(train_state_t *s) {
    kernels_t *k = s->k;
    void *p;
    LENS_TRY(k->alloc(k, &p, k->act_bytes * (size_t)s->partition.n, "weights"));
    s->acts = p;
    s->w = s->acts;
    if (is_shared_out(s) || k->act_bytes != sizeof(float))
        LENS_TRY(alloc_floats(s, &s->w, s->partition.n_own, "master weights"));
    add_field(s, s->w, "w");
    return LENS_OK;
}

/* narrow: ranks add them up as bf16. */
static lens_status alloc_gradients(train_state_t *s, bool narrow) {
    int64_t n = s->zero == 2 ? 2 * s->partition.n_largest_group : s->partition.n;
    LENS_TRY(alloc_floats(s, &s->g, n, "gradients"));
    if (s->zero == 2) LENS_TRY(alloc_floats(s, &s->g_own, s->partition.n_own, "own gradients"));
    void *p;
    if (narrow) {
        LENS_TRY(s->k->alloc(s->k, &p, s->k->act_bytes * (size_t)(2 * s->partition.n_largest_group), "bf16 gradients"));
        s->narrow = p;
    }
    LENS_TRY(alloc_floats(s, &s->scale, 1, "gradient scale"));
    LENS_TRY(s->k->alloc(s->k, &p, sizeof(double), "gradient norm"));
    s->sum_sq = p;
    return LENS_OK;
}

static lens_status alloc_moments(train_state_t *s, const train_config_t *c) {
    LENS_TRY(alloc_floats(s, &s->m, s->partition.n_own, "first moments"));
    add_field(s, s->m, "m");
    LENS_TRY(alloc_floats(s, &s->v, s->partition.n_own, "second moments"));
    add_field(s, s->v, "v");
    int n_ema = train_config_ema(s->ema_decay, c);
    for (s->n_ema = 0; s->n_ema < n_ema; s->n_ema++) {
        char name[24];
        LENS_TRY(alloc_floats(s, &s->ema[s->n_ema], s->partition.n_own, "averages of weights"));
        snprintf(name, sizeof name, "ema.%.10g", s->ema_decay[s->n_ema]);
        add_field(s, s->ema[s->n_ema], name);
    }
    return LENS_OK;
}

/* The rows that are trained, and their gradients' places in the model. */
static lens_status plan_all(train_state_t *s, const pipeline_config_t *p, size_t align) {
    LENS_TRY(pipeline_tensors_init(&s->weights, p, align));
    LENS_TRY(pipeline_tensors_init(&s->grads, p, align));
    s->plan = &s->weights.plan;
    return LENS_OK;
}

static lens_status plan_adapters(train_state_t *s, const pipeline_config_t *p, size_t align) {
    LENS_TRY(pipeline_tensors_init(&s->weights, p, 0));
    s->adapters.group_align = s->grads.plan.group_align = align;
    LENS_TRY(mmdit_plan_lora(&s->adapters, &s->weights.mmdit, &p->mmdit, &s->lora));
    LENS_TRY(mmdit_plan_lora(&s->grads.plan, &s->grads.mmdit, &p->mmdit, &s->lora));
    s->plan = &s->adapters;
    void *frozen;
    LENS_TRY(s->k->alloc(s->k, &frozen, s->k->act_bytes * (size_t)plan_n_floats(&s->weights.plan), "frozen weights"));
    s->frozen = frozen;
    plan_bind_as(&s->weights.plan, s->frozen, s->k->act_bytes);
    return LENS_OK;
}

static float *stage_of(const train_state_t *s, int group) {
    return s->g + (group % 2) * s->partition.n_largest_group;
}

/* At zero 2 a group is bound anew whenever it gets its stage; but what is bound says what is trained, from the first
 * step on. */
static void bind_gradients(train_state_t *s) {
    if (s->zero < 2) {
        plan_bind(&s->grads.plan, s->g);
        return;
    }
    for (int i = 0; i < s->partition.n_groups; i++) {
        const partition_group_t *g = &s->partition.group[i];
        plan_bind_group(&s->grads.plan, g->first_part, g->last_part, stage_of(s, i), g->first);
    }
}

/* Whether gradients are sent as bf16, which to_act makes where activations are. */
static lens_status check_reduce(bool *narrow, const kernels_t *k, const collectives_t *coll, const train_config_t *c) {
    *narrow = strcmp(c->train.reduce, "bfloat16") == 0;
    if (*narrow && k->act_bytes != BF16_BYTES)
        return lens_fail(LENS_ARGUMENT,
                         "train.reduce bfloat16: needs a GPU, with activations in bf16; device %s has %zu bytes each",
                         k->name, k->act_bytes);
    *narrow = *narrow && coll->world > 1;
    return LENS_OK;
}

lens_status train_state_init(train_state_t *s, kernels_t *k, collectives_t *coll, const train_config_t *c,
                             const pipeline_config_t *p) {
    *s = (train_state_t){.k = k,
                         .coll = coll,
                         .zero = coll->world > 1 ? (int)c->train.zero : 0,
                         .lora = {.rank = c->lora.rank, .alpha = c->lora.alpha, .targets = c->lora.targets},
                         .staged = {-1, -1},
                         .narrowed = {-1, -1}};
    int pieces = s->zero > 0 ? coll->world : 1, piece = s->zero > 0 ? coll->rank : 0;
    size_t align = partition_group_align(pieces), group_bytes = (size_t)(c->train.group_mb * (1 << 20));
    bool narrow;
    lens_status st = LENS_OK;
    LENS_GO(check_reduce(&narrow, k, coll, c));
    LENS_GO(train_state_is_lora(s) ? plan_adapters(s, p, align) : plan_all(s, p, align));
    LENS_GO(partition_init(&s->partition, s->plan, pieces, piece, group_bytes));
    s->reduced = calloc((size_t)s->partition.n_groups, sizeof *s->reduced);
    s->gathered = calloc((size_t)s->partition.n_groups, sizeof *s->gathered);
    if (!s->reduced || !s->gathered) LENS_GO(lens_fail(LENS_MEMORY, "out of memory for the state of training"));
    LENS_GO(alloc_weights(s));
    LENS_GO(alloc_gradients(s, narrow));
    LENS_GO(alloc_moments(s, c));
    if (strcmp(c->train.optimizer, "muon") == 0) LENS_GO(muon_new(&s->muon, k, coll, s->plan, &s->partition));
    plan_bind_as(s->plan, s->acts, k->act_bytes);
    bind_gradients(s);
done:
    if (st != LENS_OK) train_state_free(s);
    return st;
}

void train_state_free(train_state_t *s) {
    if (!s->k) return;
    if ((act_t *)s->w != s->acts) s->k->free(s->k, s->w);
    void *device[] = {s->acts, s->g, s->g_own, s->m, s->v, s->scale, s->sum_sq, s->frozen, s->narrow};
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++) s->k->free(s->k, device[i]);
    for (int i = 0; i < TRAIN_MAX_EMA; i++) s->k->free(s->k, s->ema[i]);
    muon_free(s->muon);
    pipeline_tensors_free(&s->grads);
    pipeline_tensors_free(&s->weights);
    plan_free(&s->adapters);
    partition_free(&s->partition);
    free(s->reduced);
    free(s->gathered);
    *s = (train_state_t){0};
}

size_t train_state_bytes(const train_state_t *s) {
    const partition_t *p = &s->partition;
    int64_t fields = s->n_fields - ((act_t *)s->w == s->acts), grads = p->n;
    if (s->zero == 2) grads = 2 * p->n_largest_group + p->n_own;
    size_t narrow = s->narrow ? s->k->act_bytes * (size_t)(2 * p->n_largest_group) : 0;
    size_t frozen = train_state_is_lora(s) ? s->k->act_bytes * (size_t)plan_n_floats(&s->weights.plan) : 0;
    return frozen + narrow + s->k->act_bytes * (size_t)p->n + sizeof(float) * (size_t)(fields * p->n_own + grads);
}

/* ---- weights ---- */

/* Starts to make a group's new weights everyone's. */
static void send_weights(train_state_t *s, int i) {
    const partition_group_t *g = &s->partition.group[i];
    size_t each = s->k->act_bytes;
    if (is_shared_out(s))
        s->gathered[i] =
            s->coll->all_gather(s->coll, (char *)s->acts + (size_t)g->first * each, (size_t)g->n * each, "weights");
}

lens_status train_state_refresh(train_state_t *s) {
    kernels_t *k = s->k;
    for (int i = 0; i < s->partition.n_groups; i++) {
        const partition_group_t *g = &s->partition.group[i];
        if ((act_t *)s->w != s->acts)
            k->to_act(k, (char *)s->acts + (size_t)g->own_first * k->act_bytes, s->w + g->own_at, g->own_n);
        send_weights(s, i);
    }
    LENS_TRY(s->coll->finish(s->coll));
    return k->finish(k);
}

/* A tensor is drawn whole, as its values follow one another, and of it the slice is kept. */
lens_status train_state_start(train_state_t *s, uint64_t seed) {
    kernels_t *k = s->k;
    int64_t largest = 0;
    for (int i = 0; i < s->partition.n_slices; i++)
        if (s->partition.slice[i].row->n > largest) largest = s->partition.slice[i].row->n;
    float *host = malloc(sizeof(float) * (size_t)largest);
    if (!host) return lens_fail(LENS_MEMORY, "out of memory for initial weights");
    for (int i = 0; i < s->partition.n_slices; i++) {
        const partition_slice_t *slice = &s->partition.slice[i];
        plan_init_row(slice->row, host, seed);
        size_t bytes = sizeof(float) * (size_t)slice->n;
        k->upload(k, s->w + slice->own_at, host + slice->row_first, bytes);
        for (int e = 0; e < s->n_ema; e++) k->upload(k, s->ema[e] + slice->own_at, host + slice->row_first, bytes);
    }
    free(host);
    return train_state_refresh(s);
}

/* ---- gradients ---- */

void train_state_zero_grads(train_state_t *s) {
    if (s->zero < 2)
        s->k->zero(s->k, s->g, sizeof(float) * (size_t)s->partition.n);
    else
        s->k->zero(s->k, s->g_own, sizeof(float) * (size_t)s->partition.n_own);
}

void train_state_begin_micro(train_state_t *s, bool last) {
    s->sends = last || s->zero == 2;
}

/* The gradients of a group while they are on their way: f32 [g->n]. */
static float *sent_grads(const train_state_t *s, int i) {
    return s->zero == 2 ? stage_of(s, i) : s->g + s->partition.group[i].first;
}

static act_t *narrow_stage(const train_state_t *s, int stage) {
    return (char *)s->narrow + (size_t)(stage * s->partition.n_largest_group) * s->k->act_bytes;
}

/* Compute that comes after sees the group's own part of the sum over ranks. */
static void wait_for_sum(train_state_t *s, int i) {
    const partition_group_t *g = &s->partition.group[i];
    const int64_t own = g->own_first - g->first;
    s->coll->wait(s->coll, s->reduced[i]);
    if (s->narrowed[i % 2] != i) return;
    s->k->to_float(s->k, sent_grads(s, i) + own, (char *)narrow_stage(s, i % 2) + (size_t)own * s->k->act_bytes,
                   g->own_n);
    s->narrowed[i % 2] = -1;
}

/* Adds what the group in this stage came to, once it has been summed over ranks. */
static void empty_stage(train_state_t *s, int stage) {
    int i = s->staged[stage];
    if (i < 0) return;
    const partition_group_t *g = &s->partition.group[i];
    wait_for_sum(s, i);
    s->k->axpy(s->k, s->g_own + g->own_at, stage_of(s, i) + (g->own_first - g->first), 1.0f, g->own_n);
    s->staged[stage] = -1;
}

static void begin_forward(void *arg, int64_t part) {
    train_state_t *s = arg;
    int i = partition_group_of_part(&s->partition, part);
    if (part == s->partition.group[i].first_part) s->coll->wait(s->coll, s->gathered[i]);
}

static void begin_backward(void *arg, int64_t part) {
    train_state_t *s = arg;
    int i = partition_group_of_part(&s->partition, part);
    const partition_group_t *g = &s->partition.group[i];
    if (s->zero < 2 || part != g->last_part) return;
    empty_stage(s, i % 2);
    s->k->zero(s->k, stage_of(s, i), sizeof(float) * (size_t)g->n);
    plan_bind_group(&s->grads.plan, g->first_part, g->last_part, stage_of(s, i), g->first);
    s->staged[i % 2] = i;
}

/* Rounds the group to bf16, in the stage that the last but one leaves. */
static void *narrow_group(train_state_t *s, int i) {
    act_t *stage = narrow_stage(s, i % 2);
    if (s->narrowed[i % 2] >= 0) wait_for_sum(s, s->narrowed[i % 2]);
    s->k->to_act(s->k, stage, sent_grads(s, i), s->partition.group[i].n);
    s->narrowed[i % 2] = i;
    return stage;
}

static void end_part(train_state_t *s, int64_t part) {
    int i = partition_group_of_part(&s->partition, part);
    const partition_group_t *g = &s->partition.group[i];
    collectives_t *c = s->coll;
    if (!s->sends || part != g->first_part) return;
    void *x = s->narrow ? narrow_group(s, i) : sent_grads(s, i);
    reduce_type type = s->narrow ? REDUCE_BF16 : REDUCE_F32;
    s->reduced[i] = is_shared_out(s) ? c->reduce_scatter(c, x, g->n, type, "gradients")
                                     : c->all_reduce(c, x, g->n, type, "gradients");
}

static void end_backward(void *arg, int64_t part) {
    if (part != MMDIT_PART_INPUTS) end_part(arg, part); /* the embedding's gradient is still to come */
}

mmdit_watch_t train_state_watch_forward(train_state_t *s) {
    return (mmdit_watch_t){.begin = begin_forward, .arg = s};
}

mmdit_watch_t train_state_watch_backward(train_state_t *s) {
    return (mmdit_watch_t){.begin = begin_backward, .end = end_backward, .arg = s};
}

void train_state_end_inputs(train_state_t *s) {
    end_part(s, MMDIT_PART_INPUTS);
}

/* This rank's gradients of a group. */
static float *own_grads(const train_state_t *s, const partition_group_t *g) {
    return s->zero == 2 ? s->g_own + g->own_at : s->g + g->own_first;
}

lens_status train_state_grad_norm(train_state_t *s, double *norm) {
    kernels_t *k = s->k;
    double sum_sq;
    *norm = 0;
    k->zero(k, s->sum_sq, sizeof(double));
    for (int i = s->partition.n_groups - 1; i >= 0; i--) { /* in the order in which they come */
        const partition_group_t *g = &s->partition.group[i];
        wait_for_sum(s, i);
        if (s->zero == 2 && s->staged[i % 2] == i) empty_stage(s, i % 2);
        k->sum_squares(k, s->sum_sq, own_grads(s, g), g->own_n);
    }
    if (is_shared_out(s)) s->coll->wait(s->coll, s->coll->all_reduce(s->coll, s->sum_sq, 1, REDUCE_F64, "norm"));
    LENS_TRY(s->coll->finish(s->coll));
    k->download(k, &sum_sq, s->sum_sq, sizeof sum_sq);
    *norm = sqrt(sum_sq);
    return LENS_OK;
}

/* ---- the update ---- */

/* Slices [first, return value) of one group with the same weight decay: padding between them is zero and stays so. */
static int end_of_run(const partition_t *p, int first) {
    const partition_slice_t *a = &p->slice[first];
    int end = first + 1;
    while (end < p->n_slices && p->slice[end].group == a->group &&
           (p->slice[end].row->flags & PLAN_NO_DECAY) == (a->row->flags & PLAN_NO_DECAY))
        end++;
    return end;
}

static void update_slices(train_state_t *s, const adamw_t *o, int first, int end) {
    kernels_t *k = s->k;
    const partition_slice_t *a = &s->partition.slice[first], *z = &s->partition.slice[end - 1];
    const partition_group_t *g = &s->partition.group[a->group];
    int64_t n = z->own_at + z->n - a->own_at;
    adamw_t mine = *o;
    if (a->row->flags & PLAN_NO_DECAY) mine.weight_decay = 0;
    k->adamw(k, s->w + a->own_at, (char *)s->acts + (size_t)a->flat_at * k->act_bytes, s->m + a->own_at,
             s->v + a->own_at, own_grads(s, g) + (a->own_at - g->own_at), s->scale, n, &mine);
}

static muon_piece_t muon_piece(const train_state_t *s, int i) {
    const partition_group_t *g = &s->partition.group[i];
    return (muon_piece_t){.master = s->w + g->own_at,
                          .acts = (char *)s->acts + (size_t)g->own_first * s->k->act_bytes,
                          .m = s->m + g->own_at,
                          .v = s->v + g->own_at,
                          .g = own_grads(s, g),
                          .scale = s->scale};
}

/* The momentum of the next group comes together while this one's products are made. */
static void update_by_muon(train_state_t *s, const adamw_t *o, int i) {
    bool ahead = is_shared_out(s) && i + 1 < s->partition.n_groups;
    muon_piece_t piece = muon_piece(s, i), next = muon_piece(s, ahead ? i + 1 : i);
    if (i == 0 || !is_shared_out(s)) muon_begin_group(s->muon, i, &piece, o);
    if (ahead) muon_begin_group(s->muon, i + 1, &next, o);
    muon_end_group(s->muon, i, &piece, o);
}

static void update_by_adamw(train_state_t *s, const adamw_t *o, int *slice, int i) {
    const partition_t *p = &s->partition;
    while (*slice < p->n_slices && p->slice[*slice].group == i) {
        int end = end_of_run(p, *slice);
        update_slices(s, o, *slice, end);
        *slice = end;
    }
}

void train_state_update(train_state_t *s, const adamw_t *o, double clip) {
    kernels_t *k = s->k;
    const partition_t *p = &s->partition;
    double ramp = (1.0 + (double)o->step) / (10.0 + (double)o->step); /* a short history has a short average */
    int slice = 0;
    k->clip_scale(k, s->scale, s->sum_sq, clip);
    for (int i = 0; i < p->n_groups; i++) {
        const partition_group_t *g = &p->group[i];
        if (s->muon)
            update_by_muon(s, o, i);
        else
            update_by_adamw(s, o, &slice, i);
        for (int e = 0; e < s->n_ema; e++)
            k->ema(k, s->ema[e] + g->own_at, s->w + g->own_at, g->own_n,
                   (float)(s->ema_decay[e] < ramp ? s->ema_decay[e] : ramp));
        send_weights(s, i);
    }
}

lens_status train_state_gather(train_state_t *s, const train_field_t *f, int group, const float **out) {
    const partition_group_t *g = &s->partition.group[group];
    kernels_t *k = s->k;
    *out = f->own + g->own_at;
    if (!is_shared_out(s)) return LENS_OK;
    float *whole = s->zero == 2 ? s->g : s->g + g->first; /* gradients are nobody's between steps */
    k->copy(k, whole + (g->own_first - g->first), *out, sizeof(float) * (size_t)g->own_n);
    s->coll->wait(s->coll, s->coll->all_gather(s->coll, whole, sizeof(float) * (size_t)g->n, f->name));
    *out = whole;
    return s->coll->finish(s->coll);
}
