/* The golden files pass; a weight, an input or an expected value that is slightly another makes them fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/golden.h"

#define ONE_BLOCK "tests/golden/mmdit-one-block.safetensors"
#define TINY "tests/golden/mmdit-tiny.safetensors"

typedef struct {
    kernels_t *k;
    char dir[32], path[64];
    char *bytes; /* of ONE_BLOCK */
    size_t n;
} fixture_t;

static int set_up(void **state) {
    fixture_t *f = calloc(1, sizeof *f);
    assert_non_null(f);
    snprintf(f->dir, sizeof f->dir, "/tmp/lens-golden-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/changed.safetensors", f->dir);
    assert_int_equal(kernels_cpu_new(&f->k, 1, 1), LENS_OK);
    assert_int_equal(file_read(&f->bytes, &f->n, ONE_BLOCK, 64 << 20), LENS_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture_t *f = *state;
    assert_int_equal(dir_remove(f->dir), LENS_OK);
    kernels_free(f->k);
    free(f->bytes);
    free(f);
    return 0;
}

static void files_pass(void **state) {
    fixture_t *f = *state;
    const char *paths[] = {ONE_BLOCK, TINY};
    for (int run = 0; run < 2 * MMDIT_N_CHECKPOINTING; run++) {
        golden_result_t results[GOLDEN_N_GROUPS];
        int i = run % 2;
        assert_int_equal(golden_run(results, f->k, paths[i], (mmdit_checkpointing)(run / 2)), LENS_OK);
        for (int g = 0; g < GOLDEN_N_GROUPS; g++)
            if (!(results[g].worst <= results[g].tolerance) || results[g].n_tensors == 0)
                fail_msg("%s: %s: %g of %g at %s, %d tensors", paths[i], results[g].name, results[g].worst,
                         results[g].tolerance, results[g].worst_tensor, results[g].n_tensors);
        assert_true(golden_passed(results));
    }
}

static void built_in_files_are_those_of_the_tree(void **state) {
    (void)state;
    const char *paths[GOLDEN_N_BUILTIN] = {ONE_BLOCK, TINY};
    golden_builtin_t files[GOLDEN_N_BUILTIN];
    assert_int_equal(golden_builtin_open(files), LENS_OK);
    for (int i = 0; i < GOLDEN_N_BUILTIN; i++) {
        char *built_in, *tree;
        size_t n, m;
        assert_int_equal(file_read(&built_in, &n, files[i].path, 64 << 20), LENS_OK);
        assert_int_equal(file_read(&tree, &m, paths[i], 64 << 20), LENS_OK);
        assert_int_equal(n, m);
        assert_memory_equal(built_in, tree, n);
        free(built_in);
        free(tree);
    }
    golden_builtin_close(files);
}

/* The floats of a tensor in the fixture's bytes, found by the header's text. */
static float *tensor(const fixture_t *f, const char *name) {
    char key[128];
    uint64_t header;
    unsigned long long begin;
    memcpy(&header, f->bytes, sizeof header);
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(f->bytes + 8, key);
    if (!at) fail_msg("no tensor %s", name);
    const char *offsets = strstr(at, "\"data_offsets\":");
    assert_non_null(offsets);
    assert_int_equal(sscanf(strchr(offsets, '['), "[%llu", &begin), 1);
    return (float *)(f->bytes + 8 + header + begin);
}

static golden_result_t *run_changed(const fixture_t *f, golden_result_t *results) {
    assert_int_equal(file_write(f->path, f->bytes, f->n), LENS_OK);
    assert_int_equal(golden_run(results, f->k, f->path, MMDIT_KEEP_ALL), LENS_OK);
    return results;
}

static void scale_floats(float *x, int n, float by) {
    for (int i = 0; i < n; i++) {
        float value;
        memcpy(&value, x + i, sizeof value); /* tensors need not be aligned */
        value *= by;
        memcpy(x + i, &value, sizeof value);
    }
}

static void a_changed_weight_fails(void **state) {
    fixture_t *f = *state;
    const char *names[] = {"param.proj_out.weight",
                           "param.transformer_blocks.0.img_mlp.w3.weight",
                           "in.x_t",
                           "param.transformer_blocks.0.attn.norm_k.weight",
                           "grad.img_in.bias",
                           "act.out"};
    golden_result_t results[GOLDEN_N_GROUPS];
    assert_true(golden_passed(run_changed(f, results)));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char kept[8 * sizeof(float)];
        float *x = tensor(f, names[i]);
        memcpy(kept, x, sizeof kept);
        scale_floats(x, 8, 1.001f);
        if (golden_passed(run_changed(f, results))) fail_msg("%s: a change of 1e-3 passed", names[i]);
        memcpy(x, kept, sizeof kept);
    }
    assert_true(golden_passed(run_changed(f, results)));
}

static void not_a_number_fails(void **state) {
    fixture_t *f = *state;
    golden_result_t results[GOLDEN_N_GROUPS];
    float kept, nan_value = (float)__builtin_nan("");
    float *x = tensor(f, "param.img_in.weight");
    memcpy(&kept, x, sizeof kept);
    memcpy(x, &nan_value, sizeof kept);
    bool passed = golden_passed(run_changed(f, results));
    memcpy(x, &kept, sizeof kept);
    assert_false(passed);
}

static void other_files_are_errors(void **state) {
    fixture_t *f = *state;
    golden_result_t results[GOLDEN_N_GROUPS];
    static const char empty[] = "\x02\0\0\0\0\0\0\0{}";
    assert_int_equal(golden_run(results, f->k, "/no/such/file", MMDIT_KEEP_ALL), LENS_IO);
    assert_int_equal(golden_run(results, f->k, "tests/golden/README.md", MMDIT_KEEP_ALL), LENS_FORMAT);
    assert_int_equal(file_write(f->path, empty, sizeof empty - 1), LENS_OK);
    assert_int_equal(golden_run(results, f->k, f->path, MMDIT_KEEP_ALL),
                     LENS_FORMAT); /* a safetensors file, but not golden */
    assert_non_null(strstr(lens_error(), "not a golden file"));
    assert_int_equal(file_write(f->path, f->bytes, f->n - 1), LENS_OK);
    assert_int_equal(golden_run(results, f->k, f->path, MMDIT_KEEP_ALL), LENS_FORMAT);
    char *name = strstr(f->bytes + 8, "param.txt_in.bias");
    assert_non_null(name);
    name[0] = 'P';
    assert_int_equal(file_write(f->path, f->bytes, f->n), LENS_OK);
    name[0] = 'p';
    assert_int_equal(golden_run(results, f->k, f->path, MMDIT_KEEP_ALL), LENS_FORMAT);
    assert_non_null(strstr(lens_error(), "param.txt_in.bias"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_pass),
        cmocka_unit_test(built_in_files_are_those_of_the_tree),
        cmocka_unit_test(a_changed_weight_fails),
        cmocka_unit_test(not_a_number_fails),
        cmocka_unit_test(other_files_are_errors),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
