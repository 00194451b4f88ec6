/* Array layers and the index: what is written reads back, damage of any byte is found, few shards stay open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "data/set_index.h"
#include "data/shard.h"
#include "data/shards.h"

enum { N = 17, PER_SHARD = 4, N_SHARDS = 5, FILE_MAX = 1 << 22 };

#define ok(call) assert_ok((call), #call)
static void assert_ok(lens_status st, const char *call) {
    if (st != LENS_OK) fail_msg("%s: %s", call, lens_error());
}

static void assert_fails(lens_status st, lens_status expected, const char *part) {
    if (st != expected || !strstr(lens_error(), part))
        fail_msg("status %s, message %s; expected %s with %s", lens_status_name(st), lens_error(),
                 lens_status_name(expected), part);
}

/* HDF5 1.10 itself leaks an object header whose checksum is wrong. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libhdf5";
}

static void write_base(const char *dir, const bucket_list_t *buckets) {
    dataset_writer_options_t options = DATASET_WRITER_DEFAULTS;
    options.shard_max_samples = PER_SHARD;
    options.buckets = buckets;
    dataset_writer_t *w;
    ok(dataset_writer_open(&w, dir, &options));
    for (int i = 0; i < N; i++) {
        char key[16], picture[40];
        snprintf(key, sizeof key, "k%02d", i);
        memset(picture, i, sizeof picture);
        sample_t s = {.key = key,
                      .picture = picture,
                      .picture_bytes = sizeof picture,
                      .width = 256 + 16 * i,
                      .height = 512,
                      .original_width = 1,
                      .original_height = 1,
                      .alt = key};
        ok(dataset_writer_add(w, &s));
    }
    ok(dataset_writer_close(w));
}

static int setup(void **state) {
    char *dir = strdup("/tmp/lens-test-arrays-XXXXXX");
    *state = dir;
    if (!dir || !mkdtemp(dir)) return -1;
    write_base(dir, NULL);
    return 0;
}

static int teardown(void **state) {
    lens_status st = dir_remove(*state);
    free(*state);
    return st == LENS_OK ? 0 : -1;
}

/* ---- arrays ---- */

typedef enum { SAME, RAGGED, LARGE } sizes_t;

static array_shape_t shape_of(int64_t i, array_dtype dtype, sizes_t sizes) {
    if (sizes == SAME) return (array_shape_t){dtype, 3, {4, 5, 6}};
    if (sizes == LARGE) return (array_shape_t){dtype, 2, {300, 1000 + i}};
    switch (i % 4) {
    case 0:
        return (array_shape_t){dtype, 2, {i, 7}}; /* sample 0 has no values */
    case 1:
        return (array_shape_t){dtype, 0, {0}};
    case 2:
        return (array_shape_t){dtype, 4, {1, 2, 3, 4}};
    default:
        return (array_shape_t){dtype, 1, {1000 * i}};
    }
}

static uint8_t value_at(int64_t sample, size_t k) {
    return (uint8_t)(sample * 37 + (k % 2 ? (int64_t)(k / 512) : (int64_t)(k * k >> 5)));
}

static void *values_of(int64_t i, const array_shape_t *shape, size_t *n) {
    ok(array_bytes(shape, n));
    uint8_t *v = malloc(*n + 1);
    assert_non_null(v);
    for (size_t k = 0; k < *n; k++) v[k] = value_at(i, k);
    return v;
}

static void write_arrays(const dataset_t *d, const char *dir, const char *kind, array_dtype dtype, array_codec codec,
                         sizes_t sizes) {
    for (int64_t s = 0; s < dataset_n_shards(d); s++) {
        array_writer_t *w;
        ok(array_writer_open(&w, d, s, dir, kind, dtype, codec, 0, "{\"model\":\"m\"}"));
        for (int64_t i = 0; i < dataset_shard_n_samples(d, s); i++) {
            int64_t sample = dataset_shard_begin(d, s) + i;
            array_shape_t shape = shape_of(sample, dtype, sizes);
            size_t n;
            void *v = values_of(sample, &shape, &n);
            ok(array_writer_add(w, &shape, v));
            free(v);
        }
        ok(array_writer_close(w));
    }
}

