/* Talk about the picture around the caption: what is looked for is a noun phrase that names the picture, and what is
 * said with it. Words that tell something, such as "an aerial photograph of", stay. */
#include <ctype.h>
#include <string.h>

#include "recaption/quality_rules.h"

double quality_boilerplate(const quality_case_t *c) {
    int n;
    quality_opening_words(c->text, &n);
    return c->is_tags ? n : n + quality_n_closing(c->text);
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
    const int32_t at = quality_opening_words(t, &n);
    const int n_closers = c->is_tags ? 0 : quality_n_closing(t);
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
