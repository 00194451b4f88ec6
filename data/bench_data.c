#include "data/bench_data.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <webp/decode.h>

#include "base/file.h"
#include "base/log.h"
#include "base/rng.h"
#include "data/bench.h"
#include "data/caption_mix.h"
#include "data/image_codecs.h"
#include "data/loader.h"

enum {
    PIECE_BYTES = 1 << 20, /* of a raw read */
    FILES_MAX = 128,       /* shards read raw */
    HELD_MAX = 512,        /* pictures held in memory for decoding */
};

/* Files cut into pieces. */
typedef struct {
    int n, fd[FILES_MAX];
    char *path[FILES_MAX];
    int64_t pieces[FILES_MAX + 1]; /* sums */
    uint64_t bytes[FILES_MAX];
} files_t;

typedef struct {
    const bench_options_t *o;
    dataset_t *dataset;
    caption_mix_t mix;
    files_t base, arrays;
    int n_held;
    str_t held[HELD_MAX];
    size_t largest_picture_px;
    loader_t *loader; /* of this round */
    uint8_t *ring;
    int64_t ring_pieces;
} context_t;

/* ---- raw reads ---- */

static lens_status files_open(files_t *f, const dataset_t *d, const char *folder) {
    for (int64_t i = 0; i < dataset_n_shards(d) && f->n < FILES_MAX; i++) {
        str_t path = {0};
        str_addf(&path, "%s/%s/%s.h5", dataset_dir(d), folder, dataset_shard_name(d, i));
        LENS_TRY(str_status(&path));
        int k = f->n++;
        f->path[k] = path.s; /* moves */
        f->fd[k] = open(path.s, O_RDONLY | O_CLOEXEC);
        if (f->fd[k] < 0) return lens_fail(LENS_IO, "%s: cannot open", path.s);
        LENS_TRY(file_size(&f->bytes[k], path.s));
        f->pieces[k + 1] = f->pieces[k] + (int64_t)((f->bytes[k] + PIECE_BYTES - 1) / PIECE_BYTES);
    }
    return LENS_OK;
}

static void files_close(files_t *f) {
    for (int i = 0; i < f->n; i++) {
        if (f->fd[i] >= 0) close(f->fd[i]);
        free(f->path[i]);
    }
}

static lens_status read_piece(const files_t *f, bench_thread_t *t, int64_t i, uint8_t *into) {
    i %= f->pieces[f->n];
    int k = 0;
    while (f->pieces[k + 1] <= i) k++;
    uint64_t offset = (uint64_t)(i - f->pieces[k]) * PIECE_BYTES, left = f->bytes[k] - offset;
    size_t n = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
    t->n_bytes += n;
    return file_read_at(f->fd[k], into, n, offset, f->path[k]);
}

static lens_status raw_base(void *context, bench_thread_t *t, int64_t i) {
    return read_piece(&((context_t *)context)->base, t, i, t->buffer);
}

static lens_status raw_array(void *context, bench_thread_t *t, int64_t i) {
    return read_piece(&((context_t *)context)->arrays, t, i, t->buffer);
}

/* Into as much memory as the loader's batches take: whoever delivers batches has to leave the cache. */
static lens_status raw_array_spread(void *context, bench_thread_t *t, int64_t i) {
    const context_t *c = context;
    return read_piece(&c->arrays, t, i, c->ring + (size_t)(i % c->ring_pieces) * PIECE_BYTES);
}

/* Out of the page cache. Written files leave it only once they are on disk, hence the sync. */
static lens_status evict(const files_t *f) {
    for (int i = 0; i < f->n; i++) {
        int error = fdatasync(f->fd[i]) != 0 ? errno : posix_fadvise(f->fd[i], 0, 0, POSIX_FADV_DONTNEED);
        if (error) return lens_fail(LENS_IO, "%s: cannot leave the page cache: %s", f->path[i], strerror(error));
    }
    return LENS_OK;
}

static lens_status evict_all(void *context) {
    const context_t *c = context;
    LENS_TRY(evict(&c->base));
    return evict(&c->arrays);
}

/* ---- single samples ---- */

static int64_t random_sample(const dataset_t *d, int64_t i) {
    uint64_t n = (uint64_t)dataset_n_samples(d);
    return (int64_t)rng_permute(1, (uint32_t)((uint64_t)i / n), n, (uint64_t)i % n);
}

