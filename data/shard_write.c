#include "data/shard.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "data/text.h"
#include "data/zstd_filter.h"

enum { IMAGES_BEGIN = 4096 };

struct shard_writer {
    shard_file_t file;
    int level; /* of zstd */
    str_t kind, provenance, base_shard;
    bool layer;
    int64_t n, n_expected;              /* n_expected: of a layer */
    uint64_t content_hash;              /* of a layer: its base's */
    XXH3_state_t *content;              /* of a base: over keys and picture hashes */
    uint64_t images_begin, image_bytes; /* address in the file, size of all */
    str_t image_offsets, image_hashes;  /* u64 each */
    str_t sizes[4];                     /* i32 each: width, height, original_width, original_height */
    column_writer_t keys, text, meta;
};

static const char *const size_names[4] = {"width", "height", "original_width", "original_height"};

static void writer_free(shard_writer_t *w) {
    shard_file_abort(&w->file);
    str_t *all[] = {&w->kind,     &w->provenance, &w->base_shard, &w->image_offsets, &w->image_hashes,
                    &w->sizes[0], &w->sizes[1],   &w->sizes[2],   &w->sizes[3]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) str_free(all[i]);
    column_writer_free(&w->keys);
    column_writer_free(&w->text);
    column_writer_free(&w->meta);
    XXH3_freeState(w->content);
    free(w);
}

void shard_writer_abort(shard_writer_t *w) {
    if (w) writer_free(w);
}

lens_status shard_check_provenance(const char *path, const char *json, size_t n) {
    if (n > SHARD_PROVENANCE_MAX_BYTES)
        return lens_fail(LENS_ARGUMENT, "%s: provenance of %zu bytes, at most %d", path, n, SHARD_PROVENANCE_MAX_BYTES);
    if (!text_is_json_object(json, n))
        return lens_fail(LENS_ARGUMENT, "%s: provenance is no JSON object: %.100s", path, json);
    return LENS_OK;
}

lens_status shard_check_level(int *level, int otherwise) {
    if (*level == 0) *level = otherwise;
    if (*level >= 1 && *level <= SHARD_ZSTD_LEVEL_MAX) return LENS_OK;
    return lens_fail(LENS_ARGUMENT, "zstd level %d, expected 1 to %d", *level, SHARD_ZSTD_LEVEL_MAX);
}

static lens_status writer_fill(shard_writer_t *w, const char *path, const shard_identity_t *identity) {
    str_add(&w->kind, identity->kind);
    str_add(&w->provenance, identity->provenance ? identity->provenance : "{}");
    w->layer = identity->base_shard != NULL;
    if (w->layer) str_add(&w->base_shard, identity->base_shard);
    w->n_expected = identity->n_samples;
    w->content_hash = identity->base_hash;
    w->level = identity->zstd_level;
    LENS_TRY(shard_check_level(&w->level, SHARD_TEXT_LEVEL));
    LENS_TRY(str_status(&w->kind));
    LENS_TRY(str_status(&w->provenance));
    LENS_TRY(str_status(&w->base_shard));
    LENS_TRY(shard_check_provenance(path, w->provenance.s, w->provenance.len));
    uint64_t zero = 0;
    str_add_n(&w->image_offsets, &zero, sizeof zero);
    w->content = XXH3_createState();
    if (!w->content) return lens_fail(LENS_MEMORY, "%s: out of memory", path);
    XXH3_64bits_reset(w->content);
    return shard_file_open(&w->file, path);
}

lens_status shard_writer_open(shard_writer_t **out, const char *path, const shard_identity_t *identity) {
    *out = NULL;
    shard_writer_t *w = calloc(1, sizeof *w);
    if (!w) return lens_fail(LENS_MEMORY, "%s: out of memory", path);
    w->file.fd = -1;
    w->images_begin = IMAGES_BEGIN;
    lens_status st = writer_fill(w, path, identity);
    if (st == LENS_OK)
        *out = w;
    else
        shard_writer_abort(w);
    return st;
}

lens_status shard_writer_set_level(shard_writer_t *w, int zstd_level) {
    if (w->n > 0) return lens_fail(LENS_STATE, "%s: a zstd level after the first sample", w->file.path.s);
    LENS_TRY(shard_check_level(&zstd_level, SHARD_TEXT_LEVEL));
    w->level = zstd_level;
    return LENS_OK;
}

