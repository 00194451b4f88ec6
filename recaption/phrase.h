/* Phrases: how the describer names colours, shapes, places, sizes and numbers. Every choice of words comes from the
 * caller's rng, so a phrase is a pure function of what it is given. */
#ifndef LENS_RECAPTION_PHRASE_H
#define LENS_RECAPTION_PHRASE_H

#include "base/rng.h"
#include "base/str.h"
#include "recaption/alttext.h"
#include "recaption/measure.h"

/* One of `n` alternatives. */
const char *phrase_pick(rng_t *r, int n, const char *const *alternatives);
#define PHRASE_PICK(rng, ...)                                                                                          \
    phrase_pick((rng), (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)),                            \
                (const char *[]){__VA_ARGS__})

enum { PHRASE_LIST_MAX = 8 };
typedef struct {
    str_t items[PHRASE_LIST_MAX];
    int n;
} phrase_list_t;
str_t *phrase_list_add(phrase_list_t *l); /* the new item, empty; n < PHRASE_LIST_MAX */
void phrase_list_free(phrase_list_t *l);
void phrase_join(str_t *out, const phrase_list_t *l, const char *conjunction); /* "a, b and c" */

void phrase_capitalise(str_t *s, size_t at); /* the letter at that position */
const char *phrase_number(int n);            /* "two" .. "twelve"; "more than a dozen" and so on above */
const char *phrase_fraction(double f);       /* "about half", "nearly all": of something, "of the width" follows */

/* Colours by share: "black, white and orange"; three shades of one family become "shades of blue". */
void phrase_colours(str_t *out, const colour_t *colours, int n);
/* "a large red circle", "two small wide blue and white ovals". size: whether to say it. */
void phrase_region(str_t *out, rng_t *r, const region_t *region, int count, bool size);
void phrase_plural(str_t *out, const char *noun);
/* "in the upper left corner", "in the middle": in the picture. */
void phrase_place(str_t *out, rng_t *r, int column, int row);
/* "a plain white background", "a background that shifts from blue at the top to white at the bottom". */
void phrase_background(str_t *out, rng_t *r, const measure_t *m);

typedef struct {
    str_t text;       /* "a red apple", "two dogs on a beach", "Eiffel Tower"; begins in lower case unless a name */
    bool is_plural;   /* of its verb */
    bool is_sentence; /* holds its own verb: stands alone */
} phrase_subject_t;
/* alt->kind is ALTTEXT_PHRASE. Frees nothing: the caller frees text. */
void phrase_subject(phrase_subject_t *out, const alttext_t *alt);

#endif
