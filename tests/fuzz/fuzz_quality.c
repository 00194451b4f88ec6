/* The gate: any answer, alt-text and prompt (parted by a byte 1) is judged; what is accepted is text without controls
 * that the gate accepts again. */
#include <stdlib.h>
#include <string.h>

#include "recaption/quality.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static char *part(char **at) {
    char *begin = *at, *end = strchr(begin, 1);
    *at = end ? end + 1 : begin + strlen(begin);
    if (end) *end = '\0';
    return begin;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    char *text = malloc(n + 1), *at = text;
    if (!text) return 0;
    memcpy(text, bytes, n);
    text[n] = '\0';
    facts_t facts = {.colours = 1, .large = 1, .background = 1, .is_flat = true, .n_objects = 1};
    quality_input_t in = {.facts = &facts, .truncated = n & 1};
    in.text = part(&at);
    in.alt = part(&at);
    in.prompt = part(&at);
    quality_options_t o = QUALITY_DEFAULTS;
    o.min_words = 1;
    for (int r = 0; r < QUALITY_N; r++)
        if (o.rules[r].action == QUALITY_REJECT && r != QUALITY_ENCODING) o.rules[r].action = QUALITY_STRIP;
    quality_t q;
    if (quality_check(&q, &o, &in) != LENS_OK) abort();
    if (q.reason == QUALITY_ACCEPTED && !str_is_utf8(str_text(&q.text))) abort();
    if (q.stripped & ~q.fired) abort();
    quality_free(&q);
    free(text);
    return 0;
}
