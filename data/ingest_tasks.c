#include "data/ingest_tasks.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/ingest_dir.h"

#define LOG_MAX_BYTES ((size_t)8 << 30)

typedef enum { PART_TO_DO, PART_UNDER_WAY, PART_IN_MEMORY, PART_IN_FILE, PART_PLANNED } part_state;

struct ingest_tasks {
    const ingest_options_t *options;
    ingest_plan_t *plan;
    pthread_mutex_t lock;
    int64_t n_parts, next_part, n_parts_done, n_parts_found;
    uint8_t *state; /* [n_parts] part_state */
    str_t *logs;    /* [n_parts] of those in memory */
    int64_t next_shard, n_shards_done;
    lens_status st; /* what ended the run */
    str_t message;
};

/* ---- from logs to shards, under the lock ---- */

static lens_status remove_if_free(ingest_tasks_t *t, int64_t part) {
    if (!t->options->out || !ingest_plan_part_is_free(t->plan, part)) return LENS_OK;
    str_t path = {0};
    ingest_part_path(&path, t->options->out, part, "h5");
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = dir_remove(path.s); /* a file, or nothing */
    str_free(&path);
    return st;
}

static lens_status plan_part(ingest_tasks_t *t, int64_t part) {
    str_t path = {0};
    lens_status st = LENS_OK;
    ingest_part_path(&path, t->options->out ? t->options->out : "", part, "log");
    LENS_GO(str_status(&path));
    if (t->state[part] == PART_IN_FILE) {
        char *text;
        size_t n;
        LENS_GO(file_read(&text, &n, path.s, LOG_MAX_BYTES));
        st = ingest_plan_add(t->plan, text, n, path.s);
        free(text);
    } else {
        st = ingest_plan_add(t->plan, str_text(&t->logs[part]), t->logs[part].len, path.s);
        str_free(&t->logs[part]);
    }
    if (st == LENS_OK) st = remove_if_free(t, part);
    t->state[part] = PART_PLANNED;
done:
    str_free(&path);
    return st;
}

static lens_status plan_what_is_there(ingest_tasks_t *t) {
    for (int64_t part; (part = ingest_plan_n_parts(t->plan)) < t->n_parts;) {
        if (t->state[part] != PART_IN_MEMORY && t->state[part] != PART_IN_FILE) break;
        LENS_TRY(plan_part(t, part));
    }
    return LENS_OK;
}

static lens_status finish_shard(ingest_tasks_t *t, int64_t shard) {
    const ingest_runs_t *runs = ingest_plan_shard(t->plan, shard);
    int64_t n = runs->n, *parts = malloc((size_t)(n + 1) * sizeof *parts);
    if (!parts) return lens_fail(LENS_MEMORY, "out of memory for the parts of shard %" PRId64, shard);
    for (int64_t i = 0; i < n; i++) parts[i] = runs->runs[i].part;
    ingest_plan_drop_shard(t->plan, shard);
    t->n_shards_done++;
    lens_status st = LENS_OK;
    for (int64_t i = 0; i < n && st == LENS_OK; i++)
        if (i == 0 || parts[i] != parts[i - 1]) st = remove_if_free(t, parts[i]);
    free(parts);
    return st;
}

/* Passes over decided shards that an earlier run wrote; in a dry run, over all. */
static lens_status skip_shards(ingest_tasks_t *t) {
    str_t path = {0};
    lens_status st = LENS_OK;
    while (st == LENS_OK && t->next_shard < ingest_plan_n_shards(t->plan)) {
        if (t->options->out) {
            ingest_shard_path(&path, t->options->out, t->next_shard);
            if ((st = str_status(&path)) != LENS_OK || !file_exists(path.s)) break;
        }
        st = finish_shard(t, t->next_shard++);
    }
    str_free(&path);
    return st;
}

/* ---- what an earlier run left ---- */

static lens_status find_parts(ingest_tasks_t *t) {
    if (!t->options->out) return LENS_OK;
    str_t path = {0};
    lens_status st = LENS_OK;
    for (int64_t i = 0; i < t->n_parts && st == LENS_OK; i++) {
        ingest_part_path(&path, t->options->out, i, "log");
        st = str_status(&path);
        if (st != LENS_OK || !file_exists(path.s)) continue;
        t->state[i] = PART_IN_FILE;
        t->n_parts_found++;
    }
    t->n_parts_done = t->n_parts_found;
    str_free(&path);
    if (st == LENS_OK) st = plan_what_is_there(t);
    return st == LENS_OK ? skip_shards(t) : st;
}

