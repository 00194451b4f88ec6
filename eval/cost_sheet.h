/* Figures with their derivation: each is one row of value, unit, the arithmetic that made it with its numbers put in,
 * in words, and where its inputs come from. Printed, explained and written as JSON or HTML from the same rows. One
 * thread. */
#ifndef LENS_EVAL_COST_SHEET_H
#define LENS_EVAL_COST_SHEET_H

#include <jansson.h>

#include "base/str.h"

typedef struct {
    const char *key;  /* for machines: "claim.ratio" */
    const char *name; /* for people */
    double value;     /* in `unit`; NaN: cannot be said, and `how` says what is missing */
    const char *unit; /* FLOP, TFLOP, h, %, USD, ... */
    const char *how;  /* the arithmetic in words */
    const char *source;
    /* What the paper prints, and the unit of its last digit: 19.3 and 0.1. last_digit 0: it prints none. */
    double paper, last_digit;
} cost_figure_t;

/* A row's figure, of which the paper prints nothing. */
#define COST_FIGURE(...) (&(const cost_figure_t){__VA_ARGS__, .last_digit = 0})

typedef struct {
    char *section;
    cost_figure_t figure; /* strings are the sheet's own */
    char *arithmetic;     /* an expression of numbers, + - * / ( ), of the figure's value; "" of an input */
} cost_row_t;

typedef struct {
    cost_row_t *rows;
    int n, cap;
    char *section; /* of rows to come */
    bool failed;   /* memory ran out: rows are missing */
} cost_sheet_t;

void cost_sheet_free(cost_sheet_t *s); /* and resets to empty: {0} */
LENS_CHECKED lens_status cost_sheet_status(const cost_sheet_t *s);
void cost_section(cost_sheet_t *s, const char *title);
/* Strings of *f are copied. arithmetic: a format, as printf; "" where the figure is an input. */
void cost_add(cost_sheet_t *s, const cost_figure_t *f, const char *arithmetic, ...)
    __attribute__((format(printf, 3, 4)));
const cost_figure_t *cost_find(const cost_sheet_t *s, const char *key); /* NULL: no such one */
/* The value rounds to what the paper prints. */
bool cost_agrees(const cost_figure_t *f);

/* explain: below each figure its arithmetic, the same in words, and the source. */
void cost_sheet_print(str_t *out, const cost_sheet_t *s, bool explain);
json_t *cost_sheet_json(const cost_sheet_t *s); /* array of objects; NULL: out of memory */
/* A table for each section. Well formed as XML. */
void cost_sheet_html(str_t *out, const cost_sheet_t *s);
/* "1,234,567", "0.5041", "2.741e+22"; "-" for NaN. */
void cost_add_number(str_t *out, double v);

#endif
