/* Folders and tars as sources: what is found, in which order, with which texts, and what is left out and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/source_files.h"

/* ---- names ---- */

static void test_names(void **state) {
    (void)state;
    const char *const cases[][2] = {
        {"red_car", "red car"},
        {"red-car__in.rain", "red car in rain"},
        {"redCarInRain", "red Car In Rain"},
        {"red_car_007", "red car"},
        {"red_car_20240131_01", "red car"},
        {"boeing-747", "boeing 747"},
        {"cat (2)", "cat"},
        {"000000012", ""},
        {"_-_", ""},
        {"", ""},
        {"IMG_0001", "IMG"},
        {"caf\xc3\xa9", "caf\xc3\xa9"},
        {"route 66", "route 66"},
        {"007 james", "007 james"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        str_t out = {0};
        str_add(&out, "|");
        source_text_from_name(&out, cases[i][0], strlen(cases[i][0]));
        assert_string_equal(out.s + 1, cases[i][1]);
        str_free(&out);
    }
}

/* ---- folders ---- */

static void test_folder(void **state) {
    (void)state;
    put_text("in/b/deep/last.one.png", PNG);
    put_text("in/b/no-extension", JPEG);
    put_text("in/a/red_car.jpg", JPEG);
    put_text("in/a/red_car.txt", "  a red car\r\n");
    put_text("in/a/with_json.jpg", JPEG);
    put_text("in/a/with_json.json", "{\"caption\": \"from json\", \"url\": \"u\", \"n\": 1}");
    put_text("in/.hidden/x.jpg", JPEG);
    put_text("in/a/._x.jpg", JPEG);
    put_text("in/a/notes.md", "no picture, and not called so");
    put_text("in/a/broken.jpg", "not a picture");
    put_text("in/a/empty.png", "");
    put_text("in/00000.tar", "x");
    put_text("in/wrong_name.pdf", JPEG); /* the content decides */
    assert_int_equal(symlink("..", test_path("in/z_loop")), 0);
    assert_int_equal(symlink("nowhere", test_path("in/z_nowhere.jpg")), 0);
    ASSERT_YIELDS(
        test_path("in"),
        {
            {.key = "00000.tar", .reject = REJECT_NO_PICTURE, .reason = "source of its own"},
            {.key = "a/broken.jpg", .reject = REJECT_NO_PICTURE, .reason = "broken.jpg: not a JPEG, PNG or WebP"},
            {.key = "a/empty.png", .reject = REJECT_NO_PICTURE, .reason = "not a JPEG"},
            {.key = "a/red_car", .alt = "a red car"},
            {.key = "a/with_json", .alt = "from json", .meta = "{\"url\":\"u\",\"n\":1}"},
            {.key = "b/deep/last.one", .alt = "last one"},
            {.key = "b/no-extension", .alt = "no extension"},
            {.key = "wrong_name", .alt = "wrong name"},
            {.key = "z_loop", .reject = REJECT_UNREADABLE, .reason = "link to a folder"},
            {.key = "z_nowhere.jpg", .reject = REJECT_UNREADABLE, .reason = "No such file"},
        });
}

static void test_folder_texts(void **state) {
    (void)state;
    put_text("in/a.jpg", JPEG);
    put_text("in/a.txt", "caf\xe9 \xc3\xa9");
    put_text("in/b_name.jpg", JPEG);
    put_text("in/b_name.json", "{\"width\": NaN, \"x\": [-Infinity, \"NaN \\\"NaN\"], \"caption\": null}");
    put_text("in/c.jpg", JPEG);
    put_text("in/c.json", "{\"caption\": \"a\\u0000b \xff\"}");
    put_text("in/d.jpg", JPEG);
    put_text("in/d.json", "{\"caption\": \"x\"");
    put_text("in/e.jpg", JPEG);
    put_text("in/e.json", "[1]");
    put_text("in/f.jpg", JPEG);
    put_text("in/f.txt", "\xef\xbb\xbfshort");
    put_text("in/f.json", "{\"text\": \"another\", \"k\": 0.5}");
    put_text("in/g_g.jpg", JPEG);
    put_text("in/g_g.txt", " \n");
    put_text("in/h\x01\xff.jpg", JPEG);
    put_text("in/i.jpg", JPEG);
    char *large = calloc(1, SOURCE_TEXT_MAX_BYTES + 1);
    assert_non_null(large);
    put("in/i.txt", large, SOURCE_TEXT_MAX_BYTES + 1);
    free(large);
    ASSERT_YIELDS(test_path("in"),
                  {
                      {.key = "a", .alt = "caf\xef\xbf\xbd \xc3\xa9", .repaired = true},
                      {.key = "b_name",
                       .alt = "b name",
                       .meta = "{\"width\":null,\"x\":[null,\"NaN \\\"NaN\"],\"caption\":null}"},
                      {.key = "c",
                       .alt = "a\xef\xbf\xbd"
                              "b \xef\xbf\xbd",
                       .repaired = true},
                      {.key = "d", .reject = REJECT_TEXT, .reason = "json: line 1"},
                      {.key = "e", .reject = REJECT_TEXT, .reason = "expected an object"},
                      {.key = "f", .alt = "short", .meta = "{\"text\":\"another\",\"k\":0.5}"},
                      {.key = "g_g", .alt = ""},
                      {.key = "h\xef\xbf\xbd\xef\xbf\xbd", .alt = "h\xef\xbf\xbd\xef\xbf\xbd", .repaired = true},
                      {.key = "i", .reject = REJECT_TEXT, .reason = "1048576"},
                  });
}

static void test_missing(void **state) {
    (void)state;
    source_t *source;
    assert_int_equal(source_check(test_path("nowhere")), LENS_IO);
    assert_int_equal(source_open(&source, test_path("nowhere")), LENS_IO);
    assert_non_null(strstr(lens_error(), "no such file or folder"));
    assert_null(source);
}

/* ---- tars ---- */

static void test_tar(void **state) {
    (void)state;
    const int filters[] = {0, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_ZSTD};
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        PUT_TAR("set.tar", filters[i],
                {
                    {"./d", NULL},
                    {"./d/000.jpg", JPEG},
                    {"./d/000.TXT", "zero"},
                    {"./d/000.json", "{\"caption\":\"zero\",\"url\":\"u\"}"},
                    {"./d/000.cls", "7"},
                    {"red_car.left.png", PNG},
                    {"red_car.jpg", JPEG},
                    {"red_car.right.png", PNG},
                    {"._red_car.jpg", JPEG},
                    {"sole.image.png", PNG},
                    {"two.jpg", JPEG},
                    {"two.png", PNG},
                    {"text.txt", "no picture"},
                    {"gif.gif", "GIF89a"},
                    {"texts.jpg", JPEG},
                    {"texts.txt", "one"},
                    {"texts.txt", "two"},
                    {"caf\xc3\xa9_noir.jpg", JPEG},
                    {"bare", JPEG},
                });
        ASSERT_YIELDS(test_path("set.tar"),
                      {
                          {.key = "d/000", .alt = "zero", .meta = "{\"url\":\"u\"}"},
                          {.key = "red_car", .alt = "red car"},
                          {.key = "sole", .alt = "sole"},
                          {.key = "two", .reject = REJECT_AMBIGUOUS, .reason = "2 pictures"},
                          {.key = "text", .reject = REJECT_NO_PICTURE, .reason = "no picture among"},
                          {.key = "gif", .reject = REJECT_NO_PICTURE, .reason = ".gif is not a JPEG"},
                          {.key = "texts", .reject = REJECT_TEXT, .reason = "two members"},
                          {.key = "caf\xc3\xa9_noir", .alt = "caf\xc3\xa9 noir"},
                          {.key = "bare", .alt = "bare"},
                      });
    }
}

