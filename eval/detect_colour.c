#include "eval/detect_colour.h"

#include <math.h>

#include "data/scene.h"
#include "eval/detect.h"

/* A fill is named within FILL_REACH, and where it is nearer than CLEARLY times the second. */
#define FILL_REACH 0.11
#define GROUND_REACH 0.06
#define CLEARLY 0.6

static double linear(double code) {
    double v = code < 0 ? 0 : code > 255 ? 1 : code / 255;
    return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

/* Bjorn Ottosson, "A perceptual color space for image processing" (2020). */
static void oklab(double *out, const double *rgb) {
    double r = linear(rgb[0]), g = linear(rgb[1]), b = linear(rgb[2]);
    double l = cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
    double m = cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
    double s = cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
    out[0] = 0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s;
    out[1] = 1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s;
    out[2] = 0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s;
}

static double oklab_distance(const double *lab, const uint8_t *rgb) {
    double other[3], code[3] = {rgb[0], rgb[1], rgb[2]};
    oklab(other, code);
    double l = lab[0] - other[0], a = lab[1] - other[1], b = lab[2] - other[2];
    return sqrt(l * l + a * a + b * b);
}

typedef struct {
    int at;
    double first, second; /* distances */
} nearest_t;

static void nearest_add(nearest_t *n, int at, double distance) {
    if (distance < n->first) {
        n->second = n->first;
        n->first = distance;
        n->at = at;
    } else if (distance < n->second)
        n->second = distance;
}

static nearest_t nearest_fill(const double *rgb) {
    double lab[3];
    nearest_t n = {DETECT_UNKNOWN, 1e9, 1e9};
    oklab(lab, rgb);
    for (int i = 0; i < SCENE_N_COLOURS; i++)
        nearest_add(&n, i, oklab_distance(lab, scene_colour_rgb((scene_colour)i)));
    return n;
}

int detect_nearest_fill(const double *rgb, double *distance) {
    nearest_t n = nearest_fill(rgb);
    *distance = n.first;
    return n.at;
}

int detect_fill_name(const double *rgb) {
    nearest_t n = nearest_fill(rgb);
    return n.first <= FILL_REACH && n.first <= CLEARLY * n.second ? n.at : DETECT_UNKNOWN;
}

int detect_ground_name(const double *rgb) {
    double lab[3];
    nearest_t n = {DETECT_UNKNOWN, 1e9, 1e9};
    oklab(lab, rgb);
    for (int i = 0; i < SCENE_N_GROUNDS; i++)
        nearest_add(&n, i, oklab_distance(lab, scene_ground_rgb((scene_ground)i)));
    return n.first <= GROUND_REACH && n.first <= CLEARLY * n.second ? n.at : DETECT_UNKNOWN;
}
