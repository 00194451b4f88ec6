#include "recaption/batch_out.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

struct batch_out {
    str_t prefix;
    int64_t max_requests, max_bytes;
    pthread_mutex_t lock; /* guards what follows */
    atomic_file_t *file;  /* NULL: none is begun */
    int64_t n_requests, n_files;
    int64_t in_file, bytes_in_file;
};

static lens_status path_of(str_t *out, const batch_out_t *b, int64_t file) {
    str_addf(out, "%s-%05" PRId64 ".jsonl", str_text(&b->prefix), file);
    LENS_TRY(str_status(out));
    if (!file_exists(out->s)) return LENS_OK;
    return lens_fail(LENS_STATE, "%s: is there already; move it away, or name another --batch-out", out->s);
}

lens_status batch_out_open(batch_out_t **out, const char *prefix, int64_t max_requests, int64_t max_bytes) {
    batch_out_t *b = calloc(1, sizeof *b);
    str_t first = {0};
    *out = NULL;
    if (!b) return lens_fail(LENS_MEMORY, "out of memory for batch files");
    pthread_mutex_init(&b->lock, NULL);
    b->max_requests = max_requests;
    b->max_bytes = max_bytes;
    str_addf(&b->prefix, "%s%s", prefix, file_is_dir(prefix) ? "/requests" : "");
    lens_status st = str_status(&b->prefix);
    if (st == LENS_OK) st = path_of(&first, b, 0);
    str_free(&first);
    if (st == LENS_OK)
        *out = b;
    else
        batch_out_close(b);
    return st;
}

static lens_status end_file(batch_out_t *b) {
    atomic_file_t *ending = b->file;
    b->file = NULL;
    if (!ending) return LENS_OK;
    LENS_TRY(atomic_file_commit(ending));
    b->n_files++;
    return LENS_OK;
}

static lens_status begin_file(batch_out_t *b) {
    str_t path = {0};
    lens_status st = path_of(&path, b, b->n_files);
    if (st == LENS_OK) st = atomic_file_open(&b->file, path.s);
    str_free(&path);
    b->in_file = b->bytes_in_file = 0;
    return st;
}

static lens_status add_line(batch_out_t *b, const str_t *line) {
    const bool fits = b->in_file < b->max_requests && b->bytes_in_file + (int64_t)line->len <= b->max_bytes;
    if (b->file && !fits) LENS_TRY(end_file(b));
    if (!b->file) LENS_TRY(begin_file(b));
    if (fwrite(line->s, 1, line->len, atomic_file_stream(b->file)) != line->len)
        return lens_fail(LENS_IO, "%s: cannot write: %s", b->prefix.s, strerror(errno));
    b->bytes_in_file += (int64_t)line->len;
    b->in_file++;
    b->n_requests++;
    return LENS_OK;
}

lens_status batch_out_add(batch_out_t *b, const str_t *custom_id, const str_t *body) {
    str_t line = {0};
    str_reserve(&line, body->len + 256);
    str_addf(&line, "{\"custom_id\":\"%s\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":",
             str_text(custom_id));
    str_add_n(&line, str_text(body), body->len);
    str_add(&line, "}\n");
    lens_status st = str_status(&line);
    if (st == LENS_OK && (int64_t)line.len > b->max_bytes)
        st = lens_fail(LENS_ARGUMENT, "request %s: %zu bytes, a file may have %" PRId64 " (--batch-bytes)",
                       str_text(custom_id), line.len, b->max_bytes);
    pthread_mutex_lock(&b->lock);
    if (st == LENS_OK) st = add_line(b, &line);
    pthread_mutex_unlock(&b->lock);
    str_free(&line);
    return st;
}

lens_status batch_out_finish(batch_out_t *b) {
    pthread_mutex_lock(&b->lock);
    lens_status st = end_file(b);
    pthread_mutex_unlock(&b->lock);
    return st;
}

void batch_out_close(batch_out_t *b) {
    if (!b) return;
    atomic_file_abort(b->file);
    str_free(&b->prefix);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

int64_t batch_out_n_requests(const batch_out_t *b) {
    return b->n_requests;
}

int64_t batch_out_n_files(const batch_out_t *b) {
    return b->n_files;
}
