/* What the parts of the loader share. Private to loader*.c. */
#ifndef LENS_DATA_LOADER_PRIVATE_H
#define LENS_DATA_LOADER_PRIVATE_H

#include "data/batch_plan.h"
#include "data/bucket_map.h"
#include "data/caption_mix.h"
#include "data/loader.h"

#include <pthread.h>

typedef struct {
    loader_batch_t batch;
    str_t *texts;                       /* [rows] behind batch.caption */
    uint8_t *values[LOADER_MAX_ARRAYS]; /* buffers, as large as the largest bucket needs; as batch.pixels is */
    int64_t n_missing;                  /* rows not filled yet */
    int64_t error_row; /* the lowest that failed, so that timing does not choose the message; INT64_MAX: none */
    lens_status status;
    str_t message;
} loader_slot_t;

/* loader_open_once: samples in the order of their buckets, and the batches they are cut into. */
typedef struct {
    int bucket;
    int64_t first, n; /* of once.sample */
} once_batch_t;

typedef struct {
    int64_t *sample;
    once_batch_t *batch;
    int64_t n_batches;
} loader_once_t;

struct loader {
    const dataset_t *dataset; /* borrowed */
    loader_options_t options; /* captions is not kept: see mix */
    caption_mix_t mix;
    loader_once_t *once; /* in place of the two below; NULL: goes on without end */
    batch_plan_t *plan;  /* with map: of the thread that has `planning` */
    bucket_map_t *map;
    batch_place_t *places;                                /* [max_rows] */
    loader_array_t shapes[BUCKET_MAX][LOADER_MAX_ARRAYS]; /* of a sample, without values */
    int64_t per_step;                                     /* batches of this rank a step */
    int64_t sharing;                                      /* ranks that share a slot */
    int64_t max_rows, grain; /* rows of the largest batch of this rank; rows handed out at once */
    size_t pixel_bytes, array_bytes[LOADER_MAX_ARRAYS]; /* of a slot's buffers */

    loader_slot_t *slots; /* [n_slots] batch q lives in slot q % n_slots */
    int n_slots;
    pthread_t *threads;
    int n_threads; /* running */

    pthread_mutex_t lock; /* guards all below, and in slots n_missing and the error */
    pthread_cond_t work_there, batch_ready;
    /* batches of this rank are counted from step 0 */
    int64_t work_batch, work_row; /* next to hand out */
    int64_t next_batch;           /* next that loader_next returns */
    bool planning;                /* a thread finds out what work_batch holds */
    bool holding;                 /* batch next_batch - 1 is with the consumer */
    bool closing;
    double wait_s;
};

/* A thread's buffers, kept from sample to sample. */
typedef struct {
    str_t picture, key;
} loader_scratch_t;

/* ---- loader_options.c ---- */
LENS_CHECKED lens_status loader_check_options(const loader_options_t *o, const dataset_t *d);

/* ---- loader_row.c ---- */
/* Fills one row, which no other thread touches. */
LENS_CHECKED lens_status loader_fill_row(const loader_t *l, loader_slot_t *slot, int64_t row, loader_scratch_t *scratch,
                                         bool *empty);
/* ---- loader_plan.c ---- */
/* Makes the plan, and finds the array shape of each bucket. */
LENS_CHECKED lens_status loader_make_plan(loader_t *l);
/* Of a bucket that has this sample. */
LENS_CHECKED lens_status loader_find_shapes(loader_t *l, int bucket, int64_t sample);
/* Fills in the batch's samples, epochs and shapes: batch q of this rank. */
LENS_CHECKED lens_status loader_plan_batch(loader_t *l, loader_slot_t *slot, int64_t q);

/* ---- loader_once.c ---- */
LENS_CHECKED lens_status loader_once_new(loader_t *l, const int64_t *sample, int64_t n); /* sets l->once */
void loader_once_free(loader_once_t *once);                                              /* NULL is allowed */
bool loader_once_uses(const loader_once_t *once, int bucket);
LENS_CHECKED lens_status loader_once_batch(const loader_t *l, loader_batch_t *b, int64_t q); /* END after the last */

#endif
