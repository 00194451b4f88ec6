/* The describer's sentences. Each one looks at the measurements and either says something or stays silent;
 * describe_text then keeps what fits the length. The order on the page is that of the table at the end. */
#include "recaption/describe.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "recaption/phrase.h"
#include "recaption/words.h"

typedef struct {
    const measure_t *m;
    const alttext_t *alt;
    rng_t rng;
    const char *picture; /* what the picture is called throughout: "drawing", "picture" */
    colour_t front[4];   /* colours before the background, by share */
    int n_front;
    bool has_subject; /* the alt-text named what is shown */
    bool background_said;
    bool is_one_thing; /* one object holds most of what stands before the background */
} teller_t;

#define PICK(t, ...) PHRASE_PICK(&(t)->rng, __VA_ARGS__)

static bool is_scene(const teller_t *t) {
    return t->m->background == BACKGROUND_SCENE;
}

static const region_t *main_object(const teller_t *t) {
    return is_scene(t) || t->m->n_objects == 0 ? NULL : &t->m->objects[0];
}

static bool is_wide_and_tall(const region_t *g) {
    return g->filled_frac > 0.42 || (g->x1 - g->x0 > 0.72 && g->y1 - g->y0 > 0.72);
}

static const region_t *leader(const measure_t *m, int group) {
    int i = 0;
    while (m->objects[i].group != group) i++;
    return &m->objects[i];
}

static void add_background(teller_t *t, str_t *s) {
    phrase_background(s, &t->rng, t->m);
    t->background_said = true;
}

static void add_front_colours(teller_t *t, str_t *s) {
    if (t->n_front == 0) {
        str_add(s, colour_name(t->m->background_from));
        return;
    }
    phrase_colours(s, t->front, t->n_front > 3 ? 3 : t->n_front);
}

/* ---- where things are ---- */

/* Of several alike: in a row, in a column, scattered, or all in one place. */
static void add_arrangement(teller_t *t, str_t *s, int group) {
    double x0 = 1, x1 = 0, y0 = 1, y1 = 0, mx = 0, my = 0;
    int n = 0;
    for (int i = 0; i < t->m->n_objects; i++) {
        const region_t *g = &t->m->objects[i];
        if (g->group != group) continue;
        x0 = fmin(x0, g->x);
        x1 = fmax(x1, g->x);
        y0 = fmin(y0, g->y);
        y1 = fmax(y1, g->y);
        mx += g->x;
        my += g->y;
        n++;
    }
    mx /= n;
    my /= n;
    if (n > 2 && x1 - x0 > 0.3 && y1 - y0 < 0.06) {
        str_add(s, "in a row");
        str_add(s, my < 0.36 ? " along the top" : my > 0.64 ? " along the bottom" : " across the middle");
    } else if (n > 2 && y1 - y0 > 0.3 && x1 - x0 < 0.06) {
        str_add(s, "in a column");
        str_add(s, mx < 0.36 ? " down the left side" : mx > 0.64 ? " down the right side" : " down the middle");
    } else if (n == 2 && y1 - y0 < 0.1 && x1 - x0 > 0.15) {
        str_add(s, "side by side");
    } else if (n == 2 && x1 - x0 < 0.1 && y1 - y0 > 0.15) {
        str_add(s, "one above the other");
    } else if (x1 - x0 > 0.4 || y1 - y0 > 0.4) {
        if (n == 2)
            str_add(s, PICK(t, "well apart", "far from each other"));
        else
            str_add(s, PICK(t, "scattered around", "spread over the frame", "scattered across the frame"));
    } else {
        str_add(s, "close together ");
        phrase_place(s, &t->rng, mx < 0.36 ? 0 : mx <= 0.64 ? 1 : 2, my < 0.36 ? 0 : my <= 0.64 ? 1 : 2);
    }
}

static void add_whereabouts(teller_t *t, str_t *s, int group) {
    const region_t *g = leader(t->m, group);
    if (t->m->group_size[group] > 1) {
        add_arrangement(t, s, group);
    } else if (g->x1 - g->x0 > 0.9 && g->axis == SHAPE_HORIZONTAL) {
        str_addf(s, "across the full width %s",
                 g->row == 0   ? "at the top"
                 : g->row == 2 ? "at the bottom"
                               : "of the frame");
    } else if (g->y1 - g->y0 > 0.9 && g->axis == SHAPE_VERTICAL) {
        str_addf(s, "over the full height %s",
                 g->column == 0   ? "on the left"
                 : g->column == 2 ? "on the right"
                                  : "of the frame");
    } else {
        phrase_place(s, &t->rng, g->column, g->row);
    }
}

