/* train/muon: against the published recurrence in double, and the same whatever the number of pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "model/pipeline.h"
#include "train/muon.h"

enum { MAX_WORLD = 5, STEPS = 3, LONGEST = 6144 };

static const pipeline_config_t config = {.mmdit = {.num_layers = 2,
                                                   .num_heads = 2,
                                                   .head_dim = 6,
                                                   .in_channels = 12,
                                                   .out_channels = 3,
                                                   .patch_size = 2,
                                                   .enc_hidden_dim = 10,
                                                   .num_text_layers = 1,
                                                   .axes_dims_rope = {2, 2, 2},
                                                   .rope_theta = 1e4,
                                                   .eps = 1e-6,
                                                   .txt_norm_eps = 1e-5},
                                         .text = {.n_rows = 256, .dim = 10, .max_tok = 4},
                                         .downscale = 1,
                                         .height = 8,
                                         .width = 8};

/* ---- ranks in one process: buffers of all, and an all-gather that is done when the first one waits ---- */

typedef struct {
    pipeline_tensors_t t;
    partition_t p;
    collectives_t coll;
    muon_t *muon;
    float *master, *m, *v, *g, *acts; /* the first three [n_own], the others [n] */
    step_gate_t gate;
} rank_t;

typedef struct {
    kernels_t *k;
    int world;
    size_t group_bytes;
    rank_t rank[MAX_WORLD];
    /* all-gathers that were started, by their order */
    struct {
        char *x[MAX_WORLD];
        size_t n_bytes;
        bool done;
    } gather[STEPS * 8];
    int n_started[MAX_WORLD];
} world_t;

static ticket_t fake_all_gather(collectives_t *c, void *x, size_t n_bytes, const char *what) {
    world_t *w = c->context;
    (void)what;
    int i = w->n_started[c->rank]++;
    assert_true(i < (int)(sizeof w->gather / sizeof w->gather[0]));
    assert_true(n_bytes % (size_t)c->world == 0 && (c->rank == 0 || w->gather[i].n_bytes == n_bytes));
    w->gather[i].x[c->rank] = x;
    w->gather[i].n_bytes = n_bytes;
    return i + 1;
}

static void fake_wait(collectives_t *c, ticket_t ticket) {
    world_t *w = c->context;
    int i = (int)ticket - 1;
    size_t each = w->gather[i].n_bytes / (size_t)c->world;
    if (w->gather[i].done) return;
    w->gather[i].done = true;
    for (int from = 0; from < c->world; from++)
        for (int to = 0; to < c->world; to++)
            if (to != from)
                memcpy(w->gather[i].x[to] + (size_t)from * each, w->gather[i].x[from] + (size_t)from * each, each);
}

static float *floats(int64_t n) {
    float *x = calloc((size_t)n, sizeof *x);
    assert_non_null(x);
    return x;
}

static void open_rank(world_t *w, int r) {
    rank_t *me = &w->rank[r];
    me->coll =
        (collectives_t){.rank = r, .world = w->world, .context = w, .all_gather = fake_all_gather, .wait = fake_wait};
    assert_int_equal(pipeline_tensors_init(&me->t, &config, partition_group_align(w->world)), LENS_OK);
    assert_int_equal(partition_init(&me->p, &me->t.plan, w->world, r, w->group_bytes), LENS_OK);
    assert_int_equal(muon_new(&me->muon, w->k, w->world > 1 ? &me->coll : NULL, &me->t.plan, &me->p), LENS_OK);
    me->master = floats(me->p.n_own);
    me->m = floats(me->p.n_own);
    me->v = floats(me->p.n_own);
    me->g = floats(me->p.n);
    me->acts = floats(me->p.n);
}

static void close_world(world_t *w) {
    for (int r = 0; r < w->world; r++) {
        rank_t *me = &w->rank[r];
        muon_free(me->muon);
        partition_free(&me->p);
        pipeline_tensors_free(&me->t);
        float *all[] = {me->master, me->m, me->v, me->g, me->acts};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
    }
    kernels_free(w->k);
}

/* A tensor's value i before the first step (step 0), or its gradient: the same in every world. */
static void values_of(float *out, const plan_row_t *row, int tensor, int step) {
    rng_t r = rng_stream(5, (uint32_t)step, (uint64_t)tensor, RNG_TEST);
    for (int64_t i = 0; i < row->n; i++) out[i] = (float)rng_normal(&r) * (step ? 0.01f : 0.3f);
}

