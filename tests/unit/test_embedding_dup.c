/* Embeddings: NumPy files as hostile input, near-duplicates against brute force in double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/rng.h"
#include "data/embedding_dup.h"
#include "data/embedding_file.h"

static const char *const path = "test_embedding_dup.tmp.npy";

/* float16 by its definition. */
static double value_of(uint16_t h) {
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    double x = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
    return h & 0x8000 ? -x : x;
}

/* ---- files ---- */

static void write_npy(int version, const char *header, const void *data, size_t n) {
    str_t file = {0};
    size_t n_header = strlen(header);
    str_add_n(&file, "\x93NUMPY", 6);
    str_add_char(&file, (char)version);
    str_add_char(&file, 0);
    for (int i = 0; i < (version == 1 ? 2 : 4); i++) str_add_char(&file, (char)(n_header >> 8 * i));
    str_add(&file, header);
    str_add_n(&file, data, n);
    assert_int_equal(file_write(path, file.s, file.len), LENS_OK);
    str_free(&file);
}

static void test_reads_float16(void **state) {
    (void)state;
    const uint16_t data[] = {0x3c00, 0xc000, 0, 0x0001, 0x7bff, 0x8000};
    for (int version = 1; version <= 3; version++) {
        embedding_file_t *f;
        uint16_t row[3];
        write_npy(version, "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3), }   \n", data, sizeof data);
        assert_int_equal(embedding_file_open(&f, path), LENS_OK);
        assert_int_equal(embedding_file_n(f), 2);
        assert_int_equal(embedding_file_d(f), 3);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(embedding_file_row(f, i, row), LENS_OK);
            assert_memory_equal(row, data + 3 * i, sizeof row);
        }
        assert_int_equal(embedding_file_row(f, 2, row), LENS_FORMAT);
        assert_int_equal(embedding_file_row(f, -1, row), LENS_FORMAT);
        embedding_file_close(f);
    }
    unlink(path);
}

/* float16 numbers and the midpoints between neighbours, as float32: rounded to nearest, ties to even. */
static void test_rounds_float32(void **state) {
    (void)state;
    enum { N = 800, STEP = 39 }; /* up to 0x79e0 */
    static float data[N][8];
    embedding_file_t *f;
    for (int i = 0; i < N; i++) {
        double low = value_of((uint16_t)(i * STEP)), high = value_of((uint16_t)(i * STEP + 1));
        data[i][0] = (float)low;
        data[i][1] = (float)((low + high) / 2);
        data[i][2] = nextafterf(data[i][1], INFINITY);
        data[i][3] = nextafterf(data[i][1], 0);
        for (int k = 0; k < 4; k++) data[i][4 + k] = -data[i][k];
    }
    write_npy(1, "{'shape': (800, 8), 'fortran_order': False, 'descr': '<f4'}", data, sizeof data);
    assert_int_equal(embedding_file_open(&f, path), LENS_OK);
    for (int i = 0; i < N; i++) {
        int h = i * STEP, expected[] = {h, h % 2 ? h + 1 : h, h + 1, h};
        uint16_t row[8];
        assert_int_equal(embedding_file_row(f, i, row), LENS_OK);
        for (int k = 0; k < 8; k++) assert_int_equal(row[k], expected[k % 4] | (k < 4 ? 0 : 0x8000));
    }
    embedding_file_close(f);
    unlink(path);
}

static void test_refused_numbers(void **state) {
    (void)state;
    const float floats[] = {NAN, INFINITY, -INFINITY, 65520, -1e30f};
    const uint16_t halves[] = {0x7c00, 0xfc00, 0x7e00};
    embedding_file_t *f;
    uint16_t row;
    write_npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 1)}", floats, sizeof floats);
    assert_int_equal(embedding_file_open(&f, path), LENS_OK);
    for (int i = 0; i < 5; i++) assert_int_equal(embedding_file_row(f, i, &row), LENS_FORMAT);
    embedding_file_close(f);
    write_npy(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (3, 1)}", halves, sizeof halves);
    assert_int_equal(embedding_file_open(&f, path), LENS_OK);
    for (int i = 0; i < 3; i++) assert_int_equal(embedding_file_row(f, i, &row), LENS_FORMAT);
    embedding_file_close(f);
    unlink(path);
}

