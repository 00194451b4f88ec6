/* A WebDataset tar as a source, through libarchive, which also undoes gzip, zstd and the like.
 *
 * A sample ends where a member with another key begins. So where the tar is cut short, nobody knows whether the last
 * sample had more members: it is dropped, and all before it were handed out already. */
#include "data/source_kinds.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/file.h"
#include "data/image_codecs.h"
#include "data/source_tar_index.h"

#define TAR_READ_BYTES ((size_t)1 << 18)

/* What libarchive reads: bytes [at, end) of a file, or a stream. */
typedef struct {
    int fd; /* owned, unless it is standard input; -1: none */
    bool stream;
    uint64_t at, end, size; /* size: of the file */
    bool ended;             /* the end of an archive, which a part of one lacks, was given */
    int error;              /* errno of a read that failed, 0: none has */
    uint8_t buffer[TAR_READ_BYTES];
} tar_file_t;

typedef struct {
    source_t base;
    const source_input_t *input;
    source_range_t range;
    struct archive *archive;
    struct archive_entry *entry; /* of the member that comes next, borrowed; NULL: none is left */
    str_t key, kind;             /* of that member: path up to the first dot of the name; lower case after that dot */
    bool is_link;                /* that member */
    str_t sample_key;            /* of the sample that is being read */
    str_t trouble;               /* where and why reading ended early; reported once */
    lens_status st;              /* not OK: of the run, which fails with that trouble */
    bool reported;
    int64_t n_samples; /* whole ones so far */
    /* the sample that is being read */
    sidecar_t sidecar;
    int64_t n_plain, n_compound; /* pictures of kind "jpg"; of kind "left.jpg" */
    str_t not_picture;           /* what the first member is that is called like a picture, but is none */
    tar_file_t file;
} source_tar_t;

/* ---- the file ---- */

static la_ssize_t tar_file_read(struct archive *a, void *data, const void **out) {
    tar_file_t *f = data;
    *out = f->buffer;
    if (!f->stream && f->at == f->end) { /* of a part: two blocks of zeros end an archive */
        if (f->ended) return 0;
        f->ended = true;
        memset(f->buffer, 0, 1024);
        return 1024;
    }
    size_t wanted = f->end - f->at < TAR_READ_BYTES ? (size_t)(f->end - f->at) : TAR_READ_BYTES;
    ssize_t n;
    do {
        n = f->stream ? read(f->fd, f->buffer, TAR_READ_BYTES) : pread(f->fd, f->buffer, wanted, (off_t)f->at);
    } while (n < 0 && errno == EINTR);
    if (n < 0) archive_set_error(a, f->error = errno, "%s", strerror(errno));
    if (n > 0) f->at += (uint64_t)n;
    return n < 0 ? ARCHIVE_FATAL : n;
}

/* Never past the end of the file: that its last member is not whole must show in a read. */
static la_int64_t tar_file_skip(struct archive *a, void *data, la_int64_t request) {
    (void)a;
    tar_file_t *f = data;
    uint64_t end = f->end < f->size ? f->end : f->size;
    if (f->stream || f->at >= end || request <= 0) return 0;
    uint64_t n = (uint64_t)request < end - f->at ? (uint64_t)request : end - f->at;
    f->at += n;
    return (la_int64_t)n;
}

static void tar_close(source_t *s) {
    source_tar_t *t = (source_tar_t *)s;
    archive_read_free(t->archive);
    if (t->file.fd >= 0 && !t->file.stream) close(t->file.fd);
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
    str_addf(&t->trouble, "%s: %s after %" PRId64 " bytes, %" PRId64 " whole samples", t->input->path, why,
             (int64_t)t->range.begin + (read_bytes > 0 ? read_bytes : 0), t->range.first + t->n_samples);
}

/* libarchive has failed: over what it read, or because it could not read, whatever it then says of that. */
static void tar_fail(source_tar_t *t) {
    const int error = t->file.error;
    const char *why = error ? strerror(error) : archive_error_string(t->archive);
    if (error)
        t->st = file_error_kind(error);
    else if (archive_errno(t->archive) == ENOMEM)
        t->st = LENS_MEMORY;
    tar_stop(t, why ? why : "cannot be read");
}

/* ---- members ---- */

bool source_split_member(str_t *key, str_t *kind, const char *path) {
    while (str_starts_with(path, "./")) path += 2;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strchr(name, '.');
    if (dot == name || !*name) return false; /* "._x.jpg" and other hidden files */
    str_clear(key);
    str_clear(kind);
    str_add_n(key, path, dot ? (size_t)(dot - path) : strlen(path));
    for (const char *p = dot ? dot + 1 : ""; *p; p++) str_add_char(kind, (char)tolower((unsigned char)*p));
    return true;
}

