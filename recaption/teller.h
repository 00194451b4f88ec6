/* What the describer's sentences share while one caption is made. A sentence is a function that looks at the
 * measurements and either adds its words, without capital and full stop, or returns false. One thread a caption. */
#ifndef LENS_RECAPTION_TELLER_H
#define LENS_RECAPTION_TELLER_H

#include "recaption/alttext.h"
#include "recaption/measure.h"
#include "recaption/phrase.h"

enum { TELLER_FRONT_COLOURS = 4 };

typedef struct {
    const measure_t *m;
    const alttext_t *alt;
    uint64_t content; /* seeds the wording */
    int attempt;
    rng_t rng;
    const char *picture;                  /* what the picture is called throughout: "drawing", "view" */
    const char *shown;                    /* how a thing is there: "drawn", "seen" */
    colour_t front[TELLER_FRONT_COLOURS]; /* colours before the background, by share */
    int n_front;
    alttext_kind subject_kind; /* what the opening makes of the alt-text */
    phrase_subject_t subject;  /* of a phrase; owned */
    bool is_one_thing;         /* one object holds most of what stands before the background */
} teller_t;

lens_status teller_init(teller_t *t, const measure_t *m, const alttext_t *alt, uint64_t content, int attempt);
void teller_free(teller_t *t);

#define TELLER_PICK(t, ...) PHRASE_PICK(&(t)->rng, __VA_ARGS__)

bool teller_is_scene(const teller_t *t);
const region_t *teller_main_object(const teller_t *t); /* NULL: a scene, or nothing stands before the background */
const region_t *teller_leader(const teller_t *t, int group);
bool teller_is_many(const teller_t *t); /* the main thing is "they" */
/* How many groups the opening names by their shapes: 0 where the alt-text opens. */
int teller_n_opened(const teller_t *t);
/* The group as a phrase, in the same words each time: "two small red circles", "the two small red circles". */
void teller_group(const teller_t *t, str_t *s, int group, bool size);
void teller_the_group(const teller_t *t, str_t *s, int group);
void teller_whereabouts(teller_t *t, str_t *s, int group);

/* ---- sentences, by file ---- */
bool tell_opening(teller_t *t, str_t *s);

bool tell_places(teller_t *t, str_t *s);
bool tell_parts(teller_t *t, str_t *s);
bool tell_shares(teller_t *t, str_t *s);
bool tell_others(teller_t *t, str_t *s);
bool tell_outline(teller_t *t, str_t *s);
bool tell_relation(teller_t *t, str_t *s);
bool tell_extent(teller_t *t, str_t *s);
bool tell_count(teller_t *t, str_t *s);

bool tell_layout(teller_t *t, str_t *s);
bool tell_areas(teller_t *t, str_t *s);
bool tell_palette(teller_t *t, str_t *s);
bool tell_mood(teller_t *t, str_t *s);
bool tell_surface(teller_t *t, str_t *s);
bool tell_symmetry(teller_t *t, str_t *s);
bool tell_light(teller_t *t, str_t *s);
bool tell_corners(teller_t *t, str_t *s);
bool tell_balance(teller_t *t, str_t *s);
bool tell_format(teller_t *t, str_t *s);

#endif