static void test_refused_files(void **state) {
    (void)state;
    static const char *const headers[] = {
        "",
        "{}",
        "{'descr': '<f2'}",
        "{'descr': '<f2', 'fortran_order': True, 'shape': (2, 2)}",
        "{'descr': '>f2', 'fortran_order': False, 'shape': (2, 2)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (2, 2)}",
        "{'descr': '<f2', 'fortran_order': False, 'shape': (4,)}",
        "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2, 1)}",
        "{'descr': '<f2', 'fortran_order': False, 'shape': (-2, 2)}",
        "{'descr': '<f2', 'fortran_order': False, 'shape': (3, 2)}",
        "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 0)}",
        "{'descr': '<f2', 'fortran_order': False, 'shape': (0, 8193)}",
        "{'descr': '<f2', 'fortran_order': False, 'shape': (99999999999999999999, 2)}",
        "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2)",
        "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2)} x",
        "{'descr': '<f2' 'fortran_order': False, 'shape': (2, 2)}",
        "{'descr': '<f2', 'descr': '<f2', 'fortran_order': False, 'shape': (2, 2)}",
        "{'descr': '<f2', 'other': 1, 'fortran_order': False, 'shape': (2, 2)}"};
    const uint16_t data[4] = {0};
    embedding_file_t *f;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        write_npy(1, headers[i], data, sizeof data);
        if (embedding_file_open(&f, path) != LENS_FORMAT) fail_msg("read: %s", headers[i]);
        assert_null(f);
    }
    write_npy(4, "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2)}", data, sizeof data);
    assert_int_equal(embedding_file_open(&f, path), LENS_FORMAT);
    assert_int_equal(file_write(path, "\x93NUMPY\x01\0\xff\xff{ }", 13), LENS_OK);
    assert_int_equal(embedding_file_open(&f, path), LENS_FORMAT);
    assert_int_equal(file_write(path, "", 0), LENS_OK);
    assert_int_equal(embedding_file_open(&f, path), LENS_FORMAT);
    unlink(path);
    assert_int_equal(embedding_file_open(&f, path), LENS_IO);
    embedding_file_close(NULL);
}

static void assert_path(const char *name, const char *source, const char *expected) {
    str_t s = {0};
    embedding_path(&s, "/e", name, source);
    assert_string_equal(s.s, expected);
    str_free(&s);
}

static void test_paths(void **state) {
    (void)state;
    assert_path("{source}.npy", "/data/00000.tar", "/e/00000.npy");
    assert_path("img_{source}_{source}.npy", "a.b.tar.zst", "/e/img_a.b_a.b.npy");
    assert_path("{source}.npy", "folder", "/e/folder.npy");
    assert_path("{source}.npy", "x/.hidden", "/e/.hidden.npy");
    assert_path("all.npy", "x.jsonl", "/e/all.npy");
}

/* ---- near-duplicates ---- */

static uint16_t half_of(double x) {
    double magnitude = fabs(x);
    int exponent = magnitude > 0x1p-14 ? ilogb(magnitude) : -14;
    uint32_t mantissa = (uint32_t)lround(ldexp(magnitude, 10 - exponent)); /* 1024 carries into the exponent */
    return (uint16_t)((x < 0 ? 0x8000 : 0) | (((uint32_t)(exponent + 14) << 10) + mantissa));
}

static double cosine_of(const uint16_t *a, const uint16_t *b, int d) {
    double ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < d; i++) {
        double x = value_of(a[i]), y = value_of(b[i]);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    return ab / sqrt(aa * bb);
}

/* Vectors around centres that share a direction, as those of pictures do, at angles on both sides of the limit. */
static uint16_t *vectors(int n, int d) {
    rng_t r = rng_stream(21, 0, (uint64_t)d, RNG_TEST);
    uint16_t *v = malloc((size_t)n * (size_t)d * sizeof *v);
    double *centre = malloc(40 * (size_t)d * sizeof *centre);
    assert_non_null(v);
    assert_non_null(centre);
    for (int i = 0; i < 40 * d; i++) centre[i] = 0.5 + rng_normal(&r);
    for (int i = 0; i < n; i++) {
        const double *c = centre + (int)rng_below(&r, 40) * d;
        double spread = 0.3 * rng_uniform(&r), scale = 0.001 + rng_uniform(&r);
        for (int k = 0; k < d; k++) v[i * d + k] = half_of(scale * (c[k] + spread * rng_normal(&r)));
    }
    free(centre);
    return v;
}

