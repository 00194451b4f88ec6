/* Attention by cuDNN: plans by shape, the room they need, and the two streams' rows brought together.
 *
 * cuDNN wants o and its gradient as one tensor, the model has them as the image's and the text's. Two executions, one a
 * stream, would do forward, but backward would have to add up two dk and two dv: 8 copies of a tensor against the 4
 * that joining o and do costs. So where text asks too, each pass is one execution on a joined tensor, [B, S, H*K],
 * which two copies split (forward, 4 bytes an element of o) or four join (backward, 8 bytes an element). Where it does
 * not (the last block, no text), o_img is the tensor; then only the statistics are copied, since cuDNN before 9.26
 * takes them densely packed alone and lse has rows for the text.
 *
 * All queries of a sample take part, padding too, as kernels.h says; of keys the n_keys. */
#include "kernels/cuda/cuda_sdpa.cuh"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda_sdpa_plan.cuh"

extern "C" {
#include "base/log.h"
}

enum { HEAD_WIDTH_MAX = 128, HEAD_WIDTH_STEP = 8 };
#define VERSION_LEAST ((size_t)91002) /* two before it computed attention wrongly (cudnn-frontend refuses them) */
/* Of the kept scores of deterministic backward: samples are then taken in groups. Small ones under test. */
#ifdef LENS_CUDA_ON_HOST
#define SCORES_MOST_BYTES ((int64_t)1 << 17)
#else
#define SCORES_MOST_BYTES ((int64_t)1 << 30)
#endif

typedef struct {
    sdpa_key_t key;
    bool usable;        /* cuDNN has a plan */
    int32_t *n_queries; /* on the device, [B]: M each */
    sdpa_plan_t plan;
} entry_t;

typedef struct {
    bool own, started, refused; /* cuDNN not wanted; tried; did not start */
    cudnnHandle_t handle;
    entry_t **entries; /* shapes seen; the last found is looked at first */
    int n_entries, cap_entries, last;
    void *room; /* workspace and what else a run needs, as the largest wanted */
    size_t room_bytes;
    float lowest, one;
} sdpa_t;

static sdpa_t *sdpa_of(const kernels_t *k) {
    return (sdpa_t *)cuda_context(k)->sdpa;
}

/* ---- plans ---- */

/* false, with a warning: the plain kernels have to do. */
static bool start(kernels_t *k) {
    sdpa_t *c = sdpa_of(k);
    lens_status st = LENS_OK;
    if (c->started) return !c->refused;
    c->started = true;
    if (cudnnGetVersion() < VERSION_LEAST)
        st = lens_fail(LENS_CUDA, "cuDNN %zu: expected %zu or later", cudnnGetVersion(), VERSION_LEAST);
    if (st == LENS_OK) st = sdpa_failed(cudnnCreate(&c->handle), "start");
    if (st == LENS_OK) st = sdpa_failed(cudnnSetStream(c->handle, cuda_context(k)->stream), "its stream");
    c->refused = st != LENS_OK;
    if (c->refused) log_warn("attention is made by plain kernels, which are many times slower: %s", lens_error());
    return !c->refused;
}

static lens_status entries_grow(sdpa_t *c) {
    if (c->n_entries < c->cap_entries) return LENS_OK;
    int cap = c->cap_entries ? 2 * c->cap_entries : 64;
    entry_t **grown = (entry_t **)realloc(c->entries, sizeof *grown * (size_t)cap);
    if (!grown) return lens_fail(LENS_MEMORY, "out of memory for %d plans of attention", cap);
    c->entries = grown;
    c->cap_entries = cap;
    return LENS_OK;
}

static lens_status fill_n_queries(kernels_t *k, entry_t *e) {
    size_t bytes = sizeof(int32_t) * (size_t)e->key.B;
    int32_t *host = (int32_t *)malloc(bytes);
    if (!host) return lens_fail(LENS_MEMORY, "out of memory for %lld lengths", (long long)e->key.B);
    for (int64_t b = 0; b < e->key.B; b++) host[b] = (int32_t)e->key.M;
    lens_status st = k->alloc(k, (void **)&e->n_queries, bytes, "lengths of attention");
    if (st == LENS_OK) k->upload(k, e->n_queries, host, bytes);
    free(host);
    return st;
}

