/* Shards that were cut, changed, or made up: an error or right data, never a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/file.h"
#include "data/seal.h"
#include "data/shard.h"
#include "data/zstd_filter.h"

enum { N = 3, FILE_MAX = 1 << 20 };

#define ok(call) assert_ok((call), #call)
static void assert_ok(lens_status st, const char *call) {
    if (st != LENS_OK) fail_msg("%s: %s", call, lens_error());
}

/* HDF5 1.10 itself leaks an object header whose checksum is wrong. What we leave open is counted in teardown. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libhdf5";
}

typedef struct {
    char dir[64], base[96], layer[96], work[96];
} files_t;

/* file_write without its syncs, which a thousand small files would wait for. */
static void put(const char *path, const void *bytes, size_t n) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state) {
    files_t *f = calloc(1, sizeof *f);
    *state = f;
    if (!f) return -1;
    snprintf(f->dir, sizeof f->dir, "/tmp/lens-test-hostile-XXXXXX");
    if (!mkdtemp(f->dir)) return -1;
    snprintf(f->base, sizeof f->base, "%s/base.h5", f->dir);
    snprintf(f->layer, sizeof f->layer, "%s/layer.h5", f->dir);
    snprintf(f->work, sizeof f->work, "%s/work.h5", f->dir);
    const shard_identity_t base = {.kind = "base"};
    shard_writer_t *w;
    if (shard_writer_open(&w, f->base, &base) != LENS_OK) return -1;
    char picture[800];
    for (size_t i = 0; i < sizeof picture; i++) picture[i] = (char)(i * i >> 3);
    for (int i = 0; i < N; i++) {
        char key[] = {'k', (char)('0' + i), '\0'};
        sample_t s = {.key = key,
                      .picture = picture + i,
                      .picture_bytes = sizeof picture - (size_t)i * 7,
                      .width = 8,
                      .height = 9,
                      .original_width = 10,
                      .original_height = 11,
                      .alt = "some alt-text",
                      .meta = "{\"a\":1}"};
        if (i == 2) s.picture_bytes = 600;
        if (shard_writer_add_sample(w, &s) != LENS_OK) return -1;
    }
    if (shard_writer_close(w) != LENS_OK) return -1;
    const shard_identity_t layer = {.kind = "dense", .base_shard = "shard-00000", .n_samples = N, .base_hash = 7};
    if (shard_writer_open(&w, f->layer, &layer) != LENS_OK) return -1;
    for (int i = 0; i < N; i++)
        if (shard_writer_add_text(w, "a dense caption", NULL) != LENS_OK) return -1;
    return shard_writer_close(w) == LENS_OK ? 0 : -1;
}

static int teardown(void **state) {
    files_t *f = *state;
    lens_status st = dir_remove(f->dir);
    free(f);
    return st == LENS_OK && H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL) == 0 ? 0 : -1;
}

/* Opens and reads all that can be read; a digest of it in *digest. */
static lens_status read_all(const char *path, uint64_t *digest) {
    shard_t *s;
    *digest = 0;
    LENS_TRY(shard_open(&s, path));
    str_t text = {0}, all = {0};
    lens_status st = LENS_OK;
    for (int64_t i = 0; i < s->n_samples && st == LENS_OK; i++) {
        const column_t *columns[] = {&s->text, &s->meta, s->role != SEAL_BASE ? NULL : &s->keys};
        for (int k = 0; k < 3 && st == LENS_OK; k++) {
            if (!columns[k]) continue;
            st = column_get(columns[k], i, NULL, &text);
            if (st == LENS_OK) str_add_n(&all, text.s, text.len + 1);
        }
        if (st != LENS_OK || s->role != SEAL_BASE) continue;
        st = shard_image(s, i, &text);
        if (st == LENS_OK) str_add_n(&all, text.s, text.len);
        str_addf(&all, "%d %d %d %d", s->width[i], s->height[i], s->original_width[i], s->original_height[i]);
    }
    *digest = XXH3_64bits(str_text(&all), all.len);
    str_free(&all);
    str_free(&text);
    shard_close(s);
    return st;
}

static int64_t n_faults(const char *path) {
    str_t lines = {0};
    int64_t n = 0;
    ok(shard_verify(path, 0, &lines, &n));
    int64_t n_lines = 0;
    for (const char *p = str_text(&lines); *p; p++) n_lines += *p == '\n';
    assert_int_equal(n_lines, n);
    str_free(&lines);
    return n;
}

