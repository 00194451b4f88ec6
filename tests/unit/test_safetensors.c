/* safetensors: what is written is read back; what is malformed is refused, with the file and the tensor named. */
#include "model/safetensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

typedef struct {
    char dir[64], path[96];
} fixture_t;

static int set_up(void **state) {
    fixture_t *fx = calloc(1, sizeof(*fx));
    if (!fx) return -1;
    snprintf(fx->dir, sizeof(fx->dir), "/tmp/lens-safetensors-XXXXXX");
    if (!mkdtemp(fx->dir)) return -1;
    snprintf(fx->path, sizeof(fx->path), "%s/t.safetensors", fx->dir);
    *state = fx;
    return 0;
}

static int tear_down(void **state) {
    fixture_t *fx = *state;
    lens_status st = dir_remove(fx->dir);
    free(fx);
    return st == LENS_OK ? 0 : -1;
}

/* The smallest file with that header and n_data bytes of zeros. */
static void write_raw(const fixture_t *fx, const char *header, size_t n_data) {
    FILE *f = fopen(fx->path, "wb");
    assert_non_null(f);
    size_t n = strlen(header);
    for (int i = 0; i < 8; i++) fputc((int)((uint64_t)n >> (8 * i) & 255), f);
    fputs(header, f);
    for (size_t i = 0; i < n_data; i++) fputc(0, f);
    fclose(f);
}

/* The file must be refused, with a message that names it and holds `part`. */
static void expect_refused(const fixture_t *fx, const char *header, size_t n_data, const char *part) {
    safetensors_t *f;
    write_raw(fx, header, n_data);
    assert_int_equal(safetensors_open(&f, fx->path), LENS_FORMAT);
    assert_null(f);
    if (!strstr(lens_error(), fx->path) || !strstr(lens_error(), part))
        fail_msg("expected '%s' and the path in: %s", part, lens_error());
}

static void write_sample(const fixture_t *fx) {
    static const float f32[6] = {0.0f, -0.0f, 1.5f, -2.25f, 1e30f, 1e-40f};
    static const double f64[2] = {0.1, -1e300};
    static const uint8_t u8[3] = {0, 127, 255};
    static const int64_t i64[1] = {-5};
    static const int32_t i32[2] = {-7, 1 << 24};
    const st_entry_t entries[] = {
        {"blocks.0.weight", ST_F32, 2, {2, 3}, f32},
        {"odd \"name\" \xc3\xa9", ST_U8, 1, {3}, u8}, /* what follows is unaligned */
        {"losses", ST_F64, 1, {2}, f64},
        {"empty", ST_F32, 2, {0, 4}, NULL},
        {"step", ST_I64, 0, {0}, i64},
        {"ids", ST_I32, 1, {2}, i32},
    };
    static const char *const meta[][2] = {{"num_layers", "3"}, {"axes", "(4, 6, 6)"}};
    assert_int_equal(safetensors_write(fx->path, entries, 6, meta, 2), LENS_OK);
}

static void test_round_trip(void **state) {
    const fixture_t *fx = *state;
    static const char *const names[] = {"blocks.0.weight", "odd \"name\" \xc3\xa9", "losses", "empty", "step", "ids"};
    safetensors_t *f;
    float x[6];
    write_sample(fx);
    assert_int_equal(safetensors_open(&f, fx->path), LENS_OK);
    assert_int_equal(safetensors_n(f), 6);
    for (int i = 0; i < 6; i++) {
        assert_string_equal(safetensors_at(f, i)->name, names[i]);
        assert_ptr_equal(safetensors_find(f, names[i]), safetensors_at(f, i));
    }
    assert_null(safetensors_find(f, "blocks.0.weigh"));
    assert_string_equal(safetensors_meta(f, "axes"), "(4, 6, 6)");
    assert_null(safetensors_meta(f, "missing"));

    const st_tensor_t *t = safetensors_at(f, 0);
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(t->shape[0], 2);
    assert_int_equal(t->shape[1], 3);
    assert_int_equal(t->n, 6);
    assert_int_equal((uintptr_t)t->bytes % 64, 0);
    assert_int_equal(safetensors_read_f32(t, x), LENS_OK);
    static const float expected[6] = {0.0f, -0.0f, 1.5f, -2.25f, 1e30f, 1e-40f};
    assert_memory_equal(x, expected, sizeof(x));
    assert_int_equal(safetensors_read_f32(safetensors_find(f, "losses"), x), LENS_OK);
    assert_true(x[0] == 0.1f && x[1] == -INFINITY);
    assert_int_equal(safetensors_read_f32(safetensors_find(f, "ids"), x), LENS_OK);
    assert_true(x[0] == -7.0f && x[1] == 16777216.0f);
    assert_int_equal(safetensors_read_f32(safetensors_at(f, 1), x), LENS_OK);
    assert_true(x[0] == 0.0f && x[1] == 127.0f && x[2] == 255.0f);
    assert_int_equal(safetensors_at(f, 3)->n, 0);
    assert_int_equal(safetensors_read_f32(safetensors_at(f, 3), x), LENS_OK);
    assert_int_equal(safetensors_at(f, 4)->n, 1); /* a scalar */
    assert_int_equal(safetensors_read_f32(safetensors_at(f, 4), x), LENS_FORMAT);
    assert_non_null(strstr(lens_error(), "'step'"));
    safetensors_close(f);
}

