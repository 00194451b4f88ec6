/* Names of colours: the nearest of the scenes' fills or backgrounds in Oklab, or none. Reentrant. */
#ifndef LENS_EVAL_DETECT_COLOUR_H
#define LENS_EVAL_DETECT_COLOUR_H

#include <stdint.h>

/* rgb: sRGB code values, 0 to 255. A scene_colour, or DETECT_UNKNOWN where none is near or two are. */
int detect_fill_name(const double *rgb);
int detect_ground_name(const double *rgb);
/* The nearest fill, and how far it is in Oklab (black to white: 1). */
int detect_nearest_fill(const double *rgb, double *distance);

#endif
