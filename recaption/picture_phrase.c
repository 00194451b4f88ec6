#include "recaption/picture_phrase.h"

#include <string.h>

enum { ADJECTIVES_MAX = 5 };

/* ---- the noun and what may stand before it ---- */

static const char *const pictures[] = {"image", "picture", "photo", "photograph", "snapshot", "pic", "shot", NULL};

/* They say how the picture was made, so they go only where they are talked about: "the illustration shows". */
static const char *const media[] = {"illustration", "painting", "drawing", "sketch",      "artwork",
                                    "rendering",    "render",   "graphic", "screenshot",  "cartoon",
                                    "composition",  "scene",    "visual",  "photography", NULL};

/* Words that no adjective of a picture is: a noun phrase ends before them. */
static const char *const stops[] = {
    "a",       "an",   "the",  "this",  "of",    "in",    "on",    "with",   "at",     "by",     "from",
    "for",     "to",   "is",   "are",   "was",   "were",  "has",   "have",   "that",   "which",  "who",
    "as",      "into", "over", "above", "below", "near",  "under", "behind", "beside", "before", "after",
    "through", "his",  "her",  "their", "its",   "there", "it",    "we",     "you",    NULL};

/* Adjectives that tell nothing. */
static const char *const fluff[] = {
    "high",     "resolution",  "quality",      "detailed", "vivid",    "vibrant",  "beautiful", "stunning",
    "striking", "captivating", "professional", "serene",   "dynamic",  "dramatic", "charming",  "composed",
    "clear",    "evocative",   "provided",     "given",    "attached", "uploaded", NULL};

static const char *const owners[] = {"you provided",
                                     "you've provided",
                                     "you have provided",
                                     "you shared",
                                     "you've shared",
                                     "you have shared",
                                     "you sent",
                                     "you uploaded",
                                     "you've uploaded",
                                     "you attached",
                                     "you gave",
                                     "you're referring to",
                                     "provided",
                                     "attached",
                                     "given",
                                     "uploaded",
                                     "shared",
                                     "above",
                                     "below",
                                     "here",
                                     "itself",
                                     "in question",
                                     "shown",
                                     "depicted",
                                     NULL};

static bool one_of(const quality_text_t *t, int32_t i, const char *const *list) {
    return quality_text_any(t, i, list) > 0;
}

picture_phrase_t picture_phrase_at(const quality_text_t *t, int32_t i) {
    static const char *const definites[] = {"the", "this", "your", "these", NULL};
    static const char *const indefinites[] = {"a", "an", NULL};
    const picture_phrase_t none = {0};
    picture_phrase_t p = {.definite = one_of(t, i, definites)};
    if (!p.definite && !one_of(t, i, indefinites)) return none;
    int32_t at = i + 1;
    for (; !one_of(t, at, pictures) && !one_of(t, at, media); at++) {
        if (at > i + ADJECTIVES_MAX || at >= t->n_words || t->words[at].quoted || one_of(t, at, stops) ||
            t->words[at].sentence != t->words[i].sentence)
            return none;
        p.tells |= !one_of(t, at, fluff);
    }
    p.medium = !one_of(t, at, pictures);
    while (one_of(t, at, pictures) || one_of(t, at, media)) at++; /* "photo image" */
    p.end = at + quality_text_any(t, at, owners);
    return p;
}

/* ---- what it is said to do ---- */

static const char *const verbs[] = {"shows",
                                    "show",
                                    "showing",
                                    "depicts",
                                    "depict",
                                    "depicting",
                                    "features",
                                    "feature",
                                    "featuring",
                                    "captures",
                                    "capture",
                                    "capturing",
                                    "presents",
                                    "presenting",
                                    "displays",
                                    "displaying",
                                    "portrays",
                                    "portraying",
                                    "illustrates",
                                    "illustrating",
                                    "contains",
                                    "containing",
                                    "showcases",
                                    "showcasing",
                                    "includes",
                                    "including",
                                    "reveals",
                                    "highlights",
                                    "highlighting",
                                    "represents",
                                    "conveys",
                                    "offers",
                                    "provides",
                                    "gives us",
                                    "gives a view of",
                                    "focuses on",
                                    "focusing on",
                                    "centers on",
                                    "centres on",
                                    "centers around",
                                    "centres around",
                                    "zooms in on",
                                    "consists of",
                                    "is of",
                                    "is showing",
                                    "is depicting",
                                    "is focused on",
                                    "is centered on",
                                    "is centred on",
                                    "is centered around",
                                    "is composed of",
                                    "appears to show",
                                    "appears to be of",
                                    "appears to depict",
                                    "appears to feature",
                                    "seems to show",
                                    "seems to depict",
                                    "that shows",
                                    "that depicts",
                                    "that features",
                                    "that captures",
                                    "which shows",
                                    "which depicts",
                                    "taken of",
                                    "of what appears to be",
                                    NULL};

static const char *const adverbs[] = {"here", "also", "then", NULL};

static int32_t adverb(const quality_text_t *t, int32_t i) {
    if (i >= t->n_words || t->words[i].quoted) return 0;
    const quality_word_t *w = &t->words[i];
    const bool ly = w->end - w->begin > 4 && memcmp(t->text + w->end - 2, "ly", 2) == 0;
    return ly || one_of(t, i, adverbs);
}

int32_t picture_phrase_verb(const quality_text_t *t, const picture_phrase_t *p) {
    const int32_t at = p->end + adverb(t, p->end), n = quality_text_any(t, at, verbs);
    if (n) return at + n - p->end;
    return p->definite ? 0 : quality_text_is(t, p->end, "of");
}
