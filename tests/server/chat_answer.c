#include "tests/server/chat_answer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "tests/server/chat_caption.h"
#include "tests/server/gzip_stored.h"

/* A completion before it is written down. A token is a word with the space before it. */
typedef struct {
    str_t text;
    bool has_content; /* else null */
    const char *refusal, *finish_reason;
    chat_spent_t *spent;
    rng_t rng;
    long long created;
    char id[40];
} completion_t;

static int64_t n_tokens(const char *text) {
    int64_t n = *text != 0;
    for (; *text; text++) n += *text == ' ';
    return n;
}

/* ---- what is said ---- */

static void cut_to(str_t *text, int64_t tokens) {
    size_t at = 0;
    for (; at < text->len; at++)
        if (text->s[at] == ' ' && --tokens == 0) break;
    text->len = at;
    if (text->s) text->s[at] = '\0';
}

static void make_loop(str_t *text) {
    cut_to(text, 12);
    for (int i = 0; i < 24; i++) str_add(text, " the wooden table beside the wooden chair and");
}

static void compose(completion_t *c, chat_request_t *r, chat_fault fault, const chat_manner_t *manner) {
    const uint64_t seed = manner->any_seed ? 0 : r->seed;
    c->rng = rng_stream(r->picture ^ seed, 1, 0, RNG_TEST);
    c->created = (long long)time(NULL);
    c->has_content = true;
    c->finish_reason = "stop";
    if (fault == CHAT_FAULT_REFUSAL && rng_below(&c->rng, 2)) {
        c->refusal = "I can't help with describing this picture.";
        c->has_content = false;
    } else if (fault == CHAT_FAULT_REFUSAL) {
        str_add(&c->text, "I'm sorry, but I can't assist with describing this image.");
    } else if (fault == CHAT_FAULT_FILTERED) {
        c->finish_reason = "content_filter";
        c->has_content = false;
    } else if (manner->echo) {
        chat_request_echo(r, &c->text);
    } else {
        chat_caption(&c->text, r->picture, seed, r->style);
        if (fault == CHAT_FAULT_LOOP) make_loop(&c->text);
    }
    int64_t tokens = r->max_tokens;
    if (fault == CHAT_FAULT_LENGTH && n_tokens(str_text(&c->text)) / 2 < tokens)
        tokens = 1 + n_tokens(str_text(&c->text)) / 2;
    if (n_tokens(str_text(&c->text)) > tokens) {
        cut_to(&c->text, tokens);
        c->finish_reason = "length";
    }
    *c->spent = (chat_spent_t){.prompt_tokens = (int64_t)(r->prompt_bytes / 4 + 8) + 258 * r->n_pictures,
                               .completion_tokens = n_tokens(str_text(&c->text)),
                               .finish_reason = c->finish_reason};
}

/* ---- how it is written ---- */

static void add_usage(str_t *out, const chat_spent_t *s) {
    str_addf(out, "\"usage\":{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"total_tokens\":%lld}",
             (long long)s->prompt_tokens, (long long)s->completion_tokens,
             (long long)(s->prompt_tokens + s->completion_tokens));
}

static void add_logprob(str_t *out, completion_t *c, const char *token, size_t n) {
    str_add(out, "{\"token\":");
    str_add_json(out, token, n);
    str_addf(out, ",\"logprob\":%.4f,\"bytes\":null,\"top_logprobs\":[]}", -1.2 * rng_uniform(&c->rng));
}

/* The token at *at: up to before the next space. */
static size_t token_size(const char *at) {
    return *at ? 1 + strcspn(at + 1, " ") : 0;
}

static void add_logprobs(str_t *out, completion_t *c) {
    str_add(out, "{\"content\":[");
    for (const char *at = str_text(&c->text); *at; at += token_size(at)) {
        if (at != str_text(&c->text)) str_add_char(out, ',');
        add_logprob(out, c, at, token_size(at));
    }
    str_add(out, "],\"refusal\":null}");
}

