/* Talk before the caption: "Sure!", "The image shows", "In this photo, we can see", "Depicted here is". */
#include <string.h>

#include "recaption/picture_phrase.h"
#include "recaption/quality_rules.h"

enum { OPENERS_MAX = 4, GREETING_WORDS = 14 };

static const char *const copulas[] = {"is", "appears to be", "seems to be", NULL};
static const char *const articles[] = {"a", "an", NULL};
static bool one_of(const quality_text_t *t, int32_t i, const char *const *list) {
    return quality_text_any(t, i, list) > 0;
}

/* ---- openers: each gives the words that it takes at word i, 0 where it does not stand there ---- */

static const char *const sees[] = {"we can see",
                                   "we see",
                                   "you can see",
                                   "you see",
                                   "one can see",
                                   "one sees",
                                   "i can see",
                                   "i see",
                                   "we observe",
                                   "we can observe",
                                   "we find",
                                   "we are shown",
                                   "we are presented with",
                                   "viewers can see",
                                   "the viewer can see",
                                   "the viewer sees",
                                   "there is",
                                   "there are",
                                   "it can be seen that",
                                   "it is clear that",
                                   "it shows",
                                   "it appears that",
                                   NULL};

static const char *const demonstratives[] = {"this is",
                                             "it is",
                                             "it's",
                                             "this appears to be",
                                             "this seems to be",
                                             "this looks like",
                                             "that is",
                                             "that's",
                                             "here is",
                                             "here's",
                                             "these are",
                                             "it appears to be",
                                             NULL};

static const char *const presentations[] = {
    "here we have",        "here we see",        "we have here",      "what we have here is",
    "what we see here is", "what we see is",     "what you see is",   "what you see here is",
    "you're looking at",   "you are looking at", "we're looking at",  "we are looking at",
    "i'm seeing",          "i am seeing",        "presented here is", "pictured is",
    "depicted is",         "shown is",           "featured here is",  NULL};

/* "The image vividly captures", "A picture of", "The photo is" before "a". "An aerial photograph of" tells something,
 * as does "an illustration". */
static int32_t says_it_shows(const quality_text_t *t, int32_t i) {
    const picture_phrase_t p = picture_phrase_at(t, i);
    if (!p.end || (!p.definite && (p.medium || p.tells))) return 0;
    const int32_t verb = picture_phrase_verb(t, &p);
    if (verb) return p.end + verb - i;
    const int32_t is = p.definite ? quality_text_any(t, p.end, copulas) : 0;
    return is && one_of(t, p.end + is, articles) ? p.end + is - i : 0;
}

/* "This is a photo of"; of "This is an aerial photograph of" the first two words. */
static int32_t points_at_it(const quality_text_t *t, int32_t i) {
    int32_t n = quality_text_any(t, i, presentations);
    if (n) return n;
    n = quality_text_any(t, i, demonstratives);
    if (!n) return 0;
    const picture_phrase_t p = picture_phrase_at(t, i + n);
    if (!p.end) return 0;
    const int32_t verb = picture_phrase_verb(t, &p);
    return !verb ? 0 : p.tells || p.medium ? n : p.end + verb - i;
}

static bool comma_behind(const quality_text_t *t, int32_t i) {
    return t->text[t->words[i].end] == ',';
}

/* "In this image, we can see", "At the center of the picture is", "Looking at this photo," */
static int32_t looks_into_it(const quality_text_t *t, int32_t i) {
    static const char *const into[] = {"in",        "within",   "from",         "looking at", "viewing",
                                       "gazing at", "based on", "judging from", "across",     "throughout",
                                       "observing", "at",       "examining",    NULL};
    static const char *const places[] = {"center of", "centre of", "middle of", "heart of", "foreground of", NULL};
    const int32_t n = quality_text_any(t, i, into);
    if (!n) return 0;
    const int32_t place = quality_text_is(t, i + n, "the") ? quality_text_any(t, i + n + 1, places) : 0;
    const picture_phrase_t p = picture_phrase_at(t, i + n + (place ? place + 1 : 0));
    if (!p.end || p.end >= t->n_words) return 0;
    const int32_t see = quality_text_any(t, p.end, sees);
    if (see) return p.end + see - i;
    if (place) return quality_text_is(t, p.end, "is") ? p.end + 1 - i : 0;
    return comma_behind(t, p.end - 1) ? p.end - i : 0;
}

