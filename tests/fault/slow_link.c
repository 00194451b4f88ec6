/* A slow network between ranks of one machine: a library for LD_PRELOAD, for tests only, that puts off the completion
 * of the messages of base/comm_ring.c.
 *
 *     LENS_TEST_LINK_MBPS=100 LENS_TEST_LINK_US=50 LD_PRELOAD=build/release/slow_link.so lens ...
 *
 *     LENS_TEST_LINK_MBPS   10^6 bytes a second each rank can send, and as many it can receive; unset: no limit
 *     LENS_TEST_LINK_US     microseconds that each message takes besides
 *
 * A request tests as incomplete until its time, which takes no CPU. Messages of a rank queue behind each other, in each
 * direction on its own: one begins to occupy the link when it has been begun (sent) or is there (received) and the
 * link is free. The ring is told by its tag: nothing else is put off. Calls come from one thread at a time, as in
 * base/comm_calls.h. A value that is no number ends the program with status 97. */
#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { TAG_RING = 3, SLOTS_MAX = 256, BAD_RULE_STATUS = 97 };

typedef struct {
    bool used, is_send, is_done; /* is_done: of the real request */
    MPI_Request real;
    MPI_Status status;
    double n_bytes, due_s;
    int64_t order; /* of their beginnings */
} slot_t;

static slot_t slots[SLOTS_MAX];
static int64_t n_begun;
static double bytes_per_s, latency_s, free_s[2]; /* when the link is free: to receive, to send */

static double number(const char *name) {
    const char *text = getenv(name);
    char *end;
    if (!text) return 0;
    const double x = strtod(text, &end);
    if (end == text || *end || !(x > 0)) _exit(BAD_RULE_STATUS);
    return x;
}

__attribute__((constructor)) static void parse(void) {
    bytes_per_s = number("LENS_TEST_LINK_MBPS") * 1e6;
    latency_s = number("LENS_TEST_LINK_US") * 1e-6;
}

static double clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void occupy_link(slot_t *s) {
    double *link = &free_s[s->is_send];
    const double now_s = clock_s(), begin_s = now_s > *link ? now_s : *link;
    *link = begin_s + (bytes_per_s > 0 ? s->n_bytes / bytes_per_s : 0);
    s->due_s = *link + latency_s;
}

static slot_t *new_slot(bool is_send) {
    for (int i = 0; i < SLOTS_MAX; i++)
        if (!slots[i].used) {
            slots[i] = (slot_t){.used = true, .is_send = is_send, .order = n_begun++};
            return &slots[i];
        }
    abort();
}

static slot_t *slot_of(MPI_Request request) {
    const uintptr_t at = (uintptr_t)request, first = (uintptr_t)slots;
    return at >= first && at < first + sizeof slots ? (slot_t *)request : NULL;
}

int MPI_Isend(const void *bytes, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request) {
    if (tag != TAG_RING) return PMPI_Isend(bytes, n, type, to, tag, comm, request);
    slot_t *s = new_slot(true);
    s->n_bytes = n;
    occupy_link(s);
    *request = (MPI_Request)s;
    return PMPI_Isend(bytes, n, type, to, tag, comm, &s->real);
}

int MPI_Irecv(void *bytes, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Request *request) {
    if (tag != MPI_ANY_TAG) return PMPI_Irecv(bytes, n, type, from, tag, comm, request);
    slot_t *s = new_slot(false);
    *request = (MPI_Request)s;
    return PMPI_Irecv(bytes, n, type, from, tag, comm, &s->real);
}

/* The first, by order, of those that are not done after `order`. */
static slot_t *next_pending(int64_t order) {
    slot_t *next = NULL;
    for (slot_t *s = slots; s < slots + SLOTS_MAX; s++)
        if (s->used && !s->is_done && s->order > order && (!next || s->order < next->order)) next = s;
    return next;
}

static int look_at_all(void) {
    for (slot_t *s = next_pending(-1); s; s = next_pending(s->order)) {
        int done = 0, n = 0, code = PMPI_Test(&s->real, &done, &s->status);
        if (code != MPI_SUCCESS) return code;
        if (!done) continue;
        s->is_done = true;
        if (s->is_send) continue;
        PMPI_Get_count(&s->status, MPI_BYTE, &n);
        s->n_bytes = n;
        occupy_link(s);
    }
    return MPI_SUCCESS;
}

int MPI_Test(MPI_Request *request, int *done, MPI_Status *status) {
    slot_t *s = slot_of(*request);
    if (!s) return PMPI_Test(request, done, status);
    *done = 0;
    const int code = look_at_all();
    if (code != MPI_SUCCESS || !s->is_done || clock_s() < s->due_s) return code;
    if (status != MPI_STATUS_IGNORE) *status = s->status;
    s->used = false;
    *request = MPI_REQUEST_NULL;
    *done = 1;
    return MPI_SUCCESS;
}

int MPI_Cancel(MPI_Request *request) {
    slot_t *s = slot_of(*request);
    if (s && s->is_done) return MPI_SUCCESS;
    return PMPI_Cancel(s ? &s->real : request);
}

int MPI_Request_free(MPI_Request *request) {
    slot_t *s = slot_of(*request);
    if (!s) return PMPI_Request_free(request);
    const int code = s->is_done ? MPI_SUCCESS : PMPI_Request_free(&s->real);
    s->used = false;
    *request = MPI_REQUEST_NULL;
    return code;
}
