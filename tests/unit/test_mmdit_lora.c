/* Adapters and frozen weights: gradients by central differences, what is frozen, names, targets. */
#include <stdio.h>

#include "tests/unit/mmdit_model.h"

#define EVERY_LINEAR                                                                                                   \
    "img_mod.1,txt_mod.1,img_qkv,txt_qkv,to_out.0,to_add_out,w1,w2,w3,img_in,txt_in,linear_1,linear_2,"                \
    "norm_out.linear,proj_out"

/* A model with adapters; the base's gradients are wanted or not. */
typedef struct {
    model_t *f;
    plan_t plan, grad_plan;
    float *p, *g;
} lora_t;

static lora_t lora_of(const char *targets, mmdit_checkpointing checkpointing, bool frozen) {
    mmdit_limits_t limits = {
        .shapes = &largest, .n_shapes = 1, .backward = true, .checkpointing = checkpointing, .lora_rank = 3};
    mmdit_lora_t l = {.rank = 3, .alpha = 4.5, .targets = targets};
    lora_t r = {.f = model_with(&tiny, &limits)};
    if (frozen) mmdit_tensors_free(&r.f->grads);
    assert_int_equal(mmdit_plan_lora(&r.plan, &r.f->weights, &tiny, &l), LENS_OK);
    assert_int_equal(mmdit_plan_lora(&r.grad_plan, &r.f->grads, &tiny, &l), LENS_OK);
    r.p = calloc((size_t)plan_n_floats(&r.plan), sizeof(float));
    r.g = calloc((size_t)plan_n_floats(&r.plan), sizeof(float));
    plan_bind(&r.plan, r.p);
    plan_bind(&r.grad_plan, r.g);
    for (int i = 0; i < r.plan.n; i++)
        plan_init_row(&r.plan.rows[i], r.p + r.plan.rows[i].offset_bytes / sizeof(float), 7);
    return r;
}

/* A new adapter changes nothing, since lora_B begins with zeros; here it does. */
static void fill_adapters(lora_t *r) {
    rng_t rng = rng_stream(5, 0, 0, RNG_TEST);
    for (int i = 0; i < r->plan.n; i++) {
        const plan_row_t *row = &r->plan.rows[i];
        for (int64_t j = 0; j < row->n; j++)
            r->p[row->offset_bytes / sizeof(float) + (size_t)j] = (float)(0.1 * rng_normal(&rng));
    }
}

static void lora_free(lora_t *r) {
    plan_free(&r->plan);
    plan_free(&r->grad_plan);
    free(r->p);
    free(r->g);
    model_free(r->f);
}

/* ---- gradients ---- */

static void gradients_of_adapters(void **state) {
    (void)state;
    for (int mode = 0; mode < MMDIT_N_CHECKPOINTING; mode++) {
        lora_t r = lora_of(EVERY_LINEAR, (mmdit_checkpointing)mode, true);
        assert_int_equal(r.plan.n, 2 * (2 * 2 * 6 + 6));
        fill_adapters(&r);
        r.f->text_len[0] = 1;
        backward(r.f);
        for (int i = 0; i < r.plan.n; i++) {
            const plan_row_t *row = &r.plan.rows[i];
            size_t at = row->offset_bytes / sizeof(float);
            check_gradient(r.f, row->name, r.p + at, r.g + at, row->n);
        }
        lora_free(&r);
    }
}

static void gradients_of_the_base_with_adapters(void **state) {
    (void)state;
    lora_t r = lora_of("w3,to_out.0", MMDIT_RECOMPUTE_CHEAP, false);
    fill_adapters(&r);
    backward(r.f);
    for (int i = 0; i < r.f->weight_plan.n; i++) {
        const plan_row_t *row = &r.f->weight_plan.rows[i];
        size_t at = row->offset_bytes / sizeof(float);
        check_gradient(r.f, row->name, r.f->p + at, r.f->g + at, row->n);
    }
    lora_free(&r);
}

/* Freezing the base changes no bit of the adapters' gradients, and writes none of its own. */
static void frozen_weights_get_nothing(void **state) {
    (void)state;
    lora_t frozen = lora_of(EVERY_LINEAR, MMDIT_KEEP_ALL, true), trained = lora_of(EVERY_LINEAR, MMDIT_KEEP_ALL, false);
    fill_adapters(&frozen);
    fill_adapters(&trained);
    backward(frozen.f);
    backward(trained.f);
    size_t bytes = sizeof(float) * (size_t)plan_n_floats(&frozen.plan);
    assert_memory_equal(frozen.g, trained.g, bytes);
    assert_memory_equal(frozen.f->dtext, trained.f->dtext, sizeof frozen.f->dtext);
    for (int64_t i = 0; i < plan_n_floats(&frozen.f->grad_plan); i++) assert_true(frozen.f->g[i] == 0);
    lora_free(&frozen);
    lora_free(&trained);
}

