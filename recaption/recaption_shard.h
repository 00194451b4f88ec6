/* One shard of a recaptioning run: what is to be done, its journal, and its layers at the end. */
#ifndef LENS_RECAPTION_RECAPTION_SHARD_H
#define LENS_RECAPTION_RECAPTION_SHARD_H

#include "recaption/recaption.h"
#include "recaption/task.h"

/* Whether a layer's file is missing, or with only_rejected whether there is one. */
bool recaption_shard_wanted(const dataset_t *d, int64_t shard, const recaption_options_t *o);
/* Before anything is begun: removes the journal of a run that has ended in all but that. STATE where the shard is
 * wanted and what is begun in its journal was begun with other settings. */
LENS_CHECKED lens_status recaption_shard_check(const dataset_t *d, int64_t shard, const captioner_t *c,
                                               const recaption_options_t *o);
/* Its tasks, the journal replayed. They may be settled already. *out is freed on failure. */
LENS_CHECKED lens_status recaption_shard_open(tasks_t *out, const dataset_t *d, int64_t shard, const captioner_t *c,
                                              const recaption_options_t *o);
/* Of a shard that is settled: layers, then no journal. Adds to the counts. */
LENS_CHECKED lens_status recaption_shard_write(tasks_t *t, const captioner_t *c, const recaption_options_t *o,
                                               recaption_result_t *result);
/* Of a layer's record: an integer member of its metadata, 0 where there is none. */
int64_t recaption_meta_integer(const char *meta, const char *name);

#endif
