/* The samples of a dataset by bucket: from (bucket, shard, ordinal), as batch_plan.h names them, to the sample's index.
 *
 * A shard is looked through when it is first asked for; what was found is kept, the least recently used dropped beyond
 * BUCKET_MAP_MAX_BYTES. One thread at a time. */
#ifndef LENS_DATA_BUCKET_MAP_H
#define LENS_DATA_BUCKET_MAP_H

#include "data/batch_plan.h"
#include "data/dataset.h"

#define BUCKET_MAP_MAX_BYTES ((size_t)256 << 20) /* 64 million samples */

typedef struct bucket_map bucket_map_t;
/* Borrows all three. */
LENS_CHECKED lens_status bucket_map_new(bucket_map_t **out, const dataset_t *d, const bucket_list_t *l,
                                        const batch_plan_t *p);
void bucket_map_free(bucket_map_t *m); /* NULL is allowed */
/* FORMAT where the shard's samples are not those that the plan was made of. */
LENS_CHECKED lens_status bucket_map_sample(bucket_map_t *m, int bucket, int64_t shard, int64_t ordinal,
                                           int64_t *sample);

#endif
