/* The emulated device's libraries: products with their epilogues, what cuDNN refuses, collectives of one rank. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/cuda_on_host/include/cublasLt.h"
#include "tests/cuda_on_host/include/cudnn.h"
#include "tests/cuda_on_host/include/nccl.h"
#include "tests/unit/cuda_check.h"

#define OK(call) assert_int_equal(call, 0)

/* Device memory with n values of a type, rounded; x holds them as they are there. */
static void *device_values(cudaDataType_t type, float *x, int64_t n) {
    void *p;
    size_t element = type == CUDA_R_32F ? 4 : 2;
    unsigned char *bytes = malloc((size_t)n * element + 1);
    assert_non_null(bytes);
    for (int64_t i = 0; i < n; i++) {
        if (type == CUDA_R_16BF) x[i] = pair_from_bf16(pair_to_bf16(x[i]));
        pair_set(bytes, i, element, x[i]);
    }
    OK(emulated_malloc(&p, (size_t)n * element));
    OK(cudaMemcpy(p, bytes, (size_t)n * element, cudaMemcpyHostToDevice));
    free(bytes);
    return p;
}

static void host_values(float *x, const void *p, cudaDataType_t type, int64_t n) {
    size_t element = type == CUDA_R_32F ? 4 : 2;
    unsigned char *bytes = malloc((size_t)n * element + 1);
    assert_non_null(bytes);
    OK(cudaMemcpy(bytes, p, (size_t)n * element, cudaMemcpyDeviceToHost));
    for (int64_t i = 0; i < n; i++) {
        uint16_t half;
        if (element == 4) memcpy(&x[i], bytes + 4 * i, 4);
        if (element == 2) memcpy(&half, bytes + 2 * i, 2), x[i] = pair_from_bf16(half);
    }
    free(bytes);
}

static void fill(float *x, int64_t n, rng_t *rng) {
    for (int64_t i = 0; i < n; i++) x[i] = (float)rng_normal(rng);
}

/* ---- cuBLASLt ---- */

enum { M = 5, N = 7, K = 3 };

typedef struct {
    cudaDataType_t in, out;
    int op_a, op_b, epilogue;
    float beta;
} product_case_t;

/* Column-major, with leading dimensions one longer than they must be. */
static void product_of(const product_case_t *p) {
    rng_t rng = rng_stream(6, 0, 0, RNG_TEST);
    int64_t a_rows = p->op_a ? K : M, a_cols = p->op_a ? M : K, b_rows = p->op_b ? N : K, b_cols = p->op_b ? K : N;
    float a[64], b[64], c[64], got[64], bias[16], got_bias[16], alpha = 1;
    fill(a, (a_rows + 1) * a_cols, &rng);
    fill(b, (b_rows + 1) * b_cols, &rng);
    fill(c, (M + 1) * N, &rng);
    fill(bias, 16, &rng);
    void *A = device_values(p->in, a, (a_rows + 1) * a_cols), *B = device_values(p->in, b, (b_rows + 1) * b_cols),
         *C = device_values(p->out, c, (M + 1) * N), *bias_device = device_values(p->out, bias, 16);
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t la, lb, lc;
    OK(cublasLtCreate(&handle));
    OK(cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    OK(cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &p->op_a, sizeof p->op_a));
    OK(cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSB, &p->op_b, sizeof p->op_b));
    OK(cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &p->epilogue, sizeof p->epilogue));
    OK(cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias_device, sizeof bias_device));
    OK(cublasLtMatrixLayoutCreate(&la, p->in, (uint64_t)a_rows, (uint64_t)a_cols, a_rows + 1));
    OK(cublasLtMatrixLayoutCreate(&lb, p->in, (uint64_t)b_rows, (uint64_t)b_cols, b_rows + 1));
    OK(cublasLtMatrixLayoutCreate(&lc, p->out, M, N, M + 1));
    OK(cublasLtMatmul(handle, desc, &alpha, A, la, B, lb, &p->beta, C, lc, C, lc, NULL, NULL, 0, NULL));
    host_values(got, C, p->out, (M + 1) * N);
    host_values(got_bias, bias_device, p->out, 16);
    double k = p->out == CUDA_R_16BF ? 1.0 / 256 : 4 * (double)FLT_EPSILON;
    for (int n = 0; n < N; n++)
        for (int m = 0; m <= M; m++) {
            double want = (double)p->beta * (double)c[n * (M + 1) + m];
            if (m == M) {
                assert_true(got[n * (M + 1) + m] == c[n * (M + 1) + m]); /* between columns: left alone */
                continue;
            }
            for (int i = 0; i < K; i++)
                want += (double)a[p->op_a ? m * (a_rows + 1) + i : i * (a_rows + 1) + m] *
                        (double)b[p->op_b ? i * (b_rows + 1) + n : n * (b_rows + 1) + i];
            if (p->epilogue == CUBLASLT_EPILOGUE_BIAS) want += (double)bias[m];
            assert_true(fabs((double)got[n * (M + 1) + m] - want) <= k * 8);
        }
    for (int n = 0; p->epilogue == CUBLASLT_EPILOGUE_BGRADB && n < N; n++) {
        double want = 0;
        for (int i = 0; i < K; i++) want += (double)b[p->op_b ? i * (b_rows + 1) + n : n * (b_rows + 1) + i];
        assert_true(fabs((double)got_bias[n] - want) <= k * 8);
    }
    for (int m = 0; p->epilogue == CUBLASLT_EPILOGUE_BGRADA && m < M; m++) {
        double want = 0;
        for (int i = 0; i < K; i++) want += (double)a[p->op_a ? m * (a_rows + 1) + i : i * (a_rows + 1) + m];
        assert_true(fabs((double)got_bias[m] - want) <= k * 8);
    }
    OK(cublasLtMatrixLayoutDestroy(la));
    OK(cublasLtMatrixLayoutDestroy(lb));
    OK(cublasLtMatrixLayoutDestroy(lc));
    OK(cublasLtMatmulDescDestroy(desc));
    OK(cublasLtDestroy(handle));
    OK(cudaFree(A));
    OK(cudaFree(B));
    OK(cudaFree(C));
    OK(cudaFree(bias_device));
}

