/* How a thread of any rank gets at rank 0's book of tasks: by a call on rank 0, by a message elsewhere. */
#ifndef LENS_DATA_INGEST_LINK_H
#define LENS_DATA_INGEST_LINK_H

#include "base/comm.h"
#include "data/ingest_tasks.h"

typedef struct {
    comm_t *comm;
    ingest_tasks_t *tasks;    /* rank 0; NULL elsewhere */
    int64_t n_read_elsewhere; /* rank 0: samples of the parts that others have made */
    int n_left;               /* rank 0: others that have said goodbye and wait to be let go */
} ingest_link_t;

/* Any thread of any rank. As the functions of data/ingest_tasks.h; besides these COMM. */
LENS_CHECKED lens_status ingest_link_next(ingest_link_t *l, ingest_task_t *out);
LENS_CHECKED lens_status ingest_link_part_done(ingest_link_t *l, int64_t part, str_t *log); /* moves the log */
LENS_CHECKED lens_status ingest_link_shard_done(ingest_link_t *l, int64_t shard);
/* Reports this thread's failure. */
void ingest_link_fail(ingest_link_t *l, lens_status st);
/* Whether the run has failed somewhere. */
LENS_CHECKED lens_status ingest_link_has_failed(ingest_link_t *l, bool *failed);
/* Ranks other than 0, when their threads are done: returns when rank 0 has finished the run. */
LENS_CHECKED lens_status ingest_link_goodbye(ingest_link_t *l);

/* Rank 0's main thread. Answers the requests that are waiting. */
LENS_CHECKED lens_status ingest_link_serve(ingest_link_t *l);
LENS_CHECKED lens_status ingest_link_let_go(ingest_link_t *l); /* all others, each of which has said goodbye */

#endif
