#include "eval/detect_regions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Fills keep at least 107 code values from their background (data/scene.c), a background's faint marks less than 30. */
#define CONTRAST_MIN 55.0
#define NOISY 14.0      /* from here on the picture is smoothed before it is parted */
#define EDGE_SHARE 0.45 /* of the greatest contrast beside it: less is the edge's outer half */
#define PATTERN_PITCH 8 /* times in the picture: a background's faint stripes, dots, grid */
#define ABSORBED 0.6    /* what lies within a region and is as wide or high as this share of it is its surface */
enum { RING_ROUNDS = 8, REGION_MIN_PX = 2 };

/* ---- background: a colour that changes linearly, by weighted least squares whose weights shun outliers ---- */
typedef struct {
    double at[3][3]; /* [constant, x, y][channel], x and y in [-1, 1] */
} ramp_t;

static void ramp_at(const ramp_t *r, const canvas_t *c, int i, double *out) {
    double x = 2.0 * (i % c->w + 0.5) / c->w - 1, y = 2.0 * (double)(i / c->w + 0.5) / c->h - 1;
    for (int k = 0; k < 3; k++) out[k] = r->at[0][k] + x * r->at[1][k] + y * r->at[2][k];
}

static double ramp_distance(const ramp_t *r, const canvas_t *c, int i) {
    double g[3], sum = 0;
    ramp_at(r, c, i, g);
    for (int k = 0; k < 3; k++) sum += (c->rgb[i][k] - g[k]) * (c->rgb[i][k] - g[k]);
    return sqrt(sum);
}

/* Solves a (3 x 3, symmetric, positive) for three right sides; both are overwritten. */
static void solve3(double a[3][3], double b[3][3]) {
    for (int p = 0; p < 3; p++) {
        for (int row = 0; row < 3; row++) {
            if (row == p) continue;
            double f = a[row][p] / a[p][p];
            for (int k = 0; k < 3; k++) {
                a[row][k] -= f * a[p][k];
                b[row][k] -= f * b[p][k];
            }
        }
    }
    for (int p = 0; p < 3; p++)
        for (int k = 0; k < 3; k++) b[p][k] /= a[p][p];
}

bool canvas_on_border(const canvas_t *c, int i) {
    int width = c->side / 32 > 0 ? c->side / 32 : 1, x = i % c->w, y = i / c->w;
    return x < width || y < width || x >= c->w - width || y >= c->h - width;
}

static void ramp_fit(ramp_t *r, const canvas_t *c, bool ring, double scale) {
    double a[3][3] = {{1e-6, 0, 0}, {0, 1e-3, 0}, {0, 0, 1e-3}},
           b[3][3] = {{0}}; /* a ridge: level where nothing says more */
    for (int i = 0; i < c->w * c->h; i++) {
        if (ring && !canvas_on_border(c, i)) continue;
        double t = ramp_distance(r, c, i) / scale, weight = 1 / ((1 + t * t) * (1 + t * t));
        double basis[3] = {1, 2.0 * (i % c->w + 0.5) / c->w - 1, 2.0 * (double)(i / c->w + 0.5) / c->h - 1};
        for (int p = 0; p < 3; p++)
            for (int k = 0; k < 3; k++) {
                a[p][k] += weight * basis[p] * basis[k];
                b[p][k] += weight * basis[p] * c->rgb[i][k];
            }
    }
    solve3(a, b);
    memcpy(r->at, b, sizeof b);
}

static int compare_floats(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Median of each channel over the ring. */
static void ramp_begin(ramp_t *r, const canvas_t *c) {
    float values[CANVAS_PX];
    *r = (ramp_t){0};
    for (int k = 0; k < 3; k++) {
        size_t n = 0;
        for (int i = 0; i < c->w * c->h; i++)
            if (canvas_on_border(c, i)) values[n++] = c->rgb[i][k];
        qsort(values, n, sizeof *values, compare_floats);
        r->at[0][k] = values[n / 2];
    }
}

static void find_ground(canvas_t *c) {
    ramp_t r;
    ramp_begin(&r, c);
    for (int k = 0; k < RING_ROUNDS; k++) ramp_fit(&r, c, true, k < 3 ? 60 : 25);
    for (int k = 0; k < 3; k++) ramp_fit(&r, c, false, 40);
    for (int i = 0; i < c->w * c->h; i++) {
        double g[3];
        ramp_at(&r, c, i, g);
        for (int k = 0; k < 3; k++) c->ground[i][k] = (float)(g[k] < 0 ? 0 : g[k] > 255 ? 255 : g[k]);
    }
}

/* ---- regions ---- */
static void find_contrast(canvas_t *c) {
    static const float TAPS[3] = {0.25f, 0.5f, 0.25f}, NONE[3] = {0, 1, 0};
    const float *taps = c->noise > NOISY ? TAPS : NONE;
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++) {
            float sum = 0;
            for (int k = 0; k < 3; k++) {
                float d = 0, share = 0;
                for (int q = -1; q <= 1; q++)
                    for (int p = -1; p <= 1; p++) {
                        if (x + p < 0 || y + q < 0 || x + p >= c->w || y + q >= c->h) continue;
                        int i = (y + q) * c->w + x + p;
                        d += taps[p + 1] * taps[q + 1] * (c->rgb[i][k] - c->ground[i][k]);
                        share += taps[p + 1] * taps[q + 1];
                    }
                sum += d / share * (d / share);
            }
            c->away[y * c->w + x] = sqrtf(sum);
        }
}

