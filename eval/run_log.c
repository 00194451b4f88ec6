#include "eval/run_log.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define RUN_JSON_MAX_BYTES ((size_t)16 << 20)
#define TEXT_MAX_BYTES ((size_t)4 << 20)
#define METRICS_MAX_BYTES ((size_t)1 << 30)

static lens_status no_memory(const run_log_t *r) {
    return lens_fail(LENS_MEMORY, "%s: out of memory", r->dir);
}

/* Appends a copy of text[n_bytes]. */
static lens_status list_add(const run_log_t *r, char ***list, int64_t *n, const char *text, size_t n_bytes) {
    char *copy = strndup(text, n_bytes);
    char **grown = copy != NULL ? realloc(*list, ((size_t)*n + 1) * sizeof **list) : NULL;
    if (grown == NULL) {
        free(copy);
        return no_memory(r);
    }
    *list = grown;
    grown[(*n)++] = copy;
    return LENS_OK;
}

static void list_free(char **list, int64_t n) {
    for (int64_t i = 0; i < n; i++) free(list[i]);
    free(list);
}

static lens_status add_note(run_log_t *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static lens_status add_note(run_log_t *r, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return list_add(r, &r->notes, &r->n_notes, text, strlen(text));
}

/* ---- run.json ---- */

static double get_number(const json_t *object, const char *key) {
    const json_t *v = json_object_get(object, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static lens_status get_text(const run_log_t *r, const json_t *object, const char *key, char **out) {
    const char *text = json_string_value(json_object_get(object, key));
    if (text == NULL) return LENS_OK;
    *out = strdup(text);
    return *out != NULL ? LENS_OK : no_memory(r);
}

static lens_status take_run_json(run_log_t *r, const json_t *root) {
    r->parameters = get_number(json_object_get(root, "model"), "parameters");
    r->world = get_number(root, "world");
    r->threads = get_number(root, "threads");
    r->global_batch = get_number(root, "global_batch");
    r->steps = get_number(root, "steps");
    r->peak_gflops = get_number(root, "peak_gflops");
    r->sgemm_ratio = get_number(root, "sgemm_ratio");
    r->wall_s = get_number(root, "wall_s");
    LENS_TRY(get_text(r, root, "device", &r->device));
    LENS_TRY(get_text(r, root, "version", &r->version));
    LENS_TRY(get_text(r, root, "commit", &r->commit));
    LENS_TRY(get_text(r, root, "build", &r->build));
    LENS_TRY(get_text(r, root, "command", &r->command));
    LENS_TRY(get_text(r, root, "started", &r->started));
    LENS_TRY(get_text(r, root, "finished", &r->finished));
    size_t i;
    const json_t *v;
    json_array_foreach(json_object_get(root, "datasets"), i, v) {
        if (json_is_string(v))
            LENS_TRY(list_add(r, &r->datasets, &r->n_datasets, json_string_value(v), json_string_length(v)));
    }
    return LENS_OK;
}

static lens_status read_run_json(run_log_t *r, const char *path) {
    if (!file_exists(path)) return add_note(r, "run.json is missing: no figures of the model and the machine.");
    char *text = NULL;
    size_t n = 0;
    LENS_TRY(file_read(&text, &n, path, RUN_JSON_MAX_BYTES));
    json_error_t error;
    json_t *root = json_loadb(text, n, 0, &error);
    free(text);
    if (!json_is_object(root)) {
        const char *why = root == NULL ? error.text : "not an object";
        lens_status st = add_note(r, "run.json cannot be read: line %d: %s.", root == NULL ? error.line : 1, why);
        json_decref(root);
        return st;
    }
    lens_status st = take_run_json(r, root);
    json_decref(root);
    if (st == LENS_OK && r->finished == NULL)
        st = add_note(r, "The run has not finished: run.json holds no end. Figures are as of its last step.");
    return st;
}

/* ---- metrics.jsonl ---- */

typedef struct {
    int64_t cap;
    int64_t n_bad, first_bad; /* lines that are no step, without the last one */
    int64_t n_again;          /* steps that a resumed run did a second time */
    char why[200];
} metrics_state_t;

static lens_status metrics_grow(run_log_t *r, metrics_state_t *m) {
    m->cap = m->cap == 0 ? 1024 : m->cap * 2;
    double **arrays[RUN_N_METRICS + 1] = {&r->step};
    for (int k = 0; k < RUN_N_METRICS; k++) arrays[k + 1] = &r->metric[k];
    for (int k = 0; k <= RUN_N_METRICS; k++) {
        double *grown = realloc(*arrays[k], (size_t)m->cap * sizeof **arrays[k]);
        if (grown == NULL) return no_memory(r);
        *arrays[k] = grown;
    }
    return LENS_OK;
}

/* Takes one line; where it is no step, says why and gives false. */
static lens_status take_metrics_line(run_log_t *r, metrics_state_t *m, const char *line, size_t n, bool *ok) {
    static const char *const keys[] = {
#define RUN_METRIC_KEY(name, key) key,
        RUN_METRIC_LIST(RUN_METRIC_KEY)
#undef RUN_METRIC_KEY
    };
    json_error_t error;
    json_t *object = json_loadb(line, n, 0, &error);
    double step = get_number(object, "step");
    *ok = isfinite(step) && fabs(step) <= 9007199254740992.0;
    if (!*ok) {
        snprintf(m->why, sizeof m->why, "%s", object == NULL ? error.text : "it has no step");
        json_decref(object);
        return LENS_OK;
    }
    /* A run resumed from a checkpoint does the steps after it again: the later record is the one that counts. */
    for (; r->n > 0 && r->step[r->n - 1] >= step; r->n--) m->n_again++;
    lens_status st = r->n == m->cap ? metrics_grow(r, m) : LENS_OK;
    if (st == LENS_OK) {
        r->step[r->n] = step;
        for (int k = 0; k < RUN_N_METRICS; k++) r->metric[k][r->n] = get_number(object, keys[k]);
        r->n++;
    }
    json_decref(object);
    return st;
}

static lens_status take_metrics(run_log_t *r, const char *text, size_t n_bytes) {
    metrics_state_t m = {0};
    int64_t line_number = 0;
    for (const char *line = text, *end = text + n_bytes; line < end; line_number++) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *stop = newline != NULL ? newline : end;
        bool ok = true;
        if (stop > line) LENS_TRY(take_metrics_line(r, &m, line, (size_t)(stop - line), &ok));
        if (!ok && newline == NULL) {
            LENS_TRY(add_note(r, "The last line of metrics.jsonl (%" PRId64 ") is cut short and left out.",
                              line_number + 1));
        } else if (!ok && m.n_bad++ == 0) {
            m.first_bad = line_number + 1;
            LENS_TRY(
                add_note(r, "metrics.jsonl: line %" PRId64 " cannot be read and is left out: %s.", m.first_bad, m.why));
        }
        line = stop + 1;
    }
    if (m.n_bad > 1)
        LENS_TRY(add_note(r, "metrics.jsonl: %" PRId64 " lines in all cannot be read and are left out.", m.n_bad));
    if (m.n_again > 0)
        LENS_TRY(add_note(r, "%" PRId64 " steps were done again after a resume; the later record of each is shown.",
                          m.n_again));
    return r->n > 0 ? LENS_OK : add_note(r, "metrics.jsonl holds no step: no charts.");
}

static lens_status read_metrics(run_log_t *r, const char *path) {
    if (!file_exists(path)) return add_note(r, "metrics.jsonl is missing: no charts.");
    char *text = NULL;
    size_t n = 0;
    LENS_TRY(file_read(&text, &n, path, METRICS_MAX_BYTES));
    lens_status st = take_metrics(r, text, n);
    free(text);
    return st;
}

/* ---- samples and texts ---- */

/* The step of "step-00000100.png"; -1 where the name is another. */
static int64_t sample_step(const char *name) {
    if (!str_starts_with(name, "step-") || !str_ends_with(name, ".png")) return -1;
    const char *digits = name + strlen("step-");
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || n > 18 || strcmp(digits + n, ".png") != 0) return -1;
    return (int64_t)strtoll(digits, NULL, 10);
}

static lens_status add_sample(run_log_t *r, const char *dir, const char *name) {
    int64_t step = sample_step(name);
    if (step < 0) return LENS_OK;
    int64_t *steps = realloc(r->sample_steps, ((size_t)r->n_samples + 1) * sizeof *steps);
    if (steps == NULL) return no_memory(r);
    r->sample_steps = steps;
    str_t path = {0};
    str_addf(&path, "%s/%s", dir, name);
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = list_add(r, &r->sample_paths, &r->n_samples, path.s, path.len);
    str_free(&path);
    if (st != LENS_OK) return st;
    /* Names come sorted bytewise: in order already unless steps have outgrown their digits. */
    int64_t i = r->n_samples - 1;
    char *moved = r->sample_paths[i];
    for (; i > 0 && r->sample_steps[i - 1] > step; i--) {
        r->sample_steps[i] = r->sample_steps[i - 1];
        r->sample_paths[i] = r->sample_paths[i - 1];
    }
    r->sample_steps[i] = step;
    r->sample_paths[i] = moved;
    return LENS_OK;
}

static lens_status read_prompts(run_log_t *r, const char *path) {
    if (!file_exists(path)) return add_note(r, "samples/prompts.txt is missing: the samples' prompts are not known.");
    char *text = NULL;
    size_t n = 0;
    LENS_TRY(file_read(&text, &n, path, TEXT_MAX_BYTES));
    lens_status st = LENS_OK;
    for (char *line = text, *end = text + n; st == LENS_OK && line < end;) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        char *stop = newline != NULL ? newline : end;
        st = list_add(r, &r->prompts, &r->n_prompts, line, (size_t)(stop - line));
        line = stop + 1;
    }
    free(text);
    return st;
}

