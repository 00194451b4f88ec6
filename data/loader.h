/* The training loader: batches of cropped pictures, chosen captions and arrays (latents, text features), prefetched by
 * threads.
 *
 * What a batch holds is a function of the options and the step alone: the order is batch_plan.h's, every random choice
 * is keyed by (seed, epoch, sample). Threads, ranks and where a run was resumed change nothing, and there is no state
 * to save but the step.
 *
 * A step has `slots` batches, each of one bucket. With ranks a multiple of slots, a slot's rows are shared by
 * world / slots ranks; with slots a multiple of ranks, a rank takes slots / world whole slots, one after the other. So
 * every rank gets max(1, slots / world) batches in every step, and none waits at the end of anything.
 *
 * One thread calls; the loader's own threads read the dataset and never touch a batch that was handed out. Nothing
 * outlives the process: no shared memory, no files. A fork must not use the parent's loader. */
#ifndef LENS_DATA_LOADER_H
#define LENS_DATA_LOADER_H

#include "data/bucket.h"
#include "data/dataset.h"
#include "data/image.h"

#define LOADER_MAX_ARRAYS 4
#define LOADER_MAX_THREADS 256
#define LOADER_MAX_PREFETCH 1024

/* Where the batches' buffers come from (pinned memory, say). All NULL: the C library. alloc returns 64-byte aligned
 * memory, NULL where there is none; it is called while opening only, free while closing. */
typedef struct {
    void *(*alloc)(void *arg, size_t n_bytes);
    void (*free)(void *arg, void *p, size_t n_bytes);
    void *arg;
} loader_memory_t;

typedef struct {
    /* what is trained on: the same in every run that goes on from another (loader_identity) */
    bucket_list_t buckets;
    int64_t
        batch_of_area[BUCKET_MAX]; /* [buckets.n_areas] samples of a batch of that area, over all ranks that share it */
    int64_t slots;                 /* batches a step, over all ranks */
    int64_t window_shards;         /* batch_plan.h: 0: the order is over the whole set at once */
    uint64_t seed;
    bool pictures; /* false: they are not read */
    image_resampling_t resampling;
    bool flip;                            /* mirror half of the pictures */
    bool random_crop;                     /* false: centre */
    const char *captions;                 /* kinds with weights: "dense" or "dense=0.8,alt=0.2"; NULL: none */
    double caption_dropout;               /* probability of the empty caption */
    const char *array[LOADER_MAX_ARRAYS]; /* kinds of array layers */
    int n_arrays;
    bool refuse_small; /* ARGUMENT where a picture is too small for every bucket; else the log counts them */
    /* how: of no influence on what comes out */
    int64_t rank, world;
    int n_threads, n_prefetch; /* reading threads; batches held ready */
    loader_memory_t memory;
} loader_options_t;

typedef struct {
    array_shape_t shape; /* of each sample's */
    size_t bytes;        /* of each sample's */
    uint8_t *values;     /* [n] of that many bytes, one after the other */
} loader_array_t;

typedef struct {
    int64_t step;
    int64_t slot;          /* of [0, slots) */
    int bucket;            /* of options.buckets */
    int32_t width, height; /* px, of the bucket */
    int64_t first, n;      /* this rank has rows [first, first + n) of the slot's batch */
    int64_t n_step;        /* samples of the step over all slots and ranks, */
    int64_t px_step;       /* and their pixels: a sample's share of the step's elements is width * height / px_step */
    int64_t *sample;       /* [n] index in the dataset */
    uint32_t *epoch;       /* [n] of its bucket */
    uint8_t *pixels;       /* u8 [n, height, width, 3]; NULL without pictures */
    char **caption;        /* [n] "" where dropped; NULL without captions */
    int64_t n_empty;       /* captions that are empty in the dataset (rejected ones): they train as if dropped */
    loader_array_t array[LOADER_MAX_ARRAYS]; /* [n_arrays], in the order of the options */
} loader_batch_t;

typedef struct loader loader_t;
/* Borrows the dataset; the options are copied, but for what array[] and memory.arg point to. first_step: where to begin
 * (a resumed run). ARGUMENT: what does not divide, an unknown kind; FORMAT where the samples of a bucket cannot have
 * one array shape: that of the bucket's first sample is taken for all. */
LENS_CHECKED lens_status loader_open(loader_t **out, const dataset_t *d, const loader_options_t *options,
                                     int64_t first_step);
/* The next batch of this rank, owned by the loader until the next call. A sample that cannot be read or decoded is an
 * error that names it, again at every call (`lens shards verify` finds all). */
LENS_CHECKED lens_status loader_next(loader_t *l, const loader_batch_t **out);
double loader_wait_s(const loader_t *l);           /* seconds spent waiting in loader_next so far */
size_t loader_buffer_bytes(const loader_t *l);     /* of all batches, allocated while opening */
int64_t loader_batches_of_step(const loader_t *l); /* that this rank gets */
void loader_close(loader_t *l);                    /* in any state; NULL is allowed */

/* Hash of all that decides what is trained on: the options above `how` and the contents of the base shards. Texts and
 * arrays of layers are not part of it. ARGUMENT where the options are wrong. */
LENS_CHECKED lens_status loader_identity(uint64_t *out, const dataset_t *d, const loader_options_t *options);

#endif
