/* Size and XXH3-128 of a file: what a manifest says of it. The hash finds damage; it proves nothing against malice. */
#ifndef LENS_BASE_FILE_HASH_H
#define LENS_BASE_FILE_HASH_H

#include "base/error.h"

#define FILE_HASH_DIGITS 32

typedef struct {
    uint64_t n_bytes;
    char hex[FILE_HASH_DIGITS + 1]; /* most significant digit first, as xxhsum -H2 prints it */
} file_hash_t;

LENS_CHECKED lens_status file_hash(file_hash_t *out, const char *path);

#endif
