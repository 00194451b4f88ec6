#include "kernels/cuda/cuda_sdpa_plan.cuh"

#include <stdio.h>
#include <string.h>

typedef cudnnBackendDescriptor_t descriptor_t;

enum { OPERATIONS_MAX = 24, CONFIGS_MAX = 16 };

lens_status sdpa_failed(cudnnStatus_t status, const char *what) {
    char why[256] = "";
    if (status == CUDNN_STATUS_SUCCESS) return LENS_OK;
    cudnnGetLastErrorString(why, sizeof why);
    for (char *c = why; *c; c++)
        if (*c == '\n') *c = ' ';
    return lens_fail(LENS_CUDA, "cuDNN, %s: %s%s%s", what, cudnnGetErrorString(status), why[0] ? ": " : "", why);
}

/* ---- descriptors: the first error stays, and all that follows does nothing ---- */

typedef struct {
    sdpa_plan_t *plan;
    sdpa_key_t key;
    cudnnHandle_t handle;
    descriptor_t properties;
    lens_status st;
    descriptor_t operations[OPERATIONS_MAX];
    int n_operations;
    int64_t next_uid; /* of tensors that are never in memory */
} graph_t;

static void note(graph_t *g, cudnnStatus_t status, const char *what) {
    if (g->st == LENS_OK) g->st = sdpa_failed(status, what);
}

static descriptor_t make(graph_t *g, cudnnBackendDescriptorType_t type) {
    descriptor_t d = NULL;
    if (g->st != LENS_OK) return NULL;
    LENS_ASSERT(g->plan->n < SDPA_DESCRIPTORS_MAX, "%d of %d", g->plan->n, (int)SDPA_DESCRIPTORS_MAX);
    note(g, cudnnBackendCreateDescriptor(type, &d), "a descriptor");
    if (d) g->plan->all[g->plan->n++] = d;
    return d;
}

static void set(graph_t *g, descriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                int64_t n, const void *elements) {
    if (g->st == LENS_OK) note(g, cudnnBackendSetAttribute(d, name, type, n, elements), "an attribute");
}

static void set_child(graph_t *g, descriptor_t d, cudnnBackendAttributeName_t name, descriptor_t child) {
    set(g, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &child);
}

static void finalize(graph_t *g, descriptor_t d, const char *what) {
    if (g->st == LENS_OK) note(g, cudnnBackendFinalize(d), what);
}

/* ---- tensors ---- */

typedef struct {
    int64_t n[4], stride[4];
} extent_t;

/* [B, H, rows, columns], of which a sample has `rows_kept` rows in memory. */
static extent_t heads(const sdpa_key_t *k, int64_t rows, int64_t rows_kept, int64_t columns) {
    int64_t head = rows_kept * columns;
    return {{k->B, k->H, rows, columns}, {k->H * head, head, columns, 1}};
}
/* [B, H, M, K] of memory [B, M, H, K]. */
static extent_t tokens(const sdpa_key_t *k) {
    return {{k->B, k->H, k->M, k->K}, {k->M * k->H * k->K, k->K, k->H * k->K, 1}};
}
static extent_t transposed(extent_t e) {
    return {{e.n[0], e.n[1], e.n[3], e.n[2]}, {e.stride[0], e.stride[1], e.stride[3], e.stride[2]}};
}
static const extent_t ONE = {{1, 1, 1, 1}, {1, 1, 1, 1}};

