/* Faults on order: a library for LD_PRELOAD that makes chosen calls of an unchanged program fail. For tests only.
 *
 *     LENS_FAULT='write:ENOSPC:after=65536:path=*.h5.tmp.*' LENS_FAULT_LOG=log LD_PRELOAD=build/release/io_fault.so
 * lens ...
 *
 * LENS_FAULT holds rules apart by ';' (the first that strikes counts), a rule fields apart by ':', first what is
 * called, then what goes wrong:
 *
 *     open read write fsync rename close
 *                families of calls: with open come openat, creat and fopen, with read pread, readv and what stdio reads
 *     ENOSPC EIO EROFS ESTALE EACCES ENOENT EMFILE ENFILE ENOMEM EDQUOT
 *                the call fails with that error. A failing close has closed all the same, as it does on Linux
 *     short      read and write: half of what was asked for, at least one byte
 *     eintr      open, read, write, fsync: every other call fails with EINTR
 *     eof        read: as if the file ended there (somebody has cut it)
 *
 * and then, in any order, what else must hold, all of it:
 *
 *     path=GLOB  of the file's absolute path as it is now (fnmatch, * matches / too). Pipes, sockets,
 *                files in memory and what lies below /proc, /sys and /dev never match
 *     after=N    read, write: that many bytes went through under this rule before
 *     nth=N      from the N-th call on that the rule fits (1 is the first)
 *     count=N    strikes N times at most
 *
 * Every fault but short and eintr adds one line to LENS_FAULT_LOG, so that a test knows that it struck. What cannot be
 * parsed ends the program with status 97. Any thread.
 *
 * libc's own stdio does not call through the names that a library can replace; a stream whose path some rule names is
 * therefore one of fopencookie, over the calls of this file; EINTR, which stdio would not survive, is kept from it.
 * Failing memory is alloc_fault.c's. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { RULES_MAX = 8, STREAMS_MAX = 64, BAD_RULE_STATUS = 97 };
enum { SHORT = -1, EOF_NOW = -2, ALTERNATE_EINTR = -3 }; /* instead of an errno */
typedef enum { OPEN, READ, WRITE, FSYNC, RENAME, CLOSE, N_FAMILIES } family;

typedef struct {
    family what;
    int how; /* errno, or one of the above */
    char path[256];
    uint64_t after, nth, count;
    atomic_ullong n_bytes, n_calls, n_struck;
} rule_t;

static rule_t rules[RULES_MAX];
static int n_rules;
static bool family_used[N_FAMILIES];
static int log_fd = -1;
static struct {
    FILE *stream;
    int fd;
} streams[STREAMS_MAX];

/* ---- the rules ---- */

static const char *const family_names[N_FAMILIES] = {"open", "read", "write", "fsync", "rename", "close"};
static const struct {
    const char *name;
    int how;
} causes[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},       {"EROFS", EROFS},          {"ESTALE", ESTALE}, {"EACCES", EACCES},
              {"ENOENT", ENOENT}, {"EMFILE", EMFILE}, {"ENFILE", ENFILE},        {"ENOMEM", ENOMEM}, {"EDQUOT", EDQUOT},
              {"short", SHORT},   {"eof", EOF_NOW},   {"eintr", ALTERNATE_EINTR}};
enum { N_CAUSES = sizeof causes / sizeof *causes };

static void say(int fd, const char *a, const char *b, const char *c) {
    char line[512];
    int n = snprintf(line, sizeof line, "%s %s %s\n", a, b, c);
    if (n > (int)sizeof line - 1) n = sizeof line - 1;
    struct iovec part = {line, (size_t)n};
    ssize_t (*put)(int, const struct iovec *, int) =
        (ssize_t(*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
    if (put(fd, &part, 1) < 0) _exit(BAD_RULE_STATUS);
}

static void refuse(const char *field) {
    say(STDERR_FILENO, "io_fault: LENS_FAULT: not understood:", field, "");
    _exit(BAD_RULE_STATUS);
}

static uint64_t number(const char *field, const char *text) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end) refuse(field);
    return value;
}

