/* What a scene holds: background, groups, places, relations. See scene.h. */
#include "data/scene.h"

#include <stdlib.h>
#include <string.h>

#define MARGIN 0.03 /* between a group and the picture's edge */
#define GAP 0.04    /* between groups, and between the objects of one group */
#define GRID 4      /* of simple scenes: centres lie on its nine inner crossings, "top left" to "bottom right" */
/* Distances of colour_distance() below which two colours are not told apart at a glance. */
#define MIN_CONTRAST_GROUND 215.0
#define MIN_CONTRAST_INSIDE 230.0

#define WORD_2(name, word) word,
#define WORD_3(name, word, plural) word,
#define PLURAL_3(name, word, plural) plural,
#define WORD_5(name, word, r, g, b) word,
#define RGB_5(name, word, r, g, b) {r, g, b},
static const char *const SHAPE_WORDS[] = {SCENE_SHAPE_LIST(WORD_3)};
static const char *const SHAPE_PLURALS[] = {SCENE_SHAPE_LIST(PLURAL_3)};
static const char *const COLOUR_WORDS[] = {SCENE_COLOUR_LIST(WORD_5)};
static const uint8_t COLOUR_RGB[][3] = {SCENE_COLOUR_LIST(RGB_5)};
static const char *const GROUND_WORDS[] = {SCENE_GROUND_LIST(WORD_5)};
static const uint8_t GROUND_RGB[][3] = {SCENE_GROUND_LIST(RGB_5)};
static const char *const SIZE_WORDS[] = {SCENE_SIZE_LIST(WORD_2)};
static const char *const TEXTURE_WORDS[] = {SCENE_TEXTURE_LIST(WORD_2)};
static const char *const LAYOUT_WORDS[] = {SCENE_LAYOUT_LIST(WORD_2)};
static const char *const GROUND_KIND_WORDS[] = {SCENE_GROUND_KIND_LIST(WORD_2)};
static const char *const RELATION_WORDS[] = {SCENE_RELATION_LIST(WORD_2)};

const char *scene_shape_word(scene_shape v) {
    return SHAPE_WORDS[v];
}
const char *scene_shape_plural(scene_shape v) {
    return SHAPE_PLURALS[v];
}
const char *scene_colour_word(scene_colour v) {
    return COLOUR_WORDS[v];
}
const char *scene_ground_word(scene_ground v) {
    return GROUND_WORDS[v];
}
const char *scene_size_word(scene_size v) {
    return SIZE_WORDS[v];
}
const char *scene_texture_word(scene_texture v) {
    return TEXTURE_WORDS[v];
}
const char *scene_layout_word(scene_layout v) {
    return LAYOUT_WORDS[v];
}
const char *scene_ground_kind_word(scene_ground_kind v) {
    return GROUND_KIND_WORDS[v];
}
const char *scene_relation_word(scene_relation v) {
    return RELATION_WORDS[v];
}
const uint8_t *scene_colour_rgb(scene_colour v) {
    return COLOUR_RGB[v];
}
const uint8_t *scene_ground_rgb(scene_ground v) {
    return GROUND_RGB[v];
}

void scene_shape_extent(scene_shape shape, double *half_width, double *half_height) {
    /* The outlines in scene_render.c are centred in these boxes. */
    static const double EXTENT[SCENE_N_SHAPES][2] = {
        [SCENE_SHAPE_CIRCLE] = {0.96, 0.96},  [SCENE_SHAPE_SQUARE] = {0.86, 0.86}, [SCENE_SHAPE_TRIANGLE] = {1, 0.866},
        [SCENE_SHAPE_RECTANGLE] = {1, 0.52},  [SCENE_SHAPE_OVAL] = {1, 0.6},       [SCENE_SHAPE_DIAMOND] = {0.72, 1},
        [SCENE_SHAPE_STAR] = {0.951, 0.9045}, [SCENE_SHAPE_CROSS] = {0.92, 0.92},  [SCENE_SHAPE_RING] = {1, 1},
        [SCENE_SHAPE_HEXAGON] = {1, 0.866},   [SCENE_SHAPE_HEART] = {1, 0.914214}, [SCENE_SHAPE_CRESCENT] = {0.8125, 1},
    };
    *half_width = EXTENT[shape][0];
    *half_height = EXTENT[shape][1];
}

