/* Copies samples of datasets into a new one, with all their layers: what merge, split, select and repair share.
 *
 * Pictures, texts and values go over byte for byte, each checked against its hash on the way. One thread. */
#ifndef LENS_DATA_SHARDS_COPY_H
#define LENS_DATA_SHARDS_COPY_H

#include "data/dataset.h"

typedef struct {
    const char *action;        /* of lens shards, for the provenance */
    const char *where;         /* the condition, or NULL; likewise */
    dataset_t *const *sources; /* borrowed */
    int n_sources;
    int64_t shard_max_samples;
    uint64_t shard_max_bytes;
    bool prefix_keys;   /* a key begins with its source's folder name and a slash */
    bool common_layers; /* layers that not all shards of all sources have are left out, else ARGUMENT */
    /* repair: a text that is lost is told, and its sample goes on without; NULL: it is an error. */
    void (*lost)(void *context, int64_t sample, const char *kind, const char *reason);
    void *lost_context;
} copy_options_t;

typedef struct copier copier_t;
/* `out` may be new or hold no dataset: STATE. o is copied, what it points to borrowed. */
LENS_CHECKED lens_status copier_open(copier_t **c, const char *out, const copy_options_t *o);
/* ARGUMENT where the key is there already. */
LENS_CHECKED lens_status copier_add(copier_t *c, int source, int64_t sample);
LENS_CHECKED lens_status copier_end_shard(copier_t *c); /* writes what was added since the last */
int64_t copier_n_samples(const copier_t *c);
/* Writes the last shard and the index; frees c in every case. STATE where nothing was added. */
LENS_CHECKED lens_status copier_close(copier_t *c);
void copier_abort(copier_t *c); /* NULL is allowed */

#endif
