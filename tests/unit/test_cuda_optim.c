/* The CUDA table's optimiser beside the CPU's, in float and bf16; test_kernels_optim.c has the recurrences. */
#include "tests/unit/cuda_check.h"

/* Shorter than a chunk, chunks and their ends, more than a block. */
static const int64_t lengths[] = {0, 1, 7, 8, 9, 100, 2048, 5003};
enum { N_LENGTHS = sizeof lengths / sizeof lengths[0] };

#define BOTH for (int s = 0; s < PAIR_SIDES; s++)

static void sums_case(pair_t *p, int64_t n) {
    const float one = 1;
    pair_buffer_t *sum = pair_buffer(p, PAIR_F64, PAIR_SUM, 1, &one), *x = pair_random(p, PAIR_F32, PAIR_INPUT, n),
                  *loss = pair_random(p, PAIR_F64, PAIR_INPUT, n), *all = pair_buffer(p, PAIR_F64, PAIR_SUM, 1, &one);
    BOTH {
        for (int twice = 0; twice < 2; twice++) p->k[s]->sum_squares(p->k[s], sum->at[s], x->at[s], n);
        for (int twice = 0; twice < 2; twice++) p->k[s]->sum_losses(p->k[s], all->at[s], loss->at[s], 0.3, n);
    }
    pair_near(p, "sum of squares", sum, 1, 0, 1e-7); /* in double */
    pair_near(p, "sum of losses", all, 1, (double)n + 1, 1e-8);
    pair_end(p);
}

/* What the gate of a run holds after some steps, in device memory. */
static pair_buffer_t *gate_of(pair_t *p, int n_updates, float scale) {
    const step_rule_t rule = {.max_norm = (double)scale, .beta1 = 0.9f, .beta2 = 0.95f};
    step_gate_t gate = {.n_updates = n_updates - 1};
    step_gate_judge(&gate, 1, 1, &rule);
    return pair_buffer(p, PAIR_BYTES, PAIR_INPUT, sizeof gate, &gate);
}

/* Verdict after verdict, the state carried on: the same on both sides, to the bit, as both are the host's arithmetic
 * here. */
static void judge_case(pair_t *p) {
    static const float cases[][2] = {{4, 1}, {9, 1}, {NAN, 1}, {4, INFINITY}, {1e20f, 2}, {0, 1}};
    const step_rule_t rule = {.max_norm = 0.5, .max_zscore = 6, .beta1 = 0.9f, .beta2 = 0.95f};
    const step_gate_t late = {.n = 300, .n_updates = 301, .mean = 1, .var = 0.01};
    pair_buffer_t *gate = pair_buffer(p, PAIR_BYTES, PAIR_SUM, sizeof late, &late);
    for (int i = 0; i < 6; i++) {
        pair_buffer_t *sums = pair_buffer(p, PAIR_F64, PAIR_INPUT, 2, cases[i]);
        BOTH p->k[s]->judge(p->k[s], gate->at[s], sums->at[s], &rule);
        pair_near(p, "judge", gate, 1, 0, 0);
    }
    pair_end(p);
}

static void adamw_case(pair_t *p, int64_t n) {
    const adamw_t o = {.lr = 1e-2f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .weight_decay = 0.1f};
    float *zeros = calloc((size_t)n + 1, sizeof *zeros);
    assert_non_null(zeros);
    pair_buffer_t *master = pair_random(p, PAIR_F32, PAIR_SUM, n), *weights = pair_output(p, PAIR_ACT, n),
                  *m = pair_buffer(p, PAIR_F32, PAIR_SUM, n, zeros), *v = pair_buffer(p, PAIR_F32, PAIR_SUM, n, zeros),
                  *g = pair_random(p, PAIR_F32, PAIR_INPUT, n), *average = pair_random(p, PAIR_F32, PAIR_SUM, n);
    for (int step = 1; step <= 3; step++) {
        pair_buffer_t *gate = gate_of(p, step, 0.3f);
        BOTH {
            adamw_t mine = o;
            mine.average = step > 1 ? average->at[s] : NULL;
            mine.average_decay = 0.9;
            p->k[s]->adamw(p->k[s], master->at[s], weights->at[s], m->at[s], v->at[s], g->at[s], gate->at[s], n, &mine);
        }
    }
    pair_near(p, "adamw master", master, 3, 0, 2);
    pair_near(p, "adamw weights", weights, 1, 0, 2);
    pair_near(p, "adamw average", average, 3, 0, 2);
    pair_near(p, "adamw m", m, 3, 0, 1);
    pair_near(p, "adamw v", v, 3, 0, 1);
    pair_end(p);
    free(zeros);
}

