/* What options.c, options_yaml.c and options_parse.c share. Not for others: include base/options.h. */
#ifndef LENS_BASE_OPTIONS_PRIVATE_H
#define LENS_BASE_OPTIONS_PRIVATE_H

#include "base/options.h"

const option_t *option_find(option_table_t t, const char *name); /* NULL: no such row */

/* Sets the row's field from text. The message says only what was expected: the caller puts where and what before it. */
LENS_CHECKED lens_status option_assign(const option_t *row, void *values, const char *text);

/* Fails with ARGUMENT: `problem`, and where a row's name is near to `name`: (did you mean "PREFIXname"?). */
lens_status option_unknown(option_table_t t, const char *name, const char *prefix, const char *problem);

/* The field as text that option_assign reads back the same; NULL where the field is a NULL string. Uses `scratch`. */
const char *option_text(const option_t *row, const void *values, str_t *scratch);

static inline void *option_field(const option_t *row, void *values) {
    return (char *)values + row->offset;
}
static inline const void *option_field_const(const option_t *row, const void *values) {
    return (const char *)values + row->offset;
}

#endif
