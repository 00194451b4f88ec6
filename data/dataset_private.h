/* The shards of an open dataset, for those who look at files: `lens shards`. */
#ifndef LENS_DATA_DATASET_PRIVATE_H
#define LENS_DATA_DATASET_PRIVATE_H

#include "data/dataset.h"
#include "data/shard.h"

/* Borrowed. kind as for dataset_kind: 0 is the base, which holds "alt". NULL where a layer lacks that shard. */
const shard_t *dataset_base_shard(const dataset_t *d, int64_t shard);
const shard_t *dataset_layer_shard(const dataset_t *d, int kind, int64_t shard);

lens_status dataset_fail_kind(const dataset_t *d, const char *kind); /* ARGUMENT, with the kinds that there are */

#endif
