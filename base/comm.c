/* Who started this process, and the collectives of a world of 1 (nothing to do); the rest is comm_mpi.c. */
#include "base/comm.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/comm_mpi.h"

#define MESSAGE_MAX_BYTES 1024 /* of a failing rank's message, as the others get it */

struct comm {
    comm_place_t place;
    bool uses_mpi;
    char own_host[COMM_HOST_BYTES]; /* in a world of 1 */
};

/* 0 where the variable is not set or is no positive int. */
static int environment_count(const char *name) {
    const char *text = getenv(name);
    char *end = NULL;
    if (!text || !*text) return 0;
    errno = 0;
    long n = strtol(text, &end, 10);
    return errno == 0 && *end == '\0' && n > 0 && n <= INT_MAX ? (int)n : 0;
}

/* Whether MPI has to be started; *world: number of ranks by the launcher, 0 where it does not tell.
 *
 * SLURM_PROCID and SLURM_NTASKS prove nothing: a batch script has them as well. SLURM_STEP_NUM_TASKS comes from srun
 * alone, and several tasks of srun without PMI would each believe to be alone and train the same model over each
 * other's files. */
static lens_status find_launcher(bool *several, int *world) {
    *several = true;
    if ((*world = environment_count("OMPI_COMM_WORLD_SIZE")) > 0 || (*world = environment_count("PMI_SIZE")) > 0) {
        *several = *world > 1;
        return LENS_OK;
    }
    *world = environment_count("SLURM_STEP_NUM_TASKS");
    bool has_pmi = getenv("PMIX_RANK") || getenv("PMI_RANK");
    if (*world > 1 && !has_pmi)
        return lens_fail(LENS_ARGUMENT, "srun started %d tasks that cannot find each other: add --mpi=pmix to srun",
                         *world);
    *several = has_pmi && *world != 1;
    return LENS_OK;
}

lens_status comm_init(comm_t **out) {
    bool several = false;
    int world = 0;
    *out = NULL;
    LENS_TRY(find_launcher(&several, &world));
    comm_t *c = calloc(1, sizeof(*c));
    if (!c) return lens_fail(LENS_MEMORY, "out of memory for the communicator");
    gethostname(c->own_host, sizeof c->own_host - 1);
    c->place = (comm_place_t){.rank = 0, .world = 1, .node_ranks = 1, .core_ranks = 1, .host = c->own_host};
    lens_status st = several ? comm_mpi_init(&c->place, world) : LENS_OK;
    if (st != LENS_OK) {
        free(c);
        return st;
    }
    c->uses_mpi = several;
    *out = c;
    return LENS_OK;
}

void comm_free(comm_t *c) {
    if (!c) return;
    if (c->uses_mpi) comm_mpi_finalize();
    free(c);
}

void comm_abort(comm_t *c, int exit_status) {
    fflush(NULL);
    if (c && c->uses_mpi) comm_mpi_abort(exit_status);
    _Exit(exit_status); /* not exit(): other threads may still run on what its handlers take down */
}

int comm_rank(const comm_t *c) {
    return c->place.rank;
}

int comm_world(const comm_t *c) {
    return c->place.world;
}

int comm_core_ranks(const comm_t *c) {
    return c->place.core_ranks;
}

int comm_node_ranks(const comm_t *c) {
    return c->place.node_ranks;
}

int comm_node_rank(const comm_t *c) {
    return c->place.node_rank;
}

const char *comm_host(const comm_t *c, int rank) {
    LENS_ASSERT(rank >= 0 && rank < c->place.world, "rank %d of %d", rank, c->place.world);
    return c->place.host + (size_t)rank * COMM_HOST_BYTES;
}

lens_status comm_sum_f64(comm_t *c, double *x, int64_t n, const char *what) {
    return c->uses_mpi ? comm_mpi_sum_f64(x, n, what) : LENS_OK;
}

lens_status comm_broadcast(comm_t *c, void *bytes, size_t n, int root, const char *what) {
    LENS_ASSERT(root >= 0 && root < c->place.world, "root %d of %d ranks", root, c->place.world);
    return c->uses_mpi ? comm_mpi_broadcast(bytes, n, root, what) : LENS_OK;
}

lens_status comm_gather_bytes(comm_t *c, void *all, const void *mine, size_t n, const char *what) {
    if (c->uses_mpi) return comm_mpi_gather(all, mine, n, what);
    if (n > 0) memcpy(all, mine, n);
    return LENS_OK;
}

lens_status comm_barrier(comm_t *c) {
    return c->uses_mpi ? comm_mpi_barrier() : LENS_OK;
}

lens_status comm_ask(comm_t *c, const void *request, size_t n, str_t *answer) {
    LENS_ASSERT(c->uses_mpi && c->place.rank > 0, "rank %d asks rank 0", c->place.rank);
    return comm_mpi_ask(request, n, answer);
}

lens_status comm_receive(comm_t *c, int *from, str_t *request) {
    LENS_ASSERT(c->place.rank == 0, "rank %d serves", c->place.rank);
    *from = -1;
    return c->uses_mpi ? comm_mpi_receive(from, request) : LENS_OK;
}

lens_status comm_answer(comm_t *c, int to, const void *answer, size_t n) {
    LENS_ASSERT(c->uses_mpi && to > 0 && to < c->place.world, "rank %d of %d", to, c->place.world);
    return comm_mpi_answer(to, answer, n);
}

lens_status comm_agree(comm_t *c, lens_status st, const char *what) {
    if (!c->uses_mpi) return st;
    int worst = (int)st, rank = c->place.rank;
    LENS_TRY(comm_mpi_max(&worst, &rank, what));
    if (worst == LENS_OK) return LENS_OK;
    char message[MESSAGE_MAX_BYTES] = "";
    if (rank == c->place.rank) snprintf(message, sizeof(message), "%s", lens_error());
    LENS_TRY(comm_mpi_broadcast(message, sizeof(message), rank, what));
    message[sizeof(message) - 1] = '\0';
    if (st != LENS_OK) return (lens_status)worst; /* this rank's own message stands */
    return lens_fail((lens_status)worst, "%s: rank %d failed: %s", what, rank, message);
}
