/* Names of requests in batch files (custom_id): which caption is asked for, and a check of what was asked.
 *
 *     SHARD-WITHIN-KIND-ATTEMPT-CHECK      "00012-000345-dense-0-9f86d081884c7d65"
 *
 * CHECK is 16 hexadecimal digits: xxh3 of the base shard's content hash, the place, the kind, the attempt, the
 * picture's content hash, and the captioner's settings (model, prompt, sampling). So an answer to another set, picture,
 * prompt or model is told, whatever its file is called. At most 64 characters of [A-Za-z0-9_-]; of a longer kind the
 * first 20. */
#ifndef LENS_RECAPTION_BATCH_ID_H
#define LENS_RECAPTION_BATCH_ID_H

#include "data/dataset.h"
#include "recaption/captioner.h"

enum { BATCH_ID_MAX = 64 };

/* What ids are made of; all borrowed. */
typedef struct {
    const dataset_t *dataset;
    const caption_kind_t *kinds;
    int n_kinds;
    uint64_t settings[CAPTION_MAX_KINDS]; /* hash of each kind's */
} batch_ids_t;

typedef struct {
    int64_t shard, within;
    char kind[21]; /* its beginning */
    int attempt;
    uint64_t check;
} batch_id_t;

/* Any thread. */
LENS_CHECKED lens_status batch_ids_name(str_t *out, const batch_ids_t *ids, int64_t sample, int kind, int attempt);
/* The sample of the set that an id names; the id's check is not looked at. FORMAT: the set has none. */
LENS_CHECKED lens_status batch_ids_sample(int64_t *sample, const batch_ids_t *ids, const batch_id_t *id);
/* The kind whose check is the id's. FORMAT: it is the answer to another question. */
LENS_CHECKED lens_status batch_ids_kind(int *kind, const batch_ids_t *ids, int64_t sample, const batch_id_t *id);
/* False where the text is no such name, in the one way that it is written. */
bool batch_id_parse(batch_id_t *out, const char *text);
LENS_CHECKED lens_status batch_id_write(str_t *out, const batch_id_t *id);

#endif
