/* Talk behind the caption: "Overall, the picture evokes", "Let me know if". */
#include "recaption/picture_phrase.h"
#include "recaption/quality_rules.h"

enum { CLOSERS_MAX = 3 };

static const char *const offers[] = {"let me know",
                                     "feel free to",
                                     "hope this helps",
                                     "i hope",
                                     "would you like me",
                                     "do you want me",
                                     "is there anything",
                                     "if you need",
                                     "if you have any",
                                     "if you would like",
                                     "if you'd like",
                                     "if you want me",
                                     "happy to help",
                                     "glad to help",
                                     "i can provide",
                                     "please note that",
                                     NULL};

static const char *const summaries[] = {"overall",      "in summary",   "in conclusion",
                                        "to summarize", "to summarise", "to sum up",
                                        "all in all",   "in essence",   NULL};

static const char *const moods[] = {"mood", "atmosphere", "ambiance", "ambience", "vibe", "feeling", NULL};

static const char *const effects[] = {
    "evokes",    "evoking",    "conveys",     "conveying", "exudes", "captures",  "creates", "creating", "suggests",
    "invites",   "imparts",    "radiates",    "gives",     "feels",  "shows",     "depicts", "portrays", "presents",
    "showcases", "showcasing", "illustrates", "is a",      "is an",  "is one of", NULL};

static const char *const senses[] = {"sense of", "feeling of",    "mood of",     "atmosphere of", "air of",
                                     "aura of",  "impression of", "feelings of", "mood",          "atmosphere",
                                     "ambiance", "essence of",    NULL};

static const char *const evocations[] = {"evokes",  "conveys",  "exudes", "creates",  "suggests",
                                         "imparts", "radiates", "gives",  "captures", NULL};

/* "Overall, the image conveys", "The overall mood is", "The scene evokes a sense of": what it tells of the picture is
 * what the caption has said. "Overall the picture is dark" tells something. */
static bool closes(const quality_text_t *t, const quality_sentence_t *s) {
    const int32_t i = s->first;
    if (s->n == 0 || t->words[i].quoted) return false;
    if (quality_text_any(t, i, offers) || quality_text_behind(t, i, 5, offers) >= 0) return true;
    const int32_t sum = quality_text_any(t, i, summaries);
    if (sum && (!quality_text_is(t, i, "overall") || quality_text_behind(t, i + sum - 1, 6, effects) >= 0)) return true;
    if (quality_text_is(t, i, "the") && quality_text_is(t, i + 1, "overall") && quality_text_any(t, i + 2, moods))
        return true;
    const picture_phrase_t p = picture_phrase_at(t, i);
    const int32_t verb = p.end && p.definite ? quality_text_behind(t, p.end - 1, 4, evocations) : -1;
    return verb >= 0 && quality_text_behind(t, verb, 6, senses) >= 0;
}

int quality_n_closing(const quality_text_t *t) {
    int n = 0;
    while (n < CLOSERS_MAX && n + 1 < t->n_sentences && closes(t, &t->sentences[t->n_sentences - 1 - n])) n++;
    return n;
}
