#include "eval/detect_fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/detect.h"
#include "eval/detect_colour.h"

/* Tables: coverage of each shape of radius 1 on a grid over [-REACH, REACH]^2, blurred by Gaussians that grow by
 * BLUR_STEP from BLUR_FIRST, and its signed distance. A pixel's own square counts as a Gaussian of the same variance.
 */
#define REACH 2.2
#define BLUR_FIRST 0.018
#define BLUR_STEP 1.45
enum { GRID = 147, N_BLURS = 11, N_CELLS = GRID * GRID, SUPER = 4 };
#define CELL (2 * REACH / (GRID - 1))
#define PIXEL_BLUR 0.29 /* px: standard deviation of a square's side of 1 */
#define PIXEL_BLUR_MAX 2.6

/* Free patterns explain more than plain surfaces do: this share of the energy is their price. */
#define PATTERN_PRICE 0.03
#define TEXTURE_LIKE 0.5 /* error relative to that of a plain surface */
/* px: how far the outline's box may lie from the region's; tips are lost, and blur moves both. Pixels of others are
 * left out, so nothing else keeps an outline from reaching over a neighbour. */
#define BOX_SLACK 1.7
#define BOX_SLACK_BLUR 1.3
#define HOPELESS 0.25                /* of the contrast left after a search: no other start ends as an object */
enum { N_REFINED = 5, N_TRIED = 2 }; /* of the 12 shapes: those that begin best */

struct fit_tables {
    float cover[SCENE_N_SHAPES][N_BLURS][N_CELLS];
    float distance[SCENE_N_SHAPES][N_CELLS];
};

/* ---- tables ---- */
static double grid_at(int i) {
    return -REACH + i * CELL;
}

static void draw_shape(float *cover, float *distance, scene_shape shape) {
    for (int j = 0; j < GRID; j++)
        for (int i = 0; i < GRID; i++) {
            int inside = 0;
            distance[j * GRID + i] = (float)scene_shape_distance(shape, grid_at(i), grid_at(j));
            for (int k = 0; k < SUPER * SUPER; k++) {
                double u = grid_at(i) + ((k % SUPER + 0.5) / SUPER - 0.5) * CELL;
                double v = grid_at(j) + ((k / SUPER + 0.5) / SUPER - 0.5) * CELL;
                inside += fabs(distance[j * GRID + i]) > CELL ? distance[j * GRID + i] < 0
                                                              : scene_shape_distance(shape, u, v) < 0;
            }
            cover[j * GRID + i] = (float)inside / (SUPER * SUPER);
        }
}

/* One direction of a Gaussian: reads along `step`, and writes the transposed plane. Outside is 0. */
static void blur_rows(float *out, const float *in, const double *taps, int reach) {
    for (int j = 0; j < GRID; j++)
        for (int i = 0; i < GRID; i++) {
            double sum = 0;
            for (int k = -reach; k <= reach; k++)
                if (i + k >= 0 && i + k < GRID) sum += taps[abs(k)] * in[j * GRID + i + k];
            out[i * GRID + j] = (float)sum;
        }
}

static void blur(float *out, const float *in, float *scratch, double sigma) {
    double taps[GRID], sum = 0;
    int reach = (int)ceil(3.5 * sigma / CELL);
    if (reach >= GRID) reach = GRID - 1;
    for (int k = 0; k <= reach; k++) {
        taps[k] = exp(-0.5 * (k * CELL / sigma) * (k * CELL / sigma));
        sum += k == 0 ? taps[k] : 2 * taps[k];
    }
    for (int k = 0; k <= reach; k++) taps[k] /= sum;
    blur_rows(scratch, in, taps, reach);
    blur_rows(out, scratch, taps, reach);
}

