#include "data/filter_counts.h"

#include <inttypes.h>

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

int64_t filter_counts_total(const filter_counts_t *c) {
    int64_t n = c->passed;
    for (int i = 0; i < FILTER_STAGES_MAX; i++) n += c->dropped[i];
    return n;
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