static void check_arrays(const dataset_t *d, const char *kind, array_dtype dtype, sizes_t sizes) {
    for (int64_t i = 0; i < N; i++) {
        array_shape_t expected = shape_of(i, dtype, sizes), shape;
        ok(dataset_array_shape(d, i, kind, &shape));
        assert_int_equal(shape.dtype, dtype);
        assert_int_equal(shape.n_dims, expected.n_dims);
        for (int k = 0; k < shape.n_dims; k++) assert_int_equal(shape.dims[k], expected.dims[k]);
        size_t n;
        void *v = values_of(i, &expected, &n);
        uint8_t *got = malloc(n + 1);
        got[n] = 0xA5;
        ok(dataset_array(d, i, kind, got, n));
        assert_memory_equal(got, v, n);
        assert_int_equal(got[n], 0xA5);
        if (n) assert_fails(dataset_array(d, i, kind, got, n - 1), LENS_ARGUMENT, "room for");
        free(got);
        free(v);
    }
}

static void arrays_read_back(void **state) {
    const char *dir = *state;
    dataset_t *d;
    ok(dataset_open(&d, dir));
    char kind[24];
    for (int dtype = 0; dtype < ARRAY_DTYPES; dtype++)
        for (int codec = 0; codec < ARRAY_CODECS; codec++)
            for (int sizes = SAME; sizes <= LARGE; sizes++) {
                if (sizes == LARGE && dtype != ARRAY_BF16) continue;
                snprintf(kind, sizeof kind, "a-%d-%d-%d", dtype, codec, sizes);
                write_arrays(d, dir, kind, (array_dtype)dtype, (array_codec)codec, (sizes_t)sizes);
            }
    dataset_close(d);
    ok(dataset_open(&d, dir));
    assert_int_equal(dataset_n_kinds(d), 1);
    assert_int_equal(dataset_n_arrays(d), 18);
    for (int dtype = 0; dtype < ARRAY_DTYPES; dtype++)
        for (int codec = 0; codec < ARRAY_CODECS; codec++)
            for (int sizes = SAME; sizes <= LARGE; sizes++) {
                if (sizes == LARGE && dtype != ARRAY_BF16) continue;
                snprintf(kind, sizeof kind, "a-%d-%d-%d", dtype, codec, sizes);
                assert_true(dataset_has_array(d, kind));
                check_arrays(d, kind, (array_dtype)dtype, (sizes_t)sizes);
            }
    array_shape_t shape;
    assert_fails(dataset_array_shape(d, 0, "alt", &shape), LENS_ARGUMENT, "no arrays of kind alt");
    str_t text = {0};
    assert_fails(dataset_caption(d, 0, "a-1-0-0", &text), LENS_ARGUMENT, "no captions of kind a-1-0-0");
    str_free(&text);
    dataset_close(d);
}