lens_status fit_tables_new(fit_tables_t **out) {
    *out = NULL;
    fit_tables_t *t = malloc(sizeof *t);
    float *sharp = malloc(sizeof(float) * N_CELLS * 2);
    if (!t || !sharp) {
        free(t);
        free(sharp);
        return lens_fail(LENS_MEMORY, "detector: cannot allocate its tables");
    }
    for (int shape = 0; shape < SCENE_N_SHAPES; shape++) {
        draw_shape(sharp, t->distance[shape], (scene_shape)shape);
        for (int k = 0; k < N_BLURS; k++)
            blur(t->cover[shape][k], sharp, sharp + N_CELLS, BLUR_FIRST * pow(BLUR_STEP, k));
    }
    free(sharp);
    *out = t;
    return LENS_OK;
}

void fit_tables_free(fit_tables_t *t) {
    free(t);
}

/* ---- one outline ---- */
typedef struct {
    double x, y, radius, blur; /* px */
} place_t;

static double clamp(double v, double low, double high) {
    return v < low ? low : v > high ? high : v;
}

static float bilinear(const float *plane, int at, float fx, float fy) {
    const float *p = plane + at;
    float top = p[0] + fx * (p[1] - p[0]), bottom = p[GRID] + fx * (p[GRID + 1] - p[GRID]);
    return top + fy * (bottom - top);
}

/* Tables as one place reads them: two levels of blur, and where between them. */
typedef struct {
    const float *low, *high, *distance;
    float between;
    double radius, per_radius, edge; /* edge: px over which a texture's line goes from none to all */
    double rim, outline;             /* px */
} outline_t;

static outline_t outline_of(const fit_tables_t *t, scene_shape shape, const place_t *p, double side_px) {
    double level = clamp(log(p->blur / p->radius / BLUR_FIRST) / log(BLUR_STEP), 0, N_BLURS - 1.001);
    int k = (int)level;
    return (outline_t){
        .low = t->cover[shape][k],
        .high = t->cover[shape][k + 1],
        .distance = t->distance[shape],
        .between = (float)(level - k),
        .radius = p->radius,
        .per_radius = 1 / (p->radius * CELL),
        .edge = sqrt(12.0) * p->blur,
        .rim = SCENE_RIM * side_px,
        .outline = SCENE_OUTLINE * side_px,
    };
}

/* Coverage, and the signed distance in px. */
static float cover_at(const outline_t *o, const place_t *p, const fit_pixel_t *pixel, float *distance) {
    double u = (pixel->x - p->x) * o->per_radius + (GRID - 1) / 2.0;
    double v = (pixel->y - p->y) * o->per_radius + (GRID - 1) / 2.0;
    if (!(u > 0 && v > 0 && u < GRID - 1 && v < GRID - 1)) {
        *distance = (float)o->radius;
        return 0;
    }
    int i = (int)u, j = (int)v, at = j * GRID + i;
    float fx = (float)(u - i), fy = (float)(v - j);
    float low = bilinear(o->low, at, fx, fy), high = bilinear(o->high, at, fx, fy);
    *distance = (float)o->radius * bilinear(o->distance, at, fx, fy);
    return low + o->between * (high - low);
}

/* Sum over pixels of |y - c F|^2 with y = colour - (1 - c) ground, at the best F. */
static double plain_error(const fit_region_t *r, const outline_t *o, const place_t *p, double *fill) {
    double squares = 0, cover = 1e-6, sum[3] = {0};
    for (int i = 0; i < r->n; i++) {
        float d, c = cover_at(o, p, &r->pixels[i], &d);
        cover += c * c;
        for (int k = 0; k < 3; k++) {
            float y = r->pixels[i].colour[k] - (1 - c) * r->pixels[i].ground[k];
            squares += y * y;
            sum[k] += c * y;
        }
    }
    for (int k = 0; k < 3; k++) {
        fill[k] = sum[k] / cover;
        double kept = clamp(fill[k], 0, 255);
        squares += kept * kept * cover - 2 * kept * sum[k]; /* the best error where the best fill is a colour */
        fill[k] = kept;
    }
    return squares;
}

