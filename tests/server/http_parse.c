#include "tests/server/http_parse.h"

#include <string.h>
#include <strings.h>

static http_parse_result bad(http_parse_t *p, int status, const char *reason) {
    p->bad_status = status;
    p->bad_reason = reason;
    return HTTP_PARSE_BAD;
}

void http_parse_clear(http_parse_t *p) {
    str_t method = p->method, target = p->target, authorization = p->authorization, body = p->body;
    str_clear(&method);
    str_clear(&target);
    str_clear(&authorization);
    str_clear(&body);
    *p = (http_parse_t){.method = method, .target = target, .authorization = authorization, .body = body};
}

void http_parse_free(http_parse_t *p) {
    str_free(&p->method);
    str_free(&p->target);
    str_free(&p->authorization);
    str_free(&p->body);
}

/* ---- head ---- */

static bool parse_size(const char *digits, size_t n, int base, size_t *out) {
    size_t value = 0;
    for (size_t i = 0; i < n; i++) {
        const char *at = strchr("0123456789abcdef", digits[i] | ' ');
        if (!at || !*at || at - "0123456789abcdef" >= base || value > (SIZE_MAX - 15) / 16) return false;
        value = value * (size_t)base + (size_t)(at - "0123456789abcdef");
    }
    *out = value;
    return n > 0;
}

static bool request_line(http_parse_t *p, const char *line, size_t n) {
    const char *space = memchr(line, ' ', n);
    if (!space) return false;
    const char *target = space + 1, *end = memchr(target, ' ', (size_t)(line + n - target));
    if (!end || (size_t)(line + n - end) != strlen(" HTTP/1.1") || memcmp(end, " HTTP/1.", 8) != 0) return false;
    p->closes = end[8] == '0'; /* HTTP/1.0 */
    str_add_n(&p->method, line, (size_t)(space - line));
    str_add_n(&p->target, target, (size_t)(end - target));
    return true;
}

static bool is_name(const char *line, const char *colon, const char *name) {
    return (size_t)(colon - line) == strlen(name) && strncasecmp(line, name, strlen(name)) == 0;
}

static http_parse_result header_field(http_parse_t *p, const char *line, size_t n) {
    const char *colon = memchr(line, ':', n);
    if (!colon || colon == line) return bad(p, 400, "a header line without a name");
    const char *value = colon + 1, *end = line + n;
    while (value < end && (*value == ' ' || *value == '\t')) value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t')) end--;
    const size_t size = (size_t)(end - value);
    if (is_name(line, colon, "content-length")) {
        if (!parse_size(value, size, 10, &p->body_bytes)) return bad(p, 400, "Content-Length is no number");
        if (p->body_bytes > HTTP_BODY_MAX) return bad(p, 413, "the body is too large");
    } else if (is_name(line, colon, "transfer-encoding")) {
        if (size != 7 || strncasecmp(value, "chunked", 7) != 0) return bad(p, 501, "an unknown Transfer-Encoding");
        p->is_chunked = true;
    } else if (is_name(line, colon, "connection")) {
        if (size == 5 && strncasecmp(value, "close", 5) == 0) p->closes = true;
        if (size == 10 && strncasecmp(value, "keep-alive", 10) == 0) p->closes = false;
    } else if (is_name(line, colon, "expect")) {
        p->wants_continue = true;
    } else if (is_name(line, colon, "authorization")) {
        str_clear(&p->authorization);
        str_add_n(&p->authorization, value, size);
    }
    return HTTP_PARSE_DONE;
}

static http_parse_result parse_head(http_parse_t *p, const str_t *input) {
    const char *end = input->len ? memmem(input->s, input->len, "\r\n\r\n", 4) : NULL;
    if (!end) return input->len > HTTP_HEAD_MAX ? bad(p, 431, "the head is too large") : HTTP_PARSE_MORE;
    const char *line = input->s, *line_end = memmem(line, input->len, "\r\n", 2);
    if (!request_line(p, line, (size_t)(line_end - line))) return bad(p, 400, "no HTTP/1.1 request line");
    while (line_end < end) {
        line = line_end + 2;
        line_end = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        if (header_field(p, line, (size_t)(line_end - line)) == HTTP_PARSE_BAD) return HTTP_PARSE_BAD;
    }
    p->has_head = true;
    p->body_at = p->at = (size_t)(end - input->s) + 4;
    return HTTP_PARSE_DONE;
}

/* ---- chunks ---- */

/* One chunk at p->at: DONE where the next one may follow, with *is_last for the one that ends the body. */
static http_parse_result parse_chunk(http_parse_t *p, const str_t *input, bool *is_last) {
    const char *start = input->s + p->at, *stop = input->s + input->len;
    const char *line_end = memmem(start, (size_t)(stop - start), "\r\n", 2);
    if (!line_end) return stop - start > 1024 ? bad(p, 400, "no size of a chunk") : HTTP_PARSE_MORE;
    const char *extension = memchr(start, ';', (size_t)(line_end - start));
    size_t size;
    if (!parse_size(start, (size_t)((extension ? extension : line_end) - start), 16, &size))
        return bad(p, 400, "the size of a chunk is no number");
    if (size > HTTP_BODY_MAX - p->body.len) return bad(p, 413, "the body is too large");
    *is_last = size == 0;
    const char *data = line_end + 2;
    if ((size_t)(stop - data) < size + 2) return HTTP_PARSE_MORE;
    if (memcmp(data + size, "\r\n", 2) != 0) return bad(p, 400, "a chunk without its end, or trailers");
    str_add_n(&p->body, data, size);
    p->at = (size_t)(data - input->s) + size + 2;
    return HTTP_PARSE_DONE;
}

http_parse_result http_parse(http_parse_t *p, const str_t *input) {
    if (!p->has_head) {
        http_parse_result head = parse_head(p, input);
        if (head != HTTP_PARSE_DONE) return head;
    }
    if (!p->is_chunked) {
        p->request_bytes = p->body_at + p->body_bytes;
        return input->len >= p->request_bytes ? HTTP_PARSE_DONE : HTTP_PARSE_MORE;
    }
    bool is_last = false;
    while (!is_last) {
        http_parse_result chunk = parse_chunk(p, input, &is_last);
        if (chunk != HTTP_PARSE_DONE) return chunk;
    }
    p->request_bytes = p->at;
    return HTTP_PARSE_DONE;
}
