#include "model/adapter.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define A_SUFFIX ".lora_A.weight"
#define B_SUFFIX ".lora_B.weight"
#define ALPHA_SUFFIX ".alpha"
#define META_ALPHA "transformer.lora_alpha"

lens_status adapter_meta(str_t *out, int64_t r, double alpha) {
    json_t *j = json_pack("{s:I, s:f}", "transformer.r", (json_int_t)r, META_ALPHA, alpha);
    char *text = j ? json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(j);
    if (!text) return lens_fail(LENS_MEMORY, "out of memory for an adapter's metadata");
    str_add(out, text);
    free(text);
    return str_status(out);
}

/* ---- alpha ---- */

/* Number of a text, NAN where it is none. */
static double number_of(const char *text) {
    char *end = NULL;
    double x = text ? strtod(text, &end) : NAN;
    return text && *text && *end == '\0' ? x : NAN;
}

/* alpha of the whole file, NAN where it names none. */
static lens_status file_alpha(double *out, const safetensors_set_t *file) {
    const char *json = safetensors_set_meta(file, ADAPTER_META_KEY), *plain = safetensors_set_meta(file, "lora_alpha");
    if (!plain) plain = safetensors_set_meta(file, "alpha");
    *out = NAN;
    if (json) {
        json_t *j = json_loads(json, 0, NULL);
        const json_t *value = json_object_get(j, META_ALPHA);
        if (!value) value = json_object_get(j, "lora_alpha");
        if (json_is_number(value)) *out = json_number_value(value);
        bool bad = !j || (value && !isfinite(*out));
        json_decref(j);
        if (bad)
            return lens_fail(LENS_FORMAT, "%s: " ADAPTER_META_KEY ": expected a JSON object with a number for alpha",
                             safetensors_set_path(file));
    } else if (plain) {
        *out = number_of(plain);
        if (!isfinite(*out))
            return lens_fail(LENS_FORMAT, "%s: alpha: expected a number, got '%s'", safetensors_set_path(file), plain);
    }
    return LENS_OK;
}

/* A module's own, of the tensor beside its matrices. */
static lens_status module_alpha(double *out, const safetensors_set_t *file, const char *module, size_t length) {
    str_t name = {0};
    float value;
    str_add_n(&name, module, length);
    str_add(&name, ALPHA_SUFFIX);
    lens_status st = str_status(&name);
    const st_tensor_t *t = st == LENS_OK ? safetensors_set_find(file, name.s) : NULL;
    if (t && t->n != 1)
        st = lens_fail(LENS_FORMAT, "%s: tensor '%s': expected one number", safetensors_set_path(file), name.s);
    if (t && st == LENS_OK) st = safetensors_read_f32(t, &value);
    if (t && st == LENS_OK) *out = (double)value;
    str_free(&name);
    return st;
}

/* ---- pairs ---- */

static const char *without_prefix(const char *name) {
    static const char *const prefixes[] = {"base_model.model.", ADAPTER_PREFIX};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (str_starts_with(name, prefixes[i])) name += strlen(prefixes[i]);
    return name;
}

static const st_tensor_t *partner_of(const safetensors_set_t *file, const st_tensor_t *a) {
    str_t name = {0};
    str_add_n(&name, a->name, strlen(a->name) - strlen(A_SUFFIX));
    str_add(&name, B_SUFFIX);
    const st_tensor_t *b = name.failed ? NULL : safetensors_set_find(file, name.s);
    str_free(&name);
    return b;
}

