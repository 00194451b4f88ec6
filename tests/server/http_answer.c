/* Answers as bytes: the part of http_server.h that needs no server. */
#include <string.h>

#include "tests/server/http_server.h"

static const char *phrase(int status) {
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {{200, "OK"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {404, "Not Found"},
                   {413, "Content Too Large"},
                   {429, "Too Many Requests"},
                   {431, "Request Header Fields Too Large"},
                   {500, "Internal Server Error"},
                   {501, "Not Implemented"},
                   {502, "Bad Gateway"},
                   {503, "Service Unavailable"}};
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (phrases[i].status == status) return phrases[i].phrase;
    return "Unknown";
}

static void status_line(str_t *out, int status, const char *type) {
    str_addf(out, "HTTP/1.1 %d %s\r\nServer: caption-server\r\nContent-Type: %s\r\n", status, phrase(status), type);
}

void http_answer(http_answer_t *answer, int status, const char *type, const char *fields, const char *body,
                 size_t n_bytes) {
    status_line(&answer->bytes, status, type);
    str_addf(&answer->bytes, "%sContent-Length: %zu\r\n\r\n", fields, n_bytes);
    str_add_n(&answer->bytes, body, n_bytes);
}

void http_answer_head(http_answer_t *answer, int status, const char *type, const char *fields) {
    status_line(&answer->bytes, status, type);
    str_addf(&answer->bytes, "%sTransfer-Encoding: chunked\r\n\r\n", fields);
}

void http_answer_chunk(http_answer_t *answer, const char *bytes, size_t n) {
    str_addf(&answer->bytes, "%zx\r\n", n);
    str_add_n(&answer->bytes, bytes, n);
    str_add(&answer->bytes, "\r\n");
}
