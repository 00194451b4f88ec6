/* Procedural scenes: coloured shapes on a background, with everything true about them.
 *
 * The laboratory for claims about captions: the picture, its ground truth, a poor alt-text and two true captions all
 * come from one scene_t, which is a pure function of (seed, index). data/scenes.md describes the distribution and lists
 * the words. All functions are reentrant; any thread.
 *
 * Coordinates are relative: (0, 0) is the picture's top left corner, (1, 1) its bottom right one. */
#ifndef LENS_DATA_SCENE_H
#define LENS_DATA_SCENE_H

#include "base/error.h"
#include "base/rng.h"
#include "base/str.h"

#define SCENE_MAX_OBJECTS 4
#define SCENE_MAX_RELATIONS 12 /* two axes for each pair of groups */
#define SCENE_MIN_SIZE_PX 16   /* below, small objects vanish */
#define SCENE_MAX_SIZE_PX 4096

/* X(name, word, plural) */
#define SCENE_SHAPE_LIST(X)                                                                                            \
    X(CIRCLE, "circle", "circles")                                                                                     \
    X(SQUARE, "square", "squares")                                                                                     \
    X(TRIANGLE, "triangle", "triangles")                                                                               \
    X(RECTANGLE, "rectangle", "rectangles")                                                                            \
    X(OVAL, "oval", "ovals")                                                                                           \
    X(DIAMOND, "diamond", "diamonds")                                                                                  \
    X(STAR, "star", "stars")                                                                                           \
    X(CROSS, "cross", "crosses")                                                                                       \
    X(RING, "ring", "rings")                                                                                           \
    X(HEXAGON, "hexagon", "hexagons")                                                                                  \
    X(HEART, "heart", "hearts")                                                                                        \
    X(CRESCENT, "crescent", "crescents")

/* X(name, word, red, green, blue): sRGB of the objects' fills */
#define SCENE_COLOUR_LIST(X)                                                                                           \
    X(RED, "red", 214, 34, 42)                                                                                         \
    X(ORANGE, "orange", 250, 134, 20)                                                                                  \
    X(YELLOW, "yellow", 252, 216, 40)                                                                                  \
    X(GREEN, "green", 36, 150, 62)                                                                                     \
    X(CYAN, "cyan", 40, 200, 214)                                                                                      \
    X(BLUE, "blue", 34, 88, 218)                                                                                       \
    X(PURPLE, "purple", 148, 56, 196)                                                                                  \
    X(PINK, "pink", 246, 122, 182)                                                                                     \
    X(BROWN, "brown", 124, 72, 32)                                                                                     \
    X(BLACK, "black", 20, 20, 22)                                                                                      \
    X(GRAY, "gray", 138, 138, 142)                                                                                     \
    X(WHITE, "white", 252, 252, 252)

/* X(name, word, red, green, blue): sRGB of the backgrounds, pale or dark so that fills stand out */
#define SCENE_GROUND_LIST(X)                                                                                           \
    X(WHITE, "white", 250, 250, 250)                                                                                   \
    X(LIGHT_GRAY, "light gray", 214, 214, 216)                                                                         \
    X(LIGHT_YELLOW, "light yellow", 252, 242, 204)                                                                     \
    X(LIGHT_BLUE, "light blue", 196, 222, 246)                                                                         \
    X(LIGHT_GREEN, "light green", 204, 234, 198)                                                                       \
    X(LIGHT_PINK, "light pink", 252, 216, 224)                                                                         \
    X(LIGHT_PURPLE, "light purple", 220, 208, 244)                                                                     \
    X(BLACK, "black", 16, 16, 18)                                                                                      \
    X(DARK_GRAY, "dark gray", 62, 64, 70)                                                                              \
    X(DARK_BLUE, "dark blue", 18, 32, 84)                                                                              \
    X(DARK_GREEN, "dark green", 12, 62, 44)                                                                            \
    X(DARK_RED, "dark red", 74, 8, 22)
