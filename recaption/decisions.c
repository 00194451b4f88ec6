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
#include "recaption/recaption_lock.h"
#include "recaption/words.h"

#define FILE_MAX_BYTES ((size_t)1 << 30)

typedef enum { ACCEPT, REJECT, EDIT, N_DECISIONS } decision_kind;
static const char *const names[N_DECISIONS] = {"accept", "reject", "edit"};

typedef struct {
    json_t *line; /* owned; the strings are in it */
    const char *key, *kind, *text;
    decision_kind decision;
    int64_t sample, number; /* number: of its line */
} decision_t;

typedef struct {
    decision_t *rows; /* sorted by kind, sample, number */
    size_t n, cap;
    int64_t n_done[N_DECISIONS];
} decisions_t;

static void decisions_free(decisions_t *all) {
    for (size_t i = 0; i < all->n; i++) json_decref(all->rows[i].line);
    free(all->rows);
}

/* ---- reading ---- */

static lens_status read_line(decision_t *out, const dataset_t *d, const char *path) {
    const json_t *sample = json_object_get(out->line, "sample");
    const char *decision = json_string_value(json_object_get(out->line, "decision"));
    out->kind = json_string_value(json_object_get(out->line, "kind"));
    out->text = json_string_value(json_object_get(out->line, "text"));
    out->key = json_string_value(sample);
    out->sample = json_is_integer(sample) ? json_integer_value(sample) : -1;
    out->decision = N_DECISIONS;
    for (int k = 0; decision && k < N_DECISIONS; k++)
        if (strcmp(names[k], decision) == 0) out->decision = (decision_kind)k;
    if (!out->key && (out->sample < 0 || out->sample >= dataset_n_samples(d)))
        return lens_fail(LENS_FORMAT, "%s:%" PRId64 ": sample: expected a key, or an index below %" PRId64, path,
                         out->number, dataset_n_samples(d));
    if (!out->kind || !dataset_has_kind(d, out->kind) || strcmp(out->kind, "alt") == 0)
        return lens_fail(LENS_FORMAT, "%s:%" PRId64 ": kind: expected a layer of the set", path, out->number);
    if (out->decision == N_DECISIONS)
        return lens_fail(LENS_FORMAT, "%s:%" PRId64 ": decision: expected accept, reject or edit", path, out->number);
    if (out->decision == EDIT && (!out->text || !*out->text))
        return lens_fail(LENS_FORMAT, "%s:%" PRId64 ": text: expected the caption", path, out->number);
    return LENS_OK;
}

static lens_status add_line(decisions_t *all, const dataset_t *d, const char *line, size_t n, int64_t number,
                            const char *path) {
    if (all->n == all->cap) {
        const size_t cap = all->cap ? all->cap * 2 : 256;
        decision_t *rows = realloc(all->rows, cap * sizeof *rows);
        if (!rows) return lens_fail(LENS_MEMORY, "%s: out of memory for %zu decisions", path, cap);
        all->rows = rows;
        all->cap = cap;
    }
    json_error_t error;
    decision_t *row = &all->rows[all->n];
    *row = (decision_t){.line = json_loadb(line, n, JSON_REJECT_DUPLICATES, &error), .number = number};
    if (!row->line) return lens_fail(LENS_FORMAT, "%s:%" PRId64 ": %s", path, number, error.text);
    all->n++;
    return read_line(row, d, path);
}

static lens_status read_all(decisions_t *all, const dataset_t *d, const char *path) {
    char *text;
    size_t n;
    int64_t number = 1;
    LENS_TRY(file_read(&text, &n, path, FILE_MAX_BYTES));
    lens_status st = LENS_OK;
    for (char *at = text, *end = text + n; at < end && st == LENS_OK; number++) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        if (stop > at) st = add_line(all, d, at, (size_t)(stop - at), number, path);
        at = stop + 1;
    }
    free(text);
    return st;
}

/* ---- keys ---- */

static int by_key(const void *a, const void *b) {
    const decision_t *x = a, *y = b;
    if (!x->key || !y->key) return (x->key != NULL) - (y->key != NULL);
    return strcmp(x->key, y->key);
}

