/* Linear layers by cuBLASLt, and the record of products.
 *
 * cuBLASLt's matrices are column-major, so that a row-major c = op(a) op(b) is asked for as c^T = op(b)^T op(a)^T: its
 * A is our b, its B our a, and a bias of N values stands along its rows, as its epilogue wants it. Products of bf16 add
 * up in float, of float in float without TF32. Which of cuBLASLt's kernels fits a shape is asked once, and kept:
 * hundreds of shapes at most, a bucket's and a text length's. Splits of the inner dimension add partial sums of the
 * compute type in a fixed order, so that equal inputs give equal bits. */
#include "kernels/cuda/cuda_linear.cuh"

#include <cublasLt.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

#define WORKSPACE_MOST_BYTES ((size_t)32 << 20) /* what Hopper's kernels may want */

/* What decides the kernel: the product, whether there is a bias, and how pointers are aligned. All of it integers
 * without padding between, so that keys compare as bytes. */
typedef struct {
    int64_t M, N, K, lda, ldb, ldc, count, flags, alignment; /* of a, b, c in bytes, 8 bits each, at most 128 */
} plan_key_t;

typedef struct {
    plan_key_t key;
    cublasLtMatmulDesc_t desc; /* NULL: an empty place */
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulAlgo_t algo;
} plan_t;

typedef struct {
    cublasLtHandle_t handle;
    void *workspace; /* of the most that a plan wants */
    size_t workspace_bytes;
    plan_t *plans; /* a hash table with linear probing, at most half full */
    int n_plans, cap_plans;
    bool tracing;
    cuda_product_t *products;
    int n_products, cap_products;
} linear_t;

static linear_t *linear_of(const kernels_t *k) {
    return (linear_t *)cuda_context(k)->linear;
}

static lens_status cublas_failed(cublasStatus_t st, const char *what) {
    if (st == CUBLAS_STATUS_SUCCESS) return LENS_OK;
    return lens_fail(st == CUBLAS_STATUS_ALLOC_FAILED ? LENS_MEMORY : LENS_CUDA, "cuBLASLt, %s: %s", what,
                     cublasLtGetStatusName(st));
}

/* ---- plans ---- */

static int64_t alignment_of(const void *p) {
    uintptr_t at = (uintptr_t)p;
    return at % 128 == 0 ? 128 : (int64_t)(at & (~at + 1));
}

/* Elements of each matrix. */
static int64_t a_elements(const cuda_product_t *p) {
    return (p->a_transposed ? p->K : p->M) * p->lda;
}
static int64_t b_elements(const cuda_product_t *p) {
    return (p->b_transposed ? p->N : p->K) * p->ldb;
}

enum { FLAG_A_TRANSPOSED = 1, FLAG_B_TRANSPOSED = 2, FLAG_ADDS = 4, FLAG_C_F32 = 8, FLAG_BIAS = 16 };

static plan_key_t key_of(const cuda_product_t *p, const void *a, const void *b, const void *bias, const void *c) {
    int64_t flags = (p->a_transposed ? FLAG_A_TRANSPOSED : 0) | (p->b_transposed ? FLAG_B_TRANSPOSED : 0) |
                    (p->adds ? FLAG_ADDS : 0) | (p->c_f32 ? FLAG_C_F32 : 0) | (bias ? FLAG_BIAS : 0);
    return {p->M,     p->N,   p->K,
            p->lda,   p->ldb, p->ldc,
            p->count, flags,  alignment_of(a) | alignment_of(b) << 8 | alignment_of(c) << 16};
}

static uint64_t hash_of(const plan_key_t *key) { /* FNV-1a, a word at a time */
    const int64_t words[] = {key->M,   key->N,     key->K,     key->lda,      key->ldb,
                             key->ldc, key->count, key->flags, key->alignment};
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        hash = (hash ^ (uint64_t)words[i]) * UINT64_C(0x100000001B3);
    return hash ^ hash >> 32;
}

