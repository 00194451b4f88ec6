/* The whole model in a tiny configuration: gradients by central differences, samples that do not touch each other,
 * masks that do not leak, limits, configurations, cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "model/mmdit.h"

static const mmdit_config_t tiny = {.num_layers = 2,
                                    .num_heads = 2,
                                    .head_dim = 6,
                                    .in_channels = 5,
                                    .out_channels = 3,
                                    .patch_size = 1,
                                    .enc_hidden_dim = 4,
                                    .num_text_layers = 2,
                                    .axes_dims_rope = {2, 2, 2},
                                    .rope_theta = 10000,
                                    .eps = 1e-6,
                                    .txt_norm_eps = 1e-5};

enum { MAX_B = 3, MAX_N = 6, MAX_T = 4, FLOATS = 4096, N_ALIGNED_ROWS = 30 };

/* A model with weights, gradients and inputs; everything is host memory, since the device is the CPU. */
typedef struct {
    kernels_t *k;
    mmdit_config_t config;
    mmdit_t *m;
    plan_t weight_plan, grad_plan;
    mmdit_tensors_t weights, grads;
    float *p, *g; /* flat */
    mmdit_input_t in;
    float x_t[FLOATS], t[MAX_B], text[2][FLOATS], dv[FLOATS], dtext[2][FLOATS];
    int32_t text_len[MAX_B];
} model_t;

static void fill(rng_t *r, float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = (float)rng_normal(r);
}

/* A released model begins with zeros in half of its matrices; here nothing is zero. */
static void fill_weights(model_t *f, rng_t *r) {
    for (int i = 0; i < f->weight_plan.n; i++) {
        const plan_row_t *row = &f->weight_plan.rows[i];
        double std = row->n_dims == 2 ? 0.7 / sqrt((double)row->shape[1]) : 0.2;
        for (int64_t j = 0; j < row->n; j++)
            f->p[row->offset_bytes / sizeof(float) + (size_t)j] = row->init_mean + (float)(std * rng_normal(r));
    }
}

static void set_size(model_t *f, int64_t B, int64_t h, int64_t w, int64_t T) {
    f->in.B = B;
    f->in.h = h;
    f->in.w = w;
    f->in.T = T;
    for (int64_t b = 0; b < MAX_B; b++) f->text_len[b] = (int32_t)T;
}

static const mmdit_shape_t largest = {.B = MAX_B, .N = MAX_N, .T = MAX_T};

static model_t *model_with(const mmdit_config_t *config, const mmdit_limits_t *limits) {
    model_t *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->config = *config;
    rng_t r = rng_stream(3, 0, 0, RNG_TEST);
    assert_int_equal(kernels_cpu_new(&f->k, 1, 1), LENS_OK);
    assert_int_equal(mmdit_new(&f->m, f->k, config, limits), LENS_OK);
    assert_int_equal(mmdit_plan_tensors(&f->weight_plan, &f->weights, config), LENS_OK);
    assert_int_equal(mmdit_plan_tensors(&f->grad_plan, &f->grads, config), LENS_OK);
    f->p = calloc((size_t)plan_n_floats(&f->weight_plan), sizeof(float));
    f->g = calloc((size_t)plan_n_floats(&f->weight_plan), sizeof(float));
    plan_bind(&f->weight_plan, f->p);
    plan_bind(&f->grad_plan, f->g);
    fill_weights(f, &r);
    fill(&r, f->x_t, FLOATS);
    fill(&r, f->dv, FLOATS);
    for (int i = 0; i < 2; i++) fill(&r, f->text[i], FLOATS);
    for (int b = 0; b < MAX_B; b++) f->t[b] = 0.2f + 0.3f * (float)b;
    f->in = (mmdit_input_t){.x_t = f->x_t, .t = f->t, .text = {f->text[0], f->text[1]}, .text_len = f->text_len};
    set_size(f, 2, 2, 3, 3);
    return f;
}

