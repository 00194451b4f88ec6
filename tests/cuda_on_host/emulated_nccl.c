/* NCCL on the host: data goes through memory of the host's own and MPI. */
#include "tests/cuda_on_host/include/nccl.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/comm_calls.h"
#include "base/half.h"

struct ncclComm {
    int rank, world;
    long n_collectives, hang_at, error_at; /* 0: never */
    int failed;
    int is_blocking, n_unsettled; /* looks that still find the last call in progress */
    MPI_Comm mpi;                 /* not in a world of 1 */
    cudaStream_t hanging;
};

enum { UNSETTLED_LOOKS = 3 };

/* What a call returns that is done: it may not be settled yet where the communicator does not block. */
static ncclResult_t result_of(ncclComm_t comm) {
    if (comm->is_blocking) return ncclSuccess;
    comm->n_unsettled = UNSETTLED_LOOKS;
    return ncclInProgress;
}

ncclResult_t ncclGetVersion(int *version) {
    *version = NCCL_VERSION_CODE;
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result) {
    switch (result) {
    case ncclSuccess:
        return "no error";
    case ncclUnhandledCudaError:
        return "unhandled CUDA error";
    case ncclSystemError:
        return "unhandled system error";
    case ncclInternalError:
        return "internal error";
    case ncclInvalidArgument:
        return "invalid argument";
    case ncclInvalidUsage:
        return "invalid usage";
    case ncclRemoteError:
        return "remote process exited or there was a network error";
    case ncclInProgress:
        return "NCCL operation in progress";
    }
    return "unknown result code";
}
const char *ncclGetLastError(ncclComm_t comm) {
    (void)comm;
    return lens_error();
}

/* ---- communicators ---- */

ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    memset(id, 0, sizeof *id);
    snprintf(id->internal, sizeof id->internal, "emulated %lld.%09ld", (long long)now.tv_sec, now.tv_nsec);
    return ncclSuccess;
}

static lens_status all_reduce(ncclComm_t comm, void *x, int n, MPI_Datatype type, MPI_Op op) {
    MPI_Request request;
    comm_mpi_lock();
    int code = MPI_Iallreduce(MPI_IN_PLACE, x, n, type, op, comm->mpi, &request);
    comm_mpi_unlock();
    return comm_mpi_finish(code, &request, "emulated NCCL");
}

/* All ranks must have come with the same id. */
static bool same_id(ncclComm_t comm, const ncclUniqueId *id) {
    ncclUniqueId least = *id, most = *id;
    if (all_reduce(comm, least.internal, NCCL_UNIQUE_ID_BYTES, MPI_SIGNED_CHAR, MPI_MIN) != LENS_OK) return false;
    if (all_reduce(comm, most.internal, NCCL_UNIQUE_ID_BYTES, MPI_SIGNED_CHAR, MPI_MAX) != LENS_OK) return false;
    return !memcmp(&least, &most, sizeof least);
}

static long number_of(const char *name) {
    const char *value = getenv(name);
    return value ? strtol(value, NULL, 10) : 0;
}

