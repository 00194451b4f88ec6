/* The shards of an open dataset, for those who look at files: `lens shards`. */
#ifndef LENS_DATA_DATASET_PRIVATE_H
#define LENS_DATA_DATASET_PRIVATE_H

#include "data/dataset.h"
#include "data/shard.h"

/* Borrowed. kind as for dataset_kind: 0 is the base, which holds "alt". NULL where a layer lacks that shard. */
const shard_t *dataset_base_shard(const dataset_t *d, int64_t shard);
const shard_t *dataset_layer_shard(const dataset_t *d, int kind, int64_t shard);

#endif
