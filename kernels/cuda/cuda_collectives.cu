/* kernels/collectives.h by NCCL: one communicator over all ranks, one stream of high priority.
 *
 * A start call lets the communication stream wait for an event of the compute stream, and wait lets the compute stream
 * wait for an event of the collective's. The host waits for the device in finish alone, and where QUEUE_MAX collectives
 * or waits are under way.
 *
 * The communicator does not block: a call may return ncclInProgress, and then nothing else may be called before
 * ncclCommGetAsyncError says that it is settled (nccl.h, "ncclConfig_t.blocking"). So set-up with a peer that is gone
 * ends, and so does every other wait: whoever waits on the host for the device, here or in the op table's rows, looks
 * at the communicator meanwhile (cuda_context_t.poll). A failure aborts it, which ends its kernels on the device. */
#include "kernels/cuda/cuda_kernels.cuh"

#include <nccl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define _Noreturn [[noreturn]] /* C11's word */
extern "C" {
#include "base/backoff.h"
#include "base/comm_watchdog.h"
#include "base/log.h"
#include "kernels/collectives.h"
}
#undef _Noreturn

#define SET_UP_MAX_S 300.0   /* a large cluster's takes a minute */
#define TEAR_DOWN_MAX_S 10.0 /* nothing is under way then */
enum { QUEUE_MAX = 256, MESSAGE_BYTES = 512, WHY_BYTES = 320, NAP_LONGEST_US = 200 };

typedef struct {
    const char *kind, *what;
    cudaEvent_t begun, done; /* on the communication stream */
} collective_t;

/* What the compute stream stood in. */
typedef struct {
    cudaEvent_t begun, done;
} stay_t;

typedef struct {
    kernels_t *k;
    comm_t *comm;    /* for names of hosts */
    ncclComm_t nccl; /* NULL after a failure */
    int rank, world;
    cudaStream_t stream;
    cudaEvent_t asked;             /* the compute before a start */
    collective_t queue[QUEUE_MAX]; /* collective i is in i % QUEUE_MAX; ticket i + 1 */
    int64_t n_started, n_done;     /* n_done: seen to be over */
    int64_t n_waited;              /* the compute stream waits for so many */
    stay_t stays[QUEUE_MAX];
    int64_t n_stays, n_stays_done;
    double stand_since_s; /* the host stands before collective n_done, which is under way; 0: it does not */
    lens_status status;   /* the first failure's, for good */
    char message[MESSAGE_BYTES];
    collectives_times_t times;
} nccl_t;

/* ---- failures ---- */

