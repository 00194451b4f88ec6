/* ICC profiles to sRGB, by lcms2. Private to data/. Reentrant; any thread: nothing is shared between calls.
 *
 * Profiles are hostile input. The format lets a table claim any size, so each of lcms's allocations is bounded. */
#ifndef LENS_DATA_IMAGE_ICC_H
#define LENS_DATA_IMAGE_ICC_H

#include "base/error.h"

#define ICC_MAX_PROFILE_BYTES ((size_t)8 << 20) /* the largest printers' profiles in use have 3 MB */
#define ICC_MAX_ALLOC_BYTES ((size_t)8 << 20)   /* a table of four inks at 33 levels has 7 MB */
/* What a transform takes at its peak, beside copies of the profile: tables of printers' profiles. */
#define ICC_TRANSFORM_BYTES ((uint64_t)4 << 20)

typedef enum { ICC_GREY, ICC_RGB, ICC_CMYK } icc_space;
typedef struct image_icc image_icc_t;

/* For pixels of n_channels bytes each: grey and RGB 3, or 4 with alpha, which is kept (grey stands in all three); CMYK
 * 4, inverted as Adobe's (255: no ink). *out is NULL, and the pixels are to be taken as sRGB, where the profile says
 * sRGB, is damaged, is of another space, or too large. MEMORY alone is a failure. */
LENS_CHECKED lens_status image_icc_new(image_icc_t **out, const uint8_t *profile, size_t n, icc_space space,
                                       int n_channels);
void image_icc_free(image_icc_t *t); /* NULL is allowed */
/* CMYK: to u8 [n_px, 3]. Grey and RGB: in place, `to` is `from`. */
void image_icc_apply(const image_icc_t *t, uint8_t *to, const uint8_t *from, size_t n_px);

/* Whether the profile's matrix and curves take a grid of colours to within one level of where sRGB's do. Cheap: no
 * transform is made. False for all that is no such profile. */
bool image_icc_is_srgb(const uint8_t *profile, size_t n, icc_space space);

#endif