/* ---- opening ---- */

static void open_with_sentence(teller_t *t, str_t *s, const char *subject) {
    str_add(s, subject);
    phrase_capitalise(s, 0);
    if (!strchr(".!?", s->s ? s->s[s->len - 1] : '.')) str_add_char(s, '.');
    if (is_scene(t)) {
        str_addf(s, " The %s is filled with ", t->picture);
        phrase_colours(s, t->m->palette, t->m->n_palette > 3 ? 3 : t->m->n_palette);
    } else if (t->n_front == 0) {
        str_addf(s, " The %s shows ", t->picture);
        add_background(t, s);
    } else {
        str_addf(s, " %s ", PICK(t, "It is done in", "It appears in", "The colours are"));
        add_front_colours(t, s);
        str_addf(s, ", %s ", PICK(t, "set against", "on", "against"));
        add_background(t, s);
    }
}

static void open_scene(teller_t *t, str_t *s, const phrase_subject_t *subject) {
    str_t colours = {0};
    phrase_colours(&colours, t->m->palette, t->m->n_palette > 3 ? 3 : t->m->n_palette);
    const char *c = str_text(&colours), *name = str_text(&subject->text);
    switch (rng_below(&t->rng, 3)) {
    case 0:
        str_addf(s, "%s %s the frame from edge to edge, in %s", name, subject->is_plural ? "fill" : "fills", c);
        break;
    case 1:
        str_addf(s, "%s, shown in %s, %s the whole %s", name, c, subject->is_plural ? "take up" : "takes up",
                 t->picture);
        break;
    default:
        str_addf(s, "a %s of %s in %s that reaches to every edge", t->picture, name, c);
        break;
    }
    if (colours.failed) s->failed = true;
    str_free(&colours);
}

static void add_standing(teller_t *t, str_t *s, bool plural) {
    const region_t *g = main_object(t);
    if (is_wide_and_tall(g) || !t->is_one_thing) {
        str_addf(s, "%s %s", plural ? PICK(t, "fill", "take up") : PICK(t, "fills", "takes up"),
                 PICK(t, "most of the frame", "most of the space"));
        return;
    }
    str_addf(s, "%s ", plural ? PICK(t, "sit", "stand", "appear") : PICK(t, "sits", "stands", "appears"));
    phrase_place(s, &t->rng, g->column, g->row);
}

static void open_subject(teller_t *t, str_t *s, const phrase_subject_t *subject) {
    const char *name = str_text(&subject->text);
    bool plural = subject->is_plural;
    switch (rng_below(&t->rng, 4)) {
    case 0:
        str_addf(s, "%s in ", name);
        add_front_colours(t, s);
        str_add_char(s, ' ');
        add_standing(t, s, plural);
        str_addf(s, ", %s ", PICK(t, "set against", "seen against", "with"));
        if (str_ends_with(str_text(s), "with ")) {
            add_background(t, s);
            str_add(s, " behind");
        } else {
            add_background(t, s);
        }
        break;
    case 1:
        str_add(s, "against ");
        add_background(t, s);
        str_addf(s, ", %s ", name);
        add_standing(t, s, plural);
        str_addf(s, ", %s in ", PICK(t, "drawn", "shown", "rendered"));
        add_front_colours(t, s);
        break;
    case 2:
        str_addf(s, "%s, %s in ", name, PICK(t, "drawn", "shown", "pictured"));
        add_front_colours(t, s);
        str_add(s, ", ");
        add_standing(t, s, plural);
        str_addf(s, " %s ", PICK(t, "against", "before", "on"));
        add_background(t, s);
        break;
    default:
        str_addf(s, "%s %s %s in ", name, plural ? "are" : "is", PICK(t, "shown", "drawn", "pictured"));
        add_front_colours(t, s);
        str_add(s, " on ");
        add_background(t, s);
        break;
    }
}

static void open_keywords(teller_t *t, str_t *s) {
    phrase_list_t list = {0};
    int n = t->alt->n_keywords > 4 ? 4 : t->alt->n_keywords;
    for (int i = 0; i < n; i++) str_add(phrase_list_add(&list), str_text(&t->alt->keywords[i]));
    str_addf(s, "%s %s %s ", words_article(t->picture), t->picture,
             PICK(t, "on the theme of", "that brings together", "about"));
    phrase_join(s, &list, "and");
    phrase_list_free(&list);
    if (is_scene(t)) {
        str_add(s, ", in ");
        phrase_colours(s, t->m->palette, t->m->n_palette > 3 ? 3 : t->m->n_palette);
    } else {
        str_add(s, ", in ");
        add_front_colours(t, s);
        str_add(s, " on ");
        add_background(t, s);
    }
}

