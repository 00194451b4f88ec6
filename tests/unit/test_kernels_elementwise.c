/* Gated residual, SwiGLU, SiLU, embeddings and vec_exp, against the formulas of kernels.h in double. */
#include "kernels/cpu/vec_math.h"
#include "tests/unit/kernel_check.h"

/* ---- out = x + gate_b * y ---- */

typedef struct {
    int64_t B, L, D, stride;
    double *x, *y, *gate, *dout, *out;
} gated_t;

static long double gated_loss(void *op) {
    const gated_t *o = op;
    for (int64_t r = 0; r < o->B * o->L; r++)
        for (int64_t i = 0; i < o->D; i++)
            o->out[r * o->D + i] = o->x[r * o->D + i] + o->gate[r / o->L * o->stride + 2 + i] * o->y[r * o->D + i];
    return check_dot(o->out, o->dout, o->B * o->L * o->D);
}

/* The gate is columns 2 .. 2 + D of a matrix with 3 columns more. */
static void gated_case(check_t *c, int64_t B, int64_t L, int64_t D) {
    int64_t n = B * L * D, stride = D + 3;
    float *x = check_input(c, n), *y = check_input(c, n), *gate = check_input(c, B * stride), *dout = check_input(c, n),
          *out = check_output(c, n), *dy = check_output(c, n), *dgate = check_output(c, B * stride);
    gated_t o = {.B = B, .L = L, .D = D, .stride = stride};
    o.x = check_double(c, x, n);
    o.y = check_double(c, y, n);
    o.gate = check_double(c, gate, B * stride);
    o.dout = check_double(c, dout, n);
    o.out = check_double(c, NULL, n);
    double *want_dy = check_double(c, NULL, n), *all = check_double(c, NULL, B * stride),
           *want_gate = check_untouched(c, B * stride);
    c->k->gated_add_fwd(c->k, out, x, y, slice_at(gate, stride, 2), B, L, D);
    c->k->gated_add_bwd(c->k, dy, slice_at(dgate, stride, 2), dout, y, slice_at(gate, stride, 2), B, L, D);
    gated_loss(&o);
    check_near(c, "gated out", out, o.out, n, 1, 0, 1);
    check_gradient(c, want_dy, o.y, n, gated_loss, &o);
    check_gradient(c, all, o.gate, B * stride, gated_loss, &o);
    for (int64_t b = 0; b < B; b++)
        for (int64_t i = 2; i < 2 + D; i++) want_gate[b * stride + i] = all[b * stride + i];
    check_near(c, "gated dy", dy, want_dy, n, 1, 0, 1);
    check_near(c, "gated dgate", dgate, want_gate, B * stride, (double)L, 0, 1);
    check_end(c);
}

/* ---- h = silu(u) v ---- */

typedef struct {
    int64_t R, M;
    double *uv, *dh, *h;
} swiglu_t;

static double silu(double x) {
    return x / (1 + exp(-x));
}

static long double swiglu_loss(void *op) {
    const swiglu_t *o = op;
    for (int64_t i = 0; i < o->R * o->M; i++) {
        const double *u = o->uv + i / o->M * 2 * o->M + i % o->M;
        o->h[i] = silu(u[0]) * u[o->M];
    }
    return check_dot(o->h, o->dh, o->R * o->M);
}

static void swiglu_case(check_t *c, int64_t R, int64_t M, float stretch) {
    float *uv = check_sum(c, 2 * R * M), *dh = check_input(c, R * M), *h = check_output(c, R * M),
          *duv = check_output(c, 2 * R * M);
    for (int64_t i = 0; i < 2 * R * M; i++) uv[i] *= stretch;
    swiglu_t o = {.R = R, .M = M};
    o.uv = check_double(c, uv, 2 * R * M);
    o.dh = check_double(c, dh, R * M);
    o.h = check_double(c, NULL, R * M);
    double *want = check_double(c, NULL, 2 * R * M);
    c->k->swiglu_fwd(c->k, h, uv, R, M);
    c->k->swiglu_bwd(c->k, duv, dh, uv, R, M);
    swiglu_loss(&o);
    check_near(c, "swiglu h", h, o.h, R * M, 1, 0, 2);
    check_gradient(c, want, o.uv, 2 * R * M, swiglu_loss, &o);
    check_near(c, "swiglu duv", duv, want, 2 * R * M, 1, 0, 3);
    check_end(c);
}

