/* Separable resampling in floats, eight output rows at a time. Any thread.
 *
 * Down first: the input rows under each of the eight output rows are summed, over contiguous bytes. The sums are then
 * interleaved, f32 [input x, channel, 8], so that one vector holds a channel of a pixel of all eight rows and the pass
 * across needs no other. Nothing but the eight rows is kept. */
#include "data/image_resample.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/image_light.h"
#include "data/image_taps.h"

#define ROWS 8 /* output rows in one go: as many as a vector holds */
#define PIXEL_F32 (3 * ROWS)

/* Vectors as GCC and Clang both have them. Of 32 bytes: longer ones fall apart where the processor lacks them. */
typedef float f32x8 __attribute__((vector_size(32)));
typedef int32_t i32x8 __attribute__((vector_size(32)));
typedef uint8_t u8x32 __attribute__((vector_size(32)));

typedef struct {
    const image_t *in;
    image_taps_t across, down;
    bool overshoots;            /* weights below 0 */
    const image_light_t *light; /* NULL: values as stored are averaged */
    size_t left, n;             /* bytes of an input row that some output takes: [left, left + n) */
    float *sums;                /* f32 [n, ROWS], owned */
    float *apart;               /* f32 [ROWS, n]: sums before they are interleaved, owned */
} resampler_t;

/* ---- down ---- */

/* n_taps is a constant where this is called, which unrolls the inner loop. */
static inline __attribute__((always_inline)) void sum_few(float *restrict sum, const uint8_t *restrict row,
                                                          size_t stride, size_t n, const float *w, int32_t n_taps) {
    for (size_t i = 0; i < n; i++) {
        float s = 0;
        for (int32_t t = 0; t < n_taps; t++) s += w[t] * (float)row[(size_t)t * stride + i];
        sum[i] = s;
    }
}

static void sum_many(float *restrict sum, const uint8_t *restrict row, size_t stride, size_t n, const float *w,
                     int32_t n_taps) {
    memset(sum, 0, n * sizeof *sum);
    for (int32_t t = 0; t < n_taps; t++, row += stride)
        for (size_t i = 0; i < n; i++) sum[i] += w[t] * (float)row[i];
}

static void sum_light(float *restrict sum, const uint8_t *restrict row, size_t stride, size_t n, const float *w,
                      int32_t n_taps, const float *restrict linear) {
    memset(sum, 0, n * sizeof *sum);
    for (int32_t t = 0; t < n_taps; t++, row += stride)
        for (size_t i = 0; i < n; i++) sum[i] += w[t] * linear[row[i]];
}

static void sum_row(const resampler_t *r, int32_t y, float *sum) {
    size_t stride = (size_t)r->in->width * 3;
    int32_t n_taps = r->down.n_taps;
    const float *w = r->down.weight + (size_t)y * (size_t)n_taps;
    const uint8_t *row = r->in->rgb + (size_t)r->down.first[y] * stride + r->left;
    if (r->light)
        sum_light(sum, row, stride, r->n, w, n_taps, r->light->linear);
    else if (n_taps == 2)
        sum_few(sum, row, stride, r->n, w, 2);
    else if (n_taps == 3)
        sum_few(sum, row, stride, r->n, w, 3);
    else if (n_taps == 4)
        sum_few(sum, row, stride, r->n, w, 4);
    else
        sum_many(sum, row, stride, r->n, w, n_taps);
}

static inline f32x8 load_f32x8(const float *from) {
    f32x8 v;
    memcpy(&v, from, sizeof v);
    return v;
}

/* Either half of the vectors is a matrix of 4 x 4, which is transposed. */
static inline void transpose_halves(f32x8 v[4]) {
    f32x8 ab = __builtin_shufflevector(v[0], v[1], 0, 8, 1, 9, 4, 12, 5, 13);
    f32x8 AB = __builtin_shufflevector(v[0], v[1], 2, 10, 3, 11, 6, 14, 7, 15);
    f32x8 cd = __builtin_shufflevector(v[2], v[3], 0, 8, 1, 9, 4, 12, 5, 13);
    f32x8 CD = __builtin_shufflevector(v[2], v[3], 2, 10, 3, 11, 6, 14, 7, 15);
    v[0] = __builtin_shufflevector(ab, cd, 0, 1, 8, 9, 4, 5, 12, 13);
    v[1] = __builtin_shufflevector(ab, cd, 2, 3, 10, 11, 6, 7, 14, 15);
    v[2] = __builtin_shufflevector(AB, CD, 0, 1, 8, 9, 4, 5, 12, 13);
    v[3] = __builtin_shufflevector(AB, CD, 2, 3, 10, 11, 6, 7, 14, 15);
}

/* to: f32 [8, ROWS], from: f32 [ROWS][stride], of which 8 are taken. */
static inline void interleave(float *to, const float *from, size_t stride) {
    f32x8 upper[4], lower[4];
    for (size_t k = 0; k < 4; k++) {
        upper[k] = load_f32x8(from + k * stride);
        lower[k] = load_f32x8(from + (k + 4) * stride);
    }
    transpose_halves(upper);
    transpose_halves(lower);
    for (size_t k = 0; k < 4; k++) {
        f32x8 left = __builtin_shufflevector(upper[k], lower[k], 0, 1, 2, 3, 8, 9, 10, 11);
        f32x8 right = __builtin_shufflevector(upper[k], lower[k], 4, 5, 6, 7, 12, 13, 14, 15);
        memcpy(to + k * ROWS, &left, sizeof left);
        memcpy(to + (k + 4) * ROWS, &right, sizeof right);
    }
}

