/* A dataset: a folder of immutable base shards, and layers of the same shard names and sample order beside them.
 *
 *     DIR/base/shard-00000.h5     pictures (WebP or JPEG, by content), keys, alt-text, metadata
 *     DIR/dense/shard-00000.h5    a caption layer: one text a sample, tied to its base shard by name, count and hash
 *     DIR/latents/shard-00000.h5  an array layer: one array a sample, tied in the same way
 *     DIR/index.h5                what the base shards hold, so that opening the set opens no shard
 *
 * docs/shard-format.md holds the format. Shards are opened on first use, and a bounded number stays open. Readers are
 * thread-safe after opening; writers belong to one thread. A process opens its own datasets: none is used across a
 * fork. */
#ifndef LENS_DATA_DATASET_H
#define LENS_DATA_DATASET_H

#include "base/error.h"
#include "base/str.h"
#include "data/bucket.h"

/* ---- reading ---- */
typedef struct dataset dataset_t;

/* With DIR/index.h5 no shard is opened: their names and sizes must be those of the index (FORMAT, with how to make it
 * anew), and a shard that is not what the index says fails when it is used. Without it every base shard is opened and
 * checked. Layers are checked against their base when a shard of them is used. A layer that covers only some shards is
 * FORMAT with dataset_open. *out is owned by the caller. */
LENS_CHECKED lens_status dataset_open(dataset_t **out, const char *dir);
LENS_CHECKED lens_status dataset_open_partial(dataset_t **out, const char *dir); /* layers may lack shards */
/* Adds the layers that stand in another folder (lens recaption -o). */
LENS_CHECKED lens_status dataset_add_layers(dataset_t *d, const char *dir);
void dataset_close(dataset_t *d); /* NULL is allowed */

#define DATASET_MAX_OPEN 512 /* shard files, those in use at the moment not counted */
/* At least 1. Shards that are open stay so until others are used. */
void dataset_limit_open(dataset_t *d, int64_t max_open);
int64_t dataset_n_open(const dataset_t *d); /* shard files that are open now */

const char *dataset_dir(const dataset_t *d);
int64_t dataset_n_samples(const dataset_t *d);
int64_t dataset_n_shards(const dataset_t *d);
const char *dataset_shard_name(const dataset_t *d, int64_t shard); /* "shard-00000" */
int64_t dataset_shard_begin(const dataset_t *d, int64_t shard);    /* index of its first sample */
int64_t dataset_shard_n_samples(const dataset_t *d, int64_t shard);
uint64_t dataset_shard_hash(const dataset_t *d, int64_t shard); /* content hash that layers are tied to */
/* Of the whole set: xxh3 over the shards' content hashes in order. What a resumed run compares. */
uint64_t dataset_hash(const dataset_t *d);
int dataset_n_kinds(const dataset_t *d); /* caption kinds: "alt" first, then layers by name */
const char *dataset_kind(const dataset_t *d, int kind);
bool dataset_has_kind(const dataset_t *d, const char *kind);

typedef struct {
    int32_t width, height;                   /* px, of the stored picture */
    int32_t original_width, original_height; /* px, before any reduction on ingest */
    uint64_t image_bytes;
} sample_info_t;

/* i in [0, n_samples). The texts are cleared and filled; valid UTF-8, NUL-terminated. */
LENS_CHECKED lens_status dataset_info(const dataset_t *d, int64_t i, sample_info_t *out);
LENS_CHECKED lens_status dataset_key(const dataset_t *d, int64_t i, str_t *out);
/* WebP or JPEG, checked against its hash. */
LENS_CHECKED lens_status dataset_image(const dataset_t *d, int64_t i, str_t *picture);
LENS_CHECKED lens_status dataset_image_hash(const dataset_t *d, int64_t i, uint64_t *out); /* xxh3 of the picture */
LENS_CHECKED lens_status dataset_caption(const dataset_t *d, int64_t i, const char *kind,
                                         str_t *out);                              /* "" is possible */
LENS_CHECKED lens_status dataset_meta(const dataset_t *d, int64_t i, str_t *json); /* "{}" where there is none */

/* What bucket_assign needs of all samples of a shard, nothing decoded. Arrays of its n_samples; NULL: not wanted. */
LENS_CHECKED lens_status dataset_shard_sizes(const dataset_t *d, int64_t shard, int32_t *width, int32_t *height,
                                             uint64_t *image_hash);
/* counts [n_shards, l->n + 1]: samples of each shard by bucket, the last for those that go to none. From the index
 * where it was made for this very list, else by reading each shard's sizes. */
LENS_CHECKED lens_status dataset_bucket_counts(const dataset_t *d, const bucket_list_t *l, int64_t *counts);

/* ---- arrays: latents, text features ---- */
typedef enum { ARRAY_U8, ARRAY_F16, ARRAY_BF16, ARRAY_F32, ARRAY_DTYPES } array_dtype; /* little-endian */
#define ARRAY_MAX_DIMS 4
#define ARRAY_MAX_BYTES (UINT64_C(1) << 30) /* one sample's array */
typedef struct {
    array_dtype dtype;
    int n_dims;                   /* 0: a scalar */
    int64_t dims[ARRAY_MAX_DIMS]; /* 0 is allowed: no values */
} array_shape_t;

size_t array_dtype_bytes(array_dtype t);
const char *array_dtype_name(array_dtype t); /* "u8", "f16", "bf16", "f32" */
/* ARGUMENT where the shape is malformed or larger than ARRAY_MAX_BYTES. */
LENS_CHECKED lens_status array_bytes(const array_shape_t *s, size_t *out);

