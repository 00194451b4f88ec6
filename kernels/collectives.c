/* The collectives of a world of 1, where nothing is to do; those of several ranks are collectives_ring.c's. */
#include "kernels/collectives.h"

#include <stdlib.h>

#include "kernels/collectives_ring.h"

static ticket_t same_alone(collectives_t *c, void *x, int64_t n, reduce_type type, const char *what) {
    (void)c, (void)x, (void)n, (void)type, (void)what;
    return 0;
}

static ticket_t gather_alone(collectives_t *c, void *x, size_t n_bytes, const char *what) {
    (void)c, (void)x, (void)n_bytes, (void)what;
    return 0;
}

static void wait_alone(collectives_t *c, ticket_t ticket) {
    (void)c, (void)ticket;
}

static lens_status finish_alone(collectives_t *c) {
    (void)c;
    return LENS_OK;
}

static collectives_times_t times_alone(collectives_t *c) {
    (void)c;
    return (collectives_times_t){0};
}

static void free_alone(collectives_t *c) {
    free(c);
}

lens_status collectives_host_new(collectives_t **out, comm_t *comm) {
    *out = NULL;
    collectives_t *c = malloc(sizeof *c);
    if (!c) return lens_fail(LENS_MEMORY, "out of memory for collectives");
    *c = (collectives_t){.name = "none",
                         .world = 1,
                         .reduce_scatter = same_alone,
                         .all_gather = gather_alone,
                         .all_reduce = same_alone,
                         .wait = wait_alone,
                         .finish = finish_alone,
                         .check = finish_alone,
                         .times = times_alone,
                         .free = free_alone};
    lens_status st = comm_world(comm) > 1 ? collectives_ring_init(c, comm) : LENS_OK;
    if (st != LENS_OK) {
        free(c);
        return st;
    }
    *out = c;
    return LENS_OK;
}

void collectives_free(collectives_t *c) {
    if (c) c->free(c);
}
