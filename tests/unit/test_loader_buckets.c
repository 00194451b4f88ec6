/* The loader over several buckets and slots: ranks, threads and resuming change nothing; arrays; buffers. */
#include "data/loader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/rng.h"
#include "data/image.h"

enum { N_SAMPLES = 150, N_SMALL = 7, STEPS = 12, SLOTS = 4, MAX_BATCH = 8 };

typedef struct {
    char dir[64];
    dataset_t *d;
    loader_options_t options;
} fixture_t;

/* What a row of a batch holds, for comparison. */
typedef struct {
    int64_t sample, n_step;
    uint64_t pixels_hash;
    char caption[16];
    uint32_t epoch;
    int32_t width, height;
} row_t;

typedef row_t run_t[STEPS][SLOTS][MAX_BATCH];

/* ---- a dataset of many shapes ---- */

/* The first N_SMALL are smaller than any bucket. */
static void sides(int i, int32_t *width, int32_t *height) {
    rng_t r = rng_stream(3, 0, (uint64_t)i, RNG_TEST);
    *width = i < N_SMALL ? 9 : 24 + (int32_t)rng_below(&r, 40);
    *height = i < N_SMALL ? 9 : 24 + (int32_t)rng_below(&r, 40);
}

static void add_sample(dataset_writer_t *w, int i) {
    image_t im;
    str_t webp = {0};
    int32_t width, height;
    char key[16], alt[16];
    sides(i, &width, &height);
    assert_int_equal(image_new(&im, width, height), LENS_OK);
    for (int32_t p = 0; p < width * height; p++) {
        im.rgb[3 * p] = (uint8_t)(p % width * 4);
        im.rgb[3 * p + 1] = (uint8_t)(p / width * 4);
        im.rgb[3 * p + 2] = (uint8_t)i;
    }
    assert_int_equal(image_encode_webp(&webp, &im, 100, true), LENS_OK);
    snprintf(key, sizeof key, "key-%03d", i);
    snprintf(alt, sizeof alt, "alt %d", i);
    const sample_t sample = {.key = key,
                             .picture = webp.s,
                             .picture_bytes = webp.len,
                             .width = width,
                             .height = height,
                             .original_width = width,
                             .original_height = height,
                             .alt = alt};
    assert_int_equal(dataset_writer_add(w, &sample), LENS_OK);
    str_free(&webp);
    image_free(&im);
}

/* Latents of the shape of the sample's bucket, each value its sample's number; but for one of kind "odd". */
static void add_arrays(const fixture_t *fx, const char *kind, int64_t odd) {
    for (int64_t shard = 0; shard < dataset_n_shards(fx->d); shard++) {
        array_writer_t *w;
        assert_int_equal(array_writer_open(&w, fx->d, shard, fx->dir, kind, ARRAY_F32, ARRAY_RAW, 0, NULL), LENS_OK);
        for (int64_t i = 0; i < dataset_shard_n_samples(fx->d, shard); i++) {
            int64_t sample = dataset_shard_begin(fx->d, shard) + i;
            sample_info_t info;
            uint64_t hash;
            float values[2 * 10 * 10];
            assert_int_equal(dataset_info(fx->d, sample, &info), LENS_OK);
            assert_int_equal(dataset_image_hash(fx->d, sample, &hash), LENS_OK);
            int bucket = bucket_assign(&fx->options.buckets, info.width, info.height, hash);
            const bucket_t *b = &fx->options.buckets.bucket[bucket < 0 ? 0 : bucket];
            array_shape_t shape = {ARRAY_F32, 3, {sample == odd ? 1 : 2, b->height / 4, b->width / 4}};
            for (int k = 0; k < 200; k++) values[k] = (float)sample;
            assert_int_equal(array_writer_add(w, &shape, values), LENS_OK);
        }
        assert_int_equal(array_writer_close(w), LENS_OK);
    }
}

