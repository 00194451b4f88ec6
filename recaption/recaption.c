#include "recaption/recaption.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* A sample's state through the rounds of its shard. Written by one thread at a time: the one that reads its picture,
 * then the one that calls done(), then the shard's own between rounds. */
typedef struct {
    str_t text, details, message; /* latest answer; message: why there is none */
    quality_t verdict;
    int attempts;
    bool settled; /* accepted, or given up */
} record_t;

typedef struct job job_t;

typedef struct {
    const dataset_t *dataset;
    captioner_t *captioner;
    const recaption_options_t *options;
    int64_t begin, n; /* samples of the shard */
    record_t *records;

    pthread_mutex_t lock; /* guards what follows */
    int64_t next;         /* sample to look at */
    int64_t n_answered;
    lens_status status; /* first failure of any thread */
    str_t failure;      /* and its message: lens_error() is each thread's own */
    double start_s;
} round_t;

/* A request and all that it borrows; freed when it was answered. */
struct job {
    caption_request_t request;
    round_t *round;
    image_t image;
    str_t picture, alt, meta;
};

static void job_free(job_t *j) {
    image_free(&j->image);
    str_free(&j->picture);
    str_free(&j->alt);
    str_free(&j->meta);
    free(j);
}

static void stop(round_t *r, lens_status st) {
    pthread_mutex_lock(&r->lock);
    if (r->status == LENS_OK) {
        r->status = st;
        str_add(&r->failure, lens_error());
    }
    pthread_mutex_unlock(&r->lock);
}

static void count_answer(round_t *r) {
    pthread_mutex_lock(&r->lock);
    int64_t answered = ++r->n_answered;
    pthread_mutex_unlock(&r->lock);
    double s = log_clock_s() - r->start_s;
    log_progress("%s: %lld of %lld captions, %.0f/s", dataset_dir(r->dataset), (long long)(r->begin + answered),
                 (long long)dataset_n_samples(r->dataset), s > 0 ? (double)answered / s : 0);
}

/* ---- one sample ---- */

static quality_reason reason_of(caption_outcome outcome) {
    switch (outcome) {
    case CAPTION_TEXT:
        return QUALITY_ACCEPTED;
    case CAPTION_TRUNCATED:
        return QUALITY_TRUNCATED;
    case CAPTION_REFUSED:
        return QUALITY_REFUSED;
    case CAPTION_FAILED:
        break;
    }
    return QUALITY_FAILED;
}

static void take_reply(const caption_request_t *request, const caption_reply_t *reply) {
    job_t *j = request->context;
    round_t *r = j->round;
    record_t *record = &r->records[request->sample - r->begin];
    str_clear(&record->text);
    str_clear(&record->details);
    str_clear(&record->message);
    str_add(&record->text, reply->text);
    str_add(&record->message, reply->reason);
    if (reply->details) str_add(&record->details, reply->details);
    record->attempts++;
    quality_free(&record->verdict);
    record->verdict.reason = reason_of(reply->outcome);
    lens_status st = str_status(&record->text);
    bool has_text = reply->outcome == CAPTION_TEXT || reply->outcome == CAPTION_TRUNCATED;
    quality_input_t input = {
        .text = str_text(&record->text), .alt = request->alt, .truncated = reply->outcome == CAPTION_TRUNCATED};
    if (st == LENS_OK && has_text) st = quality_check(&record->verdict, &r->options->quality, &input);
    if (st != LENS_OK) stop(r, st);
    count_answer(r);
    job_free(j);
}

/* *damaged: the picture alone is at fault. The texts come first, for they show a shard that cannot be read at all. */
static lens_status load(job_t *j, const dataset_t *d, int64_t sample, bool *damaged) {
    *damaged = false;
    LENS_TRY(dataset_caption(d, sample, "alt", &j->alt));
    LENS_TRY(dataset_meta(d, sample, &j->meta));
    lens_status st = dataset_image(d, sample, &j->picture);
    if (st == LENS_OK) st = image_decode(&j->image, (const uint8_t *)j->picture.s, j->picture.len);
    *damaged = st == LENS_FORMAT;
    return st;
}

