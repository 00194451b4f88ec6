/* What `lens shards stat` gathers (shards_stat.c) and prints (shards_stat_print.c). */
#ifndef LENS_DATA_SHARDS_STAT_H
#define LENS_DATA_SHARDS_STAT_H

#include "data/ingest_summary.h"
#include "data/shards.h"

enum { N_WIDTHS = 9, N_ASPECTS = 7 };
extern const int32_t stat_width_edges_px[]; /* lower bounds of the bins; each reaches to the next */
extern const double stat_aspect_edges[];    /* width / height */

typedef struct {
    const char *kind;
    int64_t n, n_empty, n_words; /* n: samples that the kind covers */
    int64_t *counts;             /* [cap] texts of that many words, owned */
    size_t cap;
    uint64_t text_bytes, packed_bytes; /* of the texts, as they stand in the files */
    uint64_t file_bytes;               /* of a layer; 0 for "alt", which lives in the base */
} kind_stat_t;

typedef struct {
    const char *kind;
    int64_t n; /* samples that the layer covers */
    array_dtype dtype;
    array_codec codec;
    uint64_t raw_bytes, packed_bytes, file_bytes;
} array_stat_t;

typedef struct {
    int64_t widths[N_WIDTHS], aspects[N_ASPECTS];
    uint64_t image_bytes, base_file_bytes, pixels;
    uint64_t meta_bytes, meta_packed_bytes;
    kind_stat_t *kinds; /* [n_kinds] */
    int n_kinds;
    int64_t n_webp, n_jpeg, n_other; /* pictures by format */
    array_stat_t *arrays;            /* [n_arrays] */
    int n_arrays;
    bucket_list_t buckets; /* n 0: not asked for */
    int64_t bucket_counts[BUCKET_MAX + 1];
    ingest_summary_t ingest; /* of a set that an ingest made */
} stat_t;

/* The smallest length that at least a fraction p of the texts does not exceed. */
int64_t stat_percentile(const kind_stat_t *k, double p);

void stat_print_text(const stat_t *t, const dataset_t *d);
LENS_CHECKED lens_status stat_print_json(const stat_t *t, const dataset_t *d);

#endif