static float bf16_at(int64_t sample, size_t element) {
    uint32_t bits = ((uint32_t)value_at(sample, 2 * element) | (uint32_t)value_at(sample, 2 * element + 1) << 8) << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* The same values by HDF5 alone, its shuffle and its types: what h5py and others see. */
static void hdf5_reads_arrays(void **state) {
    const char *dir = *state;
    dataset_t *d;
    ok(dataset_open(&d, dir));
    write_arrays(d, dir, "raw", ARRAY_BF16, ARRAY_RAW, LARGE);
    write_arrays(d, dir, "zstd", ARRAY_BF16, ARRAY_ZSTD, LARGE);
    for (int codec = 0; codec < ARRAY_CODECS; codec++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s/shard-00001.h5", dir, codec ? "zstd" : "raw");
        hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), set = H5Dopen2(file, "values", H5P_DEFAULT);
        hid_t space = H5Dget_space(set);
        hsize_t n = (hsize_t)H5Sget_simple_extent_npoints(space), at = 0;
        float *values = malloc((size_t)n * sizeof *values);
        assert_non_null(values);
        assert_true(H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
        for (int64_t i = PER_SHARD; i < 2 * PER_SHARD; i++)
            for (int64_t k = 0; k < 300 * (1000 + i); k++, at++) {
                float expected = bf16_at(i, (size_t)k);
                if (memcmp(&values[at], &expected, sizeof expected) != 0 && expected == expected)
                    fail_msg("%s: value %lld: %g, expected %g", path, (long long)at, values[at], expected);
            }
        assert_true(at == n);
        free(values);
        H5Sclose(space);
        H5Dclose(set);
        H5Fclose(file);
    }
    dataset_close(d);
}

static void writer_refuses(void **state) {
    const char *dir = *state;
    dataset_t *d;
    ok(dataset_open(&d, dir));
    array_writer_t *w;
    uint8_t v[64] = {0};
    assert_fails(array_writer_open(&w, d, 0, dir, "base", ARRAY_U8, ARRAY_RAW, 0, NULL), LENS_ARGUMENT, "no name");
    assert_fails(array_writer_open(&w, d, 0, dir, "x", ARRAY_U8, ARRAY_ZSTD, 20, NULL), LENS_ARGUMENT, "zstd level 20");
    ok(array_writer_open(&w, d, 0, dir, "x", ARRAY_F16, ARRAY_ZSTD, 19, NULL));
    assert_fails(array_writer_add(w, &(array_shape_t){ARRAY_F32, 1, {1}}, v), LENS_ARGUMENT, "expected f16");
    assert_fails(array_writer_add(w, &(array_shape_t){ARRAY_F16, 1, {-1}}, v), LENS_ARGUMENT, "a dimension of -1");
    assert_fails(array_writer_add(w, &(array_shape_t){ARRAY_F16, 2, {1 << 20, 1 << 20}}, v), LENS_ARGUMENT, "at most");
    assert_fails(array_writer_add(w, &(array_shape_t){ARRAY_F16, 2, {INT64_MAX, INT64_MAX}}, v), LENS_ARGUMENT, "dim");
    ok(array_writer_add(w, &(array_shape_t){ARRAY_F16, 1, {3}}, v));
    assert_fails(array_writer_close(w), LENS_STATE, "closed with 1 samples, expected 4");
    ok(array_writer_open(&w, d, 0, dir, "x", ARRAY_F16, ARRAY_RAW, 0, NULL));
    for (int i = 0; i < PER_SHARD; i++) ok(array_writer_add(w, &(array_shape_t){ARRAY_F16, 1, {0}}, v));
    assert_fails(array_writer_add(w, &(array_shape_t){ARRAY_F16, 1, {0}}, v), LENS_STATE, "more than");
    assert_fails(array_writer_close(w), LENS_STATE, "no sample has values");
    char path[128];
    snprintf(path, sizeof path, "%s/x", dir);
    char **names;
    int64_t n;
    ok(dir_list(&names, &n, path));
    assert_int_equal(n, 0);
    dir_list_free(names, n);
    dataset_close(d);
}

/* ---- damage ---- */

static int64_t n_faults(const char *path) {
    str_t lines = {0};
    int64_t n = 0;
    ok(shard_verify(path, 0, &lines, &n));
    str_free(&lines);
    return n;
}

static bool index_is_damaged(const char *path) {
    set_index_t x;
    if (set_index_read(&x, path) != LENS_OK) return true;
    set_index_free(&x);
    return false;
}

/* A bit of every `step`-th byte. */
static void flips(const char *path, size_t step) {
    char *bytes;
    size_t n;
    ok(file_read(&bytes, &n, path, FILE_MAX));
    bool index = strstr(path, SET_INDEX_NAME) != NULL;
    int fd = open(path, O_RDWR);
    for (size_t i = 0; i < n; i += step) {
        char flipped = (char)(bytes[i] ^ (1 << i % 8));
        assert_int_equal(pwrite(fd, &flipped, 1, (off_t)i), 1);
        bool found = index ? index_is_damaged(path) : n_faults(path) > 0;
        if (!found) fail_msg("%s: a flip at %zu was not found", path, i);
        assert_int_equal(pwrite(fd, &bytes[i], 1, (off_t)i), 1);
    }
    assert_true(index ? !index_is_damaged(path) : n_faults(path) == 0);
    close(fd);
    free(bytes);
}

static void finds_every_flip(void **state) {
    const char *dir = *state;
    dataset_t *d;
    ok(dataset_open(&d, dir));
    write_arrays(d, dir, "raw", ARRAY_BF16, ARRAY_RAW, SAME);
    write_arrays(d, dir, "zstd", ARRAY_BF16, ARRAY_ZSTD, SAME);
    write_arrays(d, dir, "ragged", ARRAY_F32, ARRAY_ZSTD, RAGGED);
    dataset_close(d);
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, SET_INDEX_NAME);
    flips(path, 1);
    snprintf(path, sizeof path, "%s/raw/shard-00001.h5", dir);
    flips(path, 1);
    snprintf(path, sizeof path, "%s/zstd/shard-00001.h5", dir);
    flips(path, 1);
    snprintf(path, sizeof path, "%s/ragged/shard-00002.h5", dir);
    flips(path, 11);
}

