#include "data/shards_copy.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/dataset_names.h"
#include "data/dataset_private.h"
#include "data/key_set.h"

typedef struct {
    int source;
    int64_t sample;
} ref_t;

struct copier {
    copy_options_t o;
    char *out;
    ref_t *refs; /* of the shard being gathered, owned */
    int64_t n_refs, cap_refs;
    uint64_t image_bytes; /* of them */
    int64_t n_samples, n_shards;
    key_set_t keys;
    char **kinds; /* of the layers, owned: captions, then arrays */
    int n_captions, n_arrays;
    str_t key, picture, text, meta; /* reused from sample to sample */
};

void copier_abort(copier_t *c) {
    if (!c) return;
    for (int i = 0; c->kinds && i < c->n_captions + c->n_arrays; i++) free(c->kinds[i]);
    str_t *all[] = {&c->key, &c->picture, &c->text, &c->meta};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) str_free(all[i]);
    free(c->kinds);
    free(c->refs);
    free(c->out);
    key_set_free(&c->keys);
    free(c);
}

/* ---- which layers ---- */

static const layer_t *layer_of(const dataset_t *d, const char *kind) {
    for (int i = 0; i < d->n_captions; i++)
        if (strcmp(d->captions[i].kind, kind) == 0) return &d->captions[i];
    for (int i = 0; i < d->n_arrays; i++)
        if (strcmp(d->arrays[i].kind, kind) == 0) return &d->arrays[i];
    return NULL;
}

/* NULL, or the source that lacks some of the layer. */
static const dataset_t *lacking(const copier_t *c, const char *kind, seal_kind role) {
    for (int i = 0; i < c->o.n_sources; i++) {
        const dataset_t *d = c->o.sources[i];
        const layer_t *l = layer_of(d, kind);
        if (!l || l->role != role) return d;
        for (int64_t s = 0; s < d->n_shards; s++)
            if (!l->present[s]) return d;
    }
    return NULL;
}

static lens_status choose_layer(copier_t *c, const dataset_t *d, const layer_t *l) {
    for (int i = 0; i < c->n_captions + c->n_arrays; i++)
        if (strcmp(c->kinds[i], l->kind) == 0) return LENS_OK;
    const dataset_t *without = c->o.lost ? NULL : lacking(c, l->kind, l->role);
    if (without && c->o.common_layers) return LENS_OK;
    if (without)
        return lens_fail(LENS_ARGUMENT, "the layer %s of %s is not (whole) in %s; --common-layers leaves it out",
                         l->kind, d->dir, without->dir);
    int n = c->n_captions + c->n_arrays;
    char **grown = realloc(c->kinds, sizeof *grown * (size_t)(n + 1));
    if (grown) c->kinds = grown;
    char *kind = strdup(l->kind);
    if (!grown || !kind) {
        free(kind);
        return lens_fail(LENS_MEMORY, "%s: out of memory", c->out);
    }
    c->kinds[n] = kind;
    c->n_arrays += l->role == SEAL_ARRAYS;
    c->n_captions += l->role != SEAL_ARRAYS;
    return LENS_OK;
}

static lens_status choose_layers(copier_t *c) {
    for (int i = 0; i < c->o.n_sources; i++)
        for (int k = 0; k < c->o.sources[i]->n_captions; k++)
            LENS_TRY(choose_layer(c, c->o.sources[i], &c->o.sources[i]->captions[k]));
    for (int i = 0; i < c->o.n_sources; i++)
        for (int k = 0; k < c->o.sources[i]->n_arrays; k++)
            LENS_TRY(choose_layer(c, c->o.sources[i], &c->o.sources[i]->arrays[k]));
    return LENS_OK;
}

static lens_status refuse_existing(const char *out) {
    str_t base = {0};
    int64_t *numbers = NULL, n = 0;
    str_addf(&base, "%s/base", out);
    lens_status st = str_status(&base);
    if (st == LENS_OK) st = shard_numbers(&numbers, &n, base.s);
    if (st == LENS_OK && n > 0) st = lens_fail(LENS_STATE, "%s: holds %lld shards already", base.s, (long long)n);
    free(numbers);
    str_free(&base);
    return st;
}