const char *scene_place_word(const scene_box_t *box) {
    static const char *const PLACES[3][3] = {
        {"top left", "top", "top right"}, {"left", "center", "right"}, {"bottom left", "bottom", "bottom right"}};
    double x = (box->x0 + box->x1) / 2, y = (box->y0 + box->y1) / 2;
    int column = x < 0.4 ? 0 : x > 0.6 ? 2 : 1, row = y < 0.4 ? 0 : y > 0.6 ? 2 : 1;
    return PLACES[row][column];
}

/* ---- drawing lots ---- */
static int draw_weighted(rng_t *r, const int *weights, int n) {
    uint32_t total = 0;
    for (int i = 0; i < n; i++) total += (uint32_t)weights[i];
    uint32_t at = rng_below(r, total);
    int i = 0;
    while (at >= (uint32_t)weights[i]) at -= (uint32_t)weights[i++];
    return i;
}

/* "Redmean": a cheap stand-in for perceived distance, 0 to 765. */
static double colour_distance(const uint8_t *a, const uint8_t *b) {
    double mean = (a[0] + b[0]) / 2.0, r = a[0] - b[0], g = a[1] - b[1], bl = a[2] - b[2];
    double square = (2 + mean / 256) * r * r + 4 * g * g + (2 + (255 - mean) / 256) * bl * bl;
    return __builtin_sqrt(square);
}

static scene_background_t background_draw(rng_t *r, bool simple) {
    static const int KIND_WEIGHTS[] = {68, 14, 6, 6, 6};
    scene_background_t b = {.kind = (scene_ground_kind)draw_weighted(r, KIND_WEIGHTS, SCENE_N_GROUND_KINDS)};
    if (simple) b.kind = SCENE_GROUND_KIND_PLAIN;
    bool light = rng_below(r, 100) < 65;
    uint32_t first = light ? 0 : SCENE_N_LIGHT_GROUNDS;
    uint32_t n = light ? SCENE_N_LIGHT_GROUNDS : SCENE_N_GROUNDS - SCENE_N_LIGHT_GROUNDS;
    uint32_t at = rng_below(r, n);
    b.colour = (scene_ground)(first + at);
    b.to = b.colour;
    if (b.kind == SCENE_GROUND_KIND_GRADIENT) {
        b.to = (scene_ground)(first + (at + 1 + rng_below(r, n - 1)) % n);
        b.top_down = rng_below(r, 2) == 0;
    }
    return b;
}

static bool stands_out(scene_colour c, const scene_background_t *b) {
    return colour_distance(COLOUR_RGB[c], GROUND_RGB[b->colour]) >= MIN_CONTRAST_GROUND &&
           colour_distance(COLOUR_RGB[c], GROUND_RGB[b->to]) >= MIN_CONTRAST_GROUND;
}

scene_colour scene_accent(scene_colour c) {
    bool pale = c == SCENE_COLOUR_YELLOW || c == SCENE_COLOUR_CYAN || c == SCENE_COLOUR_PINK ||
                c == SCENE_COLOUR_ORANGE || c == SCENE_COLOUR_WHITE;
    return pale ? SCENE_COLOUR_BLACK : SCENE_COLOUR_WHITE;
}

/* Whether the texture can be seen on that shape at 64 px. */
static bool texture_fits(const scene_group_t *g, scene_texture texture, const scene_background_t *b) {
    if (texture == SCENE_TEXTURE_SOLID) return true;
    if (g->size == SCENE_SIZE_SMALL) return false;
    bool large = g->size == SCENE_SIZE_LARGE, striped = texture == SCENE_TEXTURE_STRIPED;
    switch (g->shape) {
    case SCENE_SHAPE_RING:
    case SCENE_SHAPE_CRESCENT:
    case SCENE_SHAPE_CROSS:
    case SCENE_SHAPE_STAR:
        return large && striped;
    case SCENE_SHAPE_TRIANGLE:
    case SCENE_SHAPE_DIAMOND:
        if (!large && !striped) return false;
        break;
    default:
        break;
    }
    return texture != SCENE_TEXTURE_OUTLINED || stands_out(scene_accent(g->colour), b);
}

