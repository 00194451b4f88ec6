#include "recaption/recaption_shard.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/shard.h"

static lens_status path_in(str_t *out, const char *dir, const char *folder, const char *name, const char *extension) {
    str_clear(out);
    str_addf(out, "%s/%s/%s.%s", dir, folder, name, extension);
    return str_status(out);
}

static lens_status remove_file(const char *path) {
    if (unlink(path) == 0 || errno == ENOENT) return LENS_OK;
    return lens_fail(LENS_IO, "%s: cannot remove: %s", path, strerror(errno));
}

/* ---- what is to be done ---- */

bool recaption_shard_wanted(const dataset_t *d, int64_t shard, const recaption_options_t *o) {
    if (o->limit > 0 && dataset_shard_begin(d, shard) >= o->limit) return false;
    for (int k = 0; k < o->n_kinds; k++)
        if (layer_shard_exists(d, shard, o->dir, o->kinds[k].name) == o->only_rejected) return true;
    return false;
}

int64_t recaption_meta_integer(const char *meta, const char *name) {
    json_t *object = json_loads(meta, 0, NULL);
    const int64_t value = json_integer_value(json_object_get(object, name));
    json_decref(object);
    return value;
}

/* What an answer depends on: the captioner's provenance, and the gate. */
static lens_status add_provenance(str_t *json, const captioner_t *c, int kind, const recaption_options_t *o) {
    uint64_t gate;
    LENS_TRY(quality_options_hash(&gate, &o->quality));
    LENS_TRY(captioner_provenance(c, kind, json));
    json->s[--json->len] = '\0'; /* the closing brace */
    str_addf(json, ",\"gate\":\"%016" PRIx64 "\"}", gate);
    return str_status(json);
}

/* What a pass of --only-rejected leaves in the layer's provenance. */
static lens_status pass_provenance(json_t **out, const captioner_t *c, int kind, const recaption_options_t *o) {
    str_t text = {0};
    *out = NULL;
    lens_status st = add_provenance(&text, c, kind, o);
    if (st == LENS_OK) *out = json_loads(str_text(&text), 0, NULL);
    if (st == LENS_OK && (!*out || json_object_set_new(*out, "attempts", json_integer(o->max_attempts)) != 0))
        st = lens_fail(LENS_MEMORY, "out of memory for the provenance");
    str_free(&text);
    return st;
}

static bool was_last_pass(const shard_t *layer, const json_t *pass) {
    json_t *provenance = json_loads(layer->provenance ? layer->provenance : "{}", 0, NULL);
    const json_t *again = json_object_get(provenance, "again");
    const bool was = json_array_size(again) > 0 && json_equal(json_array_get(again, json_array_size(again) - 1), pass);
    json_decref(provenance);
    return was;
}

/* The same pass was the last one here (it may have been cut short between this layer and the next): its rejects stay.
 */
static lens_status pass_is_done(bool *done, const shard_t *layer, const captioner_t *c, int kind,
                                const recaption_options_t *o) {
    json_t *now;
    lens_status st = pass_provenance(&now, c, kind, o);
    *done = st == LENS_OK && was_last_pass(layer, now);
    json_decref(now);
    return st;
}

static bool is_by_review(const char *meta) {
    json_t *object = json_loads(meta, 0, NULL);
    const char *by = json_string_value(json_object_get(object, "by"));
    const bool is = by && strcmp(by, "review") == 0;
    json_decref(object);
    return is;
}

static void want_not(tasks_t *t, int kind) {
    for (int64_t i = 0; i < t->n; i++) tasks_at(t, i, kind)->state = TASK_KEPT;
    t->by_kind[kind].wanted = false;
    t->by_kind[kind].settled = true;
    t->by_kind[kind].n_waiting = 0;
}

static lens_status open_layer(shard_t **out, const tasks_t *t, int kind, const recaption_options_t *o) {
    str_t path = {0};
    *out = NULL;
    lens_status st = path_in(&path, o->dir, t->kinds[kind].name, dataset_shard_name(t->dataset, t->shard), "h5");
    if (st == LENS_OK) st = shard_open(out, path.s);
    if (st == LENS_OK)
        st = shard_check_fit(*out, t->kinds[kind].name, dataset_shard_name(t->dataset, t->shard), t->n,
                             dataset_shard_hash(t->dataset, t->shard));
    str_free(&path);
    return st;
}

