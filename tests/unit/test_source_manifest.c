/* Manifests: which rows become samples, with which texts, and which are refused and why. */
#include <unistd.h>

#include "tests/unit/source_files.h"

static void assert_refused(const char *name, const char *text, const source_options_t *options, lens_status status,
                           const char *message) {
    source_units_t *units;
    put_text(name, text);
    char *paths[] = {(char *)test_path(name)};
    assert_int_equal(source_units_open_with(&units, paths, 1, 10, options), status);
    assert_null(units);
    if (!strstr(lens_error(), message)) fail_msg("'%s' lacks '%s'", lens_error(), message);
}

static int setup_pictures(void **state) {
    if (setup(state) != 0) return -1;
    put_text("set/a/red_car.jpg", JPEG);
    put_text("set/b c.png", PNG);
    put_text("set/7.jpg", JPEG);
    put_text("set/none.jpg", "no picture");
    return dir_make(test_path("set/folder.jpg")) == LENS_OK ? 0 : -1;
}

static void test_jsonl(void **state) {
    (void)state;
    str_t text = {0};
    str_add(&text, "\xef\xbb\xbf{\"path\": \"a/red_car.jpg\", \"url\": \"http://x\", \"punsafe\": 0.25}\r\n");
    str_add(&text, "\n{\"file_name\": \"b c.png\", \"text\": \" two \", \"key\": \"k/2\", \"width\": 5}\n");
    str_addf(&text, "{\"image\": \"file://%s\", \"key\": 12, \"id\": 12345678901234567890}\n",
             test_path("set/b%20c.png"));
    str_add(&text,
            "{\"path\": \"gone.jpg\"}\n[1]\n{\"path\": 3}\n{\"caption\": \"c\"}\n{\"path\": \"https://x/y.jpg\"}\n");
    str_add(&text,
            "{\"path\": \"none.jpg\"}\n{\"path\": \"folder.jpg\"}\n{\"url\": \"http://x\"}\n{\"path\": \"7.jpg\"}");
    put_text("set/set.jsonl", text.s);
    str_free(&text);
    ASSERT_YIELDS(test_path("set/set.jsonl"),
                  {
                      {.key = "a/red_car", .alt = "red car", .meta = "{\"url\":\"http://x\",\"punsafe\":0.25}"},
                      {.key = "k/2", .alt = "two", .meta = "{\"width\":5}"},
                      {.key = "12", .alt = "b c", .meta = "{\"id\":\"12345678901234567890\"}"},
                      {.key = "gone", .reject = REJECT_MISSING, .reason = "set.jsonl: line 5: "},
                      {.key = "", .reject = REJECT_ROW, .reason = "line 6: json: expected an object"},
                      {.key = "3", .reject = REJECT_MISSING, .reason = "set/3: No such file"},
                      {.key = "", .reject = REJECT_ROW, .reason = "line 8: no picture's path"},
                      {.key = "", .reject = REJECT_ROW, .reason = "https://x/y.jpg: a URL: download first"},
                      {.key = "none", .reject = REJECT_NO_PICTURE, .reason = "line 10: "},
                      {.key = "folder", .reject = REJECT_UNREADABLE, .reason = "not a regular file"},
                      {.key = "", .reject = REJECT_ROW, .reason = "line 12: no picture's path, but a URL"},
                      {.key = "7", .alt = ""},
                  });
}

static void test_csv(void **state) {
    (void)state;
    const char *text = "file,caption,score,name,empty\r\n"
                       "a/red_car.jpg,\"a \"\"red\"\" car,\nparked\",0.5,007,\r\n"
                       "b c.png, spaced ,-3,1e2,\"\"\n"
                       "\n"
                       "7.jpg,x,1,2\n"
                       "7.jpg,bare \" quote,1,2,3\n"
                       "7.jpg,\"after\" quote,1,2,3\n"
                       "7.jpg,caf\xe9,nan,9007199254740993,\"12345678901234567890\"\n"
                       "7.jpg,\"not closed,1,2,3\n"
                       "7,8,9,0,1\n";
    const char *const meta = "{\"score\":\"nan\",\"name\":9007199254740993,\"empty\":\"12345678901234567890\"}";
    const expected_t expected[] = {
        {.key = "a/red_car", .alt = "a \"red\" car,\nparked", .meta = "{\"score\":0.5,\"name\":\"007\"}"},
        {.key = "b c", .alt = "spaced", .meta = "{\"score\":-3,\"name\":100.0}"},
        {.key = "", .reject = REJECT_ROW, .reason = "line 6: expected 5 fields, got 4"},
        {.key = "", .reject = REJECT_ROW, .reason = "line 7: a quote inside of a field"},
        {.key = "", .reject = REJECT_ROW, .reason = "line 8: text after a closing quote"},
        {.key = "7", .alt = "caf\xef\xbf\xbd", .meta = meta, .repaired = true},
        {.key = "", .reject = REJECT_ROW, .reason = "line 10: a quote is not closed"},
        {.key = "7", .reject = REJECT_MISSING, .reason = "line 11: "},
    };
    put_text("set/SET.CSV", text);
    assert_yields(test_path("set/SET.CSV"), NULL, expected, sizeof expected / sizeof expected[0]);
}