/* ---- the index, and how many shards are open ---- */

static void stale_index(void **state) {
    const char *dir = *state;
    dataset_t *d;
    char path[128], other[128];
    struct stat info;
    snprintf(path, sizeof path, "%s/base/shard-%05d.h5", dir, N_SHARDS - 1);
    snprintf(other, sizeof other, "%s/base/shard-%05d.h5", dir, N_SHARDS);
    ok(dataset_open(&d, dir));
    assert_int_equal(dataset_n_open(d), 0);
    dataset_close(d);
    assert_int_equal(rename(path, other), 0);
    assert_fails(dataset_open(&d, dir), LENS_FORMAT, "base: shard-00004.h5 is missing");
    assert_int_equal(rename(other, path), 0);
    assert_int_equal(link(path, other), 0);
    assert_fails(dataset_open(&d, dir), LENS_FORMAT, "6 shards, but the index has 5; make it again: lens shards index");
    ok(dataset_write_index(dir, NULL));
    ok(dataset_open(&d, dir));
    assert_int_equal(dataset_n_samples(d), N + 1);
    dataset_close(d);
    unlink(other);
    assert_fails(dataset_open(&d, dir), LENS_FORMAT, "shard-00005.h5 is missing; if that is so, make the index again");
    ok(dataset_write_index(dir, NULL));
    /* A file a byte short, then another's. */
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(truncate(path, info.st_size - 1), 0);
    assert_fails(dataset_open(&d, dir), LENS_FORMAT, "cut short; made again by: lens shards index");
    assert_int_equal(unlink(path), 0);
    snprintf(other, sizeof other, "%s/base/shard-00000.h5", dir);
    assert_int_equal(link(other, path), 0);
    assert_fails(dataset_open(&d, dir), LENS_FORMAT, "shard-00004.h5: ");
    snprintf(path, sizeof path, "%s/%s", dir, SET_INDEX_NAME);
    ok(file_write(path, "x", 1));
    assert_fails(dataset_open(&d, dir), LENS_FORMAT, "lens shards index");
}

typedef struct {
    const dataset_t *d;
    unsigned seed;
    int64_t n_wrong, most_open;
} reader_t;

