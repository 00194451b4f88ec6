/* The language: letters by script, then the small words that no text of a language can do without. What a picture says
 * in its own language stands in quotation marks and is left alone. */
#include <string.h>

#include "recaption/quality_rules.h"
#include "recaption/words.h"

typedef enum { SCRIPT_LATIN, SCRIPT_CYRILLIC, SCRIPT_CJK, SCRIPT_HANGUL, SCRIPT_OTHER, SCRIPTS } script_t;

/* A letter of these scripts says as much as several of an alphabet. */
enum { IDEOGRAPH_WEIGHT = 3, SMALL_WORDS_MIN = 2, PROSE_WORDS = 12 };

/* Prose has a third of small words; less than this share of the listed ones is another language, known or not. */
static const double least_small_frac = 0.08;

/* Small words that languages share ("in", "die", "a") are left out where they would mislead. */
static const struct {
    const char *code;
    script_t script;
    const char *small[32];
} languages[] = {
    {"en", SCRIPT_LATIN, {"the", "of",   "and",     "with",  "is",   "are",    "its",    "their", "from", "at",
                          "by",  "into", "an",      "under", "over", "behind", "beside", "which", "each", "while",
                          "to",  "for",  "between", "as",    "his",  "her",    "a",      "in",    "on",   "two"}},
    {"de", SCRIPT_LATIN, {"der",   "das",   "und", "ein",  "eine",  "einem", "einer", "einen",
                          "mit",   "auf",   "dem", "den",  "ist",   "sind",  "von",   "vor",
                          "neben", "unter", "im",  "zwei", "steht", "liegt", "über"}},
    {"fr", SCRIPT_LATIN, {"le",   "la",  "les",  "des", "un", "une",  "et", "avec", "dans", "sur",   "du",    "près",
                          "sous", "est", "sont", "aux", "au", "deux", "sa", "ses",  "d'un", "d'une", "devant"}},
    {"es", SCRIPT_LATIN, {"el",  "los", "las",      "un",    "una", "y",  "con", "del", "sobre", "bajo",  "está",
                          "dos", "por", "mientras", "junto", "al",  "su", "sus", "es",  "hay",   "entre", "que"}},
    {"it", SCRIPT_LATIN, {"il",    "gli",  "uno", "una", "e",       "con", "della", "del", "nel",  "sul",
                          "sotto", "sono", "di",  "due", "accanto", "su",  "che",   "dei", "alla", "una"}},
    {"pt", SCRIPT_LATIN, {"o",   "os", "um",   "uma",  "e",   "com",  "da", "do",  "na",  "no", "sobre",
                          "sob", "ao", "dois", "duas", "são", "está", "em", "dos", "das", "que"}},
    {"nl",
     SCRIPT_LATIN,
     {"de", "het", "een", "en", "met", "op", "van", "naast", "onder", "zijn", "twee", "aan", "voor", "achter", "staat",
      "ligt", "bij"}},
    {"ru", SCRIPT_CYRILLIC, {NULL}},
    {"zh", SCRIPT_CJK, {NULL}},
    {"ja", SCRIPT_CJK, {NULL}},
    {"ko", SCRIPT_HANGUL, {NULL}},
};
enum { LANGUAGES = sizeof languages / sizeof languages[0] };

static int find_language(const char *code) {
    for (int i = 0; i < LANGUAGES; i++)
        if (strcmp(languages[i].code, code) == 0) return i;
    return -1;
}

bool quality_language_known(const char *code) {
    return strcmp(code, "any") == 0 || find_language(code) >= 0;
}

static script_t script_of(uint32_t c) {
    if (c < 0x250 || (c >= 0x1E00 && c < 0x1F00)) return SCRIPT_LATIN;
    if (c >= 0x400 && c < 0x530) return SCRIPT_CYRILLIC;
    if ((c >= 0x3040 && c < 0x3100) || (c >= 0x3400 && c < 0xA000) || (c >= 0xF900 && c < 0xFB00)) return SCRIPT_CJK;
    return c >= 0xAC00 && c < 0xD7B0 ? SCRIPT_HANGUL : SCRIPT_OTHER;
}

static double foreign_letters(const quality_text_t *t, script_t own) {
    int64_t count[SCRIPTS] = {0}, total = 0;
    for (int32_t i = 0; i < t->n_words; i++) {
        const quality_word_t *w = &t->words[i];
        for (uint32_t k = w->begin; k < w->end && !w->quoted;) {
            uint32_t code = 0;
            size_t len = words_utf8(t->text + k, w->end - k, &code);
            k += len ? (uint32_t)len : 1;
            if (code >= '0' && code <= '9') continue;
            script_t s = script_of(code);
            count[s] += s == SCRIPT_CJK || s == SCRIPT_HANGUL ? IDEOGRAPH_WEIGHT : 1;
        }
    }
    for (int s = 0; s < SCRIPTS; s++) total += count[s];
    return total ? (double)(total - count[own]) / (double)total : 0;
}

/* Share of another language's small words, where they outnumber those of the own one. */
static double foreign_words(const quality_text_t *t, int own) {
    int32_t count[LANGUAGES] = {0}, n = 0, most = 0;
    for (int32_t i = 0; i < t->n_words; i++) {
        if (t->words[i].quoted) continue;
        n++;
        if (t->words[i].end - t->words[i].begin > 8) continue;
        for (int l = 0; l < LANGUAGES; l++) count[l] += quality_text_match_any(t, i, languages[l].small) == 1;
    }
    for (int l = 0; l < LANGUAGES; l++)
        if (l != own && count[l] > most) most = count[l];
    if (n >= PROSE_WORDS && count[own] < least_small_frac * n) return 1 - (double)count[own] / n;
    return most >= SMALL_WORDS_MIN && most > count[own] ? (double)most / n : 0;
}

double quality_language(const quality_case_t *c) {
    int own = find_language(c->options->language);
    if (own < 0) return 0; /* any */
    double letters = foreign_letters(c->text, languages[own].script);
    double words = !c->is_tags && languages[own].small[0] ? foreign_words(c->text, own) : 0;
    return letters > words ? letters : words;
}
