#include "recaption/traits.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "recaption/words.h"

static bool is_bare(char c) {
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

/* The word without punctuation at its ends; NULL where nothing is left, *at moved on all the same. */
static const char *next_bare(const char **at, size_t *n, bool *more) {
    const char *w = words_next(at, n);
    *more = w != NULL;
    if (!w) return NULL;
    while (*n && !is_bare(*w)) w++, --*n;
    while (*n && !is_bare(w[*n - 1])) --*n;
    return *n ? w : NULL;
}

/* ---- hashes ---- */

static uint64_t hash_lower(const char *w, size_t n) {
    char lower[64];
    uint64_t h = 0;
    for (size_t i = 0; i < n; i += sizeof lower) {
        const size_t m = n - i < sizeof lower ? n - i : sizeof lower;
        for (size_t k = 0; k < m; k++) lower[k] = (char)tolower((unsigned char)w[i + k]);
        h = XXH3_64bits_withSeed(lower, m, h);
    }
    return h;
}

lens_status word_hashes_take(word_hashes_t *h, const char *text) {
    size_t n;
    bool more = true;
    h->n = 0;
    while (more) {
        const char *w = next_bare(&text, &n, &more);
        if (!w) continue;
        if (h->n == h->cap) {
            const int64_t cap = h->cap ? 2 * h->cap : 256;
            uint64_t *grown = realloc(h->at, (size_t)cap * sizeof *grown);
            if (!grown) return lens_fail(LENS_MEMORY, "out of memory for the words of a caption");
            h->at = grown;
            h->cap = cap;
        }
        h->at[h->n++] = hash_lower(w, n);
    }
    return LENS_OK;
}

void word_hashes_free(word_hashes_t *h) {
    free(h->at);
    *h = (word_hashes_t){0};
}

uint64_t word_hashes_run(const word_hashes_t *h, int64_t at, int n) {
    return XXH3_64bits(&h->at[at], (size_t)n * sizeof *h->at);
}

/* ---- lists ---- */

static const char *const colours[] = {
    "black",    "white",  "gray",  "grey",   "red",     "orange", "yellow",    "green",  "blue",  "purple",
    "pink",     "brown",  "beige", "cream",  "tan",     "navy",   "turquoise", "teal",   "cyan",  "magenta",
    "lavender", "violet", "olive", "maroon", "crimson", "gold",   "lime",      "silver", "peach", "scarlet",
    "indigo",   "ivory",  "coral", "golden", "bronze",  "amber",  NULL};
static const char *const numbers[] = {"two",   "three", "four", "five",   "six",    "seven",
                                      "eight", "nine",  "ten",  "eleven", "twelve", NULL};
static const char *const relations[] = {
    "above",    "below",       "beneath", "under", "underneath", "behind", "beside",      "between", "inside",
    "outside",  "near",        "within",  "among", "around",     "across", "along",       "atop",    "against",
    "overlaps", "overlapping", "beyond",  "amid",  "onto",       "facing", "surrounding", NULL};
/* Each begins with a word that alone says nothing; a phrase counts once. */
static const char *const phrases[] = {"next to",  "in front of", "on top of",        "left of",
                                      "right of", "close to",    "in the middle of", NULL};
/* Words that most texts have, whatever they say. */
static const char *const grammar[] = {
    "a",  "an", "the", "and",  "or",  "but", "of",   "in",   "on",   "at",    "to",    "for",   "with", "by", "from",
    "as", "is", "are", "was",  "be",  "it",  "its",  "this", "that", "these", "there", "which", "who",  "he", "she",
    "i",  "we", "you", "they", "his", "her", "your", "our",  "my",   "has",   "have",  "not",   "no",   NULL};

static bool is_number(const char *w, size_t n) {
    bool digits = true;
    for (size_t i = 0; i < n; i++) digits &= isdigit((unsigned char)w[i]) || (i && (w[i] == ',' || w[i] == '.'));
    return digits || words_in(w, n, numbers);
}

static int64_t count_phrases(const char *text) {
    int64_t n = 0;
    for (int i = 0; phrases[i]; i++)
        for (const char *at = text; (at = words_find(at, phrases[i])); at += strlen(phrases[i])) n++;
    return n;
}

static void count_words(traits_t *t, const char *text) {
    size_t n;
    bool more = true;
    for (const char *at = text; more;) {
        const char *w = next_bare(&at, &n, &more);
        if (!w) continue;
        t->n_words++;
        t->n_colours += words_in(w, n, colours);
        t->n_numbers += is_number(w, n);
        t->n_relations += words_in(w, n, relations);
    }
    t->n_relations += count_phrases(text);
}

/* Runs of ., ! or ? before white space or the end; what follows the last of them is one more. */
static int64_t count_sentences(const char *text) {
    int64_t n = 0;
    bool open = false;
    for (const char *p = text; *p; p++) {
        if (is_bare(*p)) open = true;
        if (!strchr(".!?", *p) || (p[1] && !isspace((unsigned char)p[1]))) continue;
        n += open;
        open = false;
    }
    return n + open;
}

/* ---- against the alt-text ---- */

static lens_status keep_name(traits_t *t, const char *text, const char *name, size_t n) {
    str_t copy = {0};
    str_add_n(&copy, name, n);
    lens_status st = str_status(&copy);
    if (st == LENS_OK) {
        t->n_names++;
        t->n_names_kept += words_find(text, copy.s) != NULL;
    }
    str_free(&copy);
    return st;
}

/* Capitalised words that do not begin a sentence. Alt-text that is a title, all words capitalised, says nothing of
 * names: no word of it in lower case is no names. */
static lens_status count_names(traits_t *t, const char *text, const char *alt) {
    size_t n;
    bool more = true, begins = true, has_lower = false;
    for (const char *p = alt; *p; p++) has_lower |= islower((unsigned char)*p) && (p == alt || p[-1] == ' ');
    for (const char *at = alt; more && has_lower;) {
        const char *w = next_bare(&at, &n, &more);
        if (w && !begins && n > 1 && isupper((unsigned char)*w)) LENS_TRY(keep_name(t, text, w, n));
        if (w) begins = at > alt && strchr(".!?:", at[-1]) != NULL;
    }
    for (const char *open = strchr(alt, '"'); open;) {
        const char *close = strchr(open + 1, '"');
        if (!close) break;
        if (close > open + 1) LENS_TRY(keep_name(t, text, open + 1, (size_t)(close - open - 1)));
        open = strchr(close + 1, '"');
    }
    return LENS_OK;
}

static int compare(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Sorts, and leaves one of each: how many there are then. */
static int64_t make_set(uint64_t *at, int64_t n) {
    int64_t n_set = 0;
    qsort(at, (size_t)n, sizeof *at, compare);
    for (int64_t i = 0; i < n; i++)
        if (i == 0 || at[i] != at[i - 1]) at[n_set++] = at[i];
    return n_set;
}

static bool is_in(uint64_t hash, const uint64_t *set, int64_t n) {
    return bsearch(&hash, set, (size_t)n, sizeof *set, compare) != NULL;
}

/* `set` has room for the alt-text's pairs. */
static void count_pairs(traits_t *t, const word_hashes_t *own, const word_hashes_t *alt, uint64_t *set) {
    int64_t n = 0;
    for (; n + 2 <= alt->n; n++) set[n] = word_hashes_run(alt, n, 2);
    n = make_set(set, n);
    for (int64_t i = 0; i + 2 <= own->n; i++) {
        t->n_pairs++;
        t->n_new_pairs += !is_in(word_hashes_run(own, i, 2), set, n);
    }
}

/* `own` has room for the text's words, `set` for the alt-text's. */
static void count_kept(traits_t *t, const word_hashes_t *words, const char *alt, uint64_t *own, uint64_t *set) {
    size_t length;
    int64_t n_set = 0;
    bool more = true;
    if (words->n) memcpy(own, words->at, (size_t)words->n * sizeof *own);
    t->n_different = make_set(own, words->n);
    while (more) {
        const char *w = next_bare(&alt, &length, &more);
        if (w && !words_in(w, length, grammar)) set[n_set++] = hash_lower(w, length);
    }
    t->n_alt_words = make_set(set, n_set);
    for (int64_t i = 0; i < t->n_alt_words; i++) t->n_alt_kept += is_in(set[i], own, t->n_different);
}

lens_status traits_take(traits_t *out, const char *text, const char *alt, const word_hashes_t *own,
                        const word_hashes_t *alt_words) {
    *out = (traits_t){.n_sentences = count_sentences(text)};
    count_words(out, text);
    LENS_TRY(count_names(out, text, alt));
    uint64_t *room = malloc((size_t)(own->n + alt_words->n + 1) * sizeof *room);
    if (!room) return lens_fail(LENS_MEMORY, "out of memory for the words of a caption");
    count_pairs(out, own, alt_words, room);
    count_kept(out, own, alt, room, room + own->n);
    free(room);
    return LENS_OK;
}
