#include "train/launch_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/build_info.h"
#include "base/file.h"

#define SLOW_LINK 1e9 /* bytes a second */
enum {
    TEXT_MAX_BYTES = 1 << 20,
    NOTE_MAX_BYTES = 256,
    SLOW_LINK_BYTES = 1 << 20,
    CPU_LINK_BYTES = 32 << 20,
    GPU_LINK_BYTES = 64 << 20
};

/* ---- the same text ---- */

/* Length of the line that `text` begins with. */
static int line_len(const char *text) {
    return (int)strcspn(text, "\n");
}

/* The first line in which mine is another than rank 0's. */
static lens_status fail_differing(const char *mine, const char *roots, const char *host) {
    size_t same = 0, start = 0;
    for (; mine[same] && mine[same] == roots[same]; same++)
        if (mine[same] == '\n') start = same + 1;
    mine += start;
    roots += start;
    mine += strspn(mine, " ");
    roots += strspn(roots, " ");
    return lens_fail(LENS_STATE, "on host %s it has \"%.*s\", rank 0's has \"%.*s\"", host, line_len(mine), mine,
                     line_len(roots), roots);
}

lens_status launch_check_same(comm_t *comm, const char *text, const char *what) {
    uint64_t n = strlen(text);
    if (comm_world(comm) == 1) return LENS_OK;
    LENS_TRY(comm_broadcast(comm, &n, sizeof n, 0, what));
    lens_status st =
        n < TEXT_MAX_BYTES ? LENS_OK : lens_fail(LENS_STATE, "%s of %llu bytes", what, (unsigned long long)n);
    char *roots = st == LENS_OK ? calloc(n + 1, 1) : NULL;
    if (st == LENS_OK && !roots) st = lens_fail(LENS_MEMORY, "out of memory for %llu bytes", (unsigned long long)n);
    st = comm_agree(comm, st, what);
    if (st == LENS_OK) {
        if (comm_rank(comm) == 0) memcpy(roots, text, n);
        st = comm_broadcast(comm, roots, n, 0, what);
        if (st == LENS_OK && strcmp(text, roots) != 0)
            st = fail_differing(text, roots, comm_host(comm, comm_rank(comm)));
        st = comm_agree(comm, st, what);
    }
    free(roots);
    return st;
}

/* ---- a shared file system ---- */

/* Whether the file is there with that text. */
static lens_status expect_note(const char *path, const char *text, const comm_t *comm) {
    char *got = NULL;
    size_t n;
    lens_status st = file_read(&got, &n, path, NOTE_MAX_BYTES);
    if (st != LENS_OK || strcmp(got, text) != 0)
        st = lens_fail(LENS_STATE,
                       "host %s does not see what rank 0 wrote on host %s (%s): run.dir must lie on a file system that "
                       "all hosts share",
                       comm_host(comm, comm_rank(comm)), comm_host(comm, 0), path);
    free(got);
    return st;
}

/* Rank 0 writes `from`, all see it; rank 0 renames it, all see `to`. */
static lens_status pass_note(comm_t *comm, const char *dir, const char *from, const char *to, const char *text) {
    static const char what[] = "shared run.dir";
    bool is_root = comm_rank(comm) == 0;
    lens_status st = is_root ? dir_make(dir) : LENS_OK;
    if (st == LENS_OK && is_root) st = file_write(from, text, strlen(text));
    LENS_TRY(comm_agree(comm, st, what));
    LENS_TRY(comm_agree(comm, expect_note(from, text, comm), what));
    if (is_root && rename(from, to) != 0) st = lens_fail(LENS_IO, "%s: cannot rename: %s", from, strerror(errno));
    LENS_TRY(comm_agree(comm, st, what));
    return comm_agree(comm, expect_note(to, text, comm), what);
}

lens_status launch_check_shared(comm_t *comm, const char *dir) {
    /* Of this start alone, by rank 0's clock and process: what an earlier one left proves nothing. */
    uint64_t start[2] = {(uint64_t)time(NULL), (uint64_t)getpid()};
    LENS_TRY(comm_broadcast(comm, start, sizeof start, 0, "shared run.dir"));
    str_t from = {0}, to = {0}, text = {0};
    str_addf(&text, "%llu %llu\n", (unsigned long long)start[0], (unsigned long long)start[1]);
    str_addf(&from, "%s/.launch-check.%llu.%llu", dir, (unsigned long long)start[0], (unsigned long long)start[1]);
    str_addf(&to, "%s.renamed", str_text(&from));
    lens_status st = comm_agree(comm, str_status(&to), "shared run.dir");
    if (st == LENS_OK) st = pass_note(comm, dir, from.s, to.s, text.s);
    if (from.s && to.s && comm_rank(comm) == 0) {
        unlink(from.s);
        unlink(to.s);
    }
    str_free(&from);
    str_free(&to);
    str_free(&text);
    return st;
}

/* ---- the link ---- */

lens_status launch_check_link(collectives_speed_t *out, comm_t *comm, device_t *device) {
    kernels_t *k = device->k;
    const size_t align = 64 * (size_t)comm_world(comm), few = SLOW_LINK_BYTES / align * align,
                 many = (device->kind == DEVICE_CUDA ? GPU_LINK_BYTES : CPU_LINK_BYTES) / align * align;
    void *x;
    *out = (collectives_speed_t){0};
    if (comm_world(comm) == 1) return LENS_OK;
    LENS_TRY(comm_agree(comm, k->alloc(k, &x, many, "a test of the link"), "link"));
    lens_status st = collectives_measure(device->coll, x, few, out);
    double n_slow = out->all_reduce.bus < SLOW_LINK;
    if (st == LENS_OK) st = comm_sum_f64(comm, &n_slow, 1, "slow links");
    if (st == LENS_OK && n_slow == 0) st = collectives_measure(device->coll, x, many, out);
    k->free(k, x);
    return st;
}

void launch_check_link_text(str_t *out, const collectives_speed_t *speed, const device_t *device) {
    str_addf(out,
             "a rank sends %.2f GB/s in an all-reduce, %.2f in a reduce-scatter, %.2f in an all-gather, by %s; latency "
             "%.0f us",
             1e-9 * speed->all_reduce.bus, 1e-9 * speed->reduce_scatter.bus, 1e-9 * speed->all_gather.bus,
             device->coll->name, 1e6 * speed->latency_s);
}

/* ---- a run ---- */

lens_status launch_check_run(comm_t *comm, const train_config_t *c) {
    if (comm_world(comm) == 1) return LENS_OK;
    str_t text = {0};
    str_addf(&text, "lens %s\ncommit %s\nbuild %s\n", build_version(), build_commit(), build_type());
    lens_status st = comm_agree(comm, str_status(&text), "version");
    if (st == LENS_OK) st = launch_check_same(comm, text.s, "version");
    str_clear(&text);
    options_write_yaml(&text, train_config_table(), c);
    if (st == LENS_OK) st = comm_agree(comm, str_status(&text), "configuration");
    if (st == LENS_OK) st = launch_check_same(comm, text.s, "configuration");
    if (st == LENS_OK) st = launch_check_shared(comm, c->run.dir);
    str_free(&text);
    return st;
}
