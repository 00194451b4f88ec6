/* Attention as cuDNN defines it, on strided tensors: what a plan of the emulated cuDNN runs. */
#ifndef LENS_TESTS_EMULATED_SDPA_H
#define LENS_TESTS_EMULATED_SDPA_H

#include <stdbool.h>
#include <stdint.h>

/* [B, H, S, K]; NULL data: not there. */
typedef struct {
    void *data;
    int type; /* cudnnDataType_t */
    int64_t dims[4], strides[4];
} sdpa_tensor_t;

typedef struct {
    bool backward;
    sdpa_tensor_t q, k, v, o, stats; /* stats [B, H, S, 1]: logarithm of the softmax's denominator */
    sdpa_tensor_t length_q, length_kv;
    float scale;
    sdpa_tensor_t dout, dq, dk, dv;
} sdpa_t;

/* false: there is no memory. */
bool sdpa_run(const sdpa_t *o);

#endif
