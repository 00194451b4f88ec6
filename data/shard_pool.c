#include "data/shard_pool.h"

#include <pthread.h>
#include <stdlib.h>

struct shard_pool {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    int64_t n_open, max_open;
    shard_slot_t *newest, *oldest;
    bool salvage;
};

lens_status shard_pool_new(shard_pool_t **out, int64_t max_open) {
    shard_pool_t *p = *out = calloc(1, sizeof *p);
    if (!p) return lens_fail(LENS_MEMORY, "out of memory for a pool of shards");
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->opened, NULL);
    p->max_open = max_open;
    return LENS_OK;
}

void shard_pool_free(shard_pool_t *p) {
    if (!p) return;
    pthread_cond_destroy(&p->opened);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void shard_pool_salvage(shard_pool_t *p) {
    p->salvage = true;
}

/* ---- with the lock held ---- */

static void unlink_slot(shard_pool_t *p, shard_slot_t *s) {
    *(s->newer ? &s->newer->older : &p->newest) = s->older;
    *(s->older ? &s->older->newer : &p->oldest) = s->newer;
    s->newer = s->older = NULL;
    p->n_open--;
}

static void link_newest(shard_pool_t *p, shard_slot_t *s) {
    s->older = p->newest;
    *(p->newest ? &p->newest->newer : &p->oldest) = s;
    p->newest = s;
    p->n_open++;
}

/* Takes one shard that is over the limit and in nobody's use out of the list; NULL: there is none. */
static shard_t *evict(shard_pool_t *p) {
    if (p->n_open <= p->max_open) return NULL;
    shard_slot_t *s = p->oldest;
    while (s && s->n_pins > 0) s = s->newer;
    if (!s) return NULL;
    unlink_slot(p, s);
    shard_t *shard = s->shard;
    s->shard = NULL;
    return shard;
}

/* Unlocks; closing happens without the lock. */
static void trim_and_unlock(shard_pool_t *p) {
    for (shard_t *surplus; (surplus = evict(p)) != NULL; pthread_mutex_lock(&p->lock)) {
        pthread_mutex_unlock(&p->lock);
        shard_close(surplus);
    }
    pthread_mutex_unlock(&p->lock);
}

/* ---- */

void shard_pool_limit(shard_pool_t *p, int64_t max_open) {
    pthread_mutex_lock(&p->lock);
    p->max_open = max_open;
    trim_and_unlock(p);
}

int64_t shard_pool_n_open(shard_pool_t *p) {
    pthread_mutex_lock(&p->lock);
    int64_t n = p->n_open;
    pthread_mutex_unlock(&p->lock);
    return n;
}

lens_status shard_pool_pin(shard_pool_t *p, shard_slot_t *slot, const char *path, shard_check check,
                           const void *context, const shard_t **out) {
    *out = NULL;
    pthread_mutex_lock(&p->lock);
    while (slot->opening) pthread_cond_wait(&p->opened, &p->lock);
    if (slot->shard) {
        unlink_slot(p, slot);
        link_newest(p, slot);
        slot->n_pins++;
        *out = slot->shard;
        pthread_mutex_unlock(&p->lock);
        return LENS_OK;
    }
    slot->opening = true;
    bool checked = slot->checked;
    pthread_mutex_unlock(&p->lock);
    shard_t *shard = NULL;
    lens_status st = p->salvage ? shard_open_damaged(&shard, path)
                     : checked  ? shard_reopen(&shard, path)
                                : shard_open(&shard, path);
    if (st == LENS_OK) st = check(context, shard);
    pthread_mutex_lock(&p->lock);
    slot->opening = false;
    pthread_cond_broadcast(&p->opened);
    if (st == LENS_OK) {
        slot->checked = true;
        slot->shard = shard;
        slot->n_pins = 1;
        link_newest(p, slot);
        *out = shard;
    }
    trim_and_unlock(p);
    if (st != LENS_OK) shard_close(shard);
    return st;
}

void shard_pool_unpin(shard_pool_t *p, shard_slot_t *slot) {
    pthread_mutex_lock(&p->lock);
    slot->n_pins--;
    trim_and_unlock(p);
}

void shard_pool_drop(shard_pool_t *p, shard_slot_t *slot) {
    if (!slot->shard) return;
    pthread_mutex_lock(&p->lock);
    unlink_slot(p, slot);
    pthread_mutex_unlock(&p->lock);
    shard_close(slot->shard);
    slot->shard = NULL;
}
