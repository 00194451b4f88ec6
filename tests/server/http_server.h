/* A small HTTP/1.1 server for tests: epoll, one thread, keep-alive, pipelining (requests of a connection are answered
 * one after the other, in their order), bodies with Content-Length or chunked, Expect: 100-continue. An answer is held
 * back, handed out in pieces, cut short or broken off as it says; the server itself is well-behaved.
 *
 * POSIX and base/ only. Nothing here blocks but http_server_run(). */
#ifndef LENS_TESTS_SERVER_HTTP_SERVER_H
#define LENS_TESTS_SERVER_HTTP_SERVER_H

#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"

enum { HTTP_HEAD_MAX = 64 << 10, HTTP_BODY_MAX = 64 << 20 /* bytes; more: 431, 413 */ };

/* What came; borrowed, valid within the handler. */
typedef struct {
    const char *method, *target;
    const char *authorization; /* the field's value, "" where there is none */
    const char *body;          /* not NUL-terminated */
    size_t n_bytes;
    bool is_first; /* of its connection */
} http_request_t;

typedef enum {
    HTTP_KEEP,  /* the connection goes on as the request asked */
    HTTP_CLOSE, /* closed in order (FIN) behind the last byte */
    HTTP_RESET, /* reset (RST) behind the last byte */
} http_ending;

/* Filled by the handler, all zero before; the texts are owned by the connection and reused. */
typedef struct {
    str_t bytes;           /* head and body, as they go out: made by http_answer(), http_answer_head() */
    int64_t delay_ns;      /* before the first byte */
    size_t n_bytes_max;    /* only so many are sent; 0: all. SIZE_MAX: none */
    size_t piece_bytes;    /* sent in pieces of this size... */
    const char *piece_end; /* ...or up to behind this text; NULL and 0: all at once */
    int64_t piece_ns;      /* between pieces */
    http_ending ending;
    bool is_counted; /* `finished` is called for it, once, sent or given up */
} http_answer_t;

typedef struct {
    void *context; /* borrowed, handed to the calls below; all from http_server_run()'s thread */
    void (*handle)(void *context, const http_request_t *request, http_answer_t *answer);
    void (*finished)(void *context,
                     bool was_sent); /* of is_counted: false where the client went away, or the server died */
} http_handler_t;

typedef struct {
    int64_t n_accepted, n_abandoned; /* connections; requests whose client left before the answer was out */
    int64_t n_bytes_in, n_bytes_out, n_deaths;
} http_counts_t;

typedef struct http_server http_server_t;

/* Listens on 127.0.0.1:port, 0: any that is free. *out is owned by the caller. */
LENS_CHECKED lens_status http_server_open(http_server_t **out, int port, const http_handler_t *handler);
void http_server_close(http_server_t *s); /* NULL is allowed */
int http_server_port(const http_server_t *s);
http_counts_t http_server_counts(const http_server_t *s);
/* Until SIGTERM or SIGINT (blocked by http_server_open, and read from a descriptor). */
LENS_CHECKED lens_status http_server_run(http_server_t *s);
/* From within a call: once it has returned, all connections are reset and for so long new ones are refused. */
void http_server_die(http_server_t *s, int64_t ns);
/* The same again and again, so long after the last return; every_ns 0: no more. */
void http_server_die_every(http_server_t *s, int64_t every_ns, int64_t ns);
int64_t http_clock_ns(void); /* never steps back */

/* Head and body into answer->bytes. fields: further lines "Name: value\r\n", or "". */
void http_answer(http_answer_t *answer, int status, const char *type, const char *fields, const char *body,
                 size_t n_bytes);
/* The head alone of a body that follows in chunks (http_answer_chunk; an empty one ends it). */
void http_answer_head(http_answer_t *answer, int status, const char *type, const char *fields);
void http_answer_chunk(http_answer_t *answer, const char *bytes, size_t n);

#endif
