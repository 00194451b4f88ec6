#include "kernels/collectives_speed.h"

enum { N_RUNS = 3, N_SMALL_RUNS = 20, BURST = 3, ALIGN_BYTES = 64 };

typedef enum { RUN_REDUCE_SCATTER, RUN_ALL_GATHER, RUN_ALL_REDUCE } run_kind;

static void start(collectives_t *c, run_kind kind, void *x, size_t n_bytes) {
    static const char what[] = "a test of speed";
    const int64_t n = (int64_t)(n_bytes / sizeof(float));
    if (kind == RUN_REDUCE_SCATTER) c->reduce_scatter(c, x, n, REDUCE_F32, what);
    if (kind == RUN_ALL_GATHER) c->all_gather(c, x, n_bytes, what);
    if (kind == RUN_ALL_REDUCE) c->all_reduce(c, x, n, REDUCE_F32, what);
}

/* Seconds of one of the fastest burst, by the stream's own clock: ranks come to a burst some microseconds apart, which
 * would be much of the time of a single one, and looks at a device are naps apart. The first run connects all ranks. */
static lens_status fastest(collectives_t *c, run_kind kind, void *x, size_t n_bytes, int n_runs, double *out_s) {
    start(c, kind, x, n_bytes);
    LENS_TRY(c->finish(c));
    for (int i = 0; i < n_runs; i++) {
        (void)c->times(c);
        for (int j = 0; j < BURST; j++) start(c, kind, x, n_bytes);
        LENS_TRY(c->finish(c));
        const double s = c->times(c).busy_s / BURST;
        if (i == 0 || s < *out_s) *out_s = s;
    }
    return LENS_OK;
}

lens_status collectives_measure(collectives_t *c, void *x, size_t n_bytes, collectives_speed_t *out) {
    bandwidth_t *const results[] = {&out->reduce_scatter, &out->all_gather, &out->all_reduce};
    const double world = c->world;
    *out = (collectives_speed_t){0};
    LENS_ASSERT(n_bytes > 0 && n_bytes % (ALIGN_BYTES * (size_t)c->world) == 0, "%zu bytes, %d ranks", n_bytes,
                c->world);
    if (c->world == 1) return LENS_OK;
    for (run_kind kind = RUN_REDUCE_SCATTER; kind <= RUN_ALL_REDUCE; kind++) {
        double s = 0;
        LENS_TRY(fastest(c, kind, x, n_bytes, N_RUNS, &s));
        results[kind]->algorithm = (double)n_bytes / s;
        results[kind]->bus = results[kind]->algorithm * (kind == RUN_ALL_REDUCE ? 2 : 1) * (world - 1) / world;
    }
    LENS_TRY(fastest(c, RUN_ALL_REDUCE, x, sizeof(float), N_SMALL_RUNS, &out->latency_s));
    (void)c->times(c);
    return LENS_OK;
}
