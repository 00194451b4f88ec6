/* Near-duplicates by embeddings over a run: the rows of the sources' files (data/embedding_file.h), read in the order
 * of the input, and the vectors that were kept (data/embedding_dup.h). One thread.
 *
 * Row k belongs to the k-th record of its source's logs, rejects included, so a run that goes on finds the same rows by
 * itself. Only the note that a source ends early is no sample. */
#ifndef LENS_DATA_INGEST_EMBEDDINGS_H
#define LENS_DATA_INGEST_EMBEDDINGS_H

#include "data/filter_chain.h"
#include "data/source_units.h"

typedef struct ingest_embeddings ingest_embeddings_t;

/* NULL in *out where the filters do not ask for it. Looks at the file of each source: IO where one is missing, FORMAT
 * where it is none or has another number of components than the first. Borrows units and filters. */
LENS_CHECKED lens_status ingest_embeddings_new(ingest_embeddings_t **out, const source_units_t *units,
                                               const filter_chain_t *filters);
void ingest_embeddings_free(ingest_embeddings_t *e); /* NULL is allowed */
/* Of the files' sizes and times: a run goes on only with the same. */
uint64_t ingest_embeddings_hash(const ingest_embeddings_t *e);

/* The records that follow are those of this part; the parts of a source follow each other. FORMAT where the source
 * before it had not as many samples as its file has rows. */
LENS_CHECKED lens_status ingest_embeddings_part(ingest_embeddings_t *e, int64_t part);
/* After the last part. */
LENS_CHECKED lens_status ingest_embeddings_end(ingest_embeddings_t *e);
void ingest_embeddings_next(ingest_embeddings_t *e); /* to the next record, which is a sample */
void ingest_embeddings_cut_short(
    ingest_embeddings_t *e); /* the next record is none: here an unknown number is missing */
/* As embedding_dup_check, for the sample that ingest_embeddings_next went to. */
LENS_CHECKED lens_status ingest_embeddings_check(ingest_embeddings_t *e, bool *is_dup, double *cosine);

#endif
