/* The operations that cuDNN's attention graphs are made of, each computed as its definition says, one after another:
 * what a plan of the emulated cuDNN runs. Nothing here knows attention. */
#ifndef LENS_TESTS_EMULATED_SDPA_H
#define LENS_TESTS_EMULATED_SDPA_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int64_t uid, n[4], stride[4], alignment;
    int type; /* cudnnDataType_t */
    bool is_virtual, by_value;
    void *data; /* NULL: virtual */
    double *x;  /* dense; NULL: not yet computed or read */
} sdpa_tensor_t;

typedef enum { SDPA_PRODUCT, SDPA_POINTWISE, SDPA_REDUCTION, SDPA_RESHAPE } sdpa_kind;

typedef struct {
    sdpa_kind kind;
    int mode; /* cudnnPointwiseMode_t or cudnnReduceTensorOp_t */
    int compute;
    int64_t axis;               /* of indices */
    sdpa_tensor_t *in[3], *out; /* x, b, t; or a, b */
    sdpa_tensor_t *lengths[3];  /* a product's M, N, K of each sample; NULL: all */
} sdpa_operation_t;

/* NULL, or what of its tensors does not fit. */
const char *sdpa_fault(const sdpa_operation_t *o);
/* Reads what is in memory, writes out there unless it is virtual. What a product leaves uncomputed because of its
 * lengths is NaN. false: no memory, or an operand that nothing has computed. */
bool sdpa_run(sdpa_operation_t *o);

#endif
