#include "base/comm_ring.h"

#include <limits.h>
#include <stdlib.h>

#include "base/comm_calls.h"

enum { TAG_DATA = 3, TAG_FAILED = 4 };

typedef struct {
    MPI_Request request[COMM_RING_DEPTH]; /* message i is in i % COMM_RING_DEPTH */
    size_t n_bytes[COMM_RING_DEPTH];
    int64_t n_begun, n_done;
} window_t;

struct comm_ring {
    MPI_Comm communicator;
    int rank, next, before;
    window_t sends, receives;
};

lens_status comm_ring_new(comm_ring_t **out, comm_t *comm) {
    const int world = comm_world(comm), rank = comm_rank(comm);
    *out = NULL;
    LENS_ASSERT(world > 1, "a ring of %d", world);
    comm_ring_t *r = calloc(1, sizeof *r);
    lens_status st = r ? LENS_OK : lens_fail(LENS_MEMORY, "out of memory for a ring of %d ranks", world);
    LENS_GO(comm_agree(comm, st, "ring of ranks"));
    *r = (comm_ring_t){.rank = rank, .next = (rank + 1) % world, .before = (rank + world - 1) % world};
    LENS_GO(comm_mpi_new_communicator(&r->communicator));
    *out = r;
    return LENS_OK;
done:
    free(r);
    return st;
}

void comm_ring_free(comm_ring_t *r) {
    if (!r) return;
    comm_mpi_lock();
    for (window_t *w = &r->receives; w->n_done < w->n_begun; w->n_done++) {
        MPI_Request *request = &w->request[w->n_done % COMM_RING_DEPTH];
        MPI_Cancel(request); /* nothing may arrive in memory that its owner frees */
        MPI_Request_free(request);
    }
    for (window_t *w = &r->sends; w->n_done < w->n_begun; w->n_done++)
        MPI_Request_free(&w->request[w->n_done % COMM_RING_DEPTH]);
    MPI_Comm_free(&r->communicator);
    comm_mpi_unlock();
    free(r);
}

static int begin(window_t *w, size_t n) {
    const int at = (int)(w->n_begun % COMM_RING_DEPTH);
    LENS_ASSERT(w->n_begun - w->n_done < COMM_RING_DEPTH && n <= INT_MAX, "%lld messages, %zu bytes",
                (long long)(w->n_begun - w->n_done), n);
    w->n_bytes[at] = n;
    return at;
}

lens_status comm_ring_send(comm_ring_t *r, const void *bytes, size_t n) {
    const int at = begin(&r->sends, n);
    comm_mpi_lock();
    int code = MPI_Isend(bytes, (int)n, MPI_BYTE, r->next, TAG_DATA, r->communicator, &r->sends.request[at]);
    comm_mpi_unlock();
    MPI_TRY(code, "sending to the next rank");
    r->sends.n_begun++;
    return LENS_OK;
}

lens_status comm_ring_receive(comm_ring_t *r, void *bytes, size_t n) {
    const int at = begin(&r->receives, n);
    comm_mpi_lock();
    int code = MPI_Irecv(bytes, (int)n, MPI_BYTE, r->before, MPI_ANY_TAG, r->communicator, &r->receives.request[at]);
    comm_mpi_unlock();
    MPI_TRY(code, "receiving from the rank before");
    r->receives.n_begun++;
    return LENS_OK;
}

static lens_status has_failed(const comm_ring_t *r) {
    return lens_fail(LENS_COMM, "rank %d: rank %d before it gave up", r->rank, r->before);
}

/* A receive that is done: what came must be what was expected. */
static lens_status check_received(const comm_ring_t *r, const MPI_Status *status, size_t expected) {
    int n = 0;
    if (status->MPI_TAG == TAG_FAILED) return has_failed(r);
    MPI_Get_count(status, MPI_BYTE, &n); /* reads the status alone */
    if ((size_t)n == expected) return LENS_OK;
    return lens_fail(LENS_COMM, "rank %d expected %zu bytes of rank %d, got %d: their collectives differ", r->rank,
                     expected, r->before, n);
}

lens_status comm_ring_look(comm_ring_t *r, int64_t *n_sent, int64_t *n_received) {
    window_t *s = &r->sends, *v = &r->receives;
    int sent = 0, received = 0, failed = 0;
    MPI_Status status;
    const int64_t at = v->n_done % COMM_RING_DEPTH;
    comm_mpi_lock();
    int code = MPI_SUCCESS;
    if (s->n_done < s->n_begun) code = MPI_Test(&s->request[s->n_done % COMM_RING_DEPTH], &sent, MPI_STATUS_IGNORE);
    if (code == MPI_SUCCESS && v->n_done < v->n_begun) code = MPI_Test(&v->request[at], &received, &status);
    if (code == MPI_SUCCESS && v->n_done == v->n_begun) /* nobody would see the message of a failure */
        code = MPI_Iprobe(r->before, TAG_FAILED, r->communicator, &failed, MPI_STATUS_IGNORE);
    comm_mpi_unlock();
    MPI_TRY(code, "exchange with the neighbours");
    if (failed) return has_failed(r);
    s->n_done += sent;
    v->n_done += received;
    *n_sent = s->n_done;
    *n_received = v->n_done;
    return received ? check_received(r, &status, v->n_bytes[at]) : LENS_OK;
}

void comm_ring_fail(comm_ring_t *r) {
    MPI_Request sending;
    comm_mpi_lock();
    /* Empty: MPI has taken it in whole when the call returns. */
    if (MPI_Isend(NULL, 0, MPI_BYTE, r->next, TAG_FAILED, r->communicator, &sending) == MPI_SUCCESS)
        MPI_Request_free(&sending);
    comm_mpi_unlock();
}
