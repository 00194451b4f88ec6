/* The gate's configuration: an option table of the rules, made from the list in quality.h. */
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "base/options.h"
#include "recaption/quality_rules.h"

enum { ROWS_MAX = 2 * QUALITY_N + 1, NUMBER_BYTES = 32 };

typedef struct {
    char *language;
    char *action[QUALITY_N];
    double limit[QUALITY_N];
} values_t;

typedef struct {
    option_t rows[ROWS_MAX];
    char limits[QUALITY_N][NUMBER_BYTES]; /* as text: what rows start from */
    int n;
} table_t;

static const char *const action_names[] = {"fixed", "off", "reject", "strip", "flag"};

static const char *const row_names[QUALITY_N][2] = {
#define QUALITY_ROW_NAMES(id, name, action, limit, meaning) {name ".action", name ".limit"},
    QUALITY_LIST(QUALITY_ROW_NAMES)
#undef QUALITY_ROW_NAMES
};

static bool can_strip(int r) {
    return r == QUALITY_MARKUP || r == QUALITY_BOILERPLATE || r == QUALITY_ABSENT || r == QUALITY_TRUNCATED ||
           r == QUALITY_UNFINISHED;
}

/* How many words are too few or too many is the caption kind's, not the rule's. */
static bool has_limit(int r) {
    return r != QUALITY_SHORT && r != QUALITY_LONG;
}

/* Rows start from *o, so that a file may leave rules out. */
static void make_table(table_t *t, const quality_options_t *o) {
    *t = (table_t){0};
    t->rows[t->n++] = (option_t){.name = "caption-language",
                                 .type = OPTION_STRING,
                                 .offset = offsetof(values_t, language),
                                 .initial = o->language,
                                 .help = "that captions are written in"};
    for (int r = 0; r < QUALITY_N; r++) {
        if (o->rules[r].action == QUALITY_FIXED) continue;
        t->rows[t->n++] = (option_t){.name = row_names[r][0],
                                     .type = OPTION_CHOICE,
                                     .offset = offsetof(values_t, action) + (size_t)r * sizeof(char *),
                                     .choices = can_strip(r) ? "off|reject|strip|flag" : "off|reject|flag",
                                     .initial = action_names[o->rules[r].action],
                                     .help = quality_meaning((quality_reason)r)};
        if (!has_limit(r)) continue;
        snprintf(t->limits[r], sizeof t->limits[r], "%.9g", o->rules[r].limit);
        t->rows[t->n++] = (option_t){.name = row_names[r][1],
                                     .type = OPTION_FLOAT,
                                     .offset = offsetof(values_t, limit) + (size_t)r * sizeof(double),
                                     .max = 1e6,
                                     .initial = t->limits[r],
                                     .help = "acts where the value is above"};
    }
}

static quality_action action_of(const char *name) {
    int a = QUALITY_OFF;
    while (strcmp(action_names[a], name) != 0) a++; /* the table admits no other */
    return (quality_action)a;
}

static lens_status take(quality_options_t *o, const values_t *v, const char *path) {
    if (!quality_language_known(v->language))
        return lens_fail(LENS_ARGUMENT,
                         "%s: caption-language: expected en, de, fr, es, it, pt, nl, ru, zh, ja, ko or any, got "
                         "\"%s\"",
                         path, v->language);
    snprintf(o->language, sizeof o->language, "%s", v->language); /* the longest known one fits */
    for (int r = 0; r < QUALITY_N; r++) {
        if (o->rules[r].action == QUALITY_FIXED) continue;
        o->rules[r].action = action_of(v->action[r]);
        if (has_limit(r)) o->rules[r].limit = v->limit[r];
    }
    return LENS_OK;
}

lens_status quality_options_load(quality_options_t *o, const char *path) {
    table_t t;
    values_t v = {0};
    make_table(&t, o);
    option_table_t table = {t.rows, t.n};
    lens_status st = LENS_OK;
    LENS_GO(options_defaults(table, &v));
    LENS_GO(options_load_yaml(table, &v, path));
    st = take(o, &v, path);
done:
    options_free(table, &v);
    return st;
}

lens_status quality_options_write(str_t *yaml, const quality_options_t *o) {
    str_addf(yaml, "caption-language: %s\n", o->language);
    for (int r = 0; r < QUALITY_N; r++) {
        if (o->rules[r].action == QUALITY_FIXED) continue;
        str_addf(yaml, "# %s\n%s:\n  action: %s\n", quality_meaning((quality_reason)r), quality_name((quality_reason)r),
                 action_names[o->rules[r].action]);
        if (has_limit(r)) str_addf(yaml, "  limit: %.9g\n", o->rules[r].limit);
    }
    return str_status(yaml);
}

lens_status quality_options_hash(uint64_t *out, const quality_options_t *o) {
    str_t yaml = {0};
    lens_status st = quality_options_write(&yaml, o);
    *out = st == LENS_OK ? XXH3_64bits(yaml.s, yaml.len) : 0;
    str_free(&yaml);
    return st;
}
