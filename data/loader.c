/* The training loader: a ring of batches that threads fill sample by sample.
 *
 * Work is handed out in the order of training, one sample at a time, so that all threads help with the batch that is
 * needed next. A thread may fill rows of any batch whose slot of the ring is free; the consumer frees a slot by asking
 * for the next batch. What goes into a row depends on its position alone, so the order in which threads finish does not
 * show. */
#include "data/loader.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/rng.h"
#include "data/caption_mix.h"
#include "data/image.h"

#define MAX_THREADS 256
#define MAX_PREFETCH 1024

typedef struct {
    loader_batch_t batch;
    str_t *texts;      /* [n] behind batch.caption */
    int64_t n_missing; /* rows not filled yet */
    int64_t
        error_row; /* of the lowest row that failed; n: none. The lowest, so that timing does not choose the message */
    lens_status status;
    str_t message;
} slot_t;

struct loader {
    const dataset_t *dataset; /* borrowed */
    loader_options_t options; /* captions is not kept: see mix */
    caption_mix_t mix;
    int64_t n_samples, first_step;
    int64_t n, first_row; /* rows of this rank */
    size_t picture_bytes;

    slot_t *slots; /* [n_slots] step s lives in slot (s - first_step) % n_slots */
    int n_slots;
    pthread_t *threads;
    int n_threads; /* running */

    pthread_mutex_t lock; /* guards all below, and in slots n_missing and the error */
    pthread_cond_t work_there, batch_ready;
    int64_t work_step, work_row; /* next to hand out */
    int64_t next_step;           /* next that loader_next returns */
    bool holding;                /* the batch of next_step - 1 is with the consumer */
    bool closing;
    double wait_s;
};

/* A thread's buffers, kept from sample to sample. */
typedef struct {
    str_t webp, key;
} scratch_t;

static slot_t *slot_of(const loader_t *l, int64_t step) {
    return &l->slots[(step - l->first_step) % l->n_slots];
}

/* ---- one sample ---- */

static lens_status load_caption(const loader_t *l, slot_t *slot, int64_t row, bool *empty) {
    str_t *text = &slot->texts[row];
    rng_t r = rng_stream(l->options.seed, slot->batch.epoch[row], (uint64_t)slot->batch.sample[row], RNG_CAPTION);
    /* Both are drawn always: changing the rate of dropout must not change which kind the others get. */
    bool dropped = rng_uniform(&r) < l->options.caption_dropout;
    const char *kind = caption_mix_pick(&l->mix, &r);
    str_clear(text);
    str_reserve(text, 0); /* so that text->s is there for the empty caption */
    LENS_TRY(str_status(text));
    if (!dropped) LENS_TRY(dataset_caption(l->dataset, slot->batch.sample[row], kind, text));
    *empty = !dropped && text->len == 0;
    slot->batch.caption[row] = text->s;
    return LENS_OK;
}

static lens_status load_picture(const loader_t *l, slot_t *slot, int64_t row, scratch_t *scratch) {
    rng_t r = rng_stream(l->options.seed, slot->batch.epoch[row], (uint64_t)slot->batch.sample[row], RNG_CROP);
    double at_x = rng_uniform(&r), at_y = rng_uniform(&r);
    bool flipped = rng_uniform(&r) < 0.5;
    if (!l->options.random_crop) at_x = at_y = 0.5;

    image_t whole, cropped;
    LENS_TRY(dataset_image(l->dataset, slot->batch.sample[row], &scratch->webp));
    LENS_TRY(image_decode(&whole, (const uint8_t *)scratch->webp.s, scratch->webp.len));
    lens_status st = image_cover(&cropped, &whole, l->options.width, l->options.height, at_x, at_y);
    image_free(&whole);
    LENS_TRY(st);
    if (l->options.flip && flipped) image_flip_horizontal(&cropped);
    memcpy(slot->batch.pixels + (size_t)row * l->picture_bytes, cropped.rgb, l->picture_bytes);
    image_free(&cropped);
    return LENS_OK;
}

