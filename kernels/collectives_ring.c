/* A thread that carries out what was started, one after the other: the communication stream of host memory. */
#include "kernels/collectives_ring.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/comm_ring.h"
#include "base/comm_watchdog.h"
#include "base/log.h"
#include "kernels/ring_pass.h"

enum { QUEUE_MAX = 256, MESSAGE_BYTES = 512 };

typedef enum { REDUCE_SCATTER, ALL_GATHER, ALL_REDUCE } operation_kind;

typedef struct {
    operation_kind kind;
    reduce_type type;
    void *x;
    int64_t n; /* elements, of all-gather bytes */
    const char *what;
} operation_t;

typedef struct {
    comm_ring_t *ring;
    char *staging; /* [RING_STAGING_BYTES], of the thread */
    int rank, world;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under the lock: */
    operation_t queue[QUEUE_MAX]; /* operation i is in i % QUEUE_MAX; ticket i + 1 */
    int64_t n_started, n_done;
    bool stopping;
    lens_status status; /* the first failure's, for good */
    char message[MESSAGE_BYTES];
    collectives_times_t times;
} stream_t;

/* ---- the thread ---- */

static lens_status carry_out(const stream_t *s, const operation_t *o, double *n_bytes) {
    static const char *const names[] = {"reduce-scatter", "all-gather", "all-reduce"};
    const ring_array_t a = {.x = o->x,
                            .n = o->n,
                            .item_bytes = o->kind == ALL_GATHER   ? 1
                                          : o->type == REDUCE_F32 ? sizeof(float)
                                                                  : sizeof(double),
                            .rank = s->rank,
                            .world = s->world};
    lens_status st = LENS_OK;
    if (o->type == REDUCE_BF16) st = lens_fail(LENS_ARGUMENT, "no sums of bf16 on host memory");
    if (st == LENS_OK && o->kind != ALL_GATHER) st = ring_pass_sum(&a, o->type, s->ring, s->staging, n_bytes);
    if (st == LENS_OK && o->kind != REDUCE_SCATTER) st = ring_pass_copy(&a, s->ring, n_bytes);
    return lens_context(st, "%s of %s", names[o->kind], o->what);
}

/* Under the lock. After a failure nothing is carried out. */
static void run_next(stream_t *s) {
    const operation_t o = s->queue[s->n_done % QUEUE_MAX];
    if (s->status == LENS_OK) {
        double n_bytes = 0;
        pthread_mutex_unlock(&s->lock);
        const double begin_s = log_clock_s();
        lens_status st = carry_out(s, &o, &n_bytes);
        const double busy_s = log_clock_s() - begin_s;
        if (st != LENS_OK) comm_ring_fail(s->ring);
        pthread_mutex_lock(&s->lock);
        s->times.busy_s += busy_s;
        s->times.n_bytes += n_bytes;
        s->status = st;
        if (st != LENS_OK) snprintf(s->message, sizeof s->message, "%s", lens_error());
    }
    s->n_done++;
    pthread_cond_broadcast(&s->changed);
}

