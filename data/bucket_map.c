#include "data/bucket_map.h"

#include <stdlib.h>

typedef struct {
    int64_t shard;
    uint64_t last_used;
    size_t bytes;
    uint32_t *within; /* indices within the shard, bucket after bucket, ascending in each */
    uint32_t begins[BUCKET_MAX + 1];
} shard_map_t;

struct bucket_map {
    const dataset_t *dataset;
    const bucket_list_t *list;
    const batch_plan_t *plan;
    shard_map_t **of_shard; /* [n_shards], NULL: not looked through, or dropped */
    int64_t *kept;          /* shards that have one, in no order */
    int64_t n_kept;
    size_t bytes;
    uint64_t clock;
};

static void shard_map_free(shard_map_t *s) {
    if (!s) return;
    free(s->within);
    free(s);
}

lens_status bucket_map_new(bucket_map_t **out, const dataset_t *d, const bucket_list_t *l, const batch_plan_t *p) {
    size_t n_shards = (size_t)dataset_n_shards(d);
    *out = NULL;
    bucket_map_t *m = calloc(1, sizeof *m);
    if (m) {
        *m = (bucket_map_t){.dataset = d,
                            .list = l,
                            .plan = p,
                            .of_shard = calloc(n_shards, sizeof *m->of_shard),
                            .kept = calloc(n_shards, sizeof *m->kept)};
    }
    if (!m || !m->of_shard || !m->kept) {
        bucket_map_free(m);
        return lens_fail(LENS_MEMORY, "buckets of %zu shards", n_shards);
    }
    *out = m;
    return LENS_OK;
}

void bucket_map_free(bucket_map_t *m) {
    if (!m) return;
    for (int64_t i = 0; i < m->n_kept; i++) shard_map_free(m->of_shard[m->kept[i]]);
    free(m->of_shard);
    free(m->kept);
    free(m);
}

/* ---- looking through a shard ---- */

typedef struct {
    int32_t *width, *height;
    uint64_t *hash;
    uint8_t *bucket; /* BUCKET_MAX: none */
} sizes_t;

static void sizes_free(sizes_t *z) {
    free(z->width);
    free(z->height);
    free(z->hash);
    free(z->bucket);
}

static lens_status sizes_read(sizes_t *z, const dataset_t *d, int64_t shard) {
    size_t n = (size_t)dataset_shard_n_samples(d, shard);
    *z = (sizes_t){.width = malloc(n * sizeof *z->width),
                   .height = malloc(n * sizeof *z->height),
                   .hash = malloc(n * sizeof *z->hash),
                   .bucket = malloc(n)};
    if (!z->width || !z->height || !z->hash || !z->bucket) return lens_fail(LENS_MEMORY, "buckets of %zu samples", n);
    return dataset_shard_sizes(d, shard, z->width, z->height, z->hash);
}

/* Fills bucket[] and the number of samples of each bucket. */
static void assign(const bucket_map_t *m, sizes_t *z, int64_t n, uint32_t *n_of_bucket) {
    for (int64_t i = 0; i < n; i++) {
        int bucket = bucket_assign(m->list, z->width[i], z->height[i], z->hash[i]);
        if (bucket >= 0) bucket = batch_plan_merged(m->plan, bucket);
        z->bucket[i] = (uint8_t)(bucket < 0 ? BUCKET_MAX : bucket);
        if (bucket >= 0) n_of_bucket[bucket]++;
    }
}

static lens_status check_counts(const bucket_map_t *m, int64_t shard, const uint32_t *n_of_bucket) {
    for (int b = 0; b < m->list->n; b++) {
        int64_t expected = batch_plan_shard_samples(m->plan, b, shard);
        if (n_of_bucket[b] != expected)
            return lens_fail(LENS_FORMAT, "%s: %s: %u samples of bucket %dx%d, but the index says %lld; make it anew",
                             dataset_dir(m->dataset), dataset_shard_name(m->dataset, shard), n_of_bucket[b],
                             m->list->bucket[b].width, m->list->bucket[b].height, (long long)expected);
    }
    return LENS_OK;
}

static lens_status look_through(const bucket_map_t *m, shard_map_t *s) {
    sizes_t z;
    int64_t n = dataset_shard_n_samples(m->dataset, s->shard);
    uint32_t n_of_bucket[BUCKET_MAX] = {0}, at[BUCKET_MAX];
    lens_status st;
    LENS_GO(sizes_read(&z, m->dataset, s->shard));
    assign(m, &z, n, n_of_bucket);
    LENS_GO(check_counts(m, s->shard, n_of_bucket));
    for (int b = 0; b < m->list->n; b++) {
        at[b] = s->begins[b];
        s->begins[b + 1] = s->begins[b] + n_of_bucket[b];
    }
    s->bytes = sizeof *s + s->begins[m->list->n] * sizeof *s->within;
    if (!(s->within = malloc(s->bytes))) LENS_GO(lens_fail(LENS_MEMORY, "buckets of %lld samples", (long long)n));
    for (int64_t i = 0; i < n; i++) {
        if (z.bucket[i] < BUCKET_MAX) s->within[at[z.bucket[i]]++] = (uint32_t)i;
    }
done:
    sizes_free(&z);
    return st;
}

/* ---- what is kept ---- */

static void drop_oldest(bucket_map_t *m) {
    int64_t oldest = 0;
    for (int64_t i = 1; i < m->n_kept; i++) {
        if (m->of_shard[m->kept[i]]->last_used < m->of_shard[m->kept[oldest]]->last_used) oldest = i;
    }
    shard_map_t **s = &m->of_shard[m->kept[oldest]];
    m->bytes -= (*s)->bytes;
    shard_map_free(*s);
    *s = NULL;
    m->kept[oldest] = m->kept[--m->n_kept];
}

static lens_status add_shard(bucket_map_t *m, int64_t shard) {
    shard_map_t *s = calloc(1, sizeof *s);
    if (!s) return lens_fail(LENS_MEMORY, "buckets of a shard");
    s->shard = shard;
    lens_status st = look_through(m, s);
    if (st != LENS_OK) {
        shard_map_free(s);
        return st;
    }
    while (m->n_kept > 0 && m->bytes + s->bytes > BUCKET_MAP_MAX_BYTES) drop_oldest(m);
    m->of_shard[shard] = s;
    m->kept[m->n_kept++] = shard;
    m->bytes += s->bytes;
    return LENS_OK;
}

lens_status bucket_map_sample(bucket_map_t *m, int bucket, int64_t shard, int64_t ordinal, int64_t *sample) {
    int64_t n = dataset_shard_n_samples(m->dataset, shard), within = ordinal;
    if (batch_plan_shard_samples(m->plan, bucket, shard) < n) { /* else all are of the bucket */
        if (!m->of_shard[shard]) LENS_TRY(add_shard(m, shard));
        shard_map_t *s = m->of_shard[shard];
        s->last_used = ++m->clock;
        within = s->within[s->begins[bucket] + (uint32_t)ordinal];
    }
    *sample = dataset_shard_begin(m->dataset, shard) + within;
    return LENS_OK;
}
