/* The MPI side of base/comm.h, called by comm.c alone and only in a world of several ranks. */
#ifndef LENS_BASE_COMM_MPI_H
#define LENS_BASE_COMM_MPI_H

#include "base/error.h"
#include "base/str.h"

typedef struct {
    int rank, world;
    int node_ranks;   /* ranks on this host, itself included */
    int node_rank;    /* its number among them */
    int core_ranks;   /* ranks that may run on a core of this one, itself included */
    const char *host; /* texts of COMM_HOST_BYTES each, [world]; kept by comm_mpi.c */
} comm_place_t;

enum { COMM_HOST_BYTES = 64 };

/* expected_world: what the launcher said, 0 where it did not. COMM where MPI sees another number of ranks. */
LENS_CHECKED lens_status comm_mpi_init(comm_place_t *out, int expected_world);
void comm_mpi_finalize(void);
_Noreturn void comm_mpi_abort(int exit_status);

LENS_CHECKED lens_status comm_mpi_sum_f64(double *x, int64_t n, const char *what);
LENS_CHECKED lens_status comm_mpi_broadcast(void *bytes, size_t n, int root, const char *what);
LENS_CHECKED lens_status comm_mpi_gather(void *all, const void *mine, size_t n, const char *what);
LENS_CHECKED lens_status comm_mpi_barrier(void);
/* Largest `value` of all ranks and the lowest rank that has it. */
LENS_CHECKED lens_status comm_mpi_max(int *value, int *rank, const char *what);

/* comm_messages.c */
LENS_CHECKED lens_status comm_mpi_ask(const void *request, size_t n, str_t *answer);
LENS_CHECKED lens_status comm_mpi_receive(int *from, str_t *request);
LENS_CHECKED lens_status comm_mpi_answer(int to, const void *answer, size_t n);

#endif
