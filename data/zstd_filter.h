/* Zstandard as an HDF5 filter, number 32015: one frame a chunk, its content size in the frame header, cd_values[0] =
 * level.
 *
 * The library writes and reads chunks with these functions; the plugin (zstd_filter_plugin.c) offers the same code to
 * h5dump and h5py. Depends on zstd and HDF5 alone, so that the plugin stays small. Reentrant. */
#ifndef LENS_DATA_ZSTD_FILTER_H
#define LENS_DATA_ZSTD_FILTER_H

#include <hdf5.h>
#include <stddef.h>

#define ZSTD_FILTER_ID 32015
#define ZSTD_FILTER_LEVEL 3                     /* where cd_values is empty */
#define ZSTD_FILTER_MAX_BYTES ((size_t)1 << 30) /* of a decoded chunk: larger is refused */

/* These return NULL, or what is wrong in words. */
const char *zstd_filter_encode(void *frame, size_t capacity, size_t *frame_bytes, const void *raw, size_t raw_bytes,
                               int level);
/* Size of the chunk that the frame holds, from its header; refuses what is not exactly one frame with a content size.
 */
const char *zstd_filter_raw_bytes(size_t *raw_bytes, const void *frame, size_t frame_bytes);
/* Refuses a frame that does not hold exactly raw_bytes. */
const char *zstd_filter_decode(void *raw, size_t raw_bytes, const void *frame, size_t frame_bytes);

size_t zstd_filter_capacity(size_t raw_bytes); /* room that encoding never exceeds */

extern const H5Z_class2_t zstd_filter_class;

#endif
