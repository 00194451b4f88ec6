#include "data/text.h"

#include <jansson.h>

/* Bytes of the well-formed sequence at p (Unicode 15, table 3-7), 0 where it is none. */
static size_t sequence(const unsigned char *p, size_t n) {
    unsigned char a = p[0], low = 0x80, high = 0xBF;
    if (a < 0x80) return a != 0;
    size_t len = a >= 0xC2 && a <= 0xDF ? 2 : a >= 0xE0 && a <= 0xEF ? 3 : a >= 0xF0 && a <= 0xF4 ? 4 : 0;
    if (len == 0 || len > n) return 0;
    if (a == 0xE0) low = 0xA0;  /* no overlong forms */
    if (a == 0xED) high = 0x9F; /* no surrogates */
    if (a == 0xF0) low = 0x90;
    if (a == 0xF4) high = 0x8F; /* up to U+10FFFF */
    if (p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < len; i++)
        if (p[i] < 0x80 || p[i] > 0xBF) return 0;
    return len;
}

bool text_is_utf8(const char *text, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t len = sequence((const unsigned char *)text + i, n - i);
        if (len == 0) return false;
        i += len;
    }
    return true;
}

bool text_has_control(const char *text, size_t n) {
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7F) return true;
    return false;
}

bool text_is_json_object(const char *text, size_t n) {
    json_t *value = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    bool object = json_is_object(value);
    json_decref(value);
    return object;
}

size_t text_count_words(const char *text, size_t n) {
    size_t n_words = 0;
    bool inside = false;
    for (size_t i = 0; i < n; i++) {
        bool space = text[i] == ' ' || (text[i] >= '\t' && text[i] <= '\r');
        n_words += !space && !inside;
        inside = !space;
    }
    return n_words;
}