static void *read_around(void *context) {
    reader_t *r = context;
    str_t key = {0};
    uint8_t values[240];
    unsigned x = r->seed;
    for (int k = 0; k < 300; k++) {
        x = x * 1664525u + 1013904223u;
        int64_t i = (x >> 8) % N;
        char expected[16];
        snprintf(expected, sizeof expected, "k%02d", (int)i);
        if (dataset_key(r->d, i, &key) != LENS_OK || strcmp(key.s, expected) != 0) r->n_wrong++;
        if (dataset_array(r->d, i, "a", values, sizeof values) != LENS_OK || values[239] != value_at(i, 239))
            r->n_wrong++;
        int64_t n = dataset_n_open(r->d);
        if (n > r->most_open) r->most_open = n;
    }
    str_free(&key);
    return NULL;
}

static void few_shards_stay_open(void **state) {
    enum { THREADS = 8, LIMIT = 2 };
    const char *dir = *state;
    dataset_t *d;
    ok(dataset_open(&d, dir));
    write_arrays(d, dir, "a", ARRAY_BF16, ARRAY_ZSTD, SAME);
    dataset_close(d);
    ok(dataset_open(&d, dir));
    dataset_limit_open(d, LIMIT);
    pthread_t threads[THREADS];
    reader_t readers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        readers[i] = (reader_t){.d = d, .seed = (unsigned)i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, read_around, &readers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(readers[i].n_wrong, 0);
        assert_true(readers[i].most_open <= LIMIT + THREADS); /* each thread holds one at most */
    }
    assert_true(dataset_n_open(d) <= LIMIT);
    dataset_close(d);
}

static void counts_buckets(void **state) {
    char dir[128];
    snprintf(dir, sizeof dir, "%s/counted", (char *)*state);
    bucket_list_t l, other;
    ok(bucket_list_parse(&l, "256x512,512x512", 1));
    ok(bucket_list_parse(&other, "512x512", 0));
    write_base(dir, &l);
    for (int pass = 0; pass < 2; pass++) { /* from the index, from the shards */
        const bucket_list_t *list = pass ? &other : &l;
        dataset_t *d;
        int64_t counts[N_SHARDS * 3] = {0};
        ok(dataset_open(&d, dir));
        ok(dataset_bucket_counts(d, list, counts));
        assert_int_equal(dataset_n_open(d) > 0, pass);
        for (int64_t s = 0; s < N_SHARDS; s++) {
            int32_t width[PER_SHARD], height[PER_SHARD];
            uint64_t hash[PER_SHARD];
            int64_t own[3] = {0}, n = dataset_shard_n_samples(d, s);
            ok(dataset_shard_sizes(d, s, width, height, hash));
            for (int64_t i = 0; i < n; i++) {
                uint64_t one;
                ok(dataset_image_hash(d, dataset_shard_begin(d, s) + i, &one));
                assert_true(one == hash[i]);
                int b = bucket_assign(list, width[i], height[i], hash[i]);
                own[b < 0 ? list->n : b]++;
            }
            for (int b = 0; b <= list->n; b++) assert_int_equal(counts[s * (list->n + 1) + b], own[b]);
        }
        dataset_close(d);
    }
}

