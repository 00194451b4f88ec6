/* `lens bench data`: what the parts of the data path do in a second, and what is lost between them. One thread. */
#ifndef LENS_DATA_BENCH_DATA_H
#define LENS_DATA_BENCH_DATA_H

#include "base/error.h"

typedef struct {
    int64_t threads, rounds, batch, window_shards, prefetch;
    double max_upscale; /* 0: any */
    double seconds;     /* for all rounds of all measurements */
    char *buckets, *resample, *array, *captions;
    bool cold; /* files leave the page cache before every round */
    bool json;
    /* --make: */
    bool make;
    int64_t n, size_px, seed, shard_samples;
    double quality;
} bench_options_t;

/* Prints what it measured on stdout. */
LENS_CHECKED lens_status bench_data(const char *dir, const bench_options_t *o);
/* Writes a set of o->n pictures of noise with the spectrum of photographs (power 1/f^2), as WebP of o->quality, with a
 * caption layer "dense" of some 100 words and an array layer "latents" of random bf16 [32, size/8, size/8] each. */
LENS_CHECKED lens_status bench_make(const char *dir, const bench_options_t *o);

#endif
