#include "eval/detect_texture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLUR_MIN 0.29 /* px: a pixel's own square, as in detect_fit.c */
#define BLUR_MAX 2.6
#define REFINED 6.0 /* a texture whose error is within so many times the best is placed anew */
enum { PAD_PX = 4 };

/* Part of the picture, in steps of 1 / TEXTURE_SUPER px. */
typedef struct {
    int x0, y0, w, h; /* x0, y0: px */
} window_t;

static int within(double px) {
    return px < 0 ? 0 : px > DETECT_MAX_SIDE_PX ? DETECT_MAX_SIDE_PX : (int)px;
}

static window_t window_of(const fit_region_t *r) {
    int x0 = within(r->x0 - PAD_PX), y0 = within(r->y0 - PAD_PX);
    int x1 = within(r->x1 + PAD_PX + 1), y1 = within(r->y1 + PAD_PX + 1);
    return (window_t){x0, y0, (x1 - x0) * TEXTURE_SUPER, (y1 - y0) * TEXTURE_SUPER};
}

static double px_at(int first, int i) {
    return first + (i + 0.5) / TEXTURE_SUPER;
}

static void draw_distance(texture_scratch_t *s, const window_t *w, const fit_tables_t *t, const fit_t *at) {
    fit_distances(s->distance, t, at, px_at(w->x0, 0), px_at(w->y0, 0), 1.0 / TEXTURE_SUPER, w->w, w->h);
}

static void draw_texture(texture_scratch_t *s, const window_t *w, const fit_t *at, scene_texture texture, double side) {
    double step = 1.0 / TEXTURE_SUPER;
    for (int j = 0; j < w->h; j++)
        for (int i = 0; i < w->w; i++) {
            double d = s->distance[j * w->w + i], cover = d >= step / 2 ? 0 : d <= -step / 2 ? 1 : 0.5 - d / step;
            double x = (px_at(w->x0, i) - at->x) / side, y = (px_at(w->y0, j) - at->y) / side, share = 0;
            if (cover > 0) share = scene_accent_share(texture, x, y, d / side, step / side);
            s->fill[j * w->w + i] = (float)(cover * (1 - share));
            s->accent[j * w->w + i] = (float)(cover * share);
        }
}

/* Blurs the plane and keeps what lies at the pixels' middles, at the plane's begin: [h / SUPER, w / SUPER]. Columns
 * first, over whole rows; outside is 0. */
static void blur(texture_scratch_t *s, float *plane, const window_t *w, const float *taps, int reach) {
    int rows = w->h / TEXTURE_SUPER, columns = w->w / TEXTURE_SUPER;
    for (int j = 0; j < rows; j++) {
        float *restrict out = s->scratch + j * w->w;
        int middle = j * TEXTURE_SUPER + TEXTURE_SUPER / 2;
        memset(out, 0, sizeof *out * (size_t)w->w);
        for (int k = middle < reach ? -middle : -reach; k <= reach && middle + k < w->h; k++) {
            const float *restrict in = plane + (middle + k) * w->w;
            float tap = taps[abs(k)];
            for (int i = 0; i < w->w; i++) out[i] += tap * in[i];
        }
    }
    for (int j = 0; j < rows; j++)
        for (int i = 0; i < columns; i++) {
            int middle = i * TEXTURE_SUPER + TEXTURE_SUPER / 2;
            float sum = 0;
            for (int k = middle < reach ? -middle : -reach; k <= reach && middle + k < w->w; k++)
                sum += taps[abs(k)] * s->scratch[j * w->w + middle + k];
            plane[j * columns + i] = sum;
        }
}

static void blur_surfaces(texture_scratch_t *s, const window_t *w, double sigma) {
    float taps[64];
    double sum = 0;
    int reach = (int)ceil(3 * sigma);
    LENS_ASSERT(reach < 64, "sigma %g", sigma);
    for (int k = 0; k <= reach; k++) {
        taps[k] = (float)exp(-0.5 * k * k / (sigma * sigma));
        sum += k == 0 ? taps[k] : 2 * taps[k];
    }
    for (int k = 0; k <= reach; k++) taps[k] = (float)(taps[k] / sum);
    blur(s, s->fill, w, taps, reach);
    blur(s, s->accent, w, taps, reach);
}

/* Sums over the pixels of y^2, y a, y b, a^2, a b, b^2: y is what the ground leaves, a and b the shares of fill and
 * accent. */
