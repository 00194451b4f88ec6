/* Shards with bytes changed, in a file in memory (tmpfs). The input's first byte says which shard (base, captions, raw
 * arrays, zstd arrays, index) and whether it is sealed anew afterwards, so that HDF5 and our own checks see the damage;
 * then come edits of four bytes: offset (24 bits, modulo the size), value. All that can be read of it is read. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/set_index.h"
#include "data/shard.h"

enum { KINDS = 5, N = 3, FILE_MAX = 1 << 20 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* HDF5 1.10 itself leaks an object header whose checksum is wrong. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libhdf5";
}

static char *shards[KINDS];
static size_t sizes[KINDS];
static seal_t seals[KINDS];
static int memory;
static char memory_path[] = "/dev/shm/lens-fuzz-shard-XXXXXX";

static void remove_memory(void) {
    unlink(memory_path);
}

static void must(lens_status st) {
    if (st == LENS_OK) return;
    fprintf(stderr, "%s\n", lens_error());
    abort();
}

static void write_arrays(const dataset_t *d, const char *dir, const char *kind, array_codec codec) {
    array_writer_t *w;
    float values[600];
    for (int i = 0; i < 600; i++) values[i] = (float)(i * i);
    must(array_writer_open(&w, d, 0, dir, kind, ARRAY_F32, codec, 0, NULL));
    for (int i = 0; i < N; i++) must(array_writer_add(w, &(array_shape_t){ARRAY_F32, 2, {10, 20 + i}}, values));
    must(array_writer_close(w));
}

static void write_set(const char *dir) {
    bucket_list_t l;
    dataset_writer_options_t options = DATASET_WRITER_DEFAULTS;
    must(bucket_list_parse(&l, "8x8,16x8", 0));
    options.buckets = &l;
    dataset_writer_t *w;
    must(dataset_writer_open(&w, dir, &options));
    for (int i = 0; i < N; i++) {
        char key[] = {(char)('a' + i), '\0'};
        sample_t s = {.key = key,
                      .picture = "a picture of some bytes",
                      .picture_bytes = 20,
                      .width = 8,
                      .height = 9,
                      .original_width = 10,
                      .original_height = 11,
                      .alt = "alt",
                      .meta = "{\"a\":1}"};
        must(dataset_writer_add(w, &s));
    }
    must(dataset_writer_close(w));
    dataset_t *d;
    must(dataset_open(&d, dir));
    layer_writer_t *layer;
    must(layer_writer_open(&layer, d, 0, dir, "dense", NULL));
    for (int i = 0; i < N; i++) must(layer_writer_add(layer, "a caption", NULL));
    must(layer_writer_close(layer));
    write_arrays(d, dir, "raw", ARRAY_RAW);
    write_arrays(d, dir, "zstd", ARRAY_ZSTD);
    dataset_close(d);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    static const char *const names[KINDS] = {"base/shard-00000.h5", "dense/shard-00000.h5", "raw/shard-00000.h5",
                                             "zstd/shard-00000.h5", SET_INDEX_NAME};
    char dir[] = "/tmp/lens-fuzz-shard-XXXXXX", path[128];
    if (!mkdtemp(dir)) abort();
    write_set(dir);
    for (int i = 0; i < KINDS; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        must(file_read(&shards[i], &sizes[i], path, FILE_MAX));
        int fd = open(path, O_RDONLY);
        must(seal_read(&seals[i], fd, path));
        close(fd);
    }
    must(dir_remove(dir));
    memory = mkstemp(memory_path); /* not memfd_create: HDF5 does not find it under its name in /proc */
    if (memory < 0 || atexit(remove_memory) != 0) abort();
    return 0;
}

static lens_status read_array(const array_table_t *t, int64_t i) {
    size_t n = array_table_bytes(t, i);
    if (n > FILE_MAX) return LENS_OK;
    void *values = malloc(n ? n : 1);
    lens_status st = array_table_read(t, i, values);
    free(values);
    return st;
}

static void read_shard(void) {
    str_t lines = {0};
    int64_t n_faults;
    must(shard_verify(memory_path, SHARD_VERIFY_PICTURES, &lines, &n_faults));
    str_free(&lines);
    shard_t *s;
    if (shard_open_damaged(&s, memory_path) != LENS_OK) return;
    str_t text = {0};
    for (int64_t i = 0; i < s->n_samples && i < 100; i++) {
        lens_status st = s->role == SEAL_ARRAYS ? read_array(&s->arrays, i) : column_get(&s->text, i, NULL, &text);
        if (st == LENS_OK && s->role == SEAL_BASE) st = shard_image(s, i, &text);
        if (st == LENS_MEMORY) abort();
    }
    str_free(&text);
    shard_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    if (n < 1) return 0;
    int kind = bytes[0] % KINDS;
    bool sealed = bytes[0] / KINDS % 2;
    size_t size = sizes[kind];
    char *file = malloc(size);
    memcpy(file, shards[kind], size);
    for (size_t at = 1; at + 4 <= n; at += 4) {
        size_t offset = ((size_t)bytes[at] | (size_t)bytes[at + 1] << 8 | (size_t)bytes[at + 2] << 16) % size;
        file[offset] = (char)bytes[at + 3];
    }
    if (pwrite(memory, file, size, 0) != (ssize_t)size) abort();
    free(file);
    if (sealed) {
        seal_t s = seals[kind];
        must(seal_hash_file(&s.structure_hash, &s, memory, memory_path));
        must(seal_write(&s, memory, memory_path));
    }
    if (kind == KINDS - 1) {
        set_index_t x;
        lens_status st = set_index_read(&x, memory_path);
        if (st == LENS_OK) set_index_free(&x);
    } else {
        read_shard();
    }
    return 0;
}
