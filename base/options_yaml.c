/* Config files: YAML mappings, nested, with scalar leaves. "optim: {lr: 1e-4}" and "optim.lr: 1e-4" set the row
 * "optim.lr". Stricter than YAML on purpose: lists, aliases, tags, second documents and doubled keys are errors with
 * their lines. */
#include "base/options.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/file.h"
#include "base/options_private.h"

enum { YAML_BYTES_MAX = 1 << 20, YAML_DEPTH_MAX = 8, YAML_SECTIONS_MAX = 256 };

typedef struct {
    char *name; /* owned; "optim" */
    int line;
} section_t;

typedef struct {
    option_table_t table;
    void *values;
    const char *path;
    yaml_parser_t yaml;
    yaml_event_t event; /* the current one, to be deleted; type 0 where there is none */
    int line;           /* where it starts */
    int *set_line;      /* [table.n]: the line that set the row, 0: none */
    section_t sections[YAML_SECTIONS_MAX];
    int n_sections;
} reader_t;

static lens_status fail_at(const reader_t *r, int line, const char *problem) {
    return lens_fail(LENS_ARGUMENT, "%s:%d: %s", r->path, line, problem);
}

/* libyaml says where in the text a syntax error is, but for bytes that are no text only at which offset. */
static lens_status fail_syntax(const reader_t *r, const char *text) {
    const yaml_parser_t *y = &r->yaml;
    if (y->error == YAML_MEMORY_ERROR) return lens_fail(LENS_MEMORY, "%s: cannot allocate", r->path);
    int line = (int)y->problem_mark.line + 1;
    if (y->error == YAML_READER_ERROR) {
        line = 1;
        for (size_t i = 0; i < y->problem_offset && text[i]; i++) line += text[i] == '\n';
    }
    return lens_fail(LENS_ARGUMENT, "%s:%d: YAML: %s%s%s", r->path, line, y->problem ? y->problem : "syntax error",
                     y->context ? ", " : "", y->context ? y->context : "");
}

static lens_status next_event(reader_t *r, const char *text) {
    yaml_event_delete(&r->event);
    memset(&r->event, 0, sizeof r->event);
    if (!yaml_parser_parse(&r->yaml, &r->event)) return fail_syntax(r, text);
    r->line = (int)r->event.start_mark.line + 1;
    return LENS_OK;
}

/* ---- one scalar or the start of a mapping ---- */

/* Copies the scalar of the current event; an escape can put a NUL into it, which would cut it short. */
static lens_status add_scalar(reader_t *r, str_t *s) {
    const char *value = (const char *)r->event.data.scalar.value;
    size_t n = r->event.data.scalar.length;
    if (r->event.data.scalar.tag) return fail_at(r, r->line, "tags (\"!name\") are not supported");
    if (memchr(value, '\0', n)) return fail_at(r, r->line, "a NUL character");
    str_add_n(s, value, n);
    return str_status(s);
}

/* Plain "null", "~" or nothing after the colon. */
static bool is_null(const yaml_event_t *event) {
    const char *value = (const char *)event->data.scalar.value;
    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return false;
    return !*value || strcmp(value, "~") == 0 || strcmp(value, "null") == 0;
}

static bool is_section(option_table_t t, const char *name) {
    size_t n = strlen(name);
    for (int i = 0; i < t.n; i++) {
        if (strncmp(t.rows[i].name, name, n) == 0 && t.rows[i].name[n] == '.') return true;
    }
    return false;
}

static lens_status set_null(reader_t *r, const option_t *row, const char *where) {
    bool nullable = (row->type == OPTION_STRING || row->type == OPTION_CHOICE) && !row->initial;
    if (!nullable) return lens_fail(LENS_ARGUMENT, "%s: %s has no value", where, row->name);
    char **field = option_field(row, r->values);
    free(*field);
    *field = NULL;
    return LENS_OK;
}

static lens_status read_leaf(reader_t *r, const char *name) {
    str_t where = {0}, value = {0};
    str_addf(&where, "%s:%d", r->path, r->line);
    lens_status st;
    const option_t *row = option_find(r->table, name);
    if (row && r->set_line[row - r->table.rows]) {
        st = lens_fail(LENS_ARGUMENT, "%s: \"%s\" is set twice, first on line %d", str_text(&where), name,
                       r->set_line[row - r->table.rows]);
        goto done;
    }
    if (!row && is_section(r->table, name)) {
        st = lens_fail(LENS_ARGUMENT, "%s: \"%s\" is a section: expected indented keys under it", str_text(&where),
                       name);
        goto done;
    }
    LENS_GO(add_scalar(r, &value));
    if (row && is_null(&r->event))
        LENS_GO(set_null(r, row, str_text(&where)));
    else
        LENS_GO(options_set(r->table, r->values, name, str_text(&value), str_text(&where)));
    r->set_line[row - r->table.rows] = r->line;
done:
    str_free(&where);
    str_free(&value);
    return st;
}