/* The key's place, or the empty one where it belongs. */
static plan_t *place_of(plan_t *plans, int cap, const plan_key_t *key) {
    uint64_t i = hash_of(key) % (uint64_t)cap;
    while (plans[i].desc && memcmp(&plans[i].key, key, sizeof *key) != 0) i = (i + 1) % (uint64_t)cap;
    return &plans[i];
}

static lens_status plans_grow(linear_t *l) {
    if (2 * (l->n_plans + 1) <= l->cap_plans) return LENS_OK;
    int cap = l->cap_plans ? 2 * l->cap_plans : 256;
    plan_t *grown = (plan_t *)calloc((size_t)cap, sizeof *grown);
    if (!grown) return lens_fail(LENS_MEMORY, "out of memory for %d plans of products", cap);
    for (int i = 0; i < l->cap_plans; i++)
        if (l->plans[i].desc) *place_of(grown, cap, &l->plans[i].key) = l->plans[i];
    free(l->plans);
    l->plans = grown;
    l->cap_plans = cap;
    return LENS_OK;
}

static void plan_free(plan_t *plan) {
    if (plan->c) (void)cublasLtMatrixLayoutDestroy(plan->c);
    if (plan->b) (void)cublasLtMatrixLayoutDestroy(plan->b);
    if (plan->a) (void)cublasLtMatrixLayoutDestroy(plan->a);
    if (plan->desc) (void)cublasLtMatmulDescDestroy(plan->desc);
}

/* A row-major matrix of rows x cols. */
static lens_status layout(cublasLtMatrixLayout_t *out, cudaDataType_t type, int64_t rows, int64_t cols, int64_t ld,
                          int64_t count) {
    int32_t n = (int32_t)count;
    int64_t apart = rows * ld;
    LENS_TRY(cublas_failed(cublasLtMatrixLayoutCreate(out, type, (uint64_t)cols, (uint64_t)rows, ld), "layout"));
    if (n == 1) return LENS_OK;
    LENS_TRY(cublas_failed(cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &n, sizeof n),
                           "layout"));
    return cublas_failed(
        cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &apart, sizeof apart),
        "layout");
}

static lens_status describe(plan_t *plan, const cuda_product_t *p, bool f32, bool bias) {
    cudaDataType_t act = f32 ? CUDA_R_32F : CUDA_R_16BF;
    cublasOperation_t op_a = p->b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                      op_b = p->a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasLtEpilogue_t epilogue = bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    LENS_TRY(cublas_failed(cublasLtMatmulDescCreate(&plan->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F), "description"));
    LENS_TRY(cublas_failed(cublasLtMatmulDescSetAttribute(plan->desc, CUBLASLT_MATMUL_DESC_TRANSA, &op_a, sizeof op_a),
                           "transposition"));
    LENS_TRY(cublas_failed(cublasLtMatmulDescSetAttribute(plan->desc, CUBLASLT_MATMUL_DESC_TRANSB, &op_b, sizeof op_b),
                           "transposition"));
    LENS_TRY(cublas_failed(
        cublasLtMatmulDescSetAttribute(plan->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue), "bias"));
    LENS_TRY(layout(&plan->a, act, p->b_transposed ? p->N : p->K, p->b_transposed ? p->K : p->N, p->ldb, p->count));
    LENS_TRY(layout(&plan->b, act, p->a_transposed ? p->K : p->M, p->a_transposed ? p->M : p->K, p->lda, p->count));
    return layout(&plan->c, p->c_f32 ? CUDA_R_32F : act, p->M, p->N, p->ldc, p->count);
}

static lens_status prefer(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
                          uint32_t value) {
    return cublas_failed(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value),
                         "preference");
}

/* Waits for what uses the old one. */
static lens_status workspace_grow(kernels_t *k, size_t bytes) {
    linear_t *l = linear_of(k);
    if (bytes <= l->workspace_bytes) return LENS_OK;
    k->free(k, l->workspace);
    l->workspace_bytes = 0;
    LENS_TRY(k->alloc(k, &l->workspace, bytes, "cuBLASLt's workspace"));
    l->workspace_bytes = bytes;
    return LENS_OK;
}

