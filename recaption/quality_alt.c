/* The caption against the alt-text: what of its knowledge was lost, what of its rubbish was taken over, and whether
 * there is anything else. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "recaption/quality_rules.h"
#include "recaption/words.h"

enum { ECHO_MIN_WORDS = 6, ECHO_WORDS_MAX = 256, TITLE_MIN_WORDS = 5 };

/* ---- junk: tokens between white space ---- */

static bool is_url(const char *w, size_t n) {
    if (n > 8 && (strncasecmp(w, "http:", 5) == 0 || strncasecmp(w, "https:", 6) == 0)) return true;
    if (n > 6 && strncasecmp(w, "www.", 4) == 0) return true;
    static const char *const ends[] = {".com", ".net", ".org", ".de", ".co.uk", ".io", ".shop", NULL};
    for (const char *const *e = ends; *e; e++)
        if (n > strlen(*e) + 2 && strncasecmp(w + n - strlen(*e), *e, strlen(*e)) == 0) return true;
    return false;
}

static bool is_file_name(const char *w, size_t n) {
    static const char *const ends[] = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".tif", ".svg", ".bmp", NULL};
    for (const char *const *e = ends; *e; e++)
        if (n > strlen(*e) && strncasecmp(w + n - strlen(*e), *e, strlen(*e)) == 0) return true;
    return false;
}

static bool is_price(const char *w, size_t n) {
    static const char *const signs[] = {"$", "€", "£", "¥", "US$", NULL};
    for (const char *const *s = signs; *s; s++) {
        size_t k = strlen(*s);
        if (n > k && strncmp(w, *s, k) == 0 && isdigit((unsigned char)w[k])) return true;
        if (n > k && isdigit((unsigned char)w[0]) && memcmp(w + n - k, *s, k) == 0) return true;
    }
    return false;
}

/* "48213-BL", "B07XJ8C8F5"; not "1920s", "1080p", "A380". */
static bool is_article_number(const char *w, size_t n) {
    size_t digits = 0, letters = 0;
    for (size_t i = 0; i < n; i++) {
        digits += isdigit((unsigned char)w[i]) != 0;
        letters += isalpha((unsigned char)w[i]) != 0;
        if ((unsigned char)w[i] >= 0x80) return false;
    }
    return digits >= 4 && letters >= 1 && n >= 6;
}

static bool is_junk(const char *w, size_t n) {
    return is_url(w, n) || is_file_name(w, n) || is_price(w, n) || is_article_number(w, n);
}

/* The next token without the marks around it. */
static const char *next_token(const char **at, size_t *n) {
    const char *w = words_next(at, n);
    if (!w) return NULL;
    while (*n && strchr("(\"'[,;:", *w)) {
        w++;
        --*n;
    }
    while (*n && strchr(")\"'],;:.!?", w[*n - 1])) --*n;
    return w;
}

static bool stands_unquoted(const quality_text_t *t, const char *w, size_t n) {
    for (uint32_t i = 0; i + n <= t->n_bytes;) {
        uint32_t end = quality_quote_end(t->text, t->n_bytes, i);
        if (!end && strncasecmp(t->text + i, w, n) == 0) return true;
        i = end ? end : i + 1;
    }
    return false;
}

double quality_junk(const quality_case_t *c) {
    const char *at = c->alt->n_words ? c->input->alt : "";
    size_t n;
    int found = 0;
    for (const char *w; (w = next_token(&at, &n));) found += n > 0 && is_junk(w, n) && stands_unquoted(c->text, w, n);
    return found;
}

/* ---- names ---- */

static bool is_upper(const quality_text_t *t, const quality_word_t *w) {
    const unsigned char *p = (const unsigned char *)t->text + w->begin;
    return isupper(p[0]) || (p[0] == 0xC3 && p[1] >= 0x80 && p[1] <= 0x9E) ||
           (p[0] == 0xD0 && p[1] >= 0x90 && p[1] < 0xB0);
}

/* In a title all words are capitals, and in one word there is nothing to compare with: neither tells names. */
static bool is_title(const quality_text_t *t) {
    int32_t upper = 0, n = 0;
    for (int32_t i = 0; i < t->n_words; i++) {
        if (t->words[i].end - t->words[i].begin <= 3) continue;
        n++;
        upper += is_upper(t, &t->words[i]);
    }
    return n >= TITLE_MIN_WORDS && upper * 10 >= n * 8;
}