static model_t *model_of(const mmdit_config_t *config, bool last_text) {
    mmdit_limits_t limits = {.shapes = &largest, .n_shapes = 1, .backward = true, .last_text = last_text};
    return model_with(config, &limits);
}

static model_t *model_keeping(mmdit_checkpointing checkpointing) {
    mmdit_limits_t limits = {.shapes = &largest, .n_shapes = 1, .backward = true, .checkpointing = checkpointing};
    return model_with(&tiny, &limits);
}

static void model_free(model_t *f) {
    mmdit_free(f->m);
    mmdit_tensors_free(&f->weights);
    mmdit_tensors_free(&f->grads);
    plan_free(&f->weight_plan);
    plan_free(&f->grad_plan);
    free(f->p);
    free(f->g);
    kernels_free(f->k);
    free(f);
}

static int64_t out_floats(const model_t *f) {
    return f->in.B * f->in.h * f->in.w * mmdit_out_width(&f->config);
}

static const float *forward(model_t *f) {
    act_t *v;
    assert_int_equal(mmdit_forward(f->m, &f->weights, &f->in, NULL, &v), LENS_OK);
    return v;
}

/* sum of v * dv */
static double loss(model_t *f) {
    const float *v = forward(f);
    double sum = 0;
    for (int64_t i = 0; i < out_floats(f); i++) sum += (double)v[i] * (double)f->dv[i];
    return sum;
}

static void backward(model_t *f) {
    act_t *dtext[2] = {f->dtext[0], f->dtext[1]};
    memset(f->g, 0, sizeof(float) * (size_t)plan_n_floats(&f->weight_plan));
    forward(f);
    mmdit_backward(f->m, &f->weights, &f->grads, &f->in, f->dv, dtext, NULL);
    assert_int_equal(f->k->finish(f->k), LENS_OK);
}

/* ---- gradients ---- */

/* Derivative of the loss at x along the unit vector u, by a difference of fourth order: with the rounding of a float
 * forward pass, steps must be wide. */
static double slope(model_t *f, float *x, const double *u, int64_t n) {
    static const double at[4] = {-2, -1, 1, 2}, factor[4] = {1.0 / 12, -8.0 / 12, 8.0 / 12, -1.0 / 12};
    const double h = 0.02;
    float kept[FLOATS];
    double sum = 0;
    assert_true(n <= FLOATS);
    memcpy(kept, x, sizeof(float) * (size_t)n);
    for (int j = 0; j < 4; j++) {
        for (int64_t i = 0; i < n; i++) x[i] = (float)((double)kept[i] + at[j] * h * u[i]);
        sum += factor[j] * loss(f);
    }
    memcpy(x, kept, sizeof(float) * (size_t)n);
    return sum / h;
}

/* Along the gradient itself, which shows a wrong length, and along a random direction, which shows a wrong one.
 * Errors observed are up to 5e-5 (the rounding of the loss), whatever the norm. */
static void check_gradient(model_t *f, const char *name, float *x, const float *g, int64_t n) {
    double norm = 0, *u = calloc((size_t)n, sizeof *u);
    rng_t r = rng_stream(4, 0, 0, RNG_TEST);
    for (int64_t i = 0; i < n; i++) norm += (double)g[i] * (double)g[i];
    norm = sqrt(norm);
    for (int along = 0; along < 2; along++) {
        double want = 0;
        for (int64_t i = 0; i < n; i++) {
            u[i] = (along && norm > 0 ? (double)g[i] / norm : (rng_u32(&r) % 2 ? 1 : -1) / sqrt((double)n));
            want += u[i] * (double)g[i];
        }
        double got = slope(f, x, u, n);
        if (getenv("CHECK_PRINT")) print_message("grad %s %g %g %g\n", name, norm, want, got - want);
        if (!(fabs(got - want) <= 2e-4 * norm + (norm > 0 ? 1e-4 : 1e-12)))
            fail_msg("%s: gradient of norm %g; along %s %g, by differences %g", name, norm,
                     along ? "itself" : "a random direction", want, got);
    }
    free(u);
}

