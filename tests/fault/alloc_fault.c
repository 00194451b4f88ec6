/* Memory that runs out on order: a library for LD_PRELOAD, for tests only (io_fault.c is its sister for files).
 *
 *     LENS_ALLOC_FAULT=nth=120:in=lens LENS_ALLOC_LOG=log LD_PRELOAD=build/release/alloc_fault.so lens ...
 *
 *     nth=N      the N-th call of malloc, calloc, realloc, aligned_alloc, posix_memalign or strdup
 *                gives no memory, that one
 *                alone; 0: none fails
 *     in=NAME    counts calls out of this program or library alone: its file's name up to the first dot ("lens",
 * "libc", "libhdf5_serial"); without it, all calls count
 *
 * LENS_ALLOC_LOG gets one line as the program ends: the calls counted, and "failed" where the N-th was among them. What
 * fopen and the like allocate counts as libc's. Any thread. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BAD_RULE_STATUS = 97 };

static uint64_t nth;
static char in[64];
static bool active;
static atomic_ullong n_calls;

__attribute__((constructor)) static void parse_rule(void) {
    const char *order = getenv("LENS_ALLOC_FAULT");
    if (!order) return;
    char *end;
    if (strncmp(order, "nth=", 4) != 0) _exit(BAD_RULE_STATUS);
    nth = strtoull(order + 4, &end, 10);
    if (strncmp(end, ":in=", 4) == 0 && strlen(end + 4) < sizeof in)
        memcpy(in, end + 4, strlen(end + 4) + 1);
    else if (*end)
        _exit(BAD_RULE_STATUS);
    active = true;
}

__attribute__((destructor)) static void write_log(void) {
    const char *path = getenv("LENS_ALLOC_LOG");
    int fd = active && path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;
    if (fd < 0) return;
    dprintf(fd, "%llu%s\n", (unsigned long long)n_calls, nth && n_calls >= nth ? " failed" : "");
    close(fd);
}

static bool comes_from(const void *caller) {
    Dl_info object;
    if (!in[0]) return true;
    if (!dladdr(caller, &object) || !object.dli_fname) return false;
    const char *slash = strrchr(object.dli_fname, '/'), *name = slash ? slash + 1 : object.dli_fname;
    return strcspn(name, ".") == strlen(in) && strncmp(name, in, strlen(in)) == 0;
}

static bool fails(const void *caller) {
    if (!active || !comes_from(caller)) return false;
    return atomic_fetch_add(&n_calls, 1) + 1 == nth;
}

/* Declares `next`, of the type of the function itself: what the name meant before this library. */
#define NEXT(name)                                                                                                     \
    static __typeof__(name) *_Atomic next_##name;                                                                      \
    __typeof__(name) *next = next_##name;                                                                              \
    if (!next) next_##name = next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define FAIL_HERE                                                                                                      \
    if (fails(__builtin_return_address(0))) {                                                                          \
        errno = ENOMEM;                                                                                                \
        return NULL;                                                                                                   \
    }

void *malloc(size_t n) {
    NEXT(malloc);
    FAIL_HERE
    return next(n);
}
void *calloc(size_t n, size_t size) {
    NEXT(calloc);
    FAIL_HERE
    return next(n, size);
}
void *realloc(void *old, size_t n) {
    NEXT(realloc);
    FAIL_HERE
    return next(old, n);
}
void *aligned_alloc(size_t alignment, size_t n) {
    NEXT(aligned_alloc);
    FAIL_HERE
    return next(alignment, n);
}
char *strdup(const char *text) {
    NEXT(strdup);
    FAIL_HERE
    return next(text);
}
int posix_memalign(void **out, size_t alignment, size_t n) {
    NEXT(posix_memalign);
    if (fails(__builtin_return_address(0))) return ENOMEM;
    return next(out, alignment, n);
}
