#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/rng.h"
#include "data/bench_data.h"
#include "data/dataset.h"
#include "data/image.h"

enum { LATENT_CHANNELS = 32, LATENT_STRIDE = 8, WORDS = 100, FINEST_LUMA = 2, FINEST_CHROMA = 8 };

/* ---- pictures ---- */

/* Adds noise that is smooth below `cell` px to one channel of values [size, size]: random values at the corners of
 * cells, linear between them. */
static void add_octave(float *values, int32_t size, int32_t cell, float amplitude, rng_t *r, float *corners) {
    int32_t n = size / cell + 2;
    for (int32_t i = 0; i < n * n; i++) corners[i] = amplitude * (float)(2 * rng_uniform(r) - 1);
    for (int32_t y = 0; y < size; y++) {
        float v = (float)(y % cell) / (float)cell;
        const float *above = corners + y / cell * n, *below = above + n;
        for (int32_t x = 0; x < size; x++) {
            float u = (float)(x % cell) / (float)cell;
            const float *a = above + x / cell, *b = below + x / cell;
            values[y * size + x] += (1 - v) * (a[0] + u * (a[1] - a[0])) + v * (b[0] + u * (b[1] - b[0]));
        }
    }
}

/* As much variance in every octave: power falls as 1/f^2, as in photographs (Field, "Relations between the statistics
 * of natural images", 1987). Colour has a third of the brightness's amplitude and nothing finer than 8 px. */
static void make_plane(float *values, int32_t size, int32_t finest, float amplitude, rng_t *r, float *corners) {
    memset(values, 0, (size_t)size * (size_t)size * sizeof *values);
    for (int32_t cell = size / 2; cell >= finest; cell /= 2) add_octave(values, size, cell, amplitude, r, corners);
}

static uint8_t to_u8(float v) {
    return (uint8_t)lrintf(fminf(fmaxf(128 + v, 0), 255));
}

static void make_picture(image_t *out, float *planes, float *corners, uint64_t seed, uint64_t index) {
    rng_t r = rng_stream(seed, 0, index, RNG_BENCH);
    size_t n = (size_t)out->width * (size_t)out->width;
    make_plane(planes, out->width, FINEST_LUMA, 24, &r, corners);
    make_plane(planes + n, out->width, FINEST_CHROMA, 8, &r, corners);
    make_plane(planes + 2 * n, out->width, FINEST_CHROMA, 8, &r, corners);
    for (size_t i = 0; i < n; i++) {
        float luma = planes[i], warm = planes[n + i], green = planes[2 * n + i];
        out->rgb[3 * i] = to_u8(luma + warm);
        out->rgb[3 * i + 1] = to_u8(luma + green);
        out->rgb[3 * i + 2] = to_u8(luma - warm);
    }
}

static lens_status add_picture(dataset_writer_t *w, const image_t *im, const bench_options_t *o, int64_t i,
                               str_t *webp) {
    char key[32];
    snprintf(key, sizeof key, "noise-%08lld", (long long)i);
    str_clear(webp);
    LENS_TRY(image_encode_webp(webp, im, o->quality, false));
    const sample_t sample = {.key = key,
                             .picture = webp->s,
                             .picture_bytes = webp->len,
                             .width = im->width,
                             .height = im->height,
                             .original_width = im->width,
                             .original_height = im->height,
                             .alt = "noise"};
    return dataset_writer_add(w, &sample);
}

static lens_status write_pictures(dataset_writer_t *w, const bench_options_t *o) {
    image_t im;
    str_t webp = {0};
    size_t side = (size_t)o->size_px;
    LENS_TRY(image_new(&im, (int32_t)side, (int32_t)side));
    float *planes = malloc(3 * side * side * sizeof *planes),
          *corners = malloc((side + 2) * (side + 2) * sizeof *corners);
    lens_status st = planes && corners ? LENS_OK : lens_fail(LENS_MEMORY, "pictures of %zu px", side);
    for (int64_t i = 0; i < o->n && st == LENS_OK; i++) {
        log_progress("%lld of %lld pictures", (long long)i, (long long)o->n);
        make_picture(&im, planes, corners, (uint64_t)o->seed, (uint64_t)i);
        st = add_picture(w, &im, o, i, &webp);
    }
    log_progress_end();
    free(planes);
    free(corners);
    str_free(&webp);
    image_free(&im);
    return st;
}