static lens_status picture_random(void *context, bench_thread_t *t, int64_t i) {
    const dataset_t *d = ((context_t *)context)->dataset;
    LENS_TRY(dataset_image(d, random_sample(d, i), &t->text));
    t->n_bytes += t->text.len;
    return LENS_OK;
}

static lens_status picture_in_order(void *context, bench_thread_t *t, int64_t i) {
    const dataset_t *d = ((context_t *)context)->dataset;
    LENS_TRY(dataset_image(d, i % dataset_n_samples(d), &t->text));
    t->n_bytes += t->text.len;
    return LENS_OK;
}

static lens_status caption(void *context, bench_thread_t *t, int64_t i) {
    const context_t *c = context;
    return dataset_caption(c->dataset, random_sample(c->dataset, i), c->mix.kind[0], &t->text);
}

/* The codec alone, on bytes in memory, into memory that is there: nothing that reads pictures can be faster. */
static lens_status decode(void *context, bench_thread_t *t, int64_t i) {
    const context_t *c = context;
    const str_t *picture = &c->held[i % c->n_held];
    const uint8_t *bytes = (const uint8_t *)picture->s;
    int width, height;
    if (WebPGetInfo(bytes, picture->len, &width, &height)) {
        size_t stride = (size_t)width * 3;
        if (!WebPDecodeRGBInto(bytes, picture->len, t->buffer, stride * (size_t)height, (int)stride))
            return lens_fail(LENS_FORMAT, "WebP: cannot decode");
        return LENS_OK;
    }
    image_format format = image_format_of(bytes, picture->len);
    image_header_t header;
    LENS_TRY(image_read_header(&header, format, bytes, picture->len));
    return image_read_pixels(&(image_t){header.width, header.height, t->buffer}, format, &header, bytes, picture->len);
}

/* Spread over the set. */
static lens_status hold_pictures(context_t *c) {
    int64_t n = dataset_n_samples(c->dataset);
    int n_held = n < HELD_MAX ? (int)n : HELD_MAX;
    while (c->n_held < n_held) {
        int64_t sample = c->n_held * n / n_held;
        int32_t width, height;
        str_t *picture = &c->held[c->n_held++];
        LENS_TRY(dataset_image(c->dataset, sample, picture));
        LENS_TRY(image_probe(&width, &height, (const uint8_t *)picture->s, picture->len));
        size_t n_px = (size_t)width * (size_t)height;
        if (n_px > c->largest_picture_px) c->largest_picture_px = n_px;
    }
    return LENS_OK;
}

/* ---- the loader ---- */

static lens_status open_loader(loader_t **out, const context_t *c, const char *array) {
    const bench_options_t *o = c->o;
    loader_options_t l = {.slots = 1,
                          .window_shards = o->window_shards,
                          .pictures = array == NULL,
                          .resampling.filter = strcmp(o->resample, "area") == 0       ? IMAGE_AREA
                                               : strcmp(o->resample, "triangle") == 0 ? IMAGE_TRIANGLE
                                                                                      : IMAGE_LANCZOS,
                          .flip = true,
                          .random_crop = true,
                          .captions = array ? NULL : o->captions,
                          .array = {array},
                          .n_arrays = array != NULL,
                          .world = 1,
                          .n_threads = (int)o->threads,
                          .n_prefetch = (int)o->prefetch};
    LENS_TRY(bucket_list_parse(&l.buckets, o->buckets, o->max_upscale));
    for (int area = 0; area < l.buckets.n_areas; area++) l.batch_of_area[area] = o->batch;
    return loader_open(out, c->dataset, &l, 0);
}

/* What was ready before the clock starts is taken first, or a ring would be measured. */
static lens_status begin_loader(context_t *c, const char *array) {
    const loader_batch_t *b;
    LENS_TRY(open_loader(&c->loader, c, array));
    for (int64_t i = 0; i <= c->o->prefetch; i++) LENS_TRY(loader_next(c->loader, &b));
    return LENS_OK;
}

static lens_status begin_pictures(void *context) {
    return begin_loader(context, NULL);
}

static lens_status begin_arrays(void *context) {
    context_t *c = context;
    return begin_loader(c, c->o->array);
}

static lens_status run_loader(void *context, double until_s, int64_t *n_items, uint64_t *n_bytes) {
    const context_t *c = context;
    while (log_clock_s() < until_s) {
        const loader_batch_t *b;
        LENS_TRY(loader_next(c->loader, &b));
        *n_items += b->n;
        *n_bytes += (uint64_t)b->n * b->array[0].bytes;
    }
    return LENS_OK;
}