static void check_all_gradients(model_t *f) {
    backward(f);
    for (int i = 0; i < f->weight_plan.n; i++) {
        const plan_row_t *row = &f->weight_plan.rows[i];
        size_t at = row->offset_bytes / sizeof(float);
        check_gradient(f, row->name, f->p + at, f->g + at, row->n);
    }
    int64_t n = f->in.B * f->in.T * f->config.enc_hidden_dim;
    for (int i = 0; i < 2 && n; i++) check_gradient(f, "features", f->text[i], f->dtext[i], n);
}

static void gradients_with_padded_text(void **state) {
    (void)state;
    for (int mode = 0; mode < MMDIT_N_CHECKPOINTING; mode++) {
        model_t *f = model_keeping((mmdit_checkpointing)mode);
        f->text_len[0] = 1;
        check_all_gradients(f);
        model_free(f);
    }
}

static void gradients_without_text(void **state) {
    (void)state;
    model_t *f = model_of(&tiny, false);
    set_size(f, 2, 1, 4, 0);
    check_all_gradients(f);
    const plan_row_t *row = plan_find(&f->weight_plan, "txt_in.weight");
    assert_non_null(row);
    assert_true(f->g[row->offset_bytes / sizeof(float)] == 0); /* text weights get nothing */
    model_free(f);
}

static void gradients_of_one_token(void **state) {
    (void)state;
    mmdit_config_t c = tiny;
    c.num_layers = 1;
    c.num_text_layers = 1;
    model_t *f = model_of(&c, false);
    set_size(f, 3, 1, 1, 2);
    f->text_len[1] = 0; /* of one sample all text is padding */
    check_all_gradients(f);
    model_free(f);
}

static void gradients_add_up(void **state) {
    (void)state;
    model_t *f = model_of(&tiny, false);
    backward(f);
    int64_t n = plan_n_floats(&f->weight_plan);
    float *once = malloc(sizeof(float) * (size_t)n);
    memcpy(once, f->g, sizeof(float) * (size_t)n);
    forward(f);
    mmdit_backward(f->m, &f->weights, &f->grads, &f->in, f->dv, NULL, NULL);
    for (int64_t i = 0; i < n; i++) assert_true(fabsf(f->g[i] - 2 * once[i]) <= 2e-6f * (1 + fabsf(once[i])));
    free(once);
    model_free(f);
}

/* ---- what must not matter ---- */

/* The last block's text reaches no output, computed or not. */
static void last_text_changes_nothing(void **state) {
    (void)state;
    model_t *with = model_of(&tiny, true), *without = model_of(&tiny, false);
    with->text_len[1] = without->text_len[1] = 2;
    size_t n = (size_t)out_floats(with);
    const float *a = forward(with), *b = forward(without);
    assert_memory_equal(a, b, sizeof(float) * n);
    backward(with);
    backward(with); /* with the first one's gradients of text lying about */
    backward(without);
    assert_memory_equal(with->g, without->g, sizeof(float) * (size_t)plan_n_floats(&with->weight_plan));
    assert_memory_equal(with->dtext, without->dtext, sizeof with->dtext);
    model_free(with);
    model_free(without);
}