static void fill(world_t *w, int step) {
    for (int r = 0; r < w->world; r++) {
        rank_t *me = &w->rank[r];
        for (int i = 0; i < me->t.plan.n; i++) {
            const plan_row_t *row = &me->t.plan.rows[i];
            values_of((step ? me->g : me->acts) + row->offset_bytes / sizeof(float), row, i, step);
        }
        if (step) continue;
        for (int i = 0; i < me->p.n_groups; i++) {
            const partition_group_t *g = &me->p.group[i];
            memcpy(me->master + g->own_at, me->acts + g->own_first, sizeof(float) * (size_t)g->own_n);
        }
    }
}

static const adamw_t options = {.lr = 0.01f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .weight_decay = 0.1f};
static const float scale = 0.5f;

static muon_piece_t piece_of(const rank_t *me, int group) {
    const partition_group_t *g = &me->p.group[group];
    return (muon_piece_t){.master = me->master + g->own_at,
                          .acts = me->acts + g->own_first,
                          .m = me->m + g->own_at,
                          .v = me->v + g->own_at,
                          .g = me->g + g->own_first,
                          .gate = &me->gate};
}

static void begin_all(world_t *w, int group, const adamw_t *o) {
    for (int r = 0; r < w->world; r++) {
        muon_piece_t piece = piece_of(&w->rank[r], group);
        muon_begin_group(w->rank[r].muon, group, &piece, o);
    }
}

static void end_all(world_t *w, int group, const adamw_t *o) {
    for (int r = 0; r < w->world; r++) {
        muon_piece_t piece = piece_of(&w->rank[r], group);
        muon_end_group(w->rank[r].muon, group, &piece, o);
    }
}

/* As a trainer does it: where there is an all-gather, the next group begins before this one ends. */
static void run_step(world_t *w) {
    const adamw_t o = options;
    const step_rule_t rule = {.max_norm = (double)scale, .beta1 = o.beta1, .beta2 = o.beta2};
    for (int r = 0; r < w->world; r++) step_gate_judge(&w->rank[r].gate, 1, 1, &rule);
    int n = w->rank[0].p.n_groups, ahead = w->world > 1 ? 1 : 0;
    if (ahead) begin_all(w, 0, &o);
    for (int i = 0; i < n; i++) {
        if (i + ahead < n) begin_all(w, i + ahead, &o);
        end_all(w, i, &o);
    }
}

static void run_world(world_t *w, int world, size_t group_bytes) {
    *w = (world_t){.world = world, .group_bytes = group_bytes};
    assert_int_equal(kernels_cpu_new(&w->k, 1, 1), LENS_OK);
    for (int r = 0; r < world; r++) open_rank(w, r);
    fill(w, 0);
    for (int step = 1; step <= STEPS; step++) {
        fill(w, step);
        run_step(w);
    }
    assert_int_equal(w->k->finish(w->k), LENS_OK);
}

/* The masters of one tensor, gathered from the ranks that own them; each is also what products read there. */
static void tensor_of(const world_t *w, const char *name, float *out) {
    int64_t found = 0;
    for (int r = 0; r < w->world; r++) {
        const rank_t *me = &w->rank[r];
        for (int i = 0; i < me->p.n_slices; i++) {
            const partition_slice_t *s = &me->p.slice[i];
            if (strcmp(s->row->name, name) != 0) continue;
            size_t bytes = sizeof(float) * (size_t)s->n;
            memcpy(out + s->row_first, me->master + s->own_at, bytes);
            assert_memory_equal(me->acts + s->flat_at, me->master + s->own_at, bytes);
            found += s->n;
        }
    }
    assert_int_equal(found, plan_find(&w->rank[0].t.plan, name)->n);
}

/* ---- the reference, in double ---- */

/* out [n, m] = a [n, l] b [l, m], of which either may be transposed. */
static void multiply(double *out, const double *a, bool a_turned, const double *b, bool b_turned, int64_t n, int64_t l,
                     int64_t m) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++) {
            double sum = 0;
            for (int64_t h = 0; h < l; h++)
                sum += (a_turned ? a[h * n + i] : a[i * l + h]) * (b_turned ? b[j * l + h] : b[h * m + j]);
            out[i * m + j] = sum;
        }
}

/* In place, with the Gram matrix of the columns whatever the shape. */
static void reference_orthogonal(double *x, int64_t R, int64_t C) {
    static double s[64 * 64], s2[64 * 64], y[LONGEST];
    double sum = 0;
    assert_true(C <= 64 && R * C <= LONGEST);
    for (int64_t i = 0; i < R * C; i++) sum += x[i] * x[i];
    for (int64_t i = 0; i < R * C; i++) x[i] /= sqrt(sum);
    for (int step = 0; step < 5; step++) {
        multiply(s, x, true, x, false, C, R, C);
        multiply(s2, s, false, s, false, C, C, C);
        for (int64_t i = 0; i < C * C; i++) s2[i] = 2.0315 * s2[i] - 4.7750 * s[i] + (i / C == i % C ? 3.4445 : 0);
        multiply(y, x, false, s2, false, R, C, C);
        memcpy(x, y, sizeof *x * (size_t)(R * C));
    }
}