static descriptor_t new_tensor(graph_t *g, int64_t uid, cudnnDataType_t type, const extent_t *e, bool is_virtual,
                               bool by_value) {
    descriptor_t d = make(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    int64_t alignment = type == CUDNN_DATA_INT32 ? 4 : SDPA_ALIGNMENT;
    set(g, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(g, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, e->n);
    set(g, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, e->stride);
    set(g, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
    set(g, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    if (is_virtual) set(g, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    if (by_value) set(g, d, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &by_value);
    finalize(g, d, "a tensor");
    return d;
}

/* In memory. */
static descriptor_t tensor(graph_t *g, int64_t uid, cudnnDataType_t type, extent_t e) {
    return new_tensor(g, uid, type, &e, false, false);
}
/* A float of the host's, read when the plan runs. */
static descriptor_t value(graph_t *g, int64_t uid) {
    return new_tensor(g, uid, CUDNN_DATA_FLOAT, &ONE, false, true);
}
/* Between operations only. */
static descriptor_t between(graph_t *g, cudnnDataType_t type, extent_t e) {
    return new_tensor(g, g->next_uid++, type, &e, true, false);
}

/* ---- operations: each is appended to the graph ---- */

static void append(graph_t *g, descriptor_t operation, const char *what) {
    finalize(g, operation, what);
    LENS_ASSERT(g->n_operations < OPERATIONS_MAX, "%d of %d", g->n_operations, (int)OPERATIONS_MAX);
    g->operations[g->n_operations++] = operation;
}

/* c = a b; M, N, K: how much of each dimension a sample has, NULL: all. */
static void product(graph_t *g, descriptor_t a, descriptor_t b, descriptor_t c, descriptor_t M, descriptor_t N,
                    descriptor_t K) {
    descriptor_t how = make(g, CUDNN_BACKEND_MATMUL_DESCRIPTOR), d = make(g, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    double padding = 0;
    set(g, how, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    set(g, how, CUDNN_ATTR_MATMUL_PADDING_VALUE, CUDNN_TYPE_DOUBLE, 1, &padding);
    finalize(g, how, "a kind of product");
    set_child(g, d, CUDNN_ATTR_OPERATION_MATMUL_ADESC, a);
    set_child(g, d, CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
    set_child(g, d, CUDNN_ATTR_OPERATION_MATMUL_CDESC, c);
    set_child(g, d, CUDNN_ATTR_OPERATION_MATMUL_DESC, how);
    if (M) set_child(g, d, CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC, M);
    if (N) set_child(g, d, CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC, N);
    if (K) set_child(g, d, CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC, K);
    append(g, d, "a product");
}

/* y = mode(x, b, t); b and t NULL: the mode has fewer operands. axis: of indices. */
static void pointwise(graph_t *g, cudnnPointwiseMode_t mode, cudnnDataType_t compute, descriptor_t y, descriptor_t x,
                      descriptor_t b, descriptor_t t, int64_t axis) {
    descriptor_t how = make(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR),
                 d = make(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    float one = 1;
    set(g, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set(g, how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    if (mode == CUDNN_POINTWISE_GEN_INDEX) set(g, how, CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, 1, &axis);
    finalize(g, how, "a kind of pointwise operation");
    set_child(g, d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
    set_child(g, d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (b) set_child(g, d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    if (t) set_child(g, d, CUDNN_ATTR_OPERATION_POINTWISE_TDESC, t);
    set_child(g, d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    set(g, d, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, CUDNN_TYPE_FLOAT, 1, &one);
    set(g, d, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2, CUDNN_TYPE_FLOAT, 1, &one);
    append(g, d, "a pointwise operation");
}

/* The result, a float of extent e between operations. */
static descriptor_t unary(graph_t *g, cudnnPointwiseMode_t mode, extent_t e, descriptor_t x) {
    descriptor_t y = between(g, CUDNN_DATA_FLOAT, e);
    pointwise(g, mode, CUDNN_DATA_FLOAT, y, x, NULL, NULL, 0);
    return y;
}
static descriptor_t binary(graph_t *g, cudnnPointwiseMode_t mode, extent_t e, descriptor_t x, descriptor_t b) {
    descriptor_t y = between(g, CUDNN_DATA_FLOAT, e);
    pointwise(g, mode, CUDNN_DATA_FLOAT, y, x, b, NULL, 0);
    return y;
}

/* Over the last dimension. */
static descriptor_t reduced(graph_t *g, cudnnReduceTensorOp_t operation, extent_t e, descriptor_t x) {
    descriptor_t how = make(g, CUDNN_BACKEND_REDUCTION_DESCRIPTOR),
                 d = make(g, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR), y = between(g, CUDNN_DATA_FLOAT, e);
    cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    set(g, how, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    set(g, how, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &operation);
    finalize(g, how, "a kind of reduction");
    set_child(g, d, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
    set_child(g, d, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
    set_child(g, d, CUDNN_ATTR_OPERATION_REDUCTION_DESC, how);
    append(g, d, "a reduction");
    return y;
}

/* The transposed x, of extent e, as bf16: what a product takes. */
static descriptor_t reshaped(graph_t *g, extent_t e, descriptor_t x) {
    descriptor_t d = make(g, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR), y = between(g, CUDNN_DATA_BFLOAT16, e);
    set_child(g, d, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x);
    set_child(g, d, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y);
    append(g, d, "a transposition");
    return y;
}

/* ---- attention ---- */

/* What both passes begin with. */
typedef struct {
    extent_t scores, row; /* [B, H, M, S]; a number of each row of it */
    descriptor_t q, kt, stats, n_queries, n_keys, scale, lowest;
} inputs_t;

static inputs_t new_inputs(graph_t *g) {
    const sdpa_key_t *k = &g->key;
    extent_t lengths = {{k->B, 1, 1, 1}, {1, 1, 1, 1}};
    inputs_t in = {};
    in.scores = heads(k, k->M, k->M, k->S);
    in.row = heads(k, k->M, k->M, 1);
    in.q = tensor(g, SDPA_Q, CUDNN_DATA_BFLOAT16, heads(k, k->M, k->S, k->K));
    in.kt = tensor(g, SDPA_K, CUDNN_DATA_BFLOAT16, transposed(heads(k, k->S, k->S, k->K)));
    in.stats = tensor(g, SDPA_STATS, CUDNN_DATA_FLOAT, in.row);
    in.n_queries = tensor(g, SDPA_N_QUERIES, CUDNN_DATA_INT32, lengths);
    in.n_keys = tensor(g, SDPA_N_KEYS, CUDNN_DATA_INT32, lengths);
    in.scale = value(g, SDPA_SCALE);
    in.lowest = value(g, SDPA_LOWEST);
    return in;
}

/* q k^T scale */
static descriptor_t scaled_scores(graph_t *g, const inputs_t *in) {
    descriptor_t p = between(g, CUDNN_DATA_FLOAT, in->scores);
    product(g, in->q, in->kt, p, in->n_queries, in->n_keys, NULL);
    return binary(g, CUDNN_POINTWISE_MUL, in->scores, p, in->scale);
}

/* x where a sample has both the row and the column, else the lowest float. */
static descriptor_t masked(graph_t *g, const inputs_t *in, descriptor_t x) {
    descriptor_t row = between(g, CUDNN_DATA_INT32, in->scores), column = between(g, CUDNN_DATA_INT32, in->scores),
                 has_row = between(g, CUDNN_DATA_BOOLEAN, in->scores),
                 has_column = between(g, CUDNN_DATA_BOOLEAN, in->scores),
                 has_both = between(g, CUDNN_DATA_BOOLEAN, in->scores), y = between(g, CUDNN_DATA_FLOAT, in->scores);
    pointwise(g, CUDNN_POINTWISE_GEN_INDEX, CUDNN_DATA_INT32, row, x, NULL, NULL, 2);
    pointwise(g, CUDNN_POINTWISE_GEN_INDEX, CUDNN_DATA_INT32, column, x, NULL, NULL, 3);
    pointwise(g, CUDNN_POINTWISE_CMP_LT, CUDNN_DATA_BOOLEAN, has_row, row, in->n_queries, NULL, 0);
    pointwise(g, CUDNN_POINTWISE_CMP_LT, CUDNN_DATA_BOOLEAN, has_column, column, in->n_keys, NULL, 0);
    pointwise(g, CUDNN_POINTWISE_LOGICAL_AND, CUDNN_DATA_BOOLEAN, has_both, has_row, has_column, NULL, 0);
    pointwise(g, CUDNN_POINTWISE_BINARY_SELECT, CUDNN_DATA_FLOAT, y, x, in->lowest, has_both, 0);
    return y;
}

/* o = softmax(s) v, stats = max(s) + log(sum(exp(s - max(s)))) */
static void build_fwd(graph_t *g) {
    const sdpa_key_t *k = &g->key;
    inputs_t in = new_inputs(g);
    descriptor_t v = tensor(g, SDPA_V, CUDNN_DATA_BFLOAT16, heads(k, k->S, k->S, k->K)),
                 o = tensor(g, SDPA_O, CUDNN_DATA_BFLOAT16, tokens(k)), s = masked(g, &in, scaled_scores(g, &in));
    descriptor_t top = reduced(g, CUDNN_REDUCE_TENSOR_MAX, in.row, s);
    descriptor_t e = unary(g, CUDNN_POINTWISE_EXP, in.scores, binary(g, CUDNN_POINTWISE_SUB, in.scores, s, top));
    descriptor_t sum = reduced(g, CUDNN_REDUCE_TENSOR_ADD, in.row, e), p = between(g, CUDNN_DATA_BFLOAT16, in.scores);
    descriptor_t log = unary(g, CUDNN_POINTWISE_LOG, in.row, sum);
    pointwise(g, CUDNN_POINTWISE_ADD, CUDNN_DATA_FLOAT, in.stats, top, log, NULL, 0);
    pointwise(g, CUDNN_POINTWISE_DIV, CUDNN_DATA_FLOAT, p, e, sum, NULL, 0);
    product(g, p, v, o, in.n_queries, NULL, in.n_keys);
}

/* p = exp(s - stats) and dv = p^T do; delta = sum of do o over a row; ds = p (do v^T - delta) scale; dk = ds^T q, and
 * dq = ds k. */
static void build_bwd(graph_t *g) {
    const sdpa_key_t *k = &g->key;
    inputs_t in = new_inputs(g);
    extent_t across = transposed(in.scores), keys = heads(k, k->S, k->S, k->K), queries = heads(k, k->M, k->M, k->K);
    descriptor_t vt = tensor(g, SDPA_V, CUDNN_DATA_BFLOAT16, transposed(keys)),
                 o = tensor(g, SDPA_O, CUDNN_DATA_BFLOAT16, tokens(k)),
                 d_o = tensor(g, SDPA_DO, CUDNN_DATA_BFLOAT16, tokens(k)),
                 dq = tensor(g, SDPA_DQ, CUDNN_DATA_BFLOAT16, heads(k, k->M, k->S, k->K)),
                 dk = tensor(g, SDPA_DK, CUDNN_DATA_BFLOAT16, keys), dv = tensor(g, SDPA_DV, CUDNN_DATA_BFLOAT16, keys),
                 one = value(g, SDPA_ONE), delta = tensor(g, SDPA_DELTA, CUDNN_DATA_FLOAT, in.row);
    descriptor_t sum = reduced(g, CUDNN_REDUCE_TENSOR_ADD, in.row, binary(g, CUDNN_POINTWISE_MUL, queries, d_o, o));
    pointwise(g, CUDNN_POINTWISE_MUL, CUDNN_DATA_FLOAT, delta, sum, one, NULL, 0);

    descriptor_t s = binary(g, CUDNN_POINTWISE_SUB, in.scores, scaled_scores(g, &in), in.stats);
    descriptor_t p = unary(g, CUDNN_POINTWISE_EXP, in.scores, masked(g, &in, s));
    product(g, reshaped(g, across, p), d_o, dv, in.n_keys, NULL, in.n_queries);

    descriptor_t dp = between(g, CUDNN_DATA_FLOAT, in.scores);
    product(g, d_o, vt, dp, in.n_queries, in.n_keys, NULL);
    descriptor_t flow = binary(g, CUDNN_POINTWISE_SUB, in.scores, dp, delta);
    descriptor_t ds =
        binary(g, CUDNN_POINTWISE_MUL, in.scores, binary(g, CUDNN_POINTWISE_MUL, in.scores, flow, p), in.scale);
    product(g, reshaped(g, across, ds), in.q, dk, in.n_keys, NULL, in.n_queries);

    descriptor_t rows = reshaped(g, keys, in.kt),
                 dq_sum = k->deterministic ? dq : tensor(g, SDPA_DQ_SUM, CUDNN_DATA_FLOAT, queries);
    product(g, ds, rows, dq_sum, in.n_queries, NULL, in.n_keys);
    if (!k->deterministic) pointwise(g, CUDNN_POINTWISE_IDENTITY, CUDNN_DATA_FLOAT, dq, dq_sum, NULL, NULL, 0);
}

/* ---- the choice of an engine ---- */

static descriptor_t new_graph(graph_t *g) {
    descriptor_t d = make(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    if (g->handle) set(g, d, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &g->handle);
    set(g, d, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g->n_operations, g->operations);
    finalize(g, d, "the graph of attention");
    return d;
}

/* Up to CONFIGS_MAX configurations, the best first; returns how many. */
static int propose(graph_t *g, descriptor_t graph, cudnnBackendHeurMode_t mode, descriptor_t configs[CONFIGS_MAX]) {
    descriptor_t d = make(g, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    int64_t n = 0;
    set_child(g, d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    set(g, d, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (!g->handle) set_child(g, d, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, g->properties);
    finalize(g, d, "proposals for attention");
    for (int i = 0; i < CONFIGS_MAX; i++) configs[i] = make(g, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (g->st != LENS_OK) return 0;
    note(g,
         cudnnBackendGetAttribute(d, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, CONFIGS_MAX, &n,
                                  configs),
         "proposals for attention");
    if (g->st != LENS_OK) return 0;
    return n < CONFIGS_MAX ? (int)n : CONFIGS_MAX;
}

/* The configuration's engine has the numerical note NONDETERMINISTIC. */
static bool is_noted(graph_t *g, descriptor_t config) {
    descriptor_t engine = make(g, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int64_t n = 0;
    if (g->st != LENS_OK) return false;
    note(g,
         cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, &engine),
         "an engine");
    if (g->st != LENS_OK) return false;
    note(g,
         cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                  CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &n, notes),
         "an engine's notes");
    for (int64_t i = 0; g->st == LENS_OK && i < n && i < CUDNN_NUMERICAL_NOTE_TYPE_COUNT; i++)
        if (notes[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) return true;
    return false;
}

/* false, with the error in *g: the engine cannot do it after all. */
static bool finish_plan(graph_t *g, descriptor_t config) {
    descriptor_t d = make(g, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    int64_t n = 0, bytes = 0;
    if (g->handle) set(g, d, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &g->handle);
    if (!g->handle) set_child(g, d, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, g->properties);
    set_child(g, d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
    finalize(g, d, "a plan of attention");
    if (g->st == LENS_OK)
        note(g, cudnnBackendGetAttribute(d, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &n, &bytes),
             "a plan's workspace");
    g->plan->plan = d;
    g->plan->workspace_bytes = bytes;
    return g->st == LENS_OK;
}

/* The first configuration that becomes a plan, of those whose engine is `noted` so or not. */
static bool choose_of(graph_t *g, const descriptor_t *configs, int n, bool noted) {
    for (int i = 0; i < n; i++) {
        g->st = LENS_OK;
        if (is_noted(g, configs[i]) != noted || g->st != LENS_OK) continue;
        g->plan->noted = noted;
        if (finish_plan(g, configs[i])) return true;
    }
    return false;
}

/* In cuDNN's order, but engines that are said to be nondeterministic last. What went wrong first is the error. */
static void choose(graph_t *g, descriptor_t graph) {
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    char why[256] = "";
    for (int mode = 0; mode < 2; mode++) {
        descriptor_t configs[CONFIGS_MAX];
        g->st = LENS_OK;
        int n = propose(g, graph, modes[mode], configs);
        if (choose_of(g, configs, n, false) || choose_of(g, configs, n, true)) return;
        if (g->st != LENS_OK && !why[0]) snprintf(why, sizeof why, "%s", lens_error());
    }
    g->st = lens_fail(LENS_CUDA, "%s", why[0] ? why : "cuDNN proposes no engine for attention");
}

lens_status sdpa_plan_new(sdpa_plan_t *out, cudnnHandle_t handle, cudnnBackendDescriptor_t properties,
                          const sdpa_key_t *key) {
    graph_t g = {};
    *out = {};
    g.plan = out;
    g.key = *key;
    g.handle = handle;
    g.properties = properties;
    g.next_uid = SDPA_END;
    if (key->backward)
        build_bwd(&g);
    else
        build_fwd(&g);
    descriptor_t graph = new_graph(&g);
    if (g.st == LENS_OK) choose(&g, graph);
    if (g.st != LENS_OK) sdpa_plan_free(out);
    return g.st;
}

void sdpa_plan_free(sdpa_plan_t *p) {
    for (int i = p->n - 1; i >= 0; i--) (void)cudnnBackendDestroyDescriptor(p->all[i]);
    *p = {};
}

lens_status sdpa_plan_run(const sdpa_plan_t *p, cudnnHandle_t handle, void *const data[SDPA_END], void *workspace) {
    descriptor_t pack = NULL;
    int64_t uids[SDPA_END], n = 0;
    void *pointers[SDPA_END];
    for (int uid = 1; uid < SDPA_END; uid++) {
        if (!data[uid]) continue;
        uids[n] = uid;
        pointers[n++] = data[uid];
    }
    LENS_TRY(sdpa_failed(cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack), "pointers"));
    cudnnStatus_t status =
        cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, uids);
    if (status == CUDNN_STATUS_SUCCESS)
        status =
            cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, pointers);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    if (status == CUDNN_STATUS_SUCCESS) status = cudnnBackendFinalize(pack);
    if (status == CUDNN_STATUS_SUCCESS) status = cudnnBackendExecute(handle, p->plan, pack);
    lens_status st = sdpa_failed(status, "attention");
    (void)cudnnBackendDestroyDescriptor(pack);
    return st;
}
