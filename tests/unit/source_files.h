/* Sources on disk, made for tests, and what they should yield. Any failure here aborts the test. */
#ifndef LENS_TESTS_SOURCE_FILES_H
#define LENS_TESTS_SOURCE_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/file.h"
#include "data/source.h"
#include "data/source_kinds.h"

/* Sources look at a picture's first bytes only. */
#define JPEG "\xff\xd8\xff\xe0 the rest of a JPEG"
#define PNG "\x89PNG\r\n\x1a\n the rest of a PNG"

static char test_dir[64];

static inline const char *test_path(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", test_dir, name);
    return path;
}

static inline void put(const char *name, const void *bytes, size_t n) {
    str_t folder = {0};
    const char *path = test_path(name);
    str_add_n(&folder, path, (size_t)(strrchr(path, '/') - path));
    assert_int_equal(dir_make(folder.s), LENS_OK);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    str_free(&folder);
}

static inline void put_text(const char *name, const char *text) {
    put(name, text, strlen(text));
}

static inline int setup(void **state) {
    (void)state;
    snprintf(test_dir, sizeof test_dir, "/tmp/lens-test-XXXXXX");
    return mkdtemp(test_dir) ? 0 : -1;
}

static inline int teardown(void **state) {
    (void)state;
    return dir_remove(test_dir) == LENS_OK ? 0 : -1;
}

/* What a source should yield, one row a sample. reason: part of it; alt and meta count where it is NULL. */
typedef struct {
    const char *key, *alt, *meta, *reason;
    reject_class reject;
    bool repaired;
} expected_t;

static inline void assert_source_yields(source_t *source, const expected_t *expected, size_t n) {
    raw_sample_t raw = {0};
    for (size_t i = 0; i < n; i++) {
        const expected_t *e = &expected[i];
        lens_status st = source_next(source, &raw);
        if (st != LENS_OK) fail_msg("sample %zu (%s): status %d, %s", i, e->key, (int)st, lens_error());
        assert_string_equal(str_text(&raw.key), e->key);
        if (raw.reject != e->reject) fail_msg("%s: '%s' %s", e->key, reject_text(raw.reject), str_text(&raw.reason));
        if (e->reject != REJECT_NONE) {
            if (!strstr(raw.reason.s, e->reason)) fail_msg("%s: '%s' lacks '%s'", e->key, raw.reason.s, e->reason);
            continue;
        }
        assert_string_equal(str_text(&raw.alt), e->alt);
        assert_string_equal(str_text(&raw.meta), e->meta ? e->meta : "{}");
        assert_int_equal(raw.repaired, e->repaired);
        assert_true(strcmp(raw.image.s, JPEG) == 0 || strcmp(raw.image.s, PNG) == 0);
        assert_int_equal(raw.image.len, strlen(raw.image.s));
    }
    assert_int_equal(source_next(source, &raw), LENS_END);
    assert_int_equal(source_next(source, &raw), LENS_END);
    raw_sample_free(&raw);
}

/* options: NULL for none. */
static inline void assert_yields(const char *path, const source_options_t *options, const expected_t *expected,
                                 size_t n) {
    char *paths[] = {(char *)path};
    source_units_t *units;
    source_t *source;
    if (source_units_open_with(&units, paths, 1, INT64_MAX, options) != LENS_OK) fail_msg("%s", lens_error());
    assert_int_equal(source_units_n(units), 1);
    assert_int_equal(source_units_read(units, 0, &source), LENS_OK);
    assert_source_yields(source, expected, n);
    source_close(source);
    source_units_close(units);
}
#define ASSERT_YIELDS_WITH(path, options, ...)                                                                         \
    assert_yields(path, options, (const expected_t[])__VA_ARGS__,                                                      \
                  sizeof((const expected_t[])__VA_ARGS__) / sizeof(expected_t))

#define ASSERT_YIELDS(path, ...) ASSERT_YIELDS_WITH(path, NULL, __VA_ARGS__)

/* ---- tars ---- */

typedef struct {
    const char *name, *text;
} member_t;

static inline void put_tar(const char *name, int format, int filter, const member_t *members, size_t n) {
    struct archive *a = archive_write_new();
    assert_non_null(a);
    assert_int_equal(archive_write_set_format(a, format), ARCHIVE_OK);
    if (filter) archive_write_add_filter(a, filter);
    assert_int_equal(archive_write_open_filename(a, test_path(name)), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++) {
        struct archive_entry *e = archive_entry_new();
        size_t size = members[i].text ? strlen(members[i].text) : 0;
        archive_entry_copy_pathname(e, members[i].name);
        archive_entry_set_mtime(e, 0, 0);
        archive_entry_set_filetype(e, members[i].text ? AE_IFREG : AE_IFDIR);
        archive_entry_set_perm(e, 0644);
        archive_entry_set_size(e, (la_int64_t)size);
        assert_true(archive_write_header(a, e) >= ARCHIVE_WARN);
        if (size) assert_int_equal(archive_write_data(a, members[i].text, size), size);
        archive_entry_free(e);
    }
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}
#define PUT_TAR_AS(name, format, filter, ...)                                                                          \
    put_tar(name, format, filter, (const member_t[])__VA_ARGS__,                                                       \
            sizeof((const member_t[])__VA_ARGS__) / sizeof(member_t))
#define PUT_TAR(name, filter, ...) PUT_TAR_AS(name, ARCHIVE_FORMAT_TAR_PAX_RESTRICTED, filter, __VA_ARGS__)

#endif
