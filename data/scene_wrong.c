#include "data/scene_wrong.h"

#include <string.h>

enum {
    STREAM_WRONG = 4, /* of RNG_SCENE; 0 draws the scene, 1 to 3 word its texts */
    N_CELLS = 9,      /* places in a picture, 3 x 3 */
};

typedef struct {
    scene_t *s;
    rng_t r;
    double rate;
    bool wrong;   /* the fact at hand */
    uint32_t lot; /* picks the other value of the fact at hand */
    scene_wrong_t counts;
    bool moved[SCENE_MAX_OBJECTS];
} liar_t;

static void draw_lots(liar_t *l) {
    l->wrong = rng_uniform(&l->r) < l->rate;
    l->lot = rng_u32(&l->r);
}

static bool is_wrong_as_drawn(liar_t *l) {
    l->counts.n_facts++;
    l->counts.n_wrong += l->wrong;
    return l->wrong;
}

/* Whether the next fact is told wrongly. Which facts ask depends on the true scene alone, so that every rate draws the
 * same numbers. */
static bool is_wrong(liar_t *l) {
    draw_lots(l);
    return is_wrong_as_drawn(l);
}

/* One of the n - 1 values that are not `now`. */
static int other(const liar_t *l, int now, int n) {
    return (now + 1 + (int)(l->lot % (uint32_t)(n - 1))) % n;
}

/* ---- background ---- */

static void lie_background(liar_t *l) {
    scene_background_t *b = &l->s->background;
    bool was_gradient = b->kind == SCENE_GROUND_KIND_GRADIENT;
    if (is_wrong(l)) b->colour = (scene_ground)other(l, b->colour, SCENE_N_GROUNDS);
    if (was_gradient && is_wrong(l)) b->to = (scene_ground)other(l, b->to, SCENE_N_GROUNDS);
    if (was_gradient && is_wrong(l)) b->top_down = !b->top_down;
    if (!l->s->rules.simple && is_wrong(l)) b->kind = (scene_ground_kind)other(l, b->kind, SCENE_N_GROUND_KINDS);
    /* A gradient has two colours, anything else one. */
    bool is_gradient = b->kind == SCENE_GROUND_KIND_GRADIENT;
    if (!is_gradient)
        b->to = b->colour;
    else if (b->to == b->colour)
        b->to = (scene_ground)other(l, b->colour, SCENE_N_GROUNDS);
}

/* ---- a group ---- */

static bool is_taken(const scene_t *s, int i, scene_shape shape, scene_colour colour) {
    for (int j = 0; j < s->n_groups; j++)
        if (j != i && s->groups[j].shape == shape && s->groups[j].colour == colour) return true;
    return false;
}

static void lie_shape(liar_t *l, int i) {
    scene_group_t *g = &l->s->groups[i];
    if (!is_wrong(l)) return;
    scene_shape was = g->shape;
    int shape = other(l, was, SCENE_N_SHAPES);
    while (shape == (int)was || is_taken(l->s, i, (scene_shape)shape, g->colour)) shape = (shape + 1) % SCENE_N_SHAPES;
    g->shape = (scene_shape)shape;
}

static void lie_colour(liar_t *l, int i) {
    scene_group_t *g = &l->s->groups[i];
    if (!is_wrong(l)) return;
    scene_colour was = g->colour;
    int colour = other(l, was, SCENE_N_COLOURS);
    while (colour == (int)was || is_taken(l->s, i, g->shape, (scene_colour)colour))
        colour = (colour + 1) % SCENE_N_COLOURS;
    g->colour = (scene_colour)colour;
}

/* Also sees to the accent: black or white, and not the fill's colour. */
static void lie_texture(liar_t *l, scene_group_t *g) {
    bool was_solid = g->texture == SCENE_TEXTURE_SOLID;
    if (!l->s->rules.simple && is_wrong(l)) g->texture = (scene_texture)other(l, g->texture, SCENE_N_TEXTURES);
    scene_colour drawn = l->lot & 1U << 16 ? SCENE_COLOUR_BLACK : SCENE_COLOUR_WHITE;
    if (g->texture == SCENE_TEXTURE_SOLID)
        g->accent = g->colour;
    else if (was_solid)
        g->accent = drawn;
    if (g->texture != SCENE_TEXTURE_SOLID && g->accent == g->colour)
        g->accent = g->colour == SCENE_COLOUR_BLACK ? SCENE_COLOUR_WHITE : SCENE_COLOUR_BLACK;
}

static bool layout_fits(scene_layout layout, int count) {
    switch (layout) {
    case SCENE_LAYOUT_SINGLE:
        return count == 1;
    case SCENE_LAYOUT_CORNERS_3:
        return count == 3;
    case SCENE_LAYOUT_CORNERS_4:
        return count == 4;
    default:
        return count > 1;
    }
}

