/* Command lines in GNU style. Names are exact: an abbreviation that works today would be ambiguous tomorrow. An option
 * given twice has its last value, as everywhere else in a shell. */
#include "base/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/options_private.h"

typedef struct {
    option_table_t table;
    void *values;
    int argc, next; /* next: the argument to read */
    char **argv;
} parser_t;

static bool looks_like_option(const char *text) {
    if (text[0] != '-' || !text[1]) return false; /* "-" alone is a file name */
    bool is_number = (text[1] >= '0' && text[1] <= '9') || (text[1] == '.' && text[2] >= '0' && text[2] <= '9');
    return !is_number;
}

/* The value after an option. One that looks like an option is more likely a forgotten value than a value. */
static lens_status take_value(parser_t *p, const char *shown, const char **value) {
    if (p->next >= p->argc) return lens_fail(LENS_ARGUMENT, "%s: expected a value after it", shown);
    const char *text = p->argv[p->next];
    if (looks_like_option(text)) {
        const char *joint = shown[1] == '-' ? "=" : "";
        return lens_fail(LENS_ARGUMENT, "%s: expected a value, got \"%s\" (if that is the value: %s%s%s)", shown, text,
                         shown, joint, text);
    }
    p->next++;
    *value = text;
    return LENS_OK;
}

static lens_status assign(parser_t *p, const option_t *row, const char *shown, const char *value) {
    return lens_context(option_assign(row, p->values, value), "%s \"%s\"", shown, value);
}

static lens_status unknown_option(parser_t *p, const char *name, const char *shown) {
    str_t problem = {0};
    str_addf(&problem, "unknown option \"%s\"", shown);
    lens_status st = option_unknown(p->table, name, "--", str_text(&problem));
    str_free(&problem);
    return st;
}

/* `name`: the argument without "--" and "=value"; `value`: what follows "=", or NULL. */
static lens_status parse_long(parser_t *p, const char *name, const char *value, const char *shown) {
    const option_t *row = option_find(p->table, name);
    bool on = true;
    if (!row && str_starts_with(name, "no-")) {
        row = option_find(p->table, name + 3);
        if (row && row->type != OPTION_FLAG) row = NULL;
        on = false;
    }
    if (!row) return unknown_option(p, name, shown);
    if (row->type == OPTION_FLAG) {
        if (value) return lens_fail(LENS_ARGUMENT, "%s takes no value, got \"%s\"", shown, value);
        return option_assign(row, p->values, on ? "true" : "false");
    }
    if (!value) LENS_TRY(take_value(p, shown, &value));
    return assign(p, row, shown, value);
}

static const option_t *find_letter(option_table_t t, char letter) {
    for (int i = 0; i < t.n; i++) {
        if (t.rows[i].letter == letter) return &t.rows[i];
    }
    return NULL;
}

/* -x VALUE, -xVALUE, and flags together: -vq. */
static lens_status parse_letters(parser_t *p, const char *letters) {
    for (; *letters; letters++) {
        char shown[] = {'-', *letters, '\0'};
        const option_t *row = find_letter(p->table, *letters);
        if (!row) return unknown_option(p, shown + 1, shown);
        if (row->type == OPTION_FLAG) {
            LENS_TRY(option_assign(row, p->values, "true"));
            continue;
        }
        const char *value = letters + 1;
        if (!*value) LENS_TRY(take_value(p, shown, &value));
        return assign(p, row, shown, value);
    }
    return LENS_OK;
}

static lens_status parse_option(parser_t *p, const char *argument) {
    if (argument[1] != '-') return parse_letters(p, argument + 1);
    const char *equals = strchr(argument, '=');
    str_t shown = {0};
    str_add_n(&shown, argument, equals ? (size_t)(equals - argument) : strlen(argument));
    lens_status st = str_status(&shown);
    if (st == LENS_OK) st = parse_long(p, shown.s + 2, equals ? equals + 1 : NULL, shown.s);
    str_free(&shown);
    return st;
}

static lens_status parse_all(option_table_t t, void *values, int argc, char **argv, char **args, int *n_args) {
    parser_t p = {.table = t, .values = values, .argc = argc, .argv = argv};
    *n_args = 0;
    bool only_args = false;
    while (p.next < argc) {
        char *argument = argv[p.next++];
        if (only_args || argument[0] != '-' || !argument[1])
            args[(*n_args)++] = argument;
        else if (strcmp(argument, "--") == 0)
            only_args = true;
        else
            LENS_TRY(parse_option(&p, argument));
    }
    return LENS_OK;
}

/* A file that names another file would be read or not by the order of keys: it is refused. */
static lens_status load_config(option_table_t t, void *values, const option_t *row) {
    char **field = option_field(row, values);
    char *path = strdup(*field);
    if (!path) return lens_fail(LENS_MEMORY, "cannot allocate the name of a file");
    lens_status st = options_load_yaml(t, values, path);
    if (st == LENS_OK && (!*field || strcmp(*field, path) != 0))
        st = lens_fail(LENS_ARGUMENT, "%s: \"%s\" is for the command line alone", path, row->name);
    free(path);
    return st;
}

lens_status options_parse(option_table_t t, void *values, int argc, char **argv, char **args, int *n_args) {
    LENS_TRY(parse_all(t, values, argc, argv, args, n_args));
    for (int i = 0; i < t.n; i++) {
        const option_t *row = &t.rows[i];
        if (!row->config_list || !*(char **)option_field(row, values)) continue;
        LENS_TRY(load_config(t, values, row));
        LENS_TRY(parse_all(t, values, argc, argv, args, n_args)); /* the command line has the last word */
    }
    return LENS_OK;
}
