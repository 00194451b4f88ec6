/* Collectives and messages between ranks. One process is a world of 1 and needs no MPI; under mpirun or srun the same
 * calls use MPI.
 *
 * Every rank calls the same collectives in the same order with the same counts, from one thread at a time. A failing
 * rank calls comm_abort, which ends the others too, so that none waits for ever.
 *
 * Requests and answers, and the messages of base/comm_ring.h, may be under way in other threads meanwhile. Whoever
 * waits here leaves its core to others after some microseconds. */
#ifndef LENS_BASE_COMM_H
#define LENS_BASE_COMM_H

#include "base/error.h"
#include "base/str.h"

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
int comm_node_ranks(const comm_t *c);             /* ranks on this host, itself included */
int comm_node_rank(const comm_t *c);              /* from 0 up among them, in the order of ranks */
const char *comm_host(const comm_t *c, int rank); /* where that rank runs, for messages */

/* In place, on host memory; the result is the same bits on every rank. */
LENS_CHECKED lens_status comm_sum_f64(comm_t *c, double *x, int64_t n, const char *what); /* what: for messages */
LENS_CHECKED lens_status comm_broadcast(comm_t *c, void *bytes, size_t n, int root, const char *what);
/* n bytes of every rank, less than 2 GiB, to rank 0, one rank's after the other's: all is [world * n] there, and not
 * read elsewhere. */
LENS_CHECKED lens_status comm_gather_bytes(comm_t *c, void *all, const void *mine, size_t n, const char *what);
LENS_CHECKED lens_status comm_barrier(comm_t *c);
/* Makes every rank fail where one does: returns the worst status; ranks that were OK get a message naming the rank. */
LENS_CHECKED lens_status comm_agree(comm_t *c, lens_status st, const char *what);

/* ---- request and answer: rank 0 serves, the others ask ----
 * Unlike collectives these may be called by any thread at any time, beside each other and beside all else. A message
 * has less than 2 GiB. */

/* Ranks other than 0: waits for the answer, which is cleared and filled. One request of a rank at a time: its other
 * threads wait their turn. */
LENS_CHECKED lens_status comm_ask(comm_t *c, const void *request, size_t n, str_t *answer);
/* Rank 0: the next request, cleared and filled, and whose it is; *from is -1 where there is none now (always so in a
 * world of 1). Each request must be answered. */
LENS_CHECKED lens_status comm_receive(comm_t *c, int *from, str_t *request);
LENS_CHECKED lens_status comm_answer(comm_t *c, int to, const void *answer, size_t n);

#endif
