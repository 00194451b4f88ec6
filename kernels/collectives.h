/* Collectives on device buffers, beside the compute. NCCL's way of working, whatever is behind it.
 *
 * There is one communication stream. A start call returns at once; the collective begins when those started before it
 * are done and the compute that was asked for before the call is done with its buffer, and runs while later compute
 * does. `wait` makes compute that is asked for after it see the result. Nothing here reads a result on the host.
 *
 * Every rank starts the same collectives in the same order with the same sizes. Between a start and its wait nobody
 * else touches the buffer. Buffers are device memory of the op table. One thread drives it. The first failure
 * is kept for good: later calls do nothing, and every `finish` reports it; the other ranks fail too, rather than wait.
 * The same ranks get the same bits, run after run; after all_reduce and all_gather all ranks hold the same. */
#ifndef LENS_KERNELS_COLLECTIVES_H
#define LENS_KERNELS_COLLECTIVES_H

#include "base/comm.h"
#include "kernels/kernels.h"

/* BF16: by NCCL alone; each rank that adds rounds the sum so far, so a sum over N ranks is off by up to N 2^-8 of the
 * largest sum on the way. */
typedef enum { REDUCE_F32, REDUCE_F64, REDUCE_BF16 } reduce_type;

/* Times of this rank since the last call, for the share of communication that compute hides. */
typedef struct {
    double busy_s;    /* the stream had a collective under way; waiting for ranks that come later is part of it */
    double exposed_s; /* compute stood still, waiting: "mpi": the driving thread in a call of these; "nccl": the compute
                         stream in the waits of `wait`, from when it came to each (an event before) until it went on (an
                         event after) */
    double n_bytes;   /* sent by this rank */
} collectives_times_t;

typedef int64_t ticket_t; /* of a started collective; later ones are larger. 0: done long ago */

typedef struct collectives collectives_t;
struct collectives {
    const char *name; /* "none", "mpi", "nccl" */
    int rank, world;
    void *context; /* of the implementation */

    /* x[n] in place, n a multiple of world. Afterwards part r, x[r n / world, (r + 1) n / world), of rank r is the sum
     * over ranks of theirs; what its other parts hold is undefined. what: for messages, not copied. */
    ticket_t (*reduce_scatter)(collectives_t *c, void *x, int64_t n, reduce_type type, const char *what);
    /* x in place, n_bytes a multiple of world: part r of rank r comes to all. */
    ticket_t (*all_gather)(collectives_t *c, void *x, size_t n_bytes, const char *what);
    ticket_t (*all_reduce)(collectives_t *c, void *x, int64_t n, reduce_type type, const char *what); /* any n */
    void (*wait)(collectives_t *c, ticket_t ticket);
    lens_status (*finish)(collectives_t *c); /* the host waits for all; the first failure */
    /* Of what is over by now: after finish, of all that was started. Starts anew; what is over later comes later. */
    collectives_times_t (*times)(collectives_t *c);
    void (*free)(collectives_t *c);
};

/* On host memory, over the ranks of comm, around a ring: every byte is sent the fewest times, and a small array takes
 * 2 (world - 1) messages one after the other (comm_sum_f64 takes fewer); in a world of 1 all are no-ops. comm is
 * borrowed and may be used for other things meanwhile. Every rank calls it. Nothing is allocated later; where 256
 * collectives are under way, a start waits for the first of them. */
LENS_CHECKED lens_status collectives_host_new(collectives_t **out, comm_t *comm);
/* On the memory of a CUDA table, borrowed with comm, by NCCL. Every rank calls it with a GPU of its own. A peer that is
 * gone, a network that fails and a rank that never comes make every rank fail instead of wait: here after 5 minutes,
 * later as comm_watchdog_patience_s says, also where the host waits in a row of the table. Nothing else waits for the
 * device, but a start or wait for one that 256 of its kind are ahead of. */
LENS_CHECKED lens_status collectives_cuda_new(collectives_t **out, kernels_t *k, comm_t *comm);
void collectives_free(collectives_t *c); /* NULL is allowed; not while one is under way, unless after a failure */

#endif
