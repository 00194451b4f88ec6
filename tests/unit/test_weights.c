/* Weights on disk: single files, files under an index, 16-bit types, pipelines without our embedding; every name and
 * shape that does not fit is counted; indexes that lie are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/safetensors_set.h"
#include "model/weights.h"
#include "tests/unit/saved_weights.h"
#include "tests/unit/small_pipeline.h"

static const pipeline_config_t small = SMALL_PIPELINE(3, .sampling_mu_auto = true);

typedef struct {
    char dir[32], transformer[64];
    pipeline_tensors_t tensors;
    int64_t n;
    float *weights, *got;
} fixture_t;

static int set_up(void **state) {
    fixture_t *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/lens-weights-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->transformer, sizeof f->transformer, "%s/transformer", f->dir);
    assert_int_equal(pipeline_tensors_init(&f->tensors, &small, 0), LENS_OK);
    f->n = plan_n_floats(&f->tensors.plan);
    f->weights = calloc((size_t)f->n, sizeof *f->weights);
    f->got = calloc((size_t)f->n, sizeof *f->got);
    for (int64_t i = 0; i < f->n; i++) f->weights[i] = (float)(i % 251) / 128; /* exact in all types */
    assert_int_equal(pipeline_save_config(f->dir, &small), LENS_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture_t *f = *state;
    assert_int_equal(dir_remove(f->dir), LENS_OK);
    pipeline_tensors_free(&f->tensors);
    free(f->weights);
    free(f->got);
    free(f);
    return 0;
}

static void expect_error(lens_status got, lens_status want, const char *named) {
    assert_int_equal(got, want);
    if (!strstr(lens_error(), named)) fail_msg("expected %s to be named: %s", named, lens_error());
}

static void expect_same(const fixture_t *f) {
    for (int i = 0; i < f->tensors.plan.n; i++) {
        const plan_row_t *row = &f->tensors.plan.rows[i];
        size_t at = row->offset_bytes / sizeof(float);
        assert_memory_equal(f->got + at, f->weights + at, sizeof(float) * (size_t)row->n);
    }
}

/* ---- sets ---- */

static void a_cut_keeps_blocks_whole(void **state) {
    fixture_t *f = *state;
    safetensors_set_t *set;
    save_part(f->dir, &f->tensors.plan, f->weights, PIPELINE_TRANSFORMER, 9000);
    save_part(f->dir, &f->tensors.plan, f->weights, PIPELINE_TEXT, 9000);
    assert_int_equal(safetensors_set_open(&set, f->transformer), LENS_OK);
    assert_true(safetensors_set_n_files(set) > 2);
    for (int block = 0; block < 3; block++) {
        char prefix[32];
        int files = 0;
        snprintf(prefix, sizeof prefix, "transformer_blocks.%d.", block);
        for (int i = 0; i < safetensors_set_n_files(set); i++) {
            safetensors_t *file;
            bool has = false;
            assert_int_equal(safetensors_open(&file, safetensors_set_file(set, i)), LENS_OK);
            for (int j = 0; j < safetensors_n(file); j++) has |= str_starts_with(safetensors_at(file, j)->name, prefix);
            files += has;
            safetensors_close(file);
        }
        assert_int_equal(files, 1);
    }
    safetensors_set_close(set);
    assert_int_equal(weights_load(f->got, &f->tensors.plan, f->dir), LENS_OK);
    expect_same(f);
}

static void indexes_that_lie_are_refused(void **state) {
    fixture_t *f = *state;
    static const struct {
        const char *text, *named;
    } cases[] = {
        {"{\"weight_map\": {\"a\": \"../model.safetensors\"}}", "no .safetensors file beside the index"},
        {"{\"weight_map\": {\"a\": \"/etc/passwd\"}}", "no .safetensors file beside the index"},
        {"{\"weight_map\": {\"a\": \"gone.safetensors\"}}", "gone.safetensors: cannot open"},
        {"{\"weight_map\": {\"a\": 3}}", "value of 'a' is no string"},
        {"{\"weight_map\": {}}", "weight_map is missing"},
        {"{\"weight_map\": [1]}", "weight_map is missing"},
        {"{}", "weight_map is missing"},
        {"[", "index.json:1:"},
        {"{\"weight_map\": {\"a\": \"one.safetensors\", \"b\": \"one.safetensors\"}}", "tensor 'b' is not in one"},
        {"{\"weight_map\": {\"b\": \"one.safetensors\"}}", "tensor 'a' is in one.safetensors, by the index in no file"},
        {"{\"weight_map\": {\"a\": \"one.safetensors\", \"b\": \"two.safetensors\"}}", "tensor 'a' is in two"},
    };
    char path[128];
    float x = 1;
    st_entry_t a[] = {{"a", ST_F32, 1, {1}, &x}}, both[] = {{"a", ST_F32, 1, {1}, &x}, {"b", ST_F32, 1, {1}, &x}};
    snprintf(path, sizeof path, "%s/one.safetensors", f->transformer);
    assert_int_equal(safetensors_write(path, a, 1, NULL, 0), LENS_OK);
    snprintf(path, sizeof path, "%s/two.safetensors", f->transformer);
    assert_int_equal(safetensors_write(path, both, 2, NULL, 0), LENS_OK);
    safetensors_set_t *set;
    expect_error(safetensors_set_open(&set, f->transformer), LENS_FORMAT, "several safetensors files");
    snprintf(path, sizeof path, "%s/m.safetensors.index.json", f->transformer);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(file_write(path, cases[i].text, strlen(cases[i].text)), LENS_OK);
        lens_status st = safetensors_set_open(&set, f->transformer);
        assert_true(st == LENS_FORMAT || st == LENS_IO);
        assert_null(set);
        if (!strstr(lens_error(), cases[i].named)) fail_msg("%s: %s", cases[i].text, lens_error());
    }
}

