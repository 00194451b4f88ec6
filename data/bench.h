/* A benchmark: things done over and over by some threads, a round of each in turn, so that what else the machine does
 * falls on all alike. Ratios are taken within a round, and medians over the rounds. Those by processor time leave out
 * what other processes took, but also what threads spent waiting. */
#ifndef LENS_DATA_BENCH_H
#define LENS_DATA_BENCH_H

#include "base/str.h"

#define BENCH_MAX_THREADS 256
#define BENCH_MAX_ROUNDS 64

typedef struct {
    str_t text;      /* kept from call to call */
    uint8_t *buffer; /* as large as was asked for */
    uint64_t n_bytes;
} bench_thread_t;

typedef struct {
    const char *name; /* "decode_per_s", as in JSON */
    const char *text; /* "libwebp/libjpeg alone, images/s" */
    bool bytes;       /* the rate is of bytes, in MB; else of items */
    /* Does item i, any thread; adds what it read to t->n_bytes. */
    lens_status (*work)(void *context, bench_thread_t *t, int64_t i);
    /* Or, in place of work: does all of a round in its own way, until log_clock_s() passes until_s; begin and end,
     * which is called whatever failed, are not timed. */
    lens_status (*begin)(void *context);
    lens_status (*round)(void *context, double until_s, int64_t *n_items, uint64_t *n_bytes);
    void (*end)(void *context);
    double rate[BENCH_MAX_ROUNDS];     /* a second */
    double cpu_rate[BENCH_MAX_ROUNDS]; /* a second of processor time, all threads together */
    int64_t next;                      /* item */
} bench_task_t;

typedef struct {
    bench_task_t *task;
    lens_status (*before)(void *context); /* each round of each task, not timed; or NULL */
    uint64_t round_max_bytes; /* ARGUMENT where a round reads more: it would meet its own bytes again; 0: any */
    int n_tasks, n_rounds, n_threads;
    double task_s; /* a task's time in a round */
    size_t buffer_bytes;
    void *context;
} bench_t;

/* Fills the rates [0, n_rounds) of every task. The first error of any thread ends it. */
LENS_CHECKED lens_status bench_run(const bench_t *b);
double bench_median(const bench_task_t *t, int n_rounds);
/* Median over the rounds of t's rate as a part of that of `ceiling`. */
double bench_ratio(const bench_task_t *t, const bench_task_t *ceiling, int n_rounds);
double bench_cpu_ratio(const bench_task_t *t, const bench_task_t *ceiling, int n_rounds);

#endif