static void *run_stream(void *context) {
    stream_t *s = context;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        if (s->n_done < s->n_started)
            run_next(s);
        else if (s->stopping)
            break;
        else
            pthread_cond_wait(&s->changed, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- the driving thread ---- */

/* Under the lock: until at least so many operations are done. */
static void wait_until_done(stream_t *s, int64_t n) {
    if (s->n_done >= n) return;
    const double begin_s = log_clock_s();
    while (s->n_done < n) {
        const int64_t done_before = s->n_done;
        comm_watchdog_stand(s->queue[s->n_done % QUEUE_MAX].what);
        while (s->n_done == done_before) pthread_cond_wait(&s->changed, &s->lock);
    }
    comm_watchdog_stand(NULL);
    s->times.exposed_s += log_clock_s() - begin_s;
}

static ticket_t start(collectives_t *c, operation_t o) {
    stream_t *s = c->context;
    pthread_mutex_lock(&s->lock);
    wait_until_done(s, s->n_started - QUEUE_MAX + 1);
    s->queue[s->n_started++ % QUEUE_MAX] = o;
    const ticket_t ticket = s->n_started;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return ticket;
}

static ticket_t start_reduce_scatter(collectives_t *c, void *x, int64_t n, reduce_type type, const char *what) {
    LENS_ASSERT(n % c->world == 0, "%s: %lld elements, %d ranks", what, (long long)n, c->world);
    return start(c, (operation_t){.kind = REDUCE_SCATTER, .type = type, .x = x, .n = n, .what = what});
}

static ticket_t start_all_gather(collectives_t *c, void *x, size_t n_bytes, const char *what) {
    LENS_ASSERT(n_bytes % (size_t)c->world == 0, "%s: %zu bytes, %d ranks", what, n_bytes, c->world);
    return start(c, (operation_t){.kind = ALL_GATHER, .x = x, .n = (int64_t)n_bytes, .what = what});
}

static ticket_t start_all_reduce(collectives_t *c, void *x, int64_t n, reduce_type type, const char *what) {
    return start(c, (operation_t){.kind = ALL_REDUCE, .type = type, .x = x, .n = n, .what = what});
}

static void wait_for(collectives_t *c, ticket_t ticket) {
    stream_t *s = c->context;
    pthread_mutex_lock(&s->lock);
    LENS_ASSERT(ticket <= s->n_started, "ticket %lld of %lld", (long long)ticket, (long long)s->n_started);
    wait_until_done(s, ticket);
    pthread_mutex_unlock(&s->lock);
}

static lens_status finish(collectives_t *c) {
    stream_t *s = c->context;
    pthread_mutex_lock(&s->lock);
    wait_until_done(s, s->n_started);
    lens_status st = s->status;
    if (st != LENS_OK) st = lens_fail(st, "%s", s->message);
    pthread_mutex_unlock(&s->lock);
    return st;
}

static collectives_times_t take_times(collectives_t *c) {
    stream_t *s = c->context;
    pthread_mutex_lock(&s->lock);
    const collectives_times_t times = s->times;
    s->times = (collectives_times_t){0};
    pthread_mutex_unlock(&s->lock);
    return times;
}

/* ---- begin and end ---- */

static void stream_free(stream_t *s) {
    if (!s) return;
    comm_ring_free(s->ring);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s->staging);
    free(s);
}

static void free_ring(collectives_t *c) {
    stream_t *s = c->context;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    stream_free(s);
    free(c);
}

/* Signals are for the threads that know what to do with them. */
static int start_thread(stream_t *s) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&s->thread, NULL, run_stream, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static lens_status stream_new(stream_t **out, comm_t *comm) {
    stream_t *s = *out = calloc(1, sizeof *s);
    if (!s) return lens_fail(LENS_MEMORY, "out of memory for collectives");
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->rank = comm_rank(comm);
    s->world = comm_world(comm);
    s->staging = aligned_alloc(64, RING_STAGING_BYTES);
    return s->staging ? LENS_OK : lens_fail(LENS_MEMORY, "out of memory for segments of collectives");
}

lens_status collectives_ring_init(collectives_t *c, comm_t *comm) {
    stream_t *s = NULL;
    lens_status st = comm_agree(comm, stream_new(&s, comm), "collectives");
    if (st == LENS_OK) st = comm_ring_new(&s->ring, comm);
    if (st == LENS_OK && start_thread(s) != 0) st = lens_fail(LENS_MEMORY, "no thread for collectives");
    if (st != LENS_OK) {
        stream_free(s);
        return st;
    }
    *c = (collectives_t){.name = "mpi",
                         .rank = s->rank,
                         .world = s->world,
                         .context = s,
                         .reduce_scatter = start_reduce_scatter,
                         .all_gather = start_all_gather,
                         .all_reduce = start_all_reduce,
                         .wait = wait_for,
                         .finish = finish,
                         .times = take_times,
                         .free = free_ring};
    return LENS_OK;
}
