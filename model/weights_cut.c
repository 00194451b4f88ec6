#include "model/weights_cut.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define BLOCKS "transformer_blocks."

/* Length of what the names of a block's tensors have in common: "transformer_blocks.7."; 0 for other tensors. */
static size_t block_prefix(const char *name) {
    const char *end = str_starts_with(name, BLOCKS) ? strchr(name + strlen(BLOCKS), '.') : NULL;
    return end ? (size_t)(end - name) + 1 : 0;
}

static bool same_block(const st_entry_t *a, const st_entry_t *b) {
    size_t n = block_prefix(a->name);
    return n > 0 && strncmp(a->name, b->name, n) == 0;
}

/* The end of the tensors that stay together from `first` on, and their bytes. */
static int end_of_unit(const st_entry_t *entries, int first, int n, uint64_t *n_bytes) {
    int end = first;
    *n_bytes = 0;
    do *n_bytes += st_entry_bytes(&entries[end++]);
    while (end < n && same_block(&entries[first], &entries[end]));
    return end;
}

lens_status weights_cut_init(weights_cut_t *out, const st_entry_t *entries, int n, uint64_t max_bytes) {
    *out = (weights_cut_t){.first = calloc((size_t)n + 2, sizeof *out->first)};
    if (!out->first) return lens_fail(LENS_MEMORY, "out of memory for the files of %d tensors", n);
    uint64_t in_file = 0, in_unit;
    for (int i = 0, end; i < n; i = end) {
        end = end_of_unit(entries, i, n, &in_unit);
        if (out->n_files == 0 || (in_file > 0 && in_unit > max_bytes - (in_file < max_bytes ? in_file : max_bytes))) {
            out->first[out->n_files++] = i;
            in_file = 0;
        }
        in_file += in_unit;
    }
    out->first[out->n_files] = n;
    return LENS_OK;
}

void weights_cut_free(weights_cut_t *c) {
    free(c->first);
    *c = (weights_cut_t){0};
}

void weights_file_name(char out[WEIGHTS_NAME_MAX], const char *stem, int i, int n_files) {
    if (n_files == 1)
        snprintf(out, WEIGHTS_NAME_MAX, "%s.safetensors", stem);
    else
        snprintf(out, WEIGHTS_NAME_MAX, "%s-%05d-of-%05d.safetensors", stem, i + 1, n_files);
}

static json_t *index_json(const char *stem, const weights_cut_t *c, const st_entry_t *entries) {
    json_t *map = json_object();
    uint64_t total = 0;
    bool failed = false;
    for (int file = 0; file < c->n_files; file++) {
        char name[WEIGHTS_NAME_MAX];
        weights_file_name(name, stem, file, c->n_files);
        for (int i = c->first[file]; i < c->first[file + 1]; i++) {
            failed |= json_object_set_new(map, entries[i].name, json_string(name)) != 0;
            total += st_entry_bytes(&entries[i]);
        }
    }
    json_t *index = json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)total, "weight_map", map);
    if (!failed) return index;
    json_decref(index);
    return NULL;
}

lens_status weights_write_index(const char *dir, const char *stem, const weights_cut_t *c, const st_entry_t *entries) {
    str_t path = {0};
    str_addf(&path, "%s/%s.safetensors.index.json", dir, stem);
    lens_status st = str_status(&path);
    json_t *index = index_json(stem, c, entries);
    char *text = index ? json_dumps(index, JSON_INDENT(2)) : NULL;
    json_decref(index);
    if (st == LENS_OK)
        st = text ? file_write(path.s, text, strlen(text)) : lens_fail(LENS_MEMORY, "%s: out of memory", path.s);
    free(text);
    str_free(&path);
    return st;
}
