/* `lens shards stat`: counts, sizes, histograms and the lengths of captions. Percentiles are exact: lengths are
 * counted, not sampled. */
#include "data/shards_stat.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/dataset_private.h"
#include "data/image_codecs.h"
#include "data/text.h"

const int32_t stat_width_edges_px[] = {0, 64, 128, 256, 512, 768, 1024, 1536, 2048};
const double stat_aspect_edges[] = {0, 0.5, 0.667, 0.8, 1.25, 1.5, 2.0};
_Static_assert(sizeof stat_width_edges_px / sizeof *stat_width_edges_px == N_WIDTHS, "bins of widths");
_Static_assert(sizeof stat_aspect_edges / sizeof *stat_aspect_edges == N_ASPECTS, "bins of aspects");

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

int64_t stat_percentile(const kind_stat_t *k, double p) {
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
        while (s->width[i] < stat_width_edges_px[w]) w--;
        while (aspect < stat_aspect_edges[a]) a--;
        t->widths[w]++;
        t->aspects[a]++;
        t->pixels += (uint64_t)s->width[i] * (uint64_t)s->height[i];
    }
}

static lens_status gather_formats(stat_t *t, const shard_t *s) {
    for (int64_t i = 0; i < s->n_samples; i++) {
        char head[IMAGE_MAGIC_BYTES];
        size_t n = (size_t)(s->image_offsets[i + 1] - s->image_offsets[i]);
        if (n > sizeof head) n = sizeof head;
        LENS_TRY(file_read_at(s->fd, head, n, s->images_begin + s->image_offsets[i], s->path));
        image_format format = image_format_of((const uint8_t *)head, n);
        *(format == IMAGE_WEBP ? &t->n_webp : format == IMAGE_JPEG ? &t->n_jpeg : &t->n_other) += 1;
    }
    return LENS_OK;
}

static lens_status gather_arrays(array_stat_t *a, const dataset_t *d, const layer_t *l) {
    a->kind = l->kind;
    for (int64_t shard = 0; shard < dataset_n_shards(d); shard++) {
        const shard_t *s;
        LENS_TRY(layer_pin(d, l, shard, &s));
        if (!s) continue;
        const array_table_t *t = &s->arrays;
        a->n += t->n;
        a->dtype = t->dtype;
        a->codec = t->codec;
        a->raw_bytes += t->offsets[t->n];
        a->packed_bytes += t->codec == ARRAY_RAW ? t->offsets[t->n] : t->chunk_ends[t->n_chunks - 1];
        a->file_bytes += s->file_bytes;
        layer_unpin(d, l, shard);
    }
    return LENS_OK;
}

static lens_status gather_buckets(stat_t *t, const dataset_t *d, const shards_options_t *o) {
    if (!o->buckets) return LENS_OK;
    LENS_TRY(bucket_list_parse(&t->buckets, o->buckets, o->max_upscale));
    size_t n_columns = (size_t)t->buckets.n + 1;
    int64_t *counts = calloc((size_t)dataset_n_shards(d) * n_columns, sizeof *counts);
    if (!counts) return lens_fail(LENS_MEMORY, "out of memory for the counts of %d buckets", t->buckets.n);
    lens_status st = dataset_bucket_counts(d, &t->buckets, counts);
    for (size_t i = 0; i < (size_t)dataset_n_shards(d) * n_columns; i++) t->bucket_counts[i % n_columns] += counts[i];
    free(counts);
    return st;
}

static lens_status gather_shards(stat_t *t, const dataset_t *d) {
    for (int64_t i = 0; i < dataset_n_shards(d); i++) {
        const shard_t *s;
        LENS_TRY(dataset_pin(d, 0, i, &s));
        gather_base(t, s);
        lens_status st = gather_formats(t, s);
        dataset_unpin(d, 0, i);
        LENS_TRY(st);
    }
    return LENS_OK;
}

static lens_status gather(stat_t *t, const dataset_t *d, const shards_options_t *o) {
    t->n_kinds = dataset_n_kinds(d);
    t->n_arrays = dataset_n_arrays(d);
    t->kinds = calloc((size_t)t->n_kinds, sizeof *t->kinds);
    t->arrays = calloc((size_t)t->n_arrays + 1, sizeof *t->arrays);
    if (!t->kinds || !t->arrays) return lens_fail(LENS_MEMORY, "out of memory for %d caption kinds", t->n_kinds);
    LENS_TRY(ingest_summary_read(&t->ingest, dataset_dir(d)));
    LENS_TRY(gather_shards(t, d));
    LENS_TRY(gather_buckets(t, d, o));
    for (int k = 0; k < t->n_kinds; k++) {
        t->kinds[k].kind = dataset_kind(d, k);
        LENS_TRY(gather_kind(&t->kinds[k], d, k));
    }
    for (int k = 0; k < t->n_arrays; k++) LENS_TRY(gather_arrays(&t->arrays[k], d, &d->arrays[k]));
    return LENS_OK;
}

lens_status shards_stat(const dataset_t *d, const shards_options_t *o) {
    stat_t t = {0};
    lens_status st = gather(&t, d, o);
    if (st == LENS_OK && o->json) {
        st = stat_print_json(&t, d);
    } else if (st == LENS_OK) {
        stat_print_text(&t, d);
    }
    ingest_summary_free(&t.ingest);
    for (int i = 0; t.kinds && i < t.n_kinds; i++) free(t.kinds[i].counts);
    free(t.kinds);
    free(t.arrays);
    return st;
}
