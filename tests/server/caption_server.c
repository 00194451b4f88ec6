/* caption-server: an OpenAI-compatible endpoint for tests, which looks at no picture and can go wrong in every way that
 * a real one has been seen to.
 *
 *     caption-server --port-file FILE [OPTION]...      (--help)
 *
 *     POST /v1/chat/completions   whole or streamed; chat_request.h, chat_answer.h
 *     GET  /v1/models, /health
 *     GET  /stats                 counters, in Prometheus' text format
 *     POST /control               {"error-rate": 0.2, "die-ms": 500}: any option of `live` below, from now on
 *
 * --log: one line a request: hash of the picture (XXH64 of its bytes, 16 digits), seed, how often the same was asked
 * before, name of the fault or "ok", finish_reason or "-". One thread. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/options.h"
#include "base/rng.h"
#include "tests/server/chat_answer.h"

typedef struct {
    int64_t port, seed, latency_ms, jitter_ms, slow_ms, max_in_flight, retry_after_s, die_ms, die_every_ms;
    double error_rate, bad_rate, tokens_per_s;
    bool retry_after_date, echo, any_seed, with_parent, help;
    char *port_file, *key, *log, *bodies, *faults, *model;
} settings_t;

#define INT_ROW(text, field, initial_, max_, unit_, help_)                                                             \
    {                                                                                                                  \
        .name = text, .type = OPTION_INT, .offset = offsetof(settings_t, field), .initial = initial_, .max = max_,     \
        .unit = unit_, .help = help_                                                                                   \
    }
#define FLOAT_ROW(text, field, max_, help_)                                                                            \
    {                                                                                                                  \
        .name = text, .type = OPTION_FLOAT, .offset = offsetof(settings_t, field), .initial = "0", .max = max_,        \
        .help = help_                                                                                                  \
    }
#define TEXT_ROW(text, field, initial_, value, help_)                                                                  \
    {                                                                                                                  \
        .name = text, .type = OPTION_STRING, .offset = offsetof(settings_t, field), .initial = initial_,               \
        .choices = value, .help = help_                                                                                \
    }
#define FLAG_ROW(text, field, help_)                                                                                   \
    { .name = text, .type = OPTION_FLAG, .offset = offsetof(settings_t, field), .help = help_ }

/* The first N_LIVE are those that POST /control may set. */
enum { N_LIVE = 14 };
static const option_t rows[] = {
    INT_ROW("latency-ms", latency_ms, "0", 1e9, "ms", "time before an answer"),
    INT_ROW("jitter-ms", jitter_ms, "0", 1e9, "ms", "up to so much more, evenly distributed"),
    FLOAT_ROW("tokens-per-s", tokens_per_s, 1e9, "speed of a completion; 0: all at once"),
    FLOAT_ROW("error-rate", error_rate, 1, "share of requests that go wrong on the way"),
    FLOAT_ROW("bad-rate", bad_rate, 1, "share of questions whose answer is bad: length, content-filter, refusal, loop"),
    TEXT_ROW("faults", faults, "all", "NAME,...",
             "only these, of 429 500 503 reset reset-amid truncated malformed html "
             "slow empty-choices close hang, of the bad ones, and of "
             "stale error-200 chunked gzip parts think"),
    INT_ROW("slow-ms", slow_ms, "3000", 1e9, "ms", "what a slow answer takes"),
    INT_ROW("retry-after-s", retry_after_s, "1", 1e6, "s", "told with 429, in seconds or as a date"),
    FLAG_ROW("retry-after-date", retry_after_date, "always as a date"),
    INT_ROW("max-in-flight", max_in_flight, "0", 1e9, NULL, "429 for requests beyond; 0: no limit"),
    FLAG_ROW("echo", echo, "the answer is the list of messages that came, as JSON"),
    FLAG_ROW("any-seed", any_seed, "the text depends on the picture alone"),
    INT_ROW("die-ms", die_ms, "0", 1e9, "ms",
            "dead for so long, at once (control) or every so often: connections reset, new ones refused"),
    INT_ROW("die-every-ms", die_every_ms, "0", 1e9, "ms", "time between the deaths; 0: none"),
    INT_ROW("port", port, "0", 65535, NULL, "of 127.0.0.1; 0: any that is free"),
    TEXT_ROW("port-file", port_file, NULL, "FILE", "where the port is written once the server listens"),
    TEXT_ROW("key", key, NULL, "KEY", "401 for requests without it"),
    TEXT_ROW("model", model, "test-model", "NAME", "what GET /v1/models lists"),
    TEXT_ROW("log", log, NULL, "FILE", "a line for each request"),
    TEXT_ROW("bodies", bodies, NULL, "FILE", "the requests' bodies, a line each"),
    INT_ROW("seed", seed, "1", 9e15, NULL, "of faults and jitter"),
    FLAG_ROW("with-parent", with_parent, "end when the process that started this ends"),
    FLAG_ROW("help", help, "show this and stop"),
};
static const option_table_t live = {rows, N_LIVE};

