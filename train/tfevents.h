/* TensorBoard event files: scalars and pictures by step, nothing but the C library behind it.
 *
 * A file is a sequence of TFRecords (u64 length, masked CRC32C of the length, bytes, masked CRC32C of the bytes; all
 * little endian), each the protobuf message Event of tensorflow/core/util/event.proto. One thread writes; a reader may
 * follow. */
#ifndef LENS_TRAIN_TFEVENTS_H
#define LENS_TRAIN_TFEVENTS_H

#include "base/error.h"

typedef struct tfevents tfevents_t;

/* Creates DIR/events.out.tfevents.TIME.HOST.PID, a new file for each opening, as TensorBoard expects of a resumed run:
 * what older files of the folder hold from first_step on is then no longer shown. */
LENS_CHECKED lens_status tfevents_open(tfevents_t **out, const char *dir, int64_t first_step);
void tfevents_close(
    tfevents_t *f); /* NULL is allowed; every call before it has already handed its bytes to the system */
const char *tfevents_path(const tfevents_t *f); /* borrowed */

/* n scalars of one step, written as float32. Tags group by what stands before a slash ("loss/train"). */
LENS_CHECKED lens_status tfevents_scalars(tfevents_t *f, int64_t step, int n, const char *const *tags,
                                          const double *values);
/* An encoded PNG file. A tag holds one picture a step. */
LENS_CHECKED lens_status tfevents_image(tfevents_t *f, int64_t step, const char *tag, const void *png, size_t n_bytes,
                                        int32_t width, int32_t height);
LENS_CHECKED lens_status tfevents_sync(tfevents_t *f); /* to the disk */

uint32_t tfevents_crc32c(const void *bytes, size_t n); /* Castagnoli's, as in RFC 3720; not masked */

#endif
