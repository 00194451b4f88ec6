#include "data/ingest_report.h"

#include <inttypes.h>
#include <string.h>

#include "base/build_info.h"

enum { SOURCES_MAX_BYTES = 40000 };

static const char *truth(bool value) {
    return value ? "true" : "false";
}

/* ---- options ---- */

/* What decides over pictures, without the braces. */
static void add_picture_options(str_t *out, const ingest_options_t *o) {
    str_addf(out, "\"lens\":\"%s\",\"commit\":\"%s\",\"quality\":%g,\"lossless\":%s,\"keep_jpeg\":%s,", build_version(),
             build_commit(), o->quality, truth(o->lossless), truth(o->keep_jpeg));
    str_addf(out, "\"max_side_px\":%" PRId32 ",\"prefix_keys\":%s,\"memory_mb\":%" PRIu64 ",", o->max_side_px,
             truth(o->prefix_keys), o->memory_bytes >> 20);
}

/* The filters as they describe themselves. */
static void add_filters(str_t *out, const filter_chain_t *filters) {
    str_t text = {0};
    filter_chain_describe(filters, &text);
    str_add(out, "\"filters\":");
    str_add_json(out, str_text(&text), text.len);
    out->failed |= text.failed;
    str_free(&text);
}

lens_status ingest_identity(str_t *out, const ingest_options_t *o, const filter_chain_t *filters, uint64_t input_hash) {
    str_add_char(out, '{');
    add_picture_options(out, o);
    str_addf(out,
             "\"unit_samples\":%" PRId64 ",\"zstd_level\":%d,\"shard_samples\":%" PRId64 ",\"shard_mb\":%" PRIu64 ",",
             o->unit_samples, o->zstd_level, o->shard_max_samples, o->shard_max_bytes >> 20);
    add_filters(out, filters);
    str_addf(out, ",\"input\":\"%016" PRIx64 "\"}", input_hash);
    return str_status(out);
}

lens_status ingest_provenance(str_t *out, const ingest_options_t *o, const filter_chain_t *filters) {
    str_add(out, "{\"command\":\"ingest\",");
    add_picture_options(out, o);
    add_filters(out, filters);
    str_addf(out, ",\"n_sources\":%d", o->n_sources);
    /* An attribute of HDF5 holds 64 KiB: of very many sources, their number has to do. */
    str_t sources = {0};
    for (int i = 0; i < o->n_sources; i++) {
        if (i) str_add_char(&sources, ',');
        str_add_json(&sources, o->sources[i], strlen(o->sources[i]));
    }
    if (sources.len <= SOURCES_MAX_BYTES) str_addf(out, ",\"sources\":[%s]", str_text(&sources));
    str_add_char(out, '}');
    out->failed |= sources.failed;
    str_free(&sources);
    return str_status(out);
}

/* ---- results ---- */

void ingest_report_reset(ingest_report_t *r) {
    filter_chain_free(r->filters);
    *r = (ingest_report_t){0};
}

int64_t ingest_n_rejected(const ingest_report_t *r) {
    int64_t n = 0;
    for (int c = 0; c < REJECT_N; c++) n += r->n_rejected[c];
    for (int s = 0; s < FILTER_STAGES_MAX; s++) n += r->by_filter.dropped[s];
    return n;
}

filter_counts_t ingest_funnel(const ingest_report_t *r) {
    filter_counts_t counts = r->by_filter;
    const int corrupt = filter_chain_find(r->filters, "corrupt");
    if (corrupt >= 0) counts.dropped[corrupt] = r->n_rejected[REJECT_DECODE];
    return counts;
}

/* The rejects of each class and filter that has some, each in their order. */
static void add_classes(str_t *out, const ingest_report_t *r) {
    const char *comma = "";
    for (int c = 0; c < REJECT_N; c++) {
        if (!r->n_rejected[c]) continue;
        str_addf(out, "%s\"%s\":%" PRId64, comma, reject_text(c), r->n_rejected[c]);
        comma = ",";
    }
    for (int s = 0; s < filter_chain_n(r->filters); s++) {
        if (!r->by_filter.dropped[s]) continue;
        str_addf(out, "%s\"%s\":%" PRId64, comma, filter_chain_name(r->filters, s), r->by_filter.dropped[s]);
        comma = ",";
    }
}

static void add_stage(str_t *out, const char *name, const char *limit, int64_t dropped, int64_t missing,
                      int64_t *left) {
    *left -= dropped;
    str_addf(out, "%s{\"stage\":\"%s\",\"limit\":", out->s[out->len - 1] == '[' ? "" : ",", name);
    str_add_json(out, limit, strlen(limit));
    str_addf(out, ",\"dropped\":%" PRId64 ",\"missing\":%" PRId64 ",\"left\":%" PRId64 "}", dropped, missing, *left);
}

/* The classes of rejects that occurred, then the filters. */
static void add_funnel(str_t *out, const ingest_report_t *r) {
    const filter_counts_t counts = ingest_funnel(r);
    const bool corrupt = filter_chain_find(r->filters, "corrupt") >= 0;
    int64_t left = r->n_read;
    str_t limit = {0};
    str_add(out, "\"funnel\":[");
    for (int c = 0; c < REJECT_N && !out->failed; c++)
        if (r->n_rejected[c] && !(corrupt && c == REJECT_DECODE))
            add_stage(out, reject_text(c), "", r->n_rejected[c], 0, &left);
    for (int s = 0; s < filter_chain_n(r->filters) && !out->failed; s++) {
        str_clear(&limit);
        filter_chain_limits(r->filters, s, &limit);
        add_stage(out, filter_chain_name(r->filters, s), str_text(&limit), counts.dropped[s], counts.missing[s], &left);
    }
    str_add_char(out, ']');
    out->failed |= limit.failed;
    str_free(&limit);
}

void ingest_report_json(str_t *out, const ingest_report_t *r) {
    str_addf(out, "{\"accepted\":%" PRId64 ",\"shards\":%" PRId64 ",\"shrunk\":%" PRId64 ",\"repaired\":%" PRId64 ",",
             r->n_accepted, r->n_shards, r->n_shrunk, r->n_repaired);
    str_addf(out, "\"kept\":%" PRId64 ",\"read\":%" PRId64 ",\"damaged_parts\":%" PRId64 ",", r->n_kept, r->n_read,
             r->n_damaged_parts);
    str_addf(out, "\"parts\":%" PRId64 ",\"resumed_parts\":%" PRId64 ",", r->n_parts, r->n_resumed_parts);
    str_addf(out, "\"source_bytes\":%" PRIu64 ",\"webp_bytes\":%" PRIu64 ",\"seconds\":%.3f,", r->source_bytes,
             r->picture_bytes, r->duration_s);
    add_funnel(out, r);
    str_addf(out, ",\"rejected\":%" PRId64 ",\"rejected_by_class\":{", ingest_n_rejected(r));
    add_classes(out, r);
    str_add(out, "}}");
}
