/* Rank 0's book of a run: which parts and shards are done, under way, or to be taken next. Any thread of rank 0.
 *
 * Shards come before parts: a shard that is written lets parts be removed. A part's log goes to the plan when those of
 * all parts before it have. */
#ifndef LENS_DATA_INGEST_TASKS_H
#define LENS_DATA_INGEST_TASKS_H

#include "data/ingest_plan.h"

typedef enum { INGEST_WAIT, INGEST_PART, INGEST_SHARD, INGEST_END } ingest_task_kind; /* WAIT: nothing just now */
typedef struct {
    ingest_task_kind kind;
    int64_t number;
    ingest_runs_t runs; /* of a shard; owned by the caller */
} ingest_task_t;

typedef struct ingest_tasks ingest_tasks_t;
/* Borrows options, plan and units. Finds what an earlier run left in the folder. */
LENS_CHECKED lens_status ingest_tasks_new(ingest_tasks_t **out, const ingest_options_t *options,
                                          const source_units_t *units, ingest_plan_t *plan);
void ingest_tasks_free(ingest_tasks_t *t); /* NULL is allowed */

/* END where all is done or the run has failed. */
LENS_CHECKED lens_status ingest_tasks_next(ingest_tasks_t *t, ingest_task_t *out);
LENS_CHECKED lens_status ingest_tasks_part_done(ingest_tasks_t *t, int64_t part, str_t *log); /* moves the log */
LENS_CHECKED lens_status ingest_tasks_shard_done(ingest_tasks_t *t, int64_t shard);
/* The run has failed; the first message is kept. */
void ingest_tasks_fail(ingest_tasks_t *t, lens_status st, const char *message);
/* What ended the run, as this thread's message. */
LENS_CHECKED lens_status ingest_tasks_status(ingest_tasks_t *t);

typedef struct {
    int64_t n_parts, n_parts_done, n_parts_found; /* found: done by an earlier run */
    int64_t n_shards_done;
    bool failed;
} ingest_progress_t;
ingest_progress_t ingest_tasks_progress(ingest_tasks_t *t);

#endif
