/* What the actions of `lens shards` share. One thread. */
#ifndef LENS_DATA_SHARDS_H
#define LENS_DATA_SHARDS_H

#include "data/dataset.h"

typedef struct {
    bool json;
    char *key, *image;   /* cat */
    char *caption, *out; /* export */
    char *layers;        /* another folder with layers, or NULL */
    char *where;         /* select */
    int64_t limit;       /* select; 0: none */
    int64_t parts, seed; /* split */
    char *fractions;     /* split */
    int64_t shard_samples, shard_mb;
    bool prefix_keys, common_layers;
    char *buckets; /* index, stat: of a bucket list, or NULL */
    double max_upscale;
} shards_options_t;

/* Opens dir, where layers may be incomplete, with the layers of o->layers. */
LENS_CHECKED lens_status shards_open(dataset_t **out, const char *dir, const shards_options_t *o);

LENS_CHECKED lens_status shards_stat(const dataset_t *d, const shards_options_t *o);
/* Every shard file of the folder, whether or not it opens. *n_faults counts what was printed. */
LENS_CHECKED lens_status shards_verify(const char *dir, const shards_options_t *o, int64_t *n_faults);
/* index: a decimal number, or NULL where o->key names the sample. */
LENS_CHECKED lens_status shards_cat(const dataset_t *d, const char *index, const shards_options_t *o);
LENS_CHECKED lens_status shards_export(const dataset_t *d, const shards_options_t *o);

/* merge where action is "merge": all samples. */
LENS_CHECKED lens_status shards_select(const char *action, const shards_options_t *o, int n_dirs, char **dirs);
LENS_CHECKED lens_status shards_split(const char *dir, const shards_options_t *o);
LENS_CHECKED lens_status shards_repair(const char *dir, const shards_options_t *o);

/* "286.6 MiB", "17 B". */
typedef struct {
    char text[16];
} size_text_t;
size_text_t shards_size(uint64_t n_bytes);
/* text fit for a terminal: control characters but newline and tab as \xNN. */
void shards_add_printable(str_t *out, const str_t *text);

#endif
