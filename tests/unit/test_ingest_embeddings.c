/* Which row belongs to which sample, over parts and sources, and what does not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "data/ingest_embeddings.h"

static char dir[] = "/tmp/lens-test-XXXXXX";
static source_units_t *units; /* a: two parts of at most two files; b: one */
static filter_chain_t *filters;

static void write_text(const char *name, const void *bytes, size_t n) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (file_write(path, bytes, n) != LENS_OK) fail_msg("%s", lens_error());
}

/* float32 [n, d]; row i is the unit vector along which[i]. */
static void write_rows(const char *name, int d, const int *which, int n) {
    uint8_t bytes[1024] = "\x93NUMPY\1\0\x76";
    char *header = (char *)bytes + 10;
    memset(header, ' ', 0x76);
    header[snprintf(header, 0x76, "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d)}", n, d)] = ' ';
    size_t size = 128;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < d; k++, size += 4)
            if (k == which[i]) memcpy(bytes + size, "\0\0\x80\x3f", 4);
    write_text(name, bytes, size);
}

static int set_up(void **state) {
    (void)state;
    static const char yaml[] = "filters: [near_duplicate: {embedding: {dir: rows, cosine: 0.9}}]\n";
    char a[64], b[64], path[64];
    if (!mkdtemp(dir)) return -1;
    snprintf(a, sizeof a, "%s/a", dir);
    snprintf(b, sizeof b, "%s/b", dir);
    snprintf(path, sizeof path, "%s/rows", dir);
    if (dir_make(a) != LENS_OK || dir_make(b) != LENS_OK || dir_make(path) != LENS_OK) return -1;
    write_text("a/1.png", "", 0);
    write_text("a/2.png", "", 0);
    write_text("a/3.png", "", 0);
    write_text("b/1.png", "", 0);
    write_text("config.yaml", yaml, sizeof yaml - 1);
    snprintf(path, sizeof path, "%s/config.yaml", dir);
    char *paths[] = {a, b};
    return source_units_open(&units, paths, 2, 2) == LENS_OK && source_units_n(units) == 3 &&
                   filter_chain_new(&filters, path) == LENS_OK
               ? 0
               : -1;
}

static int tear_down(void **state) {
    (void)state;
    source_units_close(units);
    filter_chain_free(filters);
    return dir_remove(dir) == LENS_OK ? 0 : -1;
}

static ingest_embeddings_t *opened(void) {
    ingest_embeddings_t *e;
    if (ingest_embeddings_new(&e, units, filters) != LENS_OK) fail_msg("%s", lens_error());
    assert_non_null(e);
    return e;
}

static bool next_is_dup(ingest_embeddings_t *e) {
    bool is_dup;
    double cosine;
    ingest_embeddings_next(e);
    if (ingest_embeddings_check(e, &is_dup, &cosine) != LENS_OK) fail_msg("%s", lens_error());
    assert_true(is_dup ? cosine > 0.999 && cosine < 1.001 : cosine == 0);
    return is_dup;
}

static void assert_says(lens_status st, const char *words) {
    assert_int_equal(st, LENS_FORMAT);
    if (!strstr(lens_error(), words)) fail_msg("expected \"%s\" in: %s", words, lens_error());
}

static void test_rows(void **state) {
    (void)state;
    write_rows("rows/a.npy", 4, (int[]){0, 1, 0}, 3);
    write_rows("rows/b.npy", 4, (int[]){1}, 1);
    ingest_embeddings_t *e = opened();
    assert_int_equal(ingest_embeddings_part(e, 0), LENS_OK);
    assert_false(next_is_dup(e));
    ingest_embeddings_next(e); /* a reject: its row is not kept */
    assert_int_equal(ingest_embeddings_part(e, 1), LENS_OK);
    assert_true(next_is_dup(e)); /* the third row of a */
    assert_int_equal(ingest_embeddings_part(e, 2), LENS_OK);
    assert_false(next_is_dup(e));
    assert_int_equal(ingest_embeddings_end(e), LENS_OK);
    ingest_embeddings_free(e);
}

static void test_counts(void **state) {
    (void)state;
    write_rows("rows/a.npy", 4, (int[]){0, 1, 0}, 3);
    write_rows("rows/b.npy", 4, (int[]){1, 2}, 2);
    ingest_embeddings_t *e = opened();
    assert_int_equal(ingest_embeddings_part(e, 0), LENS_OK);
    for (int i = 0; i < 4; i++) next_is_dup(e); /* one more than there are rows */
    assert_says(ingest_embeddings_part(e, 2), "/rows/a.npy: 3 rows, but ");
    assert_non_null(strstr(lens_error(), "/a has 4 samples"));
    assert_int_equal(ingest_embeddings_part(e, 2), LENS_OK);
    next_is_dup(e);
    assert_says(ingest_embeddings_end(e), "/b has 1 samples");
    assert_int_equal(ingest_embeddings_part(e, 2), LENS_OK);
    next_is_dup(e);
    ingest_embeddings_cut_short(e); /* how many there were is unknown, up to what the file has */
    assert_int_equal(ingest_embeddings_end(e), LENS_OK);
    assert_int_equal(ingest_embeddings_part(e, 2), LENS_OK);
    for (int i = 0; i < 3; i++) next_is_dup(e);
    ingest_embeddings_cut_short(e);
    assert_says(ingest_embeddings_end(e), "/b has at least 3 samples");
    ingest_embeddings_free(e);
}

static void test_damage_in_the_middle(void **state) {
    (void)state;
    ingest_embeddings_t *e = opened();
    assert_int_equal(ingest_embeddings_part(e, 0), LENS_OK);
    ingest_embeddings_cut_short(e);
    assert_says(ingest_embeddings_part(e, 1), "damaged in the middle");
    ingest_embeddings_free(e);
}

static void test_files(void **state) {
    (void)state;
    write_rows("rows/a.npy", 4, (int[]){0, 1, 0}, 3);
    write_rows("rows/b.npy", 4, (int[]){1}, 1);
    ingest_embeddings_t *e = opened();
    const uint64_t hash = ingest_embeddings_hash(e);
    ingest_embeddings_free(e);
    write_rows("rows/b.npy", 4, (int[]){1, 2}, 2);
    e = opened();
    assert_true(ingest_embeddings_hash(e) != hash);
    ingest_embeddings_free(e);
    write_rows("rows/b.npy", 5, (int[]){1}, 1);
    assert_says(ingest_embeddings_new(&e, units, filters), "/rows/b.npy: 5 components, expected 4");
    assert_null(e);
    char path[64];
    snprintf(path, sizeof path, "%s/rows/b.npy", dir);
    assert_int_equal(dir_remove(path), LENS_OK);
    assert_int_equal(ingest_embeddings_new(&e, units, filters), LENS_IO);
    assert_non_null(strstr(lens_error(), "/rows/b.npy: No such file"));
    filter_chain_t *none;
    assert_int_equal(filter_chain_new(&none, NULL), LENS_OK);
    assert_int_equal(ingest_embeddings_new(&e, units, none), LENS_OK);
    assert_null(e);
    filter_chain_free(none);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_counts),
                                       cmocka_unit_test(test_damage_in_the_middle), cmocka_unit_test(test_files)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
