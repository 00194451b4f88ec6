/* What the files of the CPU backend share. Rows are documented in kernels/kernels.h. */
#ifndef LENS_KERNELS_CPU_CPU_KERNELS_H
#define LENS_KERNELS_CPU_CPU_KERNELS_H

#include "kernels/kernels.h"

/* One shape of matrix product, as it was called. */
typedef struct {
    bool a_transposed, b_transposed, adds; /* adds: to what c holds */
    int64_t M, N, K, count;                /* count > 1: independent products spread over threads, one thread each */
    int64_t lda, ldb, ldc;
} product_t;

typedef struct {
    product_t *products;
    int n_products, cap_products;
    bool tracing;
    float *scratch; /* grown on first use of a shape, kept */
    size_t scratch_floats;
    struct {
        void *bytes;
        size_t room;
        bool begun;
    } fetch[KERNELS_MAX_FETCHES]; /* each keeps its memory */
    int next_fetch;
    double *marked; /* [n_marked]: log_clock_s at each mark */
    int n_marked;
    lens_status error; /* first error of a compute row, with its message */
    char error_text[256];
} cpu_context_t;

static inline cpu_context_t *cpu_context(const kernels_t *k) {
    return k->context;
}

/* n floats, 64-byte aligned, valid until the next call; NULL (and the error is kept) where there is no memory. */
float *cpu_scratch(kernels_t *k, int64_t n);

/* Keeps this thread's message as the error, unless st is none or there is one. */
void cpu_note(kernels_t *k, lens_status st);

void cpu_trace_add(kernels_t *k, product_t product);
void cpu_trace_free(cpu_context_t *c);

/* Each fills its rows. */
void cpu_fill_linear(kernels_t *k);
void cpu_fill_lora(kernels_t *k);
void cpu_fill_norm(kernels_t *k);
void cpu_fill_attention(kernels_t *k);
void cpu_fill_elementwise(kernels_t *k);
void cpu_fill_flow(kernels_t *k);
void cpu_fill_optim(kernels_t *k);
void cpu_fill_fetch(kernels_t *k);

#endif
