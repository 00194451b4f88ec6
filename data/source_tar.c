/* A WebDataset tar as a source, through libarchive, which also undoes gzip, zstd and the like.
 *
 * A sample ends where a member with another key begins. So where the tar is cut short, nobody knows whether the last
 * sample had more members: it is dropped, and all before it were handed out already. */
#include "data/source_kinds.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "data/image.h"

#define TAR_READ_BYTES ((size_t)1 << 18)

typedef struct {
    source_t base;
    char *path; /* owned */
    struct archive *archive;
    struct archive_entry *entry; /* of the member that comes next, borrowed; NULL: none is left */
    str_t key, kind;             /* of that member: path up to the first dot of the name; lower case after that dot */
    str_t sample_key;            /* of the sample that is being read */
    str_t trouble;               /* where and why reading ended early; reported once */
    bool reported;
    int64_t n_samples; /* whole ones so far */
    /* the sample that is being read */
    sidecar_t sidecar;
    int64_t n_plain, n_compound; /* pictures of kind "jpg"; of kind "left.jpg" */
    str_t not_picture;           /* the first member that is called like a picture, but is none */
} source_tar_t;

static void tar_close(source_t *s) {
    source_tar_t *t = (source_tar_t *)s;
    archive_read_free(t->archive);
    free(t->path);
    str_free(&t->key);
    str_free(&t->kind);
    str_free(&t->sample_key);
    str_free(&t->trouble);
    str_free(&t->not_picture);
    sidecar_free(&t->sidecar);
    free(t);
}

static void tar_stop(source_tar_t *t, const char *why) {
    if (t->trouble.len) return;
    t->entry = NULL;
    int64_t read_bytes = archive_filter_bytes(t->archive, -1); /* -1: opening failed */
    str_addf(&t->trouble, "%s: %s after %" PRId64 " bytes, %" PRId64 " whole samples", t->path, why,
             read_bytes > 0 ? read_bytes : 0, t->n_samples);
}

static const char *tar_error(const source_tar_t *t) {
    const char *why = archive_error_string(t->archive);
    return why ? why : "cannot be read";
}

/* Splits the member's path. False where it is no part of a sample. */
static bool tar_split_name(source_tar_t *t) {
    const char *path = archive_entry_pathname(t->entry);
    if (!path) return false;
    while (str_starts_with(path, "./")) path += 2;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strchr(name, '.');
    if (dot == name || !*name) return false; /* "._x.jpg" and other hidden files */
    str_clear(&t->key);
    str_clear(&t->kind);
    str_add_n(&t->key, path, dot ? (size_t)(dot - path) : strlen(path));
    for (const char *p = dot ? dot + 1 : ""; *p; p++) str_add_char(&t->kind, (char)tolower((unsigned char)*p));
    return true;
}

/* Goes to the header of the next member that is a file. */
static lens_status tar_advance(source_tar_t *t) {
    for (;;) {
        int code = archive_read_next_header(t->archive, &t->entry);
        if (code == ARCHIVE_EOF) {
            t->entry = NULL;
            /* A tar ends with blocks of zeros. Without them, writing ended early, if between two members. */
            if (archive_filter_bytes(t->archive, 0) == archive_read_header_position(t->archive))
                tar_stop(t, "no end-of-archive mark: cut short");
            return str_status(&t->trouble);
        }
        if (code != ARCHIVE_OK && code != ARCHIVE_WARN) {
            tar_stop(t, tar_error(t));
            return str_status(&t->trouble);
        }
        if (archive_entry_filetype(t->entry) != AE_IFREG || !tar_split_name(t)) continue;
        LENS_TRY(str_status(&t->key));
        return str_status(&t->kind);
    }
}

/* Appends what is left of the member to `out`. False where it is larger than max_bytes or where the tar ends. */
static bool tar_read(source_tar_t *t, str_t *out, size_t max_bytes) {
    while (out->len <= max_bytes && !out->failed) {
        str_reserve(out, out->len + TAR_READ_BYTES);
        if (out->failed) break;
        la_ssize_t n = archive_read_data(t->archive, out->s + out->len, TAR_READ_BYTES);
        if (n < 0) {
            tar_stop(t, tar_error(t));
            return false;
        }
        out->len += (size_t)n;
        out->s[out->len] = '\0';
        if (n == 0) return true;
    }
    return false;
}

static void tar_read_sidecar(source_tar_t *t, raw_sample_t *out, bool *there, str_t *text) {
    if (*there) raw_sample_reject(out, REJECT_TEXT, "two members with the ending .%s", t->kind.s);
    *there = true;
    str_clear(text);
    if (!tar_read(t, text, SOURCE_TEXT_MAX_BYTES))
        raw_sample_reject(out, REJECT_TEXT, ".%s of more than %zu bytes", t->kind.s, SOURCE_TEXT_MAX_BYTES);
    out->alt.failed |= text->failed;
}

