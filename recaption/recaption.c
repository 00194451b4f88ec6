#include "recaption/recaption.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "recaption/recaption_lock.h"
#include "recaption/recaption_private.h"

#define SYNC_S 1.0
#define STOP_S 30.0

static volatile sig_atomic_t stop_asked;

void recaption_stop(void) {
    stop_asked = 1;
}

void run_fail_locked(run_t *r, lens_status st) {
    if (r->status == LENS_OK) {
        r->status = st;
        str_add(&r->failure, lens_error());
    }
    pthread_cond_broadcast(&r->change);
}

void run_fail(run_t *r, lens_status st) {
    pthread_mutex_lock(&r->lock);
    run_fail_locked(r, st);
    pthread_mutex_unlock(&r->lock);
}

bool run_ending(const run_t *r) {
    return r->stopping || r->status != LENS_OK;
}

void run_part_with(run_t *r, open_shard_t *s) {
    s->n_asked--;
    pthread_cond_broadcast(&r->change);
}

/* ---- shards ---- */

static lens_status open_next(run_t *r) {
    int64_t shard = -1;
    open_shard_t *s = NULL;
    lens_status st = recaption_link_next(&r->link, &shard);
    if (st == LENS_OK && shard >= 0) {
        s = calloc(1, sizeof *s);
        st = s ? recaption_shard_open(&s->tasks, r->dataset, shard, r->captioner, r->options)
               : lens_fail(LENS_MEMORY, "out of memory for a shard");
        if (st != LENS_OK) free(s);
    }
    pthread_mutex_lock(&r->lock);
    r->opening = false;
    r->all_given |= shard < 0;
    if (st == LENS_OK && s) {
        r->open[r->n_open++] = s;
        r->n_tasks += s->tasks.n * s->tasks.n_kinds;
    }
    pthread_cond_broadcast(&r->change);
    pthread_mutex_unlock(&r->lock);
    return st;
}

/* Writes what is settled; leaves to its journal what is not. */
static lens_status end_shard(run_t *r, open_shard_t *s) {
    recaption_result_t result = {0};
    const bool settled = tasks_settled(&s->tasks);
    lens_status st = LENS_OK;
    if (settled) {
        st = recaption_shard_write(&s->tasks, r->captioner, r->options, &result);
        st = lens_context(st, "%s", dataset_shard_name(r->dataset, s->tasks.shard));
    } else {
        st = journal_sync(s->tasks.journal);
        result.n_shards_left = 1;
    }
    pthread_mutex_lock(&r->sync);
    pthread_mutex_lock(&r->lock);
    int at = 0;
    while (r->open[at] != s) at++;
    memmove(&r->open[at], &r->open[at + 1], (size_t)(--r->n_open - at) * sizeof *r->open);
    r->n_tasks -= s->tasks.n * s->tasks.n_kinds;
    pthread_cond_broadcast(&r->change);
    recaption_sum(&r->result, &result);
    pthread_mutex_unlock(&r->lock);
    pthread_mutex_unlock(&r->sync);
    tasks_free(&s->tasks);
    free(s);
    return st;
}

/* ---- a thread ---- */

typedef enum { DO_ASK, DO_COMPARE, DO_OPEN, DO_END, DO_WAIT, DO_LEAVE } job_kind;

static bool take_retry(run_t *r, ask_t *a) {
    retry_t *t = r->first;
    if (!t) return false;
    r->first = t->next;
    if (!r->first) r->last = &r->first;
    *a = (ask_t){.shard = t->shard,
                 .within = t->within,
                 .kinds = 1u << t->kind,
                 .attempt = t->attempt,
                 .n_lost = t->n_lost,
                 .is_retry = true};
    free(t);
    return true;
}

static bool take_sample(run_t *r, ask_t *a) {
    for (int i = 0; i < r->n_open; i++) {
        *a = (ask_t){.shard = r->open[i]};
        if (r->open[i]->taken || !tasks_next(&r->open[i]->tasks, &a->within, &a->kinds)) continue;
        a->shard->n_asked++;
        return true;
    }
    return false;
}

/* A shard with nothing under way and nothing to be asked. */
static bool take_ended(run_t *r, ask_t *a) {
    for (int i = 0; i < r->n_open && r->status == LENS_OK; i++) {
        open_shard_t *s = r->open[i];
        if (s->taken || s->n_asked > 0 || (!tasks_settled(&s->tasks) && s->tasks.next < s->tasks.n)) continue;
        s->taken = true;
        a->shard = s;
        return true;
    }
    return false;
}

