/* cuDNN's descriptors: what each is made of, and how a finalized plan finds the tensors of its one operation. */
#include "tests/cuda_on_host/include/cudnn.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuda_on_host/emulated_sdpa.h"

enum { ATTRIBUTES_MAX = 16 };

typedef struct {
    int name, type;
    int64_t count;
    void *elements;
} attribute_t;

typedef struct {
    cudnnBackendDescriptorType_t type;
    bool finalized;
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
    case CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED:
        return "CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED";
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
    bool required; /* each of them */
} rule_t;

static const rule_t rules[] = {
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 900, CUDNN_TYPE_INT64, true},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_DATA_TYPE, 901, CUDNN_TYPE_DATA_TYPE, true},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_DIMENSIONS, 903, CUDNN_TYPE_INT64, true},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_UNIQUE_ID, 906, CUDNN_TYPE_INT64, true},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_IS_VIRTUAL, 908, CUDNN_TYPE_BOOLEAN, false},
    {CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR, 2800, 2803, CUDNN_TYPE_BACKEND_DESCRIPTOR, true},
    {CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR, 2804, 2804, CUDNN_TYPE_BACKEND_DESCRIPTOR, false},
    {CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR, 2805, 2805, CUDNN_TYPE_BACKEND_DESCRIPTOR, true},
    {CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR, 2809, 2810, CUDNN_TYPE_BACKEND_DESCRIPTOR, false},
    {CUDNN_BACKEND_OPERATION_SDPA_BWD_DESCRIPTOR, 2851, 2856, CUDNN_TYPE_BACKEND_DESCRIPTOR, true},
    {CUDNN_BACKEND_OPERATION_SDPA_BWD_DESCRIPTOR, 2857, 2858, CUDNN_TYPE_BACKEND_DESCRIPTOR, false},
    {CUDNN_BACKEND_OPERATION_SDPA_BWD_DESCRIPTOR, 2859, 2862, CUDNN_TYPE_BACKEND_DESCRIPTOR, true},
    {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, 800, CUDNN_TYPE_HANDLE, true},
    {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_OPS, 801, CUDNN_TYPE_BACKEND_DESCRIPTOR, true},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_MODE, 200, CUDNN_TYPE_HEUR_MODE, true},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, 201, CUDNN_TYPE_BACKEND_DESCRIPTOR,
     true},
    {CUDNN_BACKEND_ENGINE_DESCRIPTOR, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, 1300, CUDNN_TYPE_BACKEND_DESCRIPTOR, true},
    {CUDNN_BACKEND_ENGINE_DESCRIPTOR, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 1301, CUDNN_TYPE_INT64, true},
    {CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, CUDNN_ATTR_ENGINECFG_ENGINE, 300, CUDNN_TYPE_BACKEND_DESCRIPTOR, true},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, 400, CUDNN_TYPE_HANDLE, false},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, 401,
     CUDNN_TYPE_BACKEND_DESCRIPTOR, true},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, 1000, CUDNN_TYPE_INT64, true},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, 1001, CUDNN_TYPE_VOID_PTR, true},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, 1003, CUDNN_TYPE_VOID_PTR, true},
};
enum { N_RULES = sizeof rules / sizeof rules[0] };

