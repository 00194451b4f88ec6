#include "recaption/task.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

task_t *tasks_at(const tasks_t *t, int64_t within, int kind) {
    return &t->tasks[within * t->n_kinds + kind];
}

lens_status tasks_init(tasks_t *out, const dataset_t *d, int64_t shard, const caption_kind_t *kinds, int n_kinds,
                       bool unique, int max_attempts) {
    *out = (tasks_t){.dataset = d,
                     .shard = shard,
                     .begin = dataset_shard_begin(d, shard),
                     .n = dataset_shard_n_samples(d, shard),
                     .n_kinds = n_kinds,
                     .kinds = kinds,
                     .unique = unique,
                     .max_attempts = max_attempts};
    const size_t n = (size_t)out->n;
    out->by_kind = calloc((size_t)n_kinds, sizeof *out->by_kind);
    out->tasks = calloc(n * (size_t)n_kinds + 1, sizeof *out->tasks);
    out->content = calloc(n + 1, sizeof *out->content);
    lens_status st = out->by_kind && out->tasks && out->content
                         ? dataset_shard_sizes(d, shard, NULL, NULL, out->content)
                         : lens_fail(LENS_MEMORY, "out of memory for %" PRId64 " captions", out->n);
    if (st != LENS_OK) {
        tasks_free(out);
        return st;
    }
    for (int k = 0; k < n_kinds; k++) out->by_kind[k] = (task_kind_t){.wanted = true, .n_waiting = out->n};
    for (int64_t i = 0; i < out->n * n_kinds; i++) out->tasks[i].twin = -1;
    return LENS_OK;
}

void tasks_free(tasks_t *t) {
    for (int k = 0; t->by_kind && k < t->n_kinds; k++) caption_set_free(&t->by_kind[k].captions);
    journal_close(t->journal);
    free(t->by_kind);
    free(t->tasks);
    free(t->content);
    free(t->turned_down);
    *t = (tasks_t){0};
}

lens_status tasks_keep(tasks_t *t, int64_t within, int kind, const char *text) {
    task_t *task = tasks_at(t, within, kind);
    if (*text && t->unique)
        LENS_TRY(caption_set_add(&t->by_kind[kind].captions, caption_hash(text), t->begin + within));
    task->state = TASK_KEPT;
    t->by_kind[kind].n_waiting--;
    return LENS_OK;
}

/* ---- an answer counts ---- */

static lens_status turn_down(tasks_t *t, task_t *task, quality_reason reason, double value) {
    if (t->n_turned_down == t->cap_turned_down) {
        const int64_t cap = t->cap_turned_down ? 2 * (int64_t)t->cap_turned_down : 64;
        turned_down_t *rows = cap <= INT32_MAX ? realloc(t->turned_down, (size_t)cap * sizeof *rows) : NULL;
        if (!rows) return lens_fail(LENS_MEMORY, "out of memory for %" PRId64 " answers that were turned down", cap);
        t->turned_down = rows;
        t->cap_turned_down = (int32_t)cap;
    }
    t->turned_down[t->n_turned_down++] =
        (turned_down_t){.value = value, .before = task->turned_down, .reason = (uint8_t)reason};
    task->turned_down = t->n_turned_down;
    return LENS_OK;
}

/* Two pictures share a caption only where their files are equal. */
static lens_status compare_one(tasks_t *t, int64_t within, int kind) {
    task_t *task = tasks_at(t, within, kind);
    task_kind_t *of_kind = &t->by_kind[kind];
    task->state = TASK_SETTLED;
    if (!t->unique || task->reason != QUALITY_ACCEPTED) return LENS_OK;
    const int64_t other = caption_set_find(&of_kind->captions, task->said);
    if (other < 0) return caption_set_add(&of_kind->captions, task->said, t->begin + within);
    if (t->content[other - t->begin] == t->content[within]) return LENS_OK;
    task->reason = QUALITY_DUPLICATE;
    task->twin = other;
    if (task->attempts - task->attempts_before >= t->max_attempts) return LENS_OK;
    LENS_TRY(turn_down(t, task, QUALITY_DUPLICATE, (double)other));
    task->state = TASK_OPEN;
    of_kind->n_waiting++;
    if (within < t->next) t->next = within;
    return LENS_OK;
}

static lens_status compare_if_complete(tasks_t *t, int kind) {
    task_kind_t *of_kind = &t->by_kind[kind];
    if (of_kind->n_waiting > 0 || of_kind->settled) return LENS_OK;
    for (int64_t i = 0; i < t->n; i++)
        if (tasks_at(t, i, kind)->state == TASK_ANSWERED) LENS_TRY(compare_one(t, i, kind));
    of_kind->settled = of_kind->n_waiting == 0;
    return LENS_OK;
}

