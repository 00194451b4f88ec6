#include "eval/detect.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/image.h"
#include "eval/detect_colour.h"
#include "eval/detect_parts.h"

/* A shape inside another one: at most this share of its width and height, off its middle by at most that share of the
 * side, of at least that radius; and what is around it is plain. */
#define INNER_MAX 0.6
#define INNER_OFF 0.1
#define INNER_RADIUS_MIN 0.075
#define INNER_CONTRAST 60.0
#define OUTER_UNEXPLAINED 0.02
/* Of the border, and regions of a picture: more than the scenes have even when damaged (0.15 and 14). */
#define BORDER_FRONT_MAX 0.25
enum { REGIONS_A_SCENE = 24 };
/* Of the side: where the sharpest edge is softer, small objects are lost and textures are other colours. Code values:
 * in stronger noise small objects may be lost. */
#define BLUR_SCENE 0.039
#define NOISE_SURE 24.0
/* What is left on a surface: pixels that differ by so many code values, as a share of the picture. */
#define LEFT_CONTRAST 30.0
#define LEFT_AREA 0.0025
#define LEFT_UNEXPLAINED 0.004
#define LEFT_NOISE_MAX 14.0 /* code values: of more noise than this an object's own pixels are no witness */
#define CHI3_MEDIAN 1.538   /* of the length of three normal values: median over standard deviation */

lens_status detector_new(detector_t **out) {
    *out = NULL;
    detector_t *d = calloc(1, sizeof *d);
    if (!d) return lens_fail(LENS_MEMORY, "cannot allocate a detector");
    lens_status st = fit_tables_new(&d->tables);
    if (st == LENS_OK)
        *out = d;
    else
        free(d);
    return st;
}

void detector_free(detector_t *d) {
    if (d) fit_tables_free(d->tables);
    free(d);
}

/* ---- a shape inside another one ---- */
static double colour_distance(const float *a, const double *b) {
    double sum = 0;
    for (int k = 0; k < 3; k++) sum += (a[k] - b[k]) * (a[k] - b[k]);
    return sqrt(sum);
}

/* Whether the pixel and all around it are the region's, and it differs from the region's colour more than an edge does.
 */
static bool is_inner(const canvas_t *c, int i, const double *around) {
    int x = i % c->w, y = i / c->w;
    double here = colour_distance(c->rgb[i], around), most = 0;
    for (int k = 0; k < 9; k++) {
        int p = x + k % 3 - 1, q = y + k / 3 - 1;
        if (p < 0 || q < 0 || p >= c->w || q >= c->h || c->owner[q * c->w + p] != c->owner[i]) return false;
        most = fmax(most, colour_distance(c->rgb[q * c->w + p], around));
    }
    return here >= INNER_CONTRAST && here >= 0.45 * most;
}

/* Takes the piece of inner pixels around pixel i; its box and area. */
static region_t piece_flood(detect_work_t *w, int i, const double *around) {
    const canvas_t *c = &w->canvas;
    int16_t *stack = w->canvas.stack;
    region_t r = {.x0 = c->w, .y0 = c->h};
    int n = 0;
    stack[n++] = (int16_t)i;
    w->seen[i] = true;
    while (n > 0) {
        int at = stack[--n], x = at % c->w, y = at / c->w;
        r.area_px++;
        if (x < r.x0) r.x0 = x;
        if (y < r.y0) r.y0 = y;
        if (x >= r.x1) r.x1 = x + 1;
        if (y >= r.y1) r.y1 = y + 1;
        for (int k = 0; k < 9; k++) {
            int p = x + k % 3 - 1, q = y + k / 3 - 1, to = q * c->w + p;
            if (p < 0 || q < 0 || p >= c->w || q >= c->h || w->seen[to]) continue;
            if (c->owner[to] != c->owner[i] || !is_inner(c, to, around)) continue;
            w->seen[to] = true;
            stack[n++] = (int16_t)to;
        }
    }
    return r;
}