static scene_layout layout_draw(rng_t *r, int count, scene_size size) {
    if (count == 1) return SCENE_LAYOUT_SINGLE;
    scene_layout corners = count == 3 ? SCENE_LAYOUT_CORNERS_3 : SCENE_LAYOUT_CORNERS_4;
    if (count > 2 && (size == SCENE_SIZE_MEDIUM || rng_below(r, 3) == 0)) return corners;
    return rng_below(r, 2) == 0 ? SCENE_LAYOUT_ROW : SCENE_LAYOUT_COLUMN;
}

static double radius_draw(rng_t *r, scene_size size, bool simple) {
    static const double DIAMETER[SCENE_N_SIZES] = {0.19, 0.33, 0.52}, SIMPLE[SCENE_N_SIZES] = {0.25, 0.34, 0.44};
    double share = 0.94 + 0.12 * rng_uniform(r);
    return simple ? SIMPLE[size] / 2 : DIAMETER[size] / 2 * share;
}

static scene_size size_draw(rng_t *r, int count, int n_objects) {
    static const int ALONE[] = {22, 36, 42}, PAIR[] = {30, 45, 25}, MANY[] = {55, 40, 5}, GROUP[] = {60, 40, 0};
    const int *weights = count > 1 ? GROUP : n_objects == 1 ? ALONE : n_objects == 2 ? PAIR : MANY;
    return (scene_size)draw_weighted(r, weights, SCENE_N_SIZES);
}

static bool is_taken(const scene_t *s, int n_groups, scene_shape shape, scene_colour colour) {
    for (int i = 0; i < n_groups; i++)
        if (s->groups[i].shape == shape && s->groups[i].colour == colour) return true;
    return false;
}

static void group_draw(rng_t *r, scene_t *s, int i, int count, int n_objects) {
    static const int TEXTURE_WEIGHTS[] = {30, 14, 14, 14, 28};
    scene_group_t *g = &s->groups[i];
    *g = (scene_group_t){.count = count, .inside = -1};
    /* Ends: at least six colours stand out on any background (tests/unit/test_scene.c), at most three pairs are taken.
     */
    do {
        g->shape = (scene_shape)rng_below(r, SCENE_N_SHAPES);
        g->colour = (scene_colour)rng_below(r, SCENE_N_COLOURS);
    } while (!stands_out(g->colour, &s->background) || is_taken(s, i, g->shape, g->colour));
    g->size = size_draw(r, count, n_objects);
    g->layout = layout_draw(r, count, g->size);
    g->radius = radius_draw(r, g->size, s->rules.simple);
    scene_texture texture = (scene_texture)draw_weighted(r, TEXTURE_WEIGHTS, SCENE_N_TEXTURES);
    bool fits = !s->rules.simple && texture_fits(g, texture, &s->background);
    g->texture = fits ? texture : SCENE_TEXTURE_SOLID;
    g->accent = g->texture == SCENE_TEXTURE_SOLID ? g->colour : scene_accent(g->colour);
}

/* Turns the last two groups into a small shape inside a large one. */
static void make_inside(rng_t *r, scene_t *s) {
    static const scene_shape OUTER[] = {SCENE_SHAPE_CIRCLE, SCENE_SHAPE_SQUARE, SCENE_SHAPE_RING, SCENE_SHAPE_HEXAGON};
    scene_group_t *outer = &s->groups[s->n_groups - 2], *inner = &s->groups[s->n_groups - 1];
    outer->shape = OUTER[rng_below(r, 4)];
    outer->size = SCENE_SIZE_LARGE;
    outer->radius = radius_draw(r, outer->size, false);
    inner->size = SCENE_SIZE_SMALL;
    inner->radius = radius_draw(r, inner->size, false);
    inner->texture = outer->texture = SCENE_TEXTURE_SOLID;
    outer->accent = outer->colour;
    while (is_taken(s, s->n_groups - 2, outer->shape, outer->colour) || !stands_out(outer->colour, &s->background))
        outer->colour = (scene_colour)rng_below(r, SCENE_N_COLOURS);
    while (colour_distance(COLOUR_RGB[inner->colour], COLOUR_RGB[outer->colour]) < MIN_CONTRAST_INSIDE ||
           is_taken(s, s->n_groups - 1, inner->shape, inner->colour) || !stands_out(inner->colour, &s->background))
        inner->colour = (scene_colour)rng_below(r, SCENE_N_COLOURS);
    inner->accent = inner->colour;
    inner->inside = s->n_groups - 2;
}

