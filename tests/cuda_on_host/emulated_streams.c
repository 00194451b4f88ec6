/* Streams and events. Work is done when it is asked for; what a program may rely on is kept as vector clocks: of each
 * stream how many pieces of work it was given, and how many of every other it has waited for. */
#include "tests/cuda_on_host/include/cuda_runtime.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STREAMS_MAX = 16 };

typedef struct {
    uint64_t n[STREAMS_MAX]; /* pieces of work of each stream */
} clock_vector_t;

/* What a collective leaves in device memory, once somebody may look. */
typedef struct result {
    struct result *next;
    void *out, *bytes;
    size_t n_bytes;
    uint64_t piece;
} result_t;

struct CUstream_st {
    int id;              /* place in `streams` and in clocks */
    uint64_t hangs_at;   /* that piece and those after it do not end; 0: none */
    clock_vector_t done; /* its own pieces, and those of others that come before its next one */
    result_t *results;   /* in order */
};
struct CUevent_st {
    struct timespec at;
    int is_timed;
    cudaStream_t stream; /* that it was recorded on; NULL: none yet */
    clock_vector_t done;
};

static struct CUstream_st default_stream, *streams[STREAMS_MAX] = {&default_stream};
static clock_vector_t host; /* what the host has seen end */

static bool is_strict(void) {
    const char *mode = getenv("LENS_CUDA_STREAMS");
    return mode && !strcmp(mode, "strict");
}

static cudaStream_t stream_of(cudaStream_t stream) {
    return stream ? stream : &default_stream;
}

static void join(clock_vector_t *a, const clock_vector_t *b) {
    for (int i = 0; i < STREAMS_MAX; i++)
        if (b->n[i] > a->n[i]) a->n[i] = b->n[i];
}

/* Whoever knows `done` may look at what these pieces left. */
static void show_results(const clock_vector_t *done) {
    for (int i = 0; i < STREAMS_MAX; i++)
        while (streams[i] && streams[i]->results && streams[i]->results->piece <= done->n[i]) {
            result_t *r = streams[i]->results;
            streams[i]->results = r->next;
            emulated_memory_open();
            memcpy(r->out, r->bytes, r->n_bytes);
            emulated_memory_close();
            free(r->bytes);
            free(r);
        }
}

static void host_knows(const clock_vector_t *done) {
    join(&host, done);
    show_results(done);
}

void emulated_stream_work(cudaStream_t stream) {
    cudaStream_t s = stream_of(stream);
    join(&s->done, &host);
    show_results(&s->done);
    s->done.n[s->id]++;
}

void emulated_stream_collective(cudaStream_t stream) {
    cudaStream_t s = stream_of(stream);
    emulated_stream_work(stream);
    for (int i = 0; i < STREAMS_MAX && is_strict(); i++) {
        if (!streams[i] || streams[i]->done.n[i] <= s->done.n[i]) continue;
        fprintf(stderr, "emulated device: a collective on stream %d does not wait for work %llu of stream %d\n", s->id,
                (unsigned long long)streams[i]->done.n[i], i);
        abort();
    }
}

void emulated_stream_result(cudaStream_t stream, void *out, const void *bytes, size_t n) {
    cudaStream_t s = stream_of(stream);
    result_t *r = is_strict() ? calloc(1, sizeof *r) : NULL, **last = &s->results;
    emulated_memory_open();
    if (!r && n) memcpy(out, bytes, n);
    if (r && n) memset(out, 0xFF, n); /* under way: NaN for whoever does not wait */
    emulated_memory_close();
    if (!r) return;
    *r = (result_t){.out = out, .bytes = malloc(n + 1), .n_bytes = n, .piece = s->done.n[s->id]};
    if (!r->bytes) abort();
    memcpy(r->bytes, bytes, n);
    while (*last) last = &(*last)->next;
    *last = r;
}

void emulated_stream_hang(cudaStream_t stream, int hangs) {
    cudaStream_t s = stream_of(stream);
    s->hangs_at = hangs ? s->done.n[s->id] : 0;
}

/* Of the pieces, or of what came before them on any stream, one does not end. */
static bool is_hanging(const clock_vector_t *done) {
    for (int i = 0; i < STREAMS_MAX; i++)
        if (streams[i] && streams[i]->hangs_at && done->n[i] >= streams[i]->hangs_at) return true;
    return false;
}

/* ---- the runtime's calls ---- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
    int id = 0;
    *stream = NULL;
    while (id < STREAMS_MAX && streams[id]) id++;
    if (id == STREAMS_MAX || (flags & ~cudaStreamNonBlocking)) return emulated_result(cudaErrorInvalidValue);
    *stream = calloc(1, sizeof **stream);
    if (!*stream) return emulated_result(cudaErrorMemoryAllocation);
    (*stream)->id = id;
    (*stream)->done.n[id] = host.n[id]; /* the place may have been another's */
    streams[id] = *stream;
    return cudaSuccess;
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int priority) {
    (void)priority;
    return cudaStreamCreateWithFlags(stream, flags);
}
cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    host_knows(&stream->done);
    streams[stream->id] = NULL;
    free(stream);
    return cudaSuccess;
}

static cudaError_t wait_for(const clock_vector_t *done) {
    if (is_hanging(done)) {
        fprintf(stderr, "emulated device: the host waits for ever, for a stream that hangs\n");
        abort();
    }
    host_knows(done);
    return cudaSuccess;
}

/* As on a device, what is not ready is left as the last error. */
static cudaError_t query(const clock_vector_t *done) {
    if (is_hanging(done)) return emulated_result(cudaErrorNotReady);
    host_knows(done);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    return wait_for(&stream_of(stream)->done);
}
cudaError_t cudaDeviceSynchronize(void) {
    for (int i = 0; i < STREAMS_MAX; i++)
        if (streams[i]) (void)wait_for(&streams[i]->done);
    return cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
    return query(&stream_of(stream)->done);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
    if (!event || flags) return emulated_result(cudaErrorInvalidValue);
    join(&stream_of(stream)->done, &event->done);
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
    *event = calloc(1, sizeof **event);
    if (*event) (*event)->is_timed = !(flags & cudaEventDisableTiming);
    return emulated_result(*event ? cudaSuccess : cudaErrorMemoryAllocation);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    free(event);
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    if (!event) return emulated_result(cudaErrorInvalidValue);
    event->stream = stream_of(stream);
    event->done = event->stream->done;
    clock_gettime(CLOCK_MONOTONIC, &event->at);
    return cudaSuccess;
}
/* An event that was never recorded is over. */
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    if (!event) return emulated_result(cudaErrorInvalidValue);
    return event->stream ? wait_for(&event->done) : cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
    if (!event) return emulated_result(cudaErrorInvalidValue);
    return query(&event->done);
}
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t stop) {
    const bool recorded = start && stop && start->stream && stop->stream;
    if (!recorded || !start->is_timed || !stop->is_timed) return emulated_result(cudaErrorInvalidValue);
    if (is_hanging(&start->done) || is_hanging(&stop->done)) return emulated_result(cudaErrorNotReady);
    *ms = (float)(1e3 * (double)(stop->at.tv_sec - start->at.tv_sec) +
                  1e-6 * (double)(stop->at.tv_nsec - start->at.tv_nsec));
    return cudaSuccess;
}