static lens_status add_pair(adapter_t *out, const st_tensor_t *a, double alpha) {
    const char *path = safetensors_set_path(out->file);
    size_t full = strlen(a->name) - strlen(A_SUFFIX);
    const st_tensor_t *b = partner_of(out->file, a);
    if (!b) return lens_fail(LENS_FORMAT, "%s: tensor '%s' has no lora_B beside it", path, a->name);
    if (a->n_dims != 2 || b->n_dims != 2 || a->shape[0] != b->shape[1] || a->shape[0] < 1)
        return lens_fail(LENS_FORMAT, "%s: tensor '%s': expected [r, in], and [out, r] of its lora_B", path, a->name);
    LENS_TRY(module_alpha(&alpha, out->file, a->name, full));
    const char *module = without_prefix(a->name);
    out->pair[out->n++] = (adapter_pair_t){.module = module,
                                           .module_len = full - (size_t)(module - a->name),
                                           .a = a,
                                           .b = b,
                                           .scale = isnan(alpha) ? 1 : alpha / (double)a->shape[0]};
    return LENS_OK;
}

static lens_status find_pairs(adapter_t *out) {
    int n = safetensors_set_n(out->file), n_b = 0;
    double alpha;
    LENS_TRY(file_alpha(&alpha, out->file));
    out->pair = calloc((size_t)n + 1, sizeof *out->pair);
    if (!out->pair) return lens_fail(LENS_MEMORY, "%s: out of memory", safetensors_set_path(out->file));
    for (int i = 0; i < n; i++) {
        const st_tensor_t *t = safetensors_set_at(out->file, i);
        n_b += str_ends_with(t->name, B_SUFFIX);
        if (str_ends_with(t->name, A_SUFFIX))
            LENS_TRY(add_pair(out, t, alpha));
        else if (!str_ends_with(t->name, B_SUFFIX) && !str_ends_with(t->name, ALPHA_SUFFIX))
            return lens_fail(LENS_FORMAT, "%s: tensor '%s' is no part of an adapter", safetensors_set_path(out->file),
                             t->name);
    }
    if (out->n == 0 || n_b != out->n)
        return lens_fail(LENS_FORMAT, "%s: %d tensors lora_A, %d lora_B: expected as many, and one at least",
                         safetensors_set_path(out->file), out->n, n_b);
    return LENS_OK;
}

lens_status adapter_open(adapter_t *out, const char *path) {
    *out = (adapter_t){0};
    LENS_TRY(safetensors_set_open(&out->file, path));
    lens_status st = find_pairs(out);
    if (st != LENS_OK) adapter_close(out);
    return st;
}

void adapter_close(adapter_t *a) {
    safetensors_set_close(a->file);
    free(a->pair);
    *a = (adapter_t){0};
}

/* ---- merging ---- */

/* In double: it is done once, and exact to the rounding of the result. */
static void add_product(float *w, const float *a, const float *b, int64_t n_out, int64_t r, int64_t n_in, double scale,
                        double *row) {
    for (int64_t o = 0; o < n_out; o++) {
        memset(row, 0, sizeof *row * (size_t)n_in);
        for (int64_t j = 0; j < r; j++)
            for (int64_t i = 0; i < n_in; i++) row[i] += (double)b[o * r + j] * (double)a[j * n_in + i];
        for (int64_t i = 0; i < n_in; i++) w[o * n_in + i] = (float)((double)w[o * n_in + i] + scale * row[i]);
    }
}

lens_status adapter_merge(const adapter_pair_t *p, float *w) {
    float *a = malloc(sizeof *a * (size_t)p->a->n), *b = malloc(sizeof *b * (size_t)(p->b->n + 1));
    double *row = malloc(sizeof *row * (size_t)(p->a->shape[1] + 1));
    lens_status st = a && b && row ? LENS_OK : lens_fail(LENS_MEMORY, "out of memory for '%s'", p->a->name);
    if (st == LENS_OK) st = safetensors_read_f32(p->a, a);
    if (st == LENS_OK) st = safetensors_read_f32(p->b, b);
    if (st == LENS_OK) add_product(w, a, b, p->b->shape[0], p->a->shape[0], p->a->shape[1], p->scale, row);
    free(a);
    free(b);
    free(row);
    return st;
}
