#include "model/weights.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/safetensors_set.h"

enum { NAMED = 4 }; /* of each kind of fault */

struct weights {
    const plan_t *plan;
    safetensors_set_t *set[PIPELINE_N_PARTS]; /* NULL: not there */
    const st_tensor_t **tensor;               /* [plan->n]; NULL: not there */
};

/* ---- names and shapes ---- */

typedef struct {
    int n;
    str_t names; /* of the first */
} fault_t;

static void add_shape(str_t *out, int n_dims, const int64_t *shape) {
    str_add_char(out, '[');
    for (int i = 0; i < n_dims; i++) str_addf(out, "%s%lld", i ? ", " : "", (long long)shape[i]);
    str_add_char(out, ']');
}

static bool name_fault(fault_t *f, const char *name) {
    bool named = ++f->n <= NAMED;
    if (named) str_addf(&f->names, "%s%s", f->n > 1 ? ", " : "", name);
    return named;
}

static bool same_shape(const plan_row_t *row, const st_tensor_t *t) {
    return t->n_dims == row->n_dims && memcmp(t->shape, row->shape, sizeof *t->shape * (size_t)t->n_dims) == 0;
}

static void find_row(weights_t *w, int i, fault_t *missing, fault_t *misshapen) {
    const plan_row_t *row = &w->plan->rows[i];
    pipeline_part part = pipeline_part_of(row->name);
    const char *name = pipeline_name_in_file(row->name);
    if (!w->set[part]) return;
    w->tensor[i] = safetensors_set_find(w->set[part], name);
    if (!w->tensor[i]) {
        name_fault(missing, name);
    } else if (!same_shape(row, w->tensor[i]) && name_fault(misshapen, name)) {
        str_add(&misshapen->names, ": expected ");
        add_shape(&misshapen->names, row->n_dims, row->shape);
        str_add(&misshapen->names, ", found ");
        add_shape(&misshapen->names, w->tensor[i]->n_dims, w->tensor[i]->shape);
    }
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Tensors of the files that no row asks for. */
static lens_status find_extra(const weights_t *w, pipeline_part part, fault_t *extra) {
    const char **known = calloc((size_t)w->plan->n + 1, sizeof *known);
    if (!known) return lens_fail(LENS_MEMORY, "out of memory for the names of %d tensors", w->plan->n);
    size_t n_known = 0;
    for (int i = 0; i < w->plan->n; i++)
        if (pipeline_part_of(w->plan->rows[i].name) == part)
            known[n_known++] = pipeline_name_in_file(w->plan->rows[i].name);
    qsort(known, n_known, sizeof *known, compare_texts);
    for (int i = 0; i < safetensors_set_n(w->set[part]); i++) {
        const char *name = safetensors_set_at(w->set[part], i)->name;
        if (!bsearch(&name, known, n_known, sizeof *known, compare_texts)) name_fault(extra, name);
    }
    free(known);
    return LENS_OK;
}

static void describe(str_t *out, const fault_t *f, const char *what) {
    if (f->n == 0) return;
    str_addf(out, "%s%d %s (%s", out->len ? "; " : "", f->n, what, str_text(&f->names));
    str_add(out, f->n > NAMED ? ", ...)" : ")");
}

static lens_status check(weights_t *w, const char *path) {
    fault_t missing = {0}, misshapen = {0}, extra = {0};
    str_t text = {0};
    lens_status st = LENS_OK;
    for (int i = 0; i < w->plan->n; i++) find_row(w, i, &missing, &misshapen);
    for (int part = 0; part < PIPELINE_N_PARTS && st == LENS_OK; part++)
        if (w->set[part]) st = find_extra(w, (pipeline_part)part, &extra);
    describe(&text, &missing, "missing");
    describe(&text, &misshapen, "misshapen");
    describe(&text, &extra, "extra");
    if (st == LENS_OK && text.len) st = lens_fail(LENS_FORMAT, "%s: not the tensors of this model: %s", path, text.s);
    str_free(&missing.names);
    str_free(&misshapen.names);
    str_free(&extra.names);
    str_free(&text);
    return st;
}

/* ---- opening ---- */

static lens_status open_part(weights_t *w, pipeline_part part, const char *dir) {
    str_t path = {0};
    str_addf(&path, "%s/%s", dir, pipeline_part_folder(part));
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = safetensors_set_open(&w->set[part], path.s);
    str_free(&path);
    return st;
}

static lens_status open_sets(weights_t *w, const char *path) {
    str_t inside = {0};
    str_addf(&inside, "%s/%s", path, pipeline_part_folder(PIPELINE_TRANSFORMER));
    lens_status st = str_status(&inside);
    bool pipeline = st == LENS_OK && file_is_dir(inside.s), ours = false;
    str_free(&inside);
    if (st != LENS_OK) return st;
    if (!pipeline) return safetensors_set_open(&w->set[PIPELINE_TRANSFORMER], path);
    LENS_TRY(open_part(w, PIPELINE_TRANSFORMER, path));
    LENS_TRY(pipeline_has_embedding(&ours, path));
    return ours ? open_part(w, PIPELINE_TEXT, path) : LENS_OK;
}

lens_status weights_open(weights_t **out, const plan_t *plan, const char *path) {
    lens_status st = LENS_OK;
    *out = NULL;
    weights_t *w = calloc(1, sizeof *w);
    if (!w) return lens_fail(LENS_MEMORY, "%s: out of memory", path);
    w->plan = plan;
    w->tensor = calloc((size_t)plan->n + 1, sizeof(*w->tensor));
    if (!w->tensor) LENS_GO(lens_fail(LENS_MEMORY, "%s: out of memory", path));
    LENS_GO(open_sets(w, path));
    st = check(w, path);
done:
    if (st == LENS_OK)
        *out = w;
    else
        weights_close(w);
    return st;
}

void weights_close(weights_t *w) {
    if (!w) return;
    for (int part = 0; part < PIPELINE_N_PARTS; part++) safetensors_set_close(w->set[part]);
    free(w->tensor);
    free(w);
}

bool weights_has(const weights_t *w, int row) {
    return w->tensor[row] != NULL;
}

lens_status weights_read(const weights_t *w, int row, int64_t first, int64_t n, float *out) {
    LENS_ASSERT(weights_has(w, row), "row %d", row);
    return safetensors_read_f32_range(w->tensor[row], first, n, out);
}

lens_status weights_load(float *weights, const plan_t *plan, const char *path) {
    weights_t *w;
    LENS_TRY(weights_open(&w, plan, path));
    lens_status st = LENS_OK;
    for (int i = 0; i < plan->n && st == LENS_OK; i++) {
        const plan_row_t *row = &plan->rows[i];
        st = weights_has(w, i) ? weights_read(w, i, 0, row->n, weights + row->offset_bytes / sizeof(float))
                               : lens_fail(LENS_FORMAT, "tensor %s is missing", row->name);
    }
    weights_close(w);
    return lens_context(st, "%s", path);
}
