/* Units: whatever their size, one after the other they are the sources, rejects included. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/picture.h"
#include "tests/unit/source_files.h"

static const source_options_t cut_always = {.unit_bytes = 1};

static void dump(str_t *out, source_t *source) {
    raw_sample_t raw = {0};
    lens_status st;
    while ((st = source_next(source, &raw)) == LENS_OK) {
        str_addf(out, "%s|%s|%s|", str_text(&raw.key), reject_text(raw.reject), str_text(&raw.reason));
        if (raw.reject == REJECT_NONE)
            str_addf(out, "%s|%s|%d|%016llx", str_text(&raw.alt), str_text(&raw.meta), raw.repaired,
                     (unsigned long long)XXH3_64bits(raw.image.s, raw.image.len));
        str_add_char(out, '\n');
    }
    assert_int_equal(st, LENS_END);
    assert_int_equal(str_status(out), LENS_OK);
    raw_sample_free(&raw);
}

/* All units' samples, last unit read first. */
static void dump_units(str_t *out, char *const *paths, int n_paths, int64_t samples_per_unit, int64_t *n_units) {
    source_units_t *units;
    source_t *source;
    if (source_units_open_with(&units, paths, n_paths, samples_per_unit, &cut_always) != LENS_OK)
        fail_msg("%s", lens_error());
    *n_units = source_units_n(units);
    str_t *parts = calloc((size_t)*n_units, sizeof *parts);
    assert_non_null(parts);
    for (int64_t i = *n_units - 1; i >= 0; i--) {
        assert_int_equal(source_units_read(units, i, &source), LENS_OK);
        dump(&parts[i], source);
        source_close(source);
    }
    for (int64_t i = 0; i < *n_units; i++) {
        str_add(out, str_text(&parts[i]));
        str_free(&parts[i]);
    }
    free(parts);
    source_units_close(units);
}

/* n_samples: units when each holds one, -1: not checked. */
static void assert_units(char *const *paths, int n_paths, int64_t n_samples) {
    str_t whole = {0}, cut = {0};
    for (int i = 0; i < n_paths; i++) {
        source_t *source;
        assert_int_equal(source_open(&source, paths[i]), LENS_OK);
        dump(&whole, source);
        source_close(source);
    }
    const int64_t sizes[] = {1, 2, 3, 7, 1000, INT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int64_t n_units;
        str_clear(&cut);
        dump_units(&cut, paths, n_paths, sizes[i], &n_units);
        if (strcmp(str_text(&whole), str_text(&cut)) != 0)
            fail_msg("%s:\n%s\n%s", paths[0], str_text(&whole), str_text(&cut));
        if (n_samples >= 0 && sizes[i] >= 1000) assert_int_equal(n_units, n_paths);
        if (n_samples >= 0 && n_paths == 1 && sizes[i] < 1000)
            assert_int_equal(n_units, (n_samples + sizes[i] - 1) / sizes[i]);
    }
    str_free(&whole);
    str_free(&cut);
}

static void assert_file_units(const char *name, int64_t n_samples) {
    char *path = strdup(test_path(name));
    assert_units(&path, 1, n_samples);
    free(path);
}

static void test_folder(void **state) {
    (void)state;
    put_text("in/a/1.jpg", JPEG);
    put_text("in/a/1.txt", "one");
    put_text("in/a/1.json", "{\"n\": 1}");
    put_text("in/a/2.jpg", "broken");
    put_text("in/b.png", PNG);
    put_text("in/c.md", "nothing");
    put_text("in/d.json", "{\"status\": \"failed\"}");
    put_text("in/e.stats.json", "{}");
    put_text("in/f/g/h.jpg", JPEG);
    put_text("in/i.jpg", JPEG);
    assert_int_equal(symlink("..", test_path("in/z_loop")), 0);
    assert_file_units("in", 9);
    assert_int_equal(dir_make(test_path("empty")), LENS_OK);
    assert_int_equal(dir_make(test_path("set")), LENS_OK);
    PUT_TAR("set/x.tar", 0, {{"a.jpg", JPEG}, {"b.jpg", JPEG}});
    char *paths[] = {strdup(test_path("empty")), strdup(test_path("in")), strdup(test_path("set/x.tar"))};
    assert_units(paths, 3, 0);
    for (int i = 0; i < 3; i++) free(paths[i]);
}