int dataset_n_arrays(const dataset_t *d); /* array layers, by name */
const char *dataset_array_kind(const dataset_t *d, int array);
bool dataset_has_array(const dataset_t *d, const char *kind);
LENS_CHECKED lens_status dataset_array_shape(const dataset_t *d, int64_t i, const char *kind, array_shape_t *out);
/* The raw values, C order, checked against their hash; a raw layer is read straight into `into`. ARGUMENT where
 * capacity_bytes is less than array_bytes of the shape. */
LENS_CHECKED lens_status dataset_array(const dataset_t *d, int64_t i, const char *kind, void *into,
                                       size_t capacity_bytes);

/* The sample's picture (array NULL) or its array of that kind will be read soon: the system may fetch it meanwhile, so
 * that many small reads are under way at once. A hint: says nothing of errors, which the read itself meets. */
void dataset_fetch(const dataset_t *d, int64_t i, const char *array);

/* ---- writing base shards ---- */
typedef struct dataset_writer dataset_writer_t;
typedef struct {
    int64_t shard_max_samples; /* a shard closes at either bound */
    uint64_t shard_max_bytes;  /* of pictures */
    const char
        *provenance; /* JSON object kept in every shard: who made it, from what, with which options; NULL: none */
    int zstd_level;  /* of texts, 1..19; 0: 9 */
    const bucket_list_t *buckets; /* counted in the index; borrowed; NULL: none */
} dataset_writer_options_t;
#define DATASET_WRITER_DEFAULTS                                                                                        \
    { .shard_max_samples = 10000, .shard_max_bytes = UINT64_C(1) << 30, .provenance = NULL }

typedef struct {
    const char *key;     /* unique in the set, UTF-8 without control characters */
    const char *picture; /* encoded: WebP or JPEG */
    size_t picture_bytes;
    int32_t width, height;                   /* px, of the encoded picture */
    int32_t original_width, original_height; /* px */
    const char *alt;                         /* alt-text, "" where there is none */
    const char *meta;                        /* JSON object as text, NULL: "{}" */
} sample_t;

/* The folder may be new or hold no base shards; STATE where it holds some already. */
LENS_CHECKED lens_status dataset_writer_open(dataset_writer_t **out, const char *dir,
                                             const dataset_writer_options_t *options);
LENS_CHECKED lens_status dataset_writer_add(dataset_writer_t *w, const sample_t *sample); /* copies */
/* Publishes the last shard and the index, and frees w in every case. A full disk and the like surface here or in add;
 * shards under their final names are whole whatever happened. */
LENS_CHECKED lens_status dataset_writer_close(dataset_writer_t *w);
void dataset_writer_abort(dataset_writer_t *w); /* drops the open shard and frees w; NULL is allowed */

/* DIR/index.h5 of the base shards that stand in the folder, all of them opened and checked; replaces an older one.
 * buckets NULL: without counts. */
LENS_CHECKED lens_status dataset_write_index(const char *dir, const bucket_list_t *buckets);

/* ---- writing one shard of a layer ---- */
typedef struct layer_writer layer_writer_t;
/* kind: [a-z0-9-]+, not "base" or "alt". `dir` is the dataset's folder or another. STATE where that layer shard exists.
 */
LENS_CHECKED lens_status layer_writer_open(layer_writer_t **out, const dataset_t *base, int64_t shard, const char *dir,
                                           const char *kind, const char *provenance);
/* Of the texts, 1 to 19; before the first is added. Without it: 9. */
LENS_CHECKED lens_status layer_writer_set_level(layer_writer_t *w, int zstd_level);
/* Once a sample, in the base's order. meta: JSON object (status, reason of a rejection, measurements) or NULL. */
LENS_CHECKED lens_status layer_writer_add(layer_writer_t *w, const char *text, const char *meta);
LENS_CHECKED lens_status
layer_writer_close(layer_writer_t *w);      /* STATE where samples are missing; frees w in every case */
void layer_writer_abort(layer_writer_t *w); /* NULL is allowed */
/* Whether that layer shard is there under its final name. */
bool layer_shard_exists(const dataset_t *base, int64_t shard, const char *dir, const char *kind);

/* RAW: read at the speed of the disk. ZSTD: bytes of the elements apart (HDF5's shuffle), then zstd: bf16 latents pack
 * about 1.3 to 1. */
typedef enum { ARRAY_RAW, ARRAY_ZSTD, ARRAY_CODECS } array_codec;
typedef struct array_writer array_writer_t;
/* As layer_writer_open. zstd_level 1..19, 0: 3; unused with ARRAY_RAW. */
LENS_CHECKED lens_status array_writer_open(array_writer_t **out, const dataset_t *base, int64_t shard, const char *dir,
                                           const char *kind, array_dtype dtype, array_codec codec, int zstd_level,
                                           const char *provenance);
/* Once a sample, in the base's order; values: array_bytes(shape) of them, copied. */
LENS_CHECKED lens_status array_writer_add(array_writer_t *w, const array_shape_t *shape, const void *values);
LENS_CHECKED lens_status array_writer_close(array_writer_t *w); /* as layer_writer_close */
void array_writer_abort(array_writer_t *w);                     /* NULL is allowed */

/* "image/webp" or "image/jpeg"; "webp" or "jpg". NULL where the bytes begin as neither. */
const char *picture_mime(const char *bytes, size_t n);
const char *picture_extension(const char *bytes, size_t n);

#endif