static void warn(const entry_t *e, const char *what, const char *why) {
    log_warn("attention%s of %lld x %lld heads, %lld queries, %lld keys of %lld: %s (%s)",
             e->key.backward ? "'s backward pass" : "", (long long)e->key.B, (long long)e->key.H, (long long)e->key.M,
             (long long)e->key.S, (long long)e->key.K, what, why);
}

/* A new entry: with cuDNN's plan, or told not to have one. */
static lens_status entry_new(kernels_t *k, const sdpa_key_t *key, entry_t **out) {
    entry_t *e = (entry_t *)calloc(1, sizeof *e);
    if (!e) return lens_fail(LENS_MEMORY, "out of memory for a plan of attention");
    e->key = *key;
    e->usable = sdpa_plan_new(&e->plan, sdpa_of(k)->handle, NULL, key) == LENS_OK;
    if (!e->usable) warn(e, "plain kernels, many times slower", lens_error());
    if (e->usable && key->deterministic && e->plan.noted)
        warn(e, "may differ from run to run", "cuDNN notes its engine as nondeterministic");
    lens_status st = e->usable ? fill_n_queries(k, e) : LENS_OK;
    if (st == LENS_OK) {
        *out = e;
        return LENS_OK;
    }
    sdpa_plan_free(&e->plan);
    free(e);
    return st;
}

/* NULL: no plan, or the error is kept. */
static entry_t *entry_of(kernels_t *k, const sdpa_key_t *key) {
    sdpa_t *c = sdpa_of(k);
    for (int i = 0; i < c->n_entries; i++) {
        int at = (c->last + i) % c->n_entries;
        if (memcmp(&c->entries[at]->key, key, sizeof *key) != 0) continue;
        c->last = at;
        return c->entries[at]->usable ? c->entries[at] : NULL;
    }
    entry_t *e = NULL;
    lens_status st = entries_grow(c);
    if (st == LENS_OK) st = entry_new(k, key, &e);
    cuda_note_status(k, st);
    if (st != LENS_OK) return NULL;
    c->entries[c->n_entries++] = e;
    return e->usable ? e : NULL;
}

static int64_t rounded(int64_t n, int64_t step) {
    return (n + step - 1) / step * step;
}

/* The most samples at once, a divisor of B, whose kept scores fit and whose statistics end where the next ones may
 * begin; all, where there is none. */
static int64_t samples_at_once(const attention_shape_t *s, bool keeps_scores) {
    int64_t rows = s->H * s->n_queries, sample = 2 * s->H * rounded(s->n_queries, 64) * rounded(s->N + s->T, 128);
    for (int64_t n = s->B; keeps_scores && n > 0; n--)
        if (s->B % n == 0 && n * sample <= SCORES_MOST_BYTES && n * rows % 4 == 0) return n;
    return s->B;
}

static sdpa_key_t key_of(kernels_t *k, const attention_shape_t *s, bool backward) {
    bool deterministic = backward && cuda_context(k)->deterministic;
    return {samples_at_once(s, deterministic),
            s->H,
            s->N + s->T,
            s->K,
            s->n_queries,
            (int64_t)backward,
            (int64_t)deterministic};
}

/* Attention of one token to itself is no graph that cudnn-frontend lets through. */
static bool applies(kernels_t *k, const attention_shape_t *s) {
    return !sdpa_of(k)->own && s->B > 0 && s->H > 0 && s->n_queries > 0 && s->N + s->T > 1 && s->K <= HEAD_WIDTH_MAX &&
           s->K % HEAD_WIDTH_STEP == 0 && start(k);
}

/* ---- room ---- */

/* bytes of the room from *used on; room NULL: only counts. */
static void *take(char *room, size_t *used, size_t bytes) {
    void *at = room ? room + *used : NULL;
    *used += (bytes + 255) / 256 * 256;
    return at;
}

