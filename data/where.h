/* Conditions on samples: `lens shards select --where 'width >= 512 and alt contains "cat"'`. docs/where.md has the
 * language.
 *
 * Values are null, numbers (double), texts and true or false. A comparison with null is false, also with !=; arithmetic
 * with null is null. What compares a number with a text is an error of the expression, told with its column. Any
 * thread; one evaluation reads the expression alone. */
#ifndef LENS_DATA_WHERE_H
#define LENS_DATA_WHERE_H

#include "data/dataset.h"

#define WHERE_MAX_BYTES 65536
#define WHERE_MAX_DEPTH 128   /* of not, signs and, twice, parentheses */
#define WHERE_MAX_HEIGHT 2000 /* of operators one after the other */
#define WHERE_MAX_NAMES 64

typedef enum { WHERE_NULL, WHERE_NUMBER, WHERE_TEXT, WHERE_BOOL } where_type;
typedef struct {
    where_type type;
    double number;
    bool truth;
    const char *text; /* borrowed, NUL-terminated */
} where_value_t;

typedef struct where where_t;
/* ARGUMENT: "column 12: expected a number". *out is owned by the caller. */
LENS_CHECKED lens_status where_parse(where_t **out, const char *text);
void where_free(where_t *w); /* NULL is allowed */
int where_n_names(const where_t *w);
const char *where_name(const where_t *w, int name);

/* The value of a name for the sample at hand; texts stay valid until the evaluation ends. Asked at most once a use, and
 * only where the value matters: `a and b` does not look at b where a is false. */
typedef lens_status (*where_lookup)(void *context, int name, where_value_t *out);
LENS_CHECKED lens_status where_eval(const where_t *w, where_lookup lookup, void *context, bool *out);

/* The same for samples of a dataset. One thread. */
typedef struct where_sample where_sample_t;
/* ARGUMENT where the dataset lacks a caption kind that is named. Both are borrowed. */
LENS_CHECKED lens_status where_sample_new(where_sample_t **out, const where_t *w, const dataset_t *d);
LENS_CHECKED lens_status where_sample_eval(where_sample_t *s, int64_t i, bool *out);
void where_sample_free(where_sample_t *s); /* NULL is allowed */

#endif
