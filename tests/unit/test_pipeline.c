/* Model folders: what is saved is loaded, what is wrong is named; the size of the released model; pictures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/generator.h"
#include "model/weights.h"
#include "tests/unit/saved_weights.h"
#include "tests/unit/small_pipeline.h"

#define TRANSFORMER "transformer/diffusion_pytorch_model.safetensors"

static const pipeline_config_t small = SMALL_PIPELINE(1, .sampling_mu = 0.3);

typedef struct {
    char dir[32];
    pipeline_config_t config;
    pipeline_tensors_t tensors;
    float *weights;
} fixture_t;

static fixture_t *fixture_of(const pipeline_config_t *c) {
    fixture_t *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->config = *c;
    snprintf(f->dir, sizeof f->dir, "/tmp/lens-pipe-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(pipeline_tensors_init(&f->tensors, c, 0), LENS_OK);
    int64_t n = plan_n_floats(&f->tensors.plan);
    f->weights = calloc((size_t)n, sizeof *f->weights);
    rng_t r = rng_stream(2, 0, 0, RNG_TEST);
    for (int64_t i = 0; i < n; i++) f->weights[i] = (float)(0.3 * rng_normal(&r));
    plan_bind(&f->tensors.plan, f->weights);
    save_pipeline(f->dir, c, &f->tensors.plan, f->weights);
    return f;
}

static int tear_down(void **state) {
    fixture_t *f = *state;
    assert_int_equal(dir_remove(f->dir), LENS_OK);
    pipeline_tensors_free(&f->tensors);
    free(f->weights);
    free(f);
    return 0;
}

static int set_up(void **state) {
    *state = fixture_of(&small);
    return 0;
}

/* ---- folders ---- */

static void saved_is_loaded(void **state) {
    const fixture_t *f = *state;
    pipeline_config_t c;
    assert_int_equal(pipeline_load_config(&c, f->dir), LENS_OK);
    assert_memory_equal(&c.mmdit, &small.mmdit, sizeof c.mmdit);
    assert_memory_equal(&c.text, &small.text, sizeof c.text);
    assert_true(c.height == 8 && c.width == 12 && !c.sampling_mu_auto && c.sampling_mu == 0.3);
    float *weights = calloc((size_t)plan_n_floats(&f->tensors.plan), sizeof *weights);
    assert_int_equal(weights_load(weights, &f->tensors.plan, f->dir), LENS_OK);
    for (int i = 0; i < f->tensors.plan.n; i++) {
        const plan_row_t *row = &f->tensors.plan.rows[i];
        size_t at = row->offset_bytes / sizeof(float);
        assert_memory_equal(weights + at, f->weights + at, sizeof(float) * (size_t)row->n);
    }
    free(weights);
}

static void other_kinds_are_loaded(void **state) {
    fixture_t *f = *state;
    pipeline_config_t c = small, got;
    c.sampling_mu_auto = true;
    c.text.tokens = TEXT_BYTES;
    save_pipeline(f->dir, &c, &f->tensors.plan, f->weights); /* over the old one */
    assert_int_equal(pipeline_load_config(&got, f->dir), LENS_OK);
    assert_true(got.sampling_mu_auto);
    assert_int_equal(got.text.tokens, TEXT_BYTES);
}

/* Replaces the only `from` in a file of the folder. */
static void edit(const fixture_t *f, const char *name, const char *from, const char *to) {
    str_t path = {0}, out = {0};
    char *bytes;
    size_t n, length = strlen(from);
    str_addf(&path, "%s/%s", f->dir, name);
    assert_int_equal(file_read(&bytes, &n, path.s, 1 << 20), LENS_OK);
    const char *at = memmem(bytes, n, from, length);
    if (!at) fail_msg("%s: no %s", name, from);
    size_t before = (size_t)(at - bytes);
    str_add_n(&out, bytes, before);
    str_add(&out, to);
    str_add_n(&out, at + length, n - before - length);
    assert_int_equal(file_write(path.s, out.s, out.len), LENS_OK);
    free(bytes);
    str_free(&path);
    str_free(&out);
}

static void expect_error(lens_status got, lens_status want, const char *named) {
    assert_int_equal(got, want);
    if (!strstr(lens_error(), named)) fail_msg("expected %s to be named: %s", named, lens_error());
}

static lens_status load_weights(const fixture_t *f, const plan_t *plan) {
    float *weights = calloc((size_t)plan_n_floats(plan), sizeof *weights);
    lens_status st = weights_load(weights, plan, f->dir);
    free(weights);
    return st;
}