/* "jpg" comes before "mask.png", whatever their order; the first of each rank is read. */
static void tar_read_other(source_tar_t *t, raw_sample_t *out) {
    uint8_t magic[IMAGE_MAGIC_BYTES];
    la_ssize_t n = archive_read_data(t->archive, magic, sizeof magic);
    if (n < 0) {
        tar_stop(t, tar_error(t));
        return;
    }
    if (!image_is_readable(magic, (size_t)n)) {
        if (t->not_picture.len == 0 && source_name_is_picture(t->kind.s)) str_add(&t->not_picture, t->kind.s);
        return;
    }
    bool plain = strchr(t->kind.s, '.') == NULL;
    bool taken = t->n_plain > 0 || (!plain && t->n_compound > 0);
    *(plain ? &t->n_plain : &t->n_compound) += 1;
    if (taken) return;
    str_clear(&out->image);
    str_add_n(&out->image, magic, (size_t)n);
    if (!tar_read(t, &out->image, SOURCE_IMAGE_MAX_BYTES) && !t->trouble.len && !out->image.failed)
        raw_sample_reject(out, REJECT_TOO_LARGE, ".%s of more than %zu bytes", t->kind.s, SOURCE_IMAGE_MAX_BYTES);
}

static void tar_read_member(source_tar_t *t, raw_sample_t *out) {
    str_reserve(&t->kind, 0); /* a name without a dot has the kind "" */
    if (t->kind.failed) {
        out->alt.failed = true;
    } else if (strcmp(t->kind.s, "txt") == 0) {
        tar_read_sidecar(t, out, &t->sidecar.has_txt, &t->sidecar.txt);
    } else if (strcmp(t->kind.s, "json") == 0) {
        tar_read_sidecar(t, out, &t->sidecar.has_json, &t->sidecar.json);
    } else {
        tar_read_other(t, out);
    }
}

static lens_status tar_report(source_tar_t *t, raw_sample_t *out) {
    if (!t->trouble.len || t->reported) return LENS_END;
    t->reported = true;
    raw_sample_clear(out);
    raw_sample_set_key(out, str_text(&t->sample_key), t->sample_key.len);
    raw_sample_reject(out, REJECT_CUT_SHORT, "%s", t->trouble.s);
    return LENS_OK;
}

static void tar_finish_sample(source_tar_t *t, raw_sample_t *out) {
    t->n_samples++;
    int64_t n_pictures = t->n_plain ? t->n_plain : t->n_compound;
    if (n_pictures > 1)
        raw_sample_reject(out, REJECT_AMBIGUOUS, "%" PRId64 " pictures in one sample: expected 1", n_pictures);
    else if (n_pictures == 0 && t->not_picture.len)
        raw_sample_reject(out, REJECT_NO_PICTURE, ".%s is not a JPEG, PNG or WebP picture", t->not_picture.s);
    else if (n_pictures == 0)
        raw_sample_reject(out, REJECT_NO_PICTURE, "no picture among the members");
    if (out->reject == REJECT_NONE) sidecar_apply(&t->sidecar, out);
}

static lens_status tar_next(source_t *s, raw_sample_t *out) {
    source_tar_t *t = (source_tar_t *)s;
    if (!t->entry) return tar_report(t, out);
    sidecar_clear(&t->sidecar);
    str_clear(&t->not_picture);
    t->n_plain = t->n_compound = 0;
    str_clear(&t->sample_key);
    str_add_n(&t->sample_key, t->key.s, t->key.len);
    LENS_TRY(str_status(&t->sample_key));
    raw_sample_set_key(out, t->key.s, t->key.len);
    do {
        tar_read_member(t, out);
        if (!t->trouble.len) LENS_TRY(tar_advance(t));
    } while (t->entry && strcmp(t->key.s, t->sample_key.s) == 0);
    if (t->trouble.len && !t->entry) return tar_report(t, out);
    tar_finish_sample(t, out);
    return LENS_OK;
}

lens_status source_tar_open(source_t **out, const char *path) {
    *out = NULL;
    source_tar_t *t = calloc(1, sizeof *t);
    if (!t) return lens_fail(LENS_MEMORY, "%s: out of memory", path);
    t->base = (source_t){tar_next, tar_close};
    t->path = strdup(path);
    t->archive = archive_read_new();
    lens_status st = LENS_OK;
    if (!t->path || !t->archive || archive_read_support_filter_all(t->archive) < ARCHIVE_WARN ||
        archive_read_support_format_tar(t->archive) != ARCHIVE_OK)
        st = lens_fail(LENS_MEMORY, "%s: cannot create a reader", path);
    else if (archive_read_open_filename(t->archive, path, TAR_READ_BYTES) != ARCHIVE_OK)
        tar_stop(t, tar_error(t));
    else
        st = tar_advance(t);
    if (st == LENS_OK) st = str_status(&t->trouble);
    if (st != LENS_OK) {
        tar_close(&t->base);
        return st;
    }
    *out = &t->base;
    return LENS_OK;
}
