#include "data/batch_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/rng.h"
#include "data/batch_schedule.h"

enum { STRIDE = 64 }; /* shards between two entries of a table, where no window cuts them */

/* Where the strides of an epoch's shard order begin, counted in samples of one bucket. */
typedef struct {
    int64_t epoch;   /* -1: none */
    int64_t *begins; /* [n_strides + 1] */
} table_t;

/* A permutation of the shards; of no use, and not there, without windows. */
typedef struct {
    int64_t epoch;
    uint32_t *shard; /* [n_shards] */
} shard_order_t;

struct batch_plan {
    batch_plan_options_t options; /* batch_of_area is not kept: see batch */
    int n_buckets;
    int64_t n_shards, stride, n_strides;
    int merged[BUCKET_MAX];
    int64_t batch[BUCKET_MAX], n_samples[BUCKET_MAX]; /* of each bucket, after merging */
    uint32_t *counts;                                 /* [n_shards, n_buckets], after merging */

    int n_active; /* buckets with samples */
    int active[BUCKET_MAX];
    batch_schedule_t schedule; /* over the active ones */

    table_t tables[BUCKET_MAX][2]; /* epoch e in [e % 2]: a batch seldom touches more than two */
    shard_order_t orders[2];
};

/* ---- merging ---- */

static int n_in_area(const batch_plan_t *p, const bucket_list_t *l, int area) {
    int n = 0;
    for (int b = 0; b < l->n; b++) n += l->bucket[b].area == area && p->n_samples[b] > 0;
    return n;
}

static void merge(batch_plan_t *p, const bucket_list_t *l, int from, int to, bool tell) {
    const bucket_t *a = &l->bucket[from], *b = &l->bucket[to];
    if (tell)
        log_info("bucket %dx%d has %lld samples, less than a batch of %lld: they train at %dx%d", a->width, a->height,
                 (long long)p->n_samples[from], (long long)p->batch[from], b->width, b->height);
    for (int i = 0; i < p->n_buckets; i++) {
        if (p->merged[i] == from) p->merged[i] = to;
    }
    p->n_samples[to] += p->n_samples[from];
    p->n_samples[from] = 0;
}

/* The smallest first, so that several small buckets can make up one. */
static void merge_small(batch_plan_t *p, const bucket_list_t *l, bool tell) {
    for (;;) {
        int smallest = -1;
        for (int b = 0; b < l->n; b++) {
            if (p->n_samples[b] == 0 || p->n_samples[b] >= p->batch[b] || n_in_area(p, l, l->bucket[b].area) == 1)
                continue;
            if (smallest < 0 || p->n_samples[b] < p->n_samples[smallest]) smallest = b;
        }
        if (smallest < 0) return;
        const bucket_t *from = &l->bucket[smallest];
        bool allowed[BUCKET_MAX];
        for (int b = 0; b < l->n; b++) allowed[b] = b != smallest && p->n_samples[b] > 0;
        merge(p, l, smallest, bucket_nearest(l, from->area, from->width, from->height, allowed), tell);
    }
}

/* counts: [n_shards, n_buckets + 1] */
static lens_status count_samples(batch_plan_t *p, const int64_t *counts) {
    int64_t total = 0;
    for (int64_t s = 0; s < p->n_shards; s++) {
        const int64_t *row = counts + s * (p->n_buckets + 1);
        for (int b = 0; b < p->n_buckets; b++) {
            if (row[b] < 0 || row[b] > UINT32_MAX)
                return lens_fail(LENS_FORMAT, "buckets: shard %lld has %lld samples of one bucket", (long long)s,
                                 (long long)row[b]);
            p->n_samples[b] += row[b];
            total += row[b];
        }
    }
    if (total == 0) return lens_fail(LENS_ARGUMENT, "no sample fits into any of the %d buckets", p->n_buckets);
    return LENS_OK;
}

static lens_status merge_counts(batch_plan_t *p, const int64_t *counts) {
    if (!(p->counts = calloc((size_t)p->n_shards, (size_t)p->n_buckets * sizeof *p->counts)))
        return lens_fail(LENS_MEMORY, "order of %lld shards in %d buckets", (long long)p->n_shards, p->n_buckets);
    for (int64_t s = 0; s < p->n_shards; s++) {
        for (int b = 0; b < p->n_buckets; b++) {
            if (p->merged[b] >= 0)
                p->counts[s * p->n_buckets + p->merged[b]] += (uint32_t)counts[s * (p->n_buckets + 1) + b];
        }
    }
    return LENS_OK;
}

