/* The seal: 72 bytes after the HDF5 part of a shard, so that a reader knows the file is whole before HDF5 parses it.
 *
 * It holds a hash of everything but the payload (pictures or arrays, each of which has its own hash in a table that the
 * seal covers) and a hash of itself: no byte of a shard can change unnoticed. docs/shard-format.md has the layout.
 * Reentrant. */
#ifndef LENS_DATA_SEAL_H
#define LENS_DATA_SEAL_H

#include "base/error.h"

#define SEAL_BYTES 72

typedef enum { SEAL_BASE, SEAL_CAPTIONS, SEAL_ARRAYS, SEAL_INDEX, SEAL_KINDS } seal_kind; /* numbers as in the file */

typedef struct {
    seal_kind kind;
    uint64_t hdf5_bytes; /* the seal begins there */
    uint64_t n_samples;
    uint64_t content_hash;               /* of a base shard its own, of a layer its base's, of an index that of all */
    uint64_t payload_begin, payload_end; /* what structure_hash leaves out; 0, 0 where there is none */
    uint64_t structure_hash;             /* xxh3_64 over [0, payload_begin) and [payload_end, hdf5_bytes) */
} seal_t;

/* structure_hash of the file's bytes, by the other fields of s. */
LENS_CHECKED lens_status seal_hash_file(uint64_t *out, const seal_t *s, int fd, const char *path);
LENS_CHECKED lens_status seal_write(const seal_t *s, int fd, const char *path); /* at hdf5_bytes */
/* The seal alone, checked against its own hash and the file's size. FORMAT where it is damaged. */
LENS_CHECKED lens_status seal_read(seal_t *out, int fd, const char *path);
LENS_CHECKED lens_status seal_kind_of(seal_kind *out, const char *path); /* by seal_read */
/* The same, and the structure hash of the file. FORMAT where anything differs. */
LENS_CHECKED lens_status seal_check(seal_t *out, int fd, const char *path);

#endif
