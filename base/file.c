#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct atomic_file {
    FILE *stream;
    char *path, *temporary;
};

lens_status file_error_kind(int error) {
    return error == ENOMEM || error == EMFILE || error == ENFILE ? LENS_MEMORY : LENS_IO;
}

static lens_status io_error(const char *what, const char *path) {
    const lens_status st = file_error_kind(errno);
    return lens_fail(st, "%s: cannot %s: %s", path, what, strerror(errno));
}

lens_status file_temporary_name(str_t *out, const char *path) {
    str_clear(out);
    str_addf(out, "%s.tmp.%ld", path, (long)getpid());
    return str_status(out);
}

static void atomic_file_free(atomic_file_t *f) {
    if (f->stream) fclose(f->stream);
    free(f->path);
    free(f->temporary);
    free(f);
}

lens_status atomic_file_open(atomic_file_t **out, const char *path) {
    *out = NULL;
    str_t name = {0};
    atomic_file_t *f = calloc(1, sizeof *f);
    lens_status st = f ? file_temporary_name(&name, path) : lens_fail(LENS_MEMORY, "%s: out of memory", path);
    if (st == LENS_OK && !(f->path = strdup(path))) st = lens_fail(LENS_MEMORY, "%s: out of memory", path);
    if (st != LENS_OK) {
        str_free(&name);
        if (f) atomic_file_free(f);
        return st;
    }
    f->temporary = name.s; /* moves */
    do f->stream = fopen(f->temporary, "wbe");
    while (!f->stream && errno == EINTR);
    if (!f->stream) {
        st = io_error("create", f->temporary);
        atomic_file_free(f);
        return st;
    }
    *out = f;
    return LENS_OK;
}

FILE *atomic_file_stream(atomic_file_t *f) {
    return f->stream;
}

void atomic_file_abort(atomic_file_t *f) {
    if (!f) return;
    unlink(f->temporary);
    atomic_file_free(f);
}

lens_status atomic_file_commit(atomic_file_t *f) {
    bool failed_before = ferror(f->stream);
    int closed = fclose(f->stream);
    f->stream = NULL;
    lens_status st = LENS_OK;
    if (failed_before || closed != 0)
        st = io_error("write", f->path);
    else
        st = file_publish(f->temporary, f->path);
    if (st != LENS_OK) unlink(f->temporary);
    atomic_file_free(f);
    return st;
}

/* Network file systems let a signal interrupt open and fsync. */
static int open_to_read(const char *path) {
    int fd;
    do fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    return fd;
}

lens_status file_open(int *fd, const char *path) {
    *fd = open_to_read(path);
    return *fd < 0 ? io_error("open", path) : LENS_OK;
}

static lens_status sync_path(const char *path) {
    int fd = open_to_read(path), failed;
    if (fd < 0) return io_error("open", path);
    do failed = fsync(fd);
    while (failed && errno == EINTR);
    lens_status st = failed && errno != EINVAL && errno != EROFS ? io_error("sync", path) : LENS_OK;
    close(fd);
    return st;
}

static lens_status sync_parent(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return sync_path(".");
    str_t parent = {0};
    str_add_n(&parent, path, slash == path ? 1 : (size_t)(slash - path));
    lens_status st = str_status(&parent);
    if (st == LENS_OK) st = sync_path(parent.s);
    str_free(&parent);
    return st;
}

lens_status file_publish(const char *temporary, const char *path) {
    LENS_TRY(sync_path(temporary));
    if (rename(temporary, path) != 0) return io_error("rename to its final name", path);
    return sync_parent(path);
}

lens_status file_write(const char *path, const void *bytes, size_t n) {
    atomic_file_t *f;
    LENS_TRY(atomic_file_open(&f, path));
    fwrite(bytes, 1, n, f->stream); /* a short write shows in ferror at commit */
    return atomic_file_commit(f);
}

lens_status file_read_some(int fd, void *out, size_t n, uint64_t offset, size_t *got, const char *path) {
    for (*got = 0; *got < n;) {
        ssize_t part = pread(fd, (char *)out + *got, n - *got, (off_t)(offset + *got));
        if (part < 0 && errno == EINTR) continue;
        if (part < 0) return io_error("read", path);
        if (part == 0) break;
        *got += (size_t)part;
    }
    return LENS_OK;
}

lens_status file_read_at(int fd, void *out, size_t n, uint64_t offset, const char *path) {
    size_t got;
    LENS_TRY(file_read_some(fd, out, n, offset, &got, path));
    if (got == n) return LENS_OK;
    return lens_fail(LENS_IO, "%s: cut short: %zu bytes wanted at %llu, %zu there", path, n, (unsigned long long)offset,
                     got);
}

