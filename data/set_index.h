/* DIR/index.h5: what the base shards of a set hold, so that opening the set opens none of them. Sealed as a shard is.
 * One thread. Zero-initialise: set_index_t x = {0}. */
#ifndef LENS_DATA_SET_INDEX_H
#define LENS_DATA_SET_INDEX_H

#include "data/shard.h"

#define SET_INDEX_NAME "index.h5"

typedef struct {
    int64_t n_shards;
    uint64_t *n_samples, *file_bytes, *content_hashes; /* [n_shards], owned */
    int64_t n_buckets;                                 /* 0: no counts */
    uint64_t bucket_hash;                              /* of their list */
    uint32_t *counts; /* [n_shards, n_buckets + 1] samples by bucket, the last: in none; owned */
} set_index_t;

/* The next shard. l NULL: without counts; the same for all shards. */
LENS_CHECKED lens_status set_index_add(set_index_t *x, const shard_t *s, const bucket_list_t *l);
LENS_CHECKED lens_status set_index_write(const set_index_t *x, const char *dir); /* durable; replaces an older one */
LENS_CHECKED lens_status set_index_read(set_index_t *out, const char *path);
void set_index_free(set_index_t *x);
uint64_t set_index_hash(const set_index_t *x); /* over the content hashes in order */

/* Samples by bucket, counts [l->n + 1], the last: those in none. */
void shard_count_buckets(const shard_t *base, const bucket_list_t *l, uint32_t *counts);

#endif
