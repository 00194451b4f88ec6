/* What has been said in a shard: from a caption to the sample that has it. 64-bit hashes of the normalised text (case
 * and white space ignored), 16 bytes a caption at most two thirds full. A clash of hashes costs one retry, never a
 * duplicate. One thread. */
#ifndef LENS_RECAPTION_CAPTION_SET_H
#define LENS_RECAPTION_CAPTION_SET_H

#include "base/error.h"

typedef struct {
    struct caption_set_slot *slots; /* owned */
    int64_t cap, n;                 /* cap: a power of two, or 0 */
} caption_set_t;

void caption_set_free(caption_set_t *s);
uint64_t caption_hash(const char *text);
/* The sample that has the caption of this hash, -1 where none has. */
int64_t caption_set_find(const caption_set_t *s, uint64_t hash);
/* An equal caption that is there already keeps its sample. */
LENS_CHECKED lens_status caption_set_add(caption_set_t *s, uint64_t hash, int64_t sample);

#endif