static void end_loader(void *context) {
    context_t *c = context;
    loader_close(c->loader);
    c->loader = NULL;
}

/* ---- all of it ---- */

enum {
    RAW_BASE,
    PICTURE_RANDOM,
    PICTURE_IN_ORDER,
    CAPTION,
    DECODE,
    LOADER,
    RAW_ARRAY,
    RAW_ARRAY_SPREAD,
    LOADER_ARRAY,
    N_TASKS
};

static const bench_task_t TASKS[N_TASKS] = {
    [RAW_BASE] = {.name = "raw_read_mb_per_s",
                  .text = "base files, pread of 1 MiB, MB/s",
                  .bytes = true,
                  .work = raw_base},
    [PICTURE_RANDOM] = {.name = "pictures_random_per_s",
                        .text = "pictures read and checked, random, /s",
                        .work = picture_random},
    [PICTURE_IN_ORDER] = {.name = "pictures_in_order_per_s",
                          .text = "pictures read and checked, in order, /s",
                          .work = picture_in_order},
    [CAPTION] = {.name = "captions_random_per_s", .text = "captions, random, /s", .work = caption},
    [DECODE] = {.name = "decode_per_s", .text = "decoder alone, bytes in memory, images/s", .work = decode},
    [LOADER] = {.name = "loader_per_s",
                .text = "loader, images/s",
                .begin = begin_pictures,
                .round = run_loader,
                .end = end_loader},
    [RAW_ARRAY] = {.name = "raw_array_read_mb_per_s",
                   .text = "array files, pread of 1 MiB, MB/s",
                   .bytes = true,
                   .work = raw_array},
    [RAW_ARRAY_SPREAD] = {.name = "raw_array_spread_mb_per_s",
                          .text = "array files, the same into as much memory as the batches, MB/s",
                          .bytes = true,
                          .work = raw_array_spread},
    [LOADER_ARRAY] = {.name = "loader_array_mb_per_s",
                      .text = "loader, arrays alone, MB/s",
                      .bytes = true,
                      .begin = begin_arrays,
                      .round = run_loader,
                      .end = end_loader},
};

typedef struct {
    const char *name, *text;
    int task, ceiling;
} bench_ratio_t;

static const bench_ratio_t RATIOS[] = {
    {"loader_to_decode", "loader / decoder alone", LOADER, DECODE},
    {"loader_array_to_raw", "loader of arrays / pread", LOADER_ARRAY, RAW_ARRAY},
    {"loader_array_to_raw_spread", "loader of arrays / pread into as much memory", LOADER_ARRAY, RAW_ARRAY_SPREAD},
};
enum { N_RATIOS = sizeof RATIOS / sizeof RATIOS[0] };

static lens_status print_json(const char *dir, const context_t *c, const bench_task_t *task, int n_tasks) {
    const bench_options_t *o = c->o;
    int n = (int)o->rounds;
    json_t *j = json_pack("{s:s, s:I, s:s, s:I, s:I, s:I, s:s}", "dataset", dir, "samples",
                          (json_int_t)dataset_n_samples(c->dataset), "buckets", o->buckets, "batch",
                          (json_int_t)o->batch, "threads", (json_int_t)o->threads, "rounds", (json_int_t)o->rounds,
                          "page_cache", o->cold ? "cold" : "warm");
    bool failed = !j;
    for (int i = 0; i < n_tasks; i++)
        failed |= json_object_set_new(j, task[i].name, json_real(bench_median(&task[i], n))) != 0;
    for (int i = 0; i < N_RATIOS && RATIOS[i].task < n_tasks; i++) {
        const bench_task_t *t = &task[RATIOS[i].task], *ceiling = &task[RATIOS[i].ceiling];
        json_t *ratio =
            json_pack("{s:f, s:f}", "wall", bench_ratio(t, ceiling, n), "cpu", bench_cpu_ratio(t, ceiling, n));
        failed |= json_object_set_new(j, RATIOS[i].name, ratio) != 0;
    }
    char *text = failed ? NULL : json_dumps(j, JSON_REAL_PRECISION(5));
    json_decref(j);
    if (!text) return lens_fail(LENS_MEMORY, "bench: result");
    puts(text);
    free(text);
    return LENS_OK;
}