static size_t element_bytes(cudnnBackendAttributeType_t type) {
    switch (type) {
    case CUDNN_TYPE_BOOLEAN:
        return sizeof(bool);
    case CUDNN_TYPE_DATA_TYPE:
    case CUDNN_TYPE_HEUR_MODE:
    case CUDNN_TYPE_NUMERICAL_NOTE:
    case CUDNN_TYPE_BEHAVIOR_NOTE:
    case CUDNN_TYPE_FLOAT:
    case CUDNN_TYPE_INT32:
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

/* ---- finalize ---- */

static cudnnStatus_t check_tensor(const descriptor_t *d) {
    const attribute_t *dims = find(d, CUDNN_ATTR_TENSOR_DIMENSIONS), *strides = find(d, CUDNN_ATTR_TENSOR_STRIDES);
    if (dims->count != 4 || strides->count != 4)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED, "tensors have four dimensions here", CUDNN_ATTR_TENSOR_DIMENSIONS);
    for (int i = 0; i < 4; i++)
        if (((const int64_t *)dims->elements)[i] < 1 || ((const int64_t *)strides->elements)[i] < 1)
            return refuse(CUDNN_STATUS_BAD_PARAM, "a dimension or stride below 1", CUDNN_ATTR_TENSOR_DIMENSIONS);
    return CUDNN_STATUS_SUCCESS;
}

/* Tensor `name` has these dimensions and this type; -1: any type of q's. */
static bool fits(const descriptor_t *op, int name, int type, int64_t B, int64_t H, int64_t S, int64_t K) {
    const descriptor_t *t = child(op, name);
    if (!t) return true;
    const int64_t *d = find(t, CUDNN_ATTR_TENSOR_DIMENSIONS)->elements;
    int own = *(const int *)find(t, CUDNN_ATTR_TENSOR_DATA_TYPE)->elements;
    return d[0] == B && d[1] == H && d[2] == S && d[3] == K && own == type;
}

static cudnnStatus_t check_sdpa(const descriptor_t *d) {
    bool bwd = d->type == CUDNN_BACKEND_OPERATION_SDPA_BWD_DESCRIPTOR;
    int first = bwd ? CUDNN_ATTR_OPERATION_SDPA_BWD_QDESC : CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC,
        length = bwd ? CUDNN_ATTR_OPERATION_SDPA_BWD_SEQ_LEN_QDESC : CUDNN_ATTR_OPERATION_SDPA_FWD_SEQ_LEN_QDESC;
    const descriptor_t *q_tensor = child(d, first);
    const int64_t *q = find(q_tensor, CUDNN_ATTR_TENSOR_DIMENSIONS)->elements,
                  *k = find(child(d, first + 1), CUDNN_ATTR_TENSOR_DIMENSIONS)->elements;
    int type = *(const int *)find(q_tensor, CUDNN_ATTR_TENSOR_DATA_TYPE)->elements;
    int64_t B = q[0], H = q[1], S = q[2], K = q[3], n_keys = k[2];
    bool ok = fits(d, first + 1, type, B, H, n_keys, K) && fits(d, first + 2, type, B, H, n_keys, K) &&
              fits(d, first + 3, type, B, H, S, K) && fits(d, first + 4, CUDNN_DATA_FLOAT, B, H, S, 1) &&
              fits(d, first + 5, CUDNN_DATA_FLOAT, 1, 1, 1, 1) && fits(d, length, CUDNN_DATA_INT32, B, 1, 1, 1) &&
              fits(d, length + 1, CUDNN_DATA_INT32, B, 1, 1, 1);
    if (bwd)
        ok = ok && fits(d, CUDNN_ATTR_OPERATION_SDPA_BWD_DQDESC, type, B, H, S, K) &&
             fits(d, CUDNN_ATTR_OPERATION_SDPA_BWD_DKDESC, type, B, H, n_keys, K) &&
             fits(d, CUDNN_ATTR_OPERATION_SDPA_BWD_DVDESC, type, B, H, n_keys, K) &&
             fits(d, CUDNN_ATTR_OPERATION_SDPA_BWD_DODDESC, type, B, H, S, K);
    if (!ok) return refuse(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "shapes or types do not fit", (int)d->type);
    if (type != CUDNN_DATA_BFLOAT16) return refuse(CUDNN_STATUS_NOT_SUPPORTED, "only bf16", (int)d->type);
    if (K % 8 != 0 || K > 128) return refuse(CUDNN_STATUS_NOT_SUPPORTED, "head width: a multiple of 8, to 128", (int)K);
    if (!child(d, length) != !child(d, length + 1))
        return refuse(CUDNN_STATUS_BAD_PARAM, "lengths of queries and keys go together", length);
    return CUDNN_STATUS_SUCCESS;
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
    if (d->type == CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR ||
        d->type == CUDNN_BACKEND_OPERATION_SDPA_BWD_DESCRIPTOR)
        st = check_sdpa(d);
    if (d->type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR && find(d, CUDNN_ATTR_OPERATIONGRAPH_OPS)->count != 1)
        st = refuse(CUDNN_STATUS_NOT_SUPPORTED, "graphs have one operation here", CUDNN_ATTR_OPERATIONGRAPH_OPS);
    d->finalized = st == CUDNN_STATUS_SUCCESS;
    return st;
}

/* ---- what can be asked for: configurations of a heuristic, its engine, the sizes of a plan ---- */

/* The caller's descriptor becomes a finalized configuration, of an engine without an index. */
static cudnnStatus_t give_configuration(descriptor_t *heuristic, int64_t wanted, int64_t *count, void *elements) {
    *count = 1;
    if (wanted < 1) return CUDNN_STATUS_SUCCESS;
    descriptor_t *config = ((descriptor_t **)elements)[0],
                 *graph = child(heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    if (!config || config->type != CUDNN_BACKEND_ENGINECFG_DESCRIPTOR || config->n_attributes)
        return refuse(CUDNN_STATUS_BAD_PARAM, "results are written to empty configurations",
                      CUDNN_ATTR_ENGINEHEUR_RESULTS);
    cudnnStatus_t st =
        cudnnBackendSetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph);
    config->finalized = st == CUDNN_STATUS_SUCCESS;
    return st;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t wanted, int64_t *count,
                                       void *elements) {
    descriptor_t *d = descriptor;
    int64_t n = 0;
    if (!count) count = &n;
    if (!d || !d->finalized) return refuse(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "not finalized", (int)name);
    if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS && type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
        return give_configuration(d, wanted, count, elements);
    if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE && type == CUDNN_TYPE_INT64 && wanted >= 1) {
        *count = 1;
        *(int64_t *)elements = 1024; /* asked for, so that whoever forgets it is found */
        return CUDNN_STATUS_SUCCESS;
    }
    return refuse(CUDNN_STATUS_NOT_SUPPORTED, "no such attribute to get", (int)name);
}

