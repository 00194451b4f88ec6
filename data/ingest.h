/* From sources to base shards: read, judge, decode, shrink, encode, drop duplicates, write. In threads, and in ranks.
 *
 *     units      the input, cut into pieces that can be read independently (data/source.h)
 *     parts      what a unit gives: DIR/.ingest/part-NNNNNN.h5, a base shard of its accepted samples, and
 *                part-NNNNNN.log, one line a sample, whose presence makes the part done
 *     plan       rank 0 goes through the parts' logs in the order of the input, drops duplicate keys and near-duplicate
 *                pictures, and so knows which samples make which shard (data/ingest_plan.h)
 *     shards     DIR/base/shard-NNNNN.h5, copied from the parts without another encoding
 *
 * "make part p" and "write shard s" are tasks; any thread of any rank takes the next one (data/ingest_tasks.h). The
 * plan is a function of the logs, so a run that was ended at any moment goes on from the files that are there, and its
 * result does not depend on threads, ranks, or where it was interrupted. */
#ifndef LENS_DATA_INGEST_H
#define LENS_DATA_INGEST_H

#include "base/comm.h"
#include "data/dataset.h"
#include "data/filter_counts.h"
#include "data/source.h"

typedef struct {
    char *const *sources; /* paths, or patterns of them */
    int n_sources;
    const char *out;     /* the dataset's folder, seen by all ranks; NULL: a dry run, nothing is written but rejects */
    const char *rejects; /* file for the rejects' lines; NULL: DIR/rejects.jsonl, in a dry run nowhere */
    const char *config;  /* YAML file with a list `filters:`, or NULL */
    double quality;      /* of WebP, 0..100 */
    bool lossless;       /* quality counts for nothing */
    bool keep_jpeg;      /* plain JPEGs that need no shrinking stay as they are */
    int32_t max_side_px; /* larger pictures are shrunk; 0: none is */
    bool prefix_keys;    /* keys begin with their source's name and a slash */
    int n_threads;       /* of each rank, at least 1 */
    uint64_t memory_bytes; /* a rank's pictures being decoded and encoded take no more */
    int64_t unit_samples;  /* of folders and lists: samples in one part at most */
    int zstd_level;        /* of the texts */
    int64_t shard_max_samples;
    uint64_t shard_max_bytes;
} ingest_options_t;

typedef struct {
    int64_t n_read; /* samples, accepted or not */
    int64_t n_accepted, n_shards;
    int64_t n_rejected[REJECT_N];         /* by class; [REJECT_NONE] is 0 */
    filter_counts_t by_filter;            /* of samples that were judged */
    filter_chain_t *filters;              /* owned */
    int64_t n_shrunk, n_kept, n_repaired; /* of the accepted: made smaller; JPEGs kept; with text not UTF-8 */
    int64_t n_damaged_parts;              /* of the input, that could not be read to their end */
    int64_t n_resumed_parts, n_parts;     /* found done by an earlier run; all */
    uint64_t source_bytes, picture_bytes; /* pictures, of the accepted */
    double duration_s;
} ingest_report_t;

void ingest_report_reset(ingest_report_t *r);
int64_t ingest_n_rejected(const ingest_report_t *r); /* by classes and filters */

/* Called by all ranks. The report is filled in on rank 0 alone, for the caller to reset, and errors are told there:
 * other ranks are OK where rank 0 fails. IO where a source is not there; STATE where the folder holds a whole dataset,
 * or an interrupted run of other options, filters or input: nothing is written then. After an error later on the next
 * call resumes. */
LENS_CHECKED lens_status ingest(ingest_report_t *report, const ingest_options_t *options, comm_t *comm);

#endif
