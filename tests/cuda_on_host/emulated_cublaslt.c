/* cuBLASLt on the host: D = alpha op(A) op(B) + beta C, bias in the epilogue. Matrices are brought into dense float
 * column-major form, multiplied by OpenBLAS and stored in their own type. */
#include "tests/cuda_on_host/include/cublasLt.h"

#include <cblas.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct cublasLtContext {
    int unused;
};
struct cublasLtMatmulDescOpaque {
    int compute, scale, pointer_mode, op_a, op_b, epilogue;
    int bias_type; /* -1: D's */
    void *bias;
};
struct cublasLtMatrixLayoutOpaque {
    int type, order, batch;
    int64_t rows, cols, ld, batch_stride;
};
struct cublasLtMatmulPreferenceOpaque {
    uint64_t workspace_bytes;
};

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
    *handle = calloc(1, sizeof **handle);
    return *handle ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}
size_t cublasLtGetVersion(void) {
    return 130000;
}
const char *cublasLtGetStatusName(cublasStatus_t status) {
    switch (status) {
    case CUBLAS_STATUS_SUCCESS:
        return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
        return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
        return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
        return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED:
        return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
        return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED:
        return "CUBLAS_STATUS_NOT_SUPPORTED";
    }
    return "unknown status";
}
const char *cublasLtGetStatusString(cublasStatus_t status) {
    return cublasLtGetStatusName(status);
}

/* ---- descriptors ---- */

