/* Recaptioning: runs a captioner over a dataset's shards and writes what passes the gate as a layer.
 *
 * A shard is the unit of work: its samples are asked for in rounds. In the first every sample; in each later one, with
 * the attempt counted up, those whose answer the gate turned down or whose caption another picture has already. Rounds
 * end before captions are compared, in sample order, so the result does not depend on threads. The layer's file is
 * written when the shard is done: a run that is cut short loses the shards in work and nothing else. */
#ifndef LENS_RECAPTION_RECAPTION_H
#define LENS_RECAPTION_RECAPTION_H

#include "data/dataset.h"
#include "recaption/caption_set.h"
#include "recaption/captioner.h"
#include "recaption/quality.h"

typedef struct {
    const char *dir;  /* where the layer goes */
    const char *kind; /* its name */
    int threads;      /* that read and decode pictures and submit them, >= 1 */
    int max_attempts; /* >= 1 */
    quality_options_t quality;
} recaption_options_t;

typedef struct {
    int64_t n_shards_written, n_shards_skipped; /* skipped: the layer had them already */
    int64_t n_samples;                          /* of the shards written */
    int64_t n_by_reason[QUALITY_N];             /* ACCEPTED counts the captions */
    int64_t n_words;                            /* of accepted captions */
    int64_t n_retried;                          /* samples that took more than one attempt */
    double seconds;
} recaption_result_t;

/* `said` gathers the captions of the shard; those of shards that the layer has already come by recaption_recall(). */
LENS_CHECKED lens_status recaption_shard(recaption_result_t *result, const dataset_t *d, int64_t shard, captioner_t *c,
                                         const recaption_options_t *o, caption_set_t *said);
/* Adds the captions of a shard whose layer `d` has open. */
LENS_CHECKED lens_status recaption_recall(caption_set_t *said, const dataset_t *d, int64_t shard, const char *kind);
/* Every shard without the layer, in order. *result is filled as far as the work went. */
LENS_CHECKED lens_status recaption_run(recaption_result_t *result, const dataset_t *d, captioner_t *c,
                                       const recaption_options_t *o);

#endif
