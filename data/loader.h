/* The training loader: batches of cropped pictures and chosen captions, prefetched by threads, as a pure function of
 * (seed, step): the sample order is a keyed permutation, every random choice is keyed by (seed, epoch, sample).
 * The number of threads, of ranks, and where a run was resumed change nothing.
 *
 * One thread calls; the loader's own threads read the dataset and never touch a batch that was handed out. */
#ifndef LENS_DATA_LOADER_H
#define LENS_DATA_LOADER_H

#include "data/dataset.h"

typedef struct {
    int32_t width, height; /* px of every picture of a batch */
    int64_t global_batch;  /* samples a step, over all ranks */
    int64_t rank, world;   /* this rank takes rows [rank*g/world, (rank+1)*g/world) of each step */
    uint64_t seed;
    const char *captions;      /* caption kinds with weights: "dense" or "dense=0.8,alt=0.2" */
    double caption_dropout;    /* probability of the empty caption */
    bool flip;                 /* mirror half of the pictures */
    bool random_crop;          /* false: centre */
    int n_threads, n_prefetch; /* decoding threads; batches held ready */
} loader_options_t;

typedef struct {
    int64_t step, n; /* n: samples of this rank */
    int64_t *sample; /* [n] index in the dataset */
    uint32_t *epoch; /* [n] */
    uint8_t *pixels; /* u8 [n, height, width, 3] */
    char **caption;  /* [n] "" where dropped */
    int64_t n_empty; /* captions that are empty in the dataset (rejected ones): they train as if dropped */
} loader_batch_t;

typedef struct loader loader_t;
/* Borrows the dataset. first_step: where to begin (a resumed run). ARGUMENT: unknown caption kind, batch not divisible.
 */
LENS_CHECKED lens_status loader_open(loader_t **out, const dataset_t *d, const loader_options_t *options,
                                     int64_t first_step);
/* The next step's batch, owned by the loader until the next call. A picture that cannot be decoded is an error (verify
 * finds it). */
LENS_CHECKED lens_status loader_next(loader_t *l, const loader_batch_t **out);
double loader_wait_s(const loader_t *l); /* seconds spent waiting in loader_next so far */
void loader_close(loader_t *l);

#endif