typedef struct {
    settings_t set;
    chat_faults_t faults;
    chat_request_t request;
    http_server_t *http;
    FILE *log, *bodies;
    rng_t jitter;
    int64_t started_ns, changed_ns;
    int64_t n_in_flight, most_in_flight, n_requests, n_sent, n_by_fault[CHAT_N_FAULTS];
    int64_t n_bad_requests, n_unauthorized, n_turned_away; /* 400; 401; 429 by --max-in-flight */
    int64_t prompt_tokens, completion_tokens;
    double in_flight_s; /* integral of n_in_flight over time: its mean is what Little's law speaks of */
} server_t;

static void change_in_flight(server_t *s, int by) {
    const int64_t now_ns = http_clock_ns();
    s->in_flight_s += 1e-9 * (double)(now_ns - s->changed_ns) * (double)s->n_in_flight;
    s->changed_ns = now_ns;
    s->n_in_flight += by;
    if (s->n_in_flight > s->most_in_flight) s->most_in_flight = s->n_in_flight;
}

static void finished(void *context, bool was_sent) {
    server_t *s = context;
    change_in_flight(s, -1);
    s->n_sent += was_sent;
}

/* ---- routes ---- */

static void log_request(server_t *s, const chat_draw_t *draw, const char *finish_reason) {
    if (!s->log) return;
    fprintf(s->log, "%016llx %lld %u %s %s\n", (unsigned long long)s->request.picture, (long long)s->request.seed,
            draw->times, chat_fault_name(draw->on_the_way ? draw->on_the_way : draw->bad),
            *finish_reason ? finish_reason : "-");
    fflush(s->log);
}

static void keep_body(server_t *s, const http_request_t *request) {
    if (!s->bodies) return;
    for (size_t i = 0; i < request->n_bytes; i++) /* a line break stands between JSON's tokens alone */
        putc(request->body[i] == '\n' || request->body[i] == '\r' ? ' ' : request->body[i], s->bodies);
    putc('\n', s->bodies);
    fflush(s->bodies);
}

static void complete(server_t *s, const http_request_t *request, http_answer_t *answer) {
    s->n_requests++;
    keep_body(s, request);
    if (!chat_request_parse(&s->request, request->body, request->n_bytes)) {
        s->n_bad_requests++;
        chat_answer_error(answer, 400, "", "invalid_request_error", s->request.error);
        return;
    }
    if (s->set.max_in_flight && s->n_in_flight >= s->set.max_in_flight) {
        s->n_turned_away++;
        chat_answer_too_many(answer, s->set.retry_after_s, false);
        return;
    }
    chat_draw_t draw;
    if (chat_faults_draw(&s->faults, s->request.picture, s->request.seed, &draw) != LENS_OK) {
        chat_answer_error(answer, 500, "", "server_error", lens_error());
        return;
    }
    if (draw.on_the_way == CHAT_FAULT_STALE && request->is_first) draw.on_the_way = CHAT_FAULT_NONE;
    const chat_manner_t manner = {.echo = s->set.echo,
                                  .any_seed = s->set.any_seed,
                                  .tokens_per_s = s->set.tokens_per_s,
                                  .slow_ns = s->set.slow_ms * 1000000,
                                  .retry_after_s = s->set.retry_after_s,
                                  .retry_after_date = s->set.retry_after_date};
    chat_spent_t spent;
    answer->delay_ns =
        s->set.latency_ms * 1000000 + (int64_t)(rng_uniform(&s->jitter) * 1e6 * (double)s->set.jitter_ms);
    chat_answer(answer, &s->request, &draw, &manner, &spent);
    answer->is_counted = true;
    change_in_flight(s, 1);
    s->n_by_fault[draw.on_the_way ? draw.on_the_way : draw.bad]++;
    s->prompt_tokens += spent.prompt_tokens;
    s->completion_tokens += spent.completion_tokens;
    log_request(s, &draw, spent.finish_reason);
}

