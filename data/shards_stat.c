/* `lens shards stat`: counts, sizes, histograms and the lengths of captions. Percentiles are exact: lengths are
 * counted, not sampled. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/dataset_private.h"
#include "data/shards.h"
#include "data/text.h"

/* Lower bounds of the bins; each reaches to the next. */
static const int32_t width_edges_px[] = {0, 64, 128, 256, 512, 768, 1024, 1536, 2048};
static const double aspect_edges[] = {0, 0.5, 0.667, 0.8, 1.25, 1.5, 2.0}; /* width / height */
enum {
    N_WIDTHS = sizeof width_edges_px / sizeof *width_edges_px,
    N_ASPECTS = sizeof aspect_edges / sizeof *aspect_edges,
    BAR_COLUMNS = 40
};

typedef struct {
    const char *kind;
    int64_t n, n_empty, n_words; /* n: samples that the kind covers */
    int64_t *counts;             /* [cap] texts of that many words, owned */
    size_t cap;
    uint64_t text_bytes, packed_bytes; /* of the texts, as they stand in the files */
    uint64_t file_bytes;               /* of a layer; 0 for "alt", which lives in the base */
} kind_stat_t;

typedef struct {
    int64_t widths[N_WIDTHS], aspects[N_ASPECTS];
    uint64_t image_bytes, base_file_bytes, pixels;
    uint64_t meta_bytes, meta_packed_bytes;
    kind_stat_t *kinds; /* [n_kinds] */
    int n_kinds;
} stat_t;

/* ---- gathering ---- */

static lens_status count_length(kind_stat_t *k, size_t n_words) {
    if (n_words >= k->cap) {
        size_t cap = k->cap ? k->cap : 256;
        while (cap <= n_words) cap *= 2;
        int64_t *grown = realloc(k->counts, cap * sizeof *grown);
        if (!grown) return lens_fail(LENS_MEMORY, "out of memory for lengths up to %zu words", n_words);
        memset(grown + k->cap, 0, (cap - k->cap) * sizeof *grown);
        k->counts = grown;
        k->cap = cap;
    }
    k->counts[n_words]++;
    k->n++;
    k->n_words += (int64_t)n_words;
    return LENS_OK;
}

/* The smallest length that at least a fraction p of the texts does not exceed. */
static int64_t percentile(const kind_stat_t *k, double p) {
    int64_t seen = 0;
    for (size_t i = 0; i < k->cap; i++) {
        seen += k->counts[i];
        if (seen > 0 && (double)seen >= p * (double)k->n) return (int64_t)i;
    }
    return 0;
}

static uint64_t packed_bytes(const column_t *c) {
    uint64_t sum = 0, n_chunks = (c->blob_bytes + HDF_CHUNK_BYTES - 1) / HDF_CHUNK_BYTES;
    for (uint64_t i = 0; i < n_chunks; i++) sum += c->chunks[i].n_bytes;
    return sum;
}

static lens_status gather_texts(kind_stat_t *k, const shard_t *s, int kind, chunk_cache_t *cache, str_t *text) {
    k->text_bytes += s->text.blob_bytes;
    k->packed_bytes += packed_bytes(&s->text);
    if (kind > 0) k->file_bytes += s->file_bytes;
    for (int64_t i = 0; i < s->n_samples; i++) {
        LENS_TRY(column_get(&s->text, i, cache, text));
        if (text->len == 0) k->n_empty++;
        LENS_TRY(count_length(k, text_count_words(text->s, text->len)));
    }
    return LENS_OK;
}

static lens_status gather_kind(kind_stat_t *k, const dataset_t *d, int kind) {
    str_t text = {0};
    chunk_cache_t *cache = NULL;
    lens_status st;
    LENS_GO(chunk_cache_new(&cache, 2));
    for (int64_t shard = 0; shard < dataset_n_shards(d); shard++) {
        const shard_t *s;
        LENS_GO(dataset_pin(d, kind, shard, &s));
        if (!s) continue;
        st = gather_texts(k, s, kind, cache, &text);
        dataset_unpin(d, kind, shard);
        if (st != LENS_OK) break;
    }
done:
    chunk_cache_free(cache);
    str_free(&text);
    return st;
}

static void gather_base(stat_t *t, const shard_t *s) {
    t->base_file_bytes += s->file_bytes;
    t->image_bytes += s->image_offsets[s->n_samples];
    t->meta_bytes += s->meta.blob_bytes;
    t->meta_packed_bytes += packed_bytes(&s->meta);
    for (int64_t i = 0; i < s->n_samples; i++) {
        double aspect = (double)s->width[i] / s->height[i];
        int w = N_WIDTHS - 1, a = N_ASPECTS - 1;
        while (s->width[i] < width_edges_px[w]) w--;
        while (aspect < aspect_edges[a]) a--;
        t->widths[w]++;
        t->aspects[a]++;
        t->pixels += (uint64_t)s->width[i] * (uint64_t)s->height[i];
    }
}