/* "Depicted in the photo is", "Seen here are" */
static int32_t shows_inverted(const quality_text_t *t, int32_t i) {
    static const char *const participles[] = {"depicted",  "shown",       "pictured",  "seen",
                                              "captured",  "featured",    "presented", "displayed",
                                              "portrayed", "illustrated", "visible",   NULL};
    static const char *const heres[] = {"here", "above", "below", NULL};
    static const char *const within[] = {"in", "within", "on", "by", NULL};
    static const char *const ends[] = {"is", "are", "we see", "we find", "we have", "we can see", NULL};
    if (!one_of(t, i, participles)) return 0;
    int32_t at = 0;
    if (one_of(t, i + 1, heres)) at = i + 2;
    if (one_of(t, i + 1, within)) at = picture_phrase_at(t, i + 2).end;
    if (!at) return 0;
    const int32_t end = quality_text_any(t, at, ends);
    return end ? at + end - i : 0;
}

/* "The main subject of this photo is", "The focal point is" */
static int32_t names_subject(const quality_text_t *t, int32_t i) {
    static const char *const subjects[] = {"main subject",
                                           "primary subject",
                                           "central subject",
                                           "main focus",
                                           "primary focus",
                                           "central focus",
                                           "focal point",
                                           "central focal point",
                                           "main focal point",
                                           "centerpiece",
                                           "centrepiece",
                                           "main element",
                                           "central figure",
                                           "subject",
                                           "focus",
                                           "highlight",
                                           "center of attention",
                                           NULL};
    static const char *const is[] = {"is on", "is", "are", "appears to be", "seems to be", NULL};
    if (!quality_text_is(t, i, "the")) return 0;
    const int32_t n = quality_text_any(t, i + 1, subjects);
    if (!n) return 0;
    int32_t at = i + 1 + n;
    const bool bare = n == 1; /* "The subject is" may go on in any way */
    if (quality_text_is(t, at, "of") || quality_text_is(t, at, "in"))
        at = picture_phrase_at(t, at + 1).end;
    else if (bare)
        return 0;
    const int32_t verb = at ? quality_text_any(t, at, is) : 0;
    return verb ? at + verb - i : 0;
}

/* "We can see" alone, but not "there is". */
static int32_t says_who_sees(const quality_text_t *t, int32_t i) {
    static const char *const seers[] = {"we", "you", "one", "i", "viewers", NULL};
    return one_of(t, i, seers) ? quality_text_any(t, i, sees) : 0;
}

static const char *const greetings[] = {"sure",
                                        "certainly",
                                        "of course",
                                        "absolutely",
                                        "okay",
                                        "great",
                                        "sure thing",
                                        "here is",
                                        "here's",
                                        "here are",
                                        "below is",
                                        "the following is",
                                        "caption",
                                        "description",
                                        "image description",
                                        "image caption",
                                        "detailed description",
                                        "detailed caption",
                                        "answer",
                                        "output",
                                        "response",
                                        NULL};

static bool follows(const quality_text_t *t, int32_t i, const char *marks) {
    const char *p = t->text + t->words[i].end;
    while (*p == '*' || *p == ' ') p++;
    return *p && strchr(marks, *p) != NULL;
}

/* "Sure!", "Here is a detailed caption:": words of talk up to a mark. */
static int32_t greets(const quality_text_t *t, int32_t i) {
    int32_t n = quality_text_match_any(t, i, greetings);
    if (!n) return 0;
    if (follows(t, i + n - 1, ":!")) return n;
    bool here = t->lower[t->words[i].lower] == 'h' || quality_text_is(t, i, "below") || quality_text_is(t, i, "the");
    if (!here) return follows(t, i + n - 1, ",.") && n <= 2 && t->words[i].end - t->words[i].begin > 3 ? n : 0;
    for (int32_t k = i + n; k < t->n_words && k < i + GREETING_WORDS && t->words[k].sentence == t->words[i].sentence;
         k++)
        if (follows(t, k, ":")) return k - i + 1;
    return 0;
}

int32_t quality_opening_words(const quality_text_t *t, int *n_openers) {
    static int32_t (*const openers[])(const quality_text_t *t, int32_t i) = {
        greets, says_it_shows, points_at_it, looks_into_it, shows_inverted, names_subject, says_who_sees,
    };
    int32_t at = 0;
    for (*n_openers = 0; *n_openers < OPENERS_MAX && at < t->n_words && !t->words[at].quoted; ++*n_openers) {
        int32_t n = 0;
        for (size_t k = 0; k < sizeof openers / sizeof openers[0] && !n; k++) n = openers[k](t, at);
        if (!n) break;
        at += n;
    }
    return at;
}