lens_status copier_open(copier_t **out, const char *dir, const copy_options_t *o) {
    *out = NULL;
    copier_t *c = calloc(1, sizeof *c);
    if (!c) return lens_fail(LENS_MEMORY, "%s: out of memory", dir);
    c->o = *o;
    c->out = strdup(dir);
    lens_status st = c->out ? refuse_existing(dir) : lens_fail(LENS_MEMORY, "%s: out of memory", dir);
    if (st == LENS_OK) st = choose_layers(c);
    if (st == LENS_OK)
        *out = c;
    else
        copier_abort(c);
    return st;
}

int64_t copier_n_samples(const copier_t *c) {
    return c->n_samples;
}

/* ---- provenance ---- */

/* That of a layer's first shard, as JSON; "{}" where it cannot be had. */
static json_t *provenance_of(const dataset_t *d, const layer_t *l) {
    json_t *json = NULL;
    for (int64_t i = 0; l && i < d->n_shards && !json; i++) {
        const shard_t *s;
        if (layer_pin(d, l, i, &s) != LENS_OK || !s) continue;
        json = json_loads(s->provenance, 0, NULL);
        layer_unpin(d, l, i);
    }
    return json ? json : json_object();
}

/* Of the shards of that kind: who made it, from which sets, and what those say of themselves. Owned by the caller. */
static lens_status make_provenance(const copier_t *c, const char *kind, char **out) {
    char *text = NULL;
    for (int brief = 0; brief < 2; brief++) { /* the parents' own words where there is room */
        json_t *parents = json_array();
        for (int i = 0; i < c->o.n_sources; i++) {
            const dataset_t *d = c->o.sources[i];
            char hash[17];
            snprintf(hash, sizeof hash, "%016llx", (unsigned long long)dataset_hash(d));
            json_t *parent = json_pack("{s:s, s:s, s:I}", "dataset", d->dir, "hash", hash, "n_samples",
                                       (json_int_t)dataset_n_samples(d));
            const layer_t *l = strcmp(kind, "base") == 0 ? &d->base : layer_of(d, kind);
            if (!brief && parent) json_object_set_new(parent, "provenance", provenance_of(d, l));
            json_array_append_new(parents, parent);
        }
        json_t *all = json_pack("{s:s, s:o}", "command", c->o.action, "parents", parents);
        if (all && c->o.where) json_object_set_new(all, "where", json_string(c->o.where));
        text = all ? json_dumps(all, JSON_COMPACT) : NULL;
        json_decref(all);
        if (text && strlen(text) <= SHARD_PROVENANCE_MAX_BYTES) break;
        if (!brief) free(text);
    }
    *out = text;
    return text ? LENS_OK : lens_fail(LENS_MEMORY, "%s: cannot make the provenance", c->out);
}

/* ---- one shard ---- */

static lens_status make_key(copier_t *c, const ref_t *r) {
    const dataset_t *d = c->o.sources[r->source];
    LENS_TRY(dataset_key(d, r->sample, &c->key));
    if (!c->o.prefix_keys) return LENS_OK;
    size_t n = strlen(d->dir);
    while (n > 1 && d->dir[n - 1] == '/') n--;
    size_t begin = n;
    while (begin > 0 && d->dir[begin - 1] != '/') begin--;
    str_clear(&c->text);
    str_add_n(&c->text, d->dir + begin, n - begin);
    str_add_char(&c->text, '/');
    str_add_n(&c->text, c->key.s, c->key.len);
    LENS_TRY(str_status(&c->text));
    str_t other = c->key;
    c->key = c->text;
    c->text = other;
    return LENS_OK;
}

static lens_status copy_sample(copier_t *c, const ref_t *r, shard_writer_t *w) {
    const dataset_t *d = c->o.sources[r->source];
    sample_info_t info;
    LENS_TRY(make_key(c, r));
    LENS_TRY(dataset_info(d, r->sample, &info));
    LENS_TRY(dataset_image(d, r->sample, &c->picture));
    LENS_TRY(dataset_caption(d, r->sample, "alt", &c->text));
    LENS_TRY(dataset_meta(d, r->sample, &c->meta));
    return shard_writer_add_sample(w, &(sample_t){.key = c->key.s,
                                                  .picture = c->picture.s,
                                                  .picture_bytes = c->picture.len,
                                                  .width = info.width,
                                                  .height = info.height,
                                                  .original_width = info.original_width,
                                                  .original_height = info.original_height,
                                                  .alt = c->text.s,
                                                  .meta = c->meta.s});
}

