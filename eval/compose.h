/* The composition score of a model, after GenEval: prompts of the six tasks (compose_facts.h) in two forms, a picture
 * of each, judged by the detector. `lens eval compose`. One thread.
 *
 * Prompt i of a form is the (i / 6)-th of task i % 6, so that more prompts have fewer as their beginning. Both forms
 * say the same facts of the same scene, as brief and as detailed captions do, and their pictures start from the same
 * noise. */
#ifndef LENS_EVAL_COMPOSE_H
#define LENS_EVAL_COMPOSE_H

#include "eval/compose_facts.h"
#include "eval/drawer.h"
#include "eval/interval.h"

typedef struct {
    int64_t n;           /* prompts of a task and form */
    uint64_t seed;       /* of scenes and noise; at most 1e15 */
    scene_rules_t rules; /* those of the model's training set; max_objects: 2 at least */
    bool forms[COMPOSE_N_FORMS];
    int64_t steps;
    double guidance;
} compose_options_t;

typedef struct {
    compose_facts_t facts;
    scene_t scene; /* that the prompt is a caption of */
    char *prompt;
    image_t picture;
    detection_t seen;
    compose_verdict verdict;
} compose_picture_t;

typedef struct {
    int64_t n, right, unknown; /* unknown: those that are not right, but might be */
} compose_count_t;

typedef struct {
    compose_options_t options;
    char *checkpoint, *device; /* as compose_sample was given */
    bool averaged;
    int64_t width, height;
    int64_t n;                                    /* pictures of a form */
    compose_picture_t *pictures[COMPOSE_N_FORMS]; /* [n]; NULL: form not asked for */
    compose_count_t counts[COMPOSE_N_FORMS][COMPOSE_N_TASKS];
    double draw_s, judge_s;
} compose_t;

/* The prompts. Their scenes are none that `lens scenes` can make, whatever its seed. */
LENS_CHECKED lens_status compose_plan(compose_t *out, const compose_options_t *o);
/* Draws their pictures. ARGUMENT where they would be too small for the detector. */
LENS_CHECKED lens_status compose_sample(compose_t *c, const char *checkpoint, const drawer_options_t *o);
/* Judges the pictures, whoever has drawn them. */
LENS_CHECKED lens_status compose_judge_all(compose_t *c);
void compose_free(compose_t *c); /* and resets */

/* Share of right pictures. COMPOSE_OVERALL: the mean over tasks, which have equally many prompts. */
interval_t compose_score(const compose_t *c, compose_form f, int task);

/* ---- compose_table.c: what `lens eval compose` prints ---- */
void compose_text(const compose_t *c, str_t *out);
void compose_json(const compose_t *c, str_t *out);

/* ---- compose_page.c ---- */
/* One HTML page, complete in itself, with all pictures. */
LENS_CHECKED lens_status compose_page(const compose_t *c, str_t *out);
/* DIR/index.html, that page; DIR/scores.json, as compose_json; DIR/pictures.jsonl, a line a picture: {form, task,
 * number, verdict, prompt, seen}. */
LENS_CHECKED lens_status compose_write(const compose_t *c, const char *dir);

#endif
