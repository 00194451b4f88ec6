/* What the tests of kernels share: guarded buffers, references in double, gradients by central differences.
 *
 * A check_t holds the table and the buffers of one case. Outputs start as a NaN of our own between guard words, so that
 * a row that misses an element, or writes past its tensor, fails; inputs are compared with a copy at the end. The cases
 * of a row run with 1, 2 and 3 threads: the first time against the reference, each time for the bits of all outputs.
 * The same files are compiled against the CUDA table in float, on the emulated device, which takes the host's memory as
 * its own; threads of blocks then come in three orders.
 *
 * Tolerances are k * FLT_EPSILON * sqrt(length) * scale. CHECK_PRINT=1 in the environment prints which k would have
 * done: those in the tests are 1.5 to 4 times the worst observed (AVX-512, release and sanitizer builds). */
#ifndef LENS_TESTS_KERNEL_CHECK_H
#define LENS_TESTS_KERNEL_CHECK_H

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

enum { CHECK_MAX_BUFFERS = 64, CHECK_GUARD_WORDS = 64 };
#define CHECK_FILL 0x7FC0CAFEu  /* a NaN that no arithmetic makes: what outputs hold before */
#define CHECK_GUARD 0xFEEDBEEFu /* before and behind every buffer */

typedef struct {
    uint32_t *block; /* guard, n words, guard */
    int64_t n;
    float *copy; /* of an input; NULL: an output */
} check_buffer_t;

typedef struct {
    kernels_t *k;
    rng_t rng;
    bool reference; /* compare with the reference, not bits alone */
    int n_buffers, n_doubles;
    check_buffer_t buffers[CHECK_MAX_BUFFERS];
    double *doubles[CHECK_MAX_BUFFERS];
    uint64_t digest; /* of all outputs so far */
} check_t;

static inline uint32_t *check_words(check_t *c, int64_t n) {
    assert_true(c->n_buffers < CHECK_MAX_BUFFERS);
    size_t words = (size_t)(n + 2 * CHECK_GUARD_WORDS), rounded = (words * 4 + 63) / 64 * 64;
    uint32_t *block = aligned_alloc(64, rounded);
    assert_non_null(block);
    for (size_t i = 0; i < words; i++) block[i] = CHECK_GUARD;
    c->buffers[c->n_buffers++] = (check_buffer_t){.block = block, .n = n};
    return block + CHECK_GUARD_WORDS;
}

/* n floats that the row must write, or leave alone. */
static inline float *check_output(check_t *c, int64_t n) {
    uint32_t *words = check_words(c, n);
    for (int64_t i = 0; i < n; i++) words[i] = CHECK_FILL;
    return (float *)words;
}

/* n random floats with 0.3 <= |x| < 1.7, that the row adds to. */
static inline float *check_sum(check_t *c, int64_t n) {
    float *x = (float *)check_words(c, n);
    for (int64_t i = 0; i < n; i++) {
        double u = rng_uniform(&c->rng) * 2.8 - 1.4;
        x[i] = (float)(u < 0 ? u - 0.3 : u + 0.3);
    }
    return x;
}

/* The same, that the row must not change. */
static inline float *check_input(check_t *c, int64_t n) {
    float *x = check_sum(c, n);
    check_buffer_t *b = &c->buffers[c->n_buffers - 1];
    b->copy = malloc(sizeof(float) * (size_t)(n > 0 ? n : 1));
    assert_non_null(b->copy);
    memcpy(b->copy, x, sizeof(float) * (size_t)n);
    return x;
}

/* n doubles: copies of x, or zeros where x is NULL. */
static inline double *check_double(check_t *c, const float *x, int64_t n) {
    assert_true(c->n_doubles < CHECK_MAX_BUFFERS);
    double *d = calloc((size_t)(n > 0 ? n : 1), sizeof *d);
    assert_non_null(d);
    for (int64_t i = 0; x && i < n; i++) d[i] = (double)x[i];
    c->doubles[c->n_doubles++] = d;
    return d;
}

/* n doubles that say "not written". */
static inline double *check_untouched(check_t *c, int64_t n) {
    double *d = check_double(c, NULL, n);
    for (int64_t i = 0; i < n; i++) d[i] = (double)NAN;
    return d;
}

