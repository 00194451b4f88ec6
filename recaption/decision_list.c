#include "recaption/decision_list.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

static const char *const names[DECISION_N] = {"accept", "reject", "edit"};

const char *decision_name(decision_kind k) {
    return names[k];
}

uint64_t decision_hash(const char *answer) {
    return XXH64(answer, strlen(answer), 0);
}

static bool read_hash(uint64_t *out, const char *text) {
    if (!text || strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16) return false;
    *out = strtoull(text, NULL, 16);
    return true;
}

static const char *string_of(const decision_t *row, const char *name) {
    return json_string_value(json_object_get(row->line, name));
}

/* What is wrong with the line; NULL: nothing. */
static const char *read_row(decision_t *row) {
    const json_t *sample = json_object_get(row->line, "sample"), *of = json_object_get(row->line, "of");
    const char *decision = string_of(row, "decision");
    row->decision = DECISION_N;
    for (int k = 0; decision && k < DECISION_N; k++)
        if (strcmp(names[k], decision) == 0) row->decision = (decision_kind)k;
    row->key = json_string_value(sample);
    row->sample = json_is_integer(sample) ? json_integer_value(sample) : -1;
    row->kind = string_of(row, "kind");
    row->text = row->decision == DECISION_EDIT ? string_of(row, "text") : NULL;
    row->has_of = of != NULL;
    if (!row->key && row->sample < 0) return "sample: expected a key or an index";
    if (!row->kind) return "kind: expected the name of a layer";
    if (row->decision == DECISION_N) return "decision: expected accept, reject or edit";
    if (row->decision == DECISION_EDIT && (!row->text || !*row->text)) return "text: expected the caption";
    if (of && !read_hash(&row->of, json_string_value(of))) return "of: expected 16 hexadecimal digits";
    return NULL;
}

static lens_status add_line(decision_list_t *list, const char *line, size_t n, int64_t number, const char *path) {
    if (list->n == list->cap) {
        const size_t cap = list->cap ? list->cap * 2 : 256;
        decision_t *rows = realloc(list->rows, cap * sizeof *rows);
        if (!rows) return lens_fail(LENS_MEMORY, "%s: out of memory for %zu decisions", path, cap);
        list->rows = rows;
        list->cap = cap;
    }
    json_error_t error;
    decision_t *row = &list->rows[list->n];
    *row = (decision_t){.line = json_loadb(line, n, JSON_REJECT_DUPLICATES, &error), .number = number};
    if (!row->line) return lens_fail(LENS_FORMAT, "%s:%" PRId64 ": %s", path, number, error.text);
    list->n++;
    const char *wrong = read_row(row);
    return wrong ? lens_fail(LENS_FORMAT, "%s:%" PRId64 ": %s", path, number, wrong) : LENS_OK;
}

static bool is_blank(const char *line, size_t n) {
    size_t i = 0;
    while (i < n && (line[i] == ' ' || line[i] == '\t' || line[i] == '\r')) i++;
    return i == n;
}

lens_status decision_list_parse(decision_list_t *out, const char *text, size_t n, const char *path) {
    *out = (decision_list_t){0};
    int64_t number = 1;
    for (const char *at = text, *end = text + n; at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const size_t length = (size_t)((stop ? stop : end) - at);
        if (!is_blank(at, length)) LENS_TRY(add_line(out, at, length, number, path));
        if (!stop) break;
        at = stop + 1;
    }
    return LENS_OK;
}

void decision_list_free(decision_list_t *list) {
    for (size_t i = 0; i < list->n; i++) json_decref(list->rows[i].line);
    free(list->rows);
    *list = (decision_list_t){0};
}
