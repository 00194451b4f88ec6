/* Eight output rows at a time.
 *
 * Down first: the input rows under each of the eight output rows are summed, over contiguous bytes. The sums are then
 * interleaved, f32 [input x, channel, 8], so that one vector holds a channel of a pixel of all eight rows and the pass
 * across needs no other. Nothing but the eight rows is kept. */
#include "data/image_resample_float.h"

#include <stdlib.h>
#include <string.h>

#define ROWS 8 /* output rows in one go: as many as a vector holds */
#define PIXEL_F32 (3 * ROWS)

/* How vectors are passed depends on the processor; those here are passed within this file only. */
#pragma GCC diagnostic ignored "-Wpsabi"

/* Vectors as GCC and Clang both have them. Of 32 bytes: longer ones fall apart where the processor lacks them. */
typedef float f32x8 __attribute__((vector_size(32)));
typedef int32_t i32x8 __attribute__((vector_size(32)));
typedef uint8_t u8x32 __attribute__((vector_size(32)));

typedef struct {
    const image_t *in;
    const image_taps_t *across, *down;
    const image_light_t *light; /* NULL: values as stored are averaged */
    size_t left, n;             /* bytes of an input row that some output takes: [left, left + n) */
    float *sums;                /* f32 [n, ROWS], owned */
    float *apart;               /* f32 [ROWS, n]: sums before they are interleaved, owned */
} resampler_t;

/* ---- down ---- */

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
    int32_t n_taps = r->down->n_taps;
    const float *w = r->down->weight + (size_t)y * (size_t)n_taps;
    const uint8_t *row = r->in->rgb + (size_t)r->down->first[y] * stride + r->left;
    if (r->light)
        sum_light(sum, row, stride, r->n, w, n_taps, r->light->linear);
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

static inline column_t column_of(const resampler_t *r, size_t x) {
    int32_t n_taps = r->across->n_taps;
    const float *w = r->across->weight + x * (size_t)n_taps;
    const float *from = r->sums + (size_t)r->across->first[x] * PIXEL_F32 - r->left * ROWS;
    column_t c = {0};
    for (int32_t t = 0; t < n_taps; t++, from += PIXEL_F32) {
        c.red += w[t] * load_f32x8(from);
        c.green += w[t] * load_f32x8(from + ROWS);
        c.blue += w[t] * load_f32x8(from + 2 * ROWS);
    }
    return c;
}

/* The lobes of Lanczos overshoot either end. */
static inline i32x8 codes_of(f32x8 value) {
    i32x8 v = __builtin_convertvector(value + 0.5f, i32x8);
    v &= ~(v >> 31);
    i32x8 above = v > 255;
    return (v & ~above) | (above & 255);
}

/* A pixel of each row as a little-endian number: red lowest, no fourth byte. */
static inline i32x8 pixels_of(column_t c) {
    return codes_of(c.red) | codes_of(c.green) << 8 | codes_of(c.blue) << 16;
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

static void reduce_codes(const resampler_t *r, uint8_t *const to[ROWS]) {
    size_t n_out = (size_t)r->across->n_out, x = 0;
    for (; x + 6 <= n_out; x += 4) { /* sixteen bytes from x on are within the row */
        f32x8 pixels[4];
        for (size_t k = 0; k < 4; k++) pixels[k] = (f32x8)pixels_of(column_of(r, x + k));
        store_four(to, x, pixels);
    }
    for (; x < n_out; x++) store_one(to, x, pixels_of(column_of(r, x)));
}

static void reduce_light(const resampler_t *r, uint8_t *const to[ROWS]) {
    for (size_t x = 0; x < (size_t)r->across->n_out; x++) {
        column_t c = column_of(r, x);
        for (size_t k = 0; k < ROWS; k++) {
            to[k][3 * x] = image_light_to_srgb(r->light, c.red[k]);
            to[k][3 * x + 1] = image_light_to_srgb(r->light, c.green[k]);
            to[k][3 * x + 2] = image_light_to_srgb(r->light, c.blue[k]);
        }
    }
}

/* ---- the whole ---- */

static void resampler_free(resampler_t *r) {
    free(r->sums);
    free(r->apart);
}

static lens_status resampler_new(resampler_t *r, const image_t *in, const image_taps_t *across,
                                 const image_taps_t *down, const image_light_t *light) {
    int32_t first = across->first[0], end = across->first[across->n_out - 1] + across->n_taps;
    *r = (resampler_t){.in = in,
                       .across = across,
                       .down = down,
                       .light = light,
                       .left = (size_t)first * 3,
                       .n = (size_t)(end - first) * 3};
    size_t size = r->n * ROWS * sizeof *r->sums;
    r->sums = malloc(size);
    r->apart = malloc(size);
    if (r->sums && r->apart) return LENS_OK;
    return lens_fail(LENS_MEMORY, "2 x %zu bytes for rows of a picture", size);
}

lens_status image_resample_float(uint8_t *rgb, const image_t *in, const image_taps_t *across, const image_taps_t *down,
                                 const image_light_t *light) {
    resampler_t r;
    lens_status st = resampler_new(&r, in, across, down, light);
    for (int32_t top = 0; st == LENS_OK && top < down->n_out; top += ROWS) {
        int32_t y[ROWS];
        uint8_t *to[ROWS];
        for (int32_t k = 0; k < ROWS; k++) { /* the last row stands in for those below it */
            y[k] = top + k < down->n_out ? top + k : down->n_out - 1;
            to[k] = rgb + (size_t)y[k] * (size_t)across->n_out * 3;
        }
        sum_rows(&r, y);
        if (light)
            reduce_light(&r, to);
        else
            reduce_codes(&r, to);
    }
    resampler_free(&r);
    return st;
}
