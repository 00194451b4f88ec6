/* A folder as a source. The walk keeps one list of names for each level it is in; nothing is read ahead. */
#include "data/source_kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "data/image.h"

#define SOURCE_DIR_MAX_DEPTH 64

typedef struct {
    char **names; /* owned */
    int64_t n, next;
    size_t path_len; /* of the folder's path with its slash */
} level_t;

typedef struct {
    source_t base;
    str_t path;      /* of what is looked at */
    size_t root_len; /* of the source's own path with its slash */
    level_t levels[SOURCE_DIR_MAX_DEPTH];
    int n_levels;
    sidecar_t sidecar;
} source_dir_t;

static void dir_close(source_t *s) {
    source_dir_t *d = (source_dir_t *)s;
    for (int i = 0; i < d->n_levels; i++) dir_list_free(d->levels[i].names, d->levels[i].n);
    str_free(&d->path);
    sidecar_free(&d->sidecar);
    free(d);
}

/* Goes down into d->path. */
static lens_status dir_enter(source_dir_t *d) {
    if (d->n_levels == SOURCE_DIR_MAX_DEPTH)
        return lens_fail(LENS_FORMAT, "folders nested deeper than %d", SOURCE_DIR_MAX_DEPTH);
    level_t level = {0};
    LENS_TRY(dir_list(&level.names, &level.n, d->path.s));
    if (d->path.s[d->path.len - 1] != '/') str_add_char(&d->path, '/');
    level.path_len = d->path.len;
    d->levels[d->n_levels++] = level;
    return str_status(&d->path);
}

/* d->path is what comes next in the walk. */
static lens_status dir_step(source_dir_t *d) {
    while (d->n_levels) {
        level_t *level = &d->levels[d->n_levels - 1];
        if (level->next < level->n) {
            d->path.len = level->path_len;
            str_add(&d->path, level->names[level->next++]);
            return str_status(&d->path);
        }
        dir_list_free(level->names, level->n);
        d->n_levels--;
    }
    return LENS_END;
}

static const char *dir_name(const source_dir_t *d) {
    return d->path.s + d->levels[d->n_levels - 1].path_len;
}

/* Length of the path without the last extension; a dot that begins the name begins no extension. */
static size_t dir_stem_len(const source_dir_t *d) {
    const char *name = dir_name(d), *dot = strrchr(name, '.');
    return dot && dot > name ? (size_t)(dot - d->path.s) : d->path.len;
}

static void dir_set_key(const source_dir_t *d, raw_sample_t *out) {
    raw_sample_set_key(out, d->path.s + d->root_len, dir_stem_len(d) - d->root_len);
}

/* Whether the file begins like a picture. A file that cannot be opened is no picture; errno tells why. */
static bool dir_is_picture(const source_dir_t *d, bool *unreadable) {
    uint8_t magic[IMAGE_MAGIC_BYTES];
    int fd = open(d->path.s, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, magic, sizeof magic);
    *unreadable = n < 0;
    int cause = errno;
    if (fd >= 0) close(fd);
    errno = cause;
    return n > 0 && image_is_readable(magic, (size_t)n);
}

static lens_status dir_read(str_t *out, const char *path, size_t max_bytes) {
    char *bytes;
    size_t n;
    LENS_TRY(file_read(&bytes, &n, path, max_bytes));
    str_free(out);
    *out = (str_t){.s = bytes, .len = n, .cap = n};
    return LENS_OK;
}

/* path: without the extension. */
static bool dir_read_sidecar(str_t *out, const str_t *stem, const char *extension, raw_sample_t *sample) {
    str_t path = {0};
    str_add_n(&path, stem->s, stem->len);
    str_add(&path, extension);
    bool there = !path.failed && file_exists(path.s);
    if (there && dir_read(out, path.s, SOURCE_TEXT_MAX_BYTES) != LENS_OK)
        raw_sample_reject(sample, REJECT_TEXT, "%s", lens_error());
    sample->alt.failed |= path.failed;
    str_free(&path);
    return there;
}

