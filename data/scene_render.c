/* Draws a scene_t: signed distances, turned into coverage over one pixel's width.
 *
 * Outlines are in units of the object's radius, y downwards, centred in the boxes of scene_shape_extent(). All
 * arithmetic is +, -, *, / and square roots on constants, so that the same scene gives the same bytes on every machine.
 */
#include "data/scene.h"

#include <math.h>

/* Relative to the picture's side, so that patterns look alike on objects of every size. */
#define RIM SCENE_RIM /* keeps the outline whole where accent = background */
#define OUTLINE SCENE_OUTLINE
#define STRIPE 0.100 /* from stripe to stripe */
#define CHECK 0.068  /* side of a check */
#define DOT 0.110    /* from dot to dot */
#define DOT_RADIUS 0.034
#define GROUND_PITCH 0.125 /* of a background's stripes, dots, grid */

typedef struct {
    int n;
    double points[12][2];
} polygon_t;

static const polygon_t POLYGONS[SCENE_N_SHAPES] = {
    [SCENE_SHAPE_SQUARE] = {4, {{-0.86, -0.86}, {0.86, -0.86}, {0.86, 0.86}, {-0.86, 0.86}}},
    [SCENE_SHAPE_TRIANGLE] = {3, {{0, -0.866}, {1, 0.866}, {-1, 0.866}}},
    [SCENE_SHAPE_RECTANGLE] = {4, {{-1, -0.52}, {1, -0.52}, {1, 0.52}, {-1, 0.52}}},
    [SCENE_SHAPE_DIAMOND] = {4, {{0, -1}, {0.72, 0}, {0, 1}, {-0.72, 0}}},
    /* Five points at radius 1, five notches at 0.45, moved down by 0.0955 into the middle of the box. */
    [SCENE_SHAPE_STAR] = {10,
                          {{0, -0.9045},
                           {0.2645, -0.2686},
                           {0.9511, -0.2135},
                           {0.4280, 0.2346},
                           {0.5878, 0.9045},
                           {0, 0.5455},
                           {-0.5878, 0.9045},
                           {-0.4280, 0.2346},
                           {-0.9511, -0.2135},
                           {-0.2645, -0.2686}}},
    [SCENE_SHAPE_CROSS] = {12,
                           {{-0.32, -0.92},
                            {0.32, -0.92},
                            {0.32, -0.32},
                            {0.92, -0.32},
                            {0.92, 0.32},
                            {0.32, 0.32},
                            {0.32, 0.92},
                            {-0.32, 0.92},
                            {-0.32, 0.32},
                            {-0.92, 0.32},
                            {-0.92, -0.32},
                            {-0.32, -0.32}}},
    [SCENE_SHAPE_HEXAGON] = {6, {{1, 0}, {0.5, 0.866}, {-0.5, 0.866}, {-1, 0}, {-0.5, -0.866}, {0.5, -0.866}}},
};

static double clamp(double v, double low, double high) {
    return v < low ? low : v > high ? high : v;
}

static double length(double x, double y) {
    return sqrt(x * x + y * y);
}

/* The distance functions are Inigo Quilez's (iquilezles.org/articles/distfunctions2d): negative inside. */
static double polygon_distance(const polygon_t *p, double x, double y) {
    double best = 1e9, sign = 1;
    for (int i = 0, j = p->n - 1; i < p->n; j = i++) {
        double ex = p->points[j][0] - p->points[i][0], ey = p->points[j][1] - p->points[i][1];
        double wx = x - p->points[i][0], wy = y - p->points[i][1];
        double t = clamp((wx * ex + wy * ey) / (ex * ex + ey * ey), 0, 1);
        double bx = wx - ex * t, by = wy - ey * t, square = bx * bx + by * by;
        if (square < best) best = square;
        bool below = y >= p->points[i][1], above = y<p->points[j][1], side = ex * wy> ey * wx;
        if ((below && above && side) || (!below && !above && !side)) sign = -sign;
    }
    return sign * sqrt(best);
}

/* A first-order estimate, exact on the curve itself: all that coverage needs. */
static double oval_distance(double x, double y, double a, double b) {
    double k0 = length(x / a, y / b), k1 = length(x / (a * a), y / (b * b));
    return k1 > 0 ? k0 * (k0 - 1) / k1 : -b;
}

static double heart_distance(double x, double y) {
    /* Its own units: tip at (0, 0), y upwards, 1.2071 wide, 1.1036 high; half the width is the unit here. */
    const double unit = 0.603553;
    double px = fabs(x) * unit, py = (0.914214 - y) * unit;
    if (py + px > 1) return (length(px - 0.25, py - 0.75) - 0.353553) / unit;
    double m = (px + py) / 2 > 0 ? (px + py) / 2 : 0;
    double d1 = length(px, py - 1), d2 = length(px - m, py - m), d = d1 < d2 ? d1 : d2;
    return (px > py ? d : -d) / unit;
}

static double crescent_distance(double x, double y) {
    /* A disc of radius 1 without one of radius 0.8 at 0.45 to the right; its box's centre is 0.1875 left of the disc's.
     */
    const double bite = 0.8, at = 0.45, tip_x = 0.625, tip_y = 0.780625;
    double px = x - 0.1875, py = fabs(y);
    if (at * (px * tip_y - py * tip_x) > at * at * (tip_y - py > 0 ? tip_y - py : 0))
        return length(px - tip_x, py - tip_y);
    double outer = length(px, py) - 1, inner = bite - length(px - at, py);
    return outer > inner ? outer : inner;
}

