/* A process that dies on order: a library for LD_PRELOAD that kills it with SIGKILL at the N-th change of a name. For
 * tests only; they compile it themselves.
 *
 *     KILL_AT=5 KILL_RANK=1 LD_PRELOAD=kill_at.so lens ...
 *
 * Counted are calls of rename and unlink, whatever the path and thread; the N-th is not carried out. KILL_RANK: only in
 * that rank of mpirun. */
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_long n_calls;

static void count(void) {
    const char *at = getenv("KILL_AT"), *only = getenv("KILL_RANK"), *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (!at || (only && (!rank || strcmp(only, rank) != 0))) return;
    if (atomic_fetch_add(&n_calls, 1) + 1 == strtol(at, NULL, 10)) kill(getpid(), SIGKILL);
}

int rename(const char *from, const char *to) {
    int (*next)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    count();
    return next(from, to);
}

int unlink(const char *path) {
    int (*next)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    count();
    return next(path);
}
