#include "eval/detect_object.h"

#include <math.h>
#include <string.h>

#include "eval/detect_bound.h"
#include "eval/detect_colour.h"

#define UNEXPLAINED_MAX 0.06 /* of the contrast: an object leaves at most this */
#define UNEXPLAINED_NOISE 0.3
#define BOUND_SLACK 1.2 /* of what an object may leave: beyond, it is not tried */
/* Of the radius and of the side: a more blurred outline is not told from others. Of the radius: nor is a colour. */
#define BLUR_MAX 0.38
#define BLUR_MAX_SIDE 0.05
#define BLUR_MAX_COLOUR 0.5
#define NAMED_REACH 0.07

/* What noise explains, relative to the energy; it is itself known roughly. */
static double noise_share(const detect_work_t *w, const fit_result_t *f) {
    return f->values * w->canvas.noise * w->canvas.noise / (f->energy + 1);
}

/* What may be left of an object, in the units of errors. */
static double error_max(const detect_work_t *w, const fit_result_t *f) {
    double by_noise = f->values * w->canvas.noise * w->canvas.noise;
    return by_noise + (UNEXPLAINED_MAX + UNEXPLAINED_NOISE * noise_share(w, f)) * fmax(f->energy - by_noise, 0);
}

/* Whether a plain surface may leave more than it should: a texture, or several objects. */
bool object_leaves(const detect_work_t *w, const fit_result_t *f) {
    return f->unexplained > OBJECT_PLAIN_UNEXPLAINED + UNEXPLAINED_NOISE / 3 * noise_share(w, f);
}

bool object_is_good(const detect_work_t *w, const fit_result_t *f) {
    return f->unexplained <= UNEXPLAINED_MAX + UNEXPLAINED_NOISE * noise_share(w, f) &&
           f->best.radius >= OBJECT_RADIUS_MIN * w->canvas.side;
}

static bool is_sharp(const detect_work_t *w, const fit_t *f) {
    return f->blur <= BLUR_MAX * f->radius && f->blur <= BLUR_MAX_SIDE * w->canvas.side;
}

void object_add(detect_work_t *w, const fit_result_t *f) {
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
    o->confidence = is_sharp(w, b) && object_is_good(w, f) && f->odds > 0 ? f->odds / (f->odds + OBJECT_ODDS) : 0;
    o->shape = o->confidence >= 0.5 ? (int)b->shape : DETECT_UNKNOWN;
    o->colour = b->blur <= BLUR_MAX_COLOUR * b->radius && object_is_good(w, f) && f->colour_odds >= OBJECT_ODDS
                    ? f->colour
                    : DETECT_UNKNOWN;
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
void object_take(detect_work_t *w, fit_region_t *r, const bool *in) {
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
    for (int y = box.y0 - OBJECT_PAD_PX; y < box.y1 + OBJECT_PAD_PX; y++)
        for (int x = box.x0 - OBJECT_PAD_PX; x < box.x1 + OBJECT_PAD_PX; x++) {
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

void object_names_find(detect_work_t *w) {
    const canvas_t *c = &w->canvas;
    double reach = NAMED_REACH + 0.001 * c->noise;
    for (int i = 0; i < c->w * c->h; i++) {
        double rgb[3] = {c->rgb[i][0], c->rgb[i][1], c->rgb[i][2]}, distance;
        w->name[i] = (int8_t)detect_nearest_fill(rgb, &distance);
        if (distance > reach) w->name[i] = DETECT_UNKNOWN;
    }
}

void object_votes(const detect_work_t *w, const bool *in, int *votes) {
    const canvas_t *c = &w->canvas;
    memset(votes, 0, sizeof *votes * SCENE_N_COLOURS);
    for (int i = 0; i < c->w * c->h; i++)
        if (c->owner[i] >= 0 && in[c->owner[i]] && !w->taken[i] && w->name[i] >= 0) votes[w->name[i]]++;
}

int object_most_voted(const int *votes) {
    int best = DETECT_UNKNOWN, most = 0;
    for (int i = 0; i < SCENE_N_COLOURS; i++)
        if (votes[i] > most) {
            most = votes[i];
            best = i;
        }
    return best;
}

void object_colour(double *out, scene_colour c) {
    for (int k = 0; k < 3; k++) out[k] = scene_colour_rgb(c)[k];
}

void object_fit_plain(detect_work_t *w, fit_result_t *out, const bool *in) {
    fit_region_t r;
    object_take(w, &r, in);
    fit_region(out, w->detector->tables, &r);
}

/* Textures as the scenes have them, at the places of the shapes that fit best. */
void object_add_textures(detect_work_t *w, fit_result_t *out, const fit_region_t *r, int n_shapes) {
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
static bool add_textured(detect_work_t *w, fit_result_t *out, fit_region_t *r, const bool *in, const fit_bound_t *bound,
                         double most) {
    int votes[SCENE_N_COLOURS];
    bool any = false;
    object_votes(w, in, votes);
    r->surfaces[SURFACE_PLAIN] = false;
    r->surfaces[SURFACE_PATTERNED] = r->surfaces[SURFACE_OUTLINED] = true;
    for (int k = 0; k < 2; k++) {
        int fill = object_most_voted(votes);
        if (fill < 0) break;
        votes[fill] = 0;
        if (bound->textured[fill] > most) continue;
        object_colour(r->fill, (scene_colour)fill);
        object_colour(r->accent, scene_accent((scene_colour)fill));
        fit_add_outlines(out, w->detector->tables, r);
        any = true;
    }
    return any;
}

/* The best fit of the regions `in` as one object: plain, or with a texture where plain leaves something or blur
 * may hide one. What the colours alone forbid is not tried. */
void object_fit(detect_work_t *w, fit_result_t *out, const bool *in, int n_shapes) {
    fit_region_t r;
    fit_bound_t bound;
    double least = INFINITY;
    object_take(w, &r, in);
    fit_bound(&bound, &r);
    fit_begin(out, &r);
    for (int i = 0; i < SCENE_N_COLOURS; i++) least = fmin(least, bound.textured[i]);
    double most = BOUND_SLACK * error_max(w, out);
    if (bound.plain <= most || bound.energy <= most) fit_add_outlines(out, w->detector->tables, &r);
    fit_end(out, &r);
    if (least <= most && (object_leaves(w, out) || out->best.blur >= OBJECT_SHARP_PX)) {
        bool free_fits = object_leaves(w, out) && add_textured(w, out, &r, in, &bound, most);
        /* a pattern that is drawn leaves more than a free one */
        if (!free_fits || out->best.error <= 2 * most) object_add_textures(w, out, &r, n_shapes);
        fit_end(out, &r);
    }
    if (out->best.error == INFINITY) out->unexplained = fmin(least, bound.plain) / (bound.energy + 1);
}
