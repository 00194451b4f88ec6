/* The servers of a run: which of them gets the next request, which of them rests. Knows of no transport and has no
 * clock; one thread, or under the caller's lock.
 *
 * A request goes where most room is: the free part of each endpoint's window (concurrency.h), by how fast it answers
 * and its weight. After ENDPOINT_FAILURES failures in a row, or one refused connection, an endpoint rests: 0.5 s, then
 * twice as long each time, to a minute, and half to one and a half times that so that many clients do not return as
 * one. Then it is given a single request; an answer ends the rest. */
#ifndef LENS_RECAPTION_ENDPOINTS_H
#define LENS_RECAPTION_ENDPOINTS_H

#include "base/error.h"
#include "base/rng.h"
#include "recaption/captioner.h"
#include "recaption/concurrency.h"

enum { ENDPOINT_FAILURES = 5, ENDPOINT_LATENCIES = 512 };

typedef struct {
    char *name; /* owned: as given, "http://host:8000/v1" */
    char *url;  /* owned: of chat completions */
    double weight;
    concurrency_t window;
    int64_t n_in_flight, n_answered, n_failed, tokens_in, tokens_out;
    int n_failures;        /* in a row */
    int n_rests;           /* in a row */
    double rested_until_s; /* 0: not rested */
    double speed_s;        /* latency, a moving mean; 0: none yet */
    double latency_sum_s;
    float latencies_s[ENDPOINT_LATENCIES]; /* the last ones, a ring */
} endpoint_t;

typedef struct {
    endpoint_t *endpoints; /* owned */
    int n;
    rng_t jitter;
    double failing_since_s; /* the first failure after the last answer of any; 0: none */
} endpoints_t;

typedef enum {
    ENDPOINT_ANSWERED,
    ENDPOINT_TURNED_DOWN, /* 429, 503 */
    ENDPOINT_FAILED,      /* 5xx, time-out, broken connection, no answer in the answer */
    ENDPOINT_GONE,        /* connection refused, no such host, TLS failure, key no longer taken */
} endpoint_outcome;

/* list: URLs separated by commas, or "@FILE" with a line "URL [WEIGHT]" each ('#' begins a comment). most: in flight at
 * each. ARGUMENT: none, malformed, doubled, too many; a URL with a user or password in it, which would be logged. */
LENS_CHECKED lens_status endpoints_open(endpoints_t *e, const char *list, int64_t most);
void endpoints_free(endpoints_t *e);

/* The endpoint for the next request, counted as sent; -1 where none has room. avoid: not this one where another has
 * room (a retry); -1: none. */
int endpoints_send(endpoints_t *e, int avoid, double now_s);
/* retry_after_s: what the server asked for, 0 where it did not. */
void endpoints_finish(endpoints_t *e, int which, endpoint_outcome outcome, double latency_s, double retry_after_s,
                      double now_s);
/* A request that ended without saying anything of the server: cancelled. */
void endpoints_drop(endpoints_t *e, int which);
/* When the first rested one may be tried: a time, or 0 where one is not rested. */
double endpoints_next_s(const endpoints_t *e, double now_s);
void endpoints_stats(const endpoints_t *e, captioner_stats_t *out, double now_s);

#endif
