/* Judging a sample, and what a chain says of itself. */
#include "data/filter_private.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NONE_BELOW (-INFINITY)
#define NONE_ABOVE INFINITY

#define LIMITS(a, b, from, to) .limits = true, .min = (a), .max = (b), .lowest = (from), .highest = (to)
const filter_kind_t filter_kinds[FILTER_KINDS] = {
    [FILTER_CORRUPT] = {.name = "corrupt"},
    [FILTER_AREA] = {.name = "area", LIMITS(384 * 384, NONE_ABOVE, 1, 1e12)},
    [FILTER_SIDE] = {.name = "side", LIMITS(NONE_BELOW, NONE_ABOVE, 1, 1e9)},
    [FILTER_ASPECT] = {.name = "aspect", LIMITS(NONE_BELOW, 3, 1, 1e9)},
    [FILTER_NSFW] = {.name = "nsfw", LIMITS(NONE_BELOW, 0.3, -1e9, 1e9), .score = true},
    [FILTER_AESTHETIC] = {.name = "aesthetic", LIMITS(3, NONE_ABOVE, -1e9, 1e9), .score = true},
    [FILTER_WATERMARK] = {.name = "watermark", LIMITS(NONE_BELOW, 0.5, -1e9, 1e9), .score = true},
    [FILTER_BLUR] = {.name = "blur", LIMITS(50, NONE_ABOVE, 0, 1e7), .pixels = true},
    [FILTER_ENTROPY] = {.name = "entropy", LIMITS(3, NONE_ABOVE, 0, 8), .pixels = true},
    [FILTER_LUMINANCE] = {.name = "luminance", LIMITS(0.05, 0.98, 0, 1), .pixels = true},
    [FILTER_NEAR_DUPLICATE] = {.name = "near_duplicate", .pixels = true},
    [FILTER_ALT_TEXT] = {.name = "alt_text"},
};

void filter_stage_init(filter_stage_t *s, filter_kind kind, int line) {
    *s = (filter_stage_t){.kind = kind,
                          .line = line,
                          .enabled = true,
                          .min = filter_kinds[kind].min,
                          .max = filter_kinds[kind].max,
                          .radius = 3,
                          .embedding_cosine = 0.985,
                          .embedding_max_samples = 1000000};
    filter_text_init(&s->text);
}

void filter_stage_free(filter_stage_t *s) {
    for (int i = 0; i < s->n_columns; i++) free(s->column[i]);
    free(s->embedding_dir);
    free(s->embedding_name);
    filter_text_free(&s->text);
    *s = (filter_stage_t){0};
}

void filter_chain_free(filter_chain_t *c) {
    if (!c) return;
    for (int i = 0; i < c->n; i++) filter_stage_free(&c->stage[i]);
    free(c);
}

int filter_chain_n(const filter_chain_t *c) {
    return c->n;
}

static const filter_kind_t *kind_of(const filter_chain_t *c, int stage) {
    LENS_ASSERT(stage >= 0 && stage < c->n, "stage %d of %d", stage, c->n);
    return &filter_kinds[c->stage[stage].kind];
}

const char *filter_chain_name(const filter_chain_t *c, int stage) {
    return kind_of(c, stage)->name;
}

int filter_chain_find(const filter_chain_t *c, const char *name) {
    for (int i = 0; i < c->n; i++)
        if (strcmp(kind_of(c, i)->name, name) == 0) return i;
    return -1;
}

bool filter_chain_near_duplicate(const filter_chain_t *c, filter_near_duplicate_t *out) {
    *out = (filter_near_duplicate_t){.stage = filter_chain_find(c, filter_kinds[FILTER_NEAR_DUPLICATE].name)};
    if (out->stage < 0) return false;
    const filter_stage_t *s = &c->stage[out->stage];
    out->radius = s->radius;
    out->embedding_dir = s->embedding_dir;
    out->embedding_name = s->embedding_name;
    out->embedding_cosine = s->embedding_cosine;
    out->embedding_max_samples = s->embedding_max_samples;
    return true;
}

/* ---- what a chain says of itself ---- */

static void add_comma(str_t *out, size_t begin) {
    if (out->len > begin) str_add(out, ", ");
}

