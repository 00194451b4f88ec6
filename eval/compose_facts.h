/* GenEval's tasks on the scenes' vocabulary: what a prompt asks for, and whether a picture shows it.
 * Reentrant.
 *
 * The facts of a task come from a scene whose seed no training set has, so that its captions, brief and dense, are the
 * prompt in its two forms: the same facts in both, in the words that captions use. */
#ifndef LENS_EVAL_COMPOSE_FACTS_H
#define LENS_EVAL_COMPOSE_FACTS_H

#include "data/scene.h"
#include "eval/compose_task.h"
#include "eval/detect.h"

typedef struct {
    scene_shape shape;
    scene_colour colour;
} compose_thing_t;

typedef struct {
    compose_task task;
    int n_things; /* 1 or 2 */
    compose_thing_t things[2];
    int count;               /* COUNTING */
    scene_relation relation; /* POSITION: things[0] is that of things[1]; LEFT_OF, RIGHT_OF, ABOVE or BELOW */
} compose_facts_t;

/* The first scene by these rules from (seed, number of the prompt) on that suits the task: its groups are the things
 * asked for and nothing else; COUNTING asks for 2 to rules.max_objects, which is 2 at least, in turn. Shapes of the two
 * differ; in POSITION they lie apart on one axis alone, and the brief caption says how. */
void compose_draw(compose_facts_t *facts, scene_t *scene, compose_task task, uint64_t seed, uint64_t number,
                  scene_rules_t rules);

/* NO: something else is there, or it is not there. UNKNOWN: not there, but an object of unknown shape or colour could
 * be it; a score counts it as NO. */
typedef enum { COMPOSE_YES, COMPOSE_NO, COMPOSE_UNKNOWN } compose_verdict;
const char *compose_verdict_word(compose_verdict v);

/* GenEval's rules: more objects than asked for do no harm, but where counting; among several of a shape any may do. A
 * is left of B where its centre is by more than a tenth of the two boxes' mean width, and so on. */
compose_verdict compose_judge(const compose_facts_t *facts, const detection_t *seen);
/* Appends what the detector saw: "red circle, blue square, unknown". */
void compose_describe(const detection_t *seen, str_t *out);

#endif