static lens_status choose(kernels_t *k, plan_t *plan) {
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t result;
    uint64_t bytes = WORKSPACE_MOST_BYTES;
    int n = 0;
    uint32_t all = (uint32_t)plan->key.alignment, a = all & 0xFF, b = all >> 8 & 0xFF, c = all >> 16 & 0xFF;
    lens_status st = LENS_OK;
    LENS_GO(cublas_failed(cublasLtMatmulPreferenceCreate(&preference), "preference"));
    LENS_GO(cublas_failed(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                               &bytes, sizeof bytes),
                          "preference"));
    LENS_GO(prefer(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    LENS_GO(prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, b)); /* its A is our b */
    LENS_GO(prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, a));
    LENS_GO(prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, c));
    LENS_GO(prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, c));
    LENS_GO(cublas_failed(cublasLtMatmulAlgoGetHeuristic(linear_of(k)->handle, plan->desc, plan->a, plan->b, plan->c,
                                                         plan->c, preference, 1, &result, &n),
                          "choice of a kernel"));
    if (n < 1)
        LENS_GO(lens_fail(LENS_CUDA, "cuBLASLt has no kernel for a product of %lld x %lld x %lld",
                          (long long)plan->key.M, (long long)plan->key.N, (long long)plan->key.K));
    plan->algo = result.algo;
    LENS_GO(workspace_grow(k, result.workspaceSize));
done:
    if (preference) (void)cublasLtMatmulPreferenceDestroy(preference);
    return st;
}

static lens_status plan_of(kernels_t *k, const cuda_product_t *p, plan_key_t key, plan_t **out) {
    linear_t *l = linear_of(k);
    LENS_TRY(plans_grow(l));
    *out = place_of(l->plans, l->cap_plans, &key);
    if ((*out)->desc) return LENS_OK;
    plan_t plan = {};
    plan.key = key;
    lens_status st = describe(&plan, p, cuda_context(k)->f32, key.flags & FLAG_BIAS);
    if (st == LENS_OK) st = choose(k, &plan);
    if (st != LENS_OK) {
        plan_free(&plan);
        return st;
    }
    **out = plan;
    l->n_plans++;
    return LENS_OK;
}

/* ---- products ---- */

static lens_status run(kernels_t *k, const cuda_product_t *p, float alpha, const void *a, const void *b,
                       const void *bias, void *c) {
    linear_t *l = linear_of(k);
    plan_t *plan = NULL;
    float beta = p->adds ? 1.0f : 0.0f;
    LENS_TRY(plan_of(k, p, key_of(p, a, b, bias, c), &plan));
    if (bias)
        LENS_TRY(cublas_failed(
            cublasLtMatmulDescSetAttribute(plan->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias), "bias"));
    return cublas_failed(cublasLtMatmul(l->handle, plan->desc, &alpha, b, plan->a, a, plan->b, &beta, c, plan->c, c,
                                        plan->c, &plan->algo, l->workspace, l->workspace_bytes,
                                        cuda_context(k)->stream),
                         "a product");
}

static lens_status record(linear_t *l, const cuda_product_t *p) {
    if (!l->tracing) return LENS_OK;
    if (l->n_products == l->cap_products) {
        int cap = l->cap_products ? 2 * l->cap_products : 256;
        cuda_product_t *grown = (cuda_product_t *)realloc(l->products, sizeof *grown * (size_t)cap);
        if (!grown) return lens_fail(LENS_MEMORY, "out of memory for the record of %d products", cap);
        l->products = grown;
        l->cap_products = cap;
    }
    l->products[l->n_products++] = *p;
    return LENS_OK;
}

