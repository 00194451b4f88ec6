/* cuDNN's descriptors: what each is made of, which graphs are attention's, and how a plan runs one. */
#include "tests/cuda_on_host/include/cudnn.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuda_on_host/emulated_sdpa.h"

enum { ATTRIBUTES_MAX = 16, OPERATIONS_MAX = 32, TENSORS_MAX = 64 };

typedef struct {
    int name, type;
    int64_t count;
    void *elements;
} attribute_t;

typedef struct {
    cudnnBackendDescriptorType_t type;
    bool finalized, noted; /* noted: nondeterministic, of configurations and engines */
    int n_attributes;
    attribute_t attributes[ATTRIBUTES_MAX];
} descriptor_t;

struct cudnnContext {
    cudaStream_t stream;
};

static char last_error[256];

static cudnnStatus_t refuse(cudnnStatus_t status, const char *why, int name) {
    snprintf(last_error, sizeof last_error, "emulated cuDNN: %s (attribute or type %d)", why, name);
    return status;
}

size_t cudnnGetVersion(void) {
    return CUDNN_VERSION;
}
const char *cudnnGetErrorString(cudnnStatus_t status) {
    switch (status) {
    case CUDNN_STATUS_SUCCESS:
        return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_NOT_INITIALIZED:
        return "CUDNN_STATUS_NOT_INITIALIZED";
    case CUDNN_STATUS_BAD_PARAM:
        return "CUDNN_STATUS_BAD_PARAM";
    case CUDNN_STATUS_BAD_PARAM_NULL_POINTER:
        return "CUDNN_STATUS_BAD_PARAM_NULL_POINTER";
    case CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER:
        return "CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER";
    case CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED:
        return "CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED";
    case CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES:
        return "CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES";
    case CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN:
        return "CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN";
    case CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT:
        return "CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT";
    case CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH:
        return "CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH";
    case CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE:
        return "CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE";
    case CUDNN_STATUS_NOT_SUPPORTED:
        return "CUDNN_STATUS_NOT_SUPPORTED";
    case CUDNN_STATUS_INTERNAL_ERROR:
        return "CUDNN_STATUS_INTERNAL_ERROR";
    case CUDNN_STATUS_EXECUTION_FAILED:
        return "CUDNN_STATUS_EXECUTION_FAILED";
    }
    return "unknown status";
}
void cudnnGetLastErrorString(char *text, size_t bytes) {
    snprintf(text, bytes, "%s", last_error);
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
    *handle = calloc(1, sizeof **handle);
    return *handle ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_INITIALIZED;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
    free(handle);
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

/* ---- attributes ---- */

typedef struct {
    cudnnBackendDescriptorType_t of;
    int first, last; /* names */
    cudnnBackendAttributeType_t type;
    int64_t count; /* 0: any */
    bool required; /* each of them */
} rule_t;

static const rule_t rules[] = {
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 900, CUDNN_TYPE_INT64, 1, true},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_DATA_TYPE, 901, CUDNN_TYPE_DATA_TYPE, 1, true},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_DIMENSIONS, 903, CUDNN_TYPE_INT64, 4, true},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_UNIQUE_ID, 906, CUDNN_TYPE_INT64, 1, true},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_IS_VIRTUAL, 908, CUDNN_TYPE_BOOLEAN, 1, false},
    {CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_ATTR_POINTWISE_MODE, 0, CUDNN_TYPE_POINTWISE_MODE, 1, true},
    {CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_ATTR_POINTWISE_MATH_PREC, 1, CUDNN_TYPE_DATA_TYPE, 1, true},
    {CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_ATTR_POINTWISE_AXIS, 9, CUDNN_TYPE_INT64, 1, false},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, 750, 751, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, 752, 752, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, false},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, 753, 753, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, 754, 755, CUDNN_TYPE_FLOAT, 1, false},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, 758, 758, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, false},
    {CUDNN_BACKEND_MATMUL_DESCRIPTOR, CUDNN_ATTR_MATMUL_COMP_TYPE, 1500, CUDNN_TYPE_DATA_TYPE, 1, true},
    {CUDNN_BACKEND_MATMUL_DESCRIPTOR, CUDNN_ATTR_MATMUL_PADDING_VALUE, 1503, CUDNN_TYPE_DOUBLE, 1, false},
    {CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, 1520, 1523, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, 1525, 1527, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, false},
    {CUDNN_BACKEND_REDUCTION_DESCRIPTOR, CUDNN_ATTR_REDUCTION_OPERATOR, 1600, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1,
     true},
    {CUDNN_BACKEND_REDUCTION_DESCRIPTOR, CUDNN_ATTR_REDUCTION_COMP_TYPE, 1601, CUDNN_TYPE_DATA_TYPE, 1, true},
    {CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, 1610, 1612, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR, 2200, 2201, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, 800, CUDNN_TYPE_HANDLE, 1, true},
    {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_OPS, 801, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0,
     true},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_MODE, 200, CUDNN_TYPE_HEUR_MODE, 1, true},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, 201, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
     true},
    {CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, CUDNN_ATTR_ENGINECFG_ENGINE, 300, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {CUDNN_BACKEND_ENGINE_DESCRIPTOR, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, 1303, CUDNN_TYPE_NUMERICAL_NOTE, 1, false},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, 400, CUDNN_TYPE_HANDLE, 1, true},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, 401,
     CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, true},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, 1000, CUDNN_TYPE_INT64, 0, true},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, 1001, CUDNN_TYPE_VOID_PTR, 0, true},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, 1003, CUDNN_TYPE_VOID_PTR, 1, true},
};
enum { N_RULES = sizeof rules / sizeof rules[0] };