/* Fills one row. Only this thread touches the row, so no lock is held. */
static lens_status load_sample(const loader_t *l, slot_t *slot, int64_t row, scratch_t *scratch, bool *empty) {
    int64_t position, n = l->n_samples;
    if (__builtin_mul_overflow(slot->batch.step, l->options.global_batch, &position) ||
        __builtin_add_overflow(position, l->first_row + row, &position) || position / n > UINT32_MAX)
        return lens_fail(LENS_ARGUMENT, "step %lld is beyond 2^32 epochs of %s", (long long)slot->batch.step + 1,
                         dataset_dir(l->dataset));
    uint32_t epoch = (uint32_t)(position / n);
    int64_t sample = (int64_t)rng_permute(l->options.seed, epoch, (uint64_t)n, (uint64_t)(position % n));
    slot->batch.epoch[row] = epoch;
    slot->batch.sample[row] = sample;
    lens_status st = load_caption(l, slot, row, empty);
    if (st == LENS_OK) st = load_picture(l, slot, row, scratch);
    if (st == LENS_OK) return LENS_OK;
    char cause[1024];
    snprintf(cause, sizeof(cause), "%s", lens_error());
    bool has_key = dataset_key(l->dataset, sample, &scratch->key) == LENS_OK; /* may set a message of its own */
    return lens_fail(st, "step %lld: sample %lld (key %s) of %s: %s", (long long)slot->batch.step + 1,
                     (long long)sample, has_key ? str_text(&scratch->key) : "unreadable", dataset_dir(l->dataset),
                     cause);
}

/* ---- threads ---- */

/* Waits for work; false at the end. The lock is held. */
static bool take_work(loader_t *l, int64_t *step, int64_t *row) {
    while (!l->closing && l->work_step >= l->next_step - l->holding + l->n_slots)
        pthread_cond_wait(&l->work_there, &l->lock);
    *step = l->work_step;
    *row = l->work_row;
    if (++l->work_row == l->n) {
        l->work_row = 0;
        l->work_step++;
    }
    return !l->closing;
}

/* The lock is held; the message is this thread's. */
static void finish_row(loader_t *l, slot_t *slot, int64_t row, lens_status st, bool empty) {
    slot->batch.n_empty += empty;
    if (st != LENS_OK && row < slot->error_row) {
        slot->error_row = row;
        slot->status = st;
        str_clear(&slot->message);
        str_add(&slot->message, lens_error());
    }
    if (--slot->n_missing == 0) pthread_cond_signal(&l->batch_ready);
}

static void *run_thread(void *argument) {
    loader_t *l = argument;
    scratch_t scratch = {0};
    int64_t step, row;
    pthread_mutex_lock(&l->lock);
    while (take_work(l, &step, &row)) {
        pthread_mutex_unlock(&l->lock);
        bool empty = false;
        slot_t *slot = slot_of(l, step);
        lens_status st = load_sample(l, slot, row, &scratch, &empty);
        pthread_mutex_lock(&l->lock);
        finish_row(l, slot, row, st, empty);
    }
    pthread_mutex_unlock(&l->lock);
    str_free(&scratch.webp);
    str_free(&scratch.key);
    return NULL;
}

/* Signals stay with the thread that trains. */
static lens_status start_threads(loader_t *l) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = 0;
    while (l->n_threads < l->options.n_threads && error == 0) {
        error = pthread_create(&l->threads[l->n_threads], NULL, run_thread, l);
        l->n_threads += error == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) return lens_fail(LENS_MEMORY, "loader: cannot start thread %d: %s", l->n_threads, strerror(error));
    return LENS_OK;
}

/* ---- opening, batches, closing ---- */

static lens_status check_options(const loader_options_t *o, const dataset_t *d, int64_t first_step) {
    if (dataset_n_samples(d) < 1) return lens_fail(LENS_ARGUMENT, "%s: no samples to train on", dataset_dir(d));
    if (o->width < 1 || o->width > IMAGE_WEBP_MAX_SIDE || o->height < 1 || o->height > IMAGE_WEBP_MAX_SIDE)
        return lens_fail(LENS_ARGUMENT, "loader: pictures of %d x %d px", o->width, o->height);
    if (o->world < 1 || o->rank < 0 || o->rank >= o->world)
        return lens_fail(LENS_ARGUMENT, "loader: rank %lld of %lld", (long long)o->rank, (long long)o->world);
    if (o->global_batch < 1 || o->global_batch % o->world != 0)
        return lens_fail(LENS_ARGUMENT, "loader: a batch of %lld samples cannot be divided among %lld ranks",
                         (long long)o->global_batch, (long long)o->world);
    if (!(o->caption_dropout >= 0 && o->caption_dropout <= 1))
        return lens_fail(LENS_ARGUMENT, "loader: caption dropout %g, expected 0 to 1", o->caption_dropout);
    if (o->n_threads < 1 || o->n_threads > MAX_THREADS || o->n_prefetch < 1 || o->n_prefetch > MAX_PREFETCH)
        return lens_fail(LENS_ARGUMENT, "loader: %d threads and %d batches ready, expected 1 to %d and 1 to %d",
                         o->n_threads, o->n_prefetch, MAX_THREADS, MAX_PREFETCH);
    if (first_step < 0 || first_step > INT64_MAX / 2) /* steps ahead of it must not overflow */
        return lens_fail(LENS_ARGUMENT, "loader: first step %lld", (long long)first_step);
    return LENS_OK;
}

