#include "recaption/endpoints.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"

/* ---- the list ---- */

static lens_status check_url(const char *url, const char *where) {
    const char *host = str_starts_with(url, "https://") ? url + 8 : str_starts_with(url, "http://") ? url + 7 : NULL;
    if (!host || !*host || *host == '/')
        return lens_fail(LENS_ARGUMENT, "%s: expected http://HOST[:PORT]/v1 or https://..., got '%s'", where, url);
    if (memchr(host, '@', strcspn(host, "/")))
        return lens_fail(LENS_ARGUMENT, "%s: an endpoint's URL holds a user or password; use --key-env or --key-file",
                         where);
    for (const char *c = url; *c; c++)
        if (*c <= ' ' || *c > '~' || *c == '?' || *c == '#')
            return lens_fail(LENS_ARGUMENT, "%s: expected a URL without spaces, '?' and '#', got '%s'", where, url);
    return LENS_OK;
}

static lens_status add(endpoints_t *e, const char *text, size_t n, double weight, int64_t most, const char *where) {
    if (e->n == CAPTIONER_MAX_ENDPOINTS)
        return lens_fail(LENS_ARGUMENT, "%s: more than %d endpoints", where, CAPTIONER_MAX_ENDPOINTS);
    endpoint_t *p = &e->endpoints[e->n++];
    *p = (endpoint_t){.name = strndup(text, n), .weight = weight};
    if (!p->name) return lens_fail(LENS_MEMORY, "out of memory for an endpoint");
    for (size_t end = n; end && p->name[end - 1] == '/';) p->name[--end] = '\0';
    LENS_TRY(check_url(p->name, where));
    for (int i = 0; i < e->n - 1; i++)
        if (strcmp(e->endpoints[i].name, p->name) == 0)
            return lens_fail(LENS_ARGUMENT, "%s: endpoint %s is there twice", where, p->name);
    str_t url = {0};
    str_add(&url, p->name);
    str_add(&url, "/chat/completions");
    p->url = url.s;
    concurrency_init(&p->window, most);
    return str_status(&url);
}

static lens_status add_commas(endpoints_t *e, const char *list, int64_t most) {
    for (const char *at = list;; at++) {
        const size_t n = strcspn(at, ",");
        LENS_TRY(add(e, at, n, 1, most, "--captioner"));
        at += n;
        if (!*at) return LENS_OK;
    }
}

/* "URL [WEIGHT]" */
static lens_status add_line(endpoints_t *e, const char *line, const char *end, int64_t most, const char *where) {
    const char *hash = memchr(line, '#', (size_t)(end - line));
    if (hash) end = hash;
    while (line < end && strchr(" \t\r", *line)) line++;
    while (end > line && strchr(" \t\r", end[-1])) end--;
    if (line == end) return LENS_OK;
    const size_t n = strcspn(line, " \t\r\n");
    const size_t n_url = n < (size_t)(end - line) ? n : (size_t)(end - line);
    double weight = 1;
    if (line + n_url < end) {
        char *stop;
        errno = 0;
        weight = strtod(line + n_url, &stop);
        if (stop != end || errno || !(weight > 0) || !(weight <= 1e6))
            return lens_fail(LENS_ARGUMENT, "%s: expected URL [WEIGHT], a weight above 0, got '%.*s'", where,
                             (int)(end - line), line);
    }
    return add(e, line, n_url, weight, most, where);
}

static lens_status add_file(endpoints_t *e, const char *path, int64_t most) {
    char *text;
    size_t n;
    LENS_TRY(file_read(&text, &n, path, 1 << 20));
    lens_status st = LENS_OK;
    str_t where = {0};
    int number = 1;
    for (const char *line = text, *end; line < text + n && st == LENS_OK; line = end + 1, number++) {
        end = memchr(line, '\n', (size_t)(text + n - line));
        if (!end) end = text + n;
        str_clear(&where);
        str_addf(&where, "%s:%d", path, number);
        st = add_line(e, line, end, most, str_text(&where));
    }
    if (st == LENS_OK && e->n == 0) st = lens_fail(LENS_ARGUMENT, "%s: no endpoint", path);
    str_free(&where);
    free(text);
    return st;
}

lens_status endpoints_open(endpoints_t *e, const char *list, int64_t most) {
    *e = (endpoints_t){0};
    /* Which server waits how long may differ from run to run: no answer depends on it. */
    e->jitter = rng_stream((uint64_t)time(NULL) ^ (uint64_t)getpid() << 32, 0, 0, RNG_JITTER);
    e->endpoints = calloc(CAPTIONER_MAX_ENDPOINTS, sizeof *e->endpoints);
    if (!e->endpoints) return lens_fail(LENS_MEMORY, "out of memory for endpoints");
    lens_status st = *list == '@' ? add_file(e, list + 1, most) : add_commas(e, list, most);
    if (st != LENS_OK) endpoints_free(e);
    return st;
}

void endpoints_free(endpoints_t *e) {
    for (int i = 0; i < e->n; i++) {
        free(e->endpoints[i].name);
        free(e->endpoints[i].url);
    }
    free(e->endpoints);
    *e = (endpoints_t){0};
}

