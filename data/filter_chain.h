/* Cleaning: which samples a run keeps. A chain is read from YAML: a list `filters:` of stages, each a bare name or a
 * name with parameters. A sample is dropped by the first stage that refuses it; the stages run in the order of the
 * list.
 *
 *   filters:
 *     - corrupt
 *     - area: {min: 147456}
 *     - aesthetic: {min: 3, column: [aesthetic, AESTHETIC_SCORE], missing: drop}
 *
 * A stage refuses a value below `min` or above `max`; the limits themselves pass. Every stage knows `enabled: false`,
 * which leaves it out, checked all the same. Stages and parameters (default; "-": no limit):
 *
 *   corrupt         none. Files that do not decode are refused in any case; this gives them a line of the table.
 *   area            min (147456: 384 x 384 px), max (-): width x height.
 *   side            min (-), max (-): px of the shorter and of the longer side.
 *   aspect          max (3): longer side / shorter side.
 *   nsfw            max (0.3), column, missing (fail). LAION's words count as numbers: UNLIKELY 0, UNSURE 0.5, NSFW 1.
 *   aesthetic       min (3), column, missing (fail).
 *   watermark       max (0.5), column, missing (fail).
 *   blur            min (50), max (-).    } data/image_stats.h
 *   entropy         min (3), max (-).     }
 *   luminance       min (0.05), max (0.98).
 *   near_duplicate  radius (3): Hamming distance of perceptual hashes (data/near_dup.h).
 *                   embedding: {dir, name ("{source}.npy"), cosine (0.985), max_samples (1000000)}: also compares
 *                   embeddings (data/embedding_dup.h); {source} is the name of the source's file without its extension.
 *   alt_text        min_chars, max_chars, min_words, max_words, min_letters, boilerplate, boilerplate_file:
 *                   data/filter_text.h.
 *
 * min and max may be given to every stage that has one of them. A score is the first of its columns (default: those of
 * that name in data/columns_known.c) that the sample's metadata has; null, "" and NaN count as absent, a number in a
 * string as a number. `missing` says what becomes of a sample without a score: keep, drop, or fail, which ends the run:
 * a stage whose column is misspelt would silently do nothing.
 *
 * Paths (dir, boilerplate_file) begin in the folder of the YAML file, unless with a slash.
 *
 * Errors of the file are ARGUMENT with file and line. A chain does not change once read: any thread. */
#ifndef LENS_DATA_FILTER_CHAIN_H
#define LENS_DATA_FILTER_CHAIN_H

#include "base/str.h"
#include "data/image_stats.h"

#define FILTER_STAGES_MAX 16 /* no stage is given twice, and there are fewer kinds */

typedef struct filter_chain filter_chain_t;

/* NULL: no stage. Keys beside `filters:` that have one value are passed over: they are options of a command. */
LENS_CHECKED lens_status filter_chain_new(filter_chain_t **out, const char *yaml_path);
void filter_chain_free(filter_chain_t *c); /* NULL is allowed */

int filter_chain_n(const filter_chain_t *c);
const char *filter_chain_name(const filter_chain_t *c, int stage); /* "area" */
int filter_chain_find(const filter_chain_t *c, const char *name);  /* the stage, -1: not in this chain */
/* Appends the stage's limits ("min 3, max 8") and all that decides: one line a stage, the same text for the same
 * decisions, texts of files by their hashes. For provenance, and to tell whether a run goes on with the chain it began
 * with. */
void filter_chain_limits(const filter_chain_t *c, int stage, str_t *out);
void filter_chain_describe(const filter_chain_t *c, str_t *out);

typedef struct {
    int stage, radius;
    const char *embedding_dir, *embedding_name; /* borrowed; dir NULL: embeddings are not compared */
    double embedding_cosine;
    int64_t embedding_max_samples;
} filter_near_duplicate_t;
/* False where the chain has no such stage. The caller runs it (data/near_dup.h): it looks at more than one sample. */
bool filter_chain_near_duplicate(const filter_chain_t *c, filter_near_duplicate_t *out);

typedef struct {
    int32_t width, height;      /* px of the original, upright */
    const image_stats_t *stats; /* NULL: not measured yet */
    const char *alt, *meta;     /* UTF-8; meta: a JSON object, NULL or "": empty */
} filter_sample_t;

typedef struct {
    int stage;        /* that refused the sample; -1: none did */
    bool pending;     /* stats was NULL: the stages from the first one on that needs them have not judged */
    double value;     /* that was refused; NaN: the score is missing */
    uint32_t missing; /* bit s: stage s kept the sample although its score is missing */
    str_t reason;     /* "aesthetic 2.41, expected at least 3"; memory reused from call to call */
} filter_verdict_t;

void filter_verdict_free(filter_verdict_t *v);
/* The stages that look at one sample alone, in order; corrupt and near_duplicate are passed over. FORMAT: a score is
 * missing (missing: fail) or no number; the caller says which sample. May be called twice: without stats, before
 * anything is decoded, and with them where the verdict was pending. */
LENS_CHECKED lens_status filter_chain_judge(const filter_chain_t *c, const filter_sample_t *s, filter_verdict_t *out);

#endif