typedef struct {
    int64_t n;
    double *x, *dy, *y;
} silu_t;

static long double silu_loss(void *op) {
    const silu_t *o = op;
    for (int64_t i = 0; i < o->n; i++) o->y[i] = silu(o->x[i]);
    return check_dot(o->y, o->dy, o->n);
}

static void silu_case(check_t *c, int64_t n, float stretch) {
    float *x = check_sum(c, n), *dy = check_input(c, n), *y = check_output(c, n), *dx = check_output(c, n),
          *in_place = check_sum(c, n);
    for (int64_t i = 0; i < n; i++) {
        x[i] *= stretch;
        in_place[i] = dy[i];
    }
    silu_t o = {.n = n};
    o.x = check_double(c, x, n);
    o.dy = check_double(c, dy, n);
    o.y = check_double(c, NULL, n);
    double *want = check_double(c, NULL, n);
    c->k->silu_fwd(c->k, y, x, n);
    c->k->silu_bwd(c->k, dx, dy, x, n);
    c->k->silu_bwd(c->k, in_place, in_place, x, n); /* as the model calls it */
    silu_loss(&o);
    check_near(c, "silu y", y, o.y, n, 1, 0, 2);
    check_gradient(c, want, o.x, n, silu_loss, &o);
    /* For large x, 1 - sigmoid(x) is right to half an epsilon, times x. */
    check_near(c, "silu dx", dx, want, n, 1, 1.7 * fmax(1, (double)stretch), 2);
    if (n) assert_memory_equal(in_place, dx, sizeof(float) * (size_t)n);
    check_end(c);
}

/* Where exp would overflow or vanish, a product stays finite and goes to its limit. */
static void extremes(void **state) {
    (void)state;
    kernels_t *k = check_kernels(1);
    const float x[] = {-1e4f, -200, -100, 0, 100, 200, 1e4f}, dy[] = {1, 1, 1, 1, 1, 1, 1};
    float y[7], dx[7];
    k->silu_fwd(k, y, x, 7);
    k->silu_bwd(k, dx, dy, x, 7);
    for (int i = 0; i < 3; i++) {
        assert_true(fabsf(y[i]) < 1e-33f && fabsf(dx[i]) < 1e-33f);
        assert_true(y[4 + i] == x[4 + i] && dx[4 + i] == 1.0f);
    }
    assert_true(y[3] == 0 && dx[3] == 0.5f);
    kernels_free(k);
}

/* ---- embeddings ---- */

static void timestep_case(check_t *c, int64_t B, int64_t dim) {
    float *t = check_input(c, B), *emb = check_output(c, B * dim);
    double *want = check_double(c, NULL, B * dim);
    int64_t half = dim / 2;
    for (int64_t b = 0; b < B; b++)
        for (int64_t i = 0; i < half; i++) {
            double a = 1000.0 * (double)t[b] * pow(10000.0, -(double)i / (double)half);
            want[b * dim + i] = cos(a);
            want[b * dim + half + i] = sin(a);
        }
    c->k->timestep_fwd(c->k, emb, t, B, dim);
    check_near(c, "timestep", emb, want, B * dim, 1, 1, 0.5);
    check_end(c);
}

/* Values of the released pipeline's embedding of t = 0.5. */
static void timestep_published(void **state) {
    (void)state;
    static const struct {
        int at;
        double value;
    } known[] = {{0, -0.883849},   {1, 0.945943},   {2, 0.848515},    {3, 0.698688},   {127, 0.998557},
                 {128, -0.467772}, {129, 0.324334}, {130, -0.529172}, {131, 0.715426}, {255, 0.053705}};
    kernels_t *k = check_kernels(1);
    float t = 0.5f, emb[256];
    k->timestep_fwd(k, emb, &t, 1, 256);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_true(fabs((double)emb[known[i].at] - known[i].value) < 1e-6);
    kernels_free(k);
}

