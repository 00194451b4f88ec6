#include "model/safetensors_set.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define FILE_SUFFIX ".safetensors"
#define INDEX_SUFFIX ".safetensors.index.json"
enum { INDEX_MAX_BYTES = 64 << 20, MAX_FILES = 4096 };

typedef struct {
    char *name; /* as the index has it; NULL for a file alone */
    char *path;
    safetensors_t *file;
} member_t;

struct safetensors_set {
    char *path;
    json_t *index; /* NULL for a file alone */
    member_t *member;
    int n_members;
    const st_tensor_t **tensor;  /* [n] */
    const st_tensor_t **by_name; /* [n] */
    int n;
};

static lens_status out_of_memory(const safetensors_set_t *s) {
    return lens_fail(LENS_MEMORY, "%s: out of memory", s->path ? s->path : "safetensors");
}

/* ---- members ---- */

static lens_status add_member(safetensors_set_t *s, const char *name, const char *path) {
    member_t *m = &s->member[s->n_members++];
    m->path = strdup(path);
    m->name = name ? strdup(name) : NULL;
    return m->path && (!name || m->name) ? LENS_OK : out_of_memory(s);
}

static member_t *find_member(const safetensors_set_t *s, const char *name) {
    for (int i = 0; i < s->n_members; i++)
        if (strcmp(s->member[i].name, name) == 0) return &s->member[i];
    return NULL;
}

/* The file beside the index. */
static lens_status add_beside(safetensors_set_t *s, const char *name) {
    if (strchr(name, '/') || !str_ends_with(name, FILE_SUFFIX))
        return lens_fail(LENS_FORMAT, "%s: weight_map: '%s' is no " FILE_SUFFIX " file beside the index", s->path,
                         name);
    if (s->n_members == MAX_FILES) return lens_fail(LENS_FORMAT, "%s: more than %d files", s->path, MAX_FILES);
    const char *slash = strrchr(s->path, '/');
    str_t path = {0};
    if (slash) str_add_n(&path, s->path, (size_t)(slash - s->path) + 1);
    str_add(&path, name);
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = add_member(s, name, path.s);
    str_free(&path);
    return st;
}

static lens_status read_index(safetensors_set_t *s) {
    char *text;
    size_t n;
    json_error_t error;
    const char *key;
    json_t *value;
    LENS_TRY(file_read(&text, &n, s->path, INDEX_MAX_BYTES));
    s->index = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    free(text);
    if (!s->index) return lens_fail(LENS_FORMAT, "%s:%d: %s", s->path, error.line, error.text);
    json_t *map = json_object_get(s->index, "weight_map");
    if (json_object_size(map) == 0)
        return lens_fail(LENS_FORMAT, "%s: weight_map is missing, empty or no JSON object", s->path);
    s->member = calloc(MAX_FILES, sizeof *s->member);
    if (!s->member) return out_of_memory(s);
    json_object_foreach(map, key, value) {
        const char *name = json_string_value(value);
        if (!name) return lens_fail(LENS_FORMAT, "%s: weight_map: value of '%s' is no string", s->path, key);
        if (!find_member(s, name)) LENS_TRY(add_beside(s, name));
    }
    return LENS_OK;
}

/* ---- tensors ---- */

