/* HDF5 as shards use it: few calls, each with our errors; HDF5's own printing is silenced.
 *
 * Writing goes to memory (hdf_create): HDF5 1.10 crashes when a write fails under it, on a full disk for one. The
 * caller copies the finished file to disk. Reading only finds where things stand: the bytes are read by the caller,
 * without HDF5 and its global lock. Any thread where HDF5 is built thread-safe, as Debian's is; one file object in one
 * thread at a time. */
#ifndef LENS_DATA_HDF_H
#define LENS_DATA_HDF_H

#include <hdf5.h>

#include "base/error.h"

#define HDF_CHUNK_BYTES 65536 /* of packed texts: 256 KiB packs 5 % better, 16 KiB 9 % worse */

typedef struct {
    hid_t id;
    const char *path; /* borrowed, for messages */
    int fd;           /* of the file's bytes: in memory and owned after hdf_create, borrowed after hdf_open */
    bool owns_fd;
    uint64_t end; /* reading: bytes of the HDF5 part; what HDF5 says lies beyond is refused */
} hdf_t;

/* ---- writing ---- */
/* align_bytes: objects of that size or more begin at multiples of 4096. */
LENS_CHECKED lens_status hdf_create(hdf_t *out, const char *path, uint64_t align_bytes);
/* Ends HDF5's work; h->fd then holds the whole file. Close it with hdf_close in every case. */
LENS_CHECKED lens_status hdf_finish(hdf_t *h);
/* A contiguous dataset of n values. values NULL: the space alone, filled by the caller. *address: where it begins. */
LENS_CHECKED lens_status hdf_put_table(hdf_t *h, const char *name, hid_t type, const void *values, uint64_t n,
                                       uint64_t *address);
/* The same of two dimensions, [n_rows, n_columns]. */
LENS_CHECKED lens_status hdf_put_rows(hdf_t *h, const char *name, hid_t type, const void *values, uint64_t n_rows,
                                      uint64_t n_columns);
/* n values in chunks of HDF_CHUNK_BYTES, through the shuffle filter where an element has several bytes, and filter
 * 32015; the last is padded with zeros. */
LENS_CHECKED lens_status hdf_put_packed(hdf_t *h, const char *name, hid_t type, const void *values, size_t n,
                                        int level);

typedef struct {
    hid_t type;
    uint64_t n, chunk; /* elements of the dataset, and of a chunk */
    int level;         /* of zstd */
} hdf_frames_t;
/* A one-dimensional dataset in chunks, through the shuffle filter where an element has several bytes, and filter 32015.
 * HDF5 makes room for the frames, ends[n_frames] being where each ends when they stand one after the other, and never
 * sees them: the caller writes them at *address. STATE where HDF5 does not place them without gaps. */
LENS_CHECKED lens_status hdf_put_frames(hdf_t *h, const char *name, const hdf_frames_t *f, const uint64_t *ends,
                                        uint64_t n_frames, uint64_t *address);
LENS_CHECKED lens_status hdf_put_number(hdf_t *h, const char *attribute, uint64_t value);
LENS_CHECKED lens_status hdf_put_string(hdf_t *h, const char *attribute, const char *text);

/* ---- reading ---- */
/* fd: the caller's, of the same file. */
LENS_CHECKED lens_status hdf_open(hdf_t *out, const char *path, int fd, uint64_t hdf5_bytes);
LENS_CHECKED lens_status hdf_get_number(hdf_t *h, const char *attribute, uint64_t *out);
LENS_CHECKED lens_status hdf_get_string(hdf_t *h, const char *attribute, char **out); /* owned by the caller */
/* Where a contiguous, unfiltered one-dimensional dataset of that type stands. */
LENS_CHECKED lens_status hdf_find_table(hdf_t *h, const char *name, hid_t type, uint64_t *address, uint64_t *n);
/* Its n values, malloc'ed, owned by the caller. FORMAT where it holds another number. */
LENS_CHECKED lens_status hdf_get_table(hdf_t *h, const char *name, hid_t type, uint64_t n, void **out);

LENS_CHECKED lens_status hdf_get_rows(hdf_t *h, const char *name, hid_t type, uint64_t n_rows, uint64_t n_columns,
                                      void **out);
/* Elements of such a dataset and of its chunks. FORMAT where the filters or the type are others than of f->type. */
LENS_CHECKED lens_status hdf_find_frames(hdf_t *h, const char *name, hdf_frames_t *f);
LENS_CHECKED lens_status hdf_first_frame(hdf_t *h, const char *name, hid_t type, uint64_t *address);

typedef struct {
    uint64_t address;
    uint32_t n_bytes; /* of its zstd frame */
} hdf_chunk_t;
/* What hdf_put_packed wrote: *n values, in *chunks of HDF_CHUNK_BYTES each, owned by the caller. */
LENS_CHECKED lens_status hdf_get_chunks(hdf_t *h, const char *name, hid_t type, uint64_t *n, hdf_chunk_t **chunks);
/* One of them into raw [HDF_CHUNK_BYTES], its elements still shuffled. name, path: for messages. FORMAT: damaged. */
LENS_CHECKED lens_status hdf_read_chunk(int fd, const hdf_chunk_t *at, void *raw, const char *name, const char *path);
/* Its n values, malloc'ed, owned by the caller. FORMAT where it holds another number. */
LENS_CHECKED lens_status hdf_get_packed(hdf_t *h, const char *name, hid_t type, uint64_t n, void **out);

void hdf_close(hdf_t *h); /* zeroed or closed is fine */

#endif
