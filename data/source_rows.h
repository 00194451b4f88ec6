/* The rows of a text file, one after another, and the fields of a row: manifests, and lists of prompts.
 *
 * A row is a line; in CSV (RFC 4180) a field between quotes may hold line ends. What breaks these rules is a row with a
 * fault: it takes one line, and the next row begins after it. Where a fault shows may lie far behind, so a part of a
 * file is read with sight of what follows: where it is cut changes nothing. */
#ifndef LENS_DATA_SOURCE_ROWS_H
#define LENS_DATA_SOURCE_ROWS_H

#include "base/error.h"
#include "base/str.h"

typedef enum { ROWS_JSONL, ROWS_TSV, ROWS_CSV } rows_format;

typedef struct {
    int fd;           /* borrowed; read by address only */
    const char *path; /* borrowed, for messages */
    rows_format format;
    uint64_t next, end; /* bytes of the file: of the next row; of the first row that is not wanted any more */
    int64_t next_line;  /* of the next row, from 1 */
    bool skipping;      /* inside of a line that was too long */
    char *buffer;       /* owned */
    uint64_t buffer_begin;
    size_t buffer_len;
    bool at_end; /* the buffer holds all that is left of the file */
    /* the row that was read last; borrowed, until the next is read */
    const char *text; /* without its line end */
    size_t n;
    uint64_t begin;
    int64_t line;
    const char *fault; /* NULL: none */
} rows_t;

/* begin: of a row. end: UINT64_MAX for the file's. */
LENS_CHECKED lens_status rows_init(rows_t *r, int fd, const char *path, rows_format format, uint64_t begin,
                                   uint64_t end, int64_t line);
void rows_free(rows_t *r);
LENS_CHECKED lens_status rows_next(rows_t *r); /* empty lines are passed over; END, IO, MEMORY */

/* Takes one field from *text, n bytes: its value into `out`, cleared before. False: it was the last. */
bool rows_field(rows_format format, const char **text, size_t *n, str_t *out);

#endif
