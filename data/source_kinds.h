/* What the kinds of sources share. Private to source*.c. */
#ifndef LENS_DATA_SOURCE_KINDS_H
#define LENS_DATA_SOURCE_KINDS_H

#include <sys/stat.h>

#include <jansson.h>
#include <xxhash.h>

#include "data/dataset.h"
#include "data/source_units.h"

struct source {
    lens_status (*next)(source_t *s, raw_sample_t *out);
    void (*close)(source_t *s);
    source_units_t *units; /* owned where source_open made them, else NULL */
};

/* ---- one path that was given ---- */

typedef enum { SOURCE_FOLDER, SOURCE_TAR, SOURCE_STDIN, SOURCE_MANIFEST, SOURCE_DATASET } source_kind;

/* A part of an input. The numbers are the kind's own: bytes of a file or of a listing, indices of samples. */
typedef struct {
    uint64_t begin, end;
    int64_t first; /* tar: samples before it; manifest: number of its first line */
} source_range_t;

typedef struct manifest manifest_t;

/* Immutable once it is cut, and shared by the sources that read it. */
typedef struct {
    char *path; /* owned, as all below but the options */
    source_kind kind;
    struct stat listed;              /* as it was then; tar and manifest */
    str_t listing;                   /* folder: paths below it, each with a NUL */
    dataset_t *dataset;              /* dataset */
    manifest_t *manifest;            /* manifest */
    const source_options_t *options; /* borrowed */
} source_input_t;

bool source_input_unchanged(const source_input_t *in, const struct stat *now);

typedef struct {
    int64_t samples_per_unit;
    XXH3_state_t *hash;     /* of all that was seen */
    source_range_t *ranges; /* owned */
    int64_t n, cap;
} source_cuts_t;

/* A new unit begins here, which ends the one before; MEMORY. The last is ended by the last call, source_cut_end. */
LENS_CHECKED lens_status source_cut(source_cuts_t *c, uint64_t begin, int64_t first);
void source_cut_end(source_cuts_t *c, uint64_t end);
void source_cuts_see(source_cuts_t *c, const char *name, const struct stat *info); /* goes into the hash */

/* Fills what the kind needs of `in`, and the cuts: at least one. */
LENS_CHECKED lens_status source_dir_cut(source_input_t *in, source_cuts_t *c);
LENS_CHECKED lens_status source_tar_cut(source_input_t *in, source_cuts_t *c);
LENS_CHECKED lens_status source_manifest_cut(source_input_t *in, source_cuts_t *c);
LENS_CHECKED lens_status source_dataset_cut(source_input_t *in, source_cuts_t *c);
/* A source of that range. */
LENS_CHECKED lens_status source_dir_open(source_t **out, const source_input_t *in, source_range_t range);
LENS_CHECKED lens_status source_tar_open(source_t **out, const source_input_t *in, source_range_t range);
LENS_CHECKED lens_status source_manifest_open(source_t **out, const source_input_t *in, source_range_t range);
LENS_CHECKED lens_status source_dataset_open(source_t **out, const source_input_t *in, source_range_t range);

/* The unpacked bytes of a file with gzip or zstd, in a nameless file of $TMPDIR. *fd is owned by the caller. */
LENS_CHECKED lens_status source_unpack(int *fd, const char *path);

void manifest_free(manifest_t *m); /* NULL is allowed */
bool source_path_is_manifest(const char *path);
LENS_CHECKED lens_status source_path_is_dataset(bool *out, const char *path);

/* ---- pictures ---- */

/* Whether the file begins like a picture that can be decoded. */
bool source_is_picture(const void *bytes, size_t n);
/* Whether the name (or an extension alone) ends like a picture's, of whatever format. */
bool source_name_is_picture(const char *name);
bool source_name_ends(const char *name, const char *const *ends, size_t n_ends); /* in whatever case */

/* The file, opened without waiting for a pipe or a device; -1 with errno. */
int source_open_to_read(const char *path);
/* Reads the file, at most max_bytes, into `out`. only_pictures: of another file the first bytes alone. sample: not yet
 * rejected; OK with it rejected as VANISHED (there is none), UNREADABLE or TOO_LARGE; MEMORY also where too many files
 * are open. */
LENS_CHECKED lens_status source_read_file(str_t *out, const char *path, size_t max_bytes, bool only_pictures,
                                          raw_sample_t *sample);

/* LENS_MEMORY where a text of the sample could not be held. */
LENS_CHECKED lens_status raw_sample_status(const raw_sample_t *s);

/* ---- texts: source_text.c ---- */

typedef struct {
    bool has_txt, has_json;
    str_t txt, json; /* as read */
} sidecar_t;

void sidecar_clear(sidecar_t *s);
void sidecar_free(sidecar_t *s);
/* Fills alt and meta, and the key where options name its column, or rejects. */
void sidecar_apply(const sidecar_t *s, const source_options_t *o, raw_sample_t *out);
/* For a sample without a picture: rejects it as FAILED where its .json says so. */
void sidecar_apply_failure(const sidecar_t *s, raw_sample_t *out);

/* A JSON object of somebody else's making, with what Python's json module writes beyond JSON. The caller owns it; NULL:
 * rejected as `c`, or MEMORY in out->meta. */
json_t *source_json_parse(const char *text, size_t n, reject_class c, raw_sample_t *out);
/* Takes caption and key out of the object, whose rest becomes the metadata. txt: NULL, or what a .txt says. */
void source_json_apply(json_t *object, const str_t *txt, const source_options_t *o, raw_sample_t *out);
/* The text as a JSON value: a number where it is one that keeps its digits, else a string. NULL: no memory. */
json_t *source_json_value(const char *text, size_t n, bool *repaired);

/* Appends what a file's name says: separators and camelCase become spaces, a counter at the end is dropped
 * ("red_car_007" is "red car", "boeing-747" stays). Nothing where no letter is left. name: n bytes without folder and
 * extension. */
void source_text_from_name(str_t *out, const char *name, size_t n);

/* ---- tars: source_tar.c ---- */

/* Splits a member's path: key up to the first dot of the last part, the kind after it in lower case. False where it is
 * no part of a sample. */
bool source_split_member(str_t *key, str_t *kind, const char *path);

#endif
