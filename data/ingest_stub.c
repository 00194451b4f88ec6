#include "data/filter_chain.h"
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
void filter_chain_limits(const filter_chain_t *c, int stage, str_t *out) {
    (void)c;
    (void)stage;
    (void)out;
}
void filter_chain_describe(const filter_chain_t *c, str_t *out) {
    (void)c;
    (void)out;
}
bool filter_chain_near_duplicate(const filter_chain_t *c, filter_near_duplicate_t *out) {
    (void)c;
    (void)out;
    return false;
}
void filter_verdict_free(filter_verdict_t *v) {
    str_free(&v->reason);
}
lens_status filter_chain_judge(const filter_chain_t *c, const filter_sample_t *s, filter_verdict_t *out) {
    (void)c;
    (void)s;
    out->stage = -1;
    return LENS_OK;
}
