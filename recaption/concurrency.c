#include "recaption/concurrency.h"

#include <math.h>

/* Of a round's answers; fewer of them are a server's hiccups, and no reason not to grow. */
#define TURNED_DOWN_FRAC 0.0625
/* A window that grew by less says nothing of throughput: answers come too unevenly. */
#define GROWN 1.5

void concurrency_init(concurrency_t *c, int64_t most) {
    *c = (concurrency_t){
        .size = most < CONCURRENCY_START ? (double)most : CONCURRENCY_START, .most = (double)most, .is_doubling = true};
}

int64_t concurrency_window(const concurrency_t *c) {
    return (int64_t)c->size;
}

static void begin_round(concurrency_t *c) {
    c->latency_s = 0;
    c->n_answered = c->n_turned_down = 0;
    c->was_full = false;
}

void concurrency_sent(concurrency_t *c, int64_t n_in_flight) {
    if (n_in_flight >= concurrency_window(c)) c->was_full = true;
}

static void resize(concurrency_t *c, double size) {
    c->size = fmin(fmax(size, 1), c->most);
}

static void anchor(concurrency_t *c, double rate, double latency_s) {
    c->anchor_size = c->size;
    c->anchor_rate = rate;
    c->anchor_latency_s = latency_s;
}

/* Against the anchor: has the window grown so far that it can be told whether throughput grew with it, or has latency
 * doubled under a window that did not? Both go back, and are measured anew from there. */
static bool is_crowded(concurrency_t *c, double rate, double latency_s) {
    if (c->anchor_rate == 0 || c->size < c->anchor_size) {
        anchor(c, rate, latency_s);
        return false;
    }
    const double grown = c->size / c->anchor_size;
    if (grown < GROWN) return latency_s > 2 * c->anchor_latency_s;
    if (rate < c->anchor_rate * (1 + (grown - 1) / 3)) return true;
    anchor(c, rate, latency_s);
    return false;
}

static void judge(concurrency_t *c) {
    const double n = (double)(c->n_answered + c->n_turned_down), size = c->size;
    const double latency_s = c->n_answered ? c->latency_s / (double)c->n_answered : 0;
    /* By Little's law, so that neither a pause of this process nor a round that was not full all the time counts. */
    const double rate = latency_s > 0 ? size / latency_s : 0;
    const double share = (double)c->n_turned_down / n;
    const bool was_full = c->was_full, was_filled = share > TURNED_DOWN_FRAC;
    begin_round(c);
    if (was_full && latency_s > 0 && is_crowded(c, rate, latency_s)) {
        c->is_doubling = false;
        resize(c, fmin(c->anchor_size, size * 0.85));
        c->anchor_rate = 0;
        return;
    }
    double next = size * (1 - 0.5 * share);
    c->is_doubling = c->is_doubling && !was_filled;
    if (!was_filled && was_full) next = c->is_doubling ? 2 * size : next + fmax(1, size / 16);
    resize(c, next);
}

/* A round is a window's worth of answers, and never so few that their time is noise. */
static void count(concurrency_t *c) {
    const int64_t n = c->n_answered + c->n_turned_down;
    if (n >= concurrency_window(c) && n >= CONCURRENCY_START) judge(c);
}

void concurrency_answered(concurrency_t *c, double latency_s) {
    c->n_answered++;
    c->latency_s += latency_s;
    count(c);
}

void concurrency_turned_down(concurrency_t *c) {
    c->n_turned_down++;
    count(c);
}

void concurrency_restart(concurrency_t *c) {
    resize(c, c->size / 2);
    c->anchor_rate = 0;
    begin_round(c);
}
