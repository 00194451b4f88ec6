#include "recaption/segment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NONE = -1, OUTSIDE = 3, RIM_PX = 3 };

static const float agree_distance = 0.1f; /* of a border pixel from a background that holds for it */
static const float join_distance = 0.06f; /* of two neighbours' mean colours that are one part in two shades */

/* ---- background ---- */

oklab_t segment_backdrop_at(const backdrop_t *b, int32_t x, int32_t y) {
    return (oklab_t){.l = (float)(b->at[0][0] + b->at[0][1] * x + b->at[0][2] * y),
                     .a = (float)(b->at[1][0] + b->at[1][1] * x + b->at[1][2] * y),
                     .b = (float)(b->at[2][0] + b->at[2][1] * x + b->at[2][2] * y)};
}

static bool on_border(int32_t x, int32_t y, int32_t w, int32_t h) {
    return x < 2 || y < 2 || x >= w - 2 || y >= h - 2;
}

static double component_of(oklab_t c, int k) {
    return k == 0 ? c.l : k == 1 ? c.a : c.b;
}

/* Least squares over the border pixels within `tolerance` of the fit so far (all of them where it is 0): a plane where
 * slopes are allowed, else their mean. */
static void refit(backdrop_t *b, const oklab_t *lab, int32_t w, int32_t h, float tolerance, bool slopes) {
    double s[6] = {0}, t[3][3] = {0}; /* sums of 1, x, y, xx, xy, yy; of c, cx, cy */
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++) {
            if (!on_border(x, y, w, h)) continue;
            oklab_t c = lab[y * w + x];
            if (tolerance > 0 && colour_distance(c, segment_backdrop_at(b, x, y)) > tolerance) continue;
            s[0] += 1;
            s[1] += x;
            s[2] += y;
            s[3] += (double)x * x;
            s[4] += (double)x * y;
            s[5] += (double)y * y;
            for (int k = 0; k < 3; k++) {
                t[k][0] += component_of(c, k);
                t[k][1] += component_of(c, k) * x;
                t[k][2] += component_of(c, k) * y;
            }
        }
    if (s[0] == 0) return;
    double mx = s[1] / s[0], my = s[2] / s[0];
    double xx = s[3] / s[0] - mx * mx, xy = s[4] / s[0] - mx * my, yy = s[5] / s[0] - my * my;
    double determinant = xx * yy - xy * xy;
    for (int k = 0; k < 3; k++) {
        double mean = t[k][0] / s[0], cx = t[k][1] / s[0] - mean * mx, cy = t[k][2] / s[0] - mean * my;
        bool has_slope = slopes && determinant > 1e-3 * xx * yy && xx > 1 && yy > 1;
        b->at[k][1] = has_slope ? (cx * yy - cy * xy) / determinant : 0;
        b->at[k][2] = has_slope ? (cy * xx - cx * xy) / determinant : 0;
        b->at[k][0] = mean - b->at[k][1] * mx - b->at[k][2] * my;
    }
}

/* Share of the border within `tolerance` of the fit, and the mean distance of those pixels from it. */
static double agreement(const backdrop_t *b, const oklab_t *lab, int32_t w, int32_t h, float tolerance, double *mean) {
    int64_t all = 0, within = 0;
    double sum = 0;
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++) {
            if (!on_border(x, y, w, h)) continue;
            all++;
            float d = colour_distance(lab[y * w + x], segment_backdrop_at(b, x, y));
            if (d > tolerance) continue;
            within++;
            sum += d;
        }
    *mean = within ? sum / (double)within : 0;
    return (double)within / (double)all;
}

/* The commonest colour of the border in coarse steps: the start for a background that objects cut off in places. */
static void start_at_mode(backdrop_t *b, const oklab_t *lab, int32_t w, int32_t h) {
    enum { L_STEPS = 16, AB_STEPS = 16 };
    uint16_t votes[L_STEPS * AB_STEPS * AB_STEPS] = {0};
    int best = 0;
    oklab_t mode = lab[0];
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++) {
            if (!on_border(x, y, w, h)) continue;
            oklab_t c = lab[y * w + x];
            int l = (int)fminf(fmaxf(c.l, 0) * L_STEPS, L_STEPS - 1);
            int p = (int)fminf(fmaxf((c.a + 0.4f) / 0.8f, 0) * AB_STEPS, AB_STEPS - 1);
            int q = (int)fminf(fmaxf((c.b + 0.4f) / 0.8f, 0) * AB_STEPS, AB_STEPS - 1);
            int v = ++votes[(l * AB_STEPS + p) * AB_STEPS + q];
            if (v <= best) continue;
            best = v;
            mode = c;
        }
    *b = (backdrop_t){.at = {{mode.l}, {mode.a}, {mode.b}}};
}

