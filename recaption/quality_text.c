#include "recaption/quality_text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "recaption/words.h"

enum { QUOTE_MAX_BYTES = 300 };

/* ---- quotations ---- */

static const struct {
    const char *open, *close;
} quotes[] = {
    {"\"", "\""}, {"“", "”"}, {"„", "“"}, {"„", "”"}, {"«", "»"}, {"「", "」"}, {"『", "』"}, {"‹", "›"},
};

static bool is_word_byte(char c) {
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

/* 'quoted' but not "dogs' bowls": it opens behind a space and before a word, and closes behind one. */
static uint32_t single_quote_end(const char *text, uint32_t n, uint32_t i) {
    bool curly = i + 3 <= n && memcmp(text + i, "‘", 3) == 0;
    if (!curly && text[i] != '\'') return 0;
    if (i > 0 && is_word_byte(text[i - 1])) return 0;
    const char *close = curly ? "’" : "'";
    uint32_t size = curly ? 3 : 1, end = n - i > QUOTE_MAX_BYTES ? i + QUOTE_MAX_BYTES : n;
    if (i + size >= n || !is_word_byte(text[i + size])) return 0;
    for (uint32_t k = i + size + 1; k + size <= end && text[k] != '\n'; k++)
        if (memcmp(text + k, close, size) == 0 && text[k - 1] != ' ' &&
            (k + size == n || !is_word_byte(text[k + size])))
            return k + size;
    return 0;
}

static uint32_t double_quote_end(const char *text, uint32_t n, uint32_t i) {
    for (size_t q = 0; q < sizeof quotes / sizeof quotes[0]; q++) {
        uint32_t open = (uint32_t)strlen(quotes[q].open), close = (uint32_t)strlen(quotes[q].close);
        if (n - i < open || memcmp(text + i, quotes[q].open, open) != 0) continue;
        uint32_t end = n - i > QUOTE_MAX_BYTES ? i + QUOTE_MAX_BYTES : n;
        for (uint32_t k = i + open; k + close <= end && text[k] != '\n'; k++)
            if (memcmp(text + k, quotes[q].close, close) == 0) return k + close;
    }
    return 0;
}

uint32_t quality_quote_end(const char *text, uint32_t n, uint32_t i) {
    unsigned char c = (unsigned char)text[i];
    if (c != '"' && c != '\'' && c != 0xE2 && c != 0xE3 && c != 0xC2) return 0;
    uint32_t end = double_quote_end(text, n, i);
    if (!end) end = single_quote_end(text, n, i);
    if (end && i == strspn(text, " \t\r\n") && text[end + strspn(text + end, " \t\r\n")] == '\0') return 0;
    return end;
}

/* ---- words ---- */

static bool is_letter(uint32_t c) {
    if (c < 0x80) return isalnum((int)c) != 0;
    if (c < 0xC0) return c == 0xAA || c == 0xBA || c == 0xB5;
    if (c == 0xD7 || c == 0xF7 || (c >= 0x2000 && c <= 0x2BFF)) return false;
    return !(c >= 0x3000 && c <= 0x303F) && !(c >= 0xFF00 && c <= 0xFF0F) && c != 0xFF1A && c != 0xFF1B &&
           c != 0xFF1F && !(c >= 0xFE00 && c <= 0xFE0F) && c != 0xFEFF;
}

/* Bytes of the letter or inner apostrophe at i, 0 where there is none. */
static uint32_t letter_at(const char *text, uint32_t n, uint32_t i, bool inside) {
    uint32_t code;
    size_t len = words_utf8(text + i, n - i, &code);
    if (len == 0) return 1;
    if (is_letter(code)) return (uint32_t)len;
    if (!inside || (code != '\'' && code != 0x2019)) return 0;
    return i + len < n && is_word_byte(text[i + len]) && memcmp(text + i + len, "\xE2\x80", 2) != 0 ? (uint32_t)len : 0;
}

static char *add_lower(char *to, const char *from, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)from[i];
        if (c == 0xE2 && i + 2 < n && memcmp(from + i, "’", 3) == 0) {
            *to++ = '\'';
            i += 2;
        } else if (c == 0xC3 && i + 1 < n) {
            unsigned char d = (unsigned char)from[++i];
            *to++ = (char)c;
            *to++ = (char)(d >= 0x80 && d <= 0x9E && d != 0x97 ? d + 0x20 : d);
        } else {
            *to++ = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        }
    }
    return to;
}

static uint32_t hash_of(const char *s, const char *end) {
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; s < end; s++) h = (h ^ (unsigned char)*s) * 16777619u;
    return h;
}

/* ---- sentences ---- */

static bool is_abbreviation(const quality_text_t *t, uint32_t stop) {
    static const char *const list[] = {"mr", "mrs", "ms", "dr", "st", "vs", "no", "approx", "e", "g", "i", "jr", NULL};
    if (t->n_words == 0 || t->words[t->n_words - 1].end != stop) return false;
    const quality_word_t *w = &t->words[t->n_words - 1];
    bool initial = w->end - w->begin == 1 && isupper((unsigned char)t->text[w->begin]);
    return initial || words_in(t->text + w->begin, w->end - w->begin, list);
}

