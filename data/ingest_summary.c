#include "data/ingest_summary.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { SUMMARY_MAX_BYTES = 16 << 20, STAGES_MAX = 1024 };

static lens_status get_count(int64_t *out, const json_t *object, const char *name, const char *where) {
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return lens_fail(LENS_FORMAT, "%s: \"%s\": expected a whole number, at least 0", where, name);
    *out = json_integer_value(value);
    return LENS_OK;
}

/* Text for a terminal: control characters are refused. */
static lens_status get_text(char **out, const json_t *object, const char *name, const char *where) {
    const char *text = json_string_value(json_object_get(object, name));
    bool is_plain = text != NULL;
    for (const char *c = text; is_plain && *c; c++) is_plain = (unsigned char)*c >= ' ' && *c != 0x7F;
    if (!is_plain)
        return lens_fail(LENS_FORMAT, "%s: \"%s\": expected a string without control characters", where, name);
    *out = strdup(text);
    return *out ? LENS_OK : lens_fail(LENS_MEMORY, "%s: out of memory", where);
}

static lens_status get_stage(ingest_stage_t *out, const json_t *row, const char *where) {
    LENS_TRY(get_text(&out->stage, row, "stage", where));
    LENS_TRY(get_text(&out->limit, row, "limit", where));
    LENS_TRY(get_count(&out->dropped, row, "dropped", where));
    LENS_TRY(get_count(&out->missing, row, "missing", where));
    return get_count(&out->left, row, "left", where);
}

static lens_status get_stages(ingest_summary_t *out, const json_t *funnel, const char *path) {
    int64_t left = out->n_read;
    str_t where = {0};
    lens_status st = LENS_OK;
    if (!json_is_array(funnel) || json_array_size(funnel) > STAGES_MAX)
        return lens_fail(LENS_FORMAT, "%s: \"funnel\": expected a list of at most %d stages", path, STAGES_MAX);
    const size_t n = json_array_size(funnel);
    out->stages = calloc(n + 1, sizeof *out->stages);
    if (!out->stages) return lens_fail(LENS_MEMORY, "%s: out of memory for %zu stages", path, n);
    for (size_t i = 0; i < n; i++) {
        ingest_stage_t *stage = &out->stages[out->n_stages++];
        str_clear(&where);
        str_addf(&where, "%s: stage %zu", path, i);
        LENS_GO(str_status(&where));
        LENS_GO(get_stage(stage, json_array_get(funnel, i), where.s));
        if (stage->dropped > left || stage->left != left - stage->dropped)
            LENS_GO(lens_fail(LENS_FORMAT, "%s: %" PRId64 " dropped and %" PRId64 " left of %" PRId64, where.s,
                              stage->dropped, stage->left, left));
        left = stage->left;
    }
done:
    str_free(&where);
    return st;
}

static lens_status get_summary(ingest_summary_t *out, const char *text, size_t n, const char *path) {
    json_error_t error;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    lens_status st;
    if (!root && json_error_code(&error) == json_error_out_of_memory)
        return lens_fail(LENS_MEMORY, "%s: out of memory", path);
    if (!root) return lens_fail(LENS_FORMAT, "%s: line %d: %s", path, error.line, error.text);
    LENS_GO(get_count(&out->n_read, root, "read", path));
    LENS_GO(get_count(&out->n_accepted, root, "accepted", path));
    LENS_GO(get_count(&out->n_rejected, root, "rejected", path));
    LENS_GO(get_stages(out, json_object_get(root, "funnel"), path));
done:
    json_decref(root);
    return st;
}

lens_status ingest_summary_read(ingest_summary_t *out, const char *dir) {
    str_t path = {0};
    char *text = NULL;
    size_t n;
    lens_status st;
    *out = (ingest_summary_t){0};
    str_addf(&path, "%s/ingest.json", dir);
    LENS_GO(str_status(&path));
    if (!file_exists(path.s)) goto done;
    LENS_GO(file_read(&text, &n, path.s, SUMMARY_MAX_BYTES));
    LENS_GO(get_summary(out, text, n, path.s));
done:
    if (st != LENS_OK) ingest_summary_free(out);
    free(text);
    str_free(&path);
    return st;
}

void ingest_summary_free(ingest_summary_t *s) {
    for (int i = 0; i < s->n_stages; i++) {
        free(s->stages[i].stage);
        free(s->stages[i].limit);
    }
    free(s->stages);
    *s = (ingest_summary_t){0};
}