/* Ends a case: guards whole, inputs as they were; releases the buffers. */
static inline void check_end(check_t *c) {
    for (int i = 0; i < c->n_buffers; i++) {
        check_buffer_t *b = &c->buffers[i];
        const uint32_t *data = b->block + CHECK_GUARD_WORDS;
        for (int64_t j = 0; j < CHECK_GUARD_WORDS; j++) {
            if (b->block[j] != CHECK_GUARD) fail_msg("buffer %d: written before its begin", i);
            if (data[b->n + j] != CHECK_GUARD) fail_msg("buffer %d: written %lld past its end", i, (long long)j);
        }
        if (b->copy && b->n) assert_memory_equal(data, b->copy, sizeof(float) * (size_t)b->n);
        if (!b->copy) c->digest = XXH3_64bits_withSeed(data, sizeof(float) * (size_t)b->n, c->digest);
        free(b->copy);
        free(b->block);
    }
    for (int i = 0; i < c->n_doubles; i++) free(c->doubles[i]);
    c->n_buffers = c->n_doubles = 0;
}

static inline double check_largest(const double *x, int64_t n) {
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        if (fabs(x[i]) > most) most = fabs(x[i]);
    return most;
}

/* |got - want| <= k eps sqrt(length) scale, where scale 0 means the largest of want (or exactly zero, where all of it
 * is); want NaN: got still holds the fill. */
static inline void check_near(check_t *c, const char *what, const float *got, const double *want, int64_t n,
                              double length, double scale, double k) {
    if (!c->reference) return;
    double unit = (double)FLT_EPSILON * sqrt(length), worst = 0; /* largest error */
    unit *= scale > 0 ? scale : check_largest(want, n);
    int64_t worst_at = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &got[i], sizeof bits);
        if (isnan(want[i]) && bits != CHECK_FILL) fail_msg("%s[%lld] was written: %g", what, (long long)i, got[i]);
        double error = isnan(want[i]) ? 0 : fabs((double)got[i] - want[i]);
        if (isnan(error)) error = INFINITY;
        if (error <= worst) continue;
        worst = error;
        worst_at = i;
    }
    if (getenv("CHECK_PRINT")) printf("observed %-12s %.3f of %.2f\n", what, unit > 0 ? worst / unit : 0, k);
    if (!(worst <= k * unit))
        fail_msg("%s[%lld]: expected %.9g, got %.9g: %.2f units of at most %.2f", what, (long long)worst_at,
                 want[worst_at], (double)got[worst_at], worst / unit, k);
}

/* grad[i] += d loss / d x[i] by central differences. In double with a sum in long double it is right to about 1e-9: a
 * hundred times better than float. */
static inline void check_gradient(check_t *c, double *grad, double *x, int64_t n, long double (*loss)(void *op),
                                  void *op) {
    const double h = 1e-5;
    if (!c->reference) return;
    for (int64_t i = 0; i < n; i++) {
        double at = x[i];
        x[i] = at + h;
        long double above = loss(op);
        x[i] = at - h;
        long double below = loss(op);
        x[i] = at;
        grad[i] += (double)((above - below) / (2 * (long double)h));
    }
}

static inline long double check_dot(const double *a, const double *b, int64_t n) {
    long double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (long double)(a[i] * b[i]);
    return sum;
}

/* The table under test, and the ways to run it that must give the same bits: numbers of threads on the CPU; orders of
 * a device's threads where CHECK_CUDA is defined. */
#ifdef CHECK_CUDA
static const char *const check_ways[] = {"forward", "reverse", "shuffle:3"};
static inline kernels_t *check_kernels(int way) {
    kernels_t *k;
    assert_int_equal(setenv("LENS_CUDA_F32", "1", 1), 0);
    assert_int_equal(setenv("LENS_CUDA_ORDER", check_ways[way - 1], 1), 0);
    assert_int_equal(kernels_cuda_new(&k, 0, true), LENS_OK);
    return k;
}
#else
static inline kernels_t *check_kernels(int way) {
    kernels_t *k;
    assert_int_equal(kernels_cpu_new(&k, way, 1), LENS_OK);
    assert_int_equal(kernels_cpu_threads(), way);
    return k;
}
#endif

static inline uint64_t check_run(void (*cases)(check_t *c), int way, bool reference) {
    check_t c = {.rng = rng_stream(11, 0, 0, RNG_TEST), .reference = reference, .k = check_kernels(way)};
    cases(&c);
    if (c.k->finish(c.k) != LENS_OK) fail_msg("%s", lens_error());
    kernels_free(c.k);
    return c.digest;
}

/* A row whose bits do not depend on the way. */
static inline void check_row(void (*cases)(check_t *c)) {
    uint64_t one = check_run(cases, 1, true);
    assert_true(check_run(cases, 2, false) == one);
    assert_true(check_run(cases, 3, false) == one);
}

/* A row of which only the same way gives the same bits (products). */
static inline void check_row_of_products(void (*cases)(check_t *c)) {
    for (int way = 1; way <= 3; way++) {
        uint64_t once = check_run(cases, way, true);
        assert_true(check_run(cases, way, false) == once);
    }
}

#endif