/* Names that need the headers of each dialect; 17 samples. */
static void put_names(const char *name, int format, int filter) {
    char long_names[4][400];
    for (int i = 0; i < 4; i++) { /* too long for 100 bytes, for a prefix, for a part of it */
        const int lengths[] = {98, 120, 160, 280};
        memset(long_names[i], 'a' + i, sizeof long_names[i]);
        if (i == 2) long_names[i][80] = '/';
        snprintf(long_names[i] + lengths[i], 16, "_x.jpg");
    }
    bool ustar = format == ARCHIVE_FORMAT_TAR_USTAR;
    const member_t members[] = {
        {"./", NULL},
        {"./d/", NULL},
        {"./d/000.jpg", JPEG},
        {"./d/000.txt", "zero"},
        {"./d/001.json", "{\"status\": \"failed\"}"},
        {"002.txt", "two, without a picture"},
        {"003.jpg", JPEG},
        {"._003.jpg", JPEG},
        {"003.mask.png", PNG},
        {"dup.jpg", JPEG},
        {"other.JPG", JPEG},
        {"dup.jpg", PNG},
        {"dup.png", PNG},
        {"a.b.c.d.jpg", JPEG},
        {"a.c.png", PNG},
        {ustar ? "s0.jpg" : long_names[0], JPEG},
        {ustar ? "s1.jpg" : long_names[1], JPEG},
        {long_names[2], JPEG},
        {ustar ? "s3.jpg" : long_names[3], JPEG},
        {"caf\xc3\xa9.jpg", JPEG},
        {"big.jpg", JPEG},
        {"big.txt",
         "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456"},
        {"bare", JPEG},
        {"empty.jpg", ""},
        {"last.png", PNG},
    };
    put_tar(name, format, filter, members, sizeof members / sizeof members[0]);
}

static void test_tar(void **state) {
    (void)state;
    const int formats[] = {ARCHIVE_FORMAT_TAR_PAX_RESTRICTED, ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE,
                           ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FORMAT_TAR_GNUTAR};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        put_names("names.tar", formats[i], 0);
        assert_file_units("names.tar", 17);
    }
    put_names("names.tar.gz", ARCHIVE_FORMAT_TAR_GNUTAR, ARCHIVE_FILTER_GZIP);
    assert_file_units("names.tar.gz", 1);
}

/* A header of pax, of 512 bytes, its checksum made. */
static void add_header(str_t *tar, const char *name, char type, unsigned long long size) {
    char block[512] = {0}, number[16];
    snprintf(block, 100, "%s", name);
    memcpy(block + 100,
           "0000644\0"
           "0000000\0"
           "0000000\0",
           24);
    snprintf(number, sizeof number, "%011llo", size);
    memcpy(block + 124, number, 12);
    memcpy(block + 136, "00000000000", 12);
    block[156] = type;
    if (type == '1' || type == '2') memcpy(block + 157, "a.jpg", 5);
    memcpy(block + 257,
           "ustar\0"
           "00",
           8);
    unsigned sum = 8 * ' ';
    for (int i = 0; i < 512; i++) sum += i >= 148 && i < 156 ? 0 : (unsigned char)block[i];
    snprintf(block + 148, 8, "%06o", sum);
    block[155] = ' ';
    str_add_n(tar, block, 512);
}

static void add_member(str_t *tar, const char *name, char type, const char *body) {
    static const char zeros[512];
    add_header(tar, name, type, strlen(body));
    str_add(tar, body);
    str_add_n(tar, zeros, (512 - tar->len % 512) % 512);
}

/* What libarchive does not write: headers for all members, other kinds, names that two headers give. */
static void test_tar_kinds(void **state) {
    (void)state;
    static const char zeros[1024];
    const struct {
        char type;
        const char *body;
    } odd[] = {
        {'g', "30 comment=for all members...\n"},
        {'x', "19 path=second.jpg\n"},
        {'x', "13 size=1000\n"},
        {'x', "21 hdrcharset=BINARY\n"},
        {'x', "nonsense"},
        {'L', "long name.jpg"},
        {'K', "link"},
        {'V', ""},
        {'2', ""},
        {'1', ""},
        {'5', ""},
        {'7', JPEG},
        {'S', "sparse"},
        {'Z', JPEG},
        {'x', "22 path=caf\xe9 noir.jpg\n"},
        {'g', "22 path=for-all.jpg..\n"},
        {'x', "20 linkpath=b.jpg..\n"},
        {'N', "old"},
        {'5', "a folder with a body"},
    };
    const size_t n_odd = sizeof odd / sizeof odd[0];
    for (size_t i = 0; i < 2 * n_odd; i++) {
        str_t tar = {0};
        add_member(&tar, "a.jpg", '0', JPEG);
        add_member(&tar, "b.jpg", '\0', JPEG);
        add_member(&tar, i < n_odd ? "odd" : "odd.jpg", odd[i % n_odd].type, odd[i % n_odd].body);
        add_member(&tar, "b.txt", '0', "follows");
        add_member(&tar, "c.jpg", '0', JPEG);
        add_member(&tar, "d.jpg", '0', JPEG);
        str_add_n(&tar, zeros, sizeof zeros);
        add_member(&tar, "after-the-end.jpg", '0', JPEG);
        put("odd.tar", tar.s, tar.len);
        assert_file_units("odd.tar", -1);
        str_free(&tar);
    }
}

