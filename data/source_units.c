#include "data/source_units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/source_kinds.h"

typedef struct {
    int input;
    source_range_t range;
} unit_t;

struct source_units {
    source_options_t options; /* texts owned */
    source_input_t *inputs;
    int n_inputs;
    unit_t *units;
    int64_t n;
    uint64_t hash;
};

/* ---- what the kinds call while they cut ---- */

lens_status source_cut(source_cuts_t *c, uint64_t begin, int64_t first) {
    if (c->n == c->cap) {
        int64_t cap = c->cap ? 2 * c->cap : 16;
        source_range_t *grown = realloc(c->ranges, (size_t)cap * sizeof *grown);
        if (!grown) return lens_fail(LENS_MEMORY, "out of memory for %lld units", (long long)cap);
        c->ranges = grown;
        c->cap = cap;
    }
    source_cut_end(c, begin);
    c->ranges[c->n++] = (source_range_t){begin, begin, first};
    return LENS_OK;
}

void source_cut_end(source_cuts_t *c, uint64_t end) {
    if (c->n) c->ranges[c->n - 1].end = end;
}

static void hash_bytes(XXH3_state_t *h, const void *bytes, size_t n) {
    XXH3_64bits_update(h, bytes, n);
}

static void hash_u64(XXH3_state_t *h, uint64_t value) {
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(value >> (8 * i));
    hash_bytes(h, bytes, sizeof bytes);
}

static void hash_text(XXH3_state_t *h, const char *text) {
    hash_u64(h, text ? strlen(text) : UINT64_MAX);
    if (text) hash_bytes(h, text, strlen(text));
}

void source_cuts_see(source_cuts_t *c, const char *name, const struct stat *info) {
    hash_text(c->hash, name);
    hash_u64(c->hash, (uint64_t)info->st_size);
    hash_u64(c->hash, (uint64_t)info->st_mtim.tv_sec);
    hash_u64(c->hash, (uint64_t)info->st_mtim.tv_nsec);
}

bool source_input_unchanged(const source_input_t *in, const struct stat *now) {
    const struct stat *then = &in->listed;
    return then->st_size == now->st_size && then->st_mtim.tv_sec == now->st_mtim.tv_sec &&
           then->st_mtim.tv_nsec == now->st_mtim.tv_nsec;
}

/* ---- opening ---- */

static lens_status input_kind(source_input_t *in) {
    static const char *const parquet[] = {".parquet"};
    const char *path = in->path;
    LENS_TRY(source_check(path));
    if (strcmp(path, "-") == 0) {
        if (isatty(STDIN_FILENO))
            return lens_fail(LENS_ARGUMENT, "-: expected a tar on standard input, got a terminal");
        in->kind = SOURCE_STDIN;
        return LENS_OK;
    }
    if (stat(path, &in->listed) != 0) return lens_fail(file_error_kind(errno), "%s: %s", path, strerror(errno));
    if (!S_ISDIR(in->listed.st_mode) && !S_ISREG(in->listed.st_mode))
        return lens_fail(LENS_ARGUMENT, "%s: a pipe or a device: give it on standard input, as -", path);
    bool is_dataset = false;
    if (S_ISDIR(in->listed.st_mode)) LENS_TRY(source_path_is_dataset(&is_dataset, path));
    if (S_ISDIR(in->listed.st_mode))
        in->kind = is_dataset ? SOURCE_DATASET : SOURCE_FOLDER;
    else if (source_name_ends(path, parquet, 1))
        return lens_fail(LENS_ARGUMENT, "%s: Parquet is not read: expected the tars beside it, or .jsonl, .tsv or .csv",
                         path);
    else
        in->kind = source_path_is_manifest(path) ? SOURCE_MANIFEST : SOURCE_TAR;
    return LENS_OK;
}

static lens_status input_cut(source_input_t *in, source_cuts_t *c) {
    hash_text(c->hash, in->path);
    hash_u64(c->hash, in->kind);
    if (in->kind == SOURCE_TAR || in->kind == SOURCE_MANIFEST) source_cuts_see(c, in->path, &in->listed);
    switch (in->kind) {
    case SOURCE_FOLDER:
        return source_dir_cut(in, c);
    case SOURCE_MANIFEST:
        return source_manifest_cut(in, c);
    case SOURCE_DATASET:
        return source_dataset_cut(in, c);
    case SOURCE_TAR:
    case SOURCE_STDIN:
        break;
    }
    return source_tar_cut(in, c);
}

static lens_status add_units(source_units_t *u, int input, const source_cuts_t *c) {
    unit_t *grown = realloc(u->units, (size_t)(u->n + c->n) * sizeof *grown);
    if (!grown) return lens_fail(LENS_MEMORY, "out of memory for %lld units", (long long)(u->n + c->n));
    u->units = grown;
    for (int64_t i = 0; i < c->n; i++) {
        u->units[u->n++] = (unit_t){input, c->ranges[i]};
        hash_u64(c->hash, c->ranges[i].begin);
        hash_u64(c->hash, c->ranges[i].end);
    }
    return LENS_OK;
}

