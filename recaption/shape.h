/* The rough shape of a region of pixels: what a person would call its outline. Reentrant. */
#ifndef LENS_RECAPTION_SHAPE_H
#define LENS_RECAPTION_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum {
    SHAPE_SPOT, /* too few pixels to tell */
    SHAPE_ROUND,
    SHAPE_OVAL,
    SHAPE_SQUARE,
    SHAPE_DIAMOND, /* standing on a corner */
    SHAPE_RECTANGLE,
    SHAPE_TRIANGLE,
    SHAPE_PENTAGON,
    SHAPE_HEXAGON,
    SHAPE_HEART,
    SHAPE_BAR,   /* long and straight */
    SHAPE_RING,  /* a round outline around an opening */
    SHAPE_FRAME, /* a square or rectangular outline around an opening */
    SHAPE_STAR,
    SHAPE_CROSS,
    SHAPE_BLOCK,     /* compact, of another outline */
    SHAPE_STRIP,     /* long, of another outline */
    SHAPE_IRREGULAR, /* everything else */
    SHAPE_N
} shape_kind;

typedef enum { SHAPE_NO_AXIS, SHAPE_HORIZONTAL, SHAPE_VERTICAL, SHAPE_DIAGONAL } shape_axis;

typedef struct {
    shape_kind kind;
    shape_axis axis;                 /* of the long side, where it is at least 1.35 times the short one */
    double area_px;                  /* openings excluded */
    double filled_px;                /* openings included */
    double solidity;                 /* filled area / convex hull */
    double elongation;               /* sides of the smallest rectangle around it, >= 1 */
    double centre_x_px, centre_y_px; /* of the filled area */
    int32_t x0, y0, x1, y1;          /* bounding box, px, x1 and y1 exclusive */
} shape_t;

/* mask: u8 [height, width], 0 outside, 1 the region, 2 its openings; the box holds all of it. The region has pixels. */
void shape_measure(shape_t *out, const uint8_t *mask, int32_t width, int32_t height);

#endif
