/* The loader as a pure function of (options, step): ranks, threads and resuming change nothing. */
#include "data/loader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "base/file.h"
#include "data/image.h"

#define N_SAMPLES 23 /* no multiple of a batch: batches straddle epochs */
#define BATCH 8
#define SIDE 16

typedef struct {
    char dir[64];
    dataset_t *d;
} fixture_t;

/* What a row of a batch holds, for comparison. */
typedef struct {
    int64_t sample;
    uint32_t epoch;
    char caption[20];
    uint64_t pixels_hash;
} row_t;

static const loader_options_t defaults = {.buckets = {.n = 1, .n_areas = 1, .bucket = {{SIDE, SIDE, 0}}},
                                          .batch_of_area = {BATCH},
                                          .slots = 1,
                                          .world = 1,
                                          .pictures = true,
                                          .seed = 7,
                                          .captions = "dense=0.7,alt=0.3",
                                          .caption_dropout = 0.2,
                                          .flip = true,
                                          .random_crop = true,
                                          .n_threads = 2,
                                          .n_prefetch = 2};

/* ---- a little dataset ---- */

/* A gradient of its own, of a shape of its own, so that every crop and mirroring of it differs. */
static void add_sample(dataset_writer_t *w, int i, bool broken) {
    image_t im;
    str_t webp = {0};
    char key[16], alt[16];
    assert_int_equal(image_new(&im, 24 + i, 40 - i % 5), LENS_OK);
    for (int32_t p = 0; p < im.width * im.height; p++) {
        im.rgb[3 * p] = (uint8_t)(p % im.width * 4);
        im.rgb[3 * p + 1] = (uint8_t)(p / im.width * 5);
        im.rgb[3 * p + 2] = (uint8_t)(i * 10);
    }
    assert_int_equal(image_encode_webp(&webp, &im, 100, true), LENS_OK);
    if (broken) memset(webp.s + webp.len / 2, 0x55, webp.len / 2); /* the header stays */
    snprintf(key, sizeof(key), "key-%02d", i);
    snprintf(alt, sizeof(alt), "alt %d", i);
    const sample_t sample = {.key = key,
                             .picture = webp.s,
                             .picture_bytes = webp.len,
                             .width = im.width,
                             .height = im.height,
                             .original_width = im.width,
                             .original_height = im.height,
                             .alt = alt};
    assert_int_equal(dataset_writer_add(w, &sample), LENS_OK);
    str_free(&webp);
    image_free(&im);
}

/* Every fifth dense caption was rejected. */
static void add_dense_layer(const dataset_t *d, const char *dir) {
    for (int64_t shard = 0; shard < dataset_n_shards(d); shard++) {
        layer_writer_t *w;
        assert_int_equal(layer_writer_open(&w, d, shard, dir, "dense", NULL), LENS_OK);
        for (int64_t i = 0; i < dataset_shard_n_samples(d, shard); i++) {
            int64_t sample = dataset_shard_begin(d, shard) + i;
            char text[24] = "";
            if (sample % 5 != 0) snprintf(text, sizeof(text), "dense %lld", (long long)sample);
            assert_int_equal(layer_writer_add(w, text, NULL), LENS_OK);
        }
        assert_int_equal(layer_writer_close(w), LENS_OK);
    }
}

static void make_dataset(const char *dir, int broken) {
    dataset_t *d;
    dataset_writer_t *w;
    dataset_writer_options_t options = DATASET_WRITER_DEFAULTS;
    options.shard_max_samples = 10;
    assert_int_equal(dataset_writer_open(&w, dir, &options), LENS_OK);
    for (int i = 0; i < N_SAMPLES; i++) add_sample(w, i, i == broken);
    assert_int_equal(dataset_writer_close(w), LENS_OK);
    assert_int_equal(dataset_open(&d, dir), LENS_OK);
    add_dense_layer(d, dir);
    dataset_close(d);
}

static int set_up(void **state) {
    fixture_t *fx = calloc(1, sizeof(*fx));
    assert_non_null(fx);
    snprintf(fx->dir, sizeof(fx->dir), "/tmp/lens-loader-XXXXXX");
    assert_non_null(mkdtemp(fx->dir));
    char set[96];
    snprintf(set, sizeof(set), "%s/set", fx->dir);
    make_dataset(set, -1);
    assert_int_equal(dataset_open(&fx->d, set), LENS_OK);
    *state = fx;
    return 0;
}

