#include "data/image_taps.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#define TAPS_LANCZOS_LOBES 3
#define TAPS_PI 3.14159265358979323846

typedef struct {
    image_filter filter;
    double step;   /* inputs from one output to the next */
    double widen;  /* inputs in one unit of the filter's own axis: the coarser grid's pixel */
    double radius; /* inputs on either side of the centre that can have a weight */
} kernel_t;

static kernel_t kernel_of(image_filter filter, double step) {
    kernel_t k = {.filter = filter, .step = step, .widen = step > 1 ? step : 1};
    /* A box narrower than a pixel would repeat pixels; enlarging is bilinear. */
    if (filter == IMAGE_AREA && step <= 1) k.filter = IMAGE_TRIANGLE;
    k.radius = k.widen * (k.filter == IMAGE_LANCZOS ? TAPS_LANCZOS_LOBES : 1);
    /* Pixels have a width: one is touched while its centre is within half a pixel of the box. */
    if (k.filter == IMAGE_AREA) k.radius = step / 2 + 0.5;
    return k;
}

static double sinc(double x) {
    return x == 0 ? 1 : sin(TAPS_PI * x) / (TAPS_PI * x);
}

/* d: inputs between the centres of the input and of the output. */
static double kernel_weight(const kernel_t *k, double d) {
    double away = fabs(d), x = away / k->widen, shared;
    switch (k->filter) {
    case IMAGE_AREA: /* the length that the pixel and the box share */
        shared = (away + 0.5 < k->step / 2 ? away + 0.5 : k->step / 2) - (away - 0.5);
        return shared > 0 ? shared : 0;
    case IMAGE_TRIANGLE:
        return x < 1 ? 1 - x : 0;
    default:
        return x < TAPS_LANCZOS_LOBES ? sinc(x) * sinc(x / TAPS_LANCZOS_LOBES) : 0;
    }
}

/* Inputs [lo, hi] are those whose centre, k + 0.5, lies within the radius. Rounding may not add one of no weight. */
static void kernel_span(const kernel_t *k, double centre, int32_t n_in, int32_t *lo, int32_t *hi) {
    const double tiny = 1e-9;
    int64_t first = (int64_t)floor(centre - k->radius - 0.5 + tiny) + 1;
    int64_t last = (int64_t)ceil(centre + k->radius - 0.5 - tiny) - 1;
    *lo = (int32_t)(first < 0 ? 0 : first < n_in ? first : n_in - 1);
    *hi = (int32_t)(last < *lo ? *lo : last < n_in ? last : n_in - 1);
}

void image_taps_free(image_taps_t *t) {
    free(t->first);
    free(t->weight);
    *t = (image_taps_t){0};
}

static void taps_fill(image_taps_t *t, const kernel_t *kernel, int32_t i, double centre, int32_t n_in) {
    float *w = t->weight + (size_t)i * (size_t)t->n_taps;
    int32_t lo, hi;
    kernel_span(kernel, centre, n_in, &lo, &hi);
    double sum = 0;
    for (int32_t k = lo; k <= hi; k++) sum += kernel_weight(kernel, k + 0.5 - centre);
    /* At the picture's end the zeros come first. */
    t->first[i] = lo < n_in - t->n_taps ? lo : n_in - t->n_taps;
    for (int32_t k = 0; k < t->n_taps; k++) {
        int32_t at = t->first[i] + k;
        w[k] = at >= lo && at <= hi ? (float)(kernel_weight(kernel, at + 0.5 - centre) / sum) : 0;
    }
}

lens_status image_taps_new(image_taps_t *t, image_filter filter, int32_t n_in, double begin, double extent,
                           int32_t n_out) {
    double step = extent / n_out;
    kernel_t kernel = kernel_of(filter, step);
    *t = (image_taps_t){.n_out = n_out};
    for (int32_t i = 0; i < n_out; i++) {
        int32_t lo, hi;
        kernel_span(&kernel, begin + (i + 0.5) * step, n_in, &lo, &hi);
        if (hi - lo + 1 > t->n_taps) t->n_taps = hi - lo + 1;
    }
    size_t n = (size_t)n_out;
    t->first = malloc(n * sizeof *t->first);
    t->weight = malloc(n * (size_t)t->n_taps * sizeof *t->weight);
    if (!t->first || !t->weight) {
        lens_status st = lens_fail(LENS_MEMORY, "filter weights of %" PRId32 " x %" PRId32, n_out, t->n_taps);
        image_taps_free(t);
        return st;
    }
    for (int32_t i = 0; i < n_out; i++) taps_fill(t, &kernel, i, begin + (i + 0.5) * step, n_in);
    return LENS_OK;
}
