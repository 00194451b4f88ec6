/* Parity: a row of the CUDA table against the same row of the CPU's, from the same values.
 *
 * Buffers come in twos, at[PAIR_CPU] and at[PAIR_CUDA], made and read through each table's own memory rows: nothing
 * here knows where device memory is. Activations are rounded to the CUDA table's type before both get them, so what
 * differs is made by the row. Outputs start as NaN; what a row leaves alone must stay so on both sides. Around every
 * buffer is a guard. With `shift` set, buffers begin that many elements past an aligned address.
 *
 * `pair_rows` runs a function of cases in float and bf16, each with aligned and shifted buffers, with threads in
 * forward, reverse and shuffled order: the first compares with the CPU, the others must give the same bits.
 *
 * Tolerances are k * eps * sqrt(length) * largest value: eps is FLT_EPSILON, or of bf16 (2^-8, half the distance of
 * neighbours) where the output is such. CHECK_PRINT=1 prints which k would have done. */
#ifndef LENS_TESTS_CUDA_CHECK_H
#define LENS_TESTS_CUDA_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/rng.h"
#include "kernels/kernels.h"

enum { PAIR_CPU, PAIR_CUDA, PAIR_SIDES };
enum { PAIR_MAX_BUFFERS = 64, PAIR_GUARD_BYTES = 256, PAIR_GUARD = 0xFB };
typedef enum { PAIR_ACT, PAIR_F32, PAIR_F64, PAIR_BYTES } pair_type; /* PAIR_BYTES: the same bits on both sides */
typedef enum { PAIR_INPUT, PAIR_SUM, PAIR_OUTPUT } pair_role;        /* unchanged; changed; overwritten */

typedef struct {
    void *at[PAIR_SIDES];
    int64_t n;
    pair_type type;
    pair_role role;
    void *block[PAIR_SIDES];          /* what was allocated: guard, elements, guard */
    unsigned char *first[PAIR_SIDES]; /* the block's bytes as they were */
    size_t bytes[PAIR_SIDES], offset[PAIR_SIDES];
} pair_buffer_t;

typedef struct {
    kernels_t *k[PAIR_SIDES], *cpu, *cuda;
    rng_t rng;
    bool f32, reference; /* reference: compare with the CPU's */
    int64_t shift;
    int n_buffers;
    pair_buffer_t buffers[PAIR_MAX_BUFFERS];
    uint64_t digest; /* of all outputs of the CUDA side */
} pair_t;

static inline pair_t pair_new(bool f32) {
    pair_t p = {.rng = rng_stream(12, 0, 0, RNG_TEST), .f32 = f32, .reference = true};
    assert_int_equal(setenv("LENS_CUDA_F32", f32 ? "1" : "0", 1), 0);
    assert_int_equal(setenv("LENS_CUDA_GUARD", "1", 1), 0);
    assert_int_equal(kernels_cpu_new(&p.cpu, 1, 1), LENS_OK);
    if (kernels_cuda_new(&p.cuda, 0, true) != LENS_OK) fail_msg("%s", lens_error());
    assert_int_equal(unsetenv("LENS_CUDA_F32"), 0);
    p.k[PAIR_CPU] = p.cpu;
    p.k[PAIR_CUDA] = p.cuda;
    return p;
}

static inline void pair_free(pair_t *p) {
    for (int s = 0; s < PAIR_SIDES; s++) {
        if (p->k[s]->finish(p->k[s]) != LENS_OK) fail_msg("%s", lens_error());
        kernels_free(p->k[s]);
    }
}

