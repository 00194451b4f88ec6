/* What captioners say instead of a caption, before one, and about watermarks. The lists are phrases in lower case. */
#include <ctype.h>
#include <string.h>

#include "recaption/quality_rules.h"

enum { REFUSAL_BYTES = 160, REFUSAL_SHORT_WORDS = 40, OPENERS_MAX = 4 };

/* The first person, or the request's own mechanics: a goalkeeper may be unable to reach the ball. */
static const char *const refusals[] = {
    "i'm sorry",
    "i am sorry",
    "i cannot",
    "i can't",
    "i can not",
    "i could not",
    "i'm unable",
    "i am unable",
    "i'm not able",
    "i am not able",
    "i won't",
    "i apologize",
    "i apologise",
    "my apologies",
    "as an ai",
    "as a language model",
    "as a large language model",
    "i do not feel comfortable",
    "i don't feel comfortable",
    "i'm not comfortable",
    "i am not comfortable",
    "i must decline",
    "i have to decline",
    "i don't have the ability",
    "i do not have the ability",
    "i don't see an image",
    "i don't see any image",
    "i do not see an image",
    "no image was provided",
    "no image provided",
    "no image has been provided",
    "no image is attached",
    "no picture was provided",
    "no image attached",
    "please upload",
    "please provide",
    "please share the",
    "please try again",
    "image did not load",
    "picture did not load",
    "image failed to load",
    "upload the picture",
    "upload the image",
    "can't assist",
    "cannot assist",
    "can't help with",
    "cannot help with",
    "can't be described",
    "cannot be described",
    "description cannot be given",
    "unable to view",
    "unable to describe",
    "unable to process",
    "unable to assist",
    "unable to provide",
    "unable to identify",
    "usage policy",
    "content policy",
    "usage policies",
    "content policies",
    "safety guidelines",
    "against my guidelines",
    "let me know if",
    "i'd rather not",
    "i would rather not",
    "could you provide",
    "could you share",
    "can you send",
    "can you share",
    "can you upload",
    "could you upload",
    "blank or corrupted",
    "i'm afraid i",
    "i am afraid i",
    "respect their privacy",
    "i'll have to pass",
    "tut mir leid",
    "lo siento",
    "je suis désolé",
    "je ne peux pas",
    "no puedo",
    "ich kann nicht",
    NULL,
};

double quality_refused(const quality_case_t *c) {
    const quality_text_t *t = c->text;
    int n = 0;
    for (int32_t i = 0; i < t->n_words; i++) {
        if (t->n_words >= REFUSAL_SHORT_WORDS && t->words[i].begin >= REFUSAL_BYTES) break;
        if (!t->words[i].quoted && quality_text_match_any(t, i, refusals)) n++;
    }
    bool opens_sorry = quality_text_is(t, 0, "sorry") && !t->words[0].quoted && t->n_bytes > t->words[0].end &&
                       strchr(",.!", t->text[t->words[0].end]);
    return n + opens_sorry;
}

/* ---- openers ---- */

static const char *const pictures[] = {
    "image",
    "picture",
    "photo",
    "photograph",
    "photo image",
    "provided image",
    "given image",
    "attached image",
    "provided picture",
    "given picture",
    "attached picture",
    "uploaded image",
    "black and white image",
    "black and white photo",
    "black and white photograph",
    "close up image",
    "close up photo",
    "close up photograph",
    "color photograph",
    "colour photograph",
    "vivid image",
    "detailed image",
    "snapshot",
    NULL,
};

/* With what follows them, they lead to the caption's own first word. */
static const char *const shows[] = {
    "shows",
    "show",
    "depicts",
    "features",
    "captures",
    "presents",
    "displays",
    "portrays",
    "illustrates",
    "contains",
    "showcases",
    "is of",
    "is showing",
    "is a photo of",
    "is a picture of",
    "is an image of",
    "is a photograph of",
    "provided shows",
    "provided depicts",
    "above shows",
    "depicted shows",
    "appears to show",
    "seems to show",
    "consists of",
    "is a close up of",
    "is a depiction of",
    "showing",
    "that shows",
    "that depicts",
    "which shows",
    "depicting",
    "of",
    "featuring",
    "capturing",
    NULL,
};

/* Openers that hold the verb themselves. */
static const char *const whole[] = {
    "depicted in this image is",
    "depicted in the image is",
    "shown in this image is",
    "shown in the image is",
    "depicted here is",
    "pictured here is",
    "shown here is",
    "seen here is",
    "what we see here is",
    "what we see is",
    "the scene depicts",
    "the scene shows",
    "this scene depicts",
    "this scene shows",
    "the scene captures",
    "this scene captures",
    "the main subject of the image is",
    "the main subject of this image is",
    "the main subject of the picture is",
    "the subject of the image is",
    "the main subject of the photo is",
    "the focus of the image is",
    "at the center of the image is",
    "at the centre of the image is",
    "we can see",
    "we see",
    "you can see",
    "one can see",
    "i see",
    "i can see",
    NULL,
};

