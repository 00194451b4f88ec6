#include "recaption/judge.h"

void judge_init(judge_t *j, const captioner_t *c, const caption_kind_t *kinds, int n_kinds,
                const quality_options_t *o) {
    *j = (judge_t){.captioner = c, .kinds = kinds};
    for (int k = 0; k < n_kinds; k++) {
        j->by_kind[k] = *o;
        j->by_kind[k].min_words = kinds[k].min_words;
        j->by_kind[k].max_words = kinds[k].max_words;
    }
    colour_table_init(&j->colours);
}

lens_status judge_measure(const judge_t *j, facts_t *out, const image_t *image) {
    return facts_measure(out, &j->colours, image);
}

lens_status judge_measure_stored(const judge_t *j, facts_t *out, const str_t *picture) {
    return facts_measure_stored(out, &j->colours, (const uint8_t *)picture->s, picture->len);
}

lens_status judge_reply(quality_t *out, const judge_t *j, const caption_request_t *request, const facts_t *facts,
                        const caption_reply_t *reply) {
    const captioner_type_t *type = j->captioner->type;
    const bool truncated = reply->outcome == CAPTION_TRUNCATED;
    *out = (quality_t){.reason = reply->outcome == CAPTION_REFUSED ? QUALITY_REFUSED : QUALITY_FAILED};
    if (reply->outcome != CAPTION_TEXT && !truncated) return LENS_OK;
    const quality_input_t in = {.text = reply->text,
                                .style = j->kinds[request->kind].style,
                                .prompt = type->prompt ? type->prompt(j->captioner, request->kind) : NULL,
                                .alt = request->alt,
                                .facts = facts,
                                .truncated = truncated};
    return quality_check(out, &j->by_kind[request->kind], &in);
}