static inline uint16_t pair_to_bf16(float x) { /* to nearest, ties to even */
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return isnan(x) ? 0x7FFF : (uint16_t)((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}
static inline float pair_from_bf16(uint16_t bits) {
    uint32_t u = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}
/* x as the CUDA table's activations hold it. */
static inline float pair_rounded(const pair_t *p, float x) {
    return p->f32 ? x : pair_from_bf16(pair_to_bf16(x));
}

static inline size_t pair_element_bytes(const pair_t *p, int side, pair_type type) {
    if (type == PAIR_ACT) return p->k[side]->act_bytes;
    return type == PAIR_F32 ? sizeof(float) : type == PAIR_F64 ? sizeof(double) : 1;
}

static inline void pair_set(unsigned char *bytes, int64_t i, size_t element, float x) {
    uint16_t half = pair_to_bf16(x);
    double wide = (double)x;
    memcpy(bytes + (size_t)i * element,
           element == 2   ? (void *)&half
           : element == 8 ? (void *)&wide
                          : (void *)&x,
           element);
}

/* values NULL: NaN everywhere. */
static inline pair_buffer_t *pair_buffer(pair_t *p, pair_type type, pair_role role, int64_t n, const void *values) {
    assert_true(p->n_buffers < PAIR_MAX_BUFFERS);
    pair_buffer_t *b = &p->buffers[p->n_buffers++];
    *b = (pair_buffer_t){.n = n, .type = type, .role = role};
    for (int s = 0; s < PAIR_SIDES; s++) {
        size_t element = pair_element_bytes(p, s, type);
        b->offset[s] = PAIR_GUARD_BYTES + (type == PAIR_BYTES ? 0 : (size_t)p->shift * element);
        b->bytes[s] = b->offset[s] + (size_t)n * element + PAIR_GUARD_BYTES;
        b->first[s] = malloc(b->bytes[s]);
        assert_non_null(b->first[s]);
        memset(b->first[s], PAIR_GUARD, b->bytes[s]);
        if (type == PAIR_BYTES && values) memcpy(b->first[s] + b->offset[s], values, (size_t)n);
        if (type == PAIR_BYTES && !values) memset(b->first[s] + b->offset[s], 0xFF, (size_t)n);
        for (int64_t i = 0; i < n && type != PAIR_BYTES; i++)
            pair_set(b->first[s] + b->offset[s], i, element, values ? ((const float *)values)[i] : NAN);
        assert_int_equal(p->k[s]->alloc(p->k[s], &b->block[s], b->bytes[s], "a test"), LENS_OK);
        p->k[s]->upload(p->k[s], b->block[s], b->first[s], b->bytes[s]);
        b->at[s] = (char *)b->block[s] + b->offset[s];
    }
    return b;
}

/* n random values, 0.3 <= |x| < 1.7, of which both sides hold the same. */
static inline pair_buffer_t *pair_random(pair_t *p, pair_type type, pair_role role, int64_t n) {
    float *x = malloc(sizeof *x * (size_t)(n + 1));
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++) {
        double u = rng_uniform(&p->rng) * 2.8 - 1.4;
        x[i] = (float)(u < 0 ? u - 0.3 : u + 0.3);
        if (type == PAIR_ACT) x[i] = pair_rounded(p, x[i]);
    }
    pair_buffer_t *b = pair_buffer(p, type, role, n, x);
    free(x);
    return b;
}
static inline pair_buffer_t *pair_output(pair_t *p, pair_type type, int64_t n) {
    return pair_buffer(p, type, PAIR_OUTPUT, n, NULL);
}

/* The buffer's elements on a side; the caller frees. PAIR_BYTES: bytes as numbers. */
static inline double *pair_values(pair_t *p, const pair_buffer_t *b, int s) {
    size_t element = pair_element_bytes(p, s, b->type);
    unsigned char *bytes = malloc((size_t)b->n * element + 1);
    double *x = malloc(sizeof *x * (size_t)(b->n + 1));
    assert_non_null(bytes);
    assert_non_null(x);
    p->k[s]->download(p->k[s], bytes, b->at[s], (size_t)b->n * element);
    for (int64_t i = 0; i < b->n; i++) {
        float f;
        uint16_t half;
        if (element == 1) x[i] = bytes[i];
        if (element == 2) memcpy(&half, bytes + 2 * i, 2), x[i] = (double)pair_from_bf16(half);
        if (element == 4) memcpy(&f, bytes + 4 * i, 4), x[i] = (double)f;
        if (element == 8) memcpy(&x[i], bytes + 8 * i, 8);
    }
    free(bytes);
    return x;
}

/* |cuda - cpu| <= k eps sqrt(length) scale, scale 0: the largest of the CPU's values (all zero: exactly zero). */
static inline void pair_near(pair_t *p, const char *what, const pair_buffer_t *b, double length, double scale,
                             double k) {
    if (!p->reference) return;
    double *want = pair_values(p, b, PAIR_CPU), *got = pair_values(p, b, PAIR_CUDA), worst = 0, most = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < b->n; i++) {
        if (fabs(want[i]) > most) most = fabs(want[i]);
        double error = isnan(want[i]) && isnan(got[i]) ? 0 : fabs(got[i] - want[i]);
        if (isnan(error)) error = INFINITY;
        if (error > worst) worst = error, at = i;
    }
    double eps = b->type == PAIR_ACT && !p->f32 ? 1.0 / 256 : (double)FLT_EPSILON,
           unit = eps * sqrt(length) * (scale > 0 ? scale : most);
    if (getenv("CHECK_PRINT"))
        printf("observed %-16s %s %.3f of %.2f\n", what, p->f32 ? "f32 " : "bf16", unit > 0 ? worst / unit : 0, k);
    if (!(worst <= k * unit))
        fail_msg("%s[%lld] of %lld, %s: the CPU's %.9g, got %.9g: %.2f units of at most %.2f", what, (long long)at,
                 (long long)b->n, p->f32 ? "f32" : "bf16", want[at], got[at], worst / unit, k);
    free(want);
    free(got);
}

