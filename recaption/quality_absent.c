/* Mentions of what is not in the picture: a model that is trained on "no people" learns to draw people. */
#include <string.h>

#include "recaption/quality_rules.h"

enum { LEAD_WORDS = 6, CLAUSE_WORDS = 12 };

/* What one would only name in order to say that it is missing; "no leaves on the tree" describes a tree. */
static const char *const things[] = {
    "text",
    "texts",
    "writing",
    "words",
    "lettering",
    "inscription",
    "inscriptions",
    "caption",
    "captions",
    "people",
    "person",
    "persons",
    "humans",
    "human figures",
    "human",
    "figures",
    "animals",
    "animal",
    "watermark",
    "watermarks",
    "logo",
    "logos",
    "brand",
    "brands",
    "signature",
    "objects",
    "object",
    "elements",
    "buildings",
    "vehicles",
    "signs of life",
    "details",
    "background elements",
    "items",
    "distractions",
    "numbers",
    "symbols",
    "borders",
    "faces",
    "one else",
    "decorations",
    "indication",
    "indications",
    NULL,
};

static const char *const qualities[] = {
    "visible",      "other",        "additional",   "discernible", "readable", "legible", "apparent",
    "recognizable", "recognisable", "identifiable", "noticeable",  "obvious",  "clear",   "further",
    "overlaid",     "distracting",  "distinct",     "any",         NULL};

static const char *const denials[] = {
    "no",
    "without any",
    "without",
    "not contain any",
    "doesn't contain any",
    "not include any",
    "doesn't include any",
    "not show any",
    "not any",
    "aren't any",
    "isn't any",
    "not have any",
    "absence of",
    "the absence of",
    "free from",
    "devoid of",
    "free of",
    "lacks any",
    NULL,
};

/* Words of "no visible text" at word i, 0 where nothing is missing there. */
static int32_t denial_at(const quality_text_t *t, int32_t i) {
    int32_t at = i, sentence = t->words[i].sentence, n = quality_text_match_any(t, at, denials);
    if (!n) return 0;
    at += n;
    int adjectives = 0;
    while (at < t->n_words && quality_text_match_any(t, at, qualities)) {
        at++;
        adjectives++;
    }
    if (at >= t->n_words || t->words[at].sentence != sentence || t->words[at].quoted) return 0;
    n = quality_text_match_any(t, at, things);
    if (!n && adjectives && quality_text_is(t, i, "no")) n = 1; /* "no visible cracks" */
    return n ? at + n - i : 0;
}

/* "Text is absent", "people are not visible" */
static int32_t absence_at(const quality_text_t *t, int32_t i) {
    static const char *const lacks[] = {
        "nothing else",   "is absent",       "are absent",     "is not visible", "are not visible",
        "is not present", "are not present", "cannot be seen", "can't be seen",  NULL};
    const int32_t n = quality_text_match_any(t, i, lacks);
    return quality_text_is(t, i + n, "from") ? 0 : n; /* "cannot be seen from the front" says how one stands */
}

static int32_t missing_at(const quality_text_t *t, int32_t i) {
    if (t->words[i].quoted) return 0;
    int32_t n = denial_at(t, i);
    if (!n) n = absence_at(t, i);
    if (n || !quality_text_is(t, i, "neither")) return n;
    for (int32_t k = i + 2; k < i + 5 && k < t->n_words && t->words[k].sentence == t->words[i].sentence; k++)
        if (quality_text_is(t, k, "nor")) return k - i;
    return 0;
}

double quality_absent(const quality_case_t *c) {
    int n = 0;
    if (c->is_tags) return 0;
    for (int32_t i = 0; i < c->text->n_words; i++) n += missing_at(c->text, i) > 0;
    return n;
}

/* Where the clause that holds word i begins, behind the word before it: ", with no people", " and no text". */
static uint32_t clause_begin(const quality_text_t *t, const quality_sentence_t *s, int32_t i) {
    static const char *const joints[] = {"with",     "and",       "but",      "where", "while", "though",
                                         "there is", "there are", "contains", "has",   NULL};
    int32_t at = i;
    while (at > s->first && i - at < 3 && quality_text_match_any(t, at - 1, joints)) at--;
    if (at - 1 > s->first && quality_text_match_any(t, at - 2, joints) == 2) at -= 2;
    while (at > s->first && i - at < 5 && quality_text_match_any(t, at - 1, joints)) at--;
    return at > s->first ? t->words[at - 1].end : s->begin;
}

/* Keeps of a sentence what stands before its missing things, nothing where it opens with them. False: neither helps. */
static bool add_kept(str_t *out, const quality_text_t *t, const quality_sentence_t *s, int32_t missing) {
    if (missing - s->first < LEAD_WORDS) return true;
    uint32_t end = clause_begin(t, s, missing);
    if (s->first + s->n - missing > CLAUSE_WORDS || end <= s->begin) return false;
    if (out->len) str_add_char(out, ' ');
    str_add_n(out, t->text + s->begin, end - s->begin);
    str_add_char(out, '.');
    return true;
}

bool quality_strip_absent(str_t *out, const quality_case_t *c) {
    const quality_text_t *t = c->text;
    for (int32_t k = 0; k < t->n_sentences; k++) {
        const quality_sentence_t *s = &t->sentences[k];
        int32_t missing = -1;
        for (int32_t i = s->first; i < s->first + s->n && missing < 0; i++)
            if (missing_at(t, i)) missing = i;
        if (missing >= 0) {
            if (!add_kept(out, t, s, missing)) return false;
            continue;
        }
        if (out->len) str_add_char(out, ' ');
        str_add_n(out, t->text + s->begin, s->end - s->begin);
    }
    return out->len > 0;
}