lens_status ingest_tasks_new(ingest_tasks_t **out, const ingest_options_t *options, const source_units_t *units,
                             ingest_plan_t *plan) {
    *out = NULL;
    ingest_tasks_t *t = calloc(1, sizeof *t);
    if (!t) return lens_fail(LENS_MEMORY, "out of memory for the tasks");
    t->options = options;
    t->plan = plan;
    t->n_parts = source_units_n(units);
    pthread_mutex_init(&t->lock, NULL);
    t->state = calloc((size_t)t->n_parts + 1, sizeof *t->state);
    t->logs = calloc((size_t)t->n_parts + 1, sizeof *t->logs);
    lens_status st =
        t->state && t->logs ? find_parts(t) : lens_fail(LENS_MEMORY, "out of memory for %" PRId64 " parts", t->n_parts);
    if (st == LENS_OK)
        *out = t;
    else
        ingest_tasks_free(t);
    return st;
}

void ingest_tasks_free(ingest_tasks_t *t) {
    if (!t) return;
    for (int64_t i = 0; t->logs && i < t->n_parts; i++) str_free(&t->logs[i]);
    free(t->logs);
    free(t->state);
    str_free(&t->message);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

/* ---- tasks ---- */

static lens_status next_locked(ingest_tasks_t *t, ingest_task_t *out) {
    if (t->st != LENS_OK) {
        out->kind = INGEST_END;
        return LENS_OK;
    }
    LENS_TRY(skip_shards(t));
    if (t->next_shard < ingest_plan_n_shards(t->plan)) {
        const ingest_runs_t *runs = ingest_plan_shard(t->plan, t->next_shard);
        out->runs.runs = malloc((size_t)runs->n * sizeof *runs->runs);
        if (!out->runs.runs) return lens_fail(LENS_MEMORY, "out of memory for %" PRId64 " runs", runs->n);
        memcpy(out->runs.runs, runs->runs, (size_t)runs->n * sizeof *runs->runs);
        out->runs.n = out->runs.cap = runs->n;
        out->kind = INGEST_SHARD;
        out->number = t->next_shard++;
        return LENS_OK;
    }
    while (t->next_part < t->n_parts && t->state[t->next_part] != PART_TO_DO) t->next_part++;
    if (t->next_part < t->n_parts) {
        t->state[t->next_part] = PART_UNDER_WAY;
        out->kind = INGEST_PART;
        out->number = t->next_part++;
        return LENS_OK;
    }
    const bool all = ingest_plan_n_parts(t->plan) == t->n_parts && t->n_shards_done == ingest_plan_n_shards(t->plan);
    out->kind = all ? INGEST_END : INGEST_WAIT;
    return LENS_OK;
}

lens_status ingest_tasks_next(ingest_tasks_t *t, ingest_task_t *out) {
    *out = (ingest_task_t){.kind = INGEST_WAIT};
    pthread_mutex_lock(&t->lock);
    lens_status st = next_locked(t, out);
    pthread_mutex_unlock(&t->lock);
    return st;
}

static lens_status part_done_locked(ingest_tasks_t *t, int64_t part, str_t *log) {
    if (part < 0 || part >= t->n_parts || t->state[part] != PART_UNDER_WAY)
        return lens_fail(LENS_COMM, "part %" PRId64 " of %" PRId64 " was made, but nobody was asked to", part,
                         t->n_parts);
    t->logs[part] = *log;
    *log = (str_t){0};
    t->state[part] = PART_IN_MEMORY;
    t->n_parts_done++;
    return plan_what_is_there(t);
}

lens_status ingest_tasks_part_done(ingest_tasks_t *t, int64_t part, str_t *log) {
    pthread_mutex_lock(&t->lock);
    lens_status st = part_done_locked(t, part, log);
    pthread_mutex_unlock(&t->lock);
    return st;
}

lens_status ingest_tasks_shard_done(ingest_tasks_t *t, int64_t shard) {
    pthread_mutex_lock(&t->lock);
    lens_status st = shard >= 0 && shard < t->next_shard
                         ? finish_shard(t, shard)
                         : lens_fail(LENS_COMM, "shard %" PRId64 " was written, but nobody was asked to", shard);
    pthread_mutex_unlock(&t->lock);
    return st;
}

void ingest_tasks_fail(ingest_tasks_t *t, lens_status st, const char *message) {
    pthread_mutex_lock(&t->lock);
    if (t->st == LENS_OK) {
        t->st = st;
        str_add(&t->message, message);
    }
    pthread_mutex_unlock(&t->lock);
}

lens_status ingest_tasks_status(ingest_tasks_t *t) {
    pthread_mutex_lock(&t->lock);
    lens_status st = t->st;
    if (st != LENS_OK) lens_set_error("%s", str_text(&t->message));
    pthread_mutex_unlock(&t->lock);
    return st;
}

ingest_progress_t ingest_tasks_progress(ingest_tasks_t *t) {
    pthread_mutex_lock(&t->lock);
    ingest_progress_t p = {.n_parts = t->n_parts,
                           .n_parts_done = t->n_parts_done,
                           .n_parts_found = t->n_parts_found,
                           .n_shards_done = t->n_shards_done,
                           .failed = t->st != LENS_OK};
    pthread_mutex_unlock(&t->lock);
    return p;
}
