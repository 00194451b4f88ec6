/* Answers that are none. Captions speak of the picture in the third person, so what gives a refusal away is who speaks
 * and of what: the first person or "the assistant" with a verb group of being unable or unwilling, an apology, the
 * machinery of the request (its picture, its policies), a call for another picture. */
#include <ctype.h>
#include <string.h>

#include "recaption/quality_rules.h"

enum { REFUSAL_BYTES = 160, REFUSAL_SHORT_WORDS = 40 };

/* ---- who ---- */

static const char *const selves[] = {"i", "i'm", "i've", "i'd", "i'll", NULL};
static const char *const groups[] = {"we", "we're", "we've", NULL};
static const char *const servants[] = {"assistant", "model", "ai", "system", "chatbot", "bot", NULL};
static const char *const machines[] = {"ai",           "language model",    "text model", "text based",
                                       "vision model", "multimodal model",  "chat model", "ai model",
                                       "chatbot",      "virtual assistant", "llm",        "artificial intelligence",
                                       "ai language",  "visual assistant",  NULL};

/* ---- cannot, will not ---- */

static const char *const failings[] = {"cannot",
                                       "can't",
                                       "can not",
                                       "could not",
                                       "couldn't",
                                       "unable",
                                       "not able",
                                       "not be able",
                                       "incapable",
                                       "not capable",
                                       "not equipped",
                                       "not designed",
                                       "not trained",
                                       "not programmed",
                                       "not permitted",
                                       "not allowed",
                                       "not authorized",
                                       "not authorised",
                                       "not supposed",
                                       "not going to",
                                       "not comfortable",
                                       "not feel comfortable",
                                       "don't feel comfortable",
                                       "uncomfortable",
                                       "won't",
                                       "will not",
                                       "would not",
                                       "wouldn't",
                                       "shouldn't",
                                       "should not",
                                       "must not",
                                       "rather not",
                                       "prefer not",
                                       "refuse",
                                       "refuses",
                                       "decline",
                                       "declines",
                                       "refrain",
                                       "abstain",
                                       "have to pass",
                                       "do not see",
                                       "don't see",
                                       "not seeing",
                                       "do not have",
                                       "don't have",
                                       "did not receive",
                                       "didn't receive",
                                       "do not know",
                                       "don't know",
                                       "haven't",
                                       "have not",
                                       "have no",
                                       "lack",
                                       "no way",
                                       "no access",
                                       "apologize",
                                       "apologise",
                                       "regret",
                                       "sorry",
                                       "afraid",
                                       "need more",
                                       "need the",
                                       "need you",
                                       "need an",
                                       NULL};

static const char *const tasks[] = {
    "describe", "describing", "identify",    "identifying", "caption",        "captioning", "provide",  "providing",
    "generate", "generating", "process",     "processing",  "assist",         "assisting",  "analyze",  "analyse",
    "comply",   "fulfill",    "fulfil",      "complete",    "interpret",      "discuss",    "respond",  "answer",
    "comment",  "produce",    "description", "request",     "recognise",      "recognize",  "disclose", "speculate",
    "tell you", "help you",   "help with",   "give you",    "description of", NULL};

static const char *const calls[] = {"please",    "kindly",       "could you",       "can you",
                                    "would you", "feel free to", "you may want to", NULL};

static const char *const supplies[] = {"upload",    "re upload",   "reupload", "provide", "share",
                                       "send",      "resend",      "attach",   "retry",   "resubmit",
                                       "try again", "try another", "submit",   NULL};

/* ---- the request's machinery ---- */

static const char *const inputs[] = {"image",  "picture", "photo", "photograph", "attachment", "file",
                                     "upload", "input",   "link",  "url",        NULL};

static const char *const negations[] = {"not",      "didn't", "doesn't", "cannot",  "can't",
                                        "couldn't", "failed", "wasn't",  "isn't",   "hasn't",
                                        "never",    "fails",  "unable",  "failing", NULL};

static const char *const arrivals[] = {
    "load",     "loaded",    "loading",    "attached",  "provided",    "uploaded",  "upload",     "received",
    "included", "come",      "opened",     "processed", "valid",       "displayed", "accessible", "available",
    "accessed", "supported", "retrieved",  "shared",    "render",      "download",  "downloaded", "supplied",
    "found",    "submitted", "shown here", "display",   "transmitted", "sent",      NULL};

static const char *const damages[] = {
    "blank or corrupted",    "appears to be blank", "appears to be corrupted", "seems to be blank",
    "seems to be corrupted", "is corrupted",        "may be corrupted",        NULL};

/* "a photo frame" is no input */
static const char *const things[] = {"frame", "frames", "album", "book", "books", "booth", "cabinet", "gallery", NULL};