/* Fits the piece on the colour around it; true, and its pixels taken, where that is a shape. */
static bool inner_try(detect_work_t *w, fit_result_t *f, const region_t *piece, const double *around, int owner) {
    canvas_t *c = &w->canvas;
    fit_region_t r = {.pixels = w->pixels,
                      .x0 = piece->x0,
                      .y0 = piece->y0,
                      .x1 = piece->x1,
                      .y1 = piece->y1,
                      .side_px = c->side,
                      .noise = c->noise,
                      .surfaces = {[SURFACE_PLAIN] = true}};
    for (int y = piece->y0 - 2; y < piece->y1 + 2; y++)
        for (int x = piece->x0 - 2; x < piece->x1 + 2; x++) {
            if (x < 0 || y < 0 || x >= c->w || y >= c->h || c->owner[y * c->w + x] != owner) continue;
            fit_pixel_t *p = &w->pixels[r.n++];
            *p = (fit_pixel_t){.x = (float)x + 0.5f, .y = (float)y + 0.5f};
            memcpy(p->colour, c->rgb[y * c->w + x], sizeof p->colour);
            for (int k = 0; k < 3; k++) p->ground[k] = (float)around[k];
        }
    fit_region(f, w->detector->tables, &r);
    if (f->unexplained > OUTER_UNEXPLAINED || f->odds < OBJECT_ODDS || f->best.radius < INNER_RADIUS_MIN * c->side)
        return false;
    for (int y = piece->y0 - 2; y < piece->y1 + 2; y++)
        for (int x = piece->x0 - 2; x < piece->x1 + 2; x++)
            if (x >= 0 && y >= 0 && x < c->w && y < c->h) w->taken[y * c->w + x] = 1;
    return true;
}

static bool is_in_middle(const region_t *piece, const region_t *of, double side) {
    double dx = (piece->x0 + piece->x1 - of->x0 - of->x1) / 2.0, dy = (piece->y0 + piece->y1 - of->y0 - of->y1) / 2.0;
    return piece->x1 - piece->x0 <= INNER_MAX * (of->x1 - of->x0) &&
           piece->y1 - piece->y0 <= INNER_MAX * (of->y1 - of->y0) && fabs(dx) <= INNER_OFF * side &&
           fabs(dy) <= INNER_OFF * side;
}

/* One plain shape inside another: true where the region is that; both are objects then. */
static bool inner_find(detect_work_t *w, int region) {
    const canvas_t *c = &w->canvas;
    int votes[SCENE_N_COLOURS];
    bool in[REGIONS_MAX] = {false}, found = false;
    double around[3], least = 0.9 * OBJECT_RADIUS_MIN * OBJECT_RADIUS_MIN * c->side * c->side;
    fit_result_t inner, outer;
    in[region] = true;
    object_votes(w, in, votes);
    if (object_most_voted(votes) < 0) return false;
    object_colour(around, (scene_colour)object_most_voted(votes));
    for (int i = 0; i < c->w * c->h && !found; i++) {
        if (c->owner[i] != region || w->seen[i] || !is_inner(c, i, around)) continue;
        region_t piece = piece_flood(w, i, around);
        found = piece.area_px >= least && is_in_middle(&piece, &c->regions[region], c->side) &&
                inner_try(w, &inner, &piece, around, region);
    }
    if (!found) return false;
    object_fit_plain(w, &outer, in);
    if (object_is_good(w, &outer) && outer.unexplained <= OUTER_UNEXPLAINED) {
        object_add(w, &outer);
        object_add(w, &inner);
        return true;
    }
    memset(w->taken, 0, sizeof w->taken);
    return false;
}

/* A plain surface on which something is left may hide another object, and be another shape. What a model draws is
 * noisier on objects than on the background: half the pixels tell how much, for what hides is smaller than that. */
static void doubt_left(detect_work_t *w, int i) {
    bool in[REGIONS_MAX] = {false};
    fit_result_t *f = &w->alone[i];
    if (f->best.surface != SURFACE_PLAIN || f->best.error == INFINITY || f->unexplained <= LEFT_UNEXPLAINED) return;
    fit_region_t r;
    in[i] = true;
    object_take(w, &r, in);
    float left[CANVAS_PX];
    int n = fit_left(w->detector->tables, &r, &f->best, left),
        most = (int)(LEFT_AREA * w->canvas.side * w->canvas.side);
    if (n <= most) return;
    double noise = fmax(w->canvas.noise, fmin(left[n / 2] / CHI3_MEDIAN, LEFT_NOISE_MAX));
    if (left[n - 1 - most] > LEFT_CONTRAST + 3 * noise) f->odds = 0;
}

