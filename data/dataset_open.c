/* Opening: from the index where there is one, else by opening every shard; then the folders of layers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "data/dataset_names.h"
#include "data/dataset_private.h"

enum { LAYERS_MAX = 256 };

/* ---- one shard ---- */

typedef struct {
    const dataset_t *d;
    const layer_t *l;
    int64_t shard;
} pinned_t;

static lens_status check_base(const dataset_t *d, int64_t i, const shard_t *s) {
    if (s->role != SEAL_BASE)
        return lens_fail(LENS_FORMAT, "%s: a layer shard (%s) among the base shards", s->path, s->kind);
    if (i == d->index.n_shards) return LENS_OK; /* being read for the first time: there was no index */
    const set_index_t *x = &d->index;
    if ((uint64_t)s->n_samples == x->n_samples[i] && s->content_hash == x->content_hashes[i] &&
        s->file_bytes == x->file_bytes[i])
        return LENS_OK;
    return lens_fail(
        LENS_FORMAT,
        "%s: %lld samples, %llu bytes, content %016llx; the index has %llu, %llu and %016llx; made again by: "
        "lens shards index %s",
        s->path, (long long)s->n_samples, (unsigned long long)s->file_bytes, (unsigned long long)s->content_hash,
        (unsigned long long)x->n_samples[i], (unsigned long long)x->file_bytes[i],
        (unsigned long long)x->content_hashes[i], d->dir);
}

static lens_status check(const void *context, const shard_t *s) {
    const pinned_t *p = context;
    const dataset_t *d = p->d;
    if (p->l == &d->base) return check_base(d, p->shard, s);
    LENS_TRY(shard_check_fit(s, p->l->kind, d->names[p->shard], dataset_shard_n_samples(d, p->shard),
                             dataset_shard_hash(d, p->shard)));
    if (s->role == p->l->role) return LENS_OK;
    return lens_fail(LENS_FORMAT, "%s: captions and arrays in one layer", s->path);
}

lens_status layer_pin(const dataset_t *d, const layer_t *l, int64_t shard, const shard_t **out) {
    *out = NULL;
    if (!l->present[shard]) return LENS_OK;
    str_t path = {0};
    const pinned_t context = {d, l, shard};
    str_addf(&path, "%s/%s/%s.h5", l->dir, l->kind, d->names[shard]);
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = shard_pool_pin(d->pool, &l->slots[shard], path.s, check, &context, out);
    str_free(&path);
    return st;
}

void layer_unpin(const dataset_t *d, const layer_t *l, int64_t shard) {
    shard_pool_unpin(d->pool, &l->slots[shard]);
}

/* ---- folders ---- */

void layer_free(const dataset_t *d, layer_t *l) {
    for (int64_t i = 0; l->slots && i < d->n_shards; i++) shard_pool_drop(d->pool, &l->slots[i]);
    free(l->slots);
    free(l->present);
    free(l->kind);
    free(l->dir);
    *l = (layer_t){0};
}

lens_status layer_new(const dataset_t *d, layer_t *l, const char *dir, const char *kind, seal_kind role) {
    size_t n = (size_t)d->n_shards;
    *l = (layer_t){.kind = strdup(kind), .dir = strdup(dir), .role = role};
    l->present = calloc(n, sizeof *l->present);
    l->slots = calloc(n, sizeof *l->slots);
    if (l->kind && l->dir && l->present && l->slots) return LENS_OK;
    return lens_fail(LENS_MEMORY, "%s/%s: out of memory", dir, kind);
}

static lens_status fail_missing(const dataset_t *d, int64_t i) {
    str_t name = {0};
    shard_name_format(&name, i);
    lens_status st = lens_fail(LENS_FORMAT, "%s/base: %s.h5 is missing%s%s", d->dir, str_text(&name),
                               d->indexed ? "; if that is so, make the index again: lens shards index " : "",
                               d->indexed ? d->dir : "");
    str_free(&name);
    return st;
}

