/* Results that are read later: copies into pinned memory, each with an event that the host waits for, and not for what
 * the stream is given after it. Marks of time: events too. */
#include <stdlib.h>

#include "kernels/cuda/cuda_kernels.cuh"

typedef struct {
    void *pinned;
    size_t room;
    cudaEvent_t done;
    bool begun;
} fetch_t;

typedef struct {
    fetch_t fetch[KERNELS_MAX_FETCHES];
    int next;
    cudaEvent_t *mark; /* [n_marks], made where they are first used */
    int n_marks;
} fetches_t;

static fetches_t *fetches_of(kernels_t *k) {
    return (fetches_t *)cuda_context(k)->fetches;
}

/* Grows where it must, which waits for the device: not in a step whose size was seen. */
static bool make_room(kernels_t *k, fetch_t *f, size_t bytes) {
    if (!f->done) cuda_note(k, cudaEventCreateWithFlags(&f->done, cudaEventDisableTiming), "an event");
    if (f->done && bytes > f->room) {
        cuda_note(k, cudaFreeHost(f->pinned), "pinned memory for results");
        f->pinned = NULL;
        f->room = 0;
        cudaError_t e = cudaMallocHost(&f->pinned, bytes);
        cuda_note(k, e, "pinned memory for results");
        if (e == cudaSuccess) f->room = bytes;
    }
    return f->done && bytes <= f->room;
}

static int fetch_begin(kernels_t *k, const void *device, size_t bytes) {
    fetches_t *all = fetches_of(k);
    int i = all->next;
    fetch_t *f = &all->fetch[i];
    cudaStream_t stream = cuda_context(k)->stream;
    all->next = (i + 1) % KERNELS_MAX_FETCHES;
    LENS_ASSERT(!f->begun, "fetch %d of %d is not ended", i, KERNELS_MAX_FETCHES);
    if (make_room(k, f, bytes)) {
        if (bytes) cuda_note(k, cudaMemcpyAsync(f->pinned, device, bytes, cudaMemcpyDeviceToHost, stream), "results");
        cuda_note(k, cudaEventRecord(f->done, stream), "results");
    }
    f->begun = true;
    return i;
}

static lens_status fetch_end(kernels_t *k, int fetch, const void **out) {
    cuda_context_t *c = cuda_context(k);
    fetch_t *f = &fetches_of(k)->fetch[fetch];
    LENS_ASSERT(f->begun, "fetch %d is not begun", fetch);
    f->begun = false;
    *out = NULL;
    if (f->done) cuda_note(k, cudaEventSynchronize(f->done), "work of a step");
    if (c->error != LENS_OK) return lens_fail(c->error, "%s", c->error_text);
    *out = f->pinned;
    return LENS_OK;
}

/* ---- marks ---- */

static bool grow_marks(fetches_t *all, int slot) {
    int n = 2 * slot + 1;
    cudaEvent_t *grown = (cudaEvent_t *)realloc(all->mark, sizeof *grown * (size_t)n);
    if (!grown) return false;
    for (int i = all->n_marks; i < n; i++) grown[i] = NULL;
    all->mark = grown;
    all->n_marks = n;
    return true;
}

static void mark(kernels_t *k, int slot) {
    fetches_t *all = fetches_of(k);
    if (slot >= all->n_marks && !grow_marks(all, slot)) {
        cuda_note_status(k, lens_fail(LENS_MEMORY, "out of memory for marks of time"));
        return;
    }
    if (!all->mark[slot]) cuda_note(k, cudaEventCreateWithFlags(&all->mark[slot], cudaEventDefault), "an event");
    if (all->mark[slot]) cuda_note(k, cudaEventRecord(all->mark[slot], cuda_context(k)->stream), "mark of time");
}

static double marked_s(kernels_t *k, int from, int to) {
    fetches_t *all = fetches_of(k);
    float ms = 0;
    if (from >= all->n_marks || to >= all->n_marks || !all->mark[from] || !all->mark[to]) return 0; /* told by mark */
    cuda_note(k, cudaEventElapsedTime(&ms, all->mark[from], all->mark[to]), "time between marks");
    return 1e-3 * (double)ms;
}

/* ---- begin and end ---- */

static void fetches_free(void *fetches) {
    fetches_t *all = (fetches_t *)fetches;
    for (int i = 0; i < KERNELS_MAX_FETCHES; i++) {
        if (all->fetch[i].done) (void)cudaEventDestroy(all->fetch[i].done);
        (void)cudaFreeHost(all->fetch[i].pinned);
    }
    for (int i = 0; i < all->n_marks; i++)
        if (all->mark[i]) (void)cudaEventDestroy(all->mark[i]);
    free(all->mark);
    free(all);
}

void cuda_fill_fetch(kernels_t *k) {
    cuda_context_t *c = cuda_context(k);
    c->fetches = calloc(1, sizeof(fetches_t));
    c->fetches_free = fetches_free;
    if (!c->fetches) cuda_note_status(k, lens_fail(LENS_MEMORY, "out of memory for the CUDA kernels"));
    k->fetch_begin = fetch_begin;
    k->fetch_end = fetch_end;
    k->mark = mark;
    k->marked_s = marked_s;
}
