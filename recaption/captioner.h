/* Captioners: what turns a picture into text. One interface for a function that answers at once and for a service that
 * holds hundreds of requests in flight.
 *
 * submit() hands over a request and returns; the answer comes through the request's own done(), once for each request
 * that submit() accepted, in any order and from any thread, before submit() returns where the captioner works at once.
 * Who asks needs no thread that waits for replies, and nothing can be lost between two queues.
 *
 *     captioner_t *c;
 *     LENS_TRY(captioner_open(&c, "describe", &options));
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
} caption_outcome;

/* All pointers are borrowed until done() is called, and valid there. */
typedef struct {
    caption_outcome outcome;
    const char *text;    /* "" where there is none */
    const char *reason;  /* of TRUNCATED, REFUSED and FAILED, one line; else "" */
    const char *details; /* JSON object for the sample's record (token counts, model time), or NULL */
    double seconds;      /* spent on this request */
} caption_reply_t;

/* Owned by the caller, unchanged until done() was called; so is all that it points to. */
typedef struct caption_request caption_request_t;
struct caption_request {
    int64_t sample;       /* index in the dataset */
    const image_t *image; /* decoded picture */
    const str_t *picture; /* the same as stored, WebP or JPEG, for services that take the file */
    const char *alt;      /* alt-text as ingested, "" where there is none */
    const char *meta;     /* JSON object as text */
    int attempt;          /* 0, then 1 more each time the answer was not good enough: answer differently */
    void (*done)(const caption_request_t *request, const caption_reply_t *reply);
    void *context; /* the caller's, for done() */
};

typedef struct {
    const char *kind; /* caption kind asked for: "dense" */
    int64_t min_words, max_words;
    int64_t max_in_flight; /* requests submitted and not answered; a captioner that answers at once ignores it */
} captioner_options_t;

/* A captioner's row in the table. */
typedef struct {
    const char *name;    /* of --captioner */
    const char *version; /* changes whenever the same request may get another answer */
    const char *summary; /* one line */
    int attempts;        /* times it is worth asking for one picture, unless the user says otherwise */
    /* ARGUMENT where the kind or an option is not supported. *out is owned by the caller: close it. */
    lens_status (*open)(captioner_t **out, const captioner_options_t *options);
    /* Any thread. Not OK: the request was not accepted, done() is not called, and the captioner is of no further use
     * (service gone, key refused). What concerns one picture alone is a reply, not a status. */
    lens_status (*submit)(captioner_t *c, const caption_request_t *request);
    /* Until nothing is in flight. Not OK as for submit(); each accepted request was answered all the same. */
    lens_status (*wait)(captioner_t *c);
    /* Adds the members of a JSON object, without braces, for the layer's provenance: settings, model, prompt. */
    void (*settings)(const captioner_t *c, str_t *json);
    void (*close)(captioner_t *c); /* after wait(); NULL is allowed */
} captioner_type_t;

/* First member of every captioner's own struct. */
struct captioner {
    const captioner_type_t *type;
};

/* ARGUMENT for an unknown name, with the known ones. */
LENS_CHECKED lens_status captioner_open(captioner_t **out, const char *name, const captioner_options_t *options);
void captioner_close(captioner_t *c); /* NULL is allowed */
/* JSON object: captioner, version, settings. */
LENS_CHECKED lens_status captioner_provenance(const captioner_t *c, str_t *json);

#endif