/* One bit in every byte of the file, one after the other. */
static void flip_every_byte(const char *path, const char *work) {
    char *bytes;
    size_t n;
    uint64_t digest, other;
    ok(file_read(&bytes, &n, path, FILE_MAX));
    ok(read_all(path, &digest));
    assert_int_equal(n_faults(path), 0);
    put(work, bytes, n);
    int fd = open(work, O_RDWR);
    assert_true(fd >= 0);
    for (size_t i = 0; i < n; i++) {
        char flipped = (char)(bytes[i] ^ (1 << i % 8));
        assert_int_equal(pwrite(fd, &flipped, 1, (off_t)i), 1);
        if (n_faults(work) < 1) fail_msg("%s: a flip at %zu was not found", path, i);
        if (read_all(work, &other) == LENS_OK) fail_msg("%s: read in spite of a flip at %zu", path, i);
        assert_int_equal(pwrite(fd, &bytes[i], 1, (off_t)i), 1);
    }
    close(fd);
    ok(read_all(work, &other));
    assert_true(other == digest);
    free(bytes);
}

static void finds_every_flip(void **state) {
    const files_t *f = *state;
    flip_every_byte(f->base, f->work);
    flip_every_byte(f->layer, f->work);
}

static void finds_every_cut(void **state) {
    const files_t *f = *state;
    const char *paths[] = {f->base, f->layer};
    for (int k = 0; k < 2; k++) {
        char *bytes;
        size_t n;
        uint64_t digest;
        ok(file_read(&bytes, &n, paths[k], FILE_MAX));
        for (size_t cut = 0; cut < n; cut += cut + 100 < n ? 61 : 1) {
            put(f->work, bytes, cut);
            assert_int_equal(read_all(f->work, &digest), LENS_FORMAT);
            assert_int_equal(n_faults(f->work), 1);
        }
        str_t longer = {0};
        str_add_n(&longer, bytes, n);
        str_add(&longer, "x");
        put(f->work, longer.s, longer.len);
        assert_int_equal(read_all(f->work, &digest), LENS_FORMAT);
        str_free(&longer);
        free(bytes);
    }
}

/* The file's bytes under a new seal that fits them. */
static void reseal(const char *path, seal_t s) {
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    struct stat info;
    assert_int_equal(fstat(fd, &info), 0);
    ok(seal_hash_file(&s.structure_hash, &s, fd, path));
    ok(seal_write(&s, fd, path));
    close(fd);
}

/* Damage that the seal does not show, made by one who knows how to seal: what HDF5 and our own checks must bear. */
static void bears_sealed_damage(void **state) {
    const files_t *f = *state;
    const char *paths[] = {f->base, f->layer};
    int n_refused = 0;
    for (int k = 0; k < 2; k++) {
        char *bytes;
        size_t n;
        ok(file_read(&bytes, &n, paths[k], FILE_MAX));
        int fd = open(paths[k], O_RDONLY);
        seal_t seal;
        ok(seal_check(&seal, fd, paths[k]));
        close(fd);
        for (size_t i = 0; i < n - SEAL_BYTES; i += 7) {
            if (i >= seal.payload_begin && i < seal.payload_end) continue;
            char kept = bytes[i];
            bytes[i] = (char)(i % 2 ? ~kept : kept ^ (1 << i % 8));
            put(f->work, bytes, n);
            bytes[i] = kept;
            reseal(f->work, seal);
            uint64_t digest;
            lens_status st = read_all(f->work, &digest);
            assert_true(st == LENS_OK || st == LENS_FORMAT);
            n_refused += st == LENS_FORMAT;
            n_faults(f->work);
        }
        free(bytes);
    }
    assert_true(n_refused > 100);
}

/* ---- files made up with HDF5 itself ---- */

typedef struct {
    uint64_t n_samples, schema;
    const char *kind;
    const uint32_t *lengths;
    uint64_t n_lengths;
    hid_t lengths_type;
    bool lengths_contiguous, text_contiguous, text_missing, kind_is_number;
    size_t text_bytes;
} made_t;