static void open_shapes(teller_t *t, str_t *s) {
    const measure_t *m = t->m;
    if (m->n_groups == 1 || (t->is_one_thing && m->n_groups > 3)) {
        const region_t *g = leader(m, 0);
        int count = m->group_size[0];
        phrase_region(s, &t->rng, g, count, true);
        if (count > 1) {
            str_addf(s, " %s ", PICK(t, "stand", "are set", "lie"));
            add_arrangement(t, s, 0);
        } else {
            str_add_char(s, ' ');
            add_standing(t, s, false);
        }
        str_addf(s, "%s ", PICK(t, " against", " on", ", set on"));
        add_background(t, s);
        return;
    }
    phrase_list_t list = {0};
    int shown = m->n_groups > 3 ? 3 : m->n_groups;
    for (int i = 0; i < shown; i++)
        phrase_region(phrase_list_add(&list), &t->rng, leader(m, i), m->group_size[i], true);
    if (rng_below(&t->rng, 2)) {
        phrase_join(s, &list, "and");
        str_addf(s, " %s ", PICK(t, "share", "stand out against", "are set on"));
        add_background(t, s);
    } else {
        str_addf(s, "on ");
        add_background(t, s);
        str_addf(s, " %s ", PICK(t, "lie", "are", "appear"));
        phrase_join(s, &list, "and");
    }
    phrase_list_free(&list);
}

static void open_colours(teller_t *t, str_t *s) {
    const measure_t *m = t->m;
    if (!is_scene(t)) {
        add_background(t, s);
        str_addf(s, " %s",
                 PICK(t, "fills the whole frame from edge to edge", "covers the entire picture",
                      "takes up the frame from one side to the other"));
        return;
    }
    int n = m->n_palette > 3 ? 3 : m->n_palette;
    if (n > 1) {
        phrase_colours(s, m->palette, n);
        str_addf(s, " %s",
                 PICK(t, "meet in a picture that reaches to every edge", "mix across the whole frame",
                      "fill the frame from edge to edge"));
    } else {
        str_addf(s, "%s %s", colour_name(m->palette[0]),
                 PICK(t, "covers the whole frame in many small variations", "spreads over the entire frame"));
    }
}

static bool say_opening(teller_t *t, str_t *s) {
    if (t->alt->kind == ALTTEXT_KEYWORDS) {
        open_keywords(t, s);
        return true;
    }
    if (t->alt->kind == ALTTEXT_NONE) {
        main_object(t) ? open_shapes(t, s) : open_colours(t, s);
        return true;
    }
    phrase_subject_t subject;
    phrase_subject(&subject, t->alt);
    if (subject.text.failed) s->failed = true;
    const char *name = str_text(&subject.text);
    if (subject.is_sentence || words_count(name) > 9 || (!is_scene(t) && !main_object(t)))
        open_with_sentence(t, s, name);
    else if (is_scene(t))
        open_scene(t, s, &subject);
    else
        open_subject(t, s, &subject);
    str_free(&subject.text);
    return true;
}

/* ---- what stands before the background ---- */

static const char *place_within(teller_t *t, const region_t *part, const region_t *whole) {
    double x = (part->x - whole->x0) / fmax(whole->x1 - whole->x0, 1e-3);
    double y = (part->y - whole->y0) / fmax(whole->y1 - whole->y0, 1e-3);
    double w = (part->x1 - part->x0) / fmax(whole->x1 - whole->x0, 1e-3);
    double h = (part->y1 - part->y0) / fmax(whole->y1 - whole->y0, 1e-3);
    if (w > 0.8 && h > 0.8) return "throughout";
    int column = x < 0.38 ? 0 : x <= 0.62 ? 1 : 2, row = y < 0.38 ? 0 : y <= 0.62 ? 1 : 2;
    static const char *const names[3][3] = {{"at the upper left", "at the top", "at the upper right"},
                                            {"on the left", "in the middle", "on the right"},
                                            {"at the lower left", "at the bottom", "at the lower right"}};
    if (row == 1 && column == 1) return PICK(t, "in the middle", "at the heart of it", "in the centre");
    return names[row][column];
}

