#include "kernels/collectives_speed.h"

#include "base/log.h"

enum { N_RUNS = 5, N_SMALL_RUNS = 20, ALIGN_BYTES = 64 };

typedef enum { RUN_REDUCE_SCATTER, RUN_ALL_GATHER, RUN_ALL_REDUCE } run_kind;

static lens_status run_once(collectives_t *c, run_kind kind, void *x, size_t n_bytes) {
    const int64_t n = (int64_t)(n_bytes / sizeof(float));
    if (kind == RUN_REDUCE_SCATTER) c->reduce_scatter(c, x, n, REDUCE_F32, "a test of speed");
    if (kind == RUN_ALL_GATHER) c->all_gather(c, x, n_bytes, "a test of speed");
    if (kind == RUN_ALL_REDUCE) c->all_reduce(c, x, n, REDUCE_F32, "a test of speed");
    return c->finish(c);
}

/* Seconds of the fastest; the first run brings all ranks together. */
static lens_status fastest(collectives_t *c, run_kind kind, void *x, size_t n_bytes, int n_runs, double *out_s) {
    LENS_TRY(run_once(c, kind, x, n_bytes));
    for (int i = 0; i < n_runs; i++) {
        const double begin_s = log_clock_s();
        LENS_TRY(run_once(c, kind, x, n_bytes));
        const double s = log_clock_s() - begin_s;
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