/* ---- opening ---- */

static int64_t greatest_divisor(int64_t a, int64_t b) {
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* A bucket's weight is its length in batches, n / batch, times the least common multiple of all batches. */
static lens_status make_schedule(batch_plan_t *p) {
    int64_t multiple = 1, weight;
    uint64_t weights[BUCKET_MAX];
    for (int a = 0; a < p->n_active; a++) {
        int64_t batch = p->batch[p->active[a]];
        if (__builtin_mul_overflow(multiple / greatest_divisor(multiple, batch), batch, &multiple))
            return lens_fail(LENS_ARGUMENT, "batch sizes of the areas: their least common multiple is beyond 2^63");
    }
    for (int a = 0; a < p->n_active; a++) {
        int b = p->active[a];
        if (__builtin_mul_overflow(p->n_samples[b], multiple / p->batch[b], &weight))
            return lens_fail(LENS_ARGUMENT, "batch sizes of the areas: their least common multiple is too large");
        weights[a] = (uint64_t)weight;
    }
    return batch_schedule_init(&p->schedule, weights, p->n_active);
}

static lens_status make_tables(batch_plan_t *p) {
    bool windows = p->options.window_shards > 0;
    p->stride = windows && p->options.window_shards < p->n_shards ? p->options.window_shards
                : windows                                         ? p->n_shards
                                                                  : STRIDE;
    p->n_strides = (p->n_shards + p->stride - 1) / p->stride;
    for (int i = 0; i < 2; i++) {
        p->orders[i].epoch = -1;
        if (windows && !(p->orders[i].shard = calloc((size_t)p->n_shards, sizeof *p->orders[i].shard))) goto memory;
        for (int a = 0; a < p->n_active; a++) {
            table_t *t = &p->tables[p->active[a]][i];
            t->epoch = -1;
            if (!(t->begins = calloc((size_t)p->n_strides + 1, sizeof *t->begins))) goto memory;
        }
    }
    return LENS_OK;
memory:
    return lens_fail(LENS_MEMORY, "order of %lld shards in %d buckets", (long long)p->n_shards, p->n_buckets);
}

lens_status batch_plan_new(batch_plan_t **out, const batch_plan_options_t *options, const bucket_list_t *l,
                           const int64_t *counts, int64_t n_shards, bool tell) {
    lens_status st;
    *out = NULL;
    if (n_shards < 1 || n_shards > UINT32_MAX || options->window_shards < 0)
        return lens_fail(LENS_ARGUMENT, "order of %lld shards in windows of %lld", (long long)n_shards,
                         (long long)options->window_shards);
    batch_plan_t *p = calloc(1, sizeof *p);
    if (!p) return lens_fail(LENS_MEMORY, "order of samples");
    p->options = *options;
    p->options.batch_of_area = NULL;
    p->n_buckets = l->n;
    p->n_shards = n_shards;
    for (int b = 0; b < l->n; b++) p->batch[b] = options->batch_of_area[l->bucket[b].area];
    LENS_GO(count_samples(p, counts));
    for (int b = 0; b < l->n; b++) p->merged[b] = p->n_samples[b] > 0 ? b : -1;
    merge_small(p, l, tell);
    for (int b = 0; b < l->n; b++) {
        if (p->n_samples[b] > 0) p->active[p->n_active++] = b;
    }
    LENS_GO(merge_counts(p, counts));
    LENS_GO(make_schedule(p));
    LENS_GO(make_tables(p));
done:
    if (st == LENS_OK)
        *out = p;
    else
        batch_plan_free(p);
    return st;
}

void batch_plan_free(batch_plan_t *p) {
    if (!p) return;
    for (int i = 0; i < 2; i++) {
        for (int b = 0; b < p->n_buckets; b++) free(p->tables[b][i].begins);
        free(p->orders[i].shard);
    }
    free(p->counts);
    free(p);
}

/* ---- the order within an epoch ---- */

/* Keys apart from each other; that of the first active bucket's first window is the seed. */
static uint64_t key_of(const batch_plan_t *p, int bucket, int64_t window) {
    uint64_t number = (uint64_t)(bucket - p->active[0]) | (uint64_t)window << 8;
    return p->options.seed ^ number * UINT64_C(0x9E3779B97F4A7C15);
}

/* NULL: the shards' own order. */
static const uint32_t *shard_order(batch_plan_t *p, int64_t epoch) {
    shard_order_t *o = &p->orders[epoch % 2];
    if (o->shard && o->epoch != epoch) {
        uint64_t key =
            ~p->options.seed; /* a key that key_of gives to no window: below 2^59 no number's product is all ones */
        for (int64_t i = 0; i < p->n_shards; i++)
            o->shard[i] = (uint32_t)rng_permute(key, (uint32_t)epoch, (uint64_t)p->n_shards, (uint64_t)i);
        o->epoch = epoch;
    }
    return o->shard;
}

static int64_t count_at(const batch_plan_t *p, int bucket, const uint32_t *order, int64_t i) {
    return p->counts[(order ? order[i] : i) * p->n_buckets + bucket];
}

static const table_t *table_of(batch_plan_t *p, int bucket, int64_t epoch, const uint32_t *order) {
    table_t *t = &p->tables[bucket][epoch % 2];
    if (t->epoch == epoch || (!order && t->epoch >= 0)) return t;
    int64_t sum = 0;
    for (int64_t i = 0; i < p->n_shards; i++) {
        if (i % p->stride == 0) t->begins[i / p->stride] = sum;
        sum += count_at(p, bucket, order, i);
    }
    t->begins[p->n_strides] = sum;
    t->epoch = epoch;
    return t;
}

/* The stride that holds sample j of the epoch's shard order: the last that begins at or before it and is not empty. */
static int64_t find_stride(const batch_plan_t *p, const table_t *t, int64_t j) {
    int64_t low = 0, high = p->n_strides; /* begins[low] <= j < begins[high] */
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (t->begins[middle] <= j)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static batch_place_t place_at(batch_plan_t *p, int bucket, int64_t position) {
    int64_t n = p->n_samples[bucket], epoch = position / n, j = position % n;
    const uint32_t *order = shard_order(p, epoch);
    const table_t *t = table_of(p, bucket, epoch, order);
    int64_t window = order ? find_stride(p, t, j) : 0;
    int64_t begin = order ? t->begins[window] : 0, end = order ? t->begins[window + 1] : n;
    j = begin + (int64_t)rng_permute(key_of(p, bucket, window), (uint32_t)epoch, (uint64_t)(end - begin),
                                     (uint64_t)(j - begin));
    int64_t stride = order ? window : find_stride(p, t, j), i = stride * p->stride;
    for (j -= t->begins[stride]; j >= count_at(p, bucket, order, i); i++) j -= count_at(p, bucket, order, i);
    return (batch_place_t){.shard = order ? order[i] : i, .ordinal = j, .epoch = (uint32_t)epoch};
}

/* ---- what callers ask ---- */

int batch_plan_bucket(const batch_plan_t *p, int64_t m, int64_t *k) {
    return p->active[batch_schedule_at(&p->schedule, m, k)];
}

lens_status batch_plan_places(batch_plan_t *p, int bucket, int64_t k, int64_t first, int64_t n, batch_place_t *out) {
    int64_t begin, end;
    if (__builtin_mul_overflow(k, p->batch[bucket], &begin) || __builtin_add_overflow(begin, first, &begin) ||
        __builtin_add_overflow(begin, n, &end) || end / p->n_samples[bucket] > UINT32_MAX)
        return lens_fail(LENS_ARGUMENT, "batch %lld of bucket %d is beyond its 2^32 epochs", (long long)k, bucket);
    for (int64_t i = 0; i < n; i++) out[i] = place_at(p, bucket, begin + i);
    return LENS_OK;
}

int batch_plan_merged(const batch_plan_t *p, int bucket) {
    return p->merged[bucket];
}

int64_t batch_plan_n_samples(const batch_plan_t *p, int bucket) {
    return p->n_samples[bucket];
}

int64_t batch_plan_shard_samples(const batch_plan_t *p, int bucket, int64_t shard) {
    return p->counts[shard * p->n_buckets + bucket];
}
