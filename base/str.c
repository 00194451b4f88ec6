#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void str_free(str_t *s) {
    free(s->s);
    *s = (str_t){0};
}

void str_clear(str_t *s) {
    s->len = 0;
    if (s->s) s->s[0] = '\0';
}

void str_reserve(str_t *s, size_t cap) {
    if (s->failed || (s->s && cap <= s->cap)) return;
    size_t grown = s->cap < 64 ? 64 : s->cap;
    while (grown < cap && grown <= SIZE_MAX / 4) grown *= 2;
    char *bytes = grown < cap ? NULL : realloc(s->s, grown + 1);
    if (!bytes) {
        s->failed = true;
        return;
    }
    bytes[s->len] = '\0';
    s->s = bytes;
    s->cap = grown;
}

void str_add_n(str_t *s, const void *bytes, size_t n) {
    if (n > SIZE_MAX / 4 - s->len) s->failed = true;
    str_reserve(s, s->len + n);
    if (s->failed) return;
    if (n) memcpy(s->s + s->len, bytes, n);
    s->len += n;
    s->s[s->len] = '\0';
}

void str_add(str_t *s, const char *text) {
    str_add_n(s, text, strlen(text));
}

void str_add_char(str_t *s, char c) {
    str_add_n(s, &c, 1);
}

void str_addf(str_t *s, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) s->failed = true;
    if (!s->failed) str_reserve(s, s->len + (size_t)n);
    if (!s->failed) {
        vsnprintf(s->s + s->len, (size_t)n + 1, format, again);
        s->len += (size_t)n;
    }
    va_end(again);
}

/* Length of the valid UTF-8 sequence at p (n bytes left), 0 where it is none. */
static size_t utf8_sequence(const unsigned char *p, size_t n) {
    if (p[0] < 0x80) return 1;
    size_t len = p[0] >= 0xF0 && p[0] <= 0xF4  ? 4
                 : p[0] >= 0xE0 && p[0] < 0xF0 ? 3
                 : p[0] >= 0xC2 && p[0] < 0xE0 ? 2
                                               : 0;
    if (len == 0 || len > n) return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    bool overlong = (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xF0 && p[1] < 0x90);
    bool outside = (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF4 && p[1] > 0x8F);
    return overlong || outside ? 0 : len;
}

bool str_add_utf8(str_t *s, const char *text, size_t n) {
    const unsigned char *p = (const unsigned char *)text;
    bool repaired = false;
    for (size_t i = 0; i < n;) {
        size_t len = p[i] ? utf8_sequence(p + i, n - i) : 0;
        if (len == 0)
            str_add(s, "\xEF\xBF\xBD");
        else
            str_add_n(s, p + i, len);
        repaired |= len == 0;
        i += len ? len : 1;
    }
    return repaired;
}

bool str_is_utf8(const char *text) {
    const unsigned char *p = (const unsigned char *)text;
    for (size_t left = strlen(text), len; left > 0; left -= len, p += len) {
        len = utf8_sequence(p, left);
        if (len == 0) return false;
    }
    return true;
}

static void add_json_byte(str_t *s, unsigned char c) {
    static const char *const names[] = {['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};
    if (c == '"' || c == '\\')
        str_addf(s, "\\%c", c);
    else if (c < sizeof names / sizeof names[0] && names[c])
        str_add(s, names[c]);
    else if (c < 0x20 || c == 0x7F)
        str_addf(s, "\\u%04x", c);
    else
        str_add_char(s, (char)c);
}

void str_add_json(str_t *s, const char *text, size_t n) {
    const unsigned char *p = (const unsigned char *)text;
    str_add_char(s, '"');
    for (size_t i = 0; i < n;) {
        size_t len = utf8_sequence(p + i, n - i);
        if (len == 0)
            str_add(s, "\xEF\xBF\xBD");
        else if (len == 1)
            add_json_byte(s, p[i]);
        else
            str_add_n(s, p + i, len);
        i += len ? len : 1;
    }
    str_add_char(s, '"');
}

void str_add_html(str_t *s, const char *text) {
    for (const char *p = text; *p; p++) {
        switch (*p) {
        case '&':
            str_add(s, "&amp;");
            break;
        case '<':
            str_add(s, "&lt;");
            break;
        case '>':
            str_add(s, "&gt;");
            break;
        case '"':
            str_add(s, "&quot;");
            break;
        case '\'':
            str_add(s, "&#39;");
            break;
        default:
            str_add_char(s, *p);
        }
    }
}

lens_status str_status(const str_t *s) {
    return s->failed ? lens_fail(LENS_MEMORY, "out of memory at a text of %zu bytes", s->len) : LENS_OK;
}

const char *str_text(const str_t *s) {
    return s->s ? s->s : "";
}

bool str_starts_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool str_ends_with(const char *text, const char *suffix) {
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && memcmp(text + n - m, suffix, m) == 0;
}

/* Levenshtein distance of words up to 63 bytes; longer ones are far from everything. */
static int edit_distance(const char *a, const char *b) {
    enum { WORD_MAX = 63 };
    size_t n = strlen(a), m = strlen(b);
    if (n > WORD_MAX || m > WORD_MAX) return INT32_MAX;
    int row[WORD_MAX + 1];
    for (size_t j = 0; j <= m; j++) row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

const char *str_nearest(const char *word, const char *const *names, int n) {
    const char *nearest = NULL;
    int best = 2 + (int)strlen(word) / 3; /* farther than this is another word, not a typing error */
    for (int i = 0; i < n; i++) {
        int distance = edit_distance(word, names[i]);
        if (distance < best) {
            best = distance;
            nearest = names[i];
        }
    }
    return nearest;
}
