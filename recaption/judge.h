/* Answers before the gate: each with the limits of its kind, the words of its prompt, and the facts of its picture.
 * Constant after judge_init, so for any thread. */
#ifndef LENS_RECAPTION_JUDGE_H
#define LENS_RECAPTION_JUDGE_H

#include "recaption/captioner.h"
#include "recaption/quality.h"

typedef struct {
    const captioner_t *captioner; /* borrowed, as are the kinds */
    const caption_kind_t *kinds;
    quality_options_t by_kind[CAPTION_MAX_KINDS];
    bool wants_facts; /* a rule compares with the pixels: judge_measure is to be called for each picture */
    colour_table_t colours;
} judge_t;

void judge_init(judge_t *j, const captioner_t *c, const caption_kind_t *kinds, int n_kinds, const quality_options_t *o);
LENS_CHECKED lens_status judge_measure(const judge_t *j, facts_t *out, const image_t *image);
/* facts: NULL where none were measured. *out as by quality_check; without text it holds the reason alone. */
LENS_CHECKED lens_status judge_reply(quality_t *out, const judge_t *j, const caption_request_t *request,
                                     const facts_t *facts, const caption_reply_t *reply);

#endif
