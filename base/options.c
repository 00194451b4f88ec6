/* The option table: defaults, one value from text, --help. Files are read in options_yaml.c, command lines in
 * options_parse.c. No state; a struct of values belongs to one thread at a time. */
#include "base/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options_private.h"

enum { HELP_COLUMN_MAX = 34 }; /* a longer left side gets a line of its own */

/* ---- text to value ---- */

static bool parse_int(const char *text, int64_t *out) {
    if (*text != '-' && *text != '+' && (*text < '0' || *text > '9')) return false; /* strtoll would skip blanks */
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || errno == ERANGE) return false;
    int64_t factor = 1;
    if (strcmp(end, "Ki") == 0)
        factor = (int64_t)1 << 10;
    else if (strcmp(end, "Mi") == 0)
        factor = (int64_t)1 << 20;
    else if (strcmp(end, "Gi") == 0)
        factor = (int64_t)1 << 30;
    else if (*end)
        return false;
    if (value > INT64_MAX / factor || value < INT64_MIN / factor) return false;
    *out = value * factor;
    return true;
}

/* Decimal only: strtod alone would also take blanks, hexadecimal, "nan" and "inf"; no over- or underflow. */
static bool parse_float(const char *text, double *out) {
    if (!*text || text[strspn(text, "0123456789+-.eE")]) return false;
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end || errno == ERANGE || !isfinite(value)) return false;
    *out = value;
    return true;
}

static bool is_choice(const char *choices, const char *text) {
    size_t n = strlen(text);
    for (const char *c = choices; c; c = strchr(c, '|')) {
        if (*c == '|') c++;
        if (n && strcspn(c, "|") == n && strncmp(c, text, n) == 0) return true;
    }
    return false;
}

/* ---- what a row expects, in words ---- */

/* Beyond 1e15 a bound is the table's way to say "none". */
static bool has_range(const option_t *row) {
    return (row->min != 0 || row->max != 0) && (row->min > -1e15 || row->max < 1e15);
}

static bool in_range(const option_t *row, double value) {
    return (row->min == 0 && row->max == 0) || (value >= row->min && value <= row->max);
}

static void add_bound(str_t *s, double bound) {
    if (bound == floor(bound) && fabs(bound) < 1e15)
        str_addf(s, "%.0f", bound);
    else
        str_addf(s, "%g", bound);
}

/* "1 to 64 px", "at least 1 px". */
static void add_range(str_t *s, const option_t *row) {
    bool low = row->min > -1e15, high = row->max < 1e15;
    if (!high) str_add(s, "at least ");
    if (!low) str_add(s, "at most ");
    if (low) add_bound(s, row->min);
    if (low && high) str_add(s, " to ");
    if (high) add_bound(s, row->max);
    if (row->unit) str_addf(s, " %s", row->unit);
}

static lens_status fail_expected(const option_t *row) {
    str_t s = {0};
    switch (row->type) {
    case OPTION_FLAG:
        str_add(&s, "true or false");
        break;
    case OPTION_INT:
        str_add(&s, "an integer");
        break;
    case OPTION_FLOAT:
        str_add(&s, "a number");
        break;
    case OPTION_STRING:
        str_add(&s, "valid UTF-8");
        break;
    case OPTION_CHOICE:
        str_addf(&s, "one of %s", row->choices);
        break;
    }
    if ((row->type == OPTION_INT || row->type == OPTION_FLOAT) && has_range(row)) {
        str_add(&s, ", ");
        add_range(&s, row);
    }
    lens_status st = lens_fail(LENS_ARGUMENT, "expected %s", str_text(&s));
    str_free(&s);
    return st;
}

/* ---- rows ---- */

const option_t *option_find(option_table_t t, const char *name) {
    for (int i = 0; i < t.n; i++) {
        if (strcmp(t.rows[i].name, name) == 0) return &t.rows[i];
    }
    return NULL;
}

lens_status option_unknown(option_table_t t, const char *name, const char *prefix, const char *problem) {
    const char **names = calloc((size_t)t.n + 1, sizeof *names);
    if (!names) return lens_fail(LENS_MEMORY, "cannot allocate %d option names", t.n);
    for (int i = 0; i < t.n; i++) names[i] = t.rows[i].name;
    const char *near = str_nearest(name, names, t.n);
    lens_status st = near ? lens_fail(LENS_ARGUMENT, "%s (did you mean \"%s%s\"?)", problem, prefix, near)
                          : lens_fail(LENS_ARGUMENT, "%s", problem);
    free(names);
    return st;
}