static void padded_text_leaves_no_trace(void **state) {
    (void)state;
    model_t *f = model_of(&tiny, false);
    int64_t e = f->config.enc_hidden_dim, T = f->in.T, n = plan_n_floats(&f->weight_plan);
    size_t bytes = sizeof(float) * (size_t)out_floats(f);
    float v[FLOATS], *g = malloc(sizeof(float) * (size_t)n);
    f->text_len[0] = 1;
    f->text_len[1] = 0;
    backward(f);
    memcpy(v, forward(f), bytes);
    memcpy(g, f->g, sizeof(float) * (size_t)n);
    for (int64_t b = 0; b < f->in.B; b++)
        for (int64_t i = f->text_len[b] * e; i < T * e; i++)
            for (int layer = 0; layer < 2; layer++) {
                assert_true(f->dtext[layer][b * T * e + i] == 0);
                f->text[layer][b * T * e + i] = (float)(50 * (i % 3) - 30);
            }
    assert_memory_equal(v, forward(f), bytes);
    backward(f);
    assert_memory_equal(g, f->g, sizeof(float) * (size_t)n);
    f->text[0][0] += 1; /* the first token counts */
    assert_true(memcmp(v, forward(f), bytes) != 0);
    free(g);
    model_free(f);
}

/* A longer padding, too, is not seen; products of another shape may round otherwise. */
static void length_of_padding_does_not_matter(void **state) {
    (void)state;
    model_t *f = model_of(&tiny, false);
    int64_t e = f->config.enc_hidden_dim, n = out_floats(f);
    float v[FLOATS];
    memcpy(v, forward(f), sizeof(float) * (size_t)n);
    for (int layer = 0; layer < 2; layer++)
        memmove(f->text[layer] + 4 * e, f->text[layer] + 3 * e, sizeof(float) * (size_t)(3 * e));
    f->in.T = 4;
    const float *again = forward(f);
    for (int64_t i = 0; i < n; i++) assert_true(fabsf(again[i] - v[i]) <= 1e-5f);
    model_free(f);
}

static void samples_are_independent(void **state) {
    (void)state;
    model_t *both = model_of(&tiny, false), *one = model_of(&tiny, false);
    both->text_len[0] = 2;
    backward(both);
    const float *v = forward(both);
    int64_t N = 6, out = mmdit_out_width(&tiny), n = plan_n_floats(&both->weight_plan);
    float *sum = calloc((size_t)n, sizeof *sum);
    set_size(one, 1, 2, 3, 3);
    for (int64_t b = 0; b < 2; b++) {
        one->text_len[0] = both->text_len[b];
        one->t[0] = both->t[b];
        memcpy(one->x_t, both->x_t + b * N * tiny.in_channels, sizeof(float) * (size_t)(N * tiny.in_channels));
        memcpy(one->dv, both->dv + b * N * out, sizeof(float) * (size_t)(N * out));
        for (int i = 0; i < 2; i++) memcpy(one->text[i], both->text[i] + b * 3 * 4, sizeof(float) * 3 * 4);
        backward(one);
        const float *alone = forward(one);
        for (int64_t i = 0; i < N * out; i++) assert_true(fabsf(alone[i] - v[b * N * out + i]) <= 1e-5f);
        for (int64_t i = 0; i < n; i++) sum[i] += one->g[i];
    }
    for (int64_t i = 0; i < n; i++) assert_true(fabsf(sum[i] - both->g[i]) <= 1e-4f);
    free(sum);
    model_free(both);
    model_free(one);
}

/* Positions follow the grid of each call, not that of the first. */
static void grids_may_change(void **state) {
    (void)state;
    model_t *f = model_of(&tiny, false);
    size_t bytes = sizeof(float) * (size_t)out_floats(f);
    float v[FLOATS];
    memcpy(v, forward(f), bytes);
    set_size(f, 2, 3, 2, 3);
    assert_true(memcmp(v, forward(f), bytes) != 0);
    set_size(f, 2, 1, 1, 0);
    forward(f);
    set_size(f, 2, 2, 3, 3);
    assert_memory_equal(v, forward(f), bytes);
    model_free(f);
}

/* ---- activations: kept or made again, laid out for one shape after another ---- */