static size_t element_bytes(cudnnBackendAttributeType_t type) {
    switch (type) {
    case CUDNN_TYPE_BOOLEAN:
        return sizeof(bool);
    case CUDNN_TYPE_DATA_TYPE:
    case CUDNN_TYPE_HEUR_MODE:
    case CUDNN_TYPE_NUMERICAL_NOTE:
    case CUDNN_TYPE_POINTWISE_MODE:
    case CUDNN_TYPE_REDUCTION_OPERATOR_TYPE:
    case CUDNN_TYPE_FLOAT:
        return 4;
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
        return 8;
    }
    return 0;
}

static const attribute_t *find(const descriptor_t *d, int name) {
    for (int i = 0; d && i < d->n_attributes; i++)
        if (d->attributes[i].name == name) return &d->attributes[i];
    return NULL;
}
static descriptor_t *child(const descriptor_t *d, int name) {
    const attribute_t *a = find(d, name);
    return a ? *(descriptor_t *const *)a->elements : NULL;
}
static int64_t integer(const descriptor_t *d, int name) {
    const attribute_t *a = find(d, name);
    return a ? *(const int64_t *)a->elements : 0;
}
static int number(const descriptor_t *d, int name) { /* an enumeration's */
    const attribute_t *a = find(d, name);
    return a ? *(const int *)a->elements : 0;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *out) {
    bool known = false;
    for (int i = 0; i < N_RULES; i++) known = known || rules[i].of == type;
    *out = NULL;
    if (!known) return refuse(CUDNN_STATUS_NOT_SUPPORTED, "no such descriptor", (int)type);
    descriptor_t *d = calloc(1, sizeof *d);
    if (!d) return CUDNN_STATUS_INTERNAL_ERROR;
    d->type = type;
    *out = d;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
    descriptor_t *d = descriptor;
    for (int i = 0; d && i < d->n_attributes; i++) free(d->attributes[i].elements);
    free(d);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count, const void *elements) {
    descriptor_t *d = descriptor;
    const rule_t *rule = NULL;
    for (int i = 0; d && i < N_RULES; i++)
        if (rules[i].of == d->type && (int)name >= rules[i].first && (int)name <= rules[i].last) rule = &rules[i];
    if (!d || !elements || count < 1) return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "nothing to set", (int)name);
    if (!rule) return refuse(CUDNN_STATUS_NOT_SUPPORTED, "no such attribute of this descriptor", (int)name);
    if (rule->type != type) return refuse(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE, "another type", (int)name);
    if (rule->count && rule->count != count) return refuse(CUDNN_STATUS_BAD_PARAM, "another number", (int)name);
    if (d->finalized) return refuse(CUDNN_STATUS_BAD_PARAM, "set after finalize", (int)name);
    attribute_t *a = (attribute_t *)find(d, (int)name);
    if (!a) {
        if (d->n_attributes == ATTRIBUTES_MAX) return CUDNN_STATUS_INTERNAL_ERROR;
        a = &d->attributes[d->n_attributes++];
    }
    size_t bytes = (size_t)count * element_bytes(type);
    free(a->elements);
    *a = (attribute_t){.name = (int)name, .type = (int)type, .count = count, .elements = malloc(bytes)};
    if (!a->elements) return CUDNN_STATUS_INTERNAL_ERROR;
    memcpy(a->elements, elements, bytes);
    return CUDNN_STATUS_SUCCESS;
}

