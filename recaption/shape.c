#include "recaption/shape.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

enum {
    SIDE_MAX = 192,              /* px, longest side of a mask */
    HULL_MAX = 4 * SIDE_MAX + 8, /* two corners on either side of every row */
    SPOT_PX = 36,                /* smaller ones have no outline to speak of */
    N_DIRECTIONS = 72,           /* of the radial profile */
};

typedef struct {
    double x, y;
} point_t;

typedef struct {
    point_t at[HULL_MAX];
    int n;
} hull_t;

static double cross(point_t o, point_t a, point_t b) {
    return (a.x - o.x) * (b.y - o.y) - (a.y - o.y) * (b.x - o.x);
}

/* Convex hull of the pixels' corners. Rows come in order, so the left and the right chain grow without sorting. */
static void hull_build(hull_t *h, const uint8_t *mask, int32_t width, int32_t height) {
    point_t left[HULL_MAX / 2], right[HULL_MAX / 2];
    int nl = 0, nr = 0;
    for (int32_t y = 0; y < height; y++) {
        const uint8_t *row = mask + (int64_t)y * width;
        int32_t x0 = 0, x1 = width;
        while (x0 < width && !row[x0]) x0++;
        if (x0 == width) continue;
        while (!row[x1 - 1]) x1--;
        for (int32_t corner = y; corner <= y + 1; corner++) {
            point_t l = {x0, corner}, r = {x1, corner};
            while (nl >= 2 && cross(left[nl - 2], left[nl - 1], l) >= 0) nl--;
            left[nl++] = l;
            while (nr >= 2 && cross(right[nr - 2], right[nr - 1], r) <= 0) nr--;
            right[nr++] = r;
        }
    }
    h->n = 0;
    for (int i = 0; i < nr; i++) h->at[h->n++] = right[i];
    for (int i = nl - 1; i >= 0; i--) h->at[h->n++] = left[i];
}

static double hull_area(const hull_t *h) {
    double twice = 0;
    for (int i = 1; i + 1 < h->n; i++) twice += cross(h->at[0], h->at[i], h->at[i + 1]);
    return fabs(twice) / 2;
}

/* The smallest rectangle around the hull lies along one of its edges. */
static void hull_rectangle(const hull_t *h, double *long_px, double *short_px, double *angle) {
    double best = INFINITY;
    for (int i = 0; i < h->n; i++) {
        point_t a = h->at[i], b = h->at[(i + 1) % h->n];
        double length = hypot(b.x - a.x, b.y - a.y);
        if (length == 0) continue;
        double ux = (b.x - a.x) / length, uy = (b.y - a.y) / length;
        double u0 = INFINITY, u1 = -INFINITY, v0 = INFINITY, v1 = -INFINITY;
        for (int k = 0; k < h->n; k++) {
            double u = h->at[k].x * ux + h->at[k].y * uy, v = h->at[k].y * ux - h->at[k].x * uy;
            u0 = fmin(u0, u);
            u1 = fmax(u1, u);
            v0 = fmin(v0, v);
            v1 = fmax(v1, v);
        }
        double along = u1 - u0, across = v1 - v0;
        if (along * across >= best) continue;
        best = along * across;
        *long_px = fmax(along, across);
        *short_px = fmin(along, across);
        *angle = along >= across ? atan2(uy, ux) : atan2(ux, -uy);
    }
}

/* Area of a large triangle inside the hull: a corner chain from each of a few starts, moved while it grows. */
static double hull_triangle(const hull_t *h) {
    double best = 0;
    for (int start = 0; start < 4; start++) {
        int v[3] = {h->n * start / 12, h->n * (start + 4) / 12, h->n * (start + 8) / 12};
        for (bool grew = true; grew;) {
            grew = false;
            for (int k = 0; k < 3; k++) {
                int a = v[(k + 1) % 3], b = v[(k + 2) % 3];
                for (int i = 0; i < h->n; i++)
                    if (fabs(cross(h->at[a], h->at[b], h->at[i])) >
                        fabs(cross(h->at[a], h->at[b], h->at[v[k]])) + 1e-9) {
                        v[k] = i;
                        grew = true;
                    }
            }
        }
        best = fmax(best, fabs(cross(h->at[v[0]], h->at[v[1]], h->at[v[2]])) / 2);
    }
    return best;
}