/* Keeps what the layer accepted; what it rejected is open, its attempts counted on so that its seeds are new. */
static lens_status want_rejects(tasks_t *t, int kind, const captioner_t *c, const recaption_options_t *o) {
    shard_t *layer = NULL;
    str_t text = {0}, meta = {0};
    bool done;
    lens_status st;
    LENS_GO(open_layer(&layer, t, kind, o));
    LENS_GO(pass_is_done(&done, layer, c, kind, o));
    for (int64_t i = 0; i < t->n; i++) {
        LENS_GO(column_get(&layer->text, i, NULL, &text));
        LENS_GO(column_get(&layer->meta, i, NULL, &meta));
        if (text.len || (done && !is_by_review(str_text(&meta)))) {
            LENS_GO(tasks_keep(t, i, kind, str_text(&text)));
            continue;
        }
        const int64_t before = recaption_meta_integer(str_text(&meta), "attempts");
        task_t *task = tasks_at(t, i, kind);
        task->attempts = task->attempts_before = before >= 0 && before < INT32_MAX / 4 ? (int32_t)before : 0;
    }
    if (t->by_kind[kind].n_waiting == 0) want_not(t, kind);
    t->by_kind[kind].replaces = true;
done:
    shard_close(layer);
    str_free(&text);
    str_free(&meta);
    return st;
}

static lens_status choose(tasks_t *t, const captioner_t *c, const recaption_options_t *o) {
    for (int k = 0; k < t->n_kinds; k++) {
        const bool exists = layer_shard_exists(t->dataset, t->shard, o->dir, t->kinds[k].name);
        if (exists != o->only_rejected)
            want_not(t, k);
        else if (exists)
            LENS_TRY(want_rejects(t, k, c, o));
    }
    for (int64_t i = 0; o->limit > 0 && i < t->n; i++)
        for (int k = 0; k < t->n_kinds && t->begin + i >= o->limit; k++) {
            task_t *task = tasks_at(t, i, k);
            if (task->state == TASK_OPEN) task->state = TASK_LATER;
        }
    return LENS_OK;
}

/* ---- the journal's settings ---- */

static lens_status settings_of(str_t *out, const dataset_t *d, int64_t shard, const captioner_t *c,
                               const recaption_options_t *o) {
    str_addf(out, "{\"shard\":\"%s\",\"base\":\"%016" PRIx64 "\",\"samples\":%" PRId64 ",\"attempts\":%d",
             dataset_shard_name(d, shard), dataset_shard_hash(d, shard), dataset_shard_n_samples(d, shard),
             o->max_attempts);
    str_addf(out, ",\"only_rejected\":%s,\"kinds\":{", o->only_rejected ? "true" : "false");
    for (int k = 0; k < o->n_kinds; k++) {
        str_addf(out, "%s\"%s\":{\"min_words\":%" PRId64 ",\"max_words\":%" PRId64 ",\"by\":", k ? "," : "",
                 o->kinds[k].name, o->kinds[k].min_words, o->kinds[k].max_words);
        LENS_TRY(add_provenance(out, c, k, o));
        str_add_char(out, '}');
    }
    str_add(out, "}}");
    return str_status(out);
}

static lens_status journal_path_of(str_t *out, const dataset_t *d, int64_t shard, const recaption_options_t *o) {
    return path_in(out, o->dir, ".recaption", dataset_shard_name(d, shard), "journal");
}

/* What people have rejected since its last pass. */
static lens_status has_new_rejects(bool *has, const shard_t *layer) {
    str_t text = {0}, meta = {0};
    lens_status st = LENS_OK;
    *has = false;
    for (int64_t i = 0; i < layer->n_samples && !*has; i++) {
        LENS_GO(column_get(&layer->text, i, NULL, &text));
        LENS_GO(column_get(&layer->meta, i, NULL, &meta));
        *has = text.len == 0 && is_by_review(str_text(&meta));
    }
done:
    str_free(&text);
    str_free(&meta);
    return st;
}