/* Sizes that no file has: the samples before them, and an end. */
static void test_tar_sizes(void **state) {
    (void)state;
    const struct {
        unsigned long long size;
        const char *pax;
    } huge[] = {{077777777777ULL, NULL},
                {1 << 20, NULL},
                {5, "28 size=9223372036854775807\n"},
                {5, "11 size=-1\n"},
                {5, "19 size=1000000000\n"},
                {5, "29 size=99999999999999999999\n"}};
    for (size_t i = 0; i < sizeof huge / sizeof huge[0]; i++) {
        str_t tar = {0};
        add_member(&tar, "a.jpg", '0', JPEG);
        add_member(&tar, "b.jpg", '0', JPEG);
        if (huge[i].pax) add_member(&tar, "pax", 'x', huge[i].pax);
        add_header(&tar, "c.jpg", '0', huge[i].size);
        str_add(&tar, JPEG);
        put("huge.tar", tar.s, tar.len);
        assert_file_units("huge.tar", -1);
        tar.s[tar.len - strlen(JPEG) - 512 + 124] = '\x80'; /* base 256 */
        put("huge.tar", tar.s, tar.len);
        assert_file_units("huge.tar", -1);
        str_free(&tar);
    }
}

static void test_tar_links(void **state) {
    (void)state;
    static const char zeros[1024];
    str_t tar = {0};
    add_member(&tar, "a.jpg", '0', JPEG);
    add_member(&tar, "b.jpg", '1', "");
    add_member(&tar, "c.jpg", '2', "");
    add_member(&tar, "c.txt", '0', "c");
    add_member(&tar, "d.txt", '2', "");
    add_member(&tar, "e.jpg", '0', JPEG);
    add_member(&tar, "f.1.jpg", '0', JPEG);
    add_member(&tar, "f.2.jpg", '0', JPEG);
    str_add_n(&tar, zeros, sizeof zeros);
    put("links.tar", tar.s, tar.len);
    str_free(&tar);
    ASSERT_YIELDS(test_path("links.tar"),
                  {
                      {.key = "a", .alt = "a"},
                      {.key = "b", .reject = REJECT_NO_PICTURE, .reason = ".jpg is a link: not followed"},
                      {.key = "c", .reject = REJECT_NO_PICTURE, .reason = ".jpg is a link: not followed"},
                      {.key = "e", .alt = "e"},
                      {.key = "f", .reject = REJECT_AMBIGUOUS, .reason = "2 pictures in one sample: expected 1 (a key"},
                  });
    assert_file_units("links.tar", 5);
}

/* Cut anywhere, and each byte of the headers changed: the units say what the whole says. */
static void test_tar_hostile(void **state) {
    (void)state;
    put_tar("whole.tar", ARCHIVE_FORMAT_TAR_GNUTAR, 0,
            (const member_t[]){{"a.jpg", JPEG}, {"a.txt", "first"}, {"b.jpg", JPEG}, {"c.jpg", PNG}}, 4);
    char *bytes;
    size_t n;
    assert_int_equal(file_read(&bytes, &n, test_path("whole.tar"), 1 << 20), LENS_OK);
    for (size_t kept = 0; kept < 4 * 1024 + 1024; kept += kept % 512 == 511 ? 1 : kept % 512 == 0 ? 1 : 510) {
        put("cut.tar", bytes, kept);
        assert_file_units("cut.tar", -1);
    }
    for (size_t i = 0; i < 4096; i += (i / 512) % 2 ? 128 : 11) {
        const char was = bytes[i], values[] = {(char)(was ^ 1), (char)0xFF, '7', '\0'};
        bytes[i] = values[i / 11 % 4];
        put("changed.tar", bytes, n);
        assert_file_units("changed.tar", -1);
        bytes[i] = was;
    }
    free(bytes);
}