static lens_status fail_unknown_section(const reader_t *r, const char *name) {
    const char *near = NULL;
    char **names = calloc((size_t)r->table.n + 1, sizeof *names);
    if (!names) return lens_fail(LENS_MEMORY, "cannot allocate %d option names", r->table.n);
    int n = 0;
    for (int i = 0; i < r->table.n; i++) {
        const char *dot = strrchr(r->table.rows[i].name, '.');
        if (dot) names[n] = strndup(r->table.rows[i].name, (size_t)(dot - r->table.rows[i].name));
        if (dot && names[n]) n++;
    }
    near = str_nearest(name, (const char *const *)names, n);
    lens_status st = near ? lens_fail(LENS_ARGUMENT, "%s:%d: unknown section \"%s\" (did you mean \"%s\"?)", r->path,
                                      r->line, name, near)
                          : lens_fail(LENS_ARGUMENT, "%s:%d: unknown section \"%s\"", r->path, r->line, name);
    for (int i = 0; i < n; i++) free(names[i]);
    free(names);
    return st;
}

static lens_status open_section(reader_t *r, const char *name) {
    if (r->event.data.mapping_start.tag) return fail_at(r, r->line, "tags (\"!name\") are not supported");
    if (option_find(r->table, name))
        return lens_fail(LENS_ARGUMENT, "%s:%d: %s: expected one value, got a mapping", r->path, r->line, name);
    if (!is_section(r->table, name)) return fail_unknown_section(r, name);
    for (int i = 0; i < r->n_sections; i++) {
        if (strcmp(r->sections[i].name, name) == 0)
            return lens_fail(LENS_ARGUMENT, "%s:%d: section \"%s\" is given twice, first on line %d", r->path, r->line,
                             name, r->sections[i].line);
    }
    if (r->n_sections == YAML_SECTIONS_MAX) return fail_at(r, r->line, "too many sections");
    char *copy = strdup(name);
    if (!copy) return lens_fail(LENS_MEMORY, "cannot allocate a section name");
    r->sections[r->n_sections++] = (section_t){copy, r->line};
    return LENS_OK;
}

/* ---- the document ---- */

static bool is_left_to_others(const reader_t *r, const char *name) {
    for (int i = 0; i < r->table.n; i++) {
        const char *list = r->table.rows[i].config_list;
        if (list && strcmp(list, name) == 0) return true;
    }
    return false;
}

/* From the event after a list's start up to its end. */
static lens_status pass_over_list(reader_t *r, const char *text) {
    for (int depth = 1; depth > 0;) {
        LENS_TRY(next_event(r, text));
        const yaml_event_type_t type = r->event.type;
        depth += type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT;
        depth -= type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT;
    }
    return LENS_OK;
}

/* From the event after a mapping's start up to its end. `prefix` is "" or "section." . */
static lens_status read_mapping(reader_t *r, const char *text, const char *prefix, int depth) {
    if (depth > YAML_DEPTH_MAX) return fail_at(r, r->line, "nested too deeply");
    str_t name = {0};
    lens_status st;
    for (;;) {
        LENS_GO(next_event(r, text));
        if (r->event.type == YAML_MAPPING_END_EVENT) break;
        int key_line = r->line;
        str_clear(&name);
        str_add(&name, prefix);
        if (r->event.type != YAML_SCALAR_EVENT) LENS_GO(fail_at(r, key_line, "expected a key"));
        LENS_GO(add_scalar(r, &name));
        LENS_GO(next_event(r, text));
        r->line = key_line; /* a value may start lines below its key, which is what a person looks for */
        switch (r->event.type) {
        case YAML_SCALAR_EVENT:
            LENS_GO(read_leaf(r, name.s));
            break;
        case YAML_MAPPING_START_EVENT:
            LENS_GO(open_section(r, name.s));
            str_add_char(&name, '.');
            LENS_GO(str_status(&name));
            LENS_GO(read_mapping(r, text, name.s, depth + 1));
            break;
        case YAML_SEQUENCE_START_EVENT:
            if (is_left_to_others(r, name.s)) {
                LENS_GO(pass_over_list(r, text));
                break;
            }
            st = lens_fail(LENS_ARGUMENT, "%s:%d: %s: expected one value, got a list", r->path, key_line, name.s);
            goto done;
        default:
            LENS_GO(fail_at(r, key_line, "aliases (\"*name\") are not supported"));
        }
    }
    st = LENS_OK;
done:
    str_free(&name);
    return st;
}

static lens_status read_stream(reader_t *r, const char *text) {
    LENS_TRY(next_event(r, text)); /* stream start */
    LENS_TRY(next_event(r, text));
    if (r->event.type == YAML_STREAM_END_EVENT) return LENS_OK; /* nothing but comments */
    LENS_TRY(next_event(r, text));                              /* after the document's start */
    bool empty = r->event.type == YAML_SCALAR_EVENT && is_null(&r->event);
    if (r->event.type == YAML_MAPPING_START_EVENT)
        LENS_TRY(read_mapping(r, text, "", 1));
    else if (!empty)
        return fail_at(r, r->line, "expected KEY: VALUE lines");
    LENS_TRY(next_event(r, text)); /* document end */
    LENS_TRY(next_event(r, text));
    if (r->event.type != YAML_STREAM_END_EVENT) return fail_at(r, r->line, "expected one document, got a second");
    return LENS_OK;
}

