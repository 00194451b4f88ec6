/* What no object can explain of a region, from its colours alone: far cheaper than a fit. Reentrant.
 *
 * A pixel of an object is a mixture of background, fill and accent: it lies in their triangle. What lies outside of it,
 * at every fill, is left by every outline and every texture. A plain object's pixels lie on a line from the background.
 */
#ifndef LENS_EVAL_DETECT_BOUND_H
#define LENS_EVAL_DETECT_BOUND_H

#include "eval/detect_fit.h"

typedef struct {
    double plain;                     /* least sum of squares that a plain object of any fill leaves */
    double textured[SCENE_N_COLOURS]; /* and one of the scenes' textures in that fill */
    double energy;                    /* sum of squares of colour - ground */
} fit_bound_t;

/* From r's pixels. `plain` is exact where the background is of one colour, else a little more than the least. */
void fit_bound(fit_bound_t *out, const fit_region_t *r);

#endif