int64_t shard_writer_n_samples(const shard_writer_t *w) {
    return w->n;
}

uint64_t shard_writer_image_bytes(const shard_writer_t *w) {
    return w->image_bytes;
}

static lens_status check_text(const char *what, const char *key, const char *text, size_t n) {
    if (n > TEXT_MAX_BYTES)
        return lens_fail(LENS_ARGUMENT, "sample %.200s: %s of %zu bytes, at most %zu", key, what, n, TEXT_MAX_BYTES);
    if (!text_is_utf8(text, n)) return lens_fail(LENS_ARGUMENT, "sample %.200s: %s is not UTF-8", key, what);
    return LENS_OK;
}

static lens_status check_meta(const char *key, const char *meta, size_t n) {
    LENS_TRY(check_text("metadata", key, meta, n));
    if (!text_is_json_object(meta, n))
        return lens_fail(LENS_ARGUMENT, "sample %.200s: metadata is no JSON object", key);
    return LENS_OK;
}

static lens_status check_sample(const sample_t *s, size_t key_bytes, size_t alt_bytes, const char *meta,
                                size_t meta_bytes) {
    if (key_bytes == 0) return lens_fail(LENS_ARGUMENT, "a sample has an empty key");
    if (!text_is_utf8(s->key, key_bytes)) return lens_fail(LENS_ARGUMENT, "a sample's key is not UTF-8");
    if (text_has_control(s->key, key_bytes)) return lens_fail(LENS_ARGUMENT, "a sample's key has control characters");
    LENS_TRY(check_text("key", s->key, s->key, key_bytes));
    LENS_TRY(check_text("alt-text", s->key, s->alt, alt_bytes));
    LENS_TRY(check_meta(s->key, meta, meta_bytes));
    if (s->picture_bytes == 0) return lens_fail(LENS_ARGUMENT, "sample %.200s: empty picture", s->key);
    if (s->width < 1 || s->height < 1 || s->original_width < 1 || s->original_height < 1)
        return lens_fail(LENS_ARGUMENT, "sample %.200s: picture of %d x %d px, originally %d x %d", s->key, s->width,
                         s->height, s->original_width, s->original_height);
    return LENS_OK;
}

lens_status shard_writer_add_sample(shard_writer_t *w, const sample_t *s) {
    const char *alt = s->alt ? s->alt : "", *meta = s->meta ? s->meta : "{}";
    size_t key_bytes = strlen(s->key), alt_bytes = strlen(alt), meta_bytes = strlen(meta);
    LENS_TRY(check_sample(s, key_bytes, alt_bytes, meta, meta_bytes));
    LENS_TRY(shard_file_write(&w->file, s->picture, s->picture_bytes, w->images_begin + w->image_bytes));
    w->image_bytes += s->picture_bytes;
    uint64_t hash = XXH3_64bits(s->picture, s->picture_bytes);
    str_add_n(&w->image_offsets, &w->image_bytes, sizeof w->image_bytes);
    str_add_n(&w->image_hashes, &hash, sizeof hash);
    const int32_t sizes[4] = {s->width, s->height, s->original_width, s->original_height};
    for (int i = 0; i < 4; i++) str_add_n(&w->sizes[i], &sizes[i], sizeof sizes[i]);
    column_add(&w->keys, s->key, key_bytes);
    column_add(&w->text, alt, alt_bytes);
    column_add(&w->meta, meta, meta_bytes);
    XXH3_64bits_update(w->content, s->key, key_bytes + 1);
    XXH3_64bits_update(w->content, &hash, sizeof hash);
    w->n++;
    return LENS_OK;
}

lens_status shard_writer_add_text(shard_writer_t *w, const char *text, const char *meta) {
    if (w->n == w->n_expected)
        return lens_fail(LENS_STATE, "%s: more than the %lld samples of its base", w->file.path.s, (long long)w->n);
    if (!meta) meta = "{}";
    size_t text_bytes = strlen(text), meta_bytes = strlen(meta);
    LENS_TRY(
        lens_context(check_text("text", w->kind.s, text, text_bytes), "%s: %lld", w->file.path.s, (long long)w->n));
    LENS_TRY(lens_context(check_meta(w->kind.s, meta, meta_bytes), "%s: %lld", w->file.path.s, (long long)w->n));
    column_add(&w->text, text, text_bytes);
    column_add(&w->meta, meta, meta_bytes);
    w->n++;
    return LENS_OK;
}