/* ---- operations ---- */

static bool flag(const descriptor_t *d, int name) {
    const attribute_t *a = find(d, name);
    return a && *(const bool *)a->elements;
}

/* What of the tensor descriptor is not where its data is. */
static sdpa_tensor_t tensor_of(const descriptor_t *d) {
    sdpa_tensor_t t = {.uid = integer(d, CUDNN_ATTR_TENSOR_UNIQUE_ID),
                       .alignment = integer(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT),
                       .type = number(d, CUDNN_ATTR_TENSOR_DATA_TYPE),
                       .is_virtual = flag(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL),
                       .by_value = flag(d, CUDNN_ATTR_TENSOR_IS_BY_VALUE)};
    memcpy(t.n, find(d, CUDNN_ATTR_TENSOR_DIMENSIONS)->elements, sizeof t.n);
    memcpy(t.stride, find(d, CUDNN_ATTR_TENSOR_STRIDES)->elements, sizeof t.stride);
    return t;
}

/* The tensors of some operations, by their ids. */
typedef struct {
    sdpa_tensor_t all[TENSORS_MAX];
    const descriptor_t *from[TENSORS_MAX];
    int n;
    bool twice; /* an id of two descriptors */
} tensors_t;

static sdpa_tensor_t *tensor_at(tensors_t *t, const descriptor_t *operation, int name) {
    const descriptor_t *d = child(operation, name);
    if (!d) return NULL;
    for (int i = 0; i < t->n; i++) {
        if (t->from[i] == d) return &t->all[i];
        t->twice = t->twice || t->all[i].uid == integer(d, CUDNN_ATTR_TENSOR_UNIQUE_ID);
    }
    if (t->n == TENSORS_MAX) abort();
    t->from[t->n] = d;
    t->all[t->n] = tensor_of(d);
    return &t->all[t->n++];
}