/* A damaged picture is a rejected sample; a shard that is damaged or a disk that fails ends the work. */
static lens_status ask(round_t *r, int64_t within) {
    record_t *record = &r->records[within];
    job_t *j = calloc(1, sizeof *j);
    if (!j) return lens_fail(LENS_MEMORY, "out of memory for a request");
    j->round = r;
    bool damaged;
    lens_status st = load(j, r->dataset, r->begin + within, &damaged);
    if (damaged) {
        record->verdict = (quality_t){.reason = QUALITY_PICTURE};
        record->settled = true;
        str_add(&record->message, lens_error());
        count_answer(r);
        job_free(j);
        return LENS_OK;
    }
    if (st == LENS_OK) {
        j->request = (caption_request_t){.sample = r->begin + within,
                                         .image = &j->image,
                                         .picture = &j->picture,
                                         .alt = str_text(&j->alt),
                                         .meta = str_text(&j->meta),
                                         .attempt = record->attempts,
                                         .done = take_reply,
                                         .context = j};
        st = r->captioner->type->submit(r->captioner, &j->request);
    }
    if (st != LENS_OK) job_free(j);
    return st;
}

static void *work(void *argument) {
    round_t *r = argument;
    for (;;) {
        pthread_mutex_lock(&r->lock);
        while (r->next < r->n && r->records[r->next].settled) r->next++;
        int64_t within = r->status == LENS_OK && r->next < r->n ? r->next++ : -1;
        pthread_mutex_unlock(&r->lock);
        if (within < 0) return NULL;
        lens_status st = ask(r, within);
        if (st != LENS_OK) stop(r, st);
    }
}

/* ---- one round ---- */

static lens_status run_round(round_t *r) {
    pthread_t threads[256];
    int n = 0, wanted = r->options->threads < 256 ? r->options->threads : 256;
    r->next = 0;
    while (n < wanted - 1 && pthread_create(&threads[n], NULL, work, r) == 0) n++;
    work(r); /* this thread works too; fewer threads than asked for are slower, not wrong */
    for (int i = 0; i < n; i++) pthread_join(threads[i], NULL);
    lens_status st = r->captioner->type->wait(r->captioner);
    if (r->status != LENS_OK) return lens_fail(r->status, "%s", str_text(&r->failure));
    return st;
}

static lens_status same_picture(bool *same, const dataset_t *d, int64_t a, int64_t b) {
    str_t one = {0}, other = {0};
    lens_status st = LENS_OK;
    LENS_GO(dataset_image(d, a, &one));
    LENS_GO(dataset_image(d, b, &other));
    *same = one.len == other.len && memcmp(one.s, other.s, one.len) == 0;
done:
    str_free(&one);
    str_free(&other);
    return st;
}

/* In sample order: accepts what is new in the set, turns down what another picture has. Counts what is left to ask. */
static lens_status compare(round_t *r, caption_set_t *said, int64_t *n_open) {
    *n_open = 0;
    for (int64_t i = 0; i < r->n; i++) {
        record_t *record = &r->records[i];
        if (record->settled) continue;
        if (record->verdict.reason == QUALITY_ACCEPTED) {
            const char *text = str_text(&record->verdict.text);
            int64_t other = caption_set_find(said, text);
            bool fits = other < 0;
            if (!fits) LENS_TRY(same_picture(&fits, r->dataset, r->begin + i, other));
            if (fits) {
                LENS_TRY(caption_set_add(said, text, r->begin + i));
                record->settled = true;
                continue;
            }
            record->verdict.reason = QUALITY_DUPLICATE;
            record->verdict.value = (double)other;
        }
        record->settled = record->attempts >= r->options->max_attempts;
        *n_open += !record->settled;
    }
    return LENS_OK;
}

/* ---- the layer ---- */

static void add_meta(str_t *json, const record_t *record) {
    const char *raw = str_text(&record->text), *message = str_text(&record->message);
    if (record->verdict.reason == QUALITY_ACCEPTED) {
        str_addf(json, "{\"status\":\"accepted\",\"attempts\":%d,\"words\":%lld", record->attempts,
                 (long long)record->verdict.n_words);
        quality_add_json(json, &record->verdict);
    } else {
        str_addf(json, "{\"status\":\"rejected\",\"reason\":\"%s\",\"value\":%.9g,\"attempts\":%d,\"raw\":",
                 quality_name(record->verdict.reason), record->verdict.value, record->attempts);
        str_add_json(json, raw, strlen(raw));
    }
    if (*message) {
        str_add(json, ",\"message\":");
        str_add_json(json, message, strlen(message));
    }
    if (record->details.len) str_addf(json, ",\"details\":%s", str_text(&record->details));
    str_add_char(json, '}');
}

