/* Datasets: what is written reads back, in many shards, with layers; what does not fit is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/dataset.h"
#include "data/shard.h"
#include "tests/unit/picture.h"

enum { N = 23, PER_SHARD = 5 };

#define ok(call) assert_ok((call), #call)
static void assert_ok(lens_status st, const char *call) {
    if (st != LENS_OK) fail_msg("%s: %s", call, lens_error());
}

static void assert_fails(lens_status st, lens_status expected, const char *part) {
    if (st != expected || !strstr(lens_error(), part))
        fail_msg("status %s, message %s; expected %s with %s", lens_status_name(st), lens_error(),
                 lens_status_name(expected), part);
}

static int setup(void **state) {
    char *dir = strdup("/tmp/lens-test-dataset-XXXXXX");
    *state = dir;
    return dir && mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state) {
    lens_status st = dir_remove(*state);
    free(*state);
    return st == LENS_OK ? 0 : -1;
}

static char *format(const char *text, ...) __attribute__((format(printf, 1, 2)));
static char *format(const char *text, ...) {
    char *s = NULL;
    va_list args;
    va_start(args, text);
    assert_true(vasprintf(&s, text, args) >= 0);
    va_end(args);
    return s;
}

/* Sample i: every field a function of i; every third alt-text empty, one longer than a chunk, UTF-8 of all lengths. */
static char *alt_of(int i) {
    if (i % 3 == 0) return strdup("");
    if (i != 7)
        return format("alt %d: Stra\xc3\x9f"
                      "e \xe2\x82\xac \xf0\x9f\x8c\xb2",
                      i);
    char *s = malloc(200001);
    assert_non_null(s);
    for (int k = 0; k < 200000; k++) s[k] = (char)('a' + k * 7919 % 26);
    s[200000] = '\0';
    return s;
}

static size_t picture_of(int i, char *out) {
    size_t n = (size_t)(1 + i * 37 % 900);
    for (size_t k = 0; k < n; k++) out[k] = (char)(i * 31 + (int)k);
    return n;
}

static void write_base(const char *dir, const char *key_prefix) {
    dataset_writer_options_t options = DATASET_WRITER_DEFAULTS;
    options.shard_max_samples = PER_SHARD;
    options.provenance = "{\"command\":\"test\"}";
    dataset_writer_t *w;
    ok(dataset_writer_open(&w, dir, &options));
    for (int i = 0; i < N; i++) {
        char picture[1000], *alt = alt_of(i), *key = format("%s-%03d", key_prefix, i), *meta = format("{\"i\":%d}", i);
        sample_t s = {.key = key,
                      .picture = picture,
                      .picture_bytes = picture_of(i, picture),
                      .width = 10 + i,
                      .height = 20 + i,
                      .original_width = 100 + i,
                      .original_height = 200 + i,
                      .alt = alt,
                      .meta = i % 2 ? meta : NULL};
        ok(dataset_writer_add(w, &s));
        free(alt);
        free(key);
        free(meta);
    }
    ok(dataset_writer_close(w));
}

static void write_layer(const dataset_t *d, const char *dir, const char *kind, int64_t shard) {
    layer_writer_t *w;
    ok(layer_writer_open(&w, d, shard, dir, kind, "{\"prompt\":\"p\"}"));
    for (int64_t i = 0; i < dataset_shard_n_samples(d, shard); i++) {
        char *text = format("%s caption of %lld", kind, (long long)(dataset_shard_begin(d, shard) + i));
        ok(layer_writer_add(w, i == 1 ? "" : text, i == 0 ? "{\"status\":\"rejected\"}" : NULL));
        free(text);
    }
    ok(layer_writer_close(w));
}

static void reads_back(void **state) {
    const char *dir = *state;
    write_base(dir, "key");
    dataset_t *d;
    ok(dataset_open(&d, dir));
    assert_int_equal(dataset_n_samples(d), N);
    assert_int_equal(dataset_n_shards(d), 5);
    assert_string_equal(dataset_shard_name(d, 4), "shard-00004");
    assert_int_equal(dataset_shard_begin(d, 4), 20);
    assert_int_equal(dataset_shard_n_samples(d, 4), 3);
    str_t text = {0};
    for (int i = 0; i < N; i++) {
        char picture[1000], *alt = alt_of(i), *key = format("key-%03d", i), *meta = format("{\"i\":%d}", i);
        size_t n = picture_of(i, picture);
        sample_info_t info;
        ok(dataset_info(d, i, &info));
        assert_int_equal(info.width, 10 + i);
        assert_int_equal(info.height, 20 + i);
        assert_int_equal(info.original_width, 100 + i);
        assert_int_equal(info.original_height, 200 + i);
        assert_int_equal(info.image_bytes, n);
        ok(dataset_key(d, i, &text));
        assert_string_equal(text.s, key);
        ok(dataset_image(d, i, &text));
        assert_int_equal(text.len, n);
        assert_memory_equal(text.s, picture, n);
        ok(dataset_caption(d, i, "alt", &text));
        assert_string_equal(text.s, alt);
        ok(dataset_meta(d, i, &text));
        assert_string_equal(text.s, i % 2 ? meta : "{}");
        free(alt);
        free(key);
        free(meta);
    }
    assert_fails(dataset_key(d, N, &text), LENS_ARGUMENT, "no sample 23");
    assert_fails(dataset_key(d, -1, &text), LENS_ARGUMENT, "no sample -1");
    assert_fails(dataset_caption(d, 0, "dense", &text), LENS_ARGUMENT, "no captions of kind dense");
    str_free(&text);
    dataset_close(d);
}

