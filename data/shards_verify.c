/* `lens shards verify`: every file of a dataset, then what must hold between them. Files that do not open do not hide
 * the faults of others. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "data/dataset_names.h"
#include "data/key_set.h"
#include "data/set_index.h"
#include "data/shards.h"

typedef struct {
    const char *dir; /* of the base */
    int64_t n_base, n_files, n_faults;
    uint64_t n_bytes;
    key_set_t keys;
    set_index_t found; /* base shards from the first, as far as they are whole */
} verify_t;

/* A failed call as a fault, but for MEMORY, which is ours. */
static lens_status note(verify_t *v, lens_status st) {
    if (st == LENS_MEMORY) return st;
    if (st != LENS_OK) {
        v->n_faults++;
        printf("%s\n", lens_error());
    }
    return LENS_OK;
}

static lens_status check_keys(verify_t *v, const shard_t *s) {
    str_t key = {0};
    lens_status st = LENS_OK;
    chunk_cache_t *cache = NULL;
    LENS_GO(chunk_cache_new(&cache, 2));
    for (int64_t i = 0; i < s->n_samples; i++) {
        LENS_GO(column_get(&s->keys, i, cache, &key));
        if (key_set_has(&v->keys, key.s, key.len))
            LENS_GO(
                note(v, lens_fail(LENS_FORMAT, "%s: sample %" PRId64 ": the key %s occurs twice", s->path, i, key.s)));
        LENS_GO(key_set_add(&v->keys, key.s, key.len));
    }
done:
    chunk_cache_free(cache);
    str_free(&key);
    return st;
}

/* What must hold between this whole file and others. */
static lens_status check_relations(verify_t *v, const char *path, const char *kind, const char *name, int64_t number) {
    shard_t *s = NULL, *base = NULL;
    str_t base_path = {0};
    lens_status st;
    LENS_GO(shard_open(&s, path));
    if (kind) {
        str_addf(&base_path, "%s/base/%s.h5", v->dir, name);
        LENS_GO(str_status(&base_path));
        LENS_GO(shard_open(&base, base_path.s));
        LENS_GO(shard_check_fit(s, kind, name, base->n_samples, base->content_hash));
    } else if (s->role != SEAL_BASE) {
        st = lens_fail(LENS_FORMAT, "%s: a layer shard (%s) among the base shards", s->path, s->kind);
    } else {
        LENS_GO(check_keys(v, s));
        if (number == v->found.n_shards) LENS_GO(set_index_add(&v->found, s, NULL));
    }
done:
    shard_close(base);
    shard_close(s);
    str_free(&base_path);
    return note(v, st);
}

static lens_status check_file(verify_t *v, const char *folder, const char *kind, int64_t number) {
    str_t name = {0}, path = {0}, faults = {0};
    int64_t n = 0;
    lens_status st;
    shard_name_format(&name, number);
    LENS_GO(str_status(&name));
    str_addf(&path, "%s/%s.h5", folder, name.s);
    LENS_GO(str_status(&path));
    log_progress("verify %s", path.s);
    LENS_GO(shard_verify(path.s, SHARD_VERIFY_PICTURES, &faults, &n));
    log_progress_end();
    fputs(str_text(&faults), stdout);
    v->n_faults += n;
    v->n_files++;
    uint64_t n_bytes = 0;
    if (file_size(&n_bytes, path.s) == LENS_OK) v->n_bytes += n_bytes;
    if (n == 0) LENS_GO(check_relations(v, path.s, kind, name.s, number));
done:
    str_free(&name);
    str_free(&path);
    str_free(&faults);
    return st;
}

/* Shards are numbered from 0 without a gap: one that is gone is a fault. A layer need not have all. */
static lens_status check_folder(verify_t *v, const char *folder, const char *kind) {
    int64_t *numbers = NULL, n = 0;
    LENS_TRY(note(v, shard_numbers(&numbers, &n, folder)));
    if (!kind) v->n_base = n;
    lens_status st = LENS_OK;
    for (int64_t i = 0, expected = 0; i < n && st == LENS_OK; i++, expected++) {
        for (; !kind && expected < numbers[i] && st == LENS_OK; expected++)
            st = note(v, lens_fail(LENS_FORMAT, "%s/shard-%05" PRId64 ".h5: is missing", folder, expected));
        if (st == LENS_OK) st = check_file(v, folder, kind, numbers[i]);
    }
    free(numbers);
    return st;
}

static lens_status check_layers(verify_t *v, const char *dir) {
    char **names;
    int64_t n;
    LENS_TRY(dir_list(&names, &n, dir));
    str_t folder = {0};
    lens_status st = LENS_OK;
    for (int64_t i = 0; i < n && st == LENS_OK; i++) {
        if (!kind_name_valid(names[i])) continue;
        str_clear(&folder);
        str_addf(&folder, "%s/%s", dir, names[i]);
        st = str_status(&folder);
        if (st == LENS_OK && file_is_dir(folder.s)) st = check_folder(v, folder.s, names[i]);
    }
    str_free(&folder);
    dir_list_free(names, n);
    return st;
}

/* The index against the files it speaks of. */
static lens_status check_index(verify_t *v) {
    str_t path = {0};
    set_index_t x = {0};
    lens_status st = LENS_OK;
    str_addf(&path, "%s/%s", v->dir, SET_INDEX_NAME);
    LENS_GO(str_status(&path));
    if (!file_exists(path.s)) goto done;
    v->n_files++;
    uint64_t n_bytes = 0;
    if (file_size(&n_bytes, path.s) == LENS_OK) v->n_bytes += n_bytes;
    LENS_GO(set_index_read(&x, path.s));
    if (x.n_shards != v->n_base)
        LENS_GO(note(v, lens_fail(LENS_FORMAT, "%s: speaks of %" PRId64 " shards, there are %" PRId64, path.s,
                                  x.n_shards, v->n_base)));
    for (int64_t i = 0; i < x.n_shards && i < v->found.n_shards; i++)
        if (x.n_samples[i] != v->found.n_samples[i] || x.content_hashes[i] != v->found.content_hashes[i] ||
            x.file_bytes[i] != v->found.file_bytes[i])
            LENS_GO(note(v, lens_fail(LENS_FORMAT, "%s: does not fit shard-%05" PRId64 ".h5", path.s, i)));
done:
    set_index_free(&x);
    str_free(&path);
    return note(v, st);
}

lens_status shards_verify(const char *dir, const shards_options_t *o, int64_t *n_faults) {
    if (!file_is_dir(dir)) return lens_fail(LENS_IO, "%s: no such folder", dir);
    if (o->layers && !file_is_dir(o->layers)) return lens_fail(LENS_IO, "%s: no such folder", o->layers);
    verify_t v = {.dir = dir};
    str_t folder = {0};
    lens_status st;
    str_addf(&folder, "%s/base", dir);
    LENS_GO(str_status(&folder));
    LENS_GO(check_folder(&v, folder.s, NULL));
    if (v.n_base == 0 && v.n_faults == 0) {
        st = lens_fail(LENS_IO, "%s: no dataset: no shard-NNNNN.h5 in its folder base", dir);
        goto done;
    }
    LENS_GO(check_index(&v));
    LENS_GO(check_layers(&v, dir));
    if (o->layers) LENS_GO(check_layers(&v, o->layers));
    if (v.n_faults == 0) printf("%s: %" PRId64 " files, %s: no faults\n", dir, v.n_files, shards_size(v.n_bytes).text);
done:
    *n_faults = v.n_faults;
    key_set_free(&v.keys);
    set_index_free(&v.found);
    str_free(&folder);
    return st;
}