static lens_status put_made(hdf_t *h, const made_t *m) {
    static const char text[HDF_CHUNK_BYTES + 1];
    LENS_TRY(hdf_put_number(h, "schema_version", m->schema));
    LENS_TRY(m->kind_is_number ? hdf_put_number(h, "kind", 1) : hdf_put_string(h, "kind", m->kind));
    LENS_TRY(hdf_put_number(h, "n_samples", m->n_samples));
    LENS_TRY(hdf_put_number(h, "base_content_hash", 7));
    LENS_TRY(hdf_put_string(h, "base_shard", "shard-00000"));
    LENS_TRY(hdf_put_string(h, "provenance", "{}"));
    LENS_TRY(hdf_put_string(h, "writer", "test"));
    const char *names[] = {"text", "meta"}, *length_names[] = {"text_lengths", "meta_lengths"};
    for (int i = 0; i < 2; i++) {
        if (i == 0 && m->text_contiguous)
            LENS_TRY(hdf_put_table(h, names[i], H5T_STD_U8LE, text, m->text_bytes, NULL));
        else if (i == 1 || !m->text_missing)
            LENS_TRY(hdf_put_packed(h, names[i], H5T_STD_U8LE, text, m->text_bytes, 3));
        LENS_TRY(m->lengths_contiguous
                     ? hdf_put_table(h, length_names[i], m->lengths_type, m->lengths, m->n_lengths, NULL)
                     : hdf_put_packed(h, length_names[i], m->lengths_type, m->lengths, m->n_lengths, 3));
    }
    return hdf_finish(h);
}

static void make(const char *path, const made_t *m) {
    hdf_t h;
    ok(hdf_create(&h, path, UINT64_MAX / 2));
    ok(put_made(&h, m));
    struct stat info;
    assert_int_equal(fstat(h.fd, &info), 0);
    char *bytes = malloc((size_t)info.st_size);
    assert_non_null(bytes);
    ok(file_read_at(h.fd, bytes, (size_t)info.st_size, 0, path));
    hdf_close(&h);
    put(path, bytes, (size_t)info.st_size);
    free(bytes);
    reseal(path, (seal_t){.kind = SEAL_CAPTIONS,
                          .hdf5_bytes = (uint64_t)info.st_size,
                          .n_samples = m->n_samples,
                          .content_hash = 7});
}

static void refuses_made_up_files(void **state) {
    const files_t *f = *state;
    static const uint32_t good[] = {0, 1, 0, 0}, short_[] = {0, 0, 0}, huge[] = {UINT32_MAX, 2, UINT32_MAX},
                          beyond[] = {0, 0, 2};
    const made_t sound = {.n_samples = N,
                          .schema = SHARD_VERSION,
                          .kind = "dense",
                          .lengths = good,
                          .n_lengths = N,
                          .lengths_type = H5T_STD_U32LE,
                          .text_bytes = 1};
    shard_t *s;
    make(f->work, &sound);
    ok(shard_open(&s, f->work));
    shard_close(s);
    made_t m[17];
    int n = 0;
    for (int i = 0; i < 17; i++) m[i] = sound;
    m[n++].n_samples = 0;
    m[n++].n_samples = UINT64_MAX;
    m[n++].n_samples = INT64_MAX;
    m[n++].n_samples = (uint64_t)SHARD_MAX_SAMPLES;
    m[n++].n_samples = N + 1;
    m[n++].schema = SHARD_VERSION + 1;
    m[n++].kind = "base";
    m[n++].kind_is_number = true;
    m[n++].lengths = short_;
    m[n++].lengths = huge;
    m[n++].lengths = beyond;
    m[n++].n_lengths = N + 1;
    m[n++].n_lengths = N - 1;
    m[n++].lengths_type = H5T_STD_I32LE;
    m[n++].lengths_contiguous = true;
    m[n++].text_contiguous = true;
    m[n++].text_missing = true;
    for (int i = 0; i < n; i++) {
        make(f->work, &m[i]);
        if (shard_open(&s, f->work) != LENS_FORMAT) fail_msg("made-up file %d: %s", i, lens_error());
        assert_null(s);
    }
}

/* Lengths that cut a character in two, NUL bytes, and a chunk that is no frame. */
static void refuses_bad_texts(void **state) {
    const files_t *f = *state;
    static const uint32_t lengths[] = {0, 1, 0};
    const made_t m = {.n_samples = N,
                      .schema = SHARD_VERSION,
                      .kind = "dense",
                      .lengths = lengths,
                      .n_lengths = N,
                      .lengths_type = H5T_STD_U32LE,
                      .text_bytes = 1};
    make(f->work, &m); /* its texts are zero bytes */
    shard_t *s;
    str_t text = {0};
    ok(shard_open(&s, f->work));
    ok(column_get(&s->text, 0, NULL, &text));
    assert_int_equal(column_get(&s->text, 1, NULL, &text), LENS_FORMAT);
    shard_close(s);
    str_free(&text);
    assert_true(n_faults(f->work) > 1);
}