static int set_up(void **state) {
    fixture_t *fx = calloc(1, sizeof *fx);
    assert_non_null(fx);
    snprintf(fx->dir, sizeof fx->dir, "/tmp/lens-loader-XXXXXX");
    assert_non_null(mkdtemp(fx->dir));
    dataset_writer_t *w;
    dataset_writer_options_t options = DATASET_WRITER_DEFAULTS;
    options.shard_max_samples = 13;
    assert_int_equal(dataset_writer_open(&w, fx->dir, &options), LENS_OK);
    for (int i = 0; i < N_SAMPLES; i++) add_sample(w, i);
    assert_int_equal(dataset_writer_close(w), LENS_OK);
    assert_int_equal(dataset_open(&fx->d, fx->dir), LENS_OK);
    fx->options = (loader_options_t){.batch_of_area = {8, 4},
                                     .slots = SLOTS,
                                     .window_shards = 3,
                                     .seed = 7,
                                     .pictures = true,
                                     .flip = true,
                                     .random_crop = true,
                                     .captions = "alt",
                                     .world = 1,
                                     .n_threads = 2,
                                     .n_prefetch = 3};
    assert_int_equal(bucket_list_parse(&fx->options.buckets, "16x16,24x12,12x24,32x32,40x24,24x40", 1), LENS_OK);
    assert_int_equal(fx->options.buckets.n_areas, 2);
    add_arrays(fx, "latents", -1);
    add_arrays(fx, "odd", 77);
    dataset_close(fx->d);
    assert_int_equal(dataset_open(&fx->d, fx->dir), LENS_OK);
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

/* ---- what a run gives ---- */

static void keep(const loader_batch_t *b, row_t *rows) {
    size_t picture_bytes = (size_t)b->width * (size_t)b->height * 3;
    for (int64_t i = 0; i < b->n; i++) {
        row_t *row = &rows[b->first + i];
        memset(row, 0, sizeof *row);
        row->sample = b->sample[i];
        row->epoch = b->epoch[i];
        row->n_step = b->n_step;
        row->width = b->width;
        row->height = b->height;
        row->pixels_hash = XXH3_64bits(b->pixels + (size_t)i * picture_bytes, picture_bytes);
        snprintf(row->caption, sizeof row->caption, "%s", b->caption[i]);
    }
}

/* Steps [first_step, STEPS) of one rank. */
static void gather(run_t run, const dataset_t *d, const loader_options_t *options, int64_t first_step) {
    loader_t *l;
    const loader_batch_t *b;
    if (loader_open(&l, d, options, first_step) != LENS_OK) fail_msg("%s", lens_error());
    int64_t per_step = loader_batches_of_step(l);
    assert_int_equal(per_step, options->world < SLOTS ? SLOTS / options->world : 1);
    for (int64_t i = 0; i < (STEPS - first_step) * per_step; i++) {
        if (loader_next(l, &b) != LENS_OK) fail_msg("%s", lens_error());
        assert_int_equal(b->step, first_step + i / per_step);
        assert_in_range(b->slot, 0, SLOTS - 1);
        assert_in_range(b->first + b->n, 1, MAX_BATCH);
        keep(b, run[b->step][b->slot]);
    }
    loader_close(l);
}

static void whole_run(run_t run, const fixture_t *fx) {
    memset(run, 0, sizeof(run_t));
    gather(run, fx->d, &fx->options, 0);
}

/* ---- tests ---- */

static void test_batches(void **state) {
    const fixture_t *fx = *state;
    run_t run;
    int n_met[N_SAMPLES] = {0}, n_rows = 0, n_shapes = 0;
    bool seen[64] = {false};
    whole_run(run, fx);
    for (int step = 0; step < STEPS; step++) {
        int n_step = 0;
        for (int slot = 0; slot < SLOTS; slot++) {
            const row_t *first = run[step][slot];
            n_shapes += !seen[first->width];
            seen[first->width] = true;
            for (const row_t *row = first; row < first + MAX_BATCH && row->width; row++) {
                int32_t width, height;
                char alt[16];
                sides((int)row->sample, &width, &height);
                snprintf(alt, sizeof alt, "alt %d", (int)row->sample);
                assert_string_equal(row->caption, alt);
                assert_true(row->width == first->width && row->height == first->height);
                assert_true(row->width <= width && row->height <= height); /* nothing is enlarged */
                assert_true(row->sample >= N_SMALL);
                n_met[row->sample]++;
                n_step++;
            }
        }
        assert_int_equal(run[step][0][0].n_step, n_step);
        n_rows += n_step;
    }
    assert_true(n_shapes >= 3);
    for (int i = N_SMALL; i < N_SAMPLES; i++) /* about two epochs */
        assert_in_range(n_met[i], n_rows / (N_SAMPLES - N_SMALL) - 1, n_rows / (N_SAMPLES - N_SMALL) + 2);
}

static void test_ranks(void **state) {
    const fixture_t *fx = *state;
    run_t one, many;
    whole_run(one, fx);
    for (int world = 2; world <= 16; world *= 2) {
        memset(many, 0, sizeof many);
        for (int rank = 0; rank < world; rank++) {
            loader_options_t o = fx->options;
            o.rank = rank;
            o.world = world;
            gather(many, fx->d, &o, 0);
        }
        assert_memory_equal(one, many, sizeof one);
    }
}

static void test_threads_and_resume(void **state) {
    const fixture_t *fx = *state;
    run_t one, again;
    whole_run(one, fx);
    for (int first_step = 0; first_step < STEPS; first_step++) {
        loader_options_t o = fx->options;
        o.n_threads = 1 + first_step % 4;
        o.n_prefetch = 1 + first_step % 5;
        memcpy(again, one, sizeof one);
        memset(again[first_step], 0, sizeof again[0] * (size_t)(STEPS - first_step));
        gather(again, fx->d, &o, first_step);
        assert_memory_equal(one, again, sizeof one);
    }
}

/* Every option that decides what is trained on changes the identity; how it is read does not. */
static void test_identity(void **state) {
    const fixture_t *fx = *state;
    loader_options_t variant[12];
    uint64_t hash[12];
    for (int i = 0; i < 12; i++) variant[i] = fx->options;
    variant[1].batch_of_area[1] = 16;
    variant[2].slots = 2;
    variant[3].window_shards = 0;
    variant[4].seed = 8;
    variant[5].flip = false;
    variant[6].random_crop = false;
    variant[7].captions = "alt=2";
    variant[8].caption_dropout = 0.1;
    variant[9].resampling.filter = IMAGE_LANCZOS;
    variant[10].buckets.max_upscale = 2;
    variant[11].captions = NULL;
    for (int i = 0; i < 12; i++) {
        assert_int_equal(loader_identity(&hash[i], fx->d, &variant[i]), LENS_OK);
        for (int k = 0; k < i; k++) assert_int_not_equal(hash[i], hash[k]);
    }
    uint64_t other;
    loader_options_t o = fx->options;
    o.world = 2;
    o.rank = 1;
    o.n_threads = o.n_prefetch = 9;
    assert_int_equal(loader_identity(&other, fx->d, &o), LENS_OK);
    assert_int_equal(other, hash[0]);
}

static void test_small_pictures(void **state) {
    const fixture_t *fx = *state;
    loader_options_t o = fx->options;
    loader_t *l;
    o.refuse_small = true;
    assert_int_equal(loader_open(&l, fx->d, &o, 0), LENS_ARGUMENT);
    assert_null(l);
    assert_non_null(strstr(lens_error(), "7 pictures are too small"));
    assert_non_null(strstr(lens_error(), "key-006 (9x9)"));
    o.buckets.max_upscale = 4;
    assert_int_equal(loader_open(&l, fx->d, &o, 0), LENS_OK);
    loader_close(l);
}

/* ---- arrays ---- */

static void check_latents(const loader_batch_t *b) {
    const loader_array_t *a = &b->array[0];
    int64_t n_values = 2 * (b->height / 4) * (b->width / 4);
    assert_int_equal(a->shape.dtype, ARRAY_F32);
    assert_int_equal(a->shape.n_dims, 3);
    assert_int_equal(a->shape.dims[1], b->height / 4);
    assert_int_equal(a->shape.dims[2], b->width / 4);
    assert_int_equal(a->bytes, n_values * 4);
    const float *values = (const float *)(const void *)a->values;
    for (int64_t i = 0; i < b->n; i++) {
        for (int64_t k = 0; k < n_values; k++) assert_true(values[i * n_values + k] == (float)b->sample[i]);
    }
}

/* The same samples as with pictures, which are not read. */
static void test_arrays(void **state) {
    const fixture_t *fx = *state;
    loader_options_t o = fx->options;
    run_t run;
    loader_t *l;
    const loader_batch_t *b;
    whole_run(run, fx);
    o.pictures = false;
    o.captions = NULL;
    o.array[o.n_arrays++] = "latents";
    if (loader_open(&l, fx->d, &o, 0) != LENS_OK) fail_msg("%s", lens_error());
    for (int i = 0; i < STEPS * SLOTS; i++) {
        assert_int_equal(loader_next(l, &b), LENS_OK);
        assert_null(b->pixels);
        assert_null(b->caption);
        check_latents(b);
        for (int64_t k = 0; k < b->n; k++) assert_int_equal(b->sample[k], run[b->step][b->slot][k].sample);
    }
    loader_close(l);
    o.pictures = true; /* all together */
    o.captions = "alt";
    assert_int_equal(loader_open(&l, fx->d, &o, 3), LENS_OK);
    assert_int_equal(loader_next(l, &b), LENS_OK);
    check_latents(b);
    assert_true(b->pixels && b->caption);
    loader_close(l);
}

static void test_odd_array(void **state) {
    const fixture_t *fx = *state;
    loader_options_t o = fx->options;
    loader_t *l;
    const loader_batch_t *b;
    lens_status st = LENS_OK;
    o.pictures = false;
    o.captions = NULL;
    o.array[o.n_arrays++] = "odd";
    assert_int_equal(loader_open(&l, fx->d, &o, 0), LENS_OK);
    for (int i = 0; i < 5 * STEPS * SLOTS && st == LENS_OK; i++) st = loader_next(l, &b);
    assert_int_equal(st, LENS_FORMAT);
    assert_non_null(strstr(lens_error(), "(key key-077)"));
    assert_non_null(strstr(lens_error(), "odd: f32 [1, "));
    assert_non_null(strstr(lens_error(), "as the others of bucket"));
    loader_close(l);
}

/* Every sample that fits a bucket once, those of a bucket together and in the order given; then the end, for ever. */
static void test_once(void **state) {
    const fixture_t *fx = *state;
    loader_options_t o = fx->options;
    loader_t *l;
    const loader_batch_t *b;
    int64_t sample[N_SAMPLES], n = 0, last_bucket = -1, last_sample = N_SAMPLES;
    int n_met[N_SAMPLES] = {0};
    o.world = 3; /* not looked at */
    o.array[o.n_arrays++] = "latents";
    for (int64_t i = N_SAMPLES - 1; i >= 0; i--)
        if (i % 3 != 1) sample[n++] = i;
    assert_int_equal(loader_open_once(&l, fx->d, &o, sample, n), LENS_OK);
    lens_status st;
    while ((st = loader_next(l, &b)) == LENS_OK) {
        assert_in_range(b->n, 1, o.batch_of_area[o.buckets.bucket[b->bucket].area]);
        assert_true(b->bucket >= last_bucket && b->first == 0 && b->epoch[b->n - 1] == 0);
        check_latents(b);
        for (int64_t i = 0; i < b->n; i++) {
            assert_true(b->bucket > last_bucket || b->sample[i] < last_sample);
            char alt[16];
            snprintf(alt, sizeof alt, "alt %d", (int)b->sample[i]);
            assert_string_equal(b->caption[i], alt);
            n_met[b->sample[i]]++;
            last_sample = b->sample[i];
            last_bucket = b->bucket;
        }
    }
    assert_int_equal(st, LENS_END);
    assert_int_equal(loader_next(l, &b), LENS_END);
    loader_close(l);
    for (int i = 0; i < N_SAMPLES; i++) assert_int_equal(n_met[i], i % 3 != 1 && i >= N_SMALL);
    sample[0] = 0; /* which fits none */
    assert_int_equal(loader_open_once(&l, fx->d, &o, sample, 1), LENS_OK);
    assert_int_equal(loader_next(l, &b), LENS_END);
    loader_close(l);
}

/* ---- buffers ---- */

typedef struct {
    int n, n_freed;
    size_t bytes, freed_bytes;
    int fail_at; /* this allocation fails */
} ledger_t;

static void *ledger_alloc(void *arg, size_t n_bytes) {
    ledger_t *ledger = arg;
    if (++ledger->n == ledger->fail_at) return NULL;
    ledger->bytes += n_bytes;
    return aligned_alloc(64, n_bytes);
}

static void ledger_free(void *arg, void *p, size_t n_bytes) {
    ledger_t *ledger = arg;
    ledger->n_freed++;
    ledger->freed_bytes += n_bytes;
    free(p);
}

static void test_buffers(void **state) {
    const fixture_t *fx = *state;
    ledger_t ledger = {0};
    loader_options_t o = fx->options;
    o.memory = (loader_memory_t){ledger_alloc, ledger_free, &ledger};
    loader_t *l;
    const loader_batch_t *b;
    assert_int_equal(loader_open(&l, fx->d, &o, 0), LENS_OK);
    assert_int_equal(ledger.n, o.n_prefetch + 1);
    assert_int_equal(ledger.bytes, loader_buffer_bytes(l));
    for (int i = 0; i < 20; i++) assert_int_equal(loader_next(l, &b), LENS_OK);
    assert_int_equal(ledger.n, o.n_prefetch + 1);
    loader_close(l);
    assert_int_equal(ledger.n_freed, ledger.n);
    assert_int_equal(ledger.freed_bytes, ledger.bytes);
    ledger = (ledger_t){.fail_at = 2};
    assert_int_equal(loader_open(&l, fx->d, &o, 0), LENS_MEMORY);
    assert_int_equal(ledger.freed_bytes, ledger.bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_threads_and_resume),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_small_pictures),
        cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_odd_array),
        cmocka_unit_test(test_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