static void list_models(server_t *s, http_answer_t *answer) {
    str_t body = {0};
    str_add(&body, "{\"object\":\"list\",\"data\":[{\"id\":");
    str_add_json(&body, s->set.model, strlen(s->set.model));
    str_add(&body, ",\"object\":\"model\",\"created\":0,\"owned_by\":\"tests\"}]}");
    http_answer(answer, 200, "application/json", "", str_text(&body), body.len);
    str_free(&body);
}

static void add_counter(str_t *out, const char *name, double value) {
    str_addf(out, "caption_server_%s %.15g\n", name, value);
}

static void write_stats(server_t *s, http_answer_t *answer) {
    struct rusage used;
    str_t body = {0};
    const http_counts_t counts = http_server_counts(s->http);
    getrusage(RUSAGE_SELF, &used);
    change_in_flight(s, 0);
    const struct {
        const char *name;
        double value;
    } rest[] = {{"requests_total", (double)s->n_requests},
                {"answers_sent_total", (double)s->n_sent},
                {"bad_requests_total", (double)s->n_bad_requests},
                {"unauthorized_total", (double)s->n_unauthorized},
                {"turned_away_total", (double)s->n_turned_away},
                {"deaths_total", (double)counts.n_deaths},
                {"in_flight", (double)s->n_in_flight},
                {"in_flight_most", (double)s->most_in_flight},
                {"in_flight_seconds_total", s->in_flight_s},
                {"prompt_tokens_total", (double)s->prompt_tokens},
                {"completion_tokens_total", (double)s->completion_tokens},
                {"connections_total", (double)counts.n_accepted},
                {"abandoned_total", (double)counts.n_abandoned},
                {"received_bytes_total", (double)counts.n_bytes_in},
                {"sent_bytes_total", (double)counts.n_bytes_out},
                {"cpu_seconds_total", (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                                          1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec)},
                {"uptime_seconds", 1e-9 * (double)(http_clock_ns() - s->started_ns)}};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) add_counter(&body, rest[i].name, rest[i].value);
    for (int i = 0; i < CHAT_N_FAULTS; i++)
        str_addf(&body, "caption_server_answers_total{kind=\"%s\"} %lld\n", chat_fault_name((chat_fault)i),
                 (long long)s->n_by_fault[i]);
    http_answer(answer, 200, "text/plain; version=0.0.4", "", str_text(&body), body.len);
    str_free(&body);
}

/* ---- settings ---- */

static lens_status apply_settings(server_t *s) {
    s->faults.seed = (uint64_t)s->set.seed;
    s->faults.error_rate = s->set.error_rate;
    s->faults.bad_rate = s->set.bad_rate;
    if (s->set.die_every_ms && !s->set.die_ms) return lens_fail(LENS_ARGUMENT, "die-every-ms: needs die-ms");
    if (s->http) http_server_die_every(s->http, s->set.die_every_ms * 1000000, s->set.die_ms * 1000000);
    return chat_faults_allow(&s->faults, s->set.faults);
}

static lens_status control(server_t *s, const http_request_t *request) {
    json_error_t error;
    json_t *root = json_loadb(request->body, request->n_bytes, JSON_REJECT_DUPLICATES, &error), *value;
    const char *name;
    lens_status st = json_is_object(root) ? LENS_OK : lens_fail(LENS_ARGUMENT, "control: expected a JSON object");
    json_object_foreach(root, name, value) {
        char *text = json_is_string(value) ? strdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY);
        if (st == LENS_OK && !text) st = lens_fail(LENS_MEMORY, "control: out of memory");
        if (st == LENS_OK) st = options_set(live, &s->set, name, text, "control");
        if (st == LENS_OK && strcmp(name, "die-ms") == 0) http_server_die(s->http, s->set.die_ms * 1000000);
        free(text);
    }
    json_decref(root);
    return st == LENS_OK ? apply_settings(s) : st;
}

static void answer_control(server_t *s, const http_request_t *request, http_answer_t *answer) {
    if (control(s, request) == LENS_OK)
        http_answer(answer, 200, "application/json", "", "{}", 2);
    else
        chat_answer_error(answer, 400, "", "invalid_request_error", lens_error());
}

