#include "tests/server/chat_request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "tests/server/base64_decode.h"

static bool wrong(chat_request_t *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool wrong(chat_request_t *r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(r->error, sizeof r->error, format, args);
    va_end(args);
    return false;
}

/* ---- pictures ---- */

static bool is_type(const char *type, size_t n, const char *wanted) {
    return n == strlen(wanted) && memcmp(type, wanted, n) == 0;
}

/* The first bytes are those of the type that the address claims. */
static bool is_claimed(const str_t *bytes, const char *type, size_t n) {
    const char *s = str_text(bytes);
    if (bytes->len < 16) return false;
    if (is_type(type, n, "image/jpeg")) return memcmp(s, "\xff\xd8\xff", 3) == 0;
    if (is_type(type, n, "image/png")) return memcmp(s, "\x89PNG\r\n\x1a\n", 8) == 0;
    if (is_type(type, n, "image/webp")) return memcmp(s, "RIFF", 4) == 0 && memcmp(s + 8, "WEBP", 4) == 0;
    return false;
}

static bool add_picture(chat_request_t *r, const char *type, size_t n_type, const char *payload, size_t n) {
    str_clear(&r->bytes);
    if (r->n_pictures == CHAT_PICTURES_MAX) return wrong(r, "more than %d pictures", CHAT_PICTURES_MAX);
    if (!base64_decode(&r->bytes, payload, n)) return wrong(r, "image_url: the data is no base64");
    if (!is_claimed(&r->bytes, type, n_type))
        return wrong(r, "image_url: the data is no picture of type %.*s", (int)(n_type < 40 ? n_type : 40), type);
    r->pictures[r->n_pictures++] = XXH64(r->bytes.s, r->bytes.len, 0);
    r->picture_bytes += r->bytes.len;
    return true;
}

/* Is the string that begins with the quote at `at` the value of a key "url"? A quote within a text is escaped, so that
 * no text can look like this. */
static bool is_url_value(const char *body, const char *at) {
    static const char key[] = "\"url\"";
    const char *c = at;
    while (c > body && strchr(" \t\r\n", c[-1])) c--;
    if (c == body || *--c != ':') return false;
    while (c > body && strchr(" \t\r\n", c[-1])) c--;
    const size_t n = sizeof key - 1;
    return (size_t)(c - body) > n && memcmp(c - n, key, n) == 0 && c[-(ptrdiff_t)n - 1] != '\\';
}

/* The body without its pictures, so that the JSON parser sees a few kilobytes. */
static bool cut_pictures(chat_request_t *r, const char *body, size_t n) {
    static const char start[] = "\"data:image", coding[] = ";base64,";
    const char *from = body, *stop = body + n;
    for (const char *at = body; (at = memmem(at, (size_t)(stop - at), start, sizeof start - 1)); at++) {
        if (!is_url_value(body, at)) continue;
        const char *end = memchr(at + 1, '"', (size_t)(stop - at - 1));
        if (!end) break; /* no JSON: the parser says so */
        const char *comma = memmem(at, (size_t)(end - at), coding, sizeof coding - 1);
        if (!comma) return wrong(r, "image_url: a data URI without ;base64,");
        const char *type = at + strlen("\"data:"), *payload = comma + sizeof coding - 1;
        if (!add_picture(r, type, (size_t)(comma - type), payload, (size_t)(end - payload))) return false;
        str_add_n(&r->skeleton, from, (size_t)(payload - from));
        str_addf(&r->skeleton, "#%d", r->n_pictures - 1);
        from = at = end;
    }
    str_add_n(&r->skeleton, from, (size_t)(stop - from));
    return !r->skeleton.failed || wrong(r, "out of memory");
}

/* The number of a picture that was cut out; -1 where this is something else. */
static int picture_number(const chat_request_t *r, const char *url) {
    const char *mark = str_starts_with(url, "data:image") ? strstr(url, ";base64,#") : NULL;
    int i;
    return mark && sscanf(mark + strlen(";base64,#"), "%d", &i) == 1 && i >= 0 && i < r->n_pictures ? i : -1;
}

/* ---- fields ---- */

static bool check_flag(chat_request_t *r, const char *name, bool *out) {
    const json_t *value = json_object_get(r->root, name);
    *out = json_is_true(value);
    return !value || json_is_boolean(value) || json_is_null(value) || wrong(r, "%s: expected a boolean", name);
}

static bool check_int(chat_request_t *r, const char *name, int64_t min, int64_t max, int64_t *out) {
    const json_t *value = json_object_get(r->root, name);
    if (!value || json_is_null(value)) return true;
    if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max)
        return wrong(r, "%s: expected an integer from %lld to %lld", name, (long long)min, (long long)max);
    *out = json_integer_value(value);
    return true;
}

static bool check_number(chat_request_t *r, const char *name, double min, double max) {
    const json_t *value = json_object_get(r->root, name);
    if (!value || json_is_null(value)) return true;
    const double x = json_number_value(value);
    return (json_is_number(value) && x >= min && x <= max) ||
           wrong(r, "%s: expected a number from %g to %g", name, min, max);
}

