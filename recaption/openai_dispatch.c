/* The loop's thread: which task is sent when and where, and what its answer means. Tasks wait in `ready` (to be sent),
 * `delayed` (not before a time) or `flying`. */
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "recaption/openai_private.h"

enum {
    NO_ANSWERS_MAX = 8, /* answers to a task that were none, after which it fails */
    ERRORS_S = 10,      /* of 500 and 501 before the first answer of any server, after which the run ends */
};

/* ---- lists ---- */

void task_push(task_list_t *l, task_t *t) {
    if (!l->first) l->end = &l->first;
    t->next = NULL;
    *l->end = t;
    l->end = &t->next;
}

task_t *task_pop(task_list_t *l) {
    task_t *t = l->first;
    if (t) l->first = t->next;
    return t;
}

static void link_flying(openai_t *o, task_t *t) {
    t->next = o->flying;
    t->link = &o->flying;
    if (t->next) t->next->link = &t->next;
    o->flying = t;
}

static void unlink_flying(task_t *t) {
    *t->link = t->next;
    if (t->next) t->next->link = t->link;
}

/* ---- answers ---- */

static void finish(openai_t *o, task_t *t, const caption_reply_t *reply) {
    t->request->done(t->request, reply);
    str_clear(&t->body);
    pthread_mutex_lock(&o->lock);
    t->next = o->spare;
    o->spare = t;
    o->n_tasks--;
    /* Who waits for room is woken once for an eighth of it, not for each task. */
    if (o->n_tasks == 0 || o->n_tasks == o->most_tasks - o->most_tasks / 8 - 1) pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
}

static void finish_without(openai_t *o, task_t *t, caption_outcome outcome, const char *reason, double now_s) {
    finish(o, t,
           &(caption_reply_t){.outcome = outcome,
                              .text = "",
                              .reason = reason,
                              .seconds = t->begin_s > 0 ? now_s - t->begin_s : 0,
                              .tokens_in = t->tokens_in,
                              .tokens_out = t->tokens_out,
                              .endpoint = t->endpoint < 0 ? 0 : t->endpoint,
                              .mean_logprob = NAN});
}

static void finish_with(openai_t *o, task_t *t, double now_s) {
    const openai_reply_t *r = &o->reply;
    finish(o, t,
           &(caption_reply_t){.outcome = r->outcome,
                              .text = str_text(&r->text),
                              .reason = str_text(&r->reason),
                              .details = r->details.len ? str_text(&r->details) : NULL,
                              .seconds = now_s - t->begin_s,
                              .tokens_in = t->tokens_in + r->tokens_in,
                              .tokens_out = t->tokens_out + r->tokens_out,
                              .endpoint = t->endpoint,
                              .mean_logprob = r->mean_logprob});
}

/* ---- the end of the run ---- */

static void drop(openai_t *o, const task_t *t) {
    pthread_mutex_lock(&o->lock);
    endpoints_drop(&o->endpoints, t->endpoint);
    pthread_mutex_unlock(&o->lock);
}

/* The first reason counts. */
static void end_run(openai_t *o, lens_status st, const char *message) {
    pthread_mutex_lock(&o->lock);
    if (o->status == LENS_OK) {
        o->status = st;
        str_add(&o->failure, message);
    }
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
}

static void answer_all_later(openai_t *o, double now_s) {
    http_loop_drop_all(o->loop);
    for (task_t *t; (t = o->flying);) {
        unlink_flying(t);
        drop(o, t);
        finish_without(o, t, CAPTION_LATER, "the run ended", now_s);
    }
    for (task_t *t; (t = task_pop(&o->delayed)) || (t = task_pop(&o->ready));)
        finish_without(o, t, CAPTION_LATER, "the run ended", now_s);
    o->next_s = INFINITY;
}

/* ---- sending ---- */

static bool send(openai_t *o, double now_s) {
    task_t *t = o->ready.first;
    pthread_mutex_lock(&o->lock);
    const int which = endpoints_send(&o->endpoints, t->endpoint, now_s);
    pthread_mutex_unlock(&o->lock);
    if (which < 0) return false;
    task_pop(&o->ready);
    t->endpoint = which;
    if (t->begin_s == 0) t->begin_s = now_s;
    const double left_s = t->begin_s + o->task_timeout_s - now_s;
    const http_request_t r = {.url = o->endpoints.endpoints[which].url,
                              .body = t->body.s,
                              .n_body = t->body.len,
                              .timeout_s = fmax(fmin(o->request_timeout_s, left_s), 0.001),
                              .context = t};
    link_flying(o, t);
    lens_status st = http_loop_start(o->loop, &r);
    if (st != LENS_OK) end_run(o, st, lens_error());
    return st == LENS_OK;
}