/* img2dataset's way: a tar with its table and its report beside it; failed rows are a .json alone. */
static void test_img2dataset(void **state) {
    (void)state;
    assert_int_equal(dir_make(test_path("out")), LENS_OK);
    PUT_TAR("out/00000.tar", 0,
            {
                {"000000000.jpg", JPEG},
                {"000000000.json",
                 "{\"url\": \"http://a\", \"caption\": \"one\", \"key\": \"000000000\", \"status\": \"success\", "
                 "\"error_message\": null, \"width\": 4, \"height\": 3, \"exif\": \"{}\", \"punsafe\": 0.5, "
                 "\"hash\": 12345678901234567890, \"similarity\": NaN}"},
                {"000000000.txt", "one"},
                {"000000001.json", "{\"status\": \"failed_to_download\", \"error_message\": \"HTTP Error 404\"}"},
                {"000000001.txt", "two"},
                {"000000002.json", "{\"status\": \"success\"}"},
                {"000000003.json", "{\"status\": \"failed_to_resize\", \"error_message\": null}"},
            });
    ASSERT_YIELDS(test_path("out/00000.tar"),
                  {
                      {.key = "000000000",
                       .alt = "one",
                       .meta = "{\"url\":\"http://a\",\"key\":\"000000000\",\"status\":\"success\","
                               "\"error_message\":null,\"width\":4,\"height\":3,\"exif\":\"{}\",\"punsafe\":0.5,"
                               "\"hash\":\"12345678901234567890\",\"similarity\":null}"},
                      {.key = "000000001", .reject = REJECT_FAILED, .reason = "failed_to_download: HTTP Error 404"},
                      {.key = "000000002", .reject = REJECT_NO_PICTURE, .reason = "no picture among"},
                      {.key = "000000003", .reject = REJECT_FAILED, .reason = "failed_to_resize"},
                  });
    put_text("out/00000.parquet", "PAR1");
    put_text("out/00000_stats.json", "{\"count\": 4, \"status_dict\": {\"success\": 1}}");
    put_text("out/d/1.jpg", JPEG);
    put_text("out/d/1.json", "{\"status\": \"success\", \"caption\": \"one\"}");
    put_text("out/d/1.JSON.txt", "no sidecar");
    put_text("out/d/2.json", "{\"status\": \"failed_to_download\", \"error_message\": \"timeout\"}");
    put_text("out/d/3.json", "not JSON, and nothing to us");
    put_text("out/d/4.PNG", PNG);
    put_text("out/d/4.TXT", "four");
    put_text("out/d/5.jpg", JPEG);
    put_text("out/d/5.x.json", "{\"status\": \"failed\"}");
    ASSERT_YIELDS(test_path("out"),
                  {
                      {.key = "00000.tar", .reject = REJECT_NO_PICTURE, .reason = "source of its own"},
                      {.key = "d/1", .alt = "one", .meta = "{\"status\":\"success\"}"},
                      {.key = "d/2", .reject = REJECT_FAILED, .reason = "failed_to_download: timeout"},
                      {.key = "d/4", .alt = "four"},
                      {.key = "d/5", .alt = ""},
                      {.key = "d/5.x", .reject = REJECT_FAILED, .reason = "failed"},
                  });
}

