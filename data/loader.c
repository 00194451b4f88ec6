/* The training loader: a ring of batches that threads fill row by row.
 *
 * Work is handed out in the order of training, some rows at a time, so that all threads help with the batch that is
 * needed next. The thread that comes to a new batch finds out which samples it has; the others wait for that only where
 * they have nothing else. A thread may fill rows of any batch whose slot of the ring is free; the consumer frees a slot
 * by asking for the next batch. What goes into a row depends on its place in the order alone, so when threads finish
 * does not show. */
#include "data/loader.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "data/loader_private.h"

enum { ALIGNMENT = 64, ARRAY_GRAIN = 16 }; /* rows of arrays alone take microseconds: several are handed out at once */

typedef struct {
    loader_slot_t *slot;
    int64_t row, n;
} work_t;

static loader_slot_t *slot_of(const loader_t *l, int64_t batch) {
    return &l->slots[batch % l->n_slots];
}

/* ---- threads ---- */

/* Finds out what work_batch holds; false where that failed, which is then the batch's error. The lock is held, and
 * given up meanwhile. */
static bool plan_next(loader_t *l) {
    loader_slot_t *slot = slot_of(l, l->work_batch);
    l->planning = true;
    pthread_mutex_unlock(&l->lock);
    lens_status st = loader_plan_batch(l, slot, l->work_batch);
    pthread_mutex_lock(&l->lock);
    l->planning = false;
    pthread_cond_broadcast(&l->work_there);
    slot->error_row = st == LENS_OK ? INT64_MAX : 0;
    slot->n_missing = st == LENS_OK ? slot->batch.n : 0;
    if (st == LENS_OK) return true;
    slot->status = st;
    str_clear(&slot->message);
    str_add(&slot->message, lens_error());
    l->work_batch++;
    pthread_cond_signal(&l->batch_ready);
    return false;
}

/* Waits for work; false at the end. The lock is held. */
static bool take_work(loader_t *l, work_t *out) {
    do {
        while (!l->closing && (l->planning || l->work_batch >= l->next_batch - l->holding + l->n_slots))
            pthread_cond_wait(&l->work_there, &l->lock);
        if (l->closing) return false;
    } while (l->work_row == 0 && !plan_next(l));
    out->slot = slot_of(l, l->work_batch);
    int64_t left = out->slot->batch.n - l->work_row;
    out->row = l->work_row;
    out->n = left < l->grain ? left : l->grain;
    l->work_row += out->n;
    if (out->n == left) {
        l->work_row = 0;
        l->work_batch++;
    }
    return true;
}

/* The lock is held; the message is this thread's. */
static void note_error(loader_slot_t *slot, int64_t row, lens_status st) {
    if (row >= slot->error_row) return;
    slot->error_row = row;
    slot->status = st;
    str_clear(&slot->message);
    str_add(&slot->message, lens_error());
}

/* The rows of one piece of work, up to the first that fails. The lock is not held. */
static lens_status fill_rows(const loader_t *l, const work_t *w, loader_scratch_t *scratch, int64_t *row,
                             int64_t *n_empty) {
    *n_empty = 0;
    for (*row = w->row; *row < w->row + w->n; ++*row) {
        bool empty;
        LENS_TRY(loader_fill_row(l, w->slot, *row, scratch, &empty));
        *n_empty += empty;
    }
    return LENS_OK;
}