bool run_take_parked(run_t *r, parked_t **k) {
    *k = r->parked;
    if (*k) r->parked = (*k)->next;
    return *k != NULL;
}

/* Under the lock. Answers that are here first, then retries, so that shards are settled soon. */
static job_kind choose(run_t *r, ask_t *a, parked_t **k) {
    if (run_take_parked(r, k)) return DO_COMPARE;
    if (take_ended(r, a)) return DO_END;
    if (run_ending(r)) return DO_LEAVE;
    if (take_retry(r, a) || take_sample(r, a)) return DO_ASK;
    if (take_ended(r, a)) return DO_END; /* take_sample has found that nothing is open */
    if (!r->all_given && !r->opening && r->n_open < OPEN_MAX_SHARDS && (r->n_open < 2 || r->n_tasks < OPEN_MAX_TASKS)) {
        r->opening = true;
        return DO_OPEN;
    }
    return r->all_given && r->n_open == 0 ? DO_LEAVE : DO_WAIT;
}

static lens_status do_job(run_t *r, job_kind kind, const ask_t *a, parked_t *k) {
    if (kind == DO_COMPARE) {
        run_compare(r, k);
        return LENS_OK;
    }
    if (kind == DO_OPEN) return open_next(r);
    if (kind == DO_END) return end_shard(r, a->shard);
    lens_status st = run_ask(r, a);
    pthread_mutex_lock(&r->lock);
    run_part_with(r, a->shard);
    pthread_mutex_unlock(&r->lock);
    return st;
}

static void *work(void *argument) {
    run_t *r = argument;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        ask_t a = {0};
        parked_t *k;
        const job_kind kind = choose(r, &a, &k);
        if (kind == DO_LEAVE) break;
        if (kind == DO_WAIT) {
            pthread_cond_wait(&r->change, &r->lock);
            continue;
        }
        pthread_mutex_unlock(&r->lock);
        lens_status st = do_job(r, kind, &a, k);
        if (st != LENS_OK) run_fail(r, st);
        pthread_mutex_lock(&r->lock);
    }
    r->n_threads--;
    pthread_cond_broadcast(&r->change);
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* ---- the main thread, while the others work ---- */

static lens_status sync_all(run_t *r) {
    lens_status st = LENS_OK;
    pthread_mutex_lock(&r->sync);
    pthread_mutex_lock(&r->lock);
    open_shard_t *open[OPEN_MAX_SHARDS];
    const int n = r->n_open;
    memcpy(open, r->open, (size_t)n * sizeof *open);
    pthread_mutex_unlock(&r->lock);
    for (int i = 0; i < n && st == LENS_OK; i++) st = journal_sync(open[i]->tasks.journal);
    pthread_mutex_unlock(&r->sync);
    return st;
}

static void check_stop(run_t *r, double *stopped_s) {
    pthread_mutex_lock(&r->lock);
    if (stop_asked && !r->stopping) {
        r->stopping = true;
        pthread_cond_broadcast(&r->change);
    }
    if (run_ending(r) && *stopped_s == 0) *stopped_s = log_clock_s();
    pthread_mutex_unlock(&r->lock);
}

/* Waits for a change, not longer than is good for others that ask. True when all is over. */
static bool nap(run_t *r) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += comm_world(r->link.comm) > 1 ? 2000000 : 50000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&r->lock);
    if (r->n_threads > 0 || r->n_in_flight > 0) pthread_cond_timedwait(&r->change, &r->lock, &until);
    const bool over = r->n_threads == 0 && r->n_in_flight == 0;
    pthread_mutex_unlock(&r->lock);
    return over;
}

static lens_status look(run_t *r, bool last) {
    const recaption_watch_t *w = &r->options->watch;
    str_t line = {0};
    pthread_mutex_lock(&r->lock);
    const recaption_result_t so_far = r->result;
    pthread_mutex_unlock(&r->lock);
    const double s = log_clock_s() - r->began_s;
    str_addf(&line, "%s: %" PRId64 " captions, %.0f/s", dataset_dir(r->dataset), so_far.n_answers,
             s > 0 ? (double)so_far.n_answers / s : 0);
    lens_status st = w->look ? w->look(w->context, &so_far, last, &line) : LENS_OK;
    log_progress("%s", str_text(&line));
    str_free(&line);
    return st;
}