static void a_missing_tensor_is_named(void **state) {
    fixture_t *f = *state;
    edit(f, TRANSFORMER, "\"img_in.bias\"", "\"img_in.blas\"");
    expect_error(load_weights(f, &f->tensors.plan), LENS_FORMAT, "1 missing (img_in.bias); 1 extra (img_in.blas)");
    edit(f, TRANSFORMER, "\"img_in.blas\"", "\"img_in.bias\"");
    edit(f, "text_encoder/model.safetensors", "embedding.weight", "embedding.wait--");
    expect_error(load_weights(f, &f->tensors.plan), LENS_FORMAT,
                 "1 missing (embedding.weight); 1 extra (embedding.wait--)");
}

static void an_extra_tensor_is_named(void **state) {
    fixture_t *f = *state;
    pipeline_config_t deeper = small;
    deeper.mmdit.num_layers = 2;
    fixture_t *other = fixture_of(&deeper);
    expect_error(load_weights(other, &f->tensors.plan), LENS_FORMAT, "26 extra (transformer_blocks.1.");
    expect_error(load_weights(f, &other->tensors.plan), LENS_FORMAT, "26 missing (transformer_blocks.1.");
    void *done = other;
    tear_down(&done);
}

static void a_misshapen_tensor_is_named(void **state) {
    fixture_t *f = *state;
    pipeline_config_t wider = small;
    wider.text.dim = wider.mmdit.enc_hidden_dim = 9;
    fixture_t *other = fixture_of(&wider);
    expect_error(load_weights(other, &f->tensors.plan), LENS_FORMAT,
                 "3 misshapen (embedding.weight: expected [300, 8], found [300, 9], txt_norm.0.weight: expected [8]");
    void *done = other;
    tear_down(&done);
    edit(f, TRANSFORMER, "[6,12]", "[12,6]"); /* as many elements, but transposed */
    expect_error(load_weights(f, &f->tensors.plan), LENS_FORMAT, "img_in.weight: expected [6, 12], found [12, 6])");
}

static void wrong_values_are_refused(void **state) {
    fixture_t *f = *state;
    static const struct {
        const char *file, *from, *to, *named;
    } cases[] = {
        {"transformer/config.json", "\"num_layers\": 1", "\"num_layers\": 0", "num_layers"},
        {"transformer/config.json", "\"num_layers\": 1", "\"num_layers\": \"1\"", "num_layers"},
        {"transformer/config.json", "\"num_layers\": 1", "\"num_layers\": 1.0", "num_layers"},
        {"transformer/config.json", "\"num_layers\": 1", "\"num_layers\": 99999999999999999999", "transformer"},
        {"transformer/config.json", "\"num_layers\"", "\"number_of_layers\"", "num_layers"},
        {"transformer/config.json", "\"patch_size\": 2", "\"patch_size\": 2, \"patch_size\": 2", "duplicate"},
        {"transformer/config.json", "\"patch_size\": 2", "\"patch_size\": 4", "tokens of 4 x 4 cells"},
        {"transformer/config.json", "\"enc_hidden_dim\": 8", "\"enc_hidden_dim\": 9", "embedding"},
        {"transformer/config.json", "\"attention_head_dim\": 6", "\"attention_head_dim\": 7", "axes_dims_rope"},
        {"transformer/config.json", "\"rope_theta\": 10000.0", "\"rope_theta\": true", "rope_theta"},
        {"text_encoder/config.json", "\"word\"", "\"sentence\"", "tokens"},
        {"text_encoder/config.json", "300", "255", "256"},
        {"text_encoder/config.json", "\"max_tok\": 6", "\"max_tok\": -6", "text"},
        {"model_index.json", "\"height\": 8", "\"height\": 9", "9"},
        {"model_index.json", "\"height\": 8", "\"height\": 8000000000000000000", "8000000000000000000"},
        {"model_index.json", "\"height\": 8", "\"height\": -8", "-8"},
        {"model_index.json", "0.29", "1e300", "sampling_mu"},
        {"model_index.json", "0.29", "\"0.29\"", "sampling_mu"},
        {"model_index.json", "{", "[", "model_index.json"},
        {"model_index.json", "}", "", "model_index.json"},
    };
    pipeline_config_t c = small;
    c.sampling_mu = 0.29;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        save_pipeline(f->dir, &c, &f->tensors.plan, f->weights);
        edit(f, cases[i].file, cases[i].from, cases[i].to);
        pipeline_config_t got;
        expect_error(pipeline_load_config(&got, f->dir), LENS_FORMAT, cases[i].named);
    }
}

