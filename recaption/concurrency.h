/* How many requests one endpoint is given at once, found by trying: additive increase, multiplicative decrease, judged
 * once for each window's worth of answers (a round). No clock of its own; one thread.
 *
 * The window doubles from CONCURRENCY_START as long as throughput keeps up with it, then grows by a sixteenth a round.
 * It shrinks where latency rose by half and throughput did not follow, and by half of the share of answers that turned
 * requests down (429, 503): a few in a hundred do not keep it from growing, a server that is full halves it at once
 * (the rule of DCTCP, Alizadeh et al., SIGCOMM 2010). A round that did not fill the window says nothing about a larger
 * one. */
#ifndef LENS_RECAPTION_CONCURRENCY_H
#define LENS_RECAPTION_CONCURRENCY_H

#include <stdbool.h>
#include <stdint.h>

enum { CONCURRENCY_START = 8 };

typedef struct {
    double size; /* requests in flight allowed, 1 to most */
    double most;
    bool is_doubling;
    double base_s;    /* latency of an endpoint that is not crowded: the least of all rounds, slowly forgotten */
    double rate;      /* answers a second of the last judged round, 0 before */
    double rate_size; /* the window it had */
    /* the round */
    double since_s, latency_s; /* its begin; sum over answers */
    int64_t n_answered, n_turned_down;
    bool was_full;
} concurrency_t;

void concurrency_init(concurrency_t *c, int64_t most);
int64_t concurrency_window(const concurrency_t *c); /* >= 1 */
/* A request was sent and n are in flight now. */
void concurrency_sent(concurrency_t *c, int64_t n_in_flight, double now_s);
void concurrency_answered(concurrency_t *c, double latency_s, double now_s);
void concurrency_turned_down(concurrency_t *c, double now_s); /* 429, 503 */
/* After a rest: half of what it had, and no memory of how fast it was. */
void concurrency_restart(concurrency_t *c);

#endif
