/* Activations: kept or made again, laid out for one shape after another in one buffer. */
#include "tests/unit/mmdit_model.h"

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
        if (!(got >= want && got <= want + 3 * 30 * PLAN_ALIGN_BYTES))
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
    const plan_row_t *rows = mmdit_activations(f->m)->rows;
    int cap = mmdit_activations(f->m)->cap;
    for (int i = 0; i < 4; i++) {
        set_size(f, shapes[i].B, 1, shapes[i].N, shapes[i].T);
        set_size(want, shapes[i].B, 1, shapes[i].N, shapes[i].T);
        expect_same_results(f, want);
    }
    assert_ptr_equal(mmdit_activations(f->m)->rows, rows); /* laid out in place */
    assert_int_equal(mmdit_activations(f->m)->cap, cap);
    set_size(f, 3, 2, 3, 4); /* each number is in one of the shapes, all together in none */
    assert_int_equal(mmdit_forward(f->m, &f->weights, &f->in, NULL, &v), LENS_STATE);
    model_free(f);
    model_free(want);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recomputation_changes_no_bit),    cmocka_unit_test(shapes_leave_no_trace),
        cmocka_unit_test(forward_alone_has_the_same_bits), cmocka_unit_test(bytes_of_a_token),
        cmocka_unit_test(the_largest_shape_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