static int compare_names(const void *a, const void *b) {
    const st_tensor_t *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static lens_status gather_tensors(safetensors_set_t *s) {
    int64_t n = 0;
    for (int i = 0; i < s->n_members; i++) {
        LENS_TRY(safetensors_open(&s->member[i].file, s->member[i].path));
        n += safetensors_n(s->member[i].file);
    }
    s->tensor = calloc((size_t)n + 1, sizeof(*s->tensor));
    s->by_name = calloc((size_t)n + 1, sizeof(*s->by_name));
    if (!s->tensor || !s->by_name) return out_of_memory(s);
    for (int i = 0; i < s->n_members; i++)
        for (int j = 0; j < safetensors_n(s->member[i].file); j++)
            s->tensor[s->n++] = safetensors_at(s->member[i].file, j);
    memcpy(s->by_name, s->tensor, sizeof(*s->tensor) * (size_t)s->n);
    qsort(s->by_name, (size_t)s->n, sizeof(*s->by_name), compare_names);
    return LENS_OK;
}

/* Map and files name the same tensors, each in one file. */
static lens_status check_index(const safetensors_set_t *s) {
    json_t *map = json_object_get(s->index, "weight_map");
    for (int i = 0; i < s->n_members; i++)
        for (int j = 0; j < safetensors_n(s->member[i].file); j++) {
            const char *tensor = safetensors_at(s->member[i].file, j)->name;
            const char *file = json_string_value(json_object_get(map, tensor));
            if (!file || strcmp(file, s->member[i].name) != 0)
                return lens_fail(LENS_FORMAT, "%s: tensor '%s' is in %s, by the index in %s", s->path, tensor,
                                 s->member[i].name, file ? file : "no file");
        }
    if ((size_t)s->n == json_object_size(map)) return LENS_OK;
    const char *key;
    json_t *value;
    json_object_foreach(map, key, value) {
        if (!safetensors_set_find(s, key))
            return lens_fail(LENS_FORMAT, "%s: tensor '%s' is not in %s", s->path, key, json_string_value(value));
    }
    return LENS_OK;
}

/* ---- opening ---- */

/* The one index of the folder, else its one file. */
static lens_status find_in_folder(str_t *out, const char *dir) {
    static const char *const suffixes[] = {INDEX_SUFFIX, FILE_SUFFIX};
    char **names;
    int64_t n;
    LENS_TRY(dir_list(&names, &n, dir));
    int found = 0;
    for (int kind = 0; kind < 2 && found == 0; kind++)
        for (int64_t i = 0; i < n; i++) {
            if (!str_ends_with(names[i], suffixes[kind])) continue;
            found++;
            str_clear(out);
            str_addf(out, "%s/%s", dir, names[i]);
        }
    dir_list_free(names, n);
    if (found == 1) return str_status(out);
    return lens_fail(LENS_FORMAT,
                     found ? "%s: several safetensors files, expected one, or one index"
                           : "%s: no " FILE_SUFFIX " file in this folder",
                     dir);
}

static lens_status open_path(safetensors_set_t *s, const char *path) {
    s->path = strdup(path);
    if (!s->path) return out_of_memory(s);
    if (str_ends_with(path, ".json")) {
        LENS_TRY(read_index(s));
        LENS_TRY(gather_tensors(s));
        return check_index(s);
    }
    s->member = calloc(1, sizeof *s->member);
    if (!s->member) return out_of_memory(s);
    LENS_TRY(add_member(s, NULL, path));
    return gather_tensors(s);
}

lens_status safetensors_set_open(safetensors_set_t **out, const char *path) {
    str_t inside = {0};
    lens_status st = LENS_OK;
    *out = NULL;
    safetensors_set_t *s = calloc(1, sizeof *s);
    if (!s) return lens_fail(LENS_MEMORY, "%s: out of memory", path);
    if (file_is_dir(path)) LENS_GO(find_in_folder(&inside, path));
    st = open_path(s, inside.len ? inside.s : path);
done:
    str_free(&inside);
    if (st == LENS_OK)
        *out = s;
    else
        safetensors_set_close(s);
    return st;
}

void safetensors_set_close(safetensors_set_t *s) {
    if (!s) return;
    for (int i = 0; i < s->n_members; i++) {
        safetensors_close(s->member[i].file);
        free(s->member[i].name);
        free(s->member[i].path);
    }
    free(s->member);
    free(s->tensor);
    free(s->by_name);
    json_decref(s->index);
    free(s->path);
    free(s);
}

const char *safetensors_set_path(const safetensors_set_t *s) {
    return s->path;
}

int safetensors_set_n_files(const safetensors_set_t *s) {
    return s->n_members;
}

const char *safetensors_set_file(const safetensors_set_t *s, int i) {
    return s->member[i].path;
}

int safetensors_set_n(const safetensors_set_t *s) {
    return s->n;
}

const st_tensor_t *safetensors_set_at(const safetensors_set_t *s, int i) {
    return s->tensor[i];
}

const st_tensor_t *safetensors_set_find(const safetensors_set_t *s, const char *name) {
    const st_tensor_t key = {.name = name}, *key_pointer = &key;
    const st_tensor_t **found = bsearch(&key_pointer, s->by_name, (size_t)s->n, sizeof(*s->by_name), compare_names);
    return found ? *found : NULL;
}

const char *safetensors_set_meta(const safetensors_set_t *s, const char *key) {
    const char *value = NULL;
    for (int i = 0; i < s->n_members && !value; i++) value = safetensors_meta(s->member[i].file, key);
    return value;
}
