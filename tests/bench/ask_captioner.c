/* Asks an endpoint for captions of made-up pictures as `lens recaption` does, and says how fast that was and what it
 * cost: captioner and transport alone, without a dataset.
 *
 *     ask-captioner URL[,URL] REQUESTS BYTES CONCURRENCY
 *
 * BYTES: size of the file of noise that stands for a small stored JPEG. One line of JSON on stdout. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/log.h"
#include "base/rng.h"
#include "data/image.h"
#include "recaption/openai.h"

enum { N_PICTURES = 16 };

static atomic_llong n_text, n_other, text_bytes;

static void done(const caption_request_t *request, const caption_reply_t *reply) {
    atomic_fetch_add(reply->outcome == CAPTION_TEXT ? &n_text : &n_other, 1);
    atomic_fetch_add(&text_bytes, (long long)strlen(reply->text));
    if (reply->outcome != CAPTION_TEXT && atomic_load(&n_other) == 1)
        fprintf(stderr, "first that is no caption: %s\n", reply->reason);
    free((void *)request);
}

/* A lossless WebP of noise, about n_bytes long. */
static lens_status make_picture(str_t *out, size_t n_bytes, uint64_t seed) {
    image_t im;
    int32_t side = 2;
    while ((size_t)side * (size_t)side * 3 < n_bytes) side++;
    LENS_TRY(image_new(&im, side, side));
    rng_t rng = rng_stream(seed, 0, 0, RNG_BENCH);
    for (size_t i = 0; i < (size_t)side * (size_t)side * 3; i++) im.rgb[i] = (uint8_t)rng_u32(&rng);
    lens_status st = image_encode_webp(out, &im, 0, true);
    image_free(&im);
    return st;
}

static double cpu_s(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static long rss_kb(void) {
    FILE *f = fopen("/proc/self/statm", "r");
    long size = 0, resident = 0;
    if (f && fscanf(f, "%ld %ld", &size, &resident) != 2) resident = 0;
    if (f) fclose(f);
    return resident * 4;
}

static lens_status ask(captioner_t *c, const str_t *pictures, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        caption_request_t *r = calloc(1, sizeof *r);
        if (!r) return lens_fail(LENS_MEMORY, "out of memory");
        *r = (caption_request_t){.sample = i,
                                 .key = "",
                                 .picture = &pictures[i % N_PICTURES],
                                 .seed = (uint64_t)i,
                                 .alt = "a wooden bench <b>in</b> a park",
                                 .meta = "{}",
                                 .done = done};
        lens_status st = c->type->submit(c, r);
        if (st != LENS_OK) {
            free(r);
            return st;
        }
        if (i == n / 10) fprintf(stderr, "resident after a tenth: %ld KB\n", rss_kb());
    }
    return c->type->wait(c);
}

static lens_status run(const char *url, int64_t n, size_t bytes, const char *concurrency) {
    openai_values_t values = {0};
    LENS_TRY(options_defaults(openai_options, &values));
    LENS_TRY(options_set(openai_options, &values, "model", "test-model", "ask-captioner"));
    LENS_TRY(options_set(openai_options, &values, "concurrency", concurrency, "ask-captioner"));
    str_t pictures[N_PICTURES] = {0};
    for (int i = 0; i < N_PICTURES; i++) LENS_TRY(make_picture(&pictures[i], bytes, (uint64_t)i));
    const caption_kind_t kind = {.name = "dense", .style = "", .min_words = 1, .max_words = 1000};
    const captioner_options_t o = {.captioner = url, .kinds = &kind, .n_kinds = 1, .own = &values};
    captioner_t *c;
    LENS_TRY(captioner_open(&c, &o));
    const double begin_s = log_clock_s(), cpu_begin_s = cpu_s(CLOCK_PROCESS_CPUTIME_ID),
                 own_begin_s = cpu_s(CLOCK_THREAD_CPUTIME_ID);
    lens_status st = ask(c, pictures, n);
    const double seconds = log_clock_s() - begin_s, cpu = cpu_s(CLOCK_PROCESS_CPUTIME_ID) - cpu_begin_s,
                 own = cpu_s(CLOCK_THREAD_CPUTIME_ID) - own_begin_s;
    captioner_stats_t *stats = calloc(1, sizeof *stats);
    if (stats) c->type->stats(c, stats);
    printf("{\"requests\":%" PRId64 ",\"captions\":%lld,\"other\":%lld,\"seconds\":%.3f,\"per_s\":%.1f,"
           "\"cpu_s_per_1000\":%.4f,\"bodies_cpu_s_per_1000\":%.4f,\"rss_kb\":%ld",
           n, (long long)n_text, (long long)n_other, seconds, (double)n / seconds, 1e3 * cpu / (double)n,
           1e3 * own / (double)n, rss_kb());
    for (int i = 0; stats && i < stats->n; i++)
        printf(",\"%s\":{\"answered\":%" PRId64 ",\"failed\":%" PRId64 ",\"p50_s\":%.3f,\"p95_s\":%.3f}",
               stats->endpoints[i].name, stats->endpoints[i].answered, stats->endpoints[i].failed,
               stats->endpoints[i].latency_p50_s, stats->endpoints[i].latency_p95_s);
    puts("}");
    free(stats);
    captioner_close(c);
    for (int i = 0; i < N_PICTURES; i++) str_free(&pictures[i]);
    options_free(openai_options, &values);
    return st;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: ask-captioner URL[,URL] REQUESTS BYTES CONCURRENCY\n");
        return 2;
    }
    lens_status st = run(argv[1], strtoll(argv[2], NULL, 10), (size_t)strtoll(argv[3], NULL, 10), argv[4]);
    if (st != LENS_OK) fprintf(stderr, "ask-captioner: %s\n", lens_error());
    return st == LENS_OK ? 0 : 1;
}
