/* A shape's surface once its place is known: the scenes' textures as data/scene_render.c draws them about the object's
 * centre, blurred as the outline is. Where blur has washed a pattern out, this is what tells a striped black from a
 * gray. Reentrant. */
#ifndef LENS_EVAL_DETECT_TEXTURE_H
#define LENS_EVAL_DETECT_TEXTURE_H

#include "eval/detect.h"
#include "eval/detect_fit.h"

enum { TEXTURE_SUPER = 3, TEXTURE_SIDE = DETECT_MAX_SIDE_PX * TEXTURE_SUPER };

typedef struct {
    float distance[TEXTURE_SIDE * TEXTURE_SIDE]; /* px */
    float fill[TEXTURE_SIDE * TEXTURE_SIDE], accent[TEXTURE_SIDE * TEXTURE_SIDE];
    float scratch[TEXTURE_SIDE * TEXTURE_SIDE];
} texture_scratch_t;

/* Adds the place `at` with every texture and fill, and the best of those with its place refined. */
void texture_add_fits(fit_result_t *out, texture_scratch_t *s, const fit_tables_t *t, const fit_region_t *r,
                      const fit_t *at);

#endif
