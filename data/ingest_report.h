/* What a run says of itself: the options it is recognised by, the provenance of its shards, its summary. */
#ifndef LENS_DATA_INGEST_REPORT_H
#define LENS_DATA_INGEST_REPORT_H

#include "data/ingest.h"

/* JSON object of all that the result depends on: an interrupted run goes on only where it is the same. */
LENS_CHECKED lens_status ingest_identity(str_t *out, const ingest_options_t *o, const filter_chain_t *filters,
                                         uint64_t input_hash);
/* JSON object kept in each shard: no times, hosts or numbers of threads, nor how the input was cut. */
LENS_CHECKED lens_status ingest_provenance(str_t *out, const ingest_options_t *o, const filter_chain_t *filters);

/* What the filters dropped, with the files that did not decode as those of the filter `corrupt`, where there is one.
 * near_duplicate looks at what all others left, wherever it stands. */
filter_counts_t ingest_funnel(const ingest_report_t *r);

/* {"accepted": ..., "rejected_by_class": {...}, "funnel": [...]} as one line. */
void ingest_report_json(str_t *out, const ingest_report_t *r);

#endif