static void parse_condition(rule_t *r, const char *field) {
    const char *value = strchr(field, '=');
    if (!value || !*++value) refuse(field);
    size_t n = (size_t)(value - field);
    if (strncmp(field, "path=", n) == 0 && strlen(value) < sizeof r->path)
        memcpy(r->path, value, strlen(value) + 1);
    else if (strncmp(field, "after=", n) == 0)
        r->after = number(field, value);
    else if (strncmp(field, "nth=", n) == 0)
        r->nth = number(field, value);
    else if (strncmp(field, "count=", n) == 0)
        r->count = number(field, value);
    else
        refuse(field);
}

static void parse_rule(char *text) {
    if (n_rules == RULES_MAX) refuse(text);
    rule_t *r = &rules[n_rules];
    char *rest = text, *what = strsep(&rest, ":"), *how = strsep(&rest, ":");
    int cause = 0;
    for (r->what = 0; r->what < N_FAMILIES && strcmp(what, family_names[r->what]) != 0;) r->what++;
    while (how && cause < N_CAUSES && strcmp(how, causes[cause].name) != 0) cause++;
    if (r->what == N_FAMILIES) refuse(what);
    if (!how || cause == N_CAUSES) refuse(how ? how : text);
    r->how = causes[cause].how;
    r->nth = 1;
    r->count = UINT64_MAX;
    while (rest) parse_condition(r, strsep(&rest, ":"));
    bool moves_bytes = r->what == READ || r->what == WRITE;
    if ((r->how == SHORT && !moves_bytes) || (r->how == EOF_NOW && r->what != READ) || (r->after && !moves_bytes) ||
        r->path[0] == '\0')
        refuse(how);
    family_used[r->what] = true;
    n_rules++;
}

__attribute__((constructor)) static void parse_rules(void) {
    const char *order = getenv("LENS_FAULT"), *log = getenv("LENS_FAULT_LOG");
    if (!order) return;
    if (log) log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666); /* no rule is there yet */
    static char text[2048];
    if (strlen(order) >= sizeof text) refuse("too long");
    memcpy(text, order, strlen(order) + 1);
    for (char *rest = text; rest;) parse_rule(strsep(&rest, ";"));
}

/* ---- when a rule strikes ---- */

static void note(const rule_t *r, const char *path) {
    if (log_fd < 0) return;
    int cause = 0;
    while (causes[cause].how != r->how) cause++;
    say(log_fd, family_names[r->what], causes[cause].name, path);
}

static bool strikes(rule_t *r, size_t n_bytes) {
    uint64_t call = atomic_fetch_add(&r->n_calls, 1) + 1;
    uint64_t before = atomic_fetch_add(&r->n_bytes, n_bytes);
    if (r->how == ALTERNATE_EINTR && call % 2 == 0) return false;
    if (call < r->nth || (r->after && before + n_bytes <= r->after)) return false;
    return atomic_fetch_add(&r->n_struck, 1) < r->count;
}

static bool fits(const rule_t *r, const char *path) {
    const char *const apart[] = {"/proc/", "/sys/", "/dev/", "/memfd:"};
    for (size_t i = 0; i < sizeof apart / sizeof *apart; i++)
        if (strncmp(path, apart[i], strlen(apart[i])) == 0) return false;
    return path[0] == '/' && fnmatch(r->path, path, 0) == 0;
}

/* 0: go on as if nothing were; otherwise how the call goes wrong. n_bytes: that it would move. */
static int fault(family what, const char *path, size_t n_bytes) {
    for (int i = 0; i < n_rules; i++) {
        rule_t *r = &rules[i];
        if (r->what != what || !fits(r, path) || !strikes(r, n_bytes)) continue;
        if (r->how == ALTERNATE_EINTR) return EINTR;
        if (r->how != SHORT) note(r, path);
        return r->how;
    }
    return 0;
}

static int fault_fd(family what, int fd, size_t n_bytes) {
    char link[64], path[4096];
    if (!family_used[what]) return 0;
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (n <= 0) return 0;
    path[n] = '\0';
    return fault(what, path, n_bytes);
}

/* The path as the kernel would call it, without following a link in its last part. */
static void absolute(char out[4096], int dir, const char *path) {
    char link[64];
    size_t n = 0;
    if (path[0] != '/') {
        snprintf(link, sizeof link, dir == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dir);
        ssize_t got = readlink(link, out, 4094);
        if (got > 0) n = (size_t)got;
        out[n++] = '/';
    }
    snprintf(out + n, 4096 - n, "%s", path);
}