/* Keeps the first, of collective i, and ends what is under way on the device. */
static void fail(nccl_t *s, int64_t i, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void fail(nccl_t *s, int64_t i, const char *format, ...) {
    const collective_t *o = &s->queue[i % QUEUE_MAX];
    char why[WHY_BYTES];
    va_list args;
    if (s->status != LENS_OK) return;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    snprintf(s->message, sizeof s->message, "rank %d (host %s), step %lld: %s of %s, collective %lld: %s", s->rank,
             comm_host(s->comm, s->rank), (long long)comm_watchdog_step(), o->kind, o->what, (long long)(i + 1), why);
    s->status = LENS_COMM;
    if (s->nccl) (void)ncclCommAbort(s->nccl);
    s->nccl = NULL;
}

static lens_status failure(const nccl_t *s) {
    return s->status == LENS_OK ? LENS_OK : lens_fail(s->status, "%s", s->message);
}

static void fail_by_nccl(nccl_t *s, int64_t i, ncclResult_t r) {
    fail(s, i, "NCCL: %s: %s", ncclGetErrorString(r), ncclGetLastError(s->nccl));
}

/* Until a call that gave r is settled; ncclInProgress where it is not after max_s. */
static ncclResult_t settle(ncclComm_t nccl, ncclResult_t r, double max_s, const char *what) {
    const double begin_s = log_clock_s();
    backoff_t pause = {};
    if (r != ncclInProgress) return r;
    comm_watchdog_stand(what);
    while (r == ncclInProgress && log_clock_s() - begin_s < max_s) {
        ncclResult_t state = ncclSuccess;
        r = ncclCommGetAsyncError(nccl, &state);
        if (r == ncclSuccess) r = state;
        if (r == ncclInProgress) backoff_pause(&pause, NAP_LONGEST_US);
    }
    comm_watchdog_stand(NULL);
    return r;
}

/* ---- what is over ---- */

static double seconds_between(kernels_t *k, cudaEvent_t begun, cudaEvent_t done) {
    float ms = 0;
    cuda_note(k, cudaEventElapsedTime(&ms, begun, done), "time of a collective");
    return 1e-3 * (double)ms;
}

static void look(nccl_t *s) {
    const int64_t n_done = s->n_done;
    while (s->n_done < s->n_started && cuda_is_over(s->k, s->queue[s->n_done % QUEUE_MAX].done)) {
        const collective_t *o = &s->queue[s->n_done++ % QUEUE_MAX];
        s->times.busy_s += seconds_between(s->k, o->begun, o->done);
    }
    while (s->n_stays_done < s->n_stays && cuda_is_over(s->k, s->stays[s->n_stays_done % QUEUE_MAX].done)) {
        const stay_t *y = &s->stays[s->n_stays_done++ % QUEUE_MAX];
        s->times.exposed_s += seconds_between(s->k, y->begun, y->done);
    }
    if (s->n_done > n_done) s->stand_since_s = 0;
}

/* The host waits for the device: is what it waits for still to come? This rank stands in a collective where that has
 * begun, for it begins when this rank's compute before it is over. */
static lens_status poll_nccl(void *arg) {
    nccl_t *s = (nccl_t *)arg;
    ncclResult_t state = ncclSuccess;
    if (s->status != LENS_OK) return failure(s);
    look(s);
    const collective_t *o = &s->queue[s->n_done % QUEUE_MAX];
    ncclResult_t r = ncclCommGetAsyncError(s->nccl, &state);
    if (r == ncclSuccess) r = state;
    if (r != ncclSuccess && r != ncclInProgress) fail_by_nccl(s, s->n_done, r);
    if (s->status != LENS_OK || s->n_done == s->n_started || !cuda_is_over(s->k, o->begun)) return failure(s);
    const double now_s = log_clock_s(), max_s = comm_watchdog_patience_s();
    if (s->stand_since_s == 0) {
        s->stand_since_s = now_s;
        comm_watchdog_stand(o->what);
    }
    if (now_s - s->stand_since_s > max_s)
        fail(s, s->n_done, "not over after %.0f s: a rank did not come to it, or is gone", now_s - s->stand_since_s);
    return failure(s);
}

/* The wait is over. */
static void poll_end(void *arg) {
    ((nccl_t *)arg)->stand_since_s = 0;
    comm_watchdog_stand(NULL);
}

/* ---- collectives ---- */

static ncclDataType_t nccl_type(reduce_type type) {
    return type == REDUCE_F32 ? ncclFloat32 : type == REDUCE_F64 ? ncclFloat64 : ncclBfloat16;
}

static size_t type_bytes(reduce_type type) {
    return type == REDUCE_F32 ? sizeof(float) : type == REDUCE_F64 ? sizeof(double) : sizeof(__nv_bfloat16);
}

/* The next collective, on a stream that waits for the compute so far; NULL after a failure. */
static collective_t *begin(nccl_t *s, const char *kind, const char *what) {
    collective_t *o = &s->queue[s->n_started % QUEUE_MAX];
    if (s->status == LENS_OK && s->n_started - s->n_done == QUEUE_MAX && cuda_wait_event(s->k, o->done, what)) look(s);
    if (s->status != LENS_OK || s->n_started - s->n_done == QUEUE_MAX) return NULL;
    o->kind = kind;
    o->what = what;
    cuda_note(s->k, cudaEventRecord(s->asked, cuda_context(s->k)->stream), what);
    cuda_note(s->k, cudaStreamWaitEvent(s->stream, s->asked, 0), what);
    cuda_note(s->k, cudaEventRecord(o->begun, s->stream), what);
    return o;
}

/* r: of the call of NCCL. n_bytes: that this rank sends. */
static ticket_t end(nccl_t *s, collective_t *o, ncclResult_t r, double n_bytes) {
    const int64_t i = s->n_started++;
    const double max_s = comm_watchdog_patience_s();
    r = settle(s->nccl, r, max_s, o->what); /* the first ones connect to peers */
    if (r == ncclInProgress)
        fail(s, i, "not begun after %.0f s: a rank did not come to it, or is gone", max_s);
    else if (r != ncclSuccess)
        fail_by_nccl(s, i, r);
    cuda_note(s->k, cudaEventRecord(o->done, s->stream), o->what);
    s->times.n_bytes += n_bytes;
    return s->n_started;
}

static double sent_bytes(const nccl_t *s, double n_bytes) {
    return n_bytes * (s->world - 1) / s->world;
}

static ticket_t nccl_reduce_scatter(collectives_t *c, void *x, int64_t n, reduce_type type, const char *what) {
    nccl_t *s = (nccl_t *)c->context;
    LENS_ASSERT(n % s->world == 0, "%s: %lld elements, %d ranks", what, (long long)n, s->world);
    const size_t n_own = (size_t)(n / s->world), own_bytes = n_own * type_bytes(type);
    collective_t *o = n ? begin(s, "reduce-scatter", what) : NULL;
    if (!o) return s->n_started;
    /* In place where the result lies at rank * n_own of what is given. */
    ncclResult_t r = ncclReduceScatter(x, (char *)x + (size_t)s->rank * own_bytes, n_own, nccl_type(type), ncclSum,
                                       s->nccl, s->stream);
    return end(s, o, r, sent_bytes(s, (double)own_bytes * s->world));
}

static ticket_t nccl_all_gather(collectives_t *c, void *x, size_t n_bytes, const char *what) {
    nccl_t *s = (nccl_t *)c->context;
    LENS_ASSERT(n_bytes % (size_t)s->world == 0, "%s: %zu bytes, %d ranks", what, n_bytes, s->world);
    const size_t own_bytes = n_bytes / (size_t)s->world;
    collective_t *o = n_bytes ? begin(s, "all-gather", what) : NULL;
    if (!o) return s->n_started;
    ncclResult_t r =
        ncclAllGather((char *)x + (size_t)s->rank * own_bytes, x, own_bytes, ncclUint8, s->nccl, s->stream);
    return end(s, o, r, sent_bytes(s, (double)n_bytes));
}

static ticket_t nccl_all_reduce(collectives_t *c, void *x, int64_t n, reduce_type type, const char *what) {
    nccl_t *s = (nccl_t *)c->context;
    collective_t *o = n ? begin(s, "all-reduce", what) : NULL;
    if (!o) return s->n_started;
    ncclResult_t r = ncclAllReduce(x, x, (size_t)n, nccl_type(type), ncclSum, s->nccl, s->stream);
    return end(s, o, r, 2 * sent_bytes(s, (double)n * (double)type_bytes(type)));
}

/* Streams keep their order: who waits for one has waited for those before it. */
static void nccl_wait(collectives_t *c, ticket_t ticket) {
    nccl_t *s = (nccl_t *)c->context;
    cudaStream_t compute = cuda_context(s->k)->stream;
    LENS_ASSERT(ticket <= s->n_started, "ticket %lld of %lld", (long long)ticket, (long long)s->n_started);
    if (ticket <= s->n_waited || ticket <= s->n_done || s->status != LENS_OK) return;
    stay_t *y = &s->stays[s->n_stays % QUEUE_MAX];
    collective_t *o = &s->queue[(ticket - 1) % QUEUE_MAX];
    if (s->n_stays - s->n_stays_done == QUEUE_MAX && cuda_wait_event(s->k, y->done, o->what)) look(s);
    if (s->n_stays - s->n_stays_done == QUEUE_MAX) return; /* after a failure, which was kept */
    cuda_note(s->k, cudaEventRecord(y->begun, compute), o->what);
    cuda_note(s->k, cudaStreamWaitEvent(compute, o->done, 0), o->what);
    cuda_note(s->k, cudaEventRecord(y->done, compute), o->what);
    s->n_stays++;
    s->n_waited = ticket;
}

static lens_status nccl_finish(collectives_t *c) {
    nccl_t *s = (nccl_t *)c->context;
    const int64_t last = s->n_started - 1;
    if (s->status == LENS_OK && s->n_done < s->n_started) {
        const collective_t *o = &s->queue[last % QUEUE_MAX];
        const bool came = cuda_wait_event(s->k, o->done, o->what);
        look(s);
        if (!came) fail(s, last, "%s", lens_error());
    }
    return failure(s);
}

static collectives_times_t nccl_times(collectives_t *c) {
    nccl_t *s = (nccl_t *)c->context;
    look(s);
    const collectives_times_t times = s->times;
    s->times = {};
    return times;
}

/* ---- begin and end ---- */

static void release(nccl_t *s) {
    for (int i = 0; i < QUEUE_MAX; i++) {
        cudaEvent_t events[] = {s->queue[i].begun, s->queue[i].done, s->stays[i].begun, s->stays[i].done};
        for (cudaEvent_t event : events)
            if (event) (void)cudaEventDestroy(event);
    }
    if (s->asked) (void)cudaEventDestroy(s->asked);
    if (s->stream) (void)cudaStreamDestroy(s->stream);
    free(s);
}

/* Ranks let go of each other where all is done; in any other case without a word, since they may be gone. */
static void nccl_free(collectives_t *c) {
    nccl_t *s = (nccl_t *)c->context;
    cuda_context_t *device = cuda_context(s->k);
    look(s);
    device->poll = NULL;
    device->poll_end = NULL;
    if (s->nccl && s->n_done == s->n_started &&
        settle(s->nccl, ncclCommFinalize(s->nccl), TEAR_DOWN_MAX_S, "the end of NCCL") == ncclSuccess)
        (void)ncclCommDestroy(s->nccl);
    else if (s->nccl)
        (void)ncclCommAbort(s->nccl);
    release(s);
    free(c);
}

static lens_status check(cudaError_t e, const char *what) {
    if (e == cudaSuccess) return LENS_OK;
    return lens_fail(LENS_CUDA, "%s for collectives: %s", what, cudaGetErrorName(e));
}

static lens_status make_streams(nccl_t *s) {
    int least = 0, greatest = 0; /* a greater priority is a smaller number */
    LENS_TRY(check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "priorities"));
    LENS_TRY(check(cudaStreamCreateWithPriority(&s->stream, cudaStreamNonBlocking, greatest), "a stream"));
    LENS_TRY(check(cudaEventCreateWithFlags(&s->asked, cudaEventDisableTiming), "an event"));
    for (int i = 0; i < QUEUE_MAX; i++) {
        cudaEvent_t *events[] = {&s->queue[i].begun, &s->queue[i].done, &s->stays[i].begun, &s->stays[i].done};
        for (cudaEvent_t *event : events)
            LENS_TRY(check(cudaEventCreateWithFlags(event, cudaEventDefault), "an event"));
    }
    return LENS_OK;
}

