/* DIR/ingest.json, the summary that an ingest leaves beside its shards: what each stage took away, and what was left.
 */
#ifndef LENS_DATA_INGEST_SUMMARY_H
#define LENS_DATA_INGEST_SUMMARY_H

#include "base/error.h"

typedef struct {
    char *stage;           /* name of the filter, or the class of the rejects */
    char *limit;           /* what the filter keeps, as text: "min 0.25"; "" where there is nothing to set */
    int64_t dropped, left; /* samples that this stage dropped, and those after it */
    int64_t missing;       /* samples without the score that the stage looks at, dropped or not */
} ingest_stage_t;

typedef struct {
    ingest_stage_t *stages; /* [n_stages] in the order of the funnel, owned */
    int n_stages;
    int64_t n_read, n_accepted, n_rejected;
} ingest_summary_t;

/* Reads dir/ingest.json. A folder without one has a summary of zeros and no stages. FORMAT: no such object, a count
 * below 0, a text with control characters, or stages whose numbers do not follow from each other. Free with ingest_summary_free, which resets. */
LENS_CHECKED lens_status ingest_summary_read(ingest_summary_t *out, const char *dir);
void ingest_summary_free(ingest_summary_t *s);

#endif