static void recomputation_changes_no_bit(void **state) {
    (void)state;
    lora_t kept = lora_of(EVERY_LINEAR, MMDIT_KEEP_ALL, true);
    fill_adapters(&kept);
    backward(kept.f);
    for (int mode = MMDIT_KEEP_ALL + 1; mode < MMDIT_N_CHECKPOINTING; mode++) {
        lora_t again = lora_of(EVERY_LINEAR, (mmdit_checkpointing)mode, true);
        fill_adapters(&again);
        backward(again.f);
        assert_memory_equal(kept.g, again.g, sizeof(float) * (size_t)plan_n_floats(&kept.plan));
        lora_free(&again);
    }
    lora_free(&kept);
}

static void new_adapters_change_nothing(void **state) {
    (void)state;
    lora_t r = lora_of(EVERY_LINEAR, MMDIT_KEEP_ALL, true);
    model_t *base = model_of(&tiny, false);
    assert_memory_equal(forward(r.f), forward(base), sizeof(float) * (size_t)out_floats(base));
    fill_adapters(&r);
    assert_true(memcmp(forward(r.f), forward(base), sizeof(float) * (size_t)out_floats(base)) != 0);
    model_free(base);
    lora_free(&r);
}

/* w + alpha / r * b a in the place of w gives the same output: what merging adapters into weights means. */
static void adapters_equal_merged_weights(void **state) {
    (void)state;
    lora_t r = lora_of("w1,w3,img_qkv,proj_out", MMDIT_KEEP_ALL, true);
    model_t *merged = model_of(&tiny, false);
    fill_adapters(&r);
    for (int i = 0; i < r.plan.n; i += 2) {
        const plan_row_t *a = &r.plan.rows[i], *b = a + 1;
        char name[PLAN_NAME_MAX];
        snprintf(name, sizeof name, "%.*s.weight", (int)(strstr(a->name, ".lora_A") - a->name), a->name);
        const plan_row_t *w = plan_find(&merged->weight_plan, name);
        assert_non_null(w);
        const float *pa = r.p + a->offset_bytes / sizeof(float), *pb = r.p + b->offset_bytes / sizeof(float);
        for (int64_t o = 0; o < w->shape[0]; o++)
            for (int64_t j = 0; j < w->shape[1]; j++)
                for (int64_t k = 0; k < 3; k++)
                    merged->p[(int64_t)(w->offset_bytes / sizeof(float)) + o * w->shape[1] + j] +=
                        1.5f * pb[o * 3 + k] * pa[k * w->shape[1] + j];
    }
    const float *got = forward(r.f), *want = forward(merged);
    double worst = 0;
    for (int64_t i = 0; i < out_floats(merged); i++) worst = fmax(worst, fabs((double)(got[i] - want[i])));
    if (getenv("CHECK_PRINT")) print_message("merged: %g\n", worst);
    assert_true(worst <= 1.1e-6);
    model_free(merged);
    lora_free(&r);
}

/* ---- parts ---- */

typedef struct {
    char seen[128]; /* "b3 e3 " */
} trace_t;

static void note(trace_t *t, char what, int64_t part) {
    size_t n = strlen(t->seen);
    snprintf(t->seen + n, sizeof t->seen - n, "%c%lld ", what, (long long)part);
}
static void note_begin(void *arg, int64_t part) {
    note(arg, 'b', part);
}
static void note_end(void *arg, int64_t part) {
    note(arg, 'e', part);
}

/* Every part is begun and ended, whatever of it is frozen; products are made down to the last that is not. */
static void backward_stops_below_the_last_adapter(void **state) {
    (void)state;
    lora_t all = lora_of("img_in,proj_out", MMDIT_KEEP_ALL, true), last = lora_of("proj_out", MMDIT_KEEP_ALL, true);
    double flop[2];
    for (int i = 0; i < 2; i++) {
        model_t *f = i ? last.f : all.f;
        trace_t trace = {0};
        mmdit_watch_t watch = {note_begin, note_end, &trace};
        forward(f);
        f->k->trace_begin(f->k);
        mmdit_backward(f->m, &f->weights, &f->grads, &f->in, f->dv, NULL, &watch);
        f->k->trace_end(f->k);
        flop[i] = f->k->trace_flop(f->k);
        assert_string_equal(trace.seen, "b3 e3 b2 e2 b1 e1 b0 e0 ");
    }
    assert_true(flop[1] < 0.1 * flop[0]);
    lora_free(&all);
    lora_free(&last);
}

/* ---- names ---- */