static void reference_tensor(double *w, const plan_row_t *row, int tensor) {
    static double m[LONGEST], v[LONGEST], u[LONGEST];
    static float values[LONGEST];
    int64_t parts = muon_n_matrices(row), n = row->n;
    double lr = (double)options.lr, decay = row->flags & PLAN_NO_DECAY ? 0 : (double)options.weight_decay,
           b1 = (double)options.beta1, b2 = (double)options.beta2;
    assert_true(n <= LONGEST);
    for (int64_t i = 0; i < n; i++) m[i] = v[i] = 0;
    values_of(values, row, tensor, 0);
    for (int64_t i = 0; i < n; i++) w[i] = (double)values[i];
    for (int step = 1; step <= STEPS; step++) {
        values_of(values, row, tensor, step);
        for (int64_t i = 0; i < n; i++) {
            double g = (double)values[i] * (double)scale;
            m[i] = parts ? (double)MUON_MOMENTUM * m[i] + g : b1 * m[i] + (1 - b1) * g;
            v[i] = b2 * v[i] + (1 - b2) * g * g;
            u[i] = parts ? (double)MUON_MOMENTUM * m[i] + g
                         : m[i] / (1 - pow(b1, step)) / (sqrt(v[i] / (1 - pow(b2, step))) + (double)options.eps);
        }
        double size = 1;
        for (int64_t part = 0; part < parts; part++) {
            int64_t R = row->shape[0] / parts, C = row->shape[1];
            reference_orthogonal(u + part * R * C, R, C);
            size = 0.2 * sqrt((double)(R > C ? R : C));
        }
        for (int64_t i = 0; i < n; i++) w[i] = (1 - lr * decay) * w[i] - lr * size * u[i];
    }
}

/* ---- tests ---- */

static void chooses_the_matrices_of_blocks(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int64_t n;
    } cases[] = {{"transformer_blocks.0.attn.img_qkv.weight", 3},
                 {"transformer_blocks.1.attn.txt_qkv.weight", 3},
                 {"transformer_blocks.0.img_mod.1.weight", 6},
                 {"transformer_blocks.0.txt_mod.1.weight", 6},
                 {"transformer_blocks.0.attn.to_out.0.weight", 1},
                 {"transformer_blocks.1.img_mlp.w1.weight", 1},
                 {"transformer_blocks.1.txt_mlp.w3.weight", 1},
                 {"transformer_blocks.1.txt_mlp.w2.weight", 1},
                 {"transformer_blocks.0.attn.img_qkv.bias", 0},
                 {"transformer_blocks.0.img_norm1.weight", 0},
                 {"img_in.weight", 0},
                 {"txt_in.weight", 0},
                 {"proj_out.weight", 0},
                 {"norm_out.linear.weight", 0},
                 {"text_encoder.embedding.weight", 0}};
    pipeline_tensors_t t;
    assert_int_equal(pipeline_tensors_init(&t, &config, 0), LENS_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const plan_row_t *row = plan_find(&t.plan, cases[i].name);
        if (!row) fail_msg("no tensor %s", cases[i].name);
        if (muon_n_matrices(row) != cases[i].n) fail_msg("%s: %lld", row->name, (long long)muon_n_matrices(row));
    }
    int n = 0;
    for (int i = 0; i < t.plan.n; i++) n += muon_n_matrices(&t.plan.rows[i]) > 0;
    assert_int_equal(n, 2 * 2 * 6);
    pipeline_tensors_free(&t);
}

/* The largest error of any weight, of AdamW's tensors and of Muon's. Observed 2.2e-7. */
static void follows_the_recurrence(void **state) {
    (void)state;
    static double want[LONGEST];
    static float got[LONGEST];
    double worst = 0;
    world_t w;
    run_world(&w, 1, 0);
    for (int i = 0; i < w.rank[0].t.plan.n; i++) {
        const plan_row_t *row = &w.rank[0].t.plan.rows[i];
        reference_tensor(want, row, i);
        tensor_of(&w, row->name, got);
        double parts = (double)muon_n_matrices(row);
        for (int64_t j = 0; j < row->n; j++) {
            double error = fabs((double)got[j] - want[j]);
            if (error > worst) worst = error;
            if (!(error <= 8e-7))
                fail_msg("%s[%lld] (%g): %.9g, %.9g", row->name, (long long)j, parts, got[j], want[j]);
        }
    }
    if (getenv("CHECK_PRINT")) printf("observed %g\n", worst);
    close_world(&w);
}

