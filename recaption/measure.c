#include "recaption/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "recaption/segment.h"

/* Pixels of the working copy, as planes. */
typedef struct {
    int32_t w, h;
    int32_t n;
    oklab_t *lab;    /* [h, w] */
    uint8_t *raw;    /* colour_t of each pixel [h, w] */
    uint8_t *name;   /* the same, then that of the pixel's part [h, w] */
    uint8_t *front;  /* 1: differs from the background [h, w] */
    int32_t *object; /* label of the connected object, -1: background [h, w] */
    int32_t *part;   /* label of the one-coloured part, -1: none [h, w] */
    int32_t *stack;  /* [h * w] */
    uint8_t *mask;   /* [h, w] */
    int32_t *remap;  /* [h * w] */
    backdrop_t backdrop;
} work_t;

static void work_free(work_t *k) {
    free(k->lab);
    free(k->name);
    free(k->object);
}

static lens_status work_new(work_t *k, const colour_table_t *colours, const image_t *im) {
    size_t n = (size_t)im->width * (size_t)im->height;
    *k = (work_t){.w = im->width, .h = im->height, .n = (int32_t)n};
    k->lab = malloc(n * sizeof *k->lab);
    k->name = malloc(n * 4);
    k->object = malloc(n * 4 * sizeof *k->object);
    if (!k->lab || !k->name || !k->object) {
        work_free(k);
        return lens_fail(LENS_MEMORY, "out of memory measuring a picture");
    }
    k->front = k->name + n;
    k->mask = k->front + n;
    k->raw = k->mask + n;
    k->part = k->object + n;
    k->stack = k->part + n;
    k->remap = k->stack + n;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *px = im->rgb + 3 * i;
        const bool again = i > 0 && memcmp(px, px - 3, 3) == 0; /* cube roots are most of what a drawing costs */
        k->lab[i] = again ? k->lab[i - 1] : colour_oklab(colours, px);
        k->name[i] = k->raw[i] = again ? k->raw[i - 1] : (uint8_t)colour_of(colours, px);
    }
    return LENS_OK;
}

static int third_of(double v) {
    return v < 0.39 ? 0 : v <= 0.61 ? 1 : 2;
}

/* Colours of `count` by share; those under least_frac are left out. Returns how many. */
static int rank_colours(const int32_t count[COLOUR_N], double least_frac, int max, colour_t *out, double *frac) {
    int32_t left[COLOUR_N], total = 0;
    memcpy(left, count, sizeof left);
    for (int c = 0; c < COLOUR_N; c++) total += left[c];
    int n = 0;
    while (n < max && total > 0) {
        int best = 0;
        for (int c = 1; c < COLOUR_N; c++)
            if (left[c] > left[best]) best = c;
        if (left[best] == 0 || left[best] < least_frac * total) break;
        out[n] = (colour_t)best;
        frac[n++] = (double)left[best] / total;
        left[best] = 0;
    }
    return n;
}

static void measure_tones(measure_t *m, const work_t *k) {
    double sum = 0, squares = 0, chroma = 0, mirror_x = 0, mirror_y = 0;
    int32_t edges = 0, flat = 0, count[COLOUR_N] = {0}, cell[3][3][COLOUR_N] = {0};
    for (int32_t y = 0; y < k->h; y++)
        for (int32_t x = 0; x < k->w; x++) {
            int32_t i = y * k->w + x;
            oklab_t c = k->lab[i];
            oklab_t right = k->lab[x + 1 < k->w ? i + 1 : i], below = k->lab[y + 1 < k->h ? i + k->w : i];
            sum += c.l;
            squares += (double)c.l * c.l;
            chroma += sqrtf(c.a * c.a + c.b * c.b);
            mirror_x += (double)c.l * k->lab[y * k->w + k->w - 1 - x].l;
            mirror_y += (double)c.l * k->lab[(k->h - 1 - y) * k->w + x].l;
            float step = fmaxf(colour_distance(c, right), colour_distance(c, below));
            edges += step > 0.08f;
            flat += step < 0.006f;
            count[k->name[i]]++;
            cell[3 * y / k->h][3 * x / k->w][k->name[i]]++;
        }
    double n = k->n, mean = sum / n, variance = fmax(squares / n - mean * mean, 0);
    m->brightness = mean;
    m->contrast = sqrt(variance);
    m->colourfulness = chroma / n;
    m->edges_frac = edges / n;
    m->flat_frac = flat / n;
    if (m->contrast > 0.01) {
        m->symmetry_left_right = (mirror_x / n - mean * mean) / variance;
        m->symmetry_top_bottom = (mirror_y / n - mean * mean) / variance;
    }
    m->n_palette = rank_colours(count, 0.015, MEASURE_PALETTE_MAX, m->palette, m->palette_frac);
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++) rank_colours(cell[r][c], 0, 1, &m->cells[r][c], &m->cells_frac[r][c]);
}