static void sum_rows(const resampler_t *r, const int32_t y[ROWS]) {
    size_t n = r->n, i = 0;
    for (size_t k = 0; k < ROWS; k++) sum_row(r, y[k], r->apart + k * n);
    for (; i + 8 <= n; i += 8) interleave(r->sums + i * ROWS, r->apart + i, n);
    for (; i < n; i++)
        for (size_t k = 0; k < ROWS; k++) r->sums[i * ROWS + k] = r->apart[k * n + i];
}

/* ---- across ---- */

typedef struct {
    f32x8 red, green, blue; /* of ROWS rows */
} column_t;

static inline __attribute__((always_inline)) column_t column_of(const resampler_t *r, size_t x, int32_t n_taps) {
    const float *w = r->across.weight + x * (size_t)n_taps;
    const float *from = r->sums + (size_t)r->across.first[x] * PIXEL_F32 - r->left * ROWS;
    column_t c = {0};
    for (int32_t t = 0; t < n_taps; t++, from += PIXEL_F32) {
        c.red += w[t] * load_f32x8(from);
        c.green += w[t] * load_f32x8(from + ROWS);
        c.blue += w[t] * load_f32x8(from + 2 * ROWS);
    }
    return c;
}

/* The lobes of Lanczos overshoot either end. */
static inline __attribute__((always_inline)) i32x8 codes_of(f32x8 value, bool overshoots) {
    i32x8 v = __builtin_convertvector(value + 0.5f, i32x8);
    if (!overshoots) return v;
    v &= ~(v >> 31);
    i32x8 above = v > 255;
    return (v & ~above) | (above & 255);
}

/* A pixel of each row as a little-endian number: red lowest, no fourth byte. */
static inline __attribute__((always_inline)) i32x8 pixels_of(column_t c, bool overshoots) {
    return codes_of(c.red, overshoots) | codes_of(c.green, overshoots) << 8 | codes_of(c.blue, overshoots) << 16;
}

static inline void store_one(uint8_t *const to[ROWS], size_t x, i32x8 pixels) {
    for (size_t k = 0; k < ROWS; k++) {
        uint32_t p = (uint32_t)pixels[k];
        const uint8_t rgb[3] = {(uint8_t)p, (uint8_t)(p >> 8), (uint8_t)(p >> 16)};
        memcpy(to[k] + 3 * x, rgb, sizeof rgb);
    }
}

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "store_four takes the bytes of numbers to be in little-endian order"
#endif

/* Four pixels of each row, and four bytes after them: those of pixels that come later. */
static inline void store_four(uint8_t *const to[ROWS], size_t x, f32x8 pixels[4]) {
    transpose_halves(pixels); /* [k]: four pixels of row k, and four of row k + 4 */
    for (size_t k = 0; k < 4; k++) {
        u8x32 b = (u8x32)pixels[k];
        b = __builtin_shufflevector(b, b, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 7, 11, 15, 16, 17, 18, 20, 21, 22,
                                    24, 25, 26, 28, 29, 30, 19, 23, 27, 31);
        uint8_t bytes[32];
        memcpy(bytes, &b, sizeof b);
        memcpy(to[k] + 3 * x, bytes, 16);
        memcpy(to[k + 4] + 3 * x, bytes + 16, 16);
    }
}

static inline __attribute__((always_inline)) void reduce_across(const resampler_t *r, uint8_t *const to[ROWS],
                                                                int32_t n_taps, bool overshoots) {
    size_t n_out = (size_t)r->across.n_out, x = 0;
    for (; x + 6 <= n_out; x += 4) { /* sixteen bytes from x on are within the row */
        f32x8 pixels[4];
        for (size_t k = 0; k < 4; k++) pixels[k] = (f32x8)pixels_of(column_of(r, x + k, n_taps), overshoots);
        store_four(to, x, pixels);
    }
    for (; x < n_out; x++) store_one(to, x, pixels_of(column_of(r, x, n_taps), overshoots));
}

static void reduce_light(const resampler_t *r, uint8_t *const to[ROWS]) {
    for (size_t x = 0; x < (size_t)r->across.n_out; x++) {
        column_t c = column_of(r, x, r->across.n_taps);
        for (size_t k = 0; k < ROWS; k++) {
            to[k][3 * x] = image_light_to_srgb(r->light, c.red[k]);
            to[k][3 * x + 1] = image_light_to_srgb(r->light, c.green[k]);
            to[k][3 * x + 2] = image_light_to_srgb(r->light, c.blue[k]);
        }
    }
}

static void reduce_rows(const resampler_t *r, uint8_t *const to[ROWS]) {
    int32_t n_taps = r->across.n_taps;
    if (r->light)
        reduce_light(r, to);
    else if (r->overshoots)
        reduce_across(r, to, n_taps, true);
    else if (n_taps == 2)
        reduce_across(r, to, 2, false);
    else if (n_taps == 3)
        reduce_across(r, to, 3, false);
    else if (n_taps == 4)
        reduce_across(r, to, 4, false);
    else
        reduce_across(r, to, n_taps, false);
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
    *r = (resampler_t){.in = in, .overshoots = filter == IMAGE_LANCZOS};
    LENS_TRY(image_taps_new(&r->across, filter, in->width, box.x, box.width, width));
    LENS_TRY(image_taps_new(&r->down, filter, in->height, box.y, box.height, height));
    int32_t first = r->across.first[0], end = r->across.first[width - 1] + r->across.n_taps;
    r->left = (size_t)first * 3;
    r->n = (size_t)(end - first) * 3;
    size_t size = r->n * ROWS * sizeof *r->sums;
    r->sums = malloc(size);
    r->apart = malloc(size);
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
