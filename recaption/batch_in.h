/* The result files of batches, as an index: which answers there are, and where.
 *
 * Results may come in any order and any number of files, those that failed in files of their own; the same request may
 * be answered more than once: the first usable answer counts, in the order of files and lines. A line that is none
 * refuses its file, but for a last one without its line feed, which a broken download leaves: that one is left out with
 * a warning. An answer to another question (batch_id.h) refuses its file. 48 bytes of memory a line. */
#ifndef LENS_RECAPTION_BATCH_IN_H
#define LENS_RECAPTION_BATCH_IN_H

#include "recaption/batch_id.h"
#include "recaption/batch_result.h"

enum { BATCH_LINE_MAX = 32 << 20 };

typedef struct {
    int64_t n_files, n_lines;
    int64_t n_usable;  /* requests that have an answer, good or not */
    int64_t n_failed;  /* requests that have none: to be asked again */
    int64_t n_doubled; /* lines beyond the first usable one of a request, or the first of one that failed */
    int64_t n_torn;
    str_t failure; /* what the first failed one says; "" */
} batch_in_counts_t;

typedef struct batch_in batch_in_t;
/* list: FILE or DIR (its *.jsonl, sorted), separated by commas. *out is owned by the caller; ids are borrowed. */
LENS_CHECKED lens_status batch_in_open(batch_in_t **out, const char *list, const batch_ids_t *ids);
void batch_in_close(batch_in_t *in); /* NULL is allowed */
const batch_in_counts_t *batch_in_counts(const batch_in_t *in);
/* Any thread, each with a reply of its own. *found: there is a usable result, and *outcome and the reply are its. */
LENS_CHECKED lens_status batch_in_find(const batch_in_t *in, int64_t sample, int kind, int attempt, bool *found,
                                       batch_outcome *outcome, openai_reply_t *reply);

#endif
