/* What openai_*.c share. */
#ifndef LENS_RECAPTION_OPENAI_PRIVATE_H
#define LENS_RECAPTION_OPENAI_PRIVATE_H

#include <pthread.h>

#include "recaption/endpoints.h"
#include "recaption/http_loop.h"
#include "recaption/openai.h"
#include "recaption/picture_uri.h"
#include "recaption/prompt.h"
#include "recaption/secret.h"

/* ---- openai_request.c: bodies ---- */

typedef struct {
    str_t head[CAPTION_MAX_KINDS]; /* of the body, to the picture's address: model, system message */
    prompt_t *prompts[CAPTION_MAX_KINDS];
    int n_kinds;
    str_t model;                    /* as JSON */
    str_t tail;                     /* members of every body: sampling, --extra */
    bool has_seed, has_temperature; /* --extra sets it */
    double temperature;
    picture_uri_options_t picture;
} openai_request_t;

LENS_CHECKED lens_status openai_request_init(openai_request_t *r, const captioner_options_t *o,
                                             const openai_values_t *v);
void openai_request_free(openai_request_t *r);
/* Members of the captioner's settings (captioner.h). */
void openai_request_settings(const openai_request_t *r, int kind, str_t *json);
LENS_CHECKED lens_status openai_request_body(const openai_request_t *r, const caption_request_t *request, str_t *body);

/* ---- openai_reply.c: answers ---- */

typedef struct {
    bool is_answer; /* else `reason` says what is wrong with it, and asking again may help */
    int status;     /* 200, or what the status should have been, where the body is an error that says so */
    caption_outcome outcome;
    str_t text, reason, details; /* owned, reused */
    int64_t tokens_in, tokens_out;
    double mean_logprob;
} openai_reply_t;

void openai_reply_reset(openai_reply_t *r); /* no answer yet */
/* The body of status 200. Fails with MEMORY alone. */
LENS_CHECKED lens_status openai_reply_parse(openai_reply_t *r, const str_t *body, const secret_t *key);
/* Appends the first 300 characters of what a server says in an error, on one line. *is_filter: its reason is the
 * content. */
void openai_reply_error(str_t *out, bool *is_filter, const str_t *body, const secret_t *key);
void openai_reply_free(openai_reply_t *r);

/* ---- openai_dispatch.c: the loop's thread ---- */

typedef struct task task_t;
struct task {
    const caption_request_t *request;
    str_t body;                    /* owned, reused */
    double begin_s, ready_s;       /* when it was first to be sent; not to be sent again before */
    int n_tries, n_no_answers;     /* of those: errors of the server's own, and answers that were none */
    int64_t tokens_in, tokens_out; /* of answers that were none: they are billed too */
    int endpoint;                  /* last asked; -1 */
    task_t *next, **link;          /* in its list */
};

typedef struct {
    task_t *first, **end;
} task_list_t;
void task_push(task_list_t *l, task_t *t);
task_t *task_pop(task_list_t *l);

typedef struct {
    captioner_t base; /* first */
    double request_timeout_s, task_timeout_s, give_up_s;
    openai_request_t request;
    secret_t *key;
    http_loop_t *loop;
    int64_t most_tasks;

    pthread_mutex_t lock; /* guards what follows, to the thread's own */
    pthread_cond_t changed;
    endpoints_t endpoints;
    task_list_t submitted;
    task_t *spare;
    int64_t n_tasks; /* submitted and not answered */
    bool is_cancelled;
    lens_status status; /* why the run ends */
    str_t failure;

    /* the loop thread's own */
    task_list_t ready, delayed;
    task_t *flying;       /* linked both ways */
    bool was_answered;    /* by any endpoint */
    double first_error_s; /* 500 or 501; 0: none yet */
    double next_s, warned_s;
    str_t trouble; /* what went wrong last */
    openai_reply_t reply;
} openai_t;

double openai_turn(void *context);
void openai_done(void *context, void *request_context, const http_reply_t *reply);

#endif
