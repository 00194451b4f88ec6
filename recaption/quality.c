#include "recaption/quality.h"

#include <jansson.h>
#include <string.h>

#include "recaption/quality_rules.h"
#include "recaption/words.h"

enum { ALT_MAX_BYTES = 16 << 10 };

static double contradiction(const quality_case_t *c) {
    return c->input->facts ? facts_contradictions(c->input->facts, c->text) : 0;
}

/* Of scripts that put no space between words two characters make about a word. */
static int64_t count_words(const char *text) {
    int64_t n_wide = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) n_wide += *p >= 0xE3 && *p <= 0xE9 && p[1];
    return words_count(text) + n_wide / 2;
}

static double short_by(const quality_case_t *c) {
    int64_t n = count_words(c->text->text);
    return n < c->options->min_words ? (double)n : -1;
}

static double long_by(const quality_case_t *c) {
    int64_t n = count_words(c->text->text);
    return n > c->options->max_words ? (double)n : -1;
}

static const struct {
    double (*measure)(const quality_case_t *c);
    bool (*strip)(str_t *out, const quality_case_t *c); /* NULL: cannot */
} rules[QUALITY_N] = {
    [QUALITY_ENCODING] = {quality_encoding, NULL},
    [QUALITY_REFUSED] = {quality_refused, NULL},
    [QUALITY_MARKUP] = {quality_markup, quality_strip_markup},
    [QUALITY_BOILERPLATE] = {quality_boilerplate, quality_strip_boilerplate},
    [QUALITY_PROMPT] = {quality_prompt, NULL},
    [QUALITY_LOOP] = {quality_loop, NULL},
    [QUALITY_LANGUAGE] = {quality_language, NULL},
    [QUALITY_ABSENT] = {quality_absent, quality_strip_absent},
    [QUALITY_TRUNCATED] = {quality_truncated, quality_strip_tail},
    [QUALITY_UNFINISHED] = {quality_unfinished, quality_strip_tail},
    [QUALITY_CONTRADICTION] = {contradiction, NULL},
    [QUALITY_ECHO] = {quality_echo, NULL},
    [QUALITY_JUNK] = {quality_junk, NULL},
    [QUALITY_NAMES] = {quality_names, NULL},
    [QUALITY_WATERMARK] = {quality_watermark, NULL},
    [QUALITY_SHORT] = {short_by, NULL},
    [QUALITY_LONG] = {long_by, NULL},
};

const char *quality_name(quality_reason r) {
    static const char *const names[] = {
#define QUALITY_NAME(id, name, action, limit, meaning) name,
        QUALITY_LIST(QUALITY_NAME)
#undef QUALITY_NAME
    };
    return names[r];
}

const char *quality_meaning(quality_reason r) {
    static const char *const meanings[] = {
#define QUALITY_MEANING(id, name, action, limit, meaning) meaning,
        QUALITY_LIST(QUALITY_MEANING)
#undef QUALITY_MEANING
    };
    return meanings[r];
}

static void reject(quality_t *q, quality_reason r, double value) {
    if (q->reason != QUALITY_ACCEPTED) return;
    q->reason = r;
    q->value = value;
}

/* Puts the stripped text in the place of the text, and reads it anew; *done is false where that cannot be done. */
static lens_status strip(quality_t *q, quality_reason r, const quality_case_t *c, quality_text_t *text, bool *done) {
    str_t left = {0};
    *done = rules[r].strip && rules[r].strip(&left, c) && left.len > 0;
    lens_status st = str_status(&left);
    if (st != LENS_OK || !*done) {
        str_free(&left);
        return st;
    }
    quality_text_free(text);
    str_free(&q->text);
    q->text = left;
    q->stripped |= 1u << r;
    return quality_text_read(text, q->text.s);
}

static void note(quality_t *q, quality_reason r, double value) {
    q->fired |= 1u << r;
    q->values[r] = value;
}

static lens_status apply(quality_t *q, const quality_options_t *o, const quality_case_t *c, quality_text_t *text) {
    for (int r = 0; r < QUALITY_N; r++) {
        quality_action action = o->rules[r].action;
        if (!rules[r].measure || action == QUALITY_OFF) continue;
        double value = rules[r].measure(c);
        bool by_length = r == QUALITY_SHORT || r == QUALITY_LONG;
        if (by_length ? value < 0 : value <= o->rules[r].limit) continue;
        note(q, (quality_reason)r, value);
        bool done = action == QUALITY_FLAG;
        if (action == QUALITY_STRIP) LENS_TRY(strip(q, (quality_reason)r, c, text, &done));
        if (!done) reject(q, (quality_reason)r, value);
    }
    return LENS_OK;
}

