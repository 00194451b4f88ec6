/* lens ckpt convert, average and merge-lora: weights made out of weights. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/adapter.h"
#include "train/ckpt.h"
#include "train/ckpt_write.h"

st_dtype ckpt_dtype(const ckpt_options_t *o) {
    if (strcmp(o->dtype, "f32") == 0) return ST_F32;
    if (strcmp(o->dtype, "bf16") == 0) return ST_BF16;
    return strcmp(o->dtype, "f16") == 0 ? ST_F16 : ST_N_DTYPES;
}

static lens_status write_like(const ckpt_source_t *like, const ckpt_options_t *o, ckpt_values_fn values,
                              void *context) {
    return ckpt_write(o->out, like, ckpt_dtype(o), (uint64_t)o->max_file_mb * 1000 * 1000, values, context);
}

/* ---- convert ---- */

static lens_status own_values(void *context, pipeline_part part, const st_tensor_t *t, float *out) {
    (void)context;
    (void)part;
    return safetensors_read_f32(t, out);
}

lens_status ckpt_convert(const char *path, const ckpt_options_t *o) {
    ckpt_source_t s;
    LENS_TRY(ckpt_source_open(&s, path, o->part));
    lens_status st = write_like(&s, o, own_values, NULL);
    ckpt_source_close(&s);
    return st;
}

/* ---- average ---- */

typedef struct {
    int n;
    ckpt_source_t *source;
    double *weight; /* sum 1 */
    float *value;   /* of the largest tensor */
    double *sum;
} average_t;

static lens_status same_tensors(const ckpt_source_t *a, const ckpt_source_t *b) {
    if (ckpt_source_n(a) != ckpt_source_n(b))
        return lens_fail(LENS_FORMAT, "%s: %d tensors, %s has %d", b->path.s, ckpt_source_n(b), a->path.s,
                         ckpt_source_n(a));
    for (int part = 0; part < PIPELINE_N_PARTS; part++)
        for (int i = 0; a->set[part] && i < safetensors_set_n(a->set[part]); i++) {
            const st_tensor_t *x = safetensors_set_at(a->set[part], i);
            const st_tensor_t *y = b->set[part] ? safetensors_set_find(b->set[part], x->name) : NULL;
            if (!y || y->n_dims != x->n_dims || memcmp(y->shape, x->shape, sizeof *x->shape * (size_t)x->n_dims) != 0)
                return lens_fail(LENS_FORMAT, "%s: tensor %s is missing, or has another shape than in %s", b->path.s,
                                 x->name, a->path.s);
        }
    return LENS_OK;
}

/* "0.5,0.25,0.25", of any positive sum; NULL: all the same. */
static lens_status parse_weights(average_t *a, const char *text) {
    double sum = 0;
    for (int i = 0; i < a->n; i++) {
        char *end = NULL;
        a->weight[i] = text ? strtod(text, &end) : 1;
        bool ends = !text || *end == (i + 1 < a->n ? ',' : '\0');
        if (!isfinite(a->weight[i]) || (text && end == text) || !ends)
            return lens_fail(LENS_ARGUMENT, "--weights: expected %d numbers with commas between", a->n);
        if (text) text = end + 1;
        sum += a->weight[i];
    }
    if (!(sum > 0)) return lens_fail(LENS_ARGUMENT, "--weights: expected a positive sum, got %g", sum);
    for (int i = 0; i < a->n; i++) a->weight[i] /= sum;
    return LENS_OK;
}

static lens_status mean_values(void *context, pipeline_part part, const st_tensor_t *t, float *out) {
    average_t *a = context;
    memset(a->sum, 0, sizeof *a->sum * (size_t)t->n);
    for (int i = 0; i < a->n; i++) {
        LENS_TRY(safetensors_read_f32(safetensors_set_find(a->source[i].set[part], t->name), a->value));
        for (int64_t j = 0; j < t->n; j++) a->sum[j] += a->weight[i] * (double)a->value[j];
    }
    for (int64_t j = 0; j < t->n; j++) out[j] = (float)a->sum[j];
    return LENS_OK;
}

