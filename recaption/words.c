#include "recaption/words.h"

#include <string.h>
#include <strings.h>

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_word_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}

const char *words_next(const char **at, size_t *n) {
    const char *p = *at;
    while (is_space(*p)) p++;
    const char *start = p;
    while (*p && !is_space(*p)) p++;
    *at = p;
    *n = (size_t)(p - start);
    return *n ? start : NULL;
}

int64_t words_count(const char *text) {
    int64_t count = 0;
    size_t n;
    while (words_next(&text, &n)) count++;
    return count;
}

bool words_equal(const char *word, size_t n, const char *other) {
    return strlen(other) == n && strncasecmp(word, other, n) == 0;
}

bool words_in(const char *word, size_t n, const char *const *list) {
    for (; *list; list++)
        if (words_equal(word, n, *list)) return true;
    return false;
}

const char *words_find(const char *text, const char *phrase) {
    size_t n = strlen(phrase);
    for (const char *p = text; (p = strcasestr(p, phrase)); p++) {
        bool starts = p == text || !is_word_char(p[-1]);
        if (starts && !is_word_char(p[n])) return p;
    }
    return NULL;
}

size_t words_utf8(const char *p, size_t left, uint32_t *code) {
    const unsigned char *s = (const unsigned char *)p;
    if (left == 0) return 0;
    size_t n = s[0] < 0x80                    ? 1
               : s[0] >= 0xC2 && s[0] < 0xE0  ? 2
               : s[0] >= 0xE0 && s[0] < 0xF0  ? 3
               : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4
                                              : 0;
    if (n == 0 || n > left) return 0;
    uint32_t c = n == 1 ? s[0] : s[0] & (0xFFu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80) return 0;
        c = c << 6 | (s[i] & 0x3Fu);
    }
    bool overlong = (n == 3 && c < 0x800) || (n == 4 && c < 0x10000);
    if (overlong || (c >= 0xD800 && c <= 0xDFFF) || c > 0x10FFFF) return 0;
    *code = c;
    return n;
}

const char *words_article(const char *phrase) {
    /* By sound: "a unicorn", "a European", "a one-way street", "an hour"; letters otherwise. */
    static const char *const hard[] = {"uni", "use", "usu", "eu", "one", "once", "ukulele", "uk", "us ", "ut", NULL};
    static const char *const silent[] = {"hour", "honest", "honour", "honor", "heir", NULL};
    for (const char *const *s = silent; *s; s++)
        if (strncasecmp(phrase, *s, strlen(*s)) == 0) return "an";
    for (const char *const *h = hard; *h; h++)
        if (strncasecmp(phrase, *h, strlen(*h)) == 0) return strncasecmp(phrase, "unin", 4) == 0 ? "an" : "a";
    return *phrase && strchr("aeiouAEIOU8", *phrase) ? "an" : "a";
}

bool words_is_plural(const char *word, size_t n) {
    static const char *const irregular[] = {"people", "men",   "women", "children", "mice", "geese",
                                            "feet",   "teeth", "oxen",  "cattle",   NULL};
    static const char *const singular[] = {"bus",     "gas",     "lens",    "canvas",   "atlas", "christmas",
                                           "tennis",  "news",    "iris",    "oasis",    "basis", "series",
                                           "species", "chess",   "octopus", "cactus",   "virus", "circus",
                                           "campus",  "compass", "walrus",  "hibiscus", NULL};
    if (words_in(word, n, irregular)) return true;
    if (words_in(word, n, singular) || n < 4) return false;
    char last = word[n - 1], before = word[n - 2];
    return (last == 's' || last == 'S') && !strchr("sSuUiI'", before);
}
