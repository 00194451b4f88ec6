/* The shards that are open: opened on first use, kept while others are not needed more, closed for the one used least
 * lately. A shard in use is pinned and never closed. Any thread; none waits for another but for the one that opens the
 * very shard it needs. */
#ifndef LENS_DATA_SHARD_POOL_H
#define LENS_DATA_SHARD_POOL_H

#include "data/shard.h"

typedef struct shard_slot shard_slot_t;
struct shard_slot {
    shard_t *shard; /* NULL: not open */
    int64_t n_pins;
    bool opening, checked;       /* checked: opened before, its structure need not be hashed again */
    shard_slot_t *newer, *older; /* of those that are open */
};

typedef struct shard_pool shard_pool_t;
LENS_CHECKED lens_status shard_pool_new(shard_pool_t **out, int64_t max_open);
void shard_pool_salvage(shard_pool_t *p); /* from now on shards open by shard_open_damaged */
void shard_pool_free(shard_pool_t *p);    /* closes nothing; NULL is allowed */
void shard_pool_limit(shard_pool_t *p, int64_t max_open);
int64_t shard_pool_n_open(shard_pool_t *p);

/* What must hold of a shard that was just opened. */
typedef lens_status (*shard_check)(const void *context, const shard_t *s);
/* *out stays open until shard_pool_unpin. */
LENS_CHECKED lens_status shard_pool_pin(shard_pool_t *p, shard_slot_t *slot, const char *path, shard_check check,
                                        const void *context, const shard_t **out);
void shard_pool_unpin(shard_pool_t *p, shard_slot_t *slot);
/* Nobody uses the slot any more. */
void shard_pool_drop(shard_pool_t *p, shard_slot_t *slot);

#endif
