/* Writing one shard of a caption layer. */
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

lens_status layer_writer_open(layer_writer_t **out, const dataset_t *base, int64_t shard, const char *dir,
                              const char *kind, const char *provenance) {
    *out = NULL;
    if (!kind_name_valid(kind))
        return lens_fail(LENS_ARGUMENT, "%s: no name of a layer: expected [a-z0-9-]+, not base or alt", kind);
    if (shard < 0 || shard >= dataset_n_shards(base))
        return lens_fail(LENS_ARGUMENT, "%s: no shard %lld", dataset_dir(base), (long long)shard);
    str_t folder = {0}, file = {0};
    layer_writer_t *w = NULL;
    lens_status st = paths(&folder, &file, base, shard, dir, kind);
    if (st != LENS_OK) goto done;
    if (file_exists(file.s)) {
        st = lens_fail(LENS_STATE, "%s: is there already", file.s);
        goto done;
    }
    LENS_GO(dir_make(folder.s));
    w = calloc(1, sizeof *w);
    if (!w) {
        st = lens_fail(LENS_MEMORY, "%s: out of memory", file.s);
        goto done;
    }
    const shard_identity_t identity = {.kind = kind,
                                       .provenance = provenance,
                                       .base_shard = dataset_shard_name(base, shard),
                                       .n_samples = dataset_shard_n_samples(base, shard),
                                       .base_hash = dataset_shard_hash(base, shard)};
    LENS_GO(shard_writer_open(&w->shard, file.s, &identity));
    *out = w;
    w = NULL;
done:
    free(w);
    str_free(&folder);
    str_free(&file);
    return st;
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
