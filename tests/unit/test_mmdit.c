/* The whole model in a tiny configuration: gradients by central differences, samples that do not touch each other,
 * masks that do not leak, limits, configurations, cost. */
#include "tests/unit/mmdit_model.h"

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

/* Whatever fresh gradients hold where products write, they become what zeros and sums give, text or none. */
static void fresh_gradients_need_no_zeros(void **state) {
    (void)state;
    for (int mode = 0; mode < MMDIT_N_CHECKPOINTING; mode++) {
        model_t *f = model_keeping((mmdit_checkpointing)mode);
        int64_t n = plan_n_floats(&f->weight_plan), n_products = 0;
        float *want = malloc(sizeof(float) * (size_t)n);
        for (int i = 0; i < N_CHANGING; i++) {
            set_changing(f, i);
            backward(f);
            memcpy(want, f->g, sizeof(float) * (size_t)n);
            memset(f->g, 0, sizeof(float) * (size_t)n);
            for (int j = 0; j < f->grad_plan.n; j++) {
                const plan_row_t *row = &f->grad_plan.rows[j];
                float *g = f->g + row->offset_bytes / sizeof(float);
                for (int64_t e = 0; e < row->n && row->flags & PLAN_PRODUCT; e++) g[e] = NAN;
                n_products += row->flags & PLAN_PRODUCT ? 1 : 0;
            }
            f->grads.fresh = true;
            forward(f);
            mmdit_backward(f->m, &f->weights, &f->grads, &f->in, f->dv, NULL, NULL);
            f->grads.fresh = false;
            for (int64_t e = 0; e < n; e++) assert_true(f->g[e] == want[e]);
        }
        assert_int_equal(n_products, N_CHANGING * (6 + 2 * 12)); /* of the ends and of two blocks */
        free(want);
        model_free(f);
    }
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
        cmocka_unit_test(gradients_with_padded_text),     cmocka_unit_test(gradients_without_text),
        cmocka_unit_test(gradients_of_one_token),         cmocka_unit_test(gradients_add_up),
        cmocka_unit_test(fresh_gradients_need_no_zeros),  cmocka_unit_test(last_text_changes_nothing),
        cmocka_unit_test(padded_text_leaves_no_trace),    cmocka_unit_test(length_of_padding_does_not_matter),
        cmocka_unit_test(samples_are_independent),        cmocka_unit_test(grids_may_change),
        cmocka_unit_test(flop_are_those_of_the_products), cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(bad_configurations_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