/* What Python writes for a half of a surrogate pair, and columns that the options name. */
static void test_columns(void **state) {
    (void)state;
    put_text("in/a.jpg", JPEG);
    put_text("in/a.json", "{\"caption\": \"half \\ud83d, whole \\ud83d\\ude00\", \"uid\": 17}");
    put_text("in/b.jpg", JPEG);
    put_text("in/b.txt", "from txt");
    put_text("in/b.json", "{\"top_caption\": \"top\", \"uid\": \"b-1\"}");
    put_text("in/c.jpg", JPEG);
    put_text("in/c.json", "{\"uid\": 0.5}");
    const char *half = "half \xef\xbf\xbd, whole \xf0\x9f\x98\x80";
    ASSERT_YIELDS(test_path("in"),
                  {
                      {.key = "a", .alt = half, .meta = "{\"uid\":17}", .repaired = true},
                      {.key = "b", .alt = "from txt", .meta = "{\"top_caption\":\"top\",\"uid\":\"b-1\"}"},
                      {.key = "c", .alt = "c", .meta = "{\"uid\":0.5}"},
                  });
    const source_options_t options = {.caption_column = "top_caption", .key_column = "uid"};
    ASSERT_YIELDS_WITH(test_path("in"), &options,
                       {
                           {.key = "17",
                            .alt = "a",
                            .meta = "{\"caption\":\"half \xef\xbf\xbd, whole \xf0\x9f\x98\x80\"}",
                            .repaired = true},
                           {.key = "b-1", .alt = "top"},
                           {.key = "c", .reject = REJECT_TEXT, .reason = "uid"},
                       });
}

