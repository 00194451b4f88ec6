#include "data/dataset_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/file.h"
#include "data/dataset_names.h"

enum { CACHE_CHUNKS = 64, LAYERS_MAX = 256, FILES_RESERVE = 128 };

typedef struct {
    char *kind;
    shard_t **shards; /* [n_shards], NULL where the layer lacks one */
} layer_t;

struct dataset {
    char *dir;
    bool partial; /* layers may lack shards */
    int64_t n_shards;
    char **names;    /* [n_shards] */
    shard_t **base;  /* [n_shards] */
    int64_t *begins; /* [n_shards + 1] */
    layer_t *layers; /* sorted by kind */
    int n_layers;
    chunk_cache_t *cache;
};

static void layer_free(layer_t *l, int64_t n_shards) {
    for (int64_t i = 0; l->shards && i < n_shards; i++) shard_close(l->shards[i]);
    free(l->shards);
    free(l->kind);
}

void dataset_close(dataset_t *d) {
    if (!d) return;
    for (int i = 0; i < d->n_layers; i++) layer_free(&d->layers[i], d->n_shards);
    for (int64_t i = 0; i < d->n_shards; i++) {
        if (d->base) shard_close(d->base[i]);
        if (d->names) free(d->names[i]);
    }
    free(d->layers);
    free(d->base);
    free(d->names);
    free(d->begins);
    free(d->dir);
    chunk_cache_free(d->cache);
    free(d);
}

/* Every shard keeps its file open: the usual soft limit of 1024 files is raised as far as the system lets us. */
static lens_status allow_files(const char *dir, int64_t n) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return lens_fail(LENS_IO, "%s: cannot learn how many files may be open: %s", dir, strerror(errno));
    rlim_t wanted = (rlim_t)n + FILES_RESERVE;
    if (limit.rlim_cur >= wanted) return LENS_OK;
    limit.rlim_cur = wanted;
    if (wanted > limit.rlim_max || setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return lens_fail(LENS_IO, "%s: %lld shard files, but only %llu files may be open; raise ulimit -n", dir,
                         (long long)n, (unsigned long long)limit.rlim_max);
    return LENS_OK;
}

/* Opens DIR/FOLDER/NAME.h5. */
static lens_status open_shard(shard_t **out, const char *dir, const char *folder, const char *name) {
    str_t path = {0};
    str_addf(&path, "%s/%s/%s.h5", dir, folder, name);
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = shard_open(out, path.s);
    str_free(&path);
    return st;
}

static lens_status open_base_shard(dataset_t *d, int64_t i, int64_t number) {
    if (number != i) {
        str_t missing = {0};
        shard_name_format(&missing, i);
        lens_status st = lens_fail(LENS_FORMAT, "%s/base: %s.h5 is missing", d->dir, str_text(&missing));
        str_free(&missing);
        return st;
    }
    str_t name = {0};
    shard_name_format(&name, number);
    LENS_TRY(str_status(&name));
    d->names[i] = name.s; /* moves */
    LENS_TRY(open_shard(&d->base[i], d->dir, "base", name.s));
    if (d->base[i]->base_shard)
        return lens_fail(LENS_FORMAT, "%s: a layer shard (%s) among the base shards", d->base[i]->path,
                         d->base[i]->kind);
    d->begins[i + 1] = d->begins[i] + d->base[i]->n_samples;
    return LENS_OK;
}

static lens_status open_base(dataset_t *d) {
    str_t folder = {0};
    int64_t *numbers = NULL, n = 0;
    lens_status st = LENS_OK;
    if (!file_is_dir(d->dir)) return lens_fail(LENS_IO, "%s: no such folder", d->dir);
    str_addf(&folder, "%s/base", d->dir);
    LENS_GO(str_status(&folder));
    LENS_GO(shard_numbers(&numbers, &n, folder.s));
    if (n == 0) {
        st = lens_fail(LENS_IO, "%s: no dataset: no shard-NNNNN.h5 in its folder base", d->dir);
        goto done;
    }
    LENS_GO(allow_files(d->dir, n));
    d->names = calloc((size_t)n, sizeof *d->names);
    d->base = calloc((size_t)n, sizeof *d->base);
    d->begins = calloc((size_t)n + 1, sizeof *d->begins);
    if (!d->names || !d->base || !d->begins) {
        st = lens_fail(LENS_MEMORY, "%s: out of memory", d->dir);
        goto done;
    }
    d->n_shards = n;
    for (int64_t i = 0; i < n; i++) LENS_GO(open_base_shard(d, i, numbers[i]));
done:
    free(numbers);
    str_free(&folder);
    return st;
}

