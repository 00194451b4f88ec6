/* The names of a condition as values of a dataset's samples. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "data/text.h"
#include "data/where.h"

struct where_sample {
    const where_t *w;
    const dataset_t *d;
    int64_t i;
    bool has_info;
    sample_info_t info;
    json_t *meta;                 /* of the sample, NULL: not parsed yet */
    str_t texts[WHERE_MAX_NAMES]; /* by name */
    str_t scratch;
};

/* What follows the prefix, or NULL. */
static const char *after(const char *name, const char *prefix) {
    return str_starts_with(name, prefix) ? name + strlen(prefix) : NULL;
}

static const char *kind_of(const char *name) {
    const char *kind = after(name, "caption.");
    return kind ? kind : after(name, "words.");
}

lens_status where_sample_new(where_sample_t **out, const where_t *w, const dataset_t *d) {
    *out = NULL;
    for (int i = 0; i < where_n_names(w); i++) {
        const char *kind = kind_of(where_name(w, i));
        if (kind && !dataset_has_kind(d, kind))
            return lens_fail(LENS_ARGUMENT, "%s: no captions of kind \"%s\"", dataset_dir(d), kind);
    }
    where_sample_t *s = calloc(1, sizeof *s);
    if (!s) return lens_fail(LENS_MEMORY, "out of memory for a condition");
    s->w = w;
    s->d = d;
    *out = s;
    return LENS_OK;
}

void where_sample_free(where_sample_t *s) {
    if (!s) return;
    for (int i = 0; i < WHERE_MAX_NAMES; i++) str_free(&s->texts[i]);
    str_free(&s->scratch);
    json_decref(s->meta);
    free(s);
}

static lens_status info_number(where_sample_t *s, const char *name, where_value_t *out, bool *known) {
    static const char *const names[] = {"width",  "height", "original_width", "original_height",
                                        "aspect", "area",   "bytes"};
    int i = 0;
    while (i < 7 && strcmp(names[i], name) != 0) i++;
    *known = i < 7;
    if (!*known) return LENS_OK;
    if (!s->has_info) LENS_TRY(dataset_info(s->d, s->i, &s->info));
    s->has_info = true;
    const sample_info_t *f = &s->info;
    const double values[] = {f->width,
                             f->height,
                             f->original_width,
                             f->original_height,
                             (double)f->width / f->height,
                             (double)f->width * f->height,
                             (double)f->image_bytes};
    *out = (where_value_t){.type = WHERE_NUMBER, .number = values[i]};
    return LENS_OK;
}

/* The member of that name; where there is none, "a.b" is the member b of the object a. */
static const json_t *member(const json_t *object, const char *name) {
    const json_t *v = json_object_get(object, name);
    for (const char *dot = strchr(name, '.'); !v && dot; dot = strchr(dot + 1, '.')) {
        const json_t *inner = json_object_getn(object, name, (size_t)(dot - name));
        if (json_is_object(inner)) v = member(inner, dot + 1);
    }
    return v;
}

static lens_status meta_value(where_sample_t *s, const char *name, str_t *text, where_value_t *out) {
    if (!s->meta) {
        LENS_TRY(dataset_meta(s->d, s->i, &s->scratch));
        s->meta = json_loadb(s->scratch.s, s->scratch.len, 0, NULL);
        if (!json_is_object(s->meta))
            return lens_fail(LENS_FORMAT, "metadata of sample %lld is no JSON object", (long long)s->i);
    }
    const json_t *v = member(s->meta, name);
    if (json_is_number(v)) {
        *out = (where_value_t){.type = WHERE_NUMBER, .number = json_number_value(v)};
    } else if (json_is_boolean(v)) {
        *out = (where_value_t){.type = WHERE_BOOL, .truth = json_is_true(v)};
    } else if (json_is_string(v)) {
        str_clear(text);
        str_add_n(text, json_string_value(v), json_string_length(v));
        LENS_TRY(str_status(text));
        *out = (where_value_t){.type = WHERE_TEXT, .text = str_text(text)};
    } else if (v && !json_is_null(v)) {
        return lens_fail(LENS_ARGUMENT, "%s of sample %lld is %s: no value to compare", name, (long long)s->i,
                         json_is_array(v) ? "a list" : "an object");
    }
    return LENS_OK;
}

static lens_status text_value(where_sample_t *s, const char *name, str_t *text, where_value_t *out, bool *known) {
    bool words = strcmp(name, "words") == 0 || str_starts_with(name, "words.");
    const char *kind = kind_of(name);
    *known = true;
    if (strcmp(name, "key") == 0) {
        LENS_TRY(dataset_key(s->d, s->i, text));
    } else if (strcmp(name, "format") == 0) {
        LENS_TRY(dataset_image(s->d, s->i, text));
        const char *extension = picture_extension(text->s, text->len);
        *out = (where_value_t){.type = WHERE_TEXT, .text = !extension ? "unknown" : extension};
        return LENS_OK;
    } else if (kind || words || strcmp(name, "alt") == 0) {
        LENS_TRY(dataset_caption(s->d, s->i, kind ? kind : "alt", text));
    } else {
        *known = false;
        return LENS_OK;
    }
    if (words)
        *out = (where_value_t){.type = WHERE_NUMBER, .number = (double)text_count_words(text->s, text->len)};
    else
        *out = (where_value_t){.type = WHERE_TEXT, .text = str_text(text)};
    return LENS_OK;
}

static lens_status lookup(void *context, int index, where_value_t *out) {
    where_sample_t *s = context;
    const char *name = where_name(s->w, index), *column = after(name, "meta.");
    bool known;
    *out = (where_value_t){0};
    if (!column) {
        LENS_TRY(info_number(s, name, out, &known));
        if (!known) LENS_TRY(text_value(s, name, &s->texts[index], out, &known));
        if (known) return LENS_OK;
        column = name;
    }
    return meta_value(s, column, &s->texts[index], out);
}

lens_status where_sample_eval(where_sample_t *s, int64_t i, bool *out) {
    s->i = i;
    s->has_info = false;
    json_decref(s->meta);
    s->meta = NULL;
    return where_eval(s->w, lookup, s, out);
}
