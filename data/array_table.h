/* The arrays of an array shard: one a sample, of one element type, each with its shape and hash.
 *
 * RAW: all values stand one after the other, and an array is read straight into the caller's memory. ZSTD: they are cut
 * into chunks of one size, whole samples where samples have one size; the bytes of a chunk's elements are shuffled (all
 * first bytes, then all second ones, ...) and packed as one zstd frame. Both are read by their address in the file,
 * without HDF5. Thread-safe after array_table_open. */
#ifndef LENS_DATA_ARRAY_TABLE_H
#define LENS_DATA_ARRAY_TABLE_H

#include "data/dataset.h"
#include "data/hdf.h"
#include "data/seal.h"

#define ARRAY_CHUNK_BYTES (256 << 10)    /* aimed at: the largest multiple of a sample's bytes that is not above */
#define ARRAY_CHUNK_MAX_BYTES (16 << 20) /* a chunk of one large sample */

typedef struct {
    const char *path; /* borrowed, for messages */
    int fd;           /* borrowed */
    array_dtype dtype;
    array_codec codec;
    int64_t n;
    uint64_t *offsets; /* [n + 1] bytes, of the raw values; owned, as all below */
    uint64_t *hashes;  /* [n] xxh3_64 of each sample's raw values */
    int64_t *shapes;   /* [n, ARRAY_MAX_DIMS], -1 behind the last dimension */
    uint64_t begin;    /* address of the payload in the file */
    /* ZSTD only: */
    uint64_t chunk_bytes, n_chunks; /* chunk_bytes: of raw values */
    uint64_t *chunk_ends;           /* [n_chunks] where each frame ends, from `begin` */
    uint64_t *chunk_hashes;         /* [n_chunks] xxh3_64 of each frame */
} array_table_t;

LENS_CHECKED lens_status array_table_open(array_table_t *out, hdf_t *h, const seal_t *seal);
void array_table_close(array_table_t *t); /* zeroed is fine */
/* Where HDF5 has the payload, for a file whose seal is damaged: what array_table_open then compares with. */
LENS_CHECKED lens_status array_table_locate(hdf_t *h, uint64_t *payload_begin, uint64_t *payload_end);

void array_table_shape(const array_table_t *t, int64_t i, array_shape_t *out);
size_t array_table_bytes(const array_table_t *t, int64_t i);
/* `into` has array_table_bytes. FORMAT where the values do not fit their hash. */
LENS_CHECKED lens_status array_table_read(const array_table_t *t, int64_t i, void *into);
/* Where in the file the bytes stand that array i is read from. */
void array_table_place(const array_table_t *t, int64_t i, uint64_t *begin, uint64_t *end);
/* Frame c as it stands in the file, against its hash. */
LENS_CHECKED lens_status array_table_check_frame(const array_table_t *t, uint64_t c);

hid_t array_hdf_type(array_dtype t); /* to be closed by the caller; negative on failure */
const char *array_codec_name(array_codec c);

#endif
