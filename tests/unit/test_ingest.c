/* The whole way from folders to shards, and back through the reader. */
#include "tests/unit/picture.h"

#include <unistd.h>

#include "base/file.h"
#include "data/ingest.h"

static char test_dir[64];

static const char *test_path(const char *name) {
    static char paths[2][256];
    static int turn;
    char *path = paths[turn = !turn];
    snprintf(path, sizeof paths[0], "%s/%s", test_dir, name);
    return path;
}

static void put(const char *name, const void *bytes, size_t n) {
    assert_int_equal(file_write(test_path(name), bytes, n), LENS_OK);
}

/* in/: b upright by EXIF, c with a text, d cut short, e of the same key twice, f of several formats. */
static int setup(void **state) {
    (void)state;
    snprintf(test_dir, sizeof test_dir, "/tmp/lens-test-XXXXXX");
    assert_non_null(mkdtemp(test_dir));
    assert_int_equal(dir_make(test_path("in")), LENS_OK);
    image_t im;
    str_t jpeg = {0}, webp = {0}, png = {0};
    picture_gradient(&im, 90, 60);
    picture_jpeg(&jpeg, &im, (picture_jpeg_t){.file_space = JCS_YCbCr, .orientation = 6});
    assert_int_equal(image_encode_webp(&webp, &im, 80, false), LENS_OK);
    image_free(&im);
    picture_gradient(&im, 20, 10);
    assert_int_equal(image_encode_png(&png, &im), LENS_OK);
    put("in/b_turned.jpg", jpeg.s, jpeg.len);
    put("in/c.webp", webp.s, webp.len);
    put("in/c.txt", "a gradient", 10);
    put("in/c.json", "{\"url\":\"u\"}", 11);
    put("in/d.jpg", jpeg.s, jpeg.len / 2);
    put("in/e.jpg", jpeg.s, jpeg.len);
    put("in/e.png", png.s, png.len);
    for (int i = 0; i < 60; i++) {
        char name[32];
        snprintf(name, sizeof name, "in/f%02d.x", i);
        str_t *file = i % 3 == 0 ? &jpeg : i % 3 == 1 ? &webp : &png;
        put(name, file->s, file->len);
    }
    image_free(&im);
    str_free(&jpeg);
    str_free(&webp);
    str_free(&png);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    return dir_remove(test_dir) == LENS_OK ? 0 : -1;
}

static ingest_report_t ingest_to(const char *out, int n_threads, int32_t max_side_px, bool prefix_keys) {
    char in[256];
    snprintf(in, sizeof in, "%s/in/", test_dir);
    char *sources[] = {in};
    const ingest_options_t options = {.sources = sources,
                                      .n_sources = 1,
                                      .out = test_path(out),
                                      .quality = 90,
                                      .max_side_px = max_side_px,
                                      .prefix_keys = prefix_keys,
                                      .n_threads = n_threads,
                                      .memory_bytes = 256 << 20,
                                      .unit_samples = n_threads == 1 ? 7 : 1000,
                                      .zstd_level = 3,
                                      .shard_max_samples = 25,
                                      .shard_max_bytes = 1 << 30};
    ingest_report_t report;
    comm_t *comm;
    assert_int_equal(comm_init(&comm), LENS_OK);
    lens_status st = ingest(&report, &options, comm);
    comm_free(comm);
    filter_chain_free(report.filters); /* the counts are what is asked for */
    report.filters = NULL;
    if (st != LENS_OK) fail_msg("%s", lens_error());
    return report;
}

static void test_samples(void **state) {
    (void)state;
    ingest_report_t r = ingest_to("out", 2, 45, false);
    assert_int_equal(r.n_accepted, 63);
    assert_int_equal(r.n_shards, 3);
    assert_int_equal(r.n_rejected[REJECT_DECODE], 1);
    assert_int_equal(r.n_rejected[REJECT_DUPLICATE], 1);
    assert_int_equal(ingest_n_rejected(&r), 2);
    assert_int_equal(r.n_shrunk, 43);

    dataset_t *d;
    str_t text = {0};
    sample_info_t info;
    assert_int_equal(dataset_open(&d, test_path("out")), LENS_OK);
    assert_int_equal(dataset_n_samples(d), 63);
    const char *const keys[] = {"b_turned", "c", "e", "f00"}, *const alts[] = {"b turned", "a gradient", "e", "f00"};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(dataset_key(d, i, &text), LENS_OK);
        assert_string_equal(text.s, keys[i]);
        assert_int_equal(dataset_caption(d, i, "alt", &text), LENS_OK);
        assert_string_equal(text.s, alts[i]);
        assert_int_equal(dataset_info(d, i, &info), LENS_OK);
        assert_int_equal(info.original_width, i == 1 ? 90 : 60); /* JPEGs are turned by their EXIF */
        assert_int_equal(info.original_height, i == 1 ? 60 : 90);
        assert_int_equal(info.width, i == 1 ? 45 : 30);
        assert_int_equal(info.height, i == 1 ? 30 : 45);
    }
    assert_int_equal(dataset_meta(d, 1, &text), LENS_OK);
    assert_ptr_equal(strstr(text.s, "{\"url\":\"u\",\"lens\":{\"blur\":"), text.s);
    image_t im, expected, small;
    assert_int_equal(dataset_image(d, 1, &text), LENS_OK);
    assert_int_equal(image_decode(&im, (uint8_t *)text.s, text.len), LENS_OK);
    picture_gradient(&expected, 90, 60);
    assert_int_equal(image_resize(&small, &expected, 45, 30), LENS_OK);
    for (size_t i = 0; i < 45 * 30 * 3; i++) assert_in_range(im.rgb[i] + 20 - small.rgb[i], 0, 40);
    image_free(&im);
    image_free(&expected);
    image_free(&small);
    str_free(&text);
    dataset_close(d);
}

static void test_threads_change_nothing(void **state) {
    (void)state;
    ingest_report_t one = ingest_to("one", 1, 0, true);
    sleep(1); /* nor does the clock, whose finest time in HDF5 is a second */
    ingest_report_t five = ingest_to("five", 5, 0, true);
    assert_int_equal(one.n_accepted, five.n_accepted);
    assert_int_equal(one.n_shards, five.n_shards);
    const char *const names[] = {"base/shard-00000.h5", "base/shard-00001.h5", "base/shard-00002.h5", "rejects.jsonl"};
    for (int i = 0; i < 4; i++) {
        char path[64], *a, *b;
        size_t n_a, n_b;
        snprintf(path, sizeof path, "one/%s", names[i]);
        assert_int_equal(file_read(&a, &n_a, test_path(path), 1 << 24), LENS_OK);
        snprintf(path, sizeof path, "five/%s", names[i]);
        assert_int_equal(file_read(&b, &n_b, test_path(path), 1 << 24), LENS_OK);
        assert_int_equal(n_a, n_b);
        assert_memory_equal(a, b, n_a);
        free(a);
        free(b);
    }
    dataset_t *d;
    str_t key = {0};
    assert_int_equal(dataset_open(&d, test_path("one")), LENS_OK);
    assert_int_equal(dataset_key(d, 0, &key), LENS_OK);
    assert_string_equal(key.s, "in/b_turned");
    str_free(&key);
    dataset_close(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_samples, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads_change_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