/* OUT/KIND/shard-NNNNN.h5, in a folder that is there. */
static lens_status shard_path(const copier_t *c, const char *kind, str_t *out) {
    str_addf(out, "%s/%s", c->out, kind);
    LENS_TRY(str_status(out));
    LENS_TRY(dir_make(out->s));
    str_addf(out, "/" SHARD_NAME_FORMAT ".h5", (long long)c->n_shards);
    return str_status(out);
}

static lens_status write_base(copier_t *c, uint64_t *hash) {
    str_t path = {0};
    char *provenance = NULL;
    shard_writer_t *w = NULL;
    lens_status st;
    LENS_GO(shard_path(c, "base", &path));
    LENS_GO(make_provenance(c, "base", &provenance));
    LENS_GO(shard_writer_open(&w, path.s, &(shard_identity_t){.kind = "base", .provenance = provenance}));
    for (int64_t i = 0; i < c->n_refs; i++) LENS_GO(copy_sample(c, &c->refs[i], w));
    *hash = shard_writer_hash(w);
    st = shard_writer_close(w);
    w = NULL;
done:
    shard_writer_abort(w);
    free(provenance);
    str_free(&path);
    return st;
}

/* What repair does with a text that is damaged: tells it. Others fail. */
static lens_status tell(const copier_t *c, int64_t sample, const char *kind, lens_status st) {
    if (st != LENS_FORMAT || !c->o.lost) return st;
    c->o.lost(c->o.lost_context, sample, kind, lens_error());
    return LENS_OK;
}

static lens_status copy_text(copier_t *c, const ref_t *r, const char *kind, shard_writer_t *w) {
    const dataset_t *d = c->o.sources[r->source];
    const layer_t *l = layer_of(d, kind);
    int64_t shard, within;
    const shard_t *s;
    LENS_TRY(dataset_locate(d, r->sample, &shard, &within));
    LENS_TRY(layer_pin(d, l, shard, &s));
    lens_status st = column_get(&s->text, within, d->cache, &c->text);
    if (st == LENS_OK) st = column_get(&s->meta, within, d->cache, &c->meta);
    layer_unpin(d, l, shard);
    if (st == LENS_OK) return shard_writer_add_text(w, c->text.s, c->meta.s);
    LENS_TRY(tell(c, r->sample, kind, st));
    return shard_writer_add_text(w, "", "{\"status\":\"lost\"}");
}

static shard_identity_t identity_of(const copier_t *c, const char *kind, const char *provenance, const char *name,
                                    uint64_t hash) {
    return (shard_identity_t){
        .kind = kind, .provenance = provenance, .base_shard = name, .n_samples = c->n_refs, .base_hash = hash};
}

static lens_status write_captions(copier_t *c, const char *kind, const char *path, const shard_identity_t *identity) {
    shard_writer_t *w;
    LENS_TRY(shard_writer_open(&w, path, identity));
    for (int64_t i = 0; i < c->n_refs; i++) {
        lens_status st = copy_text(c, &c->refs[i], kind, w);
        if (st == LENS_OK) continue;
        shard_writer_abort(w);
        return st;
    }
    return shard_writer_close(w);
}

static lens_status copy_array(copier_t *c, const ref_t *r, const char *kind, array_writer_t *w) {
    const dataset_t *d = c->o.sources[r->source];
    array_shape_t shape;
    size_t n_bytes;
    LENS_TRY(dataset_array_shape(d, r->sample, kind, &shape));
    LENS_TRY(array_bytes(&shape, &n_bytes));
    str_clear(&c->picture);
    str_reserve(&c->picture, n_bytes);
    LENS_TRY(str_status(&c->picture));
    LENS_TRY(dataset_array(d, r->sample, kind, c->picture.s, n_bytes));
    return array_writer_add(w, &shape, c->picture.s);
}

/* Element type and codec of the first sample's shard. */
static lens_status array_form(const copier_t *c, const char *kind, array_dtype *dtype, array_codec *codec) {
    const dataset_t *d = c->o.sources[c->refs[0].source];
    const layer_t *l = layer_of(d, kind);
    int64_t shard, within;
    const shard_t *s;
    LENS_TRY(dataset_locate(d, c->refs[0].sample, &shard, &within));
    LENS_TRY(layer_pin(d, l, shard, &s));
    *dtype = s->arrays.dtype;
    *codec = s->arrays.codec;
    layer_unpin(d, l, shard);
    return LENS_OK;
}

