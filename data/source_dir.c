/* A folder as a source. The walk lists what may be a picture, without opening anything; a unit is a part of that list,
 * and looks at each file when its turn has come. */
#include "data/source_kinds.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define SOURCE_DIR_MAX_DEPTH 64

/* ---- the walk ---- */

typedef struct {
    char **names; /* owned */
    int64_t n, next;
    size_t path_len; /* of the folder's path with its slash */
} level_t;

typedef struct {
    source_input_t *input;
    source_cuts_t *cuts;
    int64_t n_listed;
    str_t path;      /* of what is looked at */
    size_t root_len; /* of the source's own path with its slash */
    level_t levels[SOURCE_DIR_MAX_DEPTH];
    int n_levels;
} walk_t;

static void walk_free(walk_t *w) {
    for (int i = 0; i < w->n_levels; i++) dir_list_free(w->levels[i].names, w->levels[i].n);
    str_free(&w->path);
}

/* Goes down into w->path. */
static lens_status walk_enter(walk_t *w) {
    if (w->n_levels == SOURCE_DIR_MAX_DEPTH)
        return lens_fail(LENS_FORMAT, "%s: folders nested deeper than %d", w->path.s, SOURCE_DIR_MAX_DEPTH);
    level_t level = {0};
    LENS_TRY(dir_list(&level.names, &level.n, w->path.s));
    if (w->path.s[w->path.len - 1] != '/') str_add_char(&w->path, '/');
    level.path_len = w->path.len;
    w->levels[w->n_levels++] = level;
    return str_status(&w->path);
}

/* w->path is what comes next in the walk. */
static lens_status walk_step(walk_t *w) {
    while (w->n_levels) {
        level_t *level = &w->levels[w->n_levels - 1];
        if (level->next < level->n) {
            w->path.len = level->path_len;
            str_add(&w->path, level->names[level->next++]);
            return str_status(&w->path);
        }
        dir_list_free(level->names, level->n);
        w->n_levels--;
    }
    return LENS_END;
}

static bool name_is_text(const char *name) {
    static const char *const ends[] = {".txt", ".json", ".parquet"};
    return source_name_ends(name, ends, sizeof ends / sizeof ends[0]);
}

static bool name_is_json(const char *name) {
    static const char *const ends[] = {".json"};
    return source_name_ends(name, ends, 1);
}

/* Whether the name is STEM.ANYTHING, and may be a picture. */
static bool name_is_picture_of(const char *name, const char *stem_dot, size_t n) {
    return strncmp(name, stem_dot, n) == 0 && strchr(name + n, '.') == NULL && !name_is_text(name);
}

/* Whether NAME.json, which the walk is at, has no picture beside it. Names that begin alike stand together. */
static bool walk_is_orphan(const walk_t *w) {
    const level_t *level = &w->levels[w->n_levels - 1];
    const char *name = level->names[level->next - 1];
    size_t n = strlen(name) - strlen("json");
    for (int64_t i = level->next - 2; i >= 0 && strncmp(level->names[i], name, n) == 0; i--)
        if (name_is_picture_of(level->names[i], name, n)) return false;
    for (int64_t i = level->next; i < level->n && strncmp(level->names[i], name, n) == 0; i++)
        if (name_is_picture_of(level->names[i], name, n)) return false;
    return true;
}

static lens_status walk_list(walk_t *w) {
    str_t *list = &w->input->listing;
    if (w->n_listed > 0 && w->n_listed % w->cuts->samples_per_unit == 0) LENS_TRY(source_cut(w->cuts, list->len, 0));
    w->n_listed++;
    str_add_n(list, w->path.s + w->root_len, w->path.len - w->root_len + 1);
    return str_status(list);
}

/* Looks at w->path. What cannot be looked at is listed too: it becomes a reject when its turn has come. */
static lens_status walk_visit(walk_t *w) {
    struct stat target;
    if (lstat(w->path.s, &target) != 0) return walk_list(w);
    bool is_link = S_ISLNK(target.st_mode);
    if (is_link && stat(w->path.s, &target) != 0) return walk_list(w);
    if (S_ISDIR(target.st_mode)) {
        if (is_link) return walk_list(w);
        lens_status st = walk_enter(w);
        return st == LENS_OK || st == LENS_MEMORY ? st : walk_list(w);
    }
    if (!S_ISREG(target.st_mode)) return LENS_OK;
    source_cuts_see(w->cuts, w->path.s + w->root_len, &target);
    const char *name = w->path.s + w->levels[w->n_levels - 1].path_len;
    return !name_is_text(name) || (name_is_json(name) && walk_is_orphan(w)) ? walk_list(w) : LENS_OK;
}

