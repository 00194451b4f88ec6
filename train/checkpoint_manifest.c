#include "train/checkpoint_manifest.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { MANIFEST_MAX_BYTES = 64 << 20, NAME_MAX_BYTES = 256 };

void checkpoint_manifest_free(checkpoint_manifest_t *m) {
    for (int i = 0; i < m->n; i++) free(m->file[i].name);
    free(m->file);
    *m = (checkpoint_manifest_t){0};
}

static lens_status append(checkpoint_manifest_t *m, const char *name, const file_hash_t *hash) {
    if (m->n == m->cap) {
        int cap = m->cap ? 2 * m->cap : 32;
        checkpoint_manifest_file_t *grown = realloc(m->file, sizeof *grown * (size_t)cap);
        if (!grown) return lens_fail(LENS_MEMORY, "out of memory for a manifest of %d files", cap);
        m->file = grown;
        m->cap = cap;
    }
    char *copy = strdup(name);
    if (!copy) return lens_fail(LENS_MEMORY, "out of memory for a manifest of %d files", m->n);
    m->file[m->n++] = (checkpoint_manifest_file_t){copy, *hash};
    return LENS_OK;
}

lens_status checkpoint_manifest_add(checkpoint_manifest_t *m, const char *dir, const char *name) {
    str_t path = {0};
    file_hash_t hash;
    str_addf(&path, "%s/%s", dir, name);
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = file_hash(&hash, path.s);
    str_free(&path);
    return st == LENS_OK ? append(m, name, &hash) : st;
}

lens_status checkpoint_manifest_merge(checkpoint_manifest_t *m, const checkpoint_manifest_t *other) {
    for (int i = 0; i < other->n; i++) LENS_TRY(append(m, other->file[i].name, &other->file[i].hash));
    return LENS_OK;
}

/* ---- JSON ---- */

lens_status checkpoint_manifest_to_json(str_t *out, const checkpoint_manifest_t *m) {
    json_t *files = json_array();
    for (int i = 0; i < m->n; i++)
        json_array_append_new(files, json_pack("{s:s, s:I, s:s}", "name", m->file[i].name, "bytes",
                                               (json_int_t)m->file[i].hash.n_bytes, "xxh3_128", m->file[i].hash.hex));
    bool all = json_array_size(files) == (size_t)m->n;
    json_t *j =
        json_pack("{s:i, s:I, s:o}", "version", CHECKPOINT_VERSION, "step", (json_int_t)m->step, "files", files);
    char *text = j && all ? json_dumps(j, JSON_INDENT(1)) : NULL;
    json_decref(j);
    if (!text) return lens_fail(LENS_MEMORY, "out of memory for a manifest of %d files", m->n);
    str_add(out, text);
    free(text);
    return str_status(out);
}

/* Names become paths below a folder: nothing that leaves it, no part that is empty or begins with a dot. */
static bool safe_name(const char *name) {
    if (!name || strlen(name) > NAME_MAX_BYTES) return false;
    for (const char *part = name;; part++) {
        if (*part == '\0' || *part == '/' || *part == '.') return false;
        part = strchr(part, '/');
        if (!part) return true;
    }
}

static lens_status parse_file(checkpoint_manifest_t *m, const json_t *j, const char *where) {
    const char *name = json_string_value(json_object_get(j, "name"));
    const char *hex = json_string_value(json_object_get(j, "xxh3_128"));
    const json_t *bytes = json_object_get(j, "bytes");
    if (!safe_name(name)) return lens_fail(LENS_FORMAT, "%s: file %d has no name that can be", where, m->n);
    if (!json_is_integer(bytes) || json_integer_value(bytes) < 0)
        return lens_fail(LENS_FORMAT, "%s: %s: bytes: expected a count", where, name);
    if (!hex || strlen(hex) != FILE_HASH_DIGITS || strspn(hex, "0123456789abcdef") != FILE_HASH_DIGITS)
        return lens_fail(LENS_FORMAT, "%s: %s: xxh3_128: expected %d hexadecimal digits", where, name,
                         FILE_HASH_DIGITS);
    file_hash_t hash = {.n_bytes = (uint64_t)json_integer_value(bytes)};
    memcpy(hash.hex, hex, sizeof hash.hex);
    return append(m, name, &hash);
}