static void missing_files_are_named(void **state) {
    fixture_t *f = *state;
    pipeline_config_t got;
    char path[64];
    snprintf(path, sizeof path, "%s/text_encoder", f->dir);
    assert_int_equal(dir_remove(path), LENS_OK);
    expect_error(pipeline_load_config(&got, f->dir), LENS_IO, "text_encoder/config.json");
    expect_error(load_weights(f, &f->tensors.plan), LENS_FORMAT, "tensor text_encoder.embedding.weight is missing");
}

/* ---- the released size, from the plan alone ---- */

static void parameters_of_the_released_model(void **state) {
    (void)state;
    mmdit_config_t c = {.num_layers = 48,
                        .num_heads = 24,
                        .head_dim = 64,
                        .in_channels = 128,
                        .out_channels = 32,
                        .patch_size = 2,
                        .enc_hidden_dim = 2880,
                        .num_text_layers = 4,
                        .axes_dims_rope = {8, 28, 28},
                        .rope_theta = 10000,
                        .eps = 1e-6,
                        .txt_norm_eps = 1e-5};
    plan_t plan = {0};
    mmdit_tensors_t tensors;
    assert_int_equal(mmdit_plan_tensors(&plan, &tensors, &c), LENS_OK);
    assert_true(plan_n_elements(&plan) == INT64_C(4104225152));
    mmdit_tensors_free(&tensors);
    plan_free(&plan);
}

/* ---- pictures ---- */

enum { PICTURE = 8 * 12 * 3 };

static void generate(const fixture_t *f, const generator_options_t *o, const char *const *prompts, int64_t n,
                     uint8_t *pixels) {
    kernels_t *k;
    generator_t *g;
    assert_int_equal(kernels_cpu_new(&k, 1, 1), LENS_OK);
    assert_int_equal(generator_new(&g, k, &f->config, 2, 0), LENS_OK);
    assert_int_equal(generator_run(g, &f->tensors, prompts, n, o, pixels), LENS_OK);
    generator_free(g);
    kernels_free(k);
}

static bool same(const uint8_t *a, const uint8_t *b) {
    return memcmp(a, b, PICTURE) == 0;
}

static void pictures_follow_seed_prompt_and_guidance(void **state) {
    fixture_t *f = *state;
    const char *red[] = {"a red circle"}, *blue[] = {"a blue circle"}, *nothing[] = {""};
    uint8_t first[PICTURE], other[PICTURE];
    generator_options_t o = {.steps = 4, .guidance = 3, .seed = 5}, changed = o;
    generate(f, &o, red, 1, first);
    generate(f, &o, red, 1, other);
    assert_true(same(first, other));
    generate(f, &o, blue, 1, other);
    assert_false(same(first, other));
    changed.seed = 6;
    generate(f, &changed, red, 1, other);
    assert_false(same(first, other));
    changed = o;
    changed.guidance = 1;
    generate(f, &changed, red, 1, other);
    assert_false(same(first, other));
    changed.guidance = 1.000001; /* both passes of every step, and next to nothing of the second */
    generate(f, &changed, red, 1, first);
    for (int i = 0; i < PICTURE; i++) assert_in_range(first[i] - other[i] + 1, 0, 2);
    changed.guidance = 1;
    generate(f, &changed, nothing, 1, first); /* without text there is nothing to guide to */
    generate(f, &o, nothing, 1, other);
    assert_true(same(first, other));
}

/* A picture depends on its own number and prompt, not on its batch; products of other shapes may round otherwise. */
static void pictures_do_not_depend_on_their_batch(void **state) {
    fixture_t *f = *state;
    const char *both[] = {"a red circle", "two green squares on blue"};
    uint8_t together[2 * PICTURE], alone[PICTURE];
    generator_options_t o = {.steps = 5, .guidance = 2, .seed = 5, .first_index = 7};
    generate(f, &o, both, 2, together);
    assert_false(same(together, together + PICTURE));
    for (int i = 0; i < 2; i++) {
        o.first_index = 7 + (uint64_t)i;
        generate(f, &o, &both[i], 1, alone);
        for (int j = 0; j < PICTURE; j++) assert_in_range(alone[j] - together[i * PICTURE + j] + 1, 0, 2);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(saved_is_loaded),
        TEST(other_kinds_are_loaded),
        TEST(a_missing_tensor_is_named),
        TEST(an_extra_tensor_is_named),
        TEST(a_misshapen_tensor_is_named),
        TEST(wrong_values_are_refused),
        TEST(missing_files_are_named),
        cmocka_unit_test(parameters_of_the_released_model),
        TEST(pictures_follow_seed_prompt_and_guidance),
        TEST(pictures_do_not_depend_on_their_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
