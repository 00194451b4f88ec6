#include "train/checkpoint_position.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "train/checkpoint_manifest.h"

enum { POSITION_MAX_BYTES = 1 << 16, HASH_TEXT = 17 };

static void hash_text(char out[HASH_TEXT], uint64_t hash) {
    snprintf(out, HASH_TEXT, "%016" PRIx64, hash);
}

/* ---- writing ---- */

static json_t *to_json(const checkpoint_position_t *at, const state_view_t *view, int world) {
    char hash[HASH_TEXT];
    hash_text(hash, at->data_hash);
    json_t *fields = json_array();
    for (int i = 0; i < view->n_fields; i++) json_array_append_new(fields, json_string(view->field[i].name));
    if (json_array_size(fields) != (size_t)view->n_fields) {
        json_decref(fields);
        return NULL;
    }
    return json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:{s:f, s:f, s:I}, s:i, s:i, s:s, s:o}", "version",
                     CHECKPOINT_VERSION, "step", (json_int_t)at->step, "n_updates", (json_int_t)at->n_updates,
                     "n_skipped", (json_int_t)at->n_skipped, "n_images", (json_int_t)at->n_images, "seed",
                     (json_int_t)at->seed, "n_samples", (json_int_t)at->n_samples, "data_hash", hash, "guard", "mean",
                     at->guard_mean, "var", at->guard_var, "n", (json_int_t)at->guard_n, "world", world, "zero",
                     view->zero, "optimizer", view->optimizer, "fields", fields);
}

lens_status checkpoint_position_write(const char *dir, const checkpoint_position_t *at, const state_view_t *view,
                                      int world) {
    LENS_ASSERT(isfinite(at->guard_mean) && isfinite(at->guard_var), "guard %g, %g", at->guard_mean, at->guard_var);
    str_t path = {0};
    str_addf(&path, "%s/" CHECKPOINT_POSITION_NAME, dir);
    lens_status st = str_status(&path);
    json_t *j = to_json(at, view, world);
    char *text = j ? json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL; /* 17 digits: exact */
    json_decref(j);
    if (st == LENS_OK)
        st = text ? file_write(path.s, text, strlen(text)) : lens_fail(LENS_MEMORY, "%s: out of memory", path.s);
    free(text);
    str_free(&path);
    return st;
}

/* ---- reading ---- */

static lens_status get_count(int64_t *out, const char *path, const json_t *j, const char *key) {
    const json_t *value = json_object_get(j, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return lens_fail(LENS_FORMAT, "%s: %s: expected a count", path, key);
    *out = json_integer_value(value);
    return LENS_OK;
}

static lens_status get_number(double *out, const char *path, const json_t *j, const char *key) {
    const json_t *value = json_object_get(j, key);
    if (!json_is_number(value)) return lens_fail(LENS_FORMAT, "%s: %s: expected a number", path, key);
    *out = json_number_value(value);
    return LENS_OK;
}

static lens_status parse_hash(uint64_t *out, const char *path, const json_t *j) {
    const char *hash = json_string_value(json_object_get(j, "data_hash"));
    if (!hash || strlen(hash) != HASH_TEXT - 1 || strspn(hash, "0123456789abcdef") != HASH_TEXT - 1)
        return lens_fail(LENS_FORMAT, "%s: data_hash: expected %d hexadecimal digits", path, HASH_TEXT - 1);
    *out = strtoull(hash, NULL, 16);
    return LENS_OK;
}

static lens_status parse(checkpoint_position_t *out, const char *path, const json_t *j) {
    int64_t version;
    const json_t *guard = json_object_get(j, "guard");
    *out = (checkpoint_position_t){0};
    LENS_TRY(get_count(&version, path, j, "version"));
    if (version != CHECKPOINT_VERSION)
        return lens_fail(LENS_FORMAT, "%s: version: expected %d, got %lld", path, CHECKPOINT_VERSION,
                         (long long)version);
    LENS_TRY(get_count(&out->step, path, j, "step"));
    LENS_TRY(get_count(&out->n_updates, path, j, "n_updates"));
    LENS_TRY(get_count(&out->n_skipped, path, j, "n_skipped"));
    LENS_TRY(get_count(&out->n_images, path, j, "n_images"));
    LENS_TRY(get_count(&out->seed, path, j, "seed"));
    LENS_TRY(get_count(&out->n_samples, path, j, "n_samples"));
    LENS_TRY(get_number(&out->guard_mean, path, guard, "mean"));
    LENS_TRY(get_number(&out->guard_var, path, guard, "var"));
    LENS_TRY(get_count(&out->guard_n, path, guard, "n"));
    return parse_hash(&out->data_hash, path, j);
}

static lens_status same_count(const char *path, const char *key, int64_t found, int64_t expected) {
    if (found == expected) return LENS_OK;
    return lens_fail(LENS_STATE, "%s: cannot resume: %s is %lld there, %lld here", path, key, (long long)found,
                     (long long)expected);
}

static lens_status same_data(const char *path, const checkpoint_position_t *found,
                             const checkpoint_position_t *expected) {
    char there[HASH_TEXT], here[HASH_TEXT];
    LENS_TRY(same_count(path, "seed", found->seed, expected->seed));
    LENS_TRY(same_count(path, "n_samples", found->n_samples, expected->n_samples));
    if (found->data_hash == expected->data_hash) return LENS_OK;
    hash_text(there, found->data_hash);
    hash_text(here, expected->data_hash);
    return lens_fail(LENS_STATE,
                     "%s: cannot resume: other shards, or another value of one of data.* or train.batch that decides "
                     "what is trained on (hash %s there, %s here); take the values of the checkpoint's config.yaml, "
                     "or another run.dir to start anew",
                     path, there, here);
}

static void list_fields(str_t *out, const json_t *fields) {
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const char *name = json_string_value(json_array_get(fields, i));
        str_addf(out, "%s%s", i ? ", " : "", name ? name : "?");
    }
}