static ncclResult_t init(ncclComm_t *out, int n_ranks, ncclUniqueId id, int rank, int is_blocking) {
    int mpi_rank = 0, mpi_world = 1;
    *out = NULL;
    ncclComm_t comm = calloc(1, sizeof *comm);
    if (!comm) return ncclSystemError;
    *comm = (struct ncclComm){.rank = rank,
                              .world = n_ranks,
                              .is_blocking = is_blocking,
                              .hang_at = number_of("LENS_NCCL_HANG"),
                              .error_at = number_of("LENS_NCCL_ERROR"),
                              .mpi = MPI_COMM_NULL};
    ncclResult_t result = ncclSuccess;
    if (n_ranks > 1) {
        if (comm_mpi_new_communicator(&comm->mpi) != LENS_OK) result = ncclSystemError;
        comm_mpi_lock();
        if (result == ncclSuccess) MPI_Comm_rank(comm->mpi, &mpi_rank);
        if (result == ncclSuccess) MPI_Comm_size(comm->mpi, &mpi_world);
        comm_mpi_unlock();
    }
    if (result == ncclSuccess && (mpi_rank != rank || mpi_world != n_ranks)) result = ncclInvalidArgument;
    if (result == ncclSuccess && n_ranks > 1 && !same_id(comm, &id)) result = ncclInvalidUsage;
    if (result != ncclSuccess) {
        ncclCommDestroy(comm);
        return result;
    }
    *out = comm;
    return result_of(comm);
}
ncclResult_t ncclCommInitRank(ncclComm_t *comm, int n_ranks, ncclUniqueId id, int rank) {
    return init(comm, n_ranks, id, rank, 1);
}
ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int n_ranks, ncclUniqueId id, int rank, ncclConfig_t *config) {
    if (config && (config->size != sizeof *config || config->magic != 0xcafebeefu)) return ncclInvalidArgument;
    return init(comm, n_ranks, id, rank, !config || config->blocking != 0);
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
    if (comm->n_unsettled) return ncclInvalidUsage;
    return comm->hanging ? ncclInProgress : result_of(comm);
}
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
    if (comm->mpi != MPI_COMM_NULL) {
        comm_mpi_lock();
        MPI_Comm_free(&comm->mpi);
        comm_mpi_unlock();
    }
    free(comm);
    return ncclSuccess;
}
/* Frees without a word to the other ranks: they may be gone. */
ncclResult_t ncclCommAbort(ncclComm_t comm) {
    if (comm->hanging) emulated_stream_hang(comm->hanging, 0);
    free(comm);
    return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *error) {
    *error = comm->failed ? ncclRemoteError : comm->n_unsettled ? ncclInProgress : ncclSuccess;
    if (comm->n_unsettled) comm->n_unsettled--;
    return ncclSuccess;
}
ncclResult_t ncclCommCount(const ncclComm_t comm, int *count) {
    *count = comm->world;
    return ncclSuccess;
}
ncclResult_t ncclCommUserRank(const ncclComm_t comm, int *rank) {
    *rank = comm->rank;
    return ncclSuccess;
}
ncclResult_t ncclGroupStart(void) {
    return ncclSuccess;
}
ncclResult_t ncclGroupEnd(void) {
    return ncclSuccess;
}

/* ---- collectives ---- */

static size_t type_bytes(ncclDataType_t type) {
    switch (type) {
    case ncclInt8:
    case ncclUint8:
        return 1;
    case ncclBfloat16:
        return 2;
    case ncclInt32:
    case ncclFloat32:
        return 4;
    case ncclInt64:
    case ncclFloat64:
        return 8;
    }
    return 0;
}

/* Before each: true where it may begin. Where a rank hangs or fails in it, it ends on no rank, and the communicator
 * does nothing more. */
static bool begin(ncclComm_t comm, cudaStream_t stream, ncclResult_t *result) {
    comm->n_collectives++;
    *result = comm->n_unsettled ? ncclInvalidUsage : ncclSuccess;
    if (*result != ncclSuccess) return false;
    emulated_stream_collective(stream);
    if (comm->hanging) return false;
    comm->failed = comm->error_at > 0 && comm->n_collectives >= comm->error_at;
    int stops = comm->failed || (comm->hang_at > 0 && comm->n_collectives >= comm->hang_at);
    if (comm->world > 1 && all_reduce(comm, &stops, 1, MPI_INT, MPI_MAX) != LENS_OK) *result = ncclSystemError;
    if (!stops) return *result == ncclSuccess;
    comm->hanging = stream;
    emulated_stream_hang(stream, 1);
    return false;
}

/* host[bytes] := in, on the device; NULL where there is no memory. */
static void *take(const void *in, size_t bytes) {
    void *host = malloc(bytes ? bytes : 1);
    emulated_memory_open();
    if (host && bytes) memcpy(host, in, bytes);
    emulated_memory_close();
    return host;
}

static lens_status gather_bytes(void *all, const void *mine, size_t bytes, ncclComm_t comm) {
    MPI_Request request;
    comm_mpi_lock();
    int code = MPI_Iallgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, comm->mpi, &request);
    comm_mpi_unlock();
    return comm_mpi_finish(code, &request, "emulated NCCL");
}