/* Output, gradients of weights and of features, as one block of floats. */
static float *all_results(model_t *f, int64_t *n) {
    int64_t n_out = out_floats(f), n_grads = plan_n_floats(&f->grad_plan),
            n_text = f->in.B * f->in.T * f->config.enc_hidden_dim;
    *n = n_out + n_grads + 2 * n_text;
    float *all = malloc(sizeof(float) * (size_t)*n), *at = all;
    assert_non_null(all);
    memcpy(at, forward(f), sizeof(float) * (size_t)n_out);
    backward(f);
    memcpy(at += n_out, f->g, sizeof(float) * (size_t)n_grads);
    memcpy(at += n_grads, f->dtext[0], sizeof(float) * (size_t)n_text);
    memcpy(at + n_text, f->dtext[1], sizeof(float) * (size_t)n_text);
    return all;
}

static void expect_same_results(model_t *a, model_t *b) {
    int64_t n, m;
    float *x = all_results(a, &n), *y = all_results(b, &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, sizeof(float) * (size_t)n);
    free(x);
    free(y);
}

/* {B, h, w, T}, in an order in which buffers grow, shrink and move. */
static const int64_t changing_shapes[][4] = {{2, 2, 3, 3}, {3, 1, 1, 4}, {1, 3, 2, 0}, {3, 2, 3, 4},
                                             {1, 1, 2, 1}, {2, 3, 2, 3}, {2, 2, 3, 3}};
enum { N_CHANGING = sizeof changing_shapes / sizeof changing_shapes[0] };

static void set_changing(model_t *f, int i) {
    const int64_t *s = changing_shapes[i];
    set_size(f, s[0], s[1], s[2], s[3]);
    f->text_len[0] = (int32_t)(s[3] / 2);
}

static void recomputation_changes_no_bit(void **state) {
    (void)state;
    for (int mode = MMDIT_KEEP_ALL + 1; mode < MMDIT_N_CHECKPOINTING; mode++) {
        model_t *kept = model_keeping(MMDIT_KEEP_ALL), *recomputing = model_keeping((mmdit_checkpointing)mode);
        for (int i = 0; i < N_CHANGING; i++) {
            set_changing(kept, i);
            set_changing(recomputing, i);
            expect_same_results(kept, recomputing);
        }
        model_free(kept);
        model_free(recomputing);
    }
}

static void shapes_leave_no_trace(void **state) {
    (void)state;
    for (int mode = 0; mode < MMDIT_N_CHECKPOINTING; mode++) {
        model_t *used = model_keeping((mmdit_checkpointing)mode);
        for (int i = 0; i < N_CHANGING; i++) {
            model_t *fresh = model_keeping((mmdit_checkpointing)mode);
            set_changing(used, i);
            set_changing(fresh, i);
            expect_same_results(used, fresh);
            model_free(fresh);
        }
        model_free(used);
    }
}

static void forward_alone_has_the_same_bits(void **state) {
    (void)state;
    mmdit_limits_t limits = {.shapes = &largest, .n_shapes = 1};
    model_t *trained = model_of(&tiny, false), *sampled = model_with(&tiny, &limits);
    assert_true(mmdit_activations(sampled->m)->bytes < mmdit_activations(trained->m)->bytes);
    for (int i = 0; i < N_CHANGING; i++) {
        set_changing(trained, i);
        set_changing(sampled, i);
        assert_memory_equal(forward(trained), forward(sampled), sizeof(float) * (size_t)out_floats(trained));
    }
    model_free(trained);
    model_free(sampled);
}

static size_t planned_bytes(const mmdit_config_t *c, const mmdit_limits_t *limits) {
    plan_t p;
    assert_int_equal(mmdit_plan_activations(&p, c, limits, 2), LENS_OK);
    size_t bytes = p.bytes;
    for (int i = 0; i < p.n; i++) assert_null(p.rows[i].slot);
    plan_free(&p);
    return bytes;
}

