#include "eval/ablation.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define RUN_MAX_BYTES ((size_t)4 << 20)

static const char *const ARMS[] = {"brief", "detailed", "mixed",   "brief-tokens", "describe",
                                   "alt",   "wrong10",  "wrong25", "wrong50"};

/* ---- one file ---- */

typedef struct {
    const char *path;
    ablation_run_t *run;
} reader_t;

/* A number in [low, high] that must be there. */
static lens_status take_number(const reader_t *r, const json_t *object, const char *key, double low, double high,
                               double *out) {
    const json_t *v = json_object_get(object, key);
    *out = json_is_number(v) ? json_number_value(v) : NAN;
    if (!(*out >= low && *out <= high))
        return lens_fail(LENS_FORMAT, "%s: \"%s\": expected a number from %g to %g", r->path, key, low, high);
    return LENS_OK;
}

/* The same, or null: NaN. */
static lens_status take_known(const reader_t *r, const json_t *object, const char *key, double high, double *out) {
    *out = NAN;
    return json_is_null(json_object_get(object, key)) ? LENS_OK : take_number(r, object, key, 0, high, out);
}

static lens_status take_text(const reader_t *r, const json_t *object, const char *key, char **out) {
    const char *text = json_string_value(json_object_get(object, key));
    if (!text || !*text || strlen(text) > 100)
        return lens_fail(LENS_FORMAT, "%s: \"%s\": expected a name", r->path, key);
    *out = strdup(text);
    return *out ? LENS_OK : lens_fail(LENS_MEMORY, "%s: out of memory", r->path);
}

static lens_status take_flag(const reader_t *r, const json_t *object, const char *key, bool *out) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_boolean(value)) return lens_fail(LENS_FORMAT, "%s: \"%s\": expected true or false", r->path, key);
    *out = json_is_true(value);
    return LENS_OK;
}

/* Scores as `lens eval compose --json` prints them. */
static lens_status take_scores(const reader_t *r, const json_t *compose, ablation_point_t *point) {
    for (int f = 0; f < COMPOSE_N_FORMS; f++) {
        const json_t *form = json_object_get(compose, compose_form_word((compose_form)f));
        const json_t *tasks = json_object_get(form, "tasks");
        for (int t = 0; t < COMPOSE_N_TASKS; t++) {
            ablation_count_t *c = &point->counts[f][t];
            const json_t *task = json_object_get(tasks, compose_task_word((compose_task)t));
            if (!json_is_object(task))
                return lens_fail(LENS_FORMAT, "%s: no score of %s, prompts in %s form", r->path,
                                 compose_task_word((compose_task)t), compose_form_word((compose_form)f));
            LENS_TRY(take_number(r, task, "n", 1, 1e9, &c->n));
            LENS_TRY(take_number(r, task, "right", 0, c->n, &c->right));
        }
    }
    return LENS_OK;
}

static lens_status take_point(const reader_t *r, const json_t *v, ablation_point_t *p) {
    LENS_TRY(take_number(r, v, "step", 1, 1e15, &p->step));
    LENS_TRY(take_number(r, v, "images", 1, 1e18, &p->images));
    LENS_TRY(take_number(r, v, "flop", 1, 1e30, &p->flop));
    LENS_TRY(take_number(r, v, "tokens", 1, 1e20, &p->tokens));
    LENS_TRY(take_known(r, v, "valid_loss", 1e9, &p->valid_loss));
    return take_scores(r, json_object_get(v, "compose"), p);
}

static lens_status take_points(const reader_t *r, const json_t *list) {
    ablation_run_t *run = r->run;
    size_t i, n = json_array_size(list);
    const json_t *v;
    if (n == 0 || n > ABLATION_MAX_POINTS)
        return lens_fail(LENS_FORMAT, "%s: %zu checkpoints, expected 1 to %d", r->path, n, ABLATION_MAX_POINTS);
    json_array_foreach(list, i, v) {
        LENS_TRY(take_point(r, v, &run->points[i]));
        if (i > 0 && run->points[i].step <= run->points[i - 1].step)
            return lens_fail(LENS_FORMAT, "%s: checkpoints are not by step", r->path);
    }
    run->n_points = (int)n;
    return LENS_OK;
}