#define SCENE_N_LIGHT_GROUNDS 7 /* the first ones of the list */

/* X(name, word) */
#define SCENE_SIZE_LIST(X) X(SMALL, "small") X(MEDIUM, "medium") X(LARGE, "large")
#define SCENE_TEXTURE_LIST(X)                                                                                          \
    X(SOLID, "solid") X(STRIPED, "striped") X(DOTTED, "dotted") X(CHECKERED, "checkered") X(OUTLINED, "outlined")
#define SCENE_LAYOUT_LIST(X)                                                                                           \
    X(SINGLE, "single") X(ROW, "row") X(COLUMN, "column") X(CORNERS_3, "triangle") X(CORNERS_4, "square")
#define SCENE_GROUND_KIND_LIST(X)                                                                                      \
    X(PLAIN, "plain") X(GRADIENT, "gradient") X(STRIPES, "stripes") X(DOTS, "dots") X(GRID, "grid")
#define SCENE_RELATION_LIST(X)                                                                                         \
    X(LEFT_OF, "left of") X(RIGHT_OF, "right of") X(ABOVE, "above") X(BELOW, "below") X(INSIDE, "inside")

#define SCENE_ENUM_SHAPE(name, word, plural) SCENE_SHAPE_##name,
#define SCENE_ENUM_COLOUR(name, word, r, g, b) SCENE_COLOUR_##name,
#define SCENE_ENUM_GROUND(name, word, r, g, b) SCENE_GROUND_##name,
#define SCENE_ENUM_SIZE(name, word) SCENE_SIZE_##name,
#define SCENE_ENUM_TEXTURE(name, word) SCENE_TEXTURE_##name,
#define SCENE_ENUM_LAYOUT(name, word) SCENE_LAYOUT_##name,
#define SCENE_ENUM_GROUND_KIND(name, word) SCENE_GROUND_KIND_##name,
#define SCENE_ENUM_RELATION(name, word) SCENE_RELATION_##name,
typedef enum { SCENE_SHAPE_LIST(SCENE_ENUM_SHAPE) SCENE_N_SHAPES } scene_shape;
typedef enum { SCENE_COLOUR_LIST(SCENE_ENUM_COLOUR) SCENE_N_COLOURS } scene_colour;
typedef enum { SCENE_GROUND_LIST(SCENE_ENUM_GROUND) SCENE_N_GROUNDS } scene_ground;
typedef enum { SCENE_SIZE_LIST(SCENE_ENUM_SIZE) SCENE_N_SIZES } scene_size;
typedef enum { SCENE_TEXTURE_LIST(SCENE_ENUM_TEXTURE) SCENE_N_TEXTURES } scene_texture;
typedef enum { SCENE_LAYOUT_LIST(SCENE_ENUM_LAYOUT) SCENE_N_LAYOUTS } scene_layout;
typedef enum { SCENE_GROUND_KIND_LIST(SCENE_ENUM_GROUND_KIND) SCENE_N_GROUND_KINDS } scene_ground_kind;
typedef enum { SCENE_RELATION_LIST(SCENE_ENUM_RELATION) SCENE_N_RELATIONS } scene_relation;

typedef struct {
    double x0, y0, x1, y1;
} scene_box_t;

typedef struct {
    scene_ground_kind kind;
    scene_ground colour;
    scene_ground to; /* GRADIENT: colour at the end; else the same as colour */
    bool top_down;   /* GRADIENT: from top to bottom, else from left to right */
} scene_background_t;

/* Equal objects that belong together: one, or two to four in a layout. No two groups share both shape and colour. */
typedef struct {
    scene_shape shape;
    scene_colour colour;
    scene_size size;
    scene_texture texture;
    scene_colour accent; /* of stripes, dots, checks, outline: BLACK or WHITE; SOLID: the same as colour */
    scene_layout layout;
    int count;
    int inside;      /* the group that this one lies inside, -1: none */
    double radius;   /* of one object, before the shape's own aspect */
    scene_box_t box; /* of all its objects */
} scene_group_t;

