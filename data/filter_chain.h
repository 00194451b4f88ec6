#ifndef STUB
#define STUB
#include "data/image.h"
#include "data/image_stats.h"
#define FILTER_STAGES_MAX 16
typedef struct filter_chain filter_chain_t;
lens_status filter_chain_new(filter_chain_t **out, const char *yaml_path);
void filter_chain_free(filter_chain_t *c);
int filter_chain_n(const filter_chain_t *c); const char *filter_chain_name(const filter_chain_t *c, int stage);
void filter_chain_limits(const filter_chain_t *c, int stage, str_t *out);
void filter_chain_describe(const filter_chain_t *c, str_t *out);
typedef struct {
    int stage, radius;
    const char *embedding_dir, *embedding_name; /* borrowed; dir NULL: embeddings are not compared */
    double embedding_cosine;
    int64_t embedding_max_samples;
} filter_near_duplicate_t;
bool filter_chain_near_duplicate(const filter_chain_t *c, filter_near_duplicate_t *out);
typedef struct { int32_t width, height; const image_stats_t *stats; const char *alt; const char *meta; } filter_sample_t;
typedef struct { int stage; bool pending; double value; uint32_t missing; str_t reason; } filter_verdict_t;
void filter_verdict_free(filter_verdict_t *v);
lens_status filter_chain_judge(const filter_chain_t *c, const filter_sample_t *s, filter_verdict_t *out);
#endif
