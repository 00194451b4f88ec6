/* A pipeline's folder with given weights, for tests. */
#ifndef LENS_TESTS_UNIT_SAVED_WEIGHTS_H
#define LENS_TESTS_UNIT_SAVED_WEIGHTS_H

#include <stdio.h>
#include <stdlib.h>

#include "model/pipeline.h"
#include "model/weights_cut.h"

/* One part of the plan to DIR/FOLDER, cut beyond max_bytes. weights: f32 [plan_n_floats]. */
static inline void save_part(const char *dir, const plan_t *plan, const float *weights, pipeline_part part,
                             uint64_t max_bytes) {
    int *row = calloc((size_t)plan->n, sizeof *row), n = pipeline_part_rows(row, plan, part);
    st_entry_t *entries = calloc((size_t)plan->n, sizeof *entries);
    weights_cut_t cut;
    char folder[256], path[512], name[WEIGHTS_NAME_MAX];
    snprintf(folder, sizeof folder, "%s/%s", dir, pipeline_part_folder(part));
    for (int i = 0; i < n; i++)
        entries[i] = pipeline_entry(&plan->rows[row[i]], weights + plan->rows[row[i]].offset_bytes / sizeof(float));
    assert_int_equal(weights_cut_init(&cut, entries, n, max_bytes), LENS_OK);
    for (int i = 0; i < cut.n_files; i++) {
        weights_file_name(name, pipeline_part_stem(part), i, cut.n_files);
        snprintf(path, sizeof path, "%s/%s", folder, name);
        int first = cut.first[i];
        assert_int_equal(safetensors_write(path, entries + first, cut.first[i + 1] - first, NULL, 0), LENS_OK);
    }
    if (cut.n_files > 1)
        assert_int_equal(weights_write_index(folder, pipeline_part_stem(part), &cut, entries), LENS_OK);
    weights_cut_free(&cut);
    free(entries);
    free(row);
}

static inline void save_pipeline(const char *dir, const pipeline_config_t *c, const plan_t *plan,
                                 const float *weights) {
    assert_int_equal(pipeline_save_config(dir, c), LENS_OK);
    save_part(dir, plan, weights, PIPELINE_TRANSFORMER, WEIGHTS_FILE_MAX_BYTES);
    save_part(dir, plan, weights, PIPELINE_TEXT, WEIGHTS_FILE_MAX_BYTES);
}

#endif
