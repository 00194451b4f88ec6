/* The texts of a sample: its .txt and .json, or else its name. All of it is hostile: sizes were bounded on reading,
 * what is not UTF-8 is repaired and counted, what is not JSON rejects the sample. */
#include "data/source_kinds.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

void sidecar_clear(sidecar_t *s) {
    s->has_txt = s->has_json = false;
    str_clear(&s->txt);
    str_clear(&s->json);
}

void sidecar_free(sidecar_t *s) {
    str_free(&s->txt);
    str_free(&s->json);
}

/* ---- names ---- */

static bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}
static bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
static bool is_letter(char c) {
    return is_upper(c) || is_lower(c) || (unsigned char)c >= 0x80;
}

/* "007", "12345" (an id, a date) and "(2)" count pictures; "3" and "747" may be what the picture shows. */
static bool word_is_counter(const char *word, size_t n) {
    bool bracketed = n > 2 && word[0] == '(' && word[n - 1] == ')';
    if (bracketed) word++, n -= 2;
    for (size_t i = 0; i < n; i++)
        if (!is_digit(word[i])) return false;
    return n > 0 && (bracketed || word[0] == '0' || n >= 5);
}

static void drop_counters(str_t *text, size_t begin) {
    while (text->len > begin) {
        size_t word = text->len;
        while (word > begin && text->s[word - 1] != ' ') word--;
        if (!word_is_counter(text->s + word, text->len - word)) return;
        text->len = word > begin ? word - 1 : begin;
        text->s[text->len] = '\0';
    }
}

void source_text_from_name(str_t *out, const char *name, size_t n) {
    size_t begin = out->len;
    bool letters = false;
    for (size_t i = 0; i < n; i++) {
        bool separator = strchr("_-+. ", name[i]) != NULL;
        bool hump = i > 0 && is_lower(name[i - 1]) && is_upper(name[i]);
        if ((separator || hump) && out->len > begin && !out->failed && out->s[out->len - 1] != ' ')
            str_add_char(out, ' ');
        if (separator) continue;
        letters |= is_letter(name[i]);
        str_add_char(out, name[i]);
    }
    if (out->failed || out->len == begin) return;
    if (out->s[out->len - 1] == ' ') out->s[--out->len] = '\0';
    if (letters)
        drop_counters(out, begin);
    else
        out->s[out->len = begin] = '\0';
}

/* ---- sidecars ---- */

/* Appends the text without surrounding white space and byte order mark. */
static bool add_trimmed(str_t *out, const char *text, size_t n) {
    if (n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) text += 3, n -= 3;
    while (n && isspace((unsigned char)text[0])) text++, n--;
    while (n && isspace((unsigned char)text[n - 1])) n--;
    return str_add_utf8(out, text, n);
}

static size_t bare_word(const char *p, const char *const *words, size_t n_words) {
    for (size_t i = 0; i < n_words; i++)
        if (strncmp(p, words[i], strlen(words[i])) == 0) return strlen(words[i]);
    return 0;
}

/* Python's json module writes NaN and Infinity, which JSON does not know: null. An escaped NUL has no place in our
 * texts: U+FFFD. Strings are otherwise left alone. */
static void add_strict_json(str_t *out, const str_t *json) {
    static const char *const words[] = {"NaN", "-Infinity", "Infinity"};
    bool in_string = false;
    for (const char *p = json->s; *p;) {
        size_t skip = in_string ? 0 : bare_word(p, words, 3);
        if (skip) {
            str_add(out, "null");
            p += skip;
        } else if (in_string && strncmp(p, "\\u0000", 6) == 0) {
            str_add(out, "\\ufffd");
            p += 6;
        } else if (in_string && p[0] == '\\' && p[1]) {
            str_add_n(out, p, 2);
            p += 2;
        } else {
            if (*p == '"') in_string = !in_string;
            str_add_char(out, *p++);
        }
    }
}

static json_t *sidecar_parse(const sidecar_t *s, raw_sample_t *out) {
    str_t text = {0}, strict = {0};
    out->repaired |= add_trimmed(&text, str_text(&s->json), s->json.len);
    str_reserve(&text, 0);
    if (!text.failed) add_strict_json(&strict, &text);
    json_error_t error;
    json_t *value = json_loadb(str_text(&strict), strict.len, 0, &error);
    if (text.failed || strict.failed)
        out->meta.failed = true;
    else if (!value)
        raw_sample_reject(out, REJECT_TEXT, "json: line %d, column %d: %s", error.line, error.column, error.text);
    else if (!json_is_object(value))
        raw_sample_reject(out, REJECT_TEXT, "json: expected an object");
    str_free(&text);
    str_free(&strict);
    if (json_is_object(value) && out->reject == REJECT_NONE) return value;
    json_decref(value);
    return NULL;
}

/* The caption's member of the object, NULL where there is none. */
static const char *caption_member(json_t *object) {
    static const char *const names[] = {"caption", "alt", "text"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (json_is_string(json_object_get(object, names[i]))) return names[i];
    return NULL;
}

/* Takes the alt-text out of the object, and leaves it inside where the .txt says something else. */
static bool take_caption(json_t *object, raw_sample_t *out) {
    const char *name = caption_member(object);
    if (!name) return false;
    json_t *caption = json_object_get(object, name);
    str_t text = {0};
    add_trimmed(&text, json_string_value(caption), json_string_length(caption));
    if (out->alt.len == 0) str_add_n(&out->alt, str_text(&text), text.len);
    if (strcmp(str_text(&out->alt), str_text(&text)) == 0) json_object_del(object, name);
    out->alt.failed |= text.failed;
    str_free(&text);
    return true;
}

void sidecar_apply(const sidecar_t *s, raw_sample_t *out) {
    bool has_caption = s->has_txt;
    if (s->has_txt) out->repaired |= add_trimmed(&out->alt, str_text(&s->txt), s->txt.len);
    if (s->has_json) {
        json_t *object = sidecar_parse(s, out);
        if (!object) return;
        has_caption |= take_caption(object, out);
        char *meta = json_dumps(object, JSON_COMPACT);
        out->meta.failed |= !meta;
        if (meta) str_add(&out->meta, meta);
        free(meta);
        json_decref(object);
    } else {
        str_add(&out->meta, "{}");
    }
    if (has_caption) return;
    const char *key = str_text(&out->key), *slash = strrchr(key, '/'), *name = slash ? slash + 1 : key;
    source_text_from_name(&out->alt, name, strlen(name));
}
