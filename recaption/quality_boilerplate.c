/* Talk about the picture around the caption: "The image shows", "In this photo, we can see", "Overall, the picture
 * evokes", "Let me know if". What is looked for is a noun phrase that names the picture, and what is said with it;
 * words that tell something, such as "an aerial photograph of", stay. */
#include <ctype.h>
#include <string.h>

#include "recaption/quality_rules.h"

enum { OPENERS_MAX = 4, CLOSERS_MAX = 3, ADJECTIVES_MAX = 5, GREETING_WORDS = 14 };

/* ---- noun phrases: "the image", "this striking photograph you shared", "a picture" ---- */

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

typedef struct {
    int32_t end;   /* word behind it; 0: none stands here */
    bool definite; /* "the", "this", "your" */
    bool medium;   /* not a picture as such */
    bool tells;    /* an adjective says something of the picture */
} phrase_t;

static bool one_of(const quality_text_t *t, int32_t i, const char *const *list) {
    return quality_text_any(t, i, list) > 0;
}

static phrase_t picture_phrase(const quality_text_t *t, int32_t i) {
    static const char *const definites[] = {"the", "this", "your", "these", NULL};
    static const char *const indefinites[] = {"a", "an", NULL};
    const phrase_t none = {0};
    phrase_t p = {.definite = one_of(t, i, definites)};
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

static const char *const copulas[] = {"is", "appears to be", "seems to be", NULL};
static const char *const articles[] = {"a", "an", NULL};
static const char *const adverbs[] = {"here", "also", "then", NULL};

static int32_t adverb(const quality_text_t *t, int32_t i) {
    if (i >= t->n_words || t->words[i].quoted) return 0;
    const quality_word_t *w = &t->words[i];
    const bool ly = w->end - w->begin > 4 && memcmp(t->text + w->end - 2, "ly", 2) == 0;
    return ly || one_of(t, i, adverbs);
}

/* Words of the verb behind a picture's noun phrase, 0: there is none. */
static int32_t verb_words(const quality_text_t *t, const phrase_t *p) {
    const int32_t at = p->end + adverb(t, p->end), n = quality_text_any(t, at, verbs);
    if (n) return at + n - p->end;
    return p->definite ? 0 : quality_text_is(t, p->end, "of");
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
    const phrase_t p = picture_phrase(t, i);
    if (!p.end || (!p.definite && (p.medium || p.tells))) return 0;
    const int32_t verb = verb_words(t, &p);
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
    const phrase_t p = picture_phrase(t, i + n);
    if (!p.end) return 0;
    const int32_t verb = verb_words(t, &p);
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
    const phrase_t p = picture_phrase(t, i + n + (place ? place + 1 : 0));
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
    if (one_of(t, i + 1, within)) at = picture_phrase(t, i + 2).end;
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
        at = picture_phrase(t, at + 1).end;
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

/* Words of all that stands before the caption's own; *n_openers of them. */
static int32_t opening_words(const quality_text_t *t, int *n_openers) {
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

/* ---- closers: sentences at the end ---- */

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
    if (quality_text_within(t, i, 6, offers) >= 0) return true;
    const int32_t sum = quality_text_any(t, i, summaries);
    if (sum && (!quality_text_is(t, i, "overall") || quality_text_within(t, i + sum, 6, effects) >= 0)) return true;
    if (quality_text_is(t, i, "the") && quality_text_is(t, i + 1, "overall") && one_of(t, i + 2, moods)) return true;
    const phrase_t p = picture_phrase(t, i);
    const int32_t verb = p.end && p.definite ? quality_text_within(t, p.end, 4, evocations) : -1;
    return verb >= 0 && quality_text_within(t, verb + 1, 6, senses) >= 0;
}

/* Sentences at the end that are talk; one that opens the text is none. */
static int n_closing(const quality_text_t *t) {
    int n = 0;
    while (n < CLOSERS_MAX && n + 1 < t->n_sentences && closes(t, &t->sentences[t->n_sentences - 1 - n])) n++;
    return n;
}

/* ---- the rule ---- */

double quality_boilerplate(const quality_case_t *c) {
    int n;
    opening_words(c->text, &n);
    return c->is_tags ? n : n + n_closing(c->text);
}

void quality_add_capital(str_t *out, const char *text, size_t n) {
    if (n >= 2 && (unsigned char)text[0] == 0xC3 && (unsigned char)text[1] >= 0xA0 && (unsigned char)text[1] != 0xB7 &&
        (unsigned char)text[1] != 0xBF) {
        str_add_char(out, text[0]);
        str_add_char(out, (char)((unsigned char)text[1] - 0x20));
        str_add_n(out, text + 2, n - 2);
    } else if (n) {
        str_add_char(out, (char)toupper((unsigned char)text[0]));
        str_add_n(out, text + 1, n - 1);
    }
}

bool quality_strip_boilerplate(str_t *out, const quality_case_t *c) {
    const quality_text_t *t = c->text;
    int n;
    const int32_t at = opening_words(t, &n);
    const int n_closers = c->is_tags ? 0 : n_closing(t);
    const uint32_t end = n_closers ? t->sentences[t->n_sentences - 1 - n_closers].end : t->n_bytes;
    if (at >= t->n_words || t->words[at].begin >= end) return false;
    uint32_t from = 0;
    if (at > 0) {
        from = t->words[at - 1].end;
        from += (uint32_t)strspn(t->text + from, " \t\r\n,.:;!*-");
    }
    quality_add_capital(out, t->text + from, end - from);
    return true;
}
