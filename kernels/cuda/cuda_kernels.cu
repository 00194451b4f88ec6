/* The CUDA backend: its context, memory, and the table. */
#include "kernels/cuda/cuda_kernels.cuh"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern "C" {
#include "base/backoff.h"
}

enum {
    NAP_LONGEST_US = 200,
    TOKEN_MULTIPLE = 32, /* a plan of cuDNN's for attention takes a second or two, twice a length */
};

/* ---- errors ---- */

void cuda_note_status(kernels_t *k, lens_status st) {
    cuda_context_t *c = cuda_context(k);
    if (st == LENS_OK || c->error != LENS_OK) return;
    snprintf(c->error_text, sizeof c->error_text, "%s", lens_error());
    c->error = st;
}

static lens_status cuda_failed(const cuda_context_t *c, cudaError_t e, const char *what) {
    if (e == cudaSuccess) return LENS_OK;
    return lens_fail(e == cudaErrorMemoryAllocation ? LENS_MEMORY : LENS_CUDA, "%s on GPU %d: %s (%s)", what, c->device,
                     cudaGetErrorString(e), cudaGetErrorName(e));
}

void cuda_note(kernels_t *k, cudaError_t e, const char *what) {
    if (e != cudaSuccess) cuda_note_status(k, cuda_failed(cuda_context(k), e, what));
}

/* ---- waits ---- */

/* A query that says no leaves cudaErrorNotReady behind, which the next launch is not to find. */
static cudaError_t query(cudaEvent_t event) {
    cudaError_t e = cudaEventQuery(event);
    if (e == cudaErrorNotReady) (void)cudaGetLastError();
    return e;
}

bool cuda_is_over(kernels_t *k, cudaEvent_t event) {
    cudaError_t e = query(event);
    if (e == cudaErrorNotReady) return false;
    cuda_note(k, e, "an event");
    return true;
}

static cudaError_t poll_until_over(kernels_t *k, cudaEvent_t event, lens_status *st) {
    cuda_context_t *c = cuda_context(k);
    backoff_t pause = {};
    cudaError_t e = query(event);
    if (e != cudaErrorNotReady) return e;
    while (e == cudaErrorNotReady && *st == LENS_OK) {
        *st = c->poll(c->poll_arg);
        if (*st == LENS_OK) backoff_pause(&pause, NAP_LONGEST_US);
        e = query(event);
    }
    c->poll_end(c->poll_arg);
    return e;
}

bool cuda_wait_event(kernels_t *k, cudaEvent_t event, const char *what) {
    lens_status st = LENS_OK;
    cudaError_t e = cuda_context(k)->poll ? poll_until_over(k, event, &st) : cudaEventSynchronize(event);
    cuda_note_status(k, st);
    if (st == LENS_OK) cuda_note(k, e, what);
    return st == LENS_OK && e == cudaSuccess;
}

bool cuda_wait_stream(kernels_t *k, const char *what) {
    cuda_context_t *c = cuda_context(k);
    cuda_note(k, cudaEventRecord(c->waited, c->stream), what);
    return cuda_wait_event(k, c->waited, what);
}

static lens_status cuda_finish(kernels_t *k) {
    cuda_context_t *c = cuda_context(k);
    (void)cuda_wait_stream(k, "work of the stream");
    lens_status st = c->error;
    c->error = LENS_OK;
    return st == LENS_OK ? LENS_OK : lens_fail(st, "%s", c->error_text);
}

/* ---- memory ---- */

static lens_status cuda_alloc(kernels_t *k, void **out, size_t bytes, const char *what) {
    cuda_context_t *c = cuda_context(k);
    size_t n_free = 0, n_all = 0;
    *out = NULL;
    cudaError_t e = cudaMalloc(out, bytes ? bytes : 1);
    if (e == cudaSuccess) return cuda_failed(c, cudaMemsetAsync(*out, 0, bytes, c->stream), "zeros of new memory");
    (void)cudaGetLastError(); /* told here, not by the next launch */
    if (e != cudaErrorMemoryAllocation) return cuda_failed(c, e, what);
    if (cudaMemGetInfo(&n_free, &n_all) != cudaSuccess) n_free = n_all = 0;
    return lens_fail(LENS_MEMORY, "out of memory on GPU %d: %zu bytes for %s; %zu of %zu are free", c->device, bytes,
                     what, n_free, n_all);
}

static void cuda_free(kernels_t *k, void *p) {
    cuda_note(k, cudaFree(p), "release of memory");
}

