/* Captioners: what turns a picture into text. One interface for a function that answers at once and for a service that
 * holds hundreds of requests in flight.
 *
 * submit() hands over a request and returns; the answer comes through the request's own done(), once for each request
 * that submit() accepted, in any order and from any thread, before submit() returns where the captioner works at once.
 * Who asks needs no thread that waits for replies, and nothing can be lost between two queues.
 *
 *     captioner_t *c;
 *     LENS_TRY(captioner_open(&c, &options));
 *     c->type->submit(c, &request) ...    from any number of threads; blocks while too many are in flight
 *     c->type->wait(c)                    until every accepted request was answered
 *     c->type->close(c)
 */
#ifndef LENS_RECAPTION_CAPTIONER_H
#define LENS_RECAPTION_CAPTIONER_H

#include "base/error.h"
#include "base/str.h"
#include "data/image.h"

typedef struct captioner captioner_t;

typedef enum {
    CAPTION_TEXT,      /* the text is a whole answer */
    CAPTION_TRUNCATED, /* the text stops at a length limit */
    CAPTION_REFUSED,   /* the captioner would not answer; the text holds its words */
    CAPTION_FAILED,    /* there is no answer: reason says why, and another attempt may succeed */
    CAPTION_LATER, /* there is no answer in this run and none will come: the task stays open, no attempt is counted */
} caption_outcome;

/* All pointers are borrowed until done() is called, and valid there. */
typedef struct {
    caption_outcome outcome;
    const char *text;              /* "" where there is none */
    const char *reason;            /* of TRUNCATED, REFUSED and FAILED, one line; else "" */
    const char *details;           /* JSON object for the sample's record (model, finish_reason, usage), or NULL */
    double seconds;                /* spent on this request */
    int64_t tokens_in, tokens_out; /* as billed; 0 where nobody counts */
    int endpoint;                  /* index in captioner_stats_t; 0 where there is one */
    double mean_logprob;           /* of the answer's tokens; NAN: not known */
} caption_reply_t;

/* What a captioner makes of a picture once for all its kinds (the encoded body). Zero for a new picture; the same for
 * all requests of that picture which one thread submits one after the other, so that submit() alone writes it. `made`
 * is freed with the picture, after the last of those requests was answered. */
typedef struct {
    void *made;
    void (*free)(void *made);
} caption_shared_t;

/* Owned by the caller, unchanged until done() was called; so is all that it points to. */
typedef struct caption_request caption_request_t;
struct caption_request {
    int64_t sample;       /* index in the dataset */
    const char *key;      /* the sample's key, unique in the set */
    int kind;             /* index in captioner_options_t.kinds */
    const image_t *image; /* decoded picture; NULL unless the captioner's type wants pixels */
    const str_t *picture; /* as stored, WebP or JPEG */
    uint64_t content;     /* xxh3 of the stored picture */
    uint64_t seed;        /* below 2^63: a function of content, kind and attempt alone */
    const char *alt;      /* alt-text as ingested, "" where there is none */
    const char *meta;     /* JSON object as text */
    int attempt;          /* 0, then 1 more each time the answer was not good enough: answer differently */
    caption_shared_t *shared;
    void (*done)(const caption_request_t *request, const caption_reply_t *reply);
    void *context; /* the caller's, for done() */
};

enum { CAPTION_MAX_KINDS = 16 };

/* A kind of caption, which is a layer's name too. */
typedef struct {
    const char *name;  /* "dense" */
    const char *style; /* name of a built-in prompt ("detailed") or path of a file; "" where nobody named one */
    int64_t min_words, max_words;
} caption_kind_t;

typedef struct {
    const char *captioner;       /* as the user gave it: "describe", URLs, @FILE */
    const caption_kind_t *kinds; /* [n_kinds], borrowed until close */
    int n_kinds;
    int64_t max_in_flight; /* requests submitted and not answered; a captioner that answers at once ignores it */
    const void *own;       /* options of the captioner's own, as its header says; NULL: defaults */
} captioner_options_t;

enum { CAPTIONER_MAX_ENDPOINTS = 256 };
typedef struct {
    const char *name; /* borrowed from the captioner */
    int64_t answered, failed, in_flight;
    bool rested; /* nothing is sent to it at the moment */
    int64_t tokens_in, tokens_out;
    double latency_mean_s, latency_p50_s, latency_p95_s;
} endpoint_stats_t;
typedef struct {
    int n;
    endpoint_stats_t endpoints[CAPTIONER_MAX_ENDPOINTS];
} captioner_stats_t;

/* A captioner's row in the table. */
typedef struct {
    const char *name;    /* of --captioner */
    const char *version; /* changes whenever the same request may get another answer */
    const char *summary; /* one line */
    int attempts;        /* times it is worth asking for one picture, unless the user says otherwise */
    bool unique;         /* no two different pictures of a shard may share a caption */
    bool wants_pixels;   /* requests come with the decoded picture */
    /* ARGUMENT where a kind or an option is not supported. *out is owned by the caller: close it. */
    lens_status (*open)(captioner_t **out, const captioner_options_t *options);
    /* Any thread. Not OK: the request was not accepted, done() is not called, and the captioner is of no further use
     * (service gone, key refused, cancelled). What concerns one picture alone is a reply, not a status. */
    lens_status (*submit)(captioner_t *c, const caption_request_t *request);
    /* Until nothing is in flight. Not OK as for submit(); each accepted request was answered all the same. */
    lens_status (*wait)(captioner_t *c);
    /* Any thread: gives up what is in flight, which is answered LATER at once; submit() then returns STATE, also where
     * it was blocked. NULL: it answers within submit(). */
    void (*cancel)(captioner_t *c);
    /* Adds the members of a JSON object, without braces, for the provenance of that kind's layer: model, prompt. Only
     * what may change an answer: a run goes on where the same settings are given again. */
    void (*settings)(const captioner_t *c, int kind, str_t *json);
    /* The prompt's own words, without what it quotes of a sample, for the gate; borrowed. NULL: there is no prompt. */
    const char *(*prompt)(const captioner_t *c, int kind);
    /* Adds what would be sent for the request, for people to read (--dry-run). NULL: there is nothing to show. */
    lens_status (*show)(captioner_t *c, const caption_request_t *request, str_t *out);
    void (*stats)(captioner_t *c, captioner_stats_t *out); /* any thread; NULL: it has no endpoints */
    void (*close)(captioner_t *c);                         /* after wait(); NULL is allowed */
} captioner_type_t;

/* First member of every captioner's own struct. */
struct captioner {
    const captioner_type_t *type;
};

/* By options->captioner: the type of that name. ARGUMENT for an unknown one, with the known ones. */
LENS_CHECKED lens_status captioner_open(captioner_t **out, const captioner_options_t *options);
void captioner_close(captioner_t *c); /* NULL is allowed */
/* JSON object: captioner, version, settings. */
LENS_CHECKED lens_status captioner_provenance(const captioner_t *c, int kind, str_t *json);
/* The seed of a request: a hash of its arguments, below 2^63. */
uint64_t caption_seed(uint64_t content, const char *kind, int attempt);

#endif