static int tear_down(void **state) {
    fixture_t *fx = *state;
    dataset_close(fx->d);
    assert_int_equal(dir_remove(fx->dir), LENS_OK);
    free(fx);
    return 0;
}

/* Rows of n_steps batches of one rank to rows, where step and rank put them. Returns the number of empty captions. */
static int64_t gather(row_t *rows, const dataset_t *d, loader_options_t options, int64_t first_step, int64_t n_steps) {
    loader_t *l;
    const loader_batch_t *batch;
    int64_t n_empty = 0;
    if (loader_open(&l, d, &options, first_step) != LENS_OK) fail_msg("%s", lens_error());
    for (int64_t step = first_step; step < first_step + n_steps; step++) {
        if (loader_next(l, &batch) != LENS_OK) fail_msg("%s", lens_error());
        assert_int_equal(batch->step, step);
        assert_int_equal(batch->n, BATCH / options.world);
        assert_int_equal(batch->first, options.rank * batch->n);
        assert_int_equal(batch->n_step, BATCH);
        n_empty += batch->n_empty;
        size_t picture_bytes = SIDE * SIDE * 3;
        for (int64_t i = 0; i < batch->n; i++) {
            row_t *row = &rows[(step - first_step) * BATCH + batch->first + i];
            memset(row, 0, sizeof(*row));
            row->sample = batch->sample[i];
            row->epoch = batch->epoch[i];
            snprintf(row->caption, sizeof(row->caption), "%s", batch->caption[i]);
            row->pixels_hash = XXH3_64bits(batch->pixels + (size_t)i * picture_bytes, picture_bytes);
        }
    }
    assert_true(loader_wait_s(l) >= 0);
    loader_close(l);
    return n_empty;
}

/* ---- tests ---- */

static void test_ranks(void **state) {
    const fixture_t *fx = *state;
    row_t one[10 * BATCH], many[10 * BATCH];
    int64_t n_empty = gather(one, fx->d, defaults, 0, 10);
    assert_true(n_empty > 0);
    for (int world = 2; world <= 4; world *= 2) {
        memset(many, 0, sizeof(many));
        int64_t n_empty_many = 0;
        for (int rank = 0; rank < world; rank++) {
            loader_options_t options = defaults;
            options.rank = rank;
            options.world = world;
            n_empty_many += gather(many, fx->d, options, 0, 10);
        }
        assert_memory_equal(one, many, sizeof(one));
        assert_int_equal(n_empty_many, n_empty);
    }
}

static void test_threads(void **state) {
    const fixture_t *fx = *state;
    row_t one[10 * BATCH], many[10 * BATCH];
    loader_options_t options = defaults;
    options.n_threads = options.n_prefetch = 1;
    gather(one, fx->d, options, 0, 10);
    options.n_threads = 4;
    gather(many, fx->d, options, 0, 10);
    assert_memory_equal(one, many, sizeof(one));
    options.n_prefetch = 7;
    gather(many, fx->d, options, 0, 10);
    assert_memory_equal(one, many, sizeof(one));
}

static void test_resume(void **state) {
    const fixture_t *fx = *state;
    row_t whole[10 * BATCH], rest[6 * BATCH];
    gather(whole, fx->d, defaults, 0, 10);
    gather(rest, fx->d, defaults, 4, 6);
    assert_memory_equal(whole + 4 * BATCH, rest, sizeof(rest));
    loader_options_t options = defaults;
    options.seed++;
    gather(rest, fx->d, options, 4, 6);
    assert_memory_not_equal(whole + 4 * BATCH, rest, sizeof(rest));
}

/* N_SAMPLES batches are BATCH epochs: in each, every sample once, in another order. */
static void test_epochs(void **state) {
    const fixture_t *fx = *state;
    row_t rows[N_SAMPLES * BATCH];
    gather(rows, fx->d, defaults, 0, N_SAMPLES);
    for (int epoch = 0; epoch < BATCH; epoch++) {
        bool seen[N_SAMPLES] = {false}, same_order = true;
        for (int i = 0; i < N_SAMPLES; i++) {
            const row_t *row = &rows[epoch * N_SAMPLES + i];
            assert_int_equal(row->epoch, epoch);
            assert_in_range(row->sample, 0, N_SAMPLES - 1);
            assert_false(seen[row->sample]);
            seen[row->sample] = true;
            same_order = same_order && row->sample == rows[i].sample;
        }
        assert_int_equal(same_order, epoch == 0);
    }
}

static bool is_text(const row_t *row, const char *kind) {
    char expected[24];
    snprintf(expected, sizeof(expected), "%s %lld", kind, (long long)row->sample);
    return strcmp(row->caption, expected) == 0;
}