static void add_part(teller_t *t, str_t *s, const region_t *part, const region_t *whole, int count) {
    bool clear = part->shape != SHAPE_SPOT && part->shape < SHAPE_BLOCK;
    if (clear) {
        phrase_region(s, &t->rng, part, count, false);
    } else {
        const char *noun =
            part->area_frac < 0.008 ? PICK(t, "detail", "touch", "spot") : PICK(t, "area", "patch", "part");
        const char *colour = colour_name(part->colours[0]);
        if (count > 1)
            str_addf(s, "%s %s %s%s", phrase_number(count), colour, noun, str_ends_with(noun, "h") ? "es" : "s");
        else
            str_addf(s, "%s %s %s", words_article(colour), colour, noun);
    }
    str_addf(s, " %s", count > 1 ? PICK(t, "within it", "inside") : place_within(t, part, whole));
}

/* Parts of the main object, or of the whole scene, that are worth naming: large ones, those alike counted together. */
static int choose_parts(const teller_t *t, const region_t *whole, const region_t *chosen[3], int counts[3]) {
    const measure_t *m = t->m;
    int n = 0;
    for (int i = 0; i < m->n_parts && n < 3; i++) {
        const region_t *p = &m->parts[i];
        if (p->object != (is_scene(t) ? -1 : 0) || p->area_frac < 0.025 * whole->filled_frac) continue;
        bool counted = false;
        for (int k = 0; k < n; k++) {
            bool alike = chosen[k]->colours[0] == p->colours[0] &&
                         (chosen[k]->shape == p->shape || chosen[k]->shape >= SHAPE_BLOCK) &&
                         chosen[k]->area_frac < 2.5 * p->area_frac;
            if (!alike) continue;
            counts[k]++;
            counted = true;
            break;
        }
        if (counted) continue;
        chosen[n] = p;
        counts[n++] = 1;
    }
    return n;
}

static bool say_parts(teller_t *t, str_t *s) {
    const region_t *whole = main_object(t);
    if (!whole || whole->n_parts < 2 || !t->is_one_thing) return false;
    const region_t *chosen[3];
    int counts[3];
    int n = choose_parts(t, whole, chosen, counts);
    if (n < 2) return false;
    str_add(s,
            PICK(t, "up close, it is made of ", "its main parts are ", "the largest parts are ", "it is built from "));
    phrase_list_t list = {0};
    for (int i = 0; i < n; i++) add_part(t, phrase_list_add(&list), chosen[i], whole, counts[i]);
    phrase_join(s, &list, "and");
    phrase_list_free(&list);
    return true;
}

static bool say_shares(teller_t *t, str_t *s) {
    const region_t *g = main_object(t);
    if (!g || g->n_colours < 2 || !t->is_one_thing) return false;
    str_addf(s, "%s makes up %s of it, ", colour_name(g->colours[0]), phrase_fraction(g->colour_frac[0]));
    str_add(s, PICK(t, "with touches of ", "joined by ", "together with "));
    phrase_colours(s, g->colours + 1, g->n_colours > 3 ? 2 : g->n_colours - 1);
    return true;
}

static bool say_outline(teller_t *t, str_t *s) {
    const region_t *g = main_object(t);
    if (!g || !t->has_subject || !t->is_one_thing || g->shape == SHAPE_SPOT) return false;
    static const char *const outlines[SHAPE_N] = {[SHAPE_ROUND] = "round",
                                                  [SHAPE_OVAL] = "a smooth oval",
                                                  [SHAPE_SQUARE] = "square",
                                                  [SHAPE_DIAMOND] = "a diamond",
                                                  [SHAPE_RECTANGLE] = "close to a rectangle",
                                                  [SHAPE_TRIANGLE] = "close to a triangle",
                                                  [SHAPE_RING] = "a ring with an open centre",
                                                  [SHAPE_FRAME] = "a frame with an open centre",
                                                  [SHAPE_STAR] = "spread like a star",
                                                  [SHAPE_CROSS] = "spread like a cross",
                                                  [SHAPE_BLOCK] = "compact and rounded"};
    const char *outline = outlines[g->shape];
    if (!outline)
        outline = g->axis == SHAPE_HORIZONTAL                              ? "long and low"
                  : g->axis == SHAPE_VERTICAL                              ? "tall and slender"
                  : g->axis == SHAPE_DIAGONAL                              ? "stretched along a diagonal"
                  : g->area_frac < 0.5 * (g->x1 - g->x0) * (g->y1 - g->y0) ? "open and branching"
                                                                           : "irregular but compact";
    str_addf(s, "%s %s", PICK(t, "the outline is", "seen as a whole, its outline is", "in silhouette it is"), outline);
    return true;
}