/* Policies that are somebody's here, or violated: a poster may list safety guidelines. */
static const char *const policies[] = {"policy",       "policies",      "guidelines", "terms", "programming",
                                       "instructions", "safety system", "rules",      NULL};
static const char *const holders[] = {"my", "our", "violate", "violates", "violating", NULL};

static const char *const requests[] = {"request", "prompt", "response", "query", "content", NULL};
static const char *const blocks[] = {"was blocked",  "has been blocked", "is blocked",
                                     "was flagged",  "has been flagged", "was filtered",
                                     "was rejected", "may violate",      NULL};

/* The verb and its object are enough: nobody in a picture does these. */
static const char *const impasses[] = {"usage policy",
                                       "usage policies",
                                       "content policy",
                                       "content policies",
                                       "due to privacy",
                                       "for privacy reasons",
                                       "respect their privacy",
                                       "protect their privacy",
                                       "can't assist",
                                       "cannot assist",
                                       "can't help with",
                                       "cannot help with",
                                       "can't be described",
                                       "cannot be described",
                                       "description cannot be",
                                       "description can't be",
                                       "description is not",
                                       "no description",
                                       "unable to view",
                                       "unable to describe",
                                       "unable to process",
                                       "unable to assist",
                                       "unable to provide",
                                       "unable to identify",
                                       "unable to generate",
                                       "unable to caption",
                                       "unable to analyze",
                                       "unable to analyse",
                                       "unable to access the image",
                                       "not possible for me",
                                       "impossible for me",
                                       "nothing for me to",
                                       "my apologies",
                                       "our apologies",
                                       NULL};

static const char *const impasses_first[] = {"it is not possible to describe",
                                             "it's not possible to describe",
                                             "it is impossible to describe",
                                             "it is not possible to identify",
                                             "it is not possible to provide",
                                             "unable to load",
                                             "unable to open",
                                             "failed to load",
                                             "failed to process",
                                             "processing failed",
                                             "processing error",
                                             "request failed",
                                             "unfortunately",
                                             "regrettably",
                                             "apologies",
                                             NULL};

/* ---- other languages ---- */

static const char *const foreign[] = {"tut mir leid",
                                      "als ki",
                                      "als sprachmodell",
                                      "es ist mir nicht möglich",
                                      "mir ist es nicht",
                                      "bitte laden sie",
                                      "bitte lade",
                                      "bitte stellen sie",
                                      "je suis désolé",
                                      "je suis désolée",
                                      "en tant qu'ia",
                                      "en tant que modèle",
                                      "veuillez fournir",
                                      "veuillez télécharger",
                                      "veuillez partager",
                                      "veuillez envoyer",
                                      "il m'est impossible",
                                      "lo siento",
                                      "no puedo",
                                      "no me es posible",
                                      "no tengo la",
                                      "no tengo acceso",
                                      "no soy capaz",
                                      "no estoy en condiciones",
                                      "como modelo de lenguaje",
                                      "como ia",
                                      "como inteligencia artificial",
                                      "por favor sube",
                                      "por favor suba",
                                      "por favor comparte",
                                      "por favor proporciona",
                                      NULL};

static const char *const foreign_first[] = {"leider",  "entschuldigung",  "entschuldige",    "désolé",
                                            "désolée", "malheureusement", "lamentablemente", "desafortunadamente",
                                            "lamento", "disculpa",        "disculpe",        NULL};

/* The first person beside a negation, in either order of the verb: "ich kann ... nicht", "je ne", "kann ich". */
static const char *const foreign_selves[] = {"ich", "je", NULL};
static const char *const foreign_negations[] = {"nicht",    "kein", "keine",       "keinen", "ne", "n'ai",
                                                "n'arrive", "n'y",  "außerstande", "unable", NULL};

/* No space parts these words: looked for as bytes. */
static const char *const unspaced[] = {
    "抱歉",     "对不起",     "我無法",       "無法識別",         "無法描述",   "我无法",       "无法识别", "无法描述",
    "无法查看", "无法提供",   "我不能",       "作为ai",           "语言模型",   "人工智能助手", "请上传",   "请提供",
    "申し訳",   "できません", "できかねます", "アップロードして", "言語モデル", "画像が添付",   NULL};

static bool speaks_unspaced(const quality_text_t *t, int32_t i) {
    const char *word = t->lower + t->words[i].lower;
    if ((unsigned char)*word < 0xE3) return false; /* kana and Han begin so */
    const char *end = strchr(word, ' ');
    for (const char *const *form = unspaced; *form; form++) {
        const char *at = strstr(word, *form);
        if (at && at < end) return true;
    }
    return false;
}

