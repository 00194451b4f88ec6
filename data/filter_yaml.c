/* Reads a chain from YAML, by libyaml's documents. Stricter than YAML on purpose: tags, second documents, doubled keys
 * and unknown names are errors with their lines. */
#include "data/filter_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/file.h"
#include "data/columns_known.h"
#include "data/near_dup.h"

enum { YAML_BYTES_MAX = 1 << 20 };

typedef struct {
    const char *path;
    yaml_document_t document;
} reader_t;

/* As lens_fail, with the place before the message. */
#define FAIL(r, node, ...) (lens_set_error(__VA_ARGS__), add_place(r, node), LENS_ARGUMENT)

static int line_of(const yaml_node_t *node) {
    return (int)node->start_mark.line + 1;
}

static void add_place(const reader_t *r, const yaml_node_t *node) {
    lens_context(LENS_ARGUMENT, "%s:%d", r->path, line_of(node));
}

static yaml_node_t *node_at(reader_t *r, int id) {
    return yaml_document_get_node(&r->document, id);
}

/* ---- values ---- */

static lens_status get_text(const reader_t *r, const yaml_node_t *node, const char *what, const char **out) {
    if (node->type != YAML_SCALAR_NODE) return FAIL(r, node, "%s: expected one value", what);
    if (strcmp((const char *)node->tag, YAML_STR_TAG) != 0)
        return FAIL(r, node, "%s: tags (\"!name\") are not supported", what);
    *out = (const char *)node->data.scalar.value;
    if (memchr(*out, '\0', node->data.scalar.length)) return FAIL(r, node, "%s: a NUL character", what);
    return LENS_OK;
}

