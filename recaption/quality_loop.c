/* Repetition: a model that has fallen into a loop says the same words, sentences or pattern to its end. Four measures,
 * of which the largest counts: runs of 4 words that occur again, a period that repeats, sentences that occur again, and
 * the most frequent pair of words (above 0.2 of a document in the filters of NeMo Curator). */
#include <stdlib.h>
#include <string.h>

#include "recaption/quality_rules.h"

enum { RUN_WORDS = 4, RUNS_MIN_WORDS = 12, PERIOD_MAX = 32, PERIOD_TURNS = 3, PERIOD_MIN_WORDS = 6 };
enum { SLOTS = 1 << 10, WORDS_MAX = SLOTS / 2, SENTENCES_MIN = 3, PAIR_TIMES = 6 };

/* Numbers are one word: a model that counts is in a loop too. */
static uint32_t word_of(const quality_text_t *t, int32_t i) {
    const quality_word_t *w = &t->words[i];
    return t->text[w->begin] >= '0' && t->text[w->begin] <= '9' ? 1 : w->hash;
}

/* Hashes of words outside quotations; of very long texts the last words, where loops are. */
static int32_t own_words(uint32_t out[WORDS_MAX], const quality_text_t *t) {
    int32_t n = 0, i = t->n_words;
    while (i > 0 && n < WORDS_MAX)
        if (!t->words[--i].quoted) out[WORDS_MAX - ++n] = word_of(t, i);
    memmove(out, out + WORDS_MAX - n, (size_t)n * sizeof *out);
    return n;
}

/* True where the set held the value already. 0 is an empty slot. */
static bool add_to_set(uint64_t slots[SLOTS], uint64_t value) {
    value |= 1;
    uint32_t at = (uint32_t)((value * 0x9E3779B97F4A7C15u) >> 54);
    while (slots[at] && slots[at] != value) at = (at + 1) % SLOTS;
    bool was = slots[at] == value;
    slots[at] = value;
    return was;
}

static double repeated_runs(const uint32_t *w, int32_t n) {
    if (n < RUNS_MIN_WORDS) return 0;
    uint64_t slots[SLOTS] = {0};
    int32_t repeated = 0, n_runs = n - RUN_WORDS + 1;
    for (int32_t i = 0; i < n_runs; i++) {
        uint64_t run = 0;
        for (int k = 0; k < RUN_WORDS; k++) run = (run ^ w[i + k]) * 0x9E3779B97F4A7C15u + (run >> 29);
        repeated += add_to_set(slots, run);
    }
    return (double)repeated / n_runs;
}

/* Share of the longest stretch that repeats its first 1 to 32 words at least three times. */
static double repeated_period(const uint32_t *w, int32_t n) {
    int32_t longest = 0;
    for (int32_t p = 1; p <= PERIOD_MAX && p * PERIOD_TURNS <= n; p++) {
        int32_t run = 0;
        for (int32_t i = p; i < n; i++) {
            run = w[i] == w[i - p] ? run + 1 : 0;
            int32_t length = run + p;
            if (length >= PERIOD_TURNS * p && length >= PERIOD_MIN_WORDS && length > longest) longest = length;
        }
    }
    return n ? (double)longest / n : 0;
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Share of the words that the most frequent pair makes, where it occurs at least PAIR_TIMES: "X is white, Y is white"
 */
static double frequent_pair(const uint32_t *w, int32_t n) {
    uint64_t pairs[WORDS_MAX];
    for (int32_t i = 0; i + 1 < n; i++) pairs[i] = (uint64_t)w[i] << 32 | w[i + 1];
    if (n > 1) qsort(pairs, (size_t)n - 1, sizeof *pairs, by_value);
    int32_t most = 0, run = 0;
    for (int32_t i = 0; i + 1 < n; i++) {
        run = i > 0 && pairs[i] == pairs[i - 1] ? run + 1 : 1;
        if (run > most) most = run;
    }
    return most >= PAIR_TIMES ? 2.0 * most / n : 0;
}

static double repeated_sentences(const quality_text_t *t) {
    if (t->n_sentences < SENTENCES_MIN || t->n_sentences > WORDS_MAX) return 0;
    uint64_t slots[SLOTS] = {0};
    int32_t repeated = 0;
    for (int32_t k = 0; k < t->n_sentences; k++) {
        const quality_sentence_t *s = &t->sentences[k];
        uint64_t h = 0;
        bool is_own = s->n > 1;
        for (int32_t i = s->first; i < s->first + s->n; i++) {
            h = (h ^ t->words[i].hash) * 0x9E3779B97F4A7C15u + (h >> 29);
            is_own &= !t->words[i].quoted;
        }
        repeated += is_own && add_to_set(slots, h);
    }
    return (double)repeated / t->n_sentences;
}

double quality_loop(const quality_case_t *c) {
    uint32_t words[WORDS_MAX];
    int32_t n = own_words(words, c->text);
    double runs = repeated_runs(words, n), period = repeated_period(words, n), lines = repeated_sentences(c->text);
    double most = runs > period ? runs : period;
    double pair = frequent_pair(words, n);
    if (pair > most) most = pair;
    return most > lines ? most : lines;
}
