/* Scenes told wrongly: what a captioner that errs would say of a scene_t. Reentrant; any thread.
 *
 * The result is for scene_dense() and never for scene_render(): the text is written from the altered facts and so
 * agrees with itself, but not with the picture. */
#ifndef LENS_DATA_SCENE_WRONG_H
#define LENS_DATA_SCENE_WRONG_H

#include "data/scene.h"

typedef struct {
    int n_facts; /* that could be replaced */
    int n_wrong; /* that were */
} scene_wrong_t;

/* Replaces each fact of `s`, as scene_make() made it, by another value with probability `rate` in [0, 1], keyed by
 * (seed, index): what is wrong at one rate is wrong at every higher one.
 *
 * Facts: of the background kind and colour (of a gradient also its end and its direction); of each group count, shape,
 * colour, size, texture, where it is, and, of several objects, their layout. What follows from a fact follows from the
 * wrong one: an accent differs from its colour, relations of a group that was moved agree with the places, "the red
 * circle" is still one thing, and the total is the sum of the counts. What the scene's rules leave no other value for
 * is no fact here: a count that would make too many objects, texture and kind of background of a simple scene. */
scene_wrong_t scene_make_wrong(scene_t *s, double rate);

#endif