/* What model/README.md says a token of a block needs; the difference of two depths leaves the rest out. */
static void bytes_of_a_token(void **state) {
    (void)state;
    const int64_t B = 2, N = 64, T = 32, tokens = B * (N + T);
    mmdit_config_t c = tiny, deeper = tiny;
    deeper.num_layers = c.num_layers + 3;
    mmdit_shape_t shape = {B, N, T};
    double D = (double)mmdit_dim(&c), M = (double)mmdit_mlp_dim(&c), H = (double)c.num_heads;
    const double statistics[] = {4 * H + 8, 4 * H, 0}, acts[] = {13 * D + 3 * M, 7 * D + 2 * M, D};
    const double mod[] = {2 * 6 * D, 2 * 6 * D, 0}; /* a sample's, both streams */
    for (int mode = 0; mode < MMDIT_N_CHECKPOINTING; mode++) {
        mmdit_limits_t limits = {
            .shapes = &shape, .n_shapes = 1, .backward = true, .checkpointing = (mmdit_checkpointing)mode};
        double want = 3 * ((double)tokens * (2 * acts[mode] + statistics[mode]) + 2 * (double)B * mod[mode]);
        double got = (double)(planned_bytes(&deeper, &limits) - planned_bytes(&c, &limits));
        if (!(got >= want && got <= want + 3 * N_ALIGNED_ROWS * PLAN_ALIGN_BYTES))
            fail_msg("%s: expected %g bytes, got %g", mmdit_checkpointing_name((mmdit_checkpointing)mode), want, got);
    }
}

/* The plan is that of one shape, the one that needs most, and the model's buffer is that plan. */
static void the_largest_shape_counts(void **state) {
    (void)state;
    const mmdit_shape_t shapes[] = {{3, 1, 1}, {2, 6, 4}, {1, 6, 4}, {3, 2, 0}};
    mmdit_limits_t all = {.shapes = shapes, .n_shapes = 4, .backward = true};
    mmdit_limits_t second = {.shapes = shapes + 1, .n_shapes = 1, .backward = true};
    assert_int_equal(planned_bytes(&tiny, &all), planned_bytes(&tiny, &second));
    model_t *f = model_with(&tiny, &all), *want = model_of(&tiny, false);
    act_t *v;
    for (int i = 0; i < 4; i++) {
        set_size(f, shapes[i].B, 1, shapes[i].N, shapes[i].T);
        set_size(want, shapes[i].B, 1, shapes[i].N, shapes[i].T);
        expect_same_results(f, want);
    }
    set_size(f, 3, 2, 3, 4); /* each number is in one of the shapes, all together in none */
    assert_int_equal(mmdit_forward(f->m, &f->weights, &f->in, NULL, &v), LENS_STATE);
    model_free(f);
    model_free(want);
}

/* ---- cost, limits, configurations ---- */

static void flop_are_those_of_the_products(void **state) {
    (void)state;
    static const int64_t sizes[][4] = {{1, 2, 3, 4}, {3, 2, 2, 1}, {2, 1, 5, 0}, {1, 1, 1, 0}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int64_t layers = 1; layers <= 3; layers++) {
            mmdit_config_t c = tiny;
            c.num_layers = layers;
            model_t *f = model_of(&c, false);
            set_size(f, sizes[i][0], sizes[i][1], sizes[i][2], sizes[i][3]);
            f->k->trace_begin(f->k);
            forward(f);
            f->k->trace_end(f->k);
            double want = (double)f->in.B * mmdit_forward_flop(&c, f->in.h * f->in.w, f->in.T);
            assert_true(f->k->trace_flop(f->k) == want);
            model_free(f);
        }
}