static double textured_error(const fit_region_t *r, const outline_t *o, const place_t *p, detect_surface surface) {
    float accent[3], fill[3];
    double squares = 0, length = 1e-6;
    for (int k = 0; k < 3; k++) {
        fill[k] = (float)r->fill[k];
        accent[k] = (float)(r->accent[k] - r->fill[k]);
        length += accent[k] * accent[k];
    }
    for (int i = 0; i < r->n; i++) {
        const fit_pixel_t *q = &r->pixels[i];
        float d, c = cover_at(o, p, q, &d), y[3], along = 0;
        for (int k = 0; k < 3; k++) {
            y[k] = q->colour[k] - (1 - c) * q->ground[k] - c * fill[k];
            along += y[k] * accent[k];
        }
        double share;
        if (surface == SURFACE_OUTLINED)
            share = c * clamp(0.5 + (d + o->outline) / o->edge, 0, 1);
        else /* any share of the accent, but on the rim */
            share = clamp(along / length, 0, c * clamp(0.5 - (d + o->rim) / o->edge, 0, 1));
        for (int k = 0; k < 3; k++) {
            double left = y[k] - share * accent[k];
            squares += left * left;
        }
    }
    return squares;
}

static double place_error(const fit_tables_t *t, const fit_region_t *r, fit_t *f, const place_t *p) {
    outline_t o = outline_of(t, f->shape, p, r->side_px);
    if (f->surface == SURFACE_PLAIN) return plain_error(r, &o, p, f->fill);
    memcpy(f->fill, r->fill, sizeof f->fill);
    return textured_error(r, &o, p, f->surface);
}

static void keep_place(fit_t *f, const place_t *p, double error) {
    f->x = p->x;
    f->y = p->y;
    f->radius = p->radius;
    f->blur = p->blur;
    f->error = error;
}

/* Where the box of the region says the shape is, at the better of two blurs. */
static void fit_place(fit_t *f, const fit_tables_t *t, const fit_region_t *r) {
    double half_width, half_height;
    scene_shape_extent(f->shape, &half_width, &half_height);
    double by_width = (r->x1 - r->x0) / 2 / half_width, by_height = (r->y1 - r->y0) / 2 / half_height;
    f->error = INFINITY;
    for (int k = 0; k < 2; k++) {
        place_t p = {(r->x0 + r->x1) / 2, (r->y0 + r->y1) / 2, (by_width + by_height) / 2, k == 0 ? 0.32 : 1.1};
        double error = place_error(t, r, f, &p);
        if (error < f->error) keep_place(f, &p, error);
    }
}

/* One coordinate moved by `step`, if that helps. */
static bool fit_move(fit_t *f, const fit_tables_t *t, const fit_region_t *r, int coordinate, double step) {
    place_t p = {f->x, f->y, f->radius, f->blur};
    if (coordinate == 0) p.x += step;
    if (coordinate == 1) p.y += step;
    if (coordinate == 2) p.radius *= 1 + step / r->side_px * 4;
    if (coordinate == 3) p.blur *= 1 + step;
    if (p.radius < 0.5 || p.radius > r->side_px || p.blur < PIXEL_BLUR || p.blur > PIXEL_BLUR_MAX) return false;
    double error = place_error(t, r, f, &p);
    if (!(error < f->error * (1 - 1e-6))) return false;
    keep_place(f, &p, error);
    return true;
}

/* Compass search: steps of each coordinate either way, halved where none helps. */
static void fit_refine(fit_t *f, const fit_tables_t *t, const fit_region_t *r) {
    int budget = 60;
    for (double step = 0.4; step > 0.02 && budget > 0;) {
        bool moved = false;
        for (int c = 0; c < 4; c++, budget--)
            moved |= fit_move(f, t, r, c, step) || fit_move(f, t, r, c, -step / (c < 2 ? 1 : 1 + step));
        if (!moved) step /= 2;
    }
    place_t p = {f->x, f->y, f->radius, f->blur};
    f->error = place_error(t, r, f, &p); /* and the fill that goes with it */
}

