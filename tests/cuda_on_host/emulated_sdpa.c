#include "tests/cuda_on_host/emulated_sdpa.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuda_on_host/include/cudnn.h"

static int64_t element(const sdpa_tensor_t *t, int64_t b, int64_t h, int64_t s, int64_t i) {
    return b * t->strides[0] + h * t->strides[1] + s * t->strides[2] + i * t->strides[3];
}

static double get(const sdpa_tensor_t *t, int64_t b, int64_t h, int64_t s, int64_t i) {
    int64_t at = element(t, b, h, s, i);
    uint32_t bits;
    float x;
    if (t->type == CUDNN_DATA_FLOAT) return (double)((const float *)t->data)[at];
    bits = (uint32_t)((const uint16_t *)t->data)[at] << 16;
    memcpy(&x, &bits, sizeof x);
    return (double)x;
}

static void put(const sdpa_tensor_t *t, int64_t b, int64_t h, int64_t s, int64_t i, double value) {
    int64_t at = element(t, b, h, s, i);
    float x = (float)value;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (t->type == CUDNN_DATA_FLOAT)
        ((float *)t->data)[at] = x;
    else
        ((uint16_t *)t->data)[at] = x != x ? 0x7FFF : (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

/* Rows of a sequence: all, where no lengths are given. */
static int64_t length_of(const sdpa_tensor_t *lengths, int64_t b, int64_t all) {
    return lengths->data ? (int64_t)((const int32_t *)lengths->data)[element(lengths, b, 0, 0, 0)] : all;
}

static double score(const sdpa_t *o, int64_t b, int64_t h, int64_t i, int64_t j) {
    double sum = 0;
    for (int64_t x = 0; x < o->q.dims[3]; x++) sum += get(&o->q, b, h, i, x) * get(&o->k, b, h, j, x);
    return sum * (double)o->scale;
}

static void forward_row(const sdpa_t *o, int64_t b, int64_t h, int64_t i, int64_t n, double *p) {
    double top = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++) {
        p[j] = score(o, b, h, i, j);
        top = fmax(top, p[j]);
    }
    for (int64_t j = 0; j < n; j++) sum += p[j] = exp(p[j] - top);
    for (int64_t x = 0; x < o->v.dims[3]; x++) {
        double out = 0;
        for (int64_t j = 0; j < n; j++) out += p[j] / sum * get(&o->v, b, h, j, x);
        put(&o->o, b, h, i, x, out);
    }
    if (o->stats.data) put(&o->stats, b, h, i, 0, top + log(sum));
}

/* Adds a row's share to dk and dv [n, K], and stores its dq: p = exp(s - stats), ds = p (do v^T - do o^T). */
static void backward_row(const sdpa_t *o, int64_t b, int64_t h, int64_t i, int64_t n, double *dq, double *dk,
                         double *dv) {
    int64_t K = o->q.dims[3];
    double flow = 0, stats = get(&o->stats, b, h, i, 0);
    for (int64_t x = 0; x < K; x++) {
        flow += get(&o->dout, b, h, i, x) * get(&o->o, b, h, i, x);
        dq[x] = 0;
    }
    for (int64_t j = 0; j < n; j++) {
        double p = exp(score(o, b, h, i, j) - stats), dp = 0;
        for (int64_t x = 0; x < K; x++) dp += get(&o->dout, b, h, i, x) * get(&o->v, b, h, j, x);
        double ds = p * (dp - flow) * (double)o->scale;
        for (int64_t x = 0; x < K; x++) {
            dq[x] += ds * get(&o->k, b, h, j, x);
            dk[j * K + x] += ds * get(&o->q, b, h, i, x);
            dv[j * K + x] += p * get(&o->dout, b, h, i, x);
        }
    }
    for (int64_t x = 0; x < K; x++) put(&o->dq, b, h, i, x, dq[x]);
}

static void run_head(const sdpa_t *o, int64_t b, int64_t h, double *work) {
    int64_t K = o->q.dims[3], n_q = length_of(&o->length_q, b, o->q.dims[2]),
            n = length_of(&o->length_kv, b, o->k.dims[2]);
    double *dk = work, *dv = dk + n * K, *row = dv + n * K;
    memset(work, 0, sizeof *work * (size_t)(2 * n * K));
    for (int64_t i = 0; i < n_q; i++) {
        if (o->backward)
            backward_row(o, b, h, i, n, row, dk, dv);
        else
            forward_row(o, b, h, i, n, row);
    }
    for (int64_t j = 0; o->backward && j < n; j++)
        for (int64_t x = 0; x < K; x++) {
            put(&o->dk, b, h, j, x, dk[j * K + x]);
            put(&o->dv, b, h, j, x, dv[j * K + x]);
        }
}

bool sdpa_run(const sdpa_t *o) {
    int64_t K = o->q.dims[3], S = o->k.dims[2];
    double *work = malloc(sizeof *work * (size_t)(2 * S * K + S + K));
    for (int64_t b = 0; work && b < o->q.dims[0]; b++)
        for (int64_t h = 0; h < o->q.dims[1]; h++) run_head(o, b, h, work);
    free(work);
    return work != NULL;
}