static void products(void **state) {
    (void)state;
    static const cudaDataType_t types[3][2] = {
        {CUDA_R_32F, CUDA_R_32F}, {CUDA_R_16BF, CUDA_R_16BF}, {CUDA_R_16BF, CUDA_R_32F}};
    static const int epilogues[] = {CUBLASLT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_BGRADA,
                                    CUBLASLT_EPILOGUE_BGRADB};
    for (int t = 0; t < 3; t++)
        for (int ops = 0; ops < 4; ops++)
            for (int e = 0; e < 4; e++) {
                product_case_t p = {types[t][0], types[t][1], ops & 1, ops >> 1, epilogues[e], e % 2 ? 0.0f : 1.0f};
                product_of(&p);
            }
}

static void products_refused(void **state) {
    (void)state;
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t result;
    int n = 0, transposed = CUBLAS_OP_T;
    uint64_t bytes = 1 << 20;
    OK(cublasLtCreate(&handle));
    OK(cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    OK(cublasLtMatrixLayoutCreate(&a, CUDA_R_16BF, M, K, M));
    OK(cublasLtMatrixLayoutCreate(&b, CUDA_R_16BF, K, N, K));
    OK(cublasLtMatrixLayoutCreate(&c, CUDA_R_16BF, M, N, M));
    OK(cublasLtMatmulPreferenceCreate(&preference));
    OK(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes,
                                            sizeof bytes));
    OK(cublasLtMatmulAlgoGetHeuristic(handle, desc, a, b, c, c, preference, 1, &result, &n));
    assert_int_equal(n, 1);
    assert_int_equal(cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &bytes, sizeof bytes),
                     CUBLAS_STATUS_INVALID_VALUE); /* a value of another size */
    OK(cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed));
    assert_int_equal(cublasLtMatmulAlgoGetHeuristic(handle, desc, a, b, c, c, preference, 1, &result, &n),
                     CUBLAS_STATUS_INVALID_VALUE); /* shapes that do not fit */
    assert_int_equal(n, 0);
    OK(cublasLtMatmulPreferenceDestroy(preference));
    OK(cublasLtMatrixLayoutDestroy(a));
    OK(cublasLtMatrixLayoutDestroy(b));
    OK(cublasLtMatrixLayoutDestroy(c));
    OK(cublasLtMatmulDescDestroy(desc));
    OK(cublasLtDestroy(handle));
}

/* ---- cuDNN: what it refuses; test_cuda_attention has what it computes ---- */