static void has_layers(void **state) {
    const char *dir = *state;
    write_base(dir, "key");
    dataset_t *d;
    ok(dataset_open(&d, dir));
    for (int64_t i = 0; i < dataset_n_shards(d); i++) {
        assert_false(layer_shard_exists(d, i, dir, "dense"));
        write_layer(d, dir, "dense", i);
        assert_true(layer_shard_exists(d, i, dir, "dense"));
    }
    write_layer(d, dir, "brief", 2);
    layer_writer_t *w;
    assert_fails(layer_writer_open(&w, d, 2, dir, "brief", NULL), LENS_STATE, "there already");
    assert_fails(layer_writer_open(&w, d, 0, dir, "alt", NULL), LENS_ARGUMENT, "no name of a layer");
    assert_fails(layer_writer_open(&w, d, 0, dir, "../x", NULL), LENS_ARGUMENT, "no name of a layer");
    assert_fails(layer_writer_open(&w, d, 5, dir, "brief", NULL), LENS_ARGUMENT, "no shard 5");
    dataset_close(d);

    assert_fails(dataset_open(&d, dir), LENS_FORMAT, "brief: incomplete: 1 of 5 shards, shard-00000.h5 is missing");
    assert_null(d);
    ok(dataset_open_partial(&d, dir));
    assert_int_equal(dataset_n_kinds(d), 3);
    assert_string_equal(dataset_kind(d, 0), "alt");
    assert_string_equal(dataset_kind(d, 1), "brief");
    assert_string_equal(dataset_kind(d, 2), "dense");
    assert_true(dataset_has_kind(d, "dense"));
    assert_false(dataset_has_kind(d, "base"));
    str_t text = {0};
    ok(dataset_caption(d, 12, "dense", &text));
    assert_string_equal(text.s, "dense caption of 12");
    ok(dataset_caption(d, 16, "dense", &text));
    assert_string_equal(text.s, "");
    ok(dataset_caption(d, 10, "brief", &text));
    assert_string_equal(text.s, "brief caption of 10");
    assert_fails(dataset_caption(d, 0, "brief", &text), LENS_STATE, "layer brief lacks shard-00000");
    str_free(&text);
    dataset_close(d);
}

/* Layers in a folder of their own join the dataset; they need the base that they were made for. */
static void layers_elsewhere(void **state) {
    const char *dir = *state;
    char *a = format("%s/a", dir), *b = format("%s/b", dir), *out = format("%s/out", dir);
    write_base(a, "key");
    write_base(b, "other");
    dataset_t *d;
    ok(dataset_open(&d, a));
    for (int64_t i = 0; i < dataset_n_shards(d); i++) write_layer(d, out, "dense", i);
    ok(dataset_add_layers(d, a)); /* its own folder: nothing new */
    ok(dataset_add_layers(d, out));
    str_t text = {0};
    ok(dataset_caption(d, 22, "dense", &text));
    assert_string_equal(text.s, "dense caption of 22");
    str_free(&text);
    assert_fails(dataset_add_layers(d, out), LENS_STATE, "the layer dense is there already");
    dataset_close(d);

    ok(dataset_open(&d, b));
    assert_fails(dataset_add_layers(d, out), LENS_FORMAT, "made for another base");
    assert_false(dataset_has_kind(d, "dense"));
    assert_fails(dataset_add_layers(d, "/nonexistent"), LENS_IO, "no such folder");
    dataset_close(d);
    free(a);
    free(b);
    free(out);
}