static lens_status read_samples(run_log_t *r, const char *dir) {
    if (!file_is_dir(dir)) return add_note(r, "samples/ is missing: no pictures of the run.");
    char **names = NULL;
    int64_t n = 0;
    LENS_TRY(dir_list(&names, &n, dir));
    lens_status st = LENS_OK;
    for (int64_t i = 0; i < n && st == LENS_OK; i++) st = add_sample(r, dir, names[i]);
    dir_list_free(names, n);
    LENS_TRY(st);
    if (r->n_samples == 0) return add_note(r, "samples/ holds no step-*.png: no pictures of the run.");
    str_t path = {0};
    str_addf(&path, "%s/prompts.txt", dir);
    st = str_status(&path);
    if (st == LENS_OK) st = read_prompts(r, path.s);
    str_free(&path);
    return st;
}

static lens_status read_config(run_log_t *r, const char *path) {
    if (!file_exists(path)) return add_note(r, "config.yaml is missing: the resolved configuration is not known.");
    size_t n = 0;
    return file_read(&r->config, &n, path, TEXT_MAX_BYTES);
}

/* ---- the whole ---- */

static lens_status read_parts(run_log_t *r) {
    static const struct {
        const char *name;
        lens_status (*read)(run_log_t *r, const char *path);
    } parts[] = {{"run.json", read_run_json},
                 {"metrics.jsonl", read_metrics},
                 {"samples", read_samples},
                 {"config.yaml", read_config}};
    str_t path = {0};
    lens_status st = LENS_OK;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && st == LENS_OK; i++) {
        str_clear(&path);
        str_addf(&path, "%s/%s", r->dir, parts[i].name);
        st = str_status(&path);
        if (st == LENS_OK) st = parts[i].read(r, path.s);
    }
    str_free(&path);
    return st;
}