/* ---- execute ---- */

static sdpa_tensor_t bind(const descriptor_t *op, int name, const descriptor_t *pack, bool *ok) {
    const descriptor_t *t = child(op, name);
    const attribute_t *uids = find(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS),
                      *data = find(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    sdpa_tensor_t out = {0};
    if (!t) return out;
    memcpy(out.dims, find(t, CUDNN_ATTR_TENSOR_DIMENSIONS)->elements, sizeof out.dims);
    memcpy(out.strides, find(t, CUDNN_ATTR_TENSOR_STRIDES)->elements, sizeof out.strides);
    memcpy(&out.type, find(t, CUDNN_ATTR_TENSOR_DATA_TYPE)->elements, sizeof out.type);
    for (int64_t i = 0; i < uids->count; i++)
        if (((const int64_t *)uids->elements)[i] == integer(t, CUDNN_ATTR_TENSOR_UNIQUE_ID))
            out.data = ((void *const *)data->elements)[i];
    if (!out.data || (uintptr_t)out.data % (size_t)integer(t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT)) {
        *ok = false;
        (void)refuse(CUDNN_STATUS_BAD_PARAM, "a tensor without data, or with a crooked address", name);
    }
    return out;
}

static sdpa_t bind_all(const descriptor_t *op, const descriptor_t *pack, bool *ok) {
    bool bwd = op->type == CUDNN_BACKEND_OPERATION_SDPA_BWD_DESCRIPTOR;
    int first = bwd ? CUDNN_ATTR_OPERATION_SDPA_BWD_QDESC : CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC,
        length = bwd ? CUDNN_ATTR_OPERATION_SDPA_BWD_SEQ_LEN_QDESC : CUDNN_ATTR_OPERATION_SDPA_FWD_SEQ_LEN_QDESC;
    sdpa_tensor_t scale = bind(op, first + 5, pack, ok);
    sdpa_t o = {.backward = bwd,
                .q = bind(op, first, pack, ok),
                .k = bind(op, first + 1, pack, ok),
                .v = bind(op, first + 2, pack, ok),
                .o = bind(op, first + 3, pack, ok),
                .stats = bind(op, first + 4, pack, ok),
                .length_q = bind(op, length, pack, ok),
                .length_kv = bind(op, length + 1, pack, ok)};
    if (scale.data) memcpy(&o.scale, scale.data, sizeof o.scale);
    if (!bwd) return o;
    o.dq = bind(op, CUDNN_ATTR_OPERATION_SDPA_BWD_DQDESC, pack, ok);
    o.dk = bind(op, CUDNN_ATTR_OPERATION_SDPA_BWD_DKDESC, pack, ok);
    o.dv = bind(op, CUDNN_ATTR_OPERATION_SDPA_BWD_DVDESC, pack, ok);
    o.dout = bind(op, CUDNN_ATTR_OPERATION_SDPA_BWD_DODDESC, pack, ok);
    return o;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack) {
    const descriptor_t *p = plan, *v = pack;
    if (!handle || !p || !v || !p->finalized || !v->finalized)
        return refuse(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "not finalized", 0);
    if (find(v, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS)->count != find(v, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS)->count)
        return refuse(CUDNN_STATUS_BAD_PARAM, "as many pointers as names", CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    if (!*(void **)find(v, CUDNN_ATTR_VARIANT_PACK_WORKSPACE)->elements)
        return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "no workspace", CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
    const descriptor_t *graph = child(child(p, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG), CUDNN_ATTR_ENGINECFG_ENGINE);
    if (graph->type == CUDNN_BACKEND_ENGINE_DESCRIPTOR) graph = child(graph, CUDNN_ATTR_ENGINE_OPERATION_GRAPH);
    bool ok = true;
    emulated_stream_work(handle->stream);
    emulated_memory_open();
    sdpa_t o = bind_all(child(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS), v, &ok);
    ok = ok && sdpa_run(&o);
    emulated_memory_close();
    return ok ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_EXECUTION_FAILED;
}
