/* Sentences on what stands before the background: its parts, outline, size, and what else is there. */
#include "recaption/teller.h"

#include <math.h>
#include <string.h>

#include "recaption/words.h"

/* Where the shapes of the opening are. */
bool tell_places(teller_t *t, str_t *s) {
    int shown = teller_n_opened(t);
    if (shown < 2) return false;
    phrase_list_t list = {0};
    for (int i = 0; i < shown; i++) {
        str_t *item = phrase_list_add(&list);
        teller_the_group(t, item, i);
        str_add(item, i > 0 ? " " : t->m->group_size[0] > 1 ? " are " : " is ");
        teller_whereabouts(t, item, i);
    }
    phrase_join(s, &list, "and");
    phrase_list_free(&list);
    return true;
}

/* ---- parts of the main object ---- */

enum { PARTS = 4 };
typedef struct {
    const region_t *part[PARTS];
    int count[PARTS]; /* parts alike, counted together */
    int n;
} choice_t;

static bool part_is_alike(const region_t *a, const region_t *b) {
    bool same_shape = a->shape == b->shape || a->shape >= SHAPE_BLOCK;
    return a->colours[0] == b->colours[0] && same_shape && a->area_frac < 3 * b->area_frac;
}

static choice_t choose_parts(const teller_t *t, double least_frac) {
    choice_t c = {0};
    int object = teller_is_scene(t) ? -1 : 0;
    for (int i = 0; i < t->m->n_parts; i++) {
        const region_t *p = &t->m->parts[i];
        if (p->object != object || p->area_frac < least_frac) continue;
        int k = 0;
        while (k < c.n && !part_is_alike(c.part[k], p)) k++;
        if (k == PARTS) continue;
        if (k == c.n) c.part[c.n++] = p;
        c.count[k]++;
    }
    return c;
}

static bool covers(const region_t *part, const region_t *whole) {
    double w = fmax(whole->x1 - whole->x0, 1e-3), h = fmax(whole->y1 - whole->y0, 1e-3);
    return part->x1 - part->x0 > 0.75 * w && part->y1 - part->y0 > 0.75 * h;
}

static const char *place_within(const region_t *part, const region_t *whole) {
    static const char *const names[3][3] = {{"at the upper left", "at the top", "at the upper right"},
                                            {"on the left", "in the middle", "on the right"},
                                            {"at the lower left", "at the bottom", "at the lower right"}};
    double x = (part->x - whole->x0) / fmax(whole->x1 - whole->x0, 1e-3);
    double y = (part->y - whole->y0) / fmax(whole->y1 - whole->y0, 1e-3);
    return names[y < 0.38 ? 0 : y <= 0.62 ? 1 : 2][x < 0.38 ? 0 : x <= 0.62 ? 1 : 2];
}

static void add_part(teller_t *t, str_t *s, const region_t *part, const region_t *whole, int count) {
    const char *colour = colour_name(part->colours[0]);
    if (count == 1 && covers(part, whole) && part->area_frac < 0.4 * part->filled_frac) {
        str_addf(s, "%s %s outline", words_article(colour), colour);
        return;
    }
    if (part->shape != SHAPE_SPOT && part->shape < SHAPE_BLOCK) {
        phrase_region(s, &t->rng, part, count, false);
    } else {
        const char *noun = part->area_frac < 0.006 ? "spot" : TELLER_PICK(t, "area", "patch");
        if (count > 1) {
            str_addf(s, "%s %s ", phrase_number(count), colour);
            phrase_plural(s, noun);
        } else {
            str_addf(s, "%s %s %s", words_article(colour), colour, noun);
        }
    }
    if (count > 1)
        str_add(s, TELLER_PICK(t, " inside", " within"));
    else if (!covers(part, whole))
        str_addf(s, " %s", place_within(part, whole));
}

/* Not what the base colour or the outline says already. */
static bool is_worth_saying(const choice_t *c, int i, bool base, const region_t *whole) {
    if (base && c->part[i]->colours[0] == c->part[0]->colours[0]) return false;
    return !(whole->is_outlined && c->part[i]->colours[0] == whole->outline && covers(c->part[i], whole));
}

