/* The jobs of a run are a fixed ring: a job waits in `idle`, is filled by the reader, goes to `order` and `work` at
 * once, is encoded by a worker, and is written when its turn in `order` has come. So memory is bounded by the number of
 * jobs. */
#include "data/ingest.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/build_info.h"
#include "base/file.h"
#include "base/log.h"
#include "base/queue.h"
#include "data/image.h"

#define INGEST_JOBS_PER_THREAD 4

typedef struct {
    raw_sample_t raw;
    int source;     /* index of its source */
    lens_status st; /* not OK: reading failed, raw.reason tells how, and nothing follows */
    bool ready;     /* under the pipeline's lock: the worker is done with it */
    str_t webp;
    int32_t width, height, original_width, original_height; /* px */
} job_t;

typedef struct {
    const ingest_options_t *options;
    job_t *jobs; /* owned */
    int n_jobs;
    queue_t *idle, *work, *order;
    pthread_mutex_t lock;
    pthread_cond_t done; /* some job became ready */
} pipeline_t;

int64_t ingest_n_rejected(const ingest_report_t *r) {
    int64_t n = 0;
    for (int c = 0; c < REJECT_N; c++) n += r->n_rejected[c];
    return n;
}

/* ---- the reader's thread ---- */

static job_t *job_take(pipeline_t *p, int source) {
    void *item;
    if (!queue_pop(p->idle, &item)) return NULL;
    job_t *job = item;
    raw_sample_clear(&job->raw);
    str_clear(&job->webp);
    job->source = source;
    job->st = LENS_OK;
    job->ready = false;
    return job;
}

/* In this order: a job that is in `work` is sure to be waited for. False where the run was ended by the writer. */
static bool job_send(pipeline_t *p, job_t *job) {
    return queue_push(p->order, job) && queue_push(p->work, job);
}

static bool reader_send_failure(pipeline_t *p, int source, reject_class c) {
    job_t *job = job_take(p, source);
    if (!job) return false;
    raw_sample_reject(&job->raw, c, "%s", lens_error());
    return job_send(p, job);
}

/* "some/00012.tar" is "00012". */
static void source_label(str_t *out, const char *path) {
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/') begin--;
    const char *dot = file_is_dir(path) ? NULL : memchr(path + begin + 1, '.', end - begin - 1);
    str_add_n(out, path + begin, (dot ? (size_t)(dot - path) : end) - begin);
}

static void job_prefix_key(job_t *job, const char *path) {
    str_t key = {0};
    source_label(&key, path);
    str_add_char(&key, '/');
    str_add(&key, str_text(&job->raw.key));
    if (!key.failed) raw_sample_set_key(&job->raw, str_text(&key), key.len);
    job->raw.key.failed |= key.failed;
    str_free(&key);
}

/* False where nothing more is to be read. */
static bool reader_run_source(pipeline_t *p, int i) {
    const char *path = p->options->sources[i];
    source_t *source;
    /* It was there when the run began; that it is gone concerns its samples only. */
    if (source_open(&source, path) != LENS_OK) return reader_send_failure(p, i, REJECT_UNREADABLE);
    bool more = true;
    for (job_t *job; more && (job = job_take(p, i));) {
        job->st = source_next(source, &job->raw);
        if (job->st == LENS_END) {
            queue_push(p->idle, job);
            source_close(source);
            return true;
        }
        if (job->st != LENS_OK) raw_sample_reject(&job->raw, REJECT_UNREADABLE, "%s", lens_error());
        if (p->options->prefix_keys) job_prefix_key(job, path);
        more = job->st == LENS_OK;
        more &= job_send(p, job);
    }
    source_close(source);
    return false;
}

static void *reader_main(void *arg) {
    pipeline_t *p = arg;
    bool more = true;
    for (int i = 0; more && i < p->options->n_sources; i++) more = reader_run_source(p, i);
    queue_close(p->order);
    queue_close(p->work);
    return NULL;
}

/* ---- the workers' threads ---- */

static lens_status shrink(image_t *im, int32_t max_side_px) {
    int32_t longer = im->width > im->height ? im->width : im->height;
    if (max_side_px == 0 || longer <= max_side_px) return LENS_OK;
    double scale = (double)max_side_px / longer;
    int32_t width = (int32_t)fmax(1, round(im->width * scale)), height = (int32_t)fmax(1, round(im->height * scale));
    image_t smaller;
    LENS_TRY(image_resize(&smaller, im, width, height));
    image_free(im);
    *im = smaller;
    return LENS_OK;
}

