/* The list of a checkpoint's files with their sizes and hashes, DIR/manifest.json, written after all of them: a folder
 * whose manifest holds is whole. The same JSON tells rank 0 what another rank wrote. */
#ifndef LENS_TRAIN_CHECKPOINT_MANIFEST_H
#define LENS_TRAIN_CHECKPOINT_MANIFEST_H

#include "base/file_hash.h"
#include "base/str.h"

#define CHECKPOINT_MANIFEST_NAME "manifest.json"
#define CHECKPOINT_VERSION 2 /* of the checkpoint */
#define CHECKPOINT_MAX_FILES 100000

typedef struct {
    char *name; /* path below the folder: no "..", not absolute */
    file_hash_t hash;
} checkpoint_manifest_file_t;

typedef struct {
    int64_t step;
    int n, cap;
    checkpoint_manifest_file_t *file; /* [n] */
} checkpoint_manifest_t;

void checkpoint_manifest_free(checkpoint_manifest_t *m); /* and resets */
/* Reads DIR/NAME, which is written and synced, for its size and hash. */
LENS_CHECKED lens_status checkpoint_manifest_add(checkpoint_manifest_t *m, const char *dir, const char *name);
LENS_CHECKED lens_status checkpoint_manifest_merge(checkpoint_manifest_t *m, const checkpoint_manifest_t *other);
LENS_CHECKED lens_status checkpoint_manifest_to_json(str_t *out, const checkpoint_manifest_t *m); /* appends */
/* Into an empty m. FORMAT, with `where` before the cause; the text is hostile. */
LENS_CHECKED lens_status checkpoint_manifest_from_json(checkpoint_manifest_t *m, const char *text, size_t n,
                                                       const char *where);
LENS_CHECKED lens_status checkpoint_manifest_write(const checkpoint_manifest_t *m, const char *dir);
/* FORMAT, or IO where there is none. */
LENS_CHECKED lens_status checkpoint_manifest_read(checkpoint_manifest_t *m, const char *dir);
/* Whether file i is there with its size and hash: FORMAT (or IO) with its path. */
LENS_CHECKED lens_status checkpoint_manifest_check(const checkpoint_manifest_t *m, const char *dir, int i);

#endif