static lens_status count(tasks_t *t, const task_answer_t *a, uint64_t offset) {
    task_t *task = tasks_at(t, a->within, a->kind);
    task->attempts = a->attempts;
    if (a->turned_down) return turn_down(t, task, a->verdict.reason, a->verdict.value);
    task->offset = offset;
    task->reason = (uint8_t)a->verdict.reason;
    task->said = a->verdict.reason == QUALITY_ACCEPTED ? caption_hash(a->text) : 0;
    task->twin = -1;
    task->state = TASK_ANSWERED;
    t->by_kind[a->kind].n_waiting--;
    return compare_if_complete(t, a->kind);
}

/* ---- records ---- */

static void add_text(str_t *json, const char *name, const char *text) {
    str_addf(json, ",\"%s\":", name);
    str_add_json(json, text, strlen(text));
}

static lens_status write_record(str_t *json, const tasks_t *t, const task_answer_t *a) {
    str_addf(json, "{\"sample\":%" PRId64 ",\"attempts\":%d,\"words\":%" PRId64 ",\"value\":%.9g", a->within,
             (int)a->attempts, a->verdict.n_words, a->verdict.value);
    add_text(json, "kind", t->kinds[a->kind].name);
    add_text(json, "reason", quality_name(a->verdict.reason));
    add_text(json, "text", a->text);
    if (a->turned_down) str_add(json, ",\"turned_down\":true");
    quality_add_json(json, &a->verdict);
    if (*a->message) add_text(json, "message", a->message);
    if (a->details && *a->details) str_addf(json, ",\"details\":%s", a->details);
    str_add_char(json, '}');
    return str_status(json);
}

lens_status tasks_record(tasks_t *t, const task_answer_t *a) {
    str_t json = {0};
    uint64_t offset;
    lens_status st = write_record(&json, t, a);
    if (st == LENS_OK) st = journal_append(t->journal, str_text(&json), json.len, &offset);
    if (st == LENS_OK) st = count(t, a, offset);
    str_free(&json);
    return st;
}

static int find_kind(const tasks_t *t, const char *name) {
    for (int k = 0; name && k < t->n_kinds; k++)
        if (strcmp(t->kinds[k].name, name) == 0) return k;
    return -1;
}

/* Strings are borrowed from the record. */
static lens_status read_record(task_answer_t *out, const tasks_t *t, const json_t *record) {
    const json_t *sample = json_object_get(record, "sample"), *attempts = json_object_get(record, "attempts");
    const json_t *words = json_object_get(record, "words"), *value = json_object_get(record, "value");
    const char *message = json_string_value(json_object_get(record, "message"));
    const int reason = quality_find(json_string_value(json_object_get(record, "reason")));
    *out = (task_answer_t){.within = json_integer_value(sample),
                           .kind = find_kind(t, json_string_value(json_object_get(record, "kind"))),
                           .attempts = (int32_t)json_integer_value(attempts),
                           .turned_down = json_is_true(json_object_get(record, "turned_down")),
                           .text = json_string_value(json_object_get(record, "text")),
                           .message = message ? message : ""};
    const json_int_t n = json_integer_value(attempts);
    if (!json_is_integer(sample) || !json_is_integer(attempts) || !json_is_integer(words) || !json_is_number(value) ||
        out->within < 0 || out->within >= t->n || out->kind < 0 || reason < 0 || n < 0 || n > INT32_MAX / 2 ||
        !out->text || (out->turned_down && reason == QUALITY_ACCEPTED))
        return lens_fail(LENS_FORMAT, "a record is malformed");
    out->verdict = (quality_t){
        .reason = (quality_reason)reason, .value = json_number_value(value), .n_words = json_integer_value(words)};
    return quality_read_json(&out->verdict, record);
}

static lens_status parse(json_t **out, const char *payload, size_t n) {
    json_error_t error;
    *out = json_loadb(payload, n, JSON_REJECT_DUPLICATES, &error);
    return *out ? LENS_OK : lens_fail(LENS_FORMAT, "a record is no JSON: %s", error.text);
}

lens_status tasks_apply(tasks_t *t, const char *payload, size_t n, uint64_t offset) {
    json_t *record;
    task_answer_t a;
    LENS_TRY(parse(&record, payload, n));
    lens_status st = read_record(&a, t, record);
    if (st == LENS_OK && t->by_kind[a.kind].wanted) {
        const task_t *task = tasks_at(t, a.within, a.kind);
        if (task->state != TASK_OPEN && task->state != TASK_LATER)
            st = lens_fail(LENS_FORMAT, "sample %" PRId64 " has a second answer", a.within);
        else if (a.attempts < task->attempts + a.turned_down)
            st = lens_fail(LENS_FORMAT, "sample %" PRId64 ": attempt %d after %d", a.within, (int)a.attempts,
                           (int)task->attempts);
        else
            st = count(t, &a, offset);
    }
    json_decref(record);
    return st;
}

