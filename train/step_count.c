#include "train/step_count.h"

#include <stdlib.h>

#include "base/str.h"
#include "train/step.h"

typedef struct {
    const train_config_t *c;
    const step_count_options_t *o;
    kernels_t *k;
    collectives_t *coll;
    pipeline_config_t pipeline;
    bucket_t bucket;
    int64_t rows, per_step; /* samples of this rank's part of a batch; batches of it a step */
    train_state_t state;
    stepper_t *stepper;
    step_batch_t batch; /* zeros, and what owns them: */
    void *values, *features;
    int64_t *sample;
    uint32_t *epoch;
    int32_t *n_tok;
    const char **caption;
    str_t text;
} counter_t;

static lens_status find_batch(counter_t *t) {
    bucket_list_t l;
    int64_t batch[BUCKET_MAX], sharing;
    LENS_TRY(train_config_pipeline(&t->pipeline, t->c));
    LENS_TRY(train_config_buckets(&l, t->c));
    LENS_TRY(train_config_batch(batch, t->c, &l));
    LENS_TRY(train_config_shares(&sharing, &t->per_step, t->c, t->o->world));
    if (t->o->bucket < 0 || t->o->bucket >= l.n)
        return lens_fail(LENS_ARGUMENT, "bucket %d: expected 0 to %d", t->o->bucket, l.n - 1);
    if (t->o->text_tok < 0 || t->o->text_tok > t->c->text.max_tok)
        return lens_fail(LENS_ARGUMENT, "captions of %lld tokens: text.max_tok is %lld", (long long)t->o->text_tok,
                         (long long)t->c->text.max_tok);
    t->bucket = l.bucket[t->o->bucket];
    t->rows = batch[t->bucket.area] / sharing;
    return LENS_OK;
}

static lens_status open_stepper(counter_t *t) {
    mmdit_shape_t shape = train_config_shape(t->c, &t->bucket, t->rows / t->c->train.accumulate);
    LENS_TRY(kernels_counting_new(&t->k, t->o->act_bytes));
    LENS_TRY(collectives_counting_new(&t->coll, t->o->world));
    LENS_TRY(train_state_init(&t->state, t->k, t->coll, t->c, &t->pipeline));
    return stepper_new(&t->stepper, t->k, t->c, &t->pipeline, &shape, 1);
}

/* Zeros cost nothing until they are read, and then one page. */
static lens_status make_batch(counter_t *t) {
    const text_config_t *text = &t->pipeline.text;
    int64_t side = t->pipeline.mmdit.patch_size * t->pipeline.downscale, rows = t->rows;
    int64_t tokens = (t->bucket.width / side) * (t->bucket.height / side), n = rows * tokens;
    bool is_pictures = t->pipeline.downscale == 1, is_features = text->tokens == TEXT_FEATURES;
    t->values = calloc((size_t)(n * t->pipeline.mmdit.in_channels), is_pictures ? 1 : sizeof(float));
    t->sample = calloc((size_t)rows, sizeof *t->sample);
    t->epoch = calloc((size_t)rows, sizeof *t->epoch);
    t->n_tok = calloc((size_t)rows, sizeof *t->n_tok);
    t->caption = calloc((size_t)rows, sizeof *t->caption);
    if (is_features)
        t->features =
            calloc((size_t)(rows * text->max_tok * t->pipeline.mmdit.num_text_layers * text->dim), sizeof(float));
    if (!t->values || !t->sample || !t->epoch || !t->n_tok || !t->caption || (is_features && !t->features))
        return lens_fail(LENS_MEMORY, "out of memory for a batch of %lld", (long long)rows);
    for (int64_t i = 0; i < t->o->text_tok; i++) str_add(&t->text, text->tokens == TEXT_BYTES ? "a" : "a ");
    LENS_TRY(str_status(&t->text));
    for (int64_t i = 0; i < rows; i++) {
        t->sample[i] = i;
        t->n_tok[i] = (int32_t)t->o->text_tok;
        t->caption[i] = str_text(&t->text);
    }
    t->batch = (step_batch_t){.n = rows,
                              .width = t->bucket.width,
                              .height = t->bucket.height,
                              .px_step = (int64_t)t->bucket.width * t->bucket.height * rows * t->per_step * t->o->world,
                              .sample = t->sample,
                              .epoch = t->epoch,
                              .pixels = is_pictures ? t->values : NULL,
                              .latents = is_pictures ? NULL : t->values,
                              .caption = is_features ? NULL : t->caption,
                              .features = t->features,
                              .n_tok = t->n_tok};
    return LENS_OK;
}

/* Positions and the like are uploaded with the first step of a size, and not again: the second is counted. */
static lens_status run_step(counter_t *t, comm_t *comm, step_result_t *r) {
    const step_update_t u = {.adamw = {.lr = 1e-4f, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f, .step = 1}};
    counting_reset(t->k);
    stepper_begin(t->stepper, &t->state);
    for (int64_t i = 0; i < t->per_step; i++)
        LENS_TRY(stepper_batch(t->stepper, &t->state, &t->batch, i + 1 == t->per_step));
    return stepper_end(t->stepper, &t->state, comm, &u, r);
}

static lens_status count_steps(counter_t *t, comm_t *comm, step_count_t *out) {
    step_result_t r;
    LENS_TRY(find_batch(t));
    LENS_TRY(open_stepper(t));
    LENS_TRY(make_batch(t));
    LENS_TRY(run_step(t, comm, &r));
    double before = collectives_counting_sent(t->coll);
    LENS_TRY(run_step(t, comm, &r));
    *out = (step_count_t){.k = t->k,
                          .model_flop = r.model_flop,
                          .n_images = r.n_images,
                          .sent_bytes = collectives_counting_sent(t->coll) - before,
                          .device_bytes = counting_allocated(t->k)};
    return LENS_OK;
}

lens_status step_count_make(step_count_t *out, const train_config_t *c, comm_t *comm, const step_count_options_t *o) {
    counter_t t = {.c = c, .o = o};
    *out = (step_count_t){0};
    lens_status st = count_steps(&t, comm, out);
    stepper_free(t.stepper);
    train_state_free(&t.state);
    collectives_free(t.coll);
    if (st != LENS_OK) kernels_free(t.k);
    free(t.values);
    free(t.features);
    free(t.sample);
    free(t.epoch);
    free(t.n_tok);
    free(t.caption);
    str_free(&t.text);
    return st;
}

void step_count_free(step_count_t *s) {
    kernels_free(s->k);
    *s = (step_count_t){0};
}

int step_count_bucket(const bucket_list_t *l, int area) {
    int first = -1;
    for (int i = 0; i < l->n; i++) {
        const bucket_t *b = &l->bucket[i];
        if (b->area != area) continue;
        if (b->width == b->height) return i;
        if (first < 0) first = i;
    }
    return first;
}