/* Captions belong to their samples, come at their rates, and a rejected one is counted and not replaced. */
static void test_captions(void **state) {
    const fixture_t *fx = *state;
    enum { N = 64 * BATCH };
    static row_t mixed[N], rows[N];
    loader_options_t options = defaults;
    options.caption_dropout = 0;
    int64_t n_empty = gather(mixed, fx->d, options, 0, 64);
    int n_alt = 0, n_dense = 0, n_none = 0;
    for (int i = 0; i < N; i++) {
        bool alt = is_text(&mixed[i], "alt"), dense = is_text(&mixed[i], "dense");
        assert_int_equal(alt + dense + (mixed[i].caption[0] == '\0'), 1);
        if (mixed[i].caption[0] == '\0') assert_int_equal(mixed[i].sample % 5, 0);
        n_alt += alt;
        n_dense += dense;
        n_none += mixed[i].caption[0] == '\0';
    }
    assert_int_equal(n_none, n_empty);
    assert_in_range(n_alt, N * 0.22, N * 0.38); /* 0.3, 4 standard deviations of 512 draws */
    assert_true(n_none > 0 && n_dense > n_alt);

    options.caption_dropout = 0.5;
    gather(rows, fx->d, options, 0, 64);
    int n_dropped = 0;
    for (int i = 0; i < N; i++) {
        bool dropped = strcmp(rows[i].caption, mixed[i].caption) != 0;
        if (dropped) assert_string_equal(rows[i].caption, ""); /* what is kept is the same caption as without dropout */
        n_dropped += dropped;
        assert_int_equal(rows[i].pixels_hash, mixed[i].pixels_hash);
    }
    assert_in_range(n_dropped, (N - n_none) * 0.4, (N - n_none) * 0.6);

    options.caption_dropout = 1;
    assert_int_equal(gather(rows, fx->d, options, 0, 4), 0);
    for (int i = 0; i < 4 * BATCH; i++) assert_string_equal(rows[i].caption, "");
    options.caption_dropout = 0;
    options.captions = "alt";
    assert_int_equal(gather(rows, fx->d, options, 0, 4), 0);
    for (int i = 0; i < 4 * BATCH; i++) assert_true(is_text(&rows[i], "alt"));
}

/* How many samples look the same in every one of 4 epochs. */
static int count_constant(const dataset_t *d, loader_options_t options) {
    row_t rows[12 * BATCH];
    uint64_t first[N_SAMPLES];
    int n = 0;
    bool constant[N_SAMPLES];
    gather(rows, d, options, 0, 12);
    for (int i = 0; i < 4 * N_SAMPLES; i++) {
        int64_t sample = rows[i].sample;
        if (i < N_SAMPLES) {
            first[sample] = rows[i].pixels_hash;
            constant[sample] = true;
        }
        if (rows[i].pixels_hash != first[sample]) constant[sample] = false;
    }
    for (int i = 0; i < N_SAMPLES; i++) n += constant[i];
    return n;
}

static void test_crops(void **state) {
    const fixture_t *fx = *state;
    loader_options_t options = defaults;
    options.flip = options.random_crop = false;
    assert_int_equal(count_constant(fx->d, options), N_SAMPLES);
    options.flip = true; /* 1 in 8 sees no other side in 4 epochs */
    assert_in_range(count_constant(fx->d, options), 0, N_SAMPLES / 2);
    options.flip = false;
    options.random_crop = true; /* pictures that are nearly square have no room to move in */
    assert_in_range(count_constant(fx->d, options), 0, N_SAMPLES / 2);
}

static void expect_argument(const dataset_t *d, loader_options_t options, int64_t first_step, const char *part) {
    loader_t *l;
    assert_int_equal(loader_open(&l, d, &options, first_step), LENS_ARGUMENT);
    assert_null(l);
    if (!strstr(lens_error(), part)) fail_msg("expected '%s' in: %s", part, lens_error());
}