/* What a run needs beside the row's own tensors; NULL: not this one. */
typedef struct {
    void *workspace;
    float *stats, *delta, *dq_sum;
    __nv_bfloat16 *o, *d_o; /* joined, [B, S, H*K] */
} room_t;

static bool joins(const attention_shape_t *s) {
    return s->T > 0 && s->n_queries > s->N;
}

static room_t room_at(char *room, size_t *used, const entry_t *e, const attention_shape_t *s) {
    size_t rows = (size_t)(s->B * s->H * s->n_queries), row = (size_t)s->K;
    bool sums = e->key.backward && !e->key.deterministic;
    room_t r = {};
    r.workspace = take(room, used, (size_t)e->plan.workspace_bytes + 1); /* never NULL */
    if (s->n_queries < s->N + s->T) r.stats = (float *)take(room, used, sizeof(float) * rows);
    if (e->key.backward) r.delta = (float *)take(room, used, sizeof(float) * rows);
    if (sums) r.dq_sum = (float *)take(room, used, sizeof(float) * rows * row);
    if (joins(s)) r.o = (__nv_bfloat16 *)take(room, used, sizeof *r.o * rows * row);
    if (joins(s) && e->key.backward) r.d_o = (__nv_bfloat16 *)take(room, used, sizeof *r.d_o * rows * row);
    return r;
}

/* false, and the error is kept: there is no memory. Growing waits for what uses the old room. */
static bool room_for(kernels_t *k, const entry_t *e, const attention_shape_t *s, room_t *out) {
    sdpa_t *c = sdpa_of(k);
    size_t bytes = 0, used = 0;
    (void)room_at(NULL, &bytes, e, s);
    if (bytes > c->room_bytes) {
        k->free(k, c->room);
        c->room = NULL;
        c->room_bytes = 0;
        lens_status st = k->alloc(k, &c->room, bytes, "cuDNN's attention");
        cuda_note_status(k, st);
        if (st != LENS_OK) return false;
        c->room_bytes = bytes;
    }
    *out = room_at((char *)c->room, &used, e, s);
    return true;
}

/* n rows of `width` bytes; pitch: bytes from a row to the next. */
static void copy_rows(kernels_t *k, void *out, size_t out_pitch, const void *in, size_t in_pitch, size_t width,
                      int64_t n) {
    cuda_note(k,
              cudaMemcpy2DAsync(out, out_pitch, in, in_pitch, width, (size_t)n, cudaMemcpyDeviceToDevice,
                                cuda_context(k)->stream),
              "rows of attention");
}

/* Bytes of a sample's rows in [B, rows, H*K]. */
static size_t tokens_bytes(const attention_shape_t *s, int64_t rows) {
    return sizeof(__nv_bfloat16) * (size_t)(rows * s->H * s->K);
}

static void split(kernels_t *k, act_t *img, act_t *txt, const __nv_bfloat16 *joined, const attention_shape_t *s) {
    size_t n = tokens_bytes(s, s->N), t = tokens_bytes(s, s->T);
    copy_rows(k, img, n, joined, n + t, n, s->B);
    copy_rows(k, txt, t, (const char *)joined + n, n + t, t, s->B);
}

static void join(kernels_t *k, __nv_bfloat16 *joined, const act_t *img, const act_t *txt, const attention_shape_t *s) {
    size_t n = tokens_bytes(s, s->N), t = tokens_bytes(s, s->T);
    copy_rows(k, joined, n + t, img, n, n, s->B);
    copy_rows(k, (char *)joined + n, n + t, txt, t, t, s->B);
}

enum { ZERO_THREADS = 128 };

/* Rows that nothing flows through: of dq from n_queries on, of dk and dv from n_keys[b] on; K a multiple of 8, which a
 * thread writes at once. Grid (rows * K / 8 / 128, heads, samples). */