static void test_manifest(void **state) {
    (void)state;
    put_text("1.jpg", JPEG);
    str_t csv = {0}, jsonl = {0};
    str_add(&csv, "path,caption,key\n");
    for (int i = 0; i < 23; i++) {
        str_addf(&csv, "%s,\"line\n%d\",%d\r\n%s", i % 5 == 1 ? "gone.jpg" : "1.jpg", i, i, i % 3 ? "" : "\n");
        if (i == 11) str_add(&csv, "1.jpg,\"x\" y,1\n1.jpg\n");
        str_addf(&jsonl, "{\"path\": \"1.jpg\", \"key\": %d%s\n", i, i == 7 ? "" : "}");
    }
    /* The quote of the first shows its fault in the third. */
    str_add(&csv, "1.jpg,\"open,3\n1.jpg,b,2\n1.jpg,c\" d,2\n");
    put("rows.csv", csv.s, csv.len);
    put("rows.jsonl", jsonl.s, jsonl.len);
    assert_file_units("rows.csv", 28);
    assert_file_units("rows.jsonl", 23);
    put_text("none.tsv", "path\n");
    assert_file_units("none.tsv", 1);
    str_free(&csv);
    str_free(&jsonl);
}

static void test_dataset(void **state) {
    (void)state;
    image_t im;
    str_t picture = {0};
    picture_gradient(&im, 8, 8);
    assert_int_equal(image_encode_webp(&picture, &im, 90, false), LENS_OK);
    image_free(&im);
    const dataset_writer_options_t options = {.shard_max_samples = 5, .shard_max_bytes = UINT64_C(1) << 30};
    dataset_writer_t *w;
    assert_int_equal(dataset_writer_open(&w, test_path("set"), &options), LENS_OK);
    for (int i = 0; i < 12; i++) {
        char key[16], meta[32];
        snprintf(key, sizeof key, "key-%d", i);
        snprintf(meta, sizeof meta, "{\"n\":%d}", i);
        const sample_t sample = {key, picture.s, picture.len, 8, 8, 16, 16, i % 2 ? "odd" : "", meta};
        assert_int_equal(dataset_writer_add(w, &sample), LENS_OK);
    }
    assert_int_equal(dataset_writer_close(w), LENS_OK);
    assert_file_units("set", 12);
    source_t *source;
    raw_sample_t raw = {0};
    assert_int_equal(source_open(&source, test_path("set")), LENS_OK);
    for (int i = 0; i < 6; i++) assert_int_equal(source_next(source, &raw), LENS_OK);
    assert_string_equal(raw.key.s, "key-5");
    assert_string_equal(raw.alt.s, "odd");
    assert_string_equal(raw.meta.s, "{\"n\":5}");
    assert_int_equal(raw.image.len, picture.len);
    assert_memory_equal(raw.image.s, picture.s, picture.len);
    raw_sample_free(&raw);
    source_close(source);
    str_free(&picture);
}

static void test_stdin(void **state) {
    (void)state;
    put_names("names.tar.zst", ARCHIVE_FORMAT_TAR_GNUTAR, ARCHIVE_FILTER_ZSTD);
    str_t file = {0}, piped = {0};
    source_t *source;
    assert_int_equal(source_open(&source, test_path("names.tar.zst")), LENS_OK);
    dump(&file, source);
    source_close(source);
    int fd = open(test_path("names.tar.zst"), O_RDONLY), kept = dup(STDIN_FILENO);
    assert_true(fd >= 0 && kept >= 0);
    assert_true(dup2(fd, STDIN_FILENO) >= 0);
    assert_int_equal(source_open(&source, "-"), LENS_OK);
    dump(&piped, source);
    source_close(source);
    assert_string_equal(piped.s, file.s);
    char *twice[] = {"-", "-"};
    source_units_t *units;
    assert_int_equal(source_units_open(&units, twice, 2, 10), LENS_ARGUMENT);
    assert_non_null(strstr(lens_error(), "given twice"));
    assert_true(dup2(kept, STDIN_FILENO) >= 0);
    close(fd);
    close(kept);
    str_free(&file);
    str_free(&piped);
}

