#include "eval/detect.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/image.h"
#include "eval/detect_bound.h"
#include "eval/detect_colour.h"
#include "eval/detect_fit.h"
#include "eval/detect_regions.h"
#include "eval/detect_texture.h"

/* An outline is said where it leaves at most UNEXPLAINED_MAX of the contrast and the best other one is less likely by
 * exp(ODDS). An object's radius is at least RADIUS_MIN of the picture's side: the smallest in the scenes have 0.089. */
#define UNEXPLAINED_MAX 0.06
#define UNEXPLAINED_NOISE 0.3
#define UNEXPLAINED_PLAIN 0.008 /* below, no texture is tried */
#define ODDS 6.0
#define BOUND_SLACK 1.2 /* of what an object may leave: beyond, it is not tried */
/* Of the radius and of the side: a more blurred outline is not told from others. Of the radius: nor is a colour. */
#define BLUR_MAX 0.38
#define BLUR_MAX_SIDE 0.05
#define BLUR_MAX_COLOUR 0.5
#define RADIUS_MIN 0.065
/* A shape inside another one: at most this share of its width and height, off its middle by at most that share of the
 * side, of at least that radius; and what is around it is plain. */
#define INNER_MAX 0.6
#define INNER_OFF 0.1
#define INNER_RADIUS_MIN 0.075
#define INNER_CONTRAST 60.0
#define OUTER_UNEXPLAINED 0.02
#define CHAIN_GAP 0.085 /* of the side: a stripe that looks like the background */
#define NAMED_REACH 0.07
#define SHARP_PX 0.4          /* blur below which a pattern shows as such */
#define PART_UNEXPLAINED 0.25 /* alone, beside the others: a part that leaves more is none */
#define SPLIT_GAIN 0.5        /* several objects explain what one does not: at most this share of it is left */
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
enum { SPLIT_ROUNDS = 3, SPLIT_DEPTH = 2, TOGETHER_ROUNDS = 2 };
enum { PAD_PX = 3, BANDS_MAX = 4, N_TEXTURED = 2, N_TEXTURED_CHAIN = 5 };

struct detector {
    fit_tables_t *tables;
};

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

/* One picture's work. */
typedef struct {
    canvas_t canvas;
    fit_pixel_t pixels[CANVAS_PX];
    uint8_t taken[CANVAS_PX]; /* of a shape inside another one, which is fitted without it */
    int8_t name[CANVAS_PX];   /* nearest fill, DETECT_UNKNOWN where none is near */
    bool seen[CANVAS_PX];     /* by the search for shapes inside others */
    texture_scratch_t scratch;
    fit_result_t alone[REGIONS_MAX];
    bool done[REGIONS_MAX];
    bool tried[REGIONS_MAX]; /* the chain that the region is of */
    int depth;               /* of regions parted within parted ones */
    const detector_t *detector;
    detection_t *out;
} work_t;

/* What noise explains, relative to the energy; it is itself known roughly. */
static double noise_share(const work_t *w, const fit_result_t *f) {
    return f->values * w->canvas.noise * w->canvas.noise / (f->energy + 1);
}

/* What may be left of an object, in the units of errors. */
static double error_max(const work_t *w, const fit_result_t *f) {
    double by_noise = f->values * w->canvas.noise * w->canvas.noise;
    return by_noise + (UNEXPLAINED_MAX + UNEXPLAINED_NOISE * noise_share(w, f)) * fmax(f->energy - by_noise, 0);
}

/* Whether a plain surface may leave more than it should: a texture, or several objects. */
static bool leaves(const work_t *w, const fit_result_t *f) {
    return f->unexplained > UNEXPLAINED_PLAIN + UNEXPLAINED_NOISE / 3 * noise_share(w, f);
}

static bool is_good(const work_t *w, const fit_result_t *f) {
    return f->unexplained <= UNEXPLAINED_MAX + UNEXPLAINED_NOISE * noise_share(w, f) &&
           f->best.radius >= RADIUS_MIN * w->canvas.side;
}

static bool is_sharp(const work_t *w, const fit_t *f) {
    return f->blur <= BLUR_MAX * f->radius && f->blur <= BLUR_MAX_SIDE * w->canvas.side;
}