static void test_tsv(void **state) {
    (void)state;
    put_text("set/set.tsv", "TEXT\timage\tpwatermark\n"
                            "\"quoted\"\ta/red_car.jpg\t0.1\n"
                            "\tb c.png\t\n"
                            "one\t./7.jpg\n");
    ASSERT_YIELDS(test_path("set/set.tsv"),
                  {
                      {.key = "a/red_car", .alt = "\"quoted\"", .meta = "{\"pwatermark\":0.10000000000000001}"},
                      {.key = "b c", .alt = "b c"},
                      {.key = "", .reject = REJECT_ROW, .reason = "line 4: expected 3 fields, got 2"},
                  });
    put_text("set/named.tsv", "picture\ttop\tuid\n./7.jpg\ttop text\tu7\n");
    const source_options_t options = {.picture_column = "picture", .caption_column = "top", .key_column = "uid"};
    ASSERT_YIELDS_WITH(test_path("set/named.tsv"), &options, {{.key = "u7", .alt = "top text"}});
}

static void put_packed(const char *name, int filter, const char *text, size_t n_kept) {
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    archive_write_set_format_raw(a);
    archive_write_add_filter(a, filter);
    assert_int_equal(archive_write_open_filename(a, test_path(name)), ARCHIVE_OK);
    archive_entry_set_filetype(e, AE_IFREG);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, text, strlen(text)), strlen(text));
    archive_entry_free(e);
    archive_write_close(a);
    archive_write_free(a);
    if (n_kept) assert_int_equal(truncate(test_path(name), (off_t)n_kept), 0);
}

static void test_packed(void **state) {
    (void)state;
    const char *text = "path\n7.jpg\n\"b c.png\"\n";
    put_packed("set/x.csv.gz", ARCHIVE_FILTER_GZIP, text, 0);
    put_packed("set/x.csv.zst", ARCHIVE_FILTER_ZSTD, text, 0);
    ASSERT_YIELDS(test_path("set/x.csv.gz"), {{.key = "7", .alt = ""}, {.key = "b c", .alt = "b c"}});
    ASSERT_YIELDS(test_path("set/x.csv.zst"), {{.key = "7", .alt = ""}, {.key = "b c", .alt = "b c"}});
    put_packed("set/cut.csv.gz", ARCHIVE_FILTER_GZIP, text, 20);
    char *paths[] = {(char *)test_path("set/cut.csv.gz")};
    source_units_t *units;
    assert_int_equal(source_units_open(&units, paths, 1, 10), LENS_FORMAT);
    assert_non_null(strstr(lens_error(), "cut.csv.gz: cannot unpack after"));
}

/* A line longer than the limit is one reject, wherever it stands in the buffer. */
static void test_long_lines(void **state) {
    (void)state;
    str_t text = {0};
    char *filler = malloc(3 * SOURCE_TEXT_MAX_BYTES);
    assert_non_null(filler);
    memset(filler, 'x', 3 * SOURCE_TEXT_MAX_BYTES);
    str_add(&text, "path,caption\n7.jpg,");
    str_add_n(&text, filler, 3 * SOURCE_TEXT_MAX_BYTES);
    str_add(&text, "\n7.jpg,one\n7.jpg,\"");
    str_add_n(&text, filler, SOURCE_TEXT_MAX_BYTES);
    str_add(&text, "\n7.jpg,two\n7.jpg,");
    str_add_n(&text, filler, SOURCE_TEXT_MAX_BYTES - 7);
    str_add(&text, "\n");
    put("set/long.csv", text.s, text.len);
    ASSERT_YIELDS(test_path("set/long.csv"),
                  {
                      {.key = "", .reject = REJECT_ROW, .reason = "line 2: longer than 1048576 bytes"},
                      {.key = "7", .alt = "one"},
                      {.key = "", .reject = REJECT_ROW, .reason = "line 4: longer than 1048576 bytes"},
                      {.key = "7", .alt = "two"},
                      {.key = "7", .alt = (filler[SOURCE_TEXT_MAX_BYTES - 7] = '\0', filler)},
                  });
    str_free(&text);
    free(filler);
}

static void test_refused(void **state) {
    (void)state;
    assert_refused("a.csv", "", NULL, LENS_FORMAT, "a.csv: empty");
    assert_refused("a.csv", "url,caption\nhttp://x,y\n", NULL, LENS_FORMAT, "line 1: URLs instead of files");
    assert_refused("a.csv", "image,caption\nhttp://x,y\n", NULL, LENS_FORMAT, "line 2: URLs instead of files");
    assert_refused("a.jsonl", "{\"url\": \"http://x\"}\n", NULL, LENS_FORMAT, "line 1: URLs instead of files");
    assert_refused("a.tsv", "caption\n", NULL, LENS_FORMAT, "no column for the picture");
    assert_refused("a.tsv", "path\tx\tx\n", NULL, LENS_FORMAT, "column x is there twice");
    assert_refused("a.tsv", "path\t\n", NULL, LENS_FORMAT, "column 2: expected a name");
    assert_refused("a.csv", "path,\"x\n", NULL, LENS_FORMAT, "line 1: a quote is not closed");
    assert_refused("a.csv", "path\n", &(source_options_t){.key_column = "uid"}, LENS_FORMAT, "no column uid");
    assert_refused("a.parquet", "PAR1", NULL, LENS_ARGUMENT, "Parquet is not read");
    source_t *source;
    assert_int_equal(mkfifo(test_path("pipe.tar"), 0600), 0);
    assert_int_equal(source_open(&source, test_path("pipe.tar")), LENS_ARGUMENT); /* and does not wait */
    assert_null(source);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_jsonl, setup_pictures, teardown),
        cmocka_unit_test_setup_teardown(test_csv, setup_pictures, teardown),
        cmocka_unit_test_setup_teardown(test_tsv, setup_pictures, teardown),
        cmocka_unit_test_setup_teardown(test_packed, setup_pictures, teardown),
        cmocka_unit_test_setup_teardown(test_long_lines, setup_pictures, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
