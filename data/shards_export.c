/* `lens shards export`: a dataset as WebDataset, one tar a shard: KEY.webp or KEY.jpg, KEY.txt, KEY.json for each
 * sample, in order.
 *
 * Same dataset, same bytes: times, owners and modes are fixed. WebDataset takes all after the first dot of a name for
 * its extension, so dots of a key become '_' in the names of members; KEY.json keeps the key itself. */
#include <archive.h>
#include <archive_entry.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "data/dataset_private.h"
#include "data/shards.h"

typedef struct {
    const dataset_t *d;
    const char *kind; /* of KEY.txt */
    int64_t n_renamed;
    str_t key, name, text, json; /* reused from sample to sample */
} export_t;

static lens_status archive_fail(struct archive *a, const char *path) {
    int error = archive_errno(a);
    const char *message = archive_error_string(a);
    if (error > 0) message = strerror(error); /* libarchive's own words would be "Write error" */
    return lens_fail(LENS_IO, "%s: cannot write: %s", path, message ? message : "unknown error");
}

static lens_status add_member(struct archive *a, const char *path, const char *name, const char *extension,
                              const str_t *bytes) {
    struct archive_entry *entry = archive_entry_new();
    str_t full = {0};
    str_addf(&full, "%s.%s", name, extension);
    lens_status st = str_status(&full);
    if (st == LENS_OK && !entry) st = lens_fail(LENS_MEMORY, "%s: out of memory", path);
    if (st == LENS_OK) {
        archive_entry_set_pathname_utf8(entry, full.s);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        archive_entry_set_size(entry, (la_int64_t)bytes->len);
        archive_entry_set_mtime(entry, 0, 0);
        if (archive_write_header(a, entry) != ARCHIVE_OK ||
            (bytes->len && archive_write_data(a, bytes->s, bytes->len) != (la_ssize_t)bytes->len))
            st = archive_fail(a, path);
    }
    archive_entry_free(entry);
    str_free(&full);
    return st;
}

/* No dots, so that the extension is ours and no part is "..", and no leading slash. */
static void member_name(export_t *e) {
    str_clear(&e->name);
    bool changed = false;
    for (size_t i = 0; i < e->key.len; i++) {
        char c = e->key.s[i];
        bool unfit = c == '.' || c == '\\' || (c == '/' && (i == 0 || e->key.s[i - 1] == '/' || i + 1 == e->key.len));
        str_add_char(&e->name, unfit ? '_' : c);
        changed |= unfit;
    }
    e->n_renamed += changed;
}

static lens_status make_json(export_t *e, int64_t i) {
    sample_info_t info;
    LENS_TRY(dataset_info(e->d, i, &info));
    str_clear(&e->json);
    str_add(&e->json, "{\"key\":");
    str_add_json(&e->json, e->key.s, e->key.len);
    str_addf(&e->json, ",\"width\":%d,\"height\":%d,\"original_width\":%d,\"original_height\":%d,\"alt\":", info.width,
             info.height, info.original_width, info.original_height);
    LENS_TRY(dataset_caption(e->d, i, "alt", &e->text));
    str_add_json(&e->json, e->text.s, e->text.len);
    LENS_TRY(dataset_meta(e->d, i, &e->text));
    str_addf(&e->json, ",\"meta\":%s}\n", e->text.s);
    return str_status(&e->json);
}

static lens_status add_sample(export_t *e, struct archive *a, const char *path, int64_t i) {
    LENS_TRY(dataset_key(e->d, i, &e->key));
    member_name(e);
    LENS_TRY(str_status(&e->name));
    LENS_TRY(dataset_image(e->d, i, &e->text));
    const char *extension = picture_extension(e->text.s, e->text.len);
    if (!extension)
        return lens_fail(LENS_FORMAT, "%s: picture of sample %" PRId64 " is neither WebP nor JPEG", dataset_dir(e->d),
                         i);
    LENS_TRY(add_member(a, path, e->name.s, extension, &e->text));
    LENS_TRY(dataset_caption(e->d, i, e->kind, &e->text));
    LENS_TRY(add_member(a, path, e->name.s, "txt", &e->text));
    LENS_TRY(make_json(e, i));
    return add_member(a, path, e->name.s, "json", &e->json);
}

static lens_status write_tar(export_t *e, int64_t shard, const char *temporary) {
    struct archive *a = archive_write_new();
    if (!a) return lens_fail(LENS_MEMORY, "%s: out of memory", temporary);
    lens_status st = LENS_OK;
    if (archive_write_set_format_pax_restricted(a) != ARCHIVE_OK ||
        archive_write_set_options(a, "hdrcharset=UTF-8") != ARCHIVE_OK ||
        archive_write_open_filename(a, temporary) != ARCHIVE_OK)
        st = archive_fail(a, temporary);
    int64_t begin = dataset_shard_begin(e->d, shard), end = begin + dataset_shard_n_samples(e->d, shard);
    for (int64_t i = begin; i < end && st == LENS_OK; i++) st = add_sample(e, a, temporary, i);
    if (st == LENS_OK && archive_write_close(a) != ARCHIVE_OK) st = archive_fail(a, temporary);
    archive_write_free(a);
    return st;
}

static lens_status export_shard(export_t *e, int64_t shard, const char *out) {
    str_t path = {0}, temporary = {0};
    lens_status st;
    str_addf(&path, "%s/%s.tar", out, dataset_shard_name(e->d, shard));
    LENS_GO(str_status(&path));
    if (file_exists(path.s)) {
        st = lens_fail(LENS_STATE, "%s: is there already", path.s);
        goto done;
    }
    LENS_GO(file_temporary_name(&temporary, path.s));
    st = write_tar(e, shard, temporary.s);
    if (st == LENS_OK) st = file_publish(temporary.s, path.s);
    if (st != LENS_OK) unlink(temporary.s);
done:
    str_free(&path);
    str_free(&temporary);
    return st;
}

lens_status shards_export(const dataset_t *d, const shards_options_t *o) {
    if (!dataset_has_kind(d, o->caption)) return dataset_fail_kind(d, o->caption);
    LENS_TRY(dir_make(o->out));
    export_t e = {.d = d, .kind = o->caption};
    lens_status st = LENS_OK;
    int64_t n = dataset_n_shards(d);
    for (int64_t i = 0; i < n && st == LENS_OK; i++) {
        log_progress("export: shard %" PRId64 " of %" PRId64, i + 1, n);
        st = export_shard(&e, i, o->out);
    }
    log_progress_end();
    if (e.n_renamed) log_warn("%" PRId64 " keys do not fit the names of a tar: written with '_'", e.n_renamed);
    if (st == LENS_OK)
        printf("%s: %" PRId64 " samples in %" PRId64 " tar file%s\n", o->out, dataset_n_samples(d), n,
               n == 1 ? "" : "s");
    str_free(&e.key);
    str_free(&e.name);
    str_free(&e.text);
    str_free(&e.json);
    return st;
}