/* ids repeat in a row and between rows, and are -1 in either place or both. */
static void embed_case(check_t *c, int64_t R, int64_t n_ids, int64_t E) {
    enum { ROWS = 5, MAX_IDS = 64 };
    int32_t ids[MAX_IDS];
    assert_true(R * n_ids <= MAX_IDS);
    for (int64_t i = 0; i < R * n_ids; i++) ids[i] = (int32_t)(i * 7 % (ROWS + 1)) - 1;
    float *table = check_input(c, ROWS * E), *dout = check_input(c, R * E), *out = check_output(c, R * E),
          *dtable = check_sum(c, ROWS * E);
    double *want = check_double(c, NULL, R * E), *want_d = check_double(c, dtable, ROWS * E);
    for (int64_t i = 0; i < R * n_ids; i++)
        for (int64_t e = 0; e < E && ids[i] >= 0; e++) {
            want[i / n_ids * E + e] += (double)table[ids[i] * E + e];
            want_d[ids[i] * E + e] += (double)dout[i / n_ids * E + e];
        }
    c->k->embed_fwd(c->k, out, table, ids, R, n_ids, E);
    c->k->embed_bwd(c->k, dtable, dout, ids, R, n_ids, E);
    check_near(c, "embed", out, want, R * E, 1, 0, 1);
    check_near(c, "embed bwd", dtable, want_d, ROWS * E, (double)(R * n_ids), 0, 0.5);
    check_end(c);
}

static const int64_t widths[] = {1, 2, 3, 17, 64, 85};
enum { N_WIDTHS = sizeof widths / sizeof widths[0] };

static void gated_cases(check_t *c) {
    for (int i = 0; i < N_WIDTHS; i++)
        for (int64_t B = 1; B <= 3; B += 2)
            for (int64_t L = 1; L <= 5; L += 4) gated_case(c, B, L, widths[i]);
    gated_case(c, 3, 0, 17);
    gated_case(c, 2, 65, 3); /* rows in two pieces, summed apart */
}
static void swiglu_cases(check_t *c) {
    for (int i = 0; i < N_WIDTHS; i++) swiglu_case(c, 5, widths[i], 1);
    swiglu_case(c, 1, 17, 8);
    swiglu_case(c, 0, 17, 1);
}
static void silu_cases(check_t *c) {
    for (int i = 0; i < N_WIDTHS; i++) silu_case(c, widths[i], 1);
    silu_case(c, 255, 10);
    silu_case(c, 0, 1);
}
static void embedding_cases(check_t *c) {
    timestep_case(c, 1, 2);
    timestep_case(c, 3, 256);
    for (int i = 0; i < N_WIDTHS; i++) {
        embed_case(c, 1, 1, widths[i]); /* -1 alone */
        embed_case(c, 15, 2, widths[i]);
        embed_case(c, 7, 3, widths[i]);
    }
    embed_case(c, 0, 2, 17);
}

static void gated(void **state) {
    (void)state;
    check_row(gated_cases);
}
static void swiglu(void **state) {
    (void)state;
    check_row(swiglu_cases);
}
static void silu_rows(void **state) {
    (void)state;
    check_row(silu_cases);
}
static void embeddings(void **state) {
    (void)state;
    check_row(embedding_cases);
}

/* ---- vec_exp ---- */

static double ulp_of(double x) {
    return ldexp(1.0, ilogb(x) - 23);
}

static void vec_exp_bound(void **state) {
    (void)state;
    double worst = 0;
    for (float x = -87.0f; x <= 88.0f; x += 0.00037f) {
        double want = exp((double)x), error = fabs((double)vec_exp(x) - want) / ulp_of(want);
        if (error > worst) worst = error;
    }
    if (getenv("CHECK_PRINT")) printf("vec_exp: %.3f ulp\n", worst);
    assert_true(worst < 2); /* what vec_math.h says */
    assert_true(vec_exp(0.0f) == 1.0f);
    assert_true(vec_exp(-1000.0f) == vec_exp(-87.0f) && vec_exp(1000.0f) == vec_exp(88.0f));
    assert_true(vec_exp(-87.0f) > 0 && isfinite(vec_exp(88.0f)));
    assert_true(isnan(vec_exp(NAN)) || vec_exp(NAN) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gated),         cmocka_unit_test(swiglu),   cmocka_unit_test(silu_rows),
        cmocka_unit_test(embeddings),    cmocka_unit_test(extremes), cmocka_unit_test(timestep_published),
        cmocka_unit_test(vec_exp_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
