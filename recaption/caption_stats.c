#include "recaption/caption_stats.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "data/shard.h"
#include "recaption/caption_set.h"
#include "recaption/words.h"

const int stats_runs[STATS_RUNS] = {1, 2, 4};

enum { PACK_LEVEL = 19, PACK_WINDOW_LOG = 27, CACHE_CHUNKS = 4 };

/* A caption of the set, for doubles. */
typedef struct {
    uint64_t hash;
    int64_t sample;
} said_t;

/* What threads share. */
typedef struct {
    const dataset_t *dataset;
    const char *layers;
    const char *const *kinds;
    int n_kinds;
    said_t **said;   /* [n_kinds][n_samples]; hash 0: no caption */
    atomic_int next; /* shard */
    pthread_mutex_t lock;
    caption_stats_t *stats; /* under the lock, as all below */
    lens_status status;
    str_t failure;
} take_t;

/* One thread's own. */
typedef struct {
    take_t *shared;
    caption_stats_t *stats; /* [n_kinds] */
    word_hashes_t own, alt_words;
    str_t alt, text, meta;
} taker_t;

/* ---- sums ---- */

/* All members are counts. */
static void add_traits(traits_t *to, const traits_t *from) {
    enum { N = sizeof *to / sizeof(int64_t) };
    int64_t sum[N], more[N];
    memcpy(sum, to, sizeof sum);
    memcpy(more, from, sizeof more);
    for (int i = 0; i < N; i++) sum[i] += more[i];
    memcpy(to, sum, sizeof sum);
}

static void join(caption_stats_t *to, const caption_stats_t *from) {
    to->n_captions += from->n_captions;
    to->n_empty += from->n_empty;
    to->n_missing += from->n_missing;
    for (int i = 0; i < QUALITY_N; i++) to->n_by_reason[i] += from->n_by_reason[i];
    for (int i = 0; i <= STATS_MAX_WORDS; i++) to->n_of_words[i] += from->n_of_words[i];
    for (int i = 0; i < STATS_RUNS; i++) {
        to->n_runs[i] += from->n_runs[i];
        sketch_join(&to->runs[i], &from->runs[i]);
    }
    add_traits(&to->sum, &from->sum);
}

/* ---- a caption ---- */

static lens_status take_text(taker_t *t, int kind, int64_t sample) {
    caption_stats_t *s = &t->stats[kind];
    traits_t one;
    LENS_TRY(word_hashes_take(&t->own, str_text(&t->text)));
    LENS_TRY(traits_take(&one, str_text(&t->text), str_text(&t->alt), &t->own, &t->alt_words));
    add_traits(&s->sum, &one);
    s->n_captions++;
    s->n_of_words[one.n_words < STATS_MAX_WORDS ? one.n_words : STATS_MAX_WORDS]++;
    for (int r = 0; r < STATS_RUNS; r++)
        for (int64_t i = 0; i + stats_runs[r] <= t->own.n; i++) {
            sketch_add(&s->runs[r], word_hashes_run(&t->own, i, stats_runs[r]));
            s->n_runs[r]++;
        }
    t->shared->said[kind][sample] = (said_t){caption_hash(str_text(&t->text)), sample};
    return LENS_OK;
}

static void take_reason(caption_stats_t *s, const char *meta) {
    json_error_t error;
    json_t *root = json_loads(meta, 0, &error);
    const char *reason = json_string_value(json_object_get(root, "reason"));
    for (int r = 0; reason && r < QUALITY_N; r++)
        if (strcmp(reason, quality_name((quality_reason)r)) == 0) s->n_by_reason[r]++;
    json_decref(root);
}

/* ---- a shard ---- */

/* Where the kind's layer of that shard stands: the folder of layers, or the dataset's own; NULL: there is none. */
static const char *layer_dir(const take_t *t, int kind, int64_t shard) {
    const char *dirs[] = {t->layers, dataset_dir(t->dataset)};
    for (int i = 0; i < 2; i++)
        if (layer_shard_exists(t->dataset, shard, dirs[i], t->kinds[kind])) return dirs[i];
    return NULL;
}

/* Why captions are empty is in the layer alone. */
static lens_status open_layer(shard_t **out, const take_t *t, int kind, int64_t shard, const char *dir) {
    const dataset_t *d = t->dataset;
    str_t path = {0};
    *out = NULL;
    str_addf(&path, "%s/%s/%s.h5", dir, t->kinds[kind], dataset_shard_name(d, shard));
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = shard_open(out, path.s);
    if (st == LENS_OK)
        st = shard_check_fit(*out, t->kinds[kind], dataset_shard_name(d, shard), dataset_shard_n_samples(d, shard),
                             dataset_shard_hash(d, shard));
    str_free(&path);
    return st;
}

