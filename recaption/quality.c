#include "recaption/quality.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#include "recaption/words.h"

enum { RUN_WORDS = 4, LOOP_MIN_WORDS = 16 };

static const char *const openers[] = {
    "the image",
    "this image",
    "the picture shows",
    "this picture",
    "the photo",
    "this photo",
    "an image of",
    "in this image",
    "in the image",
    "in this picture",
    "here is",
    "here's",
    "sure,",
    "certainly",
    "of course",
    "we can see",
    "you can see",
    "as an ai",
    "caption:",
    "description:",
    "assistant:",
    NULL,
};

static const char *const refusals[] = {
    "i'm sorry", "i am sorry", "sorry,",      "i cannot",  "i can't",
    "i can not", "i'm unable", "i am unable", "unable to", NULL,
};

const char *quality_name(quality_reason r) {
    static const char *const names[] = {
#define QUALITY_NAME(id, name, meaning) name,
        QUALITY_LIST(QUALITY_NAME)
#undef QUALITY_NAME
    };
    return names[r];
}

const char *quality_meaning(quality_reason r) {
    static const char *const meanings[] = {
#define QUALITY_MEANING(id, name, meaning) meaning,
        QUALITY_LIST(QUALITY_MEANING)
#undef QUALITY_MEANING
    };
    return meanings[r];
}

/* Whole words: "the image" does not start "The imagery of a dream". */
static bool starts_with_any(const char *text, const char *const *list) {
    for (; *list; list++) {
        size_t n = strlen(*list);
        bool inside_word = isalnum((unsigned char)(*list)[n - 1]);
        if (strncasecmp(text, *list, n) != 0) continue;
        if (!inside_word || !isalnum((unsigned char)text[n])) return true;
    }
    return false;
}

/* Position of the first byte that is not part of clean one-paragraph UTF-8, -1 where there is none. */
static int64_t find_unclean(const char *text) {
    size_t n = strlen(text);
    for (size_t i = 0; i < n;) {
        uint32_t code;
        size_t len = words_utf8(text + i, n - i, &code);
        bool control = code < 0x20 || (code >= 0x7f && code < 0xA0);
        if (len == 0 || control || code == 0xFFFD) return (int64_t)i;
        i += len;
    }
    return -1;
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Share of the text's runs of RUN_WORDS words that occur more than once; 0 for short texts. */
static lens_status repeated_frac(double *out, const char *text, int64_t n_words) {
    *out = 0;
    if (n_words < LOOP_MIN_WORDS) return LENS_OK;
    size_t n_runs = (size_t)n_words - RUN_WORDS + 1;
    uint64_t *runs = malloc(n_runs * sizeof *runs);
    if (!runs) return lens_fail(LENS_MEMORY, "out of memory checking a caption of %lld words", (long long)n_words);
    uint64_t last[RUN_WORDS] = {0};
    size_t n = 0, word_bytes;
    int64_t i = 0;
    for (const char *w; (w = words_next(&text, &word_bytes)); i++) {
        last[i % RUN_WORDS] = XXH3_64bits(w, word_bytes);
        if (i + 1 < RUN_WORDS) continue;
        uint64_t in_order[RUN_WORDS];
        for (int k = 0; k < RUN_WORDS; k++) in_order[k] = last[(i + 1 + k) % RUN_WORDS];
        runs[n++] = XXH3_64bits(in_order, sizeof in_order);
    }
    qsort(runs, n, sizeof *runs, by_value);
    size_t repeated = 0;
    for (size_t k = 1; k < n; k++) repeated += runs[k] == runs[k - 1];
    *out = (double)repeated / (double)n;
    free(runs);
    return LENS_OK;
}

/* A sentence's end, perhaps within closing quotes or brackets. */
static bool is_finished(const char *text) {
    size_t n = strlen(text);
    while (n && strchr(" \t\n\"')]", text[n - 1])) n--;
    static const char *const curly = "\xE2\x80\x9D", *const full_stop = "\xE3\x80\x82";
    if (n >= 3 && memcmp(text + n - 3, curly, 3) == 0) n -= 3;
    return n && (strchr(".!?", text[n - 1]) || (n >= 3 && memcmp(text + n - 3, full_stop, 3) == 0));
}

lens_status quality_check(quality_t *out, const quality_options_t *o, const char *text) {
    *out = (quality_t){.n_words = words_count(text)};
    const char *start = text + strspn(text, " \t\r\n");
    int64_t unclean = find_unclean(text);
    double repeated;
    LENS_TRY(repeated_frac(&repeated, text, out->n_words));
    if (out->n_words == 0) {
        out->reason = QUALITY_EMPTY;
    } else if (unclean >= 0) {
        out->reason = QUALITY_ENCODING;
        out->value = (double)unclean;
    } else if (starts_with_any(start, refusals)) {
        out->reason = QUALITY_REFUSED;
    } else if (starts_with_any(start, openers)) {
        out->reason = QUALITY_BOILERPLATE;
    } else if (repeated > o->max_repeated_frac) {
        out->reason = QUALITY_LOOP;
        out->value = repeated;
    } else if (out->n_words < o->min_words || out->n_words > o->max_words) {
        out->reason = out->n_words < o->min_words ? QUALITY_SHORT : QUALITY_LONG;
        out->value = (double)out->n_words;
    } else if (!is_finished(text)) {
        out->reason = QUALITY_UNFINISHED;
    }
    return LENS_OK;
}