static lens_status parse(checkpoint_manifest_t *m, const json_t *j, const char *where) {
    const json_t *version = json_object_get(j, "version"), *step = json_object_get(j, "step");
    const json_t *files = json_object_get(j, "files");
    if (!json_is_integer(version) || json_integer_value(version) != CHECKPOINT_VERSION)
        return lens_fail(LENS_FORMAT, "%s: version: expected %d", where, CHECKPOINT_VERSION);
    if (!json_is_integer(step) || json_integer_value(step) < 0)
        return lens_fail(LENS_FORMAT, "%s: step: expected a count", where);
    m->step = json_integer_value(step);
    if (!json_is_array(files) || json_array_size(files) > CHECKPOINT_MAX_FILES)
        return lens_fail(LENS_FORMAT, "%s: files: expected a list of at most %d", where, CHECKPOINT_MAX_FILES);
    for (size_t i = 0; i < json_array_size(files); i++) LENS_TRY(parse_file(m, json_array_get(files, i), where));
    return LENS_OK;
}

lens_status checkpoint_manifest_from_json(checkpoint_manifest_t *m, const char *text, size_t n, const char *where) {
    json_error_t error;
    *m = (checkpoint_manifest_t){0};
    json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    lens_status st = j ? parse(m, j, where) : lens_fail(LENS_FORMAT, "%s: line %d: %s", where, error.line, error.text);
    json_decref(j);
    if (st != LENS_OK) checkpoint_manifest_free(m);
    return st;
}

/* ---- files ---- */

lens_status checkpoint_manifest_write(const checkpoint_manifest_t *m, const char *dir) {
    str_t path = {0}, text = {0};
    str_addf(&path, "%s/" CHECKPOINT_MANIFEST_NAME, dir);
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = checkpoint_manifest_to_json(&text, m);
    if (st == LENS_OK) st = file_write(path.s, text.s, text.len);
    str_free(&path);
    str_free(&text);
    return st;
}

lens_status checkpoint_manifest_read(checkpoint_manifest_t *m, const char *dir) {
    str_t path = {0};
    char *text = NULL;
    size_t n = 0;
    *m = (checkpoint_manifest_t){0};
    str_addf(&path, "%s/" CHECKPOINT_MANIFEST_NAME, dir);
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = file_read(&text, &n, path.s, MANIFEST_MAX_BYTES);
    if (st == LENS_OK) st = checkpoint_manifest_from_json(m, text, n, path.s);
    free(text);
    str_free(&path);
    return st;
}

lens_status checkpoint_manifest_check(const checkpoint_manifest_t *m, const char *dir, int i) {
    const checkpoint_manifest_file_t *f = &m->file[i];
    str_t path = {0};
    file_hash_t found;
    uint64_t n_bytes;
    lens_status st = LENS_OK;
    str_addf(&path, "%s/%s", dir, f->name);
    LENS_GO(str_status(&path));
    LENS_GO(file_size(&n_bytes, path.s)); /* first: a file cut short is not read to its end */
    if (n_bytes != f->hash.n_bytes)
        LENS_GO(lens_fail(LENS_FORMAT, "%s: torn: %llu bytes, %llu by the manifest", path.s,
                          (unsigned long long)n_bytes, (unsigned long long)f->hash.n_bytes));
    LENS_GO(file_hash(&found, path.s));
    if (strcmp(found.hex, f->hash.hex) != 0)
        st = lens_fail(LENS_FORMAT, "%s: torn: its hash is %s, %s by the manifest", path.s, found.hex, f->hash.hex);
done:
    str_free(&path);
    return st;
}
