/* Recursive descent, one function a level of the grammar in docs/where.md. Its depth is bounded. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "data/where_private.h"

typedef struct {
    where_t *w;
    const char *text, *at;
    int depth;
} parser_t;

static lens_status parse_or(parser_t *p, int *out);

static int column(const parser_t *p) {
    return (int)(p->at - p->text) + 1;
}

static lens_status fail(const parser_t *p, const char *expected) {
    if (*p->at == '\0') return lens_fail(LENS_ARGUMENT, "column %d: expected %s, but it ends", column(p), expected);
    return lens_fail(LENS_ARGUMENT, "column %d: expected %s at \"%.12s\"", column(p), expected, p->at);
}

static bool is_alpha(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static void skip_space(parser_t *p) {
    while (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r') p->at++;
}

/* Passes over the symbol or the whole word. */
static bool take(parser_t *p, const char *word) {
    skip_space(p);
    size_t n = strlen(word);
    if (strncmp(p->at, word, n) != 0) return false;
    if (is_alpha(word[0]) && (is_alpha(p->at[n]) || is_digit(p->at[n]) || p->at[n] == '.')) return false;
    p->at += n;
    return true;
}

static lens_status add(parser_t *p, where_node_t node, int *out) {
    where_t *w = p->w;
    if (w->n == w->cap) {
        int cap = w->cap ? 2 * w->cap : 16;
        where_node_t *grown = realloc(w->nodes, sizeof *grown * (size_t)cap);
        if (!grown) return lens_fail(LENS_MEMORY, "out of memory for an expression");
        w->nodes = grown;
        w->cap = cap;
    }
    w->nodes[w->n] = node;
    *out = w->n++;
    return LENS_OK;
}

static lens_status add_op(parser_t *p, where_op op, int a, int b, int at, int *out) {
    return add(p, (where_node_t){.op = op, .a = a, .b = b, .column = at}, out);
}

/* ---- primaries ---- */

static lens_status parse_number(parser_t *p, int *out) {
    where_node_t node = {.op = WHERE_CONSTANT, .a = -1, .b = -1, .column = column(p), .value.type = WHERE_NUMBER};
    const char *end = p->at;
    while (is_digit(*end) || *end == '.') end++;
    if ((*end == 'e' || *end == 'E') && (is_digit(end[1]) || ((end[1] == '-' || end[1] == '+') && is_digit(end[2]))))
        for (end += 2; is_digit(*end);) end++;
    char *stop;
    errno = 0;
    node.value.number = strtod(p->at, &stop);
    if (stop != end || errno == ERANGE || is_alpha(*end)) return fail(p, "a number");
    p->at = end;
    return add(p, node, out);
}

static lens_status parse_text(parser_t *p, int *out) {
    char quote = *p->at;
    const char *end = strchr(p->at + 1, quote);
    if (!end)
        return lens_fail(LENS_ARGUMENT, "column %d: the text that begins here has no closing %c", column(p), quote);
    where_node_t node = {
        .op = WHERE_CONSTANT, .a = -1, .b = -1, .column = column(p), .value.type = WHERE_TEXT, .text = p->w->texts.len};
    str_add_n(&p->w->texts, p->at + 1, (size_t)(end - p->at - 1));
    str_add_char(&p->w->texts, '\0');
    LENS_TRY(str_status(&p->w->texts));
    p->at = end + 1;
    return add(p, node, out);
}

/* NAME, or caption.KIND and words.KIND, where a kind has hyphens. */
static size_t name_length(const char *at) {
    size_t n = 0;
    bool kind = strncmp(at, "caption.", 8) == 0 || strncmp(at, "words.", 6) == 0;
    while (is_alpha(at[n]) || is_digit(at[n]) || at[n] == '.' || (kind && at[n] == '-')) n++;
    return n;
}

