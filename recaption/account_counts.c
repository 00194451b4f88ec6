#include "recaption/account_counts.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { FILE_MAX_BYTES = 1 << 20 };
#define COUNT_MAX (INT64_C(1) << 45)

/* Rows of the integers: their names in the file. */
static const struct {
    const char *name;
    size_t offset;
} rows[] = {
    {"captions_wanted", offsetof(account_counts_t, n_wanted)}, {"captions", offsetof(account_counts_t, n_recorded)},
    {"answers", offsetof(account_counts_t, n_answers)},        {"unbilled", offsetof(account_counts_t, n_unbilled)},
    {"tokens_in", offsetof(account_counts_t, tokens_in)},      {"tokens_out", offsetof(account_counts_t, tokens_out)},
    {"ended_by_budget", offsetof(account_counts_t, n_ended)},
};
enum { N_ROWS = sizeof rows / sizeof rows[0] };

static int64_t *row(const account_counts_t *c, int i) {
    return (int64_t *)((char *)c + rows[i].offset);
}

void account_counts_add(account_counts_t *to, const account_counts_t *from) {
    for (int i = 0; i < N_ROWS; i++) *row(to, i) += *row(from, i);
    to->usd += from->usd;
    to->seconds += from->seconds;
    for (int k = 0; k < CAPTION_MAX_KINDS; k++)
        for (int r = 0; r < QUALITY_N; r++) to->by_kind[k][r] += from->by_kind[k][r];
}

void account_counts_json(const account_counts_t *c, const caption_kind_t *kinds, int n_kinds, str_t *out) {
    for (int i = 0; i < N_ROWS; i++) str_addf(out, "%s\"%s\":%" PRId64, i ? "," : "", rows[i].name, *row(c, i));
    str_addf(out, ",\"usd\":%.9f,\"seconds\":%.3f,\"kinds\":{", c->usd, c->seconds);
    for (int k = 0; k < n_kinds; k++) {
        str_add(out, k ? "," : "");
        str_add_json(out, kinds[k].name, strlen(kinds[k].name));
        const char *before = ":{";
        for (int r = 0; r < QUALITY_N; r++) {
            if (r != QUALITY_ACCEPTED && c->by_kind[k][r] == 0) continue;
            str_addf(out, "%s\"%s\":%" PRId64, before, quality_name((quality_reason)r), c->by_kind[k][r]);
            before = ",";
        }
        str_add_char(out, '}');
    }
    str_add_char(out, '}');
}

bool account_read_count(const json_t *object, const char *name, int64_t *out) {
    const json_t *value = json_object_get(object, name);
    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= 0 && *out <= COUNT_MAX;
}

bool account_read_amount(const json_t *object, const char *name, double *out) {
    const json_t *value = json_object_get(object, name);
    *out = json_number_value(value);
    return json_is_number(value) && *out >= 0 && *out <= 1e15;
}

static const char *parse(account_counts_t *c, const json_t *root, const caption_kind_t *kinds, int n_kinds) {
    for (int i = 0; i < N_ROWS; i++)
        if (!account_read_count(root, rows[i].name, row(c, i))) return rows[i].name;
    if (!account_read_amount(root, "usd", &c->usd)) return "usd";
    if (!account_read_amount(root, "seconds", &c->seconds)) return "seconds";
    for (int k = 0; k < n_kinds; k++) {
        const json_t *kind = json_object_get(json_object_get(root, "kinds"), kinds[k].name);
        for (int r = 0; kind && r < QUALITY_N; r++) {
            const char *name = quality_name((quality_reason)r);
            if (json_object_get(kind, name) && !account_read_count(kind, name, &c->by_kind[k][r])) return name;
        }
    }
    return NULL;
}

lens_status account_counts_parse(account_counts_t *c, json_t **root, const char *bytes, size_t n, const char *path,
                                 const caption_kind_t *kinds, int n_kinds) {
    json_error_t error;
    *c = (account_counts_t){0};
    json_t *file = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, &error);
    const char *wrong = json_is_object(file) ? parse(c, file, kinds, n_kinds) : NULL;
    lens_status st = LENS_OK;
    if (!json_is_object(file))
        st = lens_fail(LENS_FORMAT, "%s: expected a JSON object", path);
    else if (wrong)
        st = lens_fail(LENS_FORMAT, "%s: \"%s\": expected a number that is not negative", path, wrong);
    if (root) *root = st == LENS_OK ? json_incref(file) : NULL;
    json_decref(file);
    return st;
}

lens_status account_counts_read(account_counts_t *c, json_t **root, const char *path, const caption_kind_t *kinds,
                                int n_kinds) {
    char *bytes;
    size_t n;
    if (root) *root = NULL;
    LENS_TRY(file_read(&bytes, &n, path, FILE_MAX_BYTES));
    lens_status st = account_counts_parse(c, root, bytes, n, path, kinds, n_kinds);
    free(bytes);
    return st;
}
