/* What `lens shards stat` says, as text and as JSON. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/array_table.h"
#include "data/shards_stat.h"

enum { BAR_COLUMNS = 40 };

/* ---- text ---- */

static void print_size(const char *name, uint64_t n_bytes, const char *rest) {
    printf("%-16s %12s%s\n", name, shards_size(n_bytes).text, rest);
}

static void print_bin(const char *label, int64_t n, int64_t total) {
    printf("  %-14s %10" PRId64 "  ", label, n);
    int columns = (int)((double)n / (double)total * BAR_COLUMNS + 0.5);
    for (int i = 0; i < columns; i++) putchar('#');
    putchar('\n');
}

static void print_histograms(const stat_t *t, int64_t n_samples) {
    char label[32];
    printf("width, px\n");
    for (int i = 0; i < N_WIDTHS; i++) {
        if (t->widths[i] == 0) continue;
        if (i + 1 < N_WIDTHS)
            snprintf(label, sizeof label, "%d-%d", stat_width_edges_px[i], stat_width_edges_px[i + 1] - 1);
        else
            snprintf(label, sizeof label, "%d+", stat_width_edges_px[i]);
        print_bin(label, t->widths[i], n_samples);
    }
    printf("aspect, width / height\n");
    for (int i = 0; i < N_ASPECTS; i++) {
        if (t->aspects[i] == 0) continue;
        if (i + 1 < N_ASPECTS)
            snprintf(label, sizeof label, "%.2f to %.2f", stat_aspect_edges[i], stat_aspect_edges[i + 1]);
        else
            snprintf(label, sizeof label, "%.2f+", stat_aspect_edges[i]);
        print_bin(label, t->aspects[i], n_samples);
    }
}

static double ratio(uint64_t raw, uint64_t packed) {
    return packed ? (double)raw / (double)packed : 1;
}

static double mean_words(const kind_stat_t *k) {
    return k->n ? (double)k->n_words / (double)k->n : 0;
}

static void print_buckets(const stat_t *t, int64_t n_samples) {
    char label[32];
    if (t->buckets.n == 0) return;
    printf("buckets, px\n");
    for (int i = 0; i < t->buckets.n; i++) {
        snprintf(label, sizeof label, "%d x %d", t->buckets.bucket[i].width, t->buckets.bucket[i].height);
        print_bin(label, t->bucket_counts[i], n_samples);
    }
    print_bin("none", t->bucket_counts[t->buckets.n], n_samples);
}

static void print_arrays(const stat_t *t) {
    if (t->n_arrays) printf("arrays               samples  type codec          values   packed\n");
    for (int i = 0; i < t->n_arrays; i++) {
        const array_stat_t *a = &t->arrays[i];
        printf("  %-14s %11" PRId64 " %5s %5s %15s %8.2f to 1\n", a->kind, a->n, array_dtype_name(a->dtype),
               array_codec_name(a->codec), shards_size(a->raw_bytes).text, ratio(a->raw_bytes, a->packed_bytes));
    }
}

static void print_funnel(const ingest_summary_t *s) {
    if (s->n_stages) printf("ingest             limit                 dropped         left\n");
    for (int i = 0; i < s->n_stages; i++) {
        const ingest_stage_t *stage = &s->stages[i];
        printf("  %-16s %-16s %12" PRId64 " %12" PRId64 "\n", stage->stage, stage->limit, stage->dropped, stage->left);
    }
}

void stat_print_text(const stat_t *t, const dataset_t *d) {
    int64_t n = dataset_n_samples(d);
    char rest[80];
    printf("%-16s %12s\n", "dataset", dataset_dir(d));
    printf("%-16s %12" PRId64 "\n", "samples", n);
    printf("%-16s %12" PRId64 "\n", "shards", dataset_n_shards(d));
    print_size("base files", t->base_file_bytes, "");
    snprintf(rest, sizeof rest, "  %.2f bits a pixel", 8.0 * (double)t->image_bytes / (double)t->pixels);
    print_size("pictures", t->image_bytes, rest);
    snprintf(rest, sizeof rest, "  packed %.2f to 1", ratio(t->meta_bytes, t->meta_packed_bytes));
    print_size("metadata", t->meta_bytes, rest);
    printf("%-16s %12" PRId64 " WebP, %" PRId64 " JPEG", "formats", t->n_webp, t->n_jpeg);
    if (t->n_other) printf(", %" PRId64 " unknown", t->n_other);
    putchar('\n');
    print_histograms(t, n);
    print_buckets(t, n);
    printf("captions             samples      empty      mean    p5   p50   p95 words   packed\n");
    for (int i = 0; i < t->n_kinds; i++) {
        const kind_stat_t *k = &t->kinds[i];
        printf("  %-14s %11" PRId64 " %10" PRId64 " %9.1f %5" PRId64 " %5" PRId64 " %5" PRId64 " %8.2f to 1\n", k->kind,
               k->n, k->n_empty, mean_words(k), stat_percentile(k, 0.05), stat_percentile(k, 0.5),
               stat_percentile(k, 0.95), ratio(k->text_bytes, k->packed_bytes));
    }
    print_arrays(t);
    print_funnel(&t->ingest);
}