/* A field takes a value of its own size only. */
static cublasStatus_t set(void *field, size_t field_bytes, const void *value, size_t bytes) {
    if (!value || bytes != field_bytes) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(field, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute, cudaDataType_t scale) {
    *desc = calloc(1, sizeof **desc);
    if (!*desc) return CUBLAS_STATUS_ALLOC_FAILED;
    **desc = (struct cublasLtMatmulDescOpaque){
        .compute = (int)compute, .scale = (int)scale, .epilogue = CUBLASLT_EPILOGUE_DEFAULT, .bias_type = -1};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
    free(desc);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t bytes) {
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE:
        return set(&desc->compute, sizeof desc->compute, value, bytes);
    case CUBLASLT_MATMUL_DESC_SCALE_TYPE:
        return set(&desc->scale, sizeof desc->scale, value, bytes);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE:
        return set(&desc->pointer_mode, sizeof desc->pointer_mode, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSA:
        return set(&desc->op_a, sizeof desc->op_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
        return set(&desc->op_b, sizeof desc->op_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return set(&desc->epilogue, sizeof desc->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        return set(&desc->bias, sizeof desc->bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
        return set(&desc->bias_type, sizeof desc->bias_type, value, bytes);
    }
    return CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows,
                                          uint64_t cols, int64_t ld) {
    *layout = calloc(1, sizeof **layout);
    if (!*layout) return CUBLAS_STATUS_ALLOC_FAILED;
    **layout = (struct cublasLtMatrixLayoutOpaque){
        .type = (int)type, .batch = 1, .rows = (int64_t)rows, .cols = (int64_t)cols, .ld = ld};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
    free(layout);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute, const void *value,
                                                size_t bytes) {
    switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE:
        return set(&layout->type, sizeof layout->type, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
        return set(&layout->order, sizeof layout->order, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ROWS:
        return set(&layout->rows, sizeof layout->rows, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_COLS:
        return set(&layout->cols, sizeof layout->cols, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_LD:
        return set(&layout->ld, sizeof layout->ld, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
        return set(&layout->batch, sizeof layout->batch, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
        return set(&layout->batch_stride, sizeof layout->batch_stride, value, bytes);
    }
    return CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference) {
    *preference = calloc(1, sizeof **preference);
    return *preference ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
    free(preference);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                                                    size_t bytes) {
    if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
        return set(&preference->workspace_bytes, sizeof preference->workspace_bytes, value, bytes);
    return bytes == sizeof(uint32_t) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE; /* hints */
}

/* ---- what fits together ---- */

static bool known_type(int type) {
    return type == CUDA_R_32F || type == CUDA_R_16BF;
}

static bool whole(cublasLtMatrixLayout_t m, int batch) {
    int64_t shortest = m->order == CUBLASLT_ORDER_COL ? m->rows : m->cols;
    return m->rows > 0 && m->cols > 0 && m->ld >= shortest && m->batch == batch;
}

static cublasStatus_t check(cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t A, cublasLtMatrixLayout_t B,
                            cublasLtMatrixLayout_t C, cublasLtMatrixLayout_t D) {
    int64_t m = desc->op_a ? A->cols : A->rows, k = desc->op_a ? A->rows : A->cols, n = desc->op_b ? B->rows : B->cols;
    if (!whole(A, D->batch) || !whole(B, D->batch) || !whole(C, D->batch) || !whole(D, D->batch))
        return CUBLAS_STATUS_INVALID_VALUE;
    if ((desc->op_b ? B->cols : B->rows) != k || D->rows != m || D->cols != n || C->rows != m || C->cols != n)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (!known_type(A->type) || B->type != A->type || !known_type(D->type) || C->type != D->type)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (A->type == CUDA_R_32F && D->type != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (desc->scale != CUDA_R_32F || desc->pointer_mode != CUBLASLT_POINTER_MODE_HOST)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    switch (desc->compute) {
    case CUBLAS_COMPUTE_32F:
    case CUBLAS_COMPUTE_32F_PEDANTIC:
        break;
    default:
        return CUBLAS_STATUS_NOT_SUPPORTED; /* others lose bits that nobody here could tell from an error */
    }
    switch (desc->epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
        return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_EPILOGUE_BIAS:
    case CUBLASLT_EPILOGUE_BGRADA:
    case CUBLASLT_EPILOGUE_BGRADB:
        return D->batch == 1 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
    default:
        return CUBLAS_STATUS_NOT_SUPPORTED;
    }
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t A, cublasLtMatrixLayout_t B,
                                              cublasLtMatrixLayout_t C, cublasLtMatrixLayout_t D,
                                              cublasLtMatmulPreference_t preference, int n_wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int *n_results) {
    *n_results = 0;
    if (!handle || !preference || n_wanted < 1) return CUBLAS_STATUS_INVALID_VALUE;
    cublasStatus_t st = check(desc, A, B, C, D);
    if (st != CUBLAS_STATUS_SUCCESS) return st;
    results[0] = (cublasLtMatmulHeuristicResult_t){.state = CUBLAS_STATUS_SUCCESS, .wavesCount = 1};
    *n_results = 1;
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- the product ---- */

static float load(const void *p, int type, int64_t i) {
    uint32_t bits;
    float x;
    if (type == CUDA_R_32F) return ((const float *)p)[i];
    bits = (uint32_t)((const uint16_t *)p)[i] << 16;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void store(void *p, int type, int64_t i, float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (type == CUDA_R_32F)
        ((float *)p)[i] = x;
    else
        ((uint16_t *)p)[i] = x != x ? 0x7FFF : (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static int64_t element(cublasLtMatrixLayout_t m, int batch, int64_t row, int64_t col) {
    int64_t at = m->order == CUBLASLT_ORDER_COL ? row + col * m->ld : row * m->ld + col;
    return batch * m->batch_stride + at;
}

/* [rows, cols], column-major; NULL: no memory. */
static float *dense(const void *p, cublasLtMatrixLayout_t m, int batch) {
    float *x = malloc(sizeof(float) * (size_t)(m->rows * m->cols));
    for (int64_t c = 0; x && c < m->cols; c++)
        for (int64_t r = 0; r < m->rows; r++) x[c * m->rows + r] = load(p, m->type, element(m, batch, r, c));
    return x;
}

/* The sum over the product's inner dimension of op(A), a value a row of D, or of op(B), a value a column. */
static void bias_gradient(const float *x, cublasLtMatrixLayout_t m, bool sum_rows, void *bias, int type) {
    int64_t n = sum_rows ? m->cols : m->rows, length = sum_rows ? m->rows : m->cols;
    for (int64_t i = 0; i < n; i++) {
        float sum = 0;
        for (int64_t j = 0; j < length; j++) sum += sum_rows ? x[i * m->rows + j] : x[j * m->rows + i];
        store(bias, type, i, sum);
    }
}

typedef struct {
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t A, B, C, D;
    float alpha, beta;
} matmul_t;

static cublasStatus_t multiply(const matmul_t *o, int batch, const void *A, const void *B, const void *C, void *D) {
    const cublasLtMatrixLayout_t out = o->D;
    int64_t k = o->desc->op_a ? o->A->rows : o->A->cols;
    int type = o->desc->bias_type < 0 ? out->type : o->desc->bias_type;
    float *a = dense(A, o->A, batch), *b = dense(B, o->B, batch),
          *d = calloc((size_t)(out->rows * out->cols), sizeof *d);
    bool done = a && b && d;
    if (done) {
        cblas_sgemm(CblasColMajor, o->desc->op_a ? CblasTrans : CblasNoTrans, o->desc->op_b ? CblasTrans : CblasNoTrans,
                    (int)out->rows, (int)out->cols, (int)k, o->alpha, a, (int)o->A->rows, b, (int)o->B->rows, 0, d,
                    (int)out->rows);
        if (o->desc->epilogue == CUBLASLT_EPILOGUE_BGRADA) bias_gradient(a, o->A, o->desc->op_a, o->desc->bias, type);
        if (o->desc->epilogue == CUBLASLT_EPILOGUE_BGRADB) bias_gradient(b, o->B, !o->desc->op_b, o->desc->bias, type);
    }
    for (int64_t c = 0; done && c < out->cols; c++)
        for (int64_t r = 0; r < out->rows; r++) {
            float x = d[c * out->rows + r];
            if (o->beta != 0) x += o->beta * load(C, o->C->type, element(o->C, batch, r, c));
            if (o->desc->epilogue == CUBLASLT_EPILOGUE_BIAS) x += load(o->desc->bias, type, r);
            store(D, out->type, element(out, batch, r, c), x);
        }
    free(a);
    free(b);
    free(d);
    return done ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha, const void *A,
                              cublasLtMatrixLayout_t A_layout, const void *B, cublasLtMatrixLayout_t B_layout,
                              const void *beta, const void *C, cublasLtMatrixLayout_t C_layout, void *D,
                              cublasLtMatrixLayout_t D_layout, const cublasLtMatmulAlgo_t *algo, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream) {
    (void)algo;
    (void)workspace;
    (void)workspace_bytes;
    matmul_t o = {.desc = desc, .A = A_layout, .B = B_layout, .C = C_layout, .D = D_layout};
    if (!handle || !A || !B || !C || !D) return CUBLAS_STATUS_INVALID_VALUE;
    if (desc->epilogue != CUBLASLT_EPILOGUE_DEFAULT && !desc->bias) return CUBLAS_STATUS_INVALID_VALUE;
    cublasStatus_t st = check(desc, A_layout, B_layout, C_layout, D_layout);
    if (st != CUBLAS_STATUS_SUCCESS) return st;
    emulated_stream_work(stream);
    memcpy(&o.alpha, alpha, sizeof o.alpha);
    memcpy(&o.beta, beta, sizeof o.beta);
    emulated_memory_open();
    for (int i = 0; i < D_layout->batch && st == CUBLAS_STATUS_SUCCESS; i++) st = multiply(&o, i, A, B, C, D);
    emulated_memory_close();
    return st;
}
