/* Files: written aside and renamed, read with limits, folders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

/* A folder of its own for each test; the test's state is its path. */
static int set_up(void **state) {
    char *dir = strdup("/tmp/lens-file-XXXXXX");
    assert_non_null(dir);
    assert_non_null(mkdtemp(dir));
    *state = dir;
    return 0;
}

static int tear_down(void **state) {
    assert_int_equal(dir_remove(*state), LENS_OK);
    assert_false(file_exists(*state));
    free(*state);
    return 0;
}

/* dir/name, valid until the next call. */
static const char *path_of(void **state, const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", (const char *)*state, name);
    return path;
}

static int64_t n_names(const char *dir) {
    char **names;
    int64_t n;
    assert_int_equal(dir_list(&names, &n, dir), LENS_OK);
    dir_list_free(names, n);
    return n;
}

static void expect_text(const char *path, const char *want) {
    char *text;
    size_t n;
    assert_int_equal(file_read(&text, &n, path, 1000), LENS_OK);
    assert_int_equal(n, strlen(want));
    assert_string_equal(text, want);
    free(text);
}

static void commit_shows_the_whole_file(void **state) {
    const char *path = path_of(state, "a");
    atomic_file_t *f;
    assert_int_equal(file_write(path, "old", 3), LENS_OK);
    assert_int_equal(atomic_file_open(&f, path), LENS_OK);
    fputs("new text", atomic_file_stream(f));
    fflush(atomic_file_stream(f));
    expect_text(path, "old"); /* until commit */
    assert_int_equal(atomic_file_commit(f), LENS_OK);
    expect_text(path, "new text");
    assert_int_equal(n_names(*state), 1);
}

static void abort_leaves_nothing(void **state) {
    atomic_file_t *f;
    assert_int_equal(atomic_file_open(&f, path_of(state, "a")), LENS_OK);
    fputs("text", atomic_file_stream(f));
    assert_int_equal(n_names(*state), 1);
    atomic_file_abort(f);
    atomic_file_abort(NULL);
    assert_int_equal(n_names(*state), 0);
}

static void a_failed_commit_leaves_nothing(void **state) {
    const char *path = path_of(state, "a");
    atomic_file_t *f;
    assert_int_equal(atomic_file_open(&f, path), LENS_OK);
    fputs("text", atomic_file_stream(f));
    assert_int_equal(mkdir(path, 0777), 0); /* a file cannot take the name of a folder */
    assert_int_equal(atomic_file_commit(f), LENS_IO);
    assert_non_null(strstr(lens_error(), path));
    assert_true(file_is_dir(path));
    assert_int_equal(n_names(*state), 1);
}

static void writing_where_no_folder_is(void **state) {
    atomic_file_t *f;
    assert_int_equal(atomic_file_open(&f, path_of(state, "no/a")), LENS_IO);
    assert_null(f);
    assert_int_equal(file_write(path_of(state, "no/a"), "x", 1), LENS_IO);
}

/* A full disk must not look like success. */
static void a_failed_write_is_an_error(void **state) {
    (void)state;
    if (access("/dev/full", W_OK) != 0) skip();
    FILE *full = fopen("/dev/full", "wb");
    assert_non_null(full);
    atomic_file_t *f;
    const char *path = path_of(state, "a");
    assert_int_equal(atomic_file_open(&f, path), LENS_OK);
    fflush(atomic_file_stream(f));
    assert_true(dup2(fileno(full), fileno(atomic_file_stream(f))) >= 0);
    fputs("text", atomic_file_stream(f));
    assert_int_equal(atomic_file_commit(f), LENS_IO);
    fclose(full);
    assert_int_equal(n_names(*state), 0);
}

static void reading_is_limited(void **state) {
    const char *path = path_of(state, "a");
    char *text;
    size_t n;
    assert_int_equal(file_write(path, "12345", 5), LENS_OK);
    assert_int_equal(file_read(&text, &n, path, 4), LENS_FORMAT);
    assert_null(text);
    assert_int_equal(n, 0);
    assert_int_equal(file_read(&text, &n, path, 5), LENS_OK);
    assert_string_equal(text, "12345");
    free(text);
    assert_int_equal(file_write(path, "", 0), LENS_OK);
    assert_int_equal(file_read(&text, &n, path, 0), LENS_OK);
    assert_string_equal(text, "");
    free(text);
    assert_int_equal(file_read(&text, &n, *state, 100), LENS_IO); /* a folder */
    assert_int_equal(file_read(&text, &n, "/dev/zero", 100), LENS_IO);
    assert_int_equal(file_read(&text, &n, path_of(state, "b"), 100), LENS_IO);
    assert_non_null(strstr(lens_error(), "/b"));
}

