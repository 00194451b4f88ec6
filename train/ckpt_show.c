/* lens ckpt show: what stands in a checkpoint. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "train/checkpoint_layout.h"
#include "train/checkpoint_manifest.h"
#include "train/checkpoint_position.h"
#include "train/ckpt.h"
#include "train/ckpt_source.h"

enum { CONFIG_MAX_BYTES = 1 << 20, MAX_FIELDS = 32 };

/* Tensors of one field, or of one set of weights. */
typedef struct {
    char name[CHECKPOINT_NAME_MAX];
    int n_files, n_tensors; /* of slices, tensors are counted once for each slice */
    int64_t n_elements;
    uint64_t n_bytes; /* of the values */
    int n_of_dtype[ST_N_DTYPES];
} content_t;

typedef struct {
    str_t dir;
    bool checkpoint; /* state/trainer.json is there */
    checkpoint_position_t at;
    json_t *trainer; /* the same as JSON, with world, stage and optimiser */
    char *config;    /* config.yaml; NULL: none */
    int n;
    content_t content[MAX_FIELDS];
} summary_t;

static void add_tensor(content_t *c, const st_tensor_t *t) {
    c->n_tensors++;
    c->n_elements += t->n;
    c->n_bytes += (uint64_t)t->n * st_dtype_bytes(t->dtype);
    c->n_of_dtype[t->dtype]++;
}

static lens_status new_content(summary_t *s, content_t **out, const char *name) {
    if (s->n == MAX_FIELDS) return lens_fail(LENS_FORMAT, "%s: more than %d fields", s->dir.s, MAX_FIELDS);
    *out = &s->content[s->n++];
    snprintf((*out)->name, sizeof(*out)->name, "%s", name);
    return LENS_OK;
}

/* ---- gathering ---- */

static lens_status add_weights(summary_t *s, const char *part) {
    ckpt_source_t source;
    content_t *c;
    LENS_TRY(new_content(s, &c, part));
    LENS_TRY(ckpt_source_open(&source, s->dir.s, part));
    for (int p = 0; p < PIPELINE_N_PARTS; p++) {
        if (!source.set[p]) continue;
        c->n_files += safetensors_set_n_files(source.set[p]);
        for (int i = 0; i < safetensors_set_n(source.set[p]); i++) add_tensor(c, safetensors_set_at(source.set[p], i));
    }
    ckpt_source_close(&source);
    return LENS_OK;
}

/* The field of a slice's name, FIELD.TENSOR:FIRST, where it has none beside it of that name yet. */
static lens_status content_of_slice(summary_t *s, content_t **out, const char *tensor) {
    const char *dot = strchr(tensor, '.');
    char name[32] = "state ";
    size_t length = dot ? (size_t)(dot - tensor) : 0;
    if (length == 0 || length > 16) return lens_fail(LENS_FORMAT, "%s: state: tensor '%s'", s->dir.s, tensor);
    memcpy(name + strlen(name), tensor, length);
    for (int i = 0; i < s->n; i++)
        if (strcmp(s->content[i].name, name) == 0) {
            *out = &s->content[i];
            return LENS_OK;
        }
    return new_content(s, out, name);
}

static lens_status add_state_file(summary_t *s, const char *name) {
    str_t path = {0};
    safetensors_t *f = NULL;
    content_t *c = NULL;
    lens_status st = LENS_OK;
    str_addf(&path, "%s/%s", s->dir.s, name);
    LENS_GO(str_status(&path));
    LENS_GO(safetensors_open(&f, path.s));
    for (int i = 0; i < safetensors_n(f); i++) {
        content_t *before = c;
        LENS_GO(content_of_slice(s, &c, safetensors_at(f, i)->name));
        c->n_files += c != before; /* fields stand one after the other */
        add_tensor(c, safetensors_at(f, i));
    }
done:
    safetensors_close(f);
    str_free(&path);
    return st;
}

static lens_status read_trainer(summary_t *s) {
    str_t path = {0};
    char *text = NULL;
    size_t n;
    lens_status st = LENS_OK;
    LENS_GO(checkpoint_position_read(&s->at, s->dir.s, NULL, NULL));
    str_addf(&path, "%s/" CHECKPOINT_POSITION_NAME, s->dir.s);
    LENS_GO(str_status(&path));
    LENS_GO(file_read(&text, &n, path.s, CONFIG_MAX_BYTES));
    s->trainer = json_loadb(text, n, 0, NULL);
    str_clear(&path);
    str_addf(&path, "%s/config.yaml", s->dir.s);
    LENS_GO(str_status(&path));
    if (file_exists(path.s)) st = file_read(&s->config, &n, path.s, CONFIG_MAX_BYTES);
done:
    free(text);
    str_free(&path);
    return st;
}