static lens_status check_is_run(const char *dir) {
    if (!file_is_dir(dir)) return lens_fail(LENS_IO, "%s: no such run folder", dir);
    str_t path = {0};
    str_addf(&path, "%s/run.json", dir);
    bool found = !path.failed && file_exists(path.s);
    str_clear(&path);
    str_addf(&path, "%s/metrics.jsonl", dir);
    found = found || (!path.failed && file_exists(path.s));
    lens_status st = str_status(&path);
    str_free(&path);
    LENS_TRY(st);
    return found ? LENS_OK
                 : lens_fail(LENS_FORMAT, "%s: not a run folder: it holds neither run.json nor metrics.jsonl", dir);
}

lens_status run_log_open(run_log_t *out, const char *dir) {
    *out = (run_log_t){.parameters = NAN,
                       .world = NAN,
                       .threads = NAN,
                       .global_batch = NAN,
                       .steps = NAN,
                       .peak_gflops = NAN,
                       .sgemm_ratio = NAN,
                       .wall_s = NAN};
    LENS_TRY(check_is_run(dir));
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/') n--;
    out->dir = strndup(dir, n);
    const char *slash = out->dir != NULL ? strrchr(out->dir, '/') : NULL;
    out->name = out->dir != NULL ? strdup(slash != NULL && slash[1] != '\0' ? slash + 1 : out->dir) : NULL;
    lens_status st = out->name != NULL ? read_parts(out) : lens_fail(LENS_MEMORY, "%s: out of memory", dir);
    if (st != LENS_OK) run_log_free(out);
    return st;
}

void run_log_free(run_log_t *r) {
    char *texts[] = {r->dir,   r->name,    r->device,  r->version,  r->commit,
                     r->build, r->command, r->started, r->finished, r->config};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) free(texts[i]);
    list_free(r->datasets, r->n_datasets);
    list_free(r->sample_paths, r->n_samples);
    list_free(r->prompts, r->n_prompts);
    list_free(r->notes, r->n_notes);
    free(r->sample_steps);
    free(r->step);
    for (int k = 0; k < RUN_N_METRICS; k++) free(r->metric[k]);
    *r = (run_log_t){0};
}
