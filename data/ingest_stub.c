#include "data/ingest_stub.h"
#include <stdlib.h>
#include <string.h>
#include <math.h>
lens_status image_inspect(image_facts_t *out, const uint8_t *bytes, size_t n) {
    *out = (image_facts_t){0};
    LENS_TRY(image_probe(&out->width, &out->height, bytes, n));
    out->decode_bytes = (uint64_t)out->width * (uint64_t)out->height * 6;
    return LENS_OK;
}
lens_status image_stats(image_stats_t *out, const image_t *im) {
    *out = (image_stats_t){1.23456, 2, 3, im->rgb[0]};
    return LENS_OK;
}
lens_status filter_chain_new(filter_chain_t **out, const char *yaml_path) {
    *out = NULL;
    (void)yaml_path;
    return LENS_OK;
}
void filter_chain_free(filter_chain_t *c) {
    (void)c;
}
int filter_chain_n(const filter_chain_t *c) {
    (void)c;
    return 0;
}
const char *filter_chain_name(const filter_chain_t *c, int stage) {
    (void)c;
    (void)stage;
    return "x";
}
lens_status filter_chain_judge(const filter_chain_t *c, const filter_sample_t *s, filter_verdict_t *out) {
    (void)c;
    (void)s;
    out->stage = -1;
    return LENS_OK;
}
lens_status near_dup_new(near_dup_t **out, int radius) {
    *out = NULL;
    (void)radius;
    return LENS_OK;
}
lens_status near_dup_check(near_dup_t *n, uint64_t phash, bool *is_dup, int *distance, uint64_t *of) {
    (void)n;
    (void)phash;
    *is_dup = false;
    *distance = 0;
    *of = 0;
    return LENS_OK;
}
void near_dup_free(near_dup_t *n) {
    (void)n;
}
int filter_chain_near_stage(const filter_chain_t *c, int *radius) {
    (void)c;
    *radius = 0;
    return -1;
}
struct source_units {
    char *const *paths;
    int n;
};
lens_status source_units_open(source_units_t **out, char *const *paths, int n_paths, int64_t samples_per_unit) {
    (void)samples_per_unit;
    for (int i = 0; i < n_paths; i++) LENS_TRY(source_check(paths[i]));
    *out = calloc(1, sizeof **out);
    (*out)->paths = paths;
    (*out)->n = n_paths;
    return LENS_OK;
}
int64_t source_units_n(const source_units_t *u) {
    return u->n;
}
const char *source_units_path(const source_units_t *u, int64_t unit) {
    return u->paths[unit];
}
lens_status source_units_read(const source_units_t *u, int64_t unit, source_t **out) {
    return source_open(out, u->paths[unit]);
}
uint64_t source_units_hash(const source_units_t *u) {
    uint64_t h = 0;
    for (int i = 0; i < u->n; i++)
        for (const char *p = u->paths[i]; *p; p++) h = h * 31 + (unsigned char)*p;
    return h;
}
void source_units_close(source_units_t *u) {
    free(u);
}