/* Number of arms of about equal length, evenly around the centre; 0 where the outline has none. */
static int count_arms(const shape_t *s, const uint8_t *mask, int32_t width, int32_t height) {
    double radius[N_DIRECTIONS] = {0};
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++) {
            if (!mask[(int64_t)y * width + x]) continue;
            double dx = x + 0.5 - s->centre_x_px, dy = y + 0.5 - s->centre_y_px;
            int d = (int)((atan2(dy, dx) + M_PI) / (2 * M_PI) * N_DIRECTIONS) % N_DIRECTIONS;
            radius[d] = fmax(radius[d], hypot(dx, dy));
        }
    double low = INFINITY, high = 0;
    for (int d = 0; d < N_DIRECTIONS; d++) {
        low = fmin(low, radius[d]);
        high = fmax(high, radius[d]);
    }
    /* An arm is a run of directions above the middle height; each must reach near the longest. */
    double middle = (low + high) / 2;
    int middles[N_DIRECTIONS], arms = 0, start = 0, run = 0;
    while (start < N_DIRECTIONS && radius[start] >= middle) start++;
    if (start == N_DIRECTIONS || low > 0.7 * high) return 0;
    double top = 0;
    for (int k = 1; k <= N_DIRECTIONS; k++) {
        double r = radius[(start + k) % N_DIRECTIONS];
        if (r >= middle) {
            top = fmax(top, r);
            run++;
        } else if (run > 0) {
            if (top < 0.8 * high) return 0;
            middles[arms++] = 2 * k - run; /* in half steps */
            top = run = 0;
        }
    }
    for (int a = 0; a < arms; a++) {
        double gap = (a + 1 < arms ? middles[a + 1] : middles[0] + 2 * N_DIRECTIONS) - middles[a];
        if (fabs(gap * arms / (2.0 * N_DIRECTIONS) - 1) > 0.25) return 0;
    }
    return arms;
}

static shape_axis axis_of(double angle, double elongation) {
    if (elongation < 1.35) return SHAPE_NO_AXIS;
    double a = fabs(fmod(angle + 2 * M_PI, M_PI)); /* a line has no direction: [0, pi) */
    if (a < M_PI / 8 || a > 7 * M_PI / 8) return SHAPE_HORIZONTAL;
    return fabs(a - M_PI / 2) < M_PI / 8 ? SHAPE_VERTICAL : SHAPE_DIAGONAL;
}

/* Corners a person would count: the flattest ones go while they cut off next to nothing. A regular hexagon's corner is
 * a sixth of its area, a regular decagon's 4 %, so round outlines keep 7 to 10. */
static int count_corners(hull_t h, double hull_px) {
    while (h.n > 3) {
        int flattest = 0;
        double least = INFINITY;
        for (int i = 0; i < h.n; i++) {
            double cut = fabs(cross(h.at[(i + h.n - 1) % h.n], h.at[i], h.at[(i + 1) % h.n])) / 2;
            if (cut >= least) continue;
            least = cut;
            flattest = i;
        }
        if (least > 0.045 * hull_px) break;
        memmove(&h.at[flattest], &h.at[flattest + 1], (size_t)(h.n - flattest - 1) * sizeof h.at[0]);
        h.n--;
    }
    return h.n;
}

typedef struct {
    double area_px, rectangle_px; /* of the hull; of the smallest rectangle around it */
    double ellipse; /* region's area over that of the ellipse with its second moments: 1 for an ellipse, 0.955 for a
                       rectangle, 0.83 for a triangle */
} outline_t;

static shape_kind convex_kind(const shape_t *s, const hull_t *h, const outline_t *o) {
    double reach = 0, box_px = (double)(s->x1 - s->x0) * (s->y1 - s->y0);
    for (int i = 0; i < h->n; i++) reach = fmax(reach, hypot(h->at[i].x - s->centre_x_px, h->at[i].y - s->centre_y_px));
    double fills_circle = o->area_px / (M_PI * reach * reach), fills_rectangle = o->area_px / o->rectangle_px;
    if (hull_triangle(h) / o->area_px > 0.74) return SHAPE_TRIANGLE;
    if (s->elongation >= 4) return fills_rectangle > 0.85 ? SHAPE_BAR : SHAPE_STRIP;
    int corners = count_corners(*h, o->area_px);
    /* Half of its upright box, as no other outline is; blended edges round that up by about two pixels a side. */
    double half = 0.5 + 2.0 / fmin(s->x1 - s->x0, s->y1 - s->y0);
    if (corners <= 6 && fabs(o->area_px / box_px - half) < 0.06) return SHAPE_DIAMOND;
    if (fills_rectangle > 0.91) return s->elongation > 1.17 ? SHAPE_RECTANGLE : SHAPE_SQUARE;
    if (fills_circle > 0.86 && s->elongation < 1.15) return SHAPE_ROUND;
    if (o->ellipse > 0.975 && s->elongation >= 1.15 && corners > (s->elongation > 1.3 ? 5 : 6)) return SHAPE_OVAL;
    bool regular = s->elongation < 1.3 && s->filled_px > 150;
    if (regular && corners == 6 && fills_circle > 0.72) return SHAPE_HEXAGON;
    if (regular && corners == 5 && fills_circle > 0.62) return SHAPE_PENTAGON;
    return SHAPE_BLOCK;
}