/* A link stands for no file, but where it is called like a picture it must not go unsaid. */
static bool tar_is_member(source_tar_t *t, const char *path) {
    t->is_link = archive_entry_hardlink(t->entry) || archive_entry_filetype(t->entry) == AE_IFLNK;
    return t->is_link ? source_name_is_picture(path) : archive_entry_filetype(t->entry) == AE_IFREG;
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
            tar_fail(t);
            return str_status(&t->trouble);
        }
        const char *path = archive_entry_pathname(t->entry);
        if (!path || !tar_is_member(t, path) || !source_split_member(&t->key, &t->kind, path)) continue;
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
            tar_fail(t);
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
        tar_fail(t);
        return;
    }
    if (!source_is_picture(magic, (size_t)n)) {
        if (t->not_picture.len == 0 && source_name_is_picture(t->kind.s))
            str_addf(&t->not_picture, ".%s is %s", t->kind.s,
                     t->is_link ? "a link: not followed" : "not a JPEG, PNG or WebP picture");
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
    if (t->st != LENS_OK) return lens_fail(t->st, "%s", str_text(&t->trouble));
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
        raw_sample_reject(out, REJECT_AMBIGUOUS, "%" PRId64 " pictures in one sample: expected 1%s", n_pictures,
                          t->n_plain ? "" : " (a key ends at the first dot of a name)");
    else if (n_pictures == 0 && t->sidecar.has_json)
        sidecar_apply_failure(&t->sidecar, out);
    if (n_pictures == 0 && t->not_picture.len)
        raw_sample_reject(out, REJECT_NO_PICTURE, "%s", t->not_picture.s);
    else if (n_pictures == 0)
        raw_sample_reject(out, REJECT_NO_PICTURE, "no picture among the members");
    if (out->reject == REJECT_NONE) sidecar_apply(&t->sidecar, t->input->options, out);
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

/* ---- opening ---- */

lens_status source_tar_cut(source_input_t *in, source_cuts_t *c) {
    LENS_TRY(source_cut(c, 0, 0));
    bool large = in->kind == SOURCE_TAR && (uint64_t)in->listed.st_size > in->options->unit_bytes;
    if (large && c->samples_per_unit < INT64_MAX) LENS_TRY(tar_index_cut(in->path, c));
    source_cut_end(c, UINT64_MAX);
    return LENS_OK;
}

/* What lies in the file itself is t->trouble. */
static lens_status tar_open_file(source_tar_t *t) {
    tar_file_t *f = &t->file;
    struct stat now;
    f->at = t->range.begin;
    f->end = t->range.end;
    f->stream = t->input->kind == SOURCE_STDIN;
    f->fd = f->stream ? STDIN_FILENO : source_open_to_read(t->input->path);
    if (f->stream) return LENS_OK;
    if (f->fd < 0 && errno == ENOENT) {
        str_addf(&t->trouble, "%s: %s", t->input->path, strerror(errno));
    } else if (f->fd < 0 || fstat(f->fd, &now) != 0) {
        return lens_fail(file_error_kind(errno), "%s: %s", t->input->path, strerror(errno));
    } else if (!source_input_unchanged(t->input, &now)) {
        str_addf(&t->trouble, "%s: changed since it was listed", t->input->path);
    } else {
        f->size = (uint64_t)now.st_size;
    }
    return str_status(&t->trouble);
}

/* No filter that starts another program, and none at all where the file begins like a tar: its parts must read like the
 * whole. */
static lens_status tar_open_archive(source_tar_t *t) {
    struct archive *a = t->archive;
    int code = ARCHIVE_OK;
    bool plain = false;
    if (!t->file.stream) LENS_TRY(tar_index_begins(&plain, t->file.fd, t->input->path));
    if (!plain) {
        code |= archive_read_support_filter_gzip(a) < ARCHIVE_WARN;
        code |= archive_read_support_filter_bzip2(a) < ARCHIVE_WARN;
        code |= archive_read_support_filter_xz(a) < ARCHIVE_WARN;
        code |= archive_read_support_filter_zstd(a) < ARCHIVE_WARN;
        code |= archive_read_support_filter_lz4(a) < ARCHIVE_WARN;
    }
    /* A part that begins within the file is a tar whatever its first header looks like: in the whole it stands behind
     * others, where libarchive no longer asks. */
    bool is_part = plain && t->range.begin > 0;
    code |=
        (is_part ? archive_read_set_format(a, ARCHIVE_FORMAT_TAR) : archive_read_support_format_tar(a)) != ARCHIVE_OK;
    if (code) return lens_fail(LENS_MEMORY, "%s: cannot create a reader", t->input->path);
    if (archive_read_open2(a, &t->file, NULL, tar_file_read, tar_file_skip, NULL) == ARCHIVE_OK) return tar_advance(t);
    tar_fail(t);
    return str_status(&t->trouble);
}

lens_status source_tar_open(source_t **out, const source_input_t *in, source_range_t range) {
    source_tar_t *t = calloc(1, sizeof *t);
    if (!t) return lens_fail(LENS_MEMORY, "%s: out of memory", in->path);
    t->base = (source_t){tar_next, tar_close, NULL};
    t->input = in;
    t->range = range;
    t->file.fd = -1;
    t->archive = archive_read_new();
    lens_status st = t->archive ? LENS_OK : lens_fail(LENS_MEMORY, "%s: cannot create a reader", in->path);
    if (st == LENS_OK) st = tar_open_file(t);
    if (st == LENS_OK && !t->trouble.len) st = tar_open_archive(t);
    if (st != LENS_OK)
        tar_close(&t->base);
    else
        *out = &t->base;
    return st;
}