lens_status option_assign(const option_t *row, void *values, const char *text) {
    void *field = option_field(row, values);
    int64_t integer = 0;
    double number = 0;
    switch (row->type) {
    case OPTION_FLAG:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) return fail_expected(row);
        *(bool *)field = text[0] == 't';
        return LENS_OK;
    case OPTION_INT:
        if (!parse_int(text, &integer) || !in_range(row, (double)integer)) return fail_expected(row);
        *(int64_t *)field = integer;
        return LENS_OK;
    case OPTION_FLOAT:
        if (!parse_float(text, &number) || !in_range(row, number)) return fail_expected(row);
        *(double *)field = number;
        return LENS_OK;
    case OPTION_STRING:
    case OPTION_CHOICE:
        break;
    }
    bool valid = row->type == OPTION_CHOICE ? is_choice(row->choices, text) : str_is_utf8(text);
    if (!valid) return fail_expected(row);
    char *copy = strdup(text);
    if (!copy) return lens_fail(LENS_MEMORY, "cannot allocate %zu bytes", strlen(text) + 1);
    free(*(char **)field);
    *(char **)field = copy;
    return LENS_OK;
}

const char *option_text(const option_t *row, const void *values, str_t *scratch) {
    const void *field = option_field_const(row, values);
    str_clear(scratch);
    switch (row->type) {
    case OPTION_FLAG:
        return *(const bool *)field ? "true" : "false";
    case OPTION_INT:
        str_addf(scratch, "%lld", (long long)*(const int64_t *)field);
        break;
    case OPTION_FLOAT: {
        double value = *(const double *)field;
        char digits[32];
        for (int precision = 6; precision <= 17; precision++) { /* the shortest that reads back the same */
            snprintf(digits, sizeof digits, "%.*g", precision, value);
            if (strtod(digits, NULL) == value) break;
        }
        /* With a dot always: YAML 1.1 readers such as PyYAML take 1e-05 for a string. */
        size_t mantissa = strcspn(digits, "e");
        str_add_n(scratch, digits, mantissa);
        if (!memchr(digits, '.', mantissa)) str_add(scratch, ".0");
        str_add(scratch, digits + mantissa);
        break;
    }
    case OPTION_STRING:
    case OPTION_CHOICE:
        return *(char *const *)field;
    }
    return str_text(scratch);
}

/* ---- tables ---- */

lens_status options_defaults(option_table_t t, void *values) {
    for (int i = 0; i < t.n; i++) { /* all first, so that options_free is right after a failure too */
        void *field = option_field(&t.rows[i], values);
        switch (t.rows[i].type) {
        case OPTION_FLAG:
            *(bool *)field = false;
            break;
        case OPTION_INT:
            *(int64_t *)field = 0;
            break;
        case OPTION_FLOAT:
            *(double *)field = 0;
            break;
        case OPTION_STRING:
        case OPTION_CHOICE:
            *(char **)field = NULL;
            break;
        }
    }
    for (int i = 0; i < t.n; i++) {
        if (!t.rows[i].initial) continue;
        lens_status st = option_assign(&t.rows[i], values, t.rows[i].initial);
        LENS_ASSERT(st != LENS_ARGUMENT, "default of %s: %s", t.rows[i].name, lens_error());
        LENS_TRY(st);
    }
    return LENS_OK;
}

void options_free(option_table_t t, void *values) {
    for (int i = 0; i < t.n; i++) {
        if (t.rows[i].type != OPTION_STRING && t.rows[i].type != OPTION_CHOICE) continue;
        char **field = option_field(&t.rows[i], values);
        free(*field);
        *field = NULL;
    }
}

lens_status options_set(option_table_t t, void *values, const char *name, const char *text, const char *where) {
    const option_t *row = option_find(t, name);
    if (row) return lens_context(option_assign(row, values, text), "%s: %s = \"%s\"", where, name, text);
    str_t problem = {0};
    str_addf(&problem, "%s: unknown key \"%s\"", where, name);
    lens_status st = option_unknown(t, name, "", str_text(&problem));
    str_free(&problem);
    return st;
}

