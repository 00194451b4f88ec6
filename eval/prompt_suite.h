/* The prompts of public benchmarks, and pictures of them in the layout that each benchmark's own evaluator reads.
 *
 * GenEval (github.com/djghosh13/geneval, README "Image generation"): prompts/evaluation_metadata.jsonl. Line N becomes
 * DIR/NNNNN/metadata.jsonl, that line, and DIR/NNNNN/samples/0000.png, 0001.png and so on.
 *
 * DPG-Bench (github.com/TencentQQGYLab/ELLA, dpg_bench/compute_dpg_bench.py): a folder of prompts, ID.txt. Each becomes
 * DIR/ID.png, four pictures two by two without gaps (--pic-num 4, --resolution of one picture's side), or one.
 *
 * OneIG-Bench (github.com/OneIG-Bench/OneIG-Benchmark, README "Image Generation", scripts/utils/utils.py):
 * OneIG-Bench.csv or .json with category, id and prompt_en, or prompt_cn of the Chinese one. Each becomes
 * DIR/CLASS/NAME/ID.webp, k^2 pictures k by k without gaps (image_grid k). CLASS: anime, human, object, text,
 * reasoning, multilingualism.
 *
 * One thread. */
#ifndef LENS_EVAL_PROMPT_SUITE_H
#define LENS_EVAL_PROMPT_SUITE_H

#include "eval/drawer.h"

typedef enum { PROMPT_SUITE_GENEVAL, PROMPT_SUITE_DPG, PROMPT_SUITE_ONEIG } prompt_suite_layout;
#define PROMPT_SUITE_LAYOUTS "geneval|dpg|oneig"              /* as option_t.choices */
prompt_suite_layout prompt_suite_layout_of(const char *name); /* one of them */

typedef struct {
    char *prompt;
    char *path;     /* below the output's folder: a folder of GenEval's, else a file */
    char *metadata; /* GENEVAL: the line; else NULL */
} prompt_suite_item_t;

typedef struct {
    prompt_suite_layout layout;
    int64_t n;
    prompt_suite_item_t *items; /* [n], owned */
} prompt_suite_t;

/* path: the suite's own file, of DPG-Bench the folder. model: NAME of OneIG-Bench's folders, a file name. FORMAT where
 * it is not such a file, or two prompts would have the same path; ARGUMENT where `model` is no file name. */
LENS_CHECKED lens_status prompt_suite_read(prompt_suite_t *out, const char *path, prompt_suite_layout layout,
                                           const char *model);
void prompt_suite_free(prompt_suite_t *s); /* and resets */

typedef struct {
    int64_t each; /* pictures of a prompt */
    int64_t steps;
    double guidance;
    uint64_t seed; /* picture k of prompt i starts from noise stream (seed, each i + k) */
} prompt_suite_options_t;

/* ARGUMENT where the layout has no place for that many pictures of a prompt. */
LENS_CHECKED lens_status prompt_suite_check_each(prompt_suite_layout layout, int64_t each);
/* Draws and writes all pictures below `dir`; what is there is replaced. */
LENS_CHECKED lens_status prompt_suite_draw(const prompt_suite_t *s, drawer_t *d, const char *dir,
                                           const prompt_suite_options_t *o);

#endif
