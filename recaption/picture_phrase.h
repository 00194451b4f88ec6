/* A noun phrase that names the picture itself, "the image", "this striking photograph you shared", "a picture", and
 * what it is said to do: captioners' talk is made of them. Reentrant. */
#ifndef LENS_RECAPTION_PICTURE_PHRASE_H
#define LENS_RECAPTION_PICTURE_PHRASE_H

#include "recaption/quality_text.h"

typedef struct {
    int32_t end;   /* word behind it; 0: none stands here */
    bool definite; /* "the", "this", "your" */
    bool medium;   /* "illustration", "scene": not a picture as such */
    bool tells;    /* an adjective says something of the picture: "aerial", not "stunning" */
} picture_phrase_t;

/* That which begins at word i, with its article. */
picture_phrase_t picture_phrase_at(const quality_text_t *t, int32_t i);
/* Words of "shows", "vividly captures", of an indefinite one also "of", behind it; 0: none. */
int32_t picture_phrase_verb(const quality_text_t *t, const picture_phrase_t *p);

#endif