/* ---- the picture ---- */
static void objects_find(detect_work_t *w) {
    const canvas_t *c = &w->canvas;
    for (int i = 0, n = c->n; i < n; i++) {
        w->done[i] = inner_find(w, i);
        if (!w->done[i]) parts_fit(w, i);
    }
    parts_fit_together(w);
    for (int i = 0; i < c->n; i++)
        if (!w->done[i] && !w->tried[i]) parts_join_stripes(w, i);
    memset(w->tried, 0, sizeof w->tried);
    for (int i = 0; i < c->n; i++) {
        if (w->done[i]) continue;
        doubt_left(w, i);
        w->done[i] = object_is_good(w, &w->alone[i]); /* what is an object alone is no part of another */
        if (w->done[i]) object_add(w, &w->alone[i]);
    }
    for (int i = 0; i < c->n; i++)
        if (!w->done[i] && !w->tried[i]) parts_try_chain(w, i);
    double least = OBJECT_RADIUS_MIN * OBJECT_RADIUS_MIN * c->side * c->side;
    for (int i = 0; i < c->n; i++)
        if (!w->done[i] && c->regions[i].area_px >= least) object_add(w, &w->alone[i]);
}

/* Whether the picture can be a scene at all: its border is background, its regions are few, and some edge is sharp. */
static bool is_scene(const canvas_t *c) {
    int n_border = 0, n_front = 0;
    for (int i = 0; i < c->w * c->h; i++) {
        if (!canvas_on_border(c, i)) continue;
        n_border++;
        n_front += c->owner[i] >= 0;
    }
    return n_front <= BORDER_FRONT_MAX * n_border && c->n <= REGIONS_A_SCENE && !c->crowded &&
           canvas_blur(c) <= BLUR_SCENE * c->side;
}

/* One object that may be anything, as large as the picture, and others beside it. */
static void add_all_unknown(detect_work_t *w) {
    double half = w->canvas.side / 2.0;
    fit_result_t f = {.best = {.x = w->canvas.w / 2.0, .y = w->canvas.h / 2.0, .radius = half, .error = INFINITY},
                      .unexplained = 1};
    object_add(w, &f);
    w->out->crowded = true;
}

static lens_status canvas_fill(canvas_t *c, const uint8_t *rgb, int32_t width, int32_t height) {
    image_t small = {0}, whole = {.width = width, .height = height, .rgb = (uint8_t *)(uintptr_t)rgb};
    int32_t longest = width > height ? width : height;
    c->w = width;
    c->h = height;
    if (longest > DETECT_MAX_SIDE_PX) {
        c->w = (int)((int64_t)width * DETECT_MAX_SIDE_PX / longest);
        c->h = (int)((int64_t)height * DETECT_MAX_SIDE_PX / longest);
        if (c->w < SCENE_MIN_SIZE_PX || c->h < SCENE_MIN_SIZE_PX)
            return lens_fail(LENS_ARGUMENT, "detect: a picture of %d x %d px is too narrow", (int)width, (int)height);
        LENS_TRY(image_resize_with(&small, &whole, c->w, c->h, (image_resampling_t){.filter = IMAGE_AREA}));
        rgb = small.rgb;
    }
    for (int i = 0; i < c->w * c->h; i++)
        for (int k = 0; k < 3; k++) c->rgb[i][k] = rgb[3 * i + k];
    image_free(&small);
    return LENS_OK;
}

lens_status detect(detection_t *out, const detector_t *d, const uint8_t *rgb, int32_t width, int32_t height) {
    *out = (detection_t){.ground = DETECT_UNKNOWN};
    if (width < SCENE_MIN_SIZE_PX || height < SCENE_MIN_SIZE_PX)
        return lens_fail(LENS_ARGUMENT, "detect: expected a picture of at least %d x %d px, got %d x %d",
                         SCENE_MIN_SIZE_PX, SCENE_MIN_SIZE_PX, (int)width, (int)height);
    detect_work_t *w = calloc(1, sizeof *w);
    if (!w) return lens_fail(LENS_MEMORY, "detect: out of memory");
    w->detector = d;
    w->out = out;
    lens_status st = canvas_fill(&w->canvas, rgb, width, height);
    if (st == LENS_OK) {
        canvas_t *c = &w->canvas;
        canvas_part(c);
        object_names_find(w);
        const float *middle = c->ground[c->h / 2 * c->w + c->w / 2];
        out->ground = detect_ground_name((double[]){middle[0], middle[1], middle[2]});
        out->crowded = c->noise > NOISE_SURE || (c->n == 0 && canvas_most_contrast(c) > LEFT_CONTRAST + 3 * c->noise);
        if (is_scene(c))
            objects_find(w);
        else
            add_all_unknown(w);
    }
    free(w);
    return st;
}