/* Eigenvalues of the symmetric a [n, n], by cyclic Jacobi rotations: left on its diagonal. */
static void diagonalize(double *a, int64_t n) {
    for (int sweep = 0; sweep < 30; sweep++)
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++) {
                double angle = 0.5 * atan2(2 * a[p * n + q], a[q * n + q] - a[p * n + p]), c = cos(angle),
                       s = sin(angle);
                for (int64_t i = 0; i < n; i++) {
                    double x = a[i * n + p], y = a[i * n + q];
                    a[i * n + p] = c * x - s * y;
                    a[i * n + q] = s * x + c * y;
                }
                for (int64_t i = 0; i < n; i++) {
                    double x = a[p * n + i], y = a[q * n + i];
                    a[p * n + i] = c * x - s * y;
                    a[q * n + i] = s * x + c * y;
                }
            }
}

/* What a step subtracts is 0.2 lr sqrt(max(R, C)) times a matrix whose singular values are near 1, tall and wide. */
static void singular_values_are_near_one(void **state) {
    (void)state;
    static const char *const names[] = {"transformer_blocks.0.attn.img_qkv.weight",
                                        "transformer_blocks.0.img_mlp.w1.weight",
                                        "transformer_blocks.1.txt_mlp.w2.weight"};
    static float after[LONGEST], before[LONGEST];
    static double o[LONGEST], s[64 * 64];
    world_t w = {.world = 1};
    assert_int_equal(kernels_cpu_new(&w.k, 1, 1), LENS_OK);
    open_rank(&w, 0);
    fill(&w, 0);
    fill(&w, 1);
    run_step(&w);
    for (int i = 0; i < 3; i++) {
        const plan_row_t *row = plan_find(&w.rank[0].t.plan, names[i]);
        int tensor = (int)(row - w.rank[0].t.plan.rows);
        int64_t parts = muon_n_matrices(row), R = row->shape[0] / parts, C = row->shape[1], S = R < C ? R : C;
        tensor_of(&w, names[i], after);
        values_of(before, row, tensor, 0);
        double step = (double)options.lr * 0.2 * sqrt((double)(R > C ? R : C));
        for (int64_t j = 0; j < R * C; j++) o[j] = ((1 - 0.001) * (double)before[j] - (double)after[j]) / step;
        multiply(s, o, R > C, o, R <= C, S, R > C ? R : C, S);
        diagonalize(s, S);
        for (int64_t j = 0; j < S; j++) {
            double value = sqrt(s[j * S + j]);
            if (!(value > 0.65 && value < 1.17)) fail_msg("%s: singular value %g", names[i], value);
        }
    }
    close_world(&w);
}

/* Pieces end inside of matrices, and a piece may hold none. Groups of one part, and all parts in one. */
static void pieces_change_nothing(void **state) {
    (void)state;
    static float one[LONGEST], many[LONGEST];
    static const size_t group_bytes[] = {0, 1 << 14, 1 << 30};
    world_t alone, w;
    run_world(&alone, 1, 0);
    for (size_t b = 0; b < sizeof group_bytes / sizeof group_bytes[0]; b++)
        for (int world = 2; world <= MAX_WORLD; world++) {
            run_world(&w, world, group_bytes[b]);
            for (int i = 0; i < alone.rank[0].t.plan.n; i++) {
                const plan_row_t *row = &alone.rank[0].t.plan.rows[i];
                tensor_of(&alone, row->name, one);
                tensor_of(&w, row->name, many);
                assert_memory_equal(one, many, sizeof(float) * (size_t)row->n);
            }
            close_world(&w);
        }
    close_world(&alone);
}

/* The memory plan knows what muon_new takes without taking it. */
static void scratch_is_planned(void **state) {
    (void)state;
    pipeline_tensors_t t;
    partition_t p;
    plan_t scratch;
    assert_int_equal(pipeline_tensors_init(&t, &config, partition_group_align(2)), LENS_OK);
    assert_int_equal(partition_init(&p, &t.plan, 2, 1, 0), LENS_OK);
    assert_int_equal(muon_plan_scratch(&scratch, &t.plan, &p, 2), LENS_OK);
    assert_int_equal(plan_find(&scratch, "muon.updates.1")->n, p.group[1].n); /* a block */
    assert_int_equal(plan_find(&scratch, "muon.x")->n, 12 * 32);
    assert_int_equal(plan_find(&scratch, "muon.s2")->n, 12 * 12);
    assert_true(scratch.bytes >= (size_t)(2 * p.group[1].n + 2 * 12 * 32 + 2 * 144) * 2 + 144 * 4);
    plan_free(&scratch);
    partition_free(&p);
    pipeline_tensors_free(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses_the_matrices_of_blocks),
        cmocka_unit_test(follows_the_recurrence),
        cmocka_unit_test(singular_values_are_near_one),
        cmocka_unit_test(pieces_change_nothing),
        cmocka_unit_test(scratch_is_planned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
