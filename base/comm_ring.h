/* Messages around the ring of ranks, to the next (rank + 1) and from the one before, begun and looked at: what ring
 * collectives are made of. Never in a world of 1. One thread at a time; beside all else of base/comm.h. */
#ifndef LENS_BASE_COMM_RING_H
#define LENS_BASE_COMM_RING_H

#include "base/comm.h"

enum { COMM_RING_DEPTH = 4 }; /* messages under way at once, in each direction */

typedef struct comm_ring comm_ring_t;

/* Every rank calls it. comm is borrowed. */
LENS_CHECKED lens_status comm_ring_new(comm_ring_t **out, comm_t *comm);
void comm_ring_free(comm_ring_t *r); /* NULL is allowed; gives up what is under way */

/* Begin, and return at once; fewer than COMM_RING_DEPTH are under way. The bytes stay, untouched, until it is done. */
LENS_CHECKED lens_status comm_ring_send(comm_ring_t *r, const void *bytes, size_t n);
LENS_CHECKED lens_status comm_ring_receive(comm_ring_t *r, void *bytes, size_t n);
/* How many are done so far, in the order in which they began. COMM where a message has not n bytes, or where the rank
 * before said that it failed. */
LENS_CHECKED lens_status comm_ring_look(comm_ring_t *r, int64_t *n_sent, int64_t *n_received);
/* Tells the next rank that no more will come, so that it does not wait for it. */
void comm_ring_fail(comm_ring_t *r);

#endif
