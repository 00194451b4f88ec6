/* A manifest as a source: a text whose rows name pictures. Its units are ranges of bytes that begin with a row. */
#include "data/source_kinds.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "data/columns_known.h"
#include "data/source_rows.h"

#define MANIFEST_MAX_COLUMNS 4096

struct manifest {
    int fd;        /* owned: the file, or what was unpacked from it */
    bool unpacked; /* fd is ours alone: nobody can change it */
    rows_format format;
    str_t folder;   /* of the manifest, with its slash; empty: the working folder */
    char **columns; /* [n_columns], of the header; JSONL has none */
    int n_columns;
    uint64_t begin; /* of the rows */
    int64_t line;   /* of the first */
};

static const char *const plain_ends[] = {".jsonl", ".tsv", ".csv"}; /* as rows_format counts */
static const char *const packed_ends[] = {".gz", ".zst"};

/* -1: no manifest. */
static int path_format(const char *path, bool *packed) {
    *packed = source_name_ends(path, packed_ends, 2);
    const size_t n = *packed ? (size_t)(strrchr(path, '.') - path) : strlen(path);
    for (int i = 0; i < 3; i++) {
        const size_t n_end = strlen(plain_ends[i]);
        if (n >= n_end && strncasecmp(path + n - n_end, plain_ends[i], n_end) == 0) return i;
    }
    return -1;
}

bool source_path_is_manifest(const char *path) {
    bool packed;
    return path_format(path, &packed) >= 0;
}

void manifest_free(manifest_t *m) {
    if (!m) return;
    if (m->fd >= 0) close(m->fd);
    for (int i = 0; i < m->n_columns; i++) free(m->columns[i]);
    free(m->columns);
    str_free(&m->folder);
    free(m);
}

/* ---- opening ---- */

static lens_status add_column(manifest_t *m, const char *path, const str_t *name) {
    if (m->n_columns == MANIFEST_MAX_COLUMNS)
        return lens_fail(LENS_FORMAT, "%s: line 1: more than %d columns", path, MANIFEST_MAX_COLUMNS);
    if (name->len == 0 || !str_is_utf8(name->s) || strlen(name->s) != name->len)
        return lens_fail(LENS_FORMAT, "%s: line 1: column %d: expected a name in UTF-8", path, m->n_columns + 1);
    for (int i = 0; i < m->n_columns; i++)
        if (strcmp(m->columns[i], name->s) == 0)
            return lens_fail(LENS_FORMAT, "%s: line 1: column %s is there twice", path, name->s);
    char **grown = realloc(m->columns, sizeof *grown * (size_t)(m->n_columns + 1));
    if (grown) m->columns = grown;
    char *copy = grown ? strdup(name->s) : NULL;
    if (!copy) return lens_fail(LENS_MEMORY, "%s: out of memory for a column's name", path);
    m->columns[m->n_columns++] = copy;
    return LENS_OK;
}

static bool has_column(const manifest_t *m, const char *name) {
    for (int i = 0; i < m->n_columns; i++)
        if (strcmp(m->columns[i], name) == 0) return true;
    return false;
}

static bool has_meaning(const manifest_t *m, const char *meaning) {
    for (const char *const *name = columns_known(meaning); *name; name++)
        if (has_column(m, *name)) return true;
    return false;
}

static lens_status fail_url(const char *path, int64_t line) {
    return lens_fail(LENS_FORMAT,
                     "%s: line %" PRId64 ": URLs instead of files: download first, e.g. with img2dataset, and give "
                     "its tars",
                     path, line);
}