static void numbered_shards(void **state) {
    char dir[128];
    snprintf(dir, sizeof dir, "%s/many", (char *)*state);
    char path[160], other[160];
    snprintf(path, sizeof path, "%s/base", dir);
    ok(dir_make(path));
    const shard_identity_t identity = {.kind = "base", .provenance = "{}", .zstd_level = 9};
    shard_writer_t *w;
    for (int number = 2; number >= 0; number--) {
        snprintf(path, sizeof path, "%s/base/shard-%05d.h5", dir, number);
        ok(shard_writer_open(&w, path, &identity));
        char key[] = {(char)('a' + number), '\0'};
        sample_t s = {.key = key,
                      .picture = "p",
                      .picture_bytes = 1,
                      .width = 1,
                      .height = 1,
                      .original_width = 1,
                      .original_height = 1};
        ok(shard_writer_add_sample(w, &s));
        assert_int_equal(shard_writer_n_samples(w), 1);
        ok(shard_writer_close(w));
    }
    snprintf(path, sizeof path, "%s/base/shard-00003.h5", dir);
    ok(shard_writer_open(&w, path, &identity));
    assert_fails(shard_writer_close(w), LENS_STATE, "closed with 0 samples");
    ok(dataset_write_index(dir, NULL));
    dataset_t *d;
    ok(dataset_open(&d, dir));
    str_t key = {0};
    ok(dataset_key(d, 1, &key));
    assert_string_equal(key.s, "b");
    dataset_close(d);
    /* Another shard of the same size under the name of one. */
    snprintf(path, sizeof path, "%s/base/shard-00002.h5", dir);
    snprintf(other, sizeof other, "%s/base/shard-00000.h5", dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(link(other, path), 0);
    ok(dataset_open(&d, dir));
    ok(dataset_key(d, 0, &key));
    assert_fails(dataset_key(d, 2, &key), LENS_FORMAT, "the index has");
    str_free(&key);
    dataset_close(d);
}

/* ---- repair ---- */

/* Flips a byte of dir/kind/NAME: of the values at `at`, or of the seal where at is negative. */
static void hurt(const char *dir, const char *kind, int shard, int64_t at) {
    char path[160];
    unsigned char byte;
    seal_t seal;
    snprintf(path, sizeof path, "%s/%s/shard-%05d.h5", dir, kind, shard);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    ok(seal_read(&seal, fd, path));
    const uint64_t offset = at < 0 ? seal.hdf5_bytes + 20 : seal.payload_begin + (uint64_t)at;
    ok(file_read_at(fd, &byte, 1, offset, path));
    byte ^= 0x10;
    ok(file_write_at(fd, &byte, 1, offset, path));
    close(fd);
}

/* One damaged array takes its sample with it, and no other; damaged seals cost nothing. */
static void repairs_arrays(void **state) {
    const char *dir = *state;
    char out[128];
    dataset_t *d;
    ok(dataset_open(&d, dir));
    write_arrays(d, dir, "latents", ARRAY_BF16, ARRAY_RAW, SAME);
    write_arrays(d, dir, "features", ARRAY_F32, ARRAY_ZSTD, RAGGED);
    dataset_close(d);
    for (int shard = 0; shard < N_SHARDS; shard++) hurt(dir, "features", shard, -1);
    hurt(dir, "latents", 0, -1);
    hurt(dir, "latents", 1, 250); /* sample 1 of the shard: its arrays have 240 bytes */
    snprintf(out, sizeof out, "%s/mended", dir);
    const shards_options_t options = {.out = out};
    ok(shards_repair(dir, &options));
    ok(dataset_open(&d, out));
    assert_int_equal(dataset_n_samples(d), N - 1);
    assert_int_equal(dataset_n_arrays(d), 2);
    str_t key = {0};
    for (int64_t i = 0; i < N - 1; i++) {
        const int64_t was = i < PER_SHARD + 1 ? i : i + 1;
        char expected[16];
        array_shape_t shape = shape_of(was, ARRAY_F32, RAGGED);
        size_t n;
        void *values = values_of(was, &shape, &n), *got = malloc(n + 1);
        assert_non_null(got);
        ok(dataset_array(d, i, "features", got, n));
        assert_memory_equal(got, values, n);
        snprintf(expected, sizeof expected, "k%02d", (int)was);
        ok(dataset_key(d, i, &key));
        assert_string_equal(key.s, expected);
        free(values);
        free(got);
    }
    str_free(&key);
    dataset_close(d);
    char path[160], *lost;
    size_t n_lost;
    snprintf(path, sizeof path, "%s/lost.jsonl", out);
    ok(file_read(&lost, &n_lost, path, 10000));
    assert_non_null(strstr(lost, "\"sample\":1,\"key\":\"k05\""));
    assert_null(strchr(strchr(lost, '\n') + 1, '\n'));
    free(lost);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(arrays_read_back), TEST(writer_refuses),  TEST(hdf5_reads_arrays),
        TEST(finds_every_flip), TEST(stale_index),     TEST(few_shards_stay_open),
        TEST(counts_buckets),   TEST(numbered_shards), TEST(repairs_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