static lens_status open_layer_shard(dataset_t *d, layer_t *l, const char *dir, int64_t number) {
    str_t name = {0};
    shard_name_format(&name, number);
    lens_status st = str_status(&name);
    if (st == LENS_OK && number >= d->n_shards)
        st = lens_fail(LENS_FORMAT, "%s/%s/%s.h5: no such shard in %s", dir, l->kind, name.s, d->dir);
    shard_t *s = NULL;
    if (st == LENS_OK) st = open_shard(&s, dir, l->kind, name.s);
    if (st == LENS_OK) {
        l->shards[number] = s;
        st = shard_check_fit(s, l->kind, d->base[number], name.s);
    }
    str_free(&name);
    return st;
}

static lens_status insert_layer(dataset_t *d, layer_t l) {
    if (d->n_layers == LAYERS_MAX) return lens_fail(LENS_FORMAT, "%s: more than %d layers", d->dir, LAYERS_MAX);
    layer_t *grown = realloc(d->layers, sizeof *grown * (size_t)(d->n_layers + 1));
    if (!grown) return lens_fail(LENS_MEMORY, "%s: out of memory", d->dir);
    d->layers = grown;
    int at = d->n_layers++;
    for (; at > 0 && strcmp(grown[at - 1].kind, l.kind) > 0; at--) grown[at] = grown[at - 1];
    grown[at] = l;
    return LENS_OK;
}

static lens_status open_layer(dataset_t *d, const char *dir, const char *kind, const int64_t *numbers, int64_t n) {
    if (dataset_has_kind(d, kind))
        return lens_fail(LENS_STATE, "%s/%s: the layer %s is there already, in %s", dir, kind, kind, d->dir);
    layer_t l = {.kind = strdup(kind), .shards = calloc((size_t)d->n_shards, sizeof(shard_t *))};
    lens_status st = LENS_OK;
    if (!l.kind || !l.shards) {
        st = lens_fail(LENS_MEMORY, "%s: out of memory", d->dir);
        goto done;
    }
    for (int64_t i = 0; i < n; i++) LENS_GO(open_layer_shard(d, &l, dir, numbers[i]));
    for (int64_t i = 0; i < d->n_shards && !d->partial; i++)
        if (!l.shards[i]) {
            st = lens_fail(LENS_FORMAT, "%s/%s: incomplete: %lld of %lld shards, %s.h5 is missing", dir, kind,
                           (long long)n, (long long)d->n_shards, d->names[i]);
            goto done;
        }
    LENS_GO(insert_layer(d, l));
done:
    if (st != LENS_OK) layer_free(&l, d->n_shards);
    return st;
}

static lens_status open_layers(dataset_t *d, const char *dir) {
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
        if (st == LENS_OK) st = allow_files(dir, d->n_shards * (d->n_layers + 1) + n);
        if (st == LENS_OK && n > 0) st = open_layer(d, dir, names[i], numbers, n);
        free(numbers);
    }
    str_free(&folder);
    dir_list_free(names, n_names);
    return st;
}

static lens_status open_any(dataset_t **out, const char *dir, bool partial) {
    *out = NULL;
    dataset_t *d = calloc(1, sizeof *d);
    if (!d) return lens_fail(LENS_MEMORY, "%s: out of memory", dir);
    d->partial = partial;
    d->dir = strdup(dir);
    lens_status st = d->dir ? chunk_cache_new(&d->cache, CACHE_CHUNKS) : lens_fail(LENS_MEMORY, "out of memory");
    if (st == LENS_OK) st = open_base(d);
    if (st == LENS_OK) st = open_layers(d, dir);
    if (st == LENS_OK)
        *out = d;
    else
        dataset_close(d);
    return st;
}

lens_status dataset_open(dataset_t **out, const char *dir) {
    return open_any(out, dir, false);
}

lens_status dataset_open_partial(dataset_t **out, const char *dir) {
    return open_any(out, dir, true);
}

lens_status dataset_add_layers(dataset_t *d, const char *dir) {
    struct stat own, other;
    if (stat(dir, &other) != 0 || !S_ISDIR(other.st_mode)) return lens_fail(LENS_IO, "%s: no such folder", dir);
    if (stat(d->dir, &own) == 0 && own.st_dev == other.st_dev && own.st_ino == other.st_ino) return LENS_OK;
    return open_layers(d, dir);
}

const char *dataset_dir(const dataset_t *d) {
    return d->dir;
}

int64_t dataset_n_samples(const dataset_t *d) {
    return d->begins[d->n_shards];
}