/* All 65536 halves against the compiler's own conversion, and all bfloat16 against their definition. */
static void test_conversions(void **state) {
    const fixture_t *fx = *state;
    safetensors_t *f;
    static uint16_t bits[65536];
    static float x[65536];
    for (int i = 0; i < 65536; i++) bits[i] = (uint16_t)i;
    const st_entry_t entries[] = {{"h", ST_F16, 1, {65536}, bits}, {"b", ST_BF16, 1, {65536}, bits}};
    assert_int_equal(safetensors_write(fx->path, entries, 2, NULL, 0), LENS_OK);
    assert_int_equal(safetensors_open(&f, fx->path), LENS_OK);
    assert_int_equal(safetensors_read_f32(safetensors_find(f, "h"), x), LENS_OK);
    for (int i = 0; i < 65536; i++) {
        double magnitude = (i >> 10 & 31) == 0    ? ldexp(i & 1023, -24)
                           : (i >> 10 & 31) == 31 ? ((i & 1023) ? (double)NAN : (double)INFINITY)
                                                  : ldexp(1024 + (i & 1023), (i >> 10 & 31) - 25);
        if (isnan(magnitude)) {
            assert_true(isnan(x[i]));
        } else {
            assert_true((double)x[i] == (i & 0x8000 ? -magnitude : magnitude));
        }
        assert_int_equal(signbit(x[i]) != 0, i >> 15);
    }
    assert_int_equal(safetensors_read_f32(safetensors_find(f, "b"), x), LENS_OK);
    for (int i = 0; i < 65536; i++) {
        uint32_t back;
        memcpy(&back, &x[i], 4);
        assert_int_equal(back, (uint32_t)i << 16);
    }
    safetensors_close(f);
}

/* A file as PyTorch's library writes it: header padded with spaces, tensors in no alphabetical order. */
static void test_foreign(void **state) {
    const fixture_t *fx = *state;
    safetensors_t *f;
    write_raw(fx,
              "{\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]},"
              "\"a\":{\"shape\":[],\"dtype\":\"F32\",\"data_offsets\":[0,4]},\"z\":{\"dtype\":\"BOOL\","
              "\"shape\":[1],\"data_offsets\":[12,13]},\"__metadata__\":{\"format\":\"pt\"}}     ",
              13);
    assert_int_equal(safetensors_open(&f, fx->path), LENS_OK);
    assert_string_equal(safetensors_at(f, 0)->name, "a"); /* by place in the file */
    assert_string_equal(safetensors_at(f, 1)->name, "b");
    assert_string_equal(safetensors_meta(f, "format"), "pt");
    safetensors_close(f);
    write_raw(fx, "{}", 0);
    assert_int_equal(safetensors_open(&f, fx->path), LENS_OK);
    assert_int_equal(safetensors_n(f), 0);
    assert_null(safetensors_find(f, "a"));
    assert_null(safetensors_meta(f, "a"));
    safetensors_close(f);
}