static bool is_allowed(const server_t *s, const http_request_t *request) {
    static const char scheme[] = "Bearer ";
    if (!s->set.key || !str_starts_with(request->target, "/v1/")) return true;
    return str_starts_with(request->authorization, scheme) &&
           strcmp(request->authorization + sizeof scheme - 1, s->set.key) == 0;
}

static void handle(void *context, const http_request_t *request, http_answer_t *answer) {
    server_t *s = context;
    const bool is_post = strcmp(request->method, "POST") == 0;
    const char *target = request->target;
    if (!is_allowed(s, request)) {
        s->n_unauthorized++;
        chat_answer_error(answer, 401, "WWW-Authenticate: Bearer\r\n", "invalid_request_error",
                          "Incorrect API key provided");
    } else if (is_post && strcmp(target, "/v1/chat/completions") == 0) {
        complete(s, request, answer);
    } else if (is_post && strcmp(target, "/control") == 0) {
        answer_control(s, request, answer);
    } else if (!is_post && strcmp(target, "/v1/models") == 0) {
        list_models(s, answer);
    } else if (!is_post && strcmp(target, "/stats") == 0) {
        write_stats(s, answer);
    } else if (!is_post && strcmp(target, "/health") == 0) {
        http_answer(answer, 200, "text/plain", "", "", 0);
    } else {
        chat_answer_error(answer, 404, "", "invalid_request_error", "There is nothing here");
    }
}

/* ---- the program ---- */

static lens_status announce(const server_t *s) {
    char text[16];
    const int n = snprintf(text, sizeof text, "%d\n", http_server_port(s->http));
    if (s->set.port_file) return file_write(s->set.port_file, text, (size_t)n);
    return fputs(text, stdout) < 0 || fflush(stdout) != 0 ? lens_fail(LENS_IO, "cannot write the port to stdout")
                                                          : LENS_OK;
}

static lens_status open_file(FILE **out, const char *path) {
    if (path && !(*out = fopen(path, "a"))) return lens_fail(LENS_IO, "cannot open %s: %s", path, strerror(errno));
    return LENS_OK;
}

static lens_status serve(server_t *s) {
    const pid_t parent = getppid();
    if (s->set.with_parent) prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (s->set.with_parent && getppid() != parent) return LENS_OK;
    s->started_ns = s->changed_ns = http_clock_ns();
    s->jitter = rng_stream((uint64_t)s->set.seed, 2, 0, RNG_TEST);
    LENS_TRY(open_file(&s->log, s->set.log));
    LENS_TRY(open_file(&s->bodies, s->set.bodies));
    LENS_TRY(http_server_open(&s->http, (int)s->set.port,
                              &(http_handler_t){.context = s, .handle = handle, .finished = finished}));
    LENS_TRY(apply_settings(s));
    LENS_TRY(announce(s));
    return http_server_run(s->http);
}

static lens_status run(server_t *s, int argc, char **argv) {
    const option_table_t table = OPTION_TABLE(rows);
    char **args = calloc((size_t)argc + 1, sizeof *args);
    int n_args = 0;
    lens_status st = args ? options_defaults(table, &s->set) : lens_fail(LENS_MEMORY, "out of memory");
    if (st == LENS_OK) st = options_parse(table, &s->set, argc - 1, argv + 1, args, &n_args);
    if (st == LENS_OK && n_args) st = lens_fail(LENS_ARGUMENT, "unexpected argument '%s'", args[0]);
    free(args);
    if (st != LENS_OK || !s->set.help) return st == LENS_OK ? serve(s) : st;
    str_t help = {0};
    options_help(&help, table);
    fputs(str_text(&help), stdout);
    str_free(&help);
    return LENS_OK;
}

int main(int argc, char **argv) {
    server_t s = {0};
    signal(SIGPIPE, SIG_IGN);
    const lens_status st = run(&s, argc, argv);
    if (st != LENS_OK) fprintf(stderr, "caption-server: %s\n", lens_error());
    http_server_close(s.http);
    chat_request_free(&s.request);
    chat_faults_free(&s.faults);
    options_free(OPTION_TABLE(rows), &s.set);
    if (s.log) fclose(s.log);
    if (s.bodies) fclose(s.bodies);
    return st == LENS_OK ? 0 : st == LENS_ARGUMENT ? 2 : 1;
}
