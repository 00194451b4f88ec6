#include "data/ingest_part.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "data/ingest_log.h"
#include "data/shard.h"

#define HELP_S 0.05
#define JOBS_PER_THREAD 2

typedef enum { JOB_WAITS, JOB_TAKEN, JOB_DONE } job_state;
typedef struct {
    ingest_job_t job;
    job_state state; /* under the pool's lock */
    lens_status st;  /* of ingest_picture; error is its message */
    str_t error;
} slot_t;

/* A part being made. Slots [head, tail) of the ring are in use, in the order of the input; between the turns of its own
 * thread only the states change. */
typedef struct part {
    ingest_pool_t *pool;
    int64_t number;
    const char *source_path;
    source_t *source;
    bool ended;
    slot_t *ring;
    int64_t n_ring, head, tail;
    uint64_t waiting_bytes; /* files of [head, tail) */
    pthread_cond_t done;    /* a helper is done with a slot */
    shard_writer_t *shard;
    str_t *log, line;
    int64_t n_logged;
    struct part *next; /* in the pool's list */
} part_t;

struct ingest_pool {
    const ingest_options_t *options;
    const source_units_t *units;
    const filter_chain_t *filters;
    ingest_budget_t budget;
    uint64_t ahead_bytes; /* of files that a part may have in its ring */
    pthread_mutex_t lock;
    pthread_cond_t waits; /* some slot waits to be encoded */
    part_t *parts;        /* being made */
    bool stopped;
    atomic_llong n_read;
};

lens_status ingest_pool_new(ingest_pool_t **out, const ingest_options_t *options, const source_units_t *units,
                            const filter_chain_t *filters) {
    ingest_pool_t *p = *out = calloc(1, sizeof *p);
    if (!p) return lens_fail(LENS_MEMORY, "out of memory for the threads' pool");
    p->options = options;
    p->units = units;
    p->filters = filters;
    p->ahead_bytes = options->memory_bytes / 8 / (uint64_t)options->n_threads;
    ingest_budget_init(&p->budget, options->memory_bytes);
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&p->waits, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return LENS_OK;
}

void ingest_pool_free(ingest_pool_t *p) {
    if (!p) return;
    LENS_ASSERT(!p->parts, "part %" PRId64 " is being made", p->parts->number);
    ingest_budget_reset(&p->budget);
    pthread_cond_destroy(&p->waits);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void ingest_pool_stop(ingest_pool_t *p) {
    pthread_mutex_lock(&p->lock);
    p->stopped = true;
    pthread_cond_broadcast(&p->waits);
    pthread_mutex_unlock(&p->lock);
}

bool ingest_pool_stopped(ingest_pool_t *p) {
    pthread_mutex_lock(&p->lock);
    bool stopped = p->stopped;
    pthread_mutex_unlock(&p->lock);
    return stopped;
}

int64_t ingest_pool_n_read(ingest_pool_t *p) {
    return atomic_load(&p->n_read);
}

/* ---- encoding: the part's own thread, and helpers ---- */

/* The first slot of the part that waits, marked as taken; NULL where none does. Under the lock. */
static slot_t *take_slot(part_t *part) {
    for (int64_t i = part->head; i < part->tail; i++) {
        slot_t *slot = &part->ring[i % part->n_ring];
        if (slot->state != JOB_WAITS) continue;
        slot->state = JOB_TAKEN;
        return slot;
    }
    return NULL;
}

/* Not under the lock. */
static void encode_slot(part_t *part, slot_t *slot) {
    const ingest_pool_t *p = part->pool;
    const ingest_picture_context_t context = {p->options, p->filters, &part->pool->budget};
    slot->st = ingest_picture(&slot->job, &context);
    if (slot->st != LENS_OK) str_add(&slot->error, lens_error());
    pthread_mutex_lock(&part->pool->lock);
    slot->state = JOB_DONE;
    pthread_cond_signal(&part->done);
    pthread_mutex_unlock(&part->pool->lock);
}

/* A slot of any part, waiting for one until the deadline. */
static slot_t *take_any(ingest_pool_t *p, part_t **part, const struct timespec *deadline) {
    slot_t *slot = NULL;
    pthread_mutex_lock(&p->lock);
    for (int late = 0; !slot && !late && !p->stopped;) {
        for (*part = p->parts; *part && !(slot = take_slot(*part));) *part = (*part)->next;
        if (!slot) late = pthread_cond_timedwait(&p->waits, &p->lock, deadline);
    }
    pthread_mutex_unlock(&p->lock);
    return slot;
}

void ingest_pool_help(ingest_pool_t *p) {
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_nsec += (long)(HELP_S * 1e9);
    if (deadline.tv_nsec >= 1000000000L) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000L;
    }
    const double until_s = log_clock_s() + HELP_S;
    part_t *part;
    for (slot_t *slot; log_clock_s() < until_s && (slot = take_any(p, &part, &deadline));) encode_slot(part, slot);
}

