/* The table that counts: against hand counts, against the model's own formula, against what the CPU's table records,
 * and calls made again. */
#include "tests/unit/mmdit_model.h"

#include <stdio.h>

#include "kernels/counting.h"
#include "kernels/op_time.h"
#include "train/memory_plan.h"
#include "train/step_count.h"

static kernels_t *counting_new(size_t act_bytes) {
    kernels_t *k;
    assert_int_equal(kernels_counting_new(&k, act_bytes), LENS_OK);
    return k;
}

static void test_no_row_is_missing(void **state) {
    (void)state;
    kernels_t *k = counting_new(2);
    void (*row)(void);
    for (size_t at = offsetof(kernels_t, alloc); at < sizeof *k; at += sizeof row) {
        memcpy(&row, (char *)k + at, sizeof row);
        if (!row) fail_msg("the row at byte %zu of kernels_t is not counted", at);
    }
    kernels_free(k);
    collectives_t *c;
    assert_int_equal(collectives_counting_new(&c, 2), LENS_OK);
    for (size_t at = offsetof(collectives_t, reduce_scatter); at < sizeof *c; at += sizeof row) {
        memcpy(&row, (char *)c + at, sizeof row);
        if (!row) fail_msg("the row at byte %zu of collectives_t is not counted", at);
    }
    collectives_free(c);
}

/* ---- by hand ---- */

static void expect_cost(op_call_t call, double flop, double least, double more, double launches) {
    op_cost_t o = op_cost(&call, 2);
    if (o.flop != flop || o.least_bytes != least || o.bytes != least + more || o.launches != launches)
        fail_msg("%s: flop %g, least %g, bytes %g, launches %g; expected %g, %g, %g, %g", op_name(call.row), o.flop,
                 o.least_bytes, o.bytes, o.launches, flop, least, least + more, launches);
}

static void test_costs_by_hand(void **state) {
    (void)state;
    /* y, x, w in two bytes, and a bias */
    expect_cost((op_call_t){OP_linear_fwd, {10, 6, 4, 1}}, 480, 2 * (60 + 40 + 24 + 6), 0, 1);
    /* dw and db in four bytes, read and written; dy once more, and one partial sum of each column, both ways */
    expect_cost((op_call_t){OP_linear_bwd_w, {10, 6, 4, 1}}, 480, 8 * (24 + 6) + 2 * (60 + 40), 2 * 60 + 8 * 6, 3);
    expect_cost((op_call_t){OP_linear_bwd_w_first, {10, 6, 4, 0}}, 480, 4 * 24 + 2 * (60 + 40), 0, 1);
    expect_cost((op_call_t){OP_linear_bwd_x_add, {10, 6, 4}}, 480, 2 * (2 * 40 + 60 + 24), 0, 1);
    expect_cost((op_call_t){OP_rms_mod_fwd, {2, 3, 8, 48}}, 0, 2 * (48 + 48 + 8 + 2 * 16) + 4 * 6, 0, 1);
    /* two sums of a piece a sample, both ways, and P [B, D] */
    expect_cost((op_call_t){OP_rms_mod_bwd, {2, 3, 8, 48, 1}}, 0, 2 * (2 * 48 + 2 * 48 + 8 + 32 + 16) + 4 * 6 + 8 * 8,
                8 * 2 * 16 + 8 * 16, 3);
    expect_cost((op_call_t){OP_gated_add_bwd, {2, 33, 8, 48}}, 0, 2 * (3 * 528 + 2 * 16), 8 * 2 * 3 * 8, 2);
    /* one head of four columns, 5 queries on 3 + 2 keys in 5 rows: o, lse, q, k, v, lengths */
    expect_cost((op_call_t){OP_attention_fwd, {2, 1, 3, 2, 4, 5, 8}}, 4.0 * 5 * 8 * 4,
                2 * (2 * 5 * 4 + 2 * 5 * 4 + 2 * 8 * 4) + 4 * 10 + 4 * 2, 0, 1);
    expect_cost((op_call_t){OP_adamw, {100, 0}}, 0, 30 * 100 + sizeof(step_gate_t), 0, 1);
    expect_cost((op_call_t){OP_adamw, {100, 1}}, 0, 38 * 100 + sizeof(step_gate_t), 0, 1);
    expect_cost((op_call_t){OP_ema, {100}}, 0, 1200 + sizeof(step_gate_t), 0, 1);
    expect_cost((op_call_t){OP_zero, {100}}, 0, 100, 0, 1);
}

