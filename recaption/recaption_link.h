/* Who does which shard: rank 0 gives them out one after the other, the other ranks ask it and tell what came of it. */
#ifndef LENS_RECAPTION_RECAPTION_LINK_H
#define LENS_RECAPTION_RECAPTION_LINK_H

#include <pthread.h>

#include "recaption/recaption.h"

typedef struct {
    comm_t *comm;
    const dataset_t *dataset;
    const recaption_options_t *options;
    pthread_mutex_t lock; /* guards what follows; rank 0 */
    int64_t next;
    recaption_result_t total; /* of all ranks that have left */
    int n_left;
    bool ended; /* nothing more is given out */
    lens_status status;
    str_t failure; /* the first rank's that failed */
} recaption_link_t;

/* Any thread: the next shard to be done, -1 where none is left or the run ends. */
LENS_CHECKED lens_status recaption_link_next(recaption_link_t *l, int64_t *shard);
/* Rank 0: answers what was asked meanwhile. */
LENS_CHECKED lens_status recaption_link_serve(recaption_link_t *l);
/* Each rank, once, when its work is over. Rank 0 returns when all have left, with the sum and the first failure. */
LENS_CHECKED lens_status recaption_link_leave(recaption_link_t *l, lens_status st, recaption_result_t *result);

void recaption_sum(recaption_result_t *to, const recaption_result_t *from);

#endif
