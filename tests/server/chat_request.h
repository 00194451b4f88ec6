/* The body of POST /v1/chat/completions: checked field by field against OpenAI's schema, and strict about it, since a
 * test server that takes everything proves nothing. Pictures are known by the XXH64 (seed 0) of their bytes. */
#ifndef LENS_TESTS_SERVER_CHAT_REQUEST_H
#define LENS_TESTS_SERVER_CHAT_REQUEST_H

#include <jansson.h>

#include "base/error.h"
#include "base/str.h"

enum { CHAT_PICTURES_MAX = 16 };

typedef enum { CHAT_DETAILED, CHAT_BRIEF, CHAT_TAGS } chat_style; /* what the prompt asks for */

typedef struct {
    json_t *root;      /* owned; data URIs cut out: their payload is "#N", N the number in pictures */
    const char *model; /* borrowed from root */
    uint64_t pictures[CHAT_PICTURES_MAX];
    int n_pictures;
    size_t picture_bytes; /* of all */
    uint64_t picture;     /* of the first; without one, hash of the prompt's text */
    size_t prompt_bytes;  /* text of all messages */
    uint64_t seed;        /* 0 where the request has none */
    int64_t max_tokens;   /* INT64_MAX where the request has none */
    bool stream, stream_usage, logprobs;
    chat_style style;
    char error[256]; /* one line */

    str_t skeleton, bytes; /* scratch, reused */
} chat_request_t;

/* False: r->error says what is wrong, and the answer is 400. What the request before has left is freed. */
bool chat_request_parse(chat_request_t *r, const char *body, size_t n);
/* The messages as compact JSON, each picture's address replaced by "picture:HASH": what --echo answers. */
void chat_request_echo(chat_request_t *r, str_t *out);
void chat_request_free(chat_request_t *r);

#endif
