#include "eval/detect_parts.h"

#include <math.h>

#define CHAIN_GAP 0.085       /* of the side: a stripe that looks like the background */
#define PART_UNEXPLAINED 0.25 /* alone, beside the others: a part that leaves more is none */
#define SPLIT_GAIN 0.5        /* several objects explain what one does not: at most this share of it is left */
enum { BANDS_MAX = 4, SPLIT_ROUNDS = 3, SPLIT_DEPTH = 2, TOGETHER_ROUNDS = 2 };

/* ---- regions that are one object: stripes that look like the background part it ---- */
static bool in_chain(const detect_work_t *w, int a, int b) {
    const region_t *p = &w->canvas.regions[a], *q = &w->canvas.regions[b];
    int gap = p->y0 > q->y0 ? p->y0 - q->y1 : q->y0 - p->y1;
    if (p->x0 >= q->x1 || q->x0 >= p->x1 || gap > CHAIN_GAP * w->canvas.side) return false;
    return true;
}

static void chain_grow(const detect_work_t *w, bool *chain) {
    for (bool grown = true; grown;) {
        grown = false;
        for (int a = 0; a < w->canvas.n; a++)
            for (int b = 0; b < w->canvas.n; b++)
                if (chain[a] && !chain[b] && !w->done[b] && in_chain(w, a, b)) chain[b] = grown = true;
    }
}

/* Cuts the chain into so many bands of equal height, and fits each; false where one is no object. */
static bool bands_fit(detect_work_t *w, fit_result_t *fits, const bool *chain, int n_bands) {
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
        object_fit(w, &fits[k], in, OBJECT_TEXTURED_CHAIN);
        if (!object_is_good(w, &fits[k])) return false;
    }
    return true;
}

void parts_try_chain(detect_work_t *w, int first) {
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
        for (int k = 0; k < n_bands; k++) object_add(w, &fits[k]);
        for (int i = 0; i < w->canvas.n; i++) w->done[i] |= chain[i];
        return;
    }
}

/* Stripes alone may look like objects: where the chain they are of is a texture's and they leave more, it is that. */
void parts_join_stripes(detect_work_t *w, int first) {
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
    if (n < 2 || most <= OBJECT_PLAIN_UNEXPLAINED) return;
    object_fit(w, &one, chain, OBJECT_TEXTURED_CHAIN);
    if (one.best.surface != SURFACE_DRAWN || !object_is_good(w, &one) || one.unexplained > SPLIT_GAIN * most) return;
    object_add(w, &one);
    for (int i = 0; i < c->n; i++) w->done[i] |= chain[i];
}

/* ---- a region in which objects run together ---- */
/* Fits part k again, on what the other parts leave of the pixels around it. */
static void part_refit(detect_work_t *w, const int *parts, int n, int k, const bool *whole, bool textured) {
    fit_region_t r;
    fit_result_t *f = &w->alone[parts[k]], again;
    const fit_t *before = &f->plain;
    double half_width, half_height;
    if (before->error == INFINITY) return;
    scene_shape_extent(before->shape, &half_width, &half_height);
    object_take(w, &r, whole);
    r.x0 = before->x - half_width * before->radius;
    r.y0 = before->y - half_height * before->radius;
    r.x1 = before->x + half_width * before->radius;
    r.y1 = before->y + half_height * before->radius;
    int kept = 0;
    for (int i = 0; i < r.n; i++) {
        const fit_pixel_t *p = &w->pixels[i];
        if (p->x > r.x0 - OBJECT_PAD_PX && p->x < r.x1 + OBJECT_PAD_PX && p->y > r.y0 - OBJECT_PAD_PX &&
            p->y < r.y1 + OBJECT_PAD_PX)
            w->pixels[kept++] = *p;
    }
    r.n = kept;
    for (int i = 0; i < n; i++)
        if (i != k && w->alone[parts[i]].plain.error < INFINITY)
            fit_take_out(w->detector->tables, &r, &w->alone[parts[i]].plain, w->pixels);
    fit_begin(&again, &r);
    fit_add_outlines(&again, w->detector->tables, &r);
    fit_end(&again, &r);
    if (textured && (object_leaves(w, &again) || again.best.blur >= OBJECT_SHARP_PX)) {
        object_add_textures(w, &again, &r, OBJECT_TEXTURED);
        fit_end(&again, &r);
    }
    if (again.best.error < INFINITY) *f = again;
}

/* What all parts together leave of the whole region, relative to its contrast. */
static double parts_unexplained(detect_work_t *w, const int *parts, int n, const bool *whole) {
    fit_region_t r;
    double left = 0, energy = 0;
    object_take(w, &r, whole);
    for (int i = 0; i < r.n; i++)
        for (int k = 0; k < 3; k++) energy += pow(w->pixels[i].colour[k] - w->pixels[i].ground[k], 2);
    for (int i = 0; i < n; i++) fit_take_out(w->detector->tables, &r, &w->alone[parts[i]].best, w->pixels);
    for (int i = 0; i < r.n; i++)
        for (int k = 0; k < 3; k++) left += pow(w->pixels[i].colour[k] - w->pixels[i].ground[k], 2);
    double by_noise = 3.0 * r.n * r.noise * r.noise;
    return left <= by_noise ? 0 : energy <= by_noise ? 1 : (left - by_noise) / (energy - by_noise);
}

/* True where the region is better explained by its parts, each an object or split again; they are done then. */
static bool split_try(detect_work_t *w, int at) {
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
        parts_fit(w, parts[i]);
        good = w->alone[parts[i]].best.error < INFINITY && w->alone[parts[i]].unexplained <= PART_UNEXPLAINED;
    }
    w->depth--;
    n = 1; /* parts may have been split */
    for (int i = first; i < c->n; i++) parts[n++] = i;
    for (int i = 0; i < n; i++) whole[parts[i]] = true;
    for (int round = 0; round < SPLIT_ROUNDS && good; round++)
        for (int i = 0; i < n; i++) part_refit(w, parts, n, i, whole, round == SPLIT_ROUNDS - 1);
    for (int i = 0; i < n; i++) {
        good &= object_is_good(w, &w->alone[parts[i]]);
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

/* Fits the region as one object, and where that leaves something as several. */
void parts_fit(detect_work_t *w, int i) {
    bool in[REGIONS_MAX] = {false};
    in[i] = true;
    object_fit(w, &w->alone[i], in, OBJECT_TEXTURED);
    if (object_leaves(w, &w->alone[i])) split_try(w, i);
}

static bool has_neighbour(const detect_work_t *w, int i) {
    const region_t *p = &w->canvas.regions[i];
    for (int k = 0; k < w->canvas.n; k++) {
        const region_t *q = &w->canvas.regions[k];
        if (k != i && p->x0 < q->x1 + OBJECT_PAD_PX && q->x0 < p->x1 + OBJECT_PAD_PX && p->y0 < q->y1 + OBJECT_PAD_PX &&
            q->y0 < p->y1 + OBJECT_PAD_PX)
            return true;
    }
    return false;
}

/* Blur reaches from one object over its neighbours: all are fitted again on what the others leave. */
void parts_fit_together(detect_work_t *w) {
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
            if (w->alone[parts[k]].best.surface == SURFACE_PLAIN && w->alone[parts[k]].best.blur >= OBJECT_SHARP_PX &&
                has_neighbour(w, parts[k]))
                part_refit(w, parts, n, k, whole, round == TOGETHER_ROUNDS - 1);
}
