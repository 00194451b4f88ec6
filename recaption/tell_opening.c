/* The first sentence: what is there, where, in which colours, before what. */
#include "recaption/teller.h"

#include <string.h>

#include "recaption/words.h"

static void add_background(teller_t *t, str_t *s) {
    phrase_background(s, &t->rng, t->m);
}

static void add_palette(teller_t *t, str_t *s) {
    phrase_colours(s, t->m->palette, t->m->n_palette > 3 ? 3 : t->m->n_palette);
}

static void add_front(teller_t *t, str_t *s) {
    phrase_colours(s, t->front, t->n_front > 3 ? 3 : t->n_front);
}

/* "fills most of the frame", "sits in the middle": of the main object. */
static void add_standing(teller_t *t, str_t *s, bool plural) {
    const region_t *g = teller_main_object(t);
    if (g->filled_frac > 0.42 || (g->x1 - g->x0 > 0.72 && g->y1 - g->y0 > 0.72)) {
        str_addf(s, "%s %s", plural ? TELLER_PICK(t, "fill", "take up") : TELLER_PICK(t, "fills", "takes up"),
                 TELLER_PICK(t, "most of the frame", "most of the space", "much of the frame"));
        return;
    }
    str_addf(s, "%s ", plural ? TELLER_PICK(t, "sit", "stand", "appear") : TELLER_PICK(t, "sits", "stands", "appears"));
    phrase_place(s, &t->rng, g->column, g->row);
}

/* ", drawn in red and white" unless the subject's own words name the colour. */
static void add_colours(teller_t *t, str_t *s, const char *before, const char *after) {
    const char *name = str_text(&t->subject.text);
    bool said = t->n_front > 0 && words_find(name, colour_family(t->front[0]));
    if (said || t->n_front == 0) return;
    str_add(s, before);
    add_front(t, s);
    str_add(s, after);
}

static void open_with_sentence(teller_t *t, str_t *s) {
    str_add(s, str_text(&t->subject.text));
    phrase_capitalise(s, 0);
    if (!str_ends_with(str_text(s), ".") && !str_ends_with(str_text(s), "!") && !str_ends_with(str_text(s), "?"))
        str_add_char(s, '.');
    if (teller_is_scene(t)) {
        str_addf(s, " %s ",
                 TELLER_PICK(t, "The whole frame is filled with", "The colours are mainly", "It is told in"));
        add_palette(t, s);
    } else if (t->n_front == 0) {
        str_addf(s, " The %s is given over to ", t->picture);
        add_background(t, s);
    } else {
        str_addf(s, " %s ", TELLER_PICK(t, "It is told in", "The colours are", "Its colours are"));
        add_front(t, s);
        str_addf(s, ", %s ", TELLER_PICK(t, "set against", "against"));
        add_background(t, s);
    }
}

static void open_scene(teller_t *t, str_t *s) {
    const char *name = str_text(&t->subject.text);
    bool plural = t->subject.is_plural;
    switch (rng_below(&t->rng, 3)) {
    case 0:
        str_addf(s, "%s %s the frame from edge to edge, in ", name, plural ? "fill" : "fills");
        add_palette(t, s);
        break;
    case 1:
        str_addf(s, "%s, %s in ", name, t->shown);
        add_palette(t, s);
        str_addf(s, ", %s the whole frame", plural ? "take up" : "takes up");
        break;
    default:
        str_addf(s, "%s %s of %s in ", words_article(t->picture), t->picture, name);
        add_palette(t, s);
        str_add(s, " reaches to every edge");
        break;
    }
}

/* "in the middle", after which "of a white background" reads best. */
static bool is_central(const str_t *s) {
    return str_ends_with(str_text(s), " middle") || str_ends_with(str_text(s), " centre");
}

static void open_subject(teller_t *t, str_t *s) {
    const char *name = str_text(&t->subject.text), *be = t->subject.is_plural ? "are" : "is";
    str_t in = {0};
    str_addf(&in, ", %s in ", t->shown);
    /* Where several things share the space, only what is sure of all of them. */
    switch (t->is_one_thing ? rng_below(&t->rng, 4) : 3 + rng_below(&t->rng, 2)) {
    case 0:
        str_add(s, name);
        add_colours(t, s, " in ", "");
        str_add_char(s, ' ');
        add_standing(t, s, t->subject.is_plural);
        str_addf(s, ", %s against ", TELLER_PICK(t, "set", "seen"));
        add_background(t, s);
        break;
    case 1:
        str_add(s, "against ");
        add_background(t, s);
        str_addf(s, ", %s ", name);
        add_standing(t, s, t->subject.is_plural);
        add_colours(t, s, str_text(&in), "");
        break;
    case 2:
        str_add(s, name);
        add_colours(t, s, str_text(&in), ",");
        str_add_char(s, ' ');
        add_standing(t, s, t->subject.is_plural);
        str_add(s, is_central(s) ? " of " : TELLER_PICK(t, " against ", " on "));
        add_background(t, s);
        break;
    case 3:
        str_addf(s, "%s %s %s", name, be, t->shown);
        add_colours(t, s, " in ", "");
        str_addf(s, " %s ", TELLER_PICK(t, "on", "against"));
        add_background(t, s);
        break;
    default:
        str_add(s, "against ");
        add_background(t, s);
        str_addf(s, ", %s %s %s", name, be, t->shown);
        add_colours(t, s, " in ", "");
        break;
    }
    if (in.failed) s->failed = true;
    str_free(&in);
}