static void test_arguments(void **state) {
    const fixture_t *fx = *state;
    static const struct {
        const char *captions, *part;
    } specs[] = {{"dens", "it has alt, dense"},
                 {"", "no kind ''"},
                 {"dense=", "weight ''"},
                 {"dense=0", "weight '0'"},
                 {"dense=nan", "'nan'"},
                 {"dense=1x", "'1x'"},
                 {"dense,dense", "twice"},
                 {"dense,", "no kind ''"},
                 {"alt=-1", "'-1'"},
                 {"alt=1e308,dense=1e308", "too large"}};
    loader_options_t options = defaults;
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        options.captions = specs[i].captions;
        expect_argument(fx->d, options, 0, specs[i].part);
    }
    options = defaults;
    options.world = 3;
    expect_argument(fx->d, options, 0, "divided among 3");
    options = defaults;
    options.rank = 1;
    expect_argument(fx->d, options, 0, "rank 1 of 1");
    options = defaults;
    options.caption_dropout = 1.5;
    expect_argument(fx->d, options, 0, "dropout");
    options = defaults;
    options.slots = 2;
    options.world = 3;
    expect_argument(fx->d, options, 0, "2 batches a step cannot be divided among 3 ranks");
    options = defaults;
    options.captions = NULL;
    options.pictures = false;
    expect_argument(fx->d, options, 0, "neither pictures");
    options = defaults;
    options.array[options.n_arrays++] = "latents";
    expect_argument(fx->d, options, 0, "no arrays of kind latents");
    options = defaults;
    options.buckets.n = 0;
    expect_argument(fx->d, options, 0, "no buckets");
    options = defaults;
    options.n_threads = 0;
    expect_argument(fx->d, options, 0, "0 threads");
    expect_argument(fx->d, defaults, -1, "first step -1");
    expect_argument(fx->d, defaults, INT64_MAX, "first step 9223372036854775807");
}

/* A picture that cannot be decoded stops training at its step, with its key, whatever the threads do. */
static void test_broken_picture(void **state) {
    const fixture_t *fx = *state;
    char dir[96];
    snprintf(dir, sizeof(dir), "%s/broken", fx->dir);
    make_dataset(dir, 11);
    row_t rows[3 * BATCH];
    int64_t broken_step = -1;
    gather(rows, fx->d, defaults, 0, 3);
    for (int i = 0; i < N_SAMPLES; i++) {
        if (rows[i].sample == 11) broken_step = i / BATCH;
    }
    for (int n_threads = 1; n_threads <= 4; n_threads += 3) {
        dataset_t *d;
        loader_t *l;
        const loader_batch_t *batch;
        loader_options_t options = defaults;
        options.n_threads = n_threads;
        assert_int_equal(dataset_open(&d, dir), LENS_OK);
        assert_int_equal(loader_open(&l, d, &options, 0), LENS_OK);
        for (int64_t step = 0; step < broken_step; step++) assert_int_equal(loader_next(l, &batch), LENS_OK);
        for (int attempt = 0; attempt < 2; attempt++) {
            (void)lens_fail(LENS_STATE, "another message");
            assert_int_equal(loader_next(l, &batch), LENS_FORMAT);
            assert_null(batch);
            assert_non_null(strstr(lens_error(), "key-11"));
            assert_non_null(strstr(lens_error(), dir));
        }
        loader_close(l);
        dataset_close(d);
    }
}

static void test_close_early(void **state) {
    const fixture_t *fx = *state;
    for (int n_taken = 0; n_taken < 12; n_taken++) {
        loader_t *l;
        const loader_batch_t *batch;
        loader_options_t options = defaults;
        options.n_threads = 1 + n_taken % 4;
        options.n_prefetch = 1 + n_taken % 3;
        assert_int_equal(loader_open(&l, fx->d, &options, 0), LENS_OK);
        for (int i = 0; i < n_taken; i++) assert_int_equal(loader_next(l, &batch), LENS_OK);
        loader_close(l);
    }
    loader_close(NULL);
}

/* Far into a long run, and past the last epoch that can be numbered. */
static void test_far_steps(void **state) {
    const fixture_t *fx = *state;
    row_t rows[BATCH];
    loader_t *l;
    const loader_batch_t *batch;
    gather(rows, fx->d, defaults, INT64_C(1000000000), 1);
    assert_int_equal(rows[0].epoch, INT64_C(8000000000) / N_SAMPLES);
    assert_int_equal(loader_open(&l, fx->d, &defaults, INT64_C(1) << 40), LENS_OK);
    assert_int_equal(loader_next(l, &batch), LENS_ARGUMENT);
    assert_non_null(strstr(lens_error(), "2^32 epochs"));
    loader_close(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranks),     cmocka_unit_test(test_threads),        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_epochs),    cmocka_unit_test(test_captions),       cmocka_unit_test(test_crops),
        cmocka_unit_test(test_arguments), cmocka_unit_test(test_broken_picture), cmocka_unit_test(test_close_early),
        cmocka_unit_test(test_far_steps),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
