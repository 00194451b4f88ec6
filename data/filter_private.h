/* What filter_chain.c (judging) and filter_yaml.c (reading) share. Not for others: include data/filter_chain.h. */
#ifndef LENS_DATA_FILTER_PRIVATE_H
#define LENS_DATA_FILTER_PRIVATE_H

#include "data/filter_chain.h"
#include "data/filter_text.h"

typedef enum {
    FILTER_CORRUPT,
    FILTER_AREA,
    FILTER_SIDE,
    FILTER_ASPECT,
    FILTER_NSFW,
    FILTER_AESTHETIC,
    FILTER_WATERMARK,
    FILTER_BLUR,
    FILTER_ENTROPY,
    FILTER_LUMINANCE,
    FILTER_NEAR_DUPLICATE,
    FILTER_ALT_TEXT,
    FILTER_KINDS
} filter_kind;

typedef enum { FILTER_MISSING_FAIL, FILTER_MISSING_KEEP, FILTER_MISSING_DROP } filter_missing;

/* One row a kind: names, defaults, what a value may be. */
typedef struct {
    const char *name;
    bool limits;            /* takes min and max */
    double min, max;        /* defaults; -INFINITY, INFINITY: none */
    double lowest, highest; /* what a limit may be */
    bool pixels;            /* needs image_stats */
    bool score;             /* from the metadata; its default columns: columns_known(name) */
} filter_kind_t;
extern const filter_kind_t filter_kinds[FILTER_KINDS];

#define FILTER_COLUMNS_MAX 16

typedef struct {
    filter_kind kind;
    int line; /* of the file */
    bool enabled;
    double min, max;
    char *column[FILTER_COLUMNS_MAX]; /* owned */
    int n_columns;
    filter_missing missing;
    /* near_duplicate */
    int radius;
    char *embedding_dir, *embedding_name; /* owned; dir NULL: none */
    double embedding_cosine;
    int64_t embedding_max_samples;
    filter_text_t text; /* alt_text */
} filter_stage_t;

struct filter_chain {
    filter_stage_t stage[FILTER_STAGES_MAX];
    int n;
};

void filter_stage_init(filter_stage_t *s, filter_kind kind,
                       int line); /* defaults; columns stay empty: the reader adds them */
void filter_stage_free(filter_stage_t *s);

#endif