static void check(int n, int d, double limit) {
    embedding_dup_t *e;
    uint16_t *v = vectors(n, d);
    int *kept = malloc((size_t)n * sizeof *kept), n_kept = 0;
    assert_non_null(kept);
    assert_int_equal(embedding_dup_new(&e, d, limit, n), LENS_OK);
    for (int i = 0; i < n; i++) {
        bool is_dup, expected = false;
        double cosine, first = 0, margin = 1;
        for (int j = 0; j < n_kept && !expected; j++) {
            first = cosine_of(v + kept[j] * d, v + i * d, d);
            expected = first > limit;
            margin = fmin(margin, fabs(first - limit));
        }
        assert_int_equal(embedding_dup_check(e, v + i * d, &is_dup, &cosine), LENS_OK);
        if (is_dup != expected && margin > 1e-6) fail_msg("d %d, vector %d: cosine %.9f", d, i, first);
        if (is_dup) assert_float_equal(cosine, first, 1e-6);
        if (!is_dup) kept[n_kept++] = i;
    }
    assert_int_equal(embedding_dup_n(e), n_kept);
    assert_in_range(n_kept, n / 20, n - n / 20);
    embedding_dup_free(e);
    free(kept);
    free(v);
}

static void test_against_brute_force(void **state) {
    (void)state;
    check(800, 96, 0.985);
    check(400, 200, 0.985);
    check(400, 64, 0.97);
    check(600, 10, 0.999);
}

/* Beyond a block, and what costs most: all of the norm beyond the first components. */
static void test_many(void **state) {
    (void)state;
    enum { N = 5000, D = 81 };
    embedding_dup_t *e;
    rng_t r = rng_stream(22, 0, 0, RNG_TEST);
    uint16_t *v = calloc(N * D, sizeof *v);
    bool is_dup;
    double cosine;
    assert_non_null(v);
    for (int i = 0; i < N; i++)
        for (int k = 64; k < D; k++) v[i * D + k] = half_of(rng_normal(&r));
    assert_int_equal(embedding_dup_new(&e, D, 0.9999, N), LENS_OK);
    for (int i = 0; i < N; i++) {
        if (i % 100) {
            assert_int_equal(embedding_dup_add(e, v + i * D), LENS_OK);
            continue;
        }
        assert_int_equal(embedding_dup_check(e, v + i * D, &is_dup, &cosine), LENS_OK);
        assert_false(is_dup);
    }
    for (int i = 0; i < N; i += 611) {
        assert_int_equal(embedding_dup_check(e, v + i * D, &is_dup, &cosine), LENS_OK);
        assert_true(is_dup);
        assert_float_equal(cosine, 1, 1e-6);
    }
    assert_in_range(embedding_dup_bytes(e), N * (2 * (64 + 32) + 8), 2 * 4096 * (2 * (64 + 32) + 8) + 1000);
    uint16_t other[D] = {0x3c00};
    assert_int_equal(embedding_dup_check(e, other, &is_dup, &cosine), LENS_STATE);
    embedding_dup_free(e);
    free(v);
}

static void test_edges(void **state) {
    (void)state;
    embedding_dup_t *e;
    bool is_dup;
    double cosine;
    uint16_t v[3] = {0, 0x8000, 0};
    assert_int_equal(embedding_dup_new(&e, 0, 0.9, 5), LENS_ARGUMENT);
    assert_int_equal(embedding_dup_new(&e, 8193, 0.9, 5), LENS_ARGUMENT);
    assert_int_equal(embedding_dup_new(&e, 3, 1.1, 5), LENS_ARGUMENT);
    assert_int_equal(embedding_dup_new(&e, 3, 0.9, 0), LENS_ARGUMENT);
    assert_null(e);
    assert_int_equal(embedding_dup_new(&e, 3, 0.9, 5), LENS_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(embedding_dup_check(e, v, &is_dup, &cosine), LENS_OK);
        assert_false(is_dup);
    }
    assert_int_equal(embedding_dup_n(e), 0);
    v[0] = 0x0001; /* the smallest number has a direction */
    assert_int_equal(embedding_dup_add(e, v), LENS_OK);
    v[0] = 0x7bff;
    assert_int_equal(embedding_dup_check(e, v, &is_dup, &cosine), LENS_OK);
    assert_true(is_dup);
    v[0] = 0xfbff;
    assert_int_equal(embedding_dup_check(e, v, &is_dup, &cosine), LENS_OK);
    assert_false(is_dup);
    v[2] = 0x7c00;
    assert_int_equal(embedding_dup_check(e, v, &is_dup, &cosine), LENS_FORMAT);
    embedding_dup_free(e);
    embedding_dup_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_float16),
        cmocka_unit_test(test_rounds_float32),
        cmocka_unit_test(test_refused_numbers),
        cmocka_unit_test(test_refused_files),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_against_brute_force),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests_name("embedding_dup", tests, NULL, NULL);
}
