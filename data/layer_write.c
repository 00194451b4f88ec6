/* Writing one shard of a layer: where it goes, and to which base it belongs. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/dataset_names.h"
#include "data/shard.h"

struct layer_writer {
    shard_writer_t *shard;
};

/* DIR/KIND and DIR/KIND/NAME.h5. */
static lens_status paths(str_t *folder, str_t *file, const dataset_t *base, int64_t shard, const char *dir,
                         const char *kind) {
    str_addf(folder, "%s/%s", dir, kind);
    str_addf(file, "%s/%s/%s.h5", dir, kind, dataset_shard_name(base, shard));
    LENS_TRY(str_status(folder));
    return str_status(file);
}

bool layer_shard_exists(const dataset_t *base, int64_t shard, const char *dir, const char *kind) {
    str_t folder = {0}, file = {0};
    bool exists = paths(&folder, &file, base, shard, dir, kind) == LENS_OK && file_exists(file.s);
    str_free(&folder);
    str_free(&file);
    return exists;
}

/* The file of a layer shard that is not there yet, in a folder that is. */
static lens_status new_path(str_t *file, const dataset_t *base, int64_t shard, const char *dir, const char *kind) {
    if (!kind_name_valid(kind))
        return lens_fail(LENS_ARGUMENT, "%s: no name of a layer: expected [a-z0-9-]+, not base or alt", kind);
    if (shard < 0 || shard >= dataset_n_shards(base))
        return lens_fail(LENS_ARGUMENT, "%s: no shard %lld", dataset_dir(base), (long long)shard);
    str_t folder = {0};
    lens_status st = paths(&folder, file, base, shard, dir, kind);
    if (st == LENS_OK && file_exists(file->s)) st = lens_fail(LENS_STATE, "%s: is there already", file->s);
    if (st == LENS_OK) st = dir_make(folder.s);
    str_free(&folder);
    return st;
}

static shard_identity_t identity_of(const dataset_t *base, int64_t shard, const char *kind, const char *provenance) {
    return (shard_identity_t){.kind = kind,
                              .provenance = provenance,
                              .base_shard = dataset_shard_name(base, shard),
                              .n_samples = dataset_shard_n_samples(base, shard),
                              .base_hash = dataset_shard_hash(base, shard)};
}

lens_status layer_writer_open(layer_writer_t **out, const dataset_t *base, int64_t shard, const char *dir,
                              const char *kind, const char *provenance) {
    *out = NULL;
    str_t file = {0};
    layer_writer_t *w = NULL;
    lens_status st;
    LENS_GO(new_path(&file, base, shard, dir, kind));
    w = calloc(1, sizeof *w);
    if (!w) {
        st = lens_fail(LENS_MEMORY, "%s: out of memory", file.s);
        goto done;
    }
    const shard_identity_t identity = identity_of(base, shard, kind, provenance);
    LENS_GO(shard_writer_open(&w->shard, file.s, &identity));
    *out = w;
    w = NULL;
done:
    free(w);
    str_free(&file);
    return st;
}

lens_status array_writer_open(array_writer_t **out, const dataset_t *base, int64_t shard, const char *dir,
                              const char *kind, array_dtype dtype, array_codec codec, int zstd_level,
                              const char *provenance) {
    *out = NULL;
    str_t file = {0};
    lens_status st = new_path(&file, base, shard, dir, kind);
    if (st == LENS_OK) {
        shard_identity_t identity = identity_of(base, shard, kind, provenance);
        identity.zstd_level = zstd_level;
        st = array_writer_open_path(out, file.s, &identity, dtype, codec);
    }
    str_free(&file);
    return st;
}

lens_status layer_writer_set_level(layer_writer_t *w, int zstd_level) {
    return shard_writer_set_level(w->shard, zstd_level);
}

lens_status layer_writer_add(layer_writer_t *w, const char *text, const char *meta) {
    return shard_writer_add_text(w->shard, text, meta);
}

lens_status layer_writer_close(layer_writer_t *w) {
    shard_writer_t *shard = w->shard;
    free(w);
    return shard_writer_close(shard);
}

void layer_writer_abort(layer_writer_t *w) {
    if (!w) return;
    shard_writer_abort(w->shard);
    free(w);
}