/* The token between white space that word i is part of. */
static bool is_in_junk(const quality_text_t *t, const quality_word_t *w) {
    uint32_t from = w->begin, to = w->end;
    while (from > 0 && !isspace((unsigned char)t->text[from - 1])) from--;
    while (to < t->n_bytes && !isspace((unsigned char)t->text[to])) to++;
    const char *at = t->text + from;
    size_t n = 0;
    const char *token = next_token(&at, &n);
    if (!token || n == 0) return true;
    return is_junk(token, n) || memchr(token, '_', n) || memchr(token, '@', n);
}

static bool is_number(const quality_text_t *t, const quality_word_t *w) {
    for (uint32_t k = w->begin; k < w->end; k++)
        if (!isdigit((unsigned char)t->text[k])) return false;
    return w->end - w->begin >= 2 && w->end - w->begin <= 4;
}

/* Words that are capitals in alt-text for other reasons. */
static const char *const no_names[] = {"i",      "the",   "a",    "an",   "photo", "image", "picture", "stock",
                                       "vector", "sku",   "hd",   "jpg",  "png",   "free",  "new",     "buy",
                                       "sale",   "close", "up",   "view", "by",    "of",    "in",      "on",
                                       "at",     "and",   "with", "for",  "from",  NULL};

static bool is_name(const quality_text_t *t, int32_t i, bool title) {
    const quality_word_t *w = &t->words[i];
    if (quality_text_match_any(t, i, no_names) == 1 || is_in_junk(t, w)) return false;
    if (w->quoted || is_number(t, w)) return true;
    if (title || !is_upper(t, w)) return false;
    if (i > 0 && t->words[i].sentence == t->words[i - 1].sentence) return true;
    return i + 1 < t->n_words && is_upper(t, &t->words[i + 1]) && t->words[i + 1].begin == w->end + 1;
}

static bool is_kept(const quality_text_t *caption, const quality_text_t *alt, const quality_word_t *w) {
    for (int32_t k = 0; k < caption->n_words; k++) {
        const quality_word_t *v = &caption->words[k];
        if (v->hash == w->hash && (is_upper(caption, v) || !is_upper(alt, w))) return true;
        bool possessive = v->end - v->begin == w->end - w->begin + 2 && caption->text[v->end - 1] == 's' &&
                          memcmp(caption->text + v->begin, alt->text + w->begin, w->end - w->begin) == 0;
        if (possessive) return true;
    }
    return false;
}

double quality_names(const quality_case_t *c) {
    if (c->is_tags) return 0;
    bool title = is_title(c->alt);
    int n = 0, lost = 0;
    static const char *const credits[] = {"photo by", "image by", "picture by", "photograph by", "credit", NULL};
    bool credit = false;
    for (int32_t i = 0; i < c->alt->n_words; i++) {
        credit |= quality_text_match_any(c->alt, i, credits) > 0; /* who made it is not to be seen in it */
        if (credit || !is_name(c->alt, i, title)) continue;
        n++;
        lost += !is_kept(c->text, c->alt, &c->alt->words[i]);
    }
    return n ? (double)lost / n : 0;
}

/* ---- echo ---- */

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int32_t distinct_words(uint32_t out[ECHO_WORDS_MAX], const quality_text_t *t) {
    int32_t n = t->n_words, kept = 0;
    for (int32_t i = 0; i < n; i++) out[i] = t->words[i].hash;
    qsort(out, (size_t)n, sizeof *out, by_value);
    for (int32_t i = 0; i < n; i++)
        if (i == 0 || out[i] != out[i - 1]) out[kept++] = out[i];
    return kept;
}

/* Jaccard of the sets of words. Texts of very different lengths are no echo. */
double quality_echo(const quality_case_t *c) {
    const quality_text_t *a = c->text, *b = c->alt;
    if (b->n_words < ECHO_MIN_WORDS || a->n_words > 2 * b->n_words || b->n_words > ECHO_WORDS_MAX ||
        a->n_words > ECHO_WORDS_MAX)
        return 0;
    uint32_t x[ECHO_WORDS_MAX], y[ECHO_WORDS_MAX];
    int32_t nx = distinct_words(x, a), ny = distinct_words(y, b), both = 0;
    for (int32_t i = 0, j = 0; i < nx && j < ny;) {
        both += x[i] == y[j];
        bool less = x[i] < y[j], equal = x[i] == y[j];
        i += less || equal;
        j += !less;
    }
    return (double)both / (nx + ny - both);
}