/* Faint marks that come again in each eighth of the picture become part of the background. What is seen at the same
 * place of most eighths is one, whatever lies on the others. */
static void find_marks(canvas_t *c) {
    int wide = c->w / PATTERN_PITCH, high = c->h / PATTERN_PITCH;
    if (wide * PATTERN_PITCH != c->w || high * PATTERN_PITCH != c->h) return;
    float values[PATTERN_PITCH * PATTERN_PITCH];
    for (int y = 0; y < high; y++)
        for (int x = 0; x < wide; x++)
            for (int k = 0; k < 3; k++) {
                size_t n = 0;
                for (int m = 0; m < PATTERN_PITCH * PATTERN_PITCH; m++) {
                    int i = (y + m / PATTERN_PITCH * high) * c->w + x + m % PATTERN_PITCH * wide;
                    if (c->away[i] < CONTRAST_MIN) values[n++] = c->rgb[i][k] - c->ground[i][k];
                }
                if (n < PATTERN_PITCH) continue;
                qsort(values, n, sizeof *values, compare_floats);
                for (int m = 0; m < PATTERN_PITCH * PATTERN_PITCH; m++)
                    c->ground[(y + m / PATTERN_PITCH * high) * c->w + x + m % PATTERN_PITCH * wide][k] += values[n / 2];
            }
}

static double ground_noise(const canvas_t *c) {
    float values[CANVAS_PX];
    size_t n = 0;
    for (int i = 0; i < c->w * c->h; i++) {
        if (!canvas_on_border(c, i)) continue;
        float sum = 0;
        for (int k = 0; k < 3; k++) sum += (c->rgb[i][k] - c->ground[i][k]) * (c->rgb[i][k] - c->ground[i][k]);
        values[n++] = sqrtf(sum);
    }
    qsort(values, n, sizeof *values, compare_floats);
    return values[n / 2] / 1.538; /* the median length of three normal values */
}

static bool is_front(const canvas_t *c, int x, int y) {
    float here = c->away[y * c->w + x], most = 0;
    double least = CONTRAST_MIN + (c->noise > NOISY ? c->noise : 0);
    if (here < least) return false;
    for (int q = -1; q <= 1; q++)
        for (int p = -1; p <= 1; p++)
            if (x + p >= 0 && y + q >= 0 && x + p < c->w && y + q < c->h) {
                float there = c->away[(y + q) * c->w + x + p];
                if (there > most) most = there;
            }
    return here >= EDGE_SHARE * most;
}

/* Takes the region of 8-connected pixels marked -2 that i is in. */
static region_t flood(canvas_t *c, int i, int16_t id) {
    region_t r = {.x0 = c->w, .y0 = c->h};
    int n = 0;
    c->stack[n++] = (int16_t)i;
    c->owner[i] = id;
    while (n > 0) {
        int at = c->stack[--n], x = at % c->w, y = at / c->w;
        r.area_px++;
        if (x < r.x0) r.x0 = x;
        if (y < r.y0) r.y0 = y;
        if (x >= r.x1) r.x1 = x + 1;
        if (y >= r.y1) r.y1 = y + 1;
        for (int k = 0; k < 9; k++) {
            int p = x + k % 3 - 1, q = y + k / 3 - 1;
            if (p < 0 || q < 0 || p >= c->w || q >= c->h || c->owner[q * c->w + p] != -2) continue;
            c->owner[q * c->w + p] = id;
            c->stack[n++] = (int16_t)(q * c->w + p);
        }
    }
    return r;
}