static lens_status nccl_new(nccl_t **out, kernels_t *k, comm_t *comm, ncclUniqueId *id) {
    nccl_t *s = *out = (nccl_t *)calloc(1, sizeof *s);
    if (!s) return lens_fail(LENS_MEMORY, "out of memory for collectives");
    s->k = k;
    s->comm = comm;
    s->rank = comm_rank(comm);
    s->world = comm_world(comm);
    LENS_TRY(make_streams(s));
    ncclResult_t r = s->rank == 0 ? ncclGetUniqueId(id) : ncclSuccess;
    return r == ncclSuccess ? LENS_OK : lens_fail(LENS_COMM, "NCCL's id: %s", ncclGetErrorString(r));
}

static lens_status connect_ranks(nccl_t *s, const ncclUniqueId *id) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclResult_t r = ncclCommInitRankConfig(&s->nccl, s->world, *id, s->rank, &config);
    r = settle(s->nccl, r, SET_UP_MAX_S, "set-up of NCCL");
    if (r == ncclSuccess) return LENS_OK;
    lens_status st = r == ncclInProgress
                         ? lens_fail(LENS_COMM, "NCCL: not all ranks came together within %.0f s", SET_UP_MAX_S)
                         : lens_fail(LENS_COMM, "NCCL: %s: %s", ncclGetErrorString(r), ncclGetLastError(s->nccl));
    if (s->nccl) (void)ncclCommAbort(s->nccl);
    s->nccl = NULL;
    return st;
}