/* layer NULL: the alt-text, which the base shard holds. */
static lens_status take_sample(taker_t *t, int kind, int64_t sample, int64_t within, const shard_t *layer,
                               chunk_cache_t *cache) {
    LENS_TRY(dataset_caption(t->shared->dataset, sample, "alt", &t->alt));
    if (layer)
        LENS_TRY(column_get(&layer->text, within, cache, &t->text));
    else
        LENS_TRY(dataset_caption(t->shared->dataset, sample, "alt", &t->text));
    if (t->text.len) {
        LENS_TRY(word_hashes_take(&t->alt_words, str_text(&t->alt)));
        return take_text(t, kind, sample);
    }
    t->stats[kind].n_empty++;
    if (!layer) return LENS_OK;
    LENS_TRY(column_get(&layer->meta, within, cache, &t->meta));
    take_reason(&t->stats[kind], str_text(&t->meta));
    return LENS_OK;
}

static lens_status take_kind(taker_t *t, int kind, int64_t shard) {
    const take_t *all = t->shared;
    const int64_t begin = dataset_shard_begin(all->dataset, shard), n = dataset_shard_n_samples(all->dataset, shard);
    const bool is_alt = strcmp(all->kinds[kind], "alt") == 0;
    const char *dir = is_alt ? NULL : layer_dir(all, kind, shard);
    shard_t *layer = NULL;
    chunk_cache_t *cache = NULL;
    lens_status st;
    if (!is_alt && !dir) {
        t->stats[kind].n_missing += n;
        return LENS_OK;
    }
    if (dir) LENS_GO(open_layer(&layer, all, kind, shard, dir));
    LENS_GO(chunk_cache_new(&cache, CACHE_CHUNKS));
    for (int64_t i = 0; i < n; i++) LENS_GO(take_sample(t, kind, begin + i, i, layer, cache));
done:
    chunk_cache_free(cache);
    shard_close(layer);
    return st;
}

static lens_status take_shards(taker_t *t) {
    take_t *all = t->shared;
    for (int64_t s; (s = atomic_fetch_add(&all->next, 1)) < dataset_n_shards(all->dataset);)
        for (int k = 0; k < all->n_kinds; k++) LENS_TRY(take_kind(t, k, s));
    return LENS_OK;
}

static void *work(void *argument) {
    take_t *all = argument;
    taker_t t = {.shared = all, .stats = calloc((size_t)all->n_kinds, sizeof *t.stats)};
    lens_status st = t.stats ? take_shards(&t) : lens_fail(LENS_MEMORY, "out of memory for figures of captions");
    pthread_mutex_lock(&all->lock);
    for (int k = 0; t.stats && k < all->n_kinds; k++) join(&all->stats[k], &t.stats[k]);
    if (st != LENS_OK && all->status == LENS_OK) {
        all->status = st;
        str_add(&all->failure, lens_error());
    }
    pthread_mutex_unlock(&all->lock);
    word_hashes_free(&t.own);
    word_hashes_free(&t.alt_words);
    str_free(&t.alt);
    str_free(&t.text);
    str_free(&t.meta);
    free(t.stats);
    return NULL;
}

static lens_status run_threads(take_t *t, int threads) {
    pthread_t *ids = calloc((size_t)threads, sizeof *ids);
    if (!ids) return lens_fail(LENS_MEMORY, "out of memory for threads");
    int n = 0;
    while (n < threads - 1 && pthread_create(&ids[n], NULL, work, t) == 0) n++;
    work(t); /* this thread too: fewer than asked for are slower, not wrong */
    for (int i = 0; i < n; i++) pthread_join(ids[i], NULL);
    free(ids);
    if (t->status != LENS_OK) lens_set_error("%s", str_text(&t->failure));
    return t->status;
}

/* ---- doubles ---- */

static int compare_said(const void *a, const void *b) {
    const said_t *x = a, *y = b;
    if (x->hash != y->hash) return x->hash > y->hash ? 1 : -1;
    return (x->sample > y->sample) - (x->sample < y->sample);
}

