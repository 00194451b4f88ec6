/* The caption's form: clean UTF-8, one paragraph of prose without markup, a whole last sentence. */
#include <ctype.h>
#include <string.h>

#include "recaption/quality_rules.h"
#include "recaption/words.h"

/* Line breaks and tabs are the markup's matter. */
double quality_encoding(const quality_case_t *c) {
    const quality_text_t *t = c->text;
    int n = 0;
    for (uint32_t i = 0; i < t->n_bytes;) {
        uint32_t code = 0;
        size_t len = words_utf8(t->text + i, t->n_bytes - i, &code);
        bool control = (code < 0x20 && !strchr("\t\r\n", (int)code)) || (code >= 0x7f && code < 0xA0);
        bool direction = (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
        n += len == 0 || control || direction || code == 0xFFFD;
        i += len ? (uint32_t)len : 1;
    }
    return n;
}

/* ---- markup ---- */

/* Bytes of a bullet, a number or a quotation sign that opens a line. */
static uint32_t list_sign(const char *p) {
    uint32_t digits = (uint32_t)strspn(p, "0123456789");
    if (digits && digits <= 2 && (p[digits] == '.' || p[digits] == ')') && p[digits + 1] == ' ') return digits + 2;
    if (*p && strchr("-*+>", *p) && p[1] == ' ') return 2;
    return strncmp(p, "• ", 4) == 0 || strncmp(p, "– ", 4) == 0 ? 4 : 0;
}

static uint32_t heading_sign(const char *p) {
    uint32_t n = (uint32_t)strspn(p, "#");
    return n && n <= 6 && p[n] == ' ' ? n + 1 : 0;
}

/* Bytes of a mark of emphasis, of code or of a tag at p. */
static uint32_t inline_sign(const quality_text_t *t, uint32_t i) {
    const char *p = t->text + i;
    if (strncmp(p, "**", 2) == 0 || strncmp(p, "__", 2) == 0) return 2;
    if (*p == '`') return 1;
    char before = i ? p[-1] : ' ';
    if (*p == '*') return isspace((unsigned char)before) != (isspace((unsigned char)p[1]) || !p[1]) ? 1 : 0;
    static const char *const tags[] = {"<b>",   "</b>",   "<i>",  "</i>",  "<p>",      "</p>",      "<br>",
                                       "<br/>", "<br />", "<em>", "</em>", "<strong>", "</strong>", NULL};
    for (const char *const *tag = tags; *p == '<' && *tag; tag++)
        if (strncasecmp(p, *tag, strlen(*tag)) == 0) return (uint32_t)strlen(*tag);
    return 0;
}

/* Of these no prose can be made: JSON, code, links. */
static bool is_data(const quality_text_t *t) {
    const char *p = t->text + strspn(t->text, " \t\r\n");
    if (strstr(p, "```") || strstr(p, "](")) return true;
    return (*p == '{' && strchr(p, ':') && strchr(p, '"')) || strncmp(p, "[\"", 2) == 0 || strncmp(p, "[{", 2) == 0;
}

/* The text within quotation marks that hold all of it. */
static bool is_wrapped(const quality_text_t *t, uint32_t *begin, uint32_t *end) {
    uint32_t from = (uint32_t)strspn(t->text, " \t\r\n"), to = t->n_bytes;
    while (to > from && isspace((unsigned char)t->text[to - 1])) to--;
    *begin = from;
    *end = to;
    if (to - from < 8) return false;
    const char *open = t->text + from;
    if (*open == '[' && t->text[to - 1] == ']') {
        ++*begin;
        --*end;
        return true;
    }
    uint32_t mark = *open == '"' && t->text[to - 1] == '"'                                ? 1
                    : strncmp(open, "“", 3) == 0 && memcmp(t->text + to - 3, "”", 3) == 0 ? 3
                                                                                          : 0;
    if (!mark || memchr(open + mark, *open, to - from - 2 * mark) != NULL) return false;
    *begin += mark;
    *end -= mark;
    return true;
}

/* One walk for measuring (out NULL) and for stripping. */
static int walk_markup(str_t *out, const quality_text_t *t) {
    uint32_t begin, end;
    int n = is_wrapped(t, &begin, &end);
    bool line_start = true, in_list = false;
    for (uint32_t i = begin; i < end;) {
        const char *p = t->text + i;
        uint32_t quote = quality_quote_end(t->text, t->n_bytes, i), sign = 0;
        if (*p == '\n' || *p == '\r' || *p == '\t') {
            n += *p == '\n';
            line_start |= *p == '\n';
            i++;
            continue;
        }
        if (line_start && *p == ' ') {
            i++;
            continue;
        }
        bool was_start = line_start;
        line_start = false;
        if (was_start && heading_sign(p)) {
            n++;
            i += (uint32_t)strcspn(p, "\n");
            continue;
        }
        bool item = was_start && (sign = list_sign(p)) > 0;
        if (!item) sign = quote && quote <= end ? 0 : inline_sign(t, i);
        if (was_start && out && out->len) {
            char last = out->s[out->len - 1];
            if (in_list && item && !strchr(".!?;,:", last)) str_add_char(out, ',');
            if (last != ' ') str_add_char(out, ' ');
        }
        in_list |= item;
        n += sign > 0;
        uint32_t len = quote > i && quote <= end ? quote - i : 1;
        if (!sign && out) str_add_n(out, p, len);
        i += sign ? sign : len;
    }
    return n;
}

double quality_markup(const quality_case_t *c) {
    return is_data(c->text) ? 1 : walk_markup(NULL, c->text);
}

bool quality_strip_markup(str_t *out, const quality_case_t *c) {
    if (is_data(c->text)) return false;
    str_t flat = {0};
    walk_markup(&flat, c->text);
    while (flat.len && flat.s[flat.len - 1] == ' ') flat.s[--flat.len] = '\0';
    if (flat.len) quality_add_capital(out, flat.s, flat.len);
    out->failed |= flat.failed;
    str_free(&flat);
    return true;
}

/* ---- the end ---- */

/* A sentence's end, perhaps within closing quotes or brackets. */
static bool is_finished(const char *text, size_t n) {
    static const char *const closing[] = {"”", "’", "」", "』", "»"}, *const marks[] = {"。", "！", "？", "…"};
    for (bool again = true; again && n;) {
        again = strchr(" \t\r\n\"')]", text[n - 1]) != NULL;
        n -= again;
        for (int i = 0; i < 5 && !again; i++) {
            size_t len = strlen(closing[i]);
            again = n >= len && memcmp(text + n - len, closing[i], len) == 0;
            n -= again ? len : 0;
        }
    }
    for (int i = 0; i < 3; i++)
        if (n >= 3 && memcmp(text + n - 3, marks[i], 3) == 0) return true;
    return n && strchr(".!?", text[n - 1]) && !(n >= 3 && memcmp(text + n - 3, "...", 3) == 0);
}

double quality_truncated(const quality_case_t *c) {
    return c->input->truncated;
}

/* "beside it stands a pot of." */
static bool is_dangling(const quality_text_t *t) {
    static const char *const list[] = {"of", "and", "the", "a", "an", "with", "or", "but", "which", "from", NULL};
    int32_t last = t->n_words - 1;
    return last >= 0 && !t->words[last].quoted && quality_text_match_any(t, last, list) == 1;
}

/* What stopped at a limit is the other rule's. */
double quality_unfinished(const quality_case_t *c) {
    if (c->is_tags || c->input->truncated) return 0;
    return !is_finished(c->text->text, c->text->n_bytes) || is_dangling(c->text);
}

bool quality_strip_tail(str_t *out, const quality_case_t *c) {
    const quality_text_t *t = c->text;
    int32_t k = t->n_sentences;
    while (k > 0 && !is_finished(t->text, t->sentences[k - 1].end)) k--;
    if (k > 0) str_add_n(out, t->text, t->sentences[k - 1].end);
    return k > 0;
}
