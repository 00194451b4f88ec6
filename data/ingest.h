/* From sources to base shards: read, decode, shrink, encode to WebP, write.
 *
 * One thread reads, n_threads decode and encode, the caller's thread writes, in the order of the sources: the shards do
 * not depend on the number of threads. What cannot be taken is named in DIR/rejects.jsonl and stops nothing. */
#ifndef LENS_DATA_INGEST_H
#define LENS_DATA_INGEST_H

#include "data/dataset.h"
#include "data/source.h"

typedef struct {
    char *const *sources; /* paths */
    int n_sources;
    const char *out;     /* the dataset's folder */
    double quality;      /* of WebP, 0..100 */
    bool lossless;       /* quality counts for nothing */
    int32_t max_side_px; /* larger pictures are shrunk; 0: none is */
    bool prefix_keys;    /* keys begin with their source's name and a slash */
    int n_threads;       /* at least 1 */
    int64_t shard_max_samples;
    uint64_t shard_max_bytes;
} ingest_options_t;

typedef struct {
    int64_t n_accepted, n_shards;
    int64_t n_rejected[REJECT_N];      /* by class; [REJECT_NONE] is 0 */
    int64_t n_shrunk, n_repaired;      /* of the accepted: those made smaller; those with text that was not UTF-8 */
    uint64_t source_bytes, webp_bytes; /* pictures, of the accepted */
    double duration_s;
} ingest_report_t;

int64_t ingest_n_rejected(const ingest_report_t *r);

/* IO where a source is not there and STATE where the folder holds shards already: nothing is written then. After an
 * error later on, the shards under their final names are whole, and there is no rejects.jsonl of this run. */
LENS_CHECKED lens_status ingest(ingest_report_t *report, const ingest_options_t *options);

#endif
