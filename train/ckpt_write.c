#include "train/ckpt_write.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "model/weights_cut.h"

enum { CONFIG_MAX_BYTES = 1 << 20 };

typedef struct {
    const ckpt_source_t *like;
    st_dtype dtype;
    uint64_t max_file_bytes;
    ckpt_values_fn values;
    void *context;
    float *host; /* of the largest tensor */
    void *bytes; /* of the same as dtype */
    pipeline_part part;
    st_entry_t *entries; /* of the part, in the order of its set */
    int n, first;        /* first: of the file being written */
} writer_t;

static lens_status alloc_buffers(writer_t *w) {
    int64_t largest = 1;
    for (int part = 0; part < PIPELINE_N_PARTS; part++)
        for (int i = 0; w->like->set[part] && i < safetensors_set_n(w->like->set[part]); i++) {
            int64_t n = safetensors_set_at(w->like->set[part], i)->n;
            if (n > largest) largest = n;
        }
    w->host = malloc(sizeof *w->host * (size_t)largest);
    w->bytes = malloc(sizeof *w->host * (size_t)largest);
    return w->host && w->bytes ? LENS_OK : lens_fail(LENS_MEMORY, "out of memory for %lld values", (long long)largest);
}

/* Type of a tensor in the result: of values that are numbers, F32, F16 or BF16. */
static st_dtype result_dtype(const writer_t *w, const st_tensor_t *t) {
    if (w->dtype != ST_N_DTYPES) return w->dtype;
    return t->dtype == ST_F16 || t->dtype == ST_BF16 ? t->dtype : ST_F32;
}

static lens_status produce(void *context, int i, const void **bytes) {
    writer_t *w = context;
    const st_tensor_t *t = safetensors_set_at(w->like->set[w->part], w->first + i);
    const st_entry_t *e = &w->entries[w->first + i];
    LENS_TRY(w->values(w->context, w->part, t, w->host));
    *bytes = w->bytes;
    return lens_context(st_from_f32(e->dtype, w->bytes, w->host, t->n), "tensor %s", t->name);
}

static lens_status write_file(writer_t *w, const char *path, int first, int end) {
    static const char *const meta[][2] = {{"format", "pt"}};
    w->first = first;
    return safetensors_write_from(path, w->entries + first, end - first, meta, 1, produce, w);
}

static lens_status write_files(writer_t *w, const char *dir) {
    const char *stem = pipeline_part_stem(w->part);
    weights_cut_t cut;
    str_t path = {0};
    lens_status st = weights_cut_init(&cut, w->entries, w->n, w->max_file_bytes);
    for (int i = 0; i < cut.n_files && st == LENS_OK; i++) {
        char name[WEIGHTS_NAME_MAX];
        weights_file_name(name, stem, i, cut.n_files);
        str_clear(&path);
        str_addf(&path, "%s/%s", dir, name);
        st = str_status(&path);
        if (st == LENS_OK) st = write_file(w, path.s, cut.first[i], cut.first[i + 1]);
    }
    if (st == LENS_OK && cut.n_files > 1) st = weights_write_index(dir, stem, &cut, w->entries);
    weights_cut_free(&cut);
    str_free(&path);
    return st;
}

/* dir NULL: all to one file, `path`. */
static lens_status write_part(writer_t *w, pipeline_part part, const char *dir, const char *path) {
    const safetensors_set_t *set = w->like->set[part];
    w->part = part;
    w->n = safetensors_set_n(set);
    w->entries = calloc((size_t)w->n + 1, sizeof *w->entries);
    if (!w->entries) return lens_fail(LENS_MEMORY, "out of memory for %d tensors", w->n);
    for (int i = 0; i < w->n; i++) {
        const st_tensor_t *t = safetensors_set_at(set, i);
        w->entries[i] = (st_entry_t){t->name, result_dtype(w, t), t->n_dims, {0}, NULL};
        memcpy(w->entries[i].shape, t->shape, sizeof t->shape);
    }
    lens_status st = dir ? write_files(w, dir) : write_file(w, path, 0, w->n);
    free(w->entries);
    w->entries = NULL;
    return st;
}

/* ---- folders ---- */

static lens_status copy_config(const char *from, const char *to, const char *name) {
    str_t path = {0};
    char *text = NULL;
    size_t n;
    lens_status st = LENS_OK;
    str_addf(&path, "%s/%s", from, name);
    LENS_GO(str_status(&path));
    if (!file_exists(path.s)) goto done; /* released transformers come without some */
    LENS_GO(file_read(&text, &n, path.s, CONFIG_MAX_BYTES));
    str_clear(&path);
    str_addf(&path, "%s/%s", to, name);
    LENS_GO(str_status(&path));
    st = file_write(path.s, text, n);
done:
    free(text);
    str_free(&path);
    return st;
}

static lens_status write_pipeline_part(writer_t *w, pipeline_part part, const char *dir) {
    str_t path = {0};
    char config[64];
    lens_status st = LENS_OK;
    str_addf(&path, "%s/%s", dir, pipeline_part_folder(part));
    LENS_GO(str_status(&path));
    LENS_GO(dir_make(path.s));
    snprintf(config, sizeof config, "%s/config.json", pipeline_part_folder(part));
    LENS_GO(copy_config(w->like->path.s, dir, config));
    if (w->like->set[part]) st = write_part(w, part, path.s, NULL);
done:
    str_free(&path);
    return st;
}

static lens_status write_folder(writer_t *w, const char *dir) {
    if (!w->like->pipeline) return write_part(w, PIPELINE_TRANSFORMER, dir, NULL);
    LENS_TRY(copy_config(w->like->path.s, dir, "model_index.json"));
    LENS_TRY(write_pipeline_part(w, PIPELINE_TRANSFORMER, dir));
    return write_pipeline_part(w, PIPELINE_TEXT, dir);
}

/* Aside, then renamed; nothing is left of a failure. */
static lens_status publish_folder(writer_t *w, const char *out) {
    str_t temporary = {0}, message = {0};
    lens_status st = file_temporary_name(&temporary, out);
    if (st == LENS_OK) st = dir_make(temporary.s);
    if (st == LENS_OK) st = write_folder(w, temporary.s);
    if (st == LENS_OK) st = file_publish(temporary.s, out);
    if (st != LENS_OK && temporary.len) {
        str_add(&message, lens_error());
        if (dir_remove(temporary.s) != LENS_OK) log_warn("%s", lens_error());
        st = lens_fail(st, "%s", str_text(&message));
    }
    str_free(&temporary);
    str_free(&message);
    return st;
}

lens_status ckpt_write(const char *out, const ckpt_source_t *like, st_dtype dtype, uint64_t max_file_bytes,
                       ckpt_values_fn values, void *context) {
    writer_t w = {.like = like, .dtype = dtype, .max_file_bytes = max_file_bytes, .values = values, .context = context};
    if (file_exists(out)) return lens_fail(LENS_STATE, "%s: is there already", out);
    bool file = str_ends_with(out, ".safetensors");
    lens_status st = alloc_buffers(&w);
    if (st == LENS_OK) st = file ? write_part(&w, PIPELINE_TRANSFORMER, NULL, out) : publish_folder(&w, out);
    if (st == LENS_OK && file && like->set[PIPELINE_TEXT])
        log_warn("%s: the text embedding is not in this file; a folder would have it", out);
    free(w.host);
    free(w.bytes);
    return st;
}
