/* What where_parse.c makes and where_eval.c walks. */
#ifndef LENS_DATA_WHERE_PRIVATE_H
#define LENS_DATA_WHERE_PRIVATE_H

#include "data/where.h"

typedef enum {
    WHERE_CONSTANT,
    WHERE_NAME,
    WHERE_OR,
    WHERE_AND,
    WHERE_NOT,
    WHERE_EQUAL,
    WHERE_UNEQUAL,
    WHERE_LESS,
    WHERE_LESS_EQUAL,
    WHERE_GREATER,
    WHERE_GREATER_EQUAL,
    WHERE_CONTAINS,
    WHERE_STARTS_WITH,
    WHERE_IS_NULL,
    WHERE_IN, /* a: the value; b: a chain of WHERE_ITEM */
    WHERE_ITEM,
    WHERE_ADD,
    WHERE_SUBTRACT,
    WHERE_MULTIPLY,
    WHERE_DIVIDE,
    WHERE_NEGATE
} where_op;

typedef struct {
    where_op op;
    int a, b;            /* nodes; -1: none */
    int name;            /* of WHERE_NAME */
    int column;          /* from 1, for messages */
    where_value_t value; /* of WHERE_CONSTANT; its text is in where.texts */
    size_t text;         /* where it begins there */
} where_node_t;

struct where {
    where_node_t *nodes; /* owned */
    int n, cap, root;
    char *names[WHERE_MAX_NAMES]; /* owned */
    int n_names;
    str_t texts; /* of constants, each with its NUL */
};

#endif