/* ---- JSON ---- */

static json_t *kind_json(const kind_stat_t *k) {
    return json_pack("{s:s, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I}", "kind", k->kind, "n_samples",
                     (json_int_t)k->n, "n_empty", (json_int_t)k->n_empty, "words_mean", mean_words(k), "words_p5",
                     (json_int_t)stat_percentile(k, 0.05), "words_p50", (json_int_t)stat_percentile(k, 0.5),
                     "words_p95", (json_int_t)stat_percentile(k, 0.95), "text_bytes", (json_int_t)k->text_bytes,
                     "packed_bytes", (json_int_t)k->packed_bytes, "file_bytes", (json_int_t)k->file_bytes);
}

static json_t *array_json(const array_stat_t *a) {
    return json_pack("{s:s, s:I, s:s, s:s, s:I, s:I, s:I}", "kind", a->kind, "n_samples", (json_int_t)a->n, "dtype",
                     array_dtype_name(a->dtype), "codec", array_codec_name(a->codec), "raw_bytes",
                     (json_int_t)a->raw_bytes, "packed_bytes", (json_int_t)a->packed_bytes, "file_bytes",
                     (json_int_t)a->file_bytes);
}

static json_t *ingest_json(const ingest_summary_t *s) {
    json_t *funnel = json_array();
    for (int i = 0; i < s->n_stages; i++) {
        const ingest_stage_t *stage = &s->stages[i];
        json_array_append_new(funnel, json_pack("{s:s, s:s, s:I, s:I, s:I}", "stage", stage->stage, "limit",
                                                stage->limit, "dropped", (json_int_t)stage->dropped, "missing",
                                                (json_int_t)stage->missing, "left", (json_int_t)stage->left));
    }
    return json_pack("{s:I, s:I, s:I, s:o}", "read", (json_int_t)s->n_read, "accepted", (json_int_t)s->n_accepted,
                     "rejected", (json_int_t)s->n_rejected, "funnel", funnel);
}

lens_status stat_print_json(const stat_t *t, const dataset_t *d) {
    json_t *widths = json_array(), *aspects = json_array(), *kinds = json_array();
    for (int i = 0; i < N_WIDTHS; i++)
        json_array_append_new(
            widths, json_pack("{s:i, s:I}", "from_px", (int)stat_width_edges_px[i], "n", (json_int_t)t->widths[i]));
    for (int i = 0; i < N_ASPECTS; i++)
        json_array_append_new(aspects,
                              json_pack("{s:f, s:I}", "from", stat_aspect_edges[i], "n", (json_int_t)t->aspects[i]));
    for (int i = 0; i < t->n_kinds; i++) json_array_append_new(kinds, kind_json(&t->kinds[i]));
    json_t *arrays = json_array(), *buckets = json_array();
    for (int i = 0; i < t->n_arrays; i++) json_array_append_new(arrays, array_json(&t->arrays[i]));
    for (int i = 0; t->buckets.n && i <= t->buckets.n; i++) /* the last: in none */
        json_array_append_new(buckets,
                              json_pack("{s:i, s:i, s:I}", "width", i < t->buckets.n ? t->buckets.bucket[i].width : 0,
                                        "height", i < t->buckets.n ? t->buckets.bucket[i].height : 0, "n",
                                        (json_int_t)t->bucket_counts[i]));
    json_t *all = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "dataset", dataset_dir(d),
        "n_samples", (json_int_t)dataset_n_samples(d), "n_shards", (json_int_t)dataset_n_shards(d), "base_file_bytes",
        (json_int_t)t->base_file_bytes, "image_bytes", (json_int_t)t->image_bytes, "pixels", (json_int_t)t->pixels,
        "meta_bytes", (json_int_t)t->meta_bytes, "meta_packed_bytes", (json_int_t)t->meta_packed_bytes, "n_webp",
        (json_int_t)t->n_webp, "n_jpeg", (json_int_t)t->n_jpeg, "width_histogram", widths, "aspect_histogram", aspects,
        "captions", kinds, "arrays", arrays, "buckets", buckets, "ingest", ingest_json(&t->ingest));
    if (!all) return lens_fail(LENS_MEMORY, "%s: cannot make JSON of its statistics", dataset_dir(d));
    json_dumpf(all, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(all);
    return LENS_OK;
}