static lens_status segment_open(const cuda_context_t *c, upload_segment_t *s) {
    if (s->mirror) return LENS_OK;
    if (!s->pinned)
        LENS_TRY(
            cuda_failed(c, cudaMallocHost((void **)&s->pinned, UPLOAD_SEGMENT_BYTES), "pinned memory for uploads"));
    return cuda_failed(c, cudaMalloc((void **)&s->mirror, UPLOAD_SEGMENT_BYTES), "memory for uploads");
}

/* The segment that has room for so many bytes, from upload_used on; NULL where there is no memory. */
static upload_segment_t *upload_room(kernels_t *k, size_t bytes) {
    cuda_context_t *c = cuda_context(k);
    upload_segment_t *s = &c->upload[c->upload_segment];
    if (c->upload_used + bytes > UPLOAD_SEGMENT_BYTES) {
        cuda_note(k, cudaEventRecord(s->arrived, c->copies), "upload");
        cuda_note(k, cudaEventRecord(s->consumed, c->stream), "upload");
        c->upload_segment = (c->upload_segment + 1) % UPLOAD_SEGMENTS;
        c->upload_used = 0;
        s = &c->upload[c->upload_segment];
        (void)cuda_wait_event(k, s->arrived, "upload");
        cuda_note(k, cudaStreamWaitEvent(c->copies, s->consumed, 0), "upload");
    }
    lens_status st = segment_open(c, s);
    cuda_note_status(k, st);
    return st == LENS_OK ? s : NULL;
}

static void cuda_upload(kernels_t *k, void *device, const void *host, size_t bytes) {
    cuda_context_t *c = cuda_context(k);
    for (size_t done = 0, n; done < bytes; done += n) {
        n = bytes - done < UPLOAD_SEGMENT_BYTES ? bytes - done : UPLOAD_SEGMENT_BYTES;
        upload_segment_t *s = upload_room(k, n);
        if (!s) return;
        char *pinned = s->pinned + c->upload_used, *mirror = s->mirror + c->upload_used;
        memcpy(pinned, (const char *)host + done, n);
        cuda_note(k, cudaMemcpyAsync(mirror, pinned, n, cudaMemcpyHostToDevice, c->copies), "upload");
        cuda_note(k, cudaEventRecord(c->upload_arrived, c->copies), "upload");
        cuda_note(k, cudaStreamWaitEvent(c->stream, c->upload_arrived, 0), "upload");
        cuda_note(k, cudaMemcpyAsync((char *)device + done, mirror, n, cudaMemcpyDeviceToDevice, c->stream), "upload");
        c->upload_used += (n + 255) / 256 * 256;
    }
}

/* A copy to memory that is not pinned returns when it is done, and cannot be looked at meanwhile: the wait comes before
 * it. Zeros where what is to be copied does not come. */
static void cuda_download(kernels_t *k, void *host, const void *device, size_t bytes) {
    cudaStream_t stream = cuda_context(k)->stream;
    if (!bytes) return;
    if (!cuda_wait_stream(k, "download")) {
        memset(host, 0, bytes);
        return;
    }
    cuda_note(k, cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream), "download");
    cuda_note(k, cudaStreamSynchronize(stream), "download");
}

static void cuda_zero(kernels_t *k, void *device, size_t bytes) {
    if (bytes) cuda_note(k, cudaMemsetAsync(device, 0, bytes, cuda_context(k)->stream), "zero");
}

static void cuda_copy(kernels_t *k, void *out, const void *in, size_t bytes) {
    if (!bytes || out == in) return;
    cuda_note(k, cudaMemcpyAsync(out, in, bytes, cudaMemcpyDeviceToDevice, cuda_context(k)->stream), "copy");
}

/* out[i] = in[i], one of them float, the other bf16. A thread has 8 neighbours, 16 bytes of bf16; the last thread has
 * what is left, one by one, and so have all where an address is odd. Moves 6 bytes an element, the least possible. */
enum { CONVERT_THREADS = 256, CONVERT_EACH = 8 };

__global__ void to_bf16_kernel(__nv_bfloat16 *out, const float *in, int64_t n, bool aligned) {
    int64_t i = ((int64_t)blockIdx.x * CONVERT_THREADS + threadIdx.x) * CONVERT_EACH;
    if (aligned && i + CONVERT_EACH <= n) {
        vec_t<float> a = vec_load(in + i), b = vec_load(in + i + 4);
        vec_t<__nv_bfloat16> y;
#pragma unroll
        for (int j = 0; j < CONVERT_EACH; j++) y.x[j] = from_float<__nv_bfloat16>(j < 4 ? a.x[j % 4] : b.x[j % 4]);
        vec_store(out + i, y);
        return;
    }
    for (int64_t j = i; j < n && j < i + CONVERT_EACH; j++) out[j] = from_float<__nv_bfloat16>(in[j]);
}