static void test_refused(void **state) {
    const fixture_t *fx = *state;
    expect_refused(fx, "", 0, "header");
    expect_refused(fx, "[]", 0, "not a JSON object");
    expect_refused(fx, "{\"a\":1}", 0, "'a'");
    expect_refused(fx,
                   "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                   "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
                   8, "duplicate");
    expect_refused(fx, "{\"a\":{\"dtype\":\"F8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "tensor 'a': dtype 'F8'");
    expect_refused(fx, "{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "tensor 'a': dtype");
    expect_refused(fx, "{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", 1, "dimension 0");
    expect_refused(fx, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1.0],\"data_offsets\":[0,1]}}", 1, "dimension 0");
    expect_refused(fx, "{\"a\":{\"dtype\":\"U8\",\"shape\":1,\"data_offsets\":[0,1]}}", 1, "shape");
    expect_refused(fx, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1, "shape");
    expect_refused(fx, "{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
                   "too large");
    expect_refused(fx, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0,
                   "too large");
    expect_refused(fx, "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 1, "outside");
    expect_refused(fx, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[-1,0]}}", 1, "outside");
    expect_refused(fx, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,0]}}", 1, "outside");
    expect_refused(fx, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, "data_offsets");
    expect_refused(fx, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,99999999999999999999]}}", 1,
                   "header");
    expect_refused(fx, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,3]}}", 3,
                   "3 bytes by data_offsets");
    expect_refused(fx,
                   "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
                   "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
                   3, "'b': begins at");
    expect_refused(fx, "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}", 3, "hole");
    expect_refused(fx, "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 3, "tensors end");
    expect_refused(fx, "{\"__metadata__\":{\"a\":1}}", 0, "__metadata__");
    expect_refused(fx, "{\"__metadata__\":[]}", 0, "__metadata__");
    expect_refused(fx, "{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "header");

    safetensors_t *f;
    assert_int_equal(file_write(fx->path, "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10), LENS_OK);
    assert_int_equal(safetensors_open(&f, fx->path), LENS_FORMAT);
    assert_non_null(strstr(lens_error(), "header of 18446744073709551615 bytes"));
    assert_int_equal(safetensors_open(&f, fx->dir), LENS_IO);
    assert_int_equal(safetensors_open(&f, "/nonexistent/file"), LENS_IO);
}

static void test_write_refused(void **state) {
    const fixture_t *fx = *state;
    static const uint8_t byte[1] = {1};
    static const char *const doubled[][2] = {{"k", "1"}, {"k", "2"}}, *const broken[][2] = {{"k", "\xff"}};
    const st_entry_t twice[] = {{"a", ST_U8, 1, {1}, byte}, {"a", ST_U8, 1, {1}, byte}};
    const st_entry_t reserved = {"__metadata__", ST_U8, 1, {1}, byte}, negative = {"a", ST_U8, 1, {-1}, byte};
    const st_entry_t huge = {"a", ST_F32, 2, {INT64_MAX, 2}, byte}, name = {"\xff", ST_U8, 1, {1}, byte};
    assert_int_equal(safetensors_write(fx->path, twice, 2, NULL, 0), LENS_ARGUMENT);
    assert_int_equal(safetensors_write(fx->path, &reserved, 1, NULL, 0), LENS_ARGUMENT);
    assert_int_equal(safetensors_write(fx->path, &negative, 1, NULL, 0), LENS_ARGUMENT);
    assert_int_equal(safetensors_write(fx->path, &huge, 1, NULL, 0), LENS_ARGUMENT);
    assert_int_equal(safetensors_write(fx->path, &name, 1, NULL, 0), LENS_ARGUMENT);
    assert_int_equal(safetensors_write(fx->path, twice, 1, doubled, 2), LENS_ARGUMENT);
    assert_int_equal(safetensors_write(fx->path, twice, 1, broken, 1), LENS_ARGUMENT);
    assert_false(file_exists(fx->path));
    assert_int_equal(safetensors_write("/nonexistent/f", twice, 1, NULL, 0), LENS_IO);
}

/* Opens a damaged copy; what opens all the same (a flipped tensor byte) is read to its last element. */
static bool try_damaged(const char *path, const void *bytes, size_t n) {
    safetensors_t *f;
    (void)remove(path); /* a new file: some file systems sync one that is cut to nothing and written again */
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    fclose(out);
    if (safetensors_open(&f, path) != LENS_OK) {
        assert_non_null(strstr(lens_error(), path));
        return false;
    }
    for (int i = 0; i < safetensors_n(f); i++) {
        const st_tensor_t *t = safetensors_at(f, i);
        float *x = malloc(((size_t)t->n + 1) * sizeof(*x));
        assert_non_null(x);
        if (safetensors_read_f32(t, x) != LENS_OK) assert_true(t->dtype == ST_I64 || t->dtype == ST_BOOL);
        free(x);
    }
    safetensors_close(f);
    return true;
}

static void test_hostile(void **state) {
    const fixture_t *fx = *state;
    char *bytes, damaged[128];
    size_t n;
    write_sample(fx);
    snprintf(damaged, sizeof(damaged), "%s/damaged", fx->dir);
    assert_int_equal(file_read(&bytes, &n, fx->path, 1 << 20), LENS_OK);
    for (size_t cut = 0; cut < n; cut++) assert_false(try_damaged(damaged, bytes, cut));
    static const uint8_t flips[] = {0x01, 0x08, 0x80, 0xff};
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < sizeof(flips); k++) {
            bytes[i] = (char)(bytes[i] ^ flips[k]);
            (void)try_damaged(damaged, bytes, n);
            bytes[i] = (char)(bytes[i] ^ flips[k]);
        }
    }
    assert_true(try_damaged(damaged, bytes, n));
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_conversions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_foreign, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_write_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hostile, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