/* ---- places ---- */
/* How a group's objects lie: [rows][columns], steps from centre to centre, and the box around them. */
typedef struct {
    int columns, rows;
    double half_width, half_height; /* of an object */
    double step_x, step_y, width, height;
} extent_t;

static double step_between(double side, bool simple) {
    return simple ? __builtin_ceil((side + GAP) * GRID) / GRID : side + GAP;
}

static extent_t group_extent(const scene_group_t *g, bool simple) {
    extent_t e;
    scene_shape_extent(g->shape, &e.half_width, &e.half_height);
    e.half_width *= g->radius;
    e.half_height *= g->radius;
    bool corners = g->layout == SCENE_LAYOUT_CORNERS_3 || g->layout == SCENE_LAYOUT_CORNERS_4;
    e.columns = corners ? 2 : g->layout == SCENE_LAYOUT_ROW ? g->count : 1;
    e.rows = corners ? 2 : g->layout == SCENE_LAYOUT_COLUMN ? g->count : 1;
    e.step_x = step_between(2 * e.half_width, simple);
    e.step_y = step_between(2 * e.half_height, simple);
    e.width = 2 * e.half_width + (e.columns - 1) * e.step_x;
    e.height = 2 * e.half_height + (e.rows - 1) * e.step_y;
    return e;
}

static bool boxes_near(const scene_box_t *a, const scene_box_t *b) {
    return a->x0 < b->x1 + GAP && b->x0 < a->x1 + GAP && a->y0 < b->y1 + GAP && b->y0 < a->y1 + GAP;
}

/* The begin of a box whose first centre, `half` behind it, is moved to the grid. */
static double on_grid(double begin, double half) {
    return __builtin_floor((begin + half) * GRID + 0.5) / GRID - half;
}

/* A place in the picture with its margin, the others left out of account. False where the grid moved it out. */
static bool box_draw(rng_t *r, const extent_t *e, bool simple, scene_box_t *out) {
    double x = MARGIN + rng_uniform(r) * (1 - 2 * MARGIN - e->width);
    double y = MARGIN + rng_uniform(r) * (1 - 2 * MARGIN - e->height);
    if (simple) {
        x = on_grid(x, e->half_width);
        y = on_grid(y, e->half_height);
    }
    *out = (scene_box_t){x, y, x + e->width, y + e->height};
    return !simple || (x >= MARGIN && y >= MARGIN && out->x1 <= 1 - MARGIN && out->y1 <= 1 - MARGIN);
}

static bool group_place(rng_t *r, scene_t *s, int i) {
    scene_group_t *g = &s->groups[i];
    extent_t e = group_extent(g, s->rules.simple);
    if (e.width > 1 - 2 * MARGIN || e.height > 1 - 2 * MARGIN) return false;
    if (g->inside >= 0) {
        const scene_box_t *around = &s->groups[g->inside].box;
        double x = (around->x0 + around->x1) / 2, y = (around->y0 + around->y1) / 2;
        g->box = (scene_box_t){x - e.width / 2, y - e.height / 2, x + e.width / 2, y + e.height / 2};
        return true;
    }
    for (int attempt = 0; attempt < 40; attempt++) {
        bool free_place = box_draw(r, &e, s->rules.simple, &g->box);
        for (int j = 0; j < i && free_place; j++) free_place = !boxes_near(&g->box, &s->groups[j].box);
        if (free_place) return true;
    }
    return false;
}

static bool all_place(rng_t *r, scene_t *s) {
    for (int i = 0; i < s->n_groups; i++)
        if (!group_place(r, s, i)) return false;
    return true;
}

