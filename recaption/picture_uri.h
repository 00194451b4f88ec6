/* A picture as a data URI for a request. Reentrant; any thread. */
#ifndef LENS_RECAPTION_PICTURE_URI_H
#define LENS_RECAPTION_PICTURE_URI_H

#include "base/error.h"
#include "base/str.h"
#include "data/image.h"

typedef struct {
    int32_t longest_px;  /* of the longer side, as it is sent */
    image_format format; /* IMAGE_UNKNOWN: JPEG, PNG and WebP go as they are; else only files of this format do */
} picture_uri_options_t;

/* Appends "data:image/jpeg;base64,...". The stored bytes where they are small enough, upright, no animation and of a
 * format that may go; else decoded, resized and encoded (JPEG and WebP of quality 90). FORMAT: damaged. */
LENS_CHECKED lens_status picture_uri(str_t *out, int32_t *width, int32_t *height, const str_t *picture,
                                     const picture_uri_options_t *o);
void picture_base64(str_t *out, const void *bytes, size_t n);

#endif
