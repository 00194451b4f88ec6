/* One run: set-up on all ranks, threads, rank 0's service, and the end. */
#include "data/ingest.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "data/ingest_dir.h"
#include "data/ingest_link.h"
#include "data/ingest_part.h"
#include "data/ingest_report.h"
#include "data/ingest_shard.h"
#include "data/source_expand.h"

#define SERVE_NS 1000000   /* rank 0 looks for requests that often */
#define WATCH_NS 300000000 /* other ranks ask that often whether the run has failed */

typedef struct {
    const ingest_options_t *options;
    comm_t *comm;
    double began_s;
    char **paths; /* the sources, patterns expanded */
    int64_t n_paths;
    source_units_t *units;
    filter_chain_t *filters;
    str_t provenance;
    int lock; /* rank 0, as all below; -1 */
    atomic_file_t *rejects;
    ingest_embeddings_t *embeddings; /* NULL: not asked for */
    ingest_plan_t *plan;
    /* all ranks: */
    ingest_link_t link;
    ingest_pool_t *pool;
    pthread_t *threads;
    int n_threads; /* started */
    atomic_int n_done;
} run_t;

/* ---- a thread ---- */

static lens_status do_task(run_t *r, const ingest_task_t *task, str_t *log) {
    if (task->kind == INGEST_WAIT) {
        ingest_pool_help(r->pool);
        return LENS_OK;
    }
    if (task->kind == INGEST_SHARD) {
        LENS_TRY(ingest_shard_write(r->options, task->number, &task->runs, r->provenance.s));
        return ingest_link_shard_done(&r->link, task->number);
    }
    LENS_TRY(ingest_part_make(r->pool, task->number, log));
    return ingest_link_part_done(&r->link, task->number, log);
}

static void *thread_main(void *arg) {
    run_t *r = arg;
    str_t log = {0};
    lens_status st = LENS_OK;
    while (st == LENS_OK && !ingest_pool_stopped(r->pool)) {
        ingest_task_t task;
        st = ingest_link_next(&r->link, &task);
        if (st == LENS_OK && task.kind == INGEST_END) break;
        if (st == LENS_OK) st = do_task(r, &task, &log);
        free(task.runs.runs);
    }
    if (st != LENS_OK && !ingest_pool_stopped(r->pool)) {
        ingest_link_fail(&r->link, st);
        ingest_pool_stop(r->pool);
    }
    str_free(&log);
    atomic_fetch_add(&r->n_done, 1);
    return NULL;
}

static lens_status start_threads(run_t *r) {
    r->threads = calloc((size_t)r->options->n_threads, sizeof *r->threads);
    if (!r->threads) return lens_fail(LENS_MEMORY, "out of memory for %d threads", r->options->n_threads);
    for (; r->n_threads < r->options->n_threads; r->n_threads++) {
        int error = pthread_create(&r->threads[r->n_threads], NULL, thread_main, r);
        if (error)
            return lens_fail(LENS_MEMORY, "cannot start thread %d of %d: %s", r->n_threads + 1, r->options->n_threads,
                             strerror(error));
    }
    return LENS_OK;
}