lens_status source_dir_cut(source_input_t *in, source_cuts_t *c) {
    walk_t w = {.input = in, .cuts = c};
    str_add(&w.path, in->path);
    lens_status st;
    LENS_GO(str_status(&w.path));
    LENS_GO(walk_enter(&w));
    w.root_len = w.path.len;
    LENS_GO(source_cut(c, 0, 0));
    while ((st = walk_step(&w)) == LENS_OK)
        if (w.path.s[w.levels[w.n_levels - 1].path_len] != '.') LENS_GO(walk_visit(&w));
    if (st == LENS_END) st = LENS_OK;
    source_cut_end(c, in->listing.len);
done:
    walk_free(&w);
    return st;
}

/* ---- reading ---- */

typedef struct {
    source_t base;
    const source_input_t *input;
    size_t next, end; /* in the listing */
    size_t root_len;  /* of the folder's path with its slash */
    str_t path;       /* of what is looked at */
    sidecar_t sidecar;
} source_dir_t;

static void dir_close(source_t *s) {
    source_dir_t *d = (source_dir_t *)s;
    str_free(&d->path);
    sidecar_free(&d->sidecar);
    free(d);
}

/* Length of the path without the last extension; a dot that begins the name begins no extension. */
static size_t dir_stem_len(const source_dir_t *d) {
    const char *slash = strrchr(d->path.s, '/'), *name = slash + 1, *dot = strrchr(name, '.');
    return dot && dot > name ? (size_t)(dot - d->path.s) : d->path.len;
}

/* endings: ".txt", and ".TXT" where there is none. */
static lens_status dir_read_sidecar(str_t *out, bool *there, const source_dir_t *d, const char *const endings[2],
                                    raw_sample_t *sample) {
    str_t path = {0};
    raw_sample_t scratch = {.reject = REJECT_VANISHED};
    lens_status st = LENS_OK;
    for (int i = 0; i < 2 && scratch.reject == REJECT_VANISHED; i++) {
        raw_sample_clear(&scratch);
        str_clear(&path);
        str_add_n(&path, d->path.s, dir_stem_len(d));
        str_add(&path, endings[i]);
        LENS_GO(str_status(&path));
        LENS_GO(source_read_file(out, path.s, SOURCE_TEXT_MAX_BYTES, false, &scratch));
    }
    *there = scratch.reject != REJECT_VANISHED;
    if (*there && scratch.reject != REJECT_NONE)
        raw_sample_reject(sample, REJECT_TEXT, "%s", str_text(&scratch.reason));
done:
    raw_sample_free(&scratch);
    str_free(&path);
    return st;
}

static lens_status dir_read_sidecars(source_dir_t *d, raw_sample_t *out) {
    static const char *const txt[2] = {".txt", ".TXT"}, *const json[2] = {".json", ".JSON"};
    raw_sample_set_key(out, d->path.s + d->root_len, dir_stem_len(d) - d->root_len);
    sidecar_clear(&d->sidecar);
    LENS_TRY(dir_read_sidecar(&d->sidecar.txt, &d->sidecar.has_txt, d, txt, out));
    LENS_TRY(dir_read_sidecar(&d->sidecar.json, &d->sidecar.has_json, d, json, out));
    if (out->reject == REJECT_NONE) sidecar_apply(&d->sidecar, d->input->options, out);
    return LENS_OK;
}

/* A .json without a picture: the record of a failed download, or nothing to us. */
static lens_status dir_read_failure(source_dir_t *d, raw_sample_t *out) {
    sidecar_clear(&d->sidecar);
    raw_sample_t scratch = {0};
    lens_status st = source_read_file(&d->sidecar.json, d->path.s, SOURCE_TEXT_MAX_BYTES, false, &scratch);
    d->sidecar.has_json = scratch.reject == REJECT_NONE;
    raw_sample_free(&scratch);
    LENS_TRY(st);
    raw_sample_set_key(out, d->path.s + d->root_len, dir_stem_len(d) - d->root_len);
    sidecar_apply_failure(&d->sidecar, out);
    return LENS_OK;
}

