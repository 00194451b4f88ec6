/* The quality gate: what every caption passes before it is kept as one, whoever wrote it. Reentrant.
 *
 * A caption that fails keeps its text and its reason in the layer's metadata; the layer's text is then "". */
#ifndef LENS_RECAPTION_QUALITY_H
#define LENS_RECAPTION_QUALITY_H

#include "base/error.h"

/* X(identifier, name, meaning). The name is what layers and summaries hold; the order is that of the checks. */
#define QUALITY_LIST(X)                                                                                                \
    X(ACCEPTED, "accepted", "passed every check")                                                                      \
    X(PICTURE, "picture", "the picture cannot be read")                                                                \
    X(FAILED, "failed", "the captioner gave no answer")                                                                \
    X(REFUSED, "refused", "the captioner would not answer")                                                            \
    X(TRUNCATED, "truncated", "the captioner stopped at a length limit")                                               \
    X(EMPTY, "empty", "no words")                                                                                      \
    X(ENCODING, "encoding", "not UTF-8, or with control characters; the value is the byte's position")                 \
    X(BOILERPLATE, "boilerplate", "talks about the picture as a picture: \"the image shows\"")                         \
    X(LOOP, "loop", "repeats itself; the value is the share of repeated 4-word runs")                                  \
    X(SHORT, "short", "fewer words than the least; the value is their number")                                         \
    X(LONG, "long", "more words than the most; the value is their number")                                             \
    X(UNFINISHED, "unfinished", "does not end as a sentence does")                                                     \
    X(DUPLICATE, "duplicate", "another picture of the set has the same caption; the value is that sample's number")

typedef enum {
#define QUALITY_ENUM(id, name, meaning) QUALITY_##id,
    QUALITY_LIST(QUALITY_ENUM)
#undef QUALITY_ENUM
        QUALITY_N
} quality_reason;

typedef struct {
    int64_t min_words, max_words;
    double max_repeated_frac; /* of 4-word runs */
} quality_options_t;
#define QUALITY_DEFAULTS ((quality_options_t){.min_words = 40, .max_words = 120, .max_repeated_frac = 0.2})

typedef struct {
    quality_reason reason;
    double value; /* what the meaning of the reason says, else 0 */
    int64_t n_words;
} quality_t;

/* Checks of the text alone: EMPTY to UNFINISHED. MEMORY is the only failure. */
LENS_CHECKED lens_status quality_check(quality_t *out, const quality_options_t *o, const char *text);
const char *quality_name(quality_reason r);
const char *quality_meaning(quality_reason r);

#endif
