/* What can be said of a picture by measuring it: palette, background, objects and their parts, light, symmetry.
 *
 * All work is done on a copy of at most MEASURE_SIDE_MAX px a side. A pure function of the pixels; any thread.
 * Fractions of length are of the picture's width or height, fractions of area of its pixels; x grows to the right, y
 * down. */
#ifndef LENS_RECAPTION_MEASURE_H
#define LENS_RECAPTION_MEASURE_H

#include "data/image.h"
#include "recaption/colour.h"
#include "recaption/shape.h"

enum {
    MEASURE_SIDE_MAX = 160, /* px */
    MEASURE_PALETTE_MAX = 8,
    MEASURE_OBJECT_MAX = 16,
    MEASURE_PART_MAX = 24,
    MEASURE_OBJECT_COLOURS = 4,
};

typedef enum {
    BACKGROUND_PLAIN,    /* one colour */
    BACKGROUND_GRADIENT, /* runs evenly from one colour to another */
    BACKGROUND_TEXTURED, /* one colour with grain or pattern */
    BACKGROUND_SCENE,    /* no single background: the picture's content reaches its edges */
} background_kind;

typedef enum {
    PLACE_LOW = 0,
    PLACE_MIDDLE = 1,
    PLACE_HIGH = 2
} place_third; /* of the left-right or top-bottom range */

typedef struct {
    colour_t colours[MEASURE_OBJECT_COLOURS];   /* largest share first; a part has one */
    double colour_frac[MEASURE_OBJECT_COLOURS]; /* of the region's own area */
    int n_colours;
    shape_kind shape;
    shape_axis axis;
    double area_frac;   /* its own pixels */
    double filled_frac; /* with what it encloses */
    double elongation;
    double x, y;           /* centre */
    double x0, y0, x1, y1; /* bounding box */
    int column, row;       /* of the 3x3 grid, by the centre: 0 left or top, 1, 2 right or bottom */
    int object;            /* of a part: its object, -1 where there is no background to stand against */
    int n_parts;           /* of an object */
    int group;             /* objects that look alike share a number; 0 holds the largest */
    bool touches_edge;
    bool is_outlined; /* of an object: its rim is a line of the colour `outline` */
    colour_t outline;
} region_t;

typedef struct {
    int32_t width, height;                 /* px, of the picture measured */
    colour_t palette[MEASURE_PALETTE_MAX]; /* largest share first */
    double palette_frac[MEASURE_PALETTE_MAX];
    int n_palette;

    background_kind background;
    colour_t background_from, background_to; /* equal but for a gradient; from: top or left */
    shape_axis background_axis;              /* of a gradient: the direction in which it runs */
    double background_frac;                  /* 0 for a scene */

    region_t objects[MEASURE_OBJECT_MAX]; /* by area; connected, any colours, before the background */
    int n_objects;                        /* listed */
    int n_objects_found;                  /* >= n_objects */
    int n_groups;
    int group_size[MEASURE_OBJECT_MAX];

    region_t parts[MEASURE_PART_MAX]; /* by area; connected and of one colour; in a scene they cover the picture */
    int n_parts;

    colour_t cells[3][3];    /* dominant colour, [row][column] */
    double cells_frac[3][3]; /* its share of the cell */
    double brightness;       /* mean OKLab lightness, 0..1 */
    double contrast;         /* its standard deviation */
    double colourfulness;    /* mean chroma, 0..about 0.3 */
    double edges_frac;       /* pixels on a visible edge */
    double flat_frac;        /* pixels whose neighbours are the same colour: high in drawings, low in photographs */
    double
        symmetry_left_right; /* correlation of lightness with the mirrored picture, -1..1; 0 where it is all one tone */
    double symmetry_top_bottom;
} measure_t;

LENS_CHECKED lens_status measure_image(measure_t *out, const colour_table_t *colours, const image_t *image);
/* The same, but objects and parts only where the background is plain and flat_frac at least this: a drawing. */
LENS_CHECKED lens_status measure_drawing(measure_t *out, const colour_table_t *colours, const image_t *image,
                                         double least_flat_frac);

#endif