static void rows_have_the_names_of_peft(void **state) {
    (void)state;
    lora_t r = lora_of("txt_qkv,img_mlp.w3,linear_2", MMDIT_KEEP_ALL, true);
    static const struct {
        const char *name;
        int64_t n_out, n_in, group;
    } want[] = {{"time_text_embed.timestep_embedder.linear_2.lora_A.weight", 3, 12, 0},
                {"time_text_embed.timestep_embedder.linear_2.lora_B.weight", 12, 3, 0},
                {"transformer_blocks.0.img_mlp.w3.lora_A.weight", 3, 12, 1},
                {"transformer_blocks.0.img_mlp.w3.lora_B.weight", 32, 3, 1},
                {"transformer_blocks.0.attn.txt_qkv.lora_A.weight", 3, 12, 1},
                {"transformer_blocks.0.attn.txt_qkv.lora_B.weight", 36, 3, 1},
                {"transformer_blocks.1.img_mlp.w3.lora_A.weight", 3, 12, 2},
                {"transformer_blocks.1.img_mlp.w3.lora_B.weight", 32, 3, 2},
                {"transformer_blocks.1.attn.txt_qkv.lora_A.weight", 3, 12, 2},
                {"transformer_blocks.1.attn.txt_qkv.lora_B.weight", 36, 3, 2}};
    assert_int_equal(r.plan.n, sizeof want / sizeof want[0]);
    for (int i = 0; i < r.plan.n; i++) {
        const plan_row_t *row = &r.plan.rows[i];
        assert_string_equal(row->name, want[i].name);
        assert_int_equal(row->shape[0], want[i].n_out);
        assert_int_equal(row->shape[1], want[i].n_in);
        assert_int_equal(row->group, want[i].group);
        if (i % 2)
            assert_true(row->init_std == 0);
        else
            assert_float_equal(row->init_std, 1 / sqrt(36.0), 1e-6);
    }
    lora_free(&r);
}

static void bad_adapters_are_refused(void **state) {
    (void)state;
    static const struct {
        mmdit_lora_t lora;
        const char *named;
    } cases[] = {{{4, 4, "img_qkv,w4"}, "\"w4\" names no linear, expected some of img_in, txt_in"},
                 {{4, 4, ""}, "\"\" names no linear"},
                 {{4, 4, "w1,"}, "\"\" names no linear"},
                 {{4, 4, "qkv"}, "\"qkv\""}, /* not a whole part of a name */
                 {{4, 4, "norm_q"}, "\"norm_q\""},
                 {{0, 4, "w1"}, "lora.rank: expected 1 to 12, got 0"},
                 {{13, 4, "w1"}, "lora.rank"},
                 {{4, 0, "w1"}, "lora.alpha"},
                 {{4, (double)NAN, "w1"}, "lora.alpha"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        plan_t p = {0};
        mmdit_tensors_t t = {0};
        assert_int_equal(mmdit_plan_lora(&p, &t, &tiny, &cases[i].lora), LENS_ARGUMENT);
        if (!strstr(lens_error(), cases[i].named)) fail_msg("expected %s in: %s", cases[i].named, lens_error());
        plan_free(&p);
        mmdit_tensors_free(&t);
    }
}

/* Adapters that were not planned for are an error, no adapters are none. */
static void rank_is_planned(void **state) {
    (void)state;
    lora_t r = lora_of("w2", MMDIT_KEEP_ALL, true);
    act_t *v;
    r.f->weights.lora_rank = 4;
    assert_int_equal(mmdit_forward(r.f->m, &r.f->weights, &r.f->in, NULL, &v), LENS_STATE);
    r.f->weights.lora_rank = 3;
    assert_int_equal(mmdit_forward(r.f->m, &r.f->weights, &r.f->in, NULL, &v), LENS_OK);
    model_t *base = model_of(&tiny, false);
    assert_int_equal(mmdit_forward(r.f->m, &base->weights, &base->in, NULL, &v), LENS_OK);
    assert_int_equal(mmdit_forward(base->m, &r.f->weights, &base->in, NULL, &v), LENS_STATE);
    model_free(base);
    lora_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_adapters),
        cmocka_unit_test(gradients_of_the_base_with_adapters),
        cmocka_unit_test(frozen_weights_get_nothing),
        cmocka_unit_test(recomputation_changes_no_bit),
        cmocka_unit_test(new_adapters_change_nothing),
        cmocka_unit_test(adapters_equal_merged_weights),
        cmocka_unit_test(backward_stops_below_the_last_adapter),
        cmocka_unit_test(rows_have_the_names_of_peft),
        cmocka_unit_test(bad_adapters_are_refused),
        cmocka_unit_test(rank_is_planned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
