#include "recaption/batch_in.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

typedef struct {
    int64_t sample, line; /* line: its number, from 1 */
    uint64_t offset, check;
    uint32_t n_bytes;
    int32_t file, attempt;
    int16_t kind;
    bool usable;
} row_t;

struct batch_in {
    const batch_ids_t *ids;
    char **paths; /* [counts.n_files] */
    row_t *rows;  /* sorted by sample, kind, attempt, then the best first */
    size_t n, cap;
    batch_in_counts_t counts;
};

/* ---- files ---- */

static lens_status add_path(batch_in_t *in, const char *path, size_t n) {
    char **paths = realloc(in->paths, (size_t)(in->counts.n_files + 1) * sizeof *paths);
    if (paths) in->paths = paths;
    char *copy = paths ? strndup(path, n) : NULL;
    if (!copy) return lens_fail(LENS_MEMORY, "out of memory for the names of result files");
    in->paths[in->counts.n_files++] = copy;
    return LENS_OK;
}

static lens_status add_folder(batch_in_t *in, const char *dir) {
    char **names;
    int64_t n;
    const int64_t before = in->counts.n_files;
    LENS_TRY(dir_list(&names, &n, dir));
    lens_status st = LENS_OK;
    for (int64_t i = 0; i < n && st == LENS_OK; i++) {
        if (!str_ends_with(names[i], ".jsonl")) continue;
        str_t path = {0};
        str_addf(&path, "%s/%s", dir, names[i]);
        st = str_status(&path);
        if (st == LENS_OK) st = add_path(in, path.s, path.len);
        str_free(&path);
    }
    dir_list_free(names, n);
    if (st == LENS_OK && in->counts.n_files == before)
        st = lens_fail(LENS_ARGUMENT, "--batch-in %s: no *.jsonl is in it", dir);
    return st;
}

static lens_status find_files(batch_in_t *in, const char *list) {
    str_t one = {0};
    lens_status st = LENS_OK;
    for (const char *at = list; at && st == LENS_OK;) {
        const char *comma = strchr(at, ',');
        const size_t n = comma ? (size_t)(comma - at) : strlen(at);
        str_clear(&one);
        str_add_n(&one, at, n);
        st = str_status(&one);
        if (st == LENS_OK && n == 0) st = lens_fail(LENS_ARGUMENT, "--batch-in: expected FILE or DIR, got nothing");
        if (st == LENS_OK) st = file_is_dir(one.s) ? add_folder(in, one.s) : add_path(in, one.s, n);
        at = comma ? comma + 1 : NULL;
    }
    str_free(&one);
    return st;
}

/* ---- lines ---- */

static lens_status add_row(batch_in_t *in, const row_t *row) {
    if (in->n == in->cap) {
        const size_t cap = in->cap ? in->cap * 2 : 1024;
        row_t *rows = realloc(in->rows, cap * sizeof *rows);
        if (!rows) return lens_fail(LENS_MEMORY, "out of memory for %zu results", cap);
        in->rows = rows;
        in->cap = cap;
    }
    in->rows[in->n++] = *row;
    return LENS_OK;
}

/* The kind is not known yet: ids are checked in the order of samples, not of lines. */
static lens_status take_result(batch_in_t *in, row_t *row, const batch_result_t *r, openai_reply_t *reply) {
    batch_id_t id;
    batch_outcome outcome;
    if (!batch_id_parse(&id, r->custom_id))
        return lens_fail(LENS_FORMAT, "custom_id '%.80s' is none of lens recaption's", r->custom_id);
    LENS_TRY(lens_context(batch_ids_sample(&row->sample, in->ids, &id), "custom_id '%s'", r->custom_id));
    row->attempt = id.attempt;
    row->check = id.check;
    LENS_TRY(batch_result_reply(&outcome, reply, r));
    row->usable = outcome != BATCH_FAILED;
    if (!row->usable && in->counts.failure.len == 0) str_add(&in->counts.failure, str_text(&reply->reason));
    /* Until the check has told the kind, any of that beginning. */
    for (row->kind = 0; row->kind < in->ids->n_kinds; row->kind++)
        if (strncmp(in->ids->kinds[row->kind].name, id.kind, sizeof id.kind - 1) == 0) break;
    if (row->kind == in->ids->n_kinds)
        return lens_fail(LENS_FORMAT, "custom_id '%s' is of kind %s, which --kinds does not name", r->custom_id,
                         id.kind);
    return add_row(in, row);
}

static lens_status take_line(batch_in_t *in, row_t *row, const str_t *line, bool is_whole, openai_reply_t *reply) {
    batch_result_t r;
    const char *path = in->paths[row->file];
    lens_status st = batch_result_parse(&r, str_text(line), line->len);
    if (st == LENS_FORMAT && !is_whole) {
        log_warn("%s:%" PRId64 ": the last line is cut off; its request counts as not answered", path, row->line);
        in->counts.n_torn++;
        return LENS_OK;
    }
    if (st != LENS_OK) return st;
    in->counts.n_lines++;
    st = take_result(in, row, &r, reply);
    batch_result_free(&r);
    return st;
}

/* Without its line feed; *ended: the file holds no more. */
static lens_status read_line(FILE *f, str_t *line, bool *ended) {
    int c;
    str_clear(line);
    while ((c = getc_unlocked(f)) != EOF && c != '\n') {
        if (line->len == BATCH_LINE_MAX) return lens_fail(LENS_FORMAT, "longer than %d bytes", BATCH_LINE_MAX);
        str_add_char(line, (char)c);
    }
    *ended = c == EOF;
    if (ferror(f)) return lens_fail(file_error_kind(errno), "cannot read: %s", strerror(errno));
    return str_status(line);
}

