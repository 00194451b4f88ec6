#include "data/embedding_dup.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/embedding_file.h"

enum {
    LANES = 16,   /* sums that run side by side */
    HEAD = 64,    /* components that settle most pairs */
    BLOCK = 4096, /* vectors allocated together */
};
#define SLACK 1e-5f /* of the bound, in cosine: ten times what rounding can make of it */

typedef struct {
    uint16_t *head; /* f16 [BLOCK / LANES, HEAD, LANES]: vectors side by side; owned */
    uint16_t *tail; /* f16 [BLOCK, n_tail], zeros behind; owned */
    float inverse_norm[BLOCK];
    float tail_share[BLOCK]; /* norm of the tail / norm */
} block_t;

struct embedding_dup {
    int d, n_tail;
    float limit;
    int64_t n, max_samples;
    block_t **block;  /* owned */
    float *query;     /* f32 [HEAD + n_tail] */
    uint16_t *padded; /* f16 [HEAD + n_tail] */
};

static void block_free(block_t *b) {
    if (!b) return;
    free(b->head);
    free(b->tail);
    free(b);
}

void embedding_dup_free(embedding_dup_t *e) {
    if (!e) return;
    for (int64_t i = 0; e->block && i * BLOCK < e->n; i++) block_free(e->block[i]);
    free(e->block);
    free(e->query);
    free(e->padded);
    free(e);
}

lens_status embedding_dup_new(embedding_dup_t **out, int d, double cosine, int64_t max_samples) {
    *out = NULL;
    if (d < 1 || d > EMBEDDING_DIM_MAX)
        return lens_fail(LENS_ARGUMENT, "embeddings of %d components, expected 1 to %d", d, EMBEDDING_DIM_MAX);
    if (!(cosine >= 0 && cosine <= 1)) return lens_fail(LENS_ARGUMENT, "cosine %g, expected 0 to 1", cosine);
    if (max_samples < 1) return lens_fail(LENS_ARGUMENT, "%" PRId64 " embeddings, expected at least 1", max_samples);
    embedding_dup_t *e = calloc(1, sizeof *e);
    if (!e) return lens_fail(LENS_MEMORY, "cannot allocate embeddings");
    e->d = d;
    e->n_tail = d > HEAD ? (d - HEAD + LANES - 1) / LANES * LANES : 0;
    e->limit = (float)cosine;
    e->max_samples = max_samples;
    size_t n = (size_t)(HEAD + e->n_tail);
    e->block = calloc((size_t)((max_samples - 1) / BLOCK + 1), sizeof(block_t *));
    e->query = calloc(n, sizeof *e->query);
    e->padded = calloc(n, sizeof *e->padded);
    if (!e->block || !e->query || !e->padded) {
        embedding_dup_free(e);
        return lens_fail(LENS_MEMORY, "cannot allocate %" PRId64 " embeddings", max_samples);
    }
    *out = e;
    return LENS_OK;
}

int64_t embedding_dup_n(const embedding_dup_t *e) {
    return e->n;
}

uint64_t embedding_dup_bytes(const embedding_dup_t *e) {
    uint64_t n_blocks = (uint64_t)((e->n + BLOCK - 1) / BLOCK);
    uint64_t block_bytes = sizeof(block_t) + (uint64_t)BLOCK * (HEAD + (uint64_t)e->n_tail) * sizeof(uint16_t);
    return sizeof *e + n_blocks * block_bytes + (uint64_t)((e->max_samples - 1) / BLOCK + 1) * sizeof(block_t *);
}

/* ---- arithmetic ---- */

