/* MPI. Collectives come from the thread that initialised it; requests and answers from any, one at a time inside MPI
 * (MPI_THREAD_SERIALIZED).
 *
 * MPI counts are ints, and Open MPI's reductions allocate as much scratch memory as they are given data; both are kept
 * small by sending long arrays in pieces. MPI itself promises identical results of MPI_Allreduce on every rank. */
#include "base/comm_mpi.h"

#include <sched.h>
#include <stdio.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <mpi.h>

#define PIECE_BYTES (16 << 20) /* large enough that latency is lost in it */

static lens_status mpi_error(int code, const char *what) {
    char text[MPI_MAX_ERROR_STRING];
    int length = 0, rank = -1;
    MPI_Error_string(code, text, &length);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return lens_fail(LENS_COMM, "rank %d: %s: %.*s", rank, what, length, text);
}

#define MPI_TRY(call, what)                                                                                            \
    do {                                                                                                               \
        int mpi_try_code_ = (call);                                                                                    \
        if (mpi_try_code_ != MPI_SUCCESS) return mpi_error(mpi_try_code_, what);                                       \
    } while (0)

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

static lens_status find_place(comm_place_t *out) {
    MPI_Comm node;
    MPI_TRY(MPI_Comm_rank(MPI_COMM_WORLD, &out->rank), "own rank");
    MPI_TRY(MPI_Comm_size(MPI_COMM_WORLD, &out->world), "number of ranks");
    MPI_TRY(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, out->rank, MPI_INFO_NULL, &node),
            "ranks by host");
    int code = count_core_ranks(&out->core_ranks, node);
    MPI_Comm_free(&node);
    MPI_TRY(code, "ranks that share cores");
    return LENS_OK;
}

lens_status comm_mpi_init(comm_place_t *out, int expected_world) {
    int initialized = 0, provided = MPI_THREAD_SINGLE;
    MPI_Initialized(&initialized);
    if (initialized) return lens_fail(LENS_STATE, "MPI was initialised before");
    /* A failure in here ends the process with MPI's own message: error handlers come with the communicator. */
    MPI_TRY(MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided), "starting MPI");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
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
    MPI_Finalize();
}

void comm_mpi_abort(int exit_status) {
    MPI_Abort(MPI_COMM_WORLD, exit_status);
    _Exit(exit_status); /* MPI_Abort is not declared as never returning */
}

static lens_status sum(void *x, int64_t n, size_t item_bytes, MPI_Datatype type, const char *what) {
    const int64_t piece = (int64_t)(PIECE_BYTES / item_bytes);
    for (int64_t i = 0; i < n; i += piece) {
        int count = (int)(n - i < piece ? n - i : piece);
        MPI_TRY(MPI_Allreduce(MPI_IN_PLACE, (char *)x + (size_t)i * item_bytes, count, type, MPI_SUM, MPI_COMM_WORLD),
                what);
    }
    return LENS_OK;
}

lens_status comm_mpi_sum_f32(float *x, int64_t n, const char *what) {
    return sum(x, n, sizeof(*x), MPI_FLOAT, what);
}

lens_status comm_mpi_sum_f64(double *x, int64_t n, const char *what) {
    return sum(x, n, sizeof(*x), MPI_DOUBLE, what);
}

lens_status comm_mpi_broadcast(void *bytes, size_t n, int root, const char *what) {
    for (size_t i = 0; i < n; i += PIECE_BYTES) {
        int count = (int)(n - i < PIECE_BYTES ? n - i : PIECE_BYTES);
        MPI_TRY(MPI_Bcast((char *)bytes + i, count, MPI_BYTE, root, MPI_COMM_WORLD), what);
    }
    return LENS_OK;
}

lens_status comm_mpi_barrier(void) {
    MPI_TRY(MPI_Barrier(MPI_COMM_WORLD), "barrier");
    return LENS_OK;
}

lens_status comm_mpi_max(int *value, int *rank, const char *what) {
    struct { /* the layout of MPI_2INT */
        int value, rank;
    } largest = {*value, *rank};
    MPI_TRY(MPI_Allreduce(MPI_IN_PLACE, &largest, 1, MPI_2INT, MPI_MAXLOC, MPI_COMM_WORLD), what);
    *value = largest.value;
    *rank = largest.rank;
    return LENS_OK;
}

/* ---- request and answer ---- */

enum { TAG_REQUEST = 1, TAG_ANSWER = 2, NAP_NS = 1000000 };

/* MPI_THREAD_SERIALIZED: one thread at a time inside MPI. Held for a call, never for a wait. */
static pthread_mutex_t calls = PTHREAD_MUTEX_INITIALIZER;
/* Held from a request to its answer: answers carry no name. */
static pthread_mutex_t asking = PTHREAD_MUTEX_INITIALIZER;

static void nap(void) {
    nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
}

static lens_status send_message(const void *bytes, size_t n, int to, int tag) {
    MPI_Request sending;
    if (n > INT_MAX) return lens_fail(LENS_COMM, "a message of %zu bytes to rank %d, at most %d", n, to, INT_MAX);
    pthread_mutex_lock(&calls);
    int code = MPI_Isend(bytes, (int)n, MPI_BYTE, to, tag, MPI_COMM_WORLD, &sending), done = 0;
    for (;;) {
        if (code == MPI_SUCCESS) code = MPI_Test(&sending, &done, MPI_STATUS_IGNORE);
        pthread_mutex_unlock(&calls);
        if (done || code != MPI_SUCCESS) break;
        nap();
        pthread_mutex_lock(&calls);
    }
    MPI_TRY(code, "sending a message");
    return LENS_OK;
}

/* *from: -1 where nothing is waiting. A matched message has been sent whole or is on its way: receiving it may block
 * for its transfer only. */
static lens_status receive_message(int source, int tag, int *from, str_t *out) {
    MPI_Message message;
    MPI_Status status;
    int found = 0, n = 0;
    *from = -1;
    int code = MPI_Improbe(source, tag, MPI_COMM_WORLD, &found, &message, &status);
    if (code == MPI_SUCCESS && !found) return LENS_OK;
    if (code == MPI_SUCCESS) code = MPI_Get_count(&status, MPI_BYTE, &n);
    MPI_TRY(code, "looking for a message");
    str_clear(out);
    str_reserve(out, (size_t)n);
    LENS_TRY(str_status(out));
    MPI_TRY(MPI_Mrecv(out->s, n, MPI_BYTE, &message, &status), "receiving a message");
    out->len = (size_t)n;
    out->s[n] = '\0';
    *from = status.MPI_SOURCE;
    return LENS_OK;
}

lens_status comm_mpi_receive(int *from, str_t *request) {
    pthread_mutex_lock(&calls);
    lens_status st = receive_message(MPI_ANY_SOURCE, TAG_REQUEST, from, request);
    pthread_mutex_unlock(&calls);
    return st;
}

lens_status comm_mpi_answer(int to, const void *answer, size_t n) {
    return send_message(answer, n, to, TAG_ANSWER);
}

lens_status comm_mpi_ask(const void *request, size_t n, str_t *answer) {
    pthread_mutex_lock(&asking);
    lens_status st = send_message(request, n, 0, TAG_REQUEST);
    for (int from = -1; st == LENS_OK && from < 0;) {
        pthread_mutex_lock(&calls);
        st = receive_message(0, TAG_ANSWER, &from, answer);
        pthread_mutex_unlock(&calls);
        if (st == LENS_OK && from < 0) nap();
    }
    pthread_mutex_unlock(&asking);
    return st;
}
