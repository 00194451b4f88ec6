#include "kernels/ring_pass.h"

#include "base/backoff.h"

enum { NAP_LONGEST_US = 200 }; /* shorter than a segment takes on a fast link */

/* The units of a pass: step 0's segments, step 1's, ... What unit u receives, unit u + n_segments sends. */
typedef struct {
    const ring_array_t *a;
    int first_part; /* that this rank sends; it receives the one before */
    int64_t n_segments, n_units;
    char *staging; /* NULL: receive in place */
    reduce_type type;
    int64_t n_sent, n_received;             /* units begun */
    int64_t n_sent_done, n_done;            /* sent; received and summed */
    int64_t ring_sent_base, ring_done_base; /* the ring's counts before the pass */
} pass_t;

typedef struct {
    char *x;
    int64_t n; /* items */
    size_t n_bytes;
} segment_t;

/* The segment that unit `u` sends (shift 0) or receives (shift 1). */
static segment_t segment_of(const pass_t *p, int64_t u, int shift) {
    const ring_array_t *a = p->a;
    const int64_t step = u / p->n_segments, i = u % p->n_segments, world = a->world;
    const int64_t part = (p->first_part - shift - step + 2 * world) % world;
    const int64_t first = a->n * part / world, length = a->n * (part + 1) / world - first;
    const int64_t begin = length * i / p->n_segments, end = length * (i + 1) / p->n_segments;
    return (segment_t){.x = a->x + (size_t)(first + begin) * a->item_bytes,
                       .n = end - begin,
                       .n_bytes = (size_t)(end - begin) * a->item_bytes};
}

static char *staging_of(const pass_t *p, int64_t u) {
    return p->staging + (size_t)(u % COMM_RING_DEPTH) * RING_SEGMENT_BYTES;
}

static void add(void *restrict x, const void *restrict y, int64_t n, reduce_type type) {
    if (type == REDUCE_F32) {
        float *restrict a = x;
        const float *restrict b = y;
        for (int64_t i = 0; i < n; i++) a[i] += b[i];
    } else {
        double *restrict a = x;
        const double *restrict b = y;
        for (int64_t i = 0; i < n; i++) a[i] += b[i];
    }
}

/* Begins what can be begun: a segment is received where its staging is free, and sent on when it is summed. */
static lens_status begin_units(pass_t *p, comm_ring_t *ring, double *n_bytes) {
    for (; p->n_received < p->n_units && p->n_received - p->n_done < COMM_RING_DEPTH; p->n_received++) {
        const segment_t s = segment_of(p, p->n_received, 1);
        LENS_TRY(comm_ring_receive(ring, p->staging ? staging_of(p, p->n_received) : s.x, s.n_bytes));
    }
    for (; p->n_sent < p->n_units && p->n_sent - p->n_sent_done < COMM_RING_DEPTH &&
           p->n_sent - p->n_segments < p->n_done;
         p->n_sent++) {
        const segment_t s = segment_of(p, p->n_sent, 0);
        LENS_TRY(comm_ring_send(ring, s.x, s.n_bytes));
        *n_bytes += (double)s.n_bytes;
    }
    return LENS_OK;
}

static lens_status run(pass_t *p, comm_ring_t *ring, double *n_bytes) {
    backoff_t wait = {0};
    while (p->n_done < p->n_units || p->n_sent_done < p->n_units) {
        const int64_t sent_before = p->n_sent_done;
        LENS_TRY(begin_units(p, ring, n_bytes));
        int64_t n_sent = 0, n_received = 0;
        LENS_TRY(comm_ring_look(ring, &n_sent, &n_received));
        p->n_sent_done = n_sent - p->ring_sent_base;
        const bool came = n_received - p->ring_done_base > p->n_done;
        if (came && p->staging) {
            const segment_t s = segment_of(p, p->n_done, 1);
            add(s.x, staging_of(p, p->n_done), s.n, p->type);
        }
        p->n_done += came;
        if (came || p->n_sent_done > sent_before)
            wait = (backoff_t){0};
        else
            backoff_pause(&wait, NAP_LONGEST_US);
    }
    return LENS_OK;
}

static lens_status pass(const ring_array_t *a, int first_part, reduce_type type, comm_ring_t *ring, char *staging,
                        double *n_bytes) {
    if (a->n == 0) return LENS_OK;
    const int64_t part_max = (a->n + a->world - 1) / a->world;
    const int64_t segment_max = (int64_t)(RING_SEGMENT_BYTES / a->item_bytes);
    pass_t p = {.a = a,
                .first_part = first_part,
                .n_segments = (part_max + segment_max - 1) / segment_max,
                .staging = staging,
                .type = type};
    p.n_units = p.n_segments * (a->world - 1);
    LENS_TRY(comm_ring_look(ring, &p.ring_sent_base, &p.ring_done_base));
    return run(&p, ring, n_bytes);
}

lens_status ring_pass_sum(const ring_array_t *a, reduce_type type, comm_ring_t *ring, void *staging, double *n_bytes) {
    return pass(a, a->rank - 1, type, ring, staging, n_bytes);
}

lens_status ring_pass_copy(const ring_array_t *a, comm_ring_t *ring, double *n_bytes) {
    return pass(a, a->rank, REDUCE_F32, ring, NULL, n_bytes);
}