/* Whatever fails here fails for this picture: it becomes a reject. */
static void job_encode(job_t *job, const ingest_options_t *options) {
    image_t im = {0};
    if (image_decode(&im, (const uint8_t *)job->raw.image.s, job->raw.image.len) != LENS_OK) {
        raw_sample_reject(&job->raw, REJECT_DECODE, "%s", lens_error());
        return;
    }
    job->original_width = im.width;
    job->original_height = im.height;
    if (shrink(&im, options->max_side_px) != LENS_OK ||
        image_encode_webp(&job->webp, &im, options->quality, options->lossless) != LENS_OK)
        raw_sample_reject(&job->raw, REJECT_ENCODE, "%s", lens_error());
    job->width = im.width;
    job->height = im.height;
    image_free(&im);
}

static void *worker_main(void *arg) {
    pipeline_t *p = arg;
    for (void *item; queue_pop(p->work, &item);) {
        job_t *job = item;
        if (job->st == LENS_OK && job->raw.reject == REJECT_NONE) job_encode(job, p->options);
        pthread_mutex_lock(&p->lock);
        job->ready = true;
        pthread_cond_signal(&p->done);
        pthread_mutex_unlock(&p->lock);
    }
    return NULL;
}

/* ---- the writer: the caller's thread ---- */

typedef struct {
    dataset_writer_t *shards;
    atomic_file_t *rejects;
    str_t line;
    ingest_report_t *report;
    double began_s;
} output_t;

static lens_status output_reject(output_t *o, const job_t *job, const char *source) {
    const raw_sample_t *raw = &job->raw;
    o->report->n_rejected[raw->reject]++;
    if (raw->reject == REJECT_CUT_SHORT) log_warn("%s", str_text(&raw->reason));
    str_clear(&o->line);
    str_add(&o->line, "{\"source\":");
    str_add_json(&o->line, source, strlen(source));
    str_add(&o->line, ",\"key\":");
    str_add_json(&o->line, str_text(&raw->key), raw->key.len);
    str_addf(&o->line, ",\"class\":\"%s\",\"reason\":", reject_text(raw->reject));
    str_add_json(&o->line, str_text(&raw->reason), raw->reason.len);
    str_add(&o->line, "}\n");
    LENS_TRY(str_status(&o->line));
    fwrite(o->line.s, 1, o->line.len, atomic_file_stream(o->rejects)); /* a short write shows at commit */
    return LENS_OK;
}

static lens_status output_job(output_t *o, job_t *job, const char *source) {
    raw_sample_t *raw = &job->raw;
    if (job->st != LENS_OK) return lens_fail(job->st, "%s: %s", source, str_text(&raw->reason));
    LENS_TRY(str_status(&raw->key));
    if (raw->reject != REJECT_NONE) return output_reject(o, job, source);
    const sample_t sample = {
        .key = raw->key.s,
        .picture = job->webp.s,
        .picture_bytes = job->webp.len,
        .width = job->width,
        .height = job->height,
        .original_width = job->original_width,
        .original_height = job->original_height,
        .alt = str_text(&raw->alt),
        .meta = raw->meta.s,
    };
    lens_status st = dataset_writer_add(o->shards, &sample);
    if (st == LENS_ARGUMENT) { /* the sample is at fault; all else about it was checked before */
        raw_sample_reject(raw, REJECT_DUPLICATE, "%s", lens_error());
        return output_reject(o, job, source);
    }
    LENS_TRY(st);
    o->report->n_accepted++;
    o->report->n_repaired += raw->repaired;
    o->report->n_shrunk += job->width != job->original_width || job->height != job->original_height;
    o->report->source_bytes += raw->image.len;
    o->report->webp_bytes += job->webp.len;
    return LENS_OK;
}

static void pipeline_wait(pipeline_t *p, const job_t *job) {
    pthread_mutex_lock(&p->lock);
    while (!job->ready) pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

static lens_status output_all(output_t *o, pipeline_t *p) {
    for (void *item; queue_pop(p->order, &item);) {
        job_t *job = item;
        pipeline_wait(p, job);
        LENS_TRY(output_job(o, job, p->options->sources[job->source]));
        queue_push(p->idle, job);
        double elapsed_s = log_clock_s() - o->began_s;
        log_progress("ingest: %" PRId64 " accepted, %" PRId64 " rejected, %.0f/s", o->report->n_accepted,
                     ingest_n_rejected(o->report), (double)o->report->n_accepted / fmax(elapsed_s, 1e-3));
    }
    return LENS_OK;
}

/* ---- the run ---- */

static void pipeline_free(pipeline_t *p) {
    for (int i = 0; i < p->n_jobs; i++) {
        raw_sample_free(&p->jobs[i].raw);
        str_free(&p->jobs[i].webp);
    }
    free(p->jobs);
    queue_free(p->idle);
    queue_free(p->work);
    queue_free(p->order);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->done);
}