/* The same optimiser and the same fields in the same order: averages are told apart by their decays. */
static lens_status same_fields(const char *path, const json_t *j, const state_view_t *view) {
    const char *optimizer = json_string_value(json_object_get(j, "optimizer"));
    const json_t *fields = json_object_get(j, "fields");
    if (!optimizer || !json_is_array(fields))
        return lens_fail(LENS_FORMAT, "%s: optimizer and fields are missing", path);
    if (strcmp(optimizer, view->optimizer) != 0)
        return lens_fail(LENS_STATE,
                         "%s: cannot resume: train.optimizer is %s there, %s here; train.init_from takes its weights "
                         "alone",
                         path, optimizer, view->optimizer);
    bool same = json_array_size(fields) == (size_t)view->n_fields;
    str_t there = {0}, here = {0};
    for (int i = 0; i < view->n_fields; i++) {
        const char *name = json_string_value(json_array_get(fields, (size_t)i));
        same = same && name && strcmp(name, view->field[i].name) == 0;
        str_addf(&here, "%s%s", i ? ", " : "", view->field[i].name);
    }
    list_fields(&there, fields);
    lens_status st = same ? LENS_OK
                          : lens_fail(LENS_STATE,
                                      "%s: cannot resume: its fields are %s, here %s: take its train.ema, or "
                                      "train.init_from for its weights alone",
                                      path, str_text(&there), str_text(&here));
    str_free(&there);
    str_free(&here);
    return st;
}

lens_status checkpoint_position_read(checkpoint_position_t *out, const char *dir, const checkpoint_position_t *expected,
                                     const state_view_t *view) {
    str_t path = {0};
    char *text = NULL;
    size_t n = 0;
    json_error_t error;
    json_t *j = NULL;
    lens_status st = LENS_OK;
    str_addf(&path, "%s/" CHECKPOINT_POSITION_NAME, dir);
    LENS_GO(str_status(&path));
    LENS_GO(file_read(&text, &n, path.s, POSITION_MAX_BYTES));
    j = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    if (!j) LENS_GO(lens_fail(LENS_FORMAT, "%s: line %d: %s", path.s, error.line, error.text));
    LENS_GO(parse(out, path.s, j));
    if (expected) LENS_GO(same_data(path.s, out, expected));
    if (view) LENS_GO(same_fields(path.s, j, view));
done:
    json_decref(j);
    free(text);
    str_free(&path);
    return st;
}