static void set_layout(const liar_t *l, scene_group_t *g, scene_layout was) {
    int layout = other(l, was, SCENE_N_LAYOUTS);
    while (layout == (int)was || !layout_fits((scene_layout)layout, g->count)) layout = (layout + 1) % SCENE_N_LAYOUTS;
    g->layout = (scene_layout)layout;
}

static void lie_layout(liar_t *l, scene_group_t *g) {
    if (g->count > 1 && is_wrong(l)) set_layout(l, g, g->layout);
}

static void lie_count(liar_t *l, scene_group_t *g) {
    int most = l->s->rules.max_objects - (l->s->n_objects - g->count);
    draw_lots(l);
    if (most <= 1 || !is_wrong_as_drawn(l)) return;
    int count = 1 + other(l, g->count - 1, most);
    l->s->n_objects += count - g->count;
    g->count = count;
    if (!layout_fits(g->layout, count)) set_layout(l, g, g->layout);
}

/* ---- where it is ---- */

static int cell_of(const scene_box_t *box) {
    double x = (box->x0 + box->x1) / 2, y = (box->y0 + box->y1) / 2;
    return (y < 0.4 ? 0 : y > 0.6 ? 6 : 3) + (x < 0.4 ? 0 : x > 0.6 ? 2 : 1);
}

static bool cell_is_taken(const scene_t *s, int cell) {
    for (int j = 0; j < s->n_groups; j++)
        if (cell_of(&s->groups[j].box) == cell) return true;
    return false;
}

/* Into the middle of a cell where no group is: a place that differs from all others tells how it lies to them. */
static void lie_where(liar_t *l, int i) {
    scene_t *s = l->s;
    scene_group_t *g = &s->groups[i];
    if (!is_wrong(l)) return;
    int cell = other(l, cell_of(&g->box), N_CELLS);
    while (cell_is_taken(s, cell)) cell = (cell + 1) % N_CELLS;
    double x = 0.2 + 0.3 * (cell % 3), y = 0.2 + 0.3 * (cell / 3);
    g->box = (scene_box_t){x, y, x, y};
    g->inside = -1;
    l->moved[i] = true;
    for (int j = i + 1; j < s->n_groups; j++) /* what lies inside comes along */
        if (s->groups[j].inside == i) {
            s->groups[j].box = g->box;
            l->moved[j] = true;
        }
}

static void fact_add(scene_t *s, int a, scene_relation relation, int b) {
    s->facts[s->n_facts++] = (scene_fact_t){.a = a, .b = b, .relation = relation};
}

/* Relations of groups that were moved follow from the places, the others stay; in the order of scene_make(). */
static void set_facts(const liar_t *l) {
    scene_t *s = l->s, was = *s;
    s->n_facts = 0;
    for (int b = 0; b < s->n_groups; b++)
        for (int a = b + 1; a < s->n_groups; a++) {
            if (!l->moved[a] && !l->moved[b]) {
                for (int k = 0; k < was.n_facts; k++)
                    if (was.facts[k].a == a && was.facts[k].b == b) fact_add(s, a, was.facts[k].relation, b);
                continue;
            }
            int p = cell_of(&s->groups[a].box), q = cell_of(&s->groups[b].box);
            if (s->groups[a].inside == b) fact_add(s, a, SCENE_RELATION_INSIDE, b);
            if (p % 3 != q % 3) fact_add(s, a, p % 3 < q % 3 ? SCENE_RELATION_LEFT_OF : SCENE_RELATION_RIGHT_OF, b);
            if (p / 3 != q / 3) fact_add(s, a, p / 3 < q / 3 ? SCENE_RELATION_ABOVE : SCENE_RELATION_BELOW, b);
        }
}

scene_wrong_t scene_make_wrong(scene_t *s, double rate) {
    LENS_ASSERT(rate >= 0 && rate <= 1, "rate %g", rate);
    liar_t l = {.s = s, .r = rng_stream(s->seed, STREAM_WRONG, s->index, RNG_SCENE), .rate = rate};
    lie_background(&l);
    for (int i = 0; i < s->n_groups; i++) {
        scene_group_t *g = &s->groups[i];
        lie_shape(&l, i);
        lie_colour(&l, i);
        if (is_wrong(&l)) g->size = (scene_size)other(&l, g->size, SCENE_N_SIZES);
        lie_texture(&l, g);
        lie_layout(&l, g);
        lie_count(&l, g);
        lie_where(&l, i);
    }
    set_facts(&l);
    return l.counts;
}
