#include "recaption/decisions.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/shard.h"
#include "recaption/decision_list.h"
#include "recaption/recaption_lock.h"
#include "recaption/words.h"

#define FILE_MAX_BYTES ((size_t)1 << 30)

/* A sample's record anew. */
typedef struct {
    const decision_t *by;
    str_t text, meta; /* owned */
} change_t;

typedef struct {
    const dataset_t *d;
    const char *dir, *path;
    decision_list_t list; /* sorted by kind, sample, number */
    change_t *changes;    /* [n_changes], in that order */
    size_t n_changes;
    decisions_result_t *result;
} apply_t;

/* ---- reading ---- */

static lens_status read_file(apply_t *a) {
    char *text;
    size_t n;
    LENS_TRY(file_read(&text, &n, a->path, FILE_MAX_BYTES));
    lens_status st = decision_list_parse(&a->list, text, n, a->path);
    free(text);
    LENS_TRY(st);
    for (size_t i = 0; i < a->list.n; i++) {
        const decision_t *r = &a->list.rows[i];
        if (!r->key && r->sample >= dataset_n_samples(a->d))
            return lens_fail(LENS_FORMAT, "%s:%" PRId64 ": sample: expected a key, or an index below %" PRId64, a->path,
                             r->number, dataset_n_samples(a->d));
        if (!dataset_has_kind(a->d, r->kind) || strcmp(r->kind, "alt") == 0)
            return lens_fail(LENS_FORMAT, "%s:%" PRId64 ": kind: the set has no caption layer '%.100s'", a->path,
                             r->number, r->kind);
    }
    return LENS_OK;
}

static int by_key(const void *a, const void *b) {
    const decision_t *x = a, *y = b;
    if (!x->key || !y->key) return (x->key != NULL) - (y->key != NULL);
    return strcmp(x->key, y->key);
}

static lens_status find_samples(apply_t *a) {
    decision_t *rows = a->list.rows;
    const size_t n = a->list.n;
    str_t key = {0};
    lens_status st = LENS_OK;
    if (n) qsort(rows, n, sizeof *rows, by_key);
    for (int64_t i = 0; n && rows[n - 1].key && i < dataset_n_samples(a->d); i++) {
        LENS_GO(dataset_key(a->d, i, &key));
        const decision_t wanted = {.key = str_text(&key)};
        decision_t *found = bsearch(&wanted, rows, n, sizeof *rows, by_key);
        if (!found) continue;
        while (found > rows && by_key(found - 1, &wanted) == 0) found--;
        for (; found < rows + n && by_key(found, &wanted) == 0; found++) found->sample = i;
    }
    for (size_t i = 0; i < n; i++)
        if (rows[i].sample < 0)
            LENS_GO(lens_fail(LENS_FORMAT, "%s:%" PRId64 ": the set has no sample '%.200s'", a->path, rows[i].number,
                              rows[i].key));
done:
    str_free(&key);
    return st;
}