lens_status options_load_yaml(option_table_t t, void *values, const char *path) {
    char *text = NULL;
    size_t n = 0;
    LENS_TRY(file_read(&text, &n, path, YAML_BYTES_MAX));
    lens_status st;
    reader_t *r = calloc(1, sizeof *r);
    int *set_line = calloc((size_t)t.n + 1, sizeof *set_line);
    if (!r || !set_line || !yaml_parser_initialize(&r->yaml)) {
        st = lens_fail(LENS_MEMORY, "%s: cannot allocate", path);
        free(r);
        r = NULL;
        goto done;
    }
    r->table = t;
    r->values = values;
    r->path = path;
    r->set_line = set_line;
    yaml_parser_set_encoding(&r->yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->yaml, (const unsigned char *)text, n);
    LENS_GO(read_stream(r, text));
done:
    if (r) {
        yaml_event_delete(&r->event);
        yaml_parser_delete(&r->yaml);
        for (int i = 0; i < r->n_sections; i++) free(r->sections[i].name);
    }
    free(r);
    free(set_line);
    free(text);
    return st;
}

/* ---- writing ---- */

static int append(void *out, unsigned char *bytes, size_t n) {
    str_add_n(out, bytes, n);
    return !((str_t *)out)->failed;
}

static bool emit(yaml_emitter_t *y, yaml_event_t *event, int initialised) {
    return initialised && yaml_emitter_emit(y, event); /* the emitter owns the event either way */
}

static bool emit_scalar(yaml_emitter_t *y, const char *text, size_t n, yaml_scalar_style_t style) {
    yaml_event_t e;
    return emit(y, &e, yaml_scalar_event_initialize(&e, NULL, NULL, (const unsigned char *)text, (int)n, 1, 1, style));
}

static bool emit_value(yaml_emitter_t *y, const option_t *row, const void *values, str_t *scratch) {
    const char *text = option_text(row, values, scratch);
    bool quoted = text && row->type == OPTION_STRING;
    if (!text) text = "null";
    return emit_scalar(y, text, strlen(text), quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE);
}

/* A mapping of the rows whose names begin with the first n_prefix bytes of `prefix`. Rows of one section need not stand
 * together in the table: a section is written where its first row stands. */
static bool emit_mapping(yaml_emitter_t *y, option_table_t t, const void *values, const char *prefix, size_t n_prefix,
                         str_t *scratch) {
    yaml_event_t e;
    if (!emit(y, &e, yaml_mapping_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE))) return false;
    for (int i = 0; i < t.n; i++) {
        const char *name = t.rows[i].name;
        if (strncmp(name, prefix, n_prefix) != 0) continue;
        const char *key = name + n_prefix, *dot = strchr(key, '.');
        size_t n_key = dot ? (size_t)(dot - key) : strlen(key);
        bool written = false;
        for (int j = 0; dot && j < i && !written; j++)
            written = strncmp(t.rows[j].name, name, n_prefix + n_key + 1) == 0;
        if (written) continue;
        if (!emit_scalar(y, key, n_key, YAML_PLAIN_SCALAR_STYLE)) return false;
        if (dot && !emit_mapping(y, t, values, name, n_prefix + n_key + 1, scratch)) return false;
        if (!dot && !emit_value(y, &t.rows[i], values, scratch)) return false;
    }
    return emit(y, &e, yaml_mapping_end_event_initialize(&e));
}

static bool emit_document(yaml_emitter_t *y, option_table_t t, const void *values, str_t *scratch) {
    yaml_event_t e;
    return emit(y, &e, yaml_stream_start_event_initialize(&e, YAML_UTF8_ENCODING)) &&
           emit(y, &e, yaml_document_start_event_initialize(&e, NULL, NULL, NULL, 1)) &&
           emit_mapping(y, t, values, "", 0, scratch) && emit(y, &e, yaml_document_end_event_initialize(&e, 1)) &&
           emit(y, &e, yaml_stream_end_event_initialize(&e));
}

void options_write_yaml(str_t *out, option_table_t t, const void *values) {
    yaml_emitter_t y;
    str_t scratch = {0};
    bool written = false;
    if (yaml_emitter_initialize(&y)) {
        yaml_emitter_set_output(&y, append, out);
        yaml_emitter_set_unicode(&y, 1);
        yaml_emitter_set_width(&y, -1); /* no folding */
        written = emit_document(&y, t, values, &scratch);
        yaml_emitter_delete(&y);
    }
    if (!written || scratch.failed) out->failed = true; /* values are UTF-8, checked when set: only memory is left */
    str_free(&scratch);
}