static bool is_foreign(const quality_text_t *t, int32_t i, bool opens) {
    if (quality_text_any(t, i, foreign) || (opens && quality_text_any(t, i, foreign_first))) return true;
    if (quality_text_any(t, i, foreign_selves) && quality_text_behind(t, i, 8, foreign_negations) >= 0) return true;
    return speaks_unspaced(t, i);
}

/* ---- forms ---- */

/* "a World War I pilot": behind a capital that does not only open the sentence. */
static bool is_numeral(const quality_text_t *t, int32_t i) {
    return i >= 2 && quality_text_is(t, i, "i") && isupper((unsigned char)t->text[t->words[i - 1].begin]) &&
           t->words[i - 2].sentence == t->words[i].sentence;
}

/* "I'm really not able", "we are unable to describe", "the assistant declines to describe" */
static bool cannot(const quality_text_t *t, int32_t i) {
    if (quality_text_any(t, i, selves)) return !is_numeral(t, i) && quality_text_behind(t, i, 6, failings) >= 0;
    const bool servant = (quality_text_is(t, i, "the") || quality_text_is(t, i, "this")) &&
                         (quality_text_any(t, i + 1, servants) || quality_text_any(t, i + 2, servants));
    if (!servant && !quality_text_any(t, i, groups)) return false;
    const int32_t failing = quality_text_behind(t, i, 6, failings);
    return failing >= 0 && quality_text_behind(t, failing, 7, tasks) >= 0;
}

/* "As an AI language model", "I'm only a text-based assistant" */
static bool is_machine(const quality_text_t *t, int32_t i, bool opens) {
    int32_t at = i + 1;
    if (quality_text_is(t, i, "i") && quality_text_is(t, at, "am"))
        at++;
    else if (!quality_text_is(t, i, "i'm") && !(opens && quality_text_is(t, i, "as")))
        return false;
    const bool article = quality_text_is(t, at, "a") || quality_text_is(t, at, "an") ||
                         quality_text_is(t, at + 1, "a") || quality_text_is(t, at + 1, "an");
    return article && quality_text_behind(t, at - 1, 5, machines) >= 0;
}

/* "Could you please attach", "Kindly upload" */
static bool asks_again(const quality_text_t *t, int32_t i) {
    const int32_t n = quality_text_any(t, i, calls);
    return n && quality_text_behind(t, i + n - 1, 3, supplies) >= 0;
}

/* "No image was attached", "the file you sent could not be opened" */
static bool lacks_input(const quality_text_t *t, int32_t i) {
    if (quality_text_is(t, i, "no")) {
        const int32_t input = quality_text_behind(t, i, 2, inputs);
        return input >= 0 && quality_text_behind(t, input, 4, arrivals) >= 0;
    }
    if (!quality_text_any(t, i, inputs) || quality_text_any(t, i + 1, things)) return false;
    if (quality_text_behind(t, i, 5, damages) >= 0) return true;
    const int32_t negation = quality_text_behind(t, i, 7, negations);
    return negation >= 0 && quality_text_behind(t, negation, 3, arrivals) >= 0;
}

/* "It violates the usage policy", "my guidelines", "your request was blocked" */
static bool quotes_policy(const quality_text_t *t, int32_t i) {
    if (quality_text_any(t, i, holders)) return quality_text_behind(t, i, 4, policies) >= 0;
    return quality_text_any(t, i, requests) && quality_text_behind(t, i, 3, blocks) >= 0;
}

/* "Sorry, ...", "Sorry about that": a sorry-looking bear is none. */
static bool says_sorry(const quality_text_t *t, int32_t i) {
    static const char *const follow[] = {"about", "but", "for the", "for any", "i", "that", "this", "to", NULL};
    if (!quality_text_is(t, i, "sorry")) return false;
    const char next = t->text[t->words[i].end];
    return (next && strchr(",.!", next)) || quality_text_any(t, i + 1, follow);
}

static bool refuses_at(const quality_text_t *t, int32_t i) {
    const bool opens = i == 0 || t->words[i].sentence != t->words[i - 1].sentence;
    if (opens && (quality_text_any(t, i, impasses_first) || says_sorry(t, i))) return true;
    if (opens && quality_text_is(t, i, "error") && t->text[t->words[i].end] == ':') return true;
    return cannot(t, i) || is_machine(t, i, opens) || asks_again(t, i) || lacks_input(t, i) || quotes_policy(t, i) ||
           quality_text_any(t, i, impasses) || is_foreign(t, i, opens);
}

double quality_refused(const quality_case_t *c) {
    const quality_text_t *t = c->text;
    int n = 0;
    for (int32_t i = 0; i < t->n_words; i++) {
        if (t->n_words >= REFUSAL_SHORT_WORDS && t->words[i].begin >= REFUSAL_BYTES) break;
        n += !t->words[i].quoted && refuses_at(t, i);
    }
    return n;
}
