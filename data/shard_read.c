#include "data/shard.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"
#include "data/image_codecs.h"

void shard_close(shard_t *s) {
    if (!s) return;
    column_close(&s->keys);
    column_close(&s->text);
    column_close(&s->meta);
    array_table_close(&s->arrays);
    void *all[] = {s->path,         s->kind,  s->provenance, s->writer,         s->base_shard,     s->image_offsets,
                   s->image_hashes, s->width, s->height,     s->original_width, s->original_height};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    if (s->fd >= 0) close(s->fd);
    free(s);
}

static lens_status read_table(hdf_t *h, const char *name, hid_t type, uint64_t n, void *out) {
    void *values;
    LENS_TRY(hdf_get_table(h, name, type, n, &values));
    *(void **)out = values;
    return LENS_OK;
}

static lens_status check_images(shard_t *s, hdf_t *h, const seal_t *seal) {
    uint64_t address, n_bytes;
    LENS_TRY(hdf_find_table(h, "images", H5T_STD_U8LE, &address, &n_bytes));
    if (seal->payload_begin != address || seal->payload_end - address != n_bytes)
        return lens_fail(LENS_FORMAT, "%s: the pictures stand where the seal does not have them", s->path);
    s->images_begin = address;
    const uint64_t *offsets = s->image_offsets;
    bool rising = offsets[0] == 0 && offsets[s->n_samples] == n_bytes;
    for (int64_t i = 0; i < s->n_samples && rising; i++) rising = offsets[i + 1] > offsets[i];
    if (!rising) return lens_fail(LENS_FORMAT, "%s: dataset image_offsets does not fit images", s->path);
    for (int64_t i = 0; i < s->n_samples; i++)
        if (s->width[i] < 1 || s->height[i] < 1 || s->original_width[i] < 1 || s->original_height[i] < 1)
            return lens_fail(LENS_FORMAT, "%s: sample %lld has a size of no pixels", s->path, (long long)i);
    return LENS_OK;
}

static lens_status read_base(shard_t *s, hdf_t *h, const seal_t *seal) {
    uint64_t n = (uint64_t)s->n_samples;
    LENS_TRY(hdf_get_number(h, "content_hash", &s->content_hash));
    LENS_TRY(read_table(h, "image_offsets", H5T_STD_U64LE, n + 1, &s->image_offsets));
    LENS_TRY(read_table(h, "image_hashes", H5T_STD_U64LE, n, &s->image_hashes));
    LENS_TRY(read_table(h, "width", H5T_STD_I32LE, n, &s->width));
    LENS_TRY(read_table(h, "height", H5T_STD_I32LE, n, &s->height));
    LENS_TRY(read_table(h, "original_width", H5T_STD_I32LE, n, &s->original_width));
    LENS_TRY(read_table(h, "original_height", H5T_STD_I32LE, n, &s->original_height));
    LENS_TRY(check_images(s, h, seal));
    return column_open(&s->keys, h, "keys", "key_lengths", s->n_samples);
}

static lens_status read_layer(shard_t *s, hdf_t *h, const seal_t *seal) {
    if (seal->kind == SEAL_CAPTIONS && seal->payload_end != 0)
        return lens_fail(LENS_FORMAT, "%s: captions whose seal leaves out a payload", s->path);
    LENS_TRY(hdf_get_number(h, "base_content_hash", &s->content_hash));
    return hdf_get_string(h, "base_shard", &s->base_shard);
}

static lens_status read_identity(shard_t *s, hdf_t *h) {
    uint64_t version, n;
    LENS_TRY(hdf_get_number(h, "schema_version", &version));
    if (version != SHARD_VERSION)
        return lens_fail(LENS_FORMAT, "%s: schema version %llu, expected %d", s->path, (unsigned long long)version,
                         SHARD_VERSION);
    LENS_TRY(hdf_get_number(h, "n_samples", &n));
    if (n < 1 || n > (uint64_t)SHARD_MAX_SAMPLES)
        return lens_fail(LENS_FORMAT, "%s: %llu samples", s->path, (unsigned long long)n);
    s->n_samples = (int64_t)n;
    LENS_TRY(hdf_get_string(h, "kind", &s->kind));
    LENS_TRY(hdf_get_string(h, "provenance", &s->provenance));
    return hdf_get_string(h, "writer", &s->writer);
}

static lens_status read_structure(shard_t *s, hdf_t *h, const seal_t *seal) {
    LENS_TRY(read_identity(s, h));
    LENS_TRY(s->role == SEAL_BASE ? read_base(s, h, seal) : read_layer(s, h, seal));
    if ((s->role == SEAL_BASE) != (strcmp(s->kind, "base") == 0) || seal->n_samples != (uint64_t)s->n_samples ||
        seal->content_hash != s->content_hash)
        return lens_fail(LENS_FORMAT, "%s: its attributes contradict its seal", s->path);
    if (s->role == SEAL_ARRAYS) return array_table_open(&s->arrays, h, seal);
    LENS_TRY(s->role == SEAL_BASE ? column_open(&s->text, h, "alt", "alt_lengths", s->n_samples)
                                  : column_open(&s->text, h, "text", "text_lengths", s->n_samples));
    return column_open(&s->meta, h, "meta", "meta_lengths", s->n_samples);
}

static lens_status open_file(shard_t **out, const char *path) {
    *out = NULL;
    shard_t *s = calloc(1, sizeof *s);
    if (!s) return lens_fail(LENS_MEMORY, "%s: out of memory", path);
    s->path = strdup(path);
    lens_status st = file_open(&s->fd, path);
    if (st == LENS_OK && !s->path) st = lens_fail(LENS_MEMORY, "%s: out of memory", path);
    if (st == LENS_OK)
        *out = s;
    else
        shard_close(s);
    return st;
}

