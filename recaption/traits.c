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

static lens_status count_pairs(traits_t *t, const word_hashes_t *own, const word_hashes_t *alt) {
    const size_t n = alt->n > 1 ? (size_t)alt->n - 1 : 0;
    uint64_t *pairs = malloc((n + 1) * sizeof *pairs);
    if (!pairs) return lens_fail(LENS_MEMORY, "out of memory for the words of an alt-text");
    for (size_t i = 0; i < n; i++) pairs[i] = word_hashes_run(alt, (int64_t)i, 2);
    qsort(pairs, n, sizeof *pairs, compare);
    for (int64_t i = 0; i + 2 <= own->n; i++) {
        const uint64_t pair = word_hashes_run(own, i, 2);
        t->n_pairs++;
        t->n_new_pairs += !bsearch(&pair, pairs, n, sizeof *pairs, compare);
    }
    free(pairs);
    return LENS_OK;
}

lens_status traits_take(traits_t *out, const char *text, const char *alt, const word_hashes_t *own,
                        const word_hashes_t *alt_words) {
    *out = (traits_t){.n_sentences = count_sentences(text)};
    count_words(out, text);
    LENS_TRY(count_names(out, text, alt));
    return count_pairs(out, own, alt_words);
}
