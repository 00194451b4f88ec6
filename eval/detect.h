/* The detector: which of the known shapes, in which of the known colours, a picture shows (data/scene.h has the words).
 *
 * A judge of pictures that a model drew, so it says "unknown" rather than guess: where the picture explains two answers
 * nearly as well, or none well. How: the background is a colour that changes linearly, fitted to the border; what
 * differs from it falls into connected regions; each region is compared with all outlines, whose place, size and
 * softness are fitted to its pixels by least squares (detect_fit.h), plain or with a texture (detect_texture.h).
 * Regions that no one object explains are parted, neighbours are fitted on what the others leave, and what stays
 * unexplained is an object of unknown shape: it may be anything, several objects among it. `lens eval detector`
 * measures it on rendered scenes. Reentrant: a detector_t is only read by detect(). */
#ifndef LENS_EVAL_DETECT_H
#define LENS_EVAL_DETECT_H

#include "data/scene.h"

enum { DETECT_UNKNOWN = -1, DETECT_MAX_OBJECTS = 16, DETECT_MAX_SIDE_PX = 64 };

typedef struct {
    int shape, colour;  /* scene_shape, scene_colour, or DETECT_UNKNOWN */
    double confidence;  /* 0 to 1: how much better than the second best shape; 0.5 and more: said */
    double unexplained; /* share of the region's contrast that the best outline leaves */
    double x, y;        /* centre of the box, shares of the picture's sides */
    scene_box_t box;
} detected_t;

typedef struct {
    int ground; /* scene_ground at the picture's centre, or DETECT_UNKNOWN */
    int n;
    bool
        crowded; /* there may be more objects: more regions than objects[] holds, or small ones lost in blur or noise */
    detected_t objects[DETECT_MAX_OBJECTS];
} detection_t;

typedef struct detector detector_t;

LENS_CHECKED lens_status detector_new(detector_t **out); /* computes the outlines' tables, 0.1 s */
void detector_free(detector_t *d);                       /* NULL is allowed */

/* rgb: u8 [height, width, 3], sides of at least SCENE_MIN_SIZE_PX, ARGUMENT otherwise. A picture with a side beyond
 * DETECT_MAX_SIDE_PX is reduced to that first. MEMORY. */
LENS_CHECKED lens_status detect(detection_t *out, const detector_t *d, const uint8_t *rgb, int32_t width,
                                int32_t height);

#endif