static cudnnBackendDescriptor_t new_tensor(const int64_t dims[4]) {
    const int64_t strides[4] = {64, 16, 8, 1}, one = 1, alignment = 16;
    const cudnnDataType_t type = CUDNN_DATA_BFLOAT16;
    cudnnBackendDescriptor_t t;
    OK(cudnnBackendCreateDescriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR, &t));
    OK(cudnnBackendSetAttribute(t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type));
    OK(cudnnBackendSetAttribute(t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims));
    OK(cudnnBackendSetAttribute(t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides));
    assert_int_equal(cudnnBackendFinalize(t), CUDNN_STATUS_BAD_PARAM); /* without an id */
    OK(cudnnBackendSetAttribute(t, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &one));
    OK(cudnnBackendSetAttribute(t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment));
    return t;
}

static void attention_refused(void **state) {
    (void)state;
    const int64_t x_dims[4] = {1, 4, 2, 8}, y_dims[4] = {1, 4, 2, 8};
    cudnnBackendDescriptor_t op, x = new_tensor(x_dims), y = new_tensor(y_dims), graph, heuristic;
    cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    cudnnHandle_t handle;
    OK(cudnnCreate(&handle));
    OK(cudnnBackendCreateDescriptor(CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR, &op));
    assert_int_equal(cudnnBackendSetAttribute(op, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, x_dims),
                     CUDNN_STATUS_NOT_SUPPORTED);
    assert_int_equal(cudnnBackendSetAttribute(op, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, CUDNN_TYPE_INT64, 1, x_dims),
                     CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE);
    OK(cudnnBackendSetAttribute(op, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x));
    OK(cudnnBackendSetAttribute(op, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y));
    assert_int_equal(cudnnBackendFinalize(op), CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED);
    OK(cudnnBackendFinalize(x));
    OK(cudnnBackendFinalize(y));
    assert_int_equal(cudnnBackendFinalize(op), CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH); /* no transposition */
    OK(cudnnBackendSetAttribute(op, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y));
    OK(cudnnBackendCreateDescriptor(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, &graph));
    OK(cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristic));
    OK(cudnnBackendSetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode));
    assert_int_equal(cudnnBackendFinalize(heuristic), CUDNN_STATUS_BAD_PARAM); /* without a graph */
    const cudnnBackendDescriptor_t all[] = {op, x, y, graph, heuristic};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) OK(cudnnBackendDestroyDescriptor(all[i]));
    OK(cudnnDestroy(handle));
}

/* ---- NCCL ---- */

static void one_rank(void **state) {
    (void)state;
    ncclUniqueId id;
    ncclComm_t comm;
    ncclResult_t error;
    cudaStream_t stream;
    cudaEvent_t event;
    float x[4] = {1, 2, 3, 4}, y[4] = {0};
    void *p = device_values(CUDA_R_32F, x, 4), *q = device_values(CUDA_R_32F, y, 4);
    OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    OK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    setenv("LENS_NCCL_HANG", "3", 1);
    setenv("LENS_NCCL_ERROR", "3", 1);
    OK(ncclGetUniqueId(&id));
    OK(ncclCommInitRank(&comm, 1, id, 0));
    unsetenv("LENS_NCCL_HANG");
    unsetenv("LENS_NCCL_ERROR");
    OK(ncclReduceScatter(p, q, 4, ncclFloat32, ncclSum, comm, stream));
    host_values(y, q, CUDA_R_32F, 4);
    assert_memory_equal(x, y, sizeof x);
    OK(ncclAllReduce(q, q, 4, ncclFloat32, ncclSum, comm, stream));
    OK(ncclCommGetAsyncError(comm, &error));
    assert_int_equal(error, ncclSuccess);
    OK(ncclAllGather(p, q, 4, ncclFloat32, comm, stream)); /* the third */
    OK(cudaEventRecord(event, stream));
    assert_int_equal(cudaEventQuery(event), cudaErrorNotReady);
    OK(ncclCommGetAsyncError(comm, &error));
    assert_int_equal(error, ncclRemoteError);
    OK(ncclCommAbort(comm));
    OK(cudaEventQuery(event));
    OK(cudaEventDestroy(event));
    OK(cudaStreamDestroy(stream));
    OK(cudaFree(p));
    OK(cudaFree(q));
}

