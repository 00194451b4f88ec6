#include "data/ingest_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/file.h"
#include "data/dataset_names.h"

enum { OPTIONS_MAX_BYTES = 64 << 20, SUMMARY_MAX_BYTES = 64 << 20 };

void ingest_work_path(str_t *out, const char *dir, const char *name) {
    str_clear(out);
    str_addf(out, "%s/.ingest/%s", dir, name);
}

void ingest_part_path(str_t *out, const char *dir, int64_t part, const char *extension) {
    str_clear(out);
    str_addf(out, "%s/.ingest/part-%06" PRId64 ".%s", dir, part, extension);
}

void ingest_shard_path(str_t *out, const char *dir, int64_t shard) {
    str_t name = {0};
    shard_name_format(&name, shard);
    str_clear(out);
    str_addf(out, "%s/base/%s.h5", dir, str_text(&name));
    out->failed |= name.failed;
    str_free(&name);
}

/* ---- taking ---- */

/* A complete run, whose folder for work may have outlived it. */
static lens_status refuse_complete(const char *dir) {
    str_t path = {0};
    json_error_t error;
    json_int_t accepted = -1, shards = -1;
    str_addf(&path, "%s/ingest.json", dir);
    lens_status st = str_status(&path);
    char *text = NULL;
    size_t n;
    if (st == LENS_OK && file_exists(path.s)) {
        st = file_read(&text, &n, path.s, SUMMARY_MAX_BYTES);
        json_t *summary = st == LENS_OK ? json_loadb(text, n, 0, &error) : NULL;
        if (summary) json_unpack(summary, "{s:I, s:I}", "accepted", &accepted, "shards", &shards);
        json_decref(summary);
        ingest_work_path(&path, dir, "");
        if (st == LENS_OK) st = str_status(&path);
        if (st == LENS_OK) st = dir_remove(path.s);
        if (st == LENS_OK)
            st = lens_fail(LENS_STATE,
                           "%s: complete already: %" JSON_INTEGER_FORMAT " samples in %" JSON_INTEGER_FORMAT
                           " shards (its ingest.json tells how)",
                           dir, accepted, shards);
    }
    free(text);
    str_free(&path);
    return st;
}

/* Shards without a folder for work are not of an interrupted run. */
static lens_status refuse_foreign(const char *dir) {
    str_t path = {0};
    int64_t *numbers, n = 0;
    ingest_work_path(&path, dir, "options.json");
    lens_status st = str_status(&path);
    if (st == LENS_OK && !file_exists(path.s)) {
        str_clear(&path);
        str_addf(&path, "%s/base", dir);
        st = str_status(&path);
        if (st == LENS_OK) st = shard_numbers(&numbers, &n, path.s);
        if (st == LENS_OK) free(numbers);
        if (st == LENS_OK && n > 0) st = lens_fail(LENS_STATE, "%s: holds %" PRId64 " shards already", dir, n);
    }
    str_free(&path);
    return st;
}

static lens_status take_lock(int *lock, const char *dir) {
    str_t path = {0};
    ingest_work_path(&path, dir, "lock");
    lens_status st = str_status(&path);
    if (st == LENS_OK && (*lock = open(path.s, O_RDWR | O_CREAT | O_CLOEXEC, 0666)) < 0)
        st = lens_fail(LENS_IO, "%s: cannot create: %s", path.s, strerror(errno));
    if (st == LENS_OK && flock(*lock, LOCK_EX | LOCK_NB) != 0)
        st = errno == EWOULDBLOCK ? lens_fail(LENS_STATE, "%s: another ingest is at work here", dir)
                                  : lens_fail(LENS_IO, "%s: cannot lock: %s", path.s, strerror(errno));
    str_free(&path);
    return st;
}

/* The value as a person reads it. */
static char *shown(const json_t *value) {
    return value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6)) : strdup("missing");
}

static lens_status compare(const char *dir, const json_t *before, const json_t *now) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)now, name, value) {
        const json_t *old = json_object_get(before, name);
        if (json_equal(old, value)) continue;
        char *a = shown(old), *b = shown(value);
        lens_status st =
            lens_fail(LENS_STATE,
                      "%s: an interrupted ingest of other options is here: %s was %.300s, now %.300s; repeat "
                      "it as it was, or remove the folder",
                      dir, name, a ? a : "?", b ? b : "?");
        free(a);
        free(b);
        return st;
    }
    return LENS_OK;
}

