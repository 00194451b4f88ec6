/* Making parts, with all threads of a process: see data/ingest.h.
 *
 * The thread that took a part reads its unit and writes the part. Between the two stands a ring of samples that wait to
 * be encoded; that thread encodes them itself, and threads that have no part of their own (the last units of a run, or
 * a single tar on standard input) help with those of any part of this process. */
#ifndef LENS_DATA_INGEST_PART_H
#define LENS_DATA_INGEST_PART_H

#include "data/ingest_dir.h"
#include "data/ingest_picture.h"
#include "data/source_units.h"

typedef struct ingest_pool ingest_pool_t;

/* Borrows what it is given. */
LENS_CHECKED lens_status ingest_pool_new(ingest_pool_t **out, const ingest_options_t *options,
                                         const source_units_t *units, const filter_chain_t *filters);
void ingest_pool_free(ingest_pool_t *p); /* NULL is allowed */
/* Makes the calls below return early, those under way included. */
void ingest_pool_stop(ingest_pool_t *p);
bool ingest_pool_stopped(ingest_pool_t *p);
int64_t ingest_pool_n_read(ingest_pool_t *p); /* samples that this process has read so far */

/* Makes one part: its file, its log file, and the log itself in *log (of a dry run, that alone). A failure ends the
 * run; STATE with a message of no interest where the pool was stopped. */
LENS_CHECKED lens_status ingest_part_make(ingest_pool_t *p, int64_t part, str_t *log);
/* Encodes samples of other threads' parts for as long as there are some, 50 ms at most; where there are none, waits as
 * long for one. */
void ingest_pool_help(ingest_pool_t *p);

#endif