/* ---- calls made again are the same calls ---- */

static const op_call_t every_call[] = {{OP_zero, {64}},
                                       {OP_copy, {64}},
                                       {OP_to_act, {31}},
                                       {OP_to_float, {31}},
                                       {OP_linear_fwd, {2, 3, 4, 1}},
                                       {OP_linear_fwd, {2, 3, 4, 0}},
                                       {OP_linear_bwd_x, {2, 3, 4}},
                                       {OP_linear_bwd_x_add, {2, 3, 4}},
                                       {OP_linear_bwd_w, {2, 3, 4, 1}},
                                       {OP_linear_bwd_w, {2, 3, 4, 0}},
                                       {OP_linear_bwd_w_first, {2, 3, 4, 1}},
                                       {OP_linear_bwd_w_first, {2, 3, 4, 0}},
                                       {OP_lora_fwd, {2, 3, 4, 9}},
                                       {OP_lora_bwd, {2, 3, 4, 9, 1}},
                                       {OP_lora_bwd, {2, 3, 4, 9, 0}},
                                       {OP_rms_mod_fwd, {2, 3, 4, 24}},
                                       {OP_rms_mod_bwd, {2, 3, 4, 24, 1}},
                                       {OP_rms_mod_bwd, {2, 3, 4, 24, 0}},
                                       {OP_layer_mod_fwd, {2, 3, 4, 8}},
                                       {OP_layer_mod_bwd, {2, 3, 4, 8}},
                                       {OP_rms_fwd, {2, 3, 7}},
                                       {OP_rms_bwd, {2, 3, 7, 1, 1}},
                                       {OP_rms_bwd, {2, 3, 7, 0, 1}},
                                       {OP_qkv_fwd, {2, 3, 5, 4, 7, 3}},
                                       {OP_qkv_bwd, {2, 3, 5, 4, 7, 3, 1}},
                                       {OP_qkv_bwd, {2, 3, 5, 4, 7, 3, 0}},
                                       {OP_attention_fwd, {2, 5, 3, 4, 6, 7, 11}},
                                       {OP_attention_fwd, {2, 5, 3, 4, 6, 3, 11}},
                                       {OP_attention_bwd, {2, 5, 3, 4, 6, 7, 11}},
                                       {OP_attention_bwd, {2, 5, 3, 4, 6, 3, 11}},
                                       {OP_gated_add_fwd, {2, 3, 4, 24}},
                                       {OP_gated_add_bwd, {2, 3, 4, 24}},
                                       {OP_swiglu_fwd, {2, 3}},
                                       {OP_swiglu_bwd, {2, 3}},
                                       {OP_silu_fwd, {5}},
                                       {OP_silu_bwd, {5}},
                                       {OP_timestep_fwd, {2, 4}},
                                       {OP_embed_fwd, {2, 3, 4}},
                                       {OP_embed_bwd, {2, 3, 4}},
                                       {OP_patchify, {2, 3, 4, 5}},
                                       {OP_unpatchify, {2, 3, 4, 5}},
                                       {OP_noise, {2, 8}},
                                       {OP_flow_mix, {2, 3}},
                                       {OP_flow_loss, {2, 3}},
                                       {OP_guide, {2, 3}},
                                       {OP_axpy, {5}},
                                       {OP_sum_squares, {5}},
                                       {OP_sum_losses, {5}},
                                       {OP_judge, {0}},
                                       {OP_adamw, {5, 0}},
                                       {OP_adamw, {5, 1}},
                                       {OP_ema, {5}},
                                       {OP_nesterov, {5}},
                                       {OP_normalize, {5}},
                                       {OP_polynomial, {3}},
                                       {OP_decay_step, {5}}};