bool tell_parts(teller_t *t, str_t *s) {
    const region_t *whole = teller_main_object(t);
    if (!whole || whole->n_parts < 2 || !t->is_one_thing) return false;
    choice_t c = choose_parts(t, 0.02 * whole->filled_frac);
    if (c.n < 2) return false;
    bool base = c.count[0] == 1 && (covers(c.part[0], whole) || c.part[0]->area_frac > 0.6 * whole->filled_frac);
    phrase_list_t list = {0};
    for (int i = base ? 1 : 0; i < c.n && list.n < 3; i++)
        if (is_worth_saying(&c, i, base, whole)) add_part(t, phrase_list_add(&list), c.part[i], whole, c.count[i]);
    bool many = teller_is_many(t);
    if (list.n > 0 && base) {
        str_addf(s, "%s %s, %s ", colour_name(c.part[0]->colours[0]),
                 TELLER_PICK(t, "sets the main tone", "forms the ground", "takes up the main area"),
                 TELLER_PICK(t, "with", "joined by"));
        phrase_join(s, &list, "and");
    } else if (list.n > 1) {
        str_add(s, many ? TELLER_PICK(t, "they combine ", "they bring together ")
                        : TELLER_PICK(t, "it combines ", "it brings together ", "it is made up of "));
        phrase_join(s, &list, "and");
    }
    bool said = list.n > (base ? 0 : 1);
    if (said && whole->is_outlined && !(base && c.part[0]->colours[0] == whole->outline))
        str_addf(s, "%s outlined in %s", list.n > 2 ? ", all of it" : ", all", colour_name(whole->outline));
    phrase_list_free(&list);
    return said;
}

bool tell_shares(teller_t *t, str_t *s) {
    const region_t *g = teller_main_object(t);
    if (!g || g->n_colours < 2 || !t->is_one_thing) return false;
    const char *share = phrase_fraction(g->colour_frac[0]);
    str_addf(s, "%s makes up %s of %s, ", colour_name(g->colours[0]), share, teller_is_many(t) ? "them" : "it");
    str_add(s, TELLER_PICK(t, "with touches of ", "joined by ", "together with "));
    phrase_colours(s, g->colours + 1, g->n_colours > 3 ? 2 : g->n_colours - 1);
    return true;
}

bool tell_outline(teller_t *t, str_t *s) {
    const region_t *g = teller_main_object(t);
    if (!g || !t->is_one_thing) return false;
    if (g->is_outlined && g->n_parts < 2) {
        const char *colour = colour_name(g->outline);
        str_addf(s, "%s %s line runs around %s", words_article(colour), colour, teller_is_many(t) ? "them" : "it");
        return true;
    }
    if (t->subject_kind == ALTTEXT_NONE) return false;
    static const char *const clear[SHAPE_N] = {[SHAPE_ROUND] = "round",
                                               [SHAPE_OVAL] = "a smooth oval",
                                               [SHAPE_SQUARE] = "roughly square",
                                               [SHAPE_DIAMOND] = "a diamond",
                                               [SHAPE_RECTANGLE] = "close to a rectangle",
                                               [SHAPE_TRIANGLE] = "close to a triangle",
                                               [SHAPE_PENTAGON] = "five-sided",
                                               [SHAPE_HEXAGON] = "six-sided",
                                               [SHAPE_HEART] = "heart-shaped",
                                               [SHAPE_RING] = "a ring with an open centre",
                                               [SHAPE_FRAME] = "a frame with an open centre",
                                               [SHAPE_STAR] = "star-like, with points to all sides",
                                               [SHAPE_CROSS] = "cross-shaped"};
    static const char *const by_axis[] = {[SHAPE_NO_AXIS] = NULL,
                                          [SHAPE_HORIZONTAL] = "long and low",
                                          [SHAPE_VERTICAL] = "tall and slender",
                                          [SHAPE_DIAGONAL] = "stretched along a diagonal"};
    const char *outline = clear[g->shape] ? clear[g->shape] : by_axis[g->axis];
    if (!outline) return false;
    str_addf(s, "%s %s", TELLER_PICK(t, "the outline is", "as a whole the outline is", "the silhouette is"), outline);
    return true;
}

/* ---- what else is there ---- */

/* Beside one main thing, specks are not worth a mention. */
static bool is_speck(const teller_t *t, int group) {
    double share = teller_leader(t, group)->filled_frac * t->m->group_size[group];
    return t->is_one_thing && share < 0.015 * t->m->objects[0].filled_frac;
}

/* Adds "a red star on the left" unless the same words stand in the list: then the shapes differ too little to tell. */
static void list_group(teller_t *t, phrase_list_t *list, int group) {
    str_t words = {0};
    teller_group(t, &words, group, true);
    bool said = false;
    for (int i = 0; i < list->n; i++) said |= str_starts_with(str_text(&list->items[i]), str_text(&words));
    if (!said) {
        str_t *item = phrase_list_add(list);
        str_addf(item, "%s ", str_text(&words));
        teller_whereabouts(t, item, group);
    }
    str_free(&words);
}

