/* One sample on its way through ingest: its file judged, decoded, shrunk and encoded within the memory budget. */
#ifndef LENS_DATA_INGEST_PICTURE_H
#define LENS_DATA_INGEST_PICTURE_H

#include "data/ingest.h"
#include "data/ingest_budget.h"
#include "data/filter_chain.h"

/* What all pictures of a process share. Any thread. */
typedef struct {
    const ingest_options_t *options;
    const filter_chain_t *filters;
    ingest_budget_t *budget;
} ingest_picture_context_t;

typedef struct {
    raw_sample_t raw;    /* filled in by the source; what cannot be taken is marked in raw.reject and raw.reason */
    int stage;           /* of the filter that dropped it, -1: none did */
    uint32_t missing;    /* bits of the filters whose score it lacks */
    double value;        /* what it judged by */
    size_t source_bytes; /* of the picture's file */
    str_t picture;       /* WebP, or the JPEG as it came; nothing in a dry run */
    int32_t width, height, original_width, original_height; /* px */
    uint64_t phash;
    bool shrunk, kept;
} ingest_job_t;

void ingest_job_clear(ingest_job_t *j); /* memory kept */
void ingest_job_free(ingest_job_t *j);

/* Fails (MEMORY, or a broken filter) only where the run cannot go on. */
LENS_CHECKED lens_status ingest_picture(ingest_job_t *j, const ingest_picture_context_t *c);

#endif