lens_status options_get(str_t *out, option_table_t t, const void *values, const char *name) {
    const option_t *row = option_find(t, name);
    if (!row) {
        str_t problem = {0};
        str_addf(&problem, "unknown key \"%s\"", name);
        lens_status st = option_unknown(t, name, "", str_text(&problem));
        str_free(&problem);
        return st;
    }
    str_t scratch = {0};
    const char *text = option_text(row, values, &scratch);
    if (text) str_add(out, text);
    out->failed |= scratch.failed;
    str_free(&scratch);
    return str_status(out);
}

lens_status options_override(option_table_t t, void *values, int n, char **pairs) {
    for (int i = 0; i < n; i++) {
        const char *equals = strchr(pairs[i], '=');
        if (!equals) return lens_fail(LENS_ARGUMENT, "command line: \"%s\": expected KEY=VALUE", pairs[i]);
        char *name = strndup(pairs[i], (size_t)(equals - pairs[i]));
        if (!name) return lens_fail(LENS_MEMORY, "cannot allocate an option name");
        lens_status st = options_set(t, values, name, equals + 1, "command line");
        free(name);
        LENS_TRY(st);
    }
    return LENS_OK;
}

static bool is_missing(const option_t *row, const void *values) {
    const void *field = option_field_const(row, values);
    const char *text;
    switch (row->type) {
    case OPTION_FLAG:
        return false;
    case OPTION_STRING:
    case OPTION_CHOICE:
        text = *(char *const *)field;
        return !text || !*text;
    case OPTION_INT:
        return !in_range(row, (double)*(const int64_t *)field);
    case OPTION_FLOAT:
        return !in_range(row, *(const double *)field);
    }
    return false;
}

lens_status options_check_required(option_table_t t, const void *values, const char *where) {
    for (int i = 0; i < t.n; i++) {
        const option_t *row = &t.rows[i];
        if (!row->required || !is_missing(row, values)) continue;
        if (where) return lens_fail(LENS_ARGUMENT, "%s: \"%s\" is required: %s", where, row->name, row->help);
        return lens_fail(LENS_ARGUMENT, "--%s is required: %s", row->name, row->help);
    }
    return LENS_OK;
}

/* ---- --help ---- */

static const char *placeholder(const option_t *row) {
    if (row->choices) return row->choices;
    return row->type == OPTION_INT ? "N" : row->type == OPTION_FLOAT ? "X" : "TEXT";
}

static void help_left(str_t *s, const option_t *row) {
    str_clear(s);
    if (strchr(row->name, '.')) {
        str_addf(s, "  %s", row->name);
    } else {
        if (row->letter)
            str_addf(s, "  -%c, --", row->letter);
        else
            str_add(s, "      --");
        if (row->type == OPTION_FLAG && row->initial && row->initial[0] == 't') str_add(s, "[no-]");
        str_add(s, row->name);
    }
    if (row->type != OPTION_FLAG) str_addf(s, "%c%s", strchr(row->name, '.') ? '=' : ' ', placeholder(row));
}

static void help_right(str_t *s, const option_t *row) {
    str_clear(s);
    if (row->required) str_add(s, "required");
    bool is_off = row->type == OPTION_FLAG && (!row->initial || row->initial[0] == 'f');
    if (row->initial && !is_off) {
        str_addf(s, "%sdefault %s", s->len ? "; " : "", row->initial[0] ? row->initial : "\"\"");
        if (row->unit && !has_range(row)) str_addf(s, " %s", row->unit);
    } else if (row->unit && !has_range(row)) {
        str_addf(s, "%s%s", s->len ? "; " : "", row->unit);
    }
    if (has_range(row)) {
        str_add(s, s->len ? "; " : "");
        add_range(s, row);
    }
}

void options_help(str_t *out, option_table_t t) {
    str_t left = {0}, right = {0};
    size_t column = 0;
    for (int i = 0; i < t.n; i++) {
        help_left(&left, &t.rows[i]);
        if (left.len > column && left.len <= HELP_COLUMN_MAX) column = left.len;
    }
    for (int i = 0; i < t.n; i++) {
        help_left(&left, &t.rows[i]);
        help_right(&right, &t.rows[i]);
        str_add(out, str_text(&left));
        if (left.len > column)
            str_addf(out, "\n%*s", (int)column, "");
        else
            str_addf(out, "%*s", (int)(column - left.len), "");
        str_addf(out, "  %s", t.rows[i].help);
        if (right.len) str_addf(out, " (%s)", str_text(&right));
        str_add_char(out, '\n');
    }
    str_free(&left);
    str_free(&right);
}
