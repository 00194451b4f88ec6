/* Matrix products, and the record of them that a benchmark replays through OpenBLAS. Row-major throughout. */
#include <cblas.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "kernels/cpu/cpu_gemm.h"

static void run_product(const product_t *p, const float *a, const float *b, float *c) {
    cblas_sgemm(CblasRowMajor, p->a_transposed ? CblasTrans : CblasNoTrans, p->b_transposed ? CblasTrans : CblasNoTrans,
                (blasint)p->M, (blasint)p->N, (blasint)p->K, 1.0f, a, (blasint)p->lda, b, (blasint)p->ldb,
                p->adds ? 1.0f : 0.0f, c, (blasint)p->ldc);
}

/* c[M,N] = op(a) op(b) + bias, or c += op(a) op(b); bias [N] or NULL. */
static void product(kernels_t *k, product_t p, const float *a, const float *b, const float *bias, float *c) {
    if (p.M == 0 || p.N == 0 || p.K == 0) return;
    cpu_trace_add(k, p);
    if (gemm_pays(&p)) {
        gemm_run(k, &p, a, b, bias, c);
        return;
    }
    for (int64_t i = 0; bias && i < p.M; i++) memcpy(c + i * p.ldc, bias, sizeof(float) * (size_t)p.N);
    p.adds |= bias != NULL;
    run_product(&p, a, b, c);
}

static void linear_fwd(kernels_t *k, act_t *y, const act_t *x, const act_t *w, const act_t *b, int64_t R, int64_t n_out,
                       int64_t n_in) {
    product_t p = {
        .b_transposed = true, .M = R, .N = n_out, .K = n_in, .count = 1, .lda = n_in, .ldb = n_in, .ldc = n_out};
    product(k, p, x, w, b, y);
}

static void bwd_x(kernels_t *k, act_t *dx, const act_t *dy, const act_t *w, int64_t R, int64_t n_out, int64_t n_in,
                  bool adds) {
    product_t p = {.adds = adds, .M = R, .N = n_in, .K = n_out, .count = 1, .lda = n_out, .ldb = n_in, .ldc = n_in};
    product(k, p, dy, w, NULL, dx);
}

static void linear_bwd_x(kernels_t *k, act_t *dx, const act_t *dy, const act_t *w, int64_t R, int64_t n_out,
                         int64_t n_in) {
    bwd_x(k, dx, dy, w, R, n_out, n_in, false);
}

static void linear_bwd_x_add(kernels_t *k, act_t *dx, const act_t *dy, const act_t *w, int64_t R, int64_t n_out,
                             int64_t n_in) {
    bwd_x(k, dx, dy, w, R, n_out, n_in, true);
}

/* Threads take columns, so that each sum runs over the rows in order whatever the number of threads. */
static void add_column_sums(float *sums, const float *x, int64_t R, int64_t n_out) {
    enum { COLUMNS = 64 };
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < n_out; first += COLUMNS) {
        int64_t n = n_out - first < COLUMNS ? n_out - first : COLUMNS;
        float total[COLUMNS] = {0};
        for (int64_t r = 0; r < R; r++) {
            const float *row = x + r * n_out + first;
            for (int64_t i = 0; i < n; i++) total[i] += row[i];
        }
        for (int64_t i = 0; i < n; i++) sums[first + i] += total[i];
    }
}

static void bwd_w(kernels_t *k, float *dw, float *db, const act_t *dy, const act_t *x, int64_t R, int64_t n_out,
                  int64_t n_in, bool adds) {
    product_t p = {.a_transposed = true,
                   .adds = adds,
                   .M = n_out,
                   .N = n_in,
                   .K = R,
                   .count = 1,
                   .lda = n_out,
                   .ldb = n_in,
                   .ldc = n_in};
    product(k, p, dy, x, NULL, dw);
    if (db) add_column_sums(db, dy, R, n_out);
}

static void linear_bwd_w(kernels_t *k, float *dw, float *db, const act_t *dy, const act_t *x, int64_t R, int64_t n_out,
                         int64_t n_in) {
    bwd_w(k, dw, db, dy, x, R, n_out, n_in, true);
}

static void linear_bwd_w_first(kernels_t *k, float *dw, float *db, const act_t *dy, const act_t *x, int64_t R,
                               int64_t n_out, int64_t n_in) {
    if (R == 0) k->zero(k, dw, sizeof(float) * (size_t)(n_out * n_in));
    bwd_w(k, dw, db, dy, x, R, n_out, n_in, false);
}

/* ---- the record ---- */

