/* Reads the prompts of benchmarks; contract in eval/prompt_suite.h. */
#include "eval/prompt_suite.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/source_rows.h"

enum { PROMPT_MAX_BYTES = 1 << 20, NAME_MAX_BYTES = 100 };
#define SUITE_MAX_BYTES ((size_t)256 << 20)

prompt_suite_layout prompt_suite_layout_of(const char *name) {
    return strcmp(name, "geneval") == 0 ? PROMPT_SUITE_GENEVAL
           : strcmp(name, "dpg") == 0   ? PROMPT_SUITE_DPG
                                        : PROMPT_SUITE_ONEIG;
}

/* ---- items ---- */
/* Copies; `metadata` may be NULL. `where` is for messages. */
static lens_status add(prompt_suite_t *s, const char *where, const char *prompt, const char *path,
                       const char *metadata) {
    if (*prompt == '\0' || !str_is_utf8(prompt)) return lens_fail(LENS_FORMAT, "%s: expected a prompt in UTF-8", where);
    prompt_suite_item_t *grown = realloc(s->items, sizeof *grown * (size_t)(s->n + 1));
    if (!grown) return lens_fail(LENS_MEMORY, "%s: out of memory", where);
    s->items = grown;
    prompt_suite_item_t *item = &grown[s->n++];
    *item = (prompt_suite_item_t){strdup(prompt), strdup(path), metadata ? strdup(metadata) : NULL};
    if (!item->prompt || !item->path || (metadata && !item->metadata))
        return lens_fail(LENS_MEMORY, "%s: out of memory", where);
    return LENS_OK;
}

void prompt_suite_free(prompt_suite_t *s) {
    for (int64_t i = 0; i < s->n; i++) {
        free(s->items[i].prompt);
        free(s->items[i].path);
        free(s->items[i].metadata);
    }
    free(s->items);
    *s = (prompt_suite_t){0};
}

static bool is_file_name(const char *name) {
    return *name && *name != '.' && strlen(name) <= NAME_MAX_BYTES && !strchr(name, '/') && str_is_utf8(name);
}

