#include "recaption/openai.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "recaption/openai_private.h"

static const option_t rows[] = {OPENAI_OPTIONS(0)};
const option_table_t openai_options = {rows, sizeof rows / sizeof rows[0]};

/* ---- opening ---- */

static lens_status read_key(openai_t *o, const openai_values_t *v) {
    if (v->key_file && *v->key_file) return secret_from_file(&o->key, v->key_file);
    return v->key_env && *v->key_env ? secret_from_env(&o->key, v->key_env) : LENS_OK;
}

static lens_status open_with(openai_t *o, const captioner_options_t *options, const openai_values_t *v) {
    if (!v->model || !*v->model)
        return lens_fail(LENS_ARGUMENT, "--captioner %s: expected --model NAME, as the endpoint lists it in %s/models",
                         options->captioner, options->captioner);
    if (options->n_kinds < 1 || options->n_kinds > CAPTION_MAX_KINDS)
        return lens_fail(LENS_ARGUMENT, "expected 1 to %d kinds of captions, got %d", CAPTION_MAX_KINDS,
                         options->n_kinds);
    LENS_TRY(read_key(o, v));
    LENS_TRY(openai_request_init(&o->request, options, v));
    LENS_TRY(endpoints_open(&o->endpoints, options->captioner, v->concurrency));
    /* A quarter more than can be in flight: there is always a task to send when an answer comes. */
    const int64_t most = v->concurrency * o->endpoints.n;
    o->most_tasks = most + most / 4 + 8;
    const http_client_t client = {.turn = openai_turn, .done = openai_done, .context = o};
    const http_options_t http = {
        .most = most, .authorization = secret_header(o->key), .ca_file = v->ca_file && *v->ca_file ? v->ca_file : NULL};
    return http_loop_open(&o->loop, &client, &http);
}

static void close_openai(captioner_t *c) {
    openai_t *o = (openai_t *)c;
    http_loop_close(o->loop);
    for (task_t *t; (t = o->spare);) {
        o->spare = t->next;
        str_free(&t->body);
        free(t);
    }
    openai_request_free(&o->request);
    openai_reply_free(&o->reply);
    endpoints_free(&o->endpoints);
    secret_free(o->key);
    str_free(&o->failure);
    str_free(&o->trouble);
    pthread_mutex_destroy(&o->lock);
    pthread_cond_destroy(&o->changed);
    free(o);
}

/* The rows' defaults stand for options that nobody gave. */
static lens_status open_openai(captioner_t **out, const captioner_options_t *options) {
    openai_values_t defaults = {0};
    const openai_values_t *v = options->own;
    if (!v) LENS_TRY(options_defaults(openai_options, &defaults));
    if (!v) v = &defaults;
    openai_t *o = calloc(1, sizeof *o);
    lens_status st = o ? LENS_OK : lens_fail(LENS_MEMORY, "out of memory for a captioner");
    if (o) {
        o->base.type = &captioner_openai;
        o->next_s = INFINITY;
        o->request_timeout_s = v->request_timeout_s;
        o->task_timeout_s = v->task_timeout_s;
        o->give_up_s = v->give_up_s;
        pthread_mutex_init(&o->lock, NULL);
        pthread_cond_init(&o->changed, NULL);
        st = open_with(o, options, v);
    }
    if (!options->own) options_free(openai_options, &defaults);
    if (st == LENS_OK)
        *out = &o->base;
    else if (o)
        close_openai(&o->base);
    return st;
}

/* ---- submitting ---- */

static lens_status status_of(const openai_t *o) {
    if (o->status != LENS_OK) return lens_fail(o->status, "%s", str_text(&o->failure));
    return o->is_cancelled ? lens_fail(LENS_STATE, "the captioner was cancelled") : LENS_OK;
}

static void give_back(openai_t *o, task_t *t) {
    pthread_mutex_lock(&o->lock);
    if (t) {
        str_clear(&t->body);
        t->next = o->spare;
        o->spare = t;
    }
    o->n_tasks--;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
}

/* A place for the request, once there is one. The loop's own thread (a done() that submits) does not wait: it is the
 * one that makes room. */
static lens_status take_task(openai_t *o, task_t **out) {
    const bool may_wait = !http_loop_is_mine(o->loop);
    pthread_mutex_lock(&o->lock);
    while (may_wait && o->n_tasks >= o->most_tasks && o->status == LENS_OK && !o->is_cancelled)
        pthread_cond_wait(&o->changed, &o->lock);
    lens_status st = status_of(o);
    task_t *t = o->spare;
    if (st == LENS_OK) {
        if (t) o->spare = t->next;
        o->n_tasks++;
    }
    pthread_mutex_unlock(&o->lock);
    if (st != LENS_OK) return st;
    *out = t ? t : calloc(1, sizeof *t);
    if (*out) return LENS_OK;
    give_back(o, NULL);
    return lens_fail(LENS_MEMORY, "out of memory for a request");
}

static lens_status submit(captioner_t *c, const caption_request_t *request) {
    openai_t *o = (openai_t *)c;
    task_t *t = NULL;
    LENS_TRY(take_task(o, &t));
    *t = (task_t){.request = request, .body = t->body, .endpoint = -1};
    lens_status st = openai_request_body(&o->request, request, &t->body);
    if (st == LENS_FORMAT) { /* the picture's fault alone */
        request->done(request, &(caption_reply_t){
                                   .outcome = CAPTION_FAILED, .text = "", .reason = lens_error(), .mean_logprob = NAN});
        give_back(o, t);
        return LENS_OK;
    }
    if (st != LENS_OK) {
        give_back(o, t);
        return st;
    }
    pthread_mutex_lock(&o->lock);
    task_push(&o->submitted, t);
    pthread_mutex_unlock(&o->lock);
    http_loop_wake(o->loop);
    return LENS_OK;
}

static lens_status wait_openai(captioner_t *c) {
    openai_t *o = (openai_t *)c;
    pthread_mutex_lock(&o->lock);
    while (o->n_tasks > 0) pthread_cond_wait(&o->changed, &o->lock);
    lens_status st = status_of(o);
    pthread_mutex_unlock(&o->lock);
    return st;
}

static void cancel(captioner_t *c) {
    openai_t *o = (openai_t *)c;
    pthread_mutex_lock(&o->lock);
    o->is_cancelled = true;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
    http_loop_wake(o->loop);
}

/* ---- what it says of itself ---- */

static void settings(const captioner_t *c, int kind, str_t *json) {
    openai_request_settings(&((const openai_t *)c)->request, kind, json);
}

static const char *prompt(const captioner_t *c, int kind) {
    return prompt_words(((const openai_t *)c)->request.prompts[kind]);
}

static void stats(captioner_t *c, captioner_stats_t *out) {
    openai_t *o = (openai_t *)c;
    pthread_mutex_lock(&o->lock);
    endpoints_stats(&o->endpoints, out, log_clock_s());
    pthread_mutex_unlock(&o->lock);
}

const captioner_type_t captioner_openai = {
    .name = "openai",
    .version = "1",
    .summary = "a server that speaks OpenAI's chat completions: http://HOST:8000/v1[,URL...] or @FILE with URLs",
    .attempts = 4,
    .open = open_openai,
    .submit = submit,
    .wait = wait_openai,
    .cancel = cancel,
    .settings = settings,
    .prompt = prompt,
    .stats = stats,
    .close = close_openai,
};