/* Delayed tasks whose time has come are ready, or too old; o->next_s: when the next one is. */
static void promote(openai_t *o, double now_s) {
    if (now_s < o->next_s) return;
    task_list_t all = o->delayed;
    o->delayed = (task_list_t){0};
    o->next_s = INFINITY;
    for (task_t *t; (t = task_pop(&all));) {
        if (t->ready_s > now_s) {
            o->next_s = fmin(o->next_s, t->ready_s);
            task_push(&o->delayed, t);
        } else if (now_s - t->begin_s < o->task_timeout_s) {
            task_push(&o->ready, t);
        } else {
            finish_without(o, t, CAPTION_FAILED, "no answer within --task-timeout", now_s);
        }
    }
}

/* Nobody answers: says so once a minute, and gives up in the end. */
static void watch(openai_t *o, double now_s) {
    const double since_s = o->endpoints.failing_since_s;
    if (since_s == 0) return;
    if (now_s - since_s > o->give_up_s) {
        str_t message = {0};
        str_addf(&message, "no endpoint has answered for %.0f s (--give-up); last: %s", now_s - since_s,
                 str_text(&o->trouble));
        end_run(o, LENS_IO, str_text(&message));
        str_free(&message);
    } else if (endpoints_next_s(&o->endpoints, now_s) > 0 && now_s - fmax(o->warned_s, since_s) > 60) {
        o->warned_s = now_s;
        log_warn("no endpoint answers, since %.0f s; trying again. Last: %s", now_s - since_s, str_text(&o->trouble));
    }
}

double openai_turn(void *context) {
    openai_t *o = context;
    const double now_s = log_clock_s();
    pthread_mutex_lock(&o->lock);
    for (task_t *t; (t = task_pop(&o->submitted));) task_push(&o->ready, t);
    pthread_mutex_unlock(&o->lock);
    watch(o, now_s);
    promote(o, now_s);
    while (o->status == LENS_OK && !o->is_cancelled && o->ready.first && send(o, now_s)) {
    }
    if (o->status != LENS_OK || o->is_cancelled) answer_all_later(o, now_s);
    double next_s = o->next_s;
    /* An endpoint that comes back from a rest while others are full is seen by the next answer. */
    if (o->ready.first) next_s = fmin(next_s, fmax(endpoints_next_s(&o->endpoints, now_s), now_s + 0.25));
    return fmin(next_s - now_s, 1);
}

/* ---- replies ---- */

static void retry(openai_t *o, task_t *t, double retry_after_s, double now_s) {
    if (now_s - t->begin_s > o->task_timeout_s) {
        finish_without(o, t, CAPTION_FAILED, str_text(&o->trouble), now_s);
        return;
    }
    const double backoff_s = fmin(0.25 * pow(2, fmin(t->n_tries, 10)), 30) * (0.5 + rng_uniform(&o->endpoints.jitter));
    t->n_tries++;
    t->ready_s = now_s + fmax(backoff_s, retry_after_s * (1 + 0.1 * rng_uniform(&o->endpoints.jitter)));
    t->ready_s = fmin(t->ready_s, t->begin_s + o->task_timeout_s); /* then it fails: promote() */
    o->next_s = fmin(o->next_s, t->ready_s);
    task_push(&o->delayed, t);
}

static void count(openai_t *o, const task_t *t, endpoint_outcome outcome, const http_reply_t *r, double now_s) {
    pthread_mutex_lock(&o->lock);
    endpoints_finish(&o->endpoints, t->endpoint, outcome, r->seconds, r->retry_after_s, now_s);
    endpoint_t *e = &o->endpoints.endpoints[t->endpoint];
    e->tokens_in += o->reply.tokens_in;
    e->tokens_out += o->reply.tokens_out;
    o->was_answered |= outcome == ENDPOINT_ANSWERED;
    pthread_mutex_unlock(&o->lock);
}