/* ---- who gets the next request ---- */

static double room(const endpoint_t *p, double now_s) {
    if (p->rested_until_s > now_s) return 0;
    const int64_t window = p->rested_until_s > 0 ? 1 : concurrency_window(&p->window); /* after a rest: one to try */
    return p->n_in_flight < window ? (double)(window - p->n_in_flight) : 0;
}

/* Latency of an endpoint; of one that was never measured, that of the fastest, so that it is tried. */
static double seconds_of(const endpoints_t *e, const endpoint_t *p) {
    if (p->speed_s > 0) return p->speed_s;
    double least = INFINITY;
    for (int i = 0; i < e->n; i++)
        if (e->endpoints[i].speed_s > 0) least = fmin(least, e->endpoints[i].speed_s);
    return isinf(least) ? 1 : least;
}

int endpoints_send(endpoints_t *e, int avoid, double now_s) {
    int best = -1;
    double best_score = 0;
    for (int i = 0; i < e->n; i++) {
        const endpoint_t *p = &e->endpoints[i];
        double score = room(p, now_s) * p->weight / seconds_of(e, p);
        if (i == avoid) score *= 1e-6;
        if (score > best_score) {
            best_score = score;
            best = i;
        }
    }
    if (best < 0) return -1;
    endpoint_t *p = &e->endpoints[best];
    concurrency_sent(&p->window, ++p->n_in_flight, now_s);
    return best;
}

static void rest(endpoints_t *e, endpoint_t *p, double retry_after_s, double now_s) {
    /* The failures of what was sent before the rest began do not make it longer. */
    if (p->rested_until_s > now_s) return;
    const double backoff_s =
        fmin(0.5 * pow(2, p->n_rests < 10 ? p->n_rests : 10), 60) * (0.5 + rng_uniform(&e->jitter));
    p->rested_until_s = now_s + fmax(backoff_s, retry_after_s);
    p->n_rests++;
    concurrency_restart(&p->window);
}

static void measure(endpoints_t *e, endpoint_t *p, double latency_s, double now_s) {
    p->latencies_s[p->n_answered++ % ENDPOINT_LATENCIES] = (float)latency_s;
    p->latency_sum_s += latency_s;
    p->speed_s += (latency_s - p->speed_s) / fmin((double)p->n_answered, 64);
    p->n_failures = p->n_rests = 0;
    p->rested_until_s = 0;
    e->failing_since_s = 0;
    concurrency_answered(&p->window, latency_s, now_s);
}

void endpoints_finish(endpoints_t *e, int which, endpoint_outcome outcome, double latency_s, double retry_after_s,
                      double now_s) {
    endpoint_t *p = &e->endpoints[which];
    p->n_in_flight--;
    if (outcome == ENDPOINT_ANSWERED) {
        measure(e, p, latency_s, now_s);
        return;
    }
    p->n_failed++;
    if (e->failing_since_s == 0) e->failing_since_s = now_s;
    p->n_failures++;
    if (outcome == ENDPOINT_TURNED_DOWN) concurrency_turned_down(&p->window, now_s);
    const bool was_probe = p->rested_until_s > 0;
    if (outcome == ENDPOINT_GONE || was_probe || p->n_failures >= ENDPOINT_FAILURES) rest(e, p, retry_after_s, now_s);
}

void endpoints_drop(endpoints_t *e, int which) {
    e->endpoints[which].n_in_flight--;
}

double endpoints_next_s(const endpoints_t *e, double now_s) {
    double next_s = INFINITY;
    for (int i = 0; i < e->n; i++) {
        if (e->endpoints[i].rested_until_s <= now_s) return 0;
        next_s = fmin(next_s, e->endpoints[i].rested_until_s);
    }
    return next_s;
}

static int by_size(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

void endpoints_stats(const endpoints_t *e, captioner_stats_t *out, double now_s) {
    out->n = e->n;
    for (int i = 0; i < e->n; i++) {
        const endpoint_t *p = &e->endpoints[i];
        endpoint_stats_t *s = &out->endpoints[i];
        *s = (endpoint_stats_t){.name = p->name,
                                .answered = p->n_answered,
                                .failed = p->n_failed,
                                .in_flight = p->n_in_flight,
                                .rested = p->rested_until_s > now_s,
                                .tokens_in = p->tokens_in,
                                .tokens_out = p->tokens_out};
        if (!p->n_answered) continue;
        float sorted[ENDPOINT_LATENCIES];
        const int n = p->n_answered < ENDPOINT_LATENCIES ? (int)p->n_answered : ENDPOINT_LATENCIES;
        memcpy(sorted, p->latencies_s, (size_t)n * sizeof *sorted);
        qsort(sorted, (size_t)n, sizeof *sorted, by_size);
        s->latency_mean_s = p->latency_sum_s / (double)p->n_answered;
        s->latency_p50_s = sorted[n / 2];
        s->latency_p95_s = sorted[n * 95 / 100];
    }
}