static void incomplete_layer_is_not_published(void **state) {
    const char *dir = *state;
    write_base(dir, "key");
    dataset_t *d;
    ok(dataset_open(&d, dir));
    layer_writer_t *w;
    ok(layer_writer_open(&w, d, 0, dir, "dense", NULL));
    ok(layer_writer_add(w, "one", NULL));
    assert_fails(layer_writer_add(w, "\xff", NULL), LENS_ARGUMENT, "not UTF-8");
    assert_fails(layer_writer_add(w, "two", "[1]"), LENS_ARGUMENT, "no JSON object");
    assert_fails(layer_writer_close(w), LENS_STATE, "closed with 1 samples, expected 5");
    assert_false(layer_shard_exists(d, 0, dir, "dense"));
    ok(layer_writer_open(&w, d, 0, dir, "dense", NULL));
    for (int i = 0; i < PER_SHARD; i++) ok(layer_writer_add(w, "text", NULL));
    assert_fails(layer_writer_add(w, "one too many", NULL), LENS_STATE, "more than the 5 samples");
    layer_writer_abort(w);
    dataset_close(d);
    char *folder = format("%s/dense", dir), **names;
    int64_t n;
    ok(dir_list(&names, &n, folder));
    assert_int_equal(n, 0); /* no temporary file is left */
    dir_list_free(names, n);
    free(folder);
}

static lens_status add_one(dataset_writer_t *w, const char *key, const char *alt, const char *meta) {
    sample_t s = {.key = key,
                  .picture = "x",
                  .picture_bytes = 1,
                  .width = 1,
                  .height = 1,
                  .original_width = 1,
                  .original_height = 1,
                  .alt = alt,
                  .meta = meta};
    return dataset_writer_add(w, &s);
}

static void refuses_bad_samples(void **state) {
    const char *dir = *state;
    dataset_writer_options_t options = DATASET_WRITER_DEFAULTS;
    dataset_writer_t *w;
    ok(dataset_writer_open(&w, dir, &options));
    ok(add_one(w, "a", "", NULL));
    assert_fails(add_one(w, "a", "", NULL), LENS_ARGUMENT, "the key a occurs twice");
    assert_fails(add_one(w, "", "", NULL), LENS_ARGUMENT, "empty key");
    assert_fails(add_one(w, "b\n", "", NULL), LENS_ARGUMENT, "control characters");
    assert_fails(add_one(w, "b\xc0\x80", "", NULL), LENS_ARGUMENT, "not UTF-8");
    assert_fails(add_one(w, "b", "\xed\xa0\x80", NULL), LENS_ARGUMENT, "alt-text is not UTF-8");
    assert_fails(add_one(w, "b", "", "{"), LENS_ARGUMENT, "no JSON object");
    ok(add_one(w, "b", "", NULL)); /* the refusals left nothing behind */
    ok(dataset_writer_close(w));
    dataset_t *d;
    ok(dataset_open(&d, dir));
    assert_int_equal(dataset_n_samples(d), 2);
    dataset_close(d);
    assert_fails(dataset_writer_open(&w, dir, &options), LENS_STATE, "holds 1 shards already");
    assert_null(w);
}

static void bounds_shards_by_bytes(void **state) {
    dataset_writer_options_t options = DATASET_WRITER_DEFAULTS;
    options.shard_max_bytes = 2;
    dataset_writer_t *w;
    ok(dataset_writer_open(&w, *state, &options));
    for (const char *key = "abcde"; *key; key++) ok(add_one(w, (char[]){*key, '\0'}, "", NULL));
    ok(dataset_writer_close(w));
    dataset_t *d;
    ok(dataset_open(&d, *state));
    assert_int_equal(dataset_n_shards(d), 3);
    assert_int_equal(dataset_shard_n_samples(d, 2), 1);
    dataset_close(d);
    char *gone = format("%s/base/shard-00001.h5", (char *)*state);
    unlink(gone);
    assert_fails(dataset_open(&d, *state), LENS_FORMAT, "shard-00001.h5 is missing");
    free(gone);
}

static void refuses_what_is_no_dataset(void **state) {
    dataset_t *d;
    assert_fails(dataset_open(&d, "/nonexistent/x"), LENS_IO, "no such folder");
    assert_fails(dataset_open(&d, *state), LENS_IO, "no dataset");
    char *base = format("%s/base", (char *)*state), *file = format("%s/shard-1.h5", base);
    ok(dir_make(base));
    ok(file_write(file, "x", 1));
    assert_fails(dataset_open(&d, *state), LENS_FORMAT, "no name of a shard");
    free(base);
    free(file);
}

