#include "eval/detect_bound.h"

#include <math.h>

enum { POWER_ROUNDS = 8 };

static float dot(const float *a, const float *b) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* Square of the distance from the segment 0 to `to` of the point, where that is nearest; its own length else. */
static float segment_square(const float *point, const float *to) {
    float along = dot(point, to), length = dot(to, to), t = length > 0 ? along / length : 0;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return dot(point, point) - 2 * t * along + t * t * length;
}

/* And from the triangle 0, a, b. */
static float triangle_square(const float *p, const float *a, const float *b) {
    float aa = dot(a, a), ab = dot(a, b), bb = dot(b, b), pa = dot(p, a), pb = dot(p, b), det = aa * bb - ab * ab;
    float u = (pa * bb - pb * ab) / det, v = (pb * aa - pa * ab) / det;
    if (det > 1e-4f * aa * bb && u >= 0 && v >= 0 && u + v <= 1) return dot(p, p) - u * pa - v * pb;
    float from_a[3] = {p[0] - a[0], p[1] - a[1], p[2] - a[2]}, edge[3] = {b[0] - a[0], b[1] - a[1], b[2] - a[2]};
    return fminf(segment_square(p, a), fminf(segment_square(p, b), segment_square(from_a, edge)));
}

/* Largest eigenvalue of a symmetric matrix without negative ones, by powers of it: never more than it is. */
static double largest_eigenvalue(double m[3][3]) {
    double v[3] = {m[0][0] + m[0][1] + m[0][2], m[1][0] + m[1][1] + m[1][2], m[2][0] + m[2][1] + m[2][2]}, value = 0;
    for (int round = 0; round < POWER_ROUNDS; round++) {
        double next[3], length = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
        if (!(length > 0)) return 0;
        value = 0;
        for (int k = 0; k < 3; k++) v[k] /= length;
        for (int k = 0; k < 3; k++) {
            next[k] = m[k][0] * v[0] + m[k][1] * v[1] + m[k][2] * v[2];
            value += v[k] * next[k];
        }
        for (int k = 0; k < 3; k++) v[k] = next[k];
    }
    return value;
}

void fit_bound(fit_bound_t *out, const fit_region_t *r) {
    double m[3][3] = {{0}};
    *out = (fit_bound_t){0};
    for (int i = 0; i < r->n; i++) {
        const fit_pixel_t *q = &r->pixels[i];
        float p[3];
        for (int k = 0; k < 3; k++) p[k] = q->colour[k] - q->ground[k];
        for (int k = 0; k < 9; k++) m[k / 3][k % 3] += p[k / 3] * p[k % 3];
        for (int c = 0; c < SCENE_N_COLOURS; c++) {
            const uint8_t *fill = scene_colour_rgb((scene_colour)c);
            const uint8_t *accent = scene_colour_rgb(scene_accent((scene_colour)c));
            float a[3], b[3];
            for (int k = 0; k < 3; k++) {
                a[k] = fill[k] - q->ground[k];
                b[k] = accent[k] - q->ground[k];
            }
            out->textured[c] += fmaxf(triangle_square(p, a, b), 0);
        }
    }
    out->energy = m[0][0] + m[1][1] + m[2][2];
    out->plain = fmax(out->energy - largest_eigenvalue(m), 0);
}
