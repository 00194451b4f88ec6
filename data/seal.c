#include "data/seal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"

static const char magic[8] = {'L', 'E', 'N', 'S', 'S', 'E', 'A', 'L'};
enum { VERSION = 1, BUFFER_BYTES = 1 << 20 };

static void put(unsigned char *at, uint64_t v, int n_bytes) {
    for (int i = 0; i < n_bytes; i++) at[i] = (unsigned char)(v >> (8 * i));
}

static uint64_t get(const unsigned char *at, int n_bytes) {
    uint64_t v = 0;
    for (int i = 0; i < n_bytes; i++) v |= (uint64_t)at[i] << (8 * i);
    return v;
}

static lens_status hash_range(XXH3_state_t *state, uint64_t begin, uint64_t end, char *buffer, int fd,
                              const char *path) {
    while (begin < end) {
        size_t n = end - begin < BUFFER_BYTES ? (size_t)(end - begin) : BUFFER_BYTES;
        LENS_TRY(file_read_at(fd, buffer, n, begin, path));
        XXH3_64bits_update(state, buffer, n);
        begin += n;
    }
    return LENS_OK;
}

lens_status seal_hash_file(uint64_t *out, const seal_t *s, int fd, const char *path) {
    *out = 0;
    XXH3_state_t *state = XXH3_createState();
    char *buffer = malloc(BUFFER_BYTES);
    lens_status st = LENS_OK;
    if (!state || !buffer) {
        st = lens_fail(LENS_MEMORY, "%s: out of memory", path);
        goto done;
    }
    XXH3_64bits_reset(state);
    LENS_GO(hash_range(state, 0, s->payload_begin, buffer, fd, path));
    LENS_GO(hash_range(state, s->payload_end, s->hdf5_bytes, buffer, fd, path));
    *out = XXH3_64bits_digest(state);
done:
    free(buffer);
    XXH3_freeState(state);
    return st;
}

lens_status seal_write(const seal_t *s, int fd, const char *path) {
    unsigned char bytes[SEAL_BYTES];
    memcpy(bytes, magic, sizeof magic);
    put(bytes + 8, VERSION, 4);
    put(bytes + 12, s->kind, 4);
    put(bytes + 16, s->hdf5_bytes, 8);
    put(bytes + 24, s->n_samples, 8);
    put(bytes + 32, s->content_hash, 8);
    put(bytes + 40, s->payload_begin, 8);
    put(bytes + 48, s->payload_end, 8);
    put(bytes + 56, s->structure_hash, 8);
    put(bytes + 64, XXH3_64bits(bytes, 64), 8);
    return file_write_at(fd, bytes, sizeof bytes, s->hdf5_bytes, path);
}

lens_status seal_read(seal_t *out, int fd, const char *path) {
    struct stat info;
    if (fstat(fd, &info) != 0) return lens_fail(LENS_IO, "%s: cannot examine: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode)) return lens_fail(LENS_FORMAT, "%s: not a regular file", path);
    uint64_t file_bytes = (uint64_t)info.st_size;
    if (file_bytes < SEAL_BYTES)
        return lens_fail(LENS_FORMAT, "%s: no shard, only %llu bytes", path, (unsigned long long)file_bytes);
    unsigned char bytes[SEAL_BYTES];
    LENS_TRY(file_read_at(fd, bytes, sizeof bytes, file_bytes - SEAL_BYTES, path));
    if (memcmp(bytes, magic, sizeof magic) != 0)
        return lens_fail(LENS_FORMAT, "%s: no seal at its end: cut short, changed, or no shard", path);
    if (get(bytes + 64, 8) != XXH3_64bits(bytes, 64)) return lens_fail(LENS_FORMAT, "%s: the seal is damaged", path);
    if (get(bytes + 8, 4) != VERSION)
        return lens_fail(LENS_FORMAT, "%s: seal version %llu, expected %d", path, (unsigned long long)get(bytes + 8, 4),
                         VERSION);
    seal_t s = {
        .hdf5_bytes = get(bytes + 16, 8),
        .n_samples = get(bytes + 24, 8),
        .content_hash = get(bytes + 32, 8),
        .payload_begin = get(bytes + 40, 8),
        .payload_end = get(bytes + 48, 8),
        .structure_hash = get(bytes + 56, 8),
    };
    uint64_t kind = get(bytes + 12, 4);
    if (kind >= SEAL_KINDS || s.hdf5_bytes != file_bytes - SEAL_BYTES || s.payload_begin > s.payload_end ||
        s.payload_end > s.hdf5_bytes)
        return lens_fail(LENS_FORMAT, "%s: the seal contradicts the file's %llu bytes", path,
                         (unsigned long long)file_bytes);
    s.kind = (seal_kind)kind;
    *out = s;
    return LENS_OK;
}

lens_status seal_check(seal_t *out, int fd, const char *path) {
    seal_t s;
    LENS_TRY(seal_read(&s, fd, path));
    uint64_t hash;
    LENS_TRY(seal_hash_file(&hash, &s, fd, path));
    if (hash != s.structure_hash)
        return lens_fail(LENS_FORMAT, "%s: damaged: hash of all but its payload is %016llx, sealed as %016llx", path,
                         (unsigned long long)hash, (unsigned long long)s.structure_hash);
    *out = s;
    return LENS_OK;
}

lens_status seal_kind_of(seal_kind *out, const char *path) {
    *out = SEAL_KINDS;
    int fd;
    LENS_TRY(file_open(&fd, path));
    seal_t s;
    lens_status st = seal_read(&s, fd, path);
    close(fd);
    if (st == LENS_OK) *out = s.kind;
    return st;
}