static lens_status pipeline_init(pipeline_t *p, const ingest_options_t *options) {
    *p = (pipeline_t){.options = options, .n_jobs = options->n_threads * INGEST_JOBS_PER_THREAD};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->done, NULL);
    p->jobs = calloc((size_t)p->n_jobs, sizeof *p->jobs);
    lens_status st = p->jobs ? LENS_OK : lens_fail(LENS_MEMORY, "%d jobs", p->n_jobs);
    if (!p->jobs) p->n_jobs = 0;
    if (st == LENS_OK) st = queue_new(&p->idle, p->n_jobs);
    if (st == LENS_OK) st = queue_new(&p->work, p->n_jobs);
    if (st == LENS_OK) st = queue_new(&p->order, p->n_jobs);
    for (int i = 0; st == LENS_OK && i < p->n_jobs; i++) queue_push(p->idle, &p->jobs[i]);
    if (st != LENS_OK) pipeline_free(p);
    return st;
}

/* Starts the threads, writes what they hand over, and has all of them ended when it returns. */
static lens_status pipeline_run(pipeline_t *p, output_t *o) {
    int n_threads = p->options->n_threads + 1, n_started = 0; /* the reader is the first */
    pthread_t *threads = calloc((size_t)n_threads, sizeof *threads);
    lens_status st = threads ? LENS_OK : lens_fail(LENS_MEMORY, "%d threads", n_threads);
    for (; st == LENS_OK && n_started < n_threads; n_started++) {
        int error = pthread_create(&threads[n_started], NULL, n_started ? worker_main : reader_main, p);
        if (error) {
            st = lens_fail(LENS_MEMORY, "cannot start thread %d of %d: %s", n_started + 1, n_threads, strerror(error));
            break;
        }
    }
    if (st == LENS_OK) st = output_all(o, p);
    queue_close(p->idle);
    queue_close(p->order);
    queue_close(p->work);
    for (int i = 0; i < n_started; i++) pthread_join(threads[i], NULL);
    free(threads);
    return st;
}

static lens_status add_provenance(str_t *out, const ingest_options_t *options) {
    str_addf(out, "{\"command\":\"ingest\",\"lens\":\"%s\",\"commit\":\"%s\",\"quality\":%g,\"lossless\":%s,",
             build_version(), build_commit(), options->quality, options->lossless ? "true" : "false");
    str_addf(out, "\"max_side_px\":%" PRId32 ",\"sources\":[", options->max_side_px);
    for (int i = 0; i < options->n_sources; i++) {
        if (i) str_add_char(out, ',');
        str_add_json(out, options->sources[i], strlen(options->sources[i]));
    }
    str_add(out, "]}");
    return str_status(out);
}

static lens_status output_open(output_t *o, const ingest_options_t *options) {
    str_t provenance = {0}, path = {0};
    lens_status st;
    LENS_GO(add_provenance(&provenance, options));
    str_addf(&path, "%s/rejects.jsonl", options->out);
    LENS_GO(str_status(&path));
    const dataset_writer_options_t shards = {.shard_max_samples = options->shard_max_samples,
                                             .shard_max_bytes = options->shard_max_bytes,
                                             .provenance = provenance.s};
    LENS_GO(dataset_writer_open(&o->shards, options->out, &shards));
    LENS_GO(atomic_file_open(&o->rejects, path.s));
done:
    str_free(&provenance);
    str_free(&path);
    return st;
}

static lens_status count_shards(const ingest_options_t *options, ingest_report_t *report) {
    dataset_t *d;
    if (report->n_accepted == 0) return LENS_OK;
    LENS_TRY(dataset_open(&d, options->out));
    report->n_shards = dataset_n_shards(d);
    dataset_close(d);
    return LENS_OK;
}

lens_status ingest(ingest_report_t *report, const ingest_options_t *options) {
    *report = (ingest_report_t){0};
    for (int i = 0; i < options->n_sources; i++) LENS_TRY(source_check(options->sources[i]));
    output_t o = {.report = report, .began_s = log_clock_s()};
    pipeline_t p;
    LENS_TRY(pipeline_init(&p, options));
    lens_status st = LENS_OK;
    LENS_GO(output_open(&o, options));
    LENS_GO(pipeline_run(&p, &o));
    /* Both calls free what they are given, whatever happens. */
    dataset_writer_t *shards = o.shards;
    o.shards = NULL;
    LENS_GO(dataset_writer_close(shards));
    atomic_file_t *rejects = o.rejects;
    o.rejects = NULL;
    LENS_GO(atomic_file_commit(rejects));
    LENS_GO(count_shards(options, report));
    report->duration_s = log_clock_s() - o.began_s;
done:
    log_progress_end();
    dataset_writer_abort(o.shards);
    atomic_file_abort(o.rejects);
    str_free(&o.line);
    pipeline_free(&p);
    return st;
}
