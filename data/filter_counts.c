#include "data/filter_counts.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

void filter_counts_add(filter_counts_t *c, const filter_verdict_t *v) {
    LENS_ASSERT(!v->pending, "a pending verdict, stage %d", v->stage);
    if (v->stage < 0)
        c->passed++;
    else
        c->dropped[v->stage]++;
    for (int i = 0; i < FILTER_STAGES_MAX; i++) c->missing[i] += v->missing >> i & 1;
}

void filter_counts_drop(filter_counts_t *c, int stage, bool was_passed) {
    LENS_ASSERT(stage >= 0 && stage < FILTER_STAGES_MAX, "stage %d of %d", stage, FILTER_STAGES_MAX);
    c->dropped[stage]++;
    c->passed -= was_passed;
}

void filter_counts_sum(filter_counts_t *into, const filter_counts_t *from) {
    into->passed += from->passed;
    for (int i = 0; i < FILTER_STAGES_MAX; i++) {
        into->dropped[i] += from->dropped[i];
        into->missing[i] += from->missing[i];
    }
}

int64_t filter_counts_total(const filter_counts_t *c) {
    int64_t n = c->passed;
    for (int i = 0; i < FILTER_STAGES_MAX; i++) n += c->dropped[i];
    return n;
}

void filter_counts_write(const filter_counts_t *c, const filter_chain_t *chain, str_t *out) {
    str_addf(out, "{\"passed\": %" PRId64 ", \"stages\": [", c->passed);
    for (int i = 0; i < filter_chain_n(chain); i++)
        str_addf(out, "%s{\"stage\": \"%s\", \"dropped\": %" PRId64 ", \"missing\": %" PRId64 "}", i ? ", " : "",
                 filter_chain_name(chain, i), c->dropped[i], c->missing[i]);
    str_add(out, "]}");
}

static bool get_count(const json_t *object, const char *name, int64_t *out) {
    const json_t *value = json_object_get(object, name);
    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= 0 && *out <= INT64_MAX / 1024; /* so that sums stay in range */
}

lens_status filter_counts_read(filter_counts_t *out, const filter_chain_t *chain, const char *json, size_t n) {
    *out = (filter_counts_t){0};
    json_t *root = json_loadb(json, n, 0, NULL), *stages = json_object_get(root, "stages");
    int n_stages = filter_chain_n(chain);
    lens_status st = LENS_OK;
    if (!get_count(root, "passed", &out->passed) || !json_is_array(stages))
        LENS_GO(lens_fail(LENS_FORMAT, "counts of filters: expected an object with \"passed\" and \"stages\""));
    if (json_array_size(stages) != (size_t)n_stages)
        LENS_GO(lens_fail(LENS_FORMAT, "counts of %zu filters, expected %d", json_array_size(stages), n_stages));
    for (int i = 0; i < n_stages; i++) {
        const json_t *stage = json_array_get(stages, (size_t)i);
        const char *name = json_string_value(json_object_get(stage, "stage"));
        if (!name || strcmp(name, filter_chain_name(chain, i)) != 0)
            LENS_GO(lens_fail(LENS_FORMAT, "counts of filter \"%.40s\", expected %s", name ? name : "",
                              filter_chain_name(chain, i)));
        if (!get_count(stage, "dropped", &out->dropped[i]) || !get_count(stage, "missing", &out->missing[i]))
            LENS_GO(lens_fail(LENS_FORMAT, "counts of filter %s: expected whole numbers", name));
    }
done:
    json_decref(root);
    if (st != LENS_OK) *out = (filter_counts_t){0};
    return st;
}

void filter_funnel_print(str_t *out, const filter_counts_t *c, const filter_chain_t *chain) {
    int64_t left = filter_counts_total(c);
    str_t limits = {0};
    str_addf(out, "%-16s %-28s %12s %8s %12s\n", "stage", "keeps", "dropped", "share", "left");
    str_addf(out, "%-16s %-28s %12s %8s %12" PRId64 "\n", "read", "", "", "", left);
    for (int i = 0; i < filter_chain_n(chain); i++) {
        str_clear(&limits);
        filter_chain_limits(chain, i, &limits);
        double share = left ? 100.0 * (double)c->dropped[i] / (double)left : 0;
        left -= c->dropped[i];
        str_addf(out, "%-16s %-28s %12" PRId64 " %7.2f%% %12" PRId64, filter_chain_name(chain, i), str_text(&limits),
                 c->dropped[i], share, left);
        if (c->missing[i]) str_addf(out, "  (%" PRId64 " without a score)", c->missing[i]);
        str_add_char(out, '\n');
    }
    out->failed |= limits.failed;
    str_free(&limits);
}