static lens_status check_numbers(const dataset_t *d, const int64_t *numbers, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (numbers[i] != i) return fail_missing(d, i);
    if (!d->indexed || n == d->index.n_shards) return LENS_OK;
    if (n < d->index.n_shards) return fail_missing(d, n);
    return lens_fail(LENS_FORMAT, "%s/base: %lld shards, but the index has %lld; make it again: lens shards index %s",
                     d->dir, (long long)n, (long long)d->index.n_shards, d->dir);
}

static lens_status read_index(dataset_t *d) {
    str_t path = {0};
    str_addf(&path, "%s/%s", d->dir, SET_INDEX_NAME);
    lens_status st = str_status(&path);
    d->indexed = st == LENS_OK && file_exists(path.s);
    if (d->indexed)
        st = lens_context(set_index_read(&d->index, path.s), "damaged index, made again by: lens shards index %s",
                          d->dir);
    str_free(&path);
    return st;
}

/* A file of another size than the index says was cut or replaced: found here, before any shard is opened. */
static lens_status check_sizes(const dataset_t *d, const char *folder) {
    int fd;
    LENS_TRY(file_open(&fd, folder));
    char name[DATASET_NAME_BYTES + 4];
    struct stat info;
    lens_status st = LENS_OK;
    for (int64_t i = 0; i < d->n_shards && st == LENS_OK; i++) {
        const uint64_t expected = d->index.file_bytes[i];
        snprintf(name, sizeof name, "%s.h5", d->names[i]);
        if (fstatat(fd, name, &info, 0) != 0)
            st = lens_fail(LENS_IO, "%s/%s: cannot examine: %s", folder, name, strerror(errno));
        else if ((uint64_t)info.st_size != expected)
            st =
                lens_fail(LENS_FORMAT, "%s/%s: %llu bytes, the index has %llu: %s; made again by: lens shards index %s",
                          folder, name, (unsigned long long)info.st_size, (unsigned long long)expected,
                          (uint64_t)info.st_size < expected ? "cut short" : "changed", d->dir);
    }
    close(fd);
    return st;
}

/* What the index would say. */
static lens_status scan(dataset_t *d) {
    for (int64_t i = 0; i < d->n_shards; i++) {
        const shard_t *s;
        LENS_TRY(layer_pin(d, &d->base, i, &s));
        lens_status st = set_index_add(&d->index, s, NULL);
        layer_unpin(d, &d->base, i);
        LENS_TRY(st);
    }
    return LENS_OK;
}

static lens_status fill_base(dataset_t *d, int64_t n) {
    d->names = calloc((size_t)n, sizeof *d->names);
    d->begins = calloc((size_t)n + 1, sizeof *d->begins);
    if (!d->names || !d->begins) return lens_fail(LENS_MEMORY, "%s: out of memory", d->dir);
    d->n_shards = n;
    LENS_TRY(layer_new(d, &d->base, d->dir, "base", SEAL_BASE));
    for (int64_t i = 0; i < n; i++) {
        snprintf(d->names[i], sizeof d->names[i], SHARD_NAME_FORMAT, (long long)i);
        d->base.present[i] = true;
    }
    if (!d->indexed) LENS_TRY(scan(d));
    for (int64_t i = 0; i < n; i++) d->begins[i + 1] = d->begins[i] + (int64_t)d->index.n_samples[i];
    return LENS_OK;
}

lens_status dataset_open_base(dataset_t *d) {
    str_t folder = {0};
    int64_t *numbers = NULL, n = 0;
    lens_status st;
    if (!file_is_dir(d->dir)) return lens_fail(LENS_IO, "%s: no such folder", d->dir);
    str_addf(&folder, "%s/base", d->dir);
    LENS_GO(str_status(&folder));
    LENS_GO(shard_numbers(&numbers, &n, folder.s));
    if (n == 0) {
        st = lens_fail(LENS_IO, "%s: no dataset: no shard-NNNNN.h5 in its folder base", d->dir);
        goto done;
    }
    LENS_GO(read_index(d));
    LENS_GO(check_numbers(d, numbers, n));
    LENS_GO(fill_base(d, n));
    if (d->indexed) LENS_GO(check_sizes(d, folder.s));
done:
    free(numbers);
    str_free(&folder);
    return st;
}