static void ema_case(pair_t *p, int64_t n) {
    pair_buffer_t *average = pair_random(p, PAIR_F32, PAIR_SUM, n), *master = pair_random(p, PAIR_F32, PAIR_INPUT, n),
                  *young = gate_of(p, 4, 1), *old = gate_of(p, 1000, 1);
    BOTH {
        p->k[s]->ema(p->k[s], average->at[s], master->at[s], young->at[s], n, 0.9);
        p->k[s]->ema(p->k[s], average->at[s], master->at[s], old->at[s], n, 0.9);
    }
    pair_near(p, "ema", average, 1, 0, 1);
    pair_end(p);
}

static void muon_case(pair_t *p, int64_t n) {
    pair_buffer_t *u = pair_output(p, PAIR_ACT, n), *m = pair_random(p, PAIR_F32, PAIR_SUM, n),
                  *g = pair_random(p, PAIR_F32, PAIR_INPUT, n), *gate = gate_of(p, 1, 0.5f),
                  *x = pair_random(p, PAIR_ACT, PAIR_SUM, n), *y = pair_output(p, PAIR_ACT, n),
                  *master = pair_random(p, PAIR_F32, PAIR_SUM, n), *weights = pair_output(p, PAIR_ACT, n),
                  *step = pair_random(p, PAIR_ACT, PAIR_INPUT, n);
    BOTH {
        p->k[s]->nesterov(p->k[s], u->at[s], m->at[s], g->at[s], gate->at[s], 0.95f, n);
        p->k[s]->normalize(p->k[s], y->at[s], x->at[s], n);
        p->k[s]->normalize(p->k[s], x->at[s], x->at[s], n);
        p->k[s]->decay_step(p->k[s], master->at[s], weights->at[s], step->at[s], gate->at[s], 0.99f, 0.02f, n);
    }
    pair_near(p, "nesterov u", u, 1, 0, 1);
    pair_near(p, "nesterov m", m, 1, 0, 1);
    pair_near(p, "normalize", y, 1, 0, 1.5);
    pair_near(p, "in place", x, 1, 0, 1.5);
    pair_near(p, "step master", master, 1, 0, 1);
    pair_near(p, "step weights", weights, 1, 0, 1);
    pair_end(p);
}

/* A step that is left out: everything is an input. */
static void left_out_case(pair_t *p, int64_t n) {
    const adamw_t o = {.lr = 1e-2f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .weight_decay = 0.1f};
    const step_gate_t left_out = {.verdict = STEP_NOT_FINITE, .scale = 1, .ramp = 0.1};
    pair_buffer_t *gate = pair_buffer(p, PAIR_BYTES, PAIR_INPUT, sizeof left_out, &left_out), *x[4],
                  *act = pair_random(p, PAIR_ACT, PAIR_INPUT, n), *u = pair_random(p, PAIR_ACT, PAIR_INPUT, n);
    for (int i = 0; i < 4; i++) x[i] = pair_random(p, PAIR_F32, PAIR_INPUT, n);
    BOTH {
        kernels_t *k = p->k[s];
        k->adamw(k, x[0]->at[s], act->at[s], x[1]->at[s], x[2]->at[s], x[3]->at[s], gate->at[s], n, &o);
        k->ema(k, x[1]->at[s], x[0]->at[s], gate->at[s], n, 0.9);
        k->nesterov(k, u->at[s], x[1]->at[s], x[3]->at[s], gate->at[s], 0.95f, n);
        k->decay_step(k, x[0]->at[s], act->at[s], u->at[s], gate->at[s], 0.99f, 0.02f, n);
    }
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
        left_out_case(p, lengths[i]);
    }
    judge_case(p);
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
