/* A set of five pictures in two shards with a caption layer, for tests of review and decisions. */
#ifndef LENS_TESTS_UNIT_REVIEWED_SET_H
#define LENS_TESTS_UNIT_REVIEWED_SET_H

#include "tests/unit/drawing.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "data/dataset.h"

enum { N_REVIEWED = 5, REVIEWED_PER_SHARD = 3 };

typedef struct {
    const char *text, *meta;
} reviewed_t;

static inline void reviewed_layer(const char *dir, const char *kind, const reviewed_t rows[N_REVIEWED]) {
    dataset_t *d;
    assert_int_equal(dataset_open_partial(&d, dir), LENS_OK);
    for (int64_t s = 0; s < dataset_n_shards(d); s++) {
        layer_writer_t *w;
        assert_int_equal(layer_writer_open(&w, d, s, dir, kind, "{\"captioner\":\"test\"}"), LENS_OK);
        for (int64_t i = 0; i < dataset_shard_n_samples(d, s); i++) {
            const reviewed_t *row = &rows[dataset_shard_begin(d, s) + i];
            assert_int_equal(layer_writer_add(w, row->text, row->meta), LENS_OK);
        }
        assert_int_equal(layer_writer_close(w), LENS_OK);
    }
    dataset_close(d);
}

/* Keys key-0, key-1, ... */
static inline void reviewed_set(const char *dir) {
    dataset_writer_t *w;
    dataset_writer_options_t options = DATASET_WRITER_DEFAULTS;
    options.shard_max_samples = REVIEWED_PER_SHARD;
    assert_int_equal(dataset_writer_open(&w, dir, &options), LENS_OK);
    for (int i = 0; i < N_REVIEWED; i++) {
        image_t im;
        str_t webp = {0};
        char key[32];
        draw_new(&im, 16, 16, 0x102030 * (uint32_t)i);
        assert_int_equal(image_encode_webp(&webp, &im, 0, true), LENS_OK);
        snprintf(key, sizeof key, "key-%d", i);
        const sample_t sample = {.key = key,
                                 .picture = webp.s,
                                 .picture_bytes = webp.len,
                                 .width = 16,
                                 .height = 16,
                                 .original_width = 16,
                                 .original_height = 16,
                                 .alt = "An alt-text </script>"};
        assert_int_equal(dataset_writer_add(w, &sample), LENS_OK);
        str_free(&webp);
        image_free(&im);
    }
    assert_int_equal(dataset_writer_close(w), LENS_OK);
}

#endif
