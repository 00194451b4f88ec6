/* How right the detector is, on scenes whose truth is known: `lens eval detector`. */
#ifndef LENS_EVAL_DETECT_CHECK_H
#define LENS_EVAL_DETECT_CHECK_H

#include "eval/compose_facts.h"

typedef struct {
    int64_t n, size_px;
    uint64_t seed;
    scene_rules_t rules;   /* max_objects: 2 at least */
    double blur_px, noise; /* standard deviations: of a Gaussian, and of what is added to a code value */
} detect_check_options_t;

typedef struct {
    int64_t n, right, unknown, wrong;
} detect_rates_t;

typedef struct {
    detect_rates_t tasks[COMPOSE_N_TASKS]; /* a true prompt of the task, and one with a fact changed, of each scene */
    detect_rates_t shapes, colours;        /* of objects */
    int64_t confusion[SCENE_N_SHAPES][SCENE_N_SHAPES + 1]; /* [drawn][seen]; the last: unknown or not seen */
    int64_t n_invented;                                    /* objects of a said shape where nothing is drawn */
    double seconds;
} detect_check_t;

/* Scenes of the six tasks by turns: none is left out, as objects of a scene overlap only where one lies inside another,
 * and all lie within the picture. One thread. The same options give the same counts. */
LENS_CHECKED lens_status detect_check(detect_check_t *out, const detect_check_options_t *o);
/* Of one scene, added to `out`. rgb: u8 [size, size, 3], scratch and the picture that was judged. */
LENS_CHECKED lens_status detect_check_scene(detect_check_t *out, const detector_t *d, const detect_check_options_t *o,
                                            int64_t number, uint8_t *rgb);
void detect_check_text(const detect_check_t *c, const detect_check_options_t *o, str_t *out);
void detect_check_json(const detect_check_t *c, const detect_check_options_t *o, str_t *out);

#endif