/* Whether the layer of this kind is what the journal's run was to leave. `by`: the kind's row in the journal. */
static lens_status is_written(bool *written, const dataset_t *d, int64_t shard, const char *kind, const json_t *by,
                              const json_t *settings, const recaption_options_t *o) {
    *written = layer_shard_exists(d, shard, o->dir, kind);
    if (!*written || !json_is_true(json_object_get(settings, "only_rejected"))) return LENS_OK;
    str_t path = {0};
    shard_t *layer = NULL;
    lens_status st = path_in(&path, o->dir, kind, dataset_shard_name(d, shard), "h5");
    if (st == LENS_OK) st = shard_open(&layer, path.s);
    json_t *pass = json_deep_copy(by);
    if (pass) json_object_set(pass, "attempts", json_object_get(settings, "attempts"));
    *written = st == LENS_OK && pass && was_last_pass(layer, pass);
    bool has_new = false;
    if (*written) st = has_new_rejects(&has_new, layer);
    *written &= !has_new;
    json_decref(pass);
    shard_close(layer);
    str_free(&path);
    return st;
}

/* A run was cut short between its last layer and the end of its journal: nothing in that is open. */
static lens_status is_over(bool *over, const dataset_t *d, int64_t shard, const char *journal,
                           const recaption_options_t *o) {
    str_t text = {0};
    const char *kind;
    json_t *row;
    lens_status st = journal_settings(&text, journal);
    json_t *settings = json_loads(str_text(&text), 0, NULL), *kinds = json_object_get(settings, "kinds");
    *over = st == LENS_OK && json_object_size(kinds) > 0;
    json_object_foreach(kinds, kind, row) {
        if (!*over || st != LENS_OK) break;
        st = is_written(over, d, shard, kind, json_object_get(row, "by"), settings, o);
    }
    json_decref(settings);
    str_free(&text);
    return st;
}

lens_status recaption_shard_check(const dataset_t *d, int64_t shard, const captioner_t *c,
                                  const recaption_options_t *o) {
    str_t path = {0}, settings = {0};
    bool over;
    lens_status st;
    LENS_GO(journal_path_of(&path, d, shard, o));
    if (!file_exists(path.s)) goto done;
    LENS_GO(is_over(&over, d, shard, path.s, o));
    if (over) {
        st = remove_file(path.s);
    } else if (recaption_shard_wanted(d, shard, o)) {
        LENS_GO(settings_of(&settings, d, shard, c, o));
        st = journal_check(path.s, settings.s);
    }
done:
    str_free(&path);
    str_free(&settings);
    return st;
}

lens_status recaption_shard_open(tasks_t *out, const dataset_t *d, int64_t shard, const captioner_t *c,
                                 const recaption_options_t *o) {
    str_t path = {0}, settings = {0};
    LENS_TRY(tasks_init(out, d, shard, o->kinds, o->n_kinds, c->type->unique, o->max_attempts));
    lens_status st;
    LENS_GO(choose(out, c, o));
    LENS_GO(settings_of(&settings, d, shard, c, o));
    LENS_GO(journal_path_of(&path, d, shard, o));
    if (o->restart) LENS_GO(remove_file(path.s));
    LENS_GO(tasks_open_journal(out, path.s, settings.s));
done:
    if (st != LENS_OK) tasks_free(out);
    str_free(&path);
    str_free(&settings);
    return st;
}

/* ---- layers ---- */

/* The layer's provenance, and which pass this one is: 0 the first. */
static lens_status provenance_of(str_t *out, int *pass, const captioner_t *c, int kind, const recaption_options_t *o,
                                 const shard_t *before) {
    *pass = 0;
    if (!before) return add_provenance(out, c, kind, o);
    json_t *now, *all = json_loads(before->provenance ? before->provenance : "{}", 0, NULL);
    lens_status st = pass_provenance(&now, c, kind, o);
    if (st == LENS_OK && !json_is_object(all))
        st = lens_fail(LENS_FORMAT, "%s: the provenance is no JSON object", before->path);
    if (st == LENS_OK && !json_object_get(all, "again")) json_object_set_new(all, "again", json_array());
    json_t *again = json_object_get(all, "again");
    if (st == LENS_OK && json_array_append(again, now) != 0) st = lens_fail(LENS_MEMORY, "out of memory");
    *pass = (int)json_array_size(again);
    char *text = st == LENS_OK ? json_dumps(all, JSON_COMPACT) : NULL;
    if (st == LENS_OK && !text) st = lens_fail(LENS_MEMORY, "out of memory for the provenance");
    if (text) str_add(out, text);
    free(text);
    json_decref(now);
    json_decref(all);
    return st == LENS_OK ? str_status(out) : st;
}