static void reading_a_part(void **state) {
    const char *path = path_of(state, "a");
    char part[4] = {0};
    uint64_t size;
    assert_int_equal(file_write(path, "12345", 5), LENS_OK);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(file_read_at(fd, part, 3, 2, path), LENS_OK);
    assert_string_equal(part, "345");
    assert_int_equal(file_read_at(fd, part, 3, 3, path), LENS_IO);
    assert_non_null(strstr(lens_error(), "cut short: 3 bytes wanted"));
    assert_int_equal(file_read_at(fd, part, 1, UINT64_C(1) << 40, path), LENS_IO);
    close(fd);
    assert_int_equal(file_size(&size, path), LENS_OK);
    assert_int_equal(size, 5);
    assert_int_equal(file_size(&size, path_of(state, "b")), LENS_IO);
}

static void folders(void **state) {
    assert_int_equal(dir_make(path_of(state, "x/y//z/")), LENS_OK);
    assert_int_equal(dir_make(path_of(state, "x/y/z")), LENS_OK);
    assert_true(file_is_dir(path_of(state, "x/y/z")));
    assert_int_equal(file_write(path_of(state, "x/y/b"), "", 0), LENS_OK);
    assert_int_equal(file_write(path_of(state, "x/y/B"), "", 0), LENS_OK);
    assert_int_equal(file_write(path_of(state, "x/y/.a"), "", 0), LENS_OK);
    assert_int_equal(dir_make(path_of(state, "x/y/b/c")), LENS_IO); /* a file is in the way */
    assert_int_equal(dir_make(path_of(state, "x/y/b")), LENS_IO);
    char **names;
    int64_t n;
    assert_int_equal(dir_list(&names, &n, path_of(state, "x/y")), LENS_OK);
    assert_int_equal(n, 4);
    static const char *const want[] = {".a", "B", "b", "z"};
    for (int i = 0; i < 4; i++) assert_string_equal(names[i], want[i]);
    dir_list_free(names, n);
    assert_int_equal(dir_list(&names, &n, path_of(state, "none")), LENS_IO);
    assert_null(names);
}

/* Removing a folder does not follow links out of it. */
static void removing(void **state) {
    assert_int_equal(dir_make(path_of(state, "keep")), LENS_OK);
    assert_int_equal(file_write(path_of(state, "keep/a"), "text", 4), LENS_OK);
    assert_int_equal(dir_make(path_of(state, "gone/deep/deeper")), LENS_OK);
    assert_int_equal(symlink("../keep", path_of(state, "gone/link")), 0);
    assert_int_equal(dir_remove(path_of(state, "gone")), LENS_OK);
    assert_false(file_exists(path_of(state, "gone")));
    expect_text(path_of(state, "keep/a"), "text");
    assert_int_equal(dir_remove(path_of(state, "gone")), LENS_OK); /* missing is fine */
    assert_int_equal(dir_remove(path_of(state, "keep/a")), LENS_OK);
    assert_false(file_exists(path_of(state, "keep/a")));
}

static void publishing(void **state) {
    str_t temporary = {0};
    char path[128];
    snprintf(path, sizeof path, "%s", path_of(state, "folder"));
    assert_int_equal(file_temporary_name(&temporary, path), LENS_OK);
    assert_true(str_starts_with(temporary.s, path) && strcmp(temporary.s, path) != 0);
    assert_int_equal(dir_make(temporary.s), LENS_OK);
    assert_int_equal(file_publish(temporary.s, path), LENS_OK);
    assert_true(file_is_dir(path) && !file_exists(temporary.s));
    assert_int_equal(file_publish(temporary.s, path), LENS_IO);
    str_free(&temporary);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(commit_shows_the_whole_file),
        TEST(abort_leaves_nothing),
        TEST(a_failed_commit_leaves_nothing),
        TEST(writing_where_no_folder_is),
        TEST(a_failed_write_is_an_error),
        TEST(reading_is_limited),
        TEST(reading_a_part),
        TEST(folders),
        TEST(removing),
        TEST(publishing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
