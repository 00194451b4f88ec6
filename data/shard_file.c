#include "data/shard_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { COPY_BYTES = 1 << 20 };

static void remove_leftovers(const char *path) {
    const char *slash = strrchr(path, '/');
    str_t dir = {0}, prefix = {0};
    str_add_n(&dir, path, slash ? (size_t)(slash - path) : 0);
    str_addf(&prefix, "%s.tmp.", slash ? slash + 1 : path);
    char **names;
    int64_t n;
    if (str_status(&dir) == LENS_OK && str_status(&prefix) == LENS_OK &&
        dir_list(&names, &n, dir.len ? dir.s : ".") == LENS_OK) {
        for (int64_t i = 0; i < n; i++) {
            if (!str_starts_with(names[i], prefix.s)) continue;
            size_t kept = dir.len;
            str_addf(&dir, "%s%s", kept ? "/" : "", names[i]);
            if (str_status(&dir) == LENS_OK) unlink(dir.s);
            dir.len = kept;
            if (dir.s) dir.s[kept] = '\0';
        }
        dir_list_free(names, n);
    }
    str_free(&dir);
    str_free(&prefix);
}

lens_status shard_file_open(shard_file_t *f, const char *path) {
    *f = (shard_file_t){.fd = -1};
    str_add(&f->path, path);
    LENS_TRY(str_status(&f->path));
    LENS_TRY(file_temporary_name(&f->temporary, path));
    remove_leftovers(path);
    do f->fd = open(f->temporary.s, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    while (f->fd < 0 && errno == EINTR);
    if (f->fd < 0) return lens_fail(LENS_IO, "%s: cannot create: %s", f->temporary.s, strerror(errno));
    return LENS_OK;
}

lens_status shard_file_write(const shard_file_t *f, const void *bytes, size_t n, uint64_t offset) {
    return file_write_at(f->fd, bytes, n, offset, f->path.s);
}

/* Copies n bytes between files, in pieces; from the end where the target lies behind the source. */
static lens_status copy(const shard_file_t *f, int from_fd, uint64_t from, uint64_t to, uint64_t n) {
    char *buffer = malloc(COPY_BYTES);
    lens_status st = buffer ? LENS_OK : lens_fail(LENS_MEMORY, "%s: out of memory", f->path.s);
    for (uint64_t done = 0; done < n && st == LENS_OK;) {
        size_t part = n - done < COPY_BYTES ? (size_t)(n - done) : COPY_BYTES;
        uint64_t at = to > from ? n - done - part : done;
        st = file_read_at(from_fd, buffer, part, from + at, f->path.s);
        if (st == LENS_OK) st = shard_file_write(f, buffer, part, to + at);
        done += part;
    }
    free(buffer);
    return st;
}

lens_status shard_file_move(const shard_file_t *f, uint64_t from, uint64_t to, uint64_t n) {
    return from == to ? LENS_OK : copy(f, f->fd, from, to, n);
}

lens_status shard_file_seal(const shard_file_t *f, const hdf_t *h, seal_t *s) {
    struct stat info;
    if (fstat(h->fd, &info) != 0) return lens_fail(LENS_IO, "%s: cannot examine: %s", f->path.s, strerror(errno));
    s->hdf5_bytes = (uint64_t)info.st_size;
    LENS_TRY(copy(f, h->fd, 0, 0, s->payload_begin));
    LENS_TRY(copy(f, h->fd, s->payload_end, s->payload_end, s->hdf5_bytes - s->payload_end));
    /* A payload that was moved down leaves a tail behind the end. */
    if (ftruncate(f->fd, (off_t)s->hdf5_bytes) != 0)
        return lens_fail(LENS_IO, "%s: cannot cut: %s", f->path.s, strerror(errno));
    LENS_TRY(seal_hash_file(&s->structure_hash, s, f->fd, f->path.s));
    return seal_write(s, f->fd, f->path.s);
}

lens_status shard_file_publish(shard_file_t *f) {
    LENS_TRY(file_publish(f->temporary.s, f->path.s));
    str_clear(&f->temporary);
    return LENS_OK;
}

void shard_file_abort(shard_file_t *f) {
    if (f->fd >= 0) close(f->fd);
    if (f->fd >= 0 && f->temporary.len) unlink(f->temporary.s);
    str_free(&f->path);
    str_free(&f->temporary);
    f->fd = -1;
}
