/* HTTP requests from one thread that waits for all of them: libcurl's multi interface with epoll, so that a turn costs
 * what happened in it and not the number of requests in flight. HTTP/2 where TLS offers it, else HTTP/1.1 with
 * connections kept; handles and buffers are reused. A kept connection that turns out closed before a byte of the answer
 * came is replaced by a new one. Answers may be compressed. TLS is verified; redirects are answers, not followed, so
 * that a key goes to nobody else.
 *
 * Everything but opening, closing and waking happens on the loop's own thread, from its client's two functions. */
#ifndef LENS_RECAPTION_HTTP_LOOP_H
#define LENS_RECAPTION_HTTP_LOOP_H

#include "base/error.h"
#include "base/str.h"

enum { HTTP_MAX_ANSWER_BYTES = 4 << 20 };

typedef struct http_loop http_loop_t;

typedef struct {
    const char *url, *body; /* borrowed until the reply, as is the context; the body is JSON */
    size_t n_body;
    double timeout_s;
    void *context;
} http_request_t;

typedef struct {
    int status;           /* 0: no answer, or not all of it */
    bool unreachable;     /* status 0: no connection was made */
    bool untrusted;       /* of those: for the server's certificate */
    const char *error;    /* status 0: why; else "" */
    const str_t *body;    /* borrowed until done() returns */
    double retry_after_s; /* 0: not told */
    double seconds;
} http_reply_t;

typedef struct {
    /* Once a turn, after the replies: starts what may start, and returns in how many seconds it wants to be called
     * again at the latest. */
    double (*turn)(void *context);
    void (*done)(void *context, void *request_context, const http_reply_t *reply);
    void *context;
} http_client_t;

typedef struct {
    int64_t most;        /* requests in flight, for which connections are kept */
    char *authorization; /* a whole header line or NULL, borrowed until close, copied nowhere but into what is sent */
    const char *ca_file; /* certificates (PEM) that servers are trusted by; NULL: the system's */
} http_options_t;

/* Its thread runs when this returns. IO: ca_file cannot be opened. */
LENS_CHECKED lens_status http_loop_open(http_loop_t **out, const http_client_t *client, const http_options_t *options);
LENS_CHECKED lens_status http_loop_start(http_loop_t *l, const http_request_t *request);
void http_loop_drop_all(http_loop_t *l);      /* what is in flight; done() is not called */
void http_loop_wake(http_loop_t *l);          /* any thread: a turn soon */
bool http_loop_is_mine(const http_loop_t *l); /* any thread: is it the loop's own? */
void http_loop_close(http_loop_t *l);         /* ends the thread; NULL is allowed */

#endif