static uint64_t hash_of(const char *name, int64_t samples_per_unit, const source_options_t *options) {
    char *paths[] = {(char *)test_path(name)};
    source_units_t *units;
    assert_int_equal(source_units_open_with(&units, paths, 1, samples_per_unit, options), LENS_OK);
    assert_string_equal(source_units_path(units, source_units_n(units) - 1), paths[0]);
    uint64_t hash = source_units_hash(units);
    source_units_close(units);
    return hash;
}

static void set_time(const char *name, time_t seconds) {
    const struct timespec times[2] = {{seconds, 0}, {seconds, 0}};
    assert_int_equal(utimensat(AT_FDCWD, test_path(name), times, 0), 0);
}

static void test_hash(void **state) {
    (void)state;
    const char *const names[] = {"in", "x.tar", "x.jsonl"};
    put_text("in/a.jpg", JPEG);
    put_text("in/b.jpg", JPEG);
    put_text("in/b.txt", "b");
    set_time("in/b.txt", 1000);
    PUT_TAR("x.tar", 0, {{"a.jpg", JPEG}, {"b.jpg", JPEG}});
    put_text("x.jsonl", "{\"path\": \"in/a.jpg\"}\n{\"path\": \"in/b.jpg\"}\n");
    for (int i = 0; i < 3; i++) {
        uint64_t hash = hash_of(names[i], 1, &cut_always);
        assert_true(hash == hash_of(names[i], 1, &cut_always));
        assert_true(hash != hash_of(names[i], 2, &cut_always));
        assert_true(hash != hash_of(names[i], 1, &(source_options_t){.unit_bytes = 1, .key_column = "uid"}));
        set_time(i == 0 ? "in/b.txt" : names[i], 2000);
        assert_true(hash != hash_of(names[i], 1, &cut_always));
    }
}

/* What changes or goes between the listing and the reading. */
static void test_changes(void **state) {
    (void)state;
    put_text("in/a.jpg", JPEG);
    put_text("in/b.jpg", JPEG);
    PUT_TAR("x.tar", 0, {{"a.jpg", JPEG}, {"b.jpg", JPEG}});
    PUT_TAR("y.tar", 0, {{"a.jpg", JPEG}, {"b.jpg", JPEG}});
    put_text("x.jsonl", "{\"path\": \"in/b.jpg\"}\n{\"path\": \"in/b.jpg\"}\n");
    char *paths[4];
    const char *const names[] = {"in", "x.tar", "x.jsonl", "y.tar"};
    for (int i = 0; i < 4; i++) paths[i] = strdup(test_path(names[i]));
    source_units_t *units;
    assert_int_equal(source_units_open_with(&units, paths, 4, 1, &cut_always), LENS_OK);
    assert_int_equal(source_units_n(units), 8);
    assert_int_equal(unlink(test_path("in/a.jpg")), 0);
    assert_int_equal(truncate(test_path("x.tar"), 2000), 0);
    put_text("x.jsonl", "{\"path\": \"in/b.jpg\"}\n{\"path\": \"in/b.jp\"}\n");
    assert_int_equal(unlink(test_path("y.tar")), 0);
    const expected_t expected[] = {
        {.key = "a.jpg", .reject = REJECT_VANISHED, .reason = "in/a.jpg: No such file"},
        {.key = "b", .alt = "b"},
        {.key = "", .reject = REJECT_CUT_SHORT, .reason = "x.tar: changed since it was listed"},
        {.key = "", .reject = REJECT_CUT_SHORT, .reason = "x.tar: changed since it was listed"},
        {.key = "", .reject = REJECT_CUT_SHORT, .reason = "x.jsonl: changed since it was listed"},
        {.key = "", .reject = REJECT_CUT_SHORT, .reason = "x.jsonl: changed since it was listed"},
        {.key = "", .reject = REJECT_CUT_SHORT, .reason = "y.tar: No such file"},
        {.key = "", .reject = REJECT_CUT_SHORT, .reason = "y.tar: No such file"},
    };
    for (int i = 0; i < 8; i++) {
        source_t *source;
        assert_int_equal(source_units_read(units, i, &source), LENS_OK);
        assert_source_yields(source, &expected[i], 1);
        source_close(source);
    }
    source_units_close(units);
    for (int i = 0; i < 4; i++) free(paths[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tar, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tar_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tar_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tar_links, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tar_hostile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_manifest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dataset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stdin, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hash, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