static lens_status write_arrays(copier_t *c, const char *kind, const char *path, const shard_identity_t *identity) {
    array_writer_t *w;
    array_dtype dtype;
    array_codec codec;
    LENS_TRY(array_form(c, kind, &dtype, &codec));
    LENS_TRY(array_writer_open_path(&w, path, identity, dtype, codec));
    for (int64_t i = 0; i < c->n_refs; i++) {
        lens_status st = copy_array(c, &c->refs[i], kind, w);
        if (st == LENS_OK) continue;
        array_writer_abort(w);
        return st;
    }
    return array_writer_close(w);
}

/* Whether all samples of the shard have the layer, which only repair does not know beforehand. */
static bool has_layer(const copier_t *c, const char *kind) {
    for (int64_t i = 0; i < c->n_refs; i++) {
        const dataset_t *d = c->o.sources[c->refs[i].source];
        const layer_t *l = layer_of(d, kind);
        int64_t shard, within;
        if (!l || dataset_locate(d, c->refs[i].sample, &shard, &within) != LENS_OK || !l->present[shard]) return false;
    }
    return true;
}

static lens_status write_layer(copier_t *c, int layer, const char *name, uint64_t hash) {
    const char *kind = c->kinds[layer];
    if (!has_layer(c, kind)) return LENS_OK;
    str_t path = {0};
    char *provenance = NULL;
    lens_status st;
    LENS_GO(shard_path(c, kind, &path));
    LENS_GO(make_provenance(c, kind, &provenance));
    const shard_identity_t identity = identity_of(c, kind, provenance, name, hash);
    st = layer_of(c->o.sources[c->refs[0].source], kind)->role == SEAL_ARRAYS
             ? write_arrays(c, kind, path.s, &identity)
             : write_captions(c, kind, path.s, &identity);
done:
    free(provenance);
    str_free(&path);
    return st;
}

lens_status copier_end_shard(copier_t *c) {
    if (c->n_refs == 0) return LENS_OK;
    str_t name = {0};
    uint64_t hash = 0;
    shard_name_format(&name, c->n_shards);
    lens_status st = str_status(&name);
    if (st == LENS_OK) st = write_base(c, &hash);
    for (int i = 0; i < c->n_captions + c->n_arrays && st == LENS_OK; i++) st = write_layer(c, i, name.s, hash);
    str_free(&name);
    c->n_refs = 0;
    c->image_bytes = 0;
    c->n_shards++;
    return st;
}

lens_status copier_add(copier_t *c, int source, int64_t sample) {
    const ref_t r = {source, sample};
    sample_info_t info;
    LENS_TRY(make_key(c, &r));
    if (key_set_has(&c->keys, c->key.s, c->key.len))
        return lens_fail(LENS_ARGUMENT, "%s: the key %.200s is there already%s", c->o.sources[source]->dir, c->key.s,
                         c->o.prefix_keys ? "" : "; --prefix-keys puts the folder's name before it");
    LENS_TRY(key_set_add(&c->keys, c->key.s, c->key.len));
    LENS_TRY(dataset_info(c->o.sources[source], sample, &info));
    if (c->n_refs > 0 &&
        (c->n_refs >= c->o.shard_max_samples || c->image_bytes + info.image_bytes > c->o.shard_max_bytes))
        LENS_TRY(copier_end_shard(c));
    if (c->n_refs == c->cap_refs) {
        int64_t cap = c->cap_refs ? 2 * c->cap_refs : 1024;
        ref_t *grown = realloc(c->refs, sizeof *grown * (size_t)cap);
        if (!grown) return lens_fail(LENS_MEMORY, "%s: out of memory", c->out);
        c->refs = grown;
        c->cap_refs = cap;
    }
    c->refs[c->n_refs++] = r;
    c->image_bytes += info.image_bytes;
    c->n_samples++;
    return LENS_OK;
}

lens_status copier_close(copier_t *c) {
    lens_status st = c->n_samples ? copier_end_shard(c) : lens_fail(LENS_STATE, "%s: no sample is left", c->out);
    if (st == LENS_OK) st = dataset_write_index(c->out, NULL);
    copier_abort(c);
    return st;
}