__global__ void zero_rows_kernel(__nv_bfloat16 *dq, __nv_bfloat16 *dk, __nv_bfloat16 *dv, attention_shape_t s) {
    const int EACH = vec_t<__nv_bfloat16>::N;
    int64_t at = ((int64_t)blockIdx.x * ZERO_THREADS + threadIdx.x) * EACH, S = s.N + s.T, row = at / s.K;
    int64_t first = ((int64_t)blockIdx.z * s.H + blockIdx.y) * S * s.K;
    if (row >= S) return;
    vec_t<__nv_bfloat16> zero = {};
    if (row >= s.n_queries) vec_store(dq + first + at, zero);
    if (row < s.n_keys[blockIdx.z]) return;
    vec_store(dk + first + at, zero);
    vec_store(dv + first + at, zero);
}

/* ---- rows ---- */

/* Where each tensor is of the samples from `b` on. */
typedef struct {
    void *data[SDPA_END];
    size_t sample_bytes[SDPA_END]; /* 0: the same for all */
} tensors_t;

static void put(tensors_t *t, int uid, const void *data, int64_t sample_bytes) {
    t->data[uid] = (void *)data;
    t->sample_bytes[uid] = (size_t)sample_bytes;
}

static lens_status run(kernels_t *k, const entry_t *e, const attention_shape_t *s, const tensors_t *t,
                       void *workspace) {
    for (int64_t b = 0; b < s->B; b += e->key.B) {
        void *data[SDPA_END] = {};
        for (int uid = 1; uid < SDPA_END; uid++)
            if (t->data[uid]) data[uid] = (char *)t->data[uid] + (size_t)b * t->sample_bytes[uid];
        LENS_TRY(sdpa_plan_run(&e->plan, sdpa_of(k)->handle, data, workspace));
    }
    return LENS_OK;
}

/* What both passes read. scale: lives until run. */
static tensors_t shared_tensors(kernels_t *k, const entry_t *e, const attention_shape_t *s, const act_t *q,
                                const act_t *key, const act_t *v, const float *scale) {
    int64_t heads = (int64_t)sizeof(__nv_bfloat16) * s->H * (s->N + s->T) * s->K;
    tensors_t t = {};
    put(&t, SDPA_Q, q, heads);
    put(&t, SDPA_K, key, heads);
    put(&t, SDPA_V, v, heads);
    put(&t, SDPA_N_QUERIES, e->n_queries, 0);
    put(&t, SDPA_N_KEYS, s->n_keys, sizeof(int32_t));
    put(&t, SDPA_SCALE, scale, 0);
    put(&t, SDPA_LOWEST, &sdpa_of(k)->lowest, 0);
    return t;
}

bool cuda_sdpa_fwd(kernels_t *k, act_t *o_img, act_t *o_txt, float *lse, const act_t *q, const act_t *key,
                   const act_t *v, const attention_shape_t *s) {
    room_t r;
    if (!applies(k, s) || !vec_aligned(o_img) || !vec_aligned(lse) || !vec_aligned(q) || !vec_aligned(key) ||
        !vec_aligned(v))
        return false;
    sdpa_key_t shape = key_of(k, s, false);
    const entry_t *e = entry_of(k, &shape);
    if (!e || !room_for(k, e, s, &r)) return cuda_context(k)->error != LENS_OK; /* then nothing else counts */
    float scale = 1.0f / sqrtf((float)s->K);
    tensors_t t = shared_tensors(k, e, s, q, key, v, &scale);
    put(&t, SDPA_O, r.o ? r.o : o_img, 0);
    put(&t, SDPA_STATS, r.stats ? r.stats : lse, 0);
    cuda_note_status(k, run(k, e, s, &t, r.workspace));
    if (r.o) split(k, o_img, o_txt, r.o, s);
    if (r.stats)
        copy_rows(k, lse, sizeof(float) * (size_t)(s->N + s->T), r.stats, sizeof(float) * (size_t)s->n_queries,
                  sizeof(float) * (size_t)s->n_queries, s->B * s->H);
    return true;
}

