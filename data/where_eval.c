/* Evaluation of a parsed condition. */
#include <string.h>

#include "data/where_private.h"

typedef struct {
    const where_t *w;
    where_lookup lookup;
    void *context;
} walk_t;

static lens_status eval(const walk_t *k, int node, where_value_t *out);

static const char *type_name(where_type t) {
    static const char *const names[] = {"null", "a number", "a text", "true or false"};
    return names[t];
}

static lens_status fail_types(const where_node_t *n, const char *what, where_type got) {
    return lens_fail(LENS_ARGUMENT, "column %d: expected %s, got %s", n->column, what, type_name(got));
}

static where_value_t truth(bool b) {
    return (where_value_t){.type = WHERE_BOOL, .truth = b};
}

/* As a condition: null is false. */
static lens_status eval_truth(const walk_t *k, int node, bool *out) {
    where_value_t v;
    LENS_TRY(eval(k, node, &v));
    *out = v.type == WHERE_BOOL && v.truth;
    if (v.type == WHERE_BOOL || v.type == WHERE_NULL) return LENS_OK;
    return fail_types(&k->w->nodes[node], "a condition", v.type);
}

static lens_status arithmetic(const where_node_t *n, const where_value_t *a, const where_value_t *b,
                              where_value_t *out) {
    *out = (where_value_t){0};
    if (a->type != WHERE_NUMBER && a->type != WHERE_NULL) return fail_types(n, "a number on the left", a->type);
    if (b->type != WHERE_NUMBER && b->type != WHERE_NULL) return fail_types(n, "a number on the right", b->type);
    if (a->type == WHERE_NULL || b->type == WHERE_NULL) return LENS_OK;
    double x = a->number, y = b->number;
    out->type = WHERE_NUMBER;
    out->number = n->op == WHERE_ADD        ? x + y
                  : n->op == WHERE_SUBTRACT ? x - y
                  : n->op == WHERE_MULTIPLY ? x * y
                                            : x / y;
    return LENS_OK;
}

/* Of two numbers or two texts. */
static bool ordered(where_op op, const where_value_t *a, const where_value_t *b) {
    if (a->type == WHERE_TEXT) {
        int c = strcmp(a->text, b->text);
        return op == WHERE_LESS ? c < 0 : op == WHERE_LESS_EQUAL ? c <= 0 : op == WHERE_GREATER ? c > 0 : c >= 0;
    }
    double x = a->number, y = b->number;
    return op == WHERE_LESS ? x < y : op == WHERE_LESS_EQUAL ? x <= y : op == WHERE_GREATER ? x > y : x >= y;
}

static bool equal(const where_value_t *a, const where_value_t *b) {
    if (a->type == WHERE_TEXT) return strcmp(a->text, b->text) == 0;
    return a->type == WHERE_BOOL ? a->truth == b->truth : a->number == b->number;
}

static lens_status compare(const where_node_t *n, const where_value_t *a, const where_value_t *b, bool *out) {
    *out = false;
    if (a->type == WHERE_NULL || b->type == WHERE_NULL) return LENS_OK;
    if (n->op == WHERE_CONTAINS || n->op == WHERE_STARTS_WITH) {
        if (a->type != WHERE_TEXT) return fail_types(n, "a text on the left", a->type);
        if (b->type != WHERE_TEXT) return fail_types(n, "a text on the right", b->type);
        *out = n->op == WHERE_CONTAINS ? strstr(a->text, b->text) != NULL
                                       : strncmp(a->text, b->text, strlen(b->text)) == 0;
        return LENS_OK;
    }
    if (a->type != b->type)
        return lens_fail(LENS_ARGUMENT, "column %d: compares %s with %s", n->column, type_name(a->type),
                         type_name(b->type));
    if (n->op == WHERE_EQUAL || n->op == WHERE_UNEQUAL || n->op == WHERE_IN) {
        *out = equal(a, b) == (n->op != WHERE_UNEQUAL);
        return LENS_OK;
    }
    if (a->type == WHERE_BOOL) return fail_types(n, "numbers or texts", a->type);
    *out = ordered(n->op, a, b);
    return LENS_OK;
}

static lens_status eval_in(const walk_t *k, const where_node_t *n, where_value_t *out) {
    where_value_t a, b;
    bool found = false;
    LENS_TRY(eval(k, n->a, &a));
    for (int item = n->b; item >= 0 && !found; item = k->w->nodes[item].b) {
        LENS_TRY(eval(k, k->w->nodes[item].a, &b));
        LENS_TRY(compare(n, &a, &b, &found));
    }
    *out = truth(found);
    return LENS_OK;
}

static lens_status eval_logic(const walk_t *k, const where_node_t *n, where_value_t *out) {
    bool a, b = false;
    LENS_TRY(eval_truth(k, n->a, &a));
    bool decided = n->op == WHERE_OR ? a : !a; /* then b is not looked at */
    if (n->op == WHERE_NOT) {
        *out = truth(!a);
    } else {
        if (!decided) LENS_TRY(eval_truth(k, n->b, &b));
        *out = truth(decided ? a : b);
    }
    return LENS_OK;
}

static lens_status eval_leaf(const walk_t *k, const where_node_t *n, where_value_t *out) {
    if (n->op == WHERE_NAME) return lens_context(k->lookup(k->context, n->name, out), "column %d", n->column);
    *out = n->value;
    if (out->type == WHERE_TEXT) out->text = k->w->texts.s + n->text;
    return LENS_OK;
}

static lens_status eval(const walk_t *k, int node, where_value_t *out) {
    const where_node_t *n = &k->w->nodes[node];
    where_value_t a, b = {0};
    bool yes;
    *out = (where_value_t){0};
    if (n->op == WHERE_CONSTANT || n->op == WHERE_NAME) return eval_leaf(k, n, out);
    if (n->op == WHERE_OR || n->op == WHERE_AND || n->op == WHERE_NOT) return eval_logic(k, n, out);
    if (n->op == WHERE_IN) return eval_in(k, n, out);
    LENS_TRY(eval(k, n->a, &a));
    if (n->op == WHERE_IS_NULL) {
        *out = truth(a.type == WHERE_NULL);
        return LENS_OK;
    }
    if (n->op == WHERE_NEGATE) {
        if (a.type != WHERE_NUMBER && a.type != WHERE_NULL) return fail_types(n, "a number", a.type);
        *out = a;
        out->number = -a.number;
        return LENS_OK;
    }
    LENS_TRY(eval(k, n->b, &b));
    if (n->op >= WHERE_ADD) return arithmetic(n, &a, &b, out);
    LENS_TRY(compare(n, &a, &b, &yes));
    *out = truth(yes);
    return LENS_OK;
}

lens_status where_eval(const where_t *w, where_lookup lookup, void *context, bool *out) {
    const walk_t k = {w, lookup, context};
    *out = false;
    return eval_truth(&k, w->root, out);
}