static void *run_thread(void *argument) {
    loader_t *l = argument;
    loader_scratch_t scratch = {0};
    work_t w;
    pthread_mutex_lock(&l->lock);
    while (take_work(l, &w)) {
        int64_t row, n_empty;
        pthread_mutex_unlock(&l->lock);
        lens_status st = fill_rows(l, &w, &scratch, &row, &n_empty);
        pthread_mutex_lock(&l->lock);
        w.slot->batch.n_empty += n_empty;
        if (st != LENS_OK) note_error(w.slot, row, st);
        w.slot->n_missing -= w.n;
        if (w.slot->n_missing == 0) pthread_cond_signal(&l->batch_ready);
    }
    pthread_mutex_unlock(&l->lock);
    str_free(&scratch.picture);
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

/* ---- buffers ---- */

static void *default_alloc(void *arg, size_t n_bytes) {
    (void)arg;
    return aligned_alloc(ALIGNMENT, n_bytes);
}

static void default_free(void *arg, void *p, size_t n_bytes) {
    (void)arg;
    (void)n_bytes;
    free(p);
}

/* Bytes of n rows, a multiple of the alignment and not 0. */
static lens_status buffer_bytes(size_t *out, int64_t n, size_t row_bytes) {
    if (__builtin_mul_overflow((size_t)n, row_bytes, out) || *out > PTRDIFF_MAX - ALIGNMENT)
        return lens_fail(LENS_MEMORY, "loader: batches of %lld rows of %zu bytes", (long long)n, row_bytes);
    *out = (*out + ALIGNMENT) & ~(size_t)(ALIGNMENT - 1);
    return LENS_OK;
}

/* As large as the bucket that needs most of each. */
static lens_status size_buffers(loader_t *l) {
    const bucket_list_t *list = &l->options.buckets;
    for (int b = 0; b < list->n; b++) {
        if (l->once ? !loader_once_uses(l->once, b) : batch_plan_n_samples(l->plan, b) == 0) continue;
        int64_t n = l->options.batch_of_area[list->bucket[b].area] / l->sharing;
        size_t bytes;
        if (n > l->max_rows) l->max_rows = n;
        LENS_TRY(buffer_bytes(&bytes, n, (size_t)list->bucket[b].width * (size_t)list->bucket[b].height * 3));
        if (bytes > l->pixel_bytes) l->pixel_bytes = bytes;
        for (int a = 0; a < l->options.n_arrays; a++) {
            LENS_TRY(buffer_bytes(&bytes, n, l->shapes[b][a].bytes));
            if (bytes > l->array_bytes[a]) l->array_bytes[a] = bytes;
        }
    }
    if (!l->options.pictures) l->pixel_bytes = 0;
    return LENS_OK;
}

static lens_status init_slot(const loader_t *l, loader_slot_t *slot) {
    const loader_memory_t *memory = &l->options.memory;
    size_t n = (size_t)l->max_rows;
    slot->n_missing = 1; /* at least: what it holds is not known yet */
    slot->batch.sample = calloc(n, sizeof *slot->batch.sample);
    slot->batch.epoch = calloc(n, sizeof *slot->batch.epoch);
    slot->texts = calloc(n, sizeof *slot->texts);
    bool failed = !slot->batch.sample || !slot->batch.epoch || !slot->texts;
    if (l->mix.n) failed |= !(slot->batch.caption = calloc(n, sizeof *slot->batch.caption));
    if (l->options.pictures) failed |= !(slot->batch.pixels = memory->alloc(memory->arg, l->pixel_bytes));
    for (int a = 0; a < l->options.n_arrays; a++)
        failed |= !(slot->values[a] = memory->alloc(memory->arg, l->array_bytes[a]));
    if (failed)
        return lens_fail(LENS_MEMORY, "loader: %d batches of %zu rows, %zu bytes in all", l->n_slots, n,
                         loader_buffer_bytes(l));
    return LENS_OK;
}

static void reset_slot(const loader_t *l, loader_slot_t *slot) {
    const loader_memory_t *memory = &l->options.memory;
    for (int64_t i = 0; slot->texts && i < l->max_rows; i++) str_free(&slot->texts[i]);
    free(slot->texts);
    free(slot->batch.sample);
    free(slot->batch.epoch);
    free(slot->batch.caption);
    if (slot->batch.pixels) memory->free(memory->arg, slot->batch.pixels, l->pixel_bytes);
    for (int a = 0; a < l->options.n_arrays; a++) {
        if (slot->values[a]) memory->free(memory->arg, slot->values[a], l->array_bytes[a]);
    }
    str_free(&slot->message);
}

/* ---- opening, batches, closing ---- */

static lens_status make_ring(loader_t *l) {
    LENS_TRY(size_buffers(l));
    l->n_slots = l->options.n_prefetch + 1; /* one is with the consumer */
    l->places = calloc((size_t)l->max_rows, sizeof *l->places);
    l->slots = calloc((size_t)l->n_slots, sizeof *l->slots);
    l->threads = calloc((size_t)l->options.n_threads, sizeof *l->threads);
    if (!l->places || !l->slots || !l->threads)
        return lens_fail(LENS_MEMORY, "loader: %d batches, %d threads", l->n_slots, l->options.n_threads);
    for (int i = 0; i < l->n_slots; i++) LENS_TRY(init_slot(l, &l->slots[i]));
    return LENS_OK;
}

static void init(loader_t *l, const dataset_t *d, const loader_options_t *options, int64_t first_step) {
    bool shares = options->world > options->slots;
    l->dataset = d;
    l->options = *options;
    l->options.captions = NULL;
    if (!l->options.memory.alloc) l->options.memory = (loader_memory_t){default_alloc, default_free, NULL};
    l->sharing = shares ? options->world / options->slots : 1;
    l->per_step = shares ? 1 : options->slots / options->world;
    l->grain = options->pictures ? 1 : ARRAY_GRAIN;
    l->work_batch = l->next_batch = first_step * l->per_step;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work_there, NULL);
    pthread_cond_init(&l->batch_ready, NULL);
}

