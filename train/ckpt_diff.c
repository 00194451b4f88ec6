/* lens ckpt diff: two sets of weights, tensor by tensor. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/ckpt.h"
#include "train/ckpt_source.h"

typedef struct {
    double max_abs;
    double relative_l2; /* |a - b| / |b|; of zeros: 0 where both are */
    double cosine;      /* 1 where both are zero */
    bool different;     /* beyond the tolerance, or not a number on one side alone */
} difference_t;

static void compare(difference_t *out, const float *a, const float *b, int64_t n, double tolerance) {
    double aa = 0, bb = 0, ab = 0, dd = 0;
    *out = (difference_t){0};
    for (int64_t i = 0; i < n; i++) {
        if (memcmp(&a[i], &b[i], sizeof a[i]) == 0 && !isfinite(a[i])) continue;
        double x = (double)a[i], y = (double)b[i], d = fabs(x - y);
        if (!(d <= tolerance)) out->different = true;
        if (!(d <= out->max_abs)) out->max_abs = d;
        aa += x * x;
        bb += y * y;
        ab += x * y;
        dd += d * d;
    }
    out->relative_l2 = dd == 0 ? 0 : sqrt(dd / bb);
    out->cosine = aa == 0 && bb == 0 ? 1 : ab / sqrt(aa * bb);
}

static lens_status compare_tensors(difference_t *out, const st_tensor_t *a, const st_tensor_t *b, double tolerance) {
    size_t n = (size_t)(a->n ? a->n : 1);
    float *x = malloc(sizeof *x * n), *y = malloc(sizeof *y * n);
    lens_status st = x && y ? LENS_OK : lens_fail(LENS_MEMORY, "out of memory for tensor %s", a->name);
    if (st == LENS_OK) st = safetensors_read_f32(a, x);
    if (st == LENS_OK) st = safetensors_read_f32(b, y);
    if (st == LENS_OK) compare(out, x, y, a->n, tolerance);
    free(x);
    free(y);
    return st;
}

static bool same_shape(const st_tensor_t *a, const st_tensor_t *b) {
    return a->n_dims == b->n_dims && memcmp(a->shape, b->shape, sizeof *a->shape * (size_t)a->n_dims) == 0;
}

static void say_fact(const char *name, const char *fact, const ckpt_options_t *o) {
    if (!o->json) {
        printf("%s: %s\n", name, fact);
        return;
    }
    json_t *j = json_pack("{s:s, s:s}", "tensor", name, "difference", fact);
    json_dumpf(j, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(j);
}

static void say_difference(const char *name, const difference_t *d, const ckpt_options_t *o) {
    if (!o->json) {
        printf("%s: max abs %.3g, relative L2 %.3g, cosine %.9g\n", name, d->max_abs, d->relative_l2, d->cosine);
        return;
    }
    json_t *j = json_pack("{s:s, s:f, s:f, s:f}", "tensor", name, "max_abs", d->max_abs, "relative_l2", d->relative_l2,
                          "cosine", d->cosine);
    if (j)
        json_dumpf(j, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    else
        printf("{\"tensor\": \"%s\", \"difference\": \"not finite\"}", name);
    putchar('\n');
    json_decref(j);
}

static lens_status diff_part(const safetensors_set_t *a, const safetensors_set_t *b, const ckpt_options_t *o,
                             int64_t *n_different) {
    for (int i = 0; a && i < safetensors_set_n(a); i++) {
        const st_tensor_t *x = safetensors_set_at(a, i), *y = b ? safetensors_set_find(b, x->name) : NULL;
        difference_t d = {.different = true};
        if (!y)
            say_fact(x->name, "in the first alone", o);
        else if (!same_shape(x, y))
            say_fact(x->name, "of two shapes", o);
        else
            LENS_TRY(compare_tensors(&d, x, y, o->tolerance));
        if (y && same_shape(x, y) && d.different) say_difference(x->name, &d, o);
        *n_different += d.different;
    }
    for (int i = 0; b && i < safetensors_set_n(b); i++) {
        const char *name = safetensors_set_at(b, i)->name;
        if (a && safetensors_set_find(a, name)) continue;
        say_fact(name, "in the second alone", o);
        ++*n_different;
    }
    return LENS_OK;
}

lens_status ckpt_diff(const char *a, const char *b, const ckpt_options_t *o, int64_t *n_different) {
    ckpt_source_t x = {0}, y = {0};
    *n_different = 0;
    lens_status st = LENS_OK;
    LENS_GO(ckpt_source_open(&x, a, o->part));
    LENS_GO(ckpt_source_open(&y, b, o->part));
    for (int part = 0; part < PIPELINE_N_PARTS; part++) LENS_GO(diff_part(x.set[part], y.set[part], o, n_different));
    if (*n_different == 0 && !o->json) printf("%d tensors, no difference\n", ckpt_source_n(&x));
done:
    ckpt_source_close(&x);
    ckpt_source_close(&y);
    return st;
}