static void refuses_other_files(void **state) {
    const files_t *f = *state;
    uint64_t digest;
    assert_int_equal(read_all(f->dir, &digest), LENS_FORMAT);
    assert_int_equal(read_all("/nonexistent", &digest), LENS_IO);
    assert_int_equal(read_all("/dev/null", &digest), LENS_FORMAT);
}

/* ---- frames ---- */
static void filter_refuses_bad_frames(void **state) {
    (void)state;
    char raw[1000], out[1000], frame[4000];
    memset(raw, 'a', sizeof raw);
    size_t n, raw_bytes;
    assert_null(zstd_filter_encode(frame, sizeof frame, &n, raw, sizeof raw, 3));
    assert_null(zstd_filter_decode(out, sizeof out, frame, n));
    assert_memory_equal(raw, out, sizeof raw);
    assert_non_null(zstd_filter_decode(out, sizeof out - 1, frame, n));
    assert_non_null(zstd_filter_decode(out, sizeof out, frame, n - 1));
    assert_non_null(zstd_filter_decode(out, sizeof out, frame, 0));
    assert_non_null(zstd_filter_encode(frame, sizeof frame, &raw_bytes, raw, sizeof raw, 99));
    memcpy(frame + n, frame, n); /* two frames */
    assert_non_null(zstd_filter_decode(out, sizeof out, frame, 2 * n));
    assert_non_null(zstd_filter_raw_bytes(&raw_bytes, frame, 2 * n));
    assert_non_null(zstd_filter_decode(out, sizeof out, frame, n + 1));
    frame[n - 1] ^= 1; /* of the checksum */
    assert_non_null(zstd_filter_decode(out, sizeof out, frame, n));

    ZSTD_CCtx *c = ZSTD_createCCtx(); /* a frame without its content size */
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0)));
    n = ZSTD_compress2(c, frame, sizeof frame, raw, sizeof raw);
    ZSTD_freeCCtx(c);
    assert_false(ZSTD_isError(n));
    assert_non_null(zstd_filter_raw_bytes(&raw_bytes, frame, n));

    static const unsigned char skippable[] = {0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0};
    assert_non_null(zstd_filter_raw_bytes(&raw_bytes, skippable, sizeof skippable));
    /* A frame whose header promises 2^63 bytes. */
    static const unsigned char bomb[] = {0x28, 0xB5, 0x2F, 0xFD, 0xE0, 0, 0, 0, 0, 0, 0, 0, 0x80, 1, 0, 0};
    assert_non_null(zstd_filter_raw_bytes(&raw_bytes, bomb, sizeof bomb));
}

/* The whole filter as HDF5 calls it, through a dataset in memory. */
static void filter_serves_hdf5(void **state) {
    (void)state;
    hdf_t h;
    ok(hdf_create(&h, "memory", UINT64_MAX / 2)); /* registers the filter */
    hsize_t dims = 5000, chunk = 1024;
    unsigned level = 7;
    hid_t space = H5Screate_simple(1, &dims, NULL), properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(properties, 1, &chunk);
    H5Pset_filter(properties, ZSTD_FILTER_ID, H5Z_FLAG_MANDATORY, 1, &level);
    hid_t set = H5Dcreate2(h.id, "x", H5T_STD_U8LE, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    unsigned char in[5000], out[5000] = {0};
    for (int i = 0; i < 5000; i++) in[i] = (unsigned char)(i / 50);
    assert_true(H5Dwrite(set, H5T_NATIVE_UCHAR, H5S_ALL, H5S_ALL, H5P_DEFAULT, in) >= 0);
    assert_true(H5Fflush(h.id, H5F_SCOPE_LOCAL) >= 0);
    H5Dclose(set);
    set = H5Dopen2(h.id, "x", H5P_DEFAULT);
    assert_true(H5Dget_storage_size(set) < 1500);
    assert_true(H5Dread(set, H5T_NATIVE_UCHAR, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) >= 0);
    assert_memory_equal(in, out, sizeof in);
    H5Dclose(set);
    H5Pclose(properties);
    H5Sclose(space);
    ok(hdf_finish(&h));
    hdf_close(&h);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(finds_every_flip),          TEST(finds_every_cut),    TEST(bears_sealed_damage),
        TEST(refuses_made_up_files),     TEST(refuses_bad_texts),  TEST(refuses_other_files),
        TEST(filter_refuses_bad_frames), TEST(filter_serves_hdf5),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