static lens_status result_of(const tasks_t *t, int64_t within, int kind, int pass, str_t *text, str_t *meta,
                             recaption_counts_t *counts) {
    const task_t *task = tasks_at(t, within, kind);
    int64_t n_words;
    LENS_TRY(tasks_result(t, within, kind, text, meta, &n_words));
    if (pass) {
        meta->s[--meta->len] = '\0'; /* the closing brace */
        str_addf(meta, ",\"again\":%d}", pass);
        LENS_TRY(str_status(meta));
    }
    counts->n_by_reason[task->reason]++;
    counts->n_words += n_words;
    counts->n_retried += task->attempts - task->attempts_before > 1;
    return LENS_OK;
}

static lens_status add_all(layer_writer_t *w, const tasks_t *t, int kind, const shard_t *before, int pass,
                           recaption_counts_t *counts) {
    str_t text = {0}, meta = {0};
    lens_status st = LENS_OK;
    for (int64_t i = 0; i < t->n; i++) {
        if (tasks_at(t, i, kind)->state == TASK_KEPT) {
            LENS_GO(column_get(&before->text, i, NULL, &text));
            LENS_GO(column_get(&before->meta, i, NULL, &meta));
        } else {
            LENS_GO(result_of(t, i, kind, pass, &text, &meta, counts));
        }
        LENS_GO(layer_writer_add(w, str_text(&text), str_text(&meta)));
    }
done:
    str_free(&text);
    str_free(&meta);
    return st;
}

/* A layer that is there already is written aside and replaced by renaming. */
static lens_status write_kind(const tasks_t *t, int kind, const captioner_t *c, const recaption_options_t *o,
                              recaption_counts_t *counts) {
    const char *name = t->kinds[kind].name, *shard = dataset_shard_name(t->dataset, t->shard);
    const bool replaces = t->by_kind[kind].replaces;
    str_t dir = {0}, path = {0}, aside = {0}, provenance = {0};
    shard_t *before = NULL;
    layer_writer_t *w = NULL;
    int pass;
    lens_status st;
    str_addf(&dir, "%s%s", o->dir, replaces ? "/.recaption" : "");
    LENS_GO(path_in(&path, o->dir, name, shard, "h5"));
    LENS_GO(str_status(&dir));
    LENS_GO(path_in(&aside, dir.s, name, shard, "h5"));
    if (replaces) {
        LENS_GO(open_layer(&before, t, kind, o));
        LENS_GO(remove_file(aside.s));
    }
    LENS_GO(provenance_of(&provenance, &pass, c, kind, o, before));
    LENS_GO(layer_writer_open(&w, t->dataset, t->shard, dir.s, name, str_text(&provenance)));
    LENS_GO(add_all(w, t, kind, before, pass, counts));
    layer_writer_t *closing = w;
    w = NULL;
    LENS_GO(layer_writer_close(closing));
    if (replaces) LENS_GO(file_publish(aside.s, path.s));
done:
    layer_writer_abort(w);
    shard_close(before);
    str_free(&dir);
    str_free(&path);
    str_free(&aside);
    str_free(&provenance);
    return st;
}

lens_status recaption_shard_write(tasks_t *t, const captioner_t *c, const recaption_options_t *o,
                                  recaption_result_t *result) {
    bool any = false;
    for (int k = 0; k < t->n_kinds; k++) {
        if (!t->by_kind[k].wanted) continue;
        LENS_TRY(write_kind(t, k, c, o, &result->by_kind[k]));
        any = true;
    }
    result->n_shards_written += any;
    result->n_shards_skipped += !any;
    result->n_samples += any ? t->n : 0;
    str_t path = {0};
    lens_status st = journal_path_of(&path, t->dataset, t->shard, o);
    if (st == LENS_OK) st = remove_file(path.s);
    str_free(&path);
    return st;
}