int64_t dataset_n_shards(const dataset_t *d) {
    return d->n_shards;
}

const char *dataset_shard_name(const dataset_t *d, int64_t shard) {
    return d->names[shard];
}

int64_t dataset_shard_begin(const dataset_t *d, int64_t shard) {
    return d->begins[shard];
}

int64_t dataset_shard_n_samples(const dataset_t *d, int64_t shard) {
    return d->base[shard]->n_samples;
}

uint64_t dataset_shard_hash(const dataset_t *d, int64_t shard) {
    return d->base[shard]->content_hash;
}

int dataset_n_kinds(const dataset_t *d) {
    return 1 + d->n_layers;
}

const char *dataset_kind(const dataset_t *d, int kind) {
    return kind == 0 ? "alt" : d->layers[kind - 1].kind;
}

static const layer_t *find_layer(const dataset_t *d, const char *kind) {
    for (int i = 0; i < d->n_layers; i++)
        if (strcmp(d->layers[i].kind, kind) == 0) return &d->layers[i];
    return NULL;
}

bool dataset_has_kind(const dataset_t *d, const char *kind) {
    return strcmp(kind, "alt") == 0 || find_layer(d, kind);
}

lens_status dataset_fail_kind(const dataset_t *d, const char *kind) {
    str_t kinds = {0};
    for (int i = 0; i < dataset_n_kinds(d); i++) str_addf(&kinds, "%s%s", i ? ", " : "", dataset_kind(d, i));
    lens_status st =
        lens_fail(LENS_ARGUMENT, "%s: no captions of kind %s; there are: %s", d->dir, kind, str_text(&kinds));
    str_free(&kinds);
    return st;
}

/* Shard that holds sample i, and i within it. */
static lens_status locate(const dataset_t *d, int64_t i, int64_t *shard, int64_t *within) {
    *shard = *within = 0;
    if (i < 0 || i >= dataset_n_samples(d))
        return lens_fail(LENS_ARGUMENT, "%s: no sample %lld: there are %lld, counted from 0", d->dir, (long long)i,
                         (long long)dataset_n_samples(d));
    int64_t low = 0, high = d->n_shards; /* begins[low] <= i < begins[high] */
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (d->begins[middle] <= i)
            low = middle;
        else
            high = middle;
    }
    *shard = low;
    *within = i - d->begins[low];
    return LENS_OK;
}

lens_status dataset_info(const dataset_t *d, int64_t i, sample_info_t *out) {
    int64_t shard, k;
    LENS_TRY(locate(d, i, &shard, &k));
    const shard_t *s = d->base[shard];
    *out = (sample_info_t){.width = s->width[k],
                           .height = s->height[k],
                           .original_width = s->original_width[k],
                           .original_height = s->original_height[k],
                           .image_bytes = s->image_offsets[k + 1] - s->image_offsets[k]};
    return LENS_OK;
}

lens_status dataset_key(const dataset_t *d, int64_t i, str_t *out) {
    int64_t shard, k;
    LENS_TRY(locate(d, i, &shard, &k));
    return column_get(&d->base[shard]->keys, k, d->cache, out);
}

lens_status dataset_image(const dataset_t *d, int64_t i, str_t *webp) {
    int64_t shard, k;
    LENS_TRY(locate(d, i, &shard, &k));
    return shard_image(d->base[shard], k, webp);
}

lens_status dataset_meta(const dataset_t *d, int64_t i, str_t *json) {
    int64_t shard, k;
    LENS_TRY(locate(d, i, &shard, &k));
    return column_get(&d->base[shard]->meta, k, d->cache, json);
}

lens_status dataset_caption(const dataset_t *d, int64_t i, const char *kind, str_t *out) {
    int64_t shard, k;
    LENS_TRY(locate(d, i, &shard, &k));
    if (strcmp(kind, "alt") == 0) return column_get(&d->base[shard]->text, k, d->cache, out);
    const layer_t *l = find_layer(d, kind);
    if (!l) return dataset_fail_kind(d, kind);
    if (!l->shards[shard]) return lens_fail(LENS_STATE, "%s: layer %s lacks %s", d->dir, kind, d->names[shard]);
    return column_get(&l->shards[shard]->text, k, d->cache, out);
}

const shard_t *dataset_base_shard(const dataset_t *d, int64_t shard) {
    return d->base[shard];
}

const shard_t *dataset_layer_shard(const dataset_t *d, int kind, int64_t shard) {
    return kind == 0 ? d->base[shard] : d->layers[kind - 1].shards[shard];
}