static lens_status take_run(const reader_t *r, const json_t *root) {
    ablation_run_t *run = r->run;
    double seed;
    const json_t *density = json_object_get(root, "density");
    LENS_TRY(take_text(r, root, "arm", &run->arm));
    LENS_TRY(take_text(r, root, "samples", &run->samples));
    if (strchr(run->samples, '/')) return lens_fail(LENS_FORMAT, "%s: samples in another folder", r->path);
    LENS_TRY(take_number(r, root, "seed", 0, 1e15, &seed));
    run->seed = (int64_t)seed;
    LENS_TRY(take_number(r, root, "scenes", 1, 1e15, &run->scenes));
    LENS_TRY(take_number(r, root, "max_objects", 1, 1e3, &run->max_objects));
    LENS_TRY(take_flag(r, root, "simple", &run->simple));
    LENS_TRY(take_number(r, root, "prompts", 1, 1e9, &run->prompts));
    LENS_TRY(take_number(r, root, "steps", 1, 1e15, &run->steps));
    LENS_TRY(take_number(r, root, "batch", 1, 1e9, &run->batch));
    LENS_TRY(take_number(r, root, "parameters", 1, 1e15, &run->parameters));
    LENS_TRY(take_number(r, root, "seconds", 0, 1e12, &run->seconds));
    LENS_TRY(take_number(r, root, "cores", 1, 1e6, &run->cores));
    LENS_TRY(take_known(r, density, "words", 1e6, &run->words));
    LENS_TRY(take_known(r, density, "facts", 1e6, &run->facts));
    LENS_TRY(take_known(r, density, "wrong", 1, &run->wrong));
    LENS_TRY(take_known(r, density, "bits", 1e9, &run->bits));
    return take_points(r, json_object_get(root, "checkpoints"));
}

static lens_status read_run(ablation_run_t *run, const char *path) {
    char *text = NULL;
    size_t n = 0;
    json_error_t error;
    LENS_TRY(file_read(&text, &n, path, RUN_MAX_BYTES));
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    free(text);
    lens_status st = root ? take_run(&(reader_t){path, run}, root)
                          : lens_fail(LENS_FORMAT, "%s: line %d: %s", path, error.line, error.text);
    json_decref(root);
    return st;
}

/* ---- the folder ---- */

static lens_status read_runs(ablation_t *a, char **names, int64_t n) {
    str_t path = {0};
    lens_status st = LENS_OK;
    a->runs = calloc((size_t)n + 1, sizeof *a->runs);
    if (!a->runs) return lens_fail(LENS_MEMORY, "%s: out of memory", a->dir);
    for (int64_t i = 0; i < n && st == LENS_OK; i++) {
        if (!str_ends_with(names[i], ".json")) continue;
        str_clear(&path);
        str_addf(&path, "%s/%s", a->dir, names[i]);
        st = str_status(&path);
        if (st == LENS_OK) st = read_run(&a->runs[a->n_runs++], path.s);
    }
    str_free(&path);
    if (st == LENS_OK && a->n_runs == 0)
        st = lens_fail(LENS_FORMAT, "%s: no run of an ablation (launch/ablation.sh makes them)", a->dir);
    return st;
}

static int rank_of(const char *arm) {
    int n = sizeof ARMS / sizeof ARMS[0];
    for (int i = 0; i < n; i++)
        if (strcmp(ARMS[i], arm) == 0) return i;
    return n;
}

static int compare_runs(const void *x, const void *y) {
    const ablation_run_t *a = x, *b = y;
    int by_rank = rank_of(a->arm) - rank_of(b->arm), by_name = strcmp(a->arm, b->arm);
    return by_rank ? by_rank : by_name ? by_name : (a->seed > b->seed) - (a->seed < b->seed);
}

static lens_status group(ablation_t *a) {
    qsort(a->runs, (size_t)a->n_runs, sizeof *a->runs, compare_runs);
    for (int64_t i = 0; i < a->n_runs; i++) {
        const ablation_run_t *r = &a->runs[i];
        ablation_arm_t *arm = a->n_arms ? &a->arms[a->n_arms - 1] : NULL;
        if (!arm || strcmp(arm->name, r->arm) != 0) {
            if (a->n_arms == ABLATION_MAX_ARMS)
                return lens_fail(LENS_FORMAT, "%s: more than %d arms", a->dir, ABLATION_MAX_ARMS);
            arm = &a->arms[a->n_arms++];
            arm->name = r->arm;
        } else if (arm->runs[arm->n_runs - 1]->seed == r->seed) {
            return lens_fail(LENS_FORMAT, "%s: arm %s, seed %lld is there twice", a->dir, r->arm, (long long)r->seed);
        }
        if (arm->n_runs == ABLATION_MAX_SEEDS)
            return lens_fail(LENS_FORMAT, "%s: more than %d seeds of %s", a->dir, ABLATION_MAX_SEEDS, r->arm);
        arm->runs[arm->n_runs++] = r;
    }
    return LENS_OK;
}