static void add_text(str_t *out, const char *text, size_t n, bool is_null) {
    if (is_null)
        str_add(out, "null");
    else
        str_add_json(out, text, n);
}

static void add_head(str_t *out, const completion_t *c, const chat_request_t *r, const char *object) {
    str_addf(out, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%lld,\"model\":", c->id, object, c->created);
    str_add_json(out, r->model, strlen(r->model));
    str_add(out, ",\"system_fingerprint\":\"fp_test\",");
}

/* The content as the fault has it: thoughts before it, or as a list of parts of which one is thoughts. */
static void add_content(str_t *out, const completion_t *c, chat_fault fault) {
    str_t text = {0};
    if (fault == CHAT_FAULT_THINK) str_add(&text, "<think>\nWhat does the picture show?\n</think>\n\n");
    str_add_n(&text, str_text(&c->text), c->text.len);
    if (fault == CHAT_FAULT_PARTS)
        str_add(out, "[{\"type\":\"thinking\",\"thinking\":\"What is it?\"},{\"type\":\"text\",\"text\":");
    add_text(out, str_text(&text), text.len, !c->has_content);
    if (fault == CHAT_FAULT_PARTS) str_add(out, "}]");
    out->failed |= text.failed;
    str_free(&text);
}

static void write_whole(str_t *out, completion_t *c, const chat_request_t *r, chat_fault fault) {
    add_head(out, c, r, "chat.completion");
    str_add(out, "\"choices\":[");
    if (fault != CHAT_FAULT_EMPTY) {
        str_add(out, "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
        add_content(out, c, c->has_content ? fault : CHAT_FAULT_NONE);
        str_add(out, ",\"refusal\":");
        add_text(out, c->refusal, c->refusal ? strlen(c->refusal) : 0, !c->refusal);
        str_add(out, "},\"logprobs\":");
        if (r->logprobs)
            add_logprobs(out, c);
        else
            str_add(out, "null");
        str_addf(out, ",\"finish_reason\":\"%s\"}", c->finish_reason);
    }
    str_add(out, "],");
    add_usage(out, c->spent);
    str_add_char(out, '}');
}

static void send_event(http_answer_t *answer, str_t *event) {
    str_add(event, "\n\n");
    http_answer_chunk(answer, event->s, event->len);
    answer->bytes.failed |= event->failed;
    str_clear(event);
}

/* One event of a choice; delta: the members of the delta object. */
static void choice_event(http_answer_t *answer, str_t *event, const completion_t *c, const chat_request_t *r,
                         const char *delta, const char *logprobs, const char *finish_reason) {
    str_add(event, "data: ");
    add_head(event, c, r, "chat.completion.chunk");
    str_addf(event, "\"choices\":[{\"index\":0,\"delta\":{%s},\"logprobs\":%s,\"finish_reason\":%s%s%s}]}", delta,
             logprobs, finish_reason ? "\"" : "", finish_reason ? finish_reason : "null", finish_reason ? "\"" : "");
    send_event(answer, event);
}

static void write_tokens(http_answer_t *answer, completion_t *c, const chat_request_t *r) {
    str_t event = {0}, delta = {0}, logprobs = {0};
    for (const char *at = str_text(&c->text); *at; at += token_size(at)) {
        str_clear(&delta);
        str_clear(&logprobs);
        str_add(&delta, "\"content\":");
        str_add_json(&delta, at, token_size(at));
        if (r->logprobs) {
            str_add(&logprobs, "{\"content\":[");
            add_logprob(&logprobs, c, at, token_size(at));
            str_add(&logprobs, "]}");
        }
        choice_event(answer, &event, c, r, str_text(&delta), r->logprobs ? str_text(&logprobs) : "null", NULL);
    }
    answer->bytes.failed |= delta.failed || logprobs.failed;
    str_free(&event);
    str_free(&delta);
    str_free(&logprobs);
}

static void write_stream(http_answer_t *answer, completion_t *c, const chat_request_t *r) {
    str_t event = {0}, refusal = {0};
    http_answer_head(answer, 200, "text/event-stream", "Cache-Control: no-cache\r\n");
    choice_event(answer, &event, c, r, "\"role\":\"assistant\",\"content\":\"\"", "null", NULL);
    write_tokens(answer, c, r);
    if (c->refusal) {
        str_addf(&refusal, "\"refusal\":\"%s\"", c->refusal);
        choice_event(answer, &event, c, r, str_text(&refusal), "null", NULL);
    }
    choice_event(answer, &event, c, r, "", "null", c->finish_reason);
    if (r->stream_usage) {
        str_add(&event, "data: ");
        add_head(&event, c, r, "chat.completion.chunk");
        str_add(&event, "\"choices\":[],");
        add_usage(&event, c->spent);
        str_add_char(&event, '}');
        send_event(answer, &event);
    }
    str_add(&event, "data: [DONE]");
    send_event(answer, &event);
    http_answer_chunk(answer, "", 0);
    str_free(&event);
    str_free(&refusal);
}

/* ---- faults ---- */

void chat_answer_error(http_answer_t *answer, int status, const char *fields, const char *type, const char *message) {
    str_t body = {0};
    str_add(&body, "{\"error\":{\"message\":");
    str_add_json(&body, message, strlen(message));
    str_addf(&body, ",\"type\":\"%s\",\"param\":null,\"code\":%d}}", type, status);
    answer->bytes.failed |= body.failed;
    http_answer(answer, status, "application/json", fields, str_text(&body), body.len);
    str_free(&body);
}

void chat_answer_too_many(http_answer_t *answer, int64_t retry_after_s, bool as_date) {
    char fields[80], date[40];
    const time_t then = time(NULL) + retry_after_s;
    struct tm parts;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&then, &parts));
    if (as_date)
        snprintf(fields, sizeof fields, "Retry-After: %s\r\n", date);
    else
        snprintf(fields, sizeof fields, "Retry-After: %lld\r\n", (long long)retry_after_s);
    answer->delay_ns = 0;
    chat_answer_error(answer, 429, fields, "rate_limit_exceeded", "Rate limit reached for requests");
}