enum { N_CALLS = sizeof every_call / sizeof *every_call };

/* Exactly as much memory as the operands say, on any table. */
static void make_call(kernels_t *k, const op_call_t *call) {
    op_operand_t operand[OP_MAX_OPERANDS];
    void *p[OP_MAX_OPERANDS] = {0};
    int n = op_operands(operand, call);
    for (int i = 0; i < n; i++) {
        size_t bytes = op_type_bytes(operand[i].type, k->act_bytes) * (size_t)operand[i].room;
        if (operand[i].n == 0) continue;
        assert_int_equal(k->alloc(k, &p[i], bytes, op_name(call->row)), LENS_OK);
        if (operand[i].type != OP_KEYS) continue;
        int32_t keys[2] = {(int32_t)(call->n[6] / 2), (int32_t)(call->n[6] - call->n[6] / 2)};
        k->upload(k, p[i], keys, sizeof keys);
    }
    op_make(k, call, p);
    assert_int_equal(k->finish(k), LENS_OK);
    for (int i = 0; i < n; i++) k->free(k, p[i]);
}

static void test_calls_made_again(void **state) {
    (void)state;
    kernels_t *k = counting_new(4), *cpu;
    bool seen[OP_N] = {0};
    int n;
    assert_int_equal(kernels_cpu_new(&cpu, 1, 1), LENS_OK);
    for (int i = 0; i < N_CALLS; i++) {
        counting_reset(k);
        make_call(k, &every_call[i]);
        const counted_t *calls = counting_calls(k, &n);
        const counted_t *got = &calls[n - 1];
        if (got->call.row != every_call[i].row || got->times != 1 ||
            memcmp(got->call.n, every_call[i].n, sizeof got->call.n) != 0)
            fail_msg("call %d, of %s, came out as another", i, op_name(every_call[i].row));
        make_call(cpu, &every_call[i]); /* operands are as large as the row thinks: the sanitizers look */
        seen[every_call[i].row] = true;
    }
    for (int i = 0; i < OP_N; i++) assert_true(seen[i] || op_is_on_host((op_row)i));
    kernels_free(cpu);
    kernels_free(k);
}

/* ---- a pass of a model ---- */

static void test_same_flop_as_cpu(void **state) {
    (void)state;
    mmdit_limits_t limits = {.shapes = &largest, .n_shapes = 1, .backward = true};
    model_t *f = model_with(&tiny, &limits);
    kernels_t *k = counting_new(4);
    mmdit_t *m;
    act_t *v, *dtext[2] = {f->dtext[0], f->dtext[1]};
    assert_int_equal(mmdit_new(&m, k, &tiny, &limits), LENS_OK);
    f->text_len[0] = 1; /* of 3, and of 3: whose mean is whole, as the CPU's record takes it */
    f->k->trace_begin(f->k);
    backward(f);
    f->k->trace_end(f->k);
    k->trace_begin(k);
    assert_int_equal(mmdit_forward(m, &f->weights, &f->in, NULL, &v), LENS_OK);
    mmdit_backward(m, &f->weights, &f->grads, &f->in, f->dv, dtext, NULL);
    k->trace_end(k);
    assert_int_equal(k->finish(k), LENS_OK);
    assert_true(k->trace_flop(k) > 0);
    assert_true(k->trace_flop(k) == f->k->trace_flop(f->k));
    mmdit_free(m);
    kernels_free(k);
    model_free(f);
}

/* ---- a step ---- */

typedef struct {
    train_config_t c;
    comm_t *comm;
    step_count_t counted;
    step_count_options_t o;
    pipeline_config_t pipeline;
} step_t;

