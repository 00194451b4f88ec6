/* Patterns of paths, as a command line that no shell has expanded gives them. */
#ifndef LENS_DATA_SOURCE_EXPAND_H
#define LENS_DATA_SOURCE_EXPAND_H

#include "base/error.h"

#define SOURCE_EXPAND_MAX 1000000 /* paths; more are ARGUMENT */

/* {00000..00099} counts with as many digits as its ends have, {a,b} takes each, and then * ? [] are matched against the
 * files that are there, bytewise sorted. Patterns keep their order. A path that exists is taken as it stands, whatever
 * characters it has, and so is "-".
 *
 * IO where a pattern matches nothing, and where a path that braces name is not there: a hole in a range of shards is a
 * hole in the data. n_missing: NULL, or the caller's: then such a path is warned of, counted and left out instead.
 * ARGUMENT: malformed braces. *paths is owned by the caller: dir_list_free (base/file.h). */
LENS_CHECKED lens_status source_expand(char ***paths, int64_t *n, char *const *patterns, int n_patterns,
                                       int64_t *n_missing);

#endif