static void print_text(const char *dir, const context_t *c, const bench_task_t *task, int n_tasks) {
    const bench_options_t *o = c->o;
    int n = (int)o->rounds;
    printf("%s: %lld samples, %lld threads, buckets %s, medians of %d rounds, page cache %s\n", dir,
           (long long)dataset_n_samples(c->dataset), (long long)o->threads, o->buckets, n, o->cold ? "cold" : "warm");
    for (int i = 0; i < n_tasks; i++) printf("%12.1f  %s\n", bench_median(&task[i], n), task[i].text);
    for (int i = 0; i < N_RATIOS && RATIOS[i].task < n_tasks; i++) {
        const bench_task_t *t = &task[RATIOS[i].task], *ceiling = &task[RATIOS[i].ceiling];
        printf("%12.3f  %s; by processor time %.3f\n", bench_ratio(t, ceiling, n), RATIOS[i].text,
               bench_cpu_ratio(t, ceiling, n));
    }
}

/* So that no round is of another temperature than the next. */
static lens_status warm(const context_t *c, const files_t *f) {
    if (c->o->cold) return LENS_OK;
    bench_thread_t t = {.buffer = malloc(PIECE_BYTES)};
    lens_status st = t.buffer ? LENS_OK : lens_fail(LENS_MEMORY, "bench: a buffer");
    for (int64_t i = 0; st == LENS_OK && i < f->pieces[f->n]; i++) st = read_piece(f, &t, i, t.buffer);
    free(t.buffer);
    return st;
}

static lens_status make_ring(context_t *c) {
    LENS_TRY(open_loader(&c->loader, c, c->o->array));
    c->ring_pieces = (int64_t)(loader_buffer_bytes(c->loader) / PIECE_BYTES) + 1;
    end_loader(c);
    if ((c->ring = malloc((size_t)c->ring_pieces * PIECE_BYTES))) return LENS_OK;
    return lens_fail(LENS_MEMORY, "bench: %lld MiB to read into", (long long)c->ring_pieces);
}

static lens_status prepare(context_t *c) {
    LENS_TRY(files_open(&c->base, c->dataset, "base"));
    LENS_TRY(warm(c, &c->base));
    if (c->o->array) {
        if (!dataset_has_array(c->dataset, c->o->array))
            return lens_fail(LENS_ARGUMENT, "%s has no arrays of kind %s", dataset_dir(c->dataset), c->o->array);
        LENS_TRY(files_open(&c->arrays, c->dataset, c->o->array));
        LENS_TRY(warm(c, &c->arrays));
        LENS_TRY(make_ring(c));
    }
    LENS_TRY(hold_pictures(c));
    return caption_mix_init(&c->mix, c->o->captions, c->dataset);
}

/* What a cold round may read: the smaller of the pictures' and the arrays' files. */
static uint64_t round_bytes(const context_t *c) {
    uint64_t base = 0, arrays = 0;
    for (int i = 0; i < c->base.n; i++) base += c->base.bytes[i];
    for (int i = 0; i < c->arrays.n; i++) arrays += c->arrays.bytes[i];
    return c->arrays.n > 0 && arrays < base ? arrays : base;
}

static lens_status measure(const char *dir, context_t *c) {
    const bench_options_t *o = c->o;
    int n_tasks = o->array ? N_TASKS : RAW_ARRAY;
    bench_task_t task[N_TASKS];
    memcpy(task, TASKS, sizeof task);
    LENS_TRY(prepare(c));
    const bench_t bench = {.task = task,
                           .before = o->cold ? evict_all : NULL,
                           .round_max_bytes = o->cold ? round_bytes(c) : 0,
                           .n_tasks = n_tasks,
                           .n_rounds = (int)o->rounds,
                           .n_threads = (int)o->threads,
                           .task_s = o->seconds / (double)(n_tasks * o->rounds),
                           .buffer_bytes = c->largest_picture_px * 3 + PIECE_BYTES,
                           .context = c};
    LENS_TRY(bench_run(&bench));
    if (o->json) return print_json(dir, c, task, n_tasks);
    print_text(dir, c, task, n_tasks);
    return LENS_OK;
}

lens_status bench_data(const char *dir, const bench_options_t *o) {
    context_t *c = calloc(1, sizeof *c);
    if (!c) return lens_fail(LENS_MEMORY, "bench");
    c->o = o;
    lens_status st = dataset_open(&c->dataset, dir);
    if (st == LENS_OK) st = measure(dir, c);
    for (int i = 0; i < c->n_held; i++) str_free(&c->held[i]);
    caption_mix_reset(&c->mix);
    free(c->ring);
    files_close(&c->base);
    files_close(&c->arrays);
    dataset_close(c->dataset);
    free(c);
    return st;
}
