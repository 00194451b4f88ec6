/* Composition: which of the describer's sentences a caption gets. */
#include "recaption/describe.h"

#include <string.h>

#include "recaption/teller.h"
#include "recaption/words.h"

typedef struct {
    bool (*tell)(teller_t *t, str_t *s);
    double priority; /* lower first; each caption adds up to SHUFFLE to all but the first */
} line_t;

/* What nearly every picture can be told of; another attempt brings one of them forward. */
static const double further = 6, shuffle = 2;

/* In the order of the page. */
static const line_t lines[] = {
    {tell_opening, -1}, {tell_places, 1},   {tell_parts, 1},   {tell_others, 2}, {tell_layout, 1},
    {tell_areas, 2},    {tell_relation, 2}, {tell_outline, 3}, {tell_shares, 4}, {tell_extent, 4},
    {tell_count, 5},    {tell_symmetry, 3}, {tell_palette, 4}, {tell_mood, 5},   {tell_surface, 4},
    {tell_light, 4},    {tell_corners, 6},  {tell_balance, 6}, {tell_format, 6},
};
enum { N_LINES = sizeof lines / sizeof lines[0] };

typedef struct {
    str_t text;
    int64_t n_words; /* 0: nothing to say */
    double urgency;
    bool kept;
} sentence_t;

static void tell_all(sentence_t said[N_LINES], teller_t *t) {
    for (int i = 0; i < N_LINES; i++) {
        sentence_t *s = &said[i];
        s->urgency = lines[i].priority + (i > 0 ? shuffle * rng_uniform(&t->rng) : 0);
        if (lines[i].priority >= further && t->attempt > 0 && (i + t->attempt) % 3 == 0) s->urgency = 0;
        if (!lines[i].tell(t, &s->text)) continue;
        phrase_capitalise(&s->text, 0);
        str_add_char(&s->text, '.');
        s->n_words = words_count(str_text(&s->text));
    }
    /* Parts and shares say the same in two ways. */
    for (int i = 0; i < N_LINES; i++)
        if (lines[i].tell == tell_parts && said[i].n_words)
            for (int k = 0; k < N_LINES; k++)
                if (lines[k].tell == tell_shares) said[k].n_words = 0;
}

static void choose(sentence_t said[N_LINES], int64_t target, int64_t max_words) {
    for (int64_t total = 0; total < target;) {
        sentence_t *next = NULL;
        for (int i = 0; i < N_LINES; i++) {
            sentence_t *s = &said[i];
            bool fits = !s->kept && s->n_words > 0 && total + s->n_words <= max_words;
            if (fits && (!next || s->urgency < next->urgency)) next = s;
        }
        if (!next) return;
        next->kept = true;
        total += next->n_words;
    }
}

lens_status describe_text(str_t *out, const measure_t *m, const alttext_t *alt, const describe_options_t *o) {
    teller_t t;
    LENS_TRY(teller_init(&t, m, alt, o->content, o->attempt));
    sentence_t said[N_LINES] = {0};
    tell_all(said, &t);
    /* Lengths vary from caption to caption; the last sentence may pass the target, not the limit. */
    int64_t least = o->min_words + 6, most = o->max_words - 25;
    int64_t target = least + (most > least ? rng_below(&t.rng, (uint32_t)(most - least)) : 0);
    choose(said, target, o->max_words);
    lens_status st = LENS_OK;
    for (int i = 0; i < N_LINES; i++) {
        if (said[i].kept) str_addf(out, "%s%s", i ? " " : "", str_text(&said[i].text));
        if (st == LENS_OK) st = str_status(&said[i].text);
        str_free(&said[i].text);
    }
    teller_free(&t);
    return st == LENS_OK ? str_status(out) : st;
}