static void fill_region(region_t *r, const work_t *k, const shape_t *s, int32_t box_x, int32_t box_y) {
    double w = k->w, h = k->h, n = k->n;
    r->shape = s->kind;
    r->axis = s->axis;
    r->elongation = s->elongation;
    r->area_frac = s->area_px / n;
    r->filled_frac = s->filled_px / n;
    r->x = (box_x + s->centre_x_px) / w;
    r->y = (box_y + s->centre_y_px) / h;
    r->x0 = (box_x + s->x0) / w;
    r->x1 = (box_x + s->x1) / w;
    r->y0 = (box_y + s->y0) / h;
    r->y1 = (box_y + s->y1) / h;
    r->column = third_of(r->x);
    r->row = third_of(r->y);
    r->touches_edge = box_x + s->x0 <= 0 || box_y + s->y0 <= 0 || box_x + s->x1 >= k->w || box_y + s->y1 >= k->h;
}

/* Shape of what `label` covers in `labels`. What it encloses belongs to it: as an opening where the background shows.
 */
static void region_of(region_t *r, const work_t *k, const int32_t *labels, const component_t *c, int32_t label) {
    int32_t w = c->x1 - c->x0, h = c->y1 - c->y0;
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++) k->mask[y * w + x] = labels[(c->y0 + y) * k->w + c->x0 + x] == label;
    segment_fill(k->mask, w, h, k->stack);
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++)
            if (k->mask[y * w + x] == 2 && k->front[(c->y0 + y) * k->w + c->x0 + x]) k->mask[y * w + x] = 1;
    shape_t s;
    shape_measure(&s, k->mask, w, h);
    fill_region(r, k, &s, c->x0, c->y0);
}

/* Layers of an object's rim: 1 touches the background, 2 touches layer 1, 0 is further in. */
static int rim_layer(const work_t *k, int32_t x, int32_t y) {
    for (int reach = 1; reach <= 2; reach++) {
        const int32_t xs[4] = {x - reach, x + reach, x, x}, ys[4] = {y, y, y - reach, y + reach};
        for (int i = 0; i < 4; i++) {
            bool outside = xs[i] < 0 || xs[i] >= k->w || ys[i] < 0 || ys[i] >= k->h;
            if (!outside && !k->front[ys[i] * k->w + xs[i]]) return reach;
        }
    }
    return 0;
}

/* Thin strokes blend with what is behind them: their colour is that of the pixels that differ most from it. An outline
 * is looked for in the second layer of the rim, for the first is blended too. */
