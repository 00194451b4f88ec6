/* The inside of an open dataset: for dataset*.c, and for those who look at files (`lens shards`). */
#ifndef LENS_DATA_DATASET_PRIVATE_H
#define LENS_DATA_DATASET_PRIVATE_H

#include "data/dataset.h"
#include "data/set_index.h"
#include "data/shard_pool.h"

#define DATASET_NAME_BYTES 24

/* The shards of one folder: base, or a layer. */
typedef struct {
    char *kind, *dir;    /* files DIR/KIND/NAME.h5; dir may be another than the dataset's */
    seal_kind role;      /* of its shards */
    bool *present;       /* [n_shards] */
    shard_slot_t *slots; /* [n_shards] */
} layer_t;

struct dataset {
    char *dir;
    bool partial;      /* layers may lack shards */
    bool indexed;      /* DIR/index.h5 is there */
    set_index_t index; /* where it is not: filled from the shards, without counts */
    int64_t n_shards;
    char (*names)[DATASET_NAME_BYTES]; /* [n_shards] */
    int64_t *begins;                   /* [n_shards + 1] */
    layer_t base;
    layer_t *captions, *arrays; /* sorted by kind */
    int n_captions, n_arrays;
    chunk_cache_t *cache;
    shard_pool_t *pool;
};

/* kind as for dataset_kind: 0 is the base, which holds "alt". *out stays open until dataset_unpin; it is NULL where the
 * layer lacks that shard (nothing to unpin then). */
LENS_CHECKED lens_status dataset_pin(const dataset_t *d, int kind, int64_t shard, const shard_t **out);
void dataset_unpin(const dataset_t *d, int kind, int64_t shard);

const layer_t *dataset_layer(const dataset_t *d, int kind); /* kind 0: the base */
LENS_CHECKED lens_status layer_pin(const dataset_t *d, const layer_t *l, int64_t shard, const shard_t **out);
void layer_unpin(const dataset_t *d, const layer_t *l, int64_t shard);

/* Shard that holds sample i, and i within it. ARGUMENT where there is no such sample. */
LENS_CHECKED lens_status dataset_locate(const dataset_t *d, int64_t i, int64_t *shard, int64_t *within);
lens_status dataset_fail_kind(const dataset_t *d, const char *kind); /* ARGUMENT, with the kinds that there are */

/* dataset_open.c: opens base and layers; dataset.c frees in every case. */
LENS_CHECKED lens_status dataset_open_base(dataset_t *d);
LENS_CHECKED lens_status dataset_open_layers(dataset_t *d, const char *dir);
LENS_CHECKED lens_status layer_new(const dataset_t *d, layer_t *l, const char *dir, const char *kind, seal_kind role);
LENS_CHECKED lens_status dataset_insert_layer(dataset_t *d, layer_t l); /* moves */
void layer_free(const dataset_t *d, layer_t *l);

/* For `lens shards repair`: what can be opened of a damaged set, which has no index then. A base shard that cannot has
 * no samples, a layer lacks the shards that cannot; each is told to lost with the reason. What is read must be checked
 * by its own hashes. */
typedef void (*dataset_lost)(void *context, const char *path, const char *reason);
LENS_CHECKED lens_status dataset_open_damaged(dataset_t **out, const char *dir, dataset_lost lost, void *context);
/* dataset.c: an empty one, to be filled. */
LENS_CHECKED lens_status dataset_new(dataset_t **out, const char *dir);

#endif