static int by_place(const void *a, const void *b) {
    const decision_t *x = a, *y = b;
    const int kinds = strcmp(x->kind, y->kind);
    if (kinds) return kinds;
    if (x->sample != y->sample) return x->sample < y->sample ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

/* ---- one record ---- */

static void set(json_t *record, const char *name, const char *text) {
    json_object_set_new(record, name, json_string(text));
}

static void take_out(json_t *record, str_t *text) {
    if (text->len) {
        set(record, "status", "rejected");
        set(record, "raw", str_text(text));
        json_object_del(record, "words");
    }
    if (text->len || !json_object_get(record, "reason")) {
        set(record, "reason", "review");
        json_object_set_new(record, "value", json_integer(0));
    }
    str_clear(text);
}

static void put_in(json_t *record, str_t *text, const char *caption) {
    str_t chosen = {0};
    str_add(&chosen, caption); /* may lie in the record */
    const char *raw = json_string_value(json_object_get(record, "raw"));
    if (!raw && text->len && strcmp(str_text(text), caption) != 0) set(record, "raw", str_text(text));
    if (raw && strcmp(raw, str_text(&chosen)) == 0) json_object_del(record, "raw");
    json_object_del(record, "reason");
    json_object_del(record, "value");
    set(record, "status", "accepted");
    json_object_set_new(record, "words", json_integer(words_count(str_text(&chosen))));
    str_free(text);
    *text = chosen;
}

/* The new record in place of the old, of the decision `by`. */
static lens_status decide(const apply_t *a, const decision_t *by, json_t *record, str_t *text, str_t *meta) {
    const char *raw = json_string_value(json_object_get(record, "raw"));
    const char *caption = by->text ? by->text : text->len ? str_text(text) : raw;
    if (!caption || !*caption)
        return lens_fail(LENS_FORMAT, "%s:%" PRId64 ": there is no answer to %s", a->path, by->number,
                         decision_name(by->decision));
    if (by->decision == DECISION_REJECT)
        take_out(record, text);
    else
        put_in(record, text, caption);
    set(record, "by", "review");
    char *dump = json_dumps(record, JSON_COMPACT | JSON_REAL_PRECISION(9)); /* as the engine writes numbers */
    if (!dump) return lens_fail(LENS_MEMORY, "out of memory for the record of a caption");
    str_clear(meta);
    str_add(meta, dump);
    free(dump);
    LENS_TRY(str_status(text));
    return str_status(meta);
}

/* ---- all records ---- */

static void refuse(const apply_t *a, const decision_t *row) {
    a->result->n_refused++;
    printf("%s:%" PRId64 ": not applied: %s caption of sample %" PRId64 "%s%s has changed since it was judged\n",
           a->path, row->number, row->kind, row->sample, row->key ? ", " : "", row->key ? row->key : "");
}

/* Of rows[n], over one sample, the last whose text is still there, which supersedes those before; NULL: none. */
static const decision_t *choose(const apply_t *a, const decision_t *rows, size_t n, const json_t *record,
                                const str_t *text) {
    const char *raw = json_string_value(json_object_get(record, "raw"));
    const uint64_t now = decision_hash(text->len ? str_text(text) : raw ? raw : "");
    for (size_t i = n; i-- > 0;) {
        const bool is_done = rows[i].text && strcmp(rows[i].text, str_text(text)) == 0;
        if (!rows[i].has_of || rows[i].of == now || is_done) return &rows[i];
        refuse(a, &rows[i]);
    }
    return NULL;
}

static lens_status weigh(apply_t *a, const shard_t *layer, int64_t within, const decision_t *rows, size_t n) {
    change_t c = {0};
    str_t before = {0};
    json_t *record = NULL;
    lens_status st;
    LENS_GO(column_get(&layer->text, within, NULL, &c.text));
    LENS_GO(column_get(&layer->meta, within, NULL, &c.meta));
    str_add(&before, str_text(&c.text));
    LENS_GO(str_status(&before));
    record = json_loads(c.meta.len ? str_text(&c.meta) : "{}", 0, NULL);
    if (!json_is_object(record))
        LENS_GO(lens_fail(LENS_FORMAT, "%s: sample %" PRId64 ": the metadata is no JSON object", layer->path, within));
    c.by = choose(a, rows, n, record, &c.text);
    if (!c.by) goto done;
    json_t *old = json_deep_copy(record);
    if (!old) LENS_GO(lens_fail(LENS_MEMORY, "out of memory for the record of a caption"));
    st = decide(a, c.by, record, &c.text, &c.meta);
    const bool is_new = !json_equal(old, record) || strcmp(str_text(&before), str_text(&c.text)) != 0;
    json_decref(old);
    if (st != LENS_OK) goto done;
    int64_t *const counts[DECISION_N] = {&a->result->n_accepted, &a->result->n_rejected, &a->result->n_edited};
    if (is_new) {
        a->changes[a->n_changes++] = c;
        c = (change_t){0};
        ++*counts[a->changes[a->n_changes - 1].by->decision];
    } else {
        a->result->n_unchanged++;
    }
done:
    json_decref(record);
    str_free(&before);
    str_free(&c.text);
    str_free(&c.meta);
    return st;
}

static int64_t shard_of(const dataset_t *d, int64_t sample) {
    int64_t low = 0, high = dataset_n_shards(d) - 1;
    while (low < high) {
        const int64_t middle = (low + high + 1) / 2;
        if (dataset_shard_begin(d, middle) <= sample)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* What a run that was cut short has answered would come over what is decided here. */
static lens_status check_no_journal(const apply_t *a, int64_t shard) {
    str_t path = {0};
    str_addf(&path, "%s/.recaption/%s.journal", a->dir, dataset_shard_name(a->d, shard));
    lens_status st = str_status(&path);
    if (st == LENS_OK && file_exists(path.s))
        st = lens_fail(LENS_STATE, "%s: a run of lens recaption over this shard is not finished: finish it first",
                       path.s);
    str_free(&path);
    return st;
}

static lens_status open_layer(shard_t **out, const apply_t *a, int64_t shard, const char *kind) {
    const char *name = dataset_shard_name(a->d, shard);
    str_t path = {0};
    *out = NULL;
    str_addf(&path, "%s/%s/%s.h5", a->dir, kind, name);
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = shard_open(out, path.s);
    if (st == LENS_OK)
        st = shard_check_fit(*out, kind, name, dataset_shard_n_samples(a->d, shard), dataset_shard_hash(a->d, shard));
    str_free(&path);
    return st;
}

/* rows[n]: of one kind and shard. */
static lens_status weigh_shard(apply_t *a, int64_t shard, const decision_t *rows, size_t n) {
    shard_t *layer = NULL;
    lens_status st;
    LENS_GO(check_no_journal(a, shard));
    LENS_GO(open_layer(&layer, a, shard, rows[0].kind));
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && rows[end].sample == rows[i].sample; end++) continue;
        LENS_GO(weigh(a, layer, rows[i].sample - dataset_shard_begin(a->d, shard), &rows[i], end - i));
    }
done:
    shard_close(layer);
    return st;
}

static lens_status weigh_all(apply_t *a) {
    const decision_t *rows = a->list.rows;
    for (size_t i = 0, end; i < a->list.n; i = end) {
        const int64_t shard = shard_of(a->d, rows[i].sample);
        const int64_t after = dataset_shard_begin(a->d, shard) + dataset_shard_n_samples(a->d, shard);
        for (end = i + 1; end < a->list.n && strcmp(rows[end].kind, rows[i].kind) == 0; end++)
            if (rows[end].sample >= after) break;
        LENS_TRY(weigh_shard(a, shard, &rows[i], end - i));
    }
    return LENS_OK;
}

/* ---- writing ---- */

static lens_status add_samples(layer_writer_t *w, const shard_t *before, int64_t begin, const change_t *changes,
                               size_t n) {
    str_t text = {0}, meta = {0};
    lens_status st = LENS_OK;
    for (int64_t i = 0; i < before->n_samples; i++) {
        if (n && changes->by->sample == begin + i) {
            LENS_GO(layer_writer_add(w, str_text(&changes->text), str_text(&changes->meta)));
            changes++;
            n--;
            continue;
        }
        LENS_GO(column_get(&before->text, i, NULL, &text));
        LENS_GO(column_get(&before->meta, i, NULL, &meta));
        LENS_GO(layer_writer_add(w, str_text(&text), str_text(&meta)));
    }
done:
    str_free(&text);
    str_free(&meta);
    return st;
}

static lens_status rewrite(const apply_t *a, int64_t shard, const change_t *changes, size_t n) {
    const char *kind = changes->by->kind;
    str_t work = {0}, aside = {0};
    shard_t *before = NULL;
    layer_writer_t *w = NULL;
    lens_status st;
    str_addf(&work, "%s/.recaption", a->dir);
    str_addf(&aside, "%s/.recaption/%s/%s.h5", a->dir, kind, dataset_shard_name(a->d, shard));
    LENS_GO(str_status(&work));
    LENS_GO(str_status(&aside));
    LENS_GO(open_layer(&before, a, shard, kind));
    if (unlink(aside.s) != 0 && errno != ENOENT && errno != ENOTDIR)
        LENS_GO(lens_fail(LENS_IO, "%s: cannot remove: %s", aside.s, strerror(errno)));
    LENS_GO(layer_writer_open(&w, a->d, shard, work.s, kind, before->provenance));
    LENS_GO(add_samples(w, before, dataset_shard_begin(a->d, shard), changes, n));
    layer_writer_t *closing = w;
    w = NULL;
    LENS_GO(layer_writer_close(closing));
    LENS_GO(file_publish(aside.s, before->path));
done:
    layer_writer_abort(w);
    shard_close(before);
    str_free(&work);
    str_free(&aside);
    return st;
}

static lens_status write_all(const apply_t *a) {
    const change_t *c = a->changes;
    for (size_t i = 0, end; i < a->n_changes; i = end) {
        const int64_t shard = shard_of(a->d, c[i].by->sample);
        const int64_t after = dataset_shard_begin(a->d, shard) + dataset_shard_n_samples(a->d, shard);
        for (end = i + 1; end < a->n_changes && strcmp(c[end].by->kind, c[i].by->kind) == 0; end++)
            if (c[end].by->sample >= after) break;
        LENS_TRY(rewrite(a, shard, &c[i], end - i));
    }
    return LENS_OK;
}

lens_status decisions_apply(decisions_result_t *result, const dataset_t *d, const char *dir, const char *path) {
    apply_t a = {.d = d, .dir = dir, .path = path, .result = result};
    int lock;
    lens_status st;
    *result = (decisions_result_t){0};
    LENS_GO(recaption_lock(&lock, dir));
    LENS_GO(read_file(&a));
    LENS_GO(find_samples(&a));
    if (a.list.n) qsort(a.list.rows, a.list.n, sizeof *a.list.rows, by_place);
    a.changes = calloc(a.list.n ? a.list.n : 1, sizeof *a.changes);
    if (!a.changes) LENS_GO(lens_fail(LENS_MEMORY, "%s: out of memory for %zu decisions", path, a.list.n));
    LENS_GO(weigh_all(&a));
    LENS_GO(write_all(&a));
    printf("%s: %" PRId64 " accepted, %" PRId64 " rejected, %" PRId64 " edited, %" PRId64 " already so\n", dir,
           result->n_accepted, result->n_rejected, result->n_edited, result->n_unchanged);
    if (result->n_refused > 0)
        LENS_GO(lens_fail(LENS_STATE,
                          "%s: %" PRId64
                          " of %zu decisions were not applied: their captions have changed since; review these again",
                          path, result->n_refused, a.list.n));
done:
    recaption_unlock(lock, dir);
    for (size_t i = 0; i < a.n_changes; i++) {
        str_free(&a.changes[i].text);
        str_free(&a.changes[i].meta);
    }
    free(a.changes);
    decision_list_free(&a.list);
    return st;
}