static void add_object(work_t *w, const fit_result_t *f) {
    detection_t *out = w->out;
    if (out->n == DETECT_MAX_OBJECTS) {
        out->crowded = true;
        return;
    }
    double half_width, half_height, width = w->canvas.w, height = w->canvas.h;
    const fit_t *b = &f->best;
    scene_shape_extent(b->shape, &half_width, &half_height);
    half_width *= b->radius / width;
    half_height *= b->radius / height;
    detected_t *o = &out->objects[out->n++];
    o->x = b->x / width;
    o->y = b->y / height;
    o->box = (scene_box_t){o->x - half_width, o->y - half_height, o->x + half_width, o->y + half_height};
    o->unexplained = f->unexplained;
    o->confidence = is_sharp(w, b) && is_good(w, f) && f->odds > 0 ? f->odds / (f->odds + ODDS) : 0;
    o->shape = o->confidence >= 0.5 ? (int)b->shape : DETECT_UNKNOWN;
    o->colour =
        b->blur <= BLUR_MAX_COLOUR * b->radius && is_good(w, f) && f->colour_odds >= ODDS ? f->colour : DETECT_UNKNOWN;
}

/* ---- what a region is compared by ---- */
static bool is_other(const canvas_t *c, int x, int y, const bool *in) {
    if (x < 0 || y < 0 || x >= c->w || y >= c->h) return false;
    int owner = c->owner[y * c->w + x];
    return owner >= 0 && !in[owner];
}

static bool beside_other(const canvas_t *c, int x, int y, const bool *in) {
    for (int k = 0; k < 9; k++)
        if (is_other(c, x + k % 3 - 1, y + k / 3 - 1, in)) return true;
    return false;
}

/* Pixels of the regions `in` and of the background around them, without what belongs to others or is mixed with them.
 */
static void region_take(work_t *w, fit_region_t *r, const bool *in) {
    const canvas_t *c = &w->canvas;
    region_t box = {.x0 = c->w, .y0 = c->h};
    for (int i = 0; i < c->n; i++) {
        if (!in[i]) continue;
        const region_t *q = &c->regions[i];
        if (q->x0 < box.x0) box.x0 = q->x0;
        if (q->y0 < box.y0) box.y0 = q->y0;
        if (q->x1 > box.x1) box.x1 = q->x1;
        if (q->y1 > box.y1) box.y1 = q->y1;
    }
    *r = (fit_region_t){.pixels = w->pixels,
                        .x0 = box.x0,
                        .y0 = box.y0,
                        .x1 = box.x1,
                        .y1 = box.y1,
                        .side_px = c->side,
                        .noise = c->noise,
                        .surfaces = {[SURFACE_PLAIN] = true}};
    for (int y = box.y0 - PAD_PX; y < box.y1 + PAD_PX; y++)
        for (int x = box.x0 - PAD_PX; x < box.x1 + PAD_PX; x++) {
            if (x < 0 || y < 0 || x >= c->w || y >= c->h) continue;
            int i = y * c->w + x;
            if (w->taken[i] || is_other(c, x, y, in)) continue;
            if (c->owner[i] < 0 && beside_other(c, x, y, in)) continue;
            fit_pixel_t *p = &w->pixels[r->n++];
            *p = (fit_pixel_t){.x = (float)x + 0.5f, .y = (float)y + 0.5f};
            memcpy(p->colour, c->rgb[i], sizeof p->colour);
            memcpy(p->ground, c->ground[i], sizeof p->ground);
        }
}

static void names_find(work_t *w) {
    const canvas_t *c = &w->canvas;
    double reach = NAMED_REACH + 0.001 * c->noise;
    for (int i = 0; i < c->w * c->h; i++) {
        double rgb[3] = {c->rgb[i][0], c->rgb[i][1], c->rgb[i][2]}, distance;
        w->name[i] = (int8_t)detect_nearest_fill(rgb, &distance);
        if (distance > reach) w->name[i] = DETECT_UNKNOWN;
    }
}

static void votes_count(const work_t *w, const bool *in, int *votes) {
    const canvas_t *c = &w->canvas;
    memset(votes, 0, sizeof *votes * SCENE_N_COLOURS);
    for (int i = 0; i < c->w * c->h; i++)
        if (c->owner[i] >= 0 && in[c->owner[i]] && !w->taken[i] && w->name[i] >= 0) votes[w->name[i]]++;
}

static int most_voted(const int *votes) {
    int best = DETECT_UNKNOWN, most = 0;
    for (int i = 0; i < SCENE_N_COLOURS; i++)
        if (votes[i] > most) {
            most = votes[i];
            best = i;
        }
    return best;
}

