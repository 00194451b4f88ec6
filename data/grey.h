/* The grey plane that pictures are measured and hashed on. Reentrant; any thread. */
#ifndef LENS_DATA_GREY_H
#define LENS_DATA_GREY_H

#include "base/error.h"

#define GREY_SIDE 512 /* px of the longer side; smaller pictures are never enlarged */

typedef struct {
    int32_t width, height; /* px */
    float *y;              /* f32 [height, width], 0 to 255, unrounded; owned */
} grey_t;

/* The plane of a picture of that size, values uninitialised: the longer side is min(GREY_SIDE, its own), the shorter
 * one round(shorter * GREY_SIDE / longer), at least 1. */
LENS_CHECKED lens_status grey_new(grey_t *out, int32_t picture_width, int32_t picture_height);
void grey_free(grey_t *g); /* and resets; NULL is allowed */

/* Area averaging of a row, exact: out[i] is the mean of `in`, taken as a staircase over [0, n_in), over
 * [i, i + 1) * n_in / n_out. Either may be the larger. */
void grey_area_row(float *out, int32_t n_out, const float *in, int32_t n_in);

#endif