static void object_colours(region_t *r, const work_t *k, const component_t *c) {
    int32_t all[COLOUR_N] = {0}, core[COLOUR_N] = {0}, rim[COLOUR_N] = {0}, n_inside = 0, n_rim = 0;
    float furthest = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int32_t y = c->y0; y < c->y1; y++)
            for (int32_t x = c->x0; x < c->x1; x++) {
                int32_t p = y * k->w + x;
                if (k->object[p] != c->label) continue;
                float d = colour_distance(k->lab[p], segment_backdrop_at(&k->backdrop, x, y));
                if (pass == 1) {
                    core[k->raw[p]] += d > 0.75f * furthest;
                    continue;
                }
                int layer = rim_layer(k, x, y);
                furthest = fmaxf(furthest, d);
                n_inside += layer != 1;
                all[k->name[p]]++;
                rim[k->raw[p]] += layer == 2;
                n_rim += layer == 2;
            }
    bool is_thin = n_inside * 3 < c->area_px;
    r->n_colours =
        rank_colours(is_thin ? core : all, is_thin ? 0.4 : 0.07, MEASURE_OBJECT_COLOURS, r->colours, r->colour_frac);
    double share = 0;
    rank_colours(rim, 0, 1, &r->outline, &share);
    r->is_outlined = !is_thin && share > 0.6 && r->outline != r->colours[0] && 3 * n_rim < c->area_px;
}

/* The background takes part in an object's area only as openings; small ones are grain. */
static void measure_objects(measure_t *m, const work_t *k, component_list_t *objects) {
    int32_t least_px = k->n / 1500 > 6 ? k->n / 1500 : 6;
    for (int i = 0; i < objects->n && objects->at[i].area_px >= least_px; i++) {
        m->n_objects_found++;
        if (m->n_objects == MEASURE_OBJECT_MAX) continue;
        region_t *r = &m->objects[m->n_objects++];
        const component_t *c = &objects->at[i];
        region_of(r, k, k->object, c, c->label);
        object_colours(r, k, c);
        r->object = i;
    }
}

static void measure_parts(measure_t *m, const work_t *k, component_list_t *parts, const component_list_t *objects) {
    for (int i = 0; i < parts->n && m->n_parts < MEASURE_PART_MAX; i++) {
        const component_t *c = &parts->at[i];
        if (m->background != BACKGROUND_SCENE && !k->front[c->first]) continue;
        region_t *r = &m->parts[m->n_parts++];
        region_of(r, k, k->part, c, c->label);
        r->area_frac = (double)c->area_px / k->n;
        r->colours[0] = (colour_t)k->name[c->first];
        r->colour_frac[0] = 1;
        r->n_colours = 1;
        r->object = -1;
        for (int o = 0; o < m->n_objects && m->background != BACKGROUND_SCENE; o++)
            if (objects->at[o].label == k->object[c->first]) r->object = o;
        if (r->object >= 0) m->objects[r->object].n_parts++;
    }
}

static bool is_unclear(const region_t *r) {
    return r->shape == SHAPE_SPOT || r->shape >= SHAPE_BLOCK;
}

/* Alike in colours, and in shape and size; where an outline is unclear, the size must agree closely instead. */
static bool is_alike(const region_t *a, const region_t *b) {
    int n = a->n_colours < b->n_colours ? a->n_colours : b->n_colours;
    for (int i = 0; i < n && i < 2; i++)
        if (a->colours[i] != b->colours[i]) return false;
    if ((a->n_colours > 1) != (b->n_colours > 1)) return false;
    double ratio = a->filled_frac / b->filled_frac;
    if (a->filled_frac < 0.004 && b->filled_frac < 0.004) return true;
    if (is_unclear(a) || is_unclear(b))
        return ratio < 1.35 && ratio > 0.74 && a->elongation < 2.5 && b->elongation < 2.5;
    return a->shape == b->shape && a->axis == b->axis && ratio < 2.5 && ratio > 0.4;
}

static void group_objects(measure_t *m) {
    for (int i = 0; i < m->n_objects; i++) {
        m->objects[i].group = -1;
        for (int j = 0; j < i && m->objects[i].group < 0; j++)
            if (is_alike(&m->objects[j], &m->objects[i])) m->objects[i].group = m->objects[j].group;
        if (m->objects[i].group < 0) m->objects[i].group = m->n_groups++;
        m->group_size[m->objects[i].group]++;
    }
}

