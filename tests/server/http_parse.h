/* One request of a byte stream: head and body of HTTP/1.1 (RFC 9112), as far as clients of an API use it. */
#ifndef LENS_TESTS_SERVER_HTTP_PARSE_H
#define LENS_TESTS_SERVER_HTTP_PARSE_H

#include "tests/server/http_server.h"

typedef enum { HTTP_PARSE_MORE, HTTP_PARSE_DONE, HTTP_PARSE_BAD } http_parse_result;

/* All zero before the first byte of a request. */
typedef struct {
    bool has_head, is_chunked, wants_continue, closes;
    str_t method, target, authorization;
    size_t body_at;       /* in the input */
    size_t body_bytes;    /* Content-Length */
    size_t at;            /* where reading goes on: in a chunked body, behind the last whole chunk */
    str_t body;           /* of a chunked request, put together */
    size_t request_bytes; /* DONE: all that the request took of the input */
    int bad_status;       /* BAD: 400, 413, 431, 501 */
    const char *bad_reason;
} http_parse_t;

/* input: all that has come since the request began. */
http_parse_result http_parse(http_parse_t *p, const str_t *input);
void http_parse_clear(http_parse_t *p); /* for the next request; memory kept */
void http_parse_free(http_parse_t *p);

#endif