static bool check_fields(chat_request_t *r) {
    int64_t seed = 0, n = 1, top = 0, tokens = INT64_MAX, completion = INT64_MAX;
    const json_t *options = json_object_get(r->root, "stream_options");
    r->model = json_string_value(json_object_get(r->root, "model"));
    if (!r->model || !*r->model) return wrong(r, "model: expected the name of a model");
    if (!check_int(r, "seed", INT64_MIN, INT64_MAX, &seed) || !check_int(r, "n", 1, 1, &n) ||
        !check_int(r, "max_tokens", 1, 1 << 20, &tokens) ||
        !check_int(r, "max_completion_tokens", 1, 1 << 20, &completion) || !check_int(r, "top_logprobs", 0, 20, &top) ||
        !check_number(r, "temperature", 0, 2) || !check_number(r, "top_p", 0, 1) ||
        !check_number(r, "frequency_penalty", -2, 2) || !check_number(r, "presence_penalty", -2, 2) ||
        !check_flag(r, "stream", &r->stream) || !check_flag(r, "logprobs", &r->logprobs))
        return false;
    if (options && !r->stream) return wrong(r, "stream_options: only with stream");
    if (json_object_get(r->root, "top_logprobs") && !r->logprobs) return wrong(r, "top_logprobs: only with logprobs");
    r->stream_usage = json_is_true(json_object_get(options, "include_usage"));
    r->seed = (uint64_t)seed;
    r->max_tokens = tokens < completion ? tokens : completion;
    return true;
}

/* ---- messages ---- */

static bool check_part(chat_request_t *r, const json_t *part, size_t m, uint64_t *hash) {
    const char *type = json_string_value(json_object_get(part, "type"));
    if (type && strcmp(type, "text") == 0) {
        const json_t *text = json_object_get(part, "text");
        if (!json_is_string(text)) return wrong(r, "messages[%zu]: a text part without text", m);
        *hash = XXH64(json_string_value(text), json_string_length(text), *hash);
        r->prompt_bytes += json_string_length(text);
        return true;
    }
    if (!type || strcmp(type, "image_url") != 0)
        return wrong(r, "messages[%zu]: a part is of type text or image_url", m);
    const char *url = json_string_value(json_object_get(json_object_get(part, "image_url"), "url"));
    if (!url) return wrong(r, "messages[%zu]: image_url without url", m);
    return picture_number(r, url) >= 0 || wrong(r, "messages[%zu]: image_url is no data URI of a picture", m);
}

static bool check_message(chat_request_t *r, const json_t *message, size_t m, uint64_t *hash) {
    const char *role = json_string_value(json_object_get(message, "role"));
    const json_t *content = json_object_get(message, "content"), *part;
    size_t i;
    if (!role || (strcmp(role, "system") != 0 && strcmp(role, "developer") != 0 && strcmp(role, "user") != 0 &&
                  strcmp(role, "assistant") != 0))
        return wrong(r, "messages[%zu]: role is system, developer, user or assistant", m);
    if (json_is_string(content)) {
        *hash = XXH64(json_string_value(content), json_string_length(content), *hash);
        r->prompt_bytes += json_string_length(content);
        return true;
    }
    if (!json_array_size(content)) return wrong(r, "messages[%zu]: content is a string or a list of parts", m);
    json_array_foreach(content, i, part) {
        if (!check_part(r, part, m, hash)) return false;
    }
    return true;
}

static bool check_messages(chat_request_t *r) {
    const json_t *messages = json_object_get(r->root, "messages"), *message;
    size_t m;
    uint64_t hash = 0; /* of all text */
    if (!json_array_size(messages)) return wrong(r, "messages: expected a list that is not empty");
    json_array_foreach(messages, m, message) {
        if (!check_message(r, message, m, &hash)) return false;
    }
    r->picture = r->n_pictures ? r->pictures[0] : hash;
    return true;
}

/* By the first message, which is ours: the alt-text stands in a later one, or behind. */
static chat_style style_of(const chat_request_t *r) {
    const json_t *content = json_object_get(json_array_get(json_object_get(r->root, "messages"), 0), "content");
    const char *text =
        json_string_value(json_is_array(content) ? json_object_get(json_array_get(content, 0), "text") : content);
    if (!text) return CHAT_DETAILED;
    if (strcasestr(text, "comma-separated") || strcasestr(text, "separated by commas")) return CHAT_TAGS;
    return strcasestr(text, "one sentence") || strcasestr(text, "single sentence") ? CHAT_BRIEF : CHAT_DETAILED;
}

bool chat_request_parse(chat_request_t *r, const char *body, size_t n) {
    json_decref(r->root);
    str_clear(&r->skeleton);
    *r = (chat_request_t){.skeleton = r->skeleton, .bytes = r->bytes};
    if (!cut_pictures(r, body, n)) return false;
    json_error_t error;
    r->root = json_loadb(str_text(&r->skeleton), r->skeleton.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!r->root) return wrong(r, "the body is no JSON: %s", error.text);
    if (!json_is_object(r->root)) return wrong(r, "the body is no JSON object");
    if (!check_fields(r) || !check_messages(r)) return false;
    r->style = style_of(r);
    return true;
}

void chat_request_echo(chat_request_t *r, str_t *out) {
    json_t *messages = json_object_get(r->root, "messages"), *message, *part;
    size_t m, i;
    json_array_foreach(messages, m, message) {
        json_array_foreach(json_object_get(message, "content"), i, part) {
            json_t *image = json_object_get(part, "image_url");
            const char *url = json_string_value(json_object_get(image, "url"));
            char name[32];
            if (!url) continue;
            snprintf(name, sizeof name, "picture:%016llx", (unsigned long long)r->pictures[picture_number(r, url)]);
            if (json_object_set_new(image, "url", json_string(name)) != 0) out->failed = true;
        }
    }
    char *text = json_dumps(messages, JSON_COMPACT);
    if (text)
        str_add(out, text);
    else
        out->failed = true;
    free(text);
}

void chat_request_free(chat_request_t *r) {
    json_decref(r->root);
    str_free(&r->skeleton);
    str_free(&r->bytes);
}