static lens_status parse_name(parser_t *p, int *out) {
    static const char *const words[] = {"and", "or", "not", "in", "is", "contains", "startswith"};
    where_t *w = p->w;
    size_t n = name_length(p->at);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == n && memcmp(words[i], p->at, n) == 0) return fail(p, "a value");
    int i = 0;
    while (i < w->n_names && (strncmp(w->names[i], p->at, n) != 0 || w->names[i][n] != '\0')) i++;
    if (i == WHERE_MAX_NAMES)
        return lens_fail(LENS_ARGUMENT, "column %d: more than %d names", column(p), WHERE_MAX_NAMES);
    if (i == w->n_names) {
        if (!(w->names[i] = strndup(p->at, n))) return lens_fail(LENS_MEMORY, "out of memory for an expression");
        w->n_names++;
    }
    int at = column(p);
    p->at += n;
    return add(p, (where_node_t){.op = WHERE_NAME, .a = -1, .b = -1, .name = i, .column = at}, out);
}

static lens_status parse_primary(parser_t *p, int *out) {
    skip_space(p);
    int at = column(p);
    where_node_t node = {.op = WHERE_CONSTANT, .a = -1, .b = -1, .column = at};
    if (take(p, "null")) return add(p, node, out);
    node.value.type = WHERE_BOOL;
    if (take(p, "false")) return add(p, node, out);
    node.value.truth = true;
    if (take(p, "true")) return add(p, node, out);
    if (take(p, "(")) {
        LENS_TRY(parse_or(p, out));
        return take(p, ")") ? LENS_OK : fail(p, "\")\"");
    }
    if (is_digit(*p->at) || *p->at == '.') return parse_number(p, out);
    if (*p->at == '"' || *p->at == '\'') return parse_text(p, out);
    if (is_alpha(*p->at)) return parse_name(p, out);
    return fail(p, "a value");
}

/* ---- operators ---- */

static lens_status deeper(parser_t *p) {
    if (++p->depth <= WHERE_MAX_DEPTH) return LENS_OK;
    return lens_fail(LENS_ARGUMENT, "column %d: more than %d levels", column(p), WHERE_MAX_DEPTH);
}

static lens_status parse_unary(parser_t *p, int *out) {
    skip_space(p);
    int at = column(p), a;
    LENS_TRY(deeper(p));
    if (take(p, "-")) {
        LENS_TRY(parse_unary(p, &a));
        LENS_TRY(add_op(p, WHERE_NEGATE, a, -1, at, out));
    } else {
        LENS_TRY(parse_primary(p, out));
    }
    p->depth--;
    return LENS_OK;
}

static lens_status parse_term(parser_t *p, int *out) {
    LENS_TRY(parse_unary(p, out));
    for (;;) {
        skip_space(p);
        int at = column(p), b;
        bool times = take(p, "*");
        if (!times && !take(p, "/")) return LENS_OK;
        LENS_TRY(parse_unary(p, &b));
        LENS_TRY(add_op(p, times ? WHERE_MULTIPLY : WHERE_DIVIDE, *out, b, at, out));
    }
}

static lens_status parse_sum(parser_t *p, int *out) {
    LENS_TRY(parse_term(p, out));
    for (;;) {
        skip_space(p);
        int at = column(p), b;
        bool plus = take(p, "+");
        if (!plus && !take(p, "-")) return LENS_OK;
        LENS_TRY(parse_term(p, &b));
        LENS_TRY(add_op(p, plus ? WHERE_ADD : WHERE_SUBTRACT, *out, b, at, out));
    }
}

/* "(a, b)" as a chain of items from the last to the first. */
static lens_status parse_list(parser_t *p, int *out) {
    *out = -1;
    if (!take(p, "(")) return fail(p, "\"(\"");
    do {
        int at = column(p), value;
        LENS_TRY(parse_sum(p, &value));
        LENS_TRY(add_op(p, WHERE_ITEM, value, *out, at, out));
    } while (take(p, ","));
    return take(p, ")") ? LENS_OK : fail(p, "\",\" or \")\"");
}