/* Cut around the end of every block, a tar gives the samples before the cut, says that it was cut, and nothing else. */
static void test_tar_cut_short(void **state) {
    (void)state;
    PUT_TAR("whole.tar", 0, {{"a.jpg", JPEG}, {"a.txt", "first"}, {"b.jpg", JPEG}, {"b.txt", "second"}});
    char *bytes;
    size_t n;
    assert_int_equal(file_read(&bytes, &n, test_path("whole.tar"), 1 << 20), LENS_OK);
    source_t *source;
    raw_sample_t raw = {0};
    /* Four members of 1024 bytes; a is known to be whole when the header of b was read. */
    for (size_t cut = 0; cut <= 4096 + 512; cut += cut % 512 == 511 ? 1 : cut % 512 == 0 ? 1 : 510) {
        put("cut.tar", bytes, cut);
        assert_int_equal(source_open(&source, test_path("cut.tar")), LENS_OK);
        size_t n_samples = 0, n_cuts = 0;
        while (source_next(source, &raw) == LENS_OK) {
            assert_int_equal(n_cuts, 0); /* the last thing before the end */
            if (raw.reject == REJECT_CUT_SHORT) {
                assert_non_null(strstr(raw.reason.s, "cut.tar: "));
                n_cuts++;
            } else {
                assert_int_equal(raw.reject, REJECT_NONE);
                assert_string_equal(raw.alt.s, n_samples == 0 ? "first" : "second");
                n_samples++;
            }
        }
        source_close(source);
        /* One block of zeros is enough of an end. */
        bool whole = cut >= 4096 + 512;
        assert_int_equal(n_cuts, !whole);
        if (n_samples != (size_t)(whole ? 2 : cut >= 2048 + 512 ? 1 : 0))
            fail_msg("%zu samples from %zu bytes", n_samples, cut);
    }
    raw_sample_free(&raw);
    free(bytes);
}

static void test_tar_damaged(void **state) {
    (void)state;
    put_text("no.tar", "this is no tar at all, though it is long enough to be asked for more than one magic number");
    put_text("empty.tar", "");
    ASSERT_YIELDS(test_path("no.tar"), {{.key = "", .reject = REJECT_CUT_SHORT, .reason = "no.tar: "}});
    ASSERT_YIELDS(test_path("empty.tar"), {{.key = "", .reject = REJECT_CUT_SHORT, .reason = "after 0 bytes"}});
    PUT_TAR("whole.tar", 0, {{"a.jpg", JPEG}, {"b.jpg", JPEG}});
    char *bytes;
    size_t n;
    assert_int_equal(file_read(&bytes, &n, test_path("whole.tar"), 1 << 20), LENS_OK);
    bytes[1024 + 20] ^= 0x55; /* in the header of b */
    put("damaged.tar", bytes, n);
    free(bytes);
    ASSERT_YIELDS(test_path("damaged.tar"), {{.key = "a", .reject = REJECT_CUT_SHORT, .reason = "0 whole samples"}});
}

/* Every other byte of the members changed: nothing crashes or hangs, and what is yielded is whole. */
static void test_tar_hostile(void **state) {
    (void)state;
    PUT_TAR("whole.tar", 0,
            {{"a.jpg", JPEG}, {"a.json", "{\"caption\":\"first\"}"}, {"b.txt", "second"}, {"b.jpg", JPEG}});
    char *bytes;
    size_t n, n_samples = 0, n_rejects = 0;
    assert_int_equal(file_read(&bytes, &n, test_path("whole.tar"), 1 << 20), LENS_OK);
    raw_sample_t raw = {0};
    put("changed.tar", bytes, n);
    int fd = open(test_path("changed.tar"), O_WRONLY);
    assert_true(fd >= 0);
    for (size_t i = 0; i < 4096; i += 2) {
        const char kept = bytes[i], changed[] = {(char)(kept ^ 1), (char)0xFF, '7'};
        assert_int_equal(pwrite(fd, &changed[i / 2 % 3], 1, (off_t)i), 1);
        source_t *source;
        size_t n_yielded = 0;
        assert_int_equal(source_open(&source, test_path("changed.tar")), LENS_OK);
        while (source_next(source, &raw) == LENS_OK) {
            assert_true(++n_yielded <= 5);
            n_rejects += raw.reject != REJECT_NONE;
            n_samples += raw.reject == REJECT_NONE;
            assert_true(raw.reject == REJECT_NONE ? raw.image.len > 0 && raw.meta.s[0] == '{' : raw.reason.len > 0);
        }
        source_close(source);
        assert_int_equal(pwrite(fd, &kept, 1, (off_t)i), 1);
    }
    close(fd);
    assert_true(n_samples > 2048 && n_rejects > 500);
    raw_sample_free(&raw);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test_setup_teardown(test_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_img2dataset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_columns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tar, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tar_cut_short, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tar_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tar_hostile, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