static void objects_set(scene_t *s) {
    s->n_objects = 0;
    for (int i = 0; i < s->n_groups; i++) {
        const scene_group_t *g = &s->groups[i];
        extent_t e = group_extent(g, s->rules.simple);
        for (int k = 0; k < g->count; k++) {
            /* CORNERS_3 has its single object on top, in the middle. */
            bool top_of_3 = g->layout == SCENE_LAYOUT_CORNERS_3 && k == 0;
            int cell = g->layout == SCENE_LAYOUT_CORNERS_3 ? k + 1 : k;
            double column = top_of_3 ? 0.5 : cell % e.columns;
            int row = top_of_3 ? 0 : cell / e.columns;
            double x = g->box.x0 + e.half_width + column * e.step_x;
            double y = g->box.y0 + e.half_height + row * e.step_y;
            s->objects[s->n_objects++] = (scene_object_t){
                .group = i,
                .x = x,
                .y = y,
                .box = {x - e.half_width, y - e.half_height, x + e.half_width, y + e.half_height},
            };
        }
    }
}

static void fact_add(scene_t *s, int a, scene_relation relation, int b) {
    s->facts[s->n_facts++] = (scene_fact_t){.a = a, .b = b, .relation = relation};
}

/* a is left of b where its whole box is: boxes of groups are disjoint, so one axis at least parts each pair. */
static void facts_set(scene_t *s) {
    s->n_facts = 0;
    for (int b = 0; b < s->n_groups; b++)
        for (int a = b + 1; a < s->n_groups; a++) {
            const scene_box_t *p = &s->groups[a].box, *q = &s->groups[b].box;
            if (s->groups[a].inside == b)
                fact_add(s, a, SCENE_RELATION_INSIDE, b);
            else {
                if (p->x1 <= q->x0) fact_add(s, a, SCENE_RELATION_LEFT_OF, b);
                if (p->x0 >= q->x1) fact_add(s, a, SCENE_RELATION_RIGHT_OF, b);
                if (p->y1 <= q->y0) fact_add(s, a, SCENE_RELATION_ABOVE, b);
                if (p->y0 >= q->y1) fact_add(s, a, SCENE_RELATION_BELOW, b);
            }
        }
}

/* Splits n objects into groups; every row ends with zeros. */
static const int *split_draw(rng_t *r, int n) {
    static const int SPLITS[SCENE_MAX_OBJECTS][5][SCENE_MAX_OBJECTS] = {
        {{1}},
        {{1, 1}, {2}},
        {{1, 1, 1}, {2, 1}, {3}},
        {{1, 1, 1, 1}, {2, 1, 1}, {3, 1}, {2, 2}, {4}},
    };
    static const int WEIGHTS[SCENE_MAX_OBJECTS][5] = {{1}, {70, 30}, {45, 30, 25}, {35, 20, 20, 12, 13}};
    return SPLITS[n - 1][draw_weighted(r, WEIGHTS[n - 1], 5)];
}

static void groups_draw(rng_t *r, scene_t *s, int n_objects) {
    const int *split = split_draw(r, n_objects);
    for (s->n_groups = 0; s->n_groups < n_objects && split[s->n_groups] > 0; s->n_groups++)
        group_draw(r, s, s->n_groups, split[s->n_groups], n_objects);
    bool singles = s->n_groups >= 2 && s->groups[s->n_groups - 2].count == 1 && s->groups[s->n_groups - 1].count == 1;
    if (singles && !s->rules.simple && rng_below(r, 100) < 14) make_inside(r, s);
}

void scene_make(scene_t *out, uint64_t seed, uint64_t index, scene_rules_t rules) {
    static const int N_WEIGHTS[SCENE_MAX_OBJECTS] = {40, 30, 18, 12};
    LENS_ASSERT(rules.max_objects >= 1 && rules.max_objects <= SCENE_MAX_OBJECTS, "max_objects %d", rules.max_objects);
    rng_t r = rng_stream(seed, 0, index, RNG_SCENE);
    memset(out, 0, sizeof *out);
    out->seed = seed;
    out->index = index;
    out->rules = rules;
    out->background = background_draw(&r, rules.simple);
    int n_objects = 1 + draw_weighted(&r, N_WEIGHTS, rules.max_objects);
    groups_draw(&r, out, n_objects);
    /* Four failures, and the objects are drawn again; often enough, and there is one less of them. One alone always
     * fits. */
    for (int failures = 1; !all_place(&r, out); failures++) {
        if (failures % 32 == 0) n_objects--;
        if (failures % 4 == 0) groups_draw(&r, out, n_objects);
    }
    objects_set(out);
    facts_set(out);
}