lens_status file_write_at(int fd, const void *bytes, size_t n, uint64_t offset, const char *path) {
    for (size_t done = 0; done < n;) {
        ssize_t put = pwrite(fd, (const char *)bytes + done, n - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return io_error("write", path);
        if (put == 0) return lens_fail(LENS_IO, "%s: cannot write: %zu of %zu bytes were taken", path, done, n);
        done += (size_t)put;
    }
    return LENS_OK;
}

lens_status file_read(char **out, size_t *n, const char *path, size_t max_bytes) {
    *out = NULL;
    *n = 0;
    int fd = open_to_read(path);
    if (fd < 0) return io_error("open", path);
    struct stat info;
    lens_status st = LENS_OK;
    char *bytes = NULL;
    if (fstat(fd, &info) != 0)
        st = io_error("examine", path);
    else if (!S_ISREG(info.st_mode))
        st = lens_fail(LENS_IO, "%s: not a regular file", path);
    else if ((uint64_t)info.st_size > max_bytes)
        st = lens_fail(LENS_FORMAT, "%s: %llu bytes, at most %zu expected", path, (unsigned long long)info.st_size,
                       max_bytes);
    else if (!(bytes = malloc((size_t)info.st_size + 1)))
        st = lens_fail(LENS_MEMORY, "%s: out of memory for %llu bytes", path, (unsigned long long)info.st_size);
    else
        st = file_read_at(fd, bytes, (size_t)info.st_size, 0, path);
    close(fd);
    if (st != LENS_OK) {
        free(bytes);
        return st;
    }
    bytes[info.st_size] = '\0';
    *out = bytes;
    *n = (size_t)info.st_size;
    return LENS_OK;
}

lens_status file_size(uint64_t *out, const char *path) {
    struct stat info;
    *out = 0;
    if (stat(path, &info) != 0) return io_error("examine", path);
    *out = (uint64_t)info.st_size;
    return LENS_OK;
}

bool file_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

bool file_is_dir(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

lens_status dir_make(const char *path) {
    str_t part = {0};
    for (const char *p = path;; p++) {
        bool boundary = (*p == '/' || *p == '\0') && part.len > 0 && part.s[part.len - 1] != '/';
        if (boundary && mkdir(part.s, 0777) != 0 && !(errno == EEXIST && file_is_dir(part.s))) {
            lens_status st = io_error("make the folder", part.s);
            str_free(&part);
            return st;
        }
        if (*p == '\0') break;
        str_add_char(&part, *p);
        if (part.failed) break;
    }
    lens_status st = str_status(&part);
    str_free(&part);
    return st;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void dir_list_free(char **names, int64_t n) {
    for (int64_t i = 0; i < n; i++) free(names[i]);
    free(names);
}

/* Appends a copy of name, growing the list by doubling. */
static bool names_add(char ***names, int64_t *n, const char *name) {
    if ((*n & (*n - 1)) == 0) {
        char **grown = realloc(*names, sizeof **names * (size_t)(*n ? 2 * *n : 1));
        if (!grown) return false;
        *names = grown;
    }
    if (!((*names)[*n] = strdup(name))) return false;
    ++*n;
    return true;
}

lens_status dir_list(char ***names, int64_t *n, const char *path) {
    *names = NULL;
    *n = 0;
    DIR *dir = opendir(path);
    if (!dir) return io_error("list the folder", path);
    lens_status st = LENS_OK;
    char **list = NULL;
    int64_t count = 0;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry) break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (!names_add(&list, &count, entry->d_name)) {
            st = lens_fail(LENS_MEMORY, "%s: out of memory at %lld names", path, (long long)count);
            break;
        }
    }
    if (st == LENS_OK && errno != 0) st = io_error("list the folder", path);
    closedir(dir);
    if (st != LENS_OK) {
        dir_list_free(list, count);
        return st;
    }
    if (count) qsort(list, (size_t)count, sizeof *list, by_name);
    *names = list;
    *n = count;
    return LENS_OK;
}

lens_status dir_remove(const char *path) {
    struct stat info;
    if (lstat(path, &info) != 0) return errno == ENOENT ? LENS_OK : io_error("examine", path);
    if (!S_ISDIR(info.st_mode)) return unlink(path) != 0 ? io_error("remove", path) : LENS_OK;
    char **names;
    int64_t n;
    LENS_TRY(dir_list(&names, &n, path));
    lens_status st = LENS_OK;
    str_t child = {0};
    for (int64_t i = 0; i < n && st == LENS_OK; i++) {
        str_clear(&child);
        str_addf(&child, "%s/%s", path, names[i]);
        st = str_status(&child);
        if (st == LENS_OK) st = dir_remove(child.s);
    }
    str_free(&child);
    dir_list_free(names, n);
    if (st == LENS_OK && rmdir(path) != 0) st = io_error("remove the folder", path);
    return st;
}