static const char *const sees[] = {"we can see", "we see",     "you can see", "one can see", "there is",
                                   "there are",  "we observe", "i see",       "i can see",   NULL};

static const char *const greetings[] = {
    "sure",
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
    NULL,
};

static bool follows(const quality_text_t *t, int32_t i, const char *marks) {
    const char *p = t->text + t->words[i].end;
    while (*p == '*' || *p == ' ') p++;
    return *p && strchr(marks, *p) != NULL;
}

/* "Sure!", "Here is a detailed caption:": words of talk up to a mark. */
static int32_t greeting_words(const quality_text_t *t, int32_t i) {
    int32_t n = quality_text_match_any(t, i, greetings);
    if (!n) return 0;
    if (follows(t, i + n - 1, ":!")) return n;
    bool here = t->lower[t->words[i].lower] == 'h' || quality_text_is(t, i, "below") || quality_text_is(t, i, "the");
    if (!here) return follows(t, i + n - 1, ",.") && n <= 2 && t->words[i].end - t->words[i].begin > 3 ? n : 0;
    for (int32_t k = i + n; k < t->n_words && k < i + 14 && t->words[k].sentence == t->words[i].sentence; k++)
        if (follows(t, k, ":")) return k - i + 1;
    return 0;
}

/* "The image shows", "In this picture, we can see", "This is a photo of", "An image of". */
static int32_t picture_words(const quality_text_t *t, int32_t i) {
    int32_t at = i, end = t->n_words;
    bool in = quality_text_is(t, at, "in") || quality_text_is(t, at, "within");
    at += in;
    if (!in && (quality_text_is(t, at, "this") || quality_text_is(t, at, "it")) && quality_text_is(t, at + 1, "is"))
        at += 2;
    if (at >= end) return 0;
    bool the = quality_text_is(t, at, "the") || quality_text_is(t, at, "this");
    bool a = quality_text_is(t, at, "a") || quality_text_is(t, at, "an");
    if (!the && !a) return 0;
    at++;
    int32_t n = at < end ? quality_text_match_any(t, at, pictures) : 0;
    for (int32_t longer; n && at + n < end && (longer = quality_text_match_any(t, at + n, pictures));) n += longer;
    if (!n) return 0;
    at += n;
    if (at >= end) return 0;
    if (in) {
        int32_t see = quality_text_match_any(t, at, sees);
        return see || follows(t, at - 1, ",") ? at + see - i : 0;
    }
    int32_t verb = quality_text_match_any(t, at, shows);
    return verb && at + verb < end ? at + verb - i : 0;
}

/* Words of all that stands before the caption's own; *n_openers of them. */
static int32_t opening_words(const quality_text_t *t, int *n_openers) {
    int32_t at = 0;
    for (*n_openers = 0; *n_openers < OPENERS_MAX && at < t->n_words && !t->words[at].quoted; ++*n_openers) {
        int32_t n = greeting_words(t, at);
        if (!n) n = picture_words(t, at);
        if (!n) n = quality_text_match_any(t, at, whole);
        if (!n) break;
        at += n;
    }
    return at;
}

double quality_boilerplate(const quality_case_t *c) {
    int n;
    opening_words(c->text, &n);
    return n;
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
    int32_t at = opening_words(t, &n);
    if (at >= t->n_words) return false;
    uint32_t from = t->words[at - 1].end;
    from += (uint32_t)strspn(t->text + from, " \t\r\n,.:;!*-");
    quality_add_capital(out, t->text + from, t->n_bytes - from);
    return true;
}

/* ---- watermarks ---- */

double quality_watermark(const quality_case_t *c) {
    static const char *const marks[] = {
        "watermark",
        "watermarks",
        "watermarked",
        "watermarking",
        "shutterstock",
        "getty images",
        "gettyimages",
        "istock",
        "istockphoto",
        "alamy",
        "dreamstime",
        "depositphotos",
        "adobe stock",
        "123rf",
        "stock photo logo",
        "photo agency",
        "picture agency",
        "image agency",
        "copyright notice",
        "copyright mark",
        NULL,
    };
    int n = 0;
    for (int32_t i = 0; i < c->text->n_words; i++)
        n += !c->text->words[i].quoted && quality_text_match_any(c->text, i, marks) > 0;
    return n;
}