/* Same samples, same bytes. */
static void is_deterministic(void **state) {
    char *a = format("%s/a", (char *)*state), *b = format("%s/b", (char *)*state);
    write_base(a, "key");
    write_base(b, "key");
    for (int i = 0; i < 5; i++) {
        char *file_a = format("%s/base/shard-%05d.h5", a, i), *file_b = format("%s/base/shard-%05d.h5", b, i);
        char *bytes_a, *bytes_b;
        size_t n_a, n_b;
        ok(file_read(&bytes_a, &n_a, file_a, 1 << 24));
        ok(file_read(&bytes_b, &n_b, file_b, 1 << 24));
        assert_int_equal(n_a, n_b);
        assert_memory_equal(bytes_a, bytes_b, n_a);
        free(bytes_a);
        free(bytes_b);
        free(file_a);
        free(file_b);
    }
    free(a);
    free(b);
}

/* Pictures are told by their content; the level of texts changes the file, not the texts. */
static void jpeg_and_levels(void **state) {
    char *a = format("%s/a", (char *)*state), *path = format("%s/base/shard-00000.h5", a);
    image_t im;
    str_t pictures[2] = {{0}, {0}}, text = {0};
    picture_gradient(&im, 40, 30);
    picture_jpeg(&pictures[0], &im, (picture_jpeg_t){.file_space = JCS_YCbCr});
    ok(image_encode_webp(&pictures[1], &im, 80, false));
    image_free(&im);
    dataset_writer_options_t options = DATASET_WRITER_DEFAULTS;
    options.zstd_level = 19;
    dataset_writer_t *w;
    ok(dataset_writer_open(&w, a, &options));
    for (int i = 0; i < 2; i++)
        ok(dataset_writer_add(w, &(sample_t){.key = i ? "webp" : "jpeg",
                                             .picture = pictures[i].s,
                                             .picture_bytes = pictures[i].len,
                                             .width = 40,
                                             .height = 30,
                                             .original_width = 40,
                                             .original_height = 30,
                                             .alt = "alt"}));
    ok(dataset_writer_close(w));
    dataset_t *d;
    ok(dataset_open(&d, a));
    for (int i = 0; i < 2; i++) {
        ok(dataset_image(d, i, &text));
        assert_memory_equal(text.s, pictures[i].s, text.len);
        assert_string_equal(picture_mime(text.s, text.len), i ? "image/webp" : "image/jpeg");
        assert_string_equal(picture_extension(text.s, text.len), i ? "webp" : "jpg");
    }
    assert_null(picture_mime("GIF89a", 6));
    str_t faults = {0};
    int64_t n_faults;
    ok(shard_verify(path, SHARD_VERIFY_PICTURES, &faults, &n_faults));
    assert_int_equal(n_faults, 0);
    layer_writer_t *l;
    ok(layer_writer_open(&l, d, 0, a, "dense", NULL));
    assert_fails(layer_writer_set_level(l, 20), LENS_ARGUMENT, "zstd level 20");
    ok(layer_writer_set_level(l, 1));
    ok(layer_writer_add(l, "one", NULL));
    assert_fails(layer_writer_set_level(l, 2), LENS_STATE, "after the first");
    ok(layer_writer_add(l, "two", NULL));
    ok(layer_writer_close(l));
    dataset_close(d);
    str_free(&faults);
    str_free(&pictures[0]);
    str_free(&pictures[1]);
    str_free(&text);
    free(a);
    free(path);
}

typedef struct {
    const dataset_t *d;
    int start, n_wrong;
} reader_t;

static void *read_all(void *p) {
    reader_t *r = p;
    str_t text = {0};
    for (int k = 0; k < 40 * N; k++) {
        int i = (r->start + k * 7) % N;
        char *alt = alt_of(i), picture[1000];
        size_t n = picture_of(i, picture);
        if (dataset_caption(r->d, i, "alt", &text) != LENS_OK || strcmp(text.s, alt) != 0) r->n_wrong++;
        if (dataset_image(r->d, i, &text) != LENS_OK || text.len != n || memcmp(text.s, picture, n) != 0) r->n_wrong++;
        free(alt);
    }
    str_free(&text);
    return NULL;
}

static void many_threads_read(void **state) {
    write_base(*state, "key");
    dataset_t *d;
    ok(dataset_open(&d, *state));
    pthread_t threads[4];
    reader_t readers[4];
    for (int i = 0; i < 4; i++) {
        readers[i] = (reader_t){d, i * 5, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, &readers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(readers[i].n_wrong, 0);
    }
    dataset_close(d);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(reads_back),
        TEST(has_layers),
        TEST(layers_elsewhere),
        TEST(incomplete_layer_is_not_published),
        TEST(refuses_bad_samples),
        TEST(bounds_shards_by_bytes),
        TEST(refuses_what_is_no_dataset),
        TEST(is_deterministic),
        TEST(jpeg_and_levels),
        TEST(many_threads_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