static lens_status write_layer(const round_t *r, int64_t shard, recaption_result_t *result) {
    str_t provenance = {0}, meta = {0};
    layer_writer_t *w = NULL;
    lens_status st = LENS_OK;
    LENS_GO(captioner_provenance(r->captioner, &provenance));
    LENS_GO(layer_writer_open(&w, r->dataset, shard, r->options->dir, r->options->kind, str_text(&provenance)));
    for (int64_t i = 0; i < r->n; i++) {
        const record_t *record = &r->records[i];
        bool accepted = record->verdict.reason == QUALITY_ACCEPTED;
        str_clear(&meta);
        add_meta(&meta, record);
        LENS_GO(str_status(&meta));
        LENS_GO(layer_writer_add(w, accepted ? str_text(&record->verdict.text) : "", str_text(&meta)));
        result->n_by_reason[record->verdict.reason]++;
        result->n_words += accepted ? record->verdict.n_words : 0;
        result->n_retried += record->attempts > 1;
    }
    layer_writer_t *closing = w;
    w = NULL;
    LENS_GO(layer_writer_close(closing));
    result->n_shards_written++;
    result->n_samples += r->n;
done:
    layer_writer_abort(w);
    str_free(&provenance);
    str_free(&meta);
    return st;
}

lens_status recaption_shard(recaption_result_t *result, const dataset_t *d, int64_t shard, captioner_t *c,
                            const recaption_options_t *o, caption_set_t *said) {
    round_t r = {.dataset = d,
                 .captioner = c,
                 .options = o,
                 .begin = dataset_shard_begin(d, shard),
                 .n = dataset_shard_n_samples(d, shard),
                 .start_s = log_clock_s()};
    r.records = calloc(r.n > 0 ? (size_t)r.n : 1, sizeof *r.records);
    if (!r.records) return lens_fail(LENS_MEMORY, "out of memory for %lld captions", (long long)r.n);
    pthread_mutex_init(&r.lock, NULL);
    lens_status st = LENS_OK;
    for (int64_t n_open = r.n; n_open > 0;) {
        r.n_answered = r.n - n_open;
        LENS_GO(run_round(&r));
        LENS_GO(compare(&r, said, &n_open));
    }
    LENS_GO(write_layer(&r, shard, result));
done:
    for (int64_t i = 0; i < r.n; i++) {
        str_free(&r.records[i].text);
        quality_free(&r.records[i].verdict);
        str_free(&r.records[i].details);
        str_free(&r.records[i].message);
    }
    free(r.records);
    str_free(&r.failure);
    pthread_mutex_destroy(&r.lock);
    return lens_context(st, "%s", dataset_shard_name(d, shard));
}

lens_status recaption_recall(caption_set_t *said, const dataset_t *d, int64_t shard, const char *kind) {
    str_t text = {0};
    lens_status st = LENS_OK;
    int64_t begin = dataset_shard_begin(d, shard), end = begin + dataset_shard_n_samples(d, shard);
    for (int64_t i = begin; i < end; i++) {
        LENS_GO(dataset_caption(d, i, kind, &text));
        if (text.len) LENS_GO(caption_set_add(said, str_text(&text), i));
    }
done:
    str_free(&text);
    return st;
}

lens_status recaption_run(recaption_result_t *result, const dataset_t *d, captioner_t *c,
                          const recaption_options_t *o) {
    *result = (recaption_result_t){0};
    double start_s = log_clock_s();
    caption_set_t said = {0};
    lens_status st = LENS_OK;
    int64_t n_shards = dataset_n_shards(d);
    for (int64_t s = 0; s < n_shards; s++) {
        if (!layer_shard_exists(d, s, o->dir, o->kind)) continue;
        LENS_GO(recaption_recall(&said, d, s, o->kind));
        result->n_shards_skipped++;
    }
    for (int64_t s = 0; s < n_shards; s++) {
        if (layer_shard_exists(d, s, o->dir, o->kind)) continue;
        LENS_GO(recaption_shard(result, d, s, c, o, &said));
    }
done:
    log_progress_end();
    result->seconds = log_clock_s() - start_s;
    caption_set_free(&said);
    return st;
}
