#include "data/bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/median.h"

/* What the threads of one round share. */
typedef struct {
    const bench_t *bench;
    bench_task_t *task;
    double until_s;
    _Atomic int64_t next;
    _Atomic bool failed;
} round_t;

typedef struct {
    round_t *round;
    bench_thread_t thread;
    lens_status status;
    char message[1024];
} worker_t;

static void *run_worker(void *argument) {
    worker_t *w = argument;
    round_t *r = w->round;
    while (w->status == LENS_OK && !atomic_load(&r->failed) && log_clock_s() < r->until_s)
        w->status = r->task->work(r->bench->context, &w->thread, atomic_fetch_add(&r->next, 1));
    if (w->status != LENS_OK) {
        atomic_store(&r->failed, true);
        strncpy(w->message, lens_error(), sizeof w->message - 1);
    }
    return NULL;
}

static lens_status join(worker_t *workers, const pthread_t *threads, int n, uint64_t *n_bytes) {
    lens_status st = LENS_OK;
    for (int i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
        *n_bytes += workers[i].thread.n_bytes;
        if (st == LENS_OK && workers[i].status != LENS_OK) st = lens_fail(workers[i].status, "%s", workers[i].message);
    }
    return st;
}

static lens_status run_threads(round_t *r, worker_t *workers, uint64_t *n_bytes) {
    pthread_t threads[BENCH_MAX_THREADS];
    int n = 0, error = 0;
    for (; n < r->bench->n_threads && error == 0; n += error == 0) {
        workers[n].round = r;
        workers[n].thread.n_bytes = 0;
        error = pthread_create(&threads[n], NULL, run_worker, &workers[n]);
        if (error) atomic_store(&r->failed, true);
    }
    LENS_TRY(join(workers, threads, n, n_bytes));
    return error ? lens_fail(LENS_MEMORY, "cannot start thread %d: %s", n, strerror(error)) : LENS_OK;
}

typedef struct {
    double s, cpu_s;
} instant_t;

static instant_t now(void) {
    struct timespec cpu = {0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    return (instant_t){log_clock_s(), (double)cpu.tv_sec + (double)cpu.tv_nsec * 1e-9};
}

static lens_status set_rate(const bench_t *b, bench_task_t *task, int round, instant_t begin, int64_t n_items,
                            uint64_t n_bytes) {
    instant_t end = now();
    if (b->round_max_bytes > 0 && n_bytes > b->round_max_bytes)
        return lens_fail(LENS_ARGUMENT,
                         "%s: a round of %.2g s reads more than the %llu MB there are: less time, or a larger set",
                         task->name, b->task_s, (unsigned long long)(b->round_max_bytes / 1000000));
    double done = task->bytes ? (double)n_bytes * 1e-6 : (double)n_items;
    task->rate[round] = done / (end.s - begin.s);
    task->cpu_rate[round] = done / (end.cpu_s - begin.cpu_s);
    return LENS_OK;
}

static lens_status run_by_threads(const bench_t *b, bench_task_t *task, worker_t *workers, int round) {
    instant_t begin = now();
    round_t r = {.bench = b, .task = task, .until_s = begin.s + b->task_s, .next = task->next};
    uint64_t n_bytes = 0;
    LENS_TRY(run_threads(&r, workers, &n_bytes));
    int64_t n_items = r.next - task->next;
    task->next = r.next;
    return set_rate(b, task, round, begin, n_items, n_bytes);
}

static lens_status run_by_itself(const bench_t *b, bench_task_t *task, int round) {
    int64_t n_items = 0;
    uint64_t n_bytes = 0;
    lens_status st = task->begin(b->context);
    instant_t begin = now();
    if (st == LENS_OK) st = task->round(b->context, begin.s + b->task_s, &n_items, &n_bytes);
    if (st == LENS_OK) st = set_rate(b, task, round, begin, n_items, n_bytes);
    task->end(b->context);
    return st;
}

static lens_status run_task(const bench_t *b, bench_task_t *task, worker_t *workers, int round) {
    if (b->before) LENS_TRY(b->before(b->context));
    return task->round ? run_by_itself(b, task, round) : run_by_threads(b, task, workers, round);
}

lens_status bench_run(const bench_t *b) {
    LENS_ASSERT(b->n_threads <= BENCH_MAX_THREADS && b->n_rounds <= BENCH_MAX_ROUNDS, "%d threads, %d rounds",
                b->n_threads, b->n_rounds);
    worker_t *workers = calloc((size_t)b->n_threads, sizeof *workers);
    lens_status st = workers ? LENS_OK : lens_fail(LENS_MEMORY, "%d threads", b->n_threads);
    for (int i = 0; st == LENS_OK && i < b->n_threads; i++) {
        if (!(workers[i].thread.buffer = malloc(b->buffer_bytes)))
            st = lens_fail(LENS_MEMORY, "%d buffers of %zu bytes", b->n_threads, b->buffer_bytes);
    }
    for (int round = 0; round < b->n_rounds && st == LENS_OK; round++) {
        log_progress("round %d of %d", round + 1, b->n_rounds);
        for (int i = 0; i < b->n_tasks && st == LENS_OK; i++) st = run_task(b, &b->task[i], workers, round);
    }
    log_progress_end();
    for (int i = 0; workers && i < b->n_threads; i++) {
        str_free(&workers[i].thread.text);
        free(workers[i].thread.buffer);
    }
    free(workers);
    return st;
}

double bench_median(const bench_task_t *t, int n_rounds) {
    double x[BENCH_MAX_ROUNDS];
    memcpy(x, t->rate, sizeof x);
    return median(x, n_rounds);
}

static double median_ratio(const double *rate, const double *ceiling, int n) {
    double x[BENCH_MAX_ROUNDS];
    for (int i = 0; i < n; i++) x[i] = rate[i] / ceiling[i];
    return median(x, n);
}

double bench_ratio(const bench_task_t *t, const bench_task_t *ceiling, int n_rounds) {
    return median_ratio(t->rate, ceiling->rate, n_rounds);
}

double bench_cpu_ratio(const bench_task_t *t, const bench_task_t *ceiling, int n_rounds) {
    return median_ratio(t->cpu_rate, ceiling->cpu_rate, n_rounds);
}