static void fill(collectives_t *c, nccl_t *s) {
    cuda_context_t *device = cuda_context(s->k);
    c->name = "nccl";
    c->rank = s->rank;
    c->world = s->world;
    c->context = s;
    c->reduce_scatter = nccl_reduce_scatter;
    c->all_gather = nccl_all_gather;
    c->all_reduce = nccl_all_reduce;
    c->wait = nccl_wait;
    c->finish = nccl_finish;
    c->times = nccl_times;
    c->free = nccl_free;
    device->poll = poll_nccl;
    device->poll_end = poll_end;
    device->poll_arg = s;
}

extern "C" lens_status collectives_cuda_new(collectives_t **out, kernels_t *k, comm_t *comm) {
    static const char what[] = "set-up of NCCL";
    *out = NULL;
    if (comm_world(comm) == 1) return collectives_host_new(out, comm); /* nothing to do, on any memory */
    nccl_t *s = NULL;
    ncclUniqueId id = {};
    lens_status st = comm_agree(comm, nccl_new(&s, k, comm, &id), what);
    if (st == LENS_OK) st = comm_broadcast(comm, &id, sizeof id, 0, what);
    if (st == LENS_OK) st = comm_agree(comm, connect_ranks(s, &id), what);
    collectives_t *c = (collectives_t *)calloc(1, sizeof *c);
    if (st == LENS_OK && !c) st = lens_fail(LENS_MEMORY, "out of memory for collectives");
    if (st != LENS_OK) {
        if (s && s->nccl) (void)ncclCommAbort(s->nccl);
        if (s) release(s);
        free(c);
        return st;
    }
    fill(c, s);
    *out = c;
    return LENS_OK;
}