void filter_chain_limits(const filter_chain_t *c, int stage, str_t *out) {
    const filter_stage_t *s = &c->stage[stage];
    size_t begin = out->len;
    if (kind_of(c, stage)->limits && s->min > NONE_BELOW) str_addf(out, "min %.15g", s->min);
    if (kind_of(c, stage)->limits && s->max < NONE_ABOVE) {
        add_comma(out, begin);
        str_addf(out, "max %.15g", s->max);
    }
    if (s->kind == FILTER_NEAR_DUPLICATE) str_addf(out, "radius %d", s->radius);
    if (s->embedding_dir) str_addf(out, ", cosine %.15g", s->embedding_cosine);
    if (s->kind == FILTER_ALT_TEXT) filter_text_limits(&s->text, out);
}

void filter_chain_describe(const filter_chain_t *c, str_t *out) {
    static const char *const missing[] = {"fail", "keep", "drop"};
    for (int i = 0; i < c->n; i++) {
        const filter_stage_t *s = &c->stage[i];
        str_addf(out, "%s%s", filter_chain_name(c, i), s->kind == FILTER_CORRUPT ? "" : ": ");
        filter_chain_limits(c, i, out);
        for (int k = 0; k < s->n_columns; k++) {
            str_add(out, k ? "|" : ", column ");
            str_add_json(out, s->column[k], strlen(s->column[k]));
        }
        if (s->n_columns) str_addf(out, ", missing %s", missing[s->missing]);
        if (s->embedding_dir) {
            str_add(out, ", embedding name ");
            str_add_json(out, s->embedding_name, strlen(s->embedding_name));
        }
        str_add_char(out, '\n');
    }
}

/* ---- scores ---- */

typedef struct {
    const filter_sample_t *sample;
    json_t *meta; /* parsed when the first score is asked for */
} judged_t;

static lens_status parse_meta(judged_t *j) {
    const char *text = j->sample->meta && *j->sample->meta ? j->sample->meta : "{}";
    json_error_t error;
    if (j->meta) return LENS_OK;
    j->meta = json_loads(text, 0, &error);
    if (!j->meta) return lens_fail(LENS_FORMAT, "metadata: %s", error.text);
    if (!json_is_object(j->meta)) return lens_fail(LENS_FORMAT, "metadata: expected a JSON object");
    return LENS_OK;
}

static bool number_of_word(filter_kind kind, const char *word, double *out) {
    static const struct {
        const char *word;
        double value;
    } words[] = {{"UNLIKELY", 0}, {"UNSURE", 0.5}, {"NSFW", 1}};
    for (size_t i = 0; kind == FILTER_NSFW && i < sizeof words / sizeof *words; i++)
        if (strcasecmp(word, words[i].word) == 0) {
            *out = words[i].value;
            return true;
        }
    char *end;
    *out = strtod(word, &end);
    return end != word && *end == '\0';
}

/* *out is NaN where the value counts as absent. */
static lens_status number_of(const filter_stage_t *s, const char *column, const json_t *value, double *out) {
    *out = NAN;
    if (json_is_number(value)) *out = json_number_value(value);
    if (!value || json_is_null(value) || json_is_number(value)) return LENS_OK;
    const char *word = json_string_value(value);
    if (!word) return lens_fail(LENS_FORMAT, "column \"%s\": expected a number", column);
    if (!*word || number_of_word(s->kind, word, out)) return LENS_OK;
    return lens_fail(LENS_FORMAT, "column \"%s\": expected a number, got \"%.60s\"", column, word);
}

/* The first column that has a value; *out is NaN where none has. */
static lens_status score(judged_t *j, const filter_stage_t *s, double *out) {
    LENS_TRY(parse_meta(j));
    *out = NAN;
    for (int i = 0; i < s->n_columns && isnan(*out); i++)
        LENS_TRY(number_of(s, s->column[i], json_object_get(j->meta, s->column[i]), out));
    return LENS_OK;
}

static void add_columns(str_t *out, const filter_stage_t *s) {
    for (int i = 0; i < s->n_columns; i++) str_addf(out, "%s\"%s\"", i ? ", " : "", s->column[i]);
}

/* ---- judging ---- */

static void add_number(str_t *out, double x, int digits) {
    if (x == floor(x) && fabs(x) < 1e15)
        str_addf(out, "%.0f", x);
    else
        str_addf(out, "%.*g", digits, x);
}