bool tell_others(teller_t *t, str_t *s) {
    const measure_t *m = t->m;
    if (!teller_main_object(t)) return false;
    /* Behind an alt-text that names one thing, that thing is the first group. */
    int from = t->subject_kind == ALTTEXT_NONE ? teller_n_opened(t) : t->is_one_thing ? 1 : 0, last = from;
    int most = m->n_groups - from > 4 ? 3 : 4;
    phrase_list_t list = {0};
    for (int i = from; i < m->n_groups && list.n < most; i++) {
        if (is_speck(t, i)) continue;
        list_group(t, &list, i);
        last = i;
    }
    if (list.n == 0) return false;
    bool many = list.n > 1 || m->group_size[last] > 1;
    if (from == 0) {
        bool opens = many && rng_below(&t->rng, 2);
        if (opens) str_add(s, TELLER_PICK(t, "the shapes are ", "to be seen are "));
        phrase_join(s, &list, "and");
        if (!opens) str_addf(s, " %s", TELLER_PICK(t, "can be seen", "can be made out"));
    } else if (rng_below(&t->rng, 2)) {
        str_add(s, many ? TELLER_PICK(t, "there are also ", "further shapes are ")
                        : TELLER_PICK(t, "there is also ", "added to it is "));
        phrase_join(s, &list, "and");
    } else {
        phrase_join(s, &list, "and");
        str_addf(s, " %s",
                 many ? TELLER_PICK(t, "complete the arrangement", "are part of it too")
                      : TELLER_PICK(t, "completes the arrangement", "is part of it too"));
    }
    phrase_list_free(&list);
    return true;
}

/* How the two largest single things lie to each other. */
bool tell_relation(teller_t *t, str_t *s) {
    if (teller_n_opened(t) < 2 || t->m->group_size[0] > 1 || t->m->group_size[1] > 1) return false;
    const region_t *a = teller_leader(t, 0), *b = teller_leader(t, 1);
    double dx = b->x - a->x, dy = b->y - a->y;
    if (fmax(fabs(dx), fabs(dy)) < 0.15) return false;
    const char *side = fabs(dx) > 2 * fabs(dy)   ? (dx > 0 ? "to the right of" : "to the left of")
                       : fabs(dy) > 2 * fabs(dx) ? (dy > 0 ? "below" : "above")
                       : dy > 0                  ? (dx > 0 ? "below and to the right of" : "below and to the left of")
                                                 : (dx > 0 ? "above and to the right of" : "above and to the left of");
    teller_the_group(t, s, 1);
    str_addf(s, " %s %s ", TELLER_PICK(t, "lies", "is", "sits"), side);
    teller_the_group(t, s, 0);
    double ratio = a->filled_frac / b->filled_frac;
    if (ratio > 3) str_addf(s, " and is %s smaller", ratio > 8 ? "much" : "clearly");
    return true;
}

bool tell_extent(teller_t *t, str_t *s) {
    const region_t *g = teller_main_object(t);
    if (!g || !t->is_one_thing) return false;
    double w = g->x1 - g->x0, h = g->y1 - g->y0;
    bool many = teller_is_many(t);
    const char *it = many ? "they" : "it", *wide = phrase_fraction(w), *tall = phrase_fraction(h);
    const char *span =
        many ? TELLER_PICK(t, "span", "extend over", "cover") : TELLER_PICK(t, "spans", "extends over", "covers");
    if (fmax(w, h) < 0.25)
        str_addf(s, "%s %s small, %s", it, many ? "stay" : "stays",
                 fmax(w, h) < 0.14 ? "a fraction of the width and height" : "under a quarter of the width and height");
    else if (fmin(w, h) > 0.85)
        str_addf(s, "%s %s almost from edge to edge", it, many ? "reach" : "reaches");
    else if (strcmp(wide, tall) == 0)
        str_addf(s, "%s %s %s of the frame in width and in height", it, span, wide);
    else
        str_addf(s, "%s %s %s of the width and %s of the height", it, span, wide, tall);
    return true;
}

bool tell_count(teller_t *t, str_t *s) {
    int n = t->m->n_objects_found;
    if (teller_is_scene(t) || n < 3 || t->m->n_groups == 1) return false;
    str_addf(s, "%s %s separate shapes %s", TELLER_PICK(t, "in all,", "altogether,"), phrase_number(n),
             TELLER_PICK(t, "can be counted", "stand out", "make up the arrangement"));
    return true;
}

/* Of a picture whose content reaches its edges: the largest areas. */
bool tell_areas(teller_t *t, str_t *s) {
    if (!teller_is_scene(t)) return false;
    const region_t whole = {.x1 = 1, .y1 = 1, .filled_frac = 1};
    choice_t c = choose_parts(t, 0.02);
    phrase_list_t list = {0};
    for (int i = 0; i < c.n && list.n < 3; i++)
        if (!covers(c.part[i], &whole)) add_part(t, phrase_list_add(&list), c.part[i], &whole, c.count[i]);
    bool many = list.n > 1 || (list.n == 1 && c.count[0] > 1);
    if (list.n) {
        str_add(s, many ? TELLER_PICK(t, "the main areas are ", "it holds ", "standing out are ")
                        : TELLER_PICK(t, "it holds ", "standing out is "));
        phrase_join(s, &list, "and");
    }
    bool said = list.n > 0;
    phrase_list_free(&list);
    return said;
}