/* Where along the run of a background this pixel lies, 0..1. */
double segment_backdrop_along(const backdrop_t *b, int32_t x, int32_t y, int32_t w, int32_t h) {
    double u = (double)x / w, v = (double)y / h;
    if (b->axis == SHAPE_HORIZONTAL) return u;
    if (b->axis == SHAPE_DIAGONAL) return (u + (b->rising ? 1 - v : v)) / 2;
    return v;
}

static void set_axis(backdrop_t *b, int32_t w, int32_t h) {
    double dx = 0, dy = 0;
    for (int k = 0; k < 3; k++) {
        dx += b->at[k][1] * b->at[k][1];
        dy += b->at[k][2] * b->at[k][2];
    }
    dx = sqrt(dx) * w;
    dy = sqrt(dy) * h;
    b->rising = b->at[0][1] * b->at[0][2] < 0;
    b->axis = hypot(dx, dy) <= 0.07 ? SHAPE_NO_AXIS
              : dy > 2 * dx         ? SHAPE_VERTICAL
              : dx > 2 * dy         ? SHAPE_HORIZONTAL
                                    : SHAPE_DIAGONAL;
}

/* Whether the border agrees with a slope all along its run. Two plain halves agree at the ends only. */
static bool is_even_slope(backdrop_t *b, const oklab_t *lab, int32_t w, int32_t h) {
    enum { STEPS = 8 };
    int32_t all[STEPS] = {0}, within[STEPS] = {0};
    set_axis(b, w, h);
    if (b->axis == SHAPE_NO_AXIS || agreement(b, lab, w, h, agree_distance, &b->roughness) < 0.7) return false;
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++) {
            if (!on_border(x, y, w, h)) continue;
            int step = (int)(segment_backdrop_along(b, x, y, w, h) * STEPS);
            all[step]++;
            within[step] += colour_distance(lab[y * w + x], segment_backdrop_at(b, x, y)) <= agree_distance;
        }
    for (int i = 0; i < STEPS; i++)
        if (within[i] < 0.45 * all[i]) return false;
    return true;
}

void segment_backdrop(backdrop_t *out, const oklab_t *lab, int32_t w, int32_t h) {
    backdrop_t from_mode, from_all = {0};
    start_at_mode(out, lab, w, h);
    from_mode = *out;
    for (int i = 0; i < 3; i++) {
        static const float widths[] = {0.15f, 0.12f, 0.08f};
        refit(&from_mode, lab, w, h, widths[i], true);
        refit(&from_all, lab, w, h, i ? widths[i] : 0, true);
    }
    if (is_even_slope(&from_mode, lab, w, h)) {
        *out = from_mode;
        out->found = true;
    } else if (is_even_slope(&from_all, lab, w, h)) {
        *out = from_all;
        out->found = true;
    } else {
        refit(out, lab, w, h, 0.12f, false);
        refit(out, lab, w, h, 0.08f, false);
        out->found = agreement(out, lab, w, h, agree_distance, &out->roughness) >= 0.55;
    }
    out->tolerance = (float)fmin(fmax(3.5 * out->roughness, 0.05), 0.11);
}

/* ---- components ---- */

void component_list_free(component_list_t *l) {
    free(l->at);
    *l = (component_list_t){0};
}

static int by_area(const void *a, const void *b) {
    const component_t *x = a, *y = b;
    if (x->area_px != y->area_px) return x->area_px < y->area_px ? 1 : -1;
    return (x->label > y->label) - (x->label < y->label);
}

static component_t *list_add(component_list_t *l, int *cap) {
    if (l->n == *cap) {
        int grown = *cap ? *cap * 2 : 64;
        component_t *at = realloc(l->at, (size_t)grown * sizeof *at);
        if (!at) return NULL;
        l->at = at;
        *cap = grown;
    }
    return &l->at[l->n++];
}

static void extend(component_t *c, int32_t x, int32_t y) {
    c->area_px++;
    if (x < c->x0) c->x0 = x;
    if (x >= c->x1) c->x1 = x + 1;
    if (y < c->y0) c->y0 = y;
    if (y >= c->y1) c->y1 = y + 1;
}