/* Ends a case: guards whole, inputs as they were; outputs into the digest; releases the buffers. */
static inline void pair_end(pair_t *p) {
    for (int i = 0; i < p->n_buffers; i++) {
        pair_buffer_t *b = &p->buffers[i];
        for (int s = 0; s < PAIR_SIDES; s++) {
            size_t n = b->bytes[s] - b->offset[s] - PAIR_GUARD_BYTES, behind = b->offset[s] + n;
            unsigned char *now = malloc(b->bytes[s]);
            assert_non_null(now);
            p->k[s]->download(p->k[s], now, b->block[s], b->bytes[s]);
            if (memcmp(now, b->first[s], b->offset[s]) != 0) fail_msg("buffer %d: written before its begin", i);
            if (memcmp(now + behind, b->first[s] + behind, PAIR_GUARD_BYTES) != 0)
                fail_msg("buffer %d: written past its end", i);
            if (b->role == PAIR_INPUT && memcmp(now, b->first[s], behind) != 0) fail_msg("input %d was changed", i);
            if (b->role != PAIR_INPUT && s == PAIR_CUDA)
                p->digest = XXH3_64bits_withSeed(now + b->offset[s], n, p->digest);
            p->k[s]->free(p->k[s], b->block[s]);
            free(now);
            free(b->first[s]);
        }
    }
    p->n_buffers = 0;
}

static inline uint64_t pair_run(void (*cases)(pair_t *p), bool f32, int64_t shift, const char *order) {
    assert_int_equal(setenv("LENS_CUDA_ORDER", order, 1), 0);
    pair_t p = pair_new(f32);
    p.shift = shift;
    p.reference = !strcmp(order, "forward");
    cases(&p);
    pair_free(&p);
    assert_int_equal(unsetenv("LENS_CUDA_ORDER"), 0);
    return p.digest;
}

static inline void pair_rows(void (*cases)(pair_t *p)) {
    for (int f32 = 0; f32 <= 1; f32++)
        for (int64_t shift = 0; shift <= 1; shift++) {
            uint64_t forward = pair_run(cases, f32, shift, "forward");
            assert_true(pair_run(cases, f32, shift, "reverse") == forward);
            assert_true(pair_run(cases, f32, shift, "shuffle:7") == forward);
        }
}

#endif