static sdpa_operation_t pointwise_of(const descriptor_t *d, tensors_t *t) {
    const descriptor_t *how = child(d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    return (sdpa_operation_t){.kind = SDPA_POINTWISE,
                              .mode = number(how, CUDNN_ATTR_POINTWISE_MODE),
                              .compute = number(how, CUDNN_ATTR_POINTWISE_MATH_PREC),
                              .axis = integer(how, CUDNN_ATTR_POINTWISE_AXIS),
                              .in = {tensor_at(t, d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC),
                                     tensor_at(t, d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC),
                                     tensor_at(t, d, CUDNN_ATTR_OPERATION_POINTWISE_TDESC)},
                              .out = tensor_at(t, d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC)};
}

static sdpa_operation_t operation_of(const descriptor_t *d, tensors_t *t) {
    switch ((int)d->type) {
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
        return pointwise_of(d, t);
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
        return (sdpa_operation_t){.kind = SDPA_PRODUCT,
                                  .compute =
                                      number(child(d, CUDNN_ATTR_OPERATION_MATMUL_DESC), CUDNN_ATTR_MATMUL_COMP_TYPE),
                                  .in = {tensor_at(t, d, CUDNN_ATTR_OPERATION_MATMUL_ADESC),
                                         tensor_at(t, d, CUDNN_ATTR_OPERATION_MATMUL_BDESC)},
                                  .out = tensor_at(t, d, CUDNN_ATTR_OPERATION_MATMUL_CDESC),
                                  .lengths = {tensor_at(t, d, CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC),
                                              tensor_at(t, d, CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC),
                                              tensor_at(t, d, CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC)}};
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
        return (sdpa_operation_t){
            .kind = SDPA_REDUCTION,
            .mode = number(child(d, CUDNN_ATTR_OPERATION_REDUCTION_DESC), CUDNN_ATTR_REDUCTION_OPERATOR),
            .compute = number(child(d, CUDNN_ATTR_OPERATION_REDUCTION_DESC), CUDNN_ATTR_REDUCTION_COMP_TYPE),
            .in = {tensor_at(t, d, CUDNN_ATTR_OPERATION_REDUCTION_XDESC)},
            .out = tensor_at(t, d, CUDNN_ATTR_OPERATION_REDUCTION_YDESC)};
    }
    return (sdpa_operation_t){.kind = SDPA_RESHAPE,
                              .in = {tensor_at(t, d, CUDNN_ATTR_OPERATION_RESHAPE_XDESC)},
                              .out = tensor_at(t, d, CUDNN_ATTR_OPERATION_RESHAPE_YDESC)};
}

static bool is_operation(const descriptor_t *d) {
    return d->type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR ||
           d->type == CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR ||
           d->type == CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR ||
           d->type == CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR;
}

/* ---- graphs: a character an operation, in order; what the fused kernels take. ---- */

static char letter(const sdpa_operation_t *o) {
    static const struct {
        int mode;
        char letter;
    } modes[] = {{CUDNN_POINTWISE_MUL, '*'},      {CUDNN_POINTWISE_SUB, '-'},          {CUDNN_POINTWISE_ADD, '+'},
                 {CUDNN_POINTWISE_DIV, '/'},      {CUDNN_POINTWISE_EXP, 'e'},          {CUDNN_POINTWISE_LOG, 'l'},
                 {CUDNN_POINTWISE_CMP_LT, '<'},   {CUDNN_POINTWISE_LOGICAL_AND, '&'},  {CUDNN_POINTWISE_GEN_INDEX, 'i'},
                 {CUDNN_POINTWISE_IDENTITY, '='}, {CUDNN_POINTWISE_BINARY_SELECT, '?'}};
    if (o->kind == SDPA_PRODUCT) return 'P';
    if (o->kind == SDPA_RESHAPE) return 'T';
    if (o->kind == SDPA_REDUCTION) return o->mode == CUDNN_REDUCE_TENSOR_ADD ? 'S' : 'M';
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (modes[i].mode == o->mode) return modes[i].letter;
    return '#';
}

static const char *const patterns[] = {"P*ii<<&?M-eSl+/P",         /* forward */
                                       "*S*P*-ii<<&?eTPP-**TPTP=", /* backward, dq by sums of floats */
                                       "*S*P*-ii<<&?eTPP-**TPTP"}; /* and as a product */

/* What fused kernels need of tensors in memory, by the real library's rules: bf16 with a last stride of 1 on one of the
 * last two dimensions, heads a multiple of 8 up to 128 wide, statistics packed. */
static const char *layout_fault(const sdpa_tensor_t *t) {
    if (t->is_virtual || t->by_value || t->type == CUDNN_DATA_INT32) return NULL;
    int row = t->stride[3] == 1 ? 2 : 3, inner = 5 - row;
    if (t->stride[inner] != 1) return "a tensor's elements are apart";
    if (t->type == CUDNN_DATA_FLOAT && t->n[3] == 1 &&
        (t->stride[1] != t->n[2] || t->stride[0] != t->n[1] * t->n[2] || t->stride[2] != 1))
        return "statistics that are not packed";
    if (t->type == CUDNN_DATA_BFLOAT16 && (t->n[inner] % 8 != 0 || t->n[inner] > 128)) return "a head's width";
    if (t->type == CUDNN_DATA_BFLOAT16 && t->stride[row] % 8 != 0) return "rows that are not aligned";
    return t->type == CUDNN_DATA_FLOAT || t->type == CUDNN_DATA_BFLOAT16 ? NULL : "a type";
}

/* NULL: an engine takes the graph. */
static const char *graph_fault(const descriptor_t *graph) {
    const attribute_t *all = find(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS);
    char seen[OPERATIONS_MAX + 1] = "";
    const char *fault = NULL;
    tensors_t t = {.n = 0};
    bool known = false;
    for (int64_t i = 0; i < all->count; i++) {
        sdpa_operation_t o = operation_of(((descriptor_t *const *)all->elements)[i], &t);
        seen[i] = letter(&o);
    }
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) known = known || !strcmp(seen, patterns[i]);
    for (int i = 0; i < t.n && !fault; i++) fault = layout_fault(&t.all[i]);
    return known ? fault : "the operations are not attention's";
}

/* ---- finalize ---- */