static bool is_allowed(const fit_t *f, const fit_region_t *r) {
    double half_width, half_height, slack = BOX_SLACK + BOX_SLACK_BLUR * f->blur;
    scene_shape_extent(f->shape, &half_width, &half_height);
    half_width *= f->radius;
    half_height *= f->radius;
    if (f->surface != SURFACE_PLAIN && f->radius < TEXTURED_RADIUS_MIN * r->side_px) return false;
    return fabs(f->x - half_width - r->x0) <= slack && fabs(f->x + half_width - r->x1) <= slack &&
           fabs(f->y - half_height - r->y0) <= slack && fabs(f->y + half_height - r->y1) <= slack;
}

static int compare_fits(const void *a, const void *b) {
    const fit_t *x = a, *y = b;
    return x->error < y->error ? -1 : x->error > y->error ? 1 : (int)x->shape - (int)y->shape;
}

void fit_begin(fit_result_t *out, const fit_region_t *r) {
    *out = (fit_result_t){.best = {.x = (r->x0 + r->x1) / 2,
                                   .y = (r->y0 + r->y1) / 2,
                                   .radius = fmax(r->x1 - r->x0, r->y1 - r->y0) / 2,
                                   .error = INFINITY},
                          .unexplained = 1,
                          .plain.error = INFINITY,
                          .drawn.error = INFINITY,
                          .values = 3.0 * r->n + 1,
                          .colour = DETECT_UNKNOWN};
    for (int i = 0; i < r->n; i++)
        for (int k = 0; k < 3; k++) {
            double d = r->pixels[i].colour[k] - r->pixels[i].ground[k];
            out->energy += d * d;
        }
    for (int i = 0; i < SCENE_N_SHAPES; i++) out->of[i].error = INFINITY;
    for (int i = 0; i < SCENE_N_COLOURS; i++) out->colours[i] = INFINITY;
}

void fit_add(fit_result_t *out, const fit_t *fit, int colour) {
    if (fit->error < out->of[fit->shape].error) out->of[fit->shape] = *fit;
    if (colour != DETECT_UNKNOWN && fit->error < out->colours[colour]) out->colours[colour] = fit->error;
    if (fit->surface == SURFACE_PLAIN && fit->error < out->plain.error) out->plain = *fit;
    if (fit->surface == SURFACE_DRAWN && fit->error < out->drawn.error) {
        out->drawn = *fit;
        out->drawn_colour = colour;
    }
    if (fit->error >= out->best.error) return;
    out->best = *fit;
    out->colour = colour;
}

/* What an error leaves beyond what noise explains, relative to the energy. */
static double unexplained_by(const fit_result_t *f, const fit_region_t *r, double error) {
    double by_noise = f->values * r->noise * r->noise, left = error - by_noise;
    return left <= 0 ? 0 : f->energy > by_noise ? left / (f->energy - by_noise) : 1;
}

bool fit_is_hopeless(const fit_result_t *f, const fit_region_t *r, double error) {
    return unexplained_by(f, r, error) > HOPELESS;
}

void fit_add_outlines(fit_result_t *out, const fit_tables_t *t, const fit_region_t *r) {
    for (int surface = 0; surface < N_SURFACES; surface++) {
        if (!r->surfaces[surface]) continue;
        fit_t fits[SCENE_N_SHAPES];
        bool refined = true;
        for (int i = 0; i < SCENE_N_SHAPES; i++) {
            fits[i] = (fit_t){.shape = (scene_shape)i, .surface = (detect_surface)surface};
            fit_place(&fits[i], t, r);
        }
        qsort(fits, SCENE_N_SHAPES, sizeof *fits, compare_fits);
        for (int i = 0; i < SCENE_N_SHAPES; i++) {
            if (i == N_TRIED) /* where the shapes that begin best remain hopeless, so do the others */
                refined = !fit_is_hopeless(out, r, fmin(fits[0].error, fits[1].error));
            if (i < N_REFINED && refined) fit_refine(&fits[i], t, r);
        }
        for (int i = 0; i < SCENE_N_SHAPES; i++) {
            if (!is_allowed(&fits[i], r)) continue;
            if (surface == SURFACE_PATTERNED) fits[i].error += PATTERN_PRICE * out->energy;
            fit_add(out, &fits[i], detect_fill_name(fits[i].fill));
        }
    }
}