/* Arms are compared as equal in all but their captions. */
static lens_status check_equal(const ablation_t *a) {
    const ablation_run_t *first = NULL;
    for (int64_t i = 0; i < a->n_runs; i++) {
        const ablation_run_t *r = &a->runs[i];
        const bool own_steps = strcmp(r->arm, "brief-tokens") == 0;
        const ablation_run_t *f = first ? first : &a->runs[0];
        if (r->scenes != f->scenes || r->max_objects != f->max_objects || r->simple != f->simple ||
            r->prompts != f->prompts || r->batch != f->batch || r->parameters != f->parameters ||
            (first && !own_steps && r->steps != f->steps))
            return lens_fail(LENS_FORMAT,
                             "%s: runs of different experiments: %s, seed %lld, has %g scenes, %g steps of %g; "
                             "%s, seed %lld, %g scenes, %g steps of %g",
                             a->dir, f->arm, (long long)f->seed, f->scenes, f->steps, f->batch, r->arm,
                             (long long)r->seed, r->scenes, r->steps, r->batch);
        if (!first && !own_steps) first = r;
    }
    return LENS_OK;
}

lens_status ablation_open(ablation_t *out, const char *dir) {
    char **names = NULL;
    int64_t n = 0;
    lens_status st;
    *out = (ablation_t){.dir = strdup(dir)};
    if (!out->dir) LENS_GO(lens_fail(LENS_MEMORY, "%s: out of memory", dir));
    LENS_GO(dir_list(&names, &n, dir));
    LENS_GO(read_runs(out, names, n));
    LENS_GO(group(out));
    LENS_GO(check_equal(out));
done:
    dir_list_free(names, n);
    if (st != LENS_OK) ablation_free(out);
    return st;
}

void ablation_free(ablation_t *a) {
    for (int64_t i = 0; i < a->n_runs; i++) {
        free(a->runs[i].arm);
        free(a->runs[i].samples);
    }
    free(a->runs);
    free(a->dir);
    *a = (ablation_t){0};
}

/* ---- scores ---- */

const ablation_arm_t *ablation_find(const ablation_t *a, const char *arm) {
    for (int i = 0; i < a->n_arms; i++)
        if (strcmp(a->arms[i].name, arm) == 0) return &a->arms[i];
    return NULL;
}

interval_t ablation_run_score(const ablation_run_t *r, int point, compose_form f, compose_task t) {
    const ablation_count_t *c = r->points[point].counts[f];
    if (t != COMPOSE_OVERALL) return interval_wilson(c[t].right, c[t].n);
    /* The mean of six shares, as if it were one of all prompts: exact where tasks have equally many. */
    double share = 0, n = 0;
    for (int k = 0; k < COMPOSE_N_TASKS; k++) {
        share += c[k].right / c[k].n / COMPOSE_N_TASKS;
        n += c[k].n;
    }
    return interval_wilson(fmin(share, 1) * n, n);
}

interval_t ablation_score(const ablation_arm_t *arm, int point, compose_form f, compose_task t) {
    double values[ABLATION_MAX_SEEDS];
    int n = 0;
    for (int i = 0; i < arm->n_runs; i++)
        if (point < arm->runs[i]->n_points) values[n++] = ablation_run_score(arm->runs[i], point, f, t).value;
    if (n == 1) return ablation_run_score(arm->runs[0], point, f, t);
    return interval_mean(values, n);
}

interval_t ablation_difference(const ablation_arm_t *a, const ablation_arm_t *b, compose_form f, compose_task t,
                               int *n) {
    double values[ABLATION_MAX_SEEDS];
    interval_t x = {NAN, NAN, NAN}, y = x;
    *n = 0;
    for (int i = 0; i < a->n_runs; i++)
        for (int j = 0; j < b->n_runs; j++)
            if (a->runs[i]->seed == b->runs[j]->seed) {
                x = ablation_run_score(a->runs[i], a->runs[i]->n_points - 1, f, t);
                y = ablation_run_score(b->runs[j], b->runs[j]->n_points - 1, f, t);
                values[(*n)++] = x.value - y.value;
            }
    if (*n == 0) return (interval_t){NAN, NAN, NAN};
    return *n == 1 ? interval_difference(x, y) : interval_mean(values, *n);
}
