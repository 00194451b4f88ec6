#include "data/ingest_report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/build_info.h"
#include "base/file.h"

enum { CONFIG_MAX_BYTES = 1 << 20, SOURCES_MAX_BYTES = 40000 };

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

static lens_status config_hash(uint64_t *out, const char *path) {
    char *text;
    size_t n;
    *out = 0;
    if (!path) return LENS_OK;
    LENS_TRY(file_read(&text, &n, path, CONFIG_MAX_BYTES));
    *out = XXH3_64bits(text, n);
    free(text);
    return LENS_OK;
}

lens_status ingest_identity(str_t *out, const ingest_options_t *o, uint64_t input_hash) {
    uint64_t config;
    LENS_TRY(config_hash(&config, o->config));
    str_add_char(out, '{');
    add_picture_options(out, o);
    str_addf(out,
             "\"unit_samples\":%" PRId64 ",\"zstd_level\":%d,\"shard_samples\":%" PRId64 ",\"shard_mb\":%" PRIu64 ",",
             o->unit_samples, o->zstd_level, o->shard_max_samples, o->shard_max_bytes >> 20);
    str_addf(out, "\"config\":\"%016" PRIx64 "\",\"input\":\"%016" PRIx64 "\"}", config, input_hash);
    return str_status(out);
}

lens_status ingest_provenance(str_t *out, const ingest_options_t *o, uint64_t input_hash) {
    uint64_t config;
    LENS_TRY(config_hash(&config, o->config));
    str_add(out, "{\"command\":\"ingest\",");
    add_picture_options(out, o);
    str_addf(out, "\"config\":\"%016" PRIx64 "\",\"input\":\"%016" PRIx64 "\",\"n_sources\":%d", config, input_hash,
             o->n_sources);
    /* An attribute of HDF5 holds 64 KiB: of very many sources, the input's hash has to do. */
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

int64_t ingest_n_rejected(const ingest_report_t *r) {
    int64_t n = 0;
    for (int c = 0; c < REJECT_N; c++) n += r->n_rejected[c];
    for (int s = 0; s < r->n_stages; s++) n += r->n_filtered[s];
    return n;
}

static void add_row(ingest_funnel_row_t *rows, int *n, const ingest_report_t *r, const char *name, bool is_filter,
                    int64_t dropped) {
    const int64_t before = *n ? rows[*n - 1].left : r->n_read;
    rows[(*n)++] = (ingest_funnel_row_t){name, is_filter, dropped, before - dropped};
}

int ingest_funnel(ingest_funnel_row_t rows[INGEST_FUNNEL_MAX], const ingest_report_t *r) {
    int n = 0;
    for (int c = 0; c < REJECT_N; c++)
        if (c != REJECT_DUPLICATE && r->n_rejected[c]) add_row(rows, &n, r, reject_text(c), false, r->n_rejected[c]);
    for (int s = 0; s < r->n_stages; s++) add_row(rows, &n, r, r->stage[s], true, r->n_filtered[s]);
    const int64_t duplicates = r->n_rejected[REJECT_DUPLICATE];
    if (duplicates) add_row(rows, &n, r, reject_text(REJECT_DUPLICATE), false, duplicates);
    return n;
}

void ingest_report_json(str_t *out, const ingest_report_t *r) {
    str_addf(out, "{\"accepted\":%" PRId64 ",\"shards\":%" PRId64 ",\"shrunk\":%" PRId64 ",\"repaired\":%" PRId64 ",",
             r->n_accepted, r->n_shards, r->n_shrunk, r->n_repaired);
    str_addf(out, "\"kept\":%" PRId64 ",\"read\":%" PRId64 ",\"damaged_parts\":%" PRId64 ",", r->n_kept, r->n_read,
             r->n_damaged_parts);
    str_addf(out, "\"parts\":%" PRId64 ",\"resumed_parts\":%" PRId64 ",", r->n_parts, r->n_resumed_parts);
    str_addf(out, "\"source_bytes\":%" PRIu64 ",\"webp_bytes\":%" PRIu64 ",\"seconds\":%.3f,", r->source_bytes,
             r->picture_bytes, r->duration_s);
    str_addf(out, "\"rejected\":%" PRId64 ",\"rejected_by_class\":{", ingest_n_rejected(r));
    ingest_funnel_row_t rows[INGEST_FUNNEL_MAX];
    const int n = ingest_funnel(rows, r);
    const char *comma = "";
    for (int i = 0; i < n; i++) {
        if (!rows[i].dropped) continue;
        str_addf(out, "%s\"%s\":%" PRId64, comma, rows[i].name, rows[i].dropped);
        comma = ",";
    }
    str_add(out, "},\"funnel\":[");
    for (int i = 0; i < n; i++)
        str_addf(out, "%s{\"stage\":\"%s\",\"filter\":%s,\"dropped\":%" PRId64 ",\"left\":%" PRId64 "}", i ? "," : "",
                 rows[i].name, truth(rows[i].is_filter), rows[i].dropped, rows[i].left);
    str_add(out, "]}");
}
