/* The texts of a sample: its .txt and .json, its manifest's row, or else its name. All of it is hostile: sizes were
 * bounded on reading, what is not Unicode is repaired and counted, what is not JSON rejects the sample. */
#include "data/source_kinds.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "data/columns_known.h"

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

/* ---- JSON as it is found ---- */

static size_t bare_word(const char *p, const char *const *words, size_t n_words) {
    for (size_t i = 0; i < n_words; i++)
        if (strncmp(p, words[i], strlen(words[i])) == 0) return strlen(words[i]);
    return 0;
}

/* The code unit of the escape at p, -1 where p is no \uXXXX. */
static int32_t json_escape(const char *p) {
    if (p[0] != '\\' || p[1] != 'u') return -1;
    int32_t unit = 0;
    for (int i = 2; i < 6; i++) {
        const char *digits = "0123456789abcdef", *at = p[i] ? strchr(digits, tolower((unsigned char)p[i])) : NULL;
        if (!at) return -1;
        unit = 16 * unit + (int32_t)(at - digits);
    }
    return unit;
}

/* Copies one escape of a string. NUL has no place in our texts, and half of a surrogate pair is no character (Python
 * writes both): U+FFFD. */
static const char *add_escape(str_t *out, const char *p, bool *repaired) {
    int32_t unit = json_escape(p), next = unit >= 0 ? json_escape(p + 6) : -1;
    bool high = unit >= 0xD800 && unit < 0xDC00, low = unit >= 0xDC00 && unit < 0xE000;
    bool pair = high && next >= 0xDC00 && next < 0xE000;
    size_t n = pair ? 12 : unit >= 0 ? 6 : 2;
    if (unit == 0 || low || (high && !pair)) {
        str_add(out, "\\ufffd");
        *repaired = true;
    } else {
        str_add_n(out, p, n);
    }
    return p + n;
}

/* Copies what may be a number. An integer that 64 bits may not hold (a hash, an id) becomes a string, all digits kept.
 */
static const char *add_number(str_t *out, const char *p) {
    size_t n = strspn(p, "+-.eE0123456789"), n_integer = strspn(p, "-0123456789");
    bool large = n == n_integer && n > 18;
    if (large) str_add_char(out, '"');
    str_add_n(out, p, n);
    if (large) str_add_char(out, '"');
    return p + n;
}

/* Python's json module writes NaN and Infinity, which JSON does not know: null. */
static void add_strict_json(str_t *out, const char *p, bool *repaired) {
    static const char *const words[] = {"NaN", "-Infinity", "Infinity"};
    bool in_string = false;
    while (*p) {
        size_t skip = in_string ? 0 : bare_word(p, words, 3);
        if (skip) {
            str_add(out, "null");
            p += skip;
        } else if (in_string && p[0] == '\\' && p[1]) {
            p = add_escape(out, p, repaired);
        } else if (!in_string && (is_digit(*p) || *p == '-')) {
            p = add_number(out, p);
        } else {
            if (*p == '"') in_string = !in_string;
            str_add_char(out, *p++);
        }
    }
}

json_t *source_json_parse(const char *bytes, size_t n, reject_class c, raw_sample_t *out) {
    str_t text = {0}, strict = {0};
    out->repaired |= add_trimmed(&text, bytes, n);
    if (!text.failed) add_strict_json(&strict, str_text(&text), &out->repaired);
    json_error_t error;
    json_t *value = json_loadb(str_text(&strict), strict.len, 0, &error);
    if (text.failed || strict.failed || (!value && json_error_code(&error) == json_error_out_of_memory))
        out->meta.failed = true;
    else if (!value)
        raw_sample_reject(out, c, "json: line %d, column %d: %s", error.line, error.column, error.text);
    else if (!json_is_object(value))
        raw_sample_reject(out, c, "json: expected an object");
    str_free(&text);
    str_free(&strict);
    if (json_is_object(value) && out->reject == REJECT_NONE) return value;
    json_decref(value);
    return NULL;
}

/* Whether all of it is a number of JSON that a double or an int64 holds with every digit. */
static bool is_kept_number(const char *p, size_t n, bool *integer) {
    size_t i = n && p[0] == '-', n_digits = 0, begin = i;
    while (i < n && is_digit(p[i])) i++;
    n_digits = i - begin;
    if (n_digits == 0 || (n_digits > 1 && p[begin] == '0')) return false; /* "007" is a name */
    *integer = i == n;
    if (i < n && p[i] == '.') {
        size_t point = i++;
        while (i < n && is_digit(p[i])) i++;
        if (i == point + 1) return false;
        n_digits += i - point - 1;
    }
    size_t n_exponent = 0;
    if (i < n && (p[i] == 'e' || p[i] == 'E')) {
        i++;
        if (i < n && (p[i] == '+' || p[i] == '-')) i++;
        while (i < n && is_digit(p[i])) i++, n_exponent++;
        if (n_exponent == 0 || n_exponent > 2) return false; /* three digits may overflow */
    }
    return i == n && n_digits <= 18;
}