static void answer_html(http_answer_t *answer, bool is_200) {
    static const char page[] = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad "
                               "Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
    http_answer(answer, is_200 ? 200 : 502, "text/html", "", page, sizeof page - 1);
}

static void answer_error_200(http_answer_t *answer, bool is_in_choice) {
    static const char whole[] = "{\"error\":{\"message\":\"Provider returned error\",\"code\":502}}",
                      choice[] = "{\"choices\":[{\"index\":0,\"error\":{\"message\":\"Upstream is overloaded\","
                                 "\"code\":503},\"message\":{\"role\":\"assistant\",\"content\":\"\"},"
                                 "\"finish_reason\":\"error\"}]}";
    http_answer(answer, 200, "application/json", "", is_in_choice ? choice : whole,
                (is_in_choice ? sizeof choice : sizeof whole) - 1);
}

/* An answer that is none; false where the fault is of another sort. */
static bool answer_without(http_answer_t *answer, chat_fault fault, uint32_t times, const chat_manner_t *manner) {
    switch (fault) {
    case CHAT_FAULT_TOO_MANY:
        chat_answer_too_many(answer, manner->retry_after_s, manner->retry_after_date || times % 2);
        return true;
    case CHAT_FAULT_ERROR:
        chat_answer_error(answer, 500, "", "server_error", "The server had an error while processing your request");
        return true;
    case CHAT_FAULT_UNAVAILABLE:
        http_answer(answer, 503, "text/plain", "", "", 0);
        return true;
    case CHAT_FAULT_HTML:
        answer_html(answer, times % 2);
        return true;
    case CHAT_FAULT_RESET:
        answer->n_bytes_max = SIZE_MAX;
        answer->ending = HTTP_RESET;
        return true;
    case CHAT_FAULT_STALE:
        answer->n_bytes_max = SIZE_MAX;
        answer->ending = HTTP_CLOSE;
        return true;
    case CHAT_FAULT_ERROR_200:
        answer_error_200(answer, times % 2);
        return true;
    case CHAT_FAULT_HANG:
        answer->delay_ns = INT64_MAX / 4;
        return true;
    default:
        return false;
    }
}

