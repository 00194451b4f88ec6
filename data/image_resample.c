/* Separable resampling in floats, four output rows at a time. Any thread.
 *
 * Down first: the input rows under each of the four output rows are summed, over contiguous bytes. The four sums are
 * written interleaved, f32 [input x, channel, 4], so that one vector holds a pixel of all four rows and the pass across
 * multiplies it whole. Both passes are bound by arithmetic, not by memory: nothing but the four rows is kept. */
#include "data/image_resample.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/image_light.h"
#include "data/image_taps.h"

#define ROWS 4                /* output rows in one go */
#define PIXEL_F32 (3 * ROWS)  /* floats of one pixel of them */
#define VECTOR_F32 (4 * ROWS) /* and with what a vector of a round length takes of the next */

typedef float f32x16 __attribute__((vector_size(64)));
typedef int32_t i32x16 __attribute__((vector_size(64)));
typedef uint8_t u8x16 __attribute__((vector_size(16)));

typedef struct {
    const image_t *in;
    image_taps_t across, down;
    const image_light_t *light; /* NULL: values as stored are averaged */
    size_t left, n;             /* bytes of an input row that some output takes: [left, left + n) */
    float *sums;                /* f32 [n, ROWS] and one pixel of padding, owned */
    float *apart;               /* f32 [ROWS, n]: sums before they are interleaved, owned */
} resampler_t;

/* ---- down ---- */

/* The input under output row y, and its weights. */
static const uint8_t *rows_under(const resampler_t *r, int32_t y, const float **weight) {
    *weight = r->down.weight + (size_t)y * (size_t)r->down.n_taps;
    return r->in->rgb + (size_t)r->down.first[y] * (size_t)r->in->width * 3 + r->left;
}

/* n_taps is a constant where this is called, which unrolls the inner loops. */
static inline __attribute__((always_inline)) void sum_few_rows(const resampler_t *r, const int32_t y[ROWS],
                                                               int32_t n_taps) {
    float *restrict sums = r->sums;
    size_t n = r->n, stride = (size_t)r->in->width * 3;
    const float *w[ROWS];
    const uint8_t *row[ROWS];
    for (int k = 0; k < ROWS; k++) row[k] = rows_under(r, y[k], &w[k]);
    for (size_t i = 0; i < n; i++) {
        float s[ROWS] = {0};
        for (int32_t t = 0; t < n_taps; t++)
            for (int k = 0; k < ROWS; k++) s[k] += w[k][t] * (float)row[k][(size_t)t * stride + i];
        for (int k = 0; k < ROWS; k++) sums[i * ROWS + (size_t)k] = s[k];
    }
}

static void sum_row(const resampler_t *r, int32_t y, float *restrict sum) {
    const float *weight;
    const uint8_t *row = rows_under(r, y, &weight);
    size_t n = r->n;
    memset(sum, 0, n * sizeof *sum);
    for (int32_t t = 0; t < r->down.n_taps; t++, row += (size_t)r->in->width * 3) {
        float w = weight[t];
        if (r->light)
            for (size_t i = 0; i < n; i++) sum[i] += w * r->light->linear[row[i]];
        else
            for (size_t i = 0; i < n; i++) sum[i] += w * (float)row[i];
    }
}

static void sum_many_rows(const resampler_t *r, const int32_t y[ROWS]) {
    size_t n = r->n;
    for (int k = 0; k < ROWS; k++) sum_row(r, y[k], r->apart + (size_t)k * n);
    const float *restrict apart = r->apart;
    float *restrict sums = r->sums;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < ROWS; k++) sums[i * ROWS + k] = apart[k * n + i];
}

static void sum_rows(const resampler_t *r, const int32_t y[ROWS]) {
    int32_t n_taps = r->light ? 0 : r->down.n_taps;
    switch (n_taps) {
    case 1:
        sum_few_rows(r, y, 1);
        break;
    case 2:
        sum_few_rows(r, y, 2);
        break;
    case 3:
        sum_few_rows(r, y, 3);
        break;
    case 4:
        sum_few_rows(r, y, 4);
        break;
    default:
        sum_many_rows(r, y);
    }
}