/* Says more of what could not be read: a folder that is a link or could not be listed, a link to nowhere. */
static lens_status dir_explain(const source_dir_t *d, raw_sample_t *out) {
    struct stat info, target;
    char **names = NULL;
    int64_t n = 0;
    const char *path = d->path.s;
    bool there = lstat(path, &info) == 0, is_link = there && S_ISLNK(info.st_mode);
    bool is_folder = there && stat(path, &target) == 0 && S_ISDIR(target.st_mode);
    lens_status st = LENS_OK;
    if (!is_folder && !(is_link && out->reject == REJECT_VANISHED)) return LENS_OK;
    out->reject = REJECT_NONE;
    if (!is_folder)
        raw_sample_reject(out, REJECT_UNREADABLE, "%s: link to nowhere: No such file or directory", path);
    else if (is_link) /* it may lead back to where the walk comes from */
        raw_sample_reject(out, REJECT_UNREADABLE, "%s: link to a folder: not followed", path);
    else if ((st = dir_list(&names, &n, path)) != LENS_OK)
        raw_sample_reject(out, REJECT_UNREADABLE, "%s", lens_error());
    else
        raw_sample_reject(out, REJECT_UNREADABLE, "%s: could not be listed, or is nested deeper than %d", path,
                          SOURCE_DIR_MAX_DEPTH);
    dir_list_free(names, n);
    return st == LENS_MEMORY ? st : LENS_OK;
}

/* False: nothing to us. */
static bool dir_reject_file(const char *path, raw_sample_t *out) {
    static const char *const tars[] = {".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz"};
    if (source_name_is_picture(path))
        raw_sample_reject(out, REJECT_NO_PICTURE, "%s: not a JPEG, PNG or WebP picture", path);
    else if (source_name_ends(path, tars, sizeof tars / sizeof tars[0]))
        raw_sample_reject(out, REJECT_NO_PICTURE, "%s: a tar inside of a folder: name it as a source of its own", path);
    return out->reject != REJECT_NONE;
}

/* Looks at d->path. *ours: it is a sample, or a reject. */
static lens_status dir_visit(source_dir_t *d, raw_sample_t *out, bool *ours) {
    *ours = true;
    if (name_is_json(d->path.s)) {
        LENS_TRY(dir_read_failure(d, out));
        *ours = out->reject != REJECT_NONE;
        return raw_sample_status(out);
    }
    raw_sample_set_key(out, d->path.s + d->root_len, d->path.len - d->root_len);
    LENS_TRY(source_read_file(&out->image, d->path.s, SOURCE_IMAGE_MAX_BYTES, true, out));
    if (out->reject != REJECT_NONE) return dir_explain(d, out);
    if (source_is_picture(out->image.s, out->image.len)) return dir_read_sidecars(d, out);
    *ours = dir_reject_file(d->path.s, out);
    return LENS_OK;
}

static lens_status dir_next(source_t *s, raw_sample_t *out) {
    source_dir_t *d = (source_dir_t *)s;
    while (d->next < d->end) {
        const char *name = d->input->listing.s + d->next;
        size_t n = strlen(name);
        d->next += n + 1;
        d->path.len = d->root_len;
        str_add_n(&d->path, name, n);
        LENS_TRY(str_status(&d->path));
        raw_sample_clear(out);
        bool ours;
        LENS_TRY(dir_visit(d, out, &ours));
        if (ours) return LENS_OK;
    }
    return LENS_END;
}

lens_status source_dir_open(source_t **out, const source_input_t *in, source_range_t range) {
    source_dir_t *d = calloc(1, sizeof *d);
    if (!d) return lens_fail(LENS_MEMORY, "%s: out of memory", in->path);
    d->base = (source_t){dir_next, dir_close, NULL};
    d->input = in;
    d->next = range.begin;
    d->end = range.end;
    str_add(&d->path, in->path);
    if (!d->path.failed && !str_ends_with(d->path.s, "/")) str_add_char(&d->path, '/');
    d->root_len = d->path.len;
    lens_status st = str_status(&d->path);
    if (st != LENS_OK)
        dir_close(&d->base);
    else
        *out = &d->base;
    return st;
}
