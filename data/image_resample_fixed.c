/* Values are kept at 1/256 of a level, weights at 1/65536, and of a product only the upper half: one instruction for as
 * many values as a vector holds. The loops are written plainly, for the compiler to turn into those.
 *
 * Down first: the input rows under each of sixteen output rows are summed, over contiguous bytes. The sums are
 * transposed to u16 [input byte, 16], so that the pass across works on all sixteen rows at once, without shuffles, and
 * the codes that it gives, u8 [output byte, 16], are transposed back. Nothing but the sixteen rows is kept. */
#include "data/image_resample_fixed.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 16
#define PIXEL (3 * ROWS) /* values of one pixel of them */

typedef uint16_t u16x8 __attribute__((vector_size(16)));
typedef uint8_t u8x16 __attribute__((vector_size(16)));

typedef struct {
    const image_t *in;
    const image_taps_t *across, *down;
    uint16_t *across_weight, *down_weight; /* as the taps', in 1/65536; owned */
    size_t left, n;                        /* bytes of an input row that some output takes: [left, left + n) */
    uint16_t *apart;                       /* [ROWS, n], owned */
    uint16_t *sums;                        /* [n, ROWS], owned */
    uint8_t *codes;                        /* [output byte, ROWS], owned */
} fixed_t;

/* ---- weights ---- */

/* The sum stays at most one, so that no sum of products overflows: what rounding adds is taken from the largest. */
static void quantise(uint16_t *out, const float *weight, int32_t n) {
    int32_t sum = 0, largest = 0;
    for (int32_t k = 0; k < n; k++) {
        int32_t w = (int32_t)lrintf(weight[k] * 65536);
        out[k] = (uint16_t)(w < 65536 ? w : 65535);
        sum += out[k];
        if (out[k] > out[largest]) largest = k;
    }
    int32_t balanced = out[largest] + 65536 - sum;
    out[largest] = (uint16_t)(balanced < 65536 ? balanced : 65535);
}

static uint16_t *weights_new(const image_taps_t *t) {
    size_t n_taps = (size_t)t->n_taps;
    uint16_t *out = malloc((size_t)t->n_out * n_taps * sizeof *out);
    for (size_t i = 0; out && i < (size_t)t->n_out; i++) quantise(out + i * n_taps, t->weight + i * n_taps, t->n_taps);
    return out;
}

static inline uint16_t product(uint16_t value, uint16_t weight) {
    return (uint16_t)((uint32_t)value * weight >> 16);
}

/* ---- down ---- */

/* n_taps is a constant where this is called, which unrolls the inner loop. A product lacks half a unit on average. */
static inline __attribute__((always_inline)) void sum_few(uint16_t *restrict sum, const uint8_t *restrict row,
                                                          size_t stride, size_t n, const uint16_t *w, int32_t n_taps) {
    for (size_t i = 0; i < n; i++) {
        uint16_t s = (uint16_t)(n_taps / 2);
        for (int32_t t = 0; t < n_taps; t++)
            s = (uint16_t)(s + product((uint16_t)(row[(size_t)t * stride + i] << 8), w[t]));
        sum[i] = s;
    }
}

static void sum_many(uint16_t *restrict sum, const uint8_t *restrict row, size_t stride, size_t n, const uint16_t *w,
                     int32_t n_taps) {
    for (size_t i = 0; i < n; i++) sum[i] = (uint16_t)(n_taps / 2);
    for (int32_t t = 0; t < n_taps; t++, row += stride)
        for (size_t i = 0; i < n; i++) sum[i] = (uint16_t)(sum[i] + product((uint16_t)(row[i] << 8), w[t]));
}

static void sum_row(const fixed_t *f, int32_t y, uint16_t *sum) {
    size_t stride = (size_t)f->in->width * 3;
    int32_t n_taps = f->down->n_taps;
    const uint16_t *w = f->down_weight + (size_t)y * (size_t)n_taps;
    const uint8_t *row = f->in->rgb + (size_t)f->down->first[y] * stride + f->left;
    if (n_taps == 2)
        sum_few(sum, row, stride, f->n, w, 2);
    else if (n_taps == 3)
        sum_few(sum, row, stride, f->n, w, 3);
    else if (n_taps == 4)
        sum_few(sum, row, stride, f->n, w, 4);
    else
        sum_many(sum, row, stride, f->n, w, n_taps);
}

/* to: u16 [8][ROWS], from: u16 [8][stride], of which 8 are taken. Three times the rows are interleaved with those half
 * of the matrix further down. */
static inline void transpose_sums(uint16_t *to, const uint16_t *from, size_t stride) {
    u16x8 v[8], mixed[8];
    for (size_t k = 0; k < 8; k++) memcpy(&v[k], from + k * stride, sizeof v[k]);
    for (int round = 0; round < 3; round++) {
        for (size_t k = 0; k < 4; k++) {
            mixed[2 * k] = __builtin_shufflevector(v[k], v[k + 4], 0, 8, 1, 9, 2, 10, 3, 11);
            mixed[2 * k + 1] = __builtin_shufflevector(v[k], v[k + 4], 4, 12, 5, 13, 6, 14, 7, 15);
        }
        memcpy(v, mixed, sizeof v);
    }
    for (size_t k = 0; k < 8; k++) memcpy(to + k * ROWS, &v[k], sizeof v[k]);
}

