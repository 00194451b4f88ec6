/* MPI: its start and end, its collectives, and what base/comm_calls.h says.
 *
 * MPI counts are ints, and Open MPI's reductions allocate as much scratch memory as they are given data; both are kept
 * small by sending long arrays in pieces. The algorithms of its non-blocking all-reduce add in an order that is the
 * same on all ranks, or pairwise, which gives the same bits. */
#include "base/comm_mpi.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/comm_calls.h"
#include "base/comm_watchdog.h"

#define PIECE_BYTES (16 << 20) /* large enough that latency is lost in it */
enum { ABORT_LOCK_S = 2 };

static struct {
    pthread_mutex_t lock;
    MPI_Comm collectives, messages;
    char *host; /* [world] texts of COMM_HOST_BYTES */
} mpi = {.lock = PTHREAD_MUTEX_INITIALIZER, .collectives = MPI_COMM_NULL, .messages = MPI_COMM_NULL};

void comm_mpi_lock(void) {
    pthread_mutex_lock(&mpi.lock);
}

void comm_mpi_unlock(void) {
    pthread_mutex_unlock(&mpi.lock);
}

MPI_Comm comm_mpi_messages(void) {
    return mpi.messages;
}

lens_status comm_mpi_error(int code, const char *what) {
    char text[MPI_MAX_ERROR_STRING];
    int length = 0, rank = -1;
    comm_mpi_lock();
    MPI_Error_string(code, text, &length);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    comm_mpi_unlock();
    return lens_fail(LENS_COMM, "rank %d: %s: %.*s", rank, what, length, text);
}

lens_status comm_mpi_finish(int code, MPI_Request *request, const char *what) {
    backoff_t wait = {0};
    for (int done = 0; code == MPI_SUCCESS;) {
        comm_mpi_lock();
        code = MPI_Test(request, &done, MPI_STATUS_IGNORE);
        comm_mpi_unlock();
        if (done) break;
        backoff_pause(&wait, COMM_NAP_LONGEST_US);
    }
    MPI_TRY(code, what);
    return LENS_OK;
}

static lens_status finish_collective(int code, MPI_Request *request, const char *what) {
    comm_watchdog_stand(what);
    lens_status st = comm_mpi_finish(code, request, what);
    comm_watchdog_stand(NULL);
    return st;
}

/* The call that begins a collective, under the lock. */
#define BEGIN_AND_FINISH(call, request, what)                                                                          \
    do {                                                                                                               \
        comm_mpi_lock();                                                                                               \
        int begin_code_ = (call);                                                                                      \
        comm_mpi_unlock();                                                                                             \
        LENS_TRY(finish_collective(begin_code_, request, what));                                                       \
    } while (0)

lens_status comm_mpi_new_communicator(MPI_Comm *out) {
    MPI_Request request;
    BEGIN_AND_FINISH(MPI_Comm_idup(mpi.collectives, out, &request), &request, "another communicator");
    return LENS_OK;
}

/* ---- start and end ---- */

/* The most ranks that share one core of this rank. */
static int count_core_ranks(int *out, MPI_Comm node) {
    cpu_set_t mine;
    int users[CPU_SETSIZE];
    bool known = sched_getaffinity(0, sizeof(mine), &mine) == 0;
    for (int i = 0; i < CPU_SETSIZE; i++) users[i] = !known || CPU_ISSET(i, &mine);
    int code = MPI_Allreduce(MPI_IN_PLACE, users, CPU_SETSIZE, MPI_INT, MPI_SUM, node);
    *out = 1;
    for (int i = 0; i < CPU_SETSIZE; i++)
        if ((!known || CPU_ISSET(i, &mine)) && users[i] > *out) *out = users[i];
    return code;
}

static lens_status find_hosts(comm_place_t *out) {
    char mine[COMM_HOST_BYTES] = "?";
    mpi.host = calloc((size_t)out->world, COMM_HOST_BYTES);
    if (!mpi.host) return lens_fail(LENS_MEMORY, "out of memory for the hosts of %d ranks", out->world);
    gethostname(mine, sizeof mine - 1); /* a longer name stays cut: it is for messages */
    MPI_TRY(MPI_Allgather(mine, COMM_HOST_BYTES, MPI_BYTE, mpi.host, COMM_HOST_BYTES, MPI_BYTE, MPI_COMM_WORLD),
            "hosts of ranks");
    out->host = mpi.host;
    return LENS_OK;
}

