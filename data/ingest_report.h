/* What a run says of itself: the options it is recognised by, the provenance of its shards, its summary. */
#ifndef LENS_DATA_INGEST_REPORT_H
#define LENS_DATA_INGEST_REPORT_H

#include "data/ingest.h"

/* JSON object of all that the result depends on: an interrupted run goes on only where it is the same. */
LENS_CHECKED lens_status ingest_identity(str_t *out, const ingest_options_t *o, const filter_chain_t *filters,
                                         uint64_t input_hash);
/* JSON object kept in each shard: no times, hosts or numbers of threads, nor how the input was cut. */
LENS_CHECKED lens_status ingest_provenance(str_t *out, const ingest_options_t *o, const filter_chain_t *filters);

/* One stage of the funnel: what it dropped of what the stages before it had left. */
typedef struct {
    const char *name, *limits; /* borrowed; limits: "" where there are none */
    bool is_filter;
    int64_t dropped, left;
} ingest_funnel_row_t;
#define INGEST_FUNNEL_MAX (REJECT_N + FILTER_STAGES_MAX)
/* Classes of rejects that occurred, then the filters, each in their order; returns how many. near_duplicate looks at
 * what all others left, wherever it stands. */
int ingest_funnel(ingest_funnel_row_t rows[INGEST_FUNNEL_MAX], const ingest_report_t *r);

/* {"accepted": ..., "rejected_by_class": {...}, "funnel": [...]} as one line. */
void ingest_report_json(str_t *out, const ingest_report_t *r);

#endif
