/* The folder of a run: DIR/base with its shards, DIR/rejects.jsonl, DIR/ingest.json, and DIR/.ingest for what is under
 * way, which is gone when the run is complete.
 *
 *     DIR/.ingest/lock             held by the run that goes on
 *     DIR/.ingest/options.json     what the run was asked for: another run of the same may go on from here
 *     DIR/.ingest/part-000000.h5   data/ingest.h
 *     DIR/.ingest/part-000000.log */
#ifndef LENS_DATA_INGEST_DIR_H
#define LENS_DATA_INGEST_DIR_H

#include "base/comm.h"
#include "base/str.h"

/* All clear *out before; memory shows in str_status. */
void ingest_part_path(str_t *out, const char *dir, int64_t part, const char *extension);
void ingest_shard_path(str_t *out, const char *dir, int64_t shard);
void ingest_work_path(str_t *out, const char *dir, const char *name); /* DIR/.ingest/NAME */

/* Takes the folder for a run of these options (a JSON object), or for going on with an interrupted one: *lock is an
 * open file, to be closed at the end. STATE, with nothing changed, where the folder holds a complete run, shards of
 * another origin, an interrupted run of other options (the first that differs is named), or another process is at work.
 */
LENS_CHECKED lens_status ingest_dir_take(int *lock, const char *dir, const char *options);
/* Called by all ranks after rank 0 took the folder: IO where one of them does not see it. */
LENS_CHECKED lens_status ingest_dir_check_shared(const char *dir, comm_t *comm);
/* Makes the run complete: publishes DIR/.ingest/rejects.jsonl where it is there (has_rejects), and then the summary
 * (JSON), removes DIR/.ingest. */
LENS_CHECKED lens_status ingest_dir_complete(const char *dir, const char *summary, bool has_rejects);

#endif