static void give(canvas_t *c, int from, int to) {
    for (int i = 0; i < c->w * c->h; i++)
        if (c->owner[i] == from) c->owner[i] = (int16_t)to;
}

static void drop_region(canvas_t *c, int at) {
    give(c, at, -1);
    give(c, c->n - 1, at);
    c->regions[at] = c->regions[--c->n];
}

static void regions_find(canvas_t *c) {
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++) c->owner[y * c->w + x] = is_front(c, x, y) ? -2 : -1;
    c->n = 0;
    c->crowded = false;
    for (int i = 0; i < c->w * c->h; i++) {
        if (c->owner[i] != -2) continue;
        if (c->n == REGIONS_MAX) { /* the smallest makes room */
            int least = 0;
            for (int k = 1; k < c->n; k++)
                if (c->regions[k].area_px < c->regions[least].area_px) least = k;
            c->crowded |= c->regions[least].area_px >= REGION_MIN_PX;
            drop_region(c, least);
        }
        c->regions[c->n] = flood(c, i, (int16_t)c->n);
        if (c->regions[c->n].area_px < REGION_MIN_PX)
            give(c, c->n, -1);
        else
            c->n++;
    }
}

static bool is_surface(const region_t *in, const region_t *of) {
    if (in->x0 < of->x0 || in->y0 < of->y0 || in->x1 > of->x1 || in->y1 > of->y1) return false;
    return in->x1 - in->x0 >= ABSORBED * (of->x1 - of->x0) || in->y1 - in->y0 >= ABSORBED * (of->y1 - of->y0);
}

/* The fill inside an outline is a region of its own where the outline's contrast is much the greater. */
static void absorb_surfaces(canvas_t *c) {
    for (int i = 0; i < c->n; i++)
        for (int j = 0; j < c->n; j++) {
            if (i == j || !is_surface(&c->regions[j], &c->regions[i])) continue;
            give(c, j, i);
            c->regions[i].area_px += c->regions[j].area_px;
            c->regions[j].area_px = 0;
            drop_region(c, j);
            i = -1;
            break;
        }
}

void canvas_part(canvas_t *c) {
    c->side = c->w < c->h ? c->w : c->h;
    find_ground(c);
    c->noise = ground_noise(c);
    find_contrast(c);
    find_marks(c);
    c->noise = ground_noise(c);
    find_contrast(c);
    regions_find(c);
    absorb_surfaces(c);
}

/* ---- blur ---- */
float canvas_most_contrast(const canvas_t *c) {
    float most = 0;
    for (int i = 0; i < c->w * c->h; i++)
        if (c->away[i] > most) most = c->away[i];
    return most;
}

/* Square of the change of colour from pixel (x, y) to the right and down. */
static double slope_square(const canvas_t *c, int x, int y) {
    int i = y * c->w + x, right = x + 1 < c->w ? i + 1 : i, below = y + 1 < c->h ? i + c->w : i;
    double sum = 0;
    for (int k = 0; k < 3; k++) {
        double dx = c->rgb[right][k] - c->rgb[i][k], dy = c->rgb[below][k] - c->rgb[i][k];
        sum += dx * dx + dy * dy;
    }
    return sum;
}

double canvas_blur(const canvas_t *c) {
    double slope[REGIONS_MAX] = {0}, peak[REGIONS_MAX] = {0}, least = INFINITY;
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++) {
            int i = y * c->w + x, region = c->owner[i];
            if (region < 0) continue;
            slope[region] = fmax(slope[region], slope_square(c, x, y));
            peak[region] = fmax(peak[region], c->away[i]);
        }
    for (int i = 0; i < c->n; i++)
        if (slope[i] > 0) least = fmin(least, peak[i] / sqrt(2 * acos(-1.0) * slope[i]));
    return c->n > 0 ? least : 0;
}

/* ---- regions in which two objects run together ---- */
#define SPLIT_STEP 6.0f
#define SPLIT_PEAK 1.1f /* a part's greatest contrast, relative to that at which it parts */
enum { SPLIT_MIN_PX = 3, PARTS_MAX = 6 };