static lens_status find_samples(decisions_t *all, const dataset_t *d, const char *path) {
    str_t key = {0};
    lens_status st = LENS_OK;
    if (all->n) qsort(all->rows, all->n, sizeof *all->rows, by_key);
    for (int64_t i = 0; all->n && all->rows[all->n - 1].key && i < dataset_n_samples(d); i++) {
        LENS_GO(dataset_key(d, i, &key));
        const decision_t wanted = {.key = str_text(&key)};
        decision_t *found = bsearch(&wanted, all->rows, all->n, sizeof *all->rows, by_key);
        if (!found) continue;
        while (found > all->rows && by_key(found - 1, &wanted) == 0) found--;
        for (; found < all->rows + all->n && by_key(found, &wanted) == 0; found++) found->sample = i;
    }
    for (size_t i = 0; i < all->n; i++)
        if (all->rows[i].sample < 0)
            LENS_GO(lens_fail(LENS_FORMAT, "%s:%" PRId64 ": the set has no sample '%.200s'", path, all->rows[i].number,
                              all->rows[i].key));
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

/* ---- writing ---- */

/* The new text and metadata in place of the old. */
static lens_status decide(const decision_t *r, const char *where, str_t *text, str_t *meta) {
    json_error_t error;
    json_t *record = json_loads(meta->len ? str_text(meta) : "{}", 0, &error);
    if (!json_is_object(record)) {
        json_decref(record);
        return lens_fail(LENS_FORMAT, "%s: sample %" PRId64 ": the metadata is no JSON object", where, r->sample);
    }
    const char *raw = json_string_value(json_object_get(record, "raw"));
    const char *caption = r->decision == EDIT ? r->text : text->len ? str_text(text) : raw;
    lens_status st = LENS_OK;
    if (!caption || !*caption) {
        st = lens_fail(LENS_FORMAT, "%s: sample %" PRId64 ": there is no answer to %s", where, r->sample,
                       names[r->decision]);
    } else if (r->decision == REJECT) {
        json_object_set_new(record, "raw", json_string(caption));
        json_object_set_new(record, "status", json_string("rejected"));
        json_object_set_new(record, "reason", json_string("review"));
        json_object_set_new(record, "value", json_integer(0));
        json_object_del(record, "words");
        str_clear(text);
    } else {
        str_t chosen = {0};
        str_add(&chosen, caption);
        if (r->decision == EDIT && text->len && strcmp(str_text(text), caption) != 0)
            json_object_set_new(record, "raw", json_string(str_text(text)));
        if (r->decision == ACCEPT) json_object_del(record, "raw");
        json_object_del(record, "reason");
        json_object_del(record, "value");
        json_object_set_new(record, "status", json_string("accepted"));
        json_object_set_new(record, "words", json_integer(words_count(str_text(&chosen))));
        str_free(text);
        *text = chosen;
        st = str_status(text);
    }
    json_object_set_new(record, "by", json_string("review"));
    char *dump = st == LENS_OK ? json_dumps(record, JSON_COMPACT) : NULL;
    if (st == LENS_OK && !dump) st = lens_fail(LENS_MEMORY, "%s: out of memory", where);
    str_clear(meta);
    if (dump) str_add(meta, dump);
    free(dump);
    json_decref(record);
    return st == LENS_OK ? str_status(meta) : st;
}

/* rows[n]: of one kind and shard. Of several over one sample the last counts. */
static lens_status add_samples(decisions_t *all, layer_writer_t *w, const shard_t *before, int64_t begin,
                               const decision_t *rows, size_t n) {
    str_t text = {0}, meta = {0};
    lens_status st = LENS_OK;
    size_t at = 0;
    for (int64_t i = 0; i < before->n_samples; i++) {
        LENS_GO(column_get(&before->text, i, NULL, &text));
        LENS_GO(column_get(&before->meta, i, NULL, &meta));
        while (at + 1 < n && rows[at + 1].sample == begin + i) at++;
        if (at < n && rows[at].sample == begin + i) {
            LENS_GO(decide(&rows[at], before->path, &text, &meta));
            all->n_done[rows[at++].decision]++;
        }
        LENS_GO(layer_writer_add(w, str_text(&text), str_text(&meta)));
    }
done:
    str_free(&text);
    str_free(&meta);
    return st;
}

static lens_status rewrite(decisions_t *all, const dataset_t *d, const char *dir, int64_t shard, const decision_t *rows,
                           size_t n) {
    const char *kind = rows[0].kind, *name = dataset_shard_name(d, shard);
    str_t path = {0}, work = {0}, aside = {0};
    shard_t *before = NULL;
    layer_writer_t *w = NULL;
    lens_status st;
    str_addf(&path, "%s/%s/%s.h5", dir, kind, name);
    str_addf(&work, "%s/.recaption", dir);
    str_addf(&aside, "%s/.recaption/%s/%s.h5", dir, kind, name);
    LENS_GO(str_status(&path));
    LENS_GO(str_status(&work));
    LENS_GO(str_status(&aside));
    LENS_GO(shard_open(&before, path.s));
    LENS_GO(shard_check_fit(before, kind, name, dataset_shard_n_samples(d, shard), dataset_shard_hash(d, shard)));
    if (unlink(aside.s) != 0 && errno != ENOENT && errno != ENOTDIR)
        LENS_GO(lens_fail(LENS_IO, "%s: cannot remove: %s", aside.s, strerror(errno)));
    LENS_GO(layer_writer_open(&w, d, shard, work.s, kind, before->provenance));
    LENS_GO(add_samples(all, w, before, dataset_shard_begin(d, shard), rows, n));
    layer_writer_t *closing = w;
    w = NULL;
    LENS_GO(layer_writer_close(closing));
    LENS_GO(file_publish(aside.s, path.s));
done:
    layer_writer_abort(w);
    shard_close(before);
    str_free(&path);
    str_free(&work);
    str_free(&aside);
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

lens_status decisions_apply(const dataset_t *d, const char *dir, const char *path) {
    decisions_t all = {0};
    int lock;
    lens_status st;
    LENS_GO(recaption_lock(&lock, dir));
    LENS_GO(read_all(&all, d, path));
    LENS_GO(find_samples(&all, d, path));
    if (all.n) qsort(all.rows, all.n, sizeof *all.rows, by_place);
    for (size_t i = 0, end; i < all.n; i = end) {
        const int64_t shard = shard_of(d, all.rows[i].sample);
        const int64_t after = dataset_shard_begin(d, shard) + dataset_shard_n_samples(d, shard);
        for (end = i + 1; end < all.n && strcmp(all.rows[end].kind, all.rows[i].kind) == 0; end++)
            if (all.rows[end].sample >= after) break;
        LENS_GO(rewrite(&all, d, dir, shard, &all.rows[i], end - i));
    }
    printf("%s: %" PRId64 " accepted, %" PRId64 " rejected, %" PRId64 " edited\n", dir, all.n_done[ACCEPT],
           all.n_done[REJECT], all.n_done[EDIT]);
done:
    recaption_unlock(lock, dir);
    decisions_free(&all);
    return st;
}
