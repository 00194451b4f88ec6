/* One shard: an HDF5 file and its seal (docs/shard-format.md), written once, never changed.
 *
 * A base shard holds pictures, keys, alt-text, metadata and sizes; a caption shard one text and one metadata record for
 * each sample of its base shard; an array shard one array each. Readers are thread-safe after shard_open; a writer
 * belongs to one thread. */
#ifndef LENS_DATA_SHARD_H
#define LENS_DATA_SHARD_H

#include "data/array_table.h"
#include "data/column.h"
#include "data/dataset.h"
#include "data/seal.h"
#include "data/shard_file.h"

#define SHARD_VERSION 2
#define SHARD_MAX_SAMPLES (INT64_C(1) << 24) /* so that what a reader keeps of a hostile file is bounded */
#define SHARD_PROVENANCE_MAX_BYTES 60000     /* as an attribute of HDF5 */
/* Of captions 9 packs 20 % better than 3, at 0.1 s a shard of 10000; decoding is no slower. Latents gain nothing. */
#define SHARD_TEXT_LEVEL 9
#define SHARD_ARRAY_LEVEL 3
#define SHARD_ZSTD_LEVEL_MAX 19

/* ---- writing ---- */
typedef struct {
    const char *kind;       /* "base" or the kind of a layer */
    const char *provenance; /* JSON object, or NULL */
    int zstd_level;         /* 0: SHARD_TEXT_LEVEL or SHARD_ARRAY_LEVEL */
    /* layers: */
    const char *base_shard; /* name of the base shard, NULL for a base */
    int64_t n_samples;
    uint64_t base_hash;
} shard_identity_t;

typedef struct shard_writer shard_writer_t;
/* Writes path.tmp.PID; path appears at shard_writer_close. */
LENS_CHECKED lens_status shard_writer_open(shard_writer_t **out, const char *path, const shard_identity_t *identity);
LENS_CHECKED lens_status shard_writer_add_sample(shard_writer_t *w, const sample_t *sample);           /* base */
LENS_CHECKED lens_status shard_writer_add_text(shard_writer_t *w, const char *text, const char *meta); /* captions */
LENS_CHECKED lens_status shard_writer_set_level(shard_writer_t *w, int zstd_level); /* before anything is added */
int64_t shard_writer_n_samples(const shard_writer_t *w);
uint64_t shard_writer_image_bytes(const shard_writer_t *w);
uint64_t shard_writer_hash(const shard_writer_t *w); /* content hash of the base samples so far */
/* Closes, verifies what was written, publishes; frees w in every case. */
LENS_CHECKED lens_status shard_writer_close(shard_writer_t *w);
void shard_writer_abort(shard_writer_t *w); /* NULL is allowed */

/* The writer of an array shard: array_writer_add and the others of dataset.h serve it. */
LENS_CHECKED lens_status array_writer_open_path(array_writer_t **out, const char *path,
                                                const shard_identity_t *identity, array_dtype dtype, array_codec codec);

/* What writers of shards share. */
LENS_CHECKED lens_status shard_check_provenance(const char *path, const char *json, size_t n);
LENS_CHECKED lens_status shard_check_level(int *level, int otherwise); /* 0 becomes `otherwise` */
LENS_CHECKED lens_status shard_publish(shard_file_t *f); /* reads back and checks all of it, then publishes */

/* ---- reading ---- */
typedef struct {
    char *path; /* owned, as all below */
    int fd;
    char *kind, *provenance, *writer;
    char *base_shard; /* NULL in a base */
    seal_kind role;   /* SEAL_BASE, SEAL_CAPTIONS or SEAL_ARRAYS */
    int64_t n_samples;
    uint64_t content_hash; /* of a layer: its base's */
    uint64_t file_bytes;
    /* base only: */
    uint64_t images_begin;                                      /* address in the file */
    uint64_t *image_offsets;                                    /* [n + 1] from there */
    uint64_t *image_hashes;                                     /* [n] xxh3_64 */
    int32_t *width, *height, *original_width, *original_height; /* [n] px */
    column_t keys;
    /* base and captions: */
    column_t text; /* alt-text in a base */
    column_t meta;
    array_table_t arrays; /* array shards only */
} shard_t;

/* Checks the seal, then everything that can be checked without decoding. *out is owned by the caller. */
LENS_CHECKED lens_status shard_open(shard_t **out, const char *path);
/* For a file that this process checked before: its structure is not hashed again. */
LENS_CHECKED lens_status shard_reopen(shard_t **out, const char *path);
/* For `lens shards repair`: a damaged or missing seal is passed over; what is read must prove itself. */
LENS_CHECKED lens_status shard_open_damaged(shard_t **out, const char *path);
void shard_close(shard_t *s); /* NULL is allowed */
/* Picture i into *picture, cleared before; FORMAT where it does not fit its hash. */
LENS_CHECKED lens_status shard_image(const shard_t *s, int64_t i, str_t *picture);

/* ---- checking ---- */
/* FORMAT where the layer shard is of another kind, or was made for another base shard. */
LENS_CHECKED lens_status shard_check_fit(const shard_t *layer, const char *kind, const char *base_name,
                                         int64_t n_samples, uint64_t base_hash);

#define SHARD_VERIFY_PICTURES 1u /* also: every picture's header, and its size against the recorded one */
/* Reads and checks all of one shard file. Each fault is one line added to *faults; *n_faults counts them, at most 100
 * are told. Fails only where checking itself cannot go on. */
LENS_CHECKED lens_status shard_verify(const char *path, unsigned flags, str_t *faults, int64_t *n_faults);

#endif