static lens_status add_checkpoint(summary_t *s) {
    checkpoint_manifest_t m;
    char **names = NULL;
    int64_t n = 0;
    LENS_TRY(read_trainer(s));
    LENS_TRY(checkpoint_manifest_read(&m, s->dir.s));
    lens_status st = LENS_OK;
    LENS_GO(dir_list(&names, &n, s->dir.s));
    for (int64_t i = 0; i < n; i++)
        if (str_starts_with(names[i], "ema")) LENS_GO(add_weights(s, names[i]));
    for (int i = 0; i < m.n; i++)
        if (str_starts_with(m.file[i].name, "state/rank-")) LENS_GO(add_state_file(s, m.file[i].name));
done:
    dir_list_free(names, n);
    checkpoint_manifest_free(&m);
    return st;
}

static lens_status summarise(summary_t *s, const char *path) {
    str_t trainer = {0};
    LENS_TRY(ckpt_source_path(&s->dir, path, CKPT_WEIGHTS));
    str_addf(&trainer, "%s/" CHECKPOINT_POSITION_NAME, s->dir.s);
    s->checkpoint = file_exists(str_text(&trainer));
    str_free(&trainer);
    LENS_TRY(add_weights(s, CKPT_WEIGHTS));
    return s->checkpoint ? add_checkpoint(s) : LENS_OK;
}

/* ---- printing ---- */

static void dtype_names(char out[64], const content_t *c) {
    size_t at = 0;
    out[0] = '\0';
    for (int d = 0; d < ST_N_DTYPES; d++)
        if (c->n_of_dtype[d] && at < 56)
            at += (size_t)snprintf(out + at, 64 - at, "%s%s", at ? "+" : "", st_dtype_name((st_dtype)d));
}

static const char *text_of(const json_t *j, const char *key) {
    const char *text = json_string_value(json_object_get(j, key));
    return text ? text : "?";
}

static void print_text(const summary_t *s) {
    printf("%s\n", s->dir.s);
    if (s->checkpoint)
        printf("step %" PRId64 ": %" PRId64 " updates, %" PRId64 " skipped, %" PRId64 " images; seed %" PRId64
               ", %" PRId64 " samples; world %" PRId64 ", zero %" PRId64 ", %s\n",
               s->at.step, s->at.n_updates, s->at.n_skipped, s->at.n_images, s->at.seed, s->at.n_samples,
               (int64_t)json_integer_value(json_object_get(s->trainer, "world")),
               (int64_t)json_integer_value(json_object_get(s->trainer, "zero")), text_of(s->trainer, "optimizer"));
    for (int i = 0; i < s->n; i++) {
        const content_t *c = &s->content[i];
        char types[64];
        dtype_names(types, c);
        printf("%-12s %6d tensors  %14" PRId64 " values  %-8s %10.1f MiB  %d file%s\n", c->name, c->n_tensors,
               c->n_elements, types, (double)c->n_bytes / (1 << 20), c->n_files, c->n_files == 1 ? "" : "s");
    }
    if (s->config) printf("%s", s->config);
}

static lens_status print_json(const summary_t *s) {
    json_t *contents = json_array();
    for (int i = 0; i < s->n; i++) {
        const content_t *c = &s->content[i];
        char types[64];
        dtype_names(types, c);
        json_array_append_new(contents, json_pack("{s:s, s:i, s:I, s:s, s:I, s:i}", "name", c->name, "tensors",
                                                  c->n_tensors, "values", (json_int_t)c->n_elements, "dtype", types,
                                                  "bytes", (json_int_t)c->n_bytes, "files", c->n_files));
    }
    json_t *j =
        json_pack("{s:s, s:I, s:o, s:O*, s:s*}", "path", s->dir.s, "parameters", (json_int_t)s->content[0].n_elements,
                  "contents", contents, "trainer", s->trainer, "config", s->config);
    if (!j) return lens_fail(LENS_MEMORY, "%s: out of memory", s->dir.s);
    json_dumpf(j, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(j);
    return LENS_OK;
}

lens_status ckpt_show(const char *path, const ckpt_options_t *o) {
    summary_t *s = calloc(1, sizeof *s);
    if (!s) return lens_fail(LENS_MEMORY, "%s: out of memory", path);
    lens_status st = summarise(s, path);
    if (st == LENS_OK && o->json) st = print_json(s);
    if (st == LENS_OK && !o->json) print_text(s);
    json_decref(s->trainer);
    free(s->config);
    str_free(&s->dir);
    free(s);
    return st;
}