static lens_status dir_read_sample(source_dir_t *d, raw_sample_t *out) {
    lens_status st = dir_read(&out->image, d->path.s, SOURCE_IMAGE_MAX_BYTES);
    if (st == LENS_MEMORY) return st;
    if (st != LENS_OK) {
        raw_sample_reject(out, st == LENS_FORMAT ? REJECT_TOO_LARGE : REJECT_UNREADABLE, "%s", lens_error());
        return LENS_OK;
    }
    str_t stem = {.s = d->path.s, .len = dir_stem_len(d)}; /* borrowed */
    sidecar_clear(&d->sidecar);
    d->sidecar.has_txt = dir_read_sidecar(&d->sidecar.txt, &stem, ".txt", out);
    d->sidecar.has_json = dir_read_sidecar(&d->sidecar.json, &stem, ".json", out);
    if (out->reject == REJECT_NONE) sidecar_apply(&d->sidecar, out);
    return LENS_OK;
}

static bool name_is_tar(const char *name) {
    static const char *const ends[] = {".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (str_ends_with(name, ends[i])) return true;
    return false;
}

/* Looks at d->path. *found: `out` is a sample or a reject; otherwise the walk goes on. */
static lens_status dir_visit(source_dir_t *d, raw_sample_t *out, bool *found) {
    const char *path = d->path.s;
    struct stat info, target;
    *found = true;
    raw_sample_set_key(out, path + d->root_len, d->path.len - d->root_len);
    if (lstat(path, &info) != 0 || stat(path, &target) != 0) {
        raw_sample_reject(out, REJECT_UNREADABLE, "%s: %s", path, strerror(errno));
        return LENS_OK;
    }
    if (S_ISDIR(target.st_mode)) {
        /* A link to a folder may lead back to where the walk comes from. */
        lens_status st =
            S_ISLNK(info.st_mode) ? lens_fail(LENS_IO, "%s: link to a folder: not followed", path) : dir_enter(d);
        if (st == LENS_MEMORY) return st;
        if (st != LENS_OK) raw_sample_reject(out, REJECT_UNREADABLE, "%s", lens_error());
        *found = st != LENS_OK;
        return LENS_OK;
    }
    bool unreadable = false;
    if (S_ISREG(target.st_mode) && dir_is_picture(d, &unreadable)) {
        dir_set_key(d, out);
        return dir_read_sample(d, out);
    }
    if (unreadable)
        raw_sample_reject(out, REJECT_UNREADABLE, "%s: %s", path, strerror(errno));
    else if (source_name_is_picture(path))
        raw_sample_reject(out, REJECT_NO_PICTURE, "%s: not a JPEG, PNG or WebP picture", path);
    else if (name_is_tar(path))
        raw_sample_reject(out, REJECT_NO_PICTURE, "%s: a tar inside of a folder: name it as a source of its own", path);
    *found = out->reject != REJECT_NONE;
    return LENS_OK;
}

static lens_status dir_next(source_t *s, raw_sample_t *out) {
    source_dir_t *d = (source_dir_t *)s;
    for (;;) {
        bool found = false;
        LENS_TRY(dir_step(d));
        if (dir_name(d)[0] == '.') continue;
        raw_sample_clear(out);
        LENS_TRY(dir_visit(d, out, &found));
        if (found) return LENS_OK;
    }
}

lens_status source_dir_open(source_t **out, const char *path) {
    *out = NULL;
    source_dir_t *d = calloc(1, sizeof *d);
    if (!d) return lens_fail(LENS_MEMORY, "%s: out of memory", path);
    d->base = (source_t){dir_next, dir_close};
    str_add(&d->path, path);
    lens_status st = str_status(&d->path);
    if (st == LENS_OK) st = dir_enter(d);
    if (st != LENS_OK) {
        dir_close(&d->base);
        return st;
    }
    d->root_len = d->path.len;
    *out = &d->base;
    return LENS_OK;
}