typedef struct {
    int group;
    double x, y; /* centre of the box */
    scene_box_t box;
} scene_object_t;

typedef struct {
    int a, b; /* groups: a is `relation` b */
    scene_relation relation;
} scene_fact_t;

typedef struct {
    int max_objects; /* 1 to SCENE_MAX_OBJECTS */
    /* For models that learn in minutes: shapes are solid and exactly as large as their size says, centres lie in nine
     * places (of a group: the first one's), none inside another, backgrounds are plain. */
    bool simple;
} scene_rules_t;

typedef struct {
    uint64_t seed, index;
    scene_rules_t rules;
    scene_background_t background;
    int n_groups, n_objects, n_facts;
    scene_group_t groups[SCENE_MAX_OBJECTS];
    scene_object_t objects[SCENE_MAX_OBJECTS]; /* in drawing order */
    scene_fact_t facts[SCENE_MAX_RELATIONS];   /* every pair of groups has at least one */
} scene_t;

/* The scene of (seed, index). */
void scene_make(scene_t *out, uint64_t seed, uint64_t index, scene_rules_t rules);

const char *scene_shape_word(scene_shape v);
const char *scene_shape_plural(scene_shape v);
const char *scene_colour_word(scene_colour v);
const char *scene_ground_word(scene_ground v);
const char *scene_size_word(scene_size v);
const char *scene_texture_word(scene_texture v);
const char *scene_layout_word(scene_layout v);
const char *scene_ground_kind_word(scene_ground_kind v);
const char *scene_relation_word(scene_relation v);
const uint8_t *scene_colour_rgb(scene_colour v); /* u8 [3] */
const uint8_t *scene_ground_rgb(scene_ground v);
/* Half width and half height of the shape's box, where its radius is 1. */
void scene_shape_extent(scene_shape shape, double *half_width, double *half_height);
/* The colour of a texture on a fill of colour c: BLACK on pale fills, WHITE on others. */
scene_colour scene_accent(scene_colour c);
/* "top left", "top", ..., "center", ..., "bottom right": where the box's centre lies in a 3 x 3 grid. */
const char *scene_place_word(const scene_box_t *box);

/* ---- scene_render.c ---- */
/* Draws with antialiasing into rgb, u8 [size_px, size_px, 3]. size_px in [SCENE_MIN_SIZE_PX, SCENE_MAX_SIZE_PX]. */
void scene_render(const scene_t *s, int32_t size_px, uint8_t *rgb);
/* Signed distance to the outline of the shape of radius 1 around (0, 0), y downwards: negative inside. */
double scene_shape_distance(scene_shape shape, double x, double y);
/* Share of the accent at (x, y) from the object's centre. edge: distance to the outline, negative inside; pixel: width
 * over which an edge goes from none to all; all are shares of the picture's side. */
double scene_accent_share(scene_texture texture, double x, double y, double edge, double pixel);
#define SCENE_RIM 0.018     /* of the picture's side: plain edge around stripes, dots and checks */
#define SCENE_OUTLINE 0.036 /* width of an outline */

/* ---- scene_text.c: each appends to `out`, wording drawn from (seed, index) ----
 * The two captions return how many different facts they state: count, size, colour, shape, texture, accent, layout,
 * place of each group, relations, kind and colours of the background. What repeats another fact or follows from it is
 * none, nor is what the rules leave no choice of. */
void scene_alt(const scene_t *s, str_t *out);   /* as poor as the web's: short, noisy, sometimes wrong or empty */
int scene_brief(const scene_t *s, str_t *out);  /* one true phrase: counts, colours, shapes, perhaps sizes */
int scene_dense(const scene_t *s, str_t *out);  /* one true paragraph of 30 to 90 words, simple: from 13 on */
void scene_truth(const scene_t *s, str_t *out); /* JSON object {"scene": {...}}; data/scenes.md has its fields */

#endif