static lens_status visit(void *context, const char *payload, size_t n, uint64_t offset) {
    return tasks_apply(context, payload, n, offset);
}

lens_status tasks_open_journal(tasks_t *t, const char *path, const char *settings) {
    for (int k = 0; k < t->n_kinds; k++) LENS_TRY(compare_if_complete(t, k));
    return journal_open(&t->journal, path, settings, visit, t);
}

/* ---- what is left, and what came of it ---- */

bool tasks_next(tasks_t *t, int64_t *within, uint32_t *kinds) {
    for (; t->next < t->n; t->next++) {
        *kinds = 0;
        for (int k = 0; k < t->n_kinds; k++) {
            task_t *task = tasks_at(t, t->next, k);
            if (task->state != TASK_OPEN) continue;
            task->state = TASK_ASKED;
            *kinds |= 1u << k;
        }
        if (!*kinds) continue;
        *within = t->next++;
        return true;
    }
    return false;
}

bool tasks_settled(const tasks_t *t) {
    for (int k = 0; k < t->n_kinds; k++)
        if (!t->by_kind[k].settled) return false;
    return true;
}

/* From the first attempt on; the rows are linked from the last. */
static lens_status add_turned_down(str_t *meta, const tasks_t *t, const task_t *task) {
    size_t n = 0;
    for (int32_t at = task->turned_down; at; at = t->turned_down[at - 1].before) n++;
    if (n == 0) return LENS_OK;
    const turned_down_t **rows = malloc(n * sizeof *rows);
    if (!rows) return lens_fail(LENS_MEMORY, "out of memory for an answer's record");
    size_t i = n;
    for (int32_t at = task->turned_down; at; at = rows[i]->before) rows[--i] = &t->turned_down[at - 1];
    str_add(meta, ",\"turned_down\":[");
    for (i = 0; i < n; i++)
        str_addf(meta, "%s{\"reason\":\"%s\",\"value\":%.9g}", i ? "," : "",
                 quality_name((quality_reason)rows[i]->reason), rows[i]->value);
    str_add_char(meta, ']');
    free(rows);
    return LENS_OK;
}

static lens_status add_meta(str_t *meta, const tasks_t *t, const task_t *task, const task_answer_t *a,
                            const json_t *details) {
    if (task->reason == QUALITY_ACCEPTED) {
        str_addf(meta, "{\"status\":\"accepted\",\"attempts\":%d,\"words\":%" PRId64, (int)task->attempts,
                 a->verdict.n_words);
    } else {
        str_addf(meta, "{\"status\":\"rejected\",\"reason\":\"%s\",\"value\":%.9g,\"attempts\":%d",
                 quality_name((quality_reason)task->reason), task->twin >= 0 ? (double)task->twin : a->verdict.value,
                 (int)task->attempts);
        add_text(meta, "raw", a->text);
    }
    LENS_TRY(add_turned_down(meta, t, task));
    quality_add_json(meta, &a->verdict);
    if (*a->message) add_text(meta, "message", a->message);
    if (details) {
        char *text = json_dumps(details, JSON_COMPACT);
        if (!text) return lens_fail(LENS_MEMORY, "out of memory for an answer's details");
        str_addf(meta, ",\"details\":%s", text);
        free(text);
    }
    str_add_char(meta, '}');
    return str_status(meta);
}

lens_status tasks_result(const tasks_t *t, int64_t within, int kind, str_t *text, str_t *meta, int64_t *n_words) {
    const task_t *task = tasks_at(t, within, kind);
    str_t payload = {0};
    json_t *record = NULL;
    task_answer_t a;
    lens_status st;
    str_clear(text);
    str_clear(meta);
    LENS_GO(journal_read(t->journal, task->offset, &payload));
    LENS_GO(parse(&record, str_text(&payload), payload.len));
    LENS_GO(read_record(&a, t, record));
    if (a.within != within || a.kind != kind) LENS_GO(lens_fail(LENS_FORMAT, "a record is of another sample"));
    LENS_GO(add_meta(meta, t, task, &a, json_object_get(record, "details")));
    *n_words = task->reason == QUALITY_ACCEPTED ? a.verdict.n_words : 0;
    if (task->reason == QUALITY_ACCEPTED) str_add(text, a.text);
    LENS_GO(str_status(text));
done:
    json_decref(record);
    str_free(&payload);
    return lens_context(st, "%s", t->journal ? journal_path(t->journal) : "journal");
}