static void sum_rows(const fixed_t *f, const int32_t y[ROWS]) {
    size_t n = f->n, i = 0;
    for (size_t k = 0; k < ROWS; k++) sum_row(f, y[k], f->apart + k * n);
    for (; i + 8 <= n; i += 8) {
        transpose_sums(f->sums + i * ROWS, f->apart + i, n);
        transpose_sums(f->sums + i * ROWS + 8, f->apart + 8 * n + i, n);
    }
    for (; i < n; i++)
        for (size_t k = 0; k < ROWS; k++) f->sums[i * ROWS + k] = f->apart[k * n + i];
}

/* ---- across ---- */

static inline __attribute__((always_inline)) void reduce(const fixed_t *f, int32_t n_taps) {
    const uint16_t *w = f->across_weight;
    uint8_t *restrict out = f->codes;
    for (int32_t x = 0; x < f->across->n_out; x++, w += n_taps, out += PIXEL) {
        const uint16_t *restrict from = f->sums + (size_t)f->across->first[x] * PIXEL - f->left * ROWS;
        for (size_t i = 0; i < PIXEL; i++) {
            uint16_t s = (uint16_t)(n_taps / 2 + 128);
            for (int32_t t = 0; t < n_taps; t++) s = (uint16_t)(s + product(from[(size_t)t * PIXEL + i], w[t]));
            out[i] = (uint8_t)(s >> 8);
        }
    }
}

static void reduce_many(const fixed_t *f) {
    int32_t n_taps = f->across->n_taps;
    const uint16_t *w = f->across_weight;
    for (int32_t x = 0; x < f->across->n_out; x++, w += n_taps) {
        const uint16_t *from = f->sums + (size_t)f->across->first[x] * PIXEL - f->left * ROWS;
        uint16_t s[PIXEL];
        for (size_t i = 0; i < PIXEL; i++) s[i] = (uint16_t)(n_taps / 2 + 128);
        for (int32_t t = 0; t < n_taps; t++, from += PIXEL)
            for (size_t i = 0; i < PIXEL; i++) s[i] = (uint16_t)(s[i] + product(from[i], w[t]));
        for (size_t i = 0; i < PIXEL; i++) f->codes[(size_t)x * PIXEL + i] = (uint8_t)(s[i] >> 8);
    }
}

static void reduce_rows(const fixed_t *f) {
    if (f->across->n_taps == 2)
        reduce(f, 2);
    else if (f->across->n_taps == 3)
        reduce(f, 3);
    else if (f->across->n_taps == 4)
        reduce(f, 4);
    else
        reduce_many(f);
}

/* to[k]: u8 [16], from: u8 [16][ROWS]. As transpose_sums, in four rounds. */
static inline void transpose_codes(uint8_t *const to[ROWS], size_t at, const uint8_t *from) {
    u8x16 v[16], mixed[16];
    memcpy(v, from, sizeof v);
    for (int round = 0; round < 4; round++) {
        for (size_t k = 0; k < 8; k++) {
            mixed[2 * k] =
                __builtin_shufflevector(v[k], v[k + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            mixed[2 * k + 1] =
                __builtin_shufflevector(v[k], v[k + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        memcpy(v, mixed, sizeof v);
    }
    for (size_t k = 0; k < ROWS; k++) memcpy(to[k] + at, &v[k], sizeof v[k]);
}

static void store_rows(const fixed_t *f, uint8_t *const to[ROWS]) {
    size_t n = (size_t)f->across->n_out * 3, i = 0;
    for (; i + 16 <= n; i += 16) transpose_codes(to, i, f->codes + i * ROWS);
    for (; i < n; i++)
        for (size_t k = 0; k < ROWS; k++) to[k][i] = f->codes[i * ROWS + k];
}

/* ---- the whole ---- */

static void fixed_free(fixed_t *f) {
    free(f->across_weight);
    free(f->down_weight);
    free(f->apart);
    free(f->sums);
    free(f->codes);
}

static lens_status fixed_new(fixed_t *f, const image_t *in, const image_taps_t *across, const image_taps_t *down) {
    int32_t first = across->first[0], end = across->first[across->n_out - 1] + across->n_taps;
    *f = (fixed_t){.in = in,
                   .across = across,
                   .down = down,
                   .across_weight = weights_new(across),
                   .down_weight = weights_new(down),
                   .left = (size_t)first * 3,
                   .n = (size_t)(end - first) * 3};
    size_t n_sums = f->n * ROWS, n_codes = (size_t)across->n_out * PIXEL;
    f->apart = malloc(n_sums * sizeof *f->apart);
    f->sums = malloc(n_sums * sizeof *f->sums);
    f->codes = malloc(n_codes);
    if (f->across_weight && f->down_weight && f->apart && f->sums && f->codes) return LENS_OK;
    return lens_fail(LENS_MEMORY, "%zu bytes for rows of a picture", 2 * n_sums * sizeof *f->sums + n_codes);
}

lens_status image_resample_fixed(uint8_t *rgb, const image_t *in, const image_taps_t *across,
                                 const image_taps_t *down) {
    fixed_t f;
    lens_status st = fixed_new(&f, in, across, down);
    for (int32_t top = 0; st == LENS_OK && top < down->n_out; top += ROWS) {
        int32_t y[ROWS];
        uint8_t *to[ROWS];
        for (int32_t k = 0; k < ROWS; k++) { /* the last row stands in for those below it */
            y[k] = top + k < down->n_out ? top + k : down->n_out - 1;
            to[k] = rgb + (size_t)y[k] * (size_t)across->n_out * 3;
        }
        sum_rows(&f, y);
        reduce_rows(&f);
        store_rows(&f, to);
    }
    fixed_free(&f);
    return st;
}