/* The header names what the options ask for, and where the pictures are. */
static lens_status check_columns(const manifest_t *m, const source_input_t *in) {
    const source_options_t *o = in->options;
    const char *const asked[] = {o->picture_column, o->caption_column, o->key_column};
    for (int i = 0; i < 3; i++)
        if (asked[i] && !has_column(m, asked[i]))
            return lens_fail(LENS_FORMAT, "%s: line 1: no column %s", in->path, asked[i]);
    if (o->picture_column || has_meaning(m, "picture")) return LENS_OK;
    if (has_meaning(m, "url")) return fail_url(in->path, 1);
    return lens_fail(LENS_FORMAT, "%s: line 1: no column for the picture: expected path, image, file or filename",
                     in->path);
}

static lens_status read_header(manifest_t *m, const source_input_t *in, rows_t *r) {
    lens_status st = rows_next(r);
    if (st == LENS_END) return lens_fail(LENS_FORMAT, "%s: empty: expected a line of column names", in->path);
    LENS_TRY(st);
    if (r->fault) return lens_fail(LENS_FORMAT, "%s: line %" PRId64 ": %s", in->path, r->line, r->fault);
    str_t name = {0};
    for (bool more = true; more && st == LENS_OK;) {
        more = rows_field(m->format, &r->text, &r->n, &name);
        st = str_status(&name);
        if (st == LENS_OK) st = add_column(m, in->path, &name);
    }
    str_free(&name);
    return st == LENS_OK ? check_columns(m, in) : st;
}

static lens_status manifest_open(source_input_t *in) {
    bool packed;
    int format = path_format(in->path, &packed);
    manifest_t *m = in->manifest = calloc(1, sizeof *m);
    if (!m) return lens_fail(LENS_MEMORY, "%s: out of memory", in->path);
    m->format = (rows_format)format;
    m->fd = -1;
    m->line = 1;
    m->unpacked = packed;
    const char *slash = strrchr(in->path, '/');
    str_add_n(&m->folder, in->path, slash ? (size_t)(slash - in->path) + 1 : 0);
    LENS_TRY(str_status(&m->folder));
    if (packed) LENS_TRY(source_unpack(&m->fd, in->path));
    if (!packed && (m->fd = source_open_to_read(in->path)) < 0)
        return lens_fail(file_error_kind(errno), "%s: %s", in->path, strerror(errno));
    char mark[3];
    size_t n;
    LENS_TRY(file_read_some(m->fd, mark, 3, 0, &n, in->path));
    if (n == 3 && memcmp(mark, "\xEF\xBB\xBF", 3) == 0) m->begin = 3;
    return LENS_OK;
}

/* ---- a row's sample ---- */

/* The file's path without "file://", its escapes undone. False: a URL of another kind. */
static bool take_file_url(str_t *out, const char *text) {
    static const char hex[] = "0123456789abcdef";
    if (strncasecmp(text, "file://", 7) != 0) {
        str_add(out, text);
        return strstr(text, "://") == NULL;
    }
    text += 7;
    if (strncasecmp(text, "localhost/", 10) == 0) text += 9;
    if (*text != '/') return false;
    for (; *text; text++) {
        const char *high = *text == '%' && text[1] ? strchr(hex, tolower((unsigned char)text[1])) : NULL;
        const char *low = high && text[2] ? strchr(hex, tolower((unsigned char)text[2])) : NULL;
        char c = low ? (char)((high - hex) << 4 | (low - hex)) : *text;
        if (c == '\0') return false;
        str_add_char(out, c);
        if (low) text += 2;
    }
    return true;
}

/* Takes the picture's column out of the row. False: rejected. */
static bool take_picture(str_t *path, json_t *row, const source_options_t *o, raw_sample_t *out) {
    const char *column = o->picture_column ? o->picture_column : columns_find(row, "picture");
    const char *text = column ? json_string_value(json_object_get(row, column)) : NULL;
    bool has_url = columns_find(row, "url") != NULL;
    if (!text || !*text)
        raw_sample_reject(out, REJECT_ROW, "%s%s", column ? "no picture's path in column " : "no picture's path",
                          column    ? column
                          : has_url ? ", but a URL: download first, e.g. with img2dataset"
                                    : "");
    else if (!take_file_url(path, text))
        raw_sample_reject(out, REJECT_ROW, "%s: a URL: download first, e.g. with img2dataset", text);
    if (out->reject != REJECT_NONE) return false;
    json_object_del(row, column);
    return true;
}

