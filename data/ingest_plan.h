/* Which samples make which shard: a function of the parts' logs, taken in the order of the input. One thread.
 *
 * Drops keys that occurred before and, where the filters say so, pictures near to one that was taken before; writes all
 * rejects, its own and those of the logs, in the order of the input; counts. A shard is full where another sample would
 * be beyond its bounds. */
#ifndef LENS_DATA_INGEST_PLAN_H
#define LENS_DATA_INGEST_PLAN_H

#include <stdio.h>

#include "data/ingest.h"
#include "data/filter_chain.h"
#include "data/ingest_embeddings.h"
#include "data/source_units.h"

typedef struct {
    int64_t part, begin, end; /* samples [begin, end) of the part's file */
} ingest_run_t;

typedef struct {
    ingest_run_t *runs; /* owned */
    int64_t n, cap;
} ingest_runs_t;

typedef struct ingest_plan ingest_plan_t;
/* Borrows all it is given. embeddings: NULL where the filters do not ask for them. rejects: where their lines go; NULL:
 * nowhere. */
LENS_CHECKED lens_status ingest_plan_new(ingest_plan_t **out, const ingest_options_t *options,
                                         const source_units_t *units, const filter_chain_t *filters,
                                         ingest_embeddings_t *embeddings, FILE *rejects);
void ingest_plan_free(ingest_plan_t *p); /* NULL is allowed */

/* The log of the next part. After the last one the last shard is decided. name: for messages. */
LENS_CHECKED lens_status ingest_plan_add(ingest_plan_t *p, const char *log, size_t n, const char *name);
int64_t ingest_plan_n_parts(const ingest_plan_t *p);                           /* added so far */
int64_t ingest_plan_n_shards(const ingest_plan_t *p);                          /* decided so far */
const ingest_runs_t *ingest_plan_shard(const ingest_plan_t *p, int64_t shard); /* of a decided one; borrowed */
const ingest_report_t *ingest_plan_report(const ingest_plan_t *p);             /* counts so far */

/* The shard is written: its runs are freed. */
void ingest_plan_drop_shard(ingest_plan_t *p, int64_t shard);
/* Whether an added part holds nothing that a shard still needs. */
bool ingest_plan_part_is_free(const ingest_plan_t *p, int64_t part);

#endif
