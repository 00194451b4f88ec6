/* Where samples come from, read one after another:
 *
 * Folder: all files below it, in bytewise order of their names, level by level. The content decides what is a picture,
 * but *.txt, *.json and *.parquet are none; names that begin with a dot are passed over. Beside NAME.jpg, NAME.txt
 * holds its alt-text and NAME.json what else is known. Key: the path below the folder without the last extension.
 *
 * Tar (WebDataset), plain or compressed (gzip, bzip2, xz, zstd, lz4); "-" is one on standard input. Members of one
 * sample stand together; their key is the path up to the first dot of its last part. What follows that dot is the kind,
 * in whatever case: txt and json as above; among the others the content decides.
 *
 * Manifest: .jsonl with one object a line, .csv (RFC 4180) and .tsv (tabs; quotes mean nothing) with a line of column
 * names first; plain, or with .gz or .zst after that. A row names a picture's file, by a path from the manifest's
 * folder or file://. Key: the column "key", or else that path without its last extension. In .tsv and .csv, a number
 * becomes a number of JSON, and an empty field is a missing one.
 *
 * Dataset: a folder with base/shard-00000.h5. Its pictures, keys, alt-text and metadata.
 *
 * Where .txt and .json both say what the picture shows, .txt counts, and the .json's stays in the metadata. Where
 * nobody does, the alt-text is what the file's name says. Metadata keep every other column under its own name
 * (data/columns_known.h lists who calls what how). A .json without a picture whose "status" is not "success" is the
 * record of a failed download: a reject. Sizes in metadata are what somebody wrote, not what the picture has.
 *
 * A source belongs to one thread. */
#ifndef LENS_DATA_SOURCE_H
#define LENS_DATA_SOURCE_H

#include "base/error.h"
#include "base/str.h"

#define SOURCE_IMAGE_MAX_BYTES ((size_t)256 << 20)
#define SOURCE_TEXT_MAX_BYTES ((size_t)1 << 20) /* of a .txt, a .json, a manifest's row */

/* Why a sample was left out. X(name, text) */
#define REJECT_LIST(X)                                                                                                 \
    X(NONE, "accepted")                                                                                                \
    X(CUT_SHORT, "source cut short or damaged")                                                                        \
    X(UNREADABLE, "cannot read")                                                                                       \
    X(VANISHED, "vanished")                                                                                            \
    X(MISSING, "picture missing")                                                                                      \
    X(NO_PICTURE, "no picture")                                                                                        \
    X(FAILED, "download failed")                                                                                       \
    X(AMBIGUOUS, "more than one picture")                                                                              \
    X(TOO_LARGE, "file too large")                                                                                     \
    X(ROW, "malformed row")                                                                                            \
    X(TEXT, "bad text or metadata")                                                                                    \
    X(DECODE, "cannot decode")                                                                                         \
    X(ENCODE, "cannot encode")                                                                                         \
    X(DUPLICATE, "duplicate key")

typedef enum {
#define REJECT_ENUM(name, text) REJECT_##name,
    REJECT_LIST(REJECT_ENUM)
#undef REJECT_ENUM
        REJECT_N
} reject_class;

const char *reject_text(reject_class c);

typedef struct {
    str_t key;           /* UTF-8 without control characters */
    str_t image;         /* the picture's file */
    str_t alt;           /* UTF-8, may be empty */
    str_t meta;          /* JSON object */
    bool repaired;       /* some text was not Unicode: U+FFFD stands for what was not */
    reject_class reject; /* not NONE: only key and reason count */
    str_t reason;
} raw_sample_t;

void raw_sample_clear(raw_sample_t *s); /* memory kept */
void raw_sample_free(raw_sample_t *s);
/* Marks the sample; the first mark counts. */
void raw_sample_reject(raw_sample_t *s, reject_class c, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The key as it is kept: invalid UTF-8 and control characters become U+FFFD. */
void raw_sample_set_key(raw_sample_t *s, const char *key, size_t n);

typedef struct source source_t;
/* "-", or IO where the path is neither a readable folder nor a readable file. What a file holds shows in source_next.
 */
LENS_CHECKED lens_status source_check(const char *path);
/* All of one path: the single unit of data/source_units.h, with the options that are set there to nothing. */
LENS_CHECKED lens_status source_open(source_t **out, const char *path);
/* END after the last. A sample that cannot be read is OK with its reject filled in, and so is the place where a tar is
 * cut short, damaged or no tar at all: the last thing before END. IO where storage fails under a tar or a manifest,
 * which would cost all the samples that follow; MEMORY where memory or open files run out: what has failed is the run.
 */
LENS_CHECKED lens_status source_next(source_t *s, raw_sample_t *out);
void source_close(source_t *s); /* NULL is allowed */

#endif
