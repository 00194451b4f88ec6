/* Collectives on MPI. Calls come from the thread that initialised MPI (MPI_THREAD_FUNNELED).
 *
 * MPI counts are ints, and Open MPI's reductions allocate as much scratch memory as they are given data; both are kept
 * small by sending long arrays in pieces. MPI itself promises identical results of MPI_Allreduce on every rank. */
#include "base/comm_mpi.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

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
    MPI_TRY(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided), "starting MPI");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    lens_status st = find_place(out);
    if (st == LENS_OK && provided < MPI_THREAD_FUNNELED)
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
