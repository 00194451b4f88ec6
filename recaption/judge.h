/* Answers before the gate: each with the limits of its kind, the words of its prompt, and, where it says what pixels
 * can exclude, the facts of its picture. First judge_reply without them; where it sees claims, again with them.
 * Constant after judge_init, so for any thread. */
#ifndef LENS_RECAPTION_JUDGE_H
#define LENS_RECAPTION_JUDGE_H

#include "recaption/captioner.h"
#include "recaption/quality.h"

typedef struct {
    const captioner_t *captioner; /* borrowed, as are the kinds */
    const caption_kind_t *kinds;
    quality_options_t by_kind[CAPTION_MAX_KINDS];
    colour_table_t colours;
} judge_t;

void judge_init(judge_t *j, const captioner_t *c, const caption_kind_t *kinds, int n_kinds, const quality_options_t *o);
LENS_CHECKED lens_status judge_measure(const judge_t *j, facts_t *out, const image_t *image);
/* The same of an encoded picture; FORMAT where it cannot be decoded. */
LENS_CHECKED lens_status judge_measure_stored(const judge_t *j, facts_t *out, const str_t *picture);
/* facts: NULL where none were measured. *out as by quality_check; without text it holds the reason alone. */
LENS_CHECKED lens_status judge_reply(quality_t *out, const judge_t *j, const caption_request_t *request,
                                     const facts_t *facts, const caption_reply_t *reply);

#endif