static bool is_plain(const yaml_node_t *node) {
    return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static bool is_null(const yaml_node_t *node) {
    const char *text = (const char *)node->data.scalar.value;
    return is_plain(node) && (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

static lens_status get_number(const reader_t *r, const yaml_node_t *node, const char *what, double lowest,
                              double highest, double *out) {
    const char *text, *digits = "+-.0123456789eE";
    char *end = NULL;
    LENS_TRY(get_text(r, node, what, &text));
    *out = strtod(text, &end);
    if (!is_plain(node) || !*text || *end || strspn(text, digits) != strlen(text))
        return FAIL(r, node, "%s: expected a number, got \"%s\"", what, text);
    if (!(*out >= lowest && *out <= highest))
        return FAIL(r, node, "%s: expected %.15g to %.15g, got %s", what, lowest, highest, text);
    return LENS_OK;
}

static lens_status get_integer(const reader_t *r, const yaml_node_t *node, const char *what, double lowest,
                               double highest, int64_t *out) {
    double x;
    LENS_TRY(get_number(r, node, what, lowest, highest, &x));
    if (x != floor(x)) return FAIL(r, node, "%s: expected a whole number, got %.15g", what, x);
    *out = (int64_t)x;
    return LENS_OK;
}

static lens_status get_bool(const reader_t *r, const yaml_node_t *node, const char *what, bool *out) {
    const char *text;
    LENS_TRY(get_text(r, node, what, &text));
    *out = strcmp(text, "true") == 0;
    if (is_plain(node) && (*out || strcmp(text, "false") == 0)) return LENS_OK;
    return FAIL(r, node, "%s: expected true or false, got \"%s\"", what, text);
}

static lens_status get_copy(const reader_t *r, const yaml_node_t *node, const char *what, char **out) {
    const char *text;
    LENS_TRY(get_text(r, node, what, &text));
    if (!*text) return FAIL(r, node, "%s: has no value", what);
    free(*out);
    *out = strdup(text);
    return *out ? LENS_OK : lens_fail(LENS_MEMORY, "%s: cannot allocate", r->path);
}

/* A path that begins with no slash begins in the folder of the YAML file. */
static lens_status get_path(const reader_t *r, const yaml_node_t *node, const char *what, char **out) {
    LENS_TRY(get_copy(r, node, what, out));
    const char *slash = strrchr(r->path, '/');
    if (**out == '/' || !slash) return LENS_OK;
    str_t path = {0};
    str_add_n(&path, r->path, (size_t)(slash + 1 - r->path));
    str_add(&path, *out);
    lens_status st = str_status(&path);
    if (st != LENS_OK) {
        str_free(&path);
        return st;
    }
    free(*out);
    *out = path.s; /* moves */
    return LENS_OK;
}

static lens_status get_missing(const reader_t *r, const yaml_node_t *node, const char *what, filter_missing *out) {
    static const char *const names[] = {"fail", "keep", "drop"};
    const char *text;
    LENS_TRY(get_text(r, node, what, &text));
    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (filter_missing)i;
            return LENS_OK;
        }
    return FAIL(r, node, "%s: expected fail, keep or drop, got \"%s\"", what, text);
}

static lens_status add_column(filter_stage_t *s, const char *name) {
    s->column[s->n_columns] = strdup(name);
    if (!s->column[s->n_columns]) return lens_fail(LENS_MEMORY, "cannot allocate the name of a column");
    s->n_columns++;
    return LENS_OK;
}

/* A name, or a list of names. */
static lens_status get_columns(reader_t *r, const yaml_node_t *node, const char *what, filter_stage_t *s) {
    const char *name;
    if (node->type != YAML_SEQUENCE_NODE) {
        LENS_TRY(get_text(r, node, what, &name));
        if (!*name) return FAIL(r, node, "%s: has no value", what);
        return add_column(s, name);
    }
    const yaml_node_item_t *item = node->data.sequence.items.start, *end = node->data.sequence.items.top;
    if (item == end || end - item > FILTER_COLUMNS_MAX)
        return FAIL(r, node, "%s: expected 1 to %d names, got %d", what, FILTER_COLUMNS_MAX, (int)(end - item));
    for (; item < end; item++) {
        LENS_TRY(get_text(r, node_at(r, *item), what, &name));
        if (!*name) return FAIL(r, node_at(r, *item), "%s: an empty name", what);
        LENS_TRY(add_column(s, name));
    }
    return LENS_OK;
}

/* ---- parameters ---- */

typedef enum {
    PARAM_BOOL,
    PARAM_LIMIT, /* of the kind's range; null: none */
    PARAM_NUMBER,
    PARAM_INT,
    PARAM_INT64,
    PARAM_TEXT,
    PARAM_PATH, /* from the folder of the YAML file */
    PARAM_COLUMNS,
    PARAM_MISSING,
    PARAM_EMBEDDING,
} param_type;

enum { OF_ALL = 1, OF_LIMITS, OF_SCORES, OF_NEAR_DUPLICATE, OF_ALT_TEXT, OF_EMBEDDING };

typedef struct {
    const char *name;
    int of;
    param_type type;
    size_t offset; /* in filter_stage_t */
    double lowest, highest;
} param_t;

#define AT(field) offsetof(filter_stage_t, field)
static const param_t params[] = {
    {"enabled", OF_ALL, PARAM_BOOL, AT(enabled), 0, 0},
    {"min", OF_LIMITS, PARAM_LIMIT, AT(min), 0, 0},
    {"max", OF_LIMITS, PARAM_LIMIT, AT(max), 0, 0},
    {"column", OF_SCORES, PARAM_COLUMNS, 0, 0, 0},
    {"missing", OF_SCORES, PARAM_MISSING, AT(missing), 0, 0},
    {"radius", OF_NEAR_DUPLICATE, PARAM_INT, AT(radius), 0, NEAR_DUP_RADIUS_MAX},
    {"embedding", OF_NEAR_DUPLICATE, PARAM_EMBEDDING, 0, 0, 0},
    {"dir", OF_EMBEDDING, PARAM_PATH, AT(embedding_dir), 0, 0},
    {"name", OF_EMBEDDING, PARAM_TEXT, AT(embedding_name), 0, 0},
    {"cosine", OF_EMBEDDING, PARAM_NUMBER, AT(embedding_cosine), 0, 1},
    {"max_samples", OF_EMBEDDING, PARAM_INT64, AT(embedding_max_samples), 1, 1e9},
    {"min_chars", OF_ALT_TEXT, PARAM_INT64, AT(text.min_chars), 0, 1e9},
    {"max_chars", OF_ALT_TEXT, PARAM_INT64, AT(text.max_chars), 0, 1e9},
    {"min_words", OF_ALT_TEXT, PARAM_INT64, AT(text.min_words), 0, 1e9},
    {"max_words", OF_ALT_TEXT, PARAM_INT64, AT(text.max_words), 0, 1e9},
    {"min_letters", OF_ALT_TEXT, PARAM_NUMBER, AT(text.min_letters), 0, 1},
    {"boilerplate", OF_ALT_TEXT, PARAM_BOOL, AT(text.boilerplate), 0, 0},
    {"boilerplate_file", OF_ALT_TEXT, PARAM_PATH, AT(text.file), 0, 0},
};
enum { N_PARAMS = sizeof params / sizeof *params };

/* Whether a mapping of the stage takes the parameter; `inside`: the mapping under its embedding. */
static bool takes(filter_kind kind, bool inside, const param_t *p) {
    const filter_kind_t *k = &filter_kinds[kind];
    if (inside) return p->of == OF_EMBEDDING;
    return p->of == OF_ALL || (p->of == OF_LIMITS && k->limits) || (p->of == OF_SCORES && k->score) ||
           (p->of == OF_NEAR_DUPLICATE && kind == FILTER_NEAR_DUPLICATE) ||
           (p->of == OF_ALT_TEXT && kind == FILTER_ALT_TEXT);
}

static lens_status fail_unknown(const reader_t *r, const yaml_node_t *node, const char *what, const char *name,
                                const char *const *names, int n) {
    str_t all = {0};
    const char *near = str_nearest(name, names, n);
    for (int i = 0; i < n; i++) str_addf(&all, "%s%s", i ? ", " : "", names[i]);
    lens_status st = near ? FAIL(r, node, "unknown %s \"%s\" (did you mean \"%s\"?)", what, name, near)
                          : FAIL(r, node, "unknown %s \"%s\": expected one of %s", what, name, str_text(&all));
    str_free(&all);
    return st;
}

static lens_status find_param(const reader_t *r, const yaml_node_t *key, const filter_stage_t *s, bool inside,
                              int *out) {
    const char *name, *names[N_PARAMS], *stage = filter_kinds[s->kind].name;
    int n = 0;
    LENS_TRY(get_text(r, key, stage, &name));
    for (int i = 0; i < N_PARAMS; i++) {
        if (!takes(s->kind, inside, &params[i])) continue;
        *out = i;
        if (strcmp(params[i].name, name) == 0) return LENS_OK;
        names[n++] = params[i].name;
    }
    str_t what = {0};
    str_addf(&what, "parameter of %s%s", stage, inside ? "'s embedding" : "");
    lens_status st = fail_unknown(r, key, str_text(&what), name, names, n);
    str_free(&what);
    return st;
}

static lens_status read_mapping(reader_t *r, const yaml_node_t *node, filter_stage_t *s, bool inside);

static lens_status read_embedding(reader_t *r, const yaml_node_t *node, filter_stage_t *s) {
    if (node->type != YAML_MAPPING_NODE) return FAIL(r, node, "embedding: expected {dir: DIR, ...}");
    LENS_TRY(read_mapping(r, node, s, true));
    if (!s->embedding_dir) return FAIL(r, node, "embedding: expected \"dir\"");
    if (s->embedding_name) return LENS_OK;
    s->embedding_name = strdup("{source}.npy");
    return s->embedding_name ? LENS_OK : lens_fail(LENS_MEMORY, "%s: cannot allocate", r->path);
}

static lens_status read_limit(const reader_t *r, const yaml_node_t *node, const filter_stage_t *s, const param_t *p,
                              double *out) {
    const filter_kind_t *k = &filter_kinds[s->kind];
    if (!is_null(node)) return get_number(r, node, p->name, k->lowest, k->highest, out);
    *out = p->offset == AT(min) ? -INFINITY : INFINITY;
    return LENS_OK;
}

static lens_status read_value(reader_t *r, const yaml_node_t *node, filter_stage_t *s, const param_t *p) {
    void *field = (char *)s + p->offset;
    int64_t n;
    switch (p->type) {
    case PARAM_BOOL:
        return get_bool(r, node, p->name, field);
    case PARAM_LIMIT:
        return read_limit(r, node, s, p, field);
    case PARAM_NUMBER:
        return get_number(r, node, p->name, p->lowest, p->highest, field);
    case PARAM_INT:
        LENS_TRY(get_integer(r, node, p->name, p->lowest, p->highest, &n));
        *(int *)field = (int)n;
        return LENS_OK;
    case PARAM_INT64:
        return get_integer(r, node, p->name, p->lowest, p->highest, field);
    case PARAM_TEXT:
        return get_copy(r, node, p->name, field);
    case PARAM_PATH:
        return get_path(r, node, p->name, field);
    case PARAM_COLUMNS:
        return get_columns(r, node, p->name, s);
    case PARAM_MISSING:
        return get_missing(r, node, p->name, field);
    case PARAM_EMBEDDING:
        return read_embedding(r, node, s);
    }
    return LENS_OK;
}

static lens_status read_mapping(reader_t *r, const yaml_node_t *node, filter_stage_t *s, bool inside) {
    int first_line[N_PARAMS] = {0};
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start, *end = node->data.mapping.pairs.top;
    for (; pair < end; pair++) {
        const yaml_node_t *key = node_at(r, pair->key);
        int at;
        LENS_TRY(find_param(r, key, s, inside, &at));
        if (first_line[at])
            return FAIL(r, key, "\"%s\" is given twice, first on line %d", params[at].name, first_line[at]);
        first_line[at] = line_of(key);
        LENS_TRY(read_value(r, node_at(r, pair->value), s, &params[at]));
    }
    return LENS_OK;
}

/* ---- stages ---- */

/* What needs the whole stage: limits that exclude each other, defaults of lists. */
static lens_status finish_stage(const reader_t *r, const yaml_node_t *node, filter_stage_t *s) {
    const filter_kind_t *k = &filter_kinds[s->kind];
    if (k->limits && s->min > s->max)
        return FAIL(r, node, "%s: min %.15g is above max %.15g (null takes a default away)", k->name, s->min, s->max);
    if (k->limits && s->min == -INFINITY && s->max == INFINITY)
        return FAIL(r, node, "%s: expected min or max: without a limit it refuses nothing", k->name);
    if (s->text.min_chars > s->text.max_chars || s->text.min_words > s->text.max_words)
        return FAIL(r, node, "%s: a minimum is above its maximum", k->name);
    const bool by_default = k->score && s->n_columns == 0;
    for (const char *const *name = columns_known(k->name); by_default && *name; name++) LENS_TRY(add_column(s, *name));
    if (!s->enabled) return LENS_OK;
    lens_status st = filter_text_load(&s->text);
    return st == LENS_OK ? LENS_OK : lens_context(st, "%s:%d", r->path, line_of(node));
}

static lens_status find_kind(const reader_t *r, const yaml_node_t *node, filter_kind *out) {
    const char *name, *names[FILTER_KINDS];
    LENS_TRY(get_text(r, node, "filters", &name));
    for (int i = 0; i < FILTER_KINDS; i++) {
        names[i] = filter_kinds[i].name;
        *out = (filter_kind)i;
        if (strcmp(names[i], name) == 0) return LENS_OK;
    }
    return fail_unknown(r, node, "filter", name, names, FILTER_KINDS);
}

/* seen: the line each kind was given on, 0: not yet. A stage that fails halfway is freed with the chain. */
static lens_status read_stage(reader_t *r, const yaml_node_t *node, filter_chain_t *c, int seen[FILTER_KINDS]) {
    const yaml_node_t *name = node, *value = NULL;
    if (node->type == YAML_MAPPING_NODE) {
        const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
        if (node->data.mapping.pairs.top - pair != 1)
            return FAIL(r, node,
                        "expected one filter in each item of the list, got %d keys (parameters belong under the "
                        "filter's name, further indented)",
                        (int)(node->data.mapping.pairs.top - pair));
        name = node_at(r, pair->key);
        value = node_at(r, pair->value);
    }
    filter_kind kind;
    LENS_TRY(find_kind(r, name, &kind));
    if (seen[kind])
        return FAIL(r, name, "filter \"%s\" is given twice, first on line %d", filter_kinds[kind].name, seen[kind]);
    seen[kind] = line_of(name);
    filter_stage_t *s = &c->stage[c->n++];
    filter_stage_init(s, kind, line_of(name));
    if (value && value->type != YAML_MAPPING_NODE && !is_null(value))
        return FAIL(r, name, "%s: expected {PARAMETER: VALUE, ...}", filter_kinds[kind].name);
    if (value && value->type == YAML_MAPPING_NODE) LENS_TRY(read_mapping(r, value, s, false));
    LENS_TRY(finish_stage(r, name, s));
    if (s->enabled) return LENS_OK;
    filter_stage_free(s);
    c->n--;
    return LENS_OK;
}

/* Near-duplicates are sought among what all others keep, so that no sample falls to one that was itself dropped. */
static lens_status check_order(const reader_t *r, const filter_chain_t *c) {
    for (int i = 0; i + 1 < c->n; i++)
        if (c->stage[i].kind == FILTER_NEAR_DUPLICATE)
            return lens_fail(LENS_ARGUMENT, "%s:%d: near_duplicate: expected last in the list, got %s after it",
                             r->path, c->stage[i].line, filter_kinds[c->stage[i + 1].kind].name);
    return LENS_OK;
}

/* Keys with one value are options of the command whose file it is: base/options.h reads and checks those. */
static lens_status read_document(reader_t *r, filter_chain_t *c) {
    const yaml_node_t *root = yaml_document_get_root_node(&r->document), *list = NULL;
    int seen[FILTER_KINDS] = {0}, n_options = 0;
    if (!root) return lens_fail(LENS_ARGUMENT, "%s: expected \"filters:\" and a list, got nothing", r->path);
    if (root->type != YAML_MAPPING_NODE) return FAIL(r, root, "expected \"filters:\" and a list");
    const yaml_node_pair_t *pair = root->data.mapping.pairs.start, *end = root->data.mapping.pairs.top;
    for (; pair < end; pair++) {
        const yaml_node_t *key = node_at(r, pair->key);
        const char *name;
        LENS_TRY(get_text(r, key, "a key", &name));
        if (strcmp(name, "filters") != 0) {
            if (node_at(r, pair->value)->type != YAML_SCALAR_NODE)
                return FAIL(r, key, "unknown key \"%s\": expected filters", name);
            n_options++;
            continue;
        }
        if (list) return FAIL(r, key, "\"filters\" is given twice");
        list = node_at(r, pair->value);
    }
    if (!list && n_options > 0) return LENS_OK;
    if (!list || list->type != YAML_SEQUENCE_NODE)
        return FAIL(r, list ? list : root, "expected a list under \"filters:\" (an empty one is [])");
    const yaml_node_item_t *item = list->data.sequence.items.start, *last = list->data.sequence.items.top;
    for (; item < last; item++) LENS_TRY(read_stage(r, node_at(r, *item), c, seen));
    return check_order(r, c);
}

/* ---- the file ---- */

/* libyaml says where a syntax error is, but for bytes that are no text only at which offset. */
static lens_status fail_syntax(const char *path, const yaml_parser_t *y, const char *text) {
    if (y->error == YAML_MEMORY_ERROR) return lens_fail(LENS_MEMORY, "%s: cannot allocate", path);
    int line = (int)y->problem_mark.line + 1;
    if (y->error == YAML_READER_ERROR) {
        line = 1;
        for (size_t i = 0; i < y->problem_offset && text[i]; i++) line += text[i] == '\n';
    }
    return lens_fail(LENS_ARGUMENT, "%s:%d: YAML: %s", path, line, y->problem ? y->problem : "syntax error");
}

static lens_status load(yaml_parser_t *y, const char *path, const char *text, filter_chain_t *c) {
    reader_t r = {.path = path};
    if (!yaml_parser_load(y, &r.document)) return fail_syntax(path, y, text);
    lens_status st = read_document(&r, c);
    yaml_document_delete(&r.document);
    LENS_TRY(st);
    if (!yaml_parser_load(y, &r.document)) return fail_syntax(path, y, text);
    const yaml_node_t *second = yaml_document_get_root_node(&r.document);
    if (second) st = FAIL(&r, second, "expected one document, got a second");
    yaml_document_delete(&r.document);
    return st;
}

lens_status filter_chain_new(filter_chain_t **out, const char *yaml_path) {
    *out = NULL;
    filter_chain_t *c = calloc(1, sizeof *c);
    if (!c) return lens_fail(LENS_MEMORY, "cannot allocate a chain of filters");
    if (!yaml_path) {
        *out = c;
        return LENS_OK;
    }
    char *text = NULL;
    size_t n = 0;
    yaml_parser_t y;
    lens_status st = file_read(&text, &n, yaml_path, YAML_BYTES_MAX);
    if (st != LENS_OK) goto done;
    if (!yaml_parser_initialize(&y)) LENS_GO(lens_fail(LENS_MEMORY, "%s: cannot allocate", yaml_path));
    yaml_parser_set_encoding(&y, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&y, (const unsigned char *)text, n);
    st = load(&y, yaml_path, text, c);
    yaml_parser_delete(&y);
done:
    free(text);
    if (st == LENS_OK)
        *out = c;
    else
        filter_chain_free(c);
    return st;
}
