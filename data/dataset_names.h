/* Names of shards and layers: what is a shard file, what is a caption kind. */
#ifndef LENS_DATA_DATASET_NAMES_H
#define LENS_DATA_DATASET_NAMES_H

#include "base/str.h"

#define SHARD_NAME_FORMAT "shard-%05lld"

/* "shard-" and at least five digits (no more than needed). *number: those digits. */
bool shard_name_parse(const char *name, size_t n, int64_t *number);
void shard_name_format(str_t *out, int64_t number); /* cleared before */
bool kind_name_valid(const char *kind);             /* [a-z0-9-]+, not "base", not "alt" */

/* Numbers of the shard files FOLDER/shard-NNNNN.h5, ascending, owned by the caller; *n 0 where the folder is missing or
 * holds none. Temporary files (NAME.h5.tmp.PID) are passed over; another *.h5 is FORMAT. */
LENS_CHECKED lens_status shard_numbers(int64_t **numbers, int64_t *n, const char *folder);

#endif