static void add_definite(teller_t *t, str_t *s, int group) {
    const measure_t *m = t->m;
    region_t g = *leader(m, group);
    str_t words = {0};
    bool twin = false;
    for (int i = 0; i < m->n_groups; i++) {
        const region_t *o = leader(m, i);
        twin |= i != group && o->colours[0] == g.colours[0] && o->shape == g.shape;
    }
    int count = m->group_size[group];
    phrase_region(&words, &t->rng, &g, count, twin);
    /* "a red circle" to "the red circle"; "two red circles" to "the two red circles". */
    const char *text = str_text(&words);
    if (count == 1) text = strchr(text, ' ') + 1;
    str_addf(s, "the %s", text);
    if (words.failed) s->failed = true;
    str_free(&words);
}

/* Where the shapes of the opening are. */
static bool say_places(teller_t *t, str_t *s) {
    const measure_t *m = t->m;
    if (is_scene(t) || t->has_subject || m->n_groups < 2 || (t->is_one_thing && m->n_groups > 3)) return false;
    phrase_list_t list = {0};
    int shown = m->n_groups > 3 ? 3 : m->n_groups;
    for (int i = 0; i < shown; i++) {
        str_t *item = phrase_list_add(&list);
        add_definite(t, item, i);
        str_add(item, i == 0 ? (m->group_size[i] > 1 ? " are " : " is ") : " ");
        add_whereabouts(t, item, i);
    }
    phrase_join(s, &list, "and");
    phrase_list_free(&list);
    return true;
}

/* Groups that the opening left out. */
static bool say_others(teller_t *t, str_t *s) {
    const measure_t *m = t->m;
    if (is_scene(t) || m->n_groups < 2) return false;
    int from = t->has_subject || (t->is_one_thing && m->n_groups > 3) ? 1 : 3;
    if (t->has_subject && !t->is_one_thing) from = 0;
    if (from >= m->n_groups) return false;
    phrase_list_t list = {0};
    int to = from + 3 < m->n_groups ? from + 3 : m->n_groups;
    bool many = to - from > 1 || m->group_size[from] > 1;
    for (int i = from; i < to; i++) {
        str_t *item = phrase_list_add(&list);
        phrase_region(item, &t->rng, leader(m, i), m->group_size[i], true);
        str_add_char(item, ' ');
        add_whereabouts(t, item, i);
    }
    str_add(s, from == 0 ? (many ? "the shapes are " : "the shape is ")
               : many    ? PICK(t, "there are also ", "further shapes are ", "around it are ")
                         : PICK(t, "there is also ", "beside it is "));
    phrase_join(s, &list, "and");
    phrase_list_free(&list);
    return true;
}

/* How two single things lie to each other. */
static bool say_relation(teller_t *t, str_t *s) {
    const measure_t *m = t->m;
    if (is_scene(t) || t->has_subject || m->n_groups < 2 || m->group_size[0] > 1 || m->group_size[1] > 1) return false;
    const region_t *a = leader(m, 0), *b = leader(m, 1);
    double dx = b->x - a->x, dy = b->y - a->y;
    if (fmax(fabs(dx), fabs(dy)) < 0.15) return false;
    const char *across = fabs(dx) > 2 * fabs(dy)   ? (dx > 0 ? "to the right of" : "to the left of")
                         : fabs(dy) > 2 * fabs(dx) ? (dy > 0 ? "below" : "above")
                         : dy > 0                  ? (dx > 0 ? "below and to the right of" : "below and to the left of")
                                  : (dx > 0 ? "above and to the right of" : "above and to the left of");
    add_definite(t, s, 1);
    str_addf(s, " %s %s ", PICK(t, "lies", "is", "sits"), across);
    add_definite(t, s, 0);
    double ratio = a->filled_frac / b->filled_frac;
    if (ratio > 3) str_addf(s, " and is %s smaller", ratio > 8 ? "much" : "clearly");
    return true;
}

static bool say_extent(teller_t *t, str_t *s) {
    const region_t *g = main_object(t);
    if (!g || !t->is_one_thing) return false;
    double w = g->x1 - g->x0, h = g->y1 - g->y0;
    const char *wide = phrase_fraction(w), *tall = phrase_fraction(h);
    if (strcmp(wide, tall) == 0)
        str_addf(s, "%s %s of the width and of the height", PICK(t, "it spans", "it reaches over", "it extends over"),
                 wide);
    else
        str_addf(s, "%s %s of the width and %s of the height", PICK(t, "it spans", "it covers", "it extends over"),
                 wide, tall);
    return true;
}