static lens_status find_place(comm_place_t *out) {
    MPI_Comm node;
    MPI_TRY(MPI_Comm_rank(MPI_COMM_WORLD, &out->rank), "own rank");
    MPI_TRY(MPI_Comm_size(MPI_COMM_WORLD, &out->world), "number of ranks");
    MPI_TRY(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, out->rank, MPI_INFO_NULL, &node),
            "ranks by host");
    int code = MPI_Comm_size(node, &out->node_ranks);
    if (code == MPI_SUCCESS) code = MPI_Comm_rank(node, &out->node_rank);
    if (code == MPI_SUCCESS) code = count_core_ranks(&out->core_ranks, node);
    MPI_Comm_free(&node);
    MPI_TRY(code, "ranks that share cores");
    MPI_TRY(MPI_Comm_dup(MPI_COMM_WORLD, &mpi.collectives), "communicator of collectives");
    MPI_TRY(MPI_Comm_dup(MPI_COMM_WORLD, &mpi.messages), "communicator of messages");
    return find_hosts(out);
}

lens_status comm_mpi_init(comm_place_t *out, int expected_world) {
    int initialized = 0, provided = MPI_THREAD_SINGLE;
    MPI_Initialized(&initialized);
    if (initialized) return lens_fail(LENS_STATE, "MPI was initialised before");
    /* A failure in here ends the process with MPI's own message: error handlers come with the communicator. */
    MPI_TRY(MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided), "starting MPI");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN); /* communicators made of it have the same */
    lens_status st = find_place(out);
    if (st == LENS_OK && provided < MPI_THREAD_SERIALIZED)
        st = lens_fail(LENS_COMM, "this MPI library cannot be used by a program with threads");
    if (st == LENS_OK && expected_world > 0 && out->world != expected_world)
        st = lens_fail(
            LENS_COMM,
            "the launcher started %d ranks, MPI sees %d: are mpirun or srun of another MPI than lens is built with?",
            expected_world, out->world);
    if (st != LENS_OK) comm_mpi_finalize();
    return st;
}

void comm_mpi_finalize(void) {
    if (mpi.collectives != MPI_COMM_NULL) MPI_Comm_free(&mpi.collectives);
    if (mpi.messages != MPI_COMM_NULL) MPI_Comm_free(&mpi.messages);
    MPI_Finalize();
    free(mpi.host);
    mpi.host = NULL;
}

void comm_mpi_abort(int exit_status) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ABORT_LOCK_S; /* a thread that never comes back out of MPI must not keep the job from its end */
    (void)pthread_mutex_timedlock(&mpi.lock, &until);
    MPI_Abort(MPI_COMM_WORLD, exit_status);
    _Exit(exit_status); /* MPI_Abort is not declared as never returning */
}

/* ---- collectives ---- */

lens_status comm_mpi_sum_f64(double *x, int64_t n, const char *what) {
    const int64_t piece = (int64_t)(PIECE_BYTES / sizeof(*x));
    for (int64_t i = 0; i < n; i += piece) {
        MPI_Request request;
        int count = (int)(n - i < piece ? n - i : piece);
        BEGIN_AND_FINISH(MPI_Iallreduce(MPI_IN_PLACE, x + i, count, MPI_DOUBLE, MPI_SUM, mpi.collectives, &request),
                         &request, what);
    }
    return LENS_OK;
}

lens_status comm_mpi_broadcast(void *bytes, size_t n, int root, const char *what) {
    for (size_t i = 0; i < n; i += PIECE_BYTES) {
        MPI_Request request;
        int count = (int)(n - i < PIECE_BYTES ? n - i : PIECE_BYTES);
        BEGIN_AND_FINISH(MPI_Ibcast((char *)bytes + i, count, MPI_BYTE, root, mpi.collectives, &request), &request,
                         what);
    }
    return LENS_OK;
}

lens_status comm_mpi_gather(void *all, const void *mine, size_t n, const char *what) {
    MPI_Request request;
    if (n > INT_MAX) return lens_fail(LENS_COMM, "%s: %zu bytes of each rank, at most %d", what, n, INT_MAX);
    BEGIN_AND_FINISH(MPI_Igather(mine, (int)n, MPI_BYTE, all, (int)n, MPI_BYTE, 0, mpi.collectives, &request), &request,
                     what);
    return LENS_OK;
}

lens_status comm_mpi_barrier(void) {
    MPI_Request request;
    BEGIN_AND_FINISH(MPI_Ibarrier(mpi.collectives, &request), &request, "barrier");
    return LENS_OK;
}

lens_status comm_mpi_max(int *value, int *rank, const char *what) {
    MPI_Request request;
    struct { /* the layout of MPI_2INT */
        int value, rank;
    } largest = {*value, *rank};
    BEGIN_AND_FINISH(MPI_Iallreduce(MPI_IN_PLACE, &largest, 1, MPI_2INT, MPI_MAXLOC, mpi.collectives, &request),
                     &request, what);
    *value = largest.value;
    *rank = largest.rank;
    return LENS_OK;
}
