/* Figures of a dataset's captions, kind beside kind: length, variety, what they name, how much they say.
 *
 * All captions are read, shards in parallel; sums are of integers, so the result does not depend on threads. Exact:
 * all but the numbers of different words and word runs (sketch.h, 0.8 %). Memory: 16 bytes a caption for doubles, a
 * MiB a thread and kind.
 *
 * Density is the size of a sample of captions, evenly spread over the set, packed as one by zstd at level 19 with a
 * window that holds all of it: what other captions have said already costs next to nothing, so wording that repeats
 * does not count as content. It is an upper bound of what the captions tell, falls as the sample grows, and is to be
 * compared between kinds of one set alone, which have the same sample. */
#ifndef LENS_RECAPTION_CAPTION_STATS_H
#define LENS_RECAPTION_CAPTION_STATS_H

#include "data/dataset.h"
#include "recaption/captioner.h"
#include "recaption/quality.h"
#include "recaption/sketch.h"
#include "recaption/traits.h"

enum { STATS_MAX_WORDS = 4096, STATS_SAMPLE = 2000, STATS_RUNS = 3, STATS_DOUBLES = 5 };
extern const int stats_runs[STATS_RUNS]; /* 1, 2, 4 words */

typedef struct {
    const char *kind;                       /* borrowed from the dataset */
    int64_t n_captions, n_empty, n_missing; /* missing: no layer for their shard */
    int64_t n_by_reason[QUALITY_N];         /* of those that are empty, as the layer's metadata says */
    traits_t sum;
    int64_t n_of_words[STATS_MAX_WORDS + 1]; /* captions of so many words; the last: of more too */
    int64_t n_runs[STATS_RUNS];
    sketch_t runs[STATS_RUNS];
    int64_t n_sampled, sampled_words, packed_bytes;
    int64_t n_doubled; /* captions that another has too, the first of each left out */
    struct {
        int64_t n, sample;
    } doubles[STATS_DOUBLES]; /* the most frequent ones, and a sample that has it; n = 0 ends them */
} caption_stats_t;

/* kinds [n_kinds] of the dataset, stats [n_kinds]. layers: a folder that layers stand in besides the dataset's own, or
 * that one; threads >= 1. */
LENS_CHECKED lens_status caption_stats_take(caption_stats_t *stats, const dataset_t *d, const char *layers,
                                            const char *const *kinds, int n_kinds, int threads);
int64_t caption_stats_words(const caption_stats_t *s, double quantile); /* 0 where there are none */

#endif