static lens_status agree_with_earlier(const char *dir, const char *path, const char *options) {
    char *text;
    size_t n;
    json_error_t error;
    LENS_TRY(file_read(&text, &n, path, OPTIONS_MAX_BYTES));
    json_t *before = json_loadb(text, n, 0, &error), *now = json_loads(options, 0, &error);
    free(text);
    lens_status st = LENS_OK;
    if (!json_is_object(before)) st = lens_fail(LENS_FORMAT, "%s: is no JSON object; remove %s", path, dir);
    if (st == LENS_OK && !now) st = lens_fail(LENS_MEMORY, "out of memory for the options");
    if (st == LENS_OK) st = compare(dir, before, now);
    json_decref(before);
    json_decref(now);
    return st;
}

static lens_status agree_or_write(const char *dir, const char *options) {
    str_t path = {0};
    ingest_work_path(&path, dir, "options.json");
    lens_status st = str_status(&path);
    if (st == LENS_OK)
        st = file_exists(path.s) ? agree_with_earlier(dir, path.s, options)
                                 : file_write(path.s, options, strlen(options));
    str_clear(&path);
    str_addf(&path, "%s/base", dir);
    if (st == LENS_OK) st = str_status(&path);
    if (st == LENS_OK) st = dir_make(path.s);
    str_free(&path);
    return st;
}

lens_status ingest_dir_take(int *lock, const char *dir, const char *options) {
    *lock = -1;
    LENS_TRY(refuse_complete(dir));
    LENS_TRY(refuse_foreign(dir));
    str_t path = {0};
    ingest_work_path(&path, dir, "");
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = dir_make(path.s);
    str_free(&path);
    if (st == LENS_OK) st = take_lock(lock, dir);
    if (st == LENS_OK) st = agree_or_write(dir, options);
    if (st != LENS_OK && *lock >= 0) {
        close(*lock);
        *lock = -1;
    }
    return st;
}

/* ---- ranks ---- */

lens_status ingest_dir_check_shared(const char *dir, comm_t *comm) {
    if (comm_world(comm) == 1) return LENS_OK;
    str_t path = {0};
    unsigned char token[16], *found = NULL;
    size_t n = 0;
    ingest_work_path(&path, dir, "token");
    lens_status st = str_status(&path);
    if (comm_rank(comm) == 0) {
        if (st == LENS_OK && getrandom(token, sizeof token, 0) != sizeof token)
            st = lens_fail(LENS_IO, "no random bytes: %s", strerror(errno));
        if (st == LENS_OK) st = file_write(path.s, token, sizeof token);
    }
    st = comm_agree(comm, st, "sharing the folder");
    if (st == LENS_OK) st = comm_broadcast(comm, token, sizeof token, 0, "sharing the folder");
    if (st == LENS_OK && (file_read((char **)&found, &n, path.s, 1024) != LENS_OK || n != sizeof token ||
                          memcmp(found, token, sizeof token) != 0))
        st = lens_fail(LENS_IO,
                       "rank %d does not see what rank 0 wrote to %s: the folder must be on a file system that "
                       "all ranks share",
                       comm_rank(comm), path.s);
    free(found);
    str_free(&path);
    return comm_agree(comm, st, "sharing the folder");
}

/* ---- the end ---- */

static lens_status publish(const char *dir, const char *name) {
    str_t from = {0}, to = {0};
    ingest_work_path(&from, dir, name);
    str_addf(&to, "%s/%s", dir, name);
    lens_status st = str_status(&from);
    if (st == LENS_OK) st = str_status(&to);
    if (st == LENS_OK) st = file_publish(from.s, to.s);
    str_free(&from);
    str_free(&to);
    return st;
}

lens_status ingest_dir_complete(const char *dir, const char *summary, bool has_rejects) {
    str_t path = {0};
    if (has_rejects) LENS_TRY(publish(dir, "rejects.jsonl"));
    ingest_work_path(&path, dir, "ingest.json");
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = file_write(path.s, summary, strlen(summary));
    if (st == LENS_OK) st = publish(dir, "ingest.json");
    ingest_work_path(&path, dir, "");
    if (st == LENS_OK) st = str_status(&path);
    if (st == LENS_OK) st = dir_remove(path.s);
    str_free(&path);
    return st;
}