static bool say_count(teller_t *t, str_t *s) {
    int n = t->m->n_objects_found;
    if (is_scene(t) || n < 3) return false;
    str_addf(s, "%s %s separate shapes %s", PICK(t, "in all,", "altogether,"), phrase_number(n),
             PICK(t, "can be counted", "stand before the background", "make up the arrangement"));
    return true;
}

/* ---- the whole picture ---- */

static colour_t commonest(const colour_t c[3]) {
    return c[1] == c[2] ? c[1] : c[0];
}

static bool say_layout(teller_t *t, str_t *s) {
    if (!is_scene(t)) return false;
    const measure_t *m = t->m;
    colour_t rows[3], columns[3];
    for (int i = 0; i < 3; i++) {
        rows[i] = commonest(m->cells[i]);
        columns[i] = commonest((colour_t[]){m->cells[0][i], m->cells[1][i], m->cells[2][i]});
    }
    if (rows[0] != rows[2]) {
        str_addf(s, "%s %s the top", colour_name(rows[0]), PICK(t, "runs across", "spreads over", "lies along"));
        if (rows[1] != rows[0] && rows[1] != rows[2]) str_addf(s, ", %s takes the middle", colour_name(rows[1]));
        str_addf(s, " and %s %s the bottom", colour_name(rows[2]), PICK(t, "fills", "covers", "lies along"));
    } else if (columns[0] != columns[2]) {
        str_addf(s, "%s %s the left side and %s the right", colour_name(columns[0]),
                 PICK(t, "fills", "covers", "holds"), colour_name(columns[2]));
    } else if (m->cells[1][1] != rows[0]) {
        str_addf(s, "%s %s the centre, %s by %s toward the edges", colour_name(m->cells[1][1]),
                 PICK(t, "holds", "marks"), PICK(t, "surrounded", "ringed"), colour_name(rows[0]));
    } else {
        str_addf(s, "%s %s from corner to corner", colour_name(rows[0]),
                 PICK(t, "prevails", "runs", "carries through"));
    }
    return true;
}

static bool say_areas(teller_t *t, str_t *s) {
    if (!is_scene(t)) return false;
    const region_t whole = {.x0 = 0, .y0 = 0, .x1 = 1, .y1 = 1, .filled_frac = 1};
    const region_t *chosen[3];
    int counts[3];
    int n = choose_parts(t, &whole, chosen, counts);
    if (n == 0) return false;
    phrase_list_t list = {0};
    for (int i = 0; i < n; i++) add_part(t, phrase_list_add(&list), chosen[i], &whole, counts[i]);
    str_add(s, n > 1 || counts[0] > 1 ? PICK(t, "the largest areas are ", "the eye meets ", "standing out are ")
                                      : PICK(t, "the largest area is ", "the eye meets "));
    phrase_join(s, &list, "and");
    phrase_list_free(&list);
    return true;
}

static bool say_background(teller_t *t, str_t *s) {
    if (is_scene(t) || t->background_said) return false;
    str_addf(s, "behind %s ", PICK(t, "it lies", "it stretches"));
    add_background(t, s);
    return true;
}

static bool say_palette(teller_t *t, str_t *s) {
    const measure_t *m = t->m;
    if (m->n_palette < 2) {
        str_addf(s, "%s %s", colour_name(m->palette[0]),
                 PICK(t, "is the one colour throughout", "sets the tone everywhere"));
        return true;
    }
    str_addf(s, "%s %s %s of the %s", colour_name(m->palette[0]), PICK(t, "covers", "accounts for", "takes up"),
             phrase_fraction(m->palette_frac[0]), t->picture);
    int n = m->n_palette - 1 > 3 ? 3 : m->n_palette - 1;
    str_addf(s, ", %s ", PICK(t, "followed by", "then", "next to"));
    if (str_ends_with(str_text(s), "then ")) str_add(s, "come ");
    phrase_colours(s, m->palette + 1, n);
    return true;
}

static bool say_mood(teller_t *t, str_t *s) {
    const measure_t *m = t->m;
    double warm = 0, cool = 0;
    for (int i = 0; i < m->n_palette; i++) {
        warm += colour_is_warm(m->palette[i]) ? m->palette_frac[i] : 0;
        cool += colour_is_cool(m->palette[i]) ? m->palette_frac[i] : 0;
    }
    const char *strength =
        m->colourfulness > 0.13 ? PICK(t, "vivid", "strong", "saturated") : PICK(t, "soft", "muted", "gentle");
    if (warm + cool < 0.12) {
        str_addf(s, "the overall impression is %s", PICK(t, "sober and close to monochrome", "neutral and restrained"));
        return true;
    }
    if (warm > 2 * cool)
        str_addf(s, "the colouring is %s and %s", strength, PICK(t, "warm", "on the warm side"));
    else if (cool > 2 * warm)
        str_addf(s, "the colouring is %s and %s", strength, PICK(t, "cool", "on the cool side"));
    else
        str_addf(s, "%s and %s play against each other in %s colours", "warm", "cool tones", strength);
    return true;
}

