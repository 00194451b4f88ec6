/* Parts a picture into background, objects and one-coloured parts. Inputs are planes of a small copy; reentrant. */
#ifndef LENS_RECAPTION_SEGMENT_H
#define LENS_RECAPTION_SEGMENT_H

#include <stdbool.h>

#include "base/error.h"
#include "recaption/colour.h"
#include "recaption/shape.h"

/* A background as a colour that changes linearly over the picture, fitted to its border. */
typedef struct {
    bool found;       /* most of the border agrees with the fit */
    double at[3][3];  /* [l, a, b][constant, per px right, per px down] */
    float tolerance;  /* colour distance up to which a pixel belongs to it */
    double roughness; /* mean distance of the border's own pixels from the fit */
    shape_axis axis;  /* direction of its change, SHAPE_NO_AXIS where it hardly changes */
    bool rising;      /* of a diagonal: from bottom left to top right */
} backdrop_t;

void segment_backdrop(backdrop_t *out, const oklab_t *lab, int32_t w, int32_t h);
oklab_t segment_backdrop_at(const backdrop_t *b, int32_t x, int32_t y);
/* Where along its axis a pixel lies, 0..1 (top to bottom where it has none). */
double segment_backdrop_along(const backdrop_t *b, int32_t x, int32_t y, int32_t w, int32_t h);

typedef struct {
    int32_t label, area_px;
    int32_t first;          /* index of one of its pixels, of its own colour */
    int32_t x0, y0, x1, y1; /* px, x1 and y1 exclusive */
} component_t;

typedef struct {
    component_t *at; /* owned; largest first, ties by label */
    int n;
} component_list_t;

void component_list_free(component_list_t *l);

/* Connected (8 neighbours) where front is 1. labels: i32 [h, w], -1 elsewhere. stack: i32 [h * w], scratch. */
LENS_CHECKED lens_status segment_objects(component_list_t *out, int32_t *labels, const uint8_t *front, int32_t w,
                                         int32_t h, int32_t *stack);

/* Connected (4 neighbours) pixels of one colour name, separately before and behind the background mask. Thin rims (the
 * blend between two colours) and specks join the part beside them, and neighbours of nearly one colour join. name is
 * rewritten to the joined parts' colours. labels: i32 [h, w], -1 where no part is near. */
LENS_CHECKED lens_status segment_parts(component_list_t *out, int32_t *labels, const oklab_t *lab, uint8_t *name,
                                       const uint8_t *front, int32_t w, int32_t h, int32_t *stack, int32_t *remap);

/* mask u8 [h, w]: zeros that cannot be reached from outside become 2. */
void segment_fill(uint8_t *mask, int32_t w, int32_t h, int32_t *stack);

#endif
