/* How many requests one endpoint is given at once, found by trying: additive increase, multiplicative decrease, judged
 * once for each window's worth of answers (a round). No clock of its own; one thread.
 *
 * The window doubles from CONCURRENCY_START, later it grows by a sixteenth a round. Each time that it is half as large
 * again as where throughput was last measured, throughput must have grown by a third of that, or it goes back there: by
 * Little's law the rest was waiting. So it does where latency doubled under a window that stayed. Answers that turn
 * requests down (429, 503) shrink it by half of their share: a few in a hundred do not keep it from growing, a server
 * that is full halves it at once (the rule of DCTCP, Alizadeh et al., SIGCOMM 2010). A round that did not fill the
 * window says nothing about a larger one. */
#ifndef LENS_RECAPTION_CONCURRENCY_H
#define LENS_RECAPTION_CONCURRENCY_H

#include <stdbool.h>
#include <stdint.h>

enum { CONCURRENCY_START = 8 };

typedef struct {
    double size; /* requests in flight allowed, 1 to most */
    double most;
    bool is_doubling;
    double anchor_size, anchor_rate, anchor_latency_s; /* what was measured last; rate 0: nothing */
    /* the round */
    double latency_s; /* sum over answers */
    int64_t n_answered, n_turned_down;
    bool was_full;
} concurrency_t;

void concurrency_init(concurrency_t *c, int64_t most);
int64_t concurrency_window(const concurrency_t *c); /* >= 1 */
/* A request was sent and n are in flight now. */
void concurrency_sent(concurrency_t *c, int64_t n_in_flight);
void concurrency_answered(concurrency_t *c, double latency_s);
void concurrency_turned_down(concurrency_t *c); /* 429, 503 */
/* After a rest: half of what it had, and no memory of how fast it was. */
void concurrency_restart(concurrency_t *c);

#endif