static bool say_light(teller_t *t, str_t *s) {
    const measure_t *m = t->m;
    const char *tone = m->brightness < 0.3   ? PICK(t, "very dark", "deep and dark")
                       : m->brightness < 0.5 ? PICK(t, "rather dark", "subdued")
                       : m->brightness < 0.72
                           ? PICK(t, "of middling brightness", "evenly balanced between light and dark")
                       : m->brightness < 0.9 ? PICK(t, "bright", "light", "light and open")
                                             : PICK(t, "very bright", "very light");
    const char *contrast = m->contrast < 0.06   ? PICK(t, "hardly any change of tone", "barely varying tones")
                           : m->contrast < 0.15 ? PICK(t, "soft contrast", "gentle contrast")
                           : m->contrast < 0.25 ? PICK(t, "clear contrast", "moderate contrast")
                                                : PICK(t, "strong contrast", "sharp contrast");
    str_addf(s, "%s %s, with %s", PICK(t, "the whole is", "overall it is", "taken together it is"), tone, contrast);
    return true;
}

static bool say_surface(teller_t *t, str_t *s) {
    const measure_t *m = t->m;
    if (m->flat_frac > 0.8)
        str_add(s, PICK(t, "the colours are flat, with crisp edges",
                        "flat colour and clean edges give it the look of a graphic",
                        "areas of even colour meet at sharp edges"));
    else if (m->edges_frac > 0.3)
        str_add(s, PICK(t, "fine detail and many edges make the surface busy",
                        "dense detail covers nearly all of the surface"));
    else if (m->edges_frac > 0.12)
        str_add(s, PICK(t, "there is a fair amount of detail, with edges all over", "lines and edges add detail"));
    else
        str_add(s, PICK(t, "soft shading gives the surfaces some depth", "tones pass softly into one another",
                        "smooth shading rounds the forms"));
    return true;
}

static bool say_symmetry(teller_t *t, str_t *s) {
    bool across = t->m->symmetry_left_right > 0.9, down = t->m->symmetry_top_bottom > 0.9;
    if (!across && !down) return false;
    bool close = fmax(t->m->symmetry_left_right, t->m->symmetry_top_bottom) > 0.97;
    const char *how = close ? PICK(t, "closely", "almost exactly") : PICK(t, "nearly", "roughly");
    if (across && down)
        str_addf(s, "the composition is balanced both ways, its halves %s mirroring each other", how);
    else
        str_addf(s, "the %s halves %s mirror each other", across ? "left and right" : "upper and lower", how);
    return true;
}

static bool say_format(teller_t *t, str_t *s) {
    double aspect = (double)t->m->width / t->m->height;
    const char *format = aspect > 2.2    ? PICK(t, "a long, wide strip", "very wide")
                         : aspect > 1.15 ? PICK(t, "wider than tall", "in landscape format")
                         : aspect > 0.87 ? PICK(t, "square in format", "about as wide as it is tall")
                         : aspect > 0.45 ? PICK(t, "taller than wide", "in portrait format")
                                         : PICK(t, "a tall, narrow strip", "very tall and narrow");
    str_addf(s, "the %s is %s", t->picture, format);
    return true;
}

static bool say_corners(teller_t *t, str_t *s) {
    const colour_t a = t->m->cells[0][0], b = t->m->cells[0][2], c = t->m->cells[2][0], d = t->m->cells[2][2];
    if (a == b && b == c && c == d) {
        str_addf(s, "%s %s", colour_name(a), PICK(t, "holds all four corners", "reaches into all four corners"));
    } else if (a != d) {
        str_addf(s, "the upper left corner is mostly %s, the lower right mostly %s", colour_name(a), colour_name(d));
    } else {
        str_addf(s, "the upper right corner is mostly %s, the lower left mostly %s", colour_name(b), colour_name(c));
    }
    return true;
}

