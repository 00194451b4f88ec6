/* A sheet of equal-sized pictures: the sample grids of a training run and of `lens sample`. Reentrant; any thread. */
#ifndef LENS_DATA_IMAGE_GRID_H
#define LENS_DATA_IMAGE_GRID_H

#include "data/image.h"

/* Lays pictures[n] out row by row, `columns` in a row, with white gutters of gutter_px between them (none around),
 * empty places of the last row white. A row is never wider than n pictures. `out` is new, owned by the caller.
 * ARGUMENT: n or columns below 1, gutter below 0, pictures of different sizes, or more than IMAGE_MAX_PIXELS in the
 * sheet. */
LENS_CHECKED lens_status image_grid(image_t *out, const image_t *pictures, int n, int columns, int gutter_px);

#endif