static void colour_of(double *out, scene_colour c) {
    for (int k = 0; k < 3; k++) out[k] = scene_colour_rgb(c)[k];
}

static void fit_plain(work_t *w, fit_result_t *out, const bool *in) {
    fit_region_t r;
    region_take(w, &r, in);
    fit_region(out, w->detector->tables, &r);
}

/* Textures as the scenes have them, at the places of the shapes that fit best. */
static void add_drawn(work_t *w, fit_result_t *out, const fit_region_t *r, int n_shapes) {
    bool tried[SCENE_N_SHAPES] = {false};
    for (int k = 0; k < n_shapes; k++) {
        int at = -1;
        for (int i = 0; i < SCENE_N_SHAPES; i++)
            if (!tried[i] && out->of[i].error < INFINITY && (at < 0 || out->of[i].error < out->of[at].error)) at = i;
        if (at < 0) return;
        tried[at] = true;
        fit_t place = out->of[at];
        if (place.radius < TEXTURED_RADIUS_MIN * w->canvas.side) continue;
        texture_add_fits(out, &w->scratch, w->detector->tables, r, &place);
        place.radius *= 0.92; /* a plain surface is drawn too large where the pattern's rim is darker */
        texture_add_fits(out, &w->scratch, w->detector->tables, r, &place);
    }
}

/* Outlines with the scenes' textures, in the two fills that most pixels have, where the colours allow them; true where
 * they do. */
static bool add_textured(work_t *w, fit_result_t *out, fit_region_t *r, const bool *in, const fit_bound_t *bound,
                         double most) {
    int votes[SCENE_N_COLOURS];
    bool any = false;
    votes_count(w, in, votes);
    r->surfaces[SURFACE_PLAIN] = false;
    r->surfaces[SURFACE_PATTERNED] = r->surfaces[SURFACE_OUTLINED] = true;
    for (int k = 0; k < 2; k++) {
        int fill = most_voted(votes);
        if (fill < 0) break;
        votes[fill] = 0;
        if (bound->textured[fill] > most) continue;
        colour_of(r->fill, (scene_colour)fill);
        colour_of(r->accent, scene_accent((scene_colour)fill));
        fit_add_outlines(out, w->detector->tables, r);
        any = true;
    }
    return any;
}

/* The best fit of the regions `in` as one object: plain, or with a texture where plain leaves something or blur may
 * hide one. What the colours alone forbid is not tried. */