static lens_status parse_comparison(parser_t *p, int *out) {
    static const struct {
        const char *word;
        where_op op;
    } ops[] = {{"==", WHERE_EQUAL},
               {"!=", WHERE_UNEQUAL},
               {"<=", WHERE_LESS_EQUAL},
               {">=", WHERE_GREATER_EQUAL},
               {"<", WHERE_LESS},
               {">", WHERE_GREATER},
               {"=", WHERE_EQUAL},
               {"contains", WHERE_CONTAINS},
               {"startswith", WHERE_STARTS_WITH}};
    int b, at;
    LENS_TRY(parse_sum(p, out));
    skip_space(p);
    at = column(p);
    if (take(p, "is")) {
        bool negated = take(p, "not");
        if (!take(p, "null")) return fail(p, "\"null\"");
        LENS_TRY(add_op(p, WHERE_IS_NULL, *out, -1, at, out));
        return negated ? add_op(p, WHERE_NOT, *out, -1, at, out) : LENS_OK;
    }
    bool negated = take(p, "not");
    if (take(p, "in")) {
        LENS_TRY(parse_list(p, &b));
        LENS_TRY(add_op(p, WHERE_IN, *out, b, at, out));
        return negated ? add_op(p, WHERE_NOT, *out, -1, at, out) : LENS_OK;
    }
    if (negated) return fail(p, "\"in\"");
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (!take(p, ops[i].word)) continue;
        LENS_TRY(parse_sum(p, &b));
        return add_op(p, ops[i].op, *out, b, at, out);
    }
    return LENS_OK;
}

static lens_status parse_not(parser_t *p, int *out) {
    skip_space(p);
    int at = column(p), a;
    LENS_TRY(deeper(p));
    if (take(p, "not")) {
        LENS_TRY(parse_not(p, &a));
        LENS_TRY(add_op(p, WHERE_NOT, a, -1, at, out));
    } else {
        LENS_TRY(parse_comparison(p, out));
    }
    p->depth--;
    return LENS_OK;
}

static lens_status parse_and(parser_t *p, int *out) {
    LENS_TRY(parse_not(p, out));
    for (;;) {
        skip_space(p);
        int at = column(p), b;
        if (!take(p, "and")) return LENS_OK;
        LENS_TRY(parse_not(p, &b));
        LENS_TRY(add_op(p, WHERE_AND, *out, b, at, out));
    }
}

static lens_status parse_or(parser_t *p, int *out) {
    LENS_TRY(parse_and(p, out));
    for (;;) {
        skip_space(p);
        int at = column(p), b;
        if (!take(p, "or")) return LENS_OK;
        LENS_TRY(parse_and(p, &b));
        LENS_TRY(add_op(p, WHERE_OR, *out, b, at, out));
    }
}

void where_free(where_t *w) {
    if (!w) return;
    for (int i = 0; i < w->n_names; i++) free(w->names[i]);
    free(w->nodes);
    str_free(&w->texts);
    free(w);
}

/* A chain like a + b + c is as deep in nodes as it is long, and evaluation walks down: its height is bounded too. */
static lens_status check_height(const where_t *w) {
    int *height = calloc((size_t)w->n, sizeof *height);
    if (!height) return lens_fail(LENS_MEMORY, "out of memory for an expression");
    lens_status st = LENS_OK;
    for (int i = 0; i < w->n && st == LENS_OK; i++) { /* children come before their parents */
        int a = w->nodes[i].a, b = w->nodes[i].b;
        if (a >= 0) height[i] = height[a] + 1;
        int step = w->nodes[i].op == WHERE_ITEM ? 0 : 1; /* a list is walked in a loop */
        if (b >= 0 && height[b] + step > height[i]) height[i] = height[b] + step;
        if (height[i] > WHERE_MAX_HEIGHT)
            st = lens_fail(LENS_ARGUMENT, "column %d: more than %d operators in a row", w->nodes[i].column,
                           WHERE_MAX_HEIGHT);
    }
    free(height);
    return st;
}

lens_status where_parse(where_t **out, const char *text) {
    *out = NULL;
    if (strlen(text) > WHERE_MAX_BYTES)
        return lens_fail(LENS_ARGUMENT, "an expression of %zu bytes, at most %d", strlen(text), WHERE_MAX_BYTES);
    where_t *w = calloc(1, sizeof *w);
    if (!w) return lens_fail(LENS_MEMORY, "out of memory for an expression");
    parser_t p = {.w = w, .text = text, .at = text};
    lens_status st = parse_or(&p, &w->root);
    skip_space(&p);
    if (st == LENS_OK && *p.at != '\0') st = fail(&p, "an operator or the end");
    if (st == LENS_OK) st = check_height(w);
    if (st == LENS_OK)
        *out = w;
    else
        where_free(w);
    return st;
}

int where_n_names(const where_t *w) {
    return w->n_names;
}

const char *where_name(const where_t *w, int name) {
    return w->names[name];
}
