/* `lens launch-check`: under mpirun or srun, whether a run would start and get far. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/command.h"
#include "base/log.h"
#include "launch/version.h"
#include "train/launch_check.h"
#include "train/memory_plan.h"

#define SKEW_MAX_S 0.5 /* far above what NTP allows, far below what confuses the order of logs */

enum {
    FILES_MIN = 1024, /* shards that are open at once, and MPI's connections */
    CLOCK_ROUNDS = 5, /* the best counts */
};

/* Of one rank. */
typedef struct {
    double skew_s; /* of its clock from rank 0's */
    collectives_speed_t speed;
    int64_t n_files;               /* that it may open */
    int64_t free_bytes;            /* memory of its host, or of its container */
    int64_t ranks, cores, threads; /* of the host, but for threads: the rank's own */
} facts_t;

typedef struct {
    comm_t *comm;
    const train_config_t *c; /* NULL: none was given */
    device_t device;
    facts_t mine, *all; /* all: [world] on rank 0 */
    int n_failed;
} check_t;

typedef enum { CHECK_OK, CHECK_WARN, CHECK_FAIL } verdict_t;

/* Rank 0's line. */
static void tell(check_t *k, verdict_t v, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void tell(check_t *k, verdict_t v, const char *what, const char *format, ...) {
    static const char *const words[] = {"ok", "warn", "FAIL"};
    k->n_failed += v == CHECK_FAIL;
    if (comm_rank(k->comm) != 0) return;
    va_list args;
    va_start(args, format);
    printf("%-4s  %-13s ", words[v], what);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

/* ---- facts ---- */

static double wall_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The message of rank 0's clock takes a moment, so that a rank seems ahead by as much: the least of some rounds is the
 * nearest to the truth. */
static lens_status measure_clock(check_t *k) {
    k->mine.skew_s = 1e18;
    for (int i = 0; i < CLOCK_ROUNDS; i++) {
        LENS_TRY(comm_barrier(k->comm));
        double roots = wall_s();
        LENS_TRY(comm_broadcast(k->comm, &roots, sizeof roots, 0, "clock"));
        double skew = comm_rank(k->comm) == 0 ? 0 : wall_s() - roots;
        if (skew < k->mine.skew_s) k->mine.skew_s = skew;
    }
    return LENS_OK;
}

/* Nothing where there is no device, of which there is a line already. */
static lens_status measure_link(check_t *k) {
    return k->device.coll ? launch_check_link(&k->mine.speed, k->comm, &k->device) : LENS_OK;
}

/* A number in a file of the kernel's: the first, or that after `key`; -1 where there is none ("max"). */
static int64_t kernel_number(const char *path, const char *key) {
    char text[8192];
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f) fclose(f);
    text[n] = '\0';
    const char *at = key ? strstr(text, key) : text;
    if (!at) return -1;
    if (key) at += strlen(key);
    char *end;
    long long value = strtoll(at, &end, 10);
    return end == at ? -1 : (int64_t)value;
}

/* What the host has free, or less where a container's limit (cgroup v2) is nearer. */
static int64_t free_memory(void) {
    int64_t host = kernel_number("/proc/meminfo", "MemAvailable:"),
            limit = kernel_number("/sys/fs/cgroup/memory.max", NULL),
            used = kernel_number("/sys/fs/cgroup/memory.current", NULL);
    host = host < 0 ? INT64_MAX : host << 10;
    return limit >= 0 && used >= 0 && limit - used < host ? limit - used : host;
}

static lens_status gather_facts(check_t *k) {
    struct rlimit files;
    k->all = calloc((size_t)comm_world(k->comm), sizeof *k->all);
    LENS_TRY(comm_agree(k->comm, k->all ? LENS_OK : lens_fail(LENS_MEMORY, "out of memory"), "facts"));
    const char *threads = getenv("OMP_NUM_THREADS");
    k->mine.n_files =
        getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < INT64_MAX ? (int64_t)files.rlim_cur : INT64_MAX;
    k->mine.free_bytes = free_memory();
    k->mine.ranks = comm_node_ranks(k->comm);
    k->mine.cores = sysconf(_SC_NPROCESSORS_ONLN);
    k->mine.threads = threads ? strtoll(threads, NULL, 10) : 0; /* 0: a share of the cores */
    LENS_TRY(measure_clock(k));
    LENS_TRY(measure_link(k));
    return comm_gather_bytes(k->comm, k->all, &k->mine, sizeof k->mine, "facts");
}

/* ---- verdicts: those on facts are rank 0's ---- */

/* A failure that all ranks agreed upon is a line; one of the communication itself ends the check. */
static lens_status tell_agreed(check_t *k, lens_status st, const char *what, const char *good) {
    if (st == LENS_COMM) return st;
    tell(k, st == LENS_OK ? CHECK_OK : CHECK_FAIL, what, "%s", st == LENS_OK ? good : lens_error());
    return LENS_OK;
}

static lens_status check_versions(check_t *k) {
    str_t text = {0};
    version_text(&text);
    lens_status st = comm_agree(k->comm, str_status(&text), "versions");
    if (st == LENS_OK) st = launch_check_same(k->comm, text.s, "versions");
    str_clear(&text);
    str_addf(&text, "lens and its libraries are the same on %d rank%s, %d on the first host", comm_world(k->comm),
             comm_world(k->comm) == 1 ? "" : "s", comm_node_ranks(k->comm));
    st = tell_agreed(k, st, "versions", str_text(&text));
    str_free(&text);
    return st;
}

static lens_status check_device(check_t *k) {
    const device_options_t wanted = k->c ? train_config_device(k->c) : (device_options_t){.kind = DEVICE_AUTO};
    str_t text = {0};
    lens_status st = device_open(&k->device, &wanted, k->comm);
    if (st == LENS_OK) str_addf(&text, "%s on every rank", k->device.k->name);
    st = tell_agreed(k, st, "device", str_text(&text));
    str_free(&text);
    return st;
}

static lens_status check_config(check_t *k) {
    str_t text = {0};
    options_write_yaml(&text, train_config_table(), k->c);
    lens_status st = comm_agree(k->comm, str_status(&text), "configuration");
    if (st == LENS_OK) st = launch_check_same(k->comm, text.s, "configuration");
    str_free(&text);
    return tell_agreed(k, st, "configuration", "resolves to the same on all ranks");
}

static void check_clocks(check_t *k) {
    int worst = 0;
    for (int i = 0; i < comm_world(k->comm); i++) {
        double a = k->all[i].skew_s, b = k->all[worst].skew_s;
        if ((a < 0 ? -a : a) > (b < 0 ? -b : b)) worst = i;
    }
    double skew = k->all[worst].skew_s;
    bool bad = skew > SKEW_MAX_S || skew < -SKEW_MAX_S;
    tell(k, bad ? CHECK_WARN : CHECK_OK, "clocks", "%+.3f s at most from rank 0's: rank %d on host %s%s", skew, worst,
         comm_host(k->comm, worst), bad ? "; is NTP running?" : "");
}

/* The slowest rank's view: the others wait for it. */
static void check_link(check_t *k) {
    int world = comm_world(k->comm);
    str_t text = {0};
    if (world == 1 || !k->device.coll) return;
    collectives_speed_t least = k->all[0].speed;
    for (int i = 1; i < world; i++) {
        const collectives_speed_t *s = &k->all[i].speed;
        if (s->all_reduce.bus < least.all_reduce.bus) least.all_reduce = s->all_reduce;
        if (s->reduce_scatter.bus < least.reduce_scatter.bus) least.reduce_scatter = s->reduce_scatter;
        if (s->all_gather.bus < least.all_gather.bus) least.all_gather = s->all_gather;
        if (s->latency_s > least.latency_s) least.latency_s = s->latency_s;
    }
    launch_check_link_text(&text, &least, &k->device);
    tell(k, CHECK_OK, "link", "%s", str_text(&text));
    str_free(&text);
}

static void check_cores(check_t *k) {
    for (int i = 0; i < comm_world(k->comm); i++) {
        const facts_t *f = &k->all[i];
        if (f->ranks * (f->threads > 0 ? f->threads : 1) <= f->cores) continue;
        tell(k, CHECK_WARN, "cores", "host %s: %lld ranks of %lld threads on %lld cores", comm_host(k->comm, i),
             (long long)f->ranks, (long long)(f->threads > 0 ? f->threads : 1), (long long)f->cores);
        return;
    }
    tell(k, CHECK_OK, "cores", "%lld rank%s on the first host's %lld cores", (long long)k->all[0].ranks,
         k->all[0].ranks == 1 ? "" : "s", (long long)k->all[0].cores);
}

static void check_files(check_t *k) {
    int worst = 0;
    for (int i = 1; i < comm_world(k->comm); i++)
        if (k->all[i].n_files < k->all[worst].n_files) worst = i;
    bool few = k->all[worst].n_files < FILES_MIN;
    tell(k, few ? CHECK_WARN : CHECK_OK, "open files", "at most %lld on host %s%s", (long long)k->all[worst].n_files,
         comm_host(k->comm, worst), few ? "; ulimit -n 4096 is safer" : "");
}

/* Of the host; a GPU's own is told by lens plan. */
static void check_memory(check_t *k, const memory_plan_t *m, const memory_machine_t *machine) {
    double each = (double)(m->host_bytes + (machine->is_cpu ? m->device_bytes : 0)), gib = 1.0 / (1 << 30);
    int worst = 0;
    double least = 1e30; /* left over, of all hosts */
    for (int i = 0; i < comm_world(k->comm); i++) {
        double left = (double)k->all[i].free_bytes - each * (double)k->all[i].ranks;
        if (left >= least) continue;
        least = left;
        worst = i;
    }
    tell(k, least < 0 ? CHECK_FAIL : CHECK_OK, "memory", "host %s: %lld rank%s of %.2f GiB, %.2f GiB are free",
         comm_host(k->comm, worst), (long long)k->all[worst].ranks, k->all[worst].ranks == 1 ? "" : "s", each * gib,
         (double)k->all[worst].free_bytes * gib);
}

static void check_disk(check_t *k, const memory_plan_t *m) {
    struct statvfs s;
    double need = (double)m->checkpoint_bytes, all = need * (double)(k->c->train.keep + 1), gib = 1.0 / (1 << 30);
    if (statvfs(k->c->run.dir, &s) != 0) {
        tell(k, CHECK_FAIL, "disk", "%s: cannot ask its file system", k->c->run.dir);
        return;
    }
    double there = (double)s.f_bavail * (double)s.f_frsize;
    tell(k,
         there < need  ? CHECK_FAIL
         : there < all ? CHECK_WARN
                       : CHECK_OK,
         "disk", "%s: %.2f GiB free; a checkpoint has %.2f GiB, train.keep + 1 of them %.2f GiB", k->c->run.dir,
         there * gib, need * gib, all * gib);
}

/* ---- all ---- */

static lens_status check_run(check_t *k) {
    memory_plan_t m;
    memory_machine_t machine = memory_machine_here(k->c, comm_world(k->comm));
    LENS_TRY(comm_agree(k->comm, memory_plan_make(&m, k->c, &machine), "memory plan"));
    LENS_TRY(check_config(k));
    LENS_TRY(tell_agreed(k, launch_check_shared(k->comm, k->c->run.dir), "shared folder",
                         "what rank 0 writes and renames in run.dir comes to all ranks"));
    if (comm_rank(k->comm) != 0) return LENS_OK;
    check_disk(k, &m);
    check_memory(k, &m, &machine);
    return LENS_OK;
}

static lens_status check_all(check_t *k) {
    LENS_TRY(check_versions(k));
    LENS_TRY(check_device(k));
    LENS_TRY(gather_facts(k));
    if (comm_rank(k->comm) == 0) {
        check_clocks(k);
        check_cores(k);
        check_files(k);
        check_link(k);
    }
    if (k->c) LENS_TRY(check_run(k));
    LENS_TRY(comm_broadcast(k->comm, &k->n_failed, sizeof k->n_failed, 0, "verdict"));
    return k->n_failed == 0 ? LENS_OK
                            : lens_fail(LENS_STATE, "%d check%s failed", k->n_failed, k->n_failed == 1 ? "" : "s");
}

typedef struct {
    int n_args;
    char **args;
} words_t;

static lens_status check_by(comm_t *comm, void *words) {
    const words_t *w = words;
    check_t k = {.comm = comm};
    train_config_t c;
    if (w->n_args > 0) {
        LENS_TRY(comm_agree(comm, train_config_load(&c, w->args[0], w->n_args - 1, w->args + 1), "configuration"));
        k.c = &c;
    }
    lens_status st = check_all(&k);
    fflush(stdout);
    free(k.all);
    device_close(&k.device);
    if (k.c) train_config_free(&c);
    return st;
}

static lens_status run(const void *values, int n_args, char **args) {
    (void)values;
    words_t w = {n_args, args};
    return command_by_ranks(check_by, &w);
}

const command_t cmd_launch_check = {
    .name = "launch-check",
    .usage = "[CONFIG [KEY=VALUE...]]",
    .summary = "look whether a run by these ranks would start and get far",
    .details = "Under mpirun or srun, as the run itself: the same versions everywhere, clocks, cores, open files, "
               "device, speed\n"
               "of collectives on it; with a configuration also that all ranks resolve it to the same, that run.dir is "
               "shared, "
               "and disk\n"
               "and memory against what the run needs. A line each: ok, warn or FAIL. Exit status 1 where one failed.\n"
               "    mpirun -np 4 lens launch-check configs/nano.yaml data.dataset=scenes run.dir=runs/a",
    .options = {NULL, 0},
    .values_size = 0,
    .run = run,
};