void cuda_product(kernels_t *k, const cuda_product_t *p, float alpha, const act_t *a, const act_t *b, const act_t *bias,
                  void *c) {
    if (p->M == 0 || p->N == 0 || p->K == 0 || cuda_context(k)->error != LENS_OK) return;
    lens_status st = record(linear_of(k), p);
    if (st == LENS_OK) st = run(k, p, alpha, a, b, bias, c);
    cuda_note_status(k, st);
}

void cuda_trace(kernels_t *k, const cuda_product_t *p) {
    cuda_note_status(k, record(linear_of(k), p));
}

static void linear_fwd(kernels_t *k, act_t *y, const act_t *x, const act_t *w, const act_t *b, int64_t R, int64_t n_out,
                       int64_t n_in) {
    cuda_product_t p = {false, true, false, false, R, n_out, n_in, n_in, n_in, n_out, 1};
    cuda_product(k, &p, 1, x, w, b, y);
}

static void linear_bwd_x(kernels_t *k, act_t *dx, const act_t *dy, const act_t *w, int64_t R, int64_t n_out,
                         int64_t n_in) {
    cuda_product_t p = {false, false, false, false, R, n_in, n_out, n_out, n_in, n_in, 1};
    cuda_product(k, &p, 1, dy, w, NULL, dx);
}

static void linear_bwd_x_add(kernels_t *k, act_t *dx, const act_t *dy, const act_t *w, int64_t R, int64_t n_out,
                             int64_t n_in) {
    cuda_product_t p = {false, false, true, false, R, n_in, n_out, n_out, n_in, n_in, 1};
    cuda_product(k, &p, 1, dy, w, NULL, dx);
}

/* ---- the bias's gradient: db[n_out] += sum over R of dy. Not cuBLASLt's epilogue, which overwrites and rounds. ----
 */

enum { COLUMN_THREADS = 128, COLUMN_PARTS = 64, COLUMN_ROWS = 64 };

/* partial[part, column] = sum of dy[rows of the part, column]: grid (n_out / 128, parts of at least 64 rows), a thread
 * a column, so that a warp reads a line. Reads dy once, the least possible, and writes at most a 64th of it. */
template <typename T>
__global__ void column_partials_kernel(float *partial, const T *dy, int64_t R, int64_t n_out, int64_t rows) {
    int64_t column = (int64_t)blockIdx.x * COLUMN_THREADS + threadIdx.x, first = blockIdx.y * rows;
    int64_t end = first + rows < R ? first + rows : R;
    if (column >= n_out) return;
    float sum = 0;
    for (int64_t r = first; r < end; r++) sum += to_float(dy[r * n_out + column]);
    partial[blockIdx.y * n_out + column] = sum;
}

/* db[column] += sum of the parts, in order. */
__global__ void column_sums_kernel(float *db, const float *partial, int64_t n_out, int parts) {
    int64_t column = (int64_t)blockIdx.x * COLUMN_THREADS + threadIdx.x;
    if (column >= n_out) return;
    float sum = 0;
    for (int i = 0; i < parts; i++) sum += partial[i * n_out + column];
    db[column] += sum;
}

template <typename T> static void add_column_sums(kernels_t *k, float *db, const T *dy, int64_t R, int64_t n_out) {
    int64_t rows = (R + COLUMN_PARTS - 1) / COLUMN_PARTS;
    if (rows < COLUMN_ROWS) rows = COLUMN_ROWS;
    unsigned parts = cuda_blocks(R, rows), blocks = cuda_blocks(n_out, COLUMN_THREADS);
    float *partial = cuda_scratch(k, parts * n_out);
    if (!partial) return;
    LAUNCH(k, (column_partials_kernel<T>), dim3(blocks, parts), COLUMN_THREADS, 0, partial, dy, R, n_out, rows);
    LAUNCH(k, column_sums_kernel, blocks, COLUMN_THREADS, 0, db, partial, n_out, (int)parts);
}

