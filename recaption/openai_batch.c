#include "recaption/openai_batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "recaption/batch_out.h"

typedef struct {
    captioner_t base; /* first */
    captioner_type_t type;
    openai_request_t request;
    batch_ids_t ids;
    batch_in_t *in;   /* NULL: no results */
    batch_out_t *out; /* NULL: nothing is written */

    pthread_mutex_t lock; /* guards what follows */
    int64_t n_taken, n_failed, tokens_in, tokens_out;
} batch_t;

/* ---- answers ---- */

static void answer(batch_t *b, const caption_request_t *q, const caption_reply_t *reply) {
    pthread_mutex_lock(&b->lock);
    b->n_taken += reply->outcome != CAPTION_FAILED;
    b->n_failed += reply->outcome == CAPTION_FAILED;
    b->tokens_in += reply->tokens_in;
    b->tokens_out += reply->tokens_out;
    pthread_mutex_unlock(&b->lock);
    q->done(q, reply);
}

static void answer_without(batch_t *b, const caption_request_t *q, caption_outcome outcome, const char *reason) {
    answer(b, q, &(caption_reply_t){.outcome = outcome, .text = "", .reason = reason, .mean_logprob = NAN});
}

static void take_result(batch_t *b, const caption_request_t *q, batch_outcome outcome, const openai_reply_t *r) {
    if (outcome != BATCH_ANSWERED) {
        answer_without(b, q, outcome == BATCH_REFUSED ? CAPTION_REFUSED : CAPTION_FAILED, str_text(&r->reason));
        return;
    }
    answer(b, q,
           &(caption_reply_t){.outcome = r->outcome,
                              .text = str_text(&r->text),
                              .reason = str_text(&r->reason),
                              .details = r->details.len ? str_text(&r->details) : NULL,
                              .tokens_in = r->tokens_in,
                              .tokens_out = r->tokens_out,
                              .mean_logprob = r->mean_logprob});
}

/* ---- asking ---- */

static void put_off(const caption_request_t *q) {
    q->done(q, &(caption_reply_t){.outcome = CAPTION_LATER, .text = "", .reason = "", .mean_logprob = NAN});
}

static lens_status write_request(batch_t *b, const caption_request_t *q) {
    str_t name = {0}, body = {0};
    lens_status st = batch_ids_name(&name, &b->ids, q->sample, q->kind, q->attempt);
    if (st == LENS_OK) {
        st = openai_request_body(&b->request, q, &body);
        if (st == LENS_FORMAT) { /* the picture's fault alone */
            answer_without(b, q, CAPTION_FAILED, lens_error());
            st = LENS_OK;
        } else if (st == LENS_OK) {
            st = batch_out_add(b->out, &name, &body);
            if (st == LENS_OK) put_off(q);
        }
    }
    str_free(&name);
    str_free(&body);
    return st;
}

static lens_status submit(captioner_t *c, const caption_request_t *q) {
    batch_t *b = (batch_t *)c;
    openai_reply_t reply = {0};
    batch_outcome outcome;
    bool found = false;
    lens_status st = b->in ? batch_in_find(b->in, q->sample, q->kind, q->attempt, &found, &outcome, &reply) : LENS_OK;
    if (st == LENS_OK && found)
        take_result(b, q, outcome, &reply);
    else if (st == LENS_OK && b->out)
        st = write_request(b, q);
    else if (st == LENS_OK)
        put_off(q);
    openai_reply_free(&reply);
    return st;
}

static lens_status wait_batch(captioner_t *c) {
    batch_t *b = (batch_t *)c;
    return b->out ? batch_out_finish(b->out) : LENS_OK;
}

/* ---- what it says of itself ---- */

static void settings(const captioner_t *c, int kind, str_t *json) {
    openai_request_settings(&((const batch_t *)c)->request, kind, json);
}

static const char *prompt(const captioner_t *c, int kind) {
    return prompt_words(((const batch_t *)c)->request.prompts[kind]);
}

static void stats(captioner_t *c, captioner_stats_t *out) {
    batch_t *b = (batch_t *)c;
    pthread_mutex_lock(&b->lock);
    out->n = 1;
    out->endpoints[0] = (endpoint_stats_t){.name = "batch",
                                           .answered = b->n_taken,
                                           .failed = b->n_failed,
                                           .tokens_in = b->tokens_in,
                                           .tokens_out = b->tokens_out};
    pthread_mutex_unlock(&b->lock);
}

openai_batch_counts_t openai_batch_counts(captioner_t *c) {
    const batch_t *b = (const batch_t *)c;
    openai_batch_counts_t counts = {.n_taken = b->n_taken};
    if (b->in) counts.in = *batch_in_counts(b->in);
    if (b->out) counts.n_requests = batch_out_n_requests(b->out);
    if (b->out) counts.n_files = batch_out_n_files(b->out);
    return counts;
}

/* ---- opening ---- */

static void close_batch(captioner_t *c) {
    batch_t *b = (batch_t *)c;
    openai_request_free(&b->request);
    batch_in_close(b->in);
    batch_out_close(b->out);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static lens_status open_with(batch_t *b, const captioner_options_t *options, const openai_batch_values_t *v,
                             const dataset_t *d) {
    const openai_values_t *own = options->own;
    if (!own->model || !*own->model)
        return lens_fail(LENS_ARGUMENT, "batch files: expected --model NAME, as the service lists it");
    LENS_TRY(openai_request_init(&b->request, options, own));
    b->ids = (batch_ids_t){.dataset = d, .kinds = options->kinds, .n_kinds = options->n_kinds};
    for (int k = 0; k < options->n_kinds; k++) {
        str_t text = {0};
        settings(&b->base, k, &text);
        b->ids.settings[k] = XXH3_64bits(str_text(&text), text.len);
        const bool failed = text.failed;
        str_free(&text);
        if (failed) return lens_fail(LENS_MEMORY, "out of memory for a captioner");
    }
    if (v->in) LENS_TRY(batch_in_open(&b->in, v->in, &b->ids));
    return v->out ? batch_out_open(&b->out, v->out, v->max_requests, v->max_bytes) : LENS_OK;
}

lens_status openai_batch_open(captioner_t **out, const captioner_options_t *options, const openai_batch_values_t *v,
                              const dataset_t *d) {
    batch_t *b = calloc(1, sizeof *b);
    *out = NULL;
    if (!b) return lens_fail(LENS_MEMORY, "out of memory for a captioner");
    pthread_mutex_init(&b->lock, NULL);
    b->base.type = &b->type;
    b->type = (captioner_type_t){.name = captioner_openai.name,
                                 .version = captioner_openai.version,
                                 .summary = "batch files",
                                 .attempts = captioner_openai.attempts,
                                 .submit = submit,
                                 .wait = wait_batch,
                                 .settings = settings,
                                 .prompt = prompt,
                                 .stats = stats,
                                 .close = close_batch};
    lens_status st = open_with(b, options, v, d);
    if (st == LENS_OK)
        *out = &b->base;
    else
        close_batch(&b->base);
    return st;
}
