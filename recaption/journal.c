#include "recaption/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/log.h"

static const char magic[8] = {'L', 'E', 'N', 'S', 'J', 'N', 'L', '1'};
enum { HEAD_BYTES = 12 };

struct journal {
    char *path;
    int fd;
    pthread_mutex_t lock; /* guards what follows */
    uint64_t end;         /* bytes of whole frames */
    bool unsynced;
};

/* ---- frames ---- */

static void put_head(char head[HEAD_BYTES], const char *payload, size_t n) {
    const uint64_t hash = XXH64(payload, n, 0);
    for (int i = 0; i < 4; i++) head[i] = (char)(n >> (8 * i) & 0xff);
    for (int i = 0; i < 8; i++) head[4 + i] = (char)(hash >> (8 * i) & 0xff);
}

static uint32_t payload_length(const char *head) {
    const unsigned char *h = (const unsigned char *)head;
    return (uint32_t)h[0] | (uint32_t)h[1] << 8 | (uint32_t)h[2] << 16 | (uint32_t)h[3] << 24;
}

size_t journal_frame(const char *bytes, size_t n, const char **payload, size_t *n_payload) {
    char head[HEAD_BYTES];
    if (n < HEAD_BYTES) return 0;
    const size_t length = payload_length(bytes);
    if (length > JOURNAL_MAX_PAYLOAD || length > n - HEAD_BYTES) return 0;
    put_head(head, bytes + HEAD_BYTES, length);
    if (memcmp(head, bytes, HEAD_BYTES) != 0) return 0;
    *payload = bytes + HEAD_BYTES;
    *n_payload = length;
    return HEAD_BYTES + length;
}

/* The frame at `offset` into *frame, cleared before; *payload points into it and is NULL where none is whole. */
static lens_status read_frame(const journal_t *j, uint64_t offset, uint64_t size, str_t *frame, const char **payload,
                              size_t *n) {
    char head[HEAD_BYTES];
    *payload = NULL;
    if (offset > size || size - offset < HEAD_BYTES) return LENS_OK;
    LENS_TRY(file_read_at(j->fd, head, sizeof head, offset, j->path));
    const size_t length = payload_length(head);
    if (length > JOURNAL_MAX_PAYLOAD || length > size - offset - HEAD_BYTES) return LENS_OK;
    str_clear(frame);
    str_reserve(frame, HEAD_BYTES + length);
    LENS_TRY(str_status(frame));
    LENS_TRY(file_read_at(j->fd, frame->s, HEAD_BYTES + length, offset, j->path));
    frame->len = HEAD_BYTES + length;
    frame->s[frame->len] = '\0';
    journal_frame(frame->s, frame->len, payload, n);
    return LENS_OK;
}

/* ---- settings ---- */

/* Where two JSON values differ first: "dense.settings.model". */
static void add_difference(str_t *out, const json_t *before, const json_t *now) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)now, name, value) {
        const json_t *old = json_object_get(before, name);
        if (json_equal(old, value)) continue;
        str_addf(out, "%s%s", out->len ? "." : "", name);
        if (json_is_object(old) && json_is_object(value)) {
            add_difference(out, old, value);
            return;
        }
        char *a = old ? json_dumps(old, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
        char *b = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        str_addf(out, " was %.200s, now %.200s", a ? a : "missing", b ? b : "?");
        free(a);
        free(b);
        return;
    }
    json_object_foreach((json_t *)before, name, value) {
        if (json_object_get(now, name)) continue;
        str_addf(out, "%s%s is missing now", out->len ? "." : "", name);
        return;
    }
}

