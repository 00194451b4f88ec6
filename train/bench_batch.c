#include "train/bench_batch.h"

#include <stdlib.h>

#include "base/str.h"

struct bench_batch {
    bucket_list_t buckets;
    int64_t rows[BUCKET_MAX], max_rows;
    int64_t *sample;
    uint32_t *epoch;
    uint8_t *pixels; /* NULL where latents are trained on */
    float *latents;  /* NULL where pictures are */
    float *features; /* NULL where captions are read */
    char **caption;  /* NULL where features are given */
    int32_t *n_tok;
};

int32_t bench_batch_n_tok(int64_t i, int64_t n, int64_t max_tok) {
    return (int32_t)(max_tok - i * (max_tok / 2) / n);
}

/* Uniform in [-sqrt 3, sqrt 3): of variance 1. */
static lens_status random_floats(float **out, int64_t n, rng_t *r) {
    *out = malloc(sizeof(float) * (size_t)n);
    if (!*out) return lens_fail(LENS_MEMORY, "bench: %lld random numbers", (long long)n);
    for (int64_t i = 0; i < n; i++) (*out)[i] = (float)((rng_uniform(r) * 2 - 1) * 1.7320508);
    return LENS_OK;
}

static lens_status make_pictures(bench_batch_t *b, const pipeline_config_t *p, rng_t *r) {
    int64_t n = 0, side = p->mmdit.patch_size * p->downscale;
    for (int i = 0; i < b->buckets.n; i++) {
        int64_t tokens = (b->buckets.bucket[i].width / side) * (b->buckets.bucket[i].height / side);
        if (b->rows[i] * tokens > n) n = b->rows[i] * tokens;
    }
    n *= p->mmdit.in_channels;
    if (p->downscale != 1) return random_floats(&b->latents, n, r);
    b->pixels = malloc((size_t)n);
    if (!b->pixels) return lens_fail(LENS_MEMORY, "bench: random pictures");
    for (int64_t i = 0; i < n; i++) b->pixels[i] = (uint8_t)(rng_uniform(r) * 256);
    return LENS_OK;
}

/* A word of the tokeniser is a token; a byte is one too. */
static lens_status make_captions(bench_batch_t *b, const text_config_t *t, rng_t *r) {
    b->caption = calloc((size_t)b->max_rows, sizeof *b->caption);
    if (!b->caption) return lens_fail(LENS_MEMORY, "bench: captions");
    for (int64_t i = 0; i < b->max_rows; i++) {
        str_t text = {0};
        for (int32_t j = 0; j < b->n_tok[i]; j++) {
            if (t->tokens == TEXT_BYTES)
                str_add_char(&text, (char)('a' + (int)(rng_uniform(r) * 26)));
            else
                str_addf(&text, "w%d ", (int)(rng_uniform(r) * 10000));
        }
        LENS_TRY(str_status(&text));
        b->caption[i] = text.s;
    }
    return LENS_OK;
}

static lens_status fill(bench_batch_t *b, const pipeline_config_t *p, bool full_text, int rank) {
    rng_t r = rng_stream(1, 0, (uint64_t)rank, RNG_TEST);
    const text_config_t *t = &p->text;
    size_t n = (size_t)b->max_rows;
    b->sample = calloc(n, sizeof *b->sample);
    b->epoch = calloc(n, sizeof *b->epoch);
    b->n_tok = calloc(n, sizeof *b->n_tok);
    if (!b->sample || !b->epoch || !b->n_tok) return lens_fail(LENS_MEMORY, "bench: batches");
    for (int64_t i = 0; i < b->max_rows; i++) {
        b->sample[i] = rank * b->max_rows + i;
        b->n_tok[i] = full_text ? (int32_t)t->max_tok : bench_batch_n_tok(i, b->max_rows, t->max_tok);
    }
    LENS_TRY(make_pictures(b, p, &r));
    if (t->tokens != TEXT_FEATURES) return make_captions(b, t, &r);
    return random_floats(&b->features, b->max_rows * t->max_tok * p->mmdit.num_text_layers * t->dim, &r);
}

lens_status bench_batch_new(bench_batch_t **out, const pipeline_config_t *p, const bucket_list_t *buckets,
                            const int64_t *rows, bool full_text, int rank) {
    *out = NULL;
    bench_batch_t *b = calloc(1, sizeof *b);
    if (!b) return lens_fail(LENS_MEMORY, "bench: batches");
    b->buckets = *buckets;
    for (int i = 0; i < buckets->n; i++) {
        b->rows[i] = rows[i];
        if (rows[i] > b->max_rows) b->max_rows = rows[i];
    }
    lens_status st = fill(b, p, full_text, rank);
    if (st == LENS_OK)
        *out = b;
    else
        bench_batch_free(b);
    return st;
}

void bench_batch_free(bench_batch_t *b) {
    if (!b) return;
    for (int64_t i = 0; b->caption && i < b->max_rows; i++) free(b->caption[i]);
    free(b->caption);
    free(b->sample);
    free(b->epoch);
    free(b->pixels);
    free(b->latents);
    free(b->features);
    free(b->n_tok);
    free(b);
}

void bench_batch_fill(const bench_batch_t *b, int bucket, step_batch_t *out) {
    *out = (step_batch_t){.n = b->rows[bucket],
                          .width = b->buckets.bucket[bucket].width,
                          .height = b->buckets.bucket[bucket].height,
                          .sample = b->sample,
                          .epoch = b->epoch,
                          .pixels = b->pixels,
                          .latents = b->latents,
                          .caption = (const char *const *)b->caption,
                          .features = b->features,
                          .n_tok = b->n_tok};
}