static void step_open(step_t *s, const char *path, int n, char **overrides, int64_t text_tok) {
    *s = (step_t){.o = {.act_bytes = 2, .world = 1, .text_tok = text_tok}};
    if (train_config_load(&s->c, path, n, overrides) != LENS_OK) fail_msg("%s", lens_error());
    assert_int_equal(comm_init(&s->comm), LENS_OK);
    if (step_count_make(&s->counted, &s->c, s->comm, &s->o) != LENS_OK) fail_msg("%s", lens_error());
    assert_int_equal(train_config_pipeline(&s->pipeline, &s->c), LENS_OK);
}

static void step_close(step_t *s) {
    step_count_free(&s->counted);
    comm_free(s->comm);
    train_config_free(&s->c);
}

static double flop_of(const step_t *s, op_row row) {
    int n;
    const counted_t *calls = counting_calls(s->counted.k, &n);
    double flop = 0;
    for (int i = 0; i < n; i++)
        if (calls[i].call.row == row) flop += (double)calls[i].times * op_cost(&calls[i].call, 2).flop;
    return flop;
}

/* The released model: forward is what the formula says; backward once more for the weights, and for the inputs but
 * where nothing below is trained; and attention's scores are made again. */
static void test_released_model(void **state) {
    (void)state;
    enum { B = 24, N = 1024, T = 160, D = 1536 };
    char *overrides[] = {"train.slots=1", "train.accumulate=1"};
    step_t s;
    step_open(&s, "configs/lens-3.8b-stage1.yaml", 2, overrides, T);
    mmdit_flop_t f = mmdit_forward_flop_terms(&s.pipeline.mmdit, N, T);
    double linear = B * (f.linear + f.modulation + f.ends);
    double no_input = 2.0 * B * N * 128 * D + 2.0 * B * MMDIT_TIME_EMBED_DIM * D; /* img_in, time1 */
    assert_true(flop_of(&s, OP_linear_fwd) == linear);
    assert_true(flop_of(&s, OP_linear_bwd_w_first) == linear && flop_of(&s, OP_linear_bwd_w) == 0);
    assert_true(flop_of(&s, OP_linear_bwd_x) + flop_of(&s, OP_linear_bwd_x_add) == linear - no_input);
    assert_true(flop_of(&s, OP_attention_fwd) == B * f.attention);
    assert_true(flop_of(&s, OP_attention_bwd) == 2.5 * B * f.attention);
    assert_true(fabs(s.counted.model_flop - 3 * (linear + B * f.attention)) <= 1e-12 * s.counted.model_flop);
    assert_true(s.counted.n_images == B && s.counted.sent_bytes == 0);
    step_close(&s);
}

/* What is allocated is what the plan of memory says, but for a few numbers a sample. */
static void test_memory(void **state) {
    (void)state;
    char *overrides[] = {"train.slots=1", "train.accumulate=1"};
    step_t s;
    memory_plan_t plan;
    memory_machine_t machine = memory_machine_gpu(1, 2);
    step_open(&s, "configs/lens-3.8b-stage1.yaml", 2, overrides, 160);
    assert_int_equal(memory_plan_make(&plan, &s.c, &machine), LENS_OK);
    assert_in_range(s.counted.device_bytes, plan.device_bytes, plan.device_bytes + 1024);
    step_close(&s);
}

/* Of the gradients, in float, a rank of 8 sends 7/8 once (and of the weights), or twice. */
static void test_bytes_sent(void **state) {
    (void)state;
    double n[2];
    for (int zero = 0; zero < 2; zero++) {
        char text[32];
        snprintf(text, sizeof text, "train.zero=%d", zero);
        char *overrides[] = {"data.dataset=none", "run.dir=none", "train.slots=8", text};
        step_t s;
        step_open(&s, "configs/nano.yaml", 4, overrides, 4);
        step_count_free(&s.counted);
        s.o.world = 8;
        assert_int_equal(step_count_make(&s.counted, &s.c, s.comm, &s.o), LENS_OK);
        n[zero] = s.counted.sent_bytes;
        step_close(&s);
    }
    double floats = n[0] / (2 * 4 * 7.0 / 8);
    assert_true(fabs(n[1] - (floats * (4 + 2) * 7 / 8 + 2 * 8 * 7.0 / 8)) <= 0.001 * n[1]);
}