static void supervise(run_t *r) {
    double synced_s = log_clock_s(), stopped_s = 0;
    bool cancelled = false;
    while (!nap(r)) {
        lens_status st = comm_rank(r->link.comm) == 0 ? recaption_link_serve(&r->link) : LENS_OK;
        if (st == LENS_OK && log_clock_s() - synced_s > SYNC_S) {
            st = sync_all(r);
            synced_s = log_clock_s();
        }
        if (st == LENS_OK) st = look(r, false);
        if (st != LENS_OK) run_fail(r, st);
        check_stop(r, &stopped_s);
        if (stopped_s > 0 && !cancelled && log_clock_s() - stopped_s > STOP_S && r->captioner->type->cancel) {
            r->captioner->type->cancel(r->captioner);
            cancelled = true;
        }
    }
}

static void let_go(run_t *r) {
    for (retry_t *t = r->first; t;) {
        retry_t *next = t->next;
        free(t);
        t = next;
    }
    for (int i = 0; i < r->n_open; i++) {
        lens_status st = journal_sync(r->open[i]->tasks.journal);
        if (st != LENS_OK) run_fail(r, st);
        tasks_free(&r->open[i]->tasks);
        free(r->open[i]);
        r->result.n_shards_left++;
    }
}

static lens_status work_all(run_t *r) {
    pthread_t threads[THREADS_MAX];
    const int wanted = r->options->threads < THREADS_MAX ? r->options->threads : THREADS_MAX;
    int n = 0, error = 0;
    r->n_threads = wanted;
    while (n < wanted && (error = pthread_create(&threads[n], NULL, work, r)) == 0) n++;
    pthread_mutex_lock(&r->lock);
    r->n_threads -= wanted - n; /* fewer threads than asked for are slower, not wrong */
    pthread_mutex_unlock(&r->lock);
    if (n == 0) return lens_fail(LENS_MEMORY, "cannot start a thread: %s", strerror(error));
    supervise(r);
    for (int i = 0; i < n; i++) pthread_join(threads[i], NULL);
    lens_status st = r->captioner->type->wait(r->captioner);
    if (st != LENS_OK) run_fail(r, st);
    let_go(r);
    st = look(r, true);
    if (st != LENS_OK) run_fail(r, st);
    log_progress_end();
    r->result.stopped = r->stopping;
    if (r->status != LENS_OK) lens_set_error("%s", str_text(&r->failure));
    return r->status;
}

/* ---- the whole ---- */

/* Rank 0: takes the folder, and looks at what was begun in it. */
static lens_status set_up(int *lock, const run_t *r) {
    if (comm_rank(r->link.comm) != 0) return LENS_OK;
    LENS_TRY(recaption_lock(lock, r->options->dir));
    for (int64_t s = 0; s < dataset_n_shards(r->dataset) && !r->options->restart; s++)
        LENS_TRY(recaption_shard_check(r->dataset, s, r->captioner, r->options));
    return LENS_OK;
}

lens_status recaption_run(recaption_result_t *result, const dataset_t *d, captioner_t *c, const recaption_options_t *o,
                          comm_t *comm) {
    run_t r = {.dataset = d,
               .captioner = c,
               .options = o,
               .began_s = log_clock_s(),
               .link = {.comm = comm, .dataset = d, .options = o}};
    int lock = -1;
    *result = (recaption_result_t){0};
    r.last = &r.first;
    judge_init(&r.judge, c, o->kinds, o->n_kinds, &o->quality);
    lens_status st = comm_agree(comm, set_up(&lock, &r), "set-up");
    if (st == LENS_OK) {
        pthread_mutex_init(&r.lock, NULL);
        pthread_mutex_init(&r.sync, NULL);
        pthread_mutex_init(&r.link.lock, NULL);
        pthread_cond_init(&r.change, NULL);
        st = work_all(&r);
        if (st != LENS_OK && comm_world(comm) > 1) {
            log_error("%s", lens_error()); /* what the others have recorded stays too */
            comm_abort(comm, 1);
        }
        st = recaption_link_leave(&r.link, st, &r.result);
        *result = r.result;
        if (st == LENS_OK && o->watch.ended && comm_rank(comm) == 0) st = o->watch.ended(o->watch.context, result);
        pthread_cond_destroy(&r.change);
        pthread_mutex_destroy(&r.link.lock);
        pthread_mutex_destroy(&r.sync);
        pthread_mutex_destroy(&r.lock);
    }
    recaption_unlock(lock, o->dir);
    str_free(&r.failure);
    str_free(&r.link.failure);
    result->seconds = log_clock_s() - r.began_s;
    return st;
}