static cudnnStatus_t check_tensor(const descriptor_t *d) {
    sdpa_tensor_t t = tensor_of(d);
    for (int i = 0; i < 4; i++)
        if (t.n[i] < 1 || t.stride[i] < 1)
            return refuse(CUDNN_STATUS_BAD_PARAM, "a dimension or stride below 1", CUDNN_ATTR_TENSOR_DIMENSIONS);
    if (t.is_virtual && t.by_value)
        return refuse(CUDNN_STATUS_BAD_PARAM, "virtual and by value", CUDNN_ATTR_TENSOR_IS_VIRTUAL);
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_operation(const descriptor_t *d) {
    tensors_t t = {.n = 0};
    sdpa_operation_t o = operation_of(d, &t);
    const char *fault = sdpa_fault(&o);
    return fault ? refuse(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, fault, (int)d->type) : CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_graph(const descriptor_t *d) {
    const attribute_t *all = find(d, CUDNN_ATTR_OPERATIONGRAPH_OPS);
    tensors_t t = {.n = 0};
    if (all->count > OPERATIONS_MAX) return refuse(CUDNN_STATUS_NOT_SUPPORTED, "too many operations", (int)all->count);
    for (int64_t i = 0; i < all->count; i++) {
        if (!is_operation(((descriptor_t *const *)all->elements)[i]))
            return refuse(CUDNN_STATUS_BAD_PARAM, "no operation", (int)i);
        (void)operation_of(((descriptor_t *const *)all->elements)[i], &t);
    }
    return t.twice ? refuse(CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES, "an id of two tensors", 0)
                   : CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_heuristic(const descriptor_t *d) {
    const char *error = getenv("LENS_CUDNN_ERROR"),
               *fault = error && !strcmp(error, "plan") ? "LENS_CUDNN_ERROR asks for none"
                                                        : graph_fault(child(d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH));
    return fault ? refuse(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, fault, 0) : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
    descriptor_t *d = descriptor;
    for (int i = 0; i < N_RULES; i++)
        for (int name = rules[i].first; rules[i].of == d->type && name <= rules[i].last; name++)
            if (rules[i].required && !find(d, name)) return refuse(CUDNN_STATUS_BAD_PARAM, "not set", name);
    for (int i = 0; i < d->n_attributes; i++) {
        const attribute_t *a = &d->attributes[i];
        for (int64_t j = 0; a->type == CUDNN_TYPE_BACKEND_DESCRIPTOR && j < a->count; j++)
            if (!((descriptor_t **)a->elements)[j] || !((descriptor_t **)a->elements)[j]->finalized)
                return refuse(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "not finalized", a->name);
    }
    cudnnStatus_t st = CUDNN_STATUS_SUCCESS;
    if (d->type == CUDNN_BACKEND_TENSOR_DESCRIPTOR) st = check_tensor(d);
    if (is_operation(d)) st = check_operation(d);
    if (d->type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) st = check_graph(d);
    if (d->type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR) st = check_heuristic(d);
    d->finalized = st == CUDNN_STATUS_SUCCESS;
    return st;
}

/* ---- what can be asked for: configurations of a heuristic, an engine's notes, the size of a plan ---- */

/* Two, each of the graph itself in place of an engine. The first is noted as nondeterministic. */
static cudnnStatus_t give_configurations(const descriptor_t *heuristic, int64_t wanted, int64_t *count,
                                         void *elements) {
    descriptor_t *graph = child(heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    *count = 2;
    for (int64_t i = 0; i < wanted && i < 2; i++) {
        descriptor_t *config = ((descriptor_t **)elements)[i];
        if (!config || config->type != CUDNN_BACKEND_ENGINECFG_DESCRIPTOR || config->n_attributes)
            return refuse(CUDNN_STATUS_BAD_PARAM, "results are written to empty configurations",
                          CUDNN_ATTR_ENGINEHEUR_RESULTS);
        cudnnStatus_t st =
            cudnnBackendSetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph);
        if (st != CUDNN_STATUS_SUCCESS) return st;
        config->finalized = true;
        config->noted = i == 0;
    }
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t give_engine(const descriptor_t *config, int64_t *count, void *elements) {
    descriptor_t *engine = *(descriptor_t **)elements;
    if (!engine || engine->type != CUDNN_BACKEND_ENGINE_DESCRIPTOR)
        return refuse(CUDNN_STATUS_BAD_PARAM, "an engine is written to one", CUDNN_ATTR_ENGINECFG_ENGINE);
    engine->noted = config->noted;
    engine->finalized = true;
    *count = 1;
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t give_notes(const descriptor_t *engine, int64_t wanted, int64_t *count, void *elements) {
    const cudnnBackendNumericalNote_t notes[] = {CUDNN_NUMERICAL_NOTE_TENSOR_CORE,
                                                 CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC};
    *count = engine->noted ? 2 : 1;
    memcpy(elements, notes, sizeof notes[0] * (size_t)(*count < wanted ? *count : wanted));
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t wanted, int64_t *count,
                                       void *elements) {
    descriptor_t *d = descriptor;
    int64_t n = 0;
    if (!count) count = &n;
    if (!d || !d->finalized) return refuse(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "not finalized", (int)name);
    if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS && type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
        return give_configurations(d, wanted, count, elements);
    if (name == CUDNN_ATTR_ENGINECFG_ENGINE && type == CUDNN_TYPE_BACKEND_DESCRIPTOR && wanted == 1)
        return give_engine(d, count, elements);
    if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE && type == CUDNN_TYPE_NUMERICAL_NOTE)
        return give_notes(d, wanted, count, elements);
    if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE && type == CUDNN_TYPE_INT64 && wanted >= 1) {
        *count = 1;
        *(int64_t *)elements = 1024; /* asked for, so that whoever forgets it is found */
        return CUDNN_STATUS_SUCCESS;
    }
    return refuse(CUDNN_STATUS_NOT_SUPPORTED, "no such attribute to get", (int)name);
}

/* ---- execute ---- */

/* Every tensor in memory has its pointer, and every pointer its tensor. */
static cudnnStatus_t bind(tensors_t *t, const descriptor_t *pack) {
    const attribute_t *uids = find(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS),
                      *data = find(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    int64_t n_bound = 0;
    for (int i = 0; i < t->n; i++) {
        sdpa_tensor_t *tensor = &t->all[i];
        for (int64_t j = 0; !tensor->is_virtual && j < uids->count; j++)
            if (((const int64_t *)uids->elements)[j] == tensor->uid) tensor->data = ((void *const *)data->elements)[j];
        if (tensor->is_virtual) continue;
        if (!tensor->data)
            return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "a tensor without data", (int)tensor->uid);
        if (!tensor->by_value && (uintptr_t)tensor->data % (size_t)tensor->alignment != 0)
            return refuse(CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER, "a crooked address", (int)tensor->uid);
        n_bound++;
    }
    return n_bound == uids->count ? CUDNN_STATUS_SUCCESS
                                  : refuse(CUDNN_STATUS_BAD_PARAM, "pointers of no tensor", (int)uids->count);
}

static cudnnStatus_t run_graph(const descriptor_t *graph, const descriptor_t *pack) {
    const attribute_t *all = find(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS);
    sdpa_operation_t operations[OPERATIONS_MAX];
    tensors_t t = {.n = 0};
    for (int64_t i = 0; i < all->count; i++)
        operations[i] = operation_of(((descriptor_t *const *)all->elements)[i], &t);
    cudnnStatus_t st = bind(&t, pack);
    for (int64_t i = 0; i < all->count && st == CUDNN_STATUS_SUCCESS; i++)
        if (!sdpa_run(&operations[i])) st = refuse(CUDNN_STATUS_EXECUTION_FAILED, "an operand is missing", (int)i);
    for (int i = 0; i < t.n; i++) free(t.all[i].x);
    return st;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack) {
    const descriptor_t *p = plan, *v = pack;
    if (!handle || !p || !v || !p->finalized || !v->finalized)
        return refuse(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "not finalized", 0);
    if (find(v, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS)->count != find(v, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS)->count)
        return refuse(CUDNN_STATUS_BAD_PARAM, "as many pointers as names", CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    if (!*(void **)find(v, CUDNN_ATTR_VARIANT_PACK_WORKSPACE)->elements)
        return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "no workspace", CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
    const descriptor_t *config = child(p, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    if (config->noted) return refuse(CUDNN_STATUS_EXECUTION_FAILED, "the engine that nobody should have chosen", 0);
    emulated_stream_work(handle->stream);
    emulated_memory_open();
    cudnnStatus_t st = run_graph(child(config, CUDNN_ATTR_ENGINECFG_ENGINE), v);
    emulated_memory_close();
    return st;
}