static void limits_are_kept(void **state) {
    (void)state;
    static const int64_t sizes[][4] = {{MAX_B + 1, 1, 1, 0}, {0, 1, 1, 0},         {1, 1, MAX_N + 1, 0}, {1, 7, 1, 1},
                                       {1, 0, 3, 1},         {1, 1, 1, MAX_T + 1}, {1, 1, 1, -1}};
    model_t *f = model_of(&tiny, false);
    act_t *v;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        set_size(f, sizes[i][0], sizes[i][1], sizes[i][2], sizes[i][3]);
        assert_int_equal(mmdit_forward(f->m, &f->weights, &f->in, NULL, &v), LENS_STATE);
    }
    set_size(f, 2, 2, 3, 3);
    f->text_len[1] = 4;
    assert_int_equal(mmdit_forward(f->m, &f->weights, &f->in, NULL, &v), LENS_STATE);
    f->text_len[1] = -1;
    assert_int_equal(mmdit_forward(f->m, &f->weights, &f->in, NULL, &v), LENS_STATE);
    f->text_len[1] = 0;
    assert_int_equal(mmdit_forward(f->m, &f->weights, &f->in, NULL, &v), LENS_OK);
    model_free(f);
}

static void expect_refused(const mmdit_config_t *c, const char *named) {
    mmdit_shape_t shape = {.B = 1, .N = 1, .T = 1};
    mmdit_limits_t limits = {.shapes = &shape, .n_shapes = 1};
    mmdit_t *m;
    kernels_t *k;
    assert_int_equal(kernels_cpu_new(&k, 1, 1), LENS_OK);
    assert_int_equal(mmdit_config_check(c), LENS_ARGUMENT);
    if (!strstr(lens_error(), named)) fail_msg("expected %s to be named: %s", named, lens_error());
    assert_int_equal(mmdit_new(&m, k, c, &limits), LENS_ARGUMENT);
    assert_null(m);
    kernels_free(k);
}

static void bad_configurations_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *name;
        size_t offset;
        int64_t value;
    } counts[] = {{"num_layers", offsetof(mmdit_config_t, num_layers), 0},
                  {"num_heads", offsetof(mmdit_config_t, num_heads), -1},
                  {"head_dim", offsetof(mmdit_config_t, head_dim), 0},
                  {"in_channels", offsetof(mmdit_config_t, in_channels), INT64_MAX},
                  {"out_channels", offsetof(mmdit_config_t, out_channels), 0},
                  {"patch_size", offsetof(mmdit_config_t, patch_size), 65},
                  {"enc_hidden_dim", offsetof(mmdit_config_t, enc_hidden_dim), 0},
                  {"num_text_layers", offsetof(mmdit_config_t, num_text_layers), MMDIT_MAX_TEXT_LAYERS + 1},
                  {"head_dim", offsetof(mmdit_config_t, head_dim), 8}, /* not the sum of the axes */
                  {"axes_dims_rope", offsetof(mmdit_config_t, axes_dims_rope), 3},
                  {"axes_dims_rope", offsetof(mmdit_config_t, axes_dims_rope), -2}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        mmdit_config_t c = tiny;
        memcpy((char *)&c + counts[i].offset, &counts[i].value, sizeof counts[i].value);
        expect_refused(&c, counts[i].name);
    }
    mmdit_config_t c = tiny;
    c.eps = (double)NAN;
    expect_refused(&c, "eps");
    c = tiny;
    c.rope_theta = 1;
    expect_refused(&c, "rope_theta");
    assert_int_equal(mmdit_config_check(&tiny), LENS_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_with_padded_text),
        cmocka_unit_test(gradients_without_text),
        cmocka_unit_test(gradients_of_one_token),
        cmocka_unit_test(gradients_add_up),
        cmocka_unit_test(last_text_changes_nothing),
        cmocka_unit_test(padded_text_leaves_no_trace),
        cmocka_unit_test(length_of_padding_does_not_matter),
        cmocka_unit_test(samples_are_independent),
        cmocka_unit_test(grids_may_change),
        cmocka_unit_test(recomputation_changes_no_bit),
        cmocka_unit_test(shapes_leave_no_trace),
        cmocka_unit_test(forward_alone_has_the_same_bits),
        cmocka_unit_test(bytes_of_a_token),
        cmocka_unit_test(the_largest_shape_counts),
        cmocka_unit_test(flop_are_those_of_the_products),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(bad_configurations_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
