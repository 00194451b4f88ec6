/* What recaption*.c share of a run. */
#ifndef LENS_RECAPTION_RECAPTION_PRIVATE_H
#define LENS_RECAPTION_RECAPTION_PRIVATE_H

#include <pthread.h>

#include "recaption/judge.h"
#include "recaption/parked.h"
#include "recaption/recaption_link.h"
#include "recaption/recaption_shard.h"

enum { OPEN_MAX_SHARDS = 256, OPEN_MAX_TASKS = 200000, THREADS_MAX = 256 };

/* A shard in work. */
typedef struct {
    tasks_t tasks;
    int64_t n_asked; /* samples and retries under way or queued */
    bool taken;      /* a thread is about to end it */
} open_shard_t;

/* A task that goes back in. */
typedef struct retry {
    struct retry *next;
    open_shard_t *shard;
    int64_t within;
    int kind, attempt, n_lost;
} retry_t;

typedef struct {
    const dataset_t *dataset;
    captioner_t *captioner;
    const recaption_options_t *options;
    recaption_link_t link;
    judge_t judge;
    double began_s;
    pthread_mutex_t sync; /* held while journals are synced, and while one goes */

    pthread_mutex_t lock; /* guards what follows, and the shards */
    pthread_cond_t change;
    open_shard_t *open[OPEN_MAX_SHARDS];
    int n_open, n_threads; /* threads that are at work */
    int64_t n_tasks;       /* of the open shards */
    bool opening, all_given;
    retry_t *first, **last;
    parked_t *parked; /* answers that a thread is to compare with their pictures */
    int64_t n_in_flight;
    bool stopping;
    lens_status status; /* first failure of any thread */
    str_t failure;      /* and its message: lens_error() is each thread's own */
    recaption_result_t result;
} run_t;

/* What a thread has taken to do. */
typedef struct {
    open_shard_t *shard;
    int64_t within;
    uint32_t kinds;
    int attempt, n_lost; /* of a retry, which has one kind */
    bool is_retry;
} ask_t;

/* Under the lock; the first failure of a run ends it. */
void run_fail_locked(run_t *r, lens_status st);
void run_fail(run_t *r, lens_status st);
bool run_ending(const run_t *r);                   /* nothing more is to be asked; under the lock */
void run_part_with(run_t *r, open_shard_t *shard); /* one of its tasks is no longer under way; under the lock */

/* recaption_ask.c: loads a picture and submits its requests. A damaged picture is a rejected sample; a shard that is
 * damaged or a disk that fails ends the work. */
LENS_CHECKED lens_status run_ask(run_t *r, const ask_t *a);
bool run_take_parked(run_t *r, parked_t **k); /* false: none is there; under the lock */
/* Ends an answer of run_t.parked, which is freed. */
void run_compare(run_t *r, parked_t *k);

#endif