typedef struct {
    double yy[3], ya[3], yb[3], aa, ab, bb;
} sums_t;

static void sums_find(sums_t *m, const texture_scratch_t *s, const window_t *w, const fit_region_t *r) {
    *m = (sums_t){.aa = 0};
    for (int i = 0; i < r->n; i++) {
        const fit_pixel_t *p = &r->pixels[i];
        int x = (int)p->x - w->x0, y = (int)p->y - w->y0, columns = w->w / TEXTURE_SUPER;
        bool in = x >= 0 && y >= 0 && x < columns && y < w->h / TEXTURE_SUPER;
        double a = in ? s->fill[y * columns + x] : 0, b = in ? s->accent[y * columns + x] : 0;
        m->aa += a * a;
        m->ab += a * b;
        m->bb += b * b;
        for (int k = 0; k < 3; k++) {
            double left = p->colour[k] - (1 - a - b) * p->ground[k];
            m->yy[k] += left * left;
            m->ya[k] += left * a;
            m->yb[k] += left * b;
        }
    }
}

static double error_of(const sums_t *m, const uint8_t *fill, const uint8_t *accent) {
    double error = 0;
    for (int k = 0; k < 3; k++) {
        double f = fill[k], a = accent[k];
        error += m->yy[k] - 2 * f * m->ya[k] - 2 * a * m->yb[k] + f * f * m->aa + 2 * f * a * m->ab + a * a * m->bb;
    }
    return error;
}

static double texture_error(texture_scratch_t *s, const fit_tables_t *t, const fit_region_t *r, const fit_t *at,
                            scene_texture texture, scene_colour c) {
    window_t w = window_of(r);
    sums_t m;
    draw_distance(s, &w, t, at);
    draw_texture(s, &w, at, texture, r->side_px);
    blur_surfaces(s, &w, at->blur * TEXTURE_SUPER);
    sums_find(&m, s, &w, r);
    return error_of(&m, scene_colour_rgb(c), scene_colour_rgb(scene_accent(c)));
}

/* Compass search, as for outlines. */
static void refine(fit_t *f, texture_scratch_t *s, const fit_tables_t *t, const fit_region_t *r, scene_texture texture,
                   scene_colour c) {
    static const double STEP[4] = {0.4, 0.4, 0.06, 0.2}; /* px, px, shares */
    for (double step = 1; step > 0.2; step /= 2)
        for (int k = 0; k < 8; k++) {
            fit_t moved = *f;
            double by = (k % 2 ? -1 : 1) * step * STEP[k / 2];
            if (k / 2 == 0) moved.x += by;
            if (k / 2 == 1) moved.y += by;
            if (k / 2 == 2) moved.radius *= 1 + by;
            if (k / 2 == 3) moved.blur = fmin(fmax(moved.blur * (1 + by), BLUR_MIN), BLUR_MAX);
            moved.error = texture_error(s, t, r, &moved, texture, c);
            if (moved.error < f->error) *f = moved;
        }
}

void texture_add_fits(fit_result_t *out, texture_scratch_t *s, const fit_tables_t *t, const fit_region_t *r,
                      const fit_t *at) {
    window_t w = window_of(r);
    fit_t best = {.error = INFINITY};
    scene_texture best_texture = SCENE_TEXTURE_STRIPED;
    int best_colour = 0;
    draw_distance(s, &w, t, at);
    for (int texture = SCENE_TEXTURE_STRIPED; texture < SCENE_N_TEXTURES; texture++) {
        sums_t m;
        draw_texture(s, &w, at, (scene_texture)texture, r->side_px);
        blur_surfaces(s, &w, at->blur * TEXTURE_SUPER);
        sums_find(&m, s, &w, r);
        for (int c = 0; c < SCENE_N_COLOURS; c++) {
            fit_t f = *at;
            f.surface = SURFACE_DRAWN;
            for (int k = 0; k < 3; k++) f.fill[k] = scene_colour_rgb((scene_colour)c)[k];
            f.error = error_of(&m, scene_colour_rgb((scene_colour)c), scene_colour_rgb(scene_accent((scene_colour)c)));
            fit_add(out, &f, c);
            if (f.error >= best.error) continue;
            best = f;
            best_texture = (scene_texture)texture;
            best_colour = c;
        }
    }
    if (best.error > REFINED * out->best.error || fit_is_hopeless(out, r, best.error)) return;
    refine(&best, s, t, r, best_texture, (scene_colour)best_colour);
    fit_add(out, &best, best_colour);
}
