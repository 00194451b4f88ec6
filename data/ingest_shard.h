/* Writing one shard out of parts: pictures are copied, checked by their hashes, never encoded again. */
#ifndef LENS_DATA_INGEST_SHARD_H
#define LENS_DATA_INGEST_SHARD_H

#include "data/ingest_plan.h"

/* Publishes DIR/base/shard-NNNNN.h5. Any thread. */
LENS_CHECKED lens_status ingest_shard_write(const ingest_options_t *options, int64_t shard, const ingest_runs_t *runs,
                                            const char *provenance);

#endif