static lens_status put_images(shard_writer_t *w, hdf_t *h) {
    uint64_t address;
    LENS_TRY(str_status(&w->image_offsets));
    LENS_TRY(str_status(&w->image_hashes));
    for (int i = 0; i < 4; i++) LENS_TRY(str_status(&w->sizes[i]));
    LENS_TRY(hdf_put_table(h, "images", H5T_STD_U8LE, NULL, w->image_bytes, &address));
    /* They were written where HDF5 1.10 places the first large object of a file. Tiny ones (below 2 KiB together) it
     * places elsewhere, and so may other versions. */
    LENS_TRY(shard_file_move(&w->file, w->images_begin, address, w->image_bytes));
    w->images_begin = address;
    LENS_TRY(hdf_put_table(h, "image_offsets", H5T_STD_U64LE, w->image_offsets.s, w->image_offsets.len / 8, NULL));
    LENS_TRY(hdf_put_table(h, "image_hashes", H5T_STD_U64LE, w->image_hashes.s, w->image_hashes.len / 8, NULL));
    for (int i = 0; i < 4; i++)
        LENS_TRY(hdf_put_table(h, size_names[i], H5T_STD_I32LE, w->sizes[i].s, w->sizes[i].len / 4, NULL));
    return column_put(h, "keys", "key_lengths", &w->keys, w->level);
}

static lens_status put_all(shard_writer_t *w, hdf_t *h) {
    if (!w->layer) LENS_TRY(put_images(w, h));
    LENS_TRY(w->layer ? column_put(h, "text", "text_lengths", &w->text, w->level)
                      : column_put(h, "alt", "alt_lengths", &w->text, w->level));
    LENS_TRY(column_put(h, "meta", "meta_lengths", &w->meta, w->level));
    LENS_TRY(hdf_put_number(h, "schema_version", SHARD_VERSION));
    LENS_TRY(hdf_put_string(h, "kind", w->kind.s));
    LENS_TRY(hdf_put_number(h, "n_samples", (uint64_t)w->n));
    LENS_TRY(hdf_put_number(h, w->layer ? "base_content_hash" : "content_hash", w->content_hash));
    if (w->layer) LENS_TRY(hdf_put_string(h, "base_shard", w->base_shard.s));
    LENS_TRY(hdf_put_string(h, "provenance", w->provenance.s));
    LENS_TRY(hdf_put_string(h, "writer", "lens " LENS_VERSION));
    return hdf_finish(h);
}

static lens_status write_file(shard_writer_t *w) {
    seal_t seal = {.kind = w->layer ? SEAL_CAPTIONS : SEAL_BASE, .n_samples = (uint64_t)w->n};
    if (!w->layer) w->content_hash = XXH3_64bits_digest(w->content);
    seal.content_hash = w->content_hash;
    hdf_t h;
    LENS_TRY(hdf_create(&h, w->file.path.s, w->layer ? UINT64_MAX / 2 : w->image_bytes));
    lens_status st = put_all(w, &h);
    if (!w->layer) {
        seal.payload_begin = w->images_begin;
        seal.payload_end = w->images_begin + w->image_bytes;
    }
    if (st == LENS_OK) st = shard_file_seal(&w->file, &h, &seal);
    hdf_close(&h);
    return st;
}

lens_status shard_publish(shard_file_t *f) {
    str_t faults = {0};
    int64_t n_faults;
    lens_status st = shard_verify(f->temporary.s, 0, &faults, &n_faults);
    if (st == LENS_OK && n_faults > 0) {
        faults.s[strcspn(faults.s, "\n")] = '\0';
        st = lens_fail(LENS_IO, "%s: what was written reads back wrong: %s", f->path.s, faults.s);
    }
    str_free(&faults);
    return st == LENS_OK ? shard_file_publish(f) : st;
}

uint64_t shard_writer_hash(const shard_writer_t *w) {
    return XXH3_64bits_digest(w->content);
}

lens_status shard_writer_close(shard_writer_t *w) {
    lens_status st = LENS_OK;
    if (w->n == 0 || (w->layer && w->n != w->n_expected))
        st = lens_fail(LENS_STATE, "%s: closed with %lld samples, expected %lld", w->file.path.s, (long long)w->n,
                       (long long)w->n_expected);
    if (st == LENS_OK) st = write_file(w);
    if (st == LENS_OK) st = shard_publish(&w->file);
    writer_free(w);
    return st;
}