__global__ void from_bf16_kernel(float *out, const __nv_bfloat16 *in, int64_t n, bool aligned) {
    int64_t i = ((int64_t)blockIdx.x * CONVERT_THREADS + threadIdx.x) * CONVERT_EACH;
    if (aligned && i + CONVERT_EACH <= n) {
        vec_t<__nv_bfloat16> x = vec_load(in + i);
        vec_t<float> a, b;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            a.x[j] = to_float(x.x[j]);
            b.x[j] = to_float(x.x[4 + j]);
        }
        vec_store(out + i, a);
        vec_store(out + i + 4, b);
        return;
    }
    for (int64_t j = i; j < n && j < i + CONVERT_EACH; j++) out[j] = to_float(in[j]);
}

static void cuda_to_bf16(kernels_t *k, act_t *out, const float *in, int64_t n) {
    LAUNCH(k, to_bf16_kernel, cuda_blocks(n, CONVERT_THREADS * CONVERT_EACH), CONVERT_THREADS, 0, (__nv_bfloat16 *)out,
           in, n, vec_aligned(out) && vec_aligned(in));
}
static void cuda_from_bf16(kernels_t *k, float *out, const act_t *in, int64_t n) {
    LAUNCH(k, from_bf16_kernel, cuda_blocks(n, CONVERT_THREADS * CONVERT_EACH), CONVERT_THREADS, 0, out,
           (const __nv_bfloat16 *)in, n, vec_aligned(out) && vec_aligned(in));
}
static void cuda_to_f32(kernels_t *k, act_t *out, const float *in, int64_t n) {
    cuda_copy(k, out, in, sizeof(float) * (size_t)n);
}
static void cuda_from_f32(kernels_t *k, float *out, const act_t *in, int64_t n) {
    cuda_copy(k, out, in, sizeof(float) * (size_t)n);
}

float *cuda_scratch(kernels_t *k, int64_t n) {
    cuda_context_t *c = cuda_context(k);
    if ((size_t)n > c->scratch_floats) {
        void *grown = NULL;
        cuda_free(k, c->scratch); /* waits for what uses it */
        c->scratch_floats = 0;
        lens_status st = cuda_alloc(k, &grown, sizeof(float) * (size_t)n, "scratch of the CUDA kernels");
        c->scratch = (float *)grown;
        cuda_note_status(k, st);
        if (st != LENS_OK) return NULL;
        c->scratch_floats = (size_t)n;
    }
    return c->scratch;
}

/* Where it cannot be asked, the next finish says so. */
static void cuda_memory(kernels_t *k, size_t *used, size_t *total) {
    size_t n_free = 0;
    *total = 0;
    cuda_note(k, cudaMemGetInfo(&n_free, total), "memory");
    *used = *total - n_free;
}

/* ---- the table ---- */

static void upload_free(cuda_context_t *c) {
    for (int i = 0; i < UPLOAD_SEGMENTS; i++) {
        upload_segment_t *s = &c->upload[i];
        (void)cudaFreeHost(s->pinned);
        (void)cudaFree(s->mirror);
        if (s->arrived) (void)cudaEventDestroy(s->arrived);
        if (s->consumed) (void)cudaEventDestroy(s->consumed);
    }
    if (c->upload_arrived) (void)cudaEventDestroy(c->upload_arrived);
}

static void cuda_end(kernels_t *k) {
    cuda_context_t *c = cuda_context(k);
    if (c->stream) (void)cudaStreamSynchronize(c->stream);
    if (c->linear_free) c->linear_free(c->linear);
    if (c->sdpa_free) c->sdpa_free(c->sdpa);
    if (c->fetches) c->fetches_free(c->fetches);
    upload_free(c);
    (void)cudaFree(c->scratch);
    if (c->copies) (void)cudaStreamDestroy(c->copies);
    if (c->waited) (void)cudaEventDestroy(c->waited);
    if (c->stream) (void)cudaStreamDestroy(c->stream);
    free(c);
    free(k);
}