/* Marks the pixels of region `at` with that contrast that are connected with pixel i. */
static void part_flood(canvas_t *c, int i, int at, float level, int16_t id, int *area, float *peak) {
    int n = 0;
    c->stack[n++] = (int16_t)i;
    c->part[i] = id;
    *area = 0;
    *peak = 0;
    while (n > 0) {
        int here = c->stack[--n], x = here % c->w, y = here / c->w;
        ++*area;
        if (c->away[here] > *peak) *peak = c->away[here];
        for (int k = 0; k < 9; k++) {
            int p = x + k % 3 - 1, q = y + k / 3 - 1, to = q * c->w + p;
            if (p < 0 || q < 0 || p >= c->w || q >= c->h || (k % 2 == 0 && k != 4)) continue;
            if (c->owner[to] != at || c->part[to] != -1 || c->away[to] < level) continue;
            c->part[to] = id;
            c->stack[n++] = (int16_t)to;
        }
    }
}

/* Marks the parts at a level, -1: none; small ones are left out. */
static int parts_at(canvas_t *c, int at, float level) {
    int n = 0;
    for (int i = 0; i < c->w * c->h; i++) c->part[i] = -1;
    for (int i = 0; i < c->w * c->h; i++) {
        int area;
        float peak;
        if (c->owner[i] != at || c->part[i] != -1 || c->away[i] < level) continue;
        part_flood(c, i, at, level, (int16_t)n, &area, &peak);
        if (area >= SPLIT_MIN_PX && peak >= SPLIT_PEAK * level && n < PARTS_MAX) {
            n++;
            continue;
        }
        for (int k = 0; k < c->w * c->h; k++)
            if (c->part[k] == n) c->part[k] = -2;
    }
    return n;
}

static int16_t part_beside(const canvas_t *c, int i) {
    int x = i % c->w, y = i / c->w;
    for (int k = 0; k < 9; k++) {
        int p = x + k % 3 - 1, q = y + k / 3 - 1;
        if (p >= 0 && q >= 0 && p < c->w && q < c->h && c->part[q * c->w + p] >= 0) return c->part[q * c->w + p];
    }
    return -1;
}

/* The rest of the region goes to the parts in order of contrast (a watershed). */
static void parts_grow(canvas_t *c, int at, float level) {
    for (; level > -SPLIT_STEP; level -= SPLIT_STEP)
        for (bool grown = true; grown;) {
            int n = 0;
            for (int i = 0; i < c->w * c->h; i++)
                if (c->owner[i] == at && c->part[i] < 0 && c->away[i] >= level && part_beside(c, i) >= 0)
                    c->stack[n++] = (int16_t)i;
            grown = n > 0;
            for (int k = 0; k < n; k++) c->part[c->stack[k]] = part_beside(c, c->stack[k]);
        }
}

/* The box of the pixels with at least half the region's greatest contrast: where parts touch, their seam is ragged. */
static void region_measure(canvas_t *c, int at) {
    region_t r = {.x0 = c->w, .y0 = c->h};
    float peak = 0;
    for (int i = 0; i < c->w * c->h; i++)
        if (c->owner[i] == at && c->away[i] > peak) peak = c->away[i];
    for (int i = 0; i < c->w * c->h; i++) {
        if (c->owner[i] != at) continue;
        int x = i % c->w, y = i / c->w;
        r.area_px++;
        if (c->away[i] < peak / 2) continue;
        if (x < r.x0) r.x0 = x;
        if (y < r.y0) r.y0 = y;
        if (x >= r.x1) r.x1 = x + 1;
        if (y >= r.y1) r.y1 = y + 1;
    }
    c->regions[at] = r;
}

int canvas_split(canvas_t *c, int at) {
    float low = 1e9f, high = 0;
    for (int i = 0; i < c->w * c->h; i++) {
        if (c->owner[i] != at) continue;
        if (c->away[i] < low) low = c->away[i];
        if (c->away[i] > high) high = c->away[i];
    }
    int first = c->n, n = 0;
    float level = low;
    for (; level < high && n < 2; level += SPLIT_STEP) n = parts_at(c, at, level);
    if (n < 2 || first + n - 1 > REGIONS_MAX) return 0;
    parts_grow(c, at, level);
    for (int i = 0; i < c->w * c->h; i++)
        if (c->owner[i] == at && c->part[i] > 0) c->owner[i] = (int16_t)(first + c->part[i] - 1);
    c->n += n - 1;
    region_measure(c, at);
    for (int i = first; i < c->n; i++) region_measure(c, i);
    return n - 1;
}

void canvas_join(canvas_t *c, int at, int first) {
    for (int i = 0; i < c->w * c->h; i++)
        if (c->owner[i] >= first) c->owner[i] = (int16_t)at;
    c->n = first;
    region_measure(c, at);
}