/* Flood fill of equal `value`s where labels is NONE, from pixel `from`. diagonal: 8 neighbours. */
static void flood(component_t *c, int32_t *labels, const uint8_t *value, int32_t w, int32_t h, int32_t from,
                  bool diagonal, int32_t *stack) {
    int32_t n = 0;
    stack[n++] = from;
    labels[from] = c->label;
    while (n) {
        int32_t i = stack[--n], x = i % w, y = i / w;
        extend(c, x, y);
        for (int32_t dy = -1; dy <= 1; dy++)
            for (int32_t dx = -1; dx <= 1; dx++) {
                if ((dx && dy && !diagonal) || x + dx < 0 || x + dx >= w || y + dy < 0 || y + dy >= h) continue;
                int32_t j = i + dy * w + dx;
                if (labels[j] != NONE || value[j] != value[from]) continue;
                labels[j] = c->label;
                stack[n++] = j;
            }
    }
}

/* skip: pixels of this value belong to no component; 256: none are skipped. */
static lens_status components(component_list_t *out, int32_t *labels, const uint8_t *value, int skip, int32_t w,
                              int32_t h, bool diagonal, int32_t *stack) {
    *out = (component_list_t){0};
    int cap = 0;
    for (int32_t i = 0; i < w * h; i++) labels[i] = NONE;
    for (int32_t i = 0; i < w * h; i++) {
        if (labels[i] != NONE || value[i] == skip) continue;
        component_t *c = list_add(out, &cap);
        if (!c) {
            component_list_free(out);
            return lens_fail(LENS_MEMORY, "out of memory for regions");
        }
        *c = (component_t){.label = out->n - 1, .first = i, .x0 = w, .y0 = h};
        flood(c, labels, value, w, h, i, diagonal, stack);
    }
    return LENS_OK;
}

lens_status segment_objects(component_list_t *out, int32_t *labels, const uint8_t *front, int32_t w, int32_t h,
                            int32_t *stack) {
    LENS_TRY(components(out, labels, front, 0, w, h, true, stack));
    if (out->n) qsort(out->at, (size_t)out->n, sizeof *out->at, by_area);
    return LENS_OK;
}

void segment_fill(uint8_t *mask, int32_t w, int32_t h, int32_t *stack) {
    int32_t n = 0;
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++) {
            bool rim = x == 0 || y == 0 || x == w - 1 || y == h - 1;
            if (!rim || mask[y * w + x]) continue;
            mask[y * w + x] = OUTSIDE;
            stack[n++] = y * w + x;
        }
    while (n) {
        int32_t i = stack[--n], x = i % w, y = i / w;
        int32_t next[4] = {x > 0 ? i - 1 : i, x + 1 < w ? i + 1 : i, y > 0 ? i - w : i, y + 1 < h ? i + w : i};
        for (int k = 0; k < 4; k++) {
            if (mask[next[k]]) continue;
            mask[next[k]] = OUTSIDE;
            stack[n++] = next[k];
        }
    }
    for (int32_t i = 0; i < w * h; i++) mask[i] = mask[i] == OUTSIDE ? 0 : mask[i] == 0 ? 2 : mask[i];
}

/* ---- parts ---- */

/* Keeps labels of solid parts only: large enough and with an inside, not just a rim. weak[label] says which. */
static void find_weak(uint8_t *weak, const component_list_t *l, const int32_t *labels, int32_t w, int32_t h,
                      int32_t *inside) {
    memset(inside, 0, (size_t)l->n * sizeof *inside);
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++) {
            int32_t i = y * w + x, own = labels[i];
            bool same = (x == 0 || labels[i - 1] == own) && (x + 1 == w || labels[i + 1] == own) &&
                        (y == 0 || labels[i - w] == own) && (y + 1 == h || labels[i + w] == own);
            inside[own] += same;
        }
    int32_t least_px = w * h / 800 > 4 ? w * h / 800 : 4;
    for (int c = 0; c < l->n; c++) weak[c] = l->at[c].area_px < least_px || inside[c] * 5 < l->at[c].area_px;
}

/* Unlabelled pixels take the label of the nearest solid part on their side of the background mask, as far as a rim
 * goes: what lies further out is a line of its own. */
static void grow_labels(int32_t *labels, const uint8_t *front, int32_t w, int32_t h, int32_t *queue) {
    int32_t head = 0, tail = 0, step_end, steps = 0;
    for (int32_t i = 0; i < w * h; i++)
        if (labels[i] != NONE) queue[tail++] = i;
    for (step_end = tail; head < tail && steps < RIM_PX;) {
        if (head == step_end) {
            step_end = tail;
            steps++;
            continue;
        }
        int32_t i = queue[head++], x = i % w, y = i / w;
        int32_t next[4] = {x > 0 ? i - 1 : i, x + 1 < w ? i + 1 : i, y > 0 ? i - w : i, y + 1 < h ? i + w : i};
        for (int k = 0; k < 4; k++) {
            if (labels[next[k]] != NONE || front[next[k]] != front[i]) continue;
            labels[next[k]] = labels[i];
            queue[tail++] = next[k];
        }
    }
}

