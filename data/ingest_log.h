/* The log of a part: one line a sample in the order of the input, and a last one that counts them.
 *
 *     a MISSING PHASH PICTURE_BYTES SOURCE_BYTES FLAGS KEY     accepted; FLAGS: s shrunk, k kept, r repaired, - none
 *     r MISSING CLASS STAGE LINE     rejected: LINE is its line of rejects.jsonl
 *     end N
 *
 * MISSING: bits of the filters whose score the sample lacks.
 *
 * Keys have no control characters and lines of rejects are JSON, so a line feed ends a line and nothing else. */
#ifndef LENS_DATA_INGEST_LOG_H
#define LENS_DATA_INGEST_LOG_H

#include "base/str.h"
#include "data/source.h"

typedef struct {
    bool accepted;
    uint32_t missing; /* as filter_verdict_t's */
    /* accepted: */
    uint64_t phash, picture_bytes, source_bytes;
    bool shrunk, kept, repaired;
    const char *key; /* borrowed, key_bytes of it */
    size_t key_bytes;
    /* rejected: */
    reject_class reject; /* NONE: by the filter `stage` */
    int stage;           /* -1: by no filter */
    const char *line;    /* borrowed, line_bytes of it, without its line feed */
    size_t line_bytes;
} ingest_record_t;

/* Memory that runs out shows in str_status(log). */
void ingest_log_add(str_t *log, const ingest_record_t *r);
void ingest_log_end(str_t *log, int64_t n);

typedef struct {
    const char *text; /* borrowed */
    size_t n, at;
    int64_t n_records;
    const char *name; /* for messages */
} ingest_log_reader_t;

/* END after the last record; FORMAT where the log is not what ingest_log_add and ingest_log_end wrote. */
LENS_CHECKED lens_status ingest_log_next(ingest_log_reader_t *r, ingest_record_t *out);

/* Records of a log that is whole. */
int64_t ingest_log_count(const char *log, size_t n);

/* Appends the line of rejects.jsonl, without its line feed. value: what a filter judged by, NULL where there is none;
 * NaN becomes null. */
void ingest_reject_line(str_t *out, const char *source, const char *key, size_t key_bytes, const char *class_name,
                        const char *reason, const double *value);

#endif