static lens_status read_file(batch_in_t *in, int32_t file, openai_reply_t *reply) {
    str_t line = {0};
    row_t row = {.file = file};
    bool ended = false;
    lens_status st = LENS_OK;
    FILE *f = fopen(in->paths[file], "re");
    if (!f) return lens_fail(file_error_kind(errno), "%s: cannot open: %s", in->paths[file], strerror(errno));
    while (!ended && st == LENS_OK) {
        row.line++;
        st = read_line(f, &line, &ended);
        row.n_bytes = (uint32_t)line.len;
        if (st == LENS_OK && line.len > 0) st = take_line(in, &row, &line, !ended, reply);
        row.offset += line.len + 1;
    }
    fclose(f);
    str_free(&line);
    return lens_context(st, "%s:%" PRId64, in->paths[file], row.line);
}

/* ---- the index ---- */

static int compare(int64_t a, int64_t b) {
    return a < b ? -1 : a > b;
}

static int by_request(const row_t *a, const row_t *b) {
    int order = compare(a->sample, b->sample);
    if (order == 0) order = compare(a->kind, b->kind);
    return order == 0 ? compare(a->attempt, b->attempt) : order;
}

/* The best of a request first. */
static int by_all(const void *x, const void *y) {
    const row_t *a = x, *b = y;
    int order = by_request(a, b);
    if (order == 0) order = compare(b->usable, a->usable);
    if (order == 0) order = compare(a->file, b->file);
    return order == 0 ? compare(a->line, b->line) : order;
}

static lens_status check_row(const batch_in_t *in, row_t *row) {
    batch_id_t id = {.attempt = row->attempt, .check = row->check};
    int kind = row->kind;
    memcpy(id.kind, in->ids->kinds[kind].name, strnlen(in->ids->kinds[kind].name, sizeof id.kind - 1));
    lens_status st = batch_ids_kind(&kind, in->ids, row->sample, &id);
    row->kind = (int16_t)kind;
    return lens_context(st, "%s:%" PRId64, in->paths[row->file], row->line);
}

static lens_status make_index(batch_in_t *in) {
    if (in->n) qsort(in->rows, in->n, sizeof *in->rows, by_all);
    for (size_t i = 0; i < in->n; i++) LENS_TRY(check_row(in, &in->rows[i]));
    if (in->n) qsort(in->rows, in->n, sizeof *in->rows, by_all); /* kinds may have become others */
    size_t n = 0;
    for (size_t i = 0; i < in->n; i++) {
        if (n > 0 && by_request(&in->rows[n - 1], &in->rows[i]) == 0) {
            in->counts.n_doubled++;
            continue;
        }
        in->rows[n++] = in->rows[i];
        in->counts.n_usable += in->rows[i].usable;
        in->counts.n_failed += !in->rows[i].usable;
    }
    in->n = n;
    return str_status(&in->counts.failure);
}

lens_status batch_in_open(batch_in_t **out, const char *list, const batch_ids_t *ids) {
    batch_in_t *in = calloc(1, sizeof *in);
    openai_reply_t reply = {0};
    *out = NULL;
    if (!in) return lens_fail(LENS_MEMORY, "out of memory for results");
    in->ids = ids;
    lens_status st = find_files(in, list);
    for (int32_t i = 0; st == LENS_OK && i < in->counts.n_files; i++) st = read_file(in, i, &reply);
    if (st == LENS_OK) st = make_index(in);
    openai_reply_free(&reply);
    if (st == LENS_OK)
        *out = in;
    else
        batch_in_close(in);
    return st;
}

void batch_in_close(batch_in_t *in) {
    if (!in) return;
    for (int64_t i = 0; i < in->counts.n_files; i++) free(in->paths[i]);
    free(in->paths);
    free(in->rows);
    str_free(&in->counts.failure);
    free(in);
}

const batch_in_counts_t *batch_in_counts(const batch_in_t *in) {
    return &in->counts;
}

/* ---- answers ---- */

static int row_order(const void *a, const void *b) {
    return by_request(a, b);
}

static lens_status read_row(const batch_in_t *in, const row_t *row, str_t *line) {
    int fd;
    const char *path = in->paths[row->file];
    str_reserve(line, row->n_bytes);
    LENS_TRY(str_status(line));
    LENS_TRY(file_open(&fd, path));
    lens_status st = file_read_at(fd, line->s, row->n_bytes, row->offset, path);
    close(fd);
    if (st != LENS_OK) return st;
    line->len = row->n_bytes;
    line->s[line->len] = '\0';
    return LENS_OK;
}

lens_status batch_in_find(const batch_in_t *in, int64_t sample, int kind, int attempt, bool *found,
                          batch_outcome *outcome, openai_reply_t *reply) {
    const row_t wanted = {.sample = sample, .kind = (int16_t)kind, .attempt = attempt};
    const row_t *row = in->n ? bsearch(&wanted, in->rows, in->n, sizeof wanted, row_order) : NULL;
    *found = row && row->usable;
    if (!*found) return LENS_OK;
    str_t line = {0}, name = {0};
    batch_result_t r = {0};
    lens_status st;
    LENS_GO(read_row(in, row, &line));
    LENS_GO(batch_result_parse(&r, str_text(&line), line.len));
    LENS_GO(batch_ids_name(&name, in->ids, sample, kind, attempt));
    if (strcmp(r.custom_id, name.s) != 0) LENS_GO(lens_fail(LENS_FORMAT, "the file has changed"));
    LENS_GO(batch_result_reply(outcome, reply, &r));
done:
    batch_result_free(&r);
    str_free(&line);
    str_free(&name);
    return lens_context(st, "%s:%" PRId64, in->paths[row->file], row->line);
}
