/* The caption ablation, read: the JSON files that launch/ablation.sh leaves, one a run (docs/ablation/README.md has
 * their fields), and what they say together. One thread.
 *
 * Runs of one arm differ in their seed. A score is a share of prompts whose picture is right, or the mean of six tasks'
 * shares. Where an arm has several seeds, scores are means over them with Student's intervals; where it has one, the
 * interval is Wilson's over its prompts, which knows nothing of what another seed would give. */
#ifndef LENS_EVAL_ABLATION_H
#define LENS_EVAL_ABLATION_H

#include "base/error.h"
#include "base/str.h"
#include "eval/compose_task.h"
#include "eval/interval.h"

typedef struct {
    double n, right; /* prompts */
} ablation_count_t;

typedef struct {
    double step, images, flop, tokens, valid_loss; /* so far; valid_loss NaN where there is none */
    ablation_count_t counts[COMPOSE_N_FORMS][COMPOSE_N_TASKS];
} ablation_point_t;

enum { ABLATION_MAX_POINTS = 16, ABLATION_MAX_ARMS = 16, ABLATION_MAX_SEEDS = 32 };

typedef struct {
    char *arm, *samples; /* name of a PNG beside the JSON, or NULL */
    int64_t seed;
    bool simple; /* lens scenes --simple */
    double scenes, max_objects, prompts, steps, batch, parameters, seconds, cores;
    double words, facts, wrong, bits; /* a caption; NaN where not known. wrong: share of the facts */
    int n_points;
    ablation_point_t points[ABLATION_MAX_POINTS]; /* by step; the last is the end of the run */
} ablation_run_t;

typedef struct {
    const char *name;
    int n_runs;
    const ablation_run_t *runs[ABLATION_MAX_SEEDS]; /* by seed */
} ablation_arm_t;

typedef struct {
    char *dir;
    ablation_run_t *runs;
    int64_t n_runs;
    ablation_arm_t arms[ABLATION_MAX_ARMS]; /* in the order of launch/ablation.sh, others after them */
    int n_arms;
} ablation_t;

/* IO where there is no folder, FORMAT where a .json of it is no run, is there twice, or there is none, and where two
 * runs differ in more than arm and seed: scenes, prompts, batch, parameters, and, but for brief-tokens, steps. */
LENS_CHECKED lens_status ablation_open(ablation_t *out, const char *dir);
void ablation_free(ablation_t *a); /* and resets */

const ablation_arm_t *ablation_find(const ablation_t *a, const char *arm); /* NULL: none */
/* Score of a run at a point, in [0, 1]. */
interval_t ablation_run_score(const ablation_run_t *r, int point, compose_form f, compose_task t);
/* Of an arm at point `point` of its first run; runs that lack it are left out. */
interval_t ablation_score(const ablation_arm_t *arm, int point, compose_form f, compose_task t);
/* a - b at the end: by Student over the differences of the seeds that both have; Newcombe's where that is one seed. n:
 * these seeds; 0: the value is NaN. */
interval_t ablation_difference(const ablation_arm_t *a, const ablation_arm_t *b, compose_form f, compose_task t,
                               int *n);

/* ---- ablation_table.c: what `lens eval ablation DIR` prints ---- */
void ablation_text(const ablation_t *a, str_t *out);
void ablation_json(const ablation_t *a, str_t *out);

#endif