static lens_status run_average(average_t *a, char **paths, const ckpt_options_t *o) {
    int64_t largest = 1;
    LENS_TRY(parse_weights(a, o->weights));
    for (int i = 0; i < a->n; i++) {
        LENS_TRY(ckpt_source_open(&a->source[i], paths[i], o->part));
        LENS_TRY(same_tensors(&a->source[0], &a->source[i]));
    }
    for (int part = 0; part < PIPELINE_N_PARTS; part++)
        for (int i = 0; a->source[0].set[part] && i < safetensors_set_n(a->source[0].set[part]); i++) {
            int64_t n = safetensors_set_at(a->source[0].set[part], i)->n;
            if (n > largest) largest = n;
        }
    a->value = malloc(sizeof *a->value * (size_t)largest);
    a->sum = malloc(sizeof *a->sum * (size_t)largest);
    if (!a->value || !a->sum) return lens_fail(LENS_MEMORY, "out of memory for %lld values", (long long)largest);
    return write_like(&a->source[0], o, mean_values, a);
}

lens_status ckpt_average(int n, char **paths, const ckpt_options_t *o) {
    average_t a = {
        .n = n, .source = calloc((size_t)n, sizeof *a.source), .weight = calloc((size_t)n, sizeof *a.weight)};
    lens_status st = a.source && a.weight ? run_average(&a, paths, o)
                                          : lens_fail(LENS_MEMORY, "out of memory for %d checkpoints", n);
    for (int i = 0; a.source && i < n; i++) ckpt_source_close(&a.source[i]);
    free(a.source);
    free(a.weight);
    free(a.value);
    free(a.sum);
    return st;
}

/* ---- merge-lora ---- */

/* Whether the pair is of this weight: MODULE.weight. */
static bool is_weight_of(const st_tensor_t *t, const adapter_pair_t *p) {
    return strncmp(t->name, p->module, p->module_len) == 0 && strcmp(t->name + p->module_len, ".weight") == 0;
}

static lens_status merged_values(void *context, pipeline_part part, const st_tensor_t *t, float *out) {
    const adapter_t *a = context;
    LENS_TRY(safetensors_read_f32(t, out));
    for (int i = 0; part == PIPELINE_TRANSFORMER && i < a->n; i++)
        if (is_weight_of(t, &a->pair[i])) LENS_TRY(adapter_merge(&a->pair[i], out));
    return LENS_OK;
}

/* Every pair has its weight, and the shapes fit. */
static lens_status check_pairs(const ckpt_source_t *base, const adapter_t *a) {
    for (int i = 0; i < a->n; i++) {
        const adapter_pair_t *p = &a->pair[i];
        str_t name = {0};
        str_add_n(&name, p->module, p->module_len);
        str_add(&name, ".weight");
        lens_status st = str_status(&name);
        const st_tensor_t *t = st == LENS_OK ? safetensors_set_find(base->set[PIPELINE_TRANSFORMER], name.s) : NULL;
        if (st == LENS_OK && !t)
            st = lens_fail(LENS_FORMAT, "%s: has no tensor %s, which the adapter is for", base->path.s, name.s);
        else if (t && (t->n_dims != 2 || t->shape[0] != p->b->shape[0] || t->shape[1] != p->a->shape[1]))
            st = lens_fail(LENS_FORMAT, "%s: tensor %s: the adapter is for a matrix [%lld, %lld]", base->path.s, name.s,
                           (long long)p->b->shape[0], (long long)p->a->shape[1]);
        str_free(&name);
        LENS_TRY(st);
    }
    return LENS_OK;
}

lens_status ckpt_merge_lora(const char *base, const char *adapter, const ckpt_options_t *o) {
    ckpt_source_t s;
    adapter_t a;
    LENS_TRY(adapter_open(&a, adapter));
    lens_status st = ckpt_source_open(&s, base, o->part);
    if (st == LENS_OK) {
        st = check_pairs(&s, &a);
        if (st == LENS_OK) st = write_like(&s, o, merged_values, &a);
        ckpt_source_close(&s);
    }
    adapter_close(&a);
    return st;
}