static lens_status add_input(source_units_t *u, const char *path, int64_t samples_per_unit, XXH3_state_t *hash) {
    source_input_t *in = &u->inputs[u->n_inputs++];
    in->options = &u->options;
    in->path = strdup(path);
    if (!in->path) return lens_fail(LENS_MEMORY, "%s: out of memory", path);
    LENS_TRY(input_kind(in));
    for (int i = 0; in->kind == SOURCE_STDIN && i < u->n_inputs - 1; i++)
        if (u->inputs[i].kind == SOURCE_STDIN)
            return lens_fail(LENS_ARGUMENT, "-: standard input was given twice: it can be read once");
    source_cuts_t cuts = {.samples_per_unit = samples_per_unit, .hash = hash};
    lens_status st = input_cut(in, &cuts);
    if (st == LENS_OK) st = add_units(u, u->n_inputs - 1, &cuts);
    free(cuts.ranges);
    return st;
}

static lens_status copy_text(const char **out, const char *text) {
    *out = text ? strdup(text) : NULL;
    return text && !*out ? lens_fail(LENS_MEMORY, "out of memory for options") : LENS_OK;
}

static lens_status copy_options(source_options_t *out, const source_options_t *o) {
    out->unit_bytes = o->unit_bytes ? o->unit_bytes : SOURCE_UNIT_BYTES;
    LENS_TRY(copy_text(&out->picture_column, o->picture_column));
    LENS_TRY(copy_text(&out->caption_column, o->caption_column));
    return copy_text(&out->key_column, o->key_column);
}

static lens_status units_fill(source_units_t *u, char *const *paths, int n_paths, int64_t samples_per_unit,
                              XXH3_state_t *hash) {
    XXH3_64bits_reset(hash);
    hash_text(hash, u->options.picture_column);
    hash_text(hash, u->options.caption_column);
    hash_text(hash, u->options.key_column);
    for (int i = 0; i < n_paths; i++) LENS_TRY(add_input(u, paths[i], samples_per_unit, hash));
    u->hash = XXH3_64bits_digest(hash);
    return LENS_OK;
}

lens_status source_units_open_with(source_units_t **out, char *const *paths, int n_paths, int64_t samples_per_unit,
                                   const source_options_t *options) {
    *out = NULL;
    LENS_ASSERT(n_paths > 0 && samples_per_unit > 0, "%d paths, %lld samples a unit", n_paths,
                (long long)samples_per_unit);
    source_units_t *u = calloc(1, sizeof *u);
    XXH3_state_t *hash = XXH3_createState();
    if (u) u->inputs = calloc((size_t)n_paths, sizeof *u->inputs);
    lens_status st = LENS_OK;
    if (!u || !hash || !u->inputs) {
        st = lens_fail(LENS_MEMORY, "out of memory for %d sources", n_paths);
        goto done;
    }
    LENS_GO(copy_options(&u->options, options ? options : &(source_options_t){0}));
    LENS_GO(units_fill(u, paths, n_paths, samples_per_unit, hash));
    *out = u;
done:
    XXH3_freeState(hash);
    if (st != LENS_OK) source_units_close(u);
    return st;
}

lens_status source_units_open(source_units_t **out, char *const *paths, int n_paths, int64_t samples_per_unit) {
    return source_units_open_with(out, paths, n_paths, samples_per_unit, NULL);
}

void source_units_close(source_units_t *u) {
    if (!u) return;
    for (int i = 0; i < u->n_inputs; i++) {
        free(u->inputs[i].path);
        str_free(&u->inputs[i].listing);
        dataset_close(u->inputs[i].dataset);
        manifest_free(u->inputs[i].manifest);
    }
    free(u->inputs);
    free(u->units);
    free((char *)u->options.picture_column);
    free((char *)u->options.caption_column);
    free((char *)u->options.key_column);
    free(u);
}

int64_t source_units_n(const source_units_t *u) {
    return u->n;
}

static const unit_t *unit_at(const source_units_t *u, int64_t unit) {
    LENS_ASSERT(unit >= 0 && unit < u->n, "unit %lld of %lld", (long long)unit, (long long)u->n);
    return &u->units[unit];
}

int source_units_input(const source_units_t *u, int64_t unit) {
    return unit_at(u, unit)->input;
}

const char *source_units_path(const source_units_t *u, int64_t unit) {
    return u->inputs[unit_at(u, unit)->input].path;
}

uint64_t source_units_hash(const source_units_t *u) {
    return u->hash;
}

lens_status source_units_read(const source_units_t *u, int64_t unit, source_t **out) {
    *out = NULL;
    const unit_t *at = unit_at(u, unit);
    const source_input_t *in = &u->inputs[at->input];
    switch (in->kind) {
    case SOURCE_FOLDER:
        return source_dir_open(out, in, at->range);
    case SOURCE_MANIFEST:
        return source_manifest_open(out, in, at->range);
    case SOURCE_DATASET:
        return source_dataset_open(out, in, at->range);
    case SOURCE_TAR:
    case SOURCE_STDIN:
        break;
    }
    return source_tar_open(out, in, at->range);
}