static lens_status open_sealed(shard_t **out, const char *path, lens_status (*check)(seal_t *, int, const char *)) {
    *out = NULL;
    shard_t *s;
    LENS_TRY(open_file(&s, path));
    lens_status st = LENS_OK;
    hdf_t h = {0};
    seal_t seal;
    LENS_GO(check(&seal, s->fd, path)); /* HDF5 parses only what its writer wrote */
    s->file_bytes = seal.hdf5_bytes + SEAL_BYTES;
    s->role = seal.kind;
    if (seal.kind == SEAL_INDEX) {
        st = lens_fail(LENS_FORMAT, "%s: an index, expected a shard", path);
        goto done;
    }
    LENS_GO(hdf_open(&h, s->path, s->fd, seal.hdf5_bytes));
    LENS_GO(read_structure(s, &h, &seal));
done:
    hdf_close(&h);
    if (st == LENS_OK)
        *out = s;
    else
        shard_close(s);
    return st;
}

lens_status shard_open(shard_t **out, const char *path) {
    return open_sealed(out, path, seal_check);
}

lens_status shard_reopen(shard_t **out, const char *path) {
    return open_sealed(out, path, seal_read);
}

/* A seal made from what HDF5 says, for a file that has none or a damaged one. */
static lens_status guess_seal(shard_t *s, hdf_t *h, seal_t *seal) {
    LENS_TRY(read_identity(s, h));
    bool base = strcmp(s->kind, "base") == 0;
    uint64_t n;
    seal->n_samples = (uint64_t)s->n_samples;
    seal->kind = base ? SEAL_BASE : H5Aexists(h->id, "dtype") > 0 ? SEAL_ARRAYS : SEAL_CAPTIONS;
    s->role = seal->kind;
    if (base) LENS_TRY(hdf_find_table(h, "images", H5T_STD_U8LE, &seal->payload_begin, &n));
    if (base) seal->payload_end = seal->payload_begin + n;
    if (seal->kind == SEAL_ARRAYS) LENS_TRY(array_table_locate(h, &seal->payload_begin, &seal->payload_end));
    free(s->kind);
    free(s->provenance);
    free(s->writer);
    s->kind = s->provenance = s->writer = NULL;
    return hdf_get_number(h, base ? "content_hash" : "base_content_hash", &seal->content_hash);
}

lens_status shard_open_damaged(shard_t **out, const char *path) {
    *out = NULL;
    shard_t *s;
    LENS_TRY(open_file(&s, path));
    lens_status st = LENS_OK;
    hdf_t h = {0};
    seal_t seal = {0};
    struct stat info;
    if (fstat(s->fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        st = lens_fail(LENS_FORMAT, "%s: not a regular file", path);
        goto done;
    }
    bool sealed = seal_read(&seal, s->fd, path) == LENS_OK && seal.kind != SEAL_INDEX;
    s->file_bytes = (uint64_t)info.st_size;
    LENS_GO(hdf_open(&h, s->path, s->fd, sealed ? seal.hdf5_bytes : s->file_bytes));
    if (!sealed) {
        seal = (seal_t){0};
        LENS_GO(guess_seal(s, &h, &seal));
    }
    s->role = seal.kind;
    LENS_GO(read_structure(s, &h, &seal));
done:
    hdf_close(&h);
    if (st == LENS_OK)
        *out = s;
    else
        shard_close(s);
    return st;
}

lens_status shard_image(const shard_t *s, int64_t i, str_t *picture) {
    str_clear(picture);
    uint64_t begin = s->image_offsets[i];
    size_t n = (size_t)(s->image_offsets[i + 1] - begin);
    str_reserve(picture, n);
    LENS_TRY(str_status(picture));
    LENS_TRY(file_read_at(s->fd, picture->s, n, s->images_begin + begin, s->path));
    picture->len = n;
    picture->s[n] = '\0';
    uint64_t hash = XXH3_64bits(picture->s, n);
    if (hash != s->image_hashes[i])
        return lens_fail(LENS_FORMAT, "%s: picture of sample %lld is damaged: hash %016llx, expected %016llx", s->path,
                         (long long)i, (unsigned long long)hash, (unsigned long long)s->image_hashes[i]);
    return LENS_OK;
}

lens_status shard_check_fit(const shard_t *layer, const char *kind, const char *base_name, int64_t n_samples,
                            uint64_t base_hash) {
    if (layer->role == SEAL_BASE || strcmp(layer->kind, kind) != 0)
        return lens_fail(LENS_FORMAT, "%s: holds %s, expected the layer %s", layer->path, layer->kind, kind);
    if (strcmp(layer->base_shard, base_name) == 0 && layer->n_samples == n_samples && layer->content_hash == base_hash)
        return LENS_OK;
    return lens_fail(
        LENS_FORMAT, "%s: made for another base: %s, %lld samples, content %016llx; base/%s has %lld and %016llx",
        layer->path, layer->base_shard, (long long)layer->n_samples, (unsigned long long)layer->content_hash, base_name,
        (long long)n_samples, (unsigned long long)base_hash);
}

const char *picture_mime(const char *bytes, size_t n) {
    image_format format = image_format_of((const uint8_t *)bytes, n);
    return format == IMAGE_WEBP ? "image/webp" : format == IMAGE_JPEG ? "image/jpeg" : NULL;
}

const char *picture_extension(const char *bytes, size_t n) {
    image_format format = image_format_of((const uint8_t *)bytes, n);
    return format == IMAGE_WEBP ? "webp" : format == IMAGE_JPEG ? "jpg" : NULL;
}