/* float16 to float, finite numbers only; without a branch, so that it runs in lanes. */
static inline float widen(uint16_t h) {
    uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13, sign = (uint32_t)(h & 0x8000) << 16;
    /* Below 2^-14 the exponent is 0 and stands for 2^-14: 2^-14 * (1 + m) - 2^-14. */
    bool small = magnitude < (UINT32_C(1) << 23);
    uint32_t bits = magnitude + (small ? UINT32_C(113) << 23 : UINT32_C(112) << 23);
    float x;
    memcpy(&x, &bits, sizeof x);
    x -= small ? 0x1p-14f : 0;
    memcpy(&bits, &x, sizeof x);
    bits |= sign;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* n: a multiple of LANES. */
static float dot(const uint16_t *restrict f16, const float *restrict q, int n) {
    float sum[LANES] = {0}, total = 0;
    for (int i = 0; i < n; i += LANES)
        for (int k = 0; k < LANES; k++) sum[k] += widen(f16[i + k]) * q[i + k];
    for (int k = 0; k < LANES; k++) total += sum[k];
    return total;
}

/* Of LANES vectors at once. head: f16 [HEAD, LANES]. */
static void dot_heads(float sum[LANES], const uint16_t *restrict head, const float *restrict q) {
    float s[LANES] = {0};
    for (int i = 0; i < HEAD; i++)
        for (int k = 0; k < LANES; k++) s[k] += widen(head[i * LANES + k]) * q[i];
    memcpy(sum, s, sizeof s);
}

typedef struct {
    float inverse_norm, tail_share;
} measures_t;

/* Fills query and padded; inverse_norm 0: the zero vector. */
static lens_status prepare(embedding_dup_t *e, const uint16_t *f16, measures_t *out) {
    double head = 0, tail = 0;
    for (int i = 0; i < e->d; i++) {
        if ((f16[i] & 0x7c00) == 0x7c00) return lens_fail(LENS_FORMAT, "embedding: component %d is not finite", i);
        e->padded[i] = f16[i];
        e->query[i] = widen(f16[i]);
        double square = (double)e->query[i] * (double)e->query[i];
        *(i < HEAD ? &head : &tail) += square;
    }
    double norm = sqrt(head + tail);
    *out = (measures_t){norm > 0 ? (float)(1 / norm) : 0, norm > 0 ? (float)(sqrt(tail) / norm) : 0};
    return LENS_OK;
}

/* ---- adding ---- */

static lens_status new_block(embedding_dup_t *e, block_t **out) {
    size_t n_tail = (size_t)e->n_tail;
    block_t *b = calloc(1, sizeof *b);
    if (b) b->head = calloc(BLOCK * HEAD, sizeof *b->head); /* the last lanes are read before they are filled */
    if (b && n_tail) b->tail = malloc(BLOCK * n_tail * sizeof *b->tail);
    if (!b || !b->head || (n_tail && !b->tail)) {
        block_free(b);
        return lens_fail(LENS_MEMORY, "cannot allocate %d embeddings of %d components after %" PRId64, BLOCK, e->d,
                         e->n);
    }
    *out = b;
    return LENS_OK;
}

/* Keeps what `prepare` left. */
static lens_status keep(embedding_dup_t *e, measures_t m) {
    if (m.inverse_norm == 0) return LENS_OK;
    if (e->n == e->max_samples)
        return lens_fail(LENS_STATE, "more than %" PRId64 " embeddings to compare (max_samples)", e->max_samples);
    int64_t at = e->n % BLOCK;
    block_t **b = &e->block[e->n / BLOCK];
    if (at == 0) LENS_TRY(new_block(e, b));
    size_t n_tail = (size_t)e->n_tail;
    uint16_t *head = (*b)->head + at / LANES * LANES * HEAD + at % LANES;
    for (size_t i = 0; i < HEAD; i++) head[i * LANES] = e->padded[i];
    if (n_tail) memcpy((*b)->tail + (size_t)at * n_tail, e->padded + HEAD, n_tail * sizeof *e->padded);
    (*b)->inverse_norm[at] = m.inverse_norm;
    (*b)->tail_share[at] = m.tail_share;
    e->n++;
    return LENS_OK;
}

lens_status embedding_dup_add(embedding_dup_t *e, const uint16_t *f16) {
    measures_t m;
    LENS_TRY(prepare(e, f16, &m));
    return keep(e, m);
}

/* ---- looking ---- */

/* The cosine to the first of b[n] that is above the limit; -2: none. */
static float search_block(const embedding_dup_t *e, const block_t *b, int64_t n, measures_t m) {
    float heads[LANES];
    for (int64_t i = 0; i < n; i++) {
        if (i % LANES == 0) dot_heads(heads, b->head + i * HEAD, e->query);
        float scale = b->inverse_norm[i] * m.inverse_norm, head = heads[i % LANES];
        if (head * scale + b->tail_share[i] * m.tail_share <= e->limit - SLACK) continue;
        float tail = e->n_tail ? dot(b->tail + (size_t)i * (size_t)e->n_tail, e->query + HEAD, e->n_tail) : 0;
        float cosine = (head + tail) * scale;
        if (cosine > e->limit) return cosine;
    }
    return -2;
}

lens_status embedding_dup_check(embedding_dup_t *e, const uint16_t *f16, bool *is_dup, double *cosine) {
    measures_t m;
    *is_dup = false;
    *cosine = 0;
    LENS_TRY(prepare(e, f16, &m));
    for (int64_t i = 0; i < e->n && m.inverse_norm > 0; i += BLOCK) {
        float found = search_block(e, e->block[i / BLOCK], e->n - i < BLOCK ? e->n - i : BLOCK, m);
        if (found == -2) continue;
        *is_dup = true;
        *cosine = (double)found;
        return LENS_OK;
    }
    return keep(e, m);
}
