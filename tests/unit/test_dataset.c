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
                      .webp = picture,
                      .webp_bytes = picture_of(i, picture),
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_back, setup, teardown),
    };
    (void)write_layer;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