double scene_shape_distance(scene_shape shape, double x, double y) {
    switch (shape) {
    case SCENE_SHAPE_CIRCLE:
        return length(x, y) - 0.96;
    case SCENE_SHAPE_OVAL:
        return oval_distance(x, y, 1, 0.6);
    case SCENE_SHAPE_RING:
        return fabs(length(x, y) - 0.775) - 0.225;
    case SCENE_SHAPE_HEART:
        return heart_distance(x, y);
    case SCENE_SHAPE_CRESCENT:
        return crescent_distance(x, y);
    default:
        return polygon_distance(&POLYGONS[shape], x, y);
    }
}

/* Share of a pixel on the inner side of an edge at that signed distance. */
static double coverage(double distance, double pixel) {
    return clamp(0.5 - distance / pixel, 0, 1);
}

static double fold(double v, double pitch) { /* distance to the nearest multiple of pitch */
    v /= pitch;
    return fabs(v - floor(v + 0.5)) * pitch;
}

double scene_accent_share(scene_texture texture, double x, double y, double edge, double pixel) {
    if (texture == SCENE_TEXTURE_OUTLINED) return 1 - coverage(edge + OUTLINE, pixel);
    double share = 0;
    if (texture == SCENE_TEXTURE_STRIPED) share = 1 - coverage(fold(y, STRIPE) - 0.28 * STRIPE, pixel);
    if (texture == SCENE_TEXTURE_DOTTED)
        share = coverage(length(fold(x - DOT / 2, DOT), fold(y - DOT / 2, DOT)) - DOT_RADIUS, pixel);
    if (texture == SCENE_TEXTURE_CHECKERED) {
        double u = coverage(fold(x, 2 * CHECK) - CHECK / 2, pixel), v = coverage(fold(y, 2 * CHECK) - CHECK / 2, pixel);
        share = u + v - 2 * u * v;
    }
    return share * coverage(edge + RIM, pixel);
}

static void blend(double *pixel, const uint8_t *rgb, double share) {
    for (int c = 0; c < 3; c++) pixel[c] += (rgb[c] - pixel[c]) * share;
}

static void ground_pixel(const scene_background_t *b, double x, double y, double side, double *pixel) {
    const uint8_t *rgb = scene_ground_rgb(b->colour);
    for (int c = 0; c < 3; c++) pixel[c] = rgb[c];
    double mark = 0;
    switch (b->kind) {
    case SCENE_GROUND_KIND_GRADIENT:
        blend(pixel, scene_ground_rgb(b->to), b->top_down ? y : x);
        return;
    case SCENE_GROUND_KIND_STRIPES:
        mark = coverage(fold(x, GROUND_PITCH) - 0.25 * GROUND_PITCH, side);
        break;
    case SCENE_GROUND_KIND_DOTS:
        mark = coverage(length(fold(x, GROUND_PITCH), fold(y, GROUND_PITCH)) - 0.2 * GROUND_PITCH, side);
        break;
    case SCENE_GROUND_KIND_GRID: {
        double u = fold(x, GROUND_PITCH), v = fold(y, GROUND_PITCH);
        mark = coverage((u < v ? u : v) - 0.008, side);
        break;
    }
    default:
        return;
    }
    /* Marks are a little darker on light grounds, a little lighter on dark ones. */
    double towards = b->colour < SCENE_N_LIGHT_GROUNDS ? 0 : 255, strength = towards > 0 ? 0.10 : 0.08;
    for (int c = 0; c < 3; c++) pixel[c] += (towards - pixel[c]) * strength * mark;
}

static void object_pixel(const scene_t *s, const scene_object_t *o, double x, double y, double side, double *pixel) {
    const scene_group_t *g = &s->groups[o->group];
    double edge = g->radius * scene_shape_distance(g->shape, (x - o->x) / g->radius, (y - o->y) / g->radius);
    double cover = coverage(edge, side);
    if (cover == 0) return;
    double own[3], share = 0;
    const uint8_t *rgb = scene_colour_rgb(g->colour);
    for (int c = 0; c < 3; c++) own[c] = rgb[c];
    if (g->texture != SCENE_TEXTURE_SOLID) share = scene_accent_share(g->texture, x - o->x, y - o->y, edge, side);
    blend(own, scene_colour_rgb(g->accent), share);
    for (int c = 0; c < 3; c++) pixel[c] += (own[c] - pixel[c]) * cover;
}

void scene_render(const scene_t *s, int32_t size_px, uint8_t *rgb) {
    LENS_ASSERT(size_px >= SCENE_MIN_SIZE_PX && size_px <= SCENE_MAX_SIZE_PX, "size_px %d", (int)size_px);
    double side = 1.0 / size_px;
    for (int32_t j = 0; j < size_px; j++)
        for (int32_t i = 0; i < size_px; i++) {
            double x = (i + 0.5) * side, y = (j + 0.5) * side, pixel[3];
            ground_pixel(&s->background, x, y, side, pixel);
            for (int k = 0; k < s->n_objects; k++) {
                const scene_box_t *b = &s->objects[k].box;
                if (x > b->x0 - side && x < b->x1 + side && y > b->y0 - side && y < b->y1 + side)
                    object_pixel(s, &s->objects[k], x, y, side, pixel);
            }
            for (int c = 0; c < 3; c++) rgb[3 * ((int64_t)j * size_px + i) + c] = (uint8_t)(pixel[c] + 0.5);
        }
}