template <typename T>
static void linear_bwd_w(kernels_t *k, float *dw, float *db, const act_t *dy, const act_t *x, int64_t R, int64_t n_out,
                         int64_t n_in) {
    cuda_product_t p = {true, false, true, true, n_out, n_in, R, n_out, n_in, n_in, 1};
    cuda_product(k, &p, 1, dy, x, NULL, dw);
    if (db && R) add_column_sums(k, db, (const T *)dy, R, n_out);
}

/* ---- the record ---- */

static void trace_begin(kernels_t *k) {
    linear_of(k)->n_products = 0;
    linear_of(k)->tracing = true;
}
static void trace_continue(kernels_t *k) {
    linear_of(k)->tracing = true;
}
static void trace_end(kernels_t *k) {
    linear_of(k)->tracing = false;
}

static double product_flop(const cuda_product_t *p) {
    return 2.0 * (double)p->M * (double)p->N * (double)p->K * (double)p->count;
}

static double trace_flop(const kernels_t *k) {
    double flop = 0;
    for (int i = 0; i < linear_of(k)->n_products; i++) flop += product_flop(&linear_of(k)->products[i]);
    return flop;
}

/* Values between -0.1 and 0.15: zeros would let the device run cooler, and faster, than a step does. */
template <typename T> __global__ void fill_kernel(T *x, int64_t n) {
    int64_t i = (int64_t)blockIdx.x * COLUMN_THREADS + threadIdx.x;
    if (i < n) x[i] = from_float<T>((float)(i % 251) * 0x1p-10f - 0.1f);
}

static void fill(kernels_t *k, void *x, int64_t n) {
    unsigned blocks = cuda_blocks(n, COLUMN_THREADS);
    if (cuda_context(k)->f32)
        LAUNCH(k, (fill_kernel<float>), blocks, COLUMN_THREADS, 0, (float *)x, n);
    else
        LAUNCH(k, (fill_kernel<__nv_bfloat16>), blocks, COLUMN_THREADS, 0, (__nv_bfloat16 *)x, n);
}

/* Of `count` products, how many at once: attention's scores, which a step never stores, would not fit. */
static int64_t replayed_at_once(const cuda_product_t *p) {
    int64_t most = ((int64_t)64 << 20) / (p->M * p->ldc), n = p->count;
    return n < most ? n : most > 1 ? most : 1;
}

/* Room for every operand of some products. */
typedef struct {
    void *a, *b, *c;
} operands_t;

