/* Parts a small picture into background and connected regions. Reentrant. */
#ifndef LENS_EVAL_DETECT_REGIONS_H
#define LENS_EVAL_DETECT_REGIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "eval/detect.h"

enum { REGIONS_MAX = 64, CANVAS_PX = DETECT_MAX_SIDE_PX * DETECT_MAX_SIDE_PX };

typedef struct {
    int area_px;
    int x0, y0, x1, y1; /* px, x1 and y1 exclusive */
} region_t;

typedef struct {
    int w, h, side;             /* px; side: the shorter one */
    float rgb[CANVAS_PX][3];    /* code values */
    float ground[CANVAS_PX][3]; /* the background where it is, and where objects hide it */
    float away[CANVAS_PX];      /* distance from the background, in code values, of the picture smoothed if noisy */
    int16_t owner[CANVAS_PX];   /* region, -1: background */
    int16_t stack[CANVAS_PX];
    int16_t part[CANVAS_PX]; /* scratch of canvas_split() */
    double noise;            /* standard deviation of the background's code values */
    int n;                   /* largest first */
    bool crowded;            /* smaller ones were left out */
    region_t regions[REGIONS_MAX];
} canvas_t;

/* All fields from w, h and rgb. */
void canvas_part(canvas_t *c);
bool canvas_on_border(const canvas_t *c, int pixel); /* the outermost 1/32 of the side, where only background is */
float canvas_most_contrast(const canvas_t *c);       /* of any pixel from its background, in code values */
/* Standard deviation in px of the Gaussian that makes the sharpest region's steepest edge of a step; 0 without regions,
 * INFINITY without edges. */
double canvas_blur(const canvas_t *c);
/* Parts region `at` where the least contrast that parts it does: it keeps the first part, the others are new regions at
 * the end. Returns how many those are, 0 where no contrast parts it. */
int canvas_split(canvas_t *c, int at);
/* Undoes it, and all splits since: regions from `first` on are `at`'s again. */
void canvas_join(canvas_t *c, int at, int first);

#endif
