/* Opening what is left of a damaged set. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/dataset_names.h"
#include "data/dataset_private.h"

typedef struct {
    dataset_t *d;
    dataset_lost lost;
    void *context;
} salvage_t;

/* Tells of a shard whose opening failed; MEMORY is passed on. */
static lens_status tell(const salvage_t *v, const char *folder, int64_t number, lens_status st) {
    if (st == LENS_OK || st == LENS_MEMORY) return st;
    str_t path = {0};
    str_addf(&path, "%s/" SHARD_NAME_FORMAT ".h5", folder, (long long)number);
    v->lost(v->context, str_text(&path), lens_error());
    st = str_status(&path);
    str_free(&path);
    return st;
}

/* A shard that does not open has no samples. */
static lens_status scan_shard(const salvage_t *v, const char *folder, int64_t i) {
    dataset_t *d = v->d;
    const shard_t *s = NULL, none = {0};
    lens_status st = d->base.present[i] ? layer_pin(d, &d->base, i, &s) : lens_fail(LENS_FORMAT, "the file is missing");
    LENS_TRY(tell(v, folder, i, st));
    st = set_index_add(&d->index, s ? s : &none, NULL);
    d->base.present[i] = s != NULL;
    if (s) layer_unpin(d, &d->base, i);
    d->begins[i + 1] = d->begins[i] + (s ? s->n_samples : 0);
    return st;
}

/* As many shards as the index speaks of, so that the last ones are missed too; 0 where it does not say. */
static int64_t index_n_shards(const char *dir) {
    str_t path = {0};
    set_index_t x = {0};
    str_addf(&path, "%s/%s", dir, SET_INDEX_NAME);
    int64_t n = str_status(&path) == LENS_OK && set_index_read(&x, path.s) == LENS_OK ? x.n_shards : 0;
    set_index_free(&x);
    str_free(&path);
    return n;
}

static lens_status salvage_base(const salvage_t *v, const char *folder) {
    dataset_t *d = v->d;
    int64_t *numbers, n;
    LENS_TRY(shard_numbers(&numbers, &n, folder));
    int64_t n_shards = n ? numbers[n - 1] + 1 : 0, n_indexed = index_n_shards(d->dir);
    if (n_indexed > n_shards) n_shards = n_indexed;
    lens_status st = LENS_OK;
    if (n == 0 || n_shards > 2 * n + 1000) {
        st = lens_fail(LENS_IO, "%s: %lld shards up to number %lld: nothing to repair", folder, (long long)n,
                       (long long)n_shards - 1);
        goto done;
    }
    d->names = calloc((size_t)n_shards, sizeof *d->names);
    d->begins = calloc((size_t)n_shards + 1, sizeof *d->begins);
    if (!d->names || !d->begins) {
        st = lens_fail(LENS_MEMORY, "%s: out of memory", d->dir);
        goto done;
    }
    d->n_shards = n_shards;
    LENS_GO(layer_new(d, &d->base, d->dir, "base", SEAL_BASE));
    for (int64_t i = 0; i < n; i++) d->base.present[numbers[i]] = true;
    for (int64_t i = 0; i < n_shards; i++) {
        snprintf(d->names[i], sizeof d->names[i], SHARD_NAME_FORMAT, (long long)i);
        LENS_GO(scan_shard(v, folder, i));
    }
done:
    free(numbers);
    return st;
}

/* What the first shard that opens holds; captions where none does. */
static seal_kind role_of(const char *folder, const int64_t *numbers, int64_t n) {
    seal_kind role = SEAL_CAPTIONS;
    for (int64_t i = 0; i < n; i++) {
        str_t path = {0};
        shard_t *s;
        str_addf(&path, "%s/" SHARD_NAME_FORMAT ".h5", folder, (long long)numbers[i]);
        bool opened = str_status(&path) == LENS_OK && shard_open_damaged(&s, path.s) == LENS_OK;
        str_free(&path);
        if (!opened) continue;
        role = s->role;
        shard_close(s);
        break;
    }
    return role == SEAL_ARRAYS ? SEAL_ARRAYS : SEAL_CAPTIONS;
}

static lens_status salvage_layer(const salvage_t *v, const char *kind, const char *folder) {
    dataset_t *d = v->d;
    int64_t *numbers, n, n_found = 0;
    LENS_TRY(shard_numbers(&numbers, &n, folder));
    layer_t l = {0};
    lens_status st = layer_new(d, &l, d->dir, kind, role_of(folder, numbers, n));
    for (int64_t i = 0; i < n && st == LENS_OK; i++) {
        const shard_t *s = NULL;
        if (numbers[i] >= d->n_shards || !d->base.present[numbers[i]]) {
            st = tell(v, folder, numbers[i], lens_fail(LENS_FORMAT, "its base shard is lost"));
            continue;
        }
        l.present[numbers[i]] = true;
        st = tell(v, folder, numbers[i], layer_pin(d, &l, numbers[i], &s));
        l.present[numbers[i]] = s != NULL;
        if (s) layer_unpin(d, &l, numbers[i]);
        n_found += s != NULL;
    }
    free(numbers);
    if (st == LENS_OK && n_found > 0) {
        st = dataset_insert_layer(d, l);
        if (st == LENS_OK) return LENS_OK;
    }
    layer_free(d, &l);
    return st;
}

static lens_status salvage_layers(const salvage_t *v) {
    char **names;
    int64_t n;
    LENS_TRY(dir_list(&names, &n, v->d->dir));
    str_t folder = {0};
    lens_status st = LENS_OK;
    for (int64_t i = 0; i < n && st == LENS_OK; i++) {
        if (!kind_name_valid(names[i])) continue;
        str_clear(&folder);
        str_addf(&folder, "%s/%s", v->d->dir, names[i]);
        st = str_status(&folder);
        if (st == LENS_OK && file_is_dir(folder.s)) st = salvage_layer(v, names[i], folder.s);
    }
    str_free(&folder);
    dir_list_free(names, n);
    return st;
}

lens_status dataset_open_damaged(dataset_t **out, const char *dir, dataset_lost lost, void *context) {
    *out = NULL;
    salvage_t v = {.lost = lost, .context = context};
    str_t folder = {0};
    LENS_TRY(dataset_new(&v.d, dir));
    v.d->partial = true;
    shard_pool_salvage(v.d->pool);
    str_addf(&folder, "%s/base", dir);
    lens_status st = str_status(&folder);
    if (st == LENS_OK && !file_is_dir(folder.s)) st = lens_fail(LENS_IO, "%s: no such folder", folder.s);
    if (st == LENS_OK) st = salvage_base(&v, folder.s);
    if (st == LENS_OK) st = salvage_layers(&v);
    str_free(&folder);
    if (st == LENS_OK)
        *out = v.d;
    else
        dataset_close(v.d);
    return st;
}