/* ---- across ---- */

/* One pixel of four rows: red of each, green of each, blue of each, and what is not used. */
static void store_bytes(uint8_t *const to[ROWS], size_t x, const f32x16 *value, bool last) {
    i32x16 v = __builtin_convertvector(*value + 0.5f, i32x16);
    v &= ~(v >> 31); /* the lobes of Lanczos overshoot either end */
    i32x16 above = v > 255;
    v = (v & ~above) | (above & 255);
    u8x16 bytes = __builtin_convertvector(v, u8x16);
    bytes = __builtin_shufflevector(bytes, bytes, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    uint8_t pixel[ROWS][4];
    memcpy(pixel, &bytes, sizeof bytes);
    /* Four bytes are one store; the fourth is the next pixel's, which comes later, except at the end of a row. */
    for (size_t k = 0; k < ROWS; k++) {
        if (last)
            memcpy(to[k] + 3 * x, pixel[k], 3);
        else
            memcpy(to[k] + 3 * x, pixel[k], 4);
    }
}

static void store_light(uint8_t *const to[ROWS], size_t x, const f32x16 *value, const image_light_t *light) {
    for (size_t c = 0; c < 3; c++)
        for (size_t k = 0; k < ROWS; k++) to[k][3 * x + c] = image_light_to_srgb(light, (*value)[c * ROWS + k]);
}

static inline __attribute__((always_inline)) void reduce_across(const resampler_t *r, uint8_t *const to[ROWS],
                                                                int32_t n_taps) {
    const float *w = r->across.weight;
    size_t n_out = (size_t)r->across.n_out;
    for (size_t x = 0; x < n_out; x++, w += n_taps) {
        const float *from = r->sums + (size_t)r->across.first[x] * PIXEL_F32 - r->left * ROWS;
        f32x16 sum = {0};
        for (int32_t t = 0; t < n_taps; t++) {
            f32x16 pixel;
            memcpy(&pixel, from + (size_t)t * PIXEL_F32, sizeof pixel);
            sum += w[t] * pixel;
        }
        if (r->light)
            store_light(to, x, &sum, r->light);
        else
            store_bytes(to, x, &sum, x + 1 == n_out);
    }
}

static void reduce_rows(const resampler_t *r, uint8_t *const to[ROWS]) {
    switch (r->across.n_taps) {
    case 2:
        reduce_across(r, to, 2);
        break;
    case 3:
        reduce_across(r, to, 3);
        break;
    case 4:
        reduce_across(r, to, 4);
        break;
    default:
        reduce_across(r, to, r->across.n_taps);
    }
}

/* ---- the whole ---- */

static void resampler_free(resampler_t *r) {
    free(r->sums);
    free(r->apart);
    image_taps_free(&r->across);
    image_taps_free(&r->down);
}

static lens_status resampler_new(resampler_t *r, const image_t *in, image_box_t box, int32_t width, int32_t height,
                                 image_filter filter) {
    *r = (resampler_t){.in = in};
    LENS_TRY(image_taps_new(&r->across, filter, in->width, box.x, box.width, width));
    LENS_TRY(image_taps_new(&r->down, filter, in->height, box.y, box.height, height));
    int32_t first = r->across.first[0], end = r->across.first[width - 1] + r->across.n_taps;
    r->left = (size_t)first * 3;
    r->n = (size_t)(end - first) * 3;
    size_t size = (r->n * ROWS + VECTOR_F32 - PIXEL_F32) * sizeof *r->sums;
    r->sums = calloc(1, size);
    r->apart = malloc(r->n * ROWS * sizeof *r->apart);
    if (!r->sums || !r->apart) return lens_fail(LENS_MEMORY, "2 x %zu bytes for rows of a picture", size);
    return LENS_OK;
}

static void resampler_run(const resampler_t *r, uint8_t *rgb, int32_t width, int32_t height) {
    for (int32_t top = 0; top < height; top += ROWS) {
        int32_t y[ROWS];
        uint8_t *to[ROWS];
        for (int32_t k = 0; k < ROWS; k++) { /* the last row stands in for those below it */
            y[k] = top + k < height ? top + k : height - 1;
            to[k] = rgb + (size_t)y[k] * (size_t)width * 3;
        }
        sum_rows(r, y);
        reduce_rows(r, to);
    }
}

static bool box_is_a_copy(image_box_t box, int32_t width, int32_t height) {
    return box.width == width && box.height == height && box.x == floor(box.x) && box.y == floor(box.y);
}

static void copy_box(uint8_t *rgb, int32_t width, int32_t height, const image_t *in, image_box_t box) {
    size_t row_bytes = (size_t)width * 3, stride = (size_t)in->width * 3;
    const uint8_t *from = in->rgb + (size_t)box.y * stride + (size_t)box.x * 3;
    for (size_t y = 0; y < (size_t)height; y++) memcpy(rgb + y * row_bytes, from + y * stride, row_bytes);
}

lens_status image_resample(uint8_t *rgb, int32_t width, int32_t height, const image_t *in, image_box_t box,
                           image_resampling_t how) {
    if (box_is_a_copy(box, width, height)) {
        copy_box(rgb, width, height, in, box);
        return LENS_OK;
    }
    resampler_t r;
    image_light_t *light = NULL;
    lens_status st = LENS_OK;
    LENS_GO(resampler_new(&r, in, box, width, height, how.filter));
    if (how.linear_light) LENS_GO(image_light_new(&light));
    r.light = light;
    resampler_run(&r, rgb, width, height);
done:
    free(light);
    resampler_free(&r);
    return st;
}

lens_status image_cover_box(image_box_t *out, int32_t in_width, int32_t in_height, int32_t width, int32_t height,
                            double at_x, double at_y) {
    if (!(at_x >= 0 && at_x <= 1 && at_y >= 0 && at_y <= 1))
        return lens_fail(LENS_ARGUMENT, "crop placed at (%g, %g): expected 0 to 1", at_x, at_y);
    if (width < 1 || height < 1)
        return lens_fail(LENS_ARGUMENT, "crop of %" PRId32 " x %" PRId32 " px: sides below 1", width, height);
    double scale = fmin((double)in_width / width, (double)in_height / height);
    *out = (image_box_t){.width = width * scale, .height = height * scale};
    out->x = fmax(in_width - out->width, 0) * at_x;
    out->y = fmax(in_height - out->height, 0) * at_y;
    return LENS_OK;
}

/* ---- pictures ---- */

static lens_status resample_new(image_t *out, const image_t *in, image_box_t box, int32_t width, int32_t height,
                                image_resampling_t how) {
    LENS_TRY(image_new(out, width, height));
    lens_status st = image_resample(out->rgb, width, height, in, box, how);
    if (st != LENS_OK) image_free(out);
    return st;
}

lens_status image_resize_with(image_t *out, const image_t *in, int32_t width, int32_t height, image_resampling_t how) {
    return resample_new(out, in, (image_box_t){0, 0, in->width, in->height}, width, height, how);
}

lens_status image_resize(image_t *out, const image_t *in, int32_t width, int32_t height) {
    return image_resize_with(out, in, width, height, (image_resampling_t){.filter = IMAGE_TRIANGLE});
}

lens_status image_cover_with(image_t *out, const image_t *in, int32_t width, int32_t height, double at_x, double at_y,
                             image_resampling_t how) {
    *out = (image_t){0};
    image_box_t box;
    LENS_TRY(image_cover_box(&box, in->width, in->height, width, height, at_x, at_y));
    return resample_new(out, in, box, width, height, how);
}

lens_status image_cover(image_t *out, const image_t *in, int32_t width, int32_t height, double at_x, double at_y) {
    return image_cover_with(out, in, width, height, at_x, at_y, (image_resampling_t){.filter = IMAGE_TRIANGLE});
}