static lens_status make_batches(loader_t *l, const int64_t *sample, int64_t n) {
    LENS_TRY(sample ? loader_once_new(l, sample, n) : loader_make_plan(l));
    LENS_TRY(make_ring(l));
    return start_threads(l);
}

/* sample: NULL for all, without end. */
static lens_status open_loader(loader_t **out, const dataset_t *d, const loader_options_t *options, int64_t first_step,
                               const int64_t *sample, int64_t n) {
    lens_status st = LENS_OK;
    *out = NULL;
    LENS_TRY(loader_check_options(options, d));
    loader_t *l = calloc(1, sizeof *l);
    if (!l) return lens_fail(LENS_MEMORY, "loader");
    init(l, d, options, first_step);
    if (options->captions) LENS_GO(caption_mix_init(&l->mix, options->captions, d));
    st = make_batches(l, sample, n);
done:
    if (st == LENS_OK)
        *out = l;
    else
        loader_close(l);
    return st;
}

lens_status loader_open(loader_t **out, const dataset_t *d, const loader_options_t *options, int64_t first_step) {
    *out = NULL;
    if (first_step < 0 || first_step > (INT64_C(1) << 40)) /* batches ahead of it must not overflow */
        return lens_fail(LENS_ARGUMENT, "loader: first step %lld", (long long)first_step);
    return open_loader(out, d, options, first_step, NULL, 0);
}

lens_status loader_open_once(loader_t **out, const dataset_t *d, const loader_options_t *options, const int64_t *sample,
                             int64_t n) {
    loader_options_t mine = *options;
    mine.slots = mine.world = 1;
    mine.rank = mine.window_shards = 0;
    for (int64_t i = 0; i < n; i++)
        LENS_ASSERT(sample[i] >= 0 && sample[i] < dataset_n_samples(d), "sample %lld", (long long)sample[i]);
    return open_loader(out, d, &mine, 0, sample, n);
}

/* Gives the batch that the consumer holds back to the threads. The lock is held. */
static void release_held(loader_t *l) {
    if (!l->holding) return;
    slot_of(l, l->next_batch - 1)->n_missing = 1; /* at least */
    l->holding = false;
    pthread_cond_broadcast(&l->work_there);
}

lens_status loader_next(loader_t *l, const loader_batch_t **out) {
    lens_status st = LENS_OK;
    *out = NULL;
    pthread_mutex_lock(&l->lock);
    release_held(l);
    loader_slot_t *slot = slot_of(l, l->next_batch);
    double since_s = log_clock_s();
    while (slot->n_missing > 0) pthread_cond_wait(&l->batch_ready, &l->lock);
    l->wait_s += log_clock_s() - since_s;
    if (slot->error_row < INT64_MAX) {
        st = lens_fail(slot->status, "%s", str_text(&slot->message)); /* from the thread that failed to this one */
    } else {
        l->holding = true;
        l->next_batch++;
        *out = &slot->batch;
    }
    pthread_mutex_unlock(&l->lock);
    return st;
}

double loader_wait_s(const loader_t *l) {
    return l->wait_s;
}

size_t loader_buffer_bytes(const loader_t *l) {
    size_t n = l->pixel_bytes;
    for (int a = 0; a < l->options.n_arrays; a++) n += l->array_bytes[a];
    return n * (size_t)l->n_slots;
}

int64_t loader_batches_of_step(const loader_t *l) {
    return l->per_step;
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
    free(l->places);
    loader_once_free(l->once);
    bucket_map_free(l->map);
    batch_plan_free(l->plan);
    caption_mix_reset(&l->mix);
    pthread_cond_destroy(&l->batch_ready);
    pthread_cond_destroy(&l->work_there);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