static void take_answer(openai_t *o, task_t *t, const http_reply_t *r, double now_s) {
    if (o->reply.is_answer) {
        count(o, t, ENDPOINT_ANSWERED, r, now_s);
        finish_with(o, t, now_s);
        return;
    }
    str_addf(&o->trouble, "%s: %s", o->endpoints.endpoints[t->endpoint].name, str_text(&o->reply.reason));
    count(o, t, ENDPOINT_FAILED, r, now_s);
    t->tokens_in += o->reply.tokens_in;
    t->tokens_out += o->reply.tokens_out;
    if (++t->n_no_answers >= NO_ANSWERS_MAX)
        finish_without(o, t, CAPTION_FAILED, str_text(&o->trouble), now_s);
    else
        retry(o, t, 0, now_s);
}

/* Errors that the same request would get again. */
static void take_refusal(openai_t *o, task_t *t, const http_reply_t *r, bool is_filter, double now_s) {
    const bool is_about_endpoint = r->status == 401 || r->status == 403 || r->status == 404 || r->status < 400;
    if (is_filter) {
        count(o, t, ENDPOINT_ANSWERED, r, now_s);
        finish_without(o, t, CAPTION_REFUSED, str_text(&o->trouble), now_s);
    } else if (!o->was_answered && (is_about_endpoint || r->status == 400)) {
        drop(o, t);
        end_run(o, LENS_IO, str_text(&o->trouble));
        finish_without(o, t, CAPTION_LATER, "the run ended", now_s);
    } else if (is_about_endpoint) {
        count(o, t, ENDPOINT_GONE, r, now_s);
        retry(o, t, 0, now_s);
    } else {
        drop(o, t);
        finish_without(o, t, CAPTION_FAILED, str_text(&o->trouble), now_s);
    }
}

static bool may_pass(int status) {
    return status >= 500 || status == 408 || status == 409 || status == 425 || status == 429;
}

/* o->trouble: where, and what the server or the transport said. *is_filter: the server will not, for what is shown. */
static void tell_trouble(openai_t *o, const task_t *t, const http_reply_t *r, bool *is_filter) {
    *is_filter = false;
    str_addf(&o->trouble, "%s: ", o->endpoints.endpoints[t->endpoint].name);
    if (r->status) {
        str_addf(&o->trouble, "HTTP %d: ", r->status);
        openai_reply_error(&o->trouble, is_filter, r->body, o->key);
    } else {
        str_addf(&o->trouble, "%s%s", r->error, r->untrusted ? " (--ca-file names certificates to trust)" : "");
    }
}

/* 500 and 501 may pass, and may be how a server says that it cannot do this at all (llama.cpp without a model for
 * pictures): what no server ever answered ends the run, what one task alone gets again and again fails. */
static void take_trouble(openai_t *o, task_t *t, const http_reply_t *r, double now_s) {
    bool is_filter;
    tell_trouble(o, t, r, &is_filter);
    if ((r->status != 0 && !may_pass(r->status)) || (r->untrusted && !o->was_answered)) {
        take_refusal(o, t, r, is_filter, now_s);
        return;
    }
    const bool is_error = r->status == 500 || r->status == 501;
    count(o, t,
          r->status == 429 || r->status == 503 ? ENDPOINT_TURNED_DOWN
          : r->unreachable                     ? ENDPOINT_GONE
                                               : ENDPOINT_FAILED,
          r, now_s);
    if (is_error && o->first_error_s == 0) o->first_error_s = now_s;
    if (is_error && !o->was_answered && now_s - o->first_error_s > ERRORS_S) end_run(o, LENS_IO, str_text(&o->trouble));
    if (is_error && ++t->n_no_answers >= NO_ANSWERS_MAX)
        finish_without(o, t, CAPTION_FAILED, str_text(&o->trouble), now_s);
    else
        retry(o, t, r->retry_after_s, now_s);
}

void openai_done(void *context, void *request_context, const http_reply_t *reply) {
    openai_t *o = context;
    task_t *t = request_context;
    http_reply_t r = *reply;
    const double now_s = log_clock_s();
    unlink_flying(t);
    str_clear(&o->trouble);
    openai_reply_reset(&o->reply);
    if (r.status == 200) {
        lens_status st = openai_reply_parse(&o->reply, r.body, o->key);
        if (st != LENS_OK) end_run(o, st, lens_error());
        r.status = o->reply.status;
    }
    if (r.status == 200)
        take_answer(o, t, &r, now_s);
    else
        take_trouble(o, t, &r, now_s);
}