static void fit_as_one(work_t *w, fit_result_t *out, const bool *in, int n_shapes) {
    fit_region_t r;
    fit_bound_t bound;
    double least = INFINITY;
    region_take(w, &r, in);
    fit_bound(&bound, &r);
    fit_begin(out, &r);
    for (int i = 0; i < SCENE_N_COLOURS; i++) least = fmin(least, bound.textured[i]);
    double most = BOUND_SLACK * error_max(w, out);
    if (bound.plain <= most || bound.energy <= most) fit_add_outlines(out, w->detector->tables, &r);
    fit_end(out, &r);
    if (least <= most && (leaves(w, out) || out->best.blur >= SHARP_PX)) {
        bool free_fits = leaves(w, out) && add_textured(w, out, &r, in, &bound, most);
        /* a pattern that is drawn leaves more than a free one */
        if (!free_fits || out->best.error <= 2 * most) add_drawn(w, out, &r, n_shapes);
        fit_end(out, &r);
    }
    if (out->best.error == INFINITY) out->unexplained = fmin(least, bound.plain) / (bound.energy + 1);
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
static region_t piece_flood(work_t *w, int i, const double *around) {
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
static bool inner_try(work_t *w, fit_result_t *f, const region_t *piece, const double *around, int owner) {
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
    if (f->unexplained > OUTER_UNEXPLAINED || f->odds < ODDS || f->best.radius < INNER_RADIUS_MIN * c->side)
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
static bool inner_find(work_t *w, int region) {
    const canvas_t *c = &w->canvas;
    int votes[SCENE_N_COLOURS];
    bool in[REGIONS_MAX] = {false}, found = false;
    double around[3], least = 0.9 * RADIUS_MIN * RADIUS_MIN * c->side * c->side;
    fit_result_t inner, outer;
    in[region] = true;
    votes_count(w, in, votes);
    if (most_voted(votes) < 0) return false;
    colour_of(around, (scene_colour)most_voted(votes));
    for (int i = 0; i < c->w * c->h && !found; i++) {
        if (c->owner[i] != region || w->seen[i] || !is_inner(c, i, around)) continue;
        region_t piece = piece_flood(w, i, around);
        found = piece.area_px >= least && is_in_middle(&piece, &c->regions[region], c->side) &&
                inner_try(w, &inner, &piece, around, region);
    }
    if (!found) return false;
    fit_plain(w, &outer, in);
    if (is_good(w, &outer) && outer.unexplained <= OUTER_UNEXPLAINED) {
        add_object(w, &outer);
        add_object(w, &inner);
        return true;
    }
    memset(w->taken, 0, sizeof w->taken);
    return false;
}

/* ---- regions that are one object: stripes that look like the background part it ---- */
static bool in_chain(const work_t *w, int a, int b) {
    const region_t *p = &w->canvas.regions[a], *q = &w->canvas.regions[b];
    int gap = p->y0 > q->y0 ? p->y0 - q->y1 : q->y0 - p->y1;
    if (p->x0 >= q->x1 || q->x0 >= p->x1 || gap > CHAIN_GAP * w->canvas.side) return false;
    return true;
}

static void chain_grow(const work_t *w, bool *chain) {
    for (bool grown = true; grown;) {
        grown = false;
        for (int a = 0; a < w->canvas.n; a++)
            for (int b = 0; b < w->canvas.n; b++)
                if (chain[a] && !chain[b] && !w->done[b] && in_chain(w, a, b)) chain[b] = grown = true;
    }
}

/* Cuts the chain into so many bands of equal height, and fits each; false where one is no object. */
static bool bands_fit(work_t *w, fit_result_t *fits, const bool *chain, int n_bands) {
    const canvas_t *c = &w->canvas;
    int y0 = c->h, y1 = 0;
    for (int i = 0; i < c->n; i++) {
        if (!chain[i]) continue;
        if (c->regions[i].y0 < y0) y0 = c->regions[i].y0;
        if (c->regions[i].y1 > y1) y1 = c->regions[i].y1;
    }
    for (int k = 0; k < n_bands; k++) {
        bool in[REGIONS_MAX] = {false}, some = false;
        for (int i = 0; i < c->n; i++) {
            double at = (c->regions[i].y0 + c->regions[i].y1) / 2.0 - y0;
            in[i] = chain[i] && (int)(at * n_bands / (y1 - y0)) == k;
            some |= in[i];
        }
        if (!some) return false;
        fit_as_one(w, &fits[k], in, N_TEXTURED_CHAIN);
        if (!is_good(w, &fits[k])) return false;
    }
    return true;
}

static void chain_try(work_t *w, int first) {
    bool chain[REGIONS_MAX] = {false};
    fit_result_t fits[BANDS_MAX];
    int n = 0;
    chain[first] = true;
    chain_grow(w, chain);
    for (int i = 0; i < w->canvas.n; i++) {
        w->tried[i] |= chain[i];
        n += chain[i];
    }
    for (int n_bands = 1; n_bands <= BANDS_MAX && n_bands < n; n_bands++) {
        if (!bands_fit(w, fits, chain, n_bands)) continue;
        for (int k = 0; k < n_bands; k++) add_object(w, &fits[k]);
        for (int i = 0; i < w->canvas.n; i++) w->done[i] |= chain[i];
        return;
    }
}

/* ---- a region in which objects run together ---- */
/* Fits part k again, on what the other parts leave of the pixels around it. */
static void part_refit(work_t *w, const int *parts, int n, int k, const bool *whole, bool textured) {
    fit_region_t r;
    fit_result_t *f = &w->alone[parts[k]], again;
    const fit_t *before = &f->plain;
    double half_width, half_height;
    if (before->error == INFINITY) return;
    scene_shape_extent(before->shape, &half_width, &half_height);
    region_take(w, &r, whole);
    r.x0 = before->x - half_width * before->radius;
    r.y0 = before->y - half_height * before->radius;
    r.x1 = before->x + half_width * before->radius;
    r.y1 = before->y + half_height * before->radius;
    int kept = 0;
    for (int i = 0; i < r.n; i++) {
        const fit_pixel_t *p = &w->pixels[i];
        if (p->x > r.x0 - PAD_PX && p->x < r.x1 + PAD_PX && p->y > r.y0 - PAD_PX && p->y < r.y1 + PAD_PX)
            w->pixels[kept++] = *p;
    }
    r.n = kept;
    for (int i = 0; i < n; i++)
        if (i != k && w->alone[parts[i]].plain.error < INFINITY)
            fit_take_out(w->detector->tables, &r, &w->alone[parts[i]].plain, w->pixels);
    fit_begin(&again, &r);
    fit_add_outlines(&again, w->detector->tables, &r);
    fit_end(&again, &r);
    if (textured && (leaves(w, &again) || again.best.blur >= SHARP_PX)) {
        add_drawn(w, &again, &r, N_TEXTURED);
        fit_end(&again, &r);
    }
    if (again.best.error < INFINITY) *f = again;
}

/* What all parts together leave of the whole region, relative to its contrast. */
static double parts_unexplained(work_t *w, const int *parts, int n, const bool *whole) {
    fit_region_t r;
    double left = 0, energy = 0;
    region_take(w, &r, whole);
    for (int i = 0; i < r.n; i++)
        for (int k = 0; k < 3; k++) energy += pow(w->pixels[i].colour[k] - w->pixels[i].ground[k], 2);
    for (int i = 0; i < n; i++) fit_take_out(w->detector->tables, &r, &w->alone[parts[i]].best, w->pixels);
    for (int i = 0; i < r.n; i++)
        for (int k = 0; k < 3; k++) left += pow(w->pixels[i].colour[k] - w->pixels[i].ground[k], 2);
    double by_noise = 3.0 * r.n * r.noise * r.noise;
    return left <= by_noise ? 0 : energy <= by_noise ? 1 : (left - by_noise) / (energy - by_noise);
}

static void region_fit(work_t *w, int i);

/* True where the region is better explained by its parts, each an object or split again; they are done then. */
static bool split_try(work_t *w, int at) {
    canvas_t *c = &w->canvas;
    fit_result_t single = w->alone[at];
    int first = c->n, parts[REGIONS_MAX], n = 0;
    bool whole[REGIONS_MAX] = {false}, plain = true, good = true;
    if (w->depth == SPLIT_DEPTH || canvas_split(c, at) == 0) return false;
    int last = c->n;
    parts[n++] = at;
    for (int i = first; i < last; i++) parts[n++] = i;
    w->depth++;
    for (int i = 0; i < n && good; i++) {
        region_fit(w, parts[i]);
        good = w->alone[parts[i]].best.error < INFINITY && w->alone[parts[i]].unexplained <= PART_UNEXPLAINED;
    }
    w->depth--;
    n = 1; /* parts may have been split */
    for (int i = first; i < c->n; i++) parts[n++] = i;
    for (int i = 0; i < n; i++) whole[parts[i]] = true;
    for (int round = 0; round < SPLIT_ROUNDS && good; round++)
        for (int i = 0; i < n; i++) part_refit(w, parts, n, i, whole, round == SPLIT_ROUNDS - 1);
    for (int i = 0; i < n; i++) {
        good &= is_good(w, &w->alone[parts[i]]);
        plain &= w->alone[parts[i]].best.surface == SURFACE_PLAIN;
    }
    if (good && plain) good = parts_unexplained(w, parts, n, whole) < SPLIT_GAIN * single.unexplained;
    for (int i = 0; i < n && good && !plain; i++)
        good = w->alone[parts[i]].unexplained < SPLIT_GAIN * single.unexplained;
    if (good) return true;
    canvas_join(c, at, first);
    w->alone[at] = single;
    return false;
}

/* A plain surface on which something is left may hide another object, and be another shape. */
static void doubt_left(work_t *w, int i) {
    bool in[REGIONS_MAX] = {false};
    fit_result_t *f = &w->alone[i];
    if (f->best.surface != SURFACE_PLAIN || f->best.error == INFINITY || f->unexplained <= LEFT_UNEXPLAINED) return;
    fit_region_t r;
    in[i] = true;
    region_take(w, &r, in);
    double least = LEFT_CONTRAST + 3 * w->canvas.noise, most = LEFT_AREA * w->canvas.side * w->canvas.side;
    if (fit_count_left(w->detector->tables, &r, &f->best, least) > most) f->odds = 0;
}

/* Fits the region as one object, and where that leaves something as several. */
static void region_fit(work_t *w, int i) {
    bool in[REGIONS_MAX] = {false};
    in[i] = true;
    fit_as_one(w, &w->alone[i], in, N_TEXTURED);
    if (leaves(w, &w->alone[i])) split_try(w, i);
}

/* ---- the picture ---- */
static bool has_neighbour(const work_t *w, int i) {
    const region_t *p = &w->canvas.regions[i];
    for (int k = 0; k < w->canvas.n; k++) {
        const region_t *q = &w->canvas.regions[k];
        if (k != i && p->x0 < q->x1 + PAD_PX && q->x0 < p->x1 + PAD_PX && p->y0 < q->y1 + PAD_PX &&
            q->y0 < p->y1 + PAD_PX)
            return true;
    }
    return false;
}

/* Blur reaches from one object over its neighbours: all are fitted again on what the others leave. */
static void fit_together(work_t *w) {
    const canvas_t *c = &w->canvas;
    int parts[REGIONS_MAX], n = 0;
    bool whole[REGIONS_MAX] = {false};
    for (int i = 0; i < c->n; i++)
        if (!w->done[i] && w->alone[i].plain.error < INFINITY) {
            whole[i] = true;
            parts[n++] = i;
        }
    for (int round = 0; round < TOGETHER_ROUNDS && n > 1; round++)
        for (int k = 0; k < n; k++)
            if (w->alone[parts[k]].best.surface == SURFACE_PLAIN && w->alone[parts[k]].best.blur >= SHARP_PX &&
                has_neighbour(w, parts[k]))
                part_refit(w, parts, n, k, whole, round == TOGETHER_ROUNDS - 1);
}

/* Stripes alone may look like objects: where the chain they are of is a texture's and they leave more, it is that. */
static void stripes_join(work_t *w, int first) {
    const canvas_t *c = &w->canvas;
    bool chain[REGIONS_MAX] = {false};
    fit_result_t one;
    int n = 0;
    double most = 0;
    chain[first] = true;
    chain_grow(w, chain);
    for (int i = 0; i < c->n; i++) {
        if (!chain[i]) continue;
        n++;
        w->tried[i] = true;
        most = fmax(most, w->alone[i].unexplained);
    }
    if (n < 2 || most <= UNEXPLAINED_PLAIN) return;
    fit_as_one(w, &one, chain, N_TEXTURED_CHAIN);
    if (one.best.surface != SURFACE_DRAWN || !is_good(w, &one) || one.unexplained > SPLIT_GAIN * most) return;
    add_object(w, &one);
    for (int i = 0; i < c->n; i++) w->done[i] |= chain[i];
}

static void objects_find(work_t *w) {
    const canvas_t *c = &w->canvas;
    for (int i = 0, n = c->n; i < n; i++) {
        w->done[i] = inner_find(w, i);
        if (!w->done[i]) region_fit(w, i);
    }
    fit_together(w);
    for (int i = 0; i < c->n; i++)
        if (!w->done[i] && !w->tried[i]) stripes_join(w, i);
    memset(w->tried, 0, sizeof w->tried);
    for (int i = 0; i < c->n; i++) {
        if (w->done[i]) continue;
        doubt_left(w, i);
        w->done[i] = is_good(w, &w->alone[i]); /* what is an object alone is no part of another */
        if (w->done[i]) add_object(w, &w->alone[i]);
    }
    for (int i = 0; i < c->n; i++)
        if (!w->done[i] && !w->tried[i]) chain_try(w, i);
    double least = RADIUS_MIN * RADIUS_MIN * c->side * c->side;
    for (int i = 0; i < c->n; i++)
        if (!w->done[i] && c->regions[i].area_px >= least) add_object(w, &w->alone[i]);
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
static void add_all_unknown(work_t *w) {
    double half = w->canvas.side / 2.0;
    fit_result_t f = {.best = {.x = w->canvas.w / 2.0, .y = w->canvas.h / 2.0, .radius = half, .error = INFINITY},
                      .unexplained = 1};
    add_object(w, &f);
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
    work_t *w = calloc(1, sizeof *w);
    if (!w) return lens_fail(LENS_MEMORY, "detect: out of memory");
    w->detector = d;
    w->out = out;
    lens_status st = canvas_fill(&w->canvas, rgb, width, height);
    if (st == LENS_OK) {
        canvas_t *c = &w->canvas;
        canvas_part(c);
        names_find(w);
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