/* A tail that was cut off may leave too little. */
static void check_rest(quality_t *q, const quality_options_t *o, const quality_case_t *c) {
    double n_words = short_by(c);
    quality_action action = o->rules[QUALITY_SHORT].action;
    if (n_words < 0 || action == QUALITY_OFF || (q->fired >> QUALITY_SHORT & 1)) return;
    note(q, QUALITY_SHORT, n_words);
    if (action == QUALITY_REJECT) reject(q, QUALITY_SHORT, n_words);
}

static const char *or_empty(const char *text) {
    return text ? text : "";
}

static lens_status read_others(quality_text_t *alt, quality_text_t *prompt, const quality_input_t *in) {
    const char *a = or_empty(in->alt);
    if (strnlen(a, ALT_MAX_BYTES + 1) <= ALT_MAX_BYTES) LENS_TRY(quality_text_read(alt, a));
    return quality_text_read(prompt, or_empty(in->prompt));
}

lens_status quality_check(quality_t *out, const quality_options_t *o, const quality_input_t *in) {
    *out = (quality_t){0};
    quality_text_t text = {0}, alt = {0}, prompt = {0};
    quality_case_t c = {.options = o, .input = in, .text = &text, .alt = &alt, .prompt = &prompt};
    c.is_tags = strcmp(or_empty(in->style), "tags") == 0;
    lens_status st = LENS_OK;
    const char *answer = or_empty(in->text);
    str_add(&out->text, answer);
    LENS_GO(str_status(&out->text));
    out->n_words = count_words(answer);
    if (out->n_words == 0 || out->text.len > QUALITY_TEXT_MAX_BYTES) {
        reject(out, out->n_words ? QUALITY_LONG : QUALITY_EMPTY, (double)out->n_words);
        out->fired = 1u << out->reason;
        goto done;
    }
    LENS_GO(read_others(&alt, &prompt, in));
    LENS_GO(quality_text_read(&text, out->text.s));
    LENS_GO(apply(out, o, &c, &text));
    check_rest(out, o, &c);
    out->has_claims = !in->facts && out->reason == QUALITY_ACCEPTED &&
                      o->rules[QUALITY_CONTRADICTION].action != QUALITY_OFF && facts_claimed(&text);
    out->n_words = count_words(out->text.s);
done:
    quality_text_free(&text);
    quality_text_free(&alt);
    quality_text_free(&prompt);
    if (st != LENS_OK) quality_free(out);
    return st;
}

void quality_free(quality_t *q) {
    str_free(&q->text);
    *q = (quality_t){0};
}

static void add_names(str_t *json, const char *key, uint32_t set) {
    if (!set) return;
    str_addf(json, ",\"%s\":[", key);
    const char *comma = "";
    for (int r = 0; r < QUALITY_N; r++) {
        if (!(set >> r & 1)) continue;
        str_addf(json, "%s\"%s\"", comma, quality_name((quality_reason)r));
        comma = ",";
    }
    str_add_char(json, ']');
}

void quality_add_json(str_t *json, const quality_t *q) {
    add_names(json, "flags", q->fired & ~q->stripped & ~(q->reason == QUALITY_ACCEPTED ? 0 : 1u << q->reason));
    add_names(json, "stripped", q->stripped);
    if (!q->fired) return;
    const char *before = ",\"values\":{";
    for (int r = 0; r < QUALITY_N; r++) {
        if (!(q->fired >> r & 1)) continue;
        str_addf(json, "%s\"%s\":%.9g", before, quality_name((quality_reason)r), q->values[r]);
        before = ",";
    }
    str_add_char(json, '}');
}

int quality_find(const char *name) {
    for (int r = 0; name && r < QUALITY_N; r++)
        if (strcmp(quality_name((quality_reason)r), name) == 0) return r;
    return -1;
}

lens_status quality_read_json(quality_t *q, const json_t *record) {
    json_t *values = json_object_get(record, "values"), *stripped = json_object_get(record, "stripped"), *value;
    const char *name;
    if ((values && !json_is_object(values)) || (stripped && !json_is_array(stripped)))
        return lens_fail(LENS_FORMAT, "expected values as an object and stripped as a list");
    json_object_foreach(values, name, value) {
        const int r = quality_find(name);
        if (r < 0 || !json_is_number(value)) return lens_fail(LENS_FORMAT, "values: no rule '%.40s'", name);
        note(q, (quality_reason)r, json_number_value(value));
    }
    for (size_t i = 0; i < json_array_size(stripped); i++) {
        const int r = quality_find(json_string_value(json_array_get(stripped, i)));
        if (r < 0 || !(q->fired >> r & 1)) return lens_fail(LENS_FORMAT, "stripped: a rule without a value");
        q->stripped |= 1u << r;
    }
    return LENS_OK;
}
