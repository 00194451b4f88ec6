#include "data/ingest_budget.h"

void ingest_budget_init(ingest_budget_t *b, uint64_t total_bytes) {
    *b = (ingest_budget_t){.total = total_bytes};
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
}

void ingest_budget_reset(ingest_budget_t *b) {
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->changed);
}

void ingest_budget_take(ingest_budget_t *b, uint64_t bytes) {
    LENS_ASSERT(bytes <= b->total, "%llu bytes of %llu", (unsigned long long)bytes, (unsigned long long)b->total);
    pthread_mutex_lock(&b->lock);
    uint64_t ticket = b->next++;
    while (b->turn != ticket || bytes > b->total - b->used) pthread_cond_wait(&b->changed, &b->lock);
    b->turn++;
    b->used += bytes;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

void ingest_budget_give(ingest_budget_t *b, uint64_t bytes) {
    pthread_mutex_lock(&b->lock);
    b->used -= bytes;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}