/* ---- reading ---- */

/* "some/00012.tar" is "00012". */
static void source_label(str_t *out, const char *path) {
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/') begin--;
    const char *dot = file_is_dir(path) ? NULL : memchr(path + begin + 1, '.', end - begin - 1);
    str_add_n(out, path + begin, (dot ? (size_t)(dot - path) : end) - begin);
}

static lens_status prefix_key(raw_sample_t *raw, const char *path) {
    str_t key = {0};
    source_label(&key, path);
    str_add_char(&key, '/');
    str_add(&key, str_text(&raw->key));
    lens_status st = str_status(&key);
    if (st == LENS_OK) raw_sample_set_key(raw, key.s, key.len);
    str_free(&key);
    return st == LENS_OK ? str_status(&raw->key) : st;
}

/* Reads the next sample into the ring, which has room. */
static lens_status read_one(part_t *part) {
    slot_t *slot = &part->ring[part->tail % part->n_ring];
    raw_sample_t *raw = &slot->job.raw;
    ingest_job_clear(&slot->job);
    slot->st = LENS_OK;
    lens_status st = LENS_OK;
    if (!part->source) st = source_units_read(part->pool->units, part->number, &part->source);
    if (st == LENS_OK) st = source_next(part->source, raw);
    if (st == LENS_END) {
        part->ended = true;
        return LENS_OK;
    }
    LENS_TRY(st);
    if (part->pool->options->prefix_keys) LENS_TRY(prefix_key(raw, part->source_path));
    LENS_TRY(str_status(&raw->key));
    LENS_TRY(str_status(&raw->meta));
    atomic_fetch_add(&part->pool->n_read, 1);
    part->waiting_bytes += slot->job.raw.image.len;
    slot->job.source_bytes = slot->job.raw.image.len;
    pthread_mutex_lock(&part->pool->lock);
    slot->state = raw->reject == REJECT_NONE ? JOB_WAITS : JOB_DONE;
    part->tail++;
    if (slot->state == JOB_WAITS) pthread_cond_signal(&part->pool->waits);
    pthread_mutex_unlock(&part->pool->lock);
    return LENS_OK;
}

/* ---- writing ---- */

static lens_status open_shard(part_t *part) {
    str_t path = {0};
    const shard_identity_t identity = {.kind = "base", .zstd_level = 1}; /* it is not here to stay */
    ingest_part_path(&path, part->pool->options->out, part->number, "h5");
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = shard_writer_open(&part->shard, path.s, &identity);
    str_free(&path);
    return st;
}

/* ARGUMENT from the writer is the sample's fault: it becomes a reject. */
static lens_status put_sample(part_t *part, ingest_job_t *j) {
    if (!part->pool->options->out) return LENS_OK;
    if (!part->shard) LENS_TRY(open_shard(part));
    const sample_t sample = {.key = str_text(&j->raw.key),
                             .picture = j->picture.s,
                             .picture_bytes = j->picture.len,
                             .width = j->width,
                             .height = j->height,
                             .original_width = j->original_width,
                             .original_height = j->original_height,
                             .alt = str_text(&j->raw.alt),
                             .meta = str_text(&j->raw.meta)};
    lens_status st = shard_writer_add_sample(part->shard, &sample);
    if (st != LENS_ARGUMENT) return st;
    raw_sample_reject(&j->raw, REJECT_TEXT, "%s", lens_error());
    return LENS_OK;
}

static lens_status log_job(part_t *part, const ingest_job_t *j) {
    const raw_sample_t *raw = &j->raw;
    ingest_record_t r = {.accepted = raw->reject == REJECT_NONE && j->stage < 0,
                         .missing = j->missing,
                         .phash = j->phash,
                         .picture_bytes = j->picture.len,
                         .source_bytes = j->source_bytes,
                         .shrunk = j->shrunk,
                         .kept = j->kept,
                         .repaired = raw->repaired,
                         .key = str_text(&raw->key),
                         .key_bytes = raw->key.len,
                         .reject = raw->reject,
                         .stage = j->stage};
    if (!r.accepted) {
        const bool filtered = j->stage >= 0;
        str_clear(&part->line);
        ingest_reject_line(&part->line, part->source_path, r.key, r.key_bytes,
                           filtered ? filter_chain_name(part->pool->filters, j->stage) : reject_text(raw->reject),
                           str_text(&raw->reason), filtered ? &j->value : NULL);
        LENS_TRY(str_status(&part->line));
        r.line = part->line.s;
        r.line_bytes = part->line.len;
    }
    ingest_log_add(part->log, &r);
    part->n_logged++;
    return str_status(part->log);
}