static bool say_balance(teller_t *t, str_t *s) {
    const measure_t *m = t->m;
    if (is_scene(t) || m->n_objects == 0) return false;
    double area = 0, x = 0, y = 0;
    for (int i = 0; i < m->n_objects; i++) {
        area += m->objects[i].filled_frac;
        x += m->objects[i].filled_frac * m->objects[i].x;
        y += m->objects[i].filled_frac * m->objects[i].y;
    }
    x /= area;
    y /= area;
    const char *where = x < 0.42   ? "to the left"
                        : x > 0.58 ? "to the right"
                        : y < 0.42 ? "toward the top"
                        : y > 0.58 ? "toward the bottom"
                                   : "around the centre";
    str_addf(s, "the visual weight lies %s", where);
    return true;
}

/* ---- composition ---- */

typedef struct {
    bool (*say)(teller_t *t, str_t *s);
    int priority; /* lower first; those at FURTHER are the measured details that other attempts add */
} line_t;

enum { FURTHER = 6, SENTENCE_MAX = 18, FURTHER_FROM = 9 };

/* Page order. */
static const line_t lines[] = {
    {say_opening, 0},  {say_places, 1},     {say_parts, 1},         {say_shares, 4},        {say_others, 2},
    {say_layout, 1},   {say_areas, 2},      {say_outline, 3},       {say_relation, 2},      {say_extent, 4},
    {say_count, 5},    {say_background, 1}, {say_palette, 4},       {say_mood, 5},          {say_surface, 4},
    {say_symmetry, 3}, {say_light, 4},      {say_corners, FURTHER}, {say_balance, FURTHER}, {say_format, FURTHER},
};
enum { N_LINES = sizeof lines / sizeof lines[0] };

static void set_front(teller_t *t) {
    const measure_t *m = t->m;
    double share[COLOUR_N] = {0}, all = 0, largest = 0;
    for (int i = 0; i < m->n_objects; i++) {
        const region_t *g = &m->objects[i];
        all += g->area_frac;
        largest = fmax(largest, g->area_frac);
        for (int c = 0; c < g->n_colours; c++) share[g->colours[c]] += g->area_frac * g->colour_frac[c];
    }
    while (t->n_front < 4) {
        int best = 0;
        for (int c = 1; c < COLOUR_N; c++)
            if (share[c] > share[best]) best = c;
        if (share[best] <= 0.08 * all || share[best] == 0) break;
        t->front[t->n_front++] = (colour_t)best;
        share[best] = 0;
    }
    t->is_one_thing = largest > 0.6 * all;
}

lens_status describe_text(str_t *out, const measure_t *m, const alttext_t *alt, const describe_options_t *o) {
    teller_t t = {.m = m,
                  .alt = alt,
                  .rng = rng_stream(o->content, (uint32_t)o->attempt, 0, RNG_DESCRIBE),
                  .has_subject = alt->kind != ALTTEXT_NONE};
    t.picture =
        m->flat_frac > 0.55 ? PICK(&t, "drawing", "illustration", "graphic") : PICK(&t, "picture", "view", "scene");
    set_front(&t);

    str_t said[N_LINES] = {0};
    int64_t words[N_LINES] = {0}, total = 0;
    double urgency[N_LINES];
    bool kept[N_LINES] = {false};
    int64_t span = o->max_words - 25 - (o->min_words + 8);
    int64_t target = o->min_words + 8 + (span > 0 ? rng_below(&t.rng, (uint32_t)span) : 0);
    for (int i = 0; i < N_LINES; i++) {
        urgency[i] = lines[i].priority + 2 * rng_uniform(&t.rng) * (i > 0);
        if (!lines[i].say(&t, &said[i])) continue;
        phrase_capitalise(&said[i], 0);
        if (!str_ends_with(str_text(&said[i]), ".")) str_add_char(&said[i], '.');
        words[i] = words_count(str_text(&said[i]));
        /* Another attempt brings one of the further details forward, each in its turn. */
        if (lines[i].priority == FURTHER && o->attempt > 0 && (i + o->attempt) % 3 == 0) urgency[i] = 0.5;
    }
    while (total < target) {
        int next = -1;
        for (int i = 0; i < N_LINES; i++)
            if (!kept[i] && words[i] > 0 && total + words[i] <= o->max_words &&
                (next < 0 || urgency[i] < urgency[next]))
                next = i;
        if (next < 0) break;
        kept[next] = true;
        total += words[next];
    }
    lens_status st = LENS_OK;
    for (int i = 0; i < N_LINES; i++) {
        if (kept[i]) str_addf(out, "%s%s", i ? " " : "", str_text(&said[i]));
        if (st == LENS_OK) st = str_status(&said[i]);
        str_free(&said[i]);
    }
    return st == LENS_OK ? str_status(out) : st;
}