static int fault_path(family what, int dir, const char *path) {
    char full[4096];
    if (!family_used[what]) return 0;
    int saved = errno;
    absolute(full, dir, path);
    errno = saved;
    return fault(what, full, 0);
}

/* ---- the calls ---- */

#define FAIL_WITH(how)                                                                                                 \
    do {                                                                                                               \
        errno = (how);                                                                                                 \
        return -1;                                                                                                     \
    } while (0)

/* Declares `next`, of the type of the function itself: what the name meant before this library. */
#define NEXT(name)                                                                                                     \
    static __typeof__(name) *_Atomic next_##name;                                                                      \
    __typeof__(name) *next = next_##name;                                                                              \
    if (!next) next_##name = next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define OPEN_LIKE(name)                                                                                                \
    int name(const char *path, int flags, ...) {                                                                       \
        NEXT(name);                                                                                                    \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                        \
        va_end(rest);                                                                                                  \
        int how = fault_path(OPEN, AT_FDCWD, path);                                                                    \
        if (how) FAIL_WITH(how);                                                                                       \
        return next(path, flags, mode);                                                                                \
    }
#define OPENAT_LIKE(name)                                                                                              \
    int name(int dir, const char *path, int flags, ...) {                                                              \
        NEXT(name);                                                                                                    \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                        \
        va_end(rest);                                                                                                  \
        int how = fault_path(OPEN, dir, path);                                                                         \
        if (how) FAIL_WITH(how);                                                                                       \
        return next(dir, path, flags, mode);                                                                           \
    }
OPEN_LIKE(open)
OPEN_LIKE(open64)
OPENAT_LIKE(openat)
OPENAT_LIKE(openat64)

/* Libraries that were built with _FORTIFY_SOURCE call these names; no header declares them. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
ssize_t __read_chk(int fd, void *into, size_t n, size_t room);
ssize_t __pread_chk(int fd, void *into, size_t n, off_t at, size_t room);
ssize_t __pread64_chk(int fd, void *into, size_t n, off_t at, size_t room);
int __open_2(const char *path, int flags) {
    return open(path, flags);
}
int __open64_2(const char *path, int flags) {
    return open64(path, flags);
}

int creat(const char *path, mode_t mode) {
    return open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

/* How many bytes a call may move that asked for n. */
static size_t cut(int how, size_t n) {
    return how == SHORT && n > 1 ? n / 2 : n;
}

#define MOVES(family, how, fd, n)                                                                                      \
    int how = fault_fd(family, fd, n);                                                                                 \
    if (how > 0) FAIL_WITH(how);                                                                                       \
    if (how == EOF_NOW) return 0

ssize_t read(int fd, void *into, size_t n) {
    NEXT(read);
    MOVES(READ, how, fd, n);
    return next(fd, into, cut(how, n));
}
ssize_t pread(int fd, void *into, size_t n, off_t at) {
    NEXT(pread);
    MOVES(READ, how, fd, n);
    return next(fd, into, cut(how, n), at);
}
ssize_t pread64(int fd, void *into, size_t n, off_t at) {
    return pread(fd, into, n, at);
}
ssize_t __read_chk(int fd, void *into, size_t n, size_t room) {
    if (n > room) abort();
    return read(fd, into, n);
}
ssize_t __pread_chk(int fd, void *into, size_t n, off_t at, size_t room) {
    if (n > room) abort();
    return pread(fd, into, n, at);
}
ssize_t __pread64_chk(int fd, void *into, size_t n, off_t at, size_t room) {
    return __pread_chk(fd, into, n, at, room);
}
ssize_t write(int fd, const void *from, size_t n) {
    NEXT(write);
    MOVES(WRITE, how, fd, n);
    return next(fd, from, cut(how, n));
}
ssize_t pwrite(int fd, const void *from, size_t n, off_t at) {
    NEXT(pwrite);
    MOVES(WRITE, how, fd, n);
    return next(fd, from, cut(how, n), at);
}
ssize_t pwrite64(int fd, const void *from, size_t n, off_t at) {
    return pwrite(fd, from, n, at);
}

static size_t total(const struct iovec *parts, int n_parts) {
    size_t n = 0;
    for (int i = 0; i < n_parts; i++) n += parts[i].iov_len;
    return n;
}
/* A short one moves the first part alone. */
ssize_t readv(int fd, const struct iovec *parts, int n_parts) {
    NEXT(readv);
    MOVES(READ, how, fd, total(parts, n_parts));
    return next(fd, parts, how == SHORT && n_parts > 1 ? 1 : n_parts);
}
ssize_t writev(int fd, const struct iovec *parts, int n_parts) {
    NEXT(writev);
    MOVES(WRITE, how, fd, total(parts, n_parts));
    return next(fd, parts, how == SHORT && n_parts > 1 ? 1 : n_parts);
}