bool cuda_sdpa_bwd(kernels_t *k, act_t *dq, act_t *dk, act_t *dv, const act_t *do_img, const act_t *do_txt,
                   const act_t *o_img, const act_t *o_txt, const float *lse, const act_t *q, const act_t *key,
                   const act_t *v, const attention_shape_t *s) {
    room_t r;
    if (!applies(k, s) || !vec_aligned(o_img) || !vec_aligned(do_img) || !vec_aligned(lse) || !vec_aligned(q) ||
        !vec_aligned(key) || !vec_aligned(v) || !vec_aligned(dq) || !vec_aligned(dk) || !vec_aligned(dv))
        return false;
    sdpa_key_t shape = key_of(k, s, true);
    const entry_t *e = entry_of(k, &shape);
    if (!e || !room_for(k, e, s, &r)) return cuda_context(k)->error != LENS_OK; /* then nothing else counts */
    int64_t rows = s->H * s->n_queries, stat = (int64_t)sizeof(float) * rows;
    float scale = 1.0f / sqrtf((float)s->K);
    tensors_t t = shared_tensors(k, e, s, q, key, v, &scale);
    if (r.o) join(k, r.o, o_img, o_txt, s);
    if (r.d_o) join(k, r.d_o, do_img, do_txt, s);
    if (r.stats)
        copy_rows(k, r.stats, sizeof(float) * (size_t)s->n_queries, lse, sizeof(float) * (size_t)(s->N + s->T),
                  sizeof(float) * (size_t)s->n_queries, s->B * s->H);
    put(&t, SDPA_O, r.o ? r.o : o_img, 2 * rows * s->K);
    put(&t, SDPA_DO, r.d_o ? r.d_o : do_img, 2 * rows * s->K);
    put(&t, SDPA_STATS, r.stats ? r.stats : lse, stat);
    put(&t, SDPA_DQ, dq, (int64_t)t.sample_bytes[SDPA_Q]);
    put(&t, SDPA_DK, dk, (int64_t)t.sample_bytes[SDPA_Q]);
    put(&t, SDPA_DV, dv, (int64_t)t.sample_bytes[SDPA_Q]);
    put(&t, SDPA_ONE, &sdpa_of(k)->one, 0);
    put(&t, SDPA_DELTA, r.delta, stat);
    if (r.dq_sum) put(&t, SDPA_DQ_SUM, r.dq_sum, stat * s->K);
    cuda_note_status(k, run(k, e, s, &t, r.workspace));
    LAUNCH(
        k, zero_rows_kernel,
        dim3(cuda_blocks((s->N + s->T) * s->K / vec_t<__nv_bfloat16>::N, ZERO_THREADS), (unsigned)s->H, (unsigned)s->B),
        ZERO_THREADS, 0, (__nv_bfloat16 *)dq, (__nv_bfloat16 *)dk, (__nv_bfloat16 *)dv, *s);
    return true;
}

/* ---- the table ---- */

static void sdpa_free(void *sdpa) {
    sdpa_t *c = (sdpa_t *)sdpa;
    for (int i = 0; i < c->n_entries; i++) {
        sdpa_plan_free(&c->entries[i]->plan);
        (void)cudaFree(c->entries[i]->n_queries);
        free(c->entries[i]);
    }
    if (c->handle) (void)cudnnDestroy(c->handle);
    (void)cudaFree(c->room);
    free(c->entries);
    free(c);
}

static lens_status sdpa_new(kernels_t *k) {
    const char *choice = getenv("LENS_CUDA_ATTENTION");
    sdpa_t *c = (sdpa_t *)calloc(1, sizeof *c);
    if (!c) return lens_fail(LENS_MEMORY, "out of memory for attention's plans");
    cuda_context(k)->sdpa = c;
    cuda_context(k)->sdpa_free = sdpa_free;
    c->lowest = -FLT_MAX;
    c->one = 1;
    c->own = choice && !strcmp(choice, "own");
    if (!choice || c->own || !strcmp(choice, "cudnn")) return LENS_OK;
    return lens_fail(LENS_ARGUMENT, "LENS_CUDA_ATTENTION: expected cudnn or own, got '%s'", choice);
}

void cuda_sdpa_open(kernels_t *k) {
    cuda_note_status(k, sdpa_new(k));
}