void cpu_trace_add(kernels_t *k, product_t p) {
    cpu_context_t *c = cpu_context(k);
    if (!c->tracing || c->error != LENS_OK) return;
    if (c->n_products == c->cap_products) {
        int cap = c->cap_products ? 2 * c->cap_products : 256;
        product_t *grown = realloc(c->products, sizeof *grown * (size_t)cap);
        if (!grown) {
            c->error = LENS_MEMORY;
            memcpy(c->error_text, "out of memory for the record of products", 41);
            return;
        }
        c->products = grown;
        c->cap_products = cap;
    }
    c->products[c->n_products++] = p;
}

void cpu_trace_free(cpu_context_t *c) {
    free(c->products);
}

static void trace_begin(kernels_t *k) {
    cpu_context(k)->n_products = 0;
    cpu_context(k)->tracing = true;
}

static void trace_continue(kernels_t *k) {
    cpu_context(k)->tracing = true;
}

static void trace_end(kernels_t *k) {
    cpu_context(k)->tracing = false;
}

static double trace_flop(const kernels_t *k) {
    const cpu_context_t *c = cpu_context(k);
    double flop = 0;
    for (int i = 0; i < c->n_products; i++) {
        const product_t *p = &c->products[i];
        flop += 2.0 * (double)p->M * (double)p->N * (double)p->K * (double)p->count;
    }
    return flop;
}

static int64_t a_floats(const product_t *p) {
    return (p->a_transposed ? p->K : p->M) * p->lda;
}
static int64_t b_floats(const product_t *p) {
    return (p->b_transposed ? p->N : p->K) * p->ldb;
}
static int64_t max64(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* Batched products walk through memory as the step's own do, one matrix after another. */
static void replay(const product_t *p, const float *a, const float *b, float *c) {
    int64_t na = a_floats(p), nb = b_floats(p), nc = p->M * p->ldc;
    if (p->count == 1) {
        run_product(p, a, b, c);
        return;
    }
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < p->count; i++) run_product(p, a + i * na, b + i * nb, c + i * nc);
}

static void fill(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = (float)(i % 251) * 0x1p-10f - 0.1f;
}

static lens_status trace_replay_s(kernels_t *k, double *out) {
    const cpu_context_t *ctx = cpu_context(k);
    int64_t na = 1, nb = 1, nc = 1;
    for (int i = 0; i < ctx->n_products; i++) {
        const product_t *p = &ctx->products[i];
        na = max64(na, a_floats(p) * p->count);
        nb = max64(nb, b_floats(p) * p->count);
        nc = max64(nc, p->M * p->ldc * p->count);
    }
    void *a = NULL, *b = NULL, *c = NULL;
    lens_status st = LENS_OK;
    *out = 0;
    LENS_GO(k->alloc(k, &a, sizeof(float) * (size_t)na, "the replay of products"));
    LENS_GO(k->alloc(k, &b, sizeof(float) * (size_t)nb, "the replay of products"));
    LENS_GO(k->alloc(k, &c, sizeof(float) * (size_t)nc, "the replay of products"));
    fill(a, na); /* zeros would let the cores run cooler, and faster, than a step does */
    fill(b, nb);
    double begin_s = log_clock_s();
    for (int i = 0; i < ctx->n_products; i++) replay(&ctx->products[i], a, b, c);
    *out = log_clock_s() - begin_s;
done:
    k->free(k, a);
    k->free(k, b);
    k->free(k, c);
    return st;
}

static lens_status peak_gflops(kernels_t *k, double *out) {
    enum { SIZE = 1536, TRIES = 5 };
    product_t p = {
        .b_transposed = true, .M = SIZE, .N = SIZE, .K = SIZE, .count = 1, .lda = SIZE, .ldb = SIZE, .ldc = SIZE};
    void *abc = NULL;
    *out = 0;
    LENS_TRY(k->alloc(k, &abc, sizeof(float) * 3 * SIZE * SIZE, "the measurement of the peak"));
    float *a = abc;
    fill(a, 2 * SIZE * SIZE);
    double best_s = DBL_MAX;
    for (int i = 0; i < TRIES; i++) {
        double begin_s = log_clock_s();
        run_product(&p, a, a + SIZE * SIZE, a + 2 * SIZE * SIZE);
        double s = log_clock_s() - begin_s;
        if (s < best_s) best_s = s;
    }
    k->free(k, abc);
    *out = 2.0 * SIZE * SIZE * SIZE / best_s * 1e-9;
    return LENS_OK;
}

void cpu_fill_linear(kernels_t *k) {
    k->linear_fwd = linear_fwd;
    k->linear_bwd_x = linear_bwd_x;
    k->linear_bwd_x_add = linear_bwd_x_add;
    k->linear_bwd_w = linear_bwd_w;
    k->linear_bwd_w_first = linear_bwd_w_first;
    k->trace_begin = trace_begin;
    k->trace_continue = trace_continue;
    k->trace_end = trace_end;
    k->trace_flop = trace_flop;
    k->trace_replay_s = trace_replay_s;
    k->peak_gflops = peak_gflops;
}