static void nap(long ns) {
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* ---- the main threads, while the others work ---- */

static void show_progress(run_t *r, const ingest_progress_t *p) {
    const int64_t n_read = ingest_pool_n_read(r->pool) + r->link.n_read_elsewhere;
    const double elapsed_s = log_clock_s() - r->began_s;
    const int64_t made = p->n_parts_done - p->n_parts_found, left = p->n_parts - p->n_parts_done;
    char rest[64] = "";
    if (made > 0) {
        const long s = lround(elapsed_s / (double)made * (double)left);
        snprintf(rest, sizeof rest, ", %ld:%02ld:%02ld left", s / 3600, s / 60 % 60, s % 60);
    }
    log_progress("ingest: %" PRId64 " samples, %" PRId64 " of %" PRId64 " parts, %" PRId64 " shards, %.0f/s%s", n_read,
                 p->n_parts_done, p->n_parts, p->n_shards_done, (double)n_read / fmax(elapsed_s, 1e-3), rest);
}

/* Until the threads of all ranks are done. */
static lens_status serve(run_t *r) {
    for (bool done = false; !done;) {
        done = atomic_load(&r->n_done) == r->n_threads;
        LENS_TRY(ingest_link_serve(&r->link));
        done &= r->link.n_left == comm_world(r->comm) - 1;
        const ingest_progress_t p = ingest_tasks_progress(r->link.tasks);
        if (p.failed) ingest_pool_stop(r->pool);
        show_progress(r, &p);
        if (!done) nap(SERVE_NS);
    }
    log_progress_end();
    return LENS_OK;
}

static lens_status watch(run_t *r) {
    double asked_s = log_clock_s();
    while (atomic_load(&r->n_done) < r->n_threads) {
        nap(SERVE_NS);
        if (log_clock_s() - asked_s < WATCH_NS * 1e-9) continue;
        bool failed;
        LENS_TRY(ingest_link_has_failed(&r->link, &failed));
        if (failed) ingest_pool_stop(r->pool);
        asked_s = log_clock_s();
    }
    return LENS_OK;
}

/* Whatever fails in here is told to rank 0, but for messages that do not get through: those end all ranks. */
static lens_status work(run_t *r) {
    const bool first = comm_rank(r->comm) == 0;
    lens_status st = start_threads(r);
    if (st != LENS_OK) {
        ingest_link_fail(&r->link, st);
        ingest_pool_stop(r->pool);
    }
    st = first ? serve(r) : watch(r);
    if (st != LENS_OK && comm_world(r->comm) > 1) {
        log_error("%s", lens_error());
        comm_abort(r->comm, 1);
    }
    for (int i = 0; i < r->n_threads; i++) pthread_join(r->threads[i], NULL);
    return first ? ingest_tasks_status(r->link.tasks) : LENS_OK;
}

/* ---- set-up ---- */

static lens_status set_up_rank_0(run_t *r) {
    const ingest_options_t *o = r->options;
    str_t identity = {0}, path = {0};
    lens_status st;
    LENS_GO(ingest_embeddings_new(&r->embeddings, r->units, r->filters));
    if (o->out) {
        const uint64_t embeddings = r->embeddings ? ingest_embeddings_hash(r->embeddings) : 0;
        LENS_GO(ingest_identity(&identity, o, r->filters, source_units_hash(r->units) ^ embeddings));
        LENS_GO(ingest_dir_take(&r->lock, o->out, identity.s));
        ingest_work_path(&path, o->out, "rejects.jsonl");
        LENS_GO(str_status(&path));
    }
    if (o->out || o->rejects) LENS_GO(atomic_file_open(&r->rejects, o->rejects ? o->rejects : path.s));
    LENS_GO(ingest_plan_new(&r->plan, o, r->units, r->filters, r->embeddings,
                            r->rejects ? atomic_file_stream(r->rejects) : NULL));
    LENS_GO(ingest_tasks_new(&r->link.tasks, o, r->units, r->plan));
done:
    str_free(&identity);
    str_free(&path);
    return st;
}

static lens_status set_up_all(run_t *r) {
    const ingest_options_t *o = r->options;
    for (int i = 0; i < o->n_sources; i++)
        if (strcmp(o->sources[i], "-") == 0 && comm_world(r->comm) > 1)
            return lens_fail(LENS_ARGUMENT, "standard input cannot be read by %d ranks", comm_world(r->comm));
    LENS_TRY(filter_chain_new(&r->filters, o->config));
    LENS_TRY(source_expand(&r->paths, &r->n_paths, o->sources, o->n_sources, NULL));
    LENS_TRY(source_units_open(&r->units, r->paths, (int)r->n_paths, o->unit_samples));
    LENS_TRY(ingest_provenance(&r->provenance, o, r->filters));
    return ingest_pool_new(&r->pool, o, r->units, r->filters);
}

/* All ranks must find the same input: they read parts of it by number. */
static lens_status check_same_input(run_t *r) {
    const uint64_t mine = source_units_hash(r->units);
    uint64_t first = mine;
    LENS_TRY(comm_broadcast(r->comm, &first, sizeof first, 0, "comparing the input"));
    lens_status st = LENS_OK;
    if (first != mine)
        st = lens_fail(LENS_IO, "rank %d finds other sources than rank 0: they must be on a file system that all share",
                       comm_rank(r->comm));
    return comm_agree(r->comm, st, "comparing the input");
}

static lens_status set_up(run_t *r) {
    LENS_TRY(comm_agree(r->comm, set_up_all(r), "set-up"));
    LENS_TRY(check_same_input(r));
    LENS_TRY(comm_agree(r->comm, comm_rank(r->comm) == 0 ? set_up_rank_0(r) : LENS_OK, "set-up"));
    return r->options->out ? ingest_dir_check_shared(r->options->out, r->comm) : LENS_OK;
}

/* ---- the end ---- */

static lens_status complete(run_t *r, ingest_report_t *report) {
    str_t summary = {0};
    *report = *ingest_plan_report(r->plan);
    report->n_resumed_parts = ingest_tasks_progress(r->link.tasks).n_parts_found;
    report->duration_s = log_clock_s() - r->began_s;
    report->filters = r->filters;
    r->filters = NULL;
    atomic_file_t *rejects = r->rejects;
    r->rejects = NULL;
    if (rejects) LENS_TRY(atomic_file_commit(rejects));
    if (!r->options->out) return LENS_OK;
    if (report->n_shards > 0) LENS_TRY(dataset_write_index(r->options->out, NULL));
    ingest_report_json(&summary, report);
    lens_status st = str_status(&summary);
    if (st == LENS_OK) st = ingest_dir_complete(r->options->out, summary.s, r->options->rejects == NULL);
    str_free(&summary);
    return st;
}

static void tear_down(run_t *r) {
    ingest_tasks_free(r->link.tasks);
    ingest_plan_free(r->plan);
    ingest_embeddings_free(r->embeddings);
    atomic_file_abort(r->rejects);
    ingest_pool_free(r->pool);
    filter_chain_free(r->filters);
    source_units_close(r->units);
    dir_list_free(r->paths, r->n_paths);
    str_free(&r->provenance);
    free(r->threads);
    if (r->lock >= 0) close(r->lock);
}

lens_status ingest(ingest_report_t *report, const ingest_options_t *options, comm_t *comm) {
    *report = (ingest_report_t){0};
    run_t r = {.options = options, .comm = comm, .began_s = log_clock_s(), .lock = -1, .link = {.comm = comm}};
    const bool first = comm_rank(comm) == 0;
    lens_status st = set_up(&r);
    if (st == LENS_OK) {
        st = work(&r);
        if (first && st == LENS_OK) st = complete(&r, report);
        if (st != LENS_OK) ingest_report_reset(report);
        const lens_status parted = first ? ingest_link_let_go(&r.link) : ingest_link_goodbye(&r.link);
        if (parted != LENS_OK) comm_abort(comm, 1);
    } else if (!first) {
        st = LENS_OK; /* told by rank 0 */
    }
    tear_down(&r);
    return st;
}
