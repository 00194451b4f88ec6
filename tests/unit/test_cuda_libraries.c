/* The emulated device's libraries: products with their epilogues, attention, collectives of one rank. */
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

/* ---- cuDNN ---- */

enum { B = 2, H = 3, S = 6, WIDTH = 8, N_DESCRIPTORS = 32 };

typedef struct {
    cudnnHandle_t handle;
    cudnnBackendDescriptor_t all[N_DESCRIPTORS];
    int n;
    int64_t uids[16];
    void *data[16];
    int n_tensors;
} graph_t;

static cudnnBackendDescriptor_t make(graph_t *g, cudnnBackendDescriptorType_t type) {
    cudnnBackendDescriptor_t d;
    OK(cudnnBackendCreateDescriptor(type, &d));
    assert_true(g->n < N_DESCRIPTORS);
    return g->all[g->n++] = d;
}
static void set(cudnnBackendDescriptor_t d, int name, cudnnBackendAttributeType_t type, int64_t n, const void *x) {
    OK(cudnnBackendSetAttribute(d, (cudnnBackendAttributeName_t)name, type, n, x));
}
static void set_child(cudnnBackendDescriptor_t d, int name, cudnnBackendDescriptor_t child) {
    set(d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &child);
}

/* A tensor of the operation. data: on the device. */
static void add_tensor(graph_t *g, cudnnBackendDescriptor_t op, int name, void *data, cudnnDataType_t type,
                       const int64_t dims[4], const int64_t strides[4]) {
    cudnnBackendDescriptor_t t = make(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    int64_t uid = 100 + name, alignment = 4;
    set(t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
    set(t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
    set(t, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
    set(t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    OK(cudnnBackendFinalize(t));
    set_child(op, name, t);
    g->uids[g->n_tensors] = uid;
    g->data[g->n_tensors++] = data;
}

static void run_graph(graph_t *g, cudnnBackendDescriptor_t op) {
    cudnnBackendDescriptor_t graph = make(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR),
                             heuristic = make(g, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR),
                             config = make(g, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR),
                             plan = make(g, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR),
                             pack = make(g, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    int64_t count, workspace_bytes;
    void *workspace;
    OK(cudnnBackendFinalize(op));
    set(graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &g->handle);
    set_child(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, op);
    OK(cudnnBackendFinalize(graph));
    set(heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    set_child(heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    OK(cudnnBackendFinalize(heuristic));
    OK(cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
                                &config));
    set(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &g->handle);
    set_child(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
    OK(cudnnBackendFinalize(plan));
    OK(cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count,
                                &workspace_bytes));
    OK(emulated_malloc(&workspace, (size_t)workspace_bytes));
    set(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, g->n_tensors, g->uids);
    set(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, g->n_tensors, g->data);
    set(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    OK(cudnnBackendFinalize(pack));
    OK(cudnnBackendExecute(g->handle, plan, pack));
    OK(cudaFree(workspace));
}

static void free_graph(graph_t *g) {
    for (int i = 0; i < g->n; i++) OK(cudnnBackendDestroyDescriptor(g->all[i]));
    OK(cudnnDestroy(g->handle));
}

static const int64_t dims[4] = {B, H, S, WIDTH}, heads[4] = {H * S * WIDTH, S *WIDTH, WIDTH, 1},
                     tokens[4] = {S * H * WIDTH, WIDTH, H *WIDTH, 1}, stats_dims[4] = {B, H, S, 1},
                     stats_strides[4] = {H * S, S, 1, 1}, one_dims[4] = {1, 1, 1, 1}, one_strides[4] = {1, 1, 1, 1},
                     length_dims[4] = {B, 1, 1, 1};
enum { ALL = B * H * S * WIDTH };

typedef struct {
    float q[ALL], k[ALL], v[ALL], dout[ALL];
    float o[ALL], stats[B * H * S], dq[ALL], dk[ALL], dv[ALL];
    int32_t n_queries[B], n_keys[B];
} attention_t;

/* All tensors in device memory: o and its gradient token by token, the others head by head. */
static void device_attention(attention_t *a, void *p[12], bool backward) {
    graph_t g = {0};
    OK(cudnnCreate(&g.handle));
    cudnnBackendDescriptor_t op =
        make(&g, backward ? CUDNN_BACKEND_OPERATION_SDPA_BWD_DESCRIPTOR : CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR);
    int first = backward ? 2851 : 2800;
    for (int i = 0; i < 3; i++) add_tensor(&g, op, first + i, p[i], CUDNN_DATA_BFLOAT16, dims, heads);
    add_tensor(&g, op, first + 3, p[3], CUDNN_DATA_BFLOAT16, dims, tokens);
    add_tensor(&g, op, first + 4, p[4], CUDNN_DATA_FLOAT, stats_dims, stats_strides);
    add_tensor(&g, op, first + 5, p[5], CUDNN_DATA_FLOAT, one_dims, one_strides);
    add_tensor(&g, op, backward ? 2857 : 2809, p[6], CUDNN_DATA_INT32, length_dims, one_strides);
    add_tensor(&g, op, backward ? 2858 : 2810, p[7], CUDNN_DATA_INT32, length_dims, one_strides);
    if (backward) {
        for (int i = 0; i < 3; i++) add_tensor(&g, op, 2859 + i, p[8 + i], CUDNN_DATA_BFLOAT16, dims, heads);
        add_tensor(&g, op, CUDNN_ATTR_OPERATION_SDPA_BWD_DODDESC, p[11], CUDNN_DATA_BFLOAT16, dims, tokens);
    }
    run_graph(&g, op);
    free_graph(&g);
    host_values(a->o, p[3], CUDA_R_16BF, ALL);
    host_values(a->stats, p[4], CUDA_R_32F, B * H * S);
    host_values(a->dq, p[8], CUDA_R_16BF, ALL);
    host_values(a->dk, p[9], CUDA_R_16BF, ALL);
    host_values(a->dv, p[10], CUDA_R_16BF, ALL);
}

static void near_all(const float *got, const float *want, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(got[i] - want[i]) <= 0.02f * (1 + fabsf(want[i]))))
            fail_msg("[%lld]: expected %g, got %g", (long long)i, (double)want[i], (double)got[i]);
}

/* Against the CPU's rows, which take the same layout where all tokens are the image's. */
static void attention(void **state) {
    (void)state;
    static attention_t a, want;
    rng_t rng = rng_stream(8, 0, 0, RNG_TEST);
    float scale = (float)(1 / sqrt((double)WIDTH)),
          *values[12] = {a.q, a.k, a.v, a.o, a.stats, NULL, NULL, NULL, a.dq, a.dk, a.dv, a.dout};
    const int32_t n_queries[B] = {S, S}, n_keys[B] = {S, 4};
    void *p[12];
    kernels_t *cpu;
    for (int i = 0; i < 12; i++) {
        int64_t n = i == 4 ? B * H * S : ALL;
        if (!values[i]) continue;
        fill(values[i], n, &rng);
        p[i] = device_values(i == 4 ? CUDA_R_32F : CUDA_R_16BF, values[i], n);
    }
    p[5] = device_values(CUDA_R_32F, &scale, 1);
    for (int i = 6; i < 8; i++) {
        OK(emulated_malloc(&p[i], sizeof n_keys));
        OK(cudaMemcpy(p[i], i == 6 ? n_queries : n_keys, sizeof n_keys, cudaMemcpyHostToDevice));
    }
    attention_t before = a;
    device_attention(&a, p, false);
    assert_int_equal(kernels_cpu_new(&cpu, 1, 1), LENS_OK);
    attention_shape_t shape = {B, H, S, 0, WIDTH, S, n_keys};
    cpu->attention_fwd(cpu, want.o, NULL, want.stats, a.q, a.k, a.v, &shape);
    near_all(a.o, want.o, ALL);
    near_all(a.stats, want.stats, B * H * S);
    device_attention(&a, p, true);
    cpu->attention_bwd(cpu, want.dq, want.dk, want.dv, a.dout, NULL, want.o, NULL, want.stats, a.q, a.k, a.v, &shape);
    near_all(a.dq, want.dq, ALL);
    for (int i = 0; i < ALL; i++)
        if (i / (H * S * WIDTH) == 1 && i / WIDTH % S >= 4) { /* keys past the length: left alone */
            assert_true(want.dk[i] == 0 && a.dk[i] == before.dk[i] && a.dv[i] == before.dv[i]);
            a.dk[i] = a.dv[i] = 0;
        }
    near_all(a.dk, want.dk, ALL);
    near_all(a.dv, want.dv, ALL);
    kernels_free(cpu);
    for (int i = 0; i < 12; i++) OK(cudaFree(p[i]));
}

static void attention_refused(void **state) {
    (void)state;
    graph_t g = {0};
    int64_t one = 1, wide[4] = {B, H, S, WIDTH + 1};
    OK(cudnnCreate(&g.handle));
    cudnnBackendDescriptor_t op = make(&g, CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR), t = NULL;
    assert_int_equal(cudnnBackendFinalize(op), CUDNN_STATUS_BAD_PARAM); /* nothing set */
    assert_int_equal(cudnnBackendSetAttribute(op, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &one),
                     CUDNN_STATUS_NOT_SUPPORTED);
    assert_int_equal(cudnnBackendSetAttribute(op, CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, CUDNN_TYPE_INT64, 1, &one),
                     CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE);
    for (int i = 0; i < 4; i++) add_tensor(&g, op, 2800 + i, NULL, CUDNN_DATA_BFLOAT16, i == 1 ? wide : dims, heads);
    add_tensor(&g, op, 2805, NULL, CUDNN_DATA_FLOAT, one_dims, one_strides);
    assert_int_equal(cudnnBackendFinalize(op), CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH);
    t = make(&g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    set_child(op, 2801, t);
    assert_int_equal(cudnnBackendFinalize(op), CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED);
    free_graph(&g);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products),          cmocka_unit_test(products_refused), cmocka_unit_test(attention),
        cmocka_unit_test(attention_refused), cmocka_unit_test(one_rank),         cmocka_unit_test(strict_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