json_t *source_json_value(const char *text, size_t n, bool *repaired) {
    bool integer = false;
    char number[32];
    if (n < sizeof number && is_kept_number(text, n, &integer)) {
        memcpy(number, text, n);
        number[n] = '\0';
        return integer ? json_integer(strtoll(number, NULL, 10)) : json_real(strtod(number, NULL));
    }
    str_t kept = {0};
    *repaired |= add_trimmed(&kept, text, n);
    json_t *value = kept.failed ? NULL : json_stringn(str_text(&kept), kept.len);
    str_free(&kept);
    return value;
}

/* ---- what a sample keeps of it ---- */

/* The caption's member of the object, NULL where there is none. */
static const char *caption_member(const json_t *object, const source_options_t *o) {
    if (o->caption_column) return json_is_string(json_object_get(object, o->caption_column)) ? o->caption_column : NULL;
    for (const char *const *name = columns_known("caption"); *name; name++)
        if (json_is_string(json_object_get(object, *name))) return *name;
    return NULL;
}

/* Takes the alt-text out of the object, and leaves it inside where the .txt says something else. */
static bool take_caption(json_t *object, const source_options_t *o, raw_sample_t *out) {
    const char *name = caption_member(object, o);
    if (!name) return false;
    const json_t *caption = json_object_get(object, name);
    str_t text = {0};
    add_trimmed(&text, json_string_value(caption), json_string_length(caption));
    if (o->caption_column) str_clear(&out->alt);
    if (out->alt.len == 0) str_add_n(&out->alt, str_text(&text), text.len);
    if (strcmp(str_text(&out->alt), str_text(&text)) == 0) json_object_del(object, name);
    out->alt.failed |= text.failed;
    str_free(&text);
    return true;
}

/* A key that is a text or an integer. */
static void take_key(json_t *object, const char *name, raw_sample_t *out) {
    const json_t *key = json_object_get(object, name);
    char digits[32];
    const char *text = json_string_value(key);
    if (json_is_integer(key)) {
        snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, json_integer_value(key));
        text = digits;
    }
    if (!text || !*text) {
        raw_sample_reject(out, REJECT_TEXT, "column %s: expected a key, a text or an integer", name);
        return;
    }
    raw_sample_set_key(out, text, strlen(text));
    json_object_del(object, name);
}

static void add_caption_from_name(raw_sample_t *out) {
    const char *key = str_text(&out->key), *slash = strrchr(key, '/'), *name = slash ? slash + 1 : key;
    source_text_from_name(&out->alt, name, strlen(name));
}

void source_json_apply(json_t *object, const str_t *txt, const source_options_t *o, raw_sample_t *out) {
    if (txt) out->repaired |= add_trimmed(&out->alt, str_text(txt), txt->len);
    if (!take_caption(object, o, out) && !txt) add_caption_from_name(out);
    if (o->key_column) take_key(object, o->key_column, out);
    char *meta = json_dumps(object, JSON_COMPACT);
    out->meta.failed |= !meta;
    if (meta) str_add(&out->meta, meta);
    free(meta);
}

void sidecar_apply(const sidecar_t *s, const source_options_t *o, raw_sample_t *out) {
    json_t *object = s->has_json ? source_json_parse(str_text(&s->json), s->json.len, REJECT_TEXT, out) : json_object();
    if (object)
        source_json_apply(object, s->has_txt ? &s->txt : NULL, o, out);
    else
        out->meta.failed |= !s->has_json;
    json_decref(object);
}

/* A column's text for a message. */
static const char *column_text(const json_t *object, const char *meaning) {
    const char *name = columns_find(object, meaning);
    const char *text = name ? json_string_value(json_object_get(object, name)) : NULL;
    return text ? text : "";
}

void sidecar_apply_failure(const sidecar_t *s, raw_sample_t *out) {
    raw_sample_t scratch = {0}; /* a .json that is none tells nothing about a picture */
    json_t *object = s->has_json ? source_json_parse(str_text(&s->json), s->json.len, REJECT_TEXT, &scratch) : NULL;
    const char *status = object ? column_text(object, "status") : "";
    if (*status && strcmp(status, "success") != 0) {
        const char *error = column_text(object, "error");
        str_t reason = {0};
        str_addf(&reason, "%s%s%s", status, *error ? ": " : "", error);
        raw_sample_reject(out, REJECT_FAILED, "%s", str_text(&reason));
        out->reason.failed |= reason.failed;
        str_free(&reason);
    }
    json_decref(object);
    out->meta.failed |= scratch.meta.failed;
    raw_sample_free(&scratch);
}
