/* A shard while it is written: a temporary file whose payload the writer streams to disk, and an HDF5 file in memory
 * that becomes all around the payload. One thread. */
#ifndef LENS_DATA_SHARD_FILE_H
#define LENS_DATA_SHARD_FILE_H

#include "base/str.h"
#include "data/hdf.h"
#include "data/seal.h"

typedef struct {
    str_t path, temporary; /* final name and the one being written */
    int fd;                /* of the temporary; -1: none */
} shard_file_t;

/* Creates path.tmp.PID and removes what writers that died left of path. shard_file_abort it in every case. */
LENS_CHECKED lens_status shard_file_open(shard_file_t *f, const char *path);
LENS_CHECKED lens_status shard_file_write(const shard_file_t *f, const void *bytes, size_t n, uint64_t offset);
/* The n bytes at `from` also at `to`; the two may overlap. */
LENS_CHECKED lens_status shard_file_move(const shard_file_t *f, uint64_t from, uint64_t to, uint64_t n);
/* Copies the finished HDF5 file in memory around the payload of s, hashes and seals; fills the rest of s. */
LENS_CHECKED lens_status shard_file_seal(const shard_file_t *f, const hdf_t *h, seal_t *s);
/* Syncs and renames; the temporary is gone then. */
LENS_CHECKED lens_status shard_file_publish(shard_file_t *f);
void shard_file_abort(shard_file_t *f); /* closes; removes what was not published */

#endif