static lens_status compare_settings(const char *before, size_t n_before, const char *now) {
    if (n_before == strlen(now) && memcmp(before, now, n_before) == 0) return LENS_OK;
    str_t what = {0};
    json_error_t error;
    json_t *old = json_loadb(before, n_before, 0, &error), *new = json_loads(now, 0, &error);
    lens_status st = LENS_OK;
    if (!json_is_object(old) || !json_is_object(new)) str_add(&what, "they cannot be read");
    if (json_is_object(old) && json_is_object(new)) add_difference(&what, old, new);
    if (what.len || what.failed)
        st = lens_fail(LENS_STATE, "begun with other settings: %s; repeat them, or drop what was begun with --restart",
                       str_text(&what));
    json_decref(old);
    json_decref(new);
    str_free(&what);
    return st;
}

/* ---- opening ---- */

static lens_status replay(journal_t *j, uint64_t size, const char *settings, journal_visit visit, void *context) {
    str_t frame = {0};
    lens_status st = LENS_OK;
    bool first = true;
    j->end = sizeof magic;
    for (;;) {
        const char *payload;
        size_t n;
        LENS_GO(read_frame(j, j->end, size, &frame, &payload, &n));
        if (!payload) break;
        LENS_GO(first ? compare_settings(payload, n, settings) : visit(context, payload, n, j->end));
        first = false;
        j->end += HEAD_BYTES + n;
    }
    if (first) j->end = 0; /* nothing is whole: begin anew */
done:
    str_free(&frame);
    return lens_context(st, "%s", j->path);
}

static lens_status cut_tail(journal_t *j, uint64_t size) {
    if (j->end == size) return LENS_OK;
    if (j->end > 0)
        log_warn("%s: the last %" PRIu64 " bytes are of an answer that was cut off; it is asked for again", j->path,
                 size - j->end);
    if (ftruncate(j->fd, (off_t)j->end) != 0)
        return lens_fail(LENS_IO, "%s: cannot shorten: %s", j->path, strerror(errno));
    return LENS_OK;
}

static bool synced(int fd, int (*sync)(int fd)) {
    int failed;
    while ((failed = sync(fd)) != 0 && errno == EINTR) continue;
    return !failed;
}

static lens_status sync_folder(const char *path) {
    str_t dir = {0};
    int fd = -1;
    const char *slash = strrchr(path, '/');
    str_add_n(&dir, slash ? path : ".", slash ? (size_t)(slash - path) : 1);
    lens_status st = str_status(&dir);
    if (st == LENS_OK) st = file_open(&fd, dir.s);
    if (st == LENS_OK && !synced(fd, fsync)) st = lens_fail(LENS_IO, "%s: cannot sync: %s", dir.s, strerror(errno));
    if (fd >= 0) close(fd);
    str_free(&dir);
    return st;
}

static lens_status begin(journal_t *j, const char *settings) {
    uint64_t offset;
    LENS_TRY(file_write_at(j->fd, magic, sizeof magic, 0, j->path));
    j->end = sizeof magic;
    LENS_TRY(journal_append(j, settings, strlen(settings), &offset));
    LENS_TRY(journal_sync(j));
    return sync_folder(j->path);
}

