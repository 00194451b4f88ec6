#include "recaption/concurrency.h"

#include <math.h>

/* Of a round's answers; fewer of them are a server's hiccups, and no reason not to grow. */
#define TURNED_DOWN_FRAC 0.0625

void concurrency_init(concurrency_t *c, int64_t most) {
    *c = (concurrency_t){
        .size = most < CONCURRENCY_START ? (double)most : CONCURRENCY_START, .most = (double)most, .is_doubling = true};
}

int64_t concurrency_window(const concurrency_t *c) {
    return (int64_t)c->size;
}

static void begin_round(concurrency_t *c, double now_s) {
    c->since_s = now_s;
    c->latency_s = 0;
    c->n_answered = c->n_turned_down = 0;
    c->was_full = false;
}

void concurrency_sent(concurrency_t *c, int64_t n_in_flight, double now_s) {
    if (c->since_s == 0) begin_round(c, now_s);
    if (n_in_flight >= concurrency_window(c)) c->was_full = true;
}

static void resize(concurrency_t *c, double size) {
    c->size = fmin(fmax(size, 1), c->most);
}

static void judge(concurrency_t *c, double now_s) {
    const double seconds = now_s - c->since_s, n = (double)(c->n_answered + c->n_turned_down);
    const double rate = seconds > 0 ? (double)c->n_answered / seconds : 0;
    const double latency_s = c->n_answered ? c->latency_s / (double)c->n_answered : 0;
    if (latency_s > 0) c->base_s = c->base_s > 0 ? fmin(c->base_s * 1.005, latency_s) : latency_s;
    /* At least a third of what the window grew by is to be seen in the rate. */
    const bool keeps_up =
        c->rate == 0 || c->size <= c->rate_size || rate > 0.95 * c->rate * (1 + (c->size / c->rate_size - 1) / 3);
    const bool is_crowded = latency_s > 1.5 * c->base_s && !keeps_up;
    const double size = c->size, share = (double)c->n_turned_down / n;
    const bool is_full = share > TURNED_DOWN_FRAC;
    double next = size * (1 - 0.5 * share);
    if (is_crowded) next *= 0.85;
    if (is_crowded || is_full || (c->was_full && !keeps_up)) c->is_doubling = false;
    if (!is_crowded && !is_full && c->was_full) next = c->is_doubling ? 2 * size : next + fmax(1, size / 16);
    resize(c, next);
    c->rate = rate;
    c->rate_size = size;
    begin_round(c, now_s);
}

/* A round is a window's worth of answers, and never so few that their time is noise. */
static void count(concurrency_t *c, double now_s) {
    const int64_t n = c->n_answered + c->n_turned_down;
    if (n >= concurrency_window(c) && n >= CONCURRENCY_START) judge(c, now_s);
}

void concurrency_answered(concurrency_t *c, double latency_s, double now_s) {
    c->n_answered++;
    c->latency_s += latency_s;
    count(c, now_s);
}

void concurrency_turned_down(concurrency_t *c, double now_s) {
    c->n_turned_down++;
    count(c, now_s);
}

void concurrency_restart(concurrency_t *c) {
    resize(c, c->size / 2);
    c->rate = c->rate_size = c->since_s = 0;
}