/* Bytes of the sentence's mark at i, 0 where it is none. */
static uint32_t mark_at(const quality_text_t *t, uint32_t i) {
    const char *p = t->text + i;
    if (*p == '\n') return 1;
    if (strncmp(p, "。", 3) == 0 || strncmp(p, "！", 3) == 0 || strncmp(p, "？", 3) == 0) return 3;
    if (*p != '.' && *p != '!' && *p != '?') return 0;
    bool ends = p[1] == '\0' || strchr(" \t\r\n\"')].!?", p[1]) || strncmp(p + 1, "”", 3) == 0;
    return ends && !(*p == '.' && is_abbreviation(t, i)) ? 1 : 0;
}

static uint32_t closing_at(const char *p) {
    if (*p && strchr("\"')].!?", *p)) return 1;
    return strncmp(p, "”", 3) == 0 || strncmp(p, "’", 3) == 0 || strncmp(p, "」", 3) == 0 ? 3 : 0;
}

static void end_sentence(quality_text_t *t, uint32_t *begin, uint32_t end) {
    uint32_t from = *begin, to = end;
    *begin = end;
    while (from < to && isspace((unsigned char)t->text[from])) from++;
    while (to > from && isspace((unsigned char)t->text[to - 1])) to--;
    if (from == to) return;
    int32_t first = 0;
    if (t->n_sentences) first = t->sentences[t->n_sentences - 1].first + t->sentences[t->n_sentences - 1].n;
    t->sentences[t->n_sentences++] =
        (quality_sentence_t){.begin = from, .end = to, .first = first, .n = t->n_words - first};
}

/* "...reads "Stop!" A dog": a quotation that ends in a mark ends the sentence where a capital follows. */
static bool ends_in_quote(const char *text, uint32_t end) {
    uint32_t k = end;
    while (k > 0 && !strchr(".!?", text[k - 1]) && end - k < 4) k--;
    if (k == 0 || !strchr(".!?", text[k - 1])) return false;
    return text[end] == ' ' && isupper((unsigned char)text[end + 1]);
}

static void read_words(quality_text_t *t) {
    const char *text = t->text;
    uint32_t n = t->n_bytes, begin = 0, quote_end = 0;
    char *lower = t->lower;
    for (uint32_t i = 0; i < n;) {
        if (i >= quote_end) {
            uint32_t end = quality_quote_end(text, n, i);
            if (end) quote_end = end;
        }
        uint32_t start = i;
        for (uint32_t len; i < n && (len = letter_at(text, n, i, i > start));) i += len;
        if (i > start) {
            char *from = lower;
            lower = add_lower(lower, text + start, i - start);
            t->words[t->n_words++] = (quality_word_t){.begin = start,
                                                      .end = i,
                                                      .lower = (uint32_t)(from - t->lower),
                                                      .hash = hash_of(from, lower),
                                                      .sentence = t->n_sentences,
                                                      .quoted = start < quote_end};
            *lower++ = ' ';
            continue;
        }
        bool inside = i < quote_end;
        uint32_t mark = inside ? 0 : mark_at(t, i);
        uint32_t code;
        i += mark ? mark : (uint32_t)words_utf8(text + i, n - i, &code);
        if (mark && text[start] != '\n')
            for (uint32_t len; i < n && (len = closing_at(text + i));) i += len;
        if (mark || (inside && i == quote_end && ends_in_quote(text, i))) end_sentence(t, &begin, i);
    }
    end_sentence(t, &begin, n);
    *lower = '\0';
}

lens_status quality_text_read(quality_text_t *out, const char *text) {
    size_t n = strlen(text);
    *out = (quality_text_t){.text = text, .n_bytes = (uint32_t)n};
    if (n > QUALITY_TEXT_MAX_BYTES)
        return lens_fail(LENS_ARGUMENT, "a text of %zu bytes, expected at most %d", n, QUALITY_TEXT_MAX_BYTES);
    size_t most = n / 2 + 2; /* between two words, and two sentences, is a byte at least */
    out->words = malloc(most * (sizeof *out->words + sizeof *out->sentences) + 2 * n + 2);
    if (!out->words) return lens_fail(LENS_MEMORY, "out of memory checking a caption of %zu bytes", n);
    out->sentences = (quality_sentence_t *)(out->words + most);
    out->lower = (char *)(out->sentences + most);
    read_words(out);
    return LENS_OK;
}

void quality_text_free(quality_text_t *t) {
    free(t->words);
    *t = (quality_text_t){0};
}

int32_t quality_text_match(const quality_text_t *t, int32_t i, const char *phrase) {
    const char *p = t->lower + t->words[i].lower;
    int32_t n = 1;
    for (; *phrase; phrase++, p++) {
        if (*phrase != *p) return 0;
        n += *p == ' ';
    }
    return *p == ' ' ? n : 0;
}

int32_t quality_text_match_any(const quality_text_t *t, int32_t i, const char *const *phrases) {
    char first = t->lower[t->words[i].lower];
    for (; *phrases; phrases++) {
        int32_t n = **phrases == first ? quality_text_match(t, i, *phrases) : 0;
        if (n) return n;
    }
    return 0;
}

bool quality_text_is(const quality_text_t *t, int32_t i, const char *word) {
    return i < t->n_words && quality_text_match(t, i, word) == 1;
}

int32_t quality_text_any(const quality_text_t *t, int32_t i, const char *const *phrases) {
    return i < t->n_words && !t->words[i].quoted ? quality_text_match_any(t, i, phrases) : 0;
}

int32_t quality_text_behind(const quality_text_t *t, int32_t i, int32_t n, const char *const *phrases) {
    for (int32_t at = i + 1; at <= i + n && at < t->n_words; at++) {
        if (t->words[at].sentence != t->words[i].sentence) break;
        if (quality_text_any(t, at, phrases)) return at;
    }
    return -1;
}
