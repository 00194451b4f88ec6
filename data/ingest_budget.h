/* The memory that may be held by pictures being decoded and encoded at once, shared by the threads of a process.
 *
 * Whoever asks waits its turn: requests are granted in the order in which they came, so that a large one is not starved
 * by small ones that would always fit. A thread holds at most one grant. */
#ifndef LENS_DATA_INGEST_BUDGET_H
#define LENS_DATA_INGEST_BUDGET_H

#include <pthread.h>

#include "base/error.h"

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t total, used; /* bytes */
    uint64_t next, turn;  /* tickets: the one to be drawn, the one to be served */
} ingest_budget_t;

void ingest_budget_init(ingest_budget_t *b, uint64_t total_bytes);
void ingest_budget_reset(ingest_budget_t *b);
/* bytes: at most the total. Blocks until it is this caller's turn and there is room. */
void ingest_budget_take(ingest_budget_t *b, uint64_t bytes);
void ingest_budget_give(ingest_budget_t *b, uint64_t bytes);

#endif