static void measure_background(measure_t *m, work_t *k) {
    segment_backdrop(&k->backdrop, k->lab, k->w, k->h);
    const backdrop_t b = k->backdrop;
    if (!b.found) {
        m->background = BACKGROUND_SCENE;
        memset(k->front, 1, (size_t)k->n);
        return;
    }
    int32_t count[COLOUR_N] = {0}, first[COLOUR_N] = {0}, last[COLOUR_N] = {0}, shown = 0;
    for (int32_t y = 0; y < k->h; y++)
        for (int32_t x = 0; x < k->w; x++) {
            int32_t i = y * k->w + x;
            k->front[i] = colour_distance(k->lab[i], segment_backdrop_at(&b, x, y)) > b.tolerance;
            if (k->front[i]) continue;
            shown++;
            count[k->name[i]]++;
            double along = segment_backdrop_along(&b, x, y, k->w, k->h);
            if (along < 0.25) first[k->name[i]]++;
            if (along > 0.75) last[k->name[i]]++;
        }
    m->background_frac = (double)shown / k->n;
    double frac;
    rank_colours(count, 0, 1, &m->background_from, &frac);
    m->background_to = m->background_from;
    m->background = b.roughness > 0.02 ? BACKGROUND_TEXTURED : BACKGROUND_PLAIN;
    if (b.axis == SHAPE_NO_AXIS) return;
    colour_t from = m->background_from, to = m->background_to;
    if (rank_colours(first, 0, 1, &from, &frac) && rank_colours(last, 0, 1, &to, &frac) && from != to) {
        m->background = BACKGROUND_GRADIENT;
        m->background_axis = b.axis;
        m->background_from = from;
        m->background_to = to;
    }
}

static lens_status measure_regions(measure_t *m, work_t *k) {
    component_list_t objects = {0}, parts = {0};
    lens_status st = LENS_OK;
    LENS_GO(segment_parts(&parts, k->part, k->lab, k->name, k->front, k->w, k->h, k->stack, k->remap));
    if (m->background != BACKGROUND_SCENE) {
        LENS_GO(segment_objects(&objects, k->object, k->front, k->w, k->h, k->stack));
        measure_objects(m, k, &objects);
        group_objects(m);
    }
    measure_parts(m, k, &parts, &objects);
done:
    component_list_free(&objects);
    component_list_free(&parts);
    return st;
}

static lens_status measure(measure_t *out, const colour_table_t *colours, const image_t *image, bool all,
                           double least_flat_frac) {
    *out = (measure_t){.width = image->width, .height = image->height};
    if (image->width <= 0 || image->height <= 0)
        return lens_fail(LENS_ARGUMENT, "picture of %d x %d pixels", image->width, image->height);
    int32_t longest = image->width > image->height ? image->width : image->height;
    image_t small = {0};
    const image_t *at = image;
    if (longest > MEASURE_SIDE_MAX) {
        double scale = (double)MEASURE_SIDE_MAX / longest;
        int32_t w = (int32_t)lround(image->width * scale), h = (int32_t)lround(image->height * scale);
        LENS_TRY(image_resize(&small, image, w > 0 ? w : 1, h > 0 ? h : 1));
        at = &small;
    }
    work_t k;
    lens_status st = work_new(&k, colours, at);
    if (st == LENS_OK) {
        measure_tones(out, &k);
        measure_background(out, &k);
        if (all || (out->background == BACKGROUND_PLAIN && out->flat_frac >= least_flat_frac))
            st = measure_regions(out, &k);
        work_free(&k);
    }
    image_free(&small);
    return st;
}

lens_status measure_image(measure_t *out, const colour_table_t *colours, const image_t *image) {
    return measure(out, colours, image, true, 0);
}

lens_status measure_drawing(measure_t *out, const colour_table_t *colours, const image_t *image,
                            double least_flat_frac) {
    return measure(out, colours, image, false, least_flat_frac);
}
