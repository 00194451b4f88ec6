/* The quality gate: what every caption passes before it is kept as one, whoever wrote it. Reentrant.
 *
 * A rule measures the caption and acts where the value is above its limit: it rejects, strips what it found, or flags.
 * All rules are applied in the table's order, later ones to what earlier ones left; the reason of a rejection is the
 * first that rejected. Text within quotation marks is what a picture says: it is never changed, and rules about the
 * caption's own words do not look at it (refusals, loops, language, absence, watermarks).
 *
 * A caption that fails keeps its text and its reason in the layer's metadata; the layer's text is then "". */
#ifndef LENS_RECAPTION_QUALITY_H
#define LENS_RECAPTION_QUALITY_H

#include "base/error.h"
#include "base/str.h"
#include "recaption/facts.h"

/* X(identifier, name, action, limit, meaning of its value). FIXED: no rule of the text, nothing to configure. The name
 * is what layers, summaries and configurations hold. */
#define QUALITY_LIST(X)                                                                                                \
    X(ACCEPTED, "accepted", FIXED, 0, "passed every check")                                                            \
    X(PICTURE, "picture", FIXED, 0, "the picture cannot be read")                                                      \
    X(FAILED, "failed", FIXED, 0, "the captioner gave no answer")                                                      \
    X(EMPTY, "empty", FIXED, 0, "no words")                                                                            \
    X(ENCODING, "encoding", REJECT, 0, "bytes that are no UTF-8, and control characters")                              \
    X(REFUSED, "refused", REJECT, 0, "the captioner would not answer; statements of that")                             \
    X(PROMPT, "prompt", REJECT, 6, "longest run of words that the prompt holds too; 1000: tokens of a chat")           \
    X(MARKUP, "markup", STRIP, 0, "signs of markdown, lists, JSON and line breaks")                                    \
    X(BOILERPLATE, "boilerplate", STRIP, 0,                                                                            \
      "talk about the picture around the caption: \"the image shows\"; such phrases")                                  \
    X(LOOP, "loop", REJECT, 0.2, "repeats itself; the share of repeated words, sentences or 4-word runs")              \
    X(LANGUAGE, "language", REJECT, 0.15, "share of letters or of small words of another language")                    \
    X(ABSENT, "absent", STRIP, 0, "mentions of what is not in the picture")                                            \
    X(SHORT, "short", REJECT, 0, "fewer words than the least; their number")                                           \
    X(LONG, "long", REJECT, 0, "more words than the most, or more than 64 KiB; their number")                          \
    X(TRUNCATED, "truncated", REJECT, 0, "the captioner stopped at a length limit")                                    \
    X(UNFINISHED, "unfinished", REJECT, 0, "does not end as a sentence does")                                          \
    X(CONTRADICTION, "contradiction", REJECT, 0, "colours and counts that the pixels exclude")                         \
    X(ECHO, "echo", REJECT, 0.8, "the alt-text again: shared words, of the words of both")                             \
    X(JUNK, "junk", REJECT, 0, "addresses, prices, article numbers and file names taken from the alt-text")            \
    X(NAMES, "names", FLAG, 0.75, "share of the alt-text's names, numbers and quoted words that were lost")            \
    X(WATERMARK, "watermark", FLAG, 0, "mentions of watermarks and picture agencies")                                  \
    X(DUPLICATE, "duplicate", FIXED, 0, "another picture has the same caption; that sample's number")

typedef enum {
#define QUALITY_ENUM(id, name, action, limit, meaning) QUALITY_##id,
    QUALITY_LIST(QUALITY_ENUM)
#undef QUALITY_ENUM
        QUALITY_N
} quality_reason;

typedef enum {
    QUALITY_FIXED,
    QUALITY_OFF,
    QUALITY_REJECT,
    QUALITY_STRIP, /* MARKUP, BOILERPLATE, ABSENT; TRUNCATED and UNFINISHED: back to the last whole sentence. What
                      cannot be stripped is rejected */
    QUALITY_FLAG,
} quality_action;

typedef struct {
    quality_action action;
    double limit; /* acts where the value is above; SHORT and LONG go by the words below */
} quality_rule_t;

/* Plain values: copied freely, one for each kind of caption where their lengths differ. */
typedef struct {
    int64_t min_words, max_words;
    char language[8]; /* that captions are written in: en, de, fr, es, it, pt, nl, ru, zh, ja, ko or any */
    quality_rule_t rules[QUALITY_N];
} quality_options_t;

#define QUALITY_RULE(id, name, action, limit, meaning) [QUALITY_##id] = {QUALITY_##action, limit},
#define QUALITY_DEFAULTS                                                                                               \
    ((quality_options_t){.min_words = 40, .max_words = 120, .language = "en", .rules = {QUALITY_LIST(QUALITY_RULE)}})

/* All borrowed. Strings may be NULL, which is as "". */
typedef struct {
    const char *text;     /* the answer as it came */
    const char *style;    /* "tags": a list of words, no sentences; all else is prose */
    const char *prompt;   /* the prompt's own words, without what it quotes of the sample */
    const char *alt;      /* as ingested; longer than 16 KiB: not compared with */
    const facts_t *facts; /* NULL: not compared with; see has_claims */
    bool truncated;       /* the captioner stopped at its limit of tokens */
} quality_input_t;

typedef struct {
    quality_reason reason;    /* ACCEPTED, or the first rule that rejected */
    double value;             /* of the reason */
    int64_t n_words;          /* of the cleaned text */
    uint32_t fired;           /* 1 << quality_reason of all rules that found something */
    uint32_t stripped;        /* those of them that changed the text */
    double values[QUALITY_N]; /* of the rules in `fired`, else 0 */
    bool has_claims; /* accepted so far, without facts, and says what facts could exclude: check it again with them */
    str_t text;      /* owned; cleaned: what a layer keeps where it is accepted */
} quality_t;

/* *out is overwritten, and the caller's to free. MEMORY is the only failure; *out is then empty. */
LENS_CHECKED lens_status quality_check(quality_t *out, const quality_options_t *o, const quality_input_t *in);
void quality_free(quality_t *q);
const char *quality_name(quality_reason r);
const char *quality_meaning(quality_reason r);
int quality_find(const char *name); /* the reason of that name; -1: none, or name is NULL */
/* ,"flags":["names",...],"stripped":[...],"values":{"names":0.8,...} for a sample's record: values of all that fired,
 * flags where they neither changed the text nor are the reason; nothing of what is empty. */
void quality_add_json(str_t *json, const quality_t *q);
/* Takes fired, stripped and values of such a record. FORMAT where they are malformed or name no rule. */
struct json_t;
LENS_CHECKED lens_status quality_read_json(quality_t *q, const struct json_t *record);

/* A YAML file of `caption-language:` and, under a rule's name, `action:` and `limit:`. ARGUMENT with file and line.
 * What it leaves out stays as it is in *o. */
LENS_CHECKED lens_status quality_options_load(quality_options_t *o, const char *path);
/* The same file, whole, with what each rule means: --gate-list. Its hash belongs to a caption's provenance. */
LENS_CHECKED lens_status quality_options_write(str_t *yaml, const quality_options_t *o);
LENS_CHECKED lens_status quality_options_hash(uint64_t *out, const quality_options_t *o);

#endif
