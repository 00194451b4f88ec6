/* Collectives between ranks. One process is a world of 1 and needs no MPI; under mpirun or srun the same calls use MPI.
 *
 * Every rank calls the same collectives in the same order with the same counts. A failing rank calls comm_abort, which
 * ends the others too, so that none waits for ever. */
#ifndef LENS_BASE_COMM_H
#define LENS_BASE_COMM_H

#include "base/error.h"

typedef struct comm comm_t;

/* Starts MPI where the process was launched as one of several ranks. One a process. */
LENS_CHECKED lens_status comm_init(comm_t **out);
void comm_free(comm_t *c);                             /* finalises MPI; NULL is allowed */
_Noreturn void comm_abort(comm_t *c, int exit_status); /* the message was logged by the caller */
int comm_rank(const comm_t *c);
int comm_world(const comm_t *c);
/* Ranks that may run on the cores of this one, itself included: to share them. 1 where the launcher bound each rank to
 * cores of its own. */
int comm_core_ranks(const comm_t *c);

/* In place, on host memory; the result is the same bits on every rank. */
LENS_CHECKED lens_status comm_sum_f32(comm_t *c, float *x, int64_t n, const char *what); /* what: for messages */
LENS_CHECKED lens_status comm_sum_f64(comm_t *c, double *x, int64_t n, const char *what);
LENS_CHECKED lens_status comm_broadcast(comm_t *c, void *bytes, size_t n, int root, const char *what);
LENS_CHECKED lens_status comm_barrier(comm_t *c);
/* Makes every rank fail where one does: returns the worst status; ranks that were OK get a message naming the rank. */
LENS_CHECKED lens_status comm_agree(comm_t *c, lens_status st, const char *what);

#endif