static void test_bad_arguments(void **state) {
    (void)state;
    char *overrides[] = {"data.dataset=none", "run.dir=none"};
    step_t s;
    step_open(&s, "configs/nano.yaml", 2, overrides, 4);
    step_count_t other;
    step_count_options_t bucket = {4, 1, 1, 4}, text = {4, 1, 0, 25}, ranks = {4, 2, 0, 4};
    assert_int_equal(step_count_make(&other, &s.c, s.comm, &bucket), LENS_ARGUMENT);
    assert_int_equal(step_count_make(&other, &s.c, s.comm, &text), LENS_ARGUMENT);
    s.c.train.slots = 3;
    assert_int_equal(step_count_make(&other, &s.c, s.comm, &ranks), LENS_ARGUMENT);
    kernels_t *k = counting_new(4);
    attention_shape_t unknown = {.B = 1, .H = 1, .N = 1, .K = 1, .n_queries = 1, .n_keys = (const int32_t *)&unknown};
    k->attention_fwd(k, NULL, NULL, NULL, NULL, NULL, NULL, &unknown);
    assert_int_equal(k->finish(k), LENS_STATE);
    assert_int_equal(k->finish(k), LENS_OK);
    kernels_free(k);
    step_close(&s);
}

/* ---- time ---- */

static void test_time(void **state) {
    (void)state;
    const gpu_t *h200 = gpu_find("h200");
    op_efficiency_t e = {.products = 0.75, .attention_fwd = 0.65, .attention_bwd = 0.5, .copies = 0.85};
    op_call_t copy = {OP_copy, {1 << 30}}, whole = {OP_linear_fwd, {128 * 132, 256 * 8, 4096}},
              more = {OP_linear_fwd, {128 * 132 + 1, 256 * 8, 4096}}, thin = {OP_linear_fwd, {24, 9216, 1536}};
    double copy_s = op_time_s(&copy, 2, h200, &e), whole_s = op_time_s(&whole, 2, h200, &e);
    assert_true(fabs(copy_s / (2.0 * (1 << 30) / (4.8e12 * 0.85)) - 1) < 1e-12);
    assert_true(fabs(whole_s / (op_cost(&whole, 2).flop / (989.5e12 * 0.75)) - 1) < 1e-12); /* waves that are full */
    assert_true(op_time_s(&more, 2, h200, &e) > 1.03 * whole_s);                            /* and one that is not */
    assert_true(op_time_s(&thin, 2, h200, &e) >= op_cost(&thin, 2).least_bytes / (4.8e12 * 0.85));
    op_call_t wide = {OP_attention_fwd, {8, 12, 1024, 0, 128, 1024, 8192}},
              narrow = {OP_attention_fwd, {8, 24, 1024, 0, 64, 1024, 8192}};
    double wide_s = op_time_s(&wide, 2, h200, &e), narrow_s = op_time_s(&narrow, 2, h200, &e);
    assert_true(fabs(wide_s / (op_cost(&wide, 2).flop / (989.5e12 * 0.65)) - 1) < 1e-12);
    assert_true(narrow_s > 1.25 * wide_s && narrow_s < 1.35 * wide_s); /* 0.65 and 0.50 of the peak */
    e.launch_us = 3;
    assert_true(fabs(op_time_s(&copy, 2, h200, &e) - copy_s - 3e-6) < 1e-12);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_row_is_missing),
                                       cmocka_unit_test(test_costs_by_hand),
                                       cmocka_unit_test(test_calls_made_again),
                                       cmocka_unit_test(test_same_flop_as_cpu),
                                       cmocka_unit_test(test_released_model),
                                       cmocka_unit_test(test_memory),
                                       cmocka_unit_test(test_bytes_sent),
                                       cmocka_unit_test(test_bad_arguments),
                                       cmocka_unit_test(test_time)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