/* What is done to an answer that is otherwise right. */
static void damage(http_answer_t *answer, chat_fault fault, const chat_manner_t *manner) {
    const char *head_end = answer->bytes.failed ? NULL : strstr(answer->bytes.s, "\r\n\r\n");
    if (!head_end) return;
    const size_t n = answer->bytes.len, head = (size_t)(head_end - answer->bytes.s) + 4;
    if (fault == CHAT_FAULT_RESET_AMID || fault == CHAT_FAULT_TRUNCATED) {
        answer->n_bytes_max = head + (n - head) / 2;
        answer->ending = fault == CHAT_FAULT_TRUNCATED ? HTTP_CLOSE : HTTP_RESET;
    } else if (fault == CHAT_FAULT_CLOSE) {
        answer->ending = HTTP_CLOSE;
    } else if (fault == CHAT_FAULT_SLOW) {
        answer->piece_end = NULL;
        answer->piece_bytes = n / 10 + 1;
        answer->piece_ns = manner->slow_ns / 10;
    }
}

static void answer_in_chunks(http_answer_t *answer, const str_t *body) {
    enum { CHUNK = 100 };
    http_answer_head(answer, 200, "application/json", "");
    for (size_t at = 0; at < body->len; at += CHUNK)
        http_answer_chunk(answer, body->s + at, body->len - at < CHUNK ? body->len - at : CHUNK);
    http_answer_chunk(answer, "", 0);
}

static void answer_gzip(http_answer_t *answer, const str_t *body) {
    str_t packed = {0};
    gzip_stored(&packed, str_text(body), body->len);
    answer->bytes.failed |= packed.failed;
    http_answer(answer, 200, "application/json", "Content-Encoding: gzip\r\n", str_text(&packed), packed.len);
    str_free(&packed);
}

static void write_completion(http_answer_t *answer, completion_t *c, const chat_request_t *r, chat_fault fault,
                             const chat_manner_t *manner) {
    if (r->stream && fault != CHAT_FAULT_MALFORMED && fault != CHAT_FAULT_EMPTY) {
        write_stream(answer, c, r);
        answer->piece_end = "\n\n\r\n";
        answer->piece_ns = manner->tokens_per_s > 0 ? (int64_t)(1e9 / manner->tokens_per_s) : 0;
        if (!answer->piece_ns) answer->piece_end = NULL;
        return;
    }
    str_t body = {0};
    write_whole(&body, c, r, fault);
    if (manner->tokens_per_s > 0)
        answer->delay_ns += (int64_t)(1e9 * (double)c->spent->completion_tokens / manner->tokens_per_s);
    answer->bytes.failed |= body.failed;
    if (fault == CHAT_FAULT_CHUNKED)
        answer_in_chunks(answer, &body);
    else if (fault == CHAT_FAULT_GZIP)
        answer_gzip(answer, &body);
    else
        http_answer(answer, 200, "application/json", "", str_text(&body),
                    body.len / (fault == CHAT_FAULT_MALFORMED ? 2 : 1));
    str_free(&body);
}

void chat_answer(http_answer_t *answer, chat_request_t *r, const chat_draw_t *draw, const chat_manner_t *manner,
                 chat_spent_t *spent) {
    *spent = (chat_spent_t){.finish_reason = ""};
    if (answer_without(answer, draw->on_the_way, draw->times, manner)) return;
    completion_t c = {.spent = spent};
    compose(&c, r, draw->bad, manner);
    snprintf(c.id, sizeof c.id, "chatcmpl-%016llx", (unsigned long long)(r->picture ^ r->seed));
    write_completion(answer, &c, r, draw->on_the_way, manner);
    damage(answer, draw->on_the_way, manner);
    answer->bytes.failed |= c.text.failed;
    str_free(&c.text);
}