static void set_path_key(const char *path, raw_sample_t *out) {
    while (str_starts_with(path, "./")) path += 2;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    raw_sample_set_key(out, path, dot && dot > name ? (size_t)(dot - path) : strlen(path));
}

static lens_status read_picture(const manifest_t *m, const str_t *path, raw_sample_t *out) {
    str_t full = {0};
    if (path->s[0] != '/') str_add_n(&full, str_text(&m->folder), m->folder.len);
    str_add_n(&full, path->s, path->len);
    lens_status st = str_status(&full);
    if (st == LENS_OK) st = source_read_file(&out->image, full.s, SOURCE_IMAGE_MAX_BYTES, true, out);
    if (st == LENS_OK && out->reject == REJECT_NONE && !source_is_picture(out->image.s, out->image.len))
        raw_sample_reject(out, REJECT_NO_PICTURE, "%s: not a JPEG, PNG or WebP picture", full.s);
    if (out->reject == REJECT_VANISHED) out->reject = REJECT_MISSING;
    str_free(&full);
    return st;
}

/* The fields under their columns' names, without the empty ones. NULL: rejected, or no memory. */
static json_t *row_object(const manifest_t *m, const rows_t *r, raw_sample_t *out) {
    if (m->format == ROWS_JSONL) return source_json_parse(r->text, r->n, REJECT_ROW, out);
    json_t *row = json_object();
    str_t field = {0};
    const char *text = r->text;
    size_t left = r->n;
    bool more = true, failed = !row;
    int n = 0;
    for (; more && !failed; n++) {
        more = rows_field(m->format, &text, &left, &field);
        if (n >= m->n_columns || field.len == 0) continue;
        json_t *value = source_json_value(field.s, field.len, &out->repaired);
        failed = field.failed || json_object_set_new(row, m->columns[n], value) != 0;
    }
    if (!failed && n != m->n_columns) raw_sample_reject(out, REJECT_ROW, "expected %d fields, got %d", m->n_columns, n);
    out->meta.failed |= failed;
    str_free(&field);
    if (!failed && out->reject == REJECT_NONE) return row;
    json_decref(row);
    return NULL;
}

/* Files and keys may be called by numbers: what the row holds is the text again. */
static lens_status number_to_text(json_t *row, const char *column) {
    const json_t *value = column ? json_object_get(row, column) : NULL;
    char digits[32];
    if (!json_is_integer(value)) return LENS_OK;
    int n = snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    const int failed = json_object_set_new(row, column, json_stringn(digits, (size_t)n));
    return failed ? lens_fail(LENS_MEMORY, "out of memory for column %s", column) : LENS_OK;
}

static lens_status read_row(const manifest_t *m, const rows_t *r, const source_options_t *given, raw_sample_t *out) {
    source_options_t o = *given;
    json_t *row = row_object(m, r, out);
    str_t path = {0};
    if (!row) return LENS_OK; /* for want of memory, out says so */
    if (!o.key_column) o.key_column = columns_find(row, "key");
    lens_status st = number_to_text(row, o.picture_column ? o.picture_column : columns_find(row, "picture"));
    if (st == LENS_OK && take_picture(&path, row, &o, out) && (st = str_status(&path)) == LENS_OK) {
        set_path_key(path.s, out);
        source_json_apply(row, NULL, &o, out);
        if (out->reject == REJECT_NONE) st = read_picture(m, &path, out);
    }
    str_free(&path);
    json_decref(row);
    return st;
}

/* Whether the first row has a URL where a file is expected: then all rows have, and one line is said instead of
 * millions. */