static void keep_double(caption_stats_t *s, int64_t n, int64_t sample) {
    int at = STATS_DOUBLES;
    while (at > 0 && (s->doubles[at - 1].n < n || (s->doubles[at - 1].n == n && s->doubles[at - 1].sample > sample)))
        at--;
    if (at == STATS_DOUBLES) return;
    memmove(&s->doubles[at + 1], &s->doubles[at], (size_t)(STATS_DOUBLES - 1 - at) * sizeof s->doubles[0]);
    s->doubles[at].n = n;
    s->doubles[at].sample = sample;
}

static void find_doubles(caption_stats_t *s, said_t *said, int64_t n) {
    qsort(said, (size_t)n, sizeof *said, compare_said);
    for (int64_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && said[end].hash == said[i].hash;) end++;
        if (said[i].hash == 0 || end - i < 2) continue;
        s->n_doubled += end - i - 1;
        keep_double(s, end - i, said[i].sample);
    }
}

/* ---- density ---- */

static lens_status pack(int64_t *bytes, const str_t *texts) {
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    const size_t room = ZSTD_compressBound(texts->len);
    void *out = malloc(room + 1);
    size_t n = 0;
    lens_status st = zstd && out ? LENS_OK : lens_fail(LENS_MEMORY, "out of memory for the density of captions");
    if (st == LENS_OK) {
        (void)ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, PACK_LEVEL);
        (void)ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, PACK_WINDOW_LOG);
        n = ZSTD_compress2(zstd, out, room, str_text(texts), texts->len);
        if (ZSTD_isError(n)) st = lens_fail(LENS_MEMORY, "zstd: %s", ZSTD_getErrorName(n));
    }
    *bytes = (int64_t)n;
    free(out);
    ZSTD_freeCCtx(zstd);
    return st;
}

static lens_status take_density(caption_stats_t *s, const dataset_t *d) {
    const int64_t n = dataset_n_samples(d), wanted = n < STATS_SAMPLE ? n : STATS_SAMPLE;
    str_t texts = {0}, one = {0};
    lens_status st = LENS_OK;
    for (int64_t k = 0; k < wanted; k++) {
        st = dataset_caption(d, (int64_t)((double)k * (double)n / (double)wanted), s->kind, &one);
        if (st == LENS_STATE) continue; /* no layer for its shard */
        LENS_GO(st);
        if (one.len == 0) continue;
        s->n_sampled++;
        s->sampled_words += words_count(str_text(&one));
        str_add_n(&texts, one.s, one.len);
        str_add_char(&texts, '\n');
    }
    LENS_GO(str_status(&texts));
    LENS_GO(s->n_sampled ? pack(&s->packed_bytes, &texts) : LENS_OK);
done:
    str_free(&texts);
    str_free(&one);
    return st;
}

/* ---- the whole ---- */

lens_status caption_stats_take(caption_stats_t *stats, const dataset_t *d, const char *layers, const char *const *kinds,
                               int n_kinds, int threads) {
    take_t t = {.dataset = d, .layers = layers, .kinds = kinds, .n_kinds = n_kinds, .stats = stats};
    const size_t n = (size_t)dataset_n_samples(d);
    lens_status st = LENS_OK;
    memset(stats, 0, (size_t)n_kinds * sizeof *stats);
    pthread_mutex_init(&t.lock, NULL);
    t.said = calloc((size_t)n_kinds, sizeof *t.said);
    for (int k = 0; t.said && k < n_kinds; k++) {
        stats[k].kind = kinds[k];
        t.said[k] = calloc(n + 1, sizeof **t.said);
        if (!t.said[k]) LENS_GO(lens_fail(LENS_MEMORY, "out of memory for %zu captions", n));
    }
    LENS_GO(t.said ? run_threads(&t, threads) : lens_fail(LENS_MEMORY, "out of memory for %zu captions", n));
    for (int k = 0; k < n_kinds; k++) {
        find_doubles(&stats[k], t.said[k], (int64_t)n);
        LENS_GO(take_density(&stats[k], d));
    }
done:
    for (int k = 0; t.said && k < n_kinds; k++) free(t.said[k]);
    free(t.said);
    str_free(&t.failure);
    pthread_mutex_destroy(&t.lock);
    return st;
}

int64_t caption_stats_words(const caption_stats_t *s, double quantile) {
    const int64_t wanted = (int64_t)(quantile * (double)(s->n_captions - 1) + 0.5);
    int64_t n = 0;
    for (int i = 0; i <= STATS_MAX_WORDS; i++) {
        n += s->n_of_words[i];
        if (n > wanted) return i;
    }
    return 0;
}
