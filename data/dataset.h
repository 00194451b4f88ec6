/* A dataset: a folder of immutable base shards, and layers of the same shard names and sample order beside them.
 *
 *     DIR/base/shard-00000.h5     pictures (WebP), keys, alt-text, metadata
 *     DIR/dense/shard-00000.h5    a caption layer: one text a sample, tied to its base shard by name, count and hash
 *
 * docs/shard-format.md holds the format. Readers are thread-safe after opening; writers belong to one thread. */
#ifndef LENS_DATA_DATASET_H
#define LENS_DATA_DATASET_H

#include "base/error.h"
#include "base/str.h"

/* ---- reading ---- */
typedef struct dataset dataset_t;

/* Opens every shard and every layer found in the folder and checks that layers fit their base. A layer that covers only
 * some shards is FORMAT unless allow_partial. *out is owned by the caller. */
LENS_CHECKED lens_status dataset_open(dataset_t **out, const char *dir);
LENS_CHECKED lens_status dataset_open_partial(dataset_t **out, const char *dir); /* layers may lack shards */
/* Adds the layers that stand in another folder (lens recaption -o). */
LENS_CHECKED lens_status dataset_add_layers(dataset_t *d, const char *dir);
void dataset_close(dataset_t *d); /* NULL is allowed */

const char *dataset_dir(const dataset_t *d);
int64_t dataset_n_samples(const dataset_t *d);
int64_t dataset_n_shards(const dataset_t *d);
const char *dataset_shard_name(const dataset_t *d, int64_t shard); /* "shard-00000" */
int64_t dataset_shard_begin(const dataset_t *d, int64_t shard);    /* index of its first sample */
int64_t dataset_shard_n_samples(const dataset_t *d, int64_t shard);
uint64_t dataset_shard_hash(const dataset_t *d, int64_t shard); /* content hash that layers are tied to */
int dataset_n_kinds(const dataset_t *d);                        /* caption kinds: "alt" first, then layers by name */
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
LENS_CHECKED lens_status dataset_image(const dataset_t *d, int64_t i, str_t *webp); /* checked against its hash */
LENS_CHECKED lens_status dataset_caption(const dataset_t *d, int64_t i, const char *kind,
                                         str_t *out);                              /* "" is possible */
LENS_CHECKED lens_status dataset_meta(const dataset_t *d, int64_t i, str_t *json); /* "{}" where there is none */

/* ---- writing base shards ---- */
typedef struct dataset_writer dataset_writer_t;
typedef struct {
    int64_t shard_max_samples; /* a shard closes at either bound */
    uint64_t shard_max_bytes;  /* of pictures */
    const char
        *provenance; /* JSON object kept in every shard: who made it, from what, with which options; NULL: none */
} dataset_writer_options_t;
#define DATASET_WRITER_DEFAULTS                                                                                        \
    { .shard_max_samples = 10000, .shard_max_bytes = UINT64_C(1) << 30, .provenance = NULL }

typedef struct {
    const char *key;  /* unique in the set, UTF-8 without control characters */
    const char *webp; /* encoded picture */
    size_t webp_bytes;
    int32_t width, height;                   /* px, of the encoded picture */
    int32_t original_width, original_height; /* px */
    const char *alt;                         /* alt-text, "" where there is none */
    const char *meta;                        /* JSON object as text, NULL: "{}" */
} sample_t;

/* The folder may be new or hold no base shards; STATE where it holds some already. */
LENS_CHECKED lens_status dataset_writer_open(dataset_writer_t **out, const char *dir,
                                             const dataset_writer_options_t *options);
LENS_CHECKED lens_status dataset_writer_add(dataset_writer_t *w, const sample_t *sample); /* copies */
/* Publishes the last shard and frees w in every case. A full disk and the like surface here or in add; shards under
 * their final names are whole whatever happened. */
LENS_CHECKED lens_status dataset_writer_close(dataset_writer_t *w);
void dataset_writer_abort(dataset_writer_t *w); /* drops the open shard and frees w; NULL is allowed */

/* ---- writing one shard of a caption layer ---- */
typedef struct layer_writer layer_writer_t;
/* kind: [a-z0-9-]+, not "base" or "alt". `dir` is the dataset's folder or another. STATE where that layer shard exists.
 */
LENS_CHECKED lens_status layer_writer_open(layer_writer_t **out, const dataset_t *base, int64_t shard, const char *dir,
                                           const char *kind, const char *provenance);
/* Once a sample, in the base's order. meta: JSON object (status, reason of a rejection, measurements) or NULL. */
LENS_CHECKED lens_status layer_writer_add(layer_writer_t *w, const char *text, const char *meta);
LENS_CHECKED lens_status
layer_writer_close(layer_writer_t *w);      /* STATE where samples are missing; frees w in every case */
void layer_writer_abort(layer_writer_t *w); /* NULL is allowed */
/* Whether that layer shard is there under its final name. */
bool layer_shard_exists(const dataset_t *base, int64_t shard, const char *dir, const char *kind);

#endif