/* ---- layers ---- */

static lens_status write_captions(const dataset_t *d, int64_t shard, const bench_options_t *o) {
    static const char *const words[] = {"a",   "small", "red",   "house", "stands", "behind", "two", "trees",
                                        "the", "light", "falls", "on",    "wet",    "grass",  "and", "clouds"};
    layer_writer_t *w;
    str_t text = {0};
    LENS_TRY(layer_writer_open(&w, d, shard, dataset_dir(d), "dense", NULL));
    lens_status st = LENS_OK;
    for (int64_t i = 0; i < dataset_shard_n_samples(d, shard) && st == LENS_OK; i++) {
        rng_t r = rng_stream((uint64_t)o->seed, 1, (uint64_t)(dataset_shard_begin(d, shard) + i), RNG_BENCH);
        str_clear(&text);
        for (int k = 0; k < WORDS; k++) str_addf(&text, "%s%s", k ? " " : "", words[rng_below(&r, 16)]);
        st = str_status(&text);
        if (st == LENS_OK) st = layer_writer_add(w, text.s, NULL);
    }
    str_free(&text);
    if (st == LENS_OK) return layer_writer_close(w);
    layer_writer_abort(w);
    return st;
}

/* Random bits but for the exponent, which makes them of size 1 or so. */
static void make_latents(uint16_t *values, size_t n, rng_t r) {
    for (size_t i = 0; i < n; i++) values[i] = (uint16_t)((rng_u32(&r) & 0x80FF) | 0x3F00);
}

static lens_status write_latents(const dataset_t *d, int64_t shard, const bench_options_t *o) {
    array_writer_t *w;
    array_shape_t shape = {ARRAY_BF16, 3, {LATENT_CHANNELS, o->size_px / LATENT_STRIDE, o->size_px / LATENT_STRIDE}};
    size_t n_bytes;
    LENS_TRY(array_bytes(&shape, &n_bytes));
    uint16_t *values = malloc(n_bytes);
    if (!values) return lens_fail(LENS_MEMORY, "latents of %zu bytes", n_bytes);
    lens_status st = array_writer_open(&w, d, shard, dataset_dir(d), "latents", ARRAY_BF16, ARRAY_RAW, 0, NULL);
    for (int64_t i = 0; i < dataset_shard_n_samples(d, shard) && st == LENS_OK; i++) {
        make_latents(values, n_bytes / 2,
                     rng_stream((uint64_t)o->seed, 2, (uint64_t)(dataset_shard_begin(d, shard) + i), RNG_BENCH));
        st = array_writer_add(w, &shape, values);
    }
    free(values);
    if (st == LENS_OK) return array_writer_close(w);
    array_writer_abort(w);
    return st;
}

lens_status bench_make(const char *dir, const bench_options_t *o) {
    dataset_writer_options_t options = DATASET_WRITER_DEFAULTS;
    dataset_writer_t *w;
    dataset_t *d;
    options.shard_max_samples = o->shard_samples;
    options.provenance = "{\"command\":\"lens bench data --make\"}";
    LENS_TRY(dataset_writer_open(&w, dir, &options));
    lens_status st = write_pictures(w, o);
    if (st != LENS_OK) {
        dataset_writer_abort(w);
        return st;
    }
    LENS_TRY(dataset_writer_close(w));
    LENS_TRY(dataset_open(&d, dir));
    for (int64_t s = 0; s < dataset_n_shards(d) && st == LENS_OK; s++) {
        st = write_captions(d, s, o);
        if (st == LENS_OK) st = write_latents(d, s, o);
    }
    dataset_close(d);
    return st;
}