/* A collective must wait for the work before it, and whoever reads what it leaves for the collective. */
static void strict_streams(void **state) {
    (void)state;
    enum { COUNT = 4 };
    ncclUniqueId id;
    ncclComm_t comm;
    cudaStream_t compute, communication;
    cudaEvent_t event;
    float x[COUNT] = {1, 2, 3, 4}, y[COUNT];
    int status = 0;
    void *p = device_values(CUDA_R_32F, x, COUNT), *q = device_values(CUDA_R_32F, x, COUNT);
    setenv("LENS_CUDA_STREAMS", "strict", 1);
    OK(cudaStreamCreateWithFlags(&compute, cudaStreamNonBlocking));
    OK(cudaStreamCreateWithFlags(&communication, cudaStreamNonBlocking));
    OK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    OK(cudaDeviceSynchronize());
    OK(ncclGetUniqueId(&id));
    OK(ncclCommInitRank(&comm, 1, id, 0));
    OK(cudaMemcpyAsync(p, x, sizeof x, cudaMemcpyHostToDevice, compute));
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        _exit((int)ncclAllReduce(p, q, COUNT, ncclFloat32, ncclSum, comm, communication));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    OK(cudaEventRecord(event, compute));
    OK(cudaStreamWaitEvent(communication, event, 0));
    OK(ncclAllReduce(p, q, COUNT, ncclFloat32, ncclSum, comm, communication));
    OK(cudaMemcpyAsync(y, q, sizeof y, cudaMemcpyDeviceToHost, compute));
    OK(cudaStreamSynchronize(compute));
    for (int i = 0; i < COUNT; i++) assert_true(isnan(y[i]));
    OK(cudaEventRecord(event, communication));
    OK(cudaStreamWaitEvent(compute, event, 0));
    OK(cudaMemcpyAsync(y, q, sizeof y, cudaMemcpyDeviceToHost, compute));
    assert_true(isnan(y[0])); /* not waited for */
    OK(cudaStreamSynchronize(compute));
    assert_memory_equal(x, y, sizeof x);
    unsetenv("LENS_CUDA_STREAMS");
    OK(ncclCommDestroy(comm));
    OK(cudaEventDestroy(event));
    OK(cudaStreamDestroy(compute));
    OK(cudaStreamDestroy(communication));
    OK(cudaFree(p));
    OK(cudaFree(q));
}

/* Whether the child that makes the copy, and waits for it, is ended. */
static bool copy_ends(void *out, const void *in, cudaMemcpyKind kind, cudaStream_t stream) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        if (cudaMemcpyAsync(out, in, 16, kind, stream) != cudaSuccess) _exit(1);
        _exit((int)cudaStreamSynchronize(stream));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status);
}

/* Copies on two streams over the same bytes: each order needs its event, and pinned memory is the host's only after. */
static void strict_copies(void **state) {
    (void)state;
    cudaStream_t compute, copies;
    cudaEvent_t event;
    char *pinned;
    void *p, *q;
    setenv("LENS_CUDA_STREAMS", "strict", 1);
    OK(emulated_malloc(&p, 16));
    OK(emulated_malloc(&q, 16));
    OK(emulated_malloc_host((void **)&pinned, 16));
    OK(cudaStreamCreateWithFlags(&compute, cudaStreamNonBlocking));
    OK(cudaStreamCreateWithFlags(&copies, cudaStreamNonBlocking));
    OK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    memset(pinned, 1, 16);
    OK(cudaMemcpyAsync(p, pinned, 16, cudaMemcpyHostToDevice, copies));
    assert_true(copy_ends(q, p, cudaMemcpyDeviceToDevice, compute)); /* reads what is under way */
    OK(cudaEventRecord(event, copies));
    OK(cudaStreamWaitEvent(compute, event, 0));
    assert_false(copy_ends(q, p, cudaMemcpyDeviceToDevice, compute));
    OK(cudaMemcpyAsync(q, p, 16, cudaMemcpyDeviceToDevice, compute));
    assert_true(copy_ends(p, q, cudaMemcpyDeviceToDevice, copies)); /* writes what is read */
    memset(pinned, 2, 16);                                          /* and so does the host */
    assert_true(copy_ends(q, p, cudaMemcpyDeviceToDevice, compute));
    memset(pinned, 1, 16);
    OK(cudaStreamSynchronize(compute));
    memset(pinned, 2, 16);
    assert_false(copy_ends(p, pinned, cudaMemcpyHostToDevice, copies));
    unsetenv("LENS_CUDA_STREAMS");
    OK(cudaEventDestroy(event));
    OK(cudaStreamDestroy(compute));
    OK(cudaStreamDestroy(copies));
    OK(cudaFreeHost(pinned));
    OK(cudaFree(p));
    OK(cudaFree(q));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products), cmocka_unit_test(products_refused), cmocka_unit_test(attention_refused),
        cmocka_unit_test(one_rank), cmocka_unit_test(strict_streams),   cmocka_unit_test(strict_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