static lens_status open_device(cuda_context_t *c, int device) {
    int n_devices = 0;
    cudaError_t e = cudaGetDeviceCount(&n_devices);
    if (e != cudaSuccess) return lens_fail(LENS_CUDA, "no CUDA device answers: %s", cudaGetErrorString(e));
    if (device < 0 || device >= n_devices)
        return lens_fail(LENS_ARGUMENT, "GPU %d: expected one of %d, from 0 up", device, n_devices);
    c->device = device;
    LENS_TRY(cuda_failed(c, cudaSetDevice(device), "choice of the device"));
    cudaDeviceProp properties;
    LENS_TRY(cuda_failed(c, cudaGetDeviceProperties(&properties, device), "its name"));
    snprintf(c->name, sizeof c->name, "%s", properties.name);
    LENS_TRY(cuda_failed(c, cudaDeviceGetAttribute(&c->n_sm, cudaDevAttrMultiProcessorCount, device), "its size"));
    LENS_TRY(cuda_failed(c, cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking), "a stream"));
    LENS_TRY(cuda_failed(c, cudaStreamCreateWithFlags(&c->copies, cudaStreamNonBlocking), "a stream"));
    cudaEvent_t *events[1 + 2 * UPLOAD_SEGMENTS] = {&c->upload_arrived};
    for (int i = 0; i < UPLOAD_SEGMENTS; i++) {
        events[1 + 2 * i] = &c->upload[i].arrived;
        events[2 + 2 * i] = &c->upload[i].consumed;
    }
    for (int i = 0; i < 1 + 2 * UPLOAD_SEGMENTS; i++)
        LENS_TRY(cuda_failed(c, cudaEventCreateWithFlags(events[i], cudaEventDisableTiming), "an event"));
    LENS_TRY(cuda_failed(c, cudaEventCreateWithFlags(&c->waited, cudaEventDisableTiming), "an event"));
    return LENS_OK;
}

static lens_status read_f32(bool *f32) {
    const char *value = getenv("LENS_CUDA_F32");
    *f32 = value && !strcmp(value, "1");
    if (!value || *f32 || !strcmp(value, "0")) return LENS_OK;
    return lens_fail(LENS_ARGUMENT, "LENS_CUDA_F32: expected 0 or 1, got '%s'", value);
}

static void fill_rows(kernels_t *k, bool f32) {
    k->name = "cuda";
    k->device = cuda_context(k)->name;
    k->token_multiple = TOKEN_MULTIPLE;
    k->act_bytes = f32 ? sizeof(float) : sizeof(__nv_bfloat16);
    k->alloc = cuda_alloc;
    k->free = cuda_free;
    k->upload = cuda_upload;
    k->download = cuda_download;
    k->zero = cuda_zero;
    k->copy = cuda_copy;
    k->to_act = f32 ? cuda_to_f32 : cuda_to_bf16;
    k->to_float = f32 ? cuda_from_f32 : cuda_from_bf16;
    k->memory = cuda_memory;
    k->finish = cuda_finish;
    k->end = cuda_end;
    cuda_fill_linear(k, f32);
    cuda_fill_lora(k, f32);
    cuda_fill_norm(k, f32);
    cuda_fill_qkv(k, f32);
    cuda_fill_attention(k, f32);
    cuda_fill_elementwise(k, f32);
    cuda_fill_flow(k, f32);
    cuda_fill_optim(k, f32);
    cuda_fill_fetch(k);
}

extern "C" int kernels_cuda_count(void) {
    int n = 0;
    if (cudaGetDeviceCount(&n) == cudaSuccess) return n;
    (void)cudaGetLastError(); /* none is an answer too, and no launch's error */
    return 0;
}

extern "C" lens_status kernels_cuda_new(kernels_t **out, int device, bool deterministic) {
    bool f32 = false;
    *out = NULL;
    LENS_TRY(read_f32(&f32));
    kernels_t *k = (kernels_t *)calloc(1, sizeof *k);
    cuda_context_t *c = (cuda_context_t *)calloc(1, sizeof *c);
    if (!k || !c) {
        free(k);
        free(c);
        return lens_fail(LENS_MEMORY, "out of memory for the CUDA kernels");
    }
    k->context = c;
    c->f32 = f32;
    c->deterministic = deterministic;
    lens_status st = open_device(c, device);
    if (st == LENS_OK) {
        fill_rows(k, f32);
        st = cuda_finish(k); /* what a file could not make */
    }
    if (st != LENS_OK) {
        cuda_end(k);
        return st;
    }
    *out = k;
    return LENS_OK;
}
