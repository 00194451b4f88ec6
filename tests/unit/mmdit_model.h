/* What the tests of the MMDiT share: a tiny model with everything it needs, and gradients by central differences. */
#ifndef LENS_TESTS_MMDIT_MODEL_H
#define LENS_TESTS_MMDIT_MODEL_H

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

enum { MAX_B = 3, MAX_N = 6, MAX_T = 4, FLOATS = 4096 };

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

static inline void fill(rng_t *r, float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = (float)rng_normal(r);
}

/* A released model begins with zeros in half of its matrices; here nothing is zero. */
static inline void fill_weights(model_t *f, rng_t *r) {
    for (int i = 0; i < f->weight_plan.n; i++) {
        const plan_row_t *row = &f->weight_plan.rows[i];
        double std = row->n_dims == 2 ? 0.7 / sqrt((double)row->shape[1]) : 0.2;
        for (int64_t j = 0; j < row->n; j++)
            f->p[row->offset_bytes / sizeof(float) + (size_t)j] = row->init_mean + (float)(std * rng_normal(r));
    }
}

static inline void set_size(model_t *f, int64_t B, int64_t h, int64_t w, int64_t T) {
    f->in.B = B;
    f->in.h = h;
    f->in.w = w;
    f->in.T = T;
    for (int64_t b = 0; b < MAX_B; b++) f->text_len[b] = (int32_t)T;
}

static const mmdit_shape_t largest = {.B = MAX_B, .N = MAX_N, .T = MAX_T};

static inline model_t *model_with(const mmdit_config_t *config, const mmdit_limits_t *limits) {
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

static inline model_t *model_of(const mmdit_config_t *config, bool last_text) {
    mmdit_limits_t limits = {.shapes = &largest, .n_shapes = 1, .backward = true, .last_text = last_text};
    return model_with(config, &limits);
}

static inline model_t *model_keeping(mmdit_checkpointing checkpointing) {
    mmdit_limits_t limits = {.shapes = &largest, .n_shapes = 1, .backward = true, .checkpointing = checkpointing};
    return model_with(&tiny, &limits);
}

static inline void model_free(model_t *f) {
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

static inline int64_t out_floats(const model_t *f) {
    return f->in.B * f->in.h * f->in.w * mmdit_out_width(&f->config);
}

static const float *forward(model_t *f) {
    act_t *v;
    assert_int_equal(mmdit_forward(f->m, &f->weights, &f->in, NULL, &v), LENS_OK);
    return v;
}

/* sum of v * dv */
static inline double loss(model_t *f) {
    const float *v = forward(f);
    double sum = 0;
    for (int64_t i = 0; i < out_floats(f); i++) sum += (double)v[i] * (double)f->dv[i];
    return sum;
}

static inline void backward(model_t *f) {
    act_t *dtext[2] = {f->dtext[0], f->dtext[1]};
    memset(f->g, 0, sizeof(float) * (size_t)plan_n_floats(&f->weight_plan));
    forward(f);
    mmdit_backward(f->m, &f->weights, &f->grads, &f->in, f->dv, dtext, NULL);
    assert_int_equal(f->k->finish(f->k), LENS_OK);
}

/* ---- gradients ---- */

/* Derivative of the loss at x along the unit vector u, by a difference of fourth order: with the rounding of a float
 * forward pass, steps must be wide. */
static inline double slope(model_t *f, float *x, const double *u, int64_t n) {
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
static inline void check_gradient(model_t *f, const char *name, float *x, const float *g, int64_t n) {
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

/* Output, gradients of weights and of features, as one block of floats. */
static inline float *all_results(model_t *f, int64_t *n) {
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

static inline void expect_same_results(model_t *a, model_t *b) {
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

static inline void set_changing(model_t *f, int i) {
    const int64_t *s = changing_shapes[i];
    set_size(f, s[0], s[1], s[2], s[3]);
    f->text_len[0] = (int32_t)(s[3] / 2);
}

#endif