static lens_status init_slot(const loader_t *l, slot_t *slot, int64_t step) {
    size_t n = (size_t)l->n;
    slot->batch = (loader_batch_t){.step = step, .n = l->n};
    slot->n_missing = slot->error_row = l->n;
    slot->batch.sample = calloc(n, sizeof(*slot->batch.sample));
    slot->batch.epoch = calloc(n, sizeof(*slot->batch.epoch));
    slot->batch.pixels = calloc(n, l->picture_bytes); /* calloc refuses products that overflow */
    slot->batch.caption = calloc(n, sizeof(*slot->batch.caption));
    slot->texts = calloc(n, sizeof(*slot->texts));
    if (!slot->batch.sample || !slot->batch.epoch || !slot->batch.pixels || !slot->batch.caption || !slot->texts)
        return lens_fail(LENS_MEMORY, "loader: %d batches of %lld pictures of %d x %d px", l->n_slots, (long long)l->n,
                         l->options.width, l->options.height);
    return LENS_OK;
}

static void reset_slot(const loader_t *l, slot_t *slot) {
    for (int64_t i = 0; slot->texts && i < l->n; i++) str_free(&slot->texts[i]);
    free(slot->texts);
    free(slot->batch.sample);
    free(slot->batch.epoch);
    free(slot->batch.pixels);
    free(slot->batch.caption);
    str_free(&slot->message);
}

lens_status loader_open(loader_t **out, const dataset_t *d, const loader_options_t *options, int64_t first_step) {
    lens_status st;
    *out = NULL;
    LENS_TRY(check_options(options, d, first_step));
    loader_t *l = calloc(1, sizeof(*l));
    if (!l) return lens_fail(LENS_MEMORY, "loader");
    l->dataset = d;
    l->options = *options;
    l->options.captions = NULL;
    l->n_samples = dataset_n_samples(d);
    l->n = options->global_batch / options->world;
    l->first_row = options->rank * l->n;
    l->first_step = l->work_step = l->next_step = first_step;
    l->picture_bytes = (size_t)options->width * (size_t)options->height * 3;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work_there, NULL);
    pthread_cond_init(&l->batch_ready, NULL);
    LENS_GO(caption_mix_init(&l->mix, options->captions, d));
    l->n_slots = options->n_prefetch + 1; /* one is with the consumer */
    l->slots = calloc((size_t)l->n_slots, sizeof(*l->slots));
    l->threads = calloc((size_t)options->n_threads, sizeof(*l->threads));
    if (!l->slots || !l->threads) {
        st = lens_fail(LENS_MEMORY, "loader: %d batches, %d threads", l->n_slots, options->n_threads);
        goto done;
    }
    for (int i = 0; i < l->n_slots; i++) LENS_GO(init_slot(l, &l->slots[i], first_step + i));
    LENS_GO(start_threads(l));
done:
    if (st == LENS_OK) {
        *out = l;
    } else {
        loader_close(l);
    }
    return st;
}

/* Gives the batch that the consumer holds back to the threads. The lock is held. */
static void release_held(loader_t *l) {
    if (!l->holding) return;
    slot_t *slot = slot_of(l, l->next_step - 1);
    slot->batch.step += l->n_slots;
    slot->batch.n_empty = 0;
    slot->n_missing = l->n;
    l->holding = false;
    pthread_cond_broadcast(&l->work_there);
}

lens_status loader_next(loader_t *l, const loader_batch_t **out) {
    lens_status st = LENS_OK;
    *out = NULL;
    pthread_mutex_lock(&l->lock);
    release_held(l);
    slot_t *slot = slot_of(l, l->next_step);
    double since_s = log_clock_s();
    while (slot->n_missing > 0) pthread_cond_wait(&l->batch_ready, &l->lock);
    l->wait_s += log_clock_s() - since_s;
    if (slot->error_row < l->n) {
        st = lens_fail(slot->status, "%s", str_text(&slot->message)); /* from the thread that failed to this one */
    } else {
        l->holding = true;
        l->next_step++;
        *out = &slot->batch;
    }
    pthread_mutex_unlock(&l->lock);
    return st;
}

double loader_wait_s(const loader_t *l) {
    return l->wait_s;
}

void loader_close(loader_t *l) {
    if (!l) return;
    pthread_mutex_lock(&l->lock);
    l->closing = true;
    pthread_cond_broadcast(&l->work_there);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->n_threads; i++) pthread_join(l->threads[i], NULL);
    for (int i = 0; l->slots && i < l->n_slots; i++) reset_slot(l, &l->slots[i]);
    free(l->slots);
    free(l->threads);
    caption_mix_reset(&l->mix);
    pthread_cond_destroy(&l->batch_ready);
    pthread_cond_destroy(&l->work_there);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
