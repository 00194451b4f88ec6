/* The ring collectives of a world of several ranks, made by collectives_host_new alone. */
#ifndef LENS_KERNELS_COLLECTIVES_RING_H
#define LENS_KERNELS_COLLECTIVES_RING_H

#include "kernels/collectives.h"

/* Every rank calls it. c: filled. */
LENS_CHECKED lens_status collectives_ring_init(collectives_t *c, comm_t *comm);

#endif
