/* A column of texts: all of them in one packed blob, and the packed length of each.
 *
 * Reading is by the column's own table of chunks: pread and zstd in the calling thread, and a small cache of decoded
 * chunks that the columns of a dataset share. Thread-safe after column_open. */
#ifndef LENS_DATA_COLUMN_H
#define LENS_DATA_COLUMN_H

#include "base/str.h"
#include "data/hdf.h"

/* ---- writing: in memory until the shard closes ---- */
typedef struct {
    str_t blob;
    str_t lengths; /* u32 each: bytes */
} column_writer_t;

/* n: at most TEXT_MAX_BYTES. Running out of memory shows in column_put. */
void column_add(column_writer_t *c, const char *text, size_t n);
LENS_CHECKED lens_status column_put(hdf_t *h, const char *name, const char *lengths_name, const column_writer_t *c,
                                    int level); /* of zstd */
void column_writer_free(column_writer_t *c);

/* ---- reading ---- */
typedef struct chunk_cache chunk_cache_t;
LENS_CHECKED lens_status chunk_cache_new(chunk_cache_t **out, int n_chunks);
void chunk_cache_free(chunk_cache_t *c); /* NULL is allowed */

typedef struct {
    const char *name, *path; /* borrowed, for messages */
    int fd;                  /* borrowed */
    uint64_t id;             /* no other column of this process has it: the cache's key */
    int64_t n;
    uint64_t *offsets; /* [n + 1] into the blob, summed from the lengths; owned */
    hdf_chunk_t *chunks;
    uint64_t blob_bytes;
} column_t;

LENS_CHECKED lens_status column_open(column_t *out, hdf_t *h, const char *name, const char *lengths_name, int64_t n);
/* Text i into *out, cleared before. cache NULL: none. FORMAT where its chunks are damaged or it is no UTF-8. */
LENS_CHECKED lens_status column_get(const column_t *c, int64_t i, chunk_cache_t *cache, str_t *out);
void column_close(column_t *c); /* zeroed is fine */

#endif
