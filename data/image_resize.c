/* Resampling: a separable triangle filter, as wide as one pixel of the coarser grid on either side. Any thread.
 *
 * One output row at a time: the input rows under it are summed into one row of floats (the loop that costs, over
 * contiguous memory), and that row is then reduced along x. Nothing larger than a row is kept between. */
#include "data/image.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* What output i takes: weight[i * stride + k] of input first[i] + k, k below count[i]; the weights sum to 1. */
typedef struct {
    int32_t n_out, stride;
    int32_t *first, *count;
    float *weight;
} taps_t;

static void taps_free(taps_t *t) {
    free(t->first);
    free(t->count);
    free(t->weight);
    *t = (taps_t){0};
}

/* The outputs cover [begin, begin + extent) of n_in inputs. Taps outside the picture are left out, not mirrored. */
static lens_status taps_new(taps_t *t, int32_t n_in, double begin, double extent, int32_t n_out) {
    double step = extent / n_out, radius = step > 1 ? step : 1;
    *t = (taps_t){.n_out = n_out, .stride = (int32_t)fmin(2 * ceil(radius) + 1, n_in)};
    size_t n = (size_t)n_out;
    t->first = malloc(n * sizeof *t->first);
    t->count = malloc(n * sizeof *t->count);
    t->weight = malloc(n * (size_t)t->stride * sizeof *t->weight);
    if (!t->first || !t->count || !t->weight) {
        taps_free(t);
        return lens_fail(LENS_MEMORY, "filter weights of %" PRId32 " x %" PRId32, n_out, t->stride);
    }
    for (int32_t i = 0; i < n_out; i++) {
        double centre = begin + (i + 0.5) * step, sum = 0;
        float *w = t->weight + (size_t)i * (size_t)t->stride;
        /* Pixel k is centred on k + 0.5; those within the radius have a weight above 0. */
        int32_t lo = (int32_t)fmax(floor(centre - radius - 0.5) + 1, 0);
        int32_t hi = (int32_t)fmin(ceil(centre + radius - 0.5) - 1, n_in - 1);
        LENS_ASSERT(lo <= hi && hi - lo < t->stride, "output %d takes inputs %d to %d", (int)i, (int)lo, (int)hi);
        t->first[i] = lo;
        t->count[i] = hi - lo + 1;
        for (int32_t k = lo; k <= hi; k++) sum += 1 - fabs(k + 0.5 - centre) / radius;
        for (int32_t k = lo; k <= hi; k++) w[k - lo] = (float)((1 - fabs(k + 0.5 - centre) / radius) / sum);
    }
    return LENS_OK;
}

/* sum: f32 [n]; rows: u8 [count][stride]. */
static void resize_sum_rows(float *restrict sum, const uint8_t *restrict rows, size_t stride, size_t n,
                            const float *weight, int32_t count) {
    for (size_t i = 0; i < n; i++) sum[i] = 0;
    for (int32_t k = 0; k < count; k++) {
        const uint8_t *restrict row = rows + (size_t)k * stride;
        float w = weight[k];
        for (size_t i = 0; i < n; i++) sum[i] += w * (float)row[i];
    }
}

static void resize_row(uint8_t *restrict out, const float *restrict row, const taps_t *t) {
    for (int32_t x = 0; x < t->n_out; x++) {
        const float *w = t->weight + (size_t)x * (size_t)t->stride, *in = row + (size_t)t->first[x] * 3;
        float r = 0.5f, g = 0.5f, b = 0.5f;
        for (int32_t k = 0; k < t->count[x]; k++, in += 3) {
            r += w[k] * in[0];
            g += w[k] * in[1];
            b += w[k] * in[2];
        }
        /* A weighted mean of bytes: never below 0, never rounded up to 256. */
        out[3 * x] = (uint8_t)r;
        out[3 * x + 1] = (uint8_t)g;
        out[3 * x + 2] = (uint8_t)b;
    }
}

typedef struct {
    double x, y, width, height; /* px of the input */
} box_t;

static lens_status resize_box(image_t *out, const image_t *in, box_t box, int32_t width, int32_t height) {
    taps_t across = {0}, down = {0};
    float *row = NULL;
    size_t stride = (size_t)in->width * 3;
    lens_status st = LENS_OK;
    LENS_GO(image_new(out, width, height));
    LENS_GO(taps_new(&across, in->width, box.x, box.width, width));
    LENS_GO(taps_new(&down, in->height, box.y, box.height, height));
    /* Only the columns that some output takes are summed. */
    size_t left = (size_t)across.first[0] * 3;
    size_t right = (size_t)(across.first[width - 1] + across.count[width - 1]) * 3;
    row = malloc(stride * sizeof *row);
    if (!row) {
        st = lens_fail(LENS_MEMORY, "%zu bytes for a row of a picture", stride * sizeof *row);
        goto done;
    }
    for (int32_t y = 0; y < height; y++) {
        const uint8_t *rows = in->rgb + (size_t)down.first[y] * stride + left;
        const float *weight = down.weight + (size_t)y * (size_t)down.stride;
        resize_sum_rows(row + left, rows, stride, right - left, weight, down.count[y]);
        resize_row(out->rgb + (size_t)y * (size_t)width * 3, row, &across);
    }
done:
    free(row);
    taps_free(&across);
    taps_free(&down);
    if (st != LENS_OK) image_free(out);
    return st;
}

lens_status image_resize(image_t *out, const image_t *in, int32_t width, int32_t height) {
    return resize_box(out, in, (box_t){0, 0, in->width, in->height}, width, height);
}

lens_status image_cover(image_t *out, const image_t *in, int32_t width, int32_t height, double at_x, double at_y) {
    *out = (image_t){0};
    if (!(at_x >= 0 && at_x <= 1 && at_y >= 0 && at_y <= 1))
        return lens_fail(LENS_ARGUMENT, "crop placed at (%g, %g): expected 0 to 1", at_x, at_y);
    if (width < 1 || height < 1)
        return lens_fail(LENS_ARGUMENT, "crop of %" PRId32 " x %" PRId32 " px: sides below 1", width, height);
    /* The largest part of the input that has the output's shape. */
    double scale = fmin((double)in->width / width, (double)in->height / height);
    box_t box = {.width = width * scale, .height = height * scale};
    box.x = fmax(in->width - box.width, 0) * at_x;
    box.y = fmax(in->height - box.height, 0) * at_y;
    return resize_box(out, in, box, width, height);
}