static void operands_free(kernels_t *k, operands_t *o) {
    k->free(k, o->a);
    k->free(k, o->b);
    k->free(k, o->c);
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static lens_status operands_new(kernels_t *k, const cuda_product_t *p, int n, operands_t *o) {
    int64_t na = 1, nb = 1, nc = 1;
    *o = {};
    for (int i = 0; i < n; i++) {
        int64_t at_once = replayed_at_once(&p[i]);
        na = larger(na, a_elements(&p[i]) * at_once);
        nb = larger(nb, b_elements(&p[i]) * at_once);
        nc = larger(nc, p[i].M * p[i].ldc * at_once);
    }
    lens_status st = k->alloc(k, &o->a, k->act_bytes * (size_t)na, "the replay of products");
    if (st == LENS_OK) st = k->alloc(k, &o->b, k->act_bytes * (size_t)nb, "the replay of products");
    if (st == LENS_OK) st = k->alloc(k, &o->c, sizeof(float) * (size_t)nc, "the replay of products");
    if (st == LENS_OK) {
        fill(k, o->a, na);
        fill(k, o->b, nb);
        return LENS_OK;
    }
    operands_free(k, o);
    return st;
}

static lens_status replay(kernels_t *k, const cuda_product_t *p, const operands_t *o) {
    cuda_product_t some = *p;
    for (int64_t left = p->count; left > 0; left -= some.count) {
        some.count = left < replayed_at_once(p) ? left : replayed_at_once(p);
        LENS_TRY(run(k, &some, 1, o->a, o->b, NULL, o->c));
    }
    return LENS_OK;
}

/* Seconds of the device for n products, after a first round that makes the plans. */
static lens_status time_products(kernels_t *k, const cuda_product_t *p, int n, const operands_t *o, double *out) {
    cudaStream_t stream = cuda_context(k)->stream;
    cudaEvent_t begin = NULL, end = NULL;
    float ms = 0;
    cuda_note(k, cudaEventCreateWithFlags(&begin, cudaEventDefault), "an event");
    cuda_note(k, cudaEventCreateWithFlags(&end, cudaEventDefault), "an event");
    for (int i = 0; i < 2 * n && cuda_context(k)->error == LENS_OK; i++) {
        if (i == n) cuda_note(k, cudaEventRecord(begin, stream), "an event");
        cuda_note_status(k, replay(k, &p[i % n], o));
    }
    if (n && cuda_context(k)->error == LENS_OK) {
        cuda_note(k, cudaEventRecord(end, stream), "an event");
        cuda_note(k, cudaEventSynchronize(end), "the replay of products");
        cuda_note(k, cudaEventElapsedTime(&ms, begin, end), "the replay of products");
    }
    if (begin) (void)cudaEventDestroy(begin);
    if (end) (void)cudaEventDestroy(end);
    *out = (double)ms * 1e-3;
    return k->finish(k);
}

static lens_status trace_replay_s(kernels_t *k, double *out) {
    const linear_t *l = linear_of(k);
    operands_t o;
    *out = 0;
    LENS_TRY(operands_new(k, l->products, l->n_products, &o));
    lens_status st = time_products(k, l->products, l->n_products, &o, out);
    operands_free(k, &o);
    return st;
}

/* 64 rows a multiprocessor: 8448 on an H100, many rounds of tiles on each. */
static lens_status peak_gflops(kernels_t *k, double *out) {
    enum { TRIES = 5 };
    int64_t size = 64 * (int64_t)cuda_context(k)->n_sm;
    cuda_product_t p = {false, true, false, false, size, size, size, size, size, size, 1};
    operands_t o;
    double best_s = DBL_MAX, s = 0;
    *out = 0;
    LENS_TRY(operands_new(k, &p, 1, &o));
    lens_status st = LENS_OK;
    for (int i = 0; i < TRIES && st == LENS_OK; i++) {
        st = time_products(k, &p, 1, &o, &s);
        if (s < best_s) best_s = s;
    }
    operands_free(k, &o);
    if (st == LENS_OK) *out = product_flop(&p) / best_s * 1e-9;
    return st;
}

/* ---- the table ---- */

static void linear_free(void *linear) {
    linear_t *l = (linear_t *)linear;
    for (int i = 0; i < l->cap_plans; i++) plan_free(&l->plans[i]);
    if (l->handle) (void)cublasLtDestroy(l->handle);
    (void)cudaFree(l->workspace);
    free(l->plans);
    free(l->products);
    free(l);
}

static lens_status linear_new(kernels_t *k) {
    cuda_context_t *c = cuda_context(k);
    linear_t *l = (linear_t *)calloc(1, sizeof *l);
    if (!l) return lens_fail(LENS_MEMORY, "out of memory for the plans of products");
    c->linear = l;
    c->linear_free = linear_free;
    return cublas_failed(cublasLtCreate(&l->handle), "start");
}

void cuda_fill_linear(kernels_t *k, bool f32) {
    cuda_note_status(k, linear_new(k));
    k->linear_fwd = linear_fwd;
    k->linear_bwd_x = linear_bwd_x;
    k->linear_bwd_x_add = linear_bwd_x_add;
    k->linear_bwd_w = f32 ? linear_bwd_w<float> : linear_bwd_w<__nv_bfloat16>;
    k->trace_begin = trace_begin;
    k->trace_continue = trace_continue;
    k->trace_end = trace_end;
    k->trace_flop = trace_flop;
    k->trace_replay_s = trace_replay_s;
    k->peak_gflops = peak_gflops;
}