/* ---- against a plan ---- */

/* The transformer in one file of a type; `from` rows are left out, the last is transposed where asked for. */
static void save_typed(const fixture_t *f, const char *path, st_dtype dtype) {
    const plan_t *plan = &f->tensors.plan;
    int *row = calloc((size_t)plan->n, sizeof *row), n = pipeline_part_rows(row, plan, PIPELINE_TRANSFORMER);
    st_entry_t *entries = calloc((size_t)n, sizeof *entries);
    void **bytes = calloc((size_t)n, sizeof *bytes);
    for (int i = 0; i < n; i++) {
        const plan_row_t *r = &plan->rows[row[i]];
        entries[i] = pipeline_entry(r, NULL);
        entries[i].dtype = dtype;
        entries[i].bytes = bytes[i] = malloc((size_t)st_entry_bytes(&entries[i]));
        assert_int_equal(st_from_f32(dtype, bytes[i], f->weights + r->offset_bytes / sizeof(float), r->n), LENS_OK);
    }
    assert_int_equal(safetensors_write(path, entries, n, NULL, 0), LENS_OK);
    for (int i = 0; i < n; i++) free(bytes[i]);
    free(bytes);
    free(entries);
    free(row);
}

/* A released transformer: a single file of 16 bits, no embedding beside it. */
static void transformers_alone_are_read(void **state) {
    fixture_t *f = *state;
    static const st_dtype types[] = {ST_F32, ST_F16, ST_BF16};
    char path[64];
    snprintf(path, sizeof path, "%s/alone.safetensors", f->dir);
    for (size_t k = 0; k < 3; k++) {
        weights_t *w;
        save_typed(f, path, types[k]);
        assert_int_equal(weights_open(&w, &f->tensors.plan, path), LENS_OK);
        for (int i = 0; i < f->tensors.plan.n; i++) {
            const plan_row_t *row = &f->tensors.plan.rows[i];
            const float *want = f->weights + row->offset_bytes / sizeof(float);
            bool text = pipeline_part_of(row->name) == PIPELINE_TEXT;
            assert_int_equal(weights_has(w, i), !text);
            if (text) continue;
            int64_t first = row->n / 3; /* a range of it */
            assert_int_equal(weights_read(w, i, first, row->n - first, f->got), LENS_OK);
            assert_memory_equal(f->got, want + first, sizeof(float) * (size_t)(row->n - first));
        }
        weights_close(w);
    }
    expect_error(weights_load(f->got, &f->tensors.plan, path), LENS_FORMAT, "embedding.weight is missing");
}

static void other_encoders_are_left_alone(void **state) {
    fixture_t *f = *state;
    char path[96];
    weights_t *w;
    snprintf(path, sizeof path, "%s/diffusion_pytorch_model.safetensors", f->transformer);
    save_typed(f, path, ST_BF16);
    snprintf(path, sizeof path, "%s/text_encoder/config.json", f->dir);
    assert_int_equal(file_write(path, "{\"architectures\": [\"Qwen3Model\"]}", 33), LENS_OK);
    assert_int_equal(weights_open(&w, &f->tensors.plan, f->dir), LENS_OK);
    assert_false(weights_has(w, 0));
    weights_close(w);
}

static void all_faults_are_counted(void **state) {
    fixture_t *f = *state;
    pipeline_config_t other = small;
    other.mmdit.num_layers = 2;
    other.mmdit.in_channels = 12;
    other.text.dim = other.mmdit.enc_hidden_dim = 9;
    pipeline_tensors_t tensors;
    weights_t *w;
    save_pipeline(f->dir, &small, &f->tensors.plan, f->weights);
    assert_int_equal(pipeline_tensors_init(&tensors, &other, 0), LENS_OK);
    expect_error(weights_open(&w, &tensors.plan, f->dir), LENS_FORMAT,
                 "not the tensors of this model: 3 misshapen (embedding.weight: expected [300, 9], found [300, 8], "
                 "txt_norm.0.weight: expected [9], found [8], txt_in.weight: expected [6, 9], found [6, 8]); 26 extra "
                 "(transformer_blocks.2.img_mod.1.weight, transformer_blocks.2.img_mod.1.bias, "
                 "transformer_blocks.2.img_norm1.weight, transformer_blocks.2.img_norm2.weight, ...)");
    pipeline_tensors_free(&tensors);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_cut_keeps_blocks_whole),      TEST(indexes_that_lie_are_refused), TEST(transformers_alone_are_read),
        TEST(other_encoders_are_left_alone), TEST(all_faults_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