/* To nearest, ties to even. */
static uint16_t to_bf16(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return x != x ? 0x7FFF : (uint16_t)((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}

/* Rank after rank is added, and each sum rounded, as it goes around a ring. */
static lens_status sum_bf16(uint16_t *x, size_t n, ncclComm_t comm) {
    uint16_t *all = malloc(n * sizeof *x * (size_t)comm->world + 1);
    lens_status st = all ? gather_bytes(all, x, n * sizeof *x, comm) : LENS_MEMORY;
    for (size_t i = 0; st == LENS_OK && i < n; i++) {
        x[i] = all[i];
        for (size_t rank = 1; rank < (size_t)comm->world; rank++)
            x[i] = to_bf16(half_from_bf16(x[i]) + half_from_bf16(all[rank * n + i]));
    }
    free(all);
    return st;
}

/* The sum over ranks of in[n], in memory of the host. */
static ncclResult_t sum(void **out, const void *in, size_t n, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm) {
    lens_status st = LENS_OK;
    *out = NULL;
    if (op != ncclSum || n > INT_MAX / 8) return ncclInvalidArgument;
    if (type != ncclFloat32 && type != ncclFloat64 && type != ncclBfloat16) return ncclInvalidArgument;
    *out = take(in, n * type_bytes(type));
    if (!*out) return ncclSystemError;
    if (comm->world == 1) return ncclSuccess;
    if (type == ncclFloat32) st = all_reduce(comm, *out, (int)n, MPI_FLOAT, MPI_SUM);
    if (type == ncclFloat64) st = all_reduce(comm, *out, (int)n, MPI_DOUBLE, MPI_SUM);
    if (type == ncclBfloat16) st = sum_bf16(*out, n, comm);
    return st == LENS_OK ? ncclSuccess : ncclSystemError;
}

ncclResult_t ncclAllReduce(const void *in, void *out, size_t n, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm,
                           cudaStream_t stream) {
    void *host;
    ncclResult_t result;
    if (!begin(comm, stream, &result)) return result;
    result = sum(&host, in, n, type, op, comm);
    if (result == ncclSuccess) emulated_stream_result(stream, out, host, n * type_bytes(type));
    free(host);
    return result == ncclSuccess ? result_of(comm) : result;
}

ncclResult_t ncclReduceScatter(const void *in, void *out, size_t n_out, ncclDataType_t type, ncclRedOp_t op,
                               ncclComm_t comm, cudaStream_t stream) {
    void *host;
    size_t bytes = n_out * type_bytes(type);
    ncclResult_t result;
    if (!begin(comm, stream, &result)) return result;
    result = sum(&host, in, n_out * (size_t)comm->world, type, op, comm);
    if (result == ncclSuccess) emulated_stream_result(stream, out, (char *)host + (size_t)comm->rank * bytes, bytes);
    free(host);
    return result == ncclSuccess ? result_of(comm) : result;
}

ncclResult_t ncclAllGather(const void *in, void *out, size_t n_in, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream) {
    size_t bytes = n_in * type_bytes(type);
    ncclResult_t result;
    if (!begin(comm, stream, &result)) return result;
    if (bytes > INT_MAX) return ncclInvalidArgument;
    void *mine = take(in, bytes), *all = malloc(bytes * (size_t)comm->world + 1);
    lens_status st = mine && all ? LENS_OK : LENS_MEMORY;
    if (st == LENS_OK && comm->world == 1) memcpy(all, mine, bytes);
    if (st == LENS_OK && comm->world > 1) st = gather_bytes(all, mine, bytes, comm);
    if (st == LENS_OK) emulated_stream_result(stream, out, all, bytes * (size_t)comm->world);
    free(mine);
    free(all);
    return st == LENS_OK ? result_of(comm) : ncclSystemError;
}

ncclResult_t ncclBroadcast(const void *in, void *out, size_t n, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream) {
    size_t bytes = n * type_bytes(type);
    MPI_Request request;
    ncclResult_t result;
    if (!begin(comm, stream, &result)) return result;
    if (bytes > INT_MAX || root < 0 || root >= comm->world) return ncclInvalidArgument;
    void *host = comm->rank == root ? take(in, bytes) : malloc(bytes + 1);
    lens_status st = host ? LENS_OK : LENS_MEMORY;
    if (st == LENS_OK && comm->world > 1) {
        comm_mpi_lock();
        int code = MPI_Ibcast(host, (int)bytes, MPI_BYTE, root, comm->mpi, &request);
        comm_mpi_unlock();
        st = comm_mpi_finish(code, &request, "emulated NCCL");
    }
    if (st == LENS_OK) emulated_stream_result(stream, out, host, bytes);
    free(host);
    return st == LENS_OK ? result_of(comm) : ncclSystemError;
}
