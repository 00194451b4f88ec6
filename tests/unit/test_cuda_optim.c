/* The CUDA table's optimiser beside the CPU's, in float and bf16; test_kernels_optim.c has the recurrences. */
#include "tests/unit/cuda_check.h"

/* Shorter than a chunk, chunks and their ends, more than a block. */
static const int64_t lengths[] = {0, 1, 7, 8, 9, 100, 2048, 5003};
enum { N_LENGTHS = sizeof lengths / sizeof lengths[0] };

#define BOTH for (int s = 0; s < PAIR_SIDES; s++)

static void sums_case(pair_t *p, int64_t n) {
    const float one = 1;
    pair_buffer_t *sum = pair_buffer(p, PAIR_F64, PAIR_SUM, 1, &one), *x = pair_random(p, PAIR_F32, PAIR_INPUT, n),
                  *scale = pair_output(p, PAIR_F32, 1), *all = pair_output(p, PAIR_F32, 1);
    BOTH {
        for (int twice = 0; twice < 2; twice++) p->k[s]->sum_squares(p->k[s], sum->at[s], x->at[s], n);
        p->k[s]->clip_scale(p->k[s], scale->at[s], sum->at[s], 0.5);
        p->k[s]->clip_scale(p->k[s], all->at[s], sum->at[s], 0);
    }
    pair_near(p, "sum of squares", sum, 1, 0, 1e-7); /* in double */
    pair_near(p, "clip", scale, 1, 0, 1);
    pair_near(p, "no clip", all, 1, 0, 0);
    pair_end(p);
}

static void adamw_case(pair_t *p, int64_t n) {
    adamw_t o = {.lr = 1e-2f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .weight_decay = 0.1f};
    const float third = 0.3f;
    float *zeros = calloc((size_t)n + 1, sizeof *zeros);
    assert_non_null(zeros);
    pair_buffer_t *master = pair_random(p, PAIR_F32, PAIR_SUM, n), *weights = pair_output(p, PAIR_ACT, n),
                  *m = pair_buffer(p, PAIR_F32, PAIR_SUM, n, zeros), *v = pair_buffer(p, PAIR_F32, PAIR_SUM, n, zeros),
                  *g = pair_random(p, PAIR_F32, PAIR_INPUT, n),
                  *scale = pair_buffer(p, PAIR_F32, PAIR_INPUT, 1, &third),
                  *average = pair_random(p, PAIR_F32, PAIR_SUM, n);
    for (o.step = 1; o.step <= 3; o.step++) BOTH {
            adamw_t mine = o;
            mine.average = o.step > 1 ? average->at[s] : NULL;
            mine.average_decay = 0.9f;
            p->k[s]->adamw(p->k[s], master->at[s], weights->at[s], m->at[s], v->at[s], g->at[s], scale->at[s], n,
                           &mine);
        }
    pair_near(p, "adamw master", master, 3, 0, 2);
    pair_near(p, "adamw weights", weights, 1, 0, 2);
    pair_near(p, "adamw average", average, 3, 0, 1);
    pair_near(p, "adamw m", m, 3, 0, 1);
    pair_near(p, "adamw v", v, 3, 0, 1);
    pair_end(p);
    free(zeros);
}

static void ema_case(pair_t *p, int64_t n) {
    pair_buffer_t *average = pair_random(p, PAIR_F32, PAIR_SUM, n), *master = pair_random(p, PAIR_F32, PAIR_INPUT, n);
    BOTH p->k[s]->ema(p->k[s], average->at[s], master->at[s], n, 0.9f);
    pair_near(p, "ema", average, 1, 0, 1);
    pair_end(p);
}

static void muon_case(pair_t *p, int64_t n) {
    const float half = 0.5f;
    pair_buffer_t *u = pair_output(p, PAIR_ACT, n), *m = pair_random(p, PAIR_F32, PAIR_SUM, n),
                  *g = pair_random(p, PAIR_F32, PAIR_INPUT, n), *scale = pair_buffer(p, PAIR_F32, PAIR_INPUT, 1, &half),
                  *x = pair_random(p, PAIR_ACT, PAIR_SUM, n), *y = pair_output(p, PAIR_ACT, n),
                  *master = pair_random(p, PAIR_F32, PAIR_SUM, n), *weights = pair_output(p, PAIR_ACT, n),
                  *step = pair_random(p, PAIR_ACT, PAIR_INPUT, n);
    BOTH {
        p->k[s]->nesterov(p->k[s], u->at[s], m->at[s], g->at[s], scale->at[s], 0.95f, n);
        p->k[s]->normalize(p->k[s], y->at[s], x->at[s], n);
        p->k[s]->normalize(p->k[s], x->at[s], x->at[s], n);
        p->k[s]->decay_step(p->k[s], master->at[s], weights->at[s], step->at[s], 0.99f, 0.02f, n);
    }
    pair_near(p, "nesterov u", u, 1, 0, 1);
    pair_near(p, "nesterov m", m, 1, 0, 1);
    pair_near(p, "normalize", y, 1, 0, 1.5);
    pair_near(p, "in place", x, 1, 0, 1.5);
    pair_near(p, "step master", master, 1, 0, 1);
    pair_near(p, "step weights", weights, 1, 0, 1);
    pair_end(p);
}

static void polynomial_case(pair_t *p, int64_t n) {
    pair_buffer_t *x = pair_random(p, PAIR_ACT, PAIR_SUM, n * n), *s2 = pair_random(p, PAIR_ACT, PAIR_INPUT, n * n);
    BOTH p->k[s]->polynomial(p->k[s], x->at[s], s2->at[s], 3.4f, -4.7f, 2.0f, n);
    pair_near(p, "polynomial", x, 1, 0, 2);
    pair_end(p);
}

static void zeros_case(pair_t *p) {
    const float zeros[9] = {0};
    pair_buffer_t *x = pair_buffer(p, PAIR_ACT, PAIR_INPUT, 9, zeros), *y = pair_output(p, PAIR_ACT, 9);
    BOTH p->k[s]->normalize(p->k[s], y->at[s], x->at[s], 9);
    pair_near(p, "normalize 0", y, 1, 0, 0);
    pair_end(p);
}

static void cases(pair_t *p) {
    for (int i = 0; i < N_LENGTHS; i++) {
        sums_case(p, lengths[i]);
        adamw_case(p, lengths[i]);
        ema_case(p, lengths[i]);
        muon_case(p, lengths[i]);
    }
    for (int64_t n = 1; n < 20; n++) polynomial_case(p, n);
    polynomial_case(p, 64);
    zeros_case(p);
}

static void agrees(void **state) {
    (void)state;
    pair_rows(cases);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
