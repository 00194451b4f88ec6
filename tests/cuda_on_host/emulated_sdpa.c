#include "tests/cuda_on_host/emulated_sdpa.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuda_on_host/include/cudnn.h"

/* ---- elements ---- */

static int64_t elements(const sdpa_tensor_t *t) {
    return t->n[0] * t->n[1] * t->n[2] * t->n[3];
}

/* Of dense x; dimensions of 1 take any index. */
static int64_t dense(const sdpa_tensor_t *t, const int64_t i[4]) {
    int64_t at = 0;
    for (int d = 0; d < 4; d++) at = at * t->n[d] + (t->n[d] == 1 ? 0 : i[d]);
    return at;
}

static void index_of(const sdpa_tensor_t *t, int64_t at, int64_t i[4]) {
    for (int d = 3; d >= 0; d--) {
        i[d] = at % t->n[d];
        at /= t->n[d];
    }
}

static int64_t in_memory(const sdpa_tensor_t *t, int64_t at) {
    int64_t i[4];
    index_of(t, at, i);
    return i[0] * t->stride[0] + i[1] * t->stride[1] + i[2] * t->stride[2] + i[3] * t->stride[3];
}

static uint16_t to_bf16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return x != x ? 0x7FFF : (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}
static float from_bf16(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static double get(const sdpa_tensor_t *t, int64_t at) {
    if (t->type == CUDNN_DATA_FLOAT) return (double)((const float *)t->data)[at];
    if (t->type == CUDNN_DATA_INT32) return ((const int32_t *)t->data)[at];
    return (double)from_bf16(((const uint16_t *)t->data)[at]);
}

static bool read_tensor(sdpa_tensor_t *t) {
    if (t->x) return true;
    if (!t->data) return false;
    t->x = malloc(sizeof *t->x * (size_t)elements(t));
    for (int64_t i = 0; t->x && i < elements(t); i++) t->x[i] = get(t, in_memory(t, i));
    return t->x != NULL;
}

/* x as the tensor's type has it, here and in memory. */
static void write_tensor(sdpa_tensor_t *t) {
    for (int64_t i = 0; i < elements(t); i++) {
        float x = t->type == CUDNN_DATA_BFLOAT16 ? from_bf16(to_bf16((float)t->x[i])) : (float)t->x[i];
        t->x[i] = (double)x;
        if (t->data && t->type == CUDNN_DATA_FLOAT) ((float *)t->data)[in_memory(t, i)] = x;
        if (t->data && t->type == CUDNN_DATA_BFLOAT16) ((uint16_t *)t->data)[in_memory(t, i)] = to_bf16(x);
    }
}

/* ---- what fits together ---- */

static bool same(const int64_t a[4], int64_t n0, int64_t n1, int64_t n2, int64_t n3) {
    return a[0] == n0 && a[1] == n1 && a[2] == n2 && a[3] == n3;
}

static const char *product_fault(const sdpa_operation_t *o) {
    const int64_t *a = o->in[0]->n, *b = o->in[1]->n;
    if (a[0] != b[0] || a[1] != b[1] || a[3] != b[2] || !same(o->out->n, a[0], a[1], a[2], b[3]))
        return "a product's shapes";
    if (o->in[1]->type != CUDNN_DATA_BFLOAT16) return "a product's second operand is no bf16";
    for (int i = 0; i < 3; i++)
        if (o->lengths[i] && (!same(o->lengths[i]->n, a[0], 1, 1, 1) || o->lengths[i]->type != CUDNN_DATA_INT32))
            return "a product's lengths";
    return o->compute == CUDNN_DATA_FLOAT ? NULL : "a product's precision";
}

static int operands(int mode) {
    switch (mode) {
    case CUDNN_POINTWISE_GEN_INDEX:
    case CUDNN_POINTWISE_EXP:
    case CUDNN_POINTWISE_LOG:
    case CUDNN_POINTWISE_IDENTITY:
        return 1;
    case CUDNN_POINTWISE_ADD:
    case CUDNN_POINTWISE_SUB:
    case CUDNN_POINTWISE_MUL:
    case CUDNN_POINTWISE_DIV:
    case CUDNN_POINTWISE_CMP_LT:
    case CUDNN_POINTWISE_LOGICAL_AND:
        return 2;
    case CUDNN_POINTWISE_BINARY_SELECT:
        return 3;
    }
    return 0;
}

static const char *pointwise_fault(const sdpa_operation_t *o) {
    int n = operands(o->mode), out = o->out->type;
    bool truth = o->mode == CUDNN_POINTWISE_CMP_LT || o->mode == CUDNN_POINTWISE_LOGICAL_AND,
         indices = o->mode == CUDNN_POINTWISE_GEN_INDEX;
    if (n == 0) return "a pointwise mode";
    for (int i = 0; i < 3; i++) {
        if ((i < n) != (o->in[i] != NULL)) return "a pointwise operation's operands";
        for (int d = 0; i < n && d < 4; d++)
            if (o->in[i]->n[d] != 1 && o->in[i]->n[d] != o->out->n[d]) return "a pointwise operation's shapes";
    }
    if (truth != (out == CUDNN_DATA_BOOLEAN) || truth != (o->compute == CUDNN_DATA_BOOLEAN)) return "truth values";
    if (indices != (out == CUDNN_DATA_INT32) || indices != (o->compute == CUDNN_DATA_INT32)) return "indices";
    if (indices && (o->axis < 2 || o->axis > 3)) return "an axis of indices";
    if (n == 3 && o->in[2]->type != CUDNN_DATA_BOOLEAN) return "a selection's condition";
    return NULL;
}

const char *sdpa_fault(const sdpa_operation_t *o) {
    const sdpa_tensor_t *x = o->in[0], *y = o->out;
    switch (o->kind) {
    case SDPA_PRODUCT:
        return product_fault(o);
    case SDPA_POINTWISE:
        return pointwise_fault(o);
    case SDPA_REDUCTION:
        if (!same(y->n, x->n[0], x->n[1], x->n[2], 1)) return "a reduction's shapes";
        if (o->compute != CUDNN_DATA_FLOAT) return "a reduction's precision";
        return o->mode == CUDNN_REDUCE_TENSOR_ADD || o->mode == CUDNN_REDUCE_TENSOR_MAX ? NULL : "a reduction's kind";
    case SDPA_RESHAPE:
        return same(y->n, x->n[0], x->n[1], x->n[3], x->n[2]) &&
                       same(y->stride, x->stride[0], x->stride[1], x->stride[3], x->stride[2])
                   ? NULL
                   : "a transposition's shapes";
    }
    return "an operation";
}

/* ---- operations ---- */

static int64_t length_of(const sdpa_tensor_t *t, int64_t b, int64_t all) {
    return t ? (int64_t)t->x[b] : all;
}

static void run_product(const sdpa_operation_t *o) {
    const sdpa_tensor_t *a = o->in[0], *b = o->in[1], *c = o->out;
    int64_t M = c->n[2], N = c->n[3], K = a->n[3];
    for (int64_t head = 0; head < c->n[0] * c->n[1]; head++) {
        int64_t sample = head / c->n[1], m = length_of(o->lengths[0], sample, M),
                n = length_of(o->lengths[1], sample, N), k = length_of(o->lengths[2], sample, K);
        for (int64_t i = 0; i < M * N; i++) {
            double sum = 0;
            for (int64_t j = 0; j < k; j++) sum += a->x[(head * M + i / N) * K + j] * b->x[(head * K + j) * N + i % N];
            c->x[head * M * N + i] = i / N < m && i % N < n ? sum : (double)NAN;
        }
    }
}

static double pointwise(int mode, double x, double b, double t) {
    switch (mode) {
    case CUDNN_POINTWISE_EXP:
        return exp(x);
    case CUDNN_POINTWISE_LOG:
        return log(x);
    case CUDNN_POINTWISE_ADD:
        return x + b;
    case CUDNN_POINTWISE_SUB:
        return x - b;
    case CUDNN_POINTWISE_MUL:
        return x * b;
    case CUDNN_POINTWISE_DIV:
        return x / b;
    case CUDNN_POINTWISE_CMP_LT:
        return x < b;
    case CUDNN_POINTWISE_LOGICAL_AND:
        return x != 0 && b != 0;
    case CUDNN_POINTWISE_BINARY_SELECT:
        return t != 0 ? x : b;
    }
    return x;
}

static void run_pointwise(const sdpa_operation_t *o) {
    for (int64_t at = 0; at < elements(o->out); at++) {
        int64_t i[4];
        double x[3] = {0};
        index_of(o->out, at, i);
        for (int j = 0; j < 3 && o->in[j]; j++) x[j] = o->in[j]->x[dense(o->in[j], i)];
        o->out->x[at] =
            o->mode == CUDNN_POINTWISE_GEN_INDEX ? (double)i[o->axis] : pointwise(o->mode, x[0], x[1], x[2]);
    }
}

static void run_reduction(const sdpa_operation_t *o) {
    int64_t n = o->in[0]->n[3];
    for (int64_t row = 0; row < elements(o->out); row++) {
        const double *x = o->in[0]->x + row * n;
        double all = x[0];
        for (int64_t i = 1; i < n; i++) all = o->mode == CUDNN_REDUCE_TENSOR_ADD ? all + x[i] : fmax(all, x[i]);
        o->out->x[row] = all;
    }
}

static void run_reshape(const sdpa_operation_t *o) {
    for (int64_t at = 0; at < elements(o->out); at++) {
        int64_t i[4];
        index_of(o->out, at, i);
        o->out->x[at] = o->in[0]->x[dense(o->in[0], (int64_t[]){i[0], i[1], i[3], i[2]})];
    }
}

bool sdpa_run(sdpa_operation_t *o) {
    for (int i = 0; i < 3; i++)
        if ((o->in[i] && !read_tensor(o->in[i])) || (o->lengths[i] && !read_tensor(o->lengths[i]))) return false;
    if (o->out->x) return false; /* computed twice */
    o->out->x = malloc(sizeof *o->out->x * (size_t)elements(o->out));
    if (!o->out->x) return false;
    if (o->kind == SDPA_PRODUCT) run_product(o);
    if (o->kind == SDPA_POINTWISE) run_pointwise(o);
    if (o->kind == SDPA_REDUCTION) run_reduction(o);
    if (o->kind == SDPA_RESHAPE) run_reshape(o);
    write_tensor(o->out);
    return true;
}
