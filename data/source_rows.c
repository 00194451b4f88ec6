#include "data/source_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/source.h"

#define ROWS_BUFFER_BYTES (2 * SOURCE_TEXT_MAX_BYTES)

static const char fault_long[] = "longer than 1048576 bytes";
_Static_assert(SOURCE_TEXT_MAX_BYTES == 1048576, "fault_long names the limit");

lens_status rows_init(rows_t *r, int fd, const char *path, rows_format format, uint64_t begin, uint64_t end,
                      int64_t line) {
    *r = (rows_t){.fd = fd, .path = path, .format = format, .next = begin, .end = end, .next_line = line};
    r->buffer = malloc(ROWS_BUFFER_BYTES);
    r->buffer_begin = begin;
    return r->buffer ? LENS_OK : lens_fail(LENS_MEMORY, "%s: out of memory", path);
}

void rows_free(rows_t *r) {
    free(r->buffer);
    r->buffer = NULL;
}

/* Moves what is not read yet to the front and fills the rest. */
static lens_status rows_fill(rows_t *r) {
    size_t used = (size_t)(r->next - r->buffer_begin);
    memmove(r->buffer, r->buffer + used, r->buffer_len - used);
    r->buffer_len -= used;
    r->buffer_begin = r->next;
    while (r->buffer_len < ROWS_BUFFER_BYTES) {
        uint64_t at = r->buffer_begin + r->buffer_len;
        ssize_t n = pread(r->fd, r->buffer + r->buffer_len, ROWS_BUFFER_BYTES - r->buffer_len, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return lens_fail(LENS_IO, "%s: cannot read: %s", r->path, strerror(errno));
        if (n == 0) break;
        r->buffer_len += (size_t)n;
    }
    r->at_end = r->buffer_len < ROWS_BUFFER_BYTES;
    return LENS_OK;
}

/* Bytes of the line at p, its end included; 0 where no end is among the n. */
static size_t line_bytes(const char *p, size_t n) {
    const char *end = memchr(p, '\n', n);
    return end ? (size_t)(end - p) + 1 : 0;
}

/* The same for a row of CSV; *lines of the file that it takes. A fault ends it. */
static size_t csv_bytes(const char *p, size_t n, int64_t *lines, const char **fault) {
    bool quoted = false, field_begins = true, closed = false;
    *lines = 1;
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        if (quoted) {
            *lines += c == '\n';
            if (c != '"') continue;
            if (i + 1 < n && p[i + 1] == '"') {
                i++;
                continue;
            }
            quoted = false;
            closed = true;
        } else if (c == '\n') {
            return i + 1;
        } else if (c == ',') {
            field_begins = true;
            closed = false;
        } else if (c == '"' && field_begins) {
            quoted = true;
            field_begins = false;
        } else if (c == '"' || (closed && c != '\r')) {
            *fault = closed ? "text after a closing quote" : "a quote inside of a field that does not begin with one";
            return 0;
        } else {
            field_begins = false;
        }
    }
    if (quoted) *fault = "a quote is not closed";
    return 0;
}

/* How long the row at r->next is; 0: more bytes are needed. Sets fault, and *lines. */
static size_t row_bytes(rows_t *r, const char *p, size_t n, int64_t *lines) {
    size_t bounded = n < SOURCE_TEXT_MAX_BYTES ? n : SOURCE_TEXT_MAX_BYTES;
    bool all = r->at_end || n > SOURCE_TEXT_MAX_BYTES; /* no more bytes would change what is found */
    r->fault = NULL;
    *lines = 1;
    size_t length = r->format == ROWS_CSV ? csv_bytes(p, bounded, lines, &r->fault) : line_bytes(p, bounded);
    if (length) return length;
    if (!all) return 0;
    if (!r->fault && bounded == n) return n; /* the last line, without an end */
    *lines = 1;
    length = line_bytes(p, bounded);
    if (length || bounded == n) return length ? length : n;
    r->fault = fault_long;
    r->skipping = true;
    return bounded;
}

/* Goes to the end of a line that was too long. */
static lens_status rows_skip(rows_t *r) {
    while (r->skipping) {
        LENS_TRY(rows_fill(r));
        size_t length = line_bytes(r->buffer, r->buffer_len);
        r->skipping = !length && !r->at_end;
        r->next += length ? length : r->buffer_len;
    }
    return LENS_OK;
}

static lens_status rows_step(rows_t *r) {
    int64_t lines;
    LENS_TRY(rows_skip(r));
    if (r->next >= r->end) return LENS_END;
    size_t used = (size_t)(r->next - r->buffer_begin);
    size_t length = used < r->buffer_len ? row_bytes(r, r->buffer + used, r->buffer_len - used, &lines) : 0;
    if (length == 0) {
        LENS_TRY(rows_fill(r));
        if (r->buffer_len == 0) return LENS_END;
        used = 0;
        length = row_bytes(r, r->buffer, r->buffer_len, &lines);
    }
    r->text = r->buffer + used;
    r->n = length;
    r->begin = r->next;
    r->line = r->next_line;
    r->next += length;
    r->next_line += lines;
    if (r->n && r->text[r->n - 1] == '\n') r->n--;
    if (r->n && r->text[r->n - 1] == '\r') r->n--;
    return LENS_OK;
}

lens_status rows_next(rows_t *r) {
    do {
        LENS_TRY(rows_step(r));
    } while (r->n == 0 && !r->fault);
    return LENS_OK;
}

/* The value of a quoted field; p is after its quote. Returns the bytes up to what follows the closing quote. */
static size_t quoted_field(const char *p, size_t n, str_t *out) {
    size_t i = 0;
    for (; i < n; i++) {
        if (p[i] == '"' && !(i + 1 < n && p[i + 1] == '"')) return i + 1;
        if (p[i] == '"') i++;
        str_add_char(out, p[i]);
    }
    return i;
}

bool rows_field(rows_format format, const char **text, size_t *n, str_t *out) {
    const char *p = *text;
    char separator = format == ROWS_CSV ? ',' : '\t';
    size_t used = 0;
    str_clear(out);
    if (format == ROWS_CSV && *n && p[0] == '"') used = 1 + quoted_field(p + 1, *n - 1, out);
    const char *end = memchr(p + used, separator, *n - used);
    size_t length = end ? (size_t)(end - p) : *n;
    if (used == 0) str_add_n(out, p, length);
    *text += end ? length + 1 : length;
    *n -= end ? length + 1 : length;
    return end != NULL;
}