static int compare_paths(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static lens_status check_apart(const prompt_suite_t *s, const char *path) {
    const char **paths = malloc(sizeof *paths * (size_t)(s->n + 1));
    if (!paths) return lens_fail(LENS_MEMORY, "%s: out of memory", path);
    for (int64_t i = 0; i < s->n; i++) paths[i] = s->items[i].path;
    qsort(paths, (size_t)s->n, sizeof *paths, compare_paths);
    lens_status st = LENS_OK;
    for (int64_t i = 1; i < s->n && st == LENS_OK; i++)
        if (strcmp(paths[i - 1], paths[i]) == 0)
            st = lens_fail(LENS_FORMAT, "%s: two prompts are to be %s", path, paths[i]);
    free(paths);
    return st;
}

/* ---- GenEval ---- */
static lens_status add_line(prompt_suite_t *s, const char *where, const char *line, size_t n) {
    char folder[24];
    json_error_t error;
    json_t *v = json_loadb(line, n, JSON_REJECT_DUPLICATES, &error);
    if (!v) return lens_fail(LENS_FORMAT, "%s: %s", where, error.text);
    const char *prompt = json_string_value(json_object_get(v, "prompt"));
    const char *tag = json_string_value(json_object_get(v, "tag"));
    char *metadata = strndup(line, n);
    snprintf(folder, sizeof folder, "%05" PRId64, s->n);
    lens_status st = !metadata ? lens_fail(LENS_MEMORY, "%s: out of memory", where)
                     : !prompt || !tag
                         ? lens_fail(LENS_FORMAT, "%s: expected an object with \"tag\" and \"prompt\"", where)
                         : add(s, where, prompt, folder, metadata);
    free(metadata);
    json_decref(v);
    return st;
}

/* ---- OneIG-Bench ---- */
enum { COLUMN_CATEGORY, COLUMN_ID, COLUMN_PROMPT, N_COLUMNS };

typedef struct {
    prompt_suite_t *suite;
    const char *model;
    bool begun;            /* the line of names is read */
    int column[N_COLUMNS]; /* of each: its place in a row */
    str_t value[N_COLUMNS];
} oneig_t;

/* Which of the columns has that name; -1: none. */
static int column_of(const char *name) {
    if (strcmp(name, "category") == 0) return COLUMN_CATEGORY;
    if (strcmp(name, "id") == 0) return COLUMN_ID;
    return strcmp(name, "prompt_en") == 0 || strcmp(name, "prompt_cn") == 0 ? COLUMN_PROMPT : -1;
}

static const char *class_of(const char *category) {
    static const char *const CLASSES[][2] = {
        {"Anime_Stylization", "anime"},       {"Portrait", "human"},
        {"General_Object", "object"},         {"Text_Rendering", "text"},
        {"Knowledge_Reasoning", "reasoning"}, {"Multilingualism", "multilingualism"},
    };
    for (size_t i = 0; i < sizeof CLASSES / sizeof CLASSES[0]; i++)
        if (strcmp(category, CLASSES[i][0]) == 0) return CLASSES[i][1];
    return NULL;
}

/* The evaluator's keys have three digits, also where a table of numbers has lost zeros. */
static void add_id(str_t *out, const char *id) {
    size_t n = strlen(id);
    bool digits = strspn(id, "0123456789") == n;
    for (size_t i = n; digits && i < 3; i++) str_add_char(out, '0');
    str_add(out, id);
}

static lens_status add_oneig(oneig_t *o, const char *where) {
    str_t path = {0};
    const char *category = str_text(&o->value[COLUMN_CATEGORY]), *id = str_text(&o->value[COLUMN_ID]);
    for (int i = 0; i < N_COLUMNS; i++)
        if (memchr(str_text(&o->value[i]), '\0', o->value[i].len)) return lens_fail(LENS_FORMAT, "%s: a NUL", where);
    if (!class_of(category)) return lens_fail(LENS_FORMAT, "%s: no category that OneIG-Bench has", where);
    if (!is_file_name(id)) return lens_fail(LENS_FORMAT, "%s: an id that cannot be a file's name", where);
    str_addf(&path, "%s/%s/", class_of(category), o->model);
    add_id(&path, id);
    str_add(&path, ".webp");
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = add(o->suite, where, str_text(&o->value[COLUMN_PROMPT]), path.s, NULL);
    str_free(&path);
    return st;
}

static lens_status oneig_names(oneig_t *o, const char *where, const char *text, size_t n) {
    str_t name = {0};
    bool more = true, twice = false;
    for (int i = 0; i < N_COLUMNS; i++) o->column[i] = -1;
    for (int at = 0; more; at++) {
        more = rows_field(ROWS_CSV, &text, &n, &name);
        int column = column_of(str_text(&name));
        if (column < 0) continue;
        twice |= o->column[column] >= 0;
        o->column[column] = at;
    }
    lens_status st = str_status(&name);
    str_free(&name);
    o->begun = true;
    for (int i = 0; i < N_COLUMNS; i++) twice |= o->column[i] < 0;
    if (st == LENS_OK && twice)
        st = lens_fail(LENS_FORMAT, "%s: expected one column each of category, id, and prompt_en or prompt_cn", where);
    return st;
}

static lens_status oneig_row(oneig_t *o, const char *where, const char *text, size_t n) {
    if (!o->begun) return oneig_names(o, where, text, n);
    str_t field = {0};
    bool more = true;
    lens_status st = LENS_OK;
    for (int i = 0; i < N_COLUMNS; i++) str_clear(&o->value[i]);
    for (int at = 0; more; at++) {
        more = rows_field(ROWS_CSV, &text, &n, &field);
        for (int i = 0; i < N_COLUMNS; i++)
            if (o->column[i] == at) str_add_n(&o->value[i], str_text(&field), field.len);
    }
    st = str_status(&field);
    for (int i = 0; i < N_COLUMNS && st == LENS_OK; i++) st = str_status(&o->value[i]);
    str_free(&field);
    return st == LENS_OK ? add_oneig(o, where) : st;
}

static lens_status oneig_object(oneig_t *o, const char *where, const json_t *v) {
    static const char *const KEYS[] = {"category", "id", "prompt_en", "prompt_cn"};
    for (int i = 0; i < N_COLUMNS; i++) str_clear(&o->value[i]);
    for (int k = 0; k < 4; k++) {
        const char *text = json_string_value(json_object_get(v, KEYS[k]));
        str_t *value = &o->value[column_of(KEYS[k])];
        if (!text) continue;
        if (value->len > 0) return lens_fail(LENS_FORMAT, "%s: both prompt_en and prompt_cn", where);
        str_add(value, text);
    }
    for (int i = 0; i < N_COLUMNS; i++) LENS_TRY(str_status(&o->value[i]));
    return add_oneig(o, where);
}

static lens_status read_array(oneig_t *o, const char *path) {
    char *text = NULL, where[PATH_MAX + 32];
    size_t n = 0, i;
    json_error_t error;
    const json_t *v;
    LENS_TRY(file_read(&text, &n, path, SUITE_MAX_BYTES));
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    free(text);
    if (!root) return lens_fail(LENS_FORMAT, "%s: line %d: %s", path, error.line, error.text);
    lens_status st = json_is_array(root) ? LENS_OK : lens_fail(LENS_FORMAT, "%s: expected an array of prompts", path);
    json_array_foreach(root, i, v) {
        snprintf(where, sizeof where, "%s: prompt %zu", path, i);
        if (st == LENS_OK) st = oneig_object(o, where, v);
    }
    json_decref(root);
    return st;
}

/* ---- files of rows ---- */
static lens_status read_rows(oneig_t *o, const char *path) {
    int fd;
    rows_t rows = {0};
    char where[PATH_MAX + 32], mark[3];
    size_t got = 0;
    bool geneval = o->suite->layout == PROMPT_SUITE_GENEVAL;
    LENS_TRY(file_open(&fd, path));
    lens_status st = file_read_some(fd, mark, sizeof mark, 0, &got, path);
    /* Spreadsheets put a byte order mark before the first name. */
    uint64_t begin = st == LENS_OK && got == 3 && memcmp(mark, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    if (st == LENS_OK) st = rows_init(&rows, fd, path, geneval ? ROWS_JSONL : ROWS_CSV, begin, UINT64_MAX, 1);
    while (st == LENS_OK && (st = rows_next(&rows)) == LENS_OK) {
        snprintf(where, sizeof where, "%s: line %" PRId64, path, rows.line);
        if (rows.fault) st = lens_fail(LENS_FORMAT, "%s: %s", where, rows.fault);
        if (st == LENS_OK)
            st = geneval ? add_line(o->suite, where, rows.text, rows.n) : oneig_row(o, where, rows.text, rows.n);
    }
    rows_free(&rows);
    close(fd);
    return st == LENS_END ? LENS_OK : st;
}

static lens_status read_oneig(prompt_suite_t *s, const char *path, const char *model) {
    oneig_t o = {.suite = s, .model = model};
    if (!is_file_name(model)) return lens_fail(LENS_ARGUMENT, "\"%s\": a model's name is a folder's here", model);
    lens_status st = str_ends_with(path, ".json") ? read_array(&o, path) : read_rows(&o, path);
    for (int i = 0; i < N_COLUMNS; i++) str_free(&o.value[i]);
    return st;
}

/* ---- DPG-Bench ---- */
static lens_status add_file(prompt_suite_t *s, const char *dir, const char *name) {
    str_t path = {0}, out = {0};
    char *text = NULL;
    size_t n = 0;
    lens_status st = LENS_OK;
    str_addf(&path, "%s/%s", dir, name);
    str_add_n(&out, name, strlen(name) - strlen(".txt"));
    str_add(&out, ".png");
    LENS_GO(str_status(&path));
    LENS_GO(str_status(&out));
    LENS_GO(file_read(&text, &n, path.s, PROMPT_MAX_BYTES));
    if (strlen(text) != n) LENS_GO(lens_fail(LENS_FORMAT, "%s: expected text", path.s));
    while (n > 0 && isspace((unsigned char)text[n - 1])) text[--n] = '\0';
    st = add(s, path.s, text + strspn(text, " \t\r\n"), out.s, NULL);
done:
    free(text);
    str_free(&path);
    str_free(&out);
    return st;
}

static lens_status read_folder(prompt_suite_t *s, const char *dir) {
    char **names;
    int64_t n;
    LENS_TRY(dir_list(&names, &n, dir));
    lens_status st = LENS_OK;
    for (int64_t i = 0; i < n && st == LENS_OK; i++)
        if (str_ends_with(names[i], ".txt") && names[i][0] != '.') st = add_file(s, dir, names[i]);
    dir_list_free(names, n);
    return st;
}

lens_status prompt_suite_read(prompt_suite_t *out, const char *path, prompt_suite_layout layout, const char *model) {
    *out = (prompt_suite_t){.layout = layout};
    oneig_t lines = {.suite = out};
    lens_status st = layout == PROMPT_SUITE_DPG       ? read_folder(out, path)
                     : layout == PROMPT_SUITE_GENEVAL ? read_rows(&lines, path)
                                                      : read_oneig(out, path, model);
    if (st == LENS_OK && out->n == 0) st = lens_fail(LENS_FORMAT, "%s: no prompts", path);
    if (st == LENS_OK) st = check_apart(out, path);
    if (st != LENS_OK) prompt_suite_free(out);
    return st;
}