static lens_status check_first_row(const manifest_t *m, const source_input_t *in, const rows_t *r) {
    raw_sample_t scratch = {0};
    str_t path = {0};
    json_t *row = r->fault ? NULL : row_object(m, r, &scratch);
    const char *column = in->options->picture_column ? in->options->picture_column : columns_find(row, "picture");
    const char *text = column ? json_string_value(json_object_get(row, column)) : NULL;
    bool is_url = text ? !take_file_url(&path, text) : !column && columns_find(row, "url");
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = raw_sample_status(&scratch);
    if (st == LENS_OK && is_url) st = fail_url(in->path, r->line);
    json_decref(row);
    str_free(&path);
    raw_sample_free(&scratch);
    return st;
}

/* ---- the source ---- */

typedef struct {
    source_t base;
    const source_input_t *input;
    rows_t rows;
    bool checked, ended;
} source_manifest_t;

lens_status source_manifest_cut(source_input_t *in, source_cuts_t *c) {
    rows_t r = {0};
    lens_status st;
    LENS_GO(manifest_open(in));
    manifest_t *m = in->manifest;
    LENS_GO(rows_init(&r, m->fd, in->path, m->format, m->begin, UINT64_MAX, 1));
    if (m->format != ROWS_JSONL) LENS_GO(read_header(m, in, &r));
    m->begin = r.next;
    m->line = r.next_line;
    LENS_GO(source_cut(c, m->begin, m->line));
    for (int64_t n = 0; n == 0 || c->samples_per_unit < INT64_MAX; n++) {
        if ((st = rows_next(&r)) != LENS_OK) break;
        if (n == 0) LENS_GO(check_first_row(m, in, &r));
        if (n > 0 && n % c->samples_per_unit == 0) LENS_GO(source_cut(c, r.begin, r.line));
    }
    if (st != LENS_OK && st != LENS_END) goto done;
    st = LENS_OK;
    source_cut_end(c, UINT64_MAX);
done:
    rows_free(&r);
    return st;
}

static lens_status manifest_next(source_t *s, raw_sample_t *out) {
    source_manifest_t *t = (source_manifest_t *)s;
    struct stat now;
    if (t->ended) return LENS_END;
    if (!t->checked && !t->input->manifest->unpacked &&
        (fstat(t->input->manifest->fd, &now) != 0 || !source_input_unchanged(t->input, &now))) {
        t->ended = true;
        raw_sample_reject(out, REJECT_CUT_SHORT, "%s: changed since it was listed", t->input->path);
        return LENS_OK;
    }
    t->checked = true;
    LENS_TRY(rows_next(&t->rows));
    if (t->rows.fault)
        raw_sample_reject(out, REJECT_ROW, "%s", t->rows.fault);
    else
        LENS_TRY(read_row(t->input->manifest, &t->rows, t->input->options, out));
    if (out->reject == REJECT_NONE) return LENS_OK;
    str_t reason = {0}; /* with the place before it */
    str_addf(&reason, "%s: line %" PRId64 ": %s", t->input->path, t->rows.line, str_text(&out->reason));
    str_free(&out->reason);
    out->reason = reason; /* moves */
    return LENS_OK;
}

static void manifest_close(source_t *s) {
    source_manifest_t *t = (source_manifest_t *)s;
    rows_free(&t->rows);
    free(t);
}

lens_status source_manifest_open(source_t **out, const source_input_t *in, source_range_t range) {
    source_manifest_t *t = calloc(1, sizeof *t);
    if (!t) return lens_fail(LENS_MEMORY, "%s: out of memory", in->path);
    t->base = (source_t){manifest_next, manifest_close, NULL};
    t->input = in;
    const manifest_t *m = in->manifest;
    lens_status st = rows_init(&t->rows, m->fd, in->path, m->format, range.begin, range.end, range.first);
    if (st != LENS_OK)
        manifest_close(&t->base);
    else
        *out = &t->base;
    return st;
}
