#ifndef STUB
#define STUB
#include "data/image.h"
#include "data/source.h"
typedef struct {
    int fmt;
    int32_t width, height;
    int32_t orientation;
    bool has_alpha, animated, plain;
    uint64_t decode_bytes;
} image_facts_t;
lens_status image_inspect(image_facts_t *out, const uint8_t *bytes, size_t n);
typedef struct {
    double blur, entropy, luminance;
    uint64_t phash;
} image_stats_t;
lens_status image_stats(image_stats_t *out, const image_t *im);
typedef struct filter_chain filter_chain_t;
lens_status filter_chain_new(filter_chain_t **out, const char *yaml_path);
void filter_chain_free(filter_chain_t *c);
int filter_chain_n(const filter_chain_t *c);
const char *filter_chain_name(const filter_chain_t *c, int stage);
typedef struct {
    int32_t width, height;
    const image_stats_t *stats;
    const char *alt;
    const char *meta;
} filter_sample_t;
typedef struct {
    int stage;
    double value;
    str_t reason;
} filter_verdict_t;
lens_status filter_chain_judge(const filter_chain_t *c, const filter_sample_t *s, filter_verdict_t *out);
typedef struct near_dup near_dup_t;
lens_status near_dup_new(near_dup_t **out, int radius);
lens_status near_dup_check(near_dup_t *n, uint64_t phash, bool *is_dup, int *distance, uint64_t *of);
void near_dup_free(near_dup_t *n);
typedef struct source_units source_units_t;
lens_status source_units_open(source_units_t **out, char *const *paths, int n_paths, int64_t samples_per_unit);
int64_t source_units_n(const source_units_t *u);
const char *source_units_path(const source_units_t *u, int64_t unit);
lens_status source_units_read(const source_units_t *u, int64_t unit, source_t **out);
uint64_t source_units_hash(const source_units_t *u);
void source_units_close(source_units_t *u);
int filter_chain_near_stage(const filter_chain_t *c, int *radius);
#endif