/* ---- layers ---- */

lens_status dataset_insert_layer(dataset_t *d, layer_t l) {
    layer_t **list = l.role == SEAL_ARRAYS ? &d->arrays : &d->captions;
    int *n = l.role == SEAL_ARRAYS ? &d->n_arrays : &d->n_captions;
    if (*n == LAYERS_MAX) return lens_fail(LENS_FORMAT, "%s: more than %d layers", d->dir, LAYERS_MAX);
    layer_t *grown = realloc(*list, sizeof *grown * (size_t)(*n + 1));
    if (!grown) return lens_fail(LENS_MEMORY, "%s: out of memory", d->dir);
    *list = grown;
    int at = (*n)++;
    for (; at > 0 && strcmp(grown[at - 1].kind, l.kind) > 0; at--) grown[at] = grown[at - 1];
    grown[at] = l;
    return LENS_OK;
}

static lens_status mark_present(dataset_t *d, layer_t *l, const int64_t *numbers, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (numbers[i] >= d->n_shards)
            return lens_fail(LENS_FORMAT, "%s/%s/" SHARD_NAME_FORMAT ".h5: no such shard in %s", l->dir, l->kind,
                             (long long)numbers[i], d->dir);
        l->present[numbers[i]] = true;
    }
    for (int64_t i = 0; i < d->n_shards && !d->partial; i++)
        if (!l->present[i])
            return lens_fail(LENS_FORMAT, "%s/%s: incomplete: %lld of %lld shards, %s.h5 is missing", l->dir, l->kind,
                             (long long)n, (long long)d->n_shards, d->names[i]);
    return LENS_OK;
}

/* The first shard tells what the layer holds, and shows a layer of another base early; without an index all are
 * checked. */
static lens_status check_layer(dataset_t *d, layer_t *l, const int64_t *numbers, int64_t n) {
    for (int64_t i = 0; i < (d->indexed ? 1 : n); i++) {
        const shard_t *s;
        LENS_TRY(layer_pin(d, l, numbers[i], &s));
        layer_unpin(d, l, numbers[i]);
    }
    return LENS_OK;
}

static lens_status layer_role(seal_kind *role, const char *folder, int64_t number) {
    str_t path = {0};
    str_addf(&path, "%s/" SHARD_NAME_FORMAT ".h5", folder, (long long)number);
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = seal_kind_of(role, path.s);
    str_free(&path);
    return st;
}

static lens_status open_layer(dataset_t *d, const char *dir, const char *kind, const char *folder,
                              const int64_t *numbers, int64_t n) {
    if (dataset_has_kind(d, kind) || dataset_has_array(d, kind))
        return lens_fail(LENS_STATE, "%s: the layer %s is there already, in %s", folder, kind, d->dir);
    seal_kind role;
    LENS_TRY(layer_role(&role, folder, numbers[0]));
    layer_t l;
    lens_status st = layer_new(d, &l, dir, kind, role);
    if (st == LENS_OK) st = mark_present(d, &l, numbers, n);
    if (st == LENS_OK) st = check_layer(d, &l, numbers, n);
    if (st == LENS_OK) st = dataset_insert_layer(d, l);
    if (st != LENS_OK) layer_free(d, &l);
    return st;
}

lens_status dataset_open_layers(dataset_t *d, const char *dir) {
    char **names;
    int64_t n_names;
    LENS_TRY(dir_list(&names, &n_names, dir));
    str_t folder = {0};
    lens_status st = LENS_OK;
    for (int64_t i = 0; i < n_names && st == LENS_OK; i++) {
        if (!kind_name_valid(names[i])) continue;
        str_clear(&folder);
        str_addf(&folder, "%s/%s", dir, names[i]);
        int64_t *numbers = NULL, n = 0;
        st = str_status(&folder);
        if (st == LENS_OK) st = shard_numbers(&numbers, &n, folder.s);
        if (st == LENS_OK && n > 0) st = open_layer(d, dir, names[i], folder.s, numbers, n);
        free(numbers);
    }
    str_free(&folder);
    dir_list_free(names, n_names);
    return st;
}