/* A free pattern is any mixture of two colours: it is one of the scenes' textures where one of those resembles it. */
static bool is_texture(const fit_result_t *f) {
    return f->drawn.error < TEXTURE_LIKE * f->plain.error && f->drawn.shape == f->best.shape &&
           f->drawn_colour == f->colour;
}

void fit_end(fit_result_t *out, const fit_region_t *r) {
    out->unexplained = 1;
    if (out->best.error == INFINITY) return;
    double second = INFINITY, other = INFINITY;
    for (int i = 0; i < SCENE_N_SHAPES; i++)
        if (i != (int)out->best.shape) second = fmin(second, out->of[i].error);
    for (int i = 0; i < SCENE_N_COLOURS; i++)
        if (i != out->colour) other = fmin(other, out->colours[i]);
    out->unexplained = unexplained_by(out, r, out->best.error);
    double variance = out->best.error / out->values + 4; /* code values are rounded, outlines never perfect */
    out->odds = (second - out->best.error) / (2 * variance);
    out->colour_odds = (other - out->best.error) / (2 * variance);
    if (out->best.surface == SURFACE_PATTERNED && !is_texture(out)) out->odds = out->colour_odds = 0;
}

void fit_take_out(const fit_tables_t *t, const fit_region_t *r, const fit_t *f, fit_pixel_t *pixels) {
    place_t p = {f->x, f->y, f->radius, f->blur};
    outline_t o = outline_of(t, f->shape, &p, r->side_px);
    for (int i = 0; i < r->n; i++) {
        float d, c = cover_at(&o, &p, &pixels[i], &d);
        for (int k = 0; k < 3; k++) pixels[i].colour[k] -= c * ((float)f->fill[k] - pixels[i].ground[k]);
    }
}

static int compare_floats(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

int fit_left(const fit_tables_t *t, const fit_region_t *r, const fit_t *f, float *left) {
    place_t p = {f->x, f->y, f->radius, f->blur};
    outline_t o = outline_of(t, f->shape, &p, r->side_px);
    int n = 0;
    for (int i = 0; i < r->n; i++) {
        float d, c = cover_at(&o, &p, &r->pixels[i], &d), sum = 0;
        for (int k = 0; k < 3; k++) {
            float ground = r->pixels[i].ground[k];
            float l = r->pixels[i].colour[k] - ground - c * ((float)f->fill[k] - ground);
            sum += l * l;
        }
        if (c > 0.8f) left[n++] = sqrtf(sum);
    }
    qsort(left, (size_t)n, sizeof *left, compare_floats);
    return n;
}

void fit_distances(float *out, const fit_tables_t *t, const fit_t *f, double x0, double y0, double step, int w, int h) {
    double per_radius = 1 / (f->radius * CELL);
    for (int j = 0; j < h; j++)
        for (int i = 0; i < w; i++) {
            double u = (x0 + i * step - f->x) * per_radius + (GRID - 1) / 2.0;
            double v = (y0 + j * step - f->y) * per_radius + (GRID - 1) / 2.0;
            bool in = u > 0 && v > 0 && u < GRID - 1 && v < GRID - 1;
            int at = in ? (int)v * GRID + (int)u : 0;
            float far = (float)f->radius;
            out[j * w + i] =
                in ? far * bilinear(t->distance[f->shape], at, (float)(u - (int)u), (float)(v - (int)v)) : far;
        }
}

void fit_region(fit_result_t *out, const fit_tables_t *t, const fit_region_t *r) {
    fit_begin(out, r);
    fit_add_outlines(out, t, r);
    fit_end(out, r);
}