static lens_status gather(stat_t *t, const dataset_t *d) {
    t->n_kinds = dataset_n_kinds(d);
    t->kinds = calloc((size_t)t->n_kinds, sizeof *t->kinds);
    if (!t->kinds) return lens_fail(LENS_MEMORY, "out of memory for %d caption kinds", t->n_kinds);
    for (int64_t i = 0; i < dataset_n_shards(d); i++) {
        const shard_t *s;
        LENS_TRY(dataset_pin(d, 0, i, &s));
        gather_base(t, s);
        dataset_unpin(d, 0, i);
    }
    for (int k = 0; k < t->n_kinds; k++) {
        t->kinds[k].kind = dataset_kind(d, k);
        LENS_TRY(gather_kind(&t->kinds[k], d, k));
    }
    return LENS_OK;
}

/* ---- text ---- */

static void print_size(const char *name, uint64_t n_bytes, const char *rest) {
    str_t size = {0};
    shards_add_size(&size, n_bytes);
    printf("%-16s %12s%s\n", name, str_text(&size), rest);
    str_free(&size);
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
            snprintf(label, sizeof label, "%d-%d", width_edges_px[i], width_edges_px[i + 1] - 1);
        else
            snprintf(label, sizeof label, "%d+", width_edges_px[i]);
        print_bin(label, t->widths[i], n_samples);
    }
    printf("aspect, width / height\n");
    for (int i = 0; i < N_ASPECTS; i++) {
        if (t->aspects[i] == 0) continue;
        if (i + 1 < N_ASPECTS)
            snprintf(label, sizeof label, "%.2f to %.2f", aspect_edges[i], aspect_edges[i + 1]);
        else
            snprintf(label, sizeof label, "%.2f+", aspect_edges[i]);
        print_bin(label, t->aspects[i], n_samples);
    }
}

static double ratio(uint64_t raw, uint64_t packed) {
    return packed ? (double)raw / (double)packed : 1;
}

static double mean_words(const kind_stat_t *k) {
    return k->n ? (double)k->n_words / (double)k->n : 0;
}

static void print_text(const stat_t *t, const dataset_t *d) {
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
    print_histograms(t, n);
    printf("captions             samples      empty      mean    p5   p50   p95 words   packed\n");
    for (int i = 0; i < t->n_kinds; i++) {
        const kind_stat_t *k = &t->kinds[i];
        printf("  %-14s %11" PRId64 " %10" PRId64 " %9.1f %5" PRId64 " %5" PRId64 " %5" PRId64 " %8.2f to 1\n", k->kind,
               k->n, k->n_empty, mean_words(k), percentile(k, 0.05), percentile(k, 0.5), percentile(k, 0.95),
               ratio(k->text_bytes, k->packed_bytes));
    }
}

/* ---- JSON ---- */

static json_t *kind_json(const kind_stat_t *k) {
    return json_pack("{s:s, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I}", "kind", k->kind, "n_samples",
                     (json_int_t)k->n, "n_empty", (json_int_t)k->n_empty, "words_mean", mean_words(k), "words_p5",
                     (json_int_t)percentile(k, 0.05), "words_p50", (json_int_t)percentile(k, 0.5), "words_p95",
                     (json_int_t)percentile(k, 0.95), "text_bytes", (json_int_t)k->text_bytes, "packed_bytes",
                     (json_int_t)k->packed_bytes, "file_bytes", (json_int_t)k->file_bytes);
}

static lens_status print_json(const stat_t *t, const dataset_t *d) {
    json_t *widths = json_array(), *aspects = json_array(), *kinds = json_array();
    for (int i = 0; i < N_WIDTHS; i++)
        json_array_append_new(
            widths, json_pack("{s:i, s:I}", "from_px", (int)width_edges_px[i], "n", (json_int_t)t->widths[i]));
    for (int i = 0; i < N_ASPECTS; i++)
        json_array_append_new(aspects,
                              json_pack("{s:f, s:I}", "from", aspect_edges[i], "n", (json_int_t)t->aspects[i]));
    for (int i = 0; i < t->n_kinds; i++) json_array_append_new(kinds, kind_json(&t->kinds[i]));
    json_t *all = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "dataset", dataset_dir(d),
                            "n_samples", (json_int_t)dataset_n_samples(d), "n_shards", (json_int_t)dataset_n_shards(d),
                            "base_file_bytes", (json_int_t)t->base_file_bytes, "image_bytes",
                            (json_int_t)t->image_bytes, "pixels", (json_int_t)t->pixels, "meta_bytes",
                            (json_int_t)t->meta_bytes, "meta_packed_bytes", (json_int_t)t->meta_packed_bytes,
                            "width_histogram", widths, "aspect_histogram", aspects, "captions", kinds);
    if (!all) return lens_fail(LENS_MEMORY, "%s: cannot make JSON of its statistics", dataset_dir(d));
    json_dumpf(all, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(all);
    return LENS_OK;
}

lens_status shards_stat(const dataset_t *d, const shards_options_t *o) {
    stat_t t = {0};
    lens_status st = gather(&t, d);
    if (st == LENS_OK && o->json)
        st = print_json(&t, d);
    else if (st == LENS_OK)
        print_text(&t, d);
    for (int i = 0; t.kinds && i < t.n_kinds; i++) free(t.kinds[i].counts);
    free(t.kinds);
    return st;
}