static void open_keywords(teller_t *t, str_t *s) {
    phrase_list_t list = {0};
    int n = t->alt->n_keywords > 4 ? 4 : t->alt->n_keywords;
    for (int i = 0; i < n; i++) str_add(phrase_list_add(&list), str_text(&t->alt->keywords[i]));
    str_addf(s, "%s %s %s ", words_article(t->picture), t->picture,
             TELLER_PICK(t, "on the theme of", "that brings together", "around"));
    phrase_join(s, &list, "and");
    phrase_list_free(&list);
    if (teller_is_scene(t)) {
        str_addf(s, ", %s in ", t->shown);
        add_palette(t, s);
        return;
    }
    if (t->n_front) {
        str_addf(s, ", %s in ", t->shown);
        add_front(t, s);
    }
    str_add(s, " on ");
    add_background(t, s);
}

static void open_one_group(teller_t *t, str_t *s) {
    int count = t->m->group_size[0];
    bool leads = rng_below(&t->rng, 3) == 0;
    if (leads) {
        str_add(s, TELLER_PICK(t, "against ", "on "));
        add_background(t, s);
        str_add(s, ", ");
    }
    teller_group(t, s, 0, true);
    str_add_char(s, ' ');
    if (count > 1) {
        str_addf(s, "%s ", TELLER_PICK(t, "stand", "are set", "lie"));
        teller_whereabouts(t, s, 0);
    } else {
        add_standing(t, s, false);
    }
    if (leads) return;
    str_add(s, is_central(s) ? " of " : TELLER_PICK(t, " against ", " on ", ", set against "));
    add_background(t, s);
}

static void open_groups(teller_t *t, str_t *s) {
    phrase_list_t list = {0};
    for (int i = 0; i < teller_n_opened(t); i++) teller_group(t, phrase_list_add(&list), i, true);
    if (rng_below(&t->rng, 2)) {
        phrase_join(s, &list, "and");
        str_addf(s, " %s ", TELLER_PICK(t, "share", "stand out against", "are set on"));
        add_background(t, s);
    } else {
        str_add(s, "on ");
        add_background(t, s);
        str_addf(s, " %s ", TELLER_PICK(t, "lie", "are", "appear"));
        phrase_join(s, &list, "and");
    }
    phrase_list_free(&list);
}

static void open_colours(teller_t *t, str_t *s) {
    if (!teller_is_scene(t)) {
        add_background(t, s);
        str_addf(s, " %s",
                 TELLER_PICK(t, "fills the whole frame from edge to edge",
                             "covers the entire picture from side to side",
                             "takes up the frame from one side to the other"));
    } else if (t->m->n_palette > 1) {
        add_palette(t, s);
        str_addf(s, " %s",
                 TELLER_PICK(t, "meet in a picture that reaches to every edge", "mix across the whole frame",
                             "fill the frame from edge to edge"));
    } else {
        str_addf(s, "%s %s", colour_name(t->m->palette[0]),
                 TELLER_PICK(t, "covers the whole frame in many small variations", "spreads over the entire frame"));
    }
}

bool tell_opening(teller_t *t, str_t *s) {
    bool has_object = teller_main_object(t) != NULL;
    const char *name = str_text(&t->subject.text);
    switch (t->subject_kind) {
    case ALTTEXT_KEYWORDS:
        open_keywords(t, s);
        break;
    case ALTTEXT_NONE:
        !has_object ? open_colours(t, s) : teller_n_opened(t) == 1 ? open_one_group(t, s) : open_groups(t, s);
        break;
    case ALTTEXT_PHRASE:
        if (t->subject.is_sentence || words_count(name) > 9 || (!teller_is_scene(t) && !has_object))
            open_with_sentence(t, s);
        else
            teller_is_scene(t) ? open_scene(t, s) : open_subject(t, s);
        break;
    }
    return true;
}