/* The ring's first, which is done. */
static lens_status write_one(part_t *part) {
    slot_t *slot = &part->ring[part->head % part->n_ring];
    ingest_job_t *j = &slot->job;
    if (slot->st != LENS_OK) return lens_fail(slot->st, "%s: %s", part->source_path, str_text(&slot->error));
    if (j->raw.reject == REJECT_CUT_SHORT) log_warn("%s", str_text(&j->raw.reason));
    if (j->raw.reject == REJECT_NONE && j->stage < 0) LENS_TRY(put_sample(part, j));
    LENS_TRY(log_job(part, j));
    part->waiting_bytes -= j->source_bytes;
    pthread_mutex_lock(&part->pool->lock);
    part->head++;
    pthread_mutex_unlock(&part->pool->lock);
    return LENS_OK;
}

static lens_status publish(part_t *part) {
    ingest_log_end(part->log, part->n_logged);
    LENS_TRY(str_status(part->log));
    if (!part->pool->options->out) return LENS_OK;
    shard_writer_t *shard = part->shard;
    part->shard = NULL;
    if (shard) LENS_TRY(shard_writer_close(shard));
    str_t path = {0};
    ingest_part_path(&path, part->pool->options->out, part->number, "log");
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = file_write(path.s, part->log->s, part->log->len);
    str_free(&path);
    return st;
}

/* ---- the part's thread ---- */

static bool head_is_done(part_t *part) {
    pthread_mutex_lock(&part->pool->lock);
    bool done = part->head < part->tail && part->ring[part->head % part->n_ring].state == JOB_DONE;
    pthread_mutex_unlock(&part->pool->lock);
    return done;
}

static bool may_read(const part_t *part) {
    if (part->ended || part->tail - part->head == part->n_ring) return false;
    return part->tail == part->head || part->waiting_bytes < part->pool->ahead_bytes;
}

/* Encodes one of the ring's samples; where helpers have taken all of them, waits for the first to be done. */
static void encode_or_wait(part_t *part) {
    ingest_pool_t *p = part->pool;
    pthread_mutex_lock(&p->lock);
    slot_t *slot = take_slot(part);
    while (!slot && part->ring[part->head % part->n_ring].state != JOB_DONE) pthread_cond_wait(&part->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
    if (slot) encode_slot(part, slot);
}

static lens_status run_part(part_t *part) {
    while (!part->ended || part->head < part->tail) {
        if (ingest_pool_stopped(part->pool)) return lens_fail(LENS_STATE, "stopped");
        if (head_is_done(part))
            LENS_TRY(write_one(part));
        else if (may_read(part))
            LENS_TRY(read_one(part));
        else if (part->head < part->tail)
            encode_or_wait(part);
    }
    return publish(part);
}

static void enter_pool(part_t *part) {
    pthread_mutex_lock(&part->pool->lock);
    part->next = part->pool->parts;
    part->pool->parts = part;
    pthread_mutex_unlock(&part->pool->lock);
}

/* After it no helper has hold of the part. */
static void leave_pool(part_t *part) {
    ingest_pool_t *p = part->pool;
    pthread_mutex_lock(&p->lock);
    part_t **link = &p->parts;
    while (*link != part) link = &(*link)->next;
    *link = part->next;
    for (int64_t i = part->head; i < part->tail; i++)
        while (part->ring[i % part->n_ring].state == JOB_TAKEN) pthread_cond_wait(&part->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

lens_status ingest_part_make(ingest_pool_t *p, int64_t number, str_t *log) {
    part_t part = {.pool = p,
                   .number = number,
                   .source_path = source_units_path(p->units, number),
                   .n_ring = JOBS_PER_THREAD * p->options->n_threads,
                   .log = log};
    str_clear(log);
    part.ring = calloc((size_t)part.n_ring, sizeof *part.ring);
    if (!part.ring) return lens_fail(LENS_MEMORY, "out of memory for %" PRId64 " samples", part.n_ring);
    pthread_cond_init(&part.done, NULL);
    enter_pool(&part);
    lens_status st = run_part(&part);
    leave_pool(&part);
    source_close(part.source);
    shard_writer_abort(part.shard);
    for (int64_t i = 0; i < part.n_ring; i++) {
        ingest_job_free(&part.ring[i].job);
        str_free(&part.ring[i].error);
    }
    free(part.ring);
    str_free(&part.line);
    pthread_cond_destroy(&part.done);
    return st;
}