static lens_status open_file(journal_t *j, const char *settings, journal_visit visit, void *context) {
    char found[sizeof magic];
    uint64_t size = 0;
    size_t got;
    j->fd = open(j->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (j->fd < 0) return lens_fail(file_error_kind(errno), "%s: cannot open: %s", j->path, strerror(errno));
    LENS_TRY(file_size(&size, j->path));
    LENS_TRY(file_read_some(j->fd, found, sizeof found, 0, &got, j->path));
    if (got && memcmp(found, magic, got) != 0)
        return lens_fail(LENS_FORMAT, "%s: is no journal of this version; --restart drops it", j->path);
    if (got == sizeof magic) LENS_TRY(replay(j, size, settings, visit, context));
    LENS_TRY(cut_tail(j, size));
    return j->end > 0 ? LENS_OK : begin(j, settings);
}

lens_status journal_open(journal_t **out, const char *path, const char *settings, journal_visit visit, void *context) {
    *out = NULL;
    journal_t *j = calloc(1, sizeof *j);
    if (!j) return lens_fail(LENS_MEMORY, "%s: out of memory", path);
    pthread_mutex_init(&j->lock, NULL);
    j->fd = -1;
    j->path = strdup(path);
    lens_status st =
        j->path ? open_file(j, settings, visit, context) : lens_fail(LENS_MEMORY, "%s: out of memory", path);
    if (st != LENS_OK) {
        journal_close(j);
        return st;
    }
    *out = j;
    return LENS_OK;
}

lens_status journal_settings(str_t *out, const char *path) {
    journal_t j = {.path = (char *)path, .fd = -1};
    char found[sizeof magic];
    str_t frame = {0};
    const char *payload = NULL;
    size_t n = 0, got = 0;
    uint64_t size;
    lens_status st;
    str_clear(out);
    LENS_GO(file_open(&j.fd, path));
    LENS_GO(file_size(&size, path));
    LENS_GO(file_read_some(j.fd, found, sizeof found, 0, &got, path));
    if (got == sizeof magic && memcmp(found, magic, sizeof magic) == 0)
        LENS_GO(read_frame(&j, sizeof magic, size, &frame, &payload, &n));
    if (payload) str_add_n(out, payload, n);
    LENS_GO(str_status(out));
done:
    if (j.fd >= 0) close(j.fd);
    str_free(&frame);
    return st;
}

lens_status journal_check(const char *path, const char *settings) {
    str_t before = {0};
    lens_status st = journal_settings(&before, path);
    if (st == LENS_OK && before.len) st = lens_context(compare_settings(before.s, before.len, settings), "%s", path);
    str_free(&before);
    return st;
}

void journal_close(journal_t *j) {
    if (!j) return;
    if (j->fd >= 0) close(j->fd);
    pthread_mutex_destroy(&j->lock);
    free(j->path);
    free(j);
}

/* ---- use ---- */

lens_status journal_append(journal_t *j, const char *payload, size_t n, uint64_t *offset) {
    char head[HEAD_BYTES];
    if (n > JOURNAL_MAX_PAYLOAD)
        return lens_fail(LENS_FORMAT, "%s: an answer of %zu bytes, at most %d are kept", j->path, n,
                         JOURNAL_MAX_PAYLOAD);
    str_t frame = {0};
    put_head(head, payload, n);
    str_add_n(&frame, head, sizeof head);
    str_add_n(&frame, payload, n);
    lens_status st = str_status(&frame);
    pthread_mutex_lock(&j->lock);
    *offset = j->end;
    if (st == LENS_OK) {
        st = file_write_at(j->fd, frame.s, frame.len, j->end, j->path);
        if (st == LENS_OK)
            j->end += frame.len;
        else if (ftruncate(j->fd, (off_t)j->end) != 0)
            log_warn("%s: cannot take back part of an answer: %s", j->path, strerror(errno));
        j->unsynced = true;
    }
    pthread_mutex_unlock(&j->lock);
    str_free(&frame);
    return st;
}

lens_status journal_read(const journal_t *j, uint64_t offset, str_t *payload) {
    const char *found;
    size_t n;
    LENS_TRY(read_frame(j, offset, UINT64_MAX, payload, &found, &n));
    if (!found) return lens_fail(LENS_FORMAT, "%s: the answer at byte %" PRIu64 " has changed", j->path, offset);
    memmove(payload->s, found, n + 1);
    payload->len = n;
    return LENS_OK;
}

lens_status journal_sync(journal_t *j) {
    pthread_mutex_lock(&j->lock);
    const bool wanted = j->unsynced;
    j->unsynced = false;
    pthread_mutex_unlock(&j->lock);
    if (wanted && !synced(j->fd, fdatasync)) return lens_fail(LENS_IO, "%s: cannot sync: %s", j->path, strerror(errno));
    return LENS_OK;
}

const char *journal_path(const journal_t *j) {
    return j->path;
}