static int32_t root_of(int32_t *parent, int32_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
}

typedef struct {
    double l, a, b, n;
} sum_t;

static oklab_t mean_of(const sum_t *s) {
    double n = s->n > 0 ? s->n : 1;
    return (oklab_t){(float)(s->l / n), (float)(s->a / n), (float)(s->b / n)};
}

/* Joins neighbours whose mean colours are close. The means are those before any joining: the order cannot matter. */
static void join_near(int32_t *parent, const sum_t *sums, const int32_t *labels, const uint8_t *front, int32_t w,
                      int32_t h) {
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++) {
            int32_t i = y * w + x;
            int32_t next[2] = {x + 1 < w ? i + 1 : i, y + 1 < h ? i + w : i};
            for (int k = 0; k < 2; k++) {
                int32_t j = next[k];
                if (labels[i] == labels[j] || labels[i] == NONE || labels[j] == NONE || front[i] != front[j]) continue;
                if (colour_distance(mean_of(&sums[labels[i]]), mean_of(&sums[labels[j]])) > join_distance) continue;
                int32_t a = root_of(parent, labels[i]), b = root_of(parent, labels[j]);
                if (a != b) parent[a > b ? a : b] = a > b ? b : a;
            }
        }
}

/* The list of what `labels` holds now; names become those of each joined part's largest piece. */
static lens_status relist(component_list_t *out, int32_t *labels, uint8_t *name, int32_t *parent, const sum_t *sums,
                          const component_list_t *l, int32_t w, int32_t h, int32_t *slot) {
    int cap = 0;
    *out = (component_list_t){0};
    for (int c = 0; c < l->n; c++) slot[c] = NONE;
    for (int c = 0; c < l->n; c++) {
        if (sums[c].n == 0) continue; /* weak: others took its pixels */
        int32_t root = root_of(parent, c);
        if (slot[root] == NONE) {
            component_t *added = list_add(out, &cap);
            if (!added) {
                component_list_free(out);
                return lens_fail(LENS_MEMORY, "out of memory for regions");
            }
            slot[root] = out->n - 1;
            *added = (component_t){.label = out->n - 1, .first = l->at[c].first, .x0 = w, .y0 = h};
        }
        component_t *joined = &out->at[slot[root]];
        /* area_px holds the largest piece's until the recount below. */
        if (l->at[c].area_px > joined->area_px) {
            joined->area_px = l->at[c].area_px;
            joined->first = l->at[c].first;
        }
    }
    for (int c = 0; c < out->n; c++) out->at[c].area_px = 0;
    for (int32_t i = 0; i < w * h; i++) {
        if (labels[i] == NONE) continue;
        labels[i] = slot[root_of(parent, labels[i])];
        extend(&out->at[labels[i]], i % w, i / w);
        name[i] = name[out->at[labels[i]].first];
    }
    if (out->n) qsort(out->at, (size_t)out->n, sizeof *out->at, by_area);
    return LENS_OK;
}

lens_status segment_parts(component_list_t *out, int32_t *labels, const oklab_t *lab, uint8_t *name,
                          const uint8_t *front, int32_t w, int32_t h, int32_t *stack, int32_t *remap) {
    *out = (component_list_t){0};
    component_list_t raw = {0};
    lens_status st = LENS_OK;
    uint8_t *weak = NULL;
    sum_t *sums = NULL;
    /* One value for both tests of sameness: the colour, and the side of the background mask. */
    for (int32_t i = 0; i < w * h; i++) name[i] = (uint8_t)(name[i] | front[i] << 7);
    LENS_GO(components(&raw, labels, name, 256, w, h, false, stack));
    weak = malloc((size_t)raw.n);
    sums = calloc((size_t)raw.n, sizeof *sums);
    if (!weak || !sums) {
        st = lens_fail(LENS_MEMORY, "out of memory for regions");
        goto done;
    }
    find_weak(weak, &raw, labels, w, h, remap);
    for (int32_t i = 0; i < w * h; i++) {
        name[i] &= 0x7f;
        if (weak[labels[i]]) {
            labels[i] = NONE;
            continue;
        }
        sum_t *s = &sums[labels[i]];
        *s = (sum_t){s->l + lab[i].l, s->a + lab[i].a, s->b + lab[i].b, s->n + 1};
    }
    grow_labels(labels, front, w, h, stack);
    for (int c = 0; c < raw.n; c++) remap[c] = c;
    join_near(remap, sums, labels, front, w, h);
    /* `stack` is free again: it maps old labels to new ones. */
    LENS_GO(relist(out, labels, name, remap, sums, &raw, w, h, stack));
done:
    component_list_free(&raw);
    free(weak);
    free(sums);
    return st;
}