/* True where the value is refused: then the verdict says so. */
static bool refused(const filter_stage_t *s, int stage, const char *what, double value, double min, double max,
                    filter_verdict_t *out) {
    if (value >= min && value <= max) return false;
    double limit = value < min ? min : max;
    /* As few digits as tell the value from the limit. */
    int digits = fabs(value - limit) > 1e-3 * fabs(limit) ? 4 : 12;
    out->stage = stage;
    out->value = value;
    str_add(&out->reason, what ? what : filter_kinds[s->kind].name);
    str_add_char(&out->reason, ' ');
    add_number(&out->reason, value, digits);
    str_add(&out->reason, value < min ? ", expected at least " : ", expected at most ");
    add_number(&out->reason, limit, 12);
    return true;
}

static lens_status judge_score(judged_t *j, const filter_stage_t *s, int stage, filter_verdict_t *out) {
    double value;
    lens_status st = score(j, s, &value);
    if (st != LENS_OK) return lens_context(st, "%s", filter_kinds[s->kind].name);
    if (!isnan(value)) {
        refused(s, stage, NULL, value, s->min, s->max, out);
        return LENS_OK;
    }
    str_t columns = {0};
    add_columns(&columns, s);
    if (s->missing == FILTER_MISSING_FAIL)
        st = lens_fail(LENS_FORMAT,
                       "%s: the metadata has none of the columns %s; name the right one with \"column\", or "
                       "set \"missing\" to keep or drop",
                       filter_kinds[s->kind].name, str_text(&columns));
    out->missing |= UINT32_C(1) << stage;
    if (s->missing == FILTER_MISSING_DROP) {
        out->stage = stage;
        out->value = NAN;
        str_addf(&out->reason, "%s missing, expected one of the columns %s", filter_kinds[s->kind].name,
                 str_text(&columns));
    }
    str_free(&columns);
    return st;
}

static void judge_size(const filter_sample_t *sample, const filter_stage_t *s, int stage, filter_verdict_t *out) {
    double width = sample->width, height = sample->height, shorter = fmin(width, height), longer = fmax(width, height);
    if (s->kind == FILTER_AREA) refused(s, stage, NULL, width * height, s->min, s->max, out);
    if (s->kind == FILTER_ASPECT) refused(s, stage, NULL, longer / shorter, s->min, s->max, out);
    if (s->kind != FILTER_SIDE) return;
    if (!refused(s, stage, "shorter side", shorter, s->min, NONE_ABOVE, out))
        refused(s, stage, "longer side", longer, NONE_BELOW, s->max, out);
}

static double measured(const image_stats_t *stats, filter_kind kind) {
    return kind == FILTER_BLUR ? stats->blur : kind == FILTER_ENTROPY ? stats->entropy : stats->luminance;
}

static lens_status judge_stage(judged_t *j, const filter_stage_t *s, int stage, filter_verdict_t *out) {
    const filter_sample_t *sample = j->sample;
    switch (s->kind) {
    case FILTER_AREA:
    case FILTER_SIDE:
    case FILTER_ASPECT:
        judge_size(sample, s, stage, out);
        return LENS_OK;
    case FILTER_NSFW:
    case FILTER_AESTHETIC:
    case FILTER_WATERMARK:
        return judge_score(j, s, stage, out);
    case FILTER_BLUR:
    case FILTER_ENTROPY:
    case FILTER_LUMINANCE:
        refused(s, stage, NULL, measured(sample->stats, s->kind), s->min, s->max, out);
        return LENS_OK;
    case FILTER_ALT_TEXT:
        if (!filter_text_passes(&s->text, sample->alt ? sample->alt : "", &out->value, &out->reason))
            out->stage = stage;
        return LENS_OK;
    case FILTER_CORRUPT:
    case FILTER_NEAR_DUPLICATE:
    case FILTER_KINDS:
        break;
    }
    return LENS_OK;
}

void filter_verdict_free(filter_verdict_t *v) {
    str_free(&v->reason);
    *v = (filter_verdict_t){0};
}

lens_status filter_chain_judge(const filter_chain_t *c, const filter_sample_t *s, filter_verdict_t *out) {
    judged_t j = {.sample = s};
    lens_status st = LENS_OK;
    str_clear(&out->reason);
    *out = (filter_verdict_t){.stage = -1, .reason = out->reason};
    for (int i = 0; i < c->n && st == LENS_OK && out->stage < 0 && !out->pending; i++) {
        out->pending = kind_of(c, i)->pixels && !s->stats;
        if (!out->pending) st = judge_stage(&j, &c->stage[i], i, out);
    }
    json_decref(j.meta);
    return st != LENS_OK ? st : str_status(&out->reason);
}