static int32_t top_of(const uint8_t *mask, int32_t width, int32_t height, int32_t x) {
    int32_t y = 0;
    while (y < height && !mask[(int64_t)y * width + x]) y++;
    return y;
}

/* Two lobes above a notch in the middle, and a point below it. */
static bool is_heart(const shape_t *s, const uint8_t *mask, int32_t width, int32_t height) {
    int32_t w = s->x1 - s->x0, h = s->y1 - s->y0;
    if (w < 10 || h < 10 || s->elongation > 1.3 || s->solidity < 0.85) return false;
    int32_t notch = top_of(mask, width, height, s->x0 + w / 2), left = height, right = height;
    for (int32_t x = 0; x < w / 2; x++) {
        int32_t l = top_of(mask, width, height, s->x0 + x), r = top_of(mask, width, height, s->x1 - 1 - x);
        left = l < left ? l : left;
        right = r < right ? r : right;
    }
    if (notch - left < 0.06 * h || notch - right < 0.06 * h) return false;
    int32_t low = s->y1 - 1 - h / 12, x0 = s->x0, x1 = s->x1;
    while (x0 < x1 && !mask[(int64_t)low * width + x0]) x0++;
    while (x1 > x0 && !mask[(int64_t)low * width + x1 - 1]) x1--;
    return x1 - x0 < 0.35 * w && fabs((x0 + x1) / 2.0 - (s->x0 + s->x1) / 2.0) < 0.1 * w;
}

void shape_measure(shape_t *out, const uint8_t *mask, int32_t width, int32_t height) {
    LENS_ASSERT(width > 0 && width <= SIDE_MAX && height > 0 && height <= SIDE_MAX, "mask of %d x %d", width, height);
    *out = (shape_t){.x0 = width, .y0 = height};
    double n = 0, own = 0, sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0;
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++) {
            uint8_t m = mask[(int64_t)y * width + x];
            if (!m) continue;
            own += m == 1;
            n++;
            sx += x + 0.5;
            sy += y + 0.5;
            sxx += (x + 0.5) * (x + 0.5);
            syy += (y + 0.5) * (y + 0.5);
            sxy += (x + 0.5) * (y + 0.5);
            if (x < out->x0) out->x0 = x;
            if (x >= out->x1) out->x1 = x + 1;
            if (y < out->y0) out->y0 = y;
            if (y >= out->y1) out->y1 = y + 1;
        }
    LENS_ASSERT(own > 0, "%g pixels", own);
    out->area_px = own;
    out->filled_px = n;
    out->centre_x_px = sx / n;
    out->centre_y_px = sy / n;
    double vx = sxx / n - sx / n * sx / n + 1.0 / 12, vy = syy / n - sy / n * sy / n + 1.0 / 12;
    double vxy = sxy / n - sx / n * sy / n;

    hull_t hull;
    hull_build(&hull, mask, width, height);
    double hull_px = hull_area(&hull), long_px = 1, short_px = 1, angle = 0;
    hull_rectangle(&hull, &long_px, &short_px, &angle);
    out->solidity = n / hull_px;
    out->elongation = long_px / short_px;
    out->axis = axis_of(angle, out->elongation);
    outline_t outline = {.area_px = hull_px,
                         .rectangle_px = long_px * short_px,
                         .ellipse = n / (4 * M_PI * sqrt(fmax(vx * vy - vxy * vxy, 1e-6)))};

    if (n < SPOT_PX) {
        out->kind = out->elongation >= 4 ? SHAPE_STRIP : SHAPE_SPOT;
    } else if (is_heart(out, mask, width, height)) {
        out->kind = SHAPE_HEART;
    } else if (out->solidity >= 0.9) {
        out->kind = convex_kind(out, &hull, &outline);
        bool has_opening = (n - own) / n > 0.1;
        bool is_round = out->kind == SHAPE_ROUND || out->kind == SHAPE_OVAL;
        bool is_straight = out->kind == SHAPE_SQUARE || out->kind == SHAPE_RECTANGLE;
        if (has_opening) out->kind = is_round ? SHAPE_RING : is_straight ? SHAPE_FRAME : SHAPE_IRREGULAR;
    } else if (out->elongation >= 3.5) {
        out->kind = SHAPE_STRIP;
    } else {
        int arms = out->elongation < 1.3 ? count_arms(out, mask, width, height) : 0;
        out->kind = arms == 4                                         ? SHAPE_CROSS
                    : arms >= 5 && arms <= 12 && out->solidity < 0.85 ? SHAPE_STAR
                                                                      : SHAPE_IRREGULAR;
    }
}
