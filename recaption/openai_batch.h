/* The captioner `openai` without a server: requests go into batch files, answers come out of result files.
 *
 * Bodies, reading of answers and provenance are those of openai.h, so a run may go on online where a batch ended, and
 * the other way round. A request with a usable result is answered by that; any other is written to the next batch file,
 * where one is asked for, and answered LATER, which leaves its task open. What the gate turns down thus goes out again
 * in the same run with the next attempt's seed, and what failed with the same. Nothing is kept of what was sent: a
 * second run without results writes the same requests again. */
#ifndef LENS_RECAPTION_OPENAI_BATCH_H
#define LENS_RECAPTION_OPENAI_BATCH_H

#include "recaption/batch_in.h"
#include "recaption/openai.h"

typedef struct {
    char *in, *out; /* NULL: none */
    int64_t max_requests, max_bytes;
} openai_batch_values_t;

/* Rows for a command's option table whose struct of values has an openai_batch_values_t at `at` bytes. */
#define OPENAI_BATCH_ROW(at, field_, name_, type_, ...)                                                                \
    { .name = name_, .type = type_, .offset = (at) + offsetof(openai_batch_values_t, field_), __VA_ARGS__ }
#define OPENAI_BATCH_OPTIONS(at)                                                                                       \
    OPENAI_BATCH_ROW(at, out, "batch-out", OPTION_STRING, .choices = "DIR|PREFIX",                                     \
                     .help = "ask no server: write what is to be asked as files for OpenAI's Batch API"),              \
        OPENAI_BATCH_ROW(at, in, "batch-in", OPTION_STRING, .choices = "FILE|DIR,...",                                 \
                         .help = "ask no server: take the answers from a batch's result files"),                       \
        OPENAI_BATCH_ROW(at, max_requests, "batch-requests", OPTION_INT, .initial = "50000", .min = 1, .max = 50000,   \
                         .help = "most requests in one batch file"),                                                   \
        OPENAI_BATCH_ROW(at, max_bytes, "batch-bytes", OPTION_INT, .initial = "200000000", .min = 1, .max = 200000000, \
                         .unit = "bytes", .help = "most bytes of one batch file")

typedef struct {
    batch_in_counts_t in;        /* zero without result files; its text is borrowed from the captioner */
    int64_t n_taken;             /* results that answered a task in this run */
    int64_t n_requests, n_files; /* written */
} openai_batch_counts_t;

/* Reads all result files first: nothing is recorded of a set of files in which one is refused. options->own is an
 * openai_values_t; kinds and dataset are borrowed until close. *out is owned by the caller: close it. */
LENS_CHECKED lens_status openai_batch_open(captioner_t **out, const captioner_options_t *options,
                                           const openai_batch_values_t *v, const dataset_t *d);
/* After wait(). */
openai_batch_counts_t openai_batch_counts(captioner_t *c);

#endif