int fsync(int fd) {
    NEXT(fsync);
    int how = fault_fd(FSYNC, fd, 0);
    if (how) FAIL_WITH(how);
    return next(fd);
}
int fdatasync(int fd) {
    NEXT(fdatasync);
    int how = fault_fd(FSYNC, fd, 0);
    if (how) FAIL_WITH(how);
    return next(fd);
}

/* A rule's path is the new name's. */
int rename(const char *from, const char *to) {
    NEXT(rename);
    int how = fault_path(RENAME, AT_FDCWD, to);
    if (how) FAIL_WITH(how);
    return next(from, to);
}
int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    NEXT(renameat);
    int how = fault_path(RENAME, to_dir, to);
    if (how) FAIL_WITH(how);
    return next(from_dir, from, to_dir, to);
}
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
    NEXT(renameat2);
    int how = fault_path(RENAME, to_dir, to);
    if (how) FAIL_WITH(how);
    return next(from_dir, from, to_dir, to, flags);
}

int close(int fd) {
    NEXT(close);
    int how = fault_fd(CLOSE, fd, 0), got = next(fd);
    if (how && got == 0) FAIL_WITH(how);
    return got;
}

/* ---- streams ---- */

static ssize_t cookie_read(void *cookie, char *into, size_t n) {
    ssize_t got;
    do got = read((int)(intptr_t)cookie, into, n);
    while (got < 0 && errno == EINTR);
    return got;
}
/* A stream's write function says failure by a smaller count; stdio keeps errno. */
static ssize_t cookie_write(void *cookie, const char *from, size_t n) {
    size_t done = 0;
    while (done < n) {
        ssize_t put = write((int)(intptr_t)cookie, from + done, n - done);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) break;
        done += (size_t)put;
    }
    return (ssize_t)done;
}
static int cookie_seek(void *cookie, off64_t *at, int whence) {
    *at = lseek((int)(intptr_t)cookie, *at, whence);
    return *at < 0 ? -1 : 0;
}
static int cookie_close(void *cookie) {
    for (int i = 0; i < STREAMS_MAX; i++)
        if (streams[i].stream && streams[i].fd == (int)(intptr_t)cookie) streams[i].stream = NULL;
    return close((int)(intptr_t)cookie);
}

static bool some_rule_names(const char *path) {
    char full[4096];
    absolute(full, AT_FDCWD, path);
    for (int i = 0; i < n_rules; i++)
        if (rules[i].what != RENAME && fits(&rules[i], full)) return true;
    return false;
}

/* The flags of a stream's mode: "r", "w" or "a", and '+', 'e', 'x' among what follows. */
static int stream_flags(const char *mode) {
    int flags = strchr(mode, '+') ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY;
    if (mode[0] != 'r') flags |= O_CREAT | (mode[0] == 'a' ? O_APPEND : O_TRUNC);
    if (strchr(mode, 'x')) flags |= O_EXCL;
    if (strchr(mode, 'e')) flags |= O_CLOEXEC;
    return flags;
}

FILE *fopen(const char *path, const char *mode) {
    NEXT(fopen);
    if (!some_rule_names(path)) return next(path, mode);
    int fd = open(path, stream_flags(mode), 0666);
    if (fd < 0) return NULL;
    const cookie_io_functions_t calls = {cookie_read, cookie_write, cookie_seek, cookie_close};
    FILE *stream = fopencookie((void *)(intptr_t)fd, mode, calls);
    int slot = 0;
    while (slot < STREAMS_MAX && streams[slot].stream) slot++;
    if (!stream || slot == STREAMS_MAX) refuse("too many open streams");
    streams[slot].stream = stream;
    streams[slot].fd = fd;
    return stream;
}
FILE *fopen64(const char *path, const char *mode) {
    return fopen(path, mode);
}
int fileno(FILE *stream) {
    NEXT(fileno);
    for (int i = 0; i < STREAMS_MAX; i++)
        if (streams[i].stream == stream) return streams[i].fd;
    return next(stream);
}
